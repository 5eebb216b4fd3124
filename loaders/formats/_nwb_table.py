"""Dynamic tables of NWB: every column as one value per row, what is nested as JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..discover import safe_name
from ._nwb_file import Notes, OddNwbError, attribute, check_stored, follow, member, plain, text

_MOST_NESTED = 20_000_000
"""Most values of a nested column that are made into text."""
_MOST_TEXT = 256 << 20
"""Most bytes of a text column in memory (4 per character, every row as wide as the longest)."""


@dataclass(frozen=True)
class Column:
    """One column: its values, and the index datasets (innermost first) that say which of them are whose row's."""

    name: str
    data: h5py.Dataset
    indexes: tuple[h5py.Dataset, ...] = ()

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        shape = (self.indexes[-1] if self.indexes else self.data).shape
        return int(shape[0]) if shape else 0

    @property
    def is_lying(self) -> bool:
        """Whether it is a row vector of shape ``(1, n)``, as MatNWB wrote columns."""
        return not self.indexes and self.data.ndim == 2 and self.data.shape[0] == 1

    def ends(self) -> NDArray[np.int64]:
        """Position in ``data`` after the last value of each row, shape ``(row,)``; only of ragged columns."""
        ends = _check_ends(self.indexes[0], len(self.data), self.name)
        for index in self.indexes[1:]:
            outer = _check_ends(index, len(ends), self.name)
            ends = np.r_[0, ends][outer]
        return ends


@dataclass(frozen=True)
class Table:
    """A dynamic table: ids and columns; `read` gives the values of one column."""

    group: h5py.Group
    notes: Notes
    n_rows: int
    columns: dict[str, Column] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where the table lies."""
        return text(self.group.name)

    def ids(self) -> NDArray[Any]:
        """The rows' ids, their numbers where the table has none."""
        node = member(self.group, "id")
        if isinstance(node, h5py.Dataset) and node.shape == (self.n_rows,) and node.dtype.kind in "iuOS":
            values = node[()]
            return values if values.dtype.kind in "iu" else np.array([text(value) for value in values], np.str_)
        return np.arange(self.n_rows)

    def read(self, name: str) -> NDArray[Any]:
        """Return a column with one value per row; rows of several values as JSON text."""
        return _column_values(self.columns[name], self.n_rows)

    def read_all(self, without: Collection[str] = ()) -> dict[str, NDArray[Any]]:
        """Return all columns that can be kept; what cannot be is noted."""
        values: dict[str, NDArray[Any]] = {}
        for name in self.columns:
            if name not in without:
                try:
                    values[name] = self.read(name)
                except OddNwbError as error:
                    self.notes.not_read.append(f"{self.path}/{name}: {error}")
        return values

    def descriptions(self, names: Collection[str]) -> dict[str, str]:
        """Return what the file says about these columns."""
        said = {name: text(attribute(self.columns[name].data, "description", "")) for name in names}
        return {name: words for name, words in said.items() if words}


def open_table(group: Any, notes: Notes) -> Table:
    """Return a dynamic table; the columns of an aligned table's categories are called ``category-column``."""
    columns = _list_columns(group)
    for category in text_list(attribute(group, "categories", ())):
        inner = member(group, category)
        if isinstance(inner, h5py.Group):
            columns |= {f"{category}-{name}": column for name, column in _list_columns(inner).items()}
    ids = member(group, "id")
    lengths = [column.n_rows for column in columns.values()]
    n_rows = int(ids.shape[0]) if isinstance(ids, h5py.Dataset) and ids.shape else max(lengths, default=0)
    lying = [column.data.shape[1] for column in columns.values() if column.is_lying]
    if lengths and n_rows not in (*lengths, *lying):
        n_rows = max(lengths)  # some writers leave the ids empty
    return Table(group, notes, n_rows, columns)


def text_list(value: Any) -> list[str]:
    """Return an attribute that holds names as a list."""
    if value is None or isinstance(value, h5py.Empty):
        return []
    if isinstance(value, (str, bytes)):
        return [text(value)]
    return [text(entry) for entry in np.asarray(value).ravel()]


def _list_columns(group: Any) -> dict[str, Column]:
    datasets = {
        name: node for name in group if isinstance(node := member(group, name), h5py.Dataset) and node.shape is not None
    }
    named = [name for name in text_list(attribute(group, "colnames", ())) if name in datasets]
    indexes = {name for name in datasets if _is_index(name, datasets)}
    others = [name for name in datasets if name not in indexes and name not in named and name != "id"]
    columns = {}
    for name in [name for name in named if name not in indexes] + others:
        if datasets[name].ndim == 0:
            continue
        chain: list[h5py.Dataset] = []
        index = f"{name}_index"
        while index in indexes:
            chain.append(datasets[index])
            index += "_index"
        columns[name] = Column(name, datasets[name], tuple(chain))
    return columns


