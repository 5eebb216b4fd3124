"""One view of what is in a ``.mat`` or ``.npz`` file: nested variables, their values left in the file where they can be."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows

_MOST_WHOLE = 1 << 30
"""Largest variable, in bytes, that is read at once: times and labels are; signals are read by blocks."""

Read: TypeAlias = Callable[[tuple[slice, ...]], NDArray[Any]]


@dataclass(frozen=True)
class Array:
    """Numbers.

    Parameters
    ----------
    path
        ``a.b[2].c``, elements counted from 0 in the order of the file (MATLAB's linear order).
    shape, dtype
        As the file's own program shows them (MATLAB's matrices have at least two dimensions).
    kind
        The class in the file: ``double``, ``logical``, ``int16``, ``sparse`` …
    read
        Given one slice per dimension, returns these values.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    kind: str
    read: Read = field(repr=False)

    @property
    def long_axes(self) -> tuple[int, ...]:
        """Dimensions longer than one."""
        return tuple(axis for axis, length in enumerate(self.shape) if length != 1)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def values(self) -> NDArray[Any]:
        """Return everything, shape as in the file.

        Raises
        ------
        RawFileError
            If it is larger than what is read at once.
        """
        if self.size * self.dtype.itemsize > _MOST_WHOLE:
            raise RawFileError(f"variable {self.path}: {self.size} values are too many to be times, labels or events")
        return self.read(tuple(slice(0, length) for length in self.shape))

    def vector(self) -> NDArray[np.float64]:
        """Return everything as float64, flattened in MATLAB's order."""
        return np.asarray(self.values(), np.float64).ravel(order="F")


@dataclass(frozen=True)
class Text:
    """Text, one entry per row."""

    path: str
    rows: tuple[str, ...]
    kind: str = "char"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows."""
        return (len(self.rows),)


@dataclass(frozen=True)
class Opaque:
    """What is not read: objects, function handles, tables."""

    path: str
    kind: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Struct:
    """Named variables."""

    path: str
    fields: dict[str, Node]
    kind: str = "struct"
    shape: tuple[int, ...] = (1, 1)


@dataclass(frozen=True)
class Cells:
    """A cell array (or an array of structs), its elements in MATLAB's linear order."""

    path: str
    items: tuple[Node, ...]
    shape: tuple[int, ...]
    kind: str = "cell"


Node: TypeAlias = Array | Text | Opaque | Struct | Cells


@dataclass(frozen=True)
class Tree:
    """All variables of a file.

    Parameters
    ----------
    path
        The file.
    root
        Its variables.
    trials_first
        Whether a three-dimensional array of this kind of file usually begins with its trials (numpy) or ends with
        them (MATLAB).
    named_only
        Whether it is a recording only if a name says that something is neural: pickled settings hold matrices too.
    """

    path: Path
    root: Struct
    trials_first: bool = False
    named_only: bool = False


def child_path(parent: str, name: str) -> str:
    """Return the path of a field."""
    return f"{parent}.{name}" if parent else name


def list_leaves(node: Node) -> Iterator[Array | Text | Opaque | Cells]:
    """Every variable that holds values; a cell array comes before its elements, structs do not come."""
    if isinstance(node, Struct):
        for member in node.fields.values():
            yield from list_leaves(member)
        return
    yield node
    if isinstance(node, Cells):
        for item in node.items:
            yield from list_leaves(item)


_STEP = re.compile(r"\.?(?P<name>[^.\[\](){}]+)|\[(?P<zero>\d{1,9})\]|[({](?P<one>\d{1,9})[)}]")


def find_variable(tree: Tree, path: str, start: Node | None = None) -> Node:
    """Return the variable at ``a.b[2].c`` (counted from 0; ``{3}`` and ``(3)`` count from 1, as MATLAB does).

    A cell array or struct array of one element is passed through without an index.

    Raises
    ------
    RawFileError
        If there is none; names the closest ones and lists what is in the file.
    """
    node: Node = start or tree.root
    root, position = node, 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise RawFileError(f"{tree.path}: {path!r} is no path of a variable; write it like data.trials[2].spikes")
        position = match.end()
        found = _step(node, match)
        if found is None:
            raise _unknown(tree, path, root)
        node = found
    return node


