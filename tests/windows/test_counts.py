"""Events in bins: half-open, per unit, none lost and none invented."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurodata.windows.counts import count_events


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
