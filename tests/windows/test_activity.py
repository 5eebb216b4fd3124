"""Windows of samples and of counted events are what plain slicing of the whole gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.windows.activity import Counts, Samples, gather, make_counts
from neurodata.windows.quantize import encode


def counted(rng, n_bins, n_channels, n_events):
    bins, channels = rng.integers(-2, n_bins + 2, n_events), rng.integers(-1, n_channels, n_events)
    whole = np.zeros((n_bins, n_channels), np.float32)
    for b, c in zip(bins, channels):
        if 0 <= b < n_bins and c >= 0:
            whole[b, c] += 1
    return make_counts(bins, channels, (n_bins, n_channels)), whole


@given(seed=st.integers(0, 2**32 - 1), n_channels=st.integers(1, 5), n_events=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_counts_are_the_events_counted_one_by_one(seed, n_channels, n_events):
    counts, whole = counted(np.random.default_rng(seed), 11, n_channels, n_events)
    np.testing.assert_array_equal(counts.dense(), whole)
    for first in range(8):
        window = np.full((4, n_channels), 9, np.float32)
        counts.copy_window(first, window)
        np.testing.assert_array_equal(window, whole[first : first + 4])


@given(seed=st.integers(0, 2**32 - 1), channels=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_its_windows_whatever_their_channels_and_kinds(seed, channels):
    rng = np.random.default_rng(seed)
    activities, wholes = [], []
    for n_channels in channels:
        if rng.random() < 0.5:
            activity, whole = counted(rng, 10, n_channels, 25)
        else:
            whole = rng.normal(size=(10, n_channels)).astype(np.float32)
            whole[rng.random(whole.shape) < 0.2] = np.nan
            activity = Samples(whole)
        activities.append(activity)
        wholes.append(whole)
    rows = rng.integers(0, len(channels), 6)
    firsts = rng.integers(0, 7, 6)
    out = np.full((6, 4, max(channels)), 9, np.float32)
    gather([activities[row] for row in rows], firsts.tolist(), out)
    for row, first, window in zip(rows, firsts, out):
        n_channels = channels[row]
        np.testing.assert_array_equal(window[:, :n_channels], wholes[row][first : first + 4])
        assert not window[:, n_channels:].any()


def test_a_recording_without_events_is_all_zeros():
    empty = make_counts(np.zeros(0, np.int64), np.zeros(0, np.int64), (5, 3))
    out = np.ones((2, 2, 3), np.float32)
    gather([empty, empty], [0, 3], out)
    assert not out.any()


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_smaller_types_come_back_within_the_stated_error(dtype):
    values = np.random.default_rng(0).normal(50, 3, (200, 4)).astype(np.float32)
    values[3, 2] = np.nan
    encoded = encode(values, dtype)
    samples = Samples(encoded.stored, complete=False, scale=encoded.scale, offset=encoded.offset)
    found = samples.dense()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    assert (np.nanmax(np.abs(found - values), axis=0) <= encoded.largest_error * (1 + 1e-6)).all()
    window = np.empty((1, 20, 4), np.float32)
    gather([samples], [100], window)
    np.testing.assert_array_equal(window[0], found[100:120])


def test_counts_of_one_recording_are_searched_not_scanned():
    counts = Counts(np.arange(0, 1000, 10), np.ones(100, np.float32), (100, 10))
    assert counts.within(3, 2) == slice(3, 5)
