"""What it costs, in nats, to describe a weighted graph whose nodes are in blocks; parameters are integrated out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph, and which of the block models describes it.

    Parameters
    ----------
    present
        1 where a pair is joined, shape ``(node, node)``, symmetric, diagonal 0.
    weight
        Weights in units of their mean, 0 where a pair is not joined, same shape.
    observed
        1 where it is known whether a pair is joined, same shape, diagonal 0.
    degree
        Joined pairs per node in the whole graph, shape ``(node,)``.
    density
        Joined pairs expected between two nodes, self-pairs counted half, ``2 E / N**2`` of the whole graph.
    log_factorial
        ``log k!`` at place ``k``.
    corrected, weighted
        Whether degrees are free within a block, and whether weights are described besides presence.
    """

    present: Ints
    weight: Floats
    observed: Ints
    degree: Ints
    density: float
    log_factorial: Floats
    corrected: bool
    weighted: bool

    @property
    def n_nodes(self) -> int:
        """How many nodes there are."""
        return len(self.degree)

    def select(self, nodes: Ints) -> Graph:
        """Return the graph of some nodes; degrees, density and the unit of weight stay those of the whole."""
        inside = np.ix_(nodes, nodes)
        return replace(
            self,
            present=self.present[inside],
            weight=self.weight[inside],
            observed=self.observed[inside],
            degree=self.degree[nodes],
        )

    def cost_of_pairs(self, joined: Any, weight: Any, pairs: Any) -> Any:
        """Cost of sets of pairs that each share one density and one mean weight.

        Plain: ``joined`` of ``pairs`` are joined, density Beta(1, 1). Corrected: Poisson with exposure ``pairs`` and
        an exponential prior whose mean is the graph's density. Weights: exponential, rate Gamma(1, 1) in units of the
        mean weight. All three integrals are closed; a set without pairs costs nothing.
        """
        log_factorial = self.log_factorial
        if self.corrected:
            cost = np.log(self.density) + (1 + joined) * np.log(1 / self.density + pairs) - log_factorial[joined]
        else:
            cost = log_factorial[pairs + 1] - log_factorial[joined] - log_factorial[pairs - joined]
        if self.weighted:
            cost = cost + (1 + joined) * np.log1p(weight) - log_factorial[joined]
        return cost

    def cost_of_degrees(self, size: Any, ends: Any) -> Any:
        """Cost of how the ends of edges fall on a block's nodes, shares Dirichlet(1); ``sum(log k!)`` left out."""
        if not self.corrected:
            return np.zeros(np.shape(size))
        one = np.maximum(size, 1)
        cost = self.log_factorial[one + ends - 1] - self.log_factorial[one - 1] - ends * np.log(one)
        return np.where(size > 0, cost, 0.0)

    def cost_of_degree_factorials(self) -> float:
        """The part of the cost of degrees that no partition changes."""
        return -float(self.log_factorial[self.degree].sum()) if self.corrected else 0.0

    def cost_of_partition(self, sizes: Ints) -> float:
        """Cost of saying how many blocks there are, how large they are, who is in which, and whether they are tied."""
        log_factorial, n, k = self.log_factorial, int(sizes.sum()), len(sizes)
        return float(np.log(n) + self.cost_of_number(n, k) + log_factorial[n] - log_factorial[sizes].sum())

    def cost_of_number(self, n: int, k: int) -> float:
        """Cost of the sizes of ``k`` blocks of ``n`` nodes, and one bit: do all pairs of blocks share one density?"""
        log_factorial = self.log_factorial
        sizes = log_factorial[n - 1] - log_factorial[k - 1] - log_factorial[n - k]
        return float(sizes) + (np.log(2) if k > 2 else 0.0)

    def cost_between(self, joined: NDArray[Any], weight: NDArray[Any], pairs: NDArray[Any]) -> float:
        """Cost of all pairs between blocks: each two blocks by themselves, or all alike, whichever is less."""
        above = np.triu_indices(len(joined), 1)
        joined, weight, pairs = joined[above], weight[above], pairs[above]
        free = float(self.cost_of_pairs(joined, weight, pairs).sum())
        return min(free, float(self.cost_of_pairs(joined.sum(), weight.sum(), pairs.sum())))


def make_graph(weights: Floats, *, corrected: bool, weighted: bool) -> Graph:
    """Return the graph of a checked matrix: NaN is unknown, 0 not joined; the diagonal is not read."""
    observed = ~np.isnan(weights)
    np.fill_diagonal(observed, False)
    present = observed & (weights > 0)
    n, edges = len(weights), int(present.sum()) // 2
    weight = np.where(present, weights, 0.0)
    return Graph(
        present=present.astype(np.int64),
        weight=weight / (weight.sum() / (2 * edges)),
        observed=observed.astype(np.int64),
        degree=present.sum(axis=0).astype(np.int64),
        density=2 * edges / n**2,
        log_factorial=gammaln(np.arange(n * n + n + 2) + 1.0),
        corrected=corrected,
        weighted=weighted,
    )
