"""Signals and targets on another clock: resampling on real timestamps, and class codes at given times.

Two resamplers. The default looks both ways and is accurate: a recording whose clock jitters or drops frames is first
brought to a uniform grid by a bandlimited (Gaussian-process) fit, and then a windowed sinc that is also the
anti-aliasing filter reads off the target times. The causal one sees no sample later than the target time; it is a
short windowed sinc that looks back, so everything it gives comes late by a stated delay.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solveh_banded
from scipy.sparse import csr_matrix
from scipy.special import i0

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError

Floats = NDArray[np.float64]

_LOBES = 9
"""Half-width of the resampling kernel in samples of the slower clock: 4.5 s at a lower Nyquist of 1 Hz."""
_BETA = 5.65
"""Kaiser's parameter for 60 dB; with 9 lobes the kernel passes up to 0.8 and stops from 1.2 of the lower Nyquist."""
_NEAR = 0.75
"""A target time counts as recorded if a sample lies within this many periods of the slower clock."""
_CAUSAL_LOBES = 2
"""Half-width of the causal kernel, and therefore its delay, in periods of the slower clock."""
_LONGEST_BRIDGE = 10_000
"""Samples that may be missing in a row before both sides are filtered apart, however slow the target clock is."""
_BLOCK_WEIGHTS = 4_000_000
"""Kernel weights held at a time: 100 MB."""
_LOW_BAND, _HIGH_BAND, _RIDGE, _FIT_LOBES = 0.85, 5e-4, 1e-3, 25
"""Prior of the fit: power 1 below 0.85 of the source's Nyquist, 5e-4 from there on, noise 1e-3, correlations over 25
samples: the shortest kernel that keeps sums of sines on clocks with ±20 % jitter below 1 % everywhere."""


def grid(start: float, stop: float, rate_hz: float) -> Floats:
    """Return the sample times of a regular clock on ``[start, stop)``, shape ``(time,)``, seconds.

    Each time is ``start + k / rate_hz``, one division per sample: no step is added up, so nothing drifts.
    """
    check_positive("rate_hz", rate_hz)
    count = max(0, math.ceil((stop - start) * rate_hz - 1e-9))
    return np.asarray(start + np.arange(count) / rate_hz, dtype=np.float64)


def causal_delay_seconds(source_rate_hz: float, rate_hz: float) -> float:
    """Return by how many seconds a causally resampled signal is late: two periods of the slower clock."""
    check_positive("source_rate_hz", source_rate_hz)
    check_positive("rate_hz", rate_hz)
    return _CAUSAL_LOBES / min(source_rate_hz, rate_hz)


def resample(
    values: ArrayLike,
    times: ArrayLike,
    target_times: ArrayLike,
    *,
    causal: bool = False,
    rate_hz: float | None = None,
) -> Floats:
    """Return a signal's values at other times.

    With ``causal=False`` content up to 0.8 of the lower Nyquist (of the mean source rate and the target rate) comes out
    with an error below 1 % of its amplitude away from the 5 s beside an end (4.5 periods of that Nyquist), on clocks
    with up to ±20 % jitter too, and on regular clocks content above 1.2 of it is down by more than 40 dB. A missing
    sample is filled from its neighbours for the filter's sake; what is near no sample is NaN all the same.

    With ``causal=True`` no sample later than the target time is used, nor its timestamp, and the result is late by
    `causal_delay_seconds` (of the mean rate so far). Against the delayed truth the error is below 3 % up to 0.4 and 6 %
    up to 0.5 of the lower Nyquist on a regular clock, two to four times that with ±20 % jitter; content 1.2 times the
    Nyquist is damped to 0.27, 1.6 times to 0.02.

    Parameters
    ----------
    values
        Samples, shape ``(time, channel)``; NaN where missing.
    times
        When they were taken, shape ``(time,)``, seconds, increasing; may be irregular.
    target_times
        Times wanted, shape ``(target,)``, seconds, increasing.
    causal
        Whether to use the past only.
    rate_hz
        Rate of the target clock; the median step of ``target_times`` where it is not given.

    Returns
    -------
    resampled
        Shape ``(target, channel)``, float64. NaN before the first and after the last sample of a channel, and where no
        sample lies within 0.75 periods of the slower clock. Near an end or a long gap the filter has less to go by.

    Raises
    ------
    NeurodataError
        If shapes do not fit, or times are not finite and increasing.
    """
    samples, clock, targets = np.asarray(values), np.asarray(times, np.float64), np.asarray(target_times, np.float64)
    _check(samples, clock, targets)
    if samples.size == 0 or targets.size == 0:
        return np.full((len(targets), samples.shape[1]), np.nan)
    samples = samples.astype(np.float64)
    if rate_hz is not None:
        check_positive("rate_hz", rate_hz)
    target_period = 1.0 / rate_hz if rate_hz else _period(targets, np.nan)
    if causal:
        return _resample_causal(samples, clock, targets, target_period)
    period = _period(clock, target_period)
    slower = period if np.isnan(target_period) else max(period, target_period)
    resampled = np.full((len(targets), samples.shape[1]), np.nan)
    for rows, wanted in _stretches(clock, targets, apart=min(2 * _LOBES * slower, _LONGEST_BRIDGE * period)):
        resampled[wanted] = _resample_stretch(samples[rows], clock[rows], targets[wanted], period, slower)
    return resampled


