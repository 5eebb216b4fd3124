"""A recording on a run's clock: channels by identity, targets at the same samples, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.identity import celegans
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units
from neurodata.windows.make_spec import make_spec
from neurodata.windows.prepare import channel_ids, prepare
from neurodata.windows.splits import Stretch

LABELS = ["AVAL", "", "AVAR", "not a neuron"]


def recording(name="w1", *, species="Caenorhabditis elegans", labels=LABELS, seconds=40.0, rate_hz=5.0, **more):
    """Channel i is a slow sine with phase i; behaviour is another; states change every 4 s from 2 s on."""
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    values = np.sin(2 * np.pi * 0.1 * times[:, None] + np.arange(len(labels)))
    columns = {} if labels is None else {"label": labels}
    ids = [f"c{i}" for i in range(values.shape[1])]
    signals = {
        "calcium": make_signal(values, channel_id=ids, units="dF/F", rate_hz=rate_hz, columns=columns),
        "wheel": make_signal(
            np.cos(2 * np.pi * 0.1 * times)[:, None],
            channel_id=["speed"],
            units="m/s",
            rate_hz=rate_hz,
            role="behavior",
        ),
    }
    starts = np.arange(2.0, seconds, 4.0)
    state = make_intervals(
        starts, np.minimum(starts + 4, seconds), label=[("fwd", "rev")[i % 2] for i in range(len(starts))],
        code=[(0, 3)[i % 2] for i in range(len(starts))],
    )  # fmt: skip
    metadata = {
        "dataset": "made_up", "recording_id": f"made_up/{name}", "modality": "calcium",
        "subject": {"id": name, "species": species, "sex": "XX"},
    }  # fmt: skip
    return Recording(metadata, signals | more.get("signals", {}), {}, {"state": state, **more.get("intervals", {})})


def spec_of(*recordings, **options):
    return make_spec(recordings, **({"inputs": "calcium", "rate_hz": 2.0, "window_seconds": 4.0} | options))


def test_channels_are_found_by_identity_and_unknown_ones_left_out_or_0():
    worm = recording()
    spec = spec_of(worm)
    named, everything = prepare(worm, spec), prepare(worm, spec, channels="all")
    position = {name: i + 1 for i, name in enumerate(celegans.NAMES)}
    assert named.channel_ids.tolist() == [position["AVAL"], position["AVAR"]]
    assert everything.channel_ids.tolist() == [position["AVAL"], 0, position["AVAR"], 0]
    np.testing.assert_array_equal(named.values, everything.values[:, [0, 2]])
    assert channel_ids(np.array(["b", "", "zz"]), ("a", "b")).tolist() == [2, 0, 0]


def test_values_and_continuous_targets_lie_on_one_clock():
    worm = recording()
    spec = spec_of(worm, target="wheel")
    prepared = prepare(worm, spec)
    times = np.arange(len(prepared.values)) / 2.0
    assert (spec.target_kind, spec.classes, spec.window_samples) == ("continuous", ("speed",), 8)
    assert len(times) == 80
    middle = (times > 5) & (times < 35)
    np.testing.assert_allclose(prepared.values[middle, 0], np.sin(0.2 * np.pi * times[middle]), atol=0.02)
    np.testing.assert_allclose(prepared.target[middle, 0], np.cos(0.2 * np.pi * times[middle]), atol=0.02)


def test_class_targets_are_read_at_the_samples_half_open():
    worm = recording()
    spec = spec_of(worm, target="state")
    target = prepare(worm, spec).target
    assert (spec.target_kind, spec.classes) == ("class", ("fwd", "rev"))
    expected = [-1 if t < 2 else int((t - 2) // 4) % 2 for t in np.arange(80) / 2.0]
    assert target.tolist() == expected  # the class is a position in spec.classes, the file's code was 3


def test_states_a_model_does_not_know_are_not_labelled():
    spec = spec_of(recording(), target="state")
    fields = spec.to_json() | {"classes": ["rev", "other"]}
    target = prepare(recording(), type(spec).from_json(fields)).target
    assert set(target.tolist()) == {-1, 0}


def test_two_codes_of_one_name_are_one_class():
    worm = recording(intervals={"state": make_intervals([0, 5], [5, 9], label=["fwd", "fwd"], code=[0, 4])})
    spec = spec_of(worm, target="state")
    assert spec.classes == ("fwd",)
    assert set(prepare(worm, spec).target[:18].tolist()) == {0}


def test_samples_of_a_stretch_are_half_open():
    prepared = prepare(recording(), spec_of(recording()))
    assert prepared.samples(Stretch("made_up/w1", 1.0, 2.0)) == slice(2, 4)
    assert prepared.samples(Stretch("made_up/w1", 1.1, 2.1)) == slice(3, 5)
    assert prepared.samples(Stretch("made_up/w1", 39.0, 90.0)) == slice(78, 80)


def test_causal_preparation_uses_no_later_value():
    worm = recording()
    spec = spec_of(worm, target="wheel")
    changed = {}
    for name in ("calcium", "wheel"):
        values = np.array(worm.signals[name].values)
        values[100:] += 50.0  # from 20 s on
        changed[name] = worm.signals[name].copy(data=values)
    before, after = (prepare(r, spec, causal=True) for r in (worm, worm.replace(signals=changed)))
    np.testing.assert_array_equal(before.values[:40], after.values[:40])
    np.testing.assert_array_equal(before.target[:40], after.target[:40])
    assert np.nanmax(np.abs(after.values[45:] - before.values[45:])) > 1


def test_worms_share_the_table_of_all_neurons_and_others_their_own_labels():
    worm, mouse = recording(), recording("m1", species="Mus musculus")
    assert spec_of(worm).vocabulary == celegans.NAMES
    assert spec_of(worm).groups[celegans.NAMES.index("AVAR")] == "AVAL"
    assert spec_of(worm, mouse).vocabulary == ("AVAL", "AVAR", "not a neuron")
    assert spec_of(worm, mouse).groups == ()


def frames_signal():
    return make_signal(np.zeros((9, 1)), channel_id=["f"], units="dF/F", columns={"label": ["AVAL"]})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"target": "stat"}, r"made_up/w1 has no target 'stat'; it has intervals state, signals calcium, wheel and events none", id="no target"),
        pytest.param({"inputs": "calcum"}, r"no signal 'calcum'; did you mean 'calcium'", id="no signal"),
        pytest.param({"rate_hz": 0.0}, r"rate_hz must be a positive number", id="no rate"),
        pytest.param({"window_seconds": 0.7}, r"0.7 s at 2 Hz is 1.4 samples", id="part of a sample"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(options, text):
    with pytest.raises(NeurodataError, match=text):
        spec_of(recording(), **options)


def test_a_signal_counted_in_frames_is_refused():
    worm = recording(signals={"movie": frames_signal()})
    with pytest.raises(UnknownRateError, match=r"--set rate_hz=RATE"):
        prepare(worm, spec_of(worm, inputs="movie"))


def test_a_target_counted_in_frames_is_refused():
    worm = recording(signals={"movie": frames_signal()})
    with pytest.raises(UnknownRateError, match=r"'movie' counts frames"):
        prepare(worm, spec_of(worm, target="movie"))


def test_a_recording_without_known_neurons_is_refused():
    worm = recording(labels=["", "?"])
    with pytest.raises(
        NeurodataError, match=r"made_up/w1: no channel of 'calcium' has a label of the vocabulary; take"
    ):
        prepare(worm, spec_of(worm))
    assert prepare(worm, spec_of(worm), channels="all").values.shape[1] == 2


def test_intervals_without_codes_are_refused_by_both():
    worm = recording(intervals={"bouts": make_intervals([0], [5], label=["x"])})
    with pytest.raises(NeurodataError, match=r"intervals 'bouts' need the columns 'code' and 'label'"):
        spec_of(worm, target="bouts")
    spec = type(spec_of(worm)).from_json(spec_of(worm, target="state").to_json() | {"target": "bouts"})
    with pytest.raises(NeurodataError, match=r"intervals 'bouts' need the columns 'code' and 'label'"):
        prepare(worm, spec)


def test_recordings_that_disagree_are_refused():
    other = recording("w2", intervals={"state": make_intervals([0], [5], label=["rev"], code=[0])})
    with pytest.raises(NeurodataError, match=r"made_up/w2: code 0 means 'rev', but 'fwd' in other recordings"):
        spec_of(recording(), other, target="state")
    pair = make_signal(np.zeros((200, 2)), channel_id=["speed", "turn"], units="m", rate_hz=5.0, role="behavior")
    two = recording("w2", signals={"wheel": pair})
    with pytest.raises(NeurodataError, match=r"made_up/w2: the target's channels are speed, turn; expected speed"):
        spec_of(recording(), two, target="wheel")
    with pytest.raises(NeurodataError, match=r"the target's channels are speed, turn; expected speed"):
        prepare(two, spec_of(recording(), target="wheel"))
    state = make_signal(np.zeros((200, 1)), channel_id=["s"], units="a.u.", rate_hz=5.0, role="behavior")
    sampled = recording("w2", signals={"state": state}).replace(intervals={})
    with pytest.raises(NeurodataError, match=r"recordings disagree about the target 'state': class, continuous"):
        spec_of(recording(), sampled, target="state")


def test_no_recordings_are_refused():
    with pytest.raises(NeurodataError, match=r"recordings disagree about the target '': there are none"):
        spec_of()


def spiking(name="s1"):
    """Three units that fire on a grid of their own, and a hand that is sampled at the windows' rate, half a bin late."""
    time = np.sort(np.concatenate([np.arange(0.01, 10, 0.1), np.arange(0.03, 10, 0.25), [5.0]]))
    unit = np.arange(len(time)) % 3
    hand = make_signal(
        np.arange(40.0).reshape(20, 2), channel_id=["x", "y"], units="m/s", rate_hz=2.0, start_seconds=0.2,
        role="behavior",
    )  # fmt: skip
    return recording(name, labels=[""] * 4).replace(
        events={"spikes": make_events(time, unit=unit)},
        units=make_units(["10", "7", "noise"]),
        signals={"hand": hand, "calcium": recording().signals["calcium"]},
    )


