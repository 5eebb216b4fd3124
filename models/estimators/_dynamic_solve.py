"""Time courses of motifs that are fixed, and how well they explain entries that were hidden; all in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from ..layers.tensor_rows import TensorBlocks
from ._tensor_fit import block_loadings

Block = tuple[int, NDArray[np.float32]]


def solve_courses(
    blocks: Callable[[], Iterable[Block]], motifs: NDArray[np.float64], n_bins: int
) -> NDArray[np.float64]:
    """Return one animal's time courses of fixed motifs by non-negative least squares over what was recorded.

    Parameters
    ----------
    blocks
        Gives first row and affinities ``(row, bin, 1)`` of each block, NaN where missing.
    motifs
        Weights of the pairs, shape ``(motif, pair)``.
    n_bins
        Bins of the blocks.

    Returns
    -------
    courses
        Shape ``(motif, bin)``; NaN in bins of which nothing was recorded.
    """
    weights = torch.as_tensor(np.ascontiguousarray(motifs), dtype=torch.float32)
    rows = TensorBlocks(blocks, (weights.shape[1], n_bins, 1), dtype=torch.float32, nonnegative=True)
    factors = [weights, torch.zeros(len(weights), n_bins), torch.ones(len(weights), 1)]
    return np.asarray(block_loadings(rows, factors, 1, nonnegative=True).numpy(), np.float64)


def hide_entries(blocks: Iterable[Block], share: float, seed: int, *, hidden: bool) -> Iterator[Block]:
    """Yield blocks without (or, ``hidden``, with nothing but) a random share of their entries; the rest is NaN."""
    rng = np.random.default_rng(seed)
    for first, block in blocks:
        drawn = rng.random(block.shape, np.float32) < share
        yield first, np.where(drawn == hidden, block, np.float32(np.nan))


def squared_residuals(
    blocks: Iterable[Block], motifs: NDArray[np.float64], courses: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the sums of squares of what motifs and courses ``(motif, bin)`` leave of the entries, and of the entries."""
    left = whole = 0.0
    known = np.nan_to_num(courses).astype(np.float32)
    for first, block in blocks:
        entries = block[:, :, 0]
        there = np.isfinite(entries)
        fitted = motifs[:, first : first + len(entries)].T.astype(np.float32) @ known
        left += float(np.square(entries - fitted, dtype=np.float64)[there].sum())
        whole += float(np.square(entries, dtype=np.float64)[there].sum())
    return left, whole
