"""Centre and spread per channel, from training windows only: mean and standard deviation, or median and quartiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import NeurodataError
from neurodata.windows.quartiles import Piece, quartiles

_FLOOR = 1e-6
"""Smallest standard deviation divided by, as a share of the largest; a constant channel becomes 0."""

_ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""A smaller spread, as a share of the mean, is what rounding leaves of a constant."""

_NORMAL_RANGE = 2 * NormalDist().inv_cdf(0.75)
"""Interquartile range of a normal distribution whose standard deviation is 1: 1.349."""

_BLOCK, _WIDE = 1 << 18, 256
"""Values looked at at once (2 MiB as float64), and columns from which on sums over rows are fast."""


@dataclass(frozen=True)
class Scaling:
    """``(value - mean) / std`` per channel id.

    Parameters
    ----------
    mean, std
        Centre and spread in the units of the signal, shape ``(channel id,)``; ids never seen in training get those of
        all others, and so does id 0, the unknown channel.
    fitted_on
        What the statistics were computed from, in words.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    fitted_on: str

    def apply(self, values: NDArray[np.floating], channel_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return scaled values, shape of ``values`` ``(time, channel)``; NaN stays NaN."""
        scaled = (values - self.mean[channel_ids]) / self.std[channel_ids]
        return scaled.astype(np.float32)


def fit_scaling(pieces: Iterable[Piece], n_channel_ids: int, fitted_on: str) -> Scaling:
    """Fit mean and standard deviation per channel id.

    Parameters
    ----------
    pieces
        Values ``(time, channel)``, not finite where missing, and the channels' ids ``(channel,)``, of training stretches;
        each is looked at once, a block at a time, so it may be a mapped file larger than memory.
    n_channel_ids
        Number of ids, the unknown one included.
    fitted_on
        Which data these are, in words.

    Raises
    ------
    NeurodataError
        If there is not one finite value.
    """
    count, mean, squares = _moments_by_identity(pieces, n_channel_ids, fitted_on)
    pooled, spread = (count * mean).sum() / count.sum(), np.sqrt(squares.sum() / count.sum())
    mean = np.where(count > 0, mean, pooled)
    std = np.sqrt(np.divide(squares, count, out=np.full(n_channel_ids, spread**2), where=count > 1))
    std[std <= np.maximum(_FLOOR * max(std.max(), np.finfo(float).tiny), _ROUNDING * abs(mean))] = 1.0
    mean[0], std[0] = (pooled, spread or 1.0) if count[0] == 0 else (mean[0], std[0])
    return Scaling(mean, std, fitted_on)


def fit_robust_scaling(pieces: Callable[[], Iterable[Piece]], n_channel_ids: int, fitted_on: str) -> Scaling:
    """Fit median and interquartile range per channel id, which a few artefacts do not move.

    ``mean`` is the median and ``std`` the interquartile range / 1.349, which is the standard deviation where values are
    normal. Both are exact (see `neurodata.windows.quartiles.quartiles`). An id whose quartiles are one value, such as a
    unit that is silent in three bins of four, gets its standard deviation instead, which is not robust; one that never
    changes gets 1, so it becomes 0. Ids never seen get the median of the others' medians and of their spreads, each id
    counting once; with a single value, of their spreads.

    Parameters
    ----------
    pieces
        Called five times for the pieces that `fit_scaling` takes, values as float32.
    n_channel_ids, fitted_on
        As in `fit_scaling`.

    Raises
    ------
    NeurodataError
        If there is not one finite value.
    """
    count, mean, squares = _moments_by_identity(pieces(), n_channel_ids, fitted_on)
    low, middle, high = quartiles(pieces, n_channel_ids)
    seen = count > 0
    spread = np.where(seen, high - low, 0.0) / _NORMAL_RANGE
    deviation = np.sqrt(squares / np.maximum(count, 1))
    deviation[deviation <= _ROUNDING * abs(mean)] = 0.0
    # Not a share of the largest as in `fit_scaling`: one wild channel would make all others constant.
    floor = _FLOOR * _median_above_0(spread if spread.any() else deviation)
    std = np.where(spread > floor, spread, np.where(deviation > floor, deviation, 0.0))
    std = np.where(count > 1, std, _median_above_0(std))  # one value has no spread of its own
    return Scaling(np.where(seen, middle, np.median(middle[seen])), np.where(std > 0, std, 1.0), fitted_on)


def _median_above_0(spreads: NDArray[np.float64]) -> float:
    """Median of the spreads that are not 0; 0 where all are."""
    return float(np.median(spreads[spreads > 0])) if spreads.any() else 0.0


