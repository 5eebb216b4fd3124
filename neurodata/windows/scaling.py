"""Mean and standard deviation per channel, from training windows only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import NeurodataError

_FLOOR = 1e-6
"""Smallest standard deviation divided by, as a share of the largest; a constant channel becomes 0."""


@dataclass(frozen=True)
class Scaling:
    """``(value - mean) / std`` per channel id.

    Parameters
    ----------
    mean, std
        In the units of the signal, shape ``(channel id,)``; ids never seen in training get the mean and spread of
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


def fit_scaling(
    pieces: Iterable[tuple[NDArray[np.floating], NDArray[np.int64]]], n_channel_ids: int, fitted_on: str
) -> Scaling:
    """Fit mean and standard deviation per channel id.

    Parameters
    ----------
    pieces
        Values ``(time, channel)``, not finite where missing, and the channels' ids ``(channel,)``, of training stretches.
    n_channel_ids
        Number of ids, the unknown one included.
    fitted_on
        Which data these are, in words.

    Raises
    ------
    NeurodataError
        If there is not one finite value.
    """
    count, total, squares = (np.zeros(n_channel_ids) for _ in range(3))
    pieces = [(np.where(np.isfinite(values), values, np.nan).astype(np.float64), ids) for values, ids in pieces]
    for values, ids in pieces:
        np.add.at(count, ids, np.isfinite(values).sum(0))
        np.add.at(total, ids, np.nansum(values, 0))
    if not count.any():
        raise NeurodataError(f"no recorded value to fit the scaling on ({fitted_on})")
    pooled = total.sum() / count.sum()
    mean = np.divide(total, count, out=np.full(n_channel_ids, pooled), where=count > 0)
    for values, ids in pieces:
        np.add.at(squares, ids, np.nansum((values - mean[ids]) ** 2, 0))
    spread = np.sqrt(squares.sum() / count.sum())
    std = np.sqrt(np.divide(squares, count, out=np.full(n_channel_ids, spread**2), where=count > 1))
    std[std <= _FLOOR * max(std.max(), np.finfo(float).tiny)] = 1.0
    mean[0], std[0] = (pooled, spread or 1.0) if count[0] == 0 else (mean[0], std[0])
    return Scaling(mean, std, fitted_on)


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
