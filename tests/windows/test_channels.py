"""What is known of channels: names with their species, places in metres, counts by their unit; and that JSON holds it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.identity import eeg_montage
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_signal, make_units
from neurodata.windows.channels import describe_channels, homologue_groups
from neurodata.windows.make_spec import make_spec
from neurodata.windows.spec import BY_RECORDING, BY_SUBJECT, Channel, DataSpec
from neurodata.windows.views import make_views

WORM = "Caenorhabditis elegans"
SPEC = DataSpec(
    "eeg+spikes", 20.0, 40, ("a/1", "a/2"), ("x", "x"), identity=BY_RECORDING,
    channels=(Channel("10-05:Cz", "", "eeg", (0.0, 0.01, -0.2)), Channel("", "mouse:V1", "spikes", (), True)),
    parts=(DataSpec("eeg", 128.0, 256, ()), DataSpec("spikes", 20.0, 40, (), target="speed", target_kind="continuous", classes=("x",))),
)  # fmt: skip


def recording_of(modality, labels, *, units="V", species="Homo sapiens", columns=None, attributes=None, number=1):
    values = np.random.default_rng(0).normal(size=(60, len(labels)))
    signal = make_signal(
        values, channel_id=[f"c{i}" for i in range(len(labels))], units=units, rate_hz=20.0,
        columns={"label": list(labels), **(columns or {})}, **(attributes or {}),
    )  # fmt: skip
    metadata = {
        "dataset": "made_up", "recording_id": f"made_up/r{number}", "modality": modality, "licence": "CC-BY-4.0",
        "subject": {"id": "s1", "species": species},
    }  # fmt: skip
    return Recording(metadata, {"x": signal}, {}, {})


@pytest.mark.parametrize(
    ("modality", "labels", "species", "names"),
    [
        pytest.param("calcium", ["AVAL", ""], WORM, [f"{WORM}:AVAL", ""], id="a neuron, and one nobody named"),
        pytest.param("eeg", ["Cz", "EMG1"], "Homo sapiens", ["10-05:Cz", "Homo sapiens:EMG1"], id="an electrode"),
        pytest.param("eeg", ["Cz"], "", ["10-05:Cz"], id="an electrode on nobody's head"),
        pytest.param("fmri", ["Cz"], "Homo sapiens", ["Homo sapiens:Cz"], id="a parcel is no electrode"),
    ],
)
def test_names_mean_something_within_a_species_or_a_montage(modality, labels, species, names):
    found = describe_channels(recording_of(modality, labels, species=species), "x")
    assert [channel.name for channel in found] == names
    assert {channel.modality for channel in found} == {modality}


def test_electrodes_without_a_place_have_the_template_s():
    found = describe_channels(recording_of("eeg", ["Cz", "C3", "EMG1"]), "x")
    template = eeg_montage.positions(["Cz", "C3"])
    np.testing.assert_allclose([channel.position for channel in found[:2]], template)
    assert found[2].position == ()
    assert describe_channels(recording_of("calcium", ["Cz"]), "x")[0].position == ()


@pytest.mark.parametrize(("unit", "factor"), [("m", 1.0), ("mm", 1e-3), ("um", 1e-6), ("µm", 1e-6)])
def test_places_are_told_in_metres(unit, factor):
    places = {"x": [1.0, 2.0], "y": [3.0, 4.0], "z": [5.0, np.nan]}
    made = recording_of("calcium", ["a", "b"], columns=places, attributes={"position_units": unit})
    one, other = describe_channels(made, "x")
    np.testing.assert_allclose(one.position, np.array([1.0, 3.0, 5.0]) * factor)
    assert other.position == ()  # known in part only


@pytest.mark.parametrize("unit", ["voxels", "pixels", ""])
def test_places_of_no_known_size_are_left_out(unit):
    places = {"x": [1.0], "y": [3.0], "z": [5.0]}
    made = recording_of("fmri", ["a"], columns=places, attributes={"position_units": unit})
    assert describe_channels(made, "x")[0].position == ()


def test_own_places_go_before_the_template_s():
    places = {"x": [0.5, np.nan], "y": [0.5, np.nan], "z": [0.5, np.nan]}
    found = describe_channels(recording_of("eeg", ["Cz", "C3"], columns=places), "x")
    assert found[0].position == (0.5, 0.5, 0.5)
    np.testing.assert_allclose(found[1].position, eeg_montage.positions(["C3"])[0])


@pytest.mark.parametrize(
    ("units", "counts"),
    [("spikes/bin", True), ("Count", True), ("counts", True), ("events / frame", True), ("V", False), ("counter", False), ("dF/F", False)],
)  # fmt: skip
def test_counts_are_told_by_their_unit(units, counts):
    assert describe_channels(recording_of("spikes", ["a"], units=units), "x")[0].counts is counts


def test_units_of_events_are_counts_with_a_region_and_a_place():
    units = make_units([0, 1], label=["n1", ""], region=["V1", ""], x=[1e-3, 0.0], y=[0.0, 0.0], z=[0.0, 0.0])
    events = {"spikes": make_events([0.1, 0.2], unit=[0, 1])}
    base = recording_of("spikes", ["a"], species="Mus musculus")
    found = describe_channels(Recording(base.metadata, base.signals, events, {}, units=units), "spikes")
    assert found == (
        Channel("Mus musculus:n1", "Mus musculus:V1", "spikes", (1e-3, 0.0, 0.0), True),
        Channel("", "", "spikes", (0.0, 0.0, 0.0), True),
    )
    without = describe_channels(Recording(base.metadata, base.signals, events, {}), "spikes")
    assert without == ()


def test_views_that_change_channels_change_what_is_described():
    places = {"x": [0.0, 0.01, 0.02], "y": [0.0] * 3, "z": [0.0] * 3}
    made = recording_of("seeg", ["A1", "A2", "A3"], columns=places)
    bipolar = make_views([{"re_reference": {"to": "bipolar"}}])
    found = describe_channels(made, "x", bipolar)
    assert [channel.name for channel in found] == ["Homo sapiens:A1-A2", "Homo sapiens:A2-A3"]
    np.testing.assert_allclose([channel.position for channel in found], [(0.005, 0, 0), (0.015, 0, 0)])
    filtered = make_views([{"band_pass": {"low_hz": 1.0, "high_hz": 4.0}}])
    assert describe_channels(made, "x", filtered) == describe_channels(made, "x")


def test_groups_are_of_names_and_worms_have_pairs():
    channels = (Channel(f"{WORM}:AVAR"), Channel(f"{WORM}:AVAL"), Channel(), Channel("Homo sapiens:AVAR"))
    groups = homologue_groups(("r/1", "r/2", "r/3", "r/4"), channels)
    assert groups[0] == groups[1]
    assert groups[2:] == ("r/3", "Homo sapiens:AVAR")


@pytest.mark.parametrize(("identity", "n_keys"), [(BY_RECORDING, 4), (BY_SUBJECT, 2)])
def test_channels_that_stand_for_themselves_keep_what_they_share(identity, n_keys):
    made = [recording_of("eeg", ["Cz", "C3"], number=number) for number in (1, 2)]
    spec = make_spec(made, inputs="x", rate_hz=20.0, window_seconds=1.0, identity=identity)
    assert len(spec.vocabulary) == n_keys
    assert sorted(channel.name for channel in spec.channels) == sorted(["10-05:C3", "10-05:Cz"] * (n_keys // 2))


# --- JSON -------------------------------------------------------------------------------------------------------


def test_json_round_trip_with_channels_and_parts():
    again = DataSpec.from_json(json.loads(json.dumps(SPEC.to_json(), allow_nan=False)))
    assert again == SPEC
    assert again.channels[0].position == (0.0, 0.01, -0.2)
    assert again.parts[1].target == "speed"


def test_specs_of_the_first_checkpoints_are_read():
    fields = DataSpec("calcium", 3.0, 60, ("AVAL",)).to_json()
    for name in ("identity", "views", "channels", "parts"):
        del fields[name]
    assert DataSpec.from_json(fields) == DataSpec("calcium", 3.0, 60, ("AVAL",))


def test_scaled_counts_are_no_counts():
    assert [channel.counts for channel in SPEC.scaled().channels] == [False, False]
    assert SPEC.scaled() == replace(SPEC, channels=(SPEC.channels[0], replace(SPEC.channels[1], counts=False)))


GOOD = ["name", "", "eeg", [0.0, 1.0, 2.0], False]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(0, 3, id="a number for a name"),
        pytest.param(1, None, id="null for a region"),
        pytest.param(2, ["eeg"], id="a list for a modality"),
        pytest.param(3, [0.0, 1.0], id="two numbers for a place"),
        pytest.param(3, [0.0, 1.0, float("nan")], id="NaN for a place"),
        pytest.param(3, [0.0, 1.0, float("inf")], id="infinity for a place"),
        pytest.param(3, [0, 1, 10**400], id="a number no float can hold"),
        pytest.param(3, [0.0, 1.0, True], id="true for a place"),
        pytest.param(3, [0.0, 1.0, "2"], id="text for a place"),
        pytest.param(3, "xyz", id="three letters for a place"),
        pytest.param(3, {"x": 0}, id="an object for a place"),
        pytest.param(4, 1, id="one for true"),
    ],
)
def test_a_hostile_channel_is_refused(place, value):
    fields = [value if number == place else entry for number, entry in enumerate(GOOD)]
    with pytest.raises(NeurodataError, match=r"a channel is written as \[name, region, modality, .* got \["):
        Channel.from_json(fields)


@pytest.mark.parametrize("fields", [[], GOOD[:4], [*GOOD, 1], None, "name", 3, {"name": "x"}])
def test_what_is_no_channel_is_refused(fields):
    with pytest.raises(NeurodataError, match=r"a channel is written as \[name, region, modality"):
        Channel.from_json(fields)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"channels": "Cz"}, "the channels of a DataSpec are a list, got str", id="text for channels"),
        pytest.param({"channels": {"0": GOOD}}, "the channels of a DataSpec are a list, got dict", id="an object"),
        pytest.param({"channels": [GOOD]}, "1 channels for a vocabulary of 2 names", id="too few channels"),
        pytest.param({"channels": [GOOD, None]}, "a channel is written as .* got None", id="null among channels"),
        pytest.param({"parts": 3}, "the parts of a DataSpec are a list, got int", id="a number for parts"),
        pytest.param({"parts": [3]}, "written as an object of fields, got int", id="a number among parts"),
        pytest.param({"parts": [SPEC.to_json()]}, "are plain specs and have no parts themselves", id="parts of parts"),
        pytest.param({"parts": [{"signal": "x"}]}, "missing, unknown or wrong: .*rate_hz", id="half a part"),
        pytest.param({"identity": "name"}, "no identity of channels 'name'", id="unknown identity"),
        pytest.param({"rate_hz": 10**400}, "wrong: rate_hz", id="a rate no float can hold"),
        pytest.param({"window_samples": 10**400}, "wrong: window_samples", id="a length no float can hold"),
    ],
)
def test_a_hostile_spec_is_refused(changes, text):
    with pytest.raises(NeurodataError, match=text):
        DataSpec.from_json(SPEC.to_json() | changes)
