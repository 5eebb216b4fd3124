"""Events in bins: half-open, per unit, none lost and none invented."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurodata.recording.bins import event_bins
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_units
from neurodata.windows.activity import make_counts


def count_events(times, units, n_units, rate_hz, n_bins):
    counted = np.empty((n_bins, n_units), np.float32)
    make_counts(event_bins(times, rate_hz, n_bins), units, (n_bins, n_units)).copy_window(0, counted)
    return counted


def test_an_event_on_an_edge_counts_in_the_later_bin():
    counts = count_events(np.array([0.0, 0.0999, 0.1, 0.25]), np.array([0, 0, 0, 1]), 2, 10.0, 3)
    np.testing.assert_array_equal(counts, [[2, 0], [1, 0], [0, 1]])
    assert counts.dtype == np.float32


def test_events_outside_are_not_counted():
    counts = count_events(np.array([-0.1, 0.3, 99.0]), np.array([0, 0, 0]), 1, 10.0, 3)
    assert counts.sum() == 0


@given(
    st.lists(st.tuples(st.integers(-50, 400), st.integers(0, 2)), max_size=60),
    st.sampled_from([1.0, 3.0, 20.0, 59.1]),
)
def test_counts_are_those_of_a_loop(events, rate_hz):
    events.sort()
    times, units = np.array([t / 7 for t, _ in events]), np.array([u for _, u in events], np.int32)
    counts = count_events(times, units, 3, rate_hz, 40)
    expected = np.zeros((40, 3))
    for time, unit in zip(times, units):
        for k in range(40):
            expected[k, unit] += k / rate_hz <= time < (k + 1) / rate_hz
    np.testing.assert_array_equal(counts, expected)


def test_a_rounding_error_before_an_edge_is_on_it():
    times = np.array([0.1 + 0.7, np.nextafter(1.2, 0), 1.6 - 1.1e-9])
    counts = count_events(times, np.zeros(3, np.int32), 1, 2.5, 5)
    assert counts.ravel().tolist() == [0, 0, 1, 2, 0]


def test_times_that_nobody_knows_are_not_counted():
    assert count_events(np.array([0.1, np.nan, np.inf]), np.zeros(3, np.int32), 1, 10.0, 3).sum() == 1


@given(st.integers(0, 10**6), st.sampled_from([10.0, 50.0]))
def test_property_the_same_bins_as_spikes_aligned_to_second_0(seed, rate_hz):
    rng = np.random.default_rng(seed)
    times = np.sort(np.r_[rng.uniform(0, 2, 20), np.cumsum(np.full(19, 0.1))])
    unit = rng.integers(0, 2, times.size).astype(np.int32)
    units, spikes = make_units(["a", "b"]), make_events(times, unit=unit)
    lasts = {"session": make_intervals([0.0], [2.0])}
    recording = Recording(
        {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s"}}, {}, {"s": spikes}, lasts, units
    )
    aligned = recording.align([0.0], (0, 2), rate_hz).values[0]
    np.testing.assert_array_equal(count_events(times, unit, 2, rate_hz, aligned.shape[0]), aligned)