def _is_index(name: str, datasets: Mapping[str, h5py.Dataset]) -> bool:
    if not name.endswith("_index") or name.removesuffix("_index") not in datasets:
        return False
    node = datasets[name]
    kind = text(attribute(node, "neurodata_type", "VectorIndex"))
    return kind == "VectorIndex" and node.dtype.kind in "iu" and node.ndim == 1


def _check_ends(index: h5py.Dataset, n_values: int, name: str) -> NDArray[np.int64]:
    ends = np.asarray(index[()], np.int64)
    if ends.size and (ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > n_values):
        raise OddNwbError(f"the index of {name!r} runs to {ends.max()}, there are {n_values} values")
    return ends


def _column_values(column: Column, n_rows: int) -> NDArray[Any]:
    check_stored(column.data)
    if column.is_lying and column.data.shape[1] == n_rows != 1:
        values = _resolved(column.data, column.data[0])
        return values if values.dtype.kind != "O" else _bounded_text([_object_text(v) for v in values], column.name)
    if column.n_rows != n_rows:
        raise OddNwbError(f"column {column.name!r} has {column.n_rows} rows, the table {n_rows}")
    if column.indexes or column.data.ndim > 1 or column.data.dtype.names:
        if math.prod(column.data.shape) > _MOST_NESTED:
            raise OddNwbError(f"column {column.name!r} is nested and holds {math.prod(column.data.shape)} values")
        return _as_json(column)
    values = _resolved(column.data, column.data[()])
    return values if values.dtype.kind != "O" else _bounded_text([_object_text(value) for value in values], column.name)


def _object_text(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False) if isinstance(value, (np.ndarray, list)) else text(value)


def _as_json(column: Column) -> NDArray[Any]:
    rows: Any = _resolved(column.data, column.data[()])
    for index in column.indexes:
        ends = _check_ends(index, len(rows), column.name)
        rows = [rows[first:after] for first, after in zip(np.r_[0, ends[:-1]], ends)]
    return _bounded_text([json.dumps(plain(row), ensure_ascii=False) for row in rows], column.name)


def _bounded_text(values: list[str], name: str) -> NDArray[Any]:
    longest = max(map(len, values), default=0)
    if 4 * longest * len(values) > _MOST_TEXT:
        raise OddNwbError(f"column {name!r} has {len(values)} rows of up to {longest} characters, too many to keep")
    return np.array(values, np.str_)


def _resolved(data: h5py.Dataset, values: Any) -> NDArray[Any]:
    """Values with text as text, references as names, and numbers of a type that can be stored."""
    elements = follow(data.file, attribute(data, "elements"))
    if isinstance(elements, h5py.Dataset) and values.dtype.kind in "iu":  # EnumData: codes into a list of words
        words = np.array([text(value) for value in elements[()]], object)
        if values.size == 0 or (values.min() >= 0 and values.max() < len(words)):
            return np.asarray(words[values])
    if values.dtype.names:
        entries = [_compound(data, row) for row in values.ravel()]
        return np.array(entries or [{}], object)[: values.size].reshape(values.shape)
    if h5py.check_ref_dtype(values.dtype):
        named = [_reference(data, value) for value in values.ravel()]
        return np.array(named or [""], object)[: values.size].reshape(values.shape)
    if values.dtype.kind == "S":
        return np.array([text(value) for value in values.ravel()], np.str_).reshape(values.shape)
    if values.dtype.kind == "O" and all(isinstance(value, (bytes, str)) for value in values.ravel()):
        return np.array([text(value) for value in values.ravel()] or [""], object)[: values.size].reshape(values.shape)
    if values.dtype == np.float16:
        return np.asarray(values, np.float32)
    if values.dtype.kind in "biufO" and values.dtype.itemsize <= 8:
        return np.asarray(values)
    if values.dtype.kind == "f":  # long double; no reader of the store knows it
        return np.asarray(values, np.float64)
    raise OddNwbError(f"values of type {values.dtype} cannot be kept")


def _reference(data: h5py.Dataset, reference: Any) -> str:
    target = follow(data.file, reference)
    return "" if target is None else text(target.name).rpartition("/")[2]


def _compound(data: h5py.Dataset, row: Any) -> dict[str, Any]:
    """A row of a compound column; a reference to a series as its path, for the name alone may be there twice."""
    entry = {}
    for name in row.dtype.names:
        target = follow(data.file, row[name])
        entry[name] = text(target.name) if target is not None else plain(row[name])
    return entry


def safe_columns(
    columns: Mapping[str, NDArray[Any]], taken: Collection[str], renamed: dict[str, str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return columns under names that a table of ours can have; ``renamed`` receives ours → the file's."""
    safe: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        ours = safe_name(name)
        ours = f"{ours}_column" if ours in taken else ours
        number, base = 1, ours
        while ours in safe:
            number += 1
            ours = f"{base}_{number}"
        safe[ours] = values
        if renamed is not None and ours != name:
            renamed[ours] = name
    return safe
