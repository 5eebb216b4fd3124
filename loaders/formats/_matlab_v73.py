"""MATLAB files of version 7.3, which are HDF5: variables stay in the file until they are asked for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..hdf5 import is_hdf5, open_hdf5, read_part
from ._variables_tree import Array, Cells, Node, Opaque, Read, Struct, Text, Tree, child_path

_NUMBERS = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
_OWN = ("#refs#", "#subsystem#")
_DEEPEST = 40
_MOST_NODES = 200_000
_SMALL = 1 << 16
"""Variables up to this many bytes are read at once, while the file is open (at most `_MOST_SMALL` in all)."""
_MOST_SMALL = 256 << 20
_MOST_TEXT = 1 << 20


def is_v73(path: Path) -> bool:
    """Tell whether a file is HDF5 behind MATLAB's header of version 7.3, or HDF5 whose variables name MATLAB classes."""
    with path.open("rb") as stream:
        head = stream.read(128)
    if not is_hdf5(path):
        return False
    if head[:15] == b"MATLAB 7.3 MAT-":
        return True
    if path.suffix.lower() != ".mat":
        return False
    with open_hdf5(path) as file:
        return any("MATLAB_class" in member.attrs for member in (file.get(name) for name in file) if member is not None)


def read_v73(path: Path) -> Tree:
    """Look through a file.

    Raises
    ------
    RawFileError
        If it is damaged, refers to itself without end, or holds more than 200 000 variables.
    """
    with open_hdf5(path) as file:
        try:
            walk = _Walk(path, file)
            fields = {name: walk.make(file[name], name, 0) for name in file if name not in _OWN}
        except RawFileError:
            raise
        except Exception as error:  # h5py lets nearly every kind through on damaged files
            raise RawFileError(
                f"{path}: expected a MATLAB 7.3 file that can be read ({type(error).__name__}: {error}); fetch it again"
            ) from error
    return Tree(path, Struct("", fields))


def list_v73(path: Path) -> list[str]:
    """Return the names at the top of a file."""
    with open_hdf5(path) as file:
        return [name for name in file if name not in _OWN]


