"""Least-squares sweeps of a CP model over blocks of a tensor with missing entries.

Inside, factors lie as ``(component, index)``: a component is one contiguous row. A tensor of shape ``(n_0, n_1, …)`` is
seen as ``n_0`` rows; every sweep meets each row once, so the rows may come in blocks that are never together in memory.
What the other modes need is kept in two sums over rows, ``data`` and ``grams``, as large as one row times the rank.

Missing entries are exact: each index of a mode has normal equations of its own, whose matrix is a sum over its observed
entries only. That matrix is symmetric, so its upper half is computed as the data term is, with products of two columns
in place of columns ("pairs") and the mask in place of the data. Along modes on which the mask does not depend the mask has size 1
and the pairs are summed beforehand; with nothing missing the whole computation shrinks to the usual product of Grams.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

ROUNDS = 2
"""Times the modes other than the rows are gone through per sweep: cheap beside meeting the rows once."""

INNER = 5
"""Rounds of `hals` per mode."""

_MOST_AT_ONCE = 2**22
"""Entries whose residuals are held at a time."""


@dataclass(frozen=True)
class Rows:
    """A block of rows of a tensor, ready for arithmetic.

    Parameters
    ----------
    first
        Index of the first row.
    values
        Entries, missing ones 0, shape ``(row, size_1 · size_2 · …)``.
    mask
        1 where an entry is observed, shape ``(row or 1, size_1 or 1, …)``: 1 along modes it does not depend on.
    squares
        Sum of squares of the observed entries.
    sizes
        Of the modes other than the rows.
    """

    first: int
    values: Tensor
    mask: Tensor
    squares: float
    sizes: tuple[int, ...]


@dataclass
class Sums:
    """What a sweep's rows leave to the other modes.

    Parameters
    ----------
    data
        Data times row loadings, shape ``(component, size_1, size_2, …)``.
    grams
        Mask times products of two row loadings, shape ``(pair, size_1 or 1, …)``; None before the first block.
    squares
        Sum of squares of the observed entries.
    """

    data: Tensor
    grams: Tensor | None = None
    squares: float = 0.0


@cache
def _upper(rank: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns of the pairs ``a ≤ b``, and where each entry of a symmetric matrix is among them."""
    first, second = torch.triu_indices(rank, rank, device=device)
    place = torch.empty(rank, rank, dtype=torch.long, device=device)
    place[first, second] = place[second, first] = torch.arange(len(first), device=device)
    return first, second, place


def pairs_of(factor: Tensor, summed: bool = False) -> Tensor:
    """Return the products of every two rows of ``(component, index)``, shape ``(pair, index)``, pairs ``a ≤ b``.

    ``summed`` over the index, shape ``(pair, 1)``.
    """
    first, second, _ = _upper(len(factor), factor.device)
    if summed:
        return (factor @ factor.T)[first, second][:, None]
    return factor[first] * factor[second]


def full_grams(pairs: Tensor, rank: int) -> Tensor:
    """Return pairs ``(pair, index)`` as symmetric matrices, shape ``(component, component, index)``."""
    return pairs[_upper(rank, pairs.device)[2]]


def outer(factors: Sequence[Tensor]) -> Tensor:
    """Return per component the outer product of its columns, shape ``(component, size_1 · size_2 · …)``."""
    found = factors[0]
    for factor in factors[1:]:
        found = (found[:, :, None] * factor[:, None, :]).flatten(1)
    return found


def contract(array: Tensor, factors: Sequence[Tensor], keep: int) -> Tensor:
    """Return ``(component, size_1, …)`` summed against the factors of all modes but ``keep``, ``(component, size)``."""
    rank = len(array)
    for factor in reversed(factors[keep + 1 :]):
        array = torch.bmm(array.reshape(rank, -1, factor.shape[1]), factor[:, :, None])
    for factor in factors[:keep]:
        array = torch.bmm(factor[:, None, :], array.reshape(rank, factor.shape[1], -1))
    return array.reshape(rank, -1)


def mask_pairs(factors: Sequence[Tensor], sizes: Iterable[int]) -> list[Tensor]:
    """Return the pairs of each mode's factor, summed over the modes along which a mask has size 1."""
    return [pairs_of(factor, summed=size == 1) for factor, size in zip(factors, sizes, strict=True)]


