"""Recordings as pynapple objects: nothing changed, nothing joined, nothing dropped in silence."""

from __future__ import annotations

import sys

import numpy as np
import pynapple as nap
import pytest

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.exports.to_pynapple import to_pynapple
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units, make_validity

RNG = np.random.default_rng(0)


def recorded(**members) -> Recording:
    metadata = {"dataset": "lab", "recording_id": "lab/one", "subject": {"id": "a", "species": "unknown"}}
    return Recording({**metadata, "modality": "other"}, **members)


@pytest.fixture(scope="module")
def recording() -> Recording:
    gaps = make_signal(
        RNG.integers(-100, 100, (50, 3), np.int16),
        channel_id=["c1", "c2", "c3"],
        units="uV",
        rate_hz=10.0,
        segments=([1.0, 3.0, 20.0], [0, 20, 30]),
        columns={"label": ["Fz", "", "Cz"], "rate": [1, 2, 3], "im-ped": [1.0, np.nan, 3.0]},
        scale_factor=0.5,
    )
    wheel = make_signal(RNG.random((7, 1)), channel_id=["w"], units="m", role="behavior", time=np.cumsum(RNG.random(7)))
    spikes = make_events([0.1, 0.1, 2.0, 25.5], unit=[2, 0, 2, 0], amp=[1.0, 2.0, 3.0, 4.0])
    return recorded(
        signals={"eeg": gaps, "wheel": wheel},
        events={
            "spikes": spikes,
            "cues": make_events([1.0, 2.0, 3.0], label=["go", "stop", "go"]),
            "licks": make_events([1.0, 1.5]),
            "rewards": make_events([1.0, 1.5], size=[2.0, 4.0]),
            "touches": make_events([1.0, 1.5], x=[2.0, 4.0], y=[1, 2]),
        },
        intervals={
            "trials": make_intervals([0.0, 2.0, 4.0], [2.0, 4.0, 6.0], label=["l", "r", "l"], start_x=[1, 2, 3]),
            "nested": make_intervals([0.0, 1.0, 1.5, 9.0], [5.0, 2.0, 3.0, 10.0], label=["a", "b", "c", "d"]),
            **make_validity({"eeg": gaps}),
        },
        units=make_units(["u0", "u1", "u2"], depth=[1.0, 2.0, 3.0], rate=[7.0, 8.0, 9.0]),
    )


