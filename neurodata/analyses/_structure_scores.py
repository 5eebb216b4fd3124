"""How well functional values of pairs tell their connections: Pearson, Spearman, and the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurodata.analyses._nulls import degree_matched

STATISTICS = ("auc", "spearman", "pearson")
NULLS = ("labels", "degree")


class PairScorer:
    """Scores of connections against the same functional values again and again.

    Parameters
    ----------
    functional
        Value of each pair, NaN where there is none, shape ``(pair,)``.
    """

    def __init__(self, functional: NDArray[np.float64]) -> None:
        self.there = np.isfinite(functional)
        self.functional = functional
        self._prepare(functional[self.there])

    def _prepare(self, values: NDArray[np.float64]) -> None:
        self._ranks = rankdata(values)
        self._standard, self._standard_ranks = _standardise(values), _standardise(self._ranks)

    def scores(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return AUC, Spearman and Pearson of connections of shape ``(pair,)``; pairs that are NaN are left out.

        The AUC is the chance that a connected pair has a larger value than one that is not (ties count half): 1 is
        perfect, 0.5 is chance. NaN where all pairs or none are connected.
        """
        chosen = weights[self.there]
        unknown = np.isnan(chosen)
        if unknown.any():
            return PairScorer(np.where(np.isfinite(weights), self.functional, np.nan)).scores(np.nan_to_num(weights))
        connected = chosen != 0
        n_one = int(connected.sum())
        n_none = len(chosen) - n_one
        if n_one == 0 or n_none == 0:
            return np.full(3, np.nan)
        auc = (self._ranks[connected].sum() - n_one * (n_one + 1) / 2) / (n_one * n_none)
        spearman = self._standard_ranks @ _standardise(rankdata(chosen))
        return np.array([auc, spearman, self._standard @ _standardise(chosen)])


def _standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of mean 0 and length 1, so that a product of two is their correlation; zeros where all are equal."""
    centred = values - values.mean() if values.size else values
    length = float(np.sqrt(centred @ centred))
    return centred / length if length > 1e-300 else np.zeros_like(centred)


def null_scores(
    matrix: NDArray[np.float64],
    pairs: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    scorer: PairScorer,
    n_nulls: int,
    rng: np.random.Generator,
    kind: str,
) -> NDArray[np.float64]:
    """Return scores of shuffled connections, shape ``(null, statistic)``; see `shuffled`."""
    return np.array([scorer.scores(pairs(one)) for one in shuffled(matrix, n_nulls, rng, kind)]).reshape(n_nulls, 3)


def shuffled(matrix: NDArray[np.float64], n: int, rng: np.random.Generator, kind: str) -> Iterator[NDArray[np.float64]]:
    """Yield shuffled graphs: the nodes change places (``labels``), or each keeps its number of partners (``degree``)."""
    if kind == "labels":
        for _ in range(n):
            places = rng.permutation(len(matrix))
            yield matrix[np.ix_(places, places)]
        return
    directed = not np.array_equal(matrix, matrix.T, equal_nan=True)
    current = degree_matched(matrix, rng, directed)
    for _ in range(n):
        yield current
        current = degree_matched(current, rng, directed, swaps_per_edge=1.0)  # a chain that has forgotten its start


def against(value: float, null: NDArray[np.float64], name: str) -> dict[str, float]:
    """Return mean and spread of a null, and how far from it a value lies: z, and two-sided p, which is never 0.

    Distances for p are from the mean of the nulls and the value together: were it one of them, each of all would be as
    likely to lie farthest out, so that p is uniform.
    """
    known = null[np.isfinite(null)]
    if known.size == 0:
        return {f"{name}_{part}": np.nan for part in ("mean", "sd", "z", "p")}
    mean, spread = float(known.mean()), float(known.std(ddof=1)) if known.size > 1 else np.nan
    middle = (known.sum() + value) / (known.size + 1)
    beyond = int((np.abs(known - middle) >= abs(value - middle)).sum())
    z = (value - mean) / spread if spread > 0 else np.nan
    return {f"{name}_mean": mean, f"{name}_sd": spread, f"{name}_z": z, f"{name}_p": (1 + beyond) / (1 + known.size)}