def test_events_of_units_are_counted_and_units_known_by_their_ids():
    animal = spiking()
    spec = make_spec([animal], inputs="spikes", rate_hz=2.0, window_seconds=4.0, target="hand", identity="channel_id")
    assert spec.vocabulary == ("10", "7", "noise")
    assert spec.classes == ("x", "y")
    prepared = prepare(animal, spec)
    assert prepared.values.sum() == animal.events["spikes"].sizes["event"]
    assert prepared.values[10].sum() == 8  # [5.0, 5.5): five of the first train, two of the second, and the one at 5.0


def test_a_signal_of_the_same_rate_is_not_interpolated():
    animal = spiking()
    spec = make_spec([animal], inputs="hand", rate_hz=2.0, window_seconds=4.0, identity="order")
    np.testing.assert_array_equal(prepare(animal, spec).values[:20], np.arange(40.0).reshape(20, 2))


def test_events_can_be_the_target():
    animal = spiking()
    spec = make_spec([animal], inputs="calcium", rate_hz=2.0, window_seconds=4.0, target="spikes", identity="order")
    assert (spec.target_kind, spec.classes) == ("continuous", ("0", "1", "2"))
    by_id = make_spec([animal], inputs="calcium", rate_hz=2.0, window_seconds=4.0, target="spikes")
    assert by_id.classes == ("10", "7", "noise")
    counted = make_spec([animal], inputs="spikes", rate_hz=2.0, window_seconds=4.0, identity="order")
    np.testing.assert_array_equal(prepare(animal, spec).target, prepare(animal, counted).values)


def test_channels_without_identity_are_refused_with_the_way_out():
    animal = spiking()
    spec = make_spec([animal], inputs="spikes", rate_hz=2.0, window_seconds=4.0)
    with pytest.raises(
        NeurodataError, match=r"no channel of 'spikes' has a label .* another identity \('label', 'chan"
    ):
        prepare(animal, spec)
    licks = animal.replace(events={"licks": make_events([1.0, 2.0])}, units=None)
    with pytest.raises(NeurodataError, match="events 'licks' belong to no units"):
        make_spec([licks], inputs="licks", rate_hz=2.0, window_seconds=4.0)