def test_signals_keep_values_times_and_gaps(recording):
    eeg = to_pynapple(recording, "eeg")["signals/eeg"]
    assert isinstance(eeg, nap.TsdFrame)
    expected = recording.signals["eeg"]
    np.testing.assert_array_equal(eeg.values, expected.values)
    np.testing.assert_allclose(eeg.index.values, expected.time.values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(eeg.time_support.values, [[1.0, 3.0], [3.0, 4.0], [20.0, 22.0]], atol=2e-9)
    assert len(eeg.time_support) == 3
    assert list(eeg.columns) == ["c1", "c2", "c3"]
    assert eeg["label"].tolist() == ["Fz", "", "Cz"]
    assert eeg["im_ped"].tolist()[0] == 1.0
    assert eeg.get_info("rate_").tolist() == [1, 2, 3]


def test_one_irregular_channel_is_a_tsd(recording):
    wheel = to_pynapple(recording, "signals/wheel")["signals/wheel"]
    assert isinstance(wheel, nap.Tsd)
    np.testing.assert_array_equal(wheel.values, recording.signals["wheel"].values[:, 0])
    np.testing.assert_allclose(wheel.index.values, recording.signals["wheel"].time.values, atol=1e-9)


def test_stated_validity_of_an_irregular_signal_is_its_support():
    signal = make_signal(np.ones((4, 1)), channel_id=["w"], units="m", time=[0.0, 1.0, 5.0, 6.0])
    valid = make_intervals([5.0, 0.0], [7.0, 2.0], signal=["w", "w"])
    made = to_pynapple(recorded(signals={"w": signal}, intervals={"validity": valid}), "w")["signals/w"]
    assert made.time_support.values.tolist() == [[0, 2], [5, 7]]
    assert len(made) == 4


def test_spikes_are_a_group_with_units_as_metadata(recording):
    spikes = to_pynapple(recording, "spikes")["events/spikes"]
    assert isinstance(spikes, nap.TsGroup)
    assert list(spikes.keys()) == [0, 1, 2]
    assert [spikes[row].index.values.tolist() for row in range(3)] == [[0.1, 25.5], [], [0.1, 2.0]]
    assert spikes["unit_id"].tolist() == ["u0", "u1", "u2"]
    assert spikes["depth"].tolist() == [1.0, 2.0, 3.0]
    assert spikes["rate_"].tolist() == [7.0, 8.0, 9.0]
    assert spikes.time_support.values.tolist() == [[0.0, 25.5]]


def test_other_events(recording):
    made = to_pynapple(recording)
    assert isinstance(made["events/licks"], nap.Ts)
    assert made["events/rewards"].values.tolist() == [2.0, 4.0]
    assert made["events/touches"].values.tolist() == [[2.0, 1.0], [4.0, 2.0]]
    cues = made["events/cues"]
    assert cues["label"].tolist() == ["go", "stop"]
    assert cues[0].index.values.tolist() == [1.0, 3.0]


def test_intervals_that_touch_stay_apart(recording):
    trials = to_pynapple(recording, "trials")["intervals/trials"]
    np.testing.assert_array_equal(trials.start, [0.0, 2.0, 4.0])
    np.testing.assert_allclose(trials.end, [2.0, 4.0, 6.0], rtol=0, atol=1.1e-9)
    assert trials["label"].tolist() == ["l", "r", "l"]
    assert trials["row"].tolist() == [0, 1, 2]
    assert trials["start_x"].tolist() == [1, 2, 3]


def test_intervals_that_overlap_come_as_several_sets(recording):
    made = to_pynapple(recording, "nested")
    assert list(made) == ["intervals/nested", "intervals/nested.2", "intervals/nested.3"]
    assert [made[key]["label"].tolist() for key in made] == [["a", "d"], ["b"], ["c"]]
    assert made["intervals/nested"].values.tolist() == [[0, 5], [9, 10]]


def test_unsorted_intervals_and_those_without_duration():
    table = make_intervals([5.0, 1.0, 2.0], [6.0, 1.0, 3.0], label=["c", "a", "b"])
    with pytest.warns(UserWarning, match="intervals/t: 1 intervals have no duration and are left out"):
        made = to_pynapple(recorded(intervals={"t": table}))
    assert made["intervals/t"]["label"].tolist() == ["b", "c"]
    assert made["intervals/t"]["row"].tolist() == [2, 0]


def test_empty_tables():
    made = to_pynapple(
        recorded(events={"e": make_events([])}, intervals={"i": make_intervals([], [])},
                 signals={"s": make_signal(np.zeros((1, 2)), channel_id=["a", "b"], units="V", time=[3.0])})
    )  # fmt: skip
    assert [len(made[key]) for key in ("events/e", "intervals/i", "signals/s")] == [0, 0, 1]


def test_what_is_refused(recording, monkeypatch):
    with pytest.raises(NeurodataError, match=r"no signal, event or interval table 'spike'[.] Known: signals/eeg"):
        to_pynapple(recording, "spike")
    frames = make_signal(np.zeros((3, 1)), channel_id=["a"], units="V")
    with pytest.raises(UnknownRateError, match="--set rate_hz="):
        to_pynapple(recorded(signals={"s": frames}))
    same = recorded(events={"x": make_events([1.0])}, intervals={"x": make_intervals([1.0], [2.0])})
    with pytest.raises(NeurodataError, match="Known: events/x, intervals/x"):
        to_pynapple(same, "x")
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(NeurodataError, match=r"neurodata\[pynapple\]"):
        to_pynapple(recording)
