"""Different animals, one clock and one set of neurons."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import xarray as xr

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.identity.celegans import NAMES
from neurodata.recording.graphs import make_graph
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal
from neurodata.windows.align import resample
from neurodata.windows.homogenise import homogenise

SECONDS = 60


def wave(name, times):
    """Every neuron's own slow sine."""
    return 2.0 + np.sin(2 * np.pi * (0.05 + 0.001 * NAMES.index(name)) * np.asarray(times))


def make_worm(name, labels, *, rate_hz=3.0, time=None, units="dF/F", missing=None, unlabelled=2, **signal):
    """A worm whose labelled neurons follow their `wave` and whose other channels are noise."""
    count = len(time) if time is not None else round(SECONDS * (rate_hz or 3.0))
    start = signal.get("start_seconds", 0.0)
    times = np.asarray(time) if time is not None else start + np.arange(count) / (rate_hz or 3.0)
    columns = [wave(label, times) if label in NAMES else np.zeros(count) for label in labels]
    noise = np.random.default_rng(0).normal(size=(count, unlabelled))
    values = np.column_stack([*columns, noise])
    if missing is not None:
        values[missing[0], missing[1]] = np.nan
    everything = [*labels, *[""] * unlabelled]
    calcium = make_signal(
        values,
        channel_id=[f"n{i}" for i in range(len(everything))],
        units=units,
        rate_hz=None if time is not None else rate_hz,
        time=time,
        columns={"label": everything},
        **signal,
    )
    return Recording({"dataset": "made_up", "recording_id": f"made_up/{name}"}, {"calcium": calcium})


def test_neurons_meet_under_their_names():
    rng = np.random.default_rng(0)
    jittered = (np.arange(SECONDS * 3) + rng.uniform(-0.2, 0.2, SECONDS * 3)) / 2.9
    worms = [
        make_worm("a", ["VB2", "AVAL", "AVAR"], rate_hz=2.8),
        make_worm("b", ["AVAR", "RIS"], time=jittered),
        make_worm("c", ["AVAL"], rate_hz=5.0),
    ]
    together = homogenise(iter(worms), rate_hz=3.0)
    assert together["activity"].dims == together["mask"].dims == ("recording", "time", "channel")
    assert together["channel"].values.tolist() == ["RIS", "AVAL", "AVAR", "VB2"]  # the table's order
    assert together["recording"].values.tolist() == ["made_up/a", "made_up/b", "made_up/c"]
    assert together["time"].dtype == together["activity"].dtype == np.float64
    np.testing.assert_array_equal(together["time"], np.arange(together.sizes["time"]) / 3.0)
    for recording, names in {"a": ["VB2", "AVAL", "AVAR"], "b": ["AVAR", "RIS"], "c": ["AVAL"]}.items():
        one = together.sel(recording=f"made_up/{recording}")
        inner = one.sel(time=slice(5, SECONDS - 5))
        for name in names:
            assert inner["mask"].sel(channel=name).all()
            error = inner["activity"].sel(channel=name) - wave(name, inner["time"])
            assert np.abs(error).max() < 0.01
        absent = [name for name in together["channel"].values if name not in names]
        assert np.isnan(one["activity"].sel(channel=absent)).all()
        assert not one["mask"].sel(channel=absent).any()


def test_the_mask_says_what_was_recorded():
    together = homogenise([make_worm("a", ["AVAL", "AVAR"], missing=(slice(60, 90), 0))])
    np.testing.assert_array_equal(together["mask"], np.isfinite(together["activity"]))
    hidden = together.sel(time=slice(20.1, 29.5), channel="AVAL")
    assert hidden.sizes["time"] > 20
    assert not hidden["mask"].any()
    assert np.isnan(hidden["activity"]).all()
    assert together["mask"].sel(channel="AVAR").all()
    assert not (together["activity"] == 0).any()


def test_short_recordings_are_not_stretched():
    short = make_worm("short", ["AVAL"], time=np.arange(90) / 3.0)
    together = homogenise([make_worm("long", ["AVAL"]), short])
    assert together["length_seconds"].values == pytest.approx([60, 30])
    assert together.sizes["time"] == 180
    assert together["mask"].sel(recording="made_up/short").sum("time").item() == 90


def test_a_late_start_stays_late():
    together = homogenise([make_worm("late", ["AVAL"], start_seconds=10.0)])
    late = together.sel(recording="made_up/late", channel="AVAL")
    assert not late["mask"].sel(time=slice(0, 9.9)).any()
    assert late["mask"].sel(time=slice(10.1, 69)).all()
    assert late["length_seconds"].item() == pytest.approx(70)
    early = homogenise([make_worm("early", ["AVAL"], start_seconds=-2.0)])
    assert early["time"].values[0] == -2.0
    assert 0.0 in early["time"].values


