"""How fast each neuron changes: slopes of traces, smoothed, free of slow drift, and of unit spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError

Floats = NDArray[np.float64]

_REACH = 4.0
"""Standard deviations after which the smoothing kernel ends, as in scipy.ndimage's Gaussian filters."""
_SHORTEST_FRAMES = 0.3
"""A narrower kernel than this would leave the frames beside a frame less than 1/250 of its weight."""
_STILL = 1e-9
"""Changes below this share of a trace's own spread are rounding."""


def changes(
    traces: NDArray[np.floating],
    rate_hz: float,
    *,
    smooth_seconds: float = 0.5,
    detrend_seconds: float | None = None,
    what: str = "traces",
) -> Floats:
    """Return how fast each neuron changes, in units of its own spread.

    The change at a frame is the slope of the line fitted around it with Gaussian weights. Away from gaps that is the
    derivative of the trace smoothed by a Gaussian; beside a gap, or at the ends, it stays free of bias.

    Parameters
    ----------
    traces
        One animal's activity, any unit, NaN where missing, shape ``(time, neuron)``.
    rate_hz
        Frames per second.
    smooth_seconds
        Standard deviation of the Gaussian weights.
    detrend_seconds
        Width of the running mean that is taken off the slopes, against bleaching and slow drift; None leaves them.
    what
        What errors call the traces.

    Returns
    -------
    changes
        Slopes of unit standard deviation per neuron, shape ``(time, neuron)``; NaN where a frame is missing or stands
        alone.

    Raises
    ------
    NeurodataError
        If the shape is another, a value is infinite, a recorded neuron never changes, or there are fewer frames than
        the smoothing needs.
    """
    values = _checked(traces, what)
    sigma = _sigma_frames(rate_hz, smooth_seconds, len(values), what)
    slopes = _local_slopes(values, sigma)
    if detrend_seconds is not None:
        if not detrend_seconds > 2 * smooth_seconds:
            raise NeurodataError(
                f"detrend_seconds must be more than twice smooth_seconds ({smooth_seconds:g} s), else the changes "
                f"themselves are taken off; got {detrend_seconds!r}"
            )
        slopes -= _running_mean(slopes, max(1, round(detrend_seconds * rate_hz / 2)))
    return _unit_spread(slopes, values, what)


def _checked(traces: NDArray[np.floating], what: str) -> Floats:
    values = np.asarray(traces, np.float64)
    if values.ndim != 2:
        raise NeurodataError(f"expected {what} of shape (time, neuron), got {values.shape}")
    if values.shape[1] < 2:
        raise NeurodataError(f"{what}: affinities are between neurons; expected two or more, got {values.shape[1]}")
    if np.isinf(values).any():
        time, neuron = np.argwhere(np.isinf(values))[0]
        raise NeurodataError(f"{what}: frame {time} of neuron {neuron} is infinite; missing values are NaN")
    return values


def _sigma_frames(rate_hz: float, smooth_seconds: float, n_frames: int, what: str) -> float:
    check_positive("rate_hz", rate_hz)
    check_positive("smooth_seconds", smooth_seconds)
    sigma = smooth_seconds * rate_hz
    if sigma < _SHORTEST_FRAMES:
        raise NeurodataError(
            f"smooth_seconds={smooth_seconds:g} is {sigma:.2g} frames at {rate_hz:g} Hz, too little to smooth; give "
            f"{_SHORTEST_FRAMES / rate_hz:.2g} s or more"
        )
    needed = 2 * int(np.ceil(_REACH * sigma)) + 1
    if n_frames < needed:
        raise NeurodataError(
            f"{what}: {n_frames} frames are too short for smooth_seconds={smooth_seconds:g}, which takes {needed} frames "
            f"at {rate_hz:g} Hz; give longer traces or less smoothing"
        )
    return sigma


def _local_slopes(values: Floats, sigma: float) -> Floats:
    """Slope per frame of the weighted least-squares line around each frame, over the frames that are there."""
    there = np.isfinite(values)
    n_there = np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, values - np.where(there, values, 0.0).sum(axis=0) / n_there, 0.0)  # for rounding's sake
    lag = np.arange(-np.ceil(_REACH * sigma), np.ceil(_REACH * sigma) + 1)
    weight = np.exp(-0.5 * (lag / sigma) ** 2)
    count, first, second = (_summed(there.astype(np.float64), weight * lag**power) for power in range(3))
    value, moment = (_summed(centred, weight * lag**power) for power in range(2))
    spread = count * second - first**2
    known = there & (spread > 1e-12 * np.square(weight @ np.abs(lag)))
    return np.asarray(np.where(known, count * moment - first * value, np.nan) / np.where(known, spread, 1.0))


def _summed(values: Floats, weights: Floats) -> Floats:
    return np.asarray(correlate1d(values, weights, axis=0, mode="constant", cval=0.0))


def _running_mean(values: Floats, half: int) -> Floats:
    """Mean over at most ``half`` frames on either side, of those that are there."""
    there = np.isfinite(values)
    sums = np.cumsum(np.where(there, values, 0.0), axis=0)
    counts = np.cumsum(there, axis=0)
    after = np.minimum(np.arange(len(values)) + half, len(values) - 1)
    before = np.arange(len(values)) - half - 1
    inside = (before >= 0)[:, None]
    total = sums[after] - np.where(inside, sums[before], 0.0)
    number = counts[after] - np.where(inside, counts[before], 0)
    return np.asarray(total / np.maximum(number, 1))


def _unit_spread(slopes: Floats, values: Floats, what: str) -> Floats:
    there = np.isfinite(slopes)
    n_there = there.sum(axis=0)
    mean = np.where(there, slopes, 0.0).sum(axis=0) / np.maximum(n_there, 1)
    spread = np.sqrt(np.where(there, (slopes - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n_there, 1))
    largest = np.max(np.abs(values), axis=0, initial=0.0, where=np.isfinite(values))
    still = np.flatnonzero((n_there > 0) & (spread <= _STILL * largest))
    if len(still):
        raise NeurodataError(
            f"{what}: neuron {', '.join(map(str, still[:10]))} never changes; a neuron that was not recorded is NaN, "
            "not a constant"
        )
    return np.asarray(slopes / np.where(n_there > 0, spread, 1.0))
