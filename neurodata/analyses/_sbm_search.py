"""The partition of a graph that costs least: several starts, single moves, merges, then splits and merges again."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage

from neurodata.analyses._sbm_blocks import Blocks
from neurodata.analyses._sbm_cost import Floats, Graph, Ints

_SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""How many blocks the starts have; merges make fewer of them."""
_SETTLED = 4
"""Starts that are followed to their end: those that cost least as they are."""
_AXES = 8
"""Eigenvectors that a start looks at."""
_ROUNDS = 6
"""Rounds of splitting and merging at most; a round that gains nothing is the last."""


def fit_blocks(graph: Graph, rng: np.random.Generator, *, leaves: bool) -> tuple[Ints, float]:
    """Return the best partition that was found into more than one block, and its cost.

    Parameters
    ----------
    graph
        What is described; at least two nodes.
    rng
        Order of moves and random splits.
    leaves
        Whether each block also says that it is not divided further.

    Returns
    -------
    labels, cost
        Block of each node, shape ``(node,)``, and nats. The labels may be one block where nothing else costs less.
    """
    starts = _make_starts(graph)
    found = []
    for tied in (True, False):
        offered = [Blocks(graph, labels, tied=tied, leaves=leaves) for labels in starts]
        offered.sort(key=Blocks.cost)
        for blocks in offered[:_SETTLED]:
            blocks.settle(rng)
        best = min(offered[:_SETTLED], key=Blocks.cost)
        found.append(_split_and_merge(best, rng))
    best = min(found, key=Blocks.cost)
    return best.labels, best.cost()


def _make_starts(graph: Graph) -> list[Ints]:
    """Trees of nodes that look alike to the leading eigenvectors, cut at several heights."""
    starts: list[Ints] = []
    for view in _views(graph):
        tree = linkage(view, "ward")
        sizes = [size for size in _SIZES if size <= max(2, graph.n_nodes // 2)]
        cut = cut_tree(tree, n_clusters=sizes)
        starts += [np.asarray(cut[:, column], np.int64) for column in range(len(sizes))]
    if not starts:
        starts.append(np.arange(graph.n_nodes) % 2)
    return starts


def _views(graph: Graph) -> list[Floats]:
    """Coordinates of the nodes, by presence and by weight, shape ``(node, axis)`` each."""
    observed = graph.observed > 0
    if not observed.any():
        return []
    matrices = [graph.present.astype(np.float64)]
    if graph.weighted:
        matrices.append(np.log1p(graph.weight))  # the tail of an exponential would fill the leading axes
    views = []
    for matrix in matrices:
        mean = matrix[observed].mean()
        centred = np.where(observed, matrix - mean, 0.0)
        if np.abs(centred).max() < 1e-12:
            continue  # all pairs alike: nothing to see
        values, vectors = np.linalg.eigh(centred)
        leading = np.argsort(-np.abs(values))[:_AXES]
        view = vectors[:, leading] * np.abs(values[leading])
        if graph.corrected:
            # Nodes of one block then differ in length only, so the direction tells who belongs together.
            view = view / np.maximum(np.linalg.norm(view, axis=1, keepdims=True), 1e-12)
        views.append(view)
    return views


def _split_and_merge(best: Blocks, rng: np.random.Generator) -> Blocks:
    """Split blocks, and pairs of blocks put together, wherever that costs less."""
    for _ in range(_ROUNDS):
        before = best.cost()
        for block in rng.permutation(best.n_blocks).tolist():
            best = _try(best, (block,), rng)
            if best.n_blocks > 2:
                other = int((block + rng.integers(1, best.n_blocks)) % best.n_blocks)
                best = _try(best, (block % best.n_blocks, other), rng)
        if best.cost() > before - 1e-9:
            break
    return best


def _try(best: Blocks, together: tuple[int, ...], rng: np.random.Generator) -> Blocks:
    """Put blocks together, cut them at random in two, let the nodes choose a side; keep it if it costs less."""
    nodes = np.flatnonzero(np.isin(best.labels, together))
    if len(nodes) < 2 or len(set(together)) < len(together):
        return best
    labels = best.labels.copy()
    labels[nodes] = together[0]
    labels[nodes[rng.random(len(nodes)) < 0.5]] = best.n_blocks
    trial = Blocks(best.graph, labels, tied=best.tied, leaves=best.leaves)
    sides = np.unique(trial.labels[nodes])
    if len(sides) < 2:
        return best
    for _ in range(5):
        if not trial.sweep(rng.permutation(nodes).tolist(), only=sides) or trial.size[sides].min() == 0:
            break
    trial = Blocks(best.graph, trial.labels, tied=best.tied, leaves=best.leaves)
    if trial.cost() > best.cost() + 2.0:  # nats: a little worse may settle into something better
        return best
    trial.settle(rng)
    return trial if trial.cost() < best.cost() - 1e-9 else best