class _Walk:
    """One walk through an open file, with what it may still take."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path, self._file = path, file
        self._nodes, self._small = 0, 0

    def make(self, item: Any, path: str, depth: int) -> Node:
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise RawFileError(
                f"{self._path}: variable {path[:80]} is nested more than {_DEEPEST} deep, or there are more than "
                f"{_MOST_NODES} variables; it refers to itself, or is no recording"
            )
        kind = _text(item.attrs.get("MATLAB_class", ""))
        if isinstance(item, h5py.Group):
            return self._group(item, path, kind, depth)
        if not isinstance(item, h5py.Dataset) or "MATLAB_object_decode" in item.attrs:
            return Opaque(path, kind or "object")
        if "MATLAB_empty" in item.attrs:
            return self._empty(item, path, kind)
        if item.dtype.kind == "O" and h5py.check_ref_dtype(item.dtype) is h5py.Reference:
            return self._cells(item, path, depth)
        if kind == "char":
            return self._char(item, path)
        if item.dtype.names == ("real", "imag"):
            return self._array(item, path, "complex", np.result_type(item.dtype["real"], np.complex64))
        if kind not in _NUMBERS and not (kind == "" and item.dtype.kind in "biuf"):
            return Opaque(path, kind or str(item.dtype), item.shape[::-1] if item.shape else ())
        return self._array(item, path, kind or item.dtype.name, item.dtype)

    def _group(self, group: h5py.Group, path: str, kind: str, depth: int) -> Node:
        if "MATLAB_sparse" in group.attrs:
            return self._sparse(group, path)
        if kind not in ("struct", "") or "MATLAB_object_decode" in group.attrs:
            return Opaque(path, kind)
        members = {name: group[name] for name in group}
        columns = list(members.values())
        if columns and all(_is_column(member) and member.shape == columns[0].shape for member in columns):
            return self._struct_array(members, path, depth)
        return Struct(
            path, {name: self.make(item, child_path(path, name), depth + 1) for name, item in members.items()}
        )

    def _struct_array(self, members: dict[str, h5py.Dataset], path: str, depth: int) -> Node:
        shape = next(iter(members.values())).shape[::-1]
        references = {name: dataset[()].ravel() for name, dataset in members.items()}
        items = []
        for i in range(math.prod(shape)):
            where = f"{path}[{i}]" if math.prod(shape) != 1 else path
            fields = {name: self._follow(refs[i], child_path(where, name), depth) for name, refs in references.items()}
            items.append(Struct(where, fields))
        return items[0] if len(items) == 1 else Cells(path, tuple(items), shape, "struct array")

    def _cells(self, dataset: h5py.Dataset, path: str, depth: int) -> Node:
        references = np.atleast_1d(dataset[()]).ravel()  # HDF5 order of the transposed array is MATLAB's linear order
        items = tuple(self._follow(reference, f"{path}[{i}]", depth) for i, reference in enumerate(references))
        return Cells(path, items, dataset.shape[::-1])

    def _follow(self, reference: h5py.Reference, path: str, depth: int) -> Node:
        if not reference:
            return Opaque(path, "nothing")
        return self.make(self._file[reference], path, depth + 1)

    def _empty(self, dataset: h5py.Dataset, path: str, kind: str) -> Node:
        shape = tuple(int(size) for size in np.atleast_1d(dataset[()]).ravel()[:32])
        if kind == "char":
            return Text(path, ("",))
        if kind == "cell":
            return Cells(path, (), shape)
        if kind not in _NUMBERS:
            return Opaque(path, f"empty {kind}", shape)
        dtype = np.dtype({"double": "f8", "single": "f4", "logical": "u1"}.get(kind, kind))
        return Array(path, shape if 0 in shape else (0, 0), dtype, kind, lambda key: np.zeros((0, 0), dtype))

    def _char(self, dataset: h5py.Dataset, path: str) -> Node:
        if dataset.size > _MOST_TEXT or dataset.dtype.kind not in "ui":
            return Opaque(path, "char", dataset.shape[::-1])
        codes = np.atleast_2d(np.asarray(dataset[()], np.uint16).T)
        return Text(path, tuple(row.astype("<u2").tobytes().decode("utf-16-le", "replace") for row in codes))

    def _sparse(self, group: h5py.Group, path: str) -> Node:
        n_rows = int(group.attrs["MATLAB_sparse"])
        if "data" not in group:
            n_columns = len(group["jc"]) - 1 if "jc" in group else 0
            return Opaque(path, "empty sparse", (n_rows, n_columns))
        values, rows, starts = (np.asarray(group[name][()]) for name in ("data", "ir", "jc"))
        if values.dtype.names is not None:
            return Opaque(path, "complex sparse", (n_rows, len(starts) - 1))
        from scipy.sparse import csc_array

        matrix = csc_array((values, rows.astype(np.int64), starts.astype(np.int64)), shape=(n_rows, len(starts) - 1))
        matrix.check_format(full_check=True)
        return Array(path, matrix.shape, values.dtype, "sparse", lambda key: matrix[key].toarray())

    def _array(self, dataset: h5py.Dataset, path: str, kind: str, dtype: np.dtype[Any]) -> Node:
        shape = dataset.shape[::-1] if dataset.shape else (1, 1)
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes <= _SMALL and self._small + n_bytes <= _MOST_SMALL:
            self._small += n_bytes
            values = _plain(np.asarray(dataset[()]), dtype).T.reshape(shape)
            return Array(path, shape, dtype, kind, lambda key: values[key])
        return Array(path, shape, dtype, kind, _reader(self._path, dataset.name, dtype))


def _is_column(member: Any) -> bool:
    """A field of a struct array: references without a class of their own."""
    return (
        isinstance(member, h5py.Dataset)
        and member.dtype.kind == "O"
        and h5py.check_ref_dtype(member.dtype) is h5py.Reference
        and "MATLAB_class" not in member.attrs
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _plain(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if values.dtype.names is None:
        return values
    joined = np.empty(values.shape, dtype)
    joined.real, joined.imag = values["real"], values["imag"]
    return joined


def _reader(path: Path, name: str, dtype: np.dtype[Any]) -> Read:
    def read(key: tuple[slice, ...]) -> NDArray[Any]:
        try:
            with open_hdf5(path) as file:
                return _plain(read_part(file[name], *key[::-1]), dtype).T
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise RawFileError(f"{path}: variable {name} cannot be read ({error}); fetch the file again") from error

    return read