def codes_at(intervals: xr.Dataset, times: ArrayLike) -> NDArray[np.int64]:
    """Return the code of the interval that covers each time.

    Parameters
    ----------
    intervals
        Table with ``start``, ``stop`` (seconds, half-open) and integer ``code``.
    times
        Times, shape ``(time,)``, seconds.

    Returns
    -------
    codes
        Shape ``(time,)``; -1 where no interval covers the time. A time at a stop belongs to the next interval.

    Raises
    ------
    NeurodataError
        If a column is missing or two intervals overlap.
    """
    missing = [name for name in (names.START, names.STOP, names.CODE) if name not in intervals]
    if missing:
        raise NeurodataError(f"intervals need the columns start, stop and code; missing: {', '.join(missing)}")
    start, stop = np.asarray(intervals[names.START].values), np.asarray(intervals[names.STOP].values)
    order = np.lexsort((stop, start))
    order = order[stop[order] > start[order]]
    start, stop, code = start[order], stop[order], np.asarray(intervals[names.CODE].values, dtype=np.int64)[order]
    overlaps = np.flatnonzero(start[1:] < stop[:-1])
    if overlaps.size:
        i = int(overlaps[0])
        raise NeurodataError(
            f"{overlaps.size} intervals overlap the next, the first [{start[i]:g}, {stop[i]:g}) and [{start[i + 1]:g}, "
            f"{stop[i + 1]:g}) s; a time can have one code only, so select intervals that do not overlap"
        )
    wanted = np.asarray(times, dtype=np.float64)
    if not len(start):
        return np.full(wanted.shape, -1, dtype=np.int64)
    last = np.searchsorted(start, wanted, side="right") - 1
    covered = (last >= 0) & (wanted < stop[last])
    return np.where(covered, code[last], -1)


def _check(values: NDArray[np.generic], times: Floats, targets: Floats) -> None:
    if values.ndim != 2 or times.shape != values.shape[:1] or targets.ndim != 1:
        raise NeurodataError(
            "resampling needs values (time, channel), times (time,) and target times (target,); "
            f"got shapes {values.shape}, {times.shape} and {targets.shape}"
        )
    for what, clock in (("times", times), ("target times", targets)):
        bad = ~np.isfinite(clock)
        if bad.any() or (np.diff(clock) <= 0).any():
            place = int(np.flatnonzero(bad if bad.any() else np.diff(clock) <= 0)[0])
            raise NeurodataError(f"{what} must be finite and increase; they do not at sample {place}: {clock[place]!r}")


def _period(times: Floats, fallback: float) -> float:
    """Mean seconds between samples, dropped samples left out."""
    steps = np.diff(times)
    return float(steps[steps < 1.5 * np.median(steps)].mean()) if steps.size else fallback


def _stretches(times: Floats, targets: Floats, apart: float) -> Iterator[tuple[slice, slice]]:
    """Stretches of samples too far apart to know of each other, and the targets within each."""
    edges = [0, *(np.flatnonzero(np.diff(times) > apart) + 1).tolist(), len(times)]
    for first, after in itertools.pairwise(edges):
        inside = np.searchsorted(targets, [times[first] - 1e-9, times[after - 1] + 1e-9])
        if inside[1] > inside[0]:
            yield slice(first, after), slice(int(inside[0]), int(inside[1]))


def _patterns(valid: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], list[int]]]:
    """Channels with the same missing samples together."""
    groups: dict[bytes, list[int]] = {}
    for channel, key in enumerate(np.packbits(valid, axis=0).T):
        groups.setdefault(key.tobytes(), []).append(channel)
    for channels in groups.values():
        yield valid[:, channels[0]], channels


