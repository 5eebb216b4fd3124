"""Random graphs to compare a graph with: other labels on its nodes, or other partners for the same degrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodata.checks import check_option
from neurodata.errors import NeurodataError

_SWAPS_PER_EDGE = 2.5
"""Accepted swaps per edge before the second half of the rounds: each edge moves ten times in all (Milo et al.
2003, arXiv:cond-mat/0312028, try to move each a hundred times)."""
_ROUNDS = (10, 200)
"""Fewest and most rounds of each half, so that tiny graphs are mixed too and stiff ones come to an end."""
_PROPOSED = 0.9
"""Share of the pairs that a round tries: were all tried each time, pairs of a small graph could block each other for ever."""


def shuffle_edges(matrix: ArrayLike, rng: np.random.Generator, kind: str = "degree") -> NDArray[np.float64]:
    """Return a weighted graph with its edges shuffled.

    Parameters
    ----------
    matrix
        Weights, shape ``(pre, post)``; 0 is no edge, NaN a pair that was not looked at. A symmetric matrix is shuffled
        as an undirected graph and stays symmetric.
    rng
        Source of chance.
    kind
        ``"degree"``: every node keeps its number of partners (see `degree_matched`); ``"labels"``: the nodes change
        places, the graph stays what it is.

    Returns
    -------
    shuffled
        A new matrix of the same shape with the same weights in other places.

    Raises
    ------
    NeurodataError
        If there is no such kind, or the matrix is not square.
    """
    check_option("kind of shuffling", kind, ("degree", "labels"))
    weights = _check_square(matrix)
    if kind == "labels":
        places = rng.permutation(len(weights))
        return np.asarray(weights[np.ix_(places, places)])
    return degree_matched(weights, rng, directed=not np.array_equal(weights, weights.T, equal_nan=True))


def degree_matched(
    adjacency: ArrayLike, rng: np.random.Generator, directed: bool = True, *, swaps_per_edge: float = _SWAPS_PER_EDGE
) -> NDArray[np.float64]:
    """Return a random graph in which every node has as many partners as before.

    Pairs of edges ``a→b, c→d`` become ``a→d, c→b``. Many disjoint pairs are swapped at once: a pair is left as it is
    where one of its four places is wanted by another pair, or is taken, so that a round can be undone by a round of the
    same chance and all graphs become equally likely. A directed graph whose only other form reverses a three-cycle
    cannot be reached by swaps (Roberts & Coolen 2012, Phys Rev E 85:046103); real wiring is far from that.

    Parameters
    ----------
    adjacency
        Weights or 0 and 1, shape ``(pre, post)``; not zero is an edge, NaN a pair that may hold none. The diagonal is
        kept as it is.
    rng
        Source of chance.
    directed
        False takes the upper triangle as an undirected graph and returns a symmetric matrix.
    swaps_per_edge
        Accepted swaps per edge of the first half of the rounds; the second half has as many rounds. To stop right at an
        accepted swap would favour graphs that allow many.

    Returns
    -------
    rewired
        Shape of ``adjacency``; in- and out-degrees are those of before. A weight stays with its presynaptic node where
        the graph is directed (so out-strengths are kept too); the weights as a whole are the same in either case.

    Raises
    ------
    NeurodataError
        If the matrix is not square, or an undirected one is not symmetric.
    """
    weights = _check_square(adjacency)
    if not directed and not np.array_equal(weights, weights.T, equal_nan=True):
        raise NeurodataError(
            "an undirected graph has a symmetric matrix, this one is not; symmetrise it, or directed=True"
        )
    n = len(weights)
    allowed = np.isfinite(weights) & ~np.eye(n, dtype=bool)
    edges = allowed & (weights != 0)
    if not directed:
        edges = np.triu(edges)
    pre, post = np.nonzero(edges)
    strength = weights[pre, post]
    pre, post = _swap(pre, post, n, allowed.ravel(), rng, directed, swaps_per_edge)
    rewired = np.where(allowed, 0.0, weights)
    rewired[pre, post] = strength
    if not directed:
        rewired[post, pre] = strength
    return np.asarray(rewired)


def _swap(
    pre: NDArray[np.int64],
    post: NDArray[np.int64],
    n: int,
    allowed: NDArray[np.bool_],
    rng: np.random.Generator,
    directed: bool,
    swaps_per_edge: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ends of all edges after enough rounds of swaps; edge ``i`` is the same one before and after."""
    pre, post = pre.copy(), post.copy()
    taken = np.zeros(n * n, dtype=bool)
    taken[_cells(pre, post, n, directed)] = True
    wanted, done, n_rounds = swaps_per_edge * len(pre), 0, 0
    while n_rounds < _ROUNDS[0] or (done < wanted and n_rounds < _ROUNDS[1]):
        done += _swap_once(pre, post, n, taken, allowed, rng, directed)
        n_rounds += 1
    for _ in range(n_rounds):
        _swap_once(pre, post, n, taken, allowed, rng, directed)
    return pre, post


def _swap_once(
    pre: NDArray[np.int64],
    post: NDArray[np.int64],
    n: int,
    taken: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    rng: np.random.Generator,
    directed: bool,
) -> int:
    """Swap many disjoint pairs of edges in place (``pre``, ``post`` and ``taken``); return how many."""
    if not directed:
        turned = rng.random(len(pre)) < 0.5
        pre[turned], post[turned] = post[turned], pre[turned]
    half = rng.binomial(len(pre) // 2, _PROPOSED)
    one, two = rng.permutation(len(pre))[: 2 * half].reshape(2, half)
    old = _cells(pre[one], post[one], n, directed), _cells(pre[two], post[two], n, directed)
    new = _cells(pre[one], post[two], n, directed), _cells(pre[two], post[one], n, directed)
    times = np.bincount(np.concatenate([*old, *new]), minlength=n * n)
    good = np.logical_and.reduce([times[cells] == 1 for cells in (*old, *new)])
    good &= np.logical_and.reduce([allowed[cells] & ~taken[cells] for cells in new])
    for cells, value in ((old, False), (new, True)):
        taken[np.concatenate(cells)[np.tile(good, 2)]] = value
    first, second = one[good], two[good]
    post[first], post[second] = post[second], post[first]
    return int(good.sum())


def _cells(pre: NDArray[np.int64], post: NDArray[np.int64], n: int, directed: bool) -> NDArray[np.int64]:
    """Place of each edge in the flattened matrix; that of the upper triangle where the graph is undirected."""
    return pre * n + post if directed else np.minimum(pre, post) * n + np.maximum(pre, post)


def _check_square(matrix: ArrayLike) -> NDArray[np.float64]:
    weights = np.asarray(matrix, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise NeurodataError(f"a graph's matrix is square, (pre, post), got shape {weights.shape}")
    return weights
