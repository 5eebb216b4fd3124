"""Tensors with missing entries as rows for sweeps: whole in memory, or in blocks that are never together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurodata.errors import NeurodataError

from .cp_sweeps import Rows

_CHUNK_ENTRIES = 2**24
"""Entries of a block that are made ready at a time (64 MB of float32); a larger block is gone through in pieces."""


def check_entries(values: Tensor, first: int, *, nonnegative: bool) -> None:
    """Raise unless all entries are finite or NaN, and not negative where they may not be.

    Parameters
    ----------
    values
        Block of a tensor.
    first
        Index of its first row, for the message.
    nonnegative
        Whether negative entries are refused.
    """
    if bool(values.isfinite().all()) and not (nonnegative and float(values.min()) < 0):
        return
    if values.isinf().any():
        place, n_wrong = _first_place(values.isinf(), first), int(values.isinf().sum())
        raise NeurodataError(f"{n_wrong} entries are infinite, the first at {place}; mark what is missing with NaN")
    if nonnegative and (values < 0).any():
        place, n_wrong = _first_place(values < 0, first), int((values < 0).sum())
        raise NeurodataError(
            f"{n_wrong} entries are negative, the first at {place}; a non-negative model cannot meet them: pass "
            "nonnegative=False, or shift or rectify the data first"
        )


def _first_place(wrong: Tensor, first: int) -> tuple[int, ...]:
    place = [int(i) for i in np.unravel_index(int(wrong.flatten().int().argmax()), tuple(wrong.shape))]
    return (place[0] + first, *place[1:])


def make_rows(first: int, values: Tensor) -> Rows:
    """Return a block with NaN for what is missing as rows; the mask is kept as small as what is missing allows."""
    observed = ~values.isnan()
    if observed.all():
        mask = values.new_ones((1,) * values.ndim)
    else:
        values = values.nan_to_num(nan=0.0)
        mask = _collapse(observed).to(values.dtype)
    flat = values.reshape(len(values), -1)
    squares = torch.bmm(flat[:, None, :], flat[:, :, None]).sum(dtype=torch.float64)
    return Rows(first, flat, mask, float(squares), tuple(values.shape[1:]))


def _collapse(observed: Tensor) -> Tensor:
    """The mask with size 1 along every mode on which it does not depend, such as time where an animal lacks a neuron."""
    for mode in range(observed.ndim):
        line = observed.narrow(mode, 0, 1)
        if observed.shape[mode] > 1 and bool((observed == line).all()):
            observed = line
    return observed


class WholeTensor:
    """A tensor in memory, its largest mode as the rows; what it keeps is a copy.

    Parameters
    ----------
    values
        Entries, NaN where missing.
    order
        The modes, the one that is to be the rows first; None: the largest.
    """

    def __init__(self, values: Tensor, order: Sequence[int] | None = None) -> None:
        self.shape = tuple(values.shape)
        largest = max(range(values.ndim), key=lambda mode: self.shape[mode])
        self.order = tuple(order or (largest, *(mode for mode in range(values.ndim) if mode != largest)))
        self._rows = make_rows(0, values.permute(self.order).contiguous())
        observed = self._rows.mask.permute(*np.argsort(self.order).tolist()) > 0
        self.seen = [observed.movedim(m, 0).flatten(1).any(1).expand(size) for m, size in enumerate(self.shape)]

    def on(self, device: torch.device) -> WholeTensor:
        """Return this tensor, from now on given out on a device."""
        row = self._rows
        if row.values.device != device:
            self._rows = replace(row, values=row.values.to(device), mask=row.mask.to(device))
        return self

    def __iter__(self) -> Iterator[Rows]:
        yield self._rows


class TensorBlocks:
    """A tensor that comes in blocks of rows, made anew for every sweep.

    Parameters
    ----------
    blocks
        Called once per sweep; gives ``(first_row, block)``, each block ``(row, size_1, …)`` with NaN where missing.
        Every row comes once, in any order.
    shape
        Of the whole tensor.
    dtype
        Blocks are converted to it.
    nonnegative
        Whether negative entries are refused; looked for in the first sweep.
    """

    def __init__(
        self,
        blocks: Callable[[], Iterable[tuple[int, Any]]],
        shape: Sequence[int],
        *,
        dtype: torch.dtype,
        nonnegative: bool,
    ) -> None:
        if not callable(blocks):
            raise NeurodataError(
                f"blocks must be a function that gives the blocks anew for every pass, got {type(blocks).__name__}; a "
                "generator can be gone through only once: pass the function that makes it"
            )
        self.shape, self.order = tuple(int(size) for size in shape), tuple(range(len(shape)))
        self._blocks, self._dtype, self._nonnegative = blocks, dtype, nonnegative
        self._device, self._checked = torch.device("cpu"), False
        self.seen = [torch.zeros(size, dtype=torch.bool) for size in self.shape]

    def on(self, device: torch.device) -> TensorBlocks:
        """Return these blocks, from now on given out on a device."""
        self._device = device
        return self

    def __iter__(self) -> Iterator[Rows]:
        met = torch.zeros(self.shape[0], dtype=torch.bool)
        for first, block in self._blocks():
            values = torch.as_tensor(block)
            self._check_place(first, values, met)
            met[first : first + len(values)] = True
            step = max(1, _CHUNK_ENTRIES // max(1, math.prod(self.shape[1:])))
            for begin in range(0, len(values), step):
                yield self._prepare(first + begin, values[begin : begin + step])
        if self._checked and not met.any():
            raise NeurodataError("no block came in a later pass; blocks() must give all of them anew every time")
        if not met.all():
            missing = int((~met).nonzero()[0])
            raise NeurodataError(
                f"{int((~met).sum())} of {self.shape[0]} rows came in no block, the first is {missing}; give missing "
                "rows as NaN"
            )
        self._checked = True

    def _check_place(self, first: int, values: Tensor, met: Tensor) -> None:
        expected = " × ".join(["rows", *map(str, self.shape[1:])])
        if values.ndim != len(self.shape) or tuple(values.shape[1:]) != self.shape[1:]:
            raise NeurodataError(f"the block at row {first} has shape {tuple(values.shape)}, expected {expected}")
        if not 0 <= first <= self.shape[0] - len(values):
            raise NeurodataError(
                f"a block of rows {first} to {first + len(values)} leaves the {self.shape[0]} there are"
            )
        if met[first : first + len(values)].any():
            raise NeurodataError(f"rows of the block at row {first} came twice in one sweep")

    def _prepare(self, first: int, values: Tensor) -> Rows:
        values = values.to(self._device, self._dtype)
        if not self._checked:
            check_entries(values, first, nonnegative=self._nonnegative)
        rows = make_rows(first, values)
        if not self._checked:
            self._note_seen(first, rows.mask > 0, len(values))
        return rows

    def _note_seen(self, first: int, observed: Tensor, n_rows: int) -> None:
        observed = observed.cpu()
        for mode, seen in enumerate(self.seen):
            found = observed.movedim(mode, 0).flatten(1).any(1)
            if mode == 0:
                seen[first : first + n_rows] = found
            else:
                seen |= found
