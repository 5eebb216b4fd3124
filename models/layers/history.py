"""What the recent past of every unit adds to a prediction: filters over lags, and the past seen through them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurodata.checks import check_option
from neurodata.errors import NeurodataError

HISTORIES = ("exponential", "raised_cosine", "learned")


def make_basis(kind: str, n_lags: int, n_filters: int = 4) -> Tensor:
    """Return filters over the last bins, shape ``(lag, filter)``; each sums to 1, and the first lag is one bin ago.

    So a weight is the effect of one event in every bin, whatever the filter.

    Parameters
    ----------
    kind
        ``exponential``: one filter that falls by e per bin. ``raised_cosine``: ``n_filters`` bumps that widen with the
        lag. ``learned``: one filter per lag, from which a network builds kernels of its own.
    n_lags
        Bins that are looked back; 0 gives no filters.
    n_filters
        Bumps; used by ``raised_cosine`` alone.

    Raises
    ------
    NeurodataError
        If there is no such kind, or ``n_lags`` are too few for that many bumps.

    References
    ----------
    Exponential: Li et al. 2024, ICLR ("One-hot generalized linear model for switching brain state discovery"), their
    released code: K = 5 bins, weights exp(-k) normalised to sum 1. Raised cosines in log time: Pillow et al. 2008,
    Nature 454:995-999, Methods.
    """
    check_option("history", kind, HISTORIES)
    if kind == "learned" or n_lags == 0:
        return torch.eye(n_lags)
    lags = torch.arange(1, n_lags + 1, dtype=torch.float64)
    filters = torch.exp(-lags)[:, None] if kind == "exponential" else _bumps(lags, n_filters)
    return (filters / filters.sum(0)).float()


def _bumps(lags: Tensor, n_filters: int) -> Tensor:
    """Raised cosines whose peaks are evenly spaced in the logarithm of the lag, from the first to the last."""
    if not 1 <= n_filters <= len(lags):
        raise NeurodataError(
            f"raised cosines: expected 1 to {len(lags)} bumps over {len(lags)} bins of history, got n_filters={n_filters}"
        )
    where, peaks = lags.log(), torch.linspace(0, math.log(len(lags)), n_filters, dtype=lags.dtype)
    spacing = math.log(len(lags)) / max(1, n_filters - 1) or 1.0
    angle = ((where[:, None] - peaks) * math.pi / (2 * spacing)).clamp(-math.pi, math.pi)
    return (1 + angle.cos()) / 2


def filter_past(values: Tensor, basis: Tensor) -> Tensor:
    """Return every unit's past through every filter, shape ``(sequence, time, unit, filter)``.

    Parameters
    ----------
    values
        Shape ``(sequence, time, unit)``. What lies before the first bin counts as zero.
    basis
        Shape ``(lag, filter)``.
    """
    n_lags, n_filters = basis.shape
    past = values.new_zeros((*values.shape, n_filters))
    for lag in range(1, min(n_lags, values.shape[1] - 1) + 1):
        past[:, lag:] += values[:, :-lag, :, None] * basis[lag - 1]
    return past
