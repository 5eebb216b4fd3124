"""Resampling against sums of sines of known frequency, and class codes against intervals."""

from __future__ import annotations

import time

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.recording.timed import make_intervals, run_lengths
from neurodata.windows.align import causal_delay_seconds, codes_at, grid, resample

RATES = [(2.8, 3), (5, 3), (3, 3), (2, 3), (10, 3), (30, 3), (3.0657, 3), (2, 5), (2, 2)]
SECONDS = 120


def make_clock(rate_hz, kind, rng):
    count = int(SECONDS * rate_hz)
    if kind == "regular":
        return np.arange(count) / rate_hz
    if kind == "jittered":  # every sample up to 20 % of a period off its place
        return (np.arange(count) + rng.uniform(-0.2, 0.2, count)) / rate_hz
    return np.cumsum(1 + rng.uniform(-0.2, 0.2, count)) / rate_hz  # wandering: every step up to 20 % off


def make_truth(highest_hz, rng, n_waves=12):
    """A sum of sines up to and including the highest frequency, as a function of time."""
    frequency = np.append(rng.uniform(0.01, highest_hz, n_waves - 1), highest_hz)
    phase, size = rng.uniform(0, 2 * np.pi, n_waves), rng.uniform(0.3, 1, n_waves)
    return lambda times: 0.3 + (size * np.sin(2 * np.pi * frequency * np.asarray(times)[:, None] + phase)).sum(axis=1)


def errors(got, truth):
    difference = got - truth
    return np.sqrt(np.mean(difference**2) / np.mean(truth**2)), np.abs(difference).max() / np.abs(truth).max()


@pytest.mark.parametrize("kind", ["regular", "jittered", "wandering"])
@pytest.mark.parametrize(("source_hz", "target_hz"), RATES)
def test_error_is_below_one_percent(source_hz, target_hz, kind):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        times = make_clock(source_hz, kind, rng)
        mean_rate = (len(times) - 1) / (times[-1] - times[0])
        truth = make_truth(0.8 * min(mean_rate, target_hz) / 2, rng, n_waves=1 if seed == 0 else 12)
        targets = grid(times[0], times[-1], target_hz)
        got = resample(truth(times)[:, None], times, targets)[:, 0]
        inner = (targets > times[0] + 5) & (targets < times[-1] - 5)
        assert max(errors(got[inner], truth(targets[inner]))) < 0.01
        assert np.isfinite(got).all()


@pytest.mark.parametrize(("source_hz", "target_hz"), [(5, 3), (10, 3), (30, 3), (30, 7)])
@pytest.mark.parametrize("factor", [1.2, 1.3, 1.6])
def test_content_above_the_lower_nyquist_is_removed(source_hz, target_hz, factor):
    frequency = factor * target_hz / 2
    times = make_clock(source_hz, "regular", None)
    targets = grid(0, times[-1], target_hz)
    got = resample(np.sin(2 * np.pi * frequency * times + 0.3)[:, None], times, targets)[:, 0]
    assert np.abs(got[(targets > 5) & (targets < SECONDS - 5)]).max() < 0.01  # 40 dB
    plain = np.interp(targets, times, np.sin(2 * np.pi * frequency * times + 0.3))
    assert np.abs(plain).max() > 0.5  # without the filter it would be there


def test_the_same_clock_changes_nothing():
    values = np.random.default_rng(0).normal(size=(200, 3))
    times = 0.1 + np.arange(200) / 3.0
    np.testing.assert_allclose(resample(values, times, times), values, atol=1e-12)


def test_a_constant_stays_constant_to_the_ends():
    times = make_clock(2.9, "jittered", np.random.default_rng(0))
    for causal in (False, True):
        got = resample(np.full((len(times), 1), 1000.0), times, grid(times[0], times[-1], 3), causal=causal)
        np.testing.assert_allclose(got[np.isfinite(got)], 1000.0, rtol=1e-9)
    assert np.isfinite(resample(np.full((len(times), 1), 5.0), times, grid(times[0], times[-1], 3))).all()


