"""The traces of a table, and their times in seconds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ._tables_columns import TIME, find_columns, is_numbered, long_columns, plain, value_of
from ._tables_text import Table

_MOST_TRANSPOSED = 256 << 20
_SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
_STATUSES = {"accepted", "rejected", "undecided"}


@dataclass(frozen=True)
class Traces:
    """The traces of a table.

    Parameters
    ----------
    shape
        ``(time, channel)``.
    read
        Returns rows of them, from the first to the one before the second number.
    names
        Of the channels, empty where the table has none.
    time
        Seconds, shape ``(time,)``; None where the table has no times.
    frame
        Number of each frame, shape ``(time,)``; None where the table does not count them.
    source
        Where the times come from, in words.
    more
        Further columns of the channels.
    """

    shape: tuple[int, int]
    read: Callable[[int, int], NDArray[Any]]
    names: list[str]
    time: NDArray[np.float64] | None = None
    frame: NDArray[np.float64] | None = None
    source: str = ""
    more: dict[str, list[str]] = field(default_factory=dict)


def read_traces(table: Table, *, time_column: str, time_unit: str, orientation: str) -> Traces:
    """Say what a table's traces, times and names are.

    Parameters
    ----------
    table
        The table.
    time_column, time_unit, orientation
        As the loader's options.

    Raises
    ------
    RawFileError
        If times do not increase, or a table with a row per cell is too large to be turned.
    """
    layout = table.layout
    if orientation == "auto":
        orientation = _orientation(table)
    if orientation == "cell_rows":
        return _transposed(table)
    columns = find_columns(layout, time_column)
    if (long := long_columns(layout)) is not None:
        return _read_long(table, *long, time_unit)
    shape = (table.n_rows, len(columns.cells))
    time, source = None, ""
    if columns.time is not None:
        time, source = _seconds(table, table.column(columns.time), columns.time_name, time_unit)
    frame = None if columns.frame is None else table.column(columns.frame)

    def read(first: int, after: int) -> NDArray[Any]:
        return table.rows(first, after)[:, columns.cells]

    return Traces(shape, read, columns.names, time, frame, source, _statuses(columns.more))


def _read_long(table: Table, cell: int, time: int, value: int, time_unit: str) -> Traces:
    """A table with a row per cell and sample as one with a column per cell; what is not listed is missing."""
    if not table.is_small:
        raise RawFileError(
            f"{table.path}: {table.path.stat().st_size} bytes with a row per cell and sample; save a column per cell"
        )
    cells, rows = np.unique(table.values[:, cell], return_inverse=True)
    times, columns = np.unique(table.values[:, time], return_inverse=True)
    if len(np.unique(rows * len(times) + columns)) != table.n_rows or not np.isfinite(cells).all():
        raise RawFileError(f"{table.path}: a cell has two values at one time; expected a row per cell and sample")
    values = np.full((len(times), len(cells)), np.nan)
    values[columns, rows] = table.values[:, value]
    title = table.layout.headers[0][time]
    is_time = bool(TIME.fullmatch(plain(title)))
    seconds, source = _seconds(table, times, title, time_unit) if is_time else (None, "")
    return Traces(
        values.shape,
        lambda first, after: values[first:after],
        [f"cell{number:g}" for number in cells],
        seconds,
        None if is_time else times,
        source,
    )


def _statuses(more: dict[str, list[str]]) -> dict[str, list[str]]:
    """Call the line in which Inscopix says what became of each cell ``status``."""
    return {
        "status" if {value.lower() for value in values} <= _STATUSES else name: values for name, values in more.items()
    }


def _orientation(table: Table) -> str:
    layout = table.layout
    if layout.row_names:
        return "cell_rows"
    wide = layout.n_columns >= max(200, 4 * table.n_rows)
    if wide and is_numbered(layout) and find_columns(layout).time is None:
        warnings.warn(
            f"{table.path}: {table.n_rows} rows of {layout.n_columns} numbers are taken for {table.n_rows} cells; "
            "where they are samples, convert with --set orientation=time_rows",
            stacklevel=2,
        )
        return "cell_rows"
    return "time_rows"


def _transposed(table: Table) -> Traces:
    """A table with a row per cell, whose header may be the times."""
    if table.path.stat().st_size > _MOST_TRANSPOSED:
        raise RawFileError(
            f"{table.path}: {table.path.stat().st_size} bytes with a row per cell, at most {_MOST_TRANSPOSED} are read; "
            "turn the table so that it has a column per cell"
        )
    numbers = find_columns(table.layout).frame
    values = table.values if numbers is None else np.delete(table.values, numbers, axis=1)
    names = table.row_names if table.layout.row_names else []
    time = None
    if table.layout.headers:
        header = np.array([value_of(cell, table.layout) for cell in table.layout.headers[0][-values.shape[1] :]])
        steps = np.diff(header)
        if len(header) and np.isfinite(header).all() and (steps > 0).all() and not (steps == 1).all():
            time, _ = _seconds(table, header, "header", "auto")
    return Traces(
        (values.shape[1], values.shape[0]),
        lambda first, after: np.ascontiguousarray(values[:, first:after].T),
        names,
        time,
        source="" if time is None else "the table's header",
    )


def _seconds(table: Table, values: NDArray[np.float64], name: str, unit: str) -> tuple[NDArray[np.float64], str]:
    """Times in seconds from the session's start, and where they come from."""
    wrong = np.flatnonzero(~np.isfinite(values) | (np.diff(values, prepend=-np.inf) <= 0))
    if len(wrong):
        raise RawFileError(
            f"{table.path}: time {values[wrong[0]]:g} in row {wrong[0] + 1} of column {name!r} does not come after the "
            "one before it; correct it, or convert with --set time_column=none and --set rate_hz=RATE"
        )
    chosen = unit if unit != "auto" else _unit(table, values, name)
    source = f"column {name!r}" if name else "first column"
    if chosen == "s":
        seconds = values
    else:
        seconds, source = values * _SCALES[chosen], f"{source} in {chosen}"
    if len(seconds) and seconds[0] > 1e8:  # seconds since 1970: a session does not last three years
        seconds, source = seconds - seconds[0], f"{source}, from the first sample ({float(seconds[0])!r} s) on"
    return seconds, source


def _unit(table: Table, values: NDArray[np.float64], name: str) -> str:
    text = name.lower()
    for pattern, unit in (
        (r"[(\[_ ](ms|msec|milli\w*)[)\]]?|^ms$|milli|msec", "ms"),
        (r"[(\[_ ](us|µs|μs|micro\w*)[)\]]?", "us"),
        (r"[(\[_ ](min|minutes)[)\]]?", "min"),
        (r"[(\[_ ](s|sec|secs|seconds?)[)\]]?|^s$|^secs?$|seconds", "s"),
    ):
        if re.search(pattern + r"(\b|$|/)", text):
            return unit
    step = float(np.median(np.diff(values))) if len(values) > 1 else 0.0
    if step < 10.0:
        return "s"
    warnings.warn(
        f"{table.path}: times {step:g} apart are taken for milliseconds; where they are not, convert with --set "
        "time_unit=s",
        stacklevel=2,
    )
    return "ms"
