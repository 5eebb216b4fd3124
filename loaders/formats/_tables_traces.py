"""What the columns of a table are: time, frames, names, cells."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..options import OptionError
from ._tables_text import Layout, Table, is_number

FEWEST_ROWS = 10
"""Samples that a table has at least; notes, label lists and settings have fewer."""
_FEWEST_SAMPLES_WIDE = 50
_MOST_TRANSPOSED = 256 << 20
_SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}

_TIME = re.compile(
    r"(elapsed|relative|recording|frame|sys|unix|imaging|confocal|cam(era)?)?_?"
    r"(times?|time_?stamps?|t|seconds?|secs?|millis(econds)?|msec|ms)(_?(in_)?(s|secs?|seconds?|m(illi)?s(ec)?(onds?)?|us|min(utes)?))?"
)
_FRAME = re.compile(r"(frames?|idx|index|samples?|unnamed:_0|n|row)(_?(no|nr|num(ber)?|id|idx|index|count))?")
_STATUSES = {"accepted", "rejected", "undecided"}
_NOT_TRACES = {
    "onset", "duration", "trial_type", "participant_id", "pre", "post", "source", "target", "weight", "from", "to",
    "scorer", "bodyparts", "coords", "sensitivity", "specificity", "chromosome", "global_signal", "trans_x",
}  # fmt: skip
"""Headers of events, participants, edge lists, poses and nuisance regressors, which are no traces of cells."""
_COORDINATES = {
    "x",
    "y",
    "z",
    "id",
    "cell",
    "roi",
    "neuron",
    "label",
    "area",
    "radius",
    "size",
    "npix",
    "cell_id",
    "roi_id",
}


@dataclass(frozen=True)
class Columns:
    """Which column is what.

    Parameters
    ----------
    cells
        Columns of cells, counted without row names.
    names
        The cells' names, empty where the table has none.
    time
        Column of times, None where there is none.
    frame
        Column that counts frames.
    time_name
        Header of the time column.
    more
        Further headers of the cells' columns.
    """

    cells: list[int]
    names: list[str]
    time: int | None = None
    frame: int | None = None
    time_name: str = ""
    more: dict[str, list[str]] = field(default_factory=dict)


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


def is_traces(layout: Layout, n_bytes: int) -> bool:
    """Tell whether a table's beginning is that of traces: enough rows of numbers that are no counts, codes or places."""
    if layout.row_names:
        header = layout.headers[0][1:] if layout.headers else ()
        numeric = all(is_number(cell) for cell in header)
        return numeric and layout.n_columns > _FEWEST_SAMPLES_WIDE and _has_fractions(layout, 1)
    words = {_plain(name) for header in layout.headers for name in header}
    if words & _NOT_TRACES or (words - {""} <= _COORDINATES and layout.headers):
        return False
    wide = len(layout.rows) >= 2 and layout.n_columns >= _FEWEST_SAMPLES_WIDE and _is_numbered(layout)
    if len(layout.rows) < FEWEST_ROWS and not wide:
        return False
    if _long_columns(layout) is not None:
        return True
    columns = find_columns(layout)
    named = bool(layout.headers) or columns.time is not None
    fractions = any(
        "." in row[cell] or "," in row[cell] or "e" in row[cell].lower()
        for row in layout.rows
        for cell in columns.cells
    )
    filled = sum(_is_filled(row[cell]) for row in layout.rows for cell in columns.cells)
    if not columns.cells or filled * 10 < len(layout.rows) * len(columns.cells) or not (named or fractions):
        return False
    return len(columns.cells) >= (1 if columns.time is not None else 2)


def _is_numbered(layout: Layout) -> bool:
    """Whether the columns have no names but numbers."""
    return all(name == "" or name.isdecimal() for header in layout.headers for name in header)


def is_square(table: Table) -> bool:
    """Tell whether a table without times is as long as it is wide, as connectivity and correlations are."""
    columns = find_columns(table.layout)
    return columns.time is None and table.n_rows == len(columns.cells)


def _has_fractions(layout: Layout, first: int) -> bool:
    return any("." in cell for row in layout.rows for cell in row[first:])


def _is_filled(cell: str) -> bool:
    return any(character.isdigit() for character in cell)


def _plain(name: str) -> str:
    """A header without unit, case and punctuation: ``Time (s)`` → ``time``."""
    text = re.sub(r"[(\[{].*?[)\]}]|/.*$", "", name.strip().lower())
    return re.sub(r"[\s.\-]+", "_", text.strip()).strip("_#")