def hals(factor: Tensor, data: Tensor, grams: Tensor, inner: int) -> Tensor:
    """Return non-negative loadings after ``inner`` rounds of hierarchical alternating least squares.

    Parameters
    ----------
    factor
        Where to begin, shape ``(component, index)``; not changed.
    data
        Right sides of the normal equations, shape ``(component, index)``.
    grams
        Their matrices, shape ``(component, component, index)``, or one for all, ``(component, component, 1)``.
    inner
        Rounds over the components.

    References
    ----------
    Cichocki A, Phan AH 2009, IEICE Trans Fundam E92-A(3):708-721, "Fast local algorithms for large scale nonnegative matrix
    and tensor factorizations": each component in closed form, the others fixed.
    """
    found, each = factor.clone(), torch.arange(len(factor), device=factor.device)
    diagonal = grams[each, each]
    # A component that no observed entry sees (diagonal 0) gets loading 0.
    inverse = torch.where(diagonal > 0, 1 / diagonal.clamp_min(torch.finfo(diagonal.dtype).tiny), 0.0)
    target, others = data * inverse, grams * inverse[:, None]
    others[each, each] = 0.0
    if grams.shape[2] == 1:
        rows, steps = list(found), list(zip(target, others[:, :, 0], strict=True))
        for _ in range(inner):
            for row, (goal, weights) in zip(rows, steps, strict=True):
                torch.addmv(goal, found.T, weights, alpha=-1, out=row).clamp_min_(0)
        return found
    for _ in range(inner):
        for component in range(len(found)):
            explained = torch.einsum("ri,ri->i", others[component], found)
            torch.sub(target[component], explained, out=found[component]).clamp_min_(0)
    return found


def least_squares(factor: Tensor, data: Tensor, grams: Tensor) -> Tensor:
    """Return loadings that solve the normal equations; arguments as for `hals`.

    A pull towards ``factor`` of the size of rounding errors keeps singular equations solvable (the proximal point
    method); it vanishes where the sweeps have converged.
    """
    rank = len(factor)
    pull = 10 * torch.finfo(grams.dtype).eps * grams.diagonal().sum(-1)
    pull = torch.where(pull > 0, pull, 1.0)  # (index or 1,): what was never observed keeps its loading
    matrices = grams.permute(2, 0, 1) + pull[:, None, None] * torch.eye(rank, dtype=grams.dtype, device=grams.device)
    right = data + pull * factor
    if len(matrices) == 1:
        solved: Tensor = torch.linalg.solve(matrices[0], right)
        return solved
    solved = torch.linalg.solve(matrices, right.T[:, :, None])
    return solved[:, :, 0].T.contiguous()


def solve(factor: Tensor, data: Tensor, grams: Tensor, *, nonnegative: bool) -> Tensor:
    """Return better loadings of one mode: `hals` where they may not be negative, else `least_squares`."""
    return hals(factor, data, grams, INNER) if nonnegative else least_squares(factor, data, grams)


def rescale(factor: Tensor, data: Tensor, grams: Tensor) -> Tensor:
    """Return the loadings of each index times the one number, not negative, that fits best; arguments as for `hals`."""
    size = torch.einsum("ai,abi,bi->i", factor, grams.expand(-1, -1, factor.shape[1]), factor)
    fit = (factor * data).sum(0) / torch.where(size > 0, size, 1.0)
    return factor * fit.clamp_min(0)


