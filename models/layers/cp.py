"""How good a CP model is beside its error: match of factors, and core consistency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from neurodata.errors import NeurodataError


def factor_match(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> float:
    """Return how alike two CP models are: 1 the same components in whatever order and scale, 0 orthogonal ones.

    Components are paired so that the sum of their similarities is largest. The similarity of two components is the
    product over modes of the cosines between their columns. Indices that are NaN in either are left out.

    Parameters
    ----------
    first, second
        Factors of every mode, each ``(size, rank)``. Where the ranks differ, the components of the smaller one are
        looked for in the other.

    Raises
    ------
    NeurodataError
        If the two are not of one tensor's modes.

    References
    ----------
    Acar E, Dunlavy DM, Kolda TG, Mørup M 2011, Chemometr Intell Lab Syst 106(1):41-56, "Scalable tensor factorizations
    for incomplete data", the factor match score without its penalty on different weights.
    """
    ours, theirs = [_columns(factor) for factor in first], [_columns(factor) for factor in second]
    sizes = [len(factor) for factor in ours], [len(factor) for factor in theirs]
    if sizes[0] != sizes[1]:
        raise NeurodataError(
            f"two models of one tensor are compared; these have modes of sizes {sizes[0]} and {sizes[1]}"
        )
    similarity = np.ones((ours[0].shape[1], theirs[0].shape[1]))
    for one, other in zip(ours, theirs, strict=True):
        similarity *= _cosines(one, other)
    similarity = np.abs(similarity)  # signs may move between modes in pairs
    rows, columns = linear_sum_assignment(-similarity)
    return float(similarity[rows, columns].mean())


def _columns(factor: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(factor, np.float64)
    if values.ndim != 2:
        raise NeurodataError(f"expected factors of shape (size, rank), got {values.shape}")
    return values


def _cosines(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(one).all(1) & np.isfinite(other).all(1)
    one, other = one[known], other[known]
    norms = np.outer(np.linalg.norm(one, axis=0), np.linalg.norm(other, axis=0))
    return np.asarray(np.divide(one.T @ other, norms, out=np.zeros_like(norms), where=norms > 0))


def subspace_match(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> float:
    """Return how alike the subspaces of two Tucker models are: 1 the same in every mode, 0 orthogonal in one of them.

    The product over modes of the mean squared cosine of the principal angles between the (orthonormal) bases.
    """
    total = 1.0
    for one, other in zip(first, second, strict=True):
        a, b = np.nan_to_num(_columns(one)), np.nan_to_num(_columns(other))
        total *= float(((a.T @ b) ** 2).sum() / min(a.shape[1], b.shape[1]))
    return total


def core_consistency(tensor: ArrayLike, factors: Sequence[ArrayLike]) -> float:
    """Return the core consistency of a CP model, %: 100 where no interaction between components would fit better.

    The core of a Tucker model with the same factors is fitted by least squares; a CP model claims that it is diagonal.
    Near 100 the rank can be trusted; near or below 0 there are too many components.

    Parameters
    ----------
    tensor
        The data, NaN where missing; those entries are taken from the model.
    factors
        Loadings of every mode, each ``(size, rank)``. How they share a component's scale does not matter.

    Returns
    -------
    consistency
        NaN where the components depend on each other so that no core is determined.

    References
    ----------
    Bro R, Kiers HAL 2003, J Chemometr 17(5):274-286, "A new efficient method for determining the number of components
    in PARAFAC models".
    """
    columns = [np.nan_to_num(_columns(factor)) for factor in factors]
    for mode in range(1, len(columns)):  # the scale is kept in the first mode, as the paper has it
        norm = np.linalg.norm(columns[mode], axis=0)
        columns[0], columns[mode] = columns[0] * norm, columns[mode] / np.where(norm > 0, norm, 1.0)
    rank = columns[0].shape[1]
    if any(np.linalg.matrix_rank(factor) < rank for factor in columns):
        return float("nan")
    data: NDArray[np.float64] = np.asarray(tensor, np.float64)
    if np.isnan(data).any():
        data = np.where(np.isnan(data), _whole(columns), data)
    core: NDArray[Any] = data
    for factor in columns:  # the first axis is used up each time, the new one comes last
        core = np.tensordot(core, np.linalg.pinv(factor), axes=([0], [1]))
    diagonal = np.zeros_like(core)
    diagonal[(np.arange(rank),) * len(columns)] = 1.0
    return float(100 * (1 - ((core - diagonal) ** 2).sum() / rank))


def _whole(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    found = columns[0]
    for factor in columns[1:]:
        found = found[..., None, :] * factor
    return np.asarray(found.sum(-1))