@pytest.mark.parametrize(
    ("neurons", "expected"),
    [
        pytest.param(["RIS", "AVAL"], ["RIS", "AVAL"], id="a list, in its order"),
        pytest.param(["AVBL"], ["AVBL"], id="a neuron nobody recorded"),
        pytest.param("all", [name for name in NAMES if not name.startswith("CAN")], id="all 300"),
        pytest.param(None, ["RIS", "AVAL"], id="those recorded"),
    ],
)
def test_neurons_can_be_chosen(neurons, expected):
    together = homogenise([make_worm("a", ["AVAL", "RIS"])], neurons=neurons)
    assert together["channel"].values.tolist() == expected
    assert together["mask"].any("time").sum().item() == len({"AVAL", "RIS"} & set(expected))


def test_neurons_of_no_table_come_last():
    together = homogenise([make_worm("male", ["HOA", "AVAL", "CEMDL"])])
    assert together["channel"].values.tolist() == ["AVAL", "CEMDL", "HOA"]


def test_causal_uses_no_later_sample_and_states_its_delay():
    rng = np.random.default_rng(1)
    worm = make_worm("a", ["AVAL", "AVAR"], rate_hz=2.8)
    stored = worm.signals["calcium"]
    changed_values = stored.values.copy()
    changed_values[stored["time"].values > 30] = rng.normal(size=changed_values.shape[1])
    changed = Recording(dict(worm.metadata), {"calcium": stored.copy(data=changed_values)})
    before, after = (homogenise([one], causal=True) for one in (worm, changed))
    past = before["time"].values <= 30
    np.testing.assert_array_equal(before["activity"].values[:, past], after["activity"].values[:, past])
    assert not np.array_equal(before["activity"].values, after["activity"].values, equal_nan=True)
    assert before["delay_seconds"].item() == before.attrs["delay_seconds"] == pytest.approx(2 / 2.8)
    inner = before.sel(time=slice(5, 60), channel="AVAL")
    error = inner["activity"].squeeze() - wave("AVAL", inner["time"] - before.attrs["delay_seconds"])
    assert np.abs(error).max() < 0.02
    assert homogenise([worm]).attrs["delay_seconds"] == 0


def test_zscore_is_fitted_on_its_interval_only():
    worm = make_worm("a", ["AVAL", "AVAR"])
    plain, scaled = homogenise([worm]), homogenise([worm], zscore=(0, 40))
    raw = worm.signals["calcium"].values[:120, 0]
    expected = (plain["activity"].sel(channel="AVAL") - raw.mean()) / raw.std()
    np.testing.assert_allclose(scaled["activity"].sel(channel="AVAL"), expected, atol=1e-9)
    stored = worm.signals["calcium"]
    loud = stored.values.copy()
    loud[150:] *= 100  # 50 s onwards
    changed = Recording(dict(worm.metadata), {"calcium": stored.copy(data=loud)})
    again = homogenise([changed], zscore=(0, 40))
    np.testing.assert_allclose(
        again["activity"].sel(time=slice(0, 40)), scaled["activity"].sel(time=slice(0, 40)), atol=1e-9
    )
    assert scaled.attrs["zscore_interval_seconds"] == [0.0, 40.0]
    assert (plain.attrs["zscore_interval_seconds"], plain.attrs["units"]) == ("none", "dF/F")
    assert scaled.attrs["units"] == scaled["activity"].attrs["units"] == "1"


@pytest.mark.parametrize(
    ("worm", "zscore", "message"),
    [
        pytest.param({}, (100, 200), r"cannot be fitted on \[100, 200\) s.*: AVAL; choose", id="after the end"),
        pytest.param({"missing": (slice(0, 90), 0)}, (0, 20), "no data or never change: AVAL", id="not recorded then"),
        pytest.param({"missing": (slice(1, 90), 0)}, (0, 20), "AVAL", id="one sample"),
        pytest.param({}, (20, 10), "start before stop", id="backwards"),
    ],
)
def test_zscore_refuses_an_interval_without_data(worm, zscore, message):
    with pytest.raises(NeurodataError, match=message):
        homogenise([make_worm("a", ["AVAL"], **worm)], zscore=zscore)


