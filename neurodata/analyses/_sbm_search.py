"""The partition of a graph that costs least: several starts, single moves, merges, then splits and merges again."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage

from neurodata.analyses._sbm_blocks import Blocks
from neurodata.analyses._sbm_cost import Floats, Graph, Ints

_PER_BLOCK, _MOST_BLOCKS = 6, 32
"""Nodes per block and blocks at most at a start: more than will be found, for moves and merges make fewer."""
_HEAT = np.linspace(1.0, 0.05, 20)
"""Temperatures of the sweeps that follow a start. Without them 13 of 36 searches stopped at least 9 nats above the
best known, with them 4: docs/decisions/weighted-block-model.md."""
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
    tied = _fit_one(graph, starts, [], rng, tied=True, leaves=leaves)
    free = _fit_one(graph, starts[:1], [tied.labels], rng, tied=False, leaves=leaves)
    # Each may have stopped where the other would have gone on.
    again = _fit_one(graph, [], [free.labels], rng, tied=True, leaves=leaves) if free.cost() < tied.cost() else tied
    best = min(tied, free, again, key=Blocks.cost)
    return best.labels, best.cost()


def _fit_one(
    graph: Graph, starts: list[Ints], found: list[Ints], rng: np.random.Generator, *, tied: bool, leaves: bool
) -> Blocks:
    """Cool each start down, go on from each partition found before, and improve the best of all."""
    offered = []
    for labels in starts:
        offered.append(Blocks(graph, labels, tied=tied, leaves=leaves))
        offered[-1].anneal(rng, _HEAT)
    offered += [Blocks(graph, labels, tied=tied, leaves=leaves) for labels in found]
    for blocks in offered:
        blocks.settle(rng)
    return _split_and_merge(min(offered, key=Blocks.cost), rng)


def _make_starts(graph: Graph) -> list[Ints]:
    """A tree of nodes that look alike to the leading eigenvectors, cut into many blocks and into half as many."""
    n_blocks = int(np.clip(graph.n_nodes // _PER_BLOCK, 2, _MOST_BLOCKS))
    view = _view(graph)
    if view is None:
        return [np.arange(graph.n_nodes) % n_blocks]
    cut = cut_tree(linkage(view, "ward"), n_clusters=sorted({n_blocks, max(2, n_blocks // 2)}, reverse=True))
    return [np.asarray(column, np.int64) for column in cut.T]


def _view(graph: Graph) -> Floats | None:
    """Coordinates of the nodes, shape ``(node, axis)``; None where all pairs are alike."""
    observed = graph.observed > 0
    # The tail of an exponential would fill the leading axes, so weights are seen through a logarithm.
    matrix = np.log1p(graph.weight) if graph.weighted else graph.present.astype(np.float64)
    centred = np.where(observed, matrix - matrix[observed].mean(), 0.0) if observed.any() else np.zeros((1, 1))
    if np.abs(centred).max() < 1e-12:
        return None
    values, vectors = np.linalg.eigh(centred)
    leading = np.argsort(-np.abs(values))[:_AXES]
    view = np.asarray(vectors[:, leading] * np.abs(values[leading]))
    if graph.corrected:
        # Nodes of one block then differ in length only, so the direction tells who belongs together.
        view = view / np.maximum(np.linalg.norm(view, axis=1, keepdims=True), 1e-12)
    return view


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
        n_before = trial.n_blocks
        if not trial.sweep(rng.permutation(nodes).tolist(), only=sides) or trial.n_blocks < n_before:
            break
    if trial.cost() > best.cost() + 2.0:  # nats: a little worse may settle into something better
        return best
    trial.settle(rng)
    return trial if trial.cost() < best.cost() - 1e-9 else best
