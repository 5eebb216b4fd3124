"""Samples of a signal around moments: its own, interpolated, or averaged in bins; only the rows needed are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.recording._align_spikes import Floats, Positions, spans
from neurodata.recording.bins import ON_EDGE_SECONDS
from neurodata.recording.clock import Clock
from neurodata.recording.time_index import clock_of

_NEAR = 0.75
"""A target counts as recorded if a sample lies within this many periods of the slower clock, as when windows are
resampled."""
_SAME_SAMPLE = 1e-6
"""Periods by which a target may miss a sample and still be that sample: rounding at 100 000 s and 30 kHz is 5e-7."""
_BLOCK_BYTES = 64_000_000


def median_rate_hz(signal: xr.DataArray) -> float:
    """Return a signal's rate; for an irregular one that of its median step, infinite with fewer than two samples."""
    clock = clock_of(signal)
    if clock is not None:
        return clock.sampling_rate_hz
    times = np.asarray(signal[names.TIME].values)
    return float(1.0 / np.median(np.diff(times))) if len(times) > 1 else float("inf")


def own_samples(
    signal: xr.DataArray, clock: Clock, times: Floats, steps: Positions
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the samples around the one nearest to each moment.

    Parameters
    ----------
    signal
        ``(time, channel)``, floats, may be lazy.
    clock
        Its clock.
    times
        Moments in seconds, shape ``(event,)``.
    steps
        Samples wanted, counted from the nearest one, consecutive, shape ``(step,)``.

    Returns
    -------
    values
        Shape ``(event, step, channel)``; NaN outside the recording and in its gaps. After a gap the samples are those
        nearest to where they should be.
    offsets
        Nearest sample's time less the moment, in seconds, shape ``(event,)``; NaN where no sample is near.
    """
    rate_hz = clock.sampling_rate_hz
    starts, firsts = clock.segments()
    lengths = np.diff(np.append(firsts, clock.size))
    reach = (np.array([steps[0], steps[-1]]) + np.array([-1, 1])) / rate_hz
    low = np.searchsorted(starts + lengths / rate_hz, times + reach[0])
    counts = np.maximum(np.searchsorted(starts, times + reach[1], side="right") - low, 0)
    event = np.repeat(np.arange(len(times)), counts)
    segment = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    # Half a period away on both sides: the earlier sample, as in `Clock.positions`.
    place = np.ceil((times[event] - starts[segment]) * rate_hz - 0.5 - _SAME_SAMPLE).astype(np.int64)
    begin = np.maximum(steps[0], -place)
    count = np.maximum(np.minimum(steps[-1] + 1, lengths[segment] - place) - begin, 0)
    values = _empty(signal, len(times), len(steps))
    row, column = firsts[segment] + place + begin, begin - steps[0]
    for members, at, block in _blocks(signal, row, row + count):
        for i in members.tolist():
            values[event[i], column[i] : column[i] + count[i]] = block[row[i] - at : row[i] - at + count[i]]
    offsets = np.full(len(times), np.nan)
    inside = (place >= 0) & (place < lengths[segment])
    offsets[event[inside]] = (starts[segment] + place / rate_hz - times[event])[inside]
    return values, offsets


def interpolated(signal: xr.DataArray, targets: Floats) -> NDArray[Any]:
    """Return a signal at other times, on the straight line between the two samples beside each.

    Parameters
    ----------
    signal
        ``(time, channel)``, floats, may be lazy.
    targets
        Times in seconds, shape ``(event, step)``.

    Returns
    -------
    values
        Shape ``(event, step, channel)``; NaN before the first and after the last sample, in gaps, and beside a missing
        sample (a target on a sample needs that one only).
    """
    left, share, valid = _neighbours(signal, targets)
    values = _empty(signal, *targets.shape)
    last = signal.sizes[names.TIME] - 1
    right = np.minimum(left + (share > 0), last)
    first = np.where(valid, left, last + 1).min(axis=1, initial=last + 1)
    after = np.where(valid, right, -1).max(axis=1, initial=-1) + 1
    for members, at, block in _blocks(signal, first, after):
        for event in members.tolist():
            kept = valid[event]
            one, other = block[left[event, kept] - at], block[right[event, kept] - at]
            weight = share[event, kept][:, None]
            values[event, kept] = np.where(weight > 0, (1 - weight) * one + weight * other, one)
    return values


def averaged(signal: xr.DataArray, edges: Floats, rate_hz: float) -> NDArray[Any]:
    """Return a signal's mean in bins, the plainest low-pass there is.

    Parameters
    ----------
    signal
        ``(time, channel)``, floats, may be lazy.
    edges
        Bin edges in seconds, shape ``(event, bin + 1)``; a sample on an edge belongs to the later bin.
    rate_hz
        Rate of the bins.

    Returns
    -------
    values
        Shape ``(event, bin, channel)``: mean of a bin's finite samples, NaN where it holds fewer than half as many as
        the signal's rate (of an irregular one, its median rate) promises.
    """
    values = _empty(signal, edges.shape[0], edges.shape[1] - 1)
    enough = 0.5 * median_rate_hz(signal) / rate_hz - _SAME_SAMPLE
    positions = _positions_before(signal, edges)
    for members, at, block in _blocks(signal, positions[:, 0], positions[:, -1]):
        for event in members.tolist():
            rows = positions[event] - positions[event, 0]
            filled = np.flatnonzero(rows[1:] > rows[:-1])
            begin = positions[event, 0] - at
            samples = block[begin : begin + rows[-1]].astype(np.float64)
            finite = np.isfinite(samples)
            # The bins that hold samples are back to back, so each one's end is the next one's start.
            total = np.add.reduceat(np.where(finite, samples, 0.0), rows[filled])
            number = np.add.reduceat(finite.astype(np.int64), rows[filled])
            values[event, filled] = np.where(number >= max(enough, 1), total / np.maximum(number, 1), np.nan)
    return values


def _empty(signal: xr.DataArray, n_events: int, n_steps: int) -> NDArray[Any]:
    return np.full((n_events, n_steps, signal.sizes[names.CHANNEL]), np.nan, signal.dtype)


def _blocks(
    signal: xr.DataArray, first: Positions, after: Positions
) -> Iterator[tuple[NDArray[np.int64], int, NDArray[Any]]]:
    """Rows of a signal that ranges ask for, ranges that overlap read once: their numbers, first row and values."""
    row_bytes = max(1, signal.sizes[names.CHANNEL] * signal.dtype.itemsize)
    for members, begin, end in spans(first, after, 0, max(1, _BLOCK_BYTES // row_bytes)):
        yield members, begin, np.asarray(signal.variable[begin:end].values)


def _positions_before(signal: xr.DataArray, edges: Floats) -> Positions:
    """Samples taken before each edge."""
    clock = clock_of(signal)
    if clock is None:
        times = np.asarray(signal[names.TIME].values)
        return np.asarray(np.searchsorted(times, edges - ON_EDGE_SECONDS), np.int64)
    starts, firsts = clock.segments()
    lengths = np.diff(np.append(firsts, clock.size))
    segment = np.maximum(np.searchsorted(starts, edges, side="right") - 1, 0)
    local = np.ceil((edges - ON_EDGE_SECONDS - starts[segment]) * clock.sampling_rate_hz)
    return np.asarray(firsts[segment] + np.clip(local, 0, lengths[segment]).astype(np.int64))


def _neighbours(signal: xr.DataArray, targets: Floats) -> tuple[Positions, Floats, NDArray[np.bool_]]:
    """Position of the sample before each target, the share of the way to the next one, and whether it is recorded."""
    clock, size = clock_of(signal), signal.sizes[names.TIME]
    if size == 0:
        return np.zeros(targets.shape, np.int64), np.zeros(targets.shape), np.zeros(targets.shape, np.bool_)
    if clock is not None:
        starts, firsts = clock.segments()
        lengths = np.diff(np.append(firsts, clock.size))
        segment = np.maximum(np.searchsorted(starts, targets + ON_EDGE_SECONDS, side="right") - 1, 0)
        local = _snapped((targets - starts[segment]) * clock.sampling_rate_hz)
        valid = (local >= 0) & (local <= lengths[segment] - 1)
        left = np.floor(np.where(valid, local, 0)).astype(np.int64)
        return firsts[segment] + left, np.where(valid, local - left, 0.0), valid
    times = np.asarray(signal[names.TIME].values)
    left = np.clip(np.searchsorted(times, targets + ON_EDGE_SECONDS, side="right") - 1, 0, max(size - 2, 0))
    step = times[np.minimum(left + 1, size - 1)] - times[left]
    share = _snapped((targets - times[left]) / np.where(step > 0, step, 1.0))
    valid = (share >= 0) & (share <= (1 if size > 1 else 0))
    typical = 1.0 / median_rate_hz(signal) if size > 1 else 0.0
    wanted = float(np.diff(targets[0]).mean()) if targets.shape[0] and targets.shape[1] > 1 else 0.0
    valid &= np.minimum(share, 1 - share) * step <= _NEAR * max(typical, wanted) + ON_EDGE_SECONDS
    on_next = valid & (share == 1)
    return left + on_next, np.where(valid & ~on_next, share, 0.0), valid


def _snapped(places: Floats) -> Floats:
    """Places between samples, those a rounding error away from a sample on it."""
    whole = np.rint(places)
    return np.asarray(np.where(np.abs(places - whole) <= _SAME_SAMPLE, whole, places))
