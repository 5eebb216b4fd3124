"""Tables of numbers as text: how one is written, found out from its beginning; and its numbers, exactly.

Values are parsed to the nearest float64, as Python does. A large table is parsed where it is asked for.
"""

from __future__ import annotations

import csv
import io
import mmap
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.errors import RawFileError

MISSING = ("", "nan", "na", "n/a", "null", "none", "-nan", "#n/a", "missing", "nan(ind)", "-")
"""What stands for a missing value, whatever the case."""
_NA_VALUES = sorted(
    {form for word in MISSING for form in (word, word.upper(), word.capitalize(), "NaN", "N/A", "-NaN")}
)
_DELIMITERS = (",", "\t", ";", " ")
# pandas parses exactly from 3.1 on, and warns where it is asked to.
_EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)
_MOST_HEADERS = 3
_SAMPLES = (1 << 18, 1 << 24)
"""Bytes that are looked at; the second where lines are so long that the first holds few of them."""
_SAMPLE_LINES = 40
_IN_MEMORY = 64 << 20
"""Tables up to this size are parsed once and kept."""
_BLOCK_LINES = 256
_MOST_BYTES = 64 << 30

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"[+-]?(\d+,\d*|\d*,\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    Parameters
    ----------
    delimiter
        Between the cells of a row; a blank stands for any number of blanks.
    decimal
        Full stop or comma.
    headers
        Cells of each line above the numbers, stripped, as many as there are columns.
    n_columns
        Columns, the first of row names included.
    row_names
        Whether the first column is text.
    first_line
        Lines above the first row of numbers, comments and empty lines included.
    encoding
        ``utf-8-sig``, ``utf-16`` or ``latin-1``.
    rows
        The first rows' cells.
    """

    delimiter: str
    decimal: str
    headers: tuple[tuple[str, ...], ...]
    n_columns: int
    row_names: bool
    first_line: int
    encoding: str
    rows: tuple[tuple[str, ...], ...]


def find_layout(path: Path) -> Layout | None:
    """Find out how a table is written; None where the file is no table of numbers.

    A table has rows of the same number (two or more) of cells, all of them numbers or missing, but for the first
    column, which may be text; above them up to three lines of headers.
    """
    for n_bytes in _SAMPLES:
        with path.open("rb") as stream:
            sample = stream.read(n_bytes)
        lines, encoding = _lines(sample, len(sample) == path.stat().st_size)
        if len(lines) >= _SAMPLE_LINES or len(sample) < n_bytes:
            break
    found = [layout for delimiter in _DELIMITERS if (layout := _layout(lines, delimiter, encoding))]
    return max(found, key=lambda layout: layout.n_columns) if found else None


def _lines(sample: bytes, whole: bool) -> tuple[list[str], str]:
    """The sample's complete lines, and their encoding; none where it is no text."""
    encoding = "utf-16" if sample[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in sample:
        return [], encoding
    if encoding == "utf-16":
        text = sample[: len(sample) // 2 * 2].decode("utf-16", "replace")
    else:
        cut = sample if whole else sample[: sample.rfind(b"\n") + 1]
        try:
            text = cut.decode("utf-8-sig")
        except UnicodeDecodeError:
            text, encoding = cut.decode("latin-1"), "latin-1"
    lines = text.split("\n")
    return (lines if whole else lines[:-1])[: _SAMPLE_LINES + 20], encoding


def _layout(lines: Sequence[str], delimiter: str, encoding: str) -> Layout | None:
    cells = [_split(line, delimiter) for line in lines]
    kept = [number for number, row in enumerate(cells) if row and not row[0].startswith(("#", "%", "sep="))]
    if not kept:
        return None
    # Most lines tell the width: headers may be short, and the last one cut off (which reading the rows then says).
    widths = Counter(len(cells[number]) for number in kept)
    body = next(cells[number] for number in kept if len(cells[number]) == max(widths, key=lambda n: widths[n]))
    kept = kept[:-1] if len(kept) > 2 and len(cells[kept[-1]]) < len(body) else kept
    rows, width = [cells[number] for number in kept], len(body)
    if all(row[-1] == "" for row in rows if len(row) == width):  # some programs end each row with a delimiter
        rows, width = [row[:-1] if len(row) == width else row for row in rows], width - 1
    found = _headers(rows, width, "." if delimiter == "," else _decimal(rows))
    if found is None:
        return None
    n_headers, row_names, decimal = found
    headers = tuple(header for row in rows[:n_headers] if (header := _padded(row, width)) is not None)
    if len(headers) != n_headers:
        return None
    numbers = tuple(tuple(row) for row in rows[n_headers:])
    return Layout(delimiter, decimal, headers, width, row_names, kept[n_headers], encoding, numbers)


def _split(line: str, delimiter: str) -> list[str]:
    line = line.strip("\r\n\ufeff")
    if not line.strip():
        return []
    if delimiter == " ":
        return [cell.strip('"') for cell in line.split()]
    if delimiter not in line:
        return [line.strip()]
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return [line]


def _decimal(rows: Sequence[Sequence[str]]) -> str:
    numbers = [cell for row in rows for cell in row if _COMMA_NUMBER.fullmatch(cell) or _NUMBER.fullmatch(cell)]
    commas = sum("," in cell for cell in numbers)
    return "," if commas and not any("." in cell for cell in numbers) else "."


def _headers(rows: Sequence[Sequence[str]], width: int, decimal: str) -> tuple[int, bool, str] | None:
    """Lines of headers, whether the first column is text, and the decimal mark; None where this is no table."""
    if width < 2:
        return None
    for n_headers in range(min(_MOST_HEADERS, len(rows) - 1) + 1):
        body = rows[n_headers:]
        if any(len(row) != width for row in body):
            continue
        if all(is_number(cell, decimal) for row in body for cell in row):
            named = n_headers == 0 and _counts(body[0]) and len(body) > 1
            return (1 if named else n_headers), False, decimal
        if all(is_number(cell, decimal) for row in body for cell in row[1:]):
            if any(is_number(row[0], decimal) for row in body):
                continue  # what looks like a name is a second header
            return n_headers, True, decimal
    return None


def _counts(row: Sequence[str]) -> bool:
    """Whether a first line of whole numbers is the columns' numbers, as pandas writes them."""
    cells = row[1:] if row[0] == "" else row
    if not all(cell.isascii() and cell.isdecimal() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    return len(numbers) >= 2 and numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _padded(row: Sequence[str], width: int) -> tuple[str, ...] | None:
    """A header with as many cells as the rows: R leaves the one above the row names out."""
    cells = tuple(row)
    if len(cells) == width - 1:
        return ("", *cells)
    if len(cells) == width + 1 and cells[-1] == "":
        return cells[:-1]
    return cells if len(cells) == width else None


def is_number(cell: str, decimal: str = ".") -> bool:
    """Tell whether a cell is a number or stands for a missing one."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return True
    return bool(_NUMBER.fullmatch(cell) or (decimal == "," and _COMMA_NUMBER.fullmatch(cell)))


class Table:
    """The numbers of a table, parsed where they are asked for.

    Parameters
    ----------
    path
        The file.
    layout
        How it is written.

    Raises
    ------
    RawFileError
        If a row has another number of cells than the others; says which.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        if path.stat().st_size > _MOST_BYTES:
            raise RawFileError(f"{path}: {path.stat().st_size} bytes of text, at most {_MOST_BYTES} are read")
        self._starts, self._firsts, self.n_rows = self._index()

    @property
    def is_small(self) -> bool:
        """Whether the table is parsed as a whole."""
        return self.path.stat().st_size <= _IN_MEMORY

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """All numbers, shape ``(row, column)``, without row names."""
        return self._parse(0, self.n_rows)

    @cached_property
    def row_names(self) -> list[str]:
        """The first column, where it is text."""
        with self._open() as data:
            text = bytes(data[self._starts[0] :]).decode(self._encoding, "replace")
        return [_split(line, self.layout.delimiter)[0] for line in text.splitlines() if line.strip()]

    def rows(self, first: int, after: int) -> NDArray[np.float64]:
        """Return some rows, shape ``(row, column)``."""
        return self.values[first:after] if self.is_small else self._parse(first, after)

    def column(self, number: int) -> NDArray[np.float64]:
        """Return one column of numbers, shape ``(row,)``."""
        steps = range(0, self.n_rows, 16 * _BLOCK_LINES)
        # Copied: a view of its column would keep each block of rows in memory.
        parts = [self.rows(first, min(first + 16 * _BLOCK_LINES, self.n_rows))[:, number].copy() for first in steps]
        return np.concatenate(parts) if parts else np.zeros(0)

    @property
    def _encoding(self) -> str:
        return "utf-8" if self.layout.encoding == "utf-16" else self.layout.encoding

    def _open(self) -> Any:
        if self.layout.encoding == "utf-16":
            return _Buffer(self.path.read_bytes().decode("utf-16", "replace").encode())
        with self.path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def _index(self) -> tuple[list[int], list[int], int]:
        """Where every so manieth row begins, its number, and the number of rows; all rows' cells are counted."""
        starts: list[int] = []
        firsts: list[int] = []
        n_rows, line, offset = 0, 0, 0
        expected = self.layout.n_columns - 1
        with self._open() as data:
            while offset < len(data):
                end = data.find(b"\n", offset) + 1 or len(data)
                text = data[offset:end]
                if line >= self.layout.first_line and text.strip():
                    self._check_row(text, line, expected)
                    if n_rows % _BLOCK_LINES == 0:
                        starts.append(offset)
                        firsts.append(n_rows)
                    n_rows += 1
                line, offset = line + 1, end
            starts.append(len(data))
            firsts.append(n_rows)
        return starts, firsts, n_rows

    def _check_row(self, text: bytes, line: int, expected: int) -> None:
        if self.layout.delimiter == " " or b'"' in text:
            n_cells = len(_split(text.decode("latin-1"), self.layout.delimiter)) - 1
        else:
            n_cells = text.count(self.layout.delimiter.encode())
        trailing = n_cells == expected + 1 and text.rstrip(b"\r\n").endswith(self.layout.delimiter.encode())
        if n_cells != expected and not trailing:
            raise RawFileError(
                f"{self.path}: line {line + 1} has {n_cells + 1} cells, expected {expected + 1} like the first rows; the "
                "file is cut off or damaged, fetch it again"
            )

    def _parse(self, first: int, after: int) -> NDArray[np.float64]:
        block = bisect_right(self._firsts, first) - 1
        last = bisect_right(self._firsts, after - 1)
        layout = self.layout
        columns = list(range(int(layout.row_names), layout.n_columns))
        if after <= first:
            return np.zeros((0, len(columns)))
        with self._open() as data:
            text = data[self._starts[block] : self._starts[last]]
        try:
            frame = pd.read_csv(
                io.BytesIO(text),
                sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
                header=None,
                usecols=columns,
                names=list(range(layout.n_columns)) if layout.delimiter == " " else None,
                index_col=False if layout.delimiter == " " else None,
                dtype=np.float64,
                decimal=layout.decimal,
                encoding=self._encoding,
                encoding_errors="replace",
                na_values=_NA_VALUES,
                skipinitialspace=True,
                skip_blank_lines=True,
                **_EXACT,
            )
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            raise RawFileError(
                f"{self.path}: expected numbers from line {layout.first_line + 1} on ({error})"
            ) from error
        found = frame.to_numpy(np.float64)[first - self._firsts[block] : after - self._firsts[block]]
        if found.shape != (after - first, len(columns)):
            raise RawFileError(f"{self.path}: expected {after - first} rows, got {len(found)}; did the file change?")
        return np.asarray(found, np.float64)


class _Buffer:
    """Bytes that can be searched, sliced and closed as a memory map can."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> bytes:
        return self._data

    def __exit__(self, *_: object) -> None:
        pass