def test_a_slow_drift_is_followed_to_the_ends():
    times = make_clock(30, "regular", None)
    targets = grid(0, times[-1], 3)
    got = resample(times[:, None] / SECONDS, times, targets)[:, 0]
    assert np.abs(got - targets / SECONDS).max() < 0.02  # a filter that fades out at the ends is wrong by 0.25 there


@pytest.mark.parametrize("kind", ["regular", "jittered"])
def test_a_run_of_missing_values_stays_missing(kind):
    times = make_clock(3, kind, np.random.default_rng(1))
    values = np.stack([np.sin(times), np.cos(times)], axis=1)
    values[100:130, 0] = np.nan
    targets = grid(times[0], times[-1], 3)
    got = resample(values, times, targets)
    inside = (targets > times[100]) & (targets < times[129])
    assert np.isnan(got[inside, 0]).all()
    assert np.isfinite(got[inside, 1]).all()
    outside = (targets <= times[99]) | (targets >= times[130])
    assert np.isfinite(got[outside, 0]).all()


@pytest.mark.parametrize("kind", ["regular", "jittered"])
@pytest.mark.parametrize("source_hz", [2.8, 5, 30])
def test_one_missing_sample_harms_only_its_neighbours(source_hz, kind):
    rng = np.random.default_rng(2)
    times = make_clock(source_hz, kind, rng)
    truth = make_truth(0.8 * min(source_hz, 3) / 2, rng)
    values = truth(times)[:, None]
    values[len(times) // 2] = np.nan
    targets = grid(times[0], times[-1], 3)
    got = resample(values, times, targets)[:, 0]
    inner = (targets > times[0] + 5) & (targets < times[-1] - 5)
    assert np.isnan(got[inner]).sum() <= 1
    far = inner & (np.abs(targets - times[len(times) // 2]) > 1)
    near = inner & ~far & np.isfinite(got)
    assert max(errors(got[far], truth(targets[far]))) < 0.015
    assert np.abs(got[near] - truth(targets[near])).max() < 0.08 * np.abs(truth(targets)).max()


def test_dropped_frames_are_a_gap_not_a_bridge():
    times = np.delete(np.arange(300) / 3.0, slice(100, 160))
    got = resample(np.ones((240, 1)), times, grid(0, 100, 3))[:, 0]
    assert np.isnan(got[101:159]).all()
    assert np.isfinite(got[np.r_[:100, 160:299]]).all()


def test_stretches_far_apart_cost_nothing_between():
    times = np.concatenate([np.arange(300), 1e9 + np.arange(300)]) / 3.0
    for rate_hz in (3.0, None):  # three lonely targets look like a clock of 1e-8 Hz
        got = resample(np.ones((600, 1)), times, np.array([10.0, 1e8, 1e9 / 3 + 10]), rate_hz=rate_hz)
    got = resample(np.ones((600, 1)), times, np.array([10.0, 1e8, 1e9 / 3 + 10]), rate_hz=3.0)
    np.testing.assert_array_equal(np.isfinite(got[:, 0]), [True, False, True])


def test_nothing_is_made_up_beyond_the_ends():
    times = 10 + np.arange(60) / 3.0
    for causal in (False, True):
        got = resample(np.ones((60, 1)), times, grid(0, 40, 3), causal=causal)[:, 0]
        targets = grid(0, 40, 3)
        assert np.isnan(got[targets < 10 - 1e-6]).all()
        assert np.isnan(got[targets > times[-1] + 1.0]).all()
    empty = resample(np.full((60, 2), np.nan), times, grid(0, 40, 3))
    assert empty.shape == (120, 2)
    assert np.isnan(empty).all()
    assert np.isnan(resample(np.zeros((0, 2)), np.zeros(0), grid(0, 1, 3))).all()
    assert resample(np.ones((1, 1)), np.array([2.0]), np.array([1.0, 2.0, 3.0]))[1, 0] == pytest.approx(1.0)


def test_channels_do_not_touch_each_other():
    rng = np.random.default_rng(3)
    times = make_clock(2.9, "jittered", rng)
    values = rng.normal(size=(len(times), 6))
    values[rng.random(values.shape) < 0.05] = np.nan
    targets = grid(0, SECONDS, 3)
    together = resample(values, times, targets)
    for channel in range(6):
        np.testing.assert_allclose(together[:, [channel]], resample(values[:, [channel]], times, targets), atol=1e-9)


@pytest.mark.parametrize("kind", ["regular", "jittered"])
@pytest.mark.parametrize("source_hz", [2.8, 3, 10])
@pytest.mark.parametrize("future", [1e6, np.nan, np.inf], ids=["large", "missing", "infinite"])
def test_causal_never_sees_the_future(source_hz, kind, future):
    rng = np.random.default_rng(4)
    times = make_clock(source_hz, kind, rng)
    values, targets = rng.normal(size=(len(times), 7)), grid(0, SECONDS, 3)
    before = resample(values, times, targets, causal=True)
    now = 60.0
    changed = values.copy()
    changed[times > now, ::2] = future
    after = resample(changed, times, targets, causal=True)
    past = targets <= now
    np.testing.assert_array_equal(before[past], after[past])
    assert not np.array_equal(before[~past], after[~past], equal_nan=True)
    assert np.isfinite(before[past][5:]).all()
    late = times.copy()
    late[times > now] += 0.1 / source_hz  # not even its timestamps are used
    np.testing.assert_array_equal(resample(values, late, targets, causal=True)[past], before[past])
    kept = times <= now
    np.testing.assert_array_equal(resample(values[kept], times[kept], targets, causal=True)[past], before[past])


def test_the_default_does_see_the_future():
    times = make_clock(2.8, "regular", None)
    values = np.random.default_rng(0).normal(size=(len(times), 1))
    changed = np.where(times[:, None] > 60, values + 1, values)
    targets = grid(0, 60, 3)
    assert not np.array_equal(resample(values, times, targets), resample(changed, times, targets))


@pytest.mark.parametrize(
    ("kind", "fraction", "limit"), [("regular", 0.4, 0.03), ("regular", 0.5, 0.06), ("jittered", 0.2, 0.03)]
)
@pytest.mark.parametrize(("source_hz", "target_hz"), [(2.8, 3), (5, 3), (30, 3)])
def test_causal_is_late_by_the_stated_delay(source_hz, target_hz, kind, fraction, limit):
    rng = np.random.default_rng(5)
    times = make_clock(source_hz, kind, rng)
    truth = make_truth(fraction * min(source_hz, target_hz) / 2, rng)
    targets = grid(0, times[-1], target_hz)
    got = resample(truth(times)[:, None], times, targets, causal=True)[:, 0]
    delay = causal_delay_seconds(source_hz, target_hz)
    inner = np.isfinite(got) & (targets > 5)
    assert inner.sum() > 0.9 * len(targets)
    assert max(errors(got[inner], truth(targets[inner] - delay))) < limit
    assert errors(got[inner], truth(targets[inner]))[0] > 5 * limit  # the delay is real


def test_the_delay_is_two_periods_of_the_slower_clock():
    assert causal_delay_seconds(2.5, 3) == pytest.approx(0.8)
    assert causal_delay_seconds(30, 4) == pytest.approx(0.5)
    with pytest.raises(NeurodataError, match="rate_hz must be a positive number, got 0"):
        causal_delay_seconds(3, 0)


def test_a_grid_does_not_drift():
    times = grid(0.1, 0.1 + 1e6 / 3, 3.0)
    assert len(times) == 1_000_000
    assert np.abs(times - (0.1 + np.arange(1_000_000) / 3.0)).max() == 0
    assert times[-1] == 0.1 + 999_999 / 3.0
    signal = np.sin(2 * np.pi * 0.1 * np.arange(200_000) / 2.9046)
    targets = grid(0, 2e5 / 2.9046, 3.0)
    got = resample(signal[:, None], np.arange(200_000) / 2.9046, targets, rate_hz=3.0)[:, 0]
    inner = (targets > 5) & (targets < 2e5 / 2.9046 - 5)
    assert np.abs(got[inner] - np.sin(2 * np.pi * 0.1 * targets[inner])).max() < 0.01


@pytest.mark.parametrize(
    ("start", "stop", "rate_hz", "expected"),
    [
        pytest.param(0, 1, 3, [0, 1 / 3, 2 / 3], id="the stop is left out"),
        pytest.param(0, 1.01, 3, [0, 1 / 3, 2 / 3, 1], id="a little more"),
        pytest.param(2, 2, 3, [], id="nothing"),
        pytest.param(0, 0.3, 10, [0, 0.1, 0.2], id="0.3 is no whole number of tenths in binary"),
    ],
)
def test_grid_is_half_open(start, stop, rate_hz, expected):
    np.testing.assert_allclose(grid(start, stop, rate_hz), expected, atol=1e-12)
    assert grid(start, stop, rate_hz).dtype == np.float64


def test_codes_are_those_of_the_covering_interval():
    table = make_intervals([2.0, 0.0, 5.0], [3.0, 2.0, 6.0], code=[7, 4, 1])
    times = [-1, 0, 1.99, 2, 2.5, 3, 4.9, 5, 5.99, 6]
    assert codes_at(table, times).tolist() == [-1, 4, 4, 7, 7, -1, -1, 1, 1, -1]
    assert codes_at(make_intervals([], [], code=np.zeros(0, int)), [1.0]).tolist() == [-1]
    point = make_intervals([0.0, 1.0, 1.0], [1.0, 1.0, 2.0], code=[1, 9, 2])  # an empty interval covers nothing
    assert codes_at(point, [0.5, 1.0]).tolist() == [1, 2]


def test_codes_survive_the_way_through_intervals():
    codes = np.random.default_rng(0).integers(0, 4, 3000)
    first, after, value = run_lengths(codes)
    times = np.arange(3001) / 2.9046
    table = make_intervals(times[first], times[after], code=value)
    np.testing.assert_array_equal(codes_at(table, times[:-1]), codes)


def test_overlapping_intervals_are_refused():
    with pytest.raises(NeurodataError, match=r"1 intervals overlap the next, the first \[0, 2\) and \[1, 3\) s"):
        codes_at(make_intervals([0.0, 1.0], [2.0, 3.0], code=[0, 1]), [0.5])
    with pytest.raises(NeurodataError, match="missing: code"):
        codes_at(make_intervals([0.0], [2.0]), [0.5])


@pytest.mark.parametrize(
    ("values", "times", "targets", "message"),
    [
        pytest.param((3,), [0, 1, 2], [0], r"got shapes \(3,\)", id="no channel axis"),
        pytest.param((3, 1), [0, 1], [0], r"\(2,\)", id="times do not fit"),
        pytest.param((3, 1), [0, 2, 1], [0], "times must be finite and increase; they do not at sample 1", id="back"),
        pytest.param((3, 1), [0, np.nan, 1], [0], "do not at sample 1: nan|do not at sample 1: np", id="NaN time"),
        pytest.param((3, 1), [0, 1, 2], [1, 1], "target times must be finite and increase", id="target twice"),
    ],
)
def test_bad_clocks_are_refused(values, times, targets, message):
    with pytest.raises(NeurodataError, match=message):
        resample(np.zeros(values), times, targets)


def test_a_worm_takes_well_under_a_second():
    rng = np.random.default_rng(0)
    times = (np.arange(3000) + rng.uniform(-0.2, 0.2, 3000)) / 2.9
    values = rng.normal(size=(3000, 130))
    values[rng.integers(0, 3000, 130), np.arange(130)] = np.nan  # a pattern of its own for each channel
    began = time.perf_counter()
    resample(values, times, grid(0, 1030, 3))
    assert time.perf_counter() - began < 2  # 0.2 s on an idle core


@pytest.mark.slow
def test_an_hour_at_thirty_hertz_takes_seconds():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(108_000, 200))
    values[rng.integers(0, 108_000, 50)] = np.nan
    began = time.perf_counter()
    resample(values, np.arange(108_000) / 30, grid(0, 3600, 3))
    assert time.perf_counter() - began < 30