def _step(node: Node, match: re.Match[str]) -> Node | None:
    if match["name"] is not None:
        while isinstance(node, Cells) and len(node.items) == 1:
            node = node.items[0]
        return node.fields.get(match["name"]) if isinstance(node, Struct) else None
    index = int(match["zero"]) if match["zero"] is not None else int(match["one"]) - 1
    if isinstance(node, Cells):
        return node.items[index] if 0 <= index < len(node.items) else None
    return node if index == 0 and isinstance(node, Struct) else None


def _unknown(tree: Tree, path: str, start: Node) -> RawFileError:
    prefix = len(start.path) + 1 if start.path and not isinstance(start, Cells) else 0
    known = {leaf.path[prefix:] for leaf in list_leaves(start)}
    close = difflib.get_close_matches(path, sorted(known), n=3)
    last = path.rpartition(".")[2]
    close += [name for name in sorted(known) if name.rpartition(".")[2] == last and name not in close][:2]
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
    return RawFileError(f"{tree.path}: there is no variable {path!r}{hint} The file holds:\n{show(start)}")


def describe(node: Node) -> str:
    """Return name, class and shape of a variable in words."""
    shape = " x ".join(map(str, node.shape)) or "1"
    return f"{node.path or '(everything)'} ({node.kind}, {shape})"


def show(node: Node, most: int = 60) -> str:
    """Return one line per variable, for a message."""
    lines = [f"  {describe(leaf)}" for leaf in _shown(node)]
    more = [f"  … and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more]) or "  nothing"


def _shown(node: Node) -> Iterator[Node]:
    """Leaves, of a long cell array the first element's only."""
    if isinstance(node, Struct):
        for member in node.fields.values():
            yield from _shown(member)
        return
    yield node
    if isinstance(node, Cells) and node.items and isinstance(node.items[0], (Struct, Cells)):
        yield from _shown(node.items[0])


def stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type a signal is kept in: the file's own, except that truth values become uint8 and halves float32."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")


def lay_out(array: Array, time: int, channels: Sequence[int], trial: int | None = None, factor: float = 1.0) -> Any:
    """Return a lazy ``(time, channel)`` array of a variable.

    Parameters
    ----------
    array
        The variable, any number of dimensions.
    time
        Which dimension is time.
    channels
        Which dimensions become channels, the last one fastest; the others have length one.
    trial
        Which dimension counts trials; they come one behind the other.
    factor
        What float values are multiplied with.
    """
    length = array.shape[time]
    n_trials = 1 if trial is None else array.shape[trial]
    n_channels = math.prod(array.shape[axis] for axis in channels)
    dtype = stored_dtype(array.dtype)

    def read(first: int, after: int) -> NDArray[Any]:
        wanted = [slice(0, size) for size in array.shape]
        begin, end = (first // length, (after - 1) // length + 1) if trial is not None else (0, 1)
        if trial is not None:
            wanted[trial] = slice(begin, end)
        if end - begin == 1:
            wanted[time] = slice(first - begin * length, after - begin * length)
            begin = 0
        values = array.read(tuple(wanted))
        order = [*([trial] if trial is not None else []), time, *channels]
        rest = [axis for axis in range(values.ndim) if axis not in order]
        rows = values.transpose(order + rest).reshape(-1, n_channels)
        if len(rows) != after - first:
            rows = rows[first - begin * length : after - begin * length]
        return rows if factor == 1.0 else rows * dtype.type(factor)

    return lazy_rows((n_trials * length, n_channels), dtype, read)


def find_array(tree: Tree, path: str, start: Node | None = None) -> Array:
    """Return the numbers at a path (see `find_variable`).

    Raises
    ------
    RawFileError
        If there is no such variable, or it does not hold real numbers.
    """
    node = find_variable(tree, path, start)
    while isinstance(node, Cells) and len(node.items) == 1:
        node = node.items[0]
    if not isinstance(node, Array) or node.dtype.kind not in "biuf":
        raise RawFileError(f"{tree.path}: expected real numbers at {path!r}, found {describe(node)}")
    return node
