"""Arrays from ``.npy`` files of unknown origin, in memory or left where they are, and what an ``.npz`` archive holds."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from .npy_content import check_plain, read_content, read_header
from .restricted import list_arrays

__all__ = ["list_arrays", "open_npy", "read_npy"]

_MOST_OBJECTS = 1 << 30
"""Largest ``.npy`` file of Python objects; a suite2p ``ops.npy`` with its registration metrics is some 100 MB."""
_MOST_BYTES = 8 << 30


def open_npy(path: Path) -> NDArray[Any]:
    """Open a ``.npy`` file of numbers or text without reading its values.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    array
        Memory-mapped and read-only, of the file's own type (byte order included), shape and order. What is read of it
        stays in the page cache and takes no memory of the process.

    Raises
    ------
    RawFileError
        If the file is missing or damaged, holds Python objects or structures, or is not as long as its header says.
    """
    try:
        with path.open("rb") as stream:
            header = read_header(str(path), stream)
            offset = stream.tell()
            check_plain(str(path), header, path.stat().st_size - offset)
        order: Any = "F" if header.fortran else "C"
        if 0 in header.shape:  # nothing to map
            empty = np.empty(header.shape, header.dtype, order)
            empty.flags.writeable = False
            return empty
        return np.memmap(path, header.dtype, "r", offset, header.shape, order)
    except (OSError, ValueError, OverflowError) as error:
        raise _unreadable(path, error) from error


def read_npy(path: Path, *, objects: bool = False) -> NDArray[Any]:
    """Read a ``.npy`` file.

    Parameters
    ----------
    path
        The file.
    objects
        Whether an array of Python objects is admitted. Its pickle is read by `neurodata.loaders.pickles`, which makes
        arrays, lists, dictionaries, text and numbers, and calls nothing.

    Returns
    -------
    array
        Of the file's own type (native byte order) and shape. A single object (``np.save`` of a dictionary) is an array
        of shape ``()``: take it out with ``array[()]``.

    Raises
    ------
    RawFileError
        If the file is missing or damaged, is not as long as its header says, or pickles anything that is not admitted.
    """
    try:
        n_bytes = path.stat().st_size
        if n_bytes == 0 or n_bytes > _MOST_BYTES:
            raise RawFileError(
                f"{path}: expected the header of a numpy array and up to {_MOST_BYTES} bytes, got {n_bytes}"
            )
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return read_content(str(path), mapped, n_bytes, objects=objects, most_pickle=_MOST_OBJECTS)
    except (OSError, ValueError, OverflowError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RawFileError:
    if isinstance(error, FileNotFoundError):
        return RawFileError(f"{path}: there is no such file; the folder may be an incomplete download")
    why = getattr(error, "strerror", None) or error
    return RawFileError(f"{path}: expected a .npy file that can be read ({why}); fetch it again or ask for read access")