def _moments_by_identity(pieces: Iterable[Piece], n_channel_ids: int, fitted_on: str) -> NDArray[np.float64]:
    """Count, mean and sum of squared deviations of each id's finite values, ``(3, channel id)``."""
    moments = np.zeros((3, n_channel_ids))
    for values, ids in pieces:
        present, merged = _by_identity(_moments_of(values), np.asarray(ids))
        moments[:, present] = _merged(moments[:, present], merged)
    if not moments[0].any():
        raise NeurodataError(f"no recorded value to fit the scaling on ({fitted_on})")
    return moments


def _moments_of(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Count, mean and sum of squared deviations of each channel's finite values, ``(3, channel)``.

    Values may be a mapped file far larger than memory: a block at a time is looked at.
    """
    n_samples, n_channels = values.shape
    moments = np.zeros((3, n_channels))
    folds = max(1, _WIDE // max(1, n_channels))
    most = max(1, _BLOCK // max(1, n_channels) // folds) * folds
    buffer = np.empty((min(most, n_samples), n_channels))
    first = 0
    while first < n_samples and n_channels:
        rows = min(most, n_samples - first)
        rows = rows // folds * folds or rows
        buffer[:rows] = values[first : first + rows]
        moments = _merged(moments, _block_moments(buffer[:rows], folds if rows % folds == 0 else 1))
        first += rows
    return moments


def _block_moments(block: NDArray[np.float64], folds: int) -> NDArray[np.float64]:
    """Moments of one block, which is overwritten; ``folds`` rows are laid side by side, sums over few columns are slow."""
    n_samples, n_channels = block.shape
    wide = block.reshape(-1, folds * n_channels)
    with np.errstate(invalid="ignore"):  # infinities of both signs
        total = np.add.reduce(wide, axis=0).reshape(folds, n_channels).sum(0)
    if not np.isfinite(total).all():
        return _block_moments_with_gaps(block)
    count, mean = np.full(n_channels, float(n_samples)), total / n_samples
    wide -= np.tile(mean, folds)
    rest = np.add.reduce(wide, axis=0).reshape(folds, n_channels).sum(0)
    squares = np.einsum("ij,ij->j", wide, wide).reshape(folds, n_channels).sum(0)
    return _corrected(count, mean, rest, squares)


def _block_moments_with_gaps(block: NDArray[np.float64]) -> NDArray[np.float64]:
    missing = ~np.isfinite(block)
    count = np.asarray(len(block) - missing.sum(0), dtype=np.float64)
    block[missing] = 0.0
    mean = block.sum(0) / np.maximum(count, 1)
    block -= mean
    block[missing] = 0.0
    return _corrected(count, mean, block.sum(0), np.einsum("ij,ij->j", block, block))


def _corrected(
    count: NDArray[np.float64], mean: NDArray[np.float64], rest: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Moments without what rounding left of the mean: ``rest`` is the sum of the deviations, 0 but for it.

    References
    ----------
    Chan, Golub, LeVeque 1983, The American Statistician 37:242, equation 1.7.
    """
    left = rest / np.maximum(count, 1)
    return np.stack([count, mean + left, np.maximum(squares - rest * left, 0.0)])


def _merged(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moments of two sets of values together.

    References
    ----------
    Chan, Golub, LeVeque 1983, The American Statistician 37:242, equation 2.1: no large numbers are subtracted.
    """
    count = one[0] + other[0]
    share = np.divide(other[0], count, out=np.zeros_like(count), where=count > 0)
    apart = other[1] - one[1]
    return np.stack([count, one[1] + apart * share, one[2] + other[2] + apart**2 * one[0] * share])


def _by_identity(moments: NDArray[np.float64], ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ids that occur, and the moments of all channels of each: several may be the unknown one."""
    present, place = np.unique(ids, return_inverse=True)
    count, mean, squares = moments
    counts = np.bincount(place, count, present.size)
    means = np.bincount(place, count * mean, present.size) / np.maximum(counts, 1)
    apart = np.bincount(place, squares + count * (mean - means[place]) ** 2, present.size)
    return present, np.stack([counts, means, apart])


def fit_per_channel(values: NDArray[np.floating], fitted_on: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each channel's own mean and standard deviation, both ``(channel,)``; raises as `fit_scaling` does.

    Parameters
    ----------
    values
        ``(time, channel)`` with NaN where missing.
    fitted_on
        Which data these are, in words.
    """
    n_channels = values.shape[1]
    scaling = fit_scaling([(values, np.arange(1, n_channels + 1))], n_channels + 1, fitted_on)
    return scaling.mean[1:], scaling.std[1:]
