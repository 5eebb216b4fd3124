"""Functional matrices of one animal: which neurons go together in its traces."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import ledoit_wolf

from neurodata import names as words
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError

MEASURES = ("covariance", "correlation", "partial_correlation")
_STATE_SECONDS = (0.0, 2.0, 5.0, 15.0)
"""How long a state is remembered: calcium indicators decay within seconds (nuclear GCaMP about 2)."""


def make_functional(
    traces: ArrayLike, labels: Sequence[str], *, measure: str = "correlation", given: ArrayLike | None = None
) -> xr.DataArray:
    """Return how the named neurons of one animal go together.

    Parameters
    ----------
    traces
        Activity, shape ``(time, channel)``; NaN where a neuron was lost.
    labels
        Canonical names, empty where a channel has none, shape ``(channel,)``.
    measure
        ``"covariance"``; ``"correlation"`` (of moments at which both neurons were seen), which does not ask how bright a
        neuron is; ``"partial_correlation"``, what is left of it when all other recorded channels, named or not, are
        known: from the inverse of the covariance after the shrinkage of Ledoit & Wolf 2004 (J Multivar Anal 88:365-411),
        gaps at the mean.
    given
        What is known to drive the neurons, shape ``(time, regressor)`` without gaps: regressed out of every trace first.

    Returns
    -------
    functional
        Symmetric, dimensions ``("pre", "post")`` with the names, NaN on the diagonal and where there is nothing to tell.

    Raises
    ------
    NeurodataError
        If shapes do not fit, a name comes twice, fewer than two neurons are named, or there is no such measure.
    """
    check_option("functional measure", measure, MEASURES)
    values = np.array(traces, dtype=np.float64)
    names = np.array([str(label) for label in labels], dtype=np.str_)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise NeurodataError(
            f"traces are (time, channel) with a label per channel, got {values.shape} and {len(names)} labels"
        )
    named = np.flatnonzero(names != "")
    if len(named) < 2 or len(set(names[named])) < len(named):
        raise NeurodataError(
            f"expected two named channels or more, each name once, got {len(named)} named: {', '.join(sorted(names[named])[:10]) or 'none'}"
        )
    if given is not None:
        values = _without(values, np.asarray(given, dtype=np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel of nothing but NaN stays NaN
        values -= np.nanmean(values, axis=0)
        spread = np.nanstd(values, axis=0)
    lively = spread > 1e-12
    if measure != "covariance":
        values = np.where(lively, values / np.where(lively, spread, 1.0), np.nan)
    full = _partial(values, lively) if measure == "partial_correlation" else _pairwise(values, measure)
    chosen = full[np.ix_(named, named)]
    np.fill_diagonal(chosen, np.nan)
    coordinates = {words.PRE: names[named], words.POST: names[named]}
    return xr.DataArray(chosen, coordinates, (words.PRE, words.POST), name=measure, attrs={"measure": measure})


def state_regressors(states: ArrayLike, rate_hz: float) -> NDArray[np.float64]:
    """Return regressors for neurons that follow known states slowly.

    Parameters
    ----------
    states
        Code of the state at each sample, negative where it is unknown, shape ``(time,)``.
    rate_hz
        Samples per second.

    Returns
    -------
    regressors
        One column per state and memory (0, 2, 5 and 15 s): 1 in the state, decaying after it. Shape
        ``(time, regressor)``.
    """
    check_positive("rate_hz", rate_hz)
    codes = np.asarray(states)
    present = (codes[:, None] == np.unique(codes[codes >= 0])).astype(np.float64)
    columns = []
    for seconds in _STATE_SECONDS:
        keep = np.exp(-1 / (rate_hz * seconds)) if seconds else 0.0
        smooth = np.empty_like(present)
        value = present[0]
        for i, now in enumerate(present):
            value = keep * value + (1 - keep) * now
            smooth[i] = value
        columns.append(smooth)
    return np.concatenate(columns, axis=1)


def _without(values: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    if given.ndim != 2 or len(given) != len(values) or not np.isfinite(given).all():
        raise NeurodataError(
            f"given is (time, regressor) without gaps and as long as the traces ({len(values)} samples), got shape {given.shape}"
        )
    regressors = np.column_stack([np.ones(len(given)), given])
    gaps = np.isnan(values)
    whole = ~gaps.any(axis=0)
    left = values.copy()
    left[:, whole] -= regressors @ np.linalg.lstsq(regressors, values[:, whole], rcond=None)[0]
    for channel in np.flatnonzero(~whole):
        there = ~gaps[:, channel]
        weights = np.linalg.lstsq(regressors[there], values[there, channel], rcond=None)[0]
        left[there, channel] -= regressors[there] @ weights
    return left


def _pairwise(values: NDArray[np.float64], measure: str) -> NDArray[np.float64]:
    """Covariance (correlation) over the moments at which both neurons were seen."""
    there = np.isfinite(values)
    filled, seen = np.where(there, values, 0.0), there.astype(np.float64)
    n_both = seen.T @ seen
    with np.errstate(invalid="ignore", divide="ignore"):
        one, two = (filled.T @ seen) / n_both, (seen.T @ filled) / n_both
        shared = (filled.T @ filled) / n_both - one * two
        if measure == "correlation":
            square = ((filled**2).T @ seen) / n_both - one**2
            shared = shared / np.sqrt(square * square.T)
    return np.where(n_both > 2, shared, np.nan)


def _partial(values: NDArray[np.float64], lively: NDArray[np.bool_]) -> NDArray[np.float64]:
    covariance, _ = ledoit_wolf(np.nan_to_num(values[:, lively]), assume_centered=True)
    precision = np.linalg.inv(covariance)
    scale = np.sqrt(np.diag(precision))
    partial = np.full((values.shape[1],) * 2, np.nan)
    partial[np.ix_(lively, lively)] = -precision / np.outer(scale, scale)
    return partial
