"""An event counts in the bin that exact arithmetic on its decimal time gives, wherever float64 puts it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.errors import NeurodataError
from neurodata.recording.bins import ON_EDGE_SECONDS, bin_of, event_bins, events_before

RATES = st.sampled_from(["1", "3", "10", "20", "30", "50", "59.1", "100", "1000", "30000", "0.4"])


@given(rate=RATES, microseconds=st.integers(-(10**9), 10**11))
def test_property_decimal_times_as_exact_arithmetic_has_them(rate, microseconds):
    exact = Fraction(microseconds, 10**6)
    assert bin_of(float(exact), 0.0, float(rate)) == exact * Fraction(rate) // 1


@given(rate=RATES, bin_=st.integers(-1000, 10**7), tenths=st.integers(0, 10**6), ulps=st.integers(-3, 3))
def test_property_an_event_on_an_edge_counts_in_the_later_bin_a_few_roundings_away_too(rate, bin_, tenths, ulps):
    start = tenths / 10
    time = float(Fraction(tenths, 10) + bin_ / Fraction(rate))
    for _ in range(abs(ulps)):
        time = float(np.nextafter(time, np.copysign(np.inf, ulps)))
    # Beyond a million seconds a rounding error is no longer far below a nanosecond.
    if abs(time) < 1e6:
        assert bin_of(time, start, float(rate)) == bin_


def test_sums_of_decimal_times_stay_in_their_bin():
    ticks = np.cumsum(np.full(10_000, 0.1))
    assert (ticks != np.arange(1, 10_001) / 10).mean() > 0.9
    np.testing.assert_array_equal(bin_of(ticks, 0.0, 10.0), np.arange(1, 10_001))


@given(
    st.lists(st.integers(-30, 400), max_size=40),
    st.sampled_from([1.0, 3.0, 20.0, 59.1, 1000.0]),
    st.sampled_from([0.0, 0.3, -1.7, 99_999.9]),
    st.sampled_from([0.0, -0.9e-9, -1.1e-9, -1e-9, 1e-9]),
)
def test_property_bins_are_what_counting_between_edges_gives(sevenths, rate_hz, start, shift):
    edges = start + np.arange(-100, 500) / rate_hz
    times = np.sort(np.r_[edges[::7] + shift, start + np.array(sevenths) / 7])
    bins = bin_of(times, start, rate_hz)
    inside = (bins >= -100) & (bins < 499)
    counted = np.bincount(bins[inside] + 100, minlength=599)
    np.testing.assert_array_equal(counted, np.diff(events_before(times, edges)))
    assert (np.diff(bins) >= 0).all()


def test_the_tolerance_is_a_nanosecond():
    assert bin_of([1 - 0.9 * ON_EDGE_SECONDS, 1 - 1.1 * ON_EDGE_SECONDS], 0.0, 1.0).tolist() == [1, 0]


def test_shapes_are_kept():
    assert bin_of(np.zeros((2, 3)), 0.0, 10.0).shape == (2, 3)
    assert bin_of([], 0.0, 10.0).dtype == np.int64
    assert event_bins([], 10.0, 3).shape == (0,)


@given(st.lists(st.floats(), max_size=30), st.sampled_from([0.1, 10.0, 30_000.0]), st.integers(0, 50))
def test_property_every_float_is_in_a_bin_or_outside(times, rate_hz, n_bins):
    bins = event_bins(times, rate_hz, n_bins)
    for time, found in zip(times, bins.tolist()):
        if not time < n_bins / rate_hz - ON_EDGE_SECONDS:  # NaN comes last, as numpy sorts it
            assert found == n_bins
        elif time < -ON_EDGE_SECONDS:
            assert found == -1
        else:
            assert found == bin_of(time, 0.0, rate_hz)
    order = np.argsort(times)
    assert (np.diff(bins[order]) >= 0).all()


@pytest.mark.parametrize("time", [np.nan, np.inf, 1e300])
def test_times_that_are_in_no_bin(time):
    with pytest.raises(NeurodataError, match=r"an event at (nan|inf|1e\+300) s is in no bin: times must be finite"):
        bin_of([0.0, time], 0.0, 10.0)


@pytest.mark.parametrize("count", [lambda rate: bin_of([1.0], 0.0, rate), lambda rate: event_bins([1.0], rate, 3)])
def test_bins_must_be_longer_than_the_tolerance(count):
    with pytest.raises(NeurodataError, match=r"bins at 1e\+09 Hz are shorter than 1e-08 s.*take a lower rate_hz"):
        count(1e9)
    with pytest.raises(NeurodataError, match="rate_hz must be a positive number"):
        count(0.0)
