"""Samples that stay in their file until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

ReadRows = Callable[[int, int], NDArray[Any]]
"""Given the first row and the one after the last, returns these rows, shape ``(rows, channel)``."""


class _Rows(BackendArray):
    """Rows read where they are asked for; other indices are applied to what was read."""

    def __init__(self, shape: tuple[int, int], dtype: DTypeLike, read: ReadRows) -> None:
        self.shape, self.dtype, self._read_rows = shape, np.dtype(dtype), read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        rows, channels = key
        if isinstance(rows, slice):
            chosen = np.arange(*rows.indices(self.shape[0]))
        else:
            chosen = np.atleast_1d(np.asarray(rows) % self.shape[0] if self.shape[0] else np.asarray(rows))
        if chosen.size == 0:
            values = np.empty((0, self.shape[1]), self.dtype)
        else:
            first, after = int(chosen.min()), int(chosen.max()) + 1
            values = self._checked(first, after)
            if chosen.size != after - first or (chosen.size > 1 and chosen[0] > chosen[1]):
                values = values[chosen - first]
        # Outer indexing, as xarray's own backends do it: an integer drops its dimension.
        values = (
            values[:, channels] if isinstance(channels, (slice, int, np.integer)) else values[:, np.asarray(channels)]
        )
        return values if isinstance(rows, (slice, np.ndarray)) else values[0]

    def _checked(self, first: int, after: int) -> NDArray[Any]:
        values = np.asarray(self._read_rows(first, after))
        expected = (after - first, self.shape[1])
        assert values.shape == expected, f"read {values.shape} where {expected} was asked for"
        return values.astype(self.dtype, copy=False)


def lazy_rows(shape: tuple[int, int], dtype: DTypeLike, read: ReadRows) -> indexing.LazilyIndexedArray:
    """Return a lazy ``(time, channel)`` array for `make_signal` that reads the rows it is asked for and no others.

    Writing a recording asks for blocks of rows in order, so a file of any size passes through a little memory.

    Parameters
    ----------
    shape
        ``(time, channel)``.
    dtype
        Type of the values; what ``read`` returns is converted to it.
    read
        Given the first row and the one after the last, returns these rows, shape ``(rows, channel)``. It should open
        the file itself (or keep it open) and must not read more than it is asked for.
    """
    return indexing.LazilyIndexedArray(_Rows(shape, dtype, read))
