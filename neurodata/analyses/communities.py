"""Communities of a weighted undirected graph, by the block model that describes it in the fewest nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodata.analyses._sbm_blocks import Blocks, cost_of_repeats
from neurodata.analyses._sbm_cost import Floats, Graph, Ints, make_graph
from neurodata.analyses._sbm_others import find_by_graph_tool, find_by_leiden
from neurodata.analyses._sbm_search import fit_blocks
from neurodata.analyses._sbm_tree import Tree, cost_of_tree, grow_tree, list_levels
from neurodata.checks import check_option
from neurodata.errors import NeurodataError

_ROUNDING = 1e-6
"""Asymmetry, relative to the largest weight, that counts as the rounding of a sum in single precision."""


def communities(
    weights: ArrayLike,
    *,
    degree_corrected: str = "choose",
    nested: bool = True,
    method: str = "sbm",
    weighted: bool = True,
    seed: int = 0,
) -> Communities:
    """Find the blocks of nodes that are joined alike, and how strongly; none where one block says as much.

    Two nodes are in one block if they are joined to each other block with the same chance and the same mean weight:
    blocks need not be denser inside than between. What is minimised is a description length, so noise is not
    divided. Weights are taken as exponential: weights of much heavier tail are divided where they should not be.

    Parameters
    ----------
    weights
        Weight of each pair of nodes, shape ``(node, node)``, symmetric and not negative, any unit. 0 means not joined,
        NaN means unknown and is left out. The diagonal is not read.
    degree_corrected
        Whether nodes of one block may differ in degree: ``"yes"``, ``"no"``, or ``"choose"`` for what describes the
        graph in fewer nats. It is for sparse graphs whose pairs are all known, and is not tried on others.
    nested
        Whether blocks are divided again, and gathered, as long as that takes fewer nats. This finds blocks that are
        too small to be seen in the whole graph.
    method
        ``"sbm"``, our own search; ``"graph-tool"``, which must be installed; ``"leiden"`` for the partition of greatest
        (weighted) modularity, which finds communities in noise too and treats unknown pairs as not joined.
    weighted
        False describes only which pairs are joined.
    seed
        The same seed gives the same communities.

    Returns
    -------
    communities
        Labels at every level, and description lengths.

    Raises
    ------
    NeurodataError
        If the matrix is not square, symmetric, finite (NaN aside) and positive somewhere, if it has one node, or if
        the method is not installed.

    References
    ----------
    Karrer & Newman 2011, Phys. Rev. E 83:016107: the degree-corrected block model. Peixoto 2017, Phys. Rev. E
    95:012317, section III: priors of partition and degrees. Peixoto 2018, Phys. Rev. E 97:012306, section II: weights
    as covariates. Traag, Waltman & van Eck 2019, Sci. Rep. 9:5233: Leiden. What differs here, and why:
    ``docs/decisions/weighted-block-model.md``.

    Examples
    --------
    Two groups that are joined as often as they are with each other, but ten times as strongly:

    >>> import numpy as np
    >>> from neurodata.simulate.block_graphs import simulate_block_graph
    >>> graph = simulate_block_graph(40, 2, mean_inside=10.0, mean_between=1.0, seed=0)
    >>> communities(graph.weights).n_communities
    2
    >>> communities(graph.weights, weighted=False).n_communities
    0
    """
    check_option("way to correct for degrees", degree_corrected, ("choose", "yes", "no"))
    check_option("method", method, ("sbm", "graph-tool", "leiden"))
    matrix = _check(np.asarray(weights, dtype=np.float64))
    known = np.flatnonzero((~np.isnan(matrix)).sum(axis=0) > 0)
    inside = matrix[np.ix_(known, known)]
    graphs = _make_graphs(inside, degree_corrected, weighted)
    nulls = [_cost_of_partition(graph, np.zeros(len(known), np.int64)) for graph in graphs]
    if method == "sbm":
        levels, cost, corrected = _fit(graphs, nulls, nested, seed)
    elif method == "graph-tool":
        tried = [graph.corrected for graph in graphs]
        levels, cost, corrected = find_by_graph_tool(inside, tried, nested=nested, weighted=weighted, seed=seed)
    else:
        levels = [find_by_leiden(inside, weighted=weighted, seed=seed)]
        cost, corrected = min((_cost_of_partition(graph, levels[0]), graph.corrected) for graph in graphs)
    spread = tuple(_spread(level, known, len(matrix)) for level in levels)
    n_blocks = int(spread[0].max()) + 1
    return Communities(
        labels=spread[0],
        levels=spread,
        n_communities=n_blocks if n_blocks > 1 else 0,
        description_length=cost,
        null_description_length=min(nulls),
        degree_corrected=corrected,
        method=method,
    )


@dataclass(frozen=True, eq=False)
class Communities:
    """Blocks of nodes.

    Parameters
    ----------
    labels
        Block of each node at the finest level, shape ``(node,)``: 0 is the largest. -1 where no pair of a node is known.
    levels
        The same for every level, finest first; each is a coarsening of the one before it. The one block of all nodes
        is not listed unless it is the only one.
    n_communities
        Blocks at the finest level; 0 where one block describes the graph best.
    description_length
        Nats that describe the graph (weights in units of their mean) and the blocks. Of ``"leiden"``: what our model
        needs with that partition; of ``"graph-tool"``: by its own reckoning.
    null_description_length
        The same with all nodes in one block; the difference is the logarithm of how much likelier the blocks are.
    degree_corrected
        Whether nodes of one block differ in degree.
    method
        How they were found.
    """

    labels: NDArray[np.int64]
    levels: tuple[NDArray[np.int64], ...]
    n_communities: int
    description_length: float
    null_description_length: float
    degree_corrected: bool
    method: str


def block_order(labels: ArrayLike, levels: Sequence[ArrayLike] = ()) -> NDArray[np.int64]:
    """Return the nodes in an order that shows the blocks: coarse ones first, finer within, then as they were.

    Parameters
    ----------
    labels
        Block of each node, shape ``(node,)``; those of -1 go last.
    levels
        Coarser partitions, finest first, as in `Communities.levels`.

    Returns
    -------
    order
        Places of the nodes, shape ``(node,)``: ``weights[np.ix_(order, order)]`` has its blocks along the diagonal.
    """
    keys = [np.asarray(key, dtype=np.int64) for key in (labels, *levels)]
    last = np.iinfo(np.int64).max
    return np.lexsort([np.where(key < 0, last, key) for key in keys]).astype(np.int64)


def _check(weights: Floats) -> Floats:
    """Return a matrix that is symmetric to the last bit, its diagonal NaN."""
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise NeurodataError(f"expected weights of shape (node, node), a square matrix, got shape {weights.shape}")
    if len(weights) < 2:
        raise NeurodataError(f"communities need at least 2 nodes, got {len(weights)}")
    weights = weights.copy()
    np.fill_diagonal(weights, np.nan)
    for what, bad in (("infinite", np.isinf(weights)), ("negative", weights < 0)):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            advice = " Take absolute values, or only the positive ones." if what == "negative" else ""
            raise NeurodataError(
                f"{bad.sum()} of {bad.size} weights are {what}, the first at [{row}, {column}]: "
                f"{weights[row, column]:g}. Expected weights of 0 or more, NaN where unknown.{advice}"
            )
    _check_symmetry(weights)
    if not (weights > 0).any():
        raise NeurodataError("no pair of nodes has a positive weight, so there is no graph to divide")
    return np.asarray((weights + weights.T) / 2)


def _check_symmetry(weights: Floats) -> None:
    unknown = np.isnan(weights)
    off = np.where(unknown & unknown.T, 0.0, np.abs(weights - weights.T))
    advice = "Symmetrise first, for example by (weights + weights.T) / 2; directed graphs are not described"
    if np.isnan(off).any():
        row, column = np.argwhere(np.isnan(off))[0]
        raise NeurodataError(f"weights [{row}, {column}] and [{column}, {row}]: only one of both is NaN. {advice}")
    if off.max() > _ROUNDING * np.nanmax(np.append(weights[~unknown], 0.0)):
        row, column = np.unravel_index(np.argmax(off), off.shape)
        raise NeurodataError(
            f"weights are not symmetric: [{row}, {column}] and [{column}, {row}] differ by {off.max():g}. {advice}"
        )


def _make_graphs(weights: Floats, degree_corrected: str, weighted: bool) -> list[Graph]:
    """The graph as seen by each model that is to be tried."""
    plain = make_graph(weights, corrected=False, weighted=weighted)
    if degree_corrected == "no":
        return [plain]
    n_pairs = plain.observed.sum() // 2
    n_unknown, joined = len(weights) * (len(weights) - 1) // 2 - n_pairs, plain.present.sum() / 2 / n_pairs
    # The corrected model counts edges by Poisson: more than half of the pairs joined cannot be that.
    if n_unknown or joined > 0.5:
        if degree_corrected == "yes":
            raise NeurodataError(
                "degree correction is for graphs in which every pair is known and at most half are joined; here "
                f"{n_unknown} pairs are NaN and {joined:.0%} of the others are joined: use degree_corrected='no'"
            )
        return [plain]
    corrected = make_graph(weights, corrected=True, weighted=weighted)
    return [corrected] if degree_corrected == "yes" else [plain, corrected]


def _fit(graphs: list[Graph], nulls: list[float], nested: bool, seed: int) -> tuple[list[Ints], float, bool]:
    """Labels at every level, nats, and whether degrees are corrected, of the model that takes the fewest nats."""
    best: tuple[list[Ints], float, bool] | None = None
    for graph, null in zip(graphs, nulls, strict=True):
        # Where degrees that are free within one block gain nothing, they gain nothing within smaller ones.
        if best is not None and null > nulls[0]:
            break
        rng = np.random.default_rng(seed)
        if nested:
            tree = grow_tree(graph, rng)
            levels, cost = list_levels(tree, graph.n_nodes), cost_of_tree(graph, tree)
        else:
            labels, cost = fit_blocks(graph, rng, leaves=False)
            levels = [labels]
        cost -= cost_of_repeats(graph, levels[0])
        if cost > null - 1e-9:
            levels, cost = list_levels(Tree(np.arange(graph.n_nodes)), graph.n_nodes), null
        if best is None or cost < best[1]:
            best = levels, cost, graph.corrected
    assert best is not None
    return best


def _cost_of_partition(graph: Graph, labels: Ints) -> float:
    costs = [Blocks(graph, labels, tied=tied, leaves=False).cost() for tied in (True, False)]
    return min(costs) - cost_of_repeats(graph, labels)


def _spread(labels: Ints, known: Ints, n_nodes: int) -> Ints:
    """Labels of all nodes, 0 the largest block (the one that comes first, of equal ones); -1 where nothing is known."""
    _, first, places, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    spread = np.full(n_nodes, -1, np.int64)
    spread[known] = rank[places]
    return spread
