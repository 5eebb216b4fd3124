"""Windows put together give back what they were cut from, whatever their order, stride and process."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.errors import NeurodataError
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch
from neurodata.windows.stitch import Stitcher, middle_weights, stitch

STRETCHES = [Stretch("a/b", 0, 23), Stretch("a/c", 5, 18), Stretch("a/b", 31, 50)]


def windows_of(length=6, stride=2):
    return make_windows(STRETCHES, 1.0, float(length), float(stride))


def pieces_of(windows, signals, order, size=4, noise=None):
    """Batches of windows cut from known signals, in a given order."""
    for begin in range(0, len(order), size):
        numbers, firsts = windows.locate_many(order[begin : begin + size])
        rows = [signals[n][f : f + windows.length] for n, f in zip(numbers, firsts)]
        values = np.stack(rows)
        yield numbers, firsts, values if noise is None else values + noise[order[begin : begin + size]]


@settings(max_examples=60)
@given(
    length=st.integers(1, 9),
    stride=st.integers(1, 12),
    seed=st.integers(0, 100),
    size=st.integers(1, 7),
    trailing=st.sampled_from([(), (3,), (2, 2)]),
)
def test_property_windows_of_a_signal_give_it_back_exactly(length, stride, seed, size, trailing):
    rng = np.random.default_rng(seed)
    windows = windows_of(length, stride)
    signals = [rng.normal(size=(60, *trailing)) for _ in windows.recording_ids]
    found = list(stitch(windows, pieces_of(windows, signals, rng.permutation(len(windows)), size)))
    assert sorted(one.recording_id for one in found) == ["a/b", "a/c"]
    for one in found:
        number = windows.recording_ids.index(one.recording_id)
        inside = np.concatenate([np.arange(int(s.start), int(s.stop)) for s in STRETCHES if s.recording_id == one.recording_id])  # fmt: skip
        if stride <= length:
            np.testing.assert_array_equal(one.samples, inside)
        np.testing.assert_array_equal(one.values, signals[number][one.samples])


@settings(max_examples=30)
@given(seed=st.integers(0, 100), share=st.integers(0, 30), interleaved=st.booleans())
def test_property_the_result_is_the_same_in_any_order_and_from_two_processes(seed, share, interleaved):
    rng = np.random.default_rng(seed)
    windows = windows_of()
    noise = rng.normal(size=(len(windows), 6, 2))
    signals = [np.zeros((60, 2))] * 2
    everything = np.arange(len(windows))
    plain = {one.recording_id: one for one in stitch(windows, pieces_of(windows, signals, everything, noise=noise))}
    halves = (everything[::2], everything[1::2]) if interleaved else (everything[:share], everything[share:])
    stitchers, found = [Stitcher(windows), Stitcher(windows)], []
    for stitcher, half in zip(stitchers, halves):
        for piece in pieces_of(windows, signals, rng.permutation(half), 3, noise):
            found += stitcher.add(*piece)
    found += stitchers[0].merge(copy.deepcopy(stitchers[1]))
    stitchers[0].finish()
    assert sorted(one.recording_id for one in found) == sorted(plain)
    for one in found:
        np.testing.assert_array_equal(one.samples, plain[one.recording_id].samples)
        np.testing.assert_array_equal(one.values, plain[one.recording_id].values)


def test_overlapping_windows_are_averaged_with_their_weights():
    windows = make_windows([Stretch("a/b", 0, 6)], 1.0, 4.0, 2.0)
    values = np.array([[0.0, 0, 0, 0], [1.0, 1, 1, 1]])
    (found,) = stitch(windows, [(np.array([0, 0]), np.array([0, 2]), values)])
    w = middle_weights(4)
    np.testing.assert_allclose(w, [0.4, 0.8, 0.8, 0.4])
    np.testing.assert_allclose(found.values, [0, 0, w[0] / (w[0] + w[2]), w[1] / (w[1] + w[3]), 1, 1])
    (found,) = stitch(windows, [(np.array([0, 0]), np.array([0, 2]), values)], np.ones(4))
    np.testing.assert_allclose(found.values, [0, 0, 0.5, 0.5, 1, 1])
    assert found.truth.shape == (0,)


def test_windows_in_order_are_not_kept():
    windows = make_windows([Stretch("a/b", 0, 400), Stretch("a/c", 0, 400)], 1.0, 8.0, 1.0)
    stitcher = Stitcher(windows)
    signals = [np.zeros(400)] * 2
    for piece in pieces_of(windows, signals, np.arange(len(windows))):
        stitcher.add(*piece)
        assert len(stitcher._open) <= 2
        assert not any(found.waiting for found in stitcher._open.values())
    stitcher.finish()


def test_truth_comes_along():
    windows = windows_of()
    truth = [np.arange(60), np.arange(60) * 10]
    found = []
    stitcher = Stitcher(windows)
    for numbers, firsts, values in pieces_of(windows, truth, np.arange(len(windows))):
        found += stitcher.add(numbers, firsts, values.astype(np.float32)[..., None], values)
    for one, expected in zip(sorted(found, key=lambda one: one.recording_id), truth):
        assert one.truth.dtype == np.int64
        np.testing.assert_array_equal(one.truth, expected[one.samples])
        assert one.values.shape == (len(one.samples), 1)


def test_the_same_window_of_two_overlapping_stretches_counts_once():
    windows = make_windows([Stretch("a/b", 0, 8), Stretch("a/b", 2, 10)], 1.0, 4.0, 2.0)
    numbers, firsts = windows.locate_many(np.arange(len(windows)))
    assert sorted(set(firsts.tolist())) == [0, 2, 4, 6]
    values = firsts[:, None] + np.arange(4.0)
    (found,) = stitch(windows, [(numbers, firsts, values)])
    np.testing.assert_array_equal(found.values, np.arange(10))
    halves = [Stitcher(windows), Stitcher(windows)]
    for stitcher, half in zip(halves, (slice(0, 3), slice(3, None))):
        assert not stitcher.add(numbers[half], firsts[half], values[half])
    (found,) = halves[0].merge(halves[1])
    np.testing.assert_array_equal(found.values, np.arange(10))


def test_what_does_not_fit_is_refused():
    windows = windows_of()
    zeros = np.zeros((1, 6))
    with pytest.raises(NeurodataError, match=r"a/b: 17 of 18 windows have not been predicted"):
        list(stitch(windows, [(np.array([0]), np.array([0]), zeros)]))
    for piece, text in [
        ((np.array([0]), np.array([1]), zeros), "a/b: the window from sample 1 on is not expected, or came twice"),
        ((np.array([2]), np.array([0]), zeros), "recording 2 is complete already, or not among"),
        ((np.array([0]), np.array([0]), zeros[:, :5]), "a prediction has 6 samples like its window, got 5"),
    ]:
        with pytest.raises(NeurodataError, match=text):
            Stitcher(windows).add(*piece)
    for first in (0, 4):
        stitcher = Stitcher(windows)
        stitcher.add(np.array([0]), np.array([first]), zeros)
        with pytest.raises(NeurodataError, match="or came twice"):
            stitcher.add(np.array([0]), np.array([first]), zeros)
        with pytest.raises(NeurodataError, match="a/b: two processes predicted the same window"):
            stitcher.merge(copy.deepcopy(stitcher))
    with pytest.raises(NeurodataError, match="stitches other windows"):
        Stitcher(windows).merge(Stitcher(windows_of(5)))
    with pytest.raises(NeurodataError, match="windows with jitter are for drawing"):
        Stitcher(windows.with_jitter(2))
    with pytest.raises(NeurodataError, match=r"weights are 6 finite numbers above 0"):
        Stitcher(windows, np.zeros(6))
