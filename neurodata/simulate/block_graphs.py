"""Weighted graphs with planted blocks, to see what finds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError


@dataclass(frozen=True, eq=False)
class BlockGraph:
    """A graph and the truth behind it.

    Parameters
    ----------
    weights
        Weight of each pair, 0 where not joined, shape ``(node, node)``, symmetric, diagonal 0.
    labels
        Planted block of each node, shape ``(node,)``.
    """

    weights: NDArray[np.float64]
    labels: NDArray[np.int64]


def simulate_block_graph(
    n_nodes: int,
    n_blocks: int,
    *,
    density_inside: float = 0.5,
    density_between: float = 0.5,
    mean_inside: float = 1.0,
    mean_between: float = 1.0,
    weight: str = "exponential",
    degree_spread: float = 0.0,
    seed: int = 0,
) -> BlockGraph:
    """Simulate a graph whose nodes are in blocks of (nearly) equal size, in random order.

    With all settings as they are, or one block, there is nothing to be found: the null case.

    Parameters
    ----------
    n_nodes, n_blocks
        How many there are.
    density_inside, density_between
        Chance that two nodes of one block, or of two, are joined.
    mean_inside, mean_between
        Mean weight of joined pairs, any unit.
    weight
        ``"exponential"``, or ``"equal"``: every joined pair has just the mean.
    degree_spread
        Standard deviation of the logarithm of what each node multiplies its chances by (lognormal of mean 1; chances
        stop at 1). 0 gives all nodes of a block the same expected degree, 1 gives degrees a heavy tail.
    seed
        The same seed gives the same graph.

    Returns
    -------
    graph
        Weights and planted labels.

    Raises
    ------
    NeurodataError
        If a number is out of its range, or there are more blocks than nodes.
    """
    check_option("distribution of weights", weight, ("exponential", "equal"))
    for what, value in (("number of nodes", n_nodes), ("number of blocks", n_blocks)):
        check_positive(what, value)
    check_positive("mean weight inside", mean_inside)
    check_positive("mean weight between", mean_between)
    if n_blocks > n_nodes:
        raise NeurodataError(f"{n_nodes} nodes cannot fill {n_blocks} blocks; ask for at most {n_nodes}")
    for density in (density_inside, density_between):
        if not 0 <= density <= 1:
            raise NeurodataError(f"a density is a chance between 0 and 1, got {density}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_nodes) % n_blocks)
    same = labels[:, None] == labels
    own = np.exp(degree_spread * rng.standard_normal(n_nodes) - degree_spread**2 / 2)
    chance = np.minimum(np.where(same, density_inside, density_between) * np.multiply.outer(own, own), 1.0)
    joined = np.triu(rng.random((n_nodes, n_nodes)) < chance, 1)
    size = rng.exponential(size=(n_nodes, n_nodes)) if weight == "exponential" else np.ones((n_nodes, n_nodes))
    upper = joined * size * np.where(same, mean_inside, mean_between)
    return BlockGraph(weights=upper + upper.T, labels=labels.astype(np.int64))
