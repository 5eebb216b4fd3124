"""Windows lie wholly inside their stretches and leave no sample out."""

from __future__ import annotations

import copy
import pickle
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.errors import NeurodataError
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch


@given(
    start=st.floats(0, 50),
    length=st.floats(4, 40),
    window=st.integers(1, 12),
    stride=st.one_of(st.none(), st.floats(0.1, 4)),
    rate_hz=st.sampled_from([1.0, 3.0, 2.5]),
)
def test_property_windows_cover_every_sample_of_a_stretch_and_no_other(start, length, window, stride, rate_hz):
    stretch = Stretch("a/b", start, start + length)
    inside = [k for k in range(300) if start * rate_hz - 1e-9 <= k < (start + length) * rate_hz - 1e-9]
    if window > len(inside):
        with pytest.raises(NeurodataError, match="no stretch holds a window"):
            make_windows([stretch], rate_hz, window / rate_hz, stride)
        return
    windows = make_windows([stretch], rate_hz, window / rate_hz, min(stride or 0, window / rate_hz) or None)
    found = [windows.locate(i) for i in range(len(windows))]
    covered = {k for _, first in found for k in range(first, first + window)}
    assert covered == set(inside)
    assert {name for name, _ in found} == {"a/b"}
    if stride is None:
        assert len(found) == len(inside) - window + 1


def test_windows_of_several_stretches_are_counted_through():
    stretches = [Stretch("a/b", 0, 10), Stretch("a/c", 0, 3), Stretch("a/b", 20, 26.5)]
    windows = make_windows(stretches, rate_hz=2, window_seconds=4, stride_seconds=4)
    found = [windows.locate(i) for i in range(len(windows))]
    assert found == [("a/b", 0), ("a/b", 8), ("a/b", 12), ("a/b", 40), ("a/b", 45)]
    assert windows.locate(-1) == ("a/b", 45)
    assert windows.length == 8


@pytest.mark.parametrize("index", [5, -6])
def test_a_window_that_is_not_there(index):
    windows = make_windows([Stretch("a/b", 0, 3)], 2, 1, None)
    assert len(windows) == 5
    with pytest.raises(IndexError, match=f"window {index} of 5"):
        windows.locate(index)


def test_a_stretch_that_begins_between_two_samples_begins_with_the_later_one():
    assert make_windows([Stretch("a/b", 0.1, 1.0)], 10, 0.9).locate(0) == ("a/b", 1)
    assert make_windows([Stretch("a/b", 0.11, 1.2)], 10, 0.9).locate(0) == ("a/b", 2)


def test_no_window_fits():
    with pytest.raises(NeurodataError, match=r"no stretch holds a window of 8 s; the longest lasts 7.5 s"):
        make_windows([Stretch("a/b", 0, 7.5), Stretch("a/c", 3, 5)], 2.0, 8.0)
    with pytest.raises(NeurodataError, match=r"the longest lasts 0 s"):
        make_windows([], 2.0, 8.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0, 8.0, None), "rate_hz must be a positive number"),
        ((2.0, np.nan, None), "window_seconds must be a positive number"),
        ((3.0, 0.5, None), r"0.5 s at 3 Hz is 1.5 samples; choose lengths"),
        ((3.0, 0.01, None), r"is 0.03 samples"),
        ((3.0, 1.0, -1.0), "stride_seconds must be a positive number"),
    ],
)
def test_impossible_windows_are_refused(arguments, text):
    with pytest.raises(NeurodataError, match=text):
        make_windows([Stretch("a/b", 0, 30)], *arguments)


def slow_windows(stretches, rate_hz, length, stride):
    """The obvious way: one pair per window."""
    found = []
    for stretch in stretches:
        begin, end = (int(np.ceil(t * rate_hz - 1e-9)) for t in (stretch.start, stretch.stop))
        firsts = list(range(begin, end - length + 1, stride))
        found += [(stretch.recording_id, first) for first in firsts]
        if firsts and firsts[-1] != end - length:
            found.append((stretch.recording_id, end - length))
    return found