def find_columns(layout: Layout, time_column: str = "auto") -> Columns:
    """Say which columns are time, frame numbers and cells, by their headers or by the first rows.

    Raises
    ------
    OptionError
        If ``time_column`` (a header, a number counted from 0, ``auto`` or ``none``) is not there.
    """
    skip = int(layout.row_names)
    headers = [header[skip:] for header in layout.headers]
    n_columns = layout.n_columns - skip
    titles = [" ".join(header[i] for header in headers if header[i]) for i in range(n_columns)]
    rows = [row[skip:] for row in layout.rows]
    time, frame = _chosen(titles, time_column)
    if time_column == "auto":
        plain = [_plain(title) for title in titles]
        times = [
            i for i in range(n_columns) if plain[i] and _TIME.fullmatch(plain[i]) and _increases(rows, i, layout, 0.8)
        ]
        frames = [
            i for i in range(n_columns) if plain[i] and _FRAME.fullmatch(plain[i]) and _increases(rows, i, layout)
        ]
        time, frame = next(iter(times), None), next(iter(frames), None)
        if time is None and frame is None and not plain[0] and _increases(rows, 0, layout):
            counted = [_value(row[0], layout) for row in rows]
            steps = np.diff(counted)
            if (steps == 1).all() and all(value == int(value) for value in counted):
                frame = 0
            elif np.abs(steps - np.median(steps)).max() <= 0.5 * np.median(steps):
                time = 0
    cells = [i for i in range(n_columns) if i not in (time, frame)]
    name_of = headers[0] if headers else ()
    more = {
        f"header_{number}": [header[i] for i in cells]
        for number, header in enumerate(headers[1:], 2)
        if any(header[i] for i in cells)
    }
    title = "" if time is None else titles[time]
    return Columns(cells, [name_of[i] for i in cells] if headers else [], time, frame, title, more)


def _chosen(titles: list[str], time_column: str) -> tuple[int | None, int | None]:
    if time_column in ("auto", "none"):
        return None, None
    if time_column in titles:
        return titles.index(time_column), None
    if time_column.isdecimal() and int(time_column) < len(titles):
        return int(time_column), None
    known = ", ".join(repr(title) for title in titles[:8] if title) or f"0 … {len(titles) - 1}"
    raise OptionError(f"option 'time_column' is a header or the number of a column (here {known}), got {time_column!r}")


def _value(cell: str, layout: Layout) -> float:
    try:
        return float(cell.replace(",", ".") if layout.decimal == "," else cell)
    except ValueError:
        return np.nan


def _increases(rows: list[tuple[str, ...]], column: int, layout: Layout, share: float = 1.0) -> bool:
    """Whether a column's first rows increase, or a share of its steps does: what is called time may be damaged."""
    values = np.array([_value(row[column], layout) for row in rows])
    steps = np.diff(values)
    return len(values) >= 3 and bool(np.isfinite(values).mean() >= share and (steps > 0).mean() >= share)


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
    if (long := _long_columns(layout)) is not None:
        return _read_long(table, *long, time_unit)
    shape = (table.n_rows, len(columns.cells))
    time, source = None, ""
    if columns.time is not None:
        time, source = _seconds(table, table.column(columns.time), columns.time_name, time_unit)
    frame = None if columns.frame is None else table.column(columns.frame)

    def read(first: int, after: int) -> NDArray[Any]:
        return table.rows(first, after)[:, columns.cells]

    return Traces(shape, read, columns.names, time, frame, source, _statuses(columns.more))


_IDS = {"unit_id", "unit", "cell_id", "cell", "neuron_id", "neuron", "roi_id", "roi", "cell_number", "neuron_number"}


def _long_columns(layout: Layout) -> tuple[int, int, int] | None:
    """Columns of cell, time and value of a table with a row per cell and sample (Minian's, pandas' ``melt``)."""
    if not layout.headers or layout.row_names:
        return None
    plain = [_plain(name) for name in layout.headers[0]]
    ids = [i for i, name in enumerate(plain) if name in _IDS]
    times = [i for i, name in enumerate(plain) if _TIME.fullmatch(name) or _FRAME.fullmatch(name)]
    if len(ids) != 1 or not times:
        return None
    time = next((i for i in times if _TIME.fullmatch(plain[i])), times[-1])
    values = [i for i in range(len(plain)) if i not in (*ids, *times) and plain[i]]
    repeated = len({row[ids[0]] for row in layout.rows}) < len(layout.rows)
    return (ids[0], time, values[0]) if values and repeated else None


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
    is_time = bool(_TIME.fullmatch(_plain(title)))
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
    if wide and _is_numbered(layout) and find_columns(layout).time is None:
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
        header = np.array([_value(cell, table.layout) for cell in table.layout.headers[0][-values.shape[1] :]])
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