def row_equations(rows: Rows, factors: Sequence[Tensor], products: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normal equations of a block's row loadings: right sides and matrices, as `hals` takes them.

    Parameters
    ----------
    rows
        The block.
    factors
        Those of the other modes.
    products
        Their `outer` product.
    """
    against = outer(mask_pairs(factors, rows.mask.shape[1:]))
    return products @ rows.values.T, full_grams(against @ rows.mask.flatten(1).T, len(products))


def add_rows(sums: Sums, rows: Rows, loadings: Tensor) -> None:
    """Add a block with its row loadings ``(component, row)`` to what the other modes need."""
    sums.data.view(len(loadings), -1).addmm_(loadings, rows.values)
    pairs = pairs_of(loadings, summed=len(rows.mask) == 1)
    grams = (pairs @ rows.mask.flatten(1)).view(-1, *rows.mask.shape[1:])
    sums.grams = grams if sums.grams is None else sums.grams + grams
    sums.squares += rows.squares


def mode_equations(sums: Sums, factors: Sequence[Tensor], mode: int) -> tuple[Tensor, Tensor]:
    """Return the normal equations of a mode other than the rows, counted without them; as `hals` takes them."""
    assert sums.grams is not None
    grams = contract(sums.grams, mask_pairs(factors, sums.grams.shape[1:]), mode)
    return contract(sums.data, factors, mode), full_grams(grams, len(factors[0]))


def squared_error(sums: Sums, factor: Tensor, data: Tensor, grams: Tensor) -> float:
    """Return the sum of squared residuals over observed entries, from the normal equations of any one mode."""
    fitted = torch.einsum("abi,bi->ai", grams.expand(-1, -1, factor.shape[1]), factor)
    # |y|² - 2 y·x + |x|²: differences of large numbers, so they are added up in double precision
    return max(0.0, sums.squares + float((factor * (fitted - 2 * data)).sum(dtype=torch.float64)))


def sweep(
    blocks: Iterable[Rows], factors: list[Tensor], *, nonnegative: bool, first: bool = False
) -> tuple[float, float]:
    """Improve all factors in place by one pass over the rows.

    Parameters
    ----------
    blocks
        All rows, each once.
    factors
        Loadings of every mode, rows first, each ``(component, index)``; the list's entries are replaced.
    nonnegative
        Whether loadings may not be negative.
    first
        Whether the row loadings are still random: they are brought to the data's scale first.

    Returns
    -------
    error, squares
        Sum of squared residuals over observed entries after the sweep, and of the entries themselves.
    """
    others = factors[1:]
    products = outer(others)
    sums = Sums(torch.zeros(len(products), *(f.shape[1] for f in others), dtype=products.dtype, device=products.device))
    rows_factor = factors[0].clone()
    for rows in blocks:
        data, grams = row_equations(rows, others, products)
        place = slice(rows.first, rows.first + len(rows.values))
        start = rescale(rows_factor[:, place], data, grams) if first else rows_factor[:, place]
        rows_factor[:, place] = solve(start, data, grams, nonnegative=nonnegative)
        add_rows(sums, rows, rows_factor[:, place])
    for _ in range(ROUNDS):
        for mode in range(len(others)):
            data, grams = mode_equations(sums, others, mode)
            others[mode] = solve(others[mode], data, grams, nonnegative=nonnegative)
    error = squared_error(sums, others[-1], data, grams)
    factors[:] = balance([rows_factor, *others])
    return error, sums.squares


def balance(factors: Sequence[Tensor]) -> list[Tensor]:
    """Return factors of the same product whose modes have equal norms, component by component."""
    norms = torch.stack([factor.norm(dim=1) for factor in factors])
    share = norms.log().mean(0).exp()  # 0 where a component has died out
    return [
        factor * (share / torch.where(norm > 0, norm, 1.0))[:, None]
        for factor, norm in zip(factors, norms, strict=True)
    ]


def residual_squares(blocks: Iterable[Rows], factors: Sequence[Tensor]) -> tuple[float, float]:
    """Return the sum of squared residuals, entry by entry (free of cancellation), and that of the entries.

    Both over entries that are observed and of which every factor is known (not NaN).
    """
    products, error, squares = outer(factors[1:]), 0.0, 0.0
    for rows in blocks:
        step = max(1, _MOST_AT_ONCE // rows.values.shape[1])
        for begin in range(0, len(rows.values), step):
            values = rows.values[begin : begin + step]
            place = slice(rows.first + begin, rows.first + begin + len(values))
            off = torch.addmm(values, factors[0][:, place].T, products, alpha=-1)
            mask = rows.mask if len(rows.mask) == 1 else rows.mask[begin : begin + step]
            off.view(len(values), *(factor.shape[1] for factor in factors[1:])).mul_(mask)
            squares += float(values.masked_fill(off.isnan(), 0.0).square_().sum(1).sum(dtype=torch.float64))
            error += float(off.square_().nansum(1).sum(dtype=torch.float64))
    return error, squares
