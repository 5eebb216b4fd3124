"""What a file holds, sorted by shape: scalars, vectors, matrices, cells, and which of them are rates and times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ._matlab_v5 import make_array
from ._variables_clock import fit_clock
from ._variables_names import is_time_name, last_name, name_of, rate_of, unit_of, words
from ._variables_tree import Array, Cells, Node, Opaque, Struct, Text, Tree

T = TypeVar("T")
_MOST_TIMES = 100_000_000
_SLOWEST_STEP = 10.0
"""Seconds between samples that no recording has: times this far apart are in milliseconds."""


@dataclass(frozen=True)
class Times:
    """Times of samples.

    Parameters
    ----------
    path
        The variable.
    length
        Number of samples they are of.
    clock
        Arguments of `make_signal`; empty where the vector only counts samples and no rate is known.
    source
        Where the clock is from, in words.
    assumed
        What was assumed to read it, empty where nothing was.
    """

    path: str
    length: int
    clock: dict[str, Any]
    source: str
    assumed: str = ""


@dataclass
class Inventory:
    """Variables sorted by shape; ``used`` collects the paths of those that went somewhere."""

    tree: Tree
    scalars: list[Array] = field(default_factory=list)
    vectors: list[Array] = field(default_factory=list)
    matrices: list[Array] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    cells: list[Cells] = field(default_factory=list)
    others: list[Node] = field(default_factory=list)
    rates: list[tuple[str, float]] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def rate_at(self, path: str) -> tuple[str, float] | None:
        """Return the rate that stands nearest to a variable, None where the file states none."""
        return nearest(path, self.rates, lambda entry: entry[0])

    def times_of(self, path: str, length: int) -> Times | None:
        """Return the times nearest to a variable that fit its length."""
        return nearest(path, [times for times in self.times if times.length == length], lambda times: times.path)

    def members(self) -> Iterator[Node]:
        """Everything that was found."""
        for group in (self.scalars, self.vectors, self.matrices, self.texts, self.cells, self.others):
            yield from group


def nearest(path: str, candidates: Sequence[T], path_of: Any) -> T | None:
    """Return the candidate in the innermost struct that also holds ``path``, the one with most words in common."""

    def closeness(candidate: T) -> tuple[int, int, int]:
        other = path_of(candidate)
        shared = _shared(_scope(path), _scope(other))
        # Something in a struct of its own speaks for that struct only, something above it for all below.
        return (shared, shared - len(_scope(other)), len(words(path) & words(other)))

    return max(candidates, key=closeness, default=None)


def _scope(path: str) -> list[str]:
    return re.split(r"[.\[]", path)[:-1]


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(first, second):
        if one != other:
            break
        count += 1
    return count


def make_inventory(tree: Tree) -> Inventory:
    """Sort what a file holds."""
    found = Inventory(tree)
    for node in _flatten(tree.root):
        if isinstance(node, Array):
            _sort_array(found, node)
        elif isinstance(node, Text):
            found.texts.append(node)
        elif isinstance(node, Cells) and node.items:
            found.cells.append(node)
        else:
            found.others.append(node)
    _find_rates(found)
    for vector in found.vectors:
        times = _read_times(found, vector)
        if times is not None:
            found.times.append(times)
    return found


def _sort_array(found: Inventory, array: Array) -> None:
    if array.size == 0 or array.dtype.kind not in "biuf":
        found.others.append(array)
    elif array.size == 1:
        found.scalars.append(array)
    else:
        (found.vectors if len(array.long_axes) == 1 else found.matrices).append(array)


def unwrap(node: Node) -> Node:
    """Return what a cell of one element holds."""
    while isinstance(node, Cells) and len(node.items) == 1:
        node = node.items[0]
    return node


def _flatten(node: Node) -> Iterator[Node]:
    node = unwrap(node)
    if isinstance(node, Struct):
        for member in node.fields.values():
            yield from _flatten(member)
    elif isinstance(node, Cells) and node.items:
        items = [unwrap(item) for item in node.items]
        structs = [item for item in items if isinstance(item, Struct)]
        if len(structs) == len(items):
            for name in dict.fromkeys(name for item in structs for name in item.fields):
                column = tuple(item.fields.get(name, Opaque(f"{item.path}.{name}", "nothing")) for item in structs)
                yield from _flatten(Cells(f"{node.path}[:].{name}", column, node.shape, "struct field"))
        else:
            yield _simplify(Cells(node.path, tuple(items), node.shape, node.kind))
    else:
        yield node


def _simplify(cells: Cells) -> Node:
    """Cells of one number each as a vector, cells of one text each as text."""
    if all(isinstance(item, Text) and len(item.rows) == 1 for item in cells.items):
        return Text(cells.path, tuple(item.rows[0] for item in cells.items if isinstance(item, Text)), cells.kind)
    numbers = [item for item in cells.items if isinstance(item, Array) and item.size == 1 and item.dtype.kind in "biuf"]
    if len(numbers) == len(cells.items):
        return make_array(np.array([item.values().ravel()[0] for item in numbers]), cells.path)
    return cells


def _find_rates(found: Inventory) -> None:
    for scalar in found.scalars:
        rate = rate_of(scalar.path, float(scalar.vector()[0]))
        if rate is not None:
            found.rates.append((scalar.path, rate))


def _read_times(found: Inventory, vector: Array) -> Times | None:
    """A vector as times of samples, None where it is none."""
    if not is_time_name(vector.path) or vector.size > _MOST_TIMES or vector.dtype.kind == "b":
        return None
    raw = vector.values().ravel(order="F")
    values = raw.astype(np.float64)
    if not np.isfinite(values).all() or not (np.diff(values) > 0).all():
        return None
    scale, source, assumed = _scale(found, vector.path, values)
    if scale is None:
        return Times(vector.path, len(values), {}, source, assumed)
    return Times(vector.path, len(values), fit_clock(raw, scale), source, assumed)


def _scale(found: Inventory, path: str, values: np.ndarray[Any, Any]) -> tuple[float | None, str, str]:
    """Seconds per unit of a time vector (None where it counts samples), its source, and what was assumed."""
    stated = unit_of(path)
    if stated is not None:
        return stated, f"variable {path}", ""
    step = float(np.median(np.diff(values)))
    rate = found.rate_at(path)
    if rate is not None:
        for scale, what in ((1.0, ""), (1e-3, "ms"), (1e-6, "us"), (1 / rate[1], "samples"), (60.0, "min")):
            if abs(step * scale * rate[1] - 1) < 0.05:
                source = f"variable {path}" + (f" in {what}, as {rate[0]} shows" if what else "")
                return scale, source, ""
    counts = bool((values == np.round(values)).all())
    if counts and step == 1 and (np.diff(values) == 1).all() and values[0] in (0, 1):
        return None, f"variable {path} counts samples", f"{path} counts samples; state the rate with --set rate_hz="
    if step >= _SLOWEST_STEP:
        return 1e-3, f"variable {path}, in ms", f"{path} is taken for milliseconds: its steps are {step:g}"
    return 1.0, f"variable {path}", ""


def take_columns(found: Inventory, n_entries: int, taken: Iterable[str], scope: str | None = None) -> dict[str, Any]:
    """Return the unused vectors and texts of one entry per row as columns of a table, and note that they are used.

    Parameters
    ----------
    found
        What the file holds.
    n_entries
        Rows of the table.
    taken
        Names that the columns may not have.
    scope
        The struct that they stand in; anywhere where left out.
    """
    columns: dict[str, Any] = {}
    for text in found.texts:
        if len(text.rows) == n_entries and _is_free(found, text.path, scope):
            columns[name_of(last_name(text.path), {*taken, *columns})] = np.array([row.strip() for row in text.rows])
            found.used.add(text.path)
    for vector in found.vectors:
        if vector.size == n_entries and _is_free(found, vector.path, scope):
            values = vector.values().ravel(order="F")
            name = name_of(last_name(vector.path), {*taken, *columns})
            columns[name] = values.astype(np.float32) if values.dtype == np.float16 else values
            found.used.add(vector.path)
    return columns


def _is_free(found: Inventory, path: str, scope: str | None) -> bool:
    return path not in found.used and (scope is None or path.rpartition(".")[0] == scope)