def _resample_stretch(values: Floats, times: Floats, targets: Floats, period: float, slower: float) -> Floats:
    n_uniform = round((times[-1] - times[0]) / period) + 1
    step = (times[-1] - times[0]) / (n_uniform - 1) if n_uniform > 1 else period
    filled, mean = _on_uniform(values, times, step, n_uniform)
    resampled = np.empty((len(targets), values.shape[1]))
    block = max(1, _BLOCK_WEIGHTS // (2 * _reach(step, n_uniform, slower) + 1))
    for first in range(0, len(targets), block):
        part = slice(first, first + block)
        weights = _sinc_filter(times[0], step, n_uniform, targets[part], slower)
        # Beside an end part of the kernel finds nothing: what is left is scaled up, so a constant stays constant.
        gain = np.maximum(weights @ np.ones(n_uniform), 0.5)
        resampled[part] = (weights @ filled) / gain[:, None] + mean
    for valid, channels in _patterns(np.isfinite(values)):
        known = _recorded(times[valid], targets, slower)
        resampled[np.ix_(np.flatnonzero(~known), np.asarray(channels))] = np.nan
    return resampled


def _on_uniform(values: Floats, times: Floats, step: float, count: int) -> tuple[Floats, Floats]:
    """Samples less their channel's mean on ``times[0] + k * step``, missing ones filled; and the means."""
    uniform = times[0] + np.arange(count) * step
    regular = count == len(times) and bool(np.abs(times - uniform).max() < 1e-4 * step)
    valid = np.isfinite(values)
    mean = np.where(valid, values, 0.0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    centred = np.where(valid, values - mean, 0.0)
    if regular and valid.all():
        return centred, mean
    fit = _Fit(times, uniform, step, regular)
    filled = np.zeros((count, values.shape[1]))
    for seen, channels in _patterns(valid):
        if seen.any():
            filled[:, channels] = (
                centred[:, channels] if regular and seen.all() else fit.on_uniform(centred[:, channels], seen)
            )
    return filled, mean


def _recorded(times: Floats, targets: Floats, slower: float) -> NDArray[np.bool_]:
    """Whether targets lie between a channel's first and last sample and near one of them."""
    if not len(times):
        return np.zeros(len(targets), dtype=np.bool_)
    inside = (targets >= times[0] - 1e-9) & (targets <= times[-1] + 1e-9)
    return np.asarray(inside & (_distance(times, targets) <= _NEAR * slower))


def _distance(times: Floats, targets: Floats) -> Floats:
    after = np.clip(np.searchsorted(times, targets), 1, max(len(times) - 1, 1))
    return np.minimum(np.abs(targets - times[after - 1]), np.abs(targets - times[np.minimum(after, len(times) - 1)]))


def _reach(step: float, count: int, slower: float) -> int:
    """Uniform samples that the filter takes in on either side."""
    return min(math.ceil(_LOBES * max(slower / step, 1.0)), count)


def _sinc_filter(start: float, step: float, count: int, targets: Floats, slower: float) -> csr_matrix:
    """Kaiser-windowed sinc from a uniform grid to any times, cut at the lower Nyquist ``0.5 / slower``."""
    slower = max(slower, step)
    reach = _reach(step, count, slower)
    nearest = np.rint((targets - start) / step).astype(np.int64)
    columns = nearest[:, None] + np.arange(-reach, reach + 1)
    lag = targets[:, None] - (start + columns * step)
    window = i0(_BETA * np.sqrt(np.clip(1 - (lag / (_LOBES * slower)) ** 2, 0, None))) / i0(_BETA)
    weights = np.sinc(lag / slower) * window * (step / slower)
    keep = (columns >= 0) & (columns < count) & (np.abs(lag) < _LOBES * slower)
    ends = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return csr_matrix((weights[keep], columns[keep], ends), shape=(len(targets), count))


class _Fit:
    """The bandlimited signal most likely to have given irregular or missing samples, on a uniform grid.

    A Gaussian process whose spectrum is flat up to the source's Nyquist frequency and nearly nothing above; the
    kernel has compact support, so samples are a banded system (cf. Rasmussen & Williams 2006, ch. 2). Missing samples
    stay in it with an infinite noise: every pattern of them shares the bands.
    """

    def __init__(self, times: Floats, uniform: Floats, period: float, regular: bool) -> None:
        self.times, self.uniform, self.regular, self.period = times, uniform, regular, period
        steps = np.diff(times) / period
        steps = steps[steps < 1.5]
        # A clock as irregular as a Poisson process leaves the upper band undetermined: trust the samples less there.
        self.noise = _RIDGE if steps.size == 0 or steps.std() < 0.3 else 30 * _RIDGE
        reach = _FIT_LOBES * period
        width = int((np.searchsorted(times, times + reach) - np.arange(len(times))).max())
        self.bands = np.zeros((max(width, 1), len(times)))
        for lag in range(len(self.bands)):
            self.bands[lag, : len(times) - lag] = self._kernel(times[lag:] - times[: len(times) - lag])
        first, after = np.searchsorted(times, uniform - reach), np.searchsorted(times, uniform + reach)
        counts = after - first
        columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        weights = self._kernel(np.repeat(uniform, counts) - times[columns])
        ends = np.concatenate([[0], np.cumsum(counts)])
        self.to_uniform = csr_matrix((weights, columns, ends), shape=(len(uniform), len(times)))

    def _kernel(self, lag: Floats) -> Floats:
        lag = lag / self.period
        x = np.minimum(np.abs(lag) / _FIT_LOBES, 1.0)
        # Bohman's window is an autocorrelation: its spectrum, and so the kernel's, is nowhere negative.
        window = (1 - x) * np.cos(np.pi * x) + np.sin(np.pi * x) / np.pi
        low = _LOW_BAND * np.sinc(_LOW_BAND * lag)
        return np.asarray(((1 - _HIGH_BAND) * low + _HIGH_BAND * np.sinc(lag)) * window)

    def on_uniform(self, values: Floats, valid: NDArray[np.bool_]) -> Floats:
        """Return the fit, shape ``(uniform, channel)``; in a long run of missing samples a straight line."""
        bands = self.bands.copy()
        bands[0] += np.where(valid, self.noise, 1e6)
        fitted = self.to_uniform @ solveh_banded(bands, values, lower=True, overwrite_ab=True, check_finite=False)
        if self.regular:
            fitted[valid] = values[valid]
        seen = self.times[valid]
        far = _distance(seen, self.uniform) > 1.25 * self.period
        if far.any():
            for channel in range(values.shape[1]):
                fitted[far, channel] = np.interp(self.uniform[far], seen, values[valid, channel])
        return np.asarray(fitted)


def _resample_causal(values: Floats, times: Floats, targets: Floats, target_period: float) -> Floats:
    latest = np.searchsorted(times, targets, side="right") - 1
    slower = _slower_so_far(times, target_period)[np.maximum(latest, 0)]
    centre = targets - _CAUSAL_LOBES * slower
    first = np.searchsorted(times, centre - _CAUSAL_LOBES * slower)
    counts = np.maximum(latest + 1 - first, 0)
    rows = np.repeat(np.arange(len(targets)), counts)
    columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[rows]
    lag = (centre[rows] - times[columns]) / slower[rows]
    spacing = np.minimum(np.diff(times, prepend=times[0] - slower[0])[columns] / slower[rows], 1.5)
    weights = np.sinc(lag) * np.sinc(lag / _CAUSAL_LOBES) * spacing
    ends = np.concatenate([[0], np.cumsum(counts)])
    valid = np.isfinite(values)
    seen, zeroed = valid.astype(np.float64), np.where(valid, values, 0.0)

    def total(weights: Floats, samples: Floats) -> Floats:
        return np.asarray(csr_matrix((weights, columns, ends), shape=(len(targets), len(times))) @ samples)

    gain = total(weights, seen)
    known = (total((np.abs(lag) <= _NEAR).astype(np.float64), seen) > 0) & (gain >= 0.25)
    known &= (centre >= times[0] - 1e-9)[:, None]
    # Jitter and missing samples move the kernel's centre of mass: undone with the slope of a positive kernel.
    hann = np.cos(0.5 * np.pi * lag / _CAUSAL_LOBES) ** 2
    mass, lever, spread = total(hann, seen), total(hann * lag, seen), total(hann * lag**2, seen)
    determinant = spread * mass - lever**2
    slope = mass * total(hann * lag, zeroed) - lever * total(hann, zeroed)
    slope = np.where(determinant > 1e-3, slope / np.where(determinant > 1e-3, determinant, 1.0), 0.0)
    smooth = (total(weights, zeroed) - slope * total(weights * lag, seen)) / np.where(known, gain, 1.0)
    return np.where(known, smooth, np.nan)


def _slower_so_far(times: Floats, target_period: float) -> Floats:
    """Period of the slower clock as known at each sample: geometric mean of the steps so far, little moved by gaps."""
    steps = np.log(np.diff(times))
    known = np.exp(np.cumsum(steps) / np.arange(1, len(times)))
    first = known[:1] if np.isnan(target_period) else np.array([target_period])
    so_far = np.concatenate([first if len(first) else np.ones(1), known])
    return so_far if np.isnan(target_period) else np.maximum(so_far, target_period)
