"""Arrays of any size on their way into an HDF5 file, a few megabytes at a time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_BUFFER_GB = 0.016
_CHUNK_MB = 1.0


def stream(shape: tuple[int, ...], dtype: DTypeLike, read: Callable[[tuple[slice, ...]], NDArray[Any]]) -> Any:
    """Return what pynwb writes block by block, compressed; an empty array is returned as it is.

    Parameters
    ----------
    shape, dtype
        Of the whole array.
    read
        Given one slice per dimension, returns that block.
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    data_utils, hdmf = importlib.import_module("hdmf.data_utils"), importlib.import_module("hdmf.backends.hdf5")

    class Blocks(data_utils.GenericDataChunkIterator):  # type: ignore[name-defined,misc]
        def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
            return read(selection)

        def _get_maxshape(self) -> tuple[int, ...]:
            return shape

        def _get_dtype(self) -> np.dtype[Any]:
            return np.dtype(dtype)

    blocks = Blocks(buffer_gb=_BUFFER_GB, chunk_mb=_CHUNK_MB)
    return hdmf.H5DataIO(data=blocks, compression="gzip", compression_opts=4, shuffle=True)
