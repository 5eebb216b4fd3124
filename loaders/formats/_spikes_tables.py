"""Tables beside sorted spikes, as text or Parquet: every column as one array that a Recording can keep."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..discover import safe_name

_MOST_TEXT = 256 << 20
_MOST_CELLS = 200_000_000
"""Largest table that is read; an hour of video tracking at 150 Hz has 13 million cells."""
_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null"})
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """Return a table's columns under their names in the file, each of shape ``(row,)``.

    Numbers are numbers (whole ones integers where none is missing), a missing number is NaN, a missing text is empty.

    Raises
    ------
    RawFileError
        If the file is too large or damaged, or its rows differ in length (gives the line).
    """
    return _read_parquet(path) if path.suffix in (".pqt", ".parquet") else _read_text(path)


def read_header(path: Path) -> list[str]:
    """Return the names of a text table's columns without reading it; none where it is no text."""
    try:
        with path.open("rb") as stream:
            line = stream.readline(1 << 16)
        return _split(line.decode("utf-8-sig").rstrip("\r\n"), _separator(path, line.decode("utf-8-sig")))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _separator(path: Path, header: str) -> str:
    # phy 1 wrote tabs into files called .csv, so the header decides and the suffix only where it does not.
    found = next((mark for mark in "\t,;" if mark in header), None)
    return found or (" " if path.suffix == ".ssv" else "\t")


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _read_text(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise RawFileError(f"{path}: {path.stat().st_size} bytes, tables of up to {_MOST_TEXT} are read")
        content = path.read_bytes()
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read ({error.strerror})") from error
    if b"\0" in content:
        raise RawFileError(f"{path}: expected a table of text, it holds binary data; fetch it again")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    header_line = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_separator(path, header_line)))
    except csv.Error as error:
        raise RawFileError(f"{path}: expected a table of text ({error}); fetch it again") from error
    rows = [row for row in rows if row and any(cell.strip() for cell in row)]
    if not rows:
        return {}
    header, *body = rows
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise RawFileError(
                f"{path}: row {number} has {len(row)} cells, the header {len(header)}; expected one per column"
            )
    columns = list(zip(*body)) if body else [()] * len(header)
    return {name.strip() or f"column{i}": column_of(cells) for i, (name, cells) in enumerate(zip(header, columns))}


def column_of(cells: Iterable[str]) -> NDArray[Any]:
    """Return cells of text as integers, numbers or text, whichever holds all of them."""
    cells = [cell.strip() for cell in cells]
    present = [cell for cell in cells if cell.lower() not in _MISSING]
    if present and all(_INTEGER.fullmatch(cell) for cell in present) and len(present) == len(cells):
        return np.array([int(cell) for cell in cells], np.int64)
    if present and all(_NUMBER.fullmatch(cell) for cell in present):
        return np.array([math.nan if cell.lower() in _MISSING else float(cell) for cell in cells], np.float64)
    if present and all(cell in ("True", "False") for cell in cells):
        return np.array([cell == "True" for cell in cells])
    return np.array(cells, np.str_) if cells else np.zeros(0)


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells > _MOST_CELLS:
            raise RawFileError(f"{path}: {cells} cells, tables of up to {_MOST_CELLS} are read")
        table = file.read()
        names = [name for name in table.column_names if not name.startswith("__index_level_")]
        return {name: keepable(table.column(name).to_pandas().to_numpy()) for name in names}
    except RawFileError:
        raise
    except Exception as error:  # pyarrow raises its own and Python's errors on damaged files
        raise RawFileError(f"{path}: expected a Parquet table ({error}); fetch it again") from error


def keepable(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as numbers, booleans or text: what is neither becomes text (lists as JSON)."""
    kind = values.dtype.kind
    if kind == "f":
        return values.astype(np.float32 if values.dtype.itemsize < 4 else values.dtype.newbyteorder("="), copy=False)
    if kind in "biu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if kind == "S":
        return np.array([value.decode("utf-8", "replace") for value in values.tolist()], np.str_)
    if kind == "O" and values.size and all(isinstance(value, (bool, np.bool_)) for value in values.tolist()):
        return values.astype(bool)
    return np.array([_text(value) for value in values.tolist()], np.str_) if values.size else np.zeros(0)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple, np.ndarray, dict)):
        value = json.dumps(value, default=lambda entry: entry.tolist() if hasattr(entry, "tolist") else str(entry))
    return str(value).encode("utf-8", "replace").decode()


def safe_columns(columns: Mapping[str, NDArray[Any]], taken: Collection[str]) -> dict[str, Any]:
    """Return columns under names that a Recording can keep: safe characters, unique, none of ``taken``."""
    kept: dict[str, Any] = {}
    for name, values in columns.items():
        safe = safe_name(name)
        while safe in kept or safe in taken or safe in _STORE:
            safe += "_"
        kept[safe] = values
    return kept


_STORE = frozenset({"time", "segment_start", "segment_first", "second_first_event", "attributes"})
"""Names that the store, or a function that makes tables, keeps for itself."""


def flat_columns(name: str, values: NDArray[Any], most: int = 10) -> dict[str, NDArray[Any]]:
    """Return an array of one or a few values per row as columns ``name``, or ``name_0``, ``name_1`` …; else none."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1:
        return {name: keepable(values)}
    if values.ndim == 2 and values.shape[1] <= most:
        return {
            f"{name}_{column}": keepable(np.ascontiguousarray(values[:, column])) for column in range(values.shape[1])
        }
    return {}
