"""numpy archives and arrays of any lab: which array is what stands in a map, or is recognised."""

from __future__ import annotations

import dataclasses
import functools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..npy_content import read_header
from ..npy_files import list_arrays, open_npy, read_npy
from ..restricted import read_array
from ._variables_loader import VariablesLoader
from ._variables_tree import Array, Cells, Node, Opaque, Read, Struct, Text, Tree, child_path

_MOST_ITEMS = 200_000
_DEEPEST = 20


class Npz(VariablesLoader):
    """numpy archives (``.npz``) and single arrays (``.npy``).

    With a map (``--set map=FILE.yaml``, docs/variable-maps.md) exactly what the map names is read. Without one, arrays
    are recognised by name and shape as in MATLAB files (see ``matlab``): times, rates, signals, spikes, events,
    trials. A single ``.npy`` array is a signal if it has two dimensions; time is the longer one unless
    ``--set orientation=channel_first`` or ``time_first`` says otherwise, and its rate comes by ``--set rate_hz=``.
    Arrays of three dimensions are taken for (trial, channel, time) or (trial, time, channel), as the longest one
    shows; a time vector or one label per trial decides first.

    A ``.npy`` file is read piece by piece, an archive's array whole (up to 8 GiB). Python objects (dictionaries, lists
    of spike times) are read by the restricted reader, which makes arrays, lists, dictionaries, text and numbers, and
    runs nothing; what it refuses is listed in ``extra/not_read``, and is an error where a map is given. Not read:
    structured arrays. Odd: arrays with Python's ``bytes`` become text.
    """

    version = 1

    @classmethod
    def is_mine(cls, path: Path) -> bool:
        """Tell whether a file is a numpy array, or an archive of nothing but arrays."""
        with path.open("rb") as stream:
            head = stream.read(6)
        if head == b"\x93NUMPY":
            return True
        if head[:4] != b"PK\x03\x04":
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
            if path.suffix.lower() == ".npz":
                raise RawFileError(
                    f"{path}: the .npz archive is truncated or damaged ({error}); fetch it again"
                ) from error
            return False
        return bool(names) and all(name.endswith(".npy") for name in names)

    @classmethod
    def is_lazy(cls, path: Path) -> bool:
        """Tell whether a file is a single array, which is memory-mapped."""
        with path.open("rb") as stream:
            return stream.read(6) == b"\x93NUMPY"

    @classmethod
    def open_tree(cls, path: Path, *, objects: bool = False) -> Tree:
        """List the arrays; values are read when they are asked for.

        Python objects are read at once; with ``objects`` it is an error if they are refused, else they are listed.
        """
        single = cls.is_lazy(path)
        fields = _read_single(path, objects) if single else _read_archive(path, objects)
        return Tree(path, Struct("", fields), trials_first=True, named_only=single and _holds_objects(path))


def _read_single(path: Path, strict: bool) -> dict[str, Node]:
    name = path.name.removesuffix(".npy")
    if _holds_objects(path):
        node = _read_objects(lambda: read_npy(path, objects=True), "", (), strict)
        return node.fields if isinstance(node, Struct) else {name: dataclasses.replace(node, path=name)}
    array = open_npy(path)
    return {name: _numbers(name, array.shape, array.dtype, lambda: open_npy(path))}


def _holds_objects(path: Path) -> bool:
    with path.open("rb") as stream:
        return read_header(str(path), stream).dtype.kind == "O"


def _read_archive(path: Path, strict: bool) -> dict[str, Node]:
    fields: dict[str, Node] = {}
    for key, (shape, dtype) in list_arrays(path).items():
        if dtype.kind == "O":
            read = functools.partial(read_array, path, key, objects=True)
            fields[key] = _read_objects(read, key, shape, strict)
        elif dtype.hasobject or dtype.names is not None:
            fields[key] = Opaque(key, "structured array", shape)
        elif dtype.kind in "US":
            fields[key] = _text(read_array(path, key), key)
        else:
            fields[key] = _numbers(key, shape, dtype, _Once(path, key))
    return fields


def _read_objects(read: Callable[[], NDArray[Any]], name: str, shape: tuple[int, ...], strict: bool) -> Node:
    """Python objects as variables, or that and why they are refused."""
    try:
        value = read()
    except RawFileError as error:
        if strict:
            raise
        return Opaque(name, f"Python objects, {str(error).rpartition(': ')[2].partition(';')[0][:150]}", shape)
    # A dictionary alone lies in an array without dimensions, for some programs in one of length one.
    return _from_python(value.ravel()[0] if value.size == 1 else value, name, 0)


class _Once:
    """Reads an array of an archive when it is first asked for, and keeps it: deflated bytes cannot be read in pieces."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._values: NDArray[Any] | None = None

    def __call__(self) -> NDArray[Any]:
        if self._values is None:
            self._values = read_array(self._path, self._key)
        return self._values


def _numbers(path: str, shape: tuple[int, ...], dtype: np.dtype[Any], load: Any) -> Node:
    if dtype.kind in "US":
        return _text(load(), path)
    native = dtype.newbyteorder("=")

    def read(key: tuple[slice, ...]) -> NDArray[Any]:
        values: NDArray[Any] = np.asarray(load()[key]).astype(native, copy=False)
        return values

    reader: Read = read
    return Array(path, shape, native, native.name, reader)


def _text(values: NDArray[Any], path: str) -> Text:
    rows = (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values.ravel())
    return Text(path, tuple(rows), "text")


def _from_python(value: Any, path: str, depth: int) -> Node:
    """What the restricted reader made, as a variable."""
    if depth > _DEEPEST:
        return Opaque(path, "objects nested too deep")
    if isinstance(value, dict):
        named = {str(key): entry for key, entry in list(value.items())[:_MOST_ITEMS]}
        return Struct(
            path, {key: _from_python(entry, child_path(path, key), depth + 1) for key, entry in named.items()}
        )
    if isinstance(value, (str, bytes)):
        return _text(np.array([value]), path)
    if isinstance(value, (bool, int, float, np.number, np.bool_)):
        value = np.asarray(value)
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype.hasobject):
        return _sequence(value, path, depth)
    if isinstance(value, np.ndarray) and value.dtype.kind in "US":
        return _text(value, path)
    if isinstance(value, np.ndarray) and value.dtype.names is None and value.dtype.kind in "biufc":
        kept = value
        return _numbers(path, kept.shape, kept.dtype, lambda: kept)
    return Opaque(path, type(value).__name__)


def _sequence(value: Any, path: str, depth: int) -> Node:
    entries = list(value.ravel()) if isinstance(value, np.ndarray) else list(value)
    if entries and all(isinstance(entry, (bool, int, float, np.number)) for entry in entries):
        numbers = np.asarray(entries)
        if numbers.dtype.kind in "biuf":
            return _numbers(path, numbers.shape, numbers.dtype, lambda: numbers)
    items = [_from_python(entry, f"{path}[{i}]", depth + 1) for i, entry in enumerate(entries[:_MOST_ITEMS])]
    return Cells(path, tuple(items), (len(items),), "list")
