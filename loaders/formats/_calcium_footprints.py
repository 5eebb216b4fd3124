"""Where cells lie, from their footprints: CaImAn's sparse matrix of pixels and components."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

_MOST_VALUES = 1 << 26
"""Most weights that are read: 64 million, some 800 MB of a file."""


def centroids(path: Path, matrix: Any, dims: tuple[int, ...], n_cells: int) -> dict[str, NDArray[np.float64]] | None:
    """Return the centre of mass of each footprint as columns ``y``, ``x`` (and ``z``), in pixels.

    Parameters
    ----------
    path
        The file, for errors.
    matrix
        Group with ``data``, ``indices``, ``indptr`` and ``shape`` (compressed columns), or dataset of shape
        ``(pixel, cell)``. Pixels count down the first dimension first (Fortran order).
    dims
        Height and width of the image (and depth).
    n_cells
        Cells of the traces.

    Returns
    -------
    columns
        NaN for an empty footprint. None where the matrix is too large, or does not fit ``dims``.
    """
    n_pixels = math.prod(dims)
    if isinstance(matrix, h5py.Dataset):
        if matrix.shape != (n_pixels, n_cells) or matrix.size > _MOST_VALUES:
            return None
        dense = np.asarray(matrix[()], np.float64)
        pixel, cell = np.nonzero(dense)
        return _centres(pixel, cell, dense[pixel, cell], dims, n_cells)
    data, indices, indptr = (matrix[key] for key in ("data", "indices", "indptr"))
    shape = tuple(int(size) for size in np.ravel(matrix["shape"][()]))
    if shape != (n_pixels, n_cells) or data.size > _MOST_VALUES:
        return None
    ends, pixel = np.asarray(indptr[()], np.int64), np.asarray(indices[()], np.int64)
    broken = len(ends) != n_cells + 1 or ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != data.size
    if broken or pixel.shape != data.shape or (len(pixel) and not 0 <= pixel.min() <= pixel.max() < n_pixels):
        raise RawFileError(
            f"{path}: the footprints in {matrix.name} are no sparse matrix of shape {shape}; fetch it again"
        )
    return _centres(
        pixel, np.repeat(np.arange(n_cells), np.diff(ends)), np.asarray(data[()], np.float64), dims, n_cells
    )


def _centres(
    pixel: NDArray[Any], cell: NDArray[Any], weight: NDArray[np.float64], dims: tuple[int, ...], n_cells: int
) -> dict[str, NDArray[np.float64]]:
    weight = np.where(np.isfinite(weight), weight, 0.0)
    total = np.bincount(cell, weight, n_cells)
    columns = {}
    for name, places in zip(("y", "x", "z"), np.unravel_index(pixel, dims, order="F")):
        moment = np.bincount(cell, weight * places, n_cells)
        columns[name] = np.divide(moment, total, out=np.full(n_cells, np.nan), where=total > 0)
    return columns
