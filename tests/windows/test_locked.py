"""Windows around trials and events: where they lie, which trial each is, and what became of the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal
from neurodata.store.store import open_store
from neurodata.store.write import write_recording
from neurodata.windows.locked import make_event_windows, make_trial_windows
from neurodata.windows.splits import Stretch


def recording_of(name, start, stop, label=None, licks=(), seconds=100):
    signal = make_signal(np.zeros((seconds * 10, 1)), channel_id=["c"], units="V", rate_hz=10.0)
    columns = {} if label is None else {"label": list(label)}
    metadata = {
        "dataset": "a", "recording_id": name, "subject": {"id": name, "species": "Mus musculus", "sex": "U"},
        "modality": "eeg", "licence": "CC-BY-4.0",
    }  # fmt: skip
    intervals = {"trials": make_intervals(start, stop, **columns)}
    return Recording(metadata, {"eeg": signal}, {"licks": make_events(licks, side=["l", "r"] * (len(licks) // 2))}, intervals)  # fmt: skip


ONE = recording_of("a/one", [5.0, 12.04, 30.0, np.nan, 49.0, 70.0], [6.0, 13, 31, 41, 50, 71], "LRLRLR", [8.0, 20.0])
TWO = recording_of("a/two", [1.0, 40.0], [2.0, 44.0], "RR", [3.0, 99.8])
PART = [Stretch("a/two", 0, 100), Stretch("a/one", 10, 50), Stretch("a/one", 60, 100)]


def test_trials_are_cut_where_they_lie():
    found = make_trial_windows([ONE, TWO], PART, intervals="trials", rate_hz=10, window_seconds=2, offset_seconds=-0.5)
    table = found.table
    assert table["recording_id"].tolist() == ["a/two"] * 2 + ["a/one"] * 3
    assert table["row"].tolist() == [0, 1, 1, 2, 5]
    assert table["stretch"].tolist() == [0, 0, 1, 1, 2]
    assert table["label"].tolist() == found.labels.tolist() == ["R", "R", "R", "L", "R"]
    assert table["time"].tolist() == [1.0, 40.0, 12.04, 30.0, 70.0]
    numbers, firsts = found.windows.locate_many(np.arange(len(found)))
    assert [found.windows.recording_ids[n] for n in numbers] == table["recording_id"].tolist()
    assert firsts.tolist() == [5, 395, 115, 295, 695]
    np.testing.assert_allclose(table["shift_seconds"], [0, 0, -0.04, 0, 0], atol=1e-12)
    assert found.dropped == {"time is missing": 1, "outside every stretch": 1, "reaches out of its stretch": 1}
    assert found.windows.length == 20


def test_stops_and_chosen_rows():
    found = make_trial_windows(
        [TWO, ONE], PART, intervals="trials", rate_hz=10, window_seconds=1, edge="stop", where={"label": ["L", "none"]}
    )
    assert found.table["row"].tolist() == [2]
    assert found.table["time"].tolist() == [31.0]
    assert found.dropped == {"time is missing": 0, "outside every stretch": 2, "reaches out of its stretch": 0}


def test_events_need_no_labels():
    found = make_event_windows([ONE, TWO], PART, events="licks", rate_hz=10, window_seconds=0.5, label="nothing")
    assert found.table["time"].tolist() == [3.0, 20.0]
    assert found.labels.tolist() == ["", ""]
    assert found.dropped == {"time is missing": 0, "outside every stretch": 1, "reaches out of its stretch": 1}
    sides = make_event_windows([ONE, TWO], PART, events="licks", rate_hz=10, window_seconds=0.5, label="side")
    assert sides.labels.tolist() == ["l", "r"]


def test_a_store_opens_only_what_has_a_stretch(tmp_path):
    for recording in (recording_of("a/three", [1.0], [2.0], "L"), TWO):
        write_recording(recording, tmp_path)
    (tmp_path / "a" / "three" / "zarr.json").write_text("damaged")
    found = make_trial_windows(
        open_store(tmp_path), PART[:1], intervals="trials", rate_hz=10, window_seconds=2, offset_seconds=0
    )
    assert found.windows.recording_ids == ("a/two",)
    assert len(found) == 2


@settings(max_examples=60, deadline=None)
@given(
    edges=st.lists(st.integers(0, 1000), min_size=2, max_size=8, unique=True),
    times=st.lists(st.floats(0, 100), min_size=1, max_size=30),
    offset=st.floats(-3, 3),
    length=st.integers(1, 25),
    rate_hz=st.sampled_from([10.0, 3.0, 7.3]),
)
def test_property_a_window_lies_in_its_moments_stretch_nearest_to_where_it_should(
    edges, times, offset, length, rate_hz
):
    edges = sorted(edge / 10 for edge in edges)
    part = [Stretch("a/one", start, stop) for start, stop in zip(edges[::2], edges[1::2])][::-1]
    recording = recording_of("a/one", [], [], None, sorted(times)[: len(times) // 2 * 2])
    try:
        found = make_event_windows(
            [recording], part, events="licks", rate_hz=rate_hz, window_seconds=length / rate_hz, offset_seconds=offset
        )
    except NeurodataError:
        found = None
    kept = [] if found is None else found.table["row"].tolist()
    ticks = np.arange(-200, 2000) / rate_hz
    for row, moment in enumerate(recording.events["licks"]["time"].values.tolist()):
        nearest = int(np.argmin(np.abs(ticks - (moment + offset)))) - 200
        held = [n for n, s in enumerate(part) if s.start <= moment < s.stop]
        fits = [n for n in held if part[n].start * rate_hz - 1e-9 <= nearest and (nearest + length - 1) < part[n].stop * rate_hz - 1e-9]  # fmt: skip
        if row in kept:
            (line,) = np.flatnonzero(found.table["row"] == row)
            assert found.table["stretch"][line] in held
            _, first = found.windows.locate(int(line))
            assert abs(first / rate_hz - (moment + offset)) <= 0.5 / rate_hz + 1e-9
            assert abs(first - nearest) <= 1
            stretch = part[found.table["stretch"][line]]
            assert stretch.start * rate_hz - 1e-6 <= first
            assert first + length - 1 < stretch.stop * rate_hz
        elif fits:
            assert abs(abs(moment + offset - ticks[nearest + 200]) - 0.5 / rate_hz) < 1e-6  # half way, the later one
    if found is not None:
        assert sum(found.dropped.values()) + len(found) == recording.events["licks"].sizes["event"]


def test_shifted_windows_stay_in_their_stretch():
    found = make_trial_windows([ONE, TWO], PART, intervals="trials", rate_hz=10, window_seconds=2, offset_seconds=-0.5)
    windows = found.windows.with_jitter(300)
    numbers, firsts = windows.locate_many(np.arange(len(windows)))
    for row in range(len(found)):
        stretch = PART[found.table["stretch"][row]]
        own = firsts[row * 601 : (row + 1) * 601]
        assert windows.recording_ids[numbers[row * 601]] == stretch.recording_id
        assert own.min() >= stretch.start * 10
        assert own.max() + 20 <= stretch.stop * 10
        assert own[300] == found.windows.locate(row)[1]
    plain = make_trial_windows([ONE, TWO], PART[1:], intervals="trials", rate_hz=10, window_seconds=2)
    assert plain.windows.digest != found.windows.digest


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intervals": "trial"}, r"no table among the intervals of a/one 'trial'; did you mean 'trials'\?"),
        ({"edge": "end"}, "no edge of an interval 'end'"),
        ({"where": {"side": "l"}}, "no column of intervals/trials of a/one 'side'"),
        ({"where": {"label": "X"}}, r"around start of intervals/trials with \{'label': 'X'\}: there is no such row"),
        (
            {"window_seconds": 60},
            r"no window of 60 s from 0 s on fits .*: 1 × time is missing, 1 × outside every stretch, 6 × reaches out",
        ),
        ({"window_seconds": 0.25}, "2.5 samples"),
        ({"offset_seconds": np.nan}, "offset_seconds must be a finite number, got nan"),
        ({"rate_hz": 0}, "rate_hz must be a positive number"),
    ],
)
def test_impossible_windows_are_refused(options, text):
    given = {"intervals": "trials", "rate_hz": 10, "window_seconds": 2, **options}
    part = [*PART[1:], Stretch("a/two", 0, 50)]
    with pytest.raises(NeurodataError, match=text):
        make_trial_windows([ONE, TWO], part, **given)


def test_a_recording_that_was_not_given_is_named():
    with pytest.raises(NeurodataError, match="1 recordings that have stretches were not given, for example a/two"):
        make_trial_windows([ONE], PART, intervals="trials", rate_hz=10, window_seconds=2)