def test_a_neuron_never_recorded_does_not_stop_zscores():
    worm = make_worm("a", ["AVAL", "AVAR"], missing=(slice(None), 0))
    scaled = homogenise([worm], zscore=(0, 60))
    assert not scaled["mask"].sel(channel="AVAL").any()
    assert scaled["mask"].sel(channel="AVAR").all()


def test_a_connectome_of_the_same_species_is_passed_over():
    graph = make_graph(["AVAL"], [], [], kind="chemical", weight=[], source="em")
    wiring = Recording({"recording_id": "made_up/wiring"}, graphs={"wiring": graph})
    together = homogenise([make_worm("a", ["AVAL"]), wiring])
    assert together["recording"].values.tolist() == ["made_up/a"]
    with pytest.raises(NeurodataError, match=r"no recording to homogenise; .* holds no signals"):
        homogenise([wiring])


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        pytest.param(
            lambda: [make_worm("a", ["AVAL", "RIS", "AVAL"])], {}, NeurodataError, "made_up/a': AVAL label", id="twice"
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"], rate_hz=None)], {}, UnknownRateError, "rate_hz=RATE", id="unknown rate"
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"])],
            {"neurons": ["AVAL", "DB01"]},
            NeurodataError,
            r"these neurons: 'DB01'; did you mean 'DB1'",
            id="unknown neuron",
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"])],
            {"neurons": ["AVAL", "AVAL"]},
            NeurodataError,
            "neurons holds AVAL more than once",
            id="asked for twice",
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"])], {"neurons": "AVAL"}, NeurodataError, "Known: all", id="a bare name"
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"])],
            {"signal": "calcum"},
            NeurodataError,
            "no signal in recording 'made_up/a': 'calcum'; did you mean 'calcium'",
            id="unknown signal",
        ),
        pytest.param(lambda: [], {}, NeurodataError, "there is no recording to homogenise", id="no recording"),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"]), make_worm("a", ["RIS"])], {}, NeurodataError, "given twice", id="same id"
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"]), make_worm("b", ["AVAL"], units="%")],
            {},
            NeurodataError,
            "different units.*made_up/b: '%'",
            id="units differ",
        ),
        pytest.param(
            lambda: [make_worm("a", ["AVAL"])],
            {"rate_hz": 0},
            NeurodataError,
            "rate_hz must be a positive",
            id="rate 0",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(make, options, error, message):
    with pytest.raises(error, match=message):
        homogenise(make(), **options)


def test_labels_are_needed():
    calcium = make_signal(np.zeros((30, 1)), channel_id=["a"], units="dF/F", rate_hz=3.0)
    with pytest.raises(NeurodataError, match="no channel column 'label'"):
        homogenise([Recording({"recording_id": "made_up/a"}, {"calcium": calcium})])


def test_it_can_be_written_as_netcdf_attributes():
    together = homogenise([make_worm("a", ["AVAL"])], zscore=(0, 30))
    for value in together.attrs.values():
        assert isinstance(value, (str, int, float, list))
        assert not isinstance(value, bool)


def test_the_real_worms_come_out_as_they_went_in(real_data):
    folder = real_data("celegans/kato2015-zimmer")
    loader = importlib.import_module("neurodata.loaders.datasets.kato_brain_2015").KatoBrain2015(folder)
    worms = [loader.load(session) for session in loader.sessions()]
    together = homogenise(worms)
    assert together.sizes["recording"] == 5
    assert together.sizes["time"] == 3240
    assert together["length_seconds"].values == pytest.approx(1080, abs=1)
    named = [len(set(worm.signals["calcium"]["label"].values) - {""}) for worm in worms]
    assert together["mask"].any("time").sum("channel").values.tolist() == named
    for worm in worms:
        signal = worm.signals["calcium"]
        for name in ("AVAL", "RIML", "VB2"):
            column = signal.isel(channel=signal["label"].values.tolist().index(name))
            out = together["activity"].sel(recording=worm.metadata["recording_id"], channel=name)
            assert xr.corr(out, xr.DataArray(np.interp(out["time"], column["time"], column), dims="time")) > 0.99
            # Taken back to the worm's own clock, the slow part that both clocks carry is the same.
            back = resample(out.values[:, None], out["time"].values, column["time"].values)[:, 0]
            spectrum = [np.fft.rfft(values[15:-15]) for values in (back, column.values)]
            slow = np.fft.rfftfreq(len(column) - 30, 1080 / len(column)) < 1.0
            difference = np.linalg.norm((spectrum[0] - spectrum[1])[slow]) / np.linalg.norm(spectrum[1][slow])
            assert difference < 0.01
