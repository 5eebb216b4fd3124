"""What a tensor and a rank must be before a factorisation begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurodata.errors import NeurodataError

from ..layers.tensor_rows import check_entries


def as_tensor(values: Any, *, nonnegative: bool, new: bool = False) -> Tensor:
    """Return an array as a tensor, NaN where missing, checked: float32 stays, all else becomes float64.

    Parameters
    ----------
    values
        NumPy array (of a masked array, what is masked is missing), ``xarray.DataArray``, tensor or nested list.
    nonnegative
        Whether negative entries are refused.
    new
        Whether it is new data for a fitted model: it may be one slice, silent, or missing altogether.

    Raises
    ------
    NeurodataError
        If it has fewer than two modes or an empty one, no entry is observed, all are 0, or one is infinite or negative
        where it may not be.
    """
    tensor = _convert(values)
    if tensor.ndim < 2 - new or 0 in tensor.shape:
        raise NeurodataError(
            f"expected a tensor of two or more modes, none of them empty, got shape {tuple(tensor.shape)}"
        )
    check_entries(tensor, 0, nonnegative=nonnegative)
    if new:
        return tensor
    if tensor.isnan().all():
        raise NeurodataError(f"no entry of the tensor of shape {tuple(tensor.shape)} is observed: all are NaN")
    if not (tensor > 0).any() and not (tensor < 0).any():
        raise NeurodataError("every observed entry is 0: there is nothing to factorise; mark what is missing with NaN")
    return tensor


def _convert(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().to(torch.float32 if values.dtype == torch.float32 else torch.float64)
    if isinstance(values, np.ma.MaskedArray):
        kind = np.promote_types(values.dtype, np.float32)
        values = np.where(np.ma.getmaskarray(values), np.nan, values.data).astype(kind)
    try:
        found: NDArray[Any] = np.asarray(values)
    except ValueError as error:  # lists whose lengths differ
        raise NeurodataError(f"expected a tensor, every slice of one size, got something ragged: {error}") from error
    if found.dtype.kind not in "biuf":
        raise NeurodataError(f"expected a tensor of real numbers, got {found.dtype}")
    return torch.from_numpy(np.array(found, np.float32 if found.dtype == np.float32 else np.float64))


def check_ranks(rank: Any, shape: Sequence[int], model: str) -> list[int]:
    """Return the ranks of a model of a tensor: one number for CP, one per mode for Tucker.

    Raises
    ------
    NeurodataError
        If a rank is not a positive whole number or is more than such a tensor can have.
    """
    one_number = isinstance(rank, Integral) and not isinstance(rank, bool)
    ranks = [rank] * (1 if model == "cp" else len(shape)) if one_number else rank
    if (
        isinstance(rank, bool | str)
        or not isinstance(ranks, Sequence)
        or not all(isinstance(r, Integral) for r in ranks)
    ):
        raise NeurodataError(f"rank must be a positive whole number (for Tucker also one per mode), got {rank!r}")
    expected = 1 if model == "cp" else len(shape)
    if len(ranks) != expected or min(ranks) < 1:
        raise NeurodataError(f"model {model!r} of {len(shape)} modes takes {expected} positive rank(s), got {rank!r}")
    ranks = [int(r) for r in ranks]
    total = math.prod(shape)
    if model == "cp" and ranks[0] > total // max(shape):
        raise NeurodataError(
            f"rank {ranks[0]} is more than a tensor of shape {tuple(shape)} can have, {total // max(shape)}: any such "
            "tensor is that many components exactly"
        )
    for mode, (r, size) in enumerate(zip(ranks, shape, strict=False)):
        most = min(size, math.prod(ranks) // r)
        if model == "tucker" and r > most:
            raise NeurodataError(
                f"Tucker rank {r} of mode {mode} is more than {most}: its size, or the others' product"
            )
    return ranks