@given(
    pieces=st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 50), st.floats(0, 20)), min_size=1, max_size=6),
    length=st.integers(1, 9),
    stride=st.integers(1, 12),
    rate_hz=st.sampled_from([1.0, 3.0, 2.5]),
)
def test_property_many_windows_are_located_as_one_by_one(pieces, length, stride, rate_hz):
    stretches = [Stretch(f"a/{name}", start, start + seconds) for name, start, seconds in pieces]
    expected = slow_windows(stretches, rate_hz, length, stride)
    if not expected:
        return
    windows = make_windows(stretches, rate_hz, length / rate_hz, stride / rate_hz)
    assert len(windows) == len(expected)
    order = np.random.default_rng(0).permutation(len(windows))
    numbers, firsts = windows.locate_many(order)
    assert [(windows.recording_ids[n], f) for n, f in zip(numbers, firsts)] == [expected[i] for i in order]
    assert windows.recording_ids == tuple(dict.fromkeys(s.recording_id for s in stretches))
    numbers, firsts = windows.locate_many(order - len(windows))
    assert [(windows.recording_ids[n], f) for n, f in zip(numbers, firsts)] == [expected[i] for i in order]


def test_windows_at_every_sample_of_ten_thousand_recordings_cost_megabytes_and_microseconds():
    stretches = [Stretch(f"data/recording{i:05d}", 0.0, 600.0) for i in range(10_000)]
    tracemalloc.start()
    windows = make_windows(stretches, 256.0, 2.0)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(windows) == 10_000 * (600 * 256 - 512 + 1)
    assert kept < 10e6, f"{kept} bytes"
    assert len(pickle.dumps(windows)) < 10e6
    few = make_windows(stretches[:16], 256.0, 2.0)
    seconds = []
    for some in (few, windows):
        indices = np.random.default_rng(0).integers(0, len(some), (50, 32))
        some.locate_many(indices[0])
        taken = []
        for batch in indices:
            begun = time.perf_counter()
            some.locate_many(batch)
            taken.append(time.perf_counter() - begun)
        seconds.append(np.median(taken))
    assert seconds[1] < 10 * seconds[0]


def test_the_digest_tells_windows_apart():
    base = [Stretch("a/b", 0, 20), Stretch("a/c", 3, 25)]
    windows = make_windows(base, 10.0, 2.0, 1.0)
    assert windows.digest == make_windows(base, 10.0, 2.0, 1.0).digest == copy.deepcopy(windows).digest
    others = [
        make_windows([Stretch("a/d", 0, 20), base[1]], 10.0, 2.0, 1.0),
        make_windows([Stretch("a/b", 0, 21), base[1]], 10.0, 2.0, 1.0),
        make_windows(base[::-1], 10.0, 2.0, 1.0),
        make_windows(base, 10.0, 2.0, 0.9),
        make_windows(base, 10.0, 1.9, 1.0),
        windows.with_jitter(1),
    ]
    assert len({windows.digest, *(other.digest for other in others)}) == 7


def test_a_shifted_window_stays_inside_its_stretch():
    plain = make_windows([Stretch("a/b", 0, 10), Stretch("a/c", 5, 12)], 10.0, 2.0, 4.0)
    windows = plain.with_jitter(15)
    assert len(windows) == len(plain) * 31
    numbers, firsts = windows.locate_many(np.arange(len(windows)))
    expected_numbers, expected_firsts = plain.locate_many(np.repeat(np.arange(len(plain)), 31))
    assert np.array_equal(numbers, expected_numbers)
    low, high = np.array([0, 50])[numbers], np.array([80, 100])[numbers]
    shifts = np.tile(np.arange(-15, 16), len(plain))
    assert np.array_equal(firsts, np.clip(expected_firsts + shifts, low, high))
    with pytest.raises(NeurodataError, match="jitter must be zero samples or more, got -1"):
        plain.with_jitter(-1)


def test_a_stretch_beyond_any_clock_is_refused():
    with pytest.raises(NeurodataError, match=r"a/c: \[0, 1e\+300\) s is too far out to count samples"):
        make_windows([Stretch("a/b", 0, 30), Stretch("a/c", 0, 1e300)], 10.0, 1.0)
