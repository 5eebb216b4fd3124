"""Numeric arrays of MATLAB files: up to v7 through scipy, v7.3 as HDF5; sizes are checked before anything is read."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..hdf5 import is_hdf5, open_hdf5

_MOST_EXPANSION = 1032
"""Most bytes that deflate gives per compressed byte."""
_MOST_BYTES = 4 << 30
_NUMERIC = {"double": 8, "single": 4, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4,
            "int64": 8, "uint64": 8, "logical": 1}  # fmt: skip


def is_matlab(path: Path) -> bool:
    """Tell whether a file begins as MATLAB 5 files do (v7.3 ones, which are HDF5, too)."""
    with path.open("rb") as stream:
        return stream.read(6) == b"MATLAB"


def list_matlab(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the numeric arrays of a MATLAB file by name, as MATLAB shows them; none where it is none.

    Raises
    ------
    RawFileError
        If it is damaged.
    """
    return {name: shape for name, (shape, kind) in _contents(path).items() if kind in _NUMERIC}


def list_texts(path: Path) -> dict[str, list[str]]:
    """Return the lists of text (cell arrays of names, rows of characters) of a MATLAB file up to v7."""
    found = {}
    for name, (shape, kind) in _contents(path).items():
        if kind in ("cell", "char") and 1 < max(shape, default=0) <= 100_000 and not is_hdf5(path):
            entries = [_text(entry) for entry in np.asarray(_load(path, name)).reshape(-1)]
            if all(entry is not None for entry in entries):
                found[name] = [str(entry).strip() for entry in entries]
    return found


def _text(entry: Any) -> str | None:
    while isinstance(entry, np.ndarray) and entry.size == 1:
        entry = entry.reshape(-1)[0]
    return str(entry) if isinstance(entry, str) else None


def read_matlab(path: Path, variable: str) -> NDArray[Any]:
    """Return one numeric array of a MATLAB file in MATLAB's own orientation.

    Raises
    ------
    RawFileError
        If the file is damaged, has no such array, or promises more than it can hold.
    """
    listed = list_matlab(path)
    if variable not in listed:
        raise RawFileError(f"{path}: expected a numeric array {variable!r}, found {', '.join(listed) or 'none'}")
    return np.asarray(_load(path, variable))


def _contents(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    if not path.is_file():
        raise RawFileError(f"{path}: there is no such file; expected a MATLAB file")
    if is_hdf5(path):
        with open_hdf5(path) as file:
            return {
                name: (tuple(entry.shape[::-1]), str(_word(entry.attrs.get("MATLAB_class", b""))))
                for name, entry in file.items()
                if hasattr(entry, "shape") and not name.startswith("#")
            }
    if not is_matlab(path):
        return {}
    from scipy.io import whosmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {str(name): (tuple(shape), str(kind)) for name, shape, kind in whosmat(str(path))}
    except Exception as error:  # whatever scipy meets in a damaged file
        raise RawFileError(
            f"{path}: expected a MATLAB file ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _word(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _load(path: Path, variable: str) -> Any:
    if is_hdf5(path):
        with open_hdf5(path) as file:
            return np.asarray(file[variable]).T
    from scipy.io import loadmat

    shape, kind = _contents(path)[variable]
    needed = math.prod(shape) * _NUMERIC.get(kind, 1)
    if needed > min(_MOST_BYTES, path.stat().st_size * _MOST_EXPANSION):
        raise RawFileError(
            f"{path}: {variable!r} of shape {shape} cannot lie in {path.stat().st_size} bytes, or is too large"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loadmat(str(path), variable_names=[variable])[variable]
    except Exception as error:  # whatever scipy meets in a damaged file
        raise RawFileError(
            f"{path}: {variable!r} cannot be read ({type(error).__name__}: {error}); fetch it again"
        ) from error
