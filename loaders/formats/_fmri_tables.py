"""Text tables beside BOLD files: events, confounds, motion estimates, and plain tables of numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.timed import make_intervals

from ..discover import safe_name

MOST_TEXT = 512 << 20
"""Largest text table that is read."""
MISSING = frozenset({"n/a", "na", "nan", "", "null", "none", "-nan", "n.a."})
"""Words for a missing number, in lower case."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text as it is in its file.

    Parameters
    ----------
    header
        Names of the columns; empty where there is no line of names.
    rows
        Cells, each row of the same length.
    comments
        Lines that begin with ``#``, without it.
    """

    header: tuple[str, ...]
    rows: list[list[str]]
    comments: tuple[str, ...] = ()

    @property
    def n_columns(self) -> int:
        """Cells of a row."""
        return len(self.rows[0]) if self.rows else len(self.header)

    def column(self, name: str) -> list[str]:
        """Cells of a named column."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Return a text file's content (UTF-8, else Latin-1).

    Raises
    ------
    RawFileError
        If it is too large, or binary.
    """
    try:
        if path.stat().st_size > most:
            raise RawFileError(f"{path}: {path.stat().st_size} bytes; tables of up to {most} bytes are read")
        content = path.read_bytes()
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read ({error.strerror})") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    if b"\0" in content:
        raise RawFileError(f"{path}: expected a table of text, it holds binary data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_table(path: Path) -> Table:
    """Return a table whose cells are set apart by tabs, commas, semicolons or blanks.

    The first line names the columns where not all of its cells are numbers. Lines that begin with ``#`` are comments;
    the last of them before the numbers names the columns where it has as many words as the rows have cells.

    Raises
    ------
    RawFileError
        If it is no text, empty, or its rows differ in length (gives the line).
    """
    lines = read_text(path).splitlines()
    comments = [line.lstrip().lstrip("#").strip() for line in lines if line.lstrip().startswith("#")]
    body = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    if not body:
        raise RawFileError(f"{path}: expected a table, there is no row in it")
    separator = _separator(body[0][1])
    cells = [_split(line, separator) for _, line in body]
    width = len(cells[-1])
    if len(cells[0]) == width - 1 and not all(map(is_number, cells[0])):
        cells[0] = ["", *cells[0]]  # the index has no name
    for (number, _), row in zip(body, cells):
        if len(row) != width:
            raise RawFileError(f"{path}: line {number} has {len(row)} cells, the last one {width}; expected the same")
    if not all(map(is_number, cells[0])) and (len(cells) == 1 or _looks_like_names(cells)):
        return Table(tuple(cells[0]), cells[1:], tuple(comments))
    named = [_split(comment, _separator(comment)) for comment in comments]
    named = [[word.lstrip("#").strip() for word in words] for words in named if len(words) == width]
    return Table(tuple(named[-1]) if named and width > 1 else (), cells, tuple(comments))


def _looks_like_names(cells: list[list[str]]) -> bool:
    """Whether the first row is of another kind than the second: names above numbers, or all of it text."""
    first = [is_number(cell) for cell in cells[0]]
    second = [is_number(cell) for cell in cells[1]]
    return first != second or not any(second)


def _separator(line: str) -> str | None:
    return next((mark for mark in ("\t", ",", ";") if mark in line.strip(" ")), None)


def _split(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    cells = next(csv.reader(io.StringIO(line), delimiter=separator), [])
    cells = [cell.strip() for cell in cells]
    # A separator at the end of every line, as some programs write it, makes no column.
    return cells[:-1] if len(cells) > 1 and cells[-1] == "" and line.rstrip(" ").endswith(separator) else cells


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number or a word for a missing one."""
    if cell.lower() in MISSING:
        return cell != ""
    return bool(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?inf(inity)?", cell.strip(), re.IGNORECASE))


def to_numbers(path: Path, rows: list[list[str]]) -> NDArray[Any]:
    """Return cells as numbers, shape ``(row, column)``: int64 where all are whole, else float64 with NaN where missing.

    Raises
    ------
    RawFileError
        If a cell is no number; gives its place.
    """
    if rows and all(re.fullmatch(r"[+-]?\d{1,18}", cell) for row in rows for cell in row):
        return np.array([[int(cell) for cell in row] for row in rows], np.int64)
    values = np.empty((len(rows), len(rows[0]) if rows else 0))
    for number, row in enumerate(rows):
        try:
            values[number] = [math.nan if cell.lower() in MISSING else float(cell) for cell in row]
        except ValueError as error:
            raise RawFileError(f"{path}: row {number + 1} of the numbers holds text ({error})") from error
    return values


def typed_column(cells: list[str]) -> NDArray[Any]:
    """Return a column as int64, float64 (NaN where missing) or, where a cell is no number, text."""
    if all(cell.lower() in MISSING or is_number(cell) for cell in cells) and any(
        cell.lower() not in MISSING for cell in cells
    ):
        return to_numbers(Path(), [[cell] for cell in cells])[:, 0]
    return np.array(["" if cell.lower() == "n/a" else cell for cell in cells], np.str_)


def safe_columns(header: tuple[str, ...]) -> list[str]:
    """Return names that can be stored, no two alike, in the order of the columns."""
    given: list[str] = []
    for name in header:
        safe = safe_name(name)
        number = 2
        unique = safe
        while unique in given or unique in (names.TIME, names.INTERVAL, names.EVENT, names.CHANNEL):
            unique, number = f"{safe}_{number}", number + 1
        given.append(unique)
    return given


def with_onsets(table: Table) -> Table:
    """Return a table of events without those whose onset is missing: nobody knows when they were."""
    if "onset" not in table.header:
        return table
    place = table.header.index("onset")
    return dataclasses.replace(table, rows=[row for row in table.rows if row[place].strip().lower() not in MISSING])


def read_events(path: Path) -> xr.Dataset:
    """Return a BIDS table of events as intervals, every column kept.

    ``start`` and ``stop`` come from ``onset`` and ``duration`` (n/a: an instant). ``trial_type`` is repeated as
    ``label``, with ``code`` counting the labels of this file in alphabetical order. Events without an onset are left
    out, those of negative duration are instants; either is warned of.

    Raises
    ------
    RawFileError
        If there is no column ``onset``, or an onset or duration is no number.
    """
    whole = read_table(path)
    if "onset" not in whole.header:
        raise RawFileError(f"{path}: expected a table of events with a column 'onset', got {', '.join(whole.header)}")
    table = with_onsets(whole)
    if len(table.rows) < len(whole.rows):
        warnings.warn(f"{path.name}: {len(whole.rows) - len(table.rows)} events have no onset; left out", stacklevel=2)
    onset = to_numbers(path, [[cell] for cell in table.column("onset")]).astype(np.float64).reshape(-1)
    stated = "duration" in table.header
    duration = (
        to_numbers(path, [[cell] for cell in table.column("duration")]).astype(np.float64).reshape(-1)
        if stated
        else np.full(len(onset), np.nan)
    )
    wrong = np.flatnonzero(~np.isfinite(onset) | np.isinf(duration))
    if len(wrong):
        raise RawFileError(
            f"{path}: event {wrong[0] + 1} has onset {onset[wrong[0]]} and duration {duration[wrong[0]]}; expected "
            "seconds"
        )
    if (duration < 0).any():
        warnings.warn(f"{path.name}: {(duration < 0).sum()} events of negative duration are instants", stacklevel=2)
    columns: dict[str, Any] = {}
    for name, safe in zip(table.header, safe_columns(table.header)):
        kept = onset if name == "onset" else duration if name == "duration" else typed_column(table.column(name))
        columns[safe if safe not in (names.START, names.STOP) else f"{safe}_2"] = kept
    if "trial_type" in columns and columns["trial_type"].dtype.kind == "U":
        _, codes = np.unique(columns["trial_type"], return_inverse=True)
        columns.setdefault(names.LABEL, columns["trial_type"])
        columns.setdefault(names.CODE, codes.astype(np.int64))
    stop = onset + np.maximum(np.nan_to_num(duration), 0.0)
    attributes = {"source": path.name, "code_source": "alphabetical order of the labels in this file"}
    return make_intervals(onset, stop, attributes=attributes, **columns)


@dataclass(frozen=True, eq=False)
class Regressors:
    """A table with one row per volume.

    Parameters
    ----------
    values
        Shape ``(time, column)``, NaN where missing.
    columns, units
        Name and unit of each column; the unit is empty where unknown.
    source
        Name of the file, and what is known of its layout.
    """

    values: NDArray[np.float64]
    columns: list[str]
    units: list[str]
    source: str


def read_confounds(path: Path) -> Regressors:
    """Return a table of confounds with a line of names (fMRIPrep's and its like); columns of text are left out.

    Raises
    ------
    RawFileError
        If it is no such table.
    """
    table = read_table(path)
    header = table.header or tuple(f"column{number}" for number in range(1, table.n_columns + 1))
    columns, units, kept = [], [], []
    for place, name in enumerate(safe_columns(header)):
        cells = [row[place] for row in table.rows]
        if all(cell.lower() in MISSING or is_number(cell) for cell in cells):
            kept.append(to_numbers(path, [[cell] for cell in cells]).astype(np.float64)[:, 0])
            columns.append(name)
            units.append(_unit_of(name))
    if not kept:
        raise RawFileError(f"{path}: expected confounds, no column of it holds numbers")
    return Regressors(np.stack(kept, 1), columns, units, path.name)


def _unit_of(name: str) -> str:
    """Unit of a column by fMRIPrep's names (its documentation, "Confounds"): translations mm, rotations radian."""
    if re.fullmatch(r"trans_[xyz](_derivative1)?|framewise_displacement|rmsd", name):
        return "mm"
    if re.fullmatch(r"rot_[xyz](_derivative1)?", name):
        return "rad"
    return ""


_FSL = ["rot_x", "rot_y", "rot_z", "trans_x", "trans_y", "trans_z"]
_SPM = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
_AFNI = ["roll", "pitch", "yaw", "dS", "dL", "dP"]


def read_motion(path: Path) -> Regressors:
    """Return motion estimates: six columns whose order and units are those of the program that the name tells.

    ``*.par`` is FSL's MCFLIRT (three rotations in radian, three translations in mm), ``rp_*`` SPM's (translations in
    mm, rotations in radian), ``*.1D`` AFNI's ``3dvolreg -1Dfile`` (roll, pitch, yaw in degrees, then dS, dL, dP in
    mm). Of other names the columns keep their header, or numbers, and no unit.

    Raises
    ------
    RawFileError
        If it is no table of numbers.
    """
    table = read_table(path)
    values = to_numbers(path, table.rows).astype(np.float64)
    lower, six = path.name.lower(), table.n_columns == 6
    if six and lower.endswith(".par"):
        return Regressors(values, _FSL, ["rad"] * 3 + ["mm"] * 3, f"{path.name} (layout of FSL MCFLIRT)")
    if six and lower.startswith("rp_"):
        return Regressors(values, _SPM, ["mm"] * 3 + ["rad"] * 3, f"{path.name} (layout of SPM)")
    if six and lower.endswith(".1d"):
        return Regressors(values, _AFNI, ["deg"] * 3 + ["mm"] * 3, f"{path.name} (layout of AFNI 3dvolreg)")
    header = table.header or tuple(f"motion{number}" for number in range(1, table.n_columns + 1))
    columns = safe_columns(header)
    return Regressors(values, columns, [_unit_of(name) for name in columns], f"{path.name} (units not stated)")
