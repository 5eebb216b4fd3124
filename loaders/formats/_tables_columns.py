"""What the columns of a table are: time, frame numbers, names, cells; and whether these are traces."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from ..options import OptionError
from ._tables_text import Layout, Table, is_number

FEWEST_ROWS = 10
"""Samples that a table has at least; notes, label lists and settings have fewer."""
_FEWEST_SAMPLES_WIDE = 50

TIME = re.compile(
    r"(elapsed|relative|recording|frame|sys|unix|imaging|confocal|cam(era)?)?_?"
    r"(times?|time_?stamps?|t|seconds?|secs?|millis(econds)?|msec|ms)(_?(in_)?(s|secs?|seconds?|m(illi)?s(ec)?(onds?)?|us|min(utes)?))?"
)
_TIME_UNIT = re.compile(
    r".*[\[(]\s*(in\s+)?(s|secs?|seconds?|ms|msecs?|milliseconds?|min|minutes?)\.?\s*[\])]\s*", re.I
)
"""A header with a unit of time, in whatever language."""
_FRAME = re.compile(r"(frames?|idx|index|samples?|unnamed:_0|n|row)(_?(no|nr|num(ber)?|id|idx|index|count))?")
_NOT_TRACES = {
    "onset", "duration", "trial_type", "participant_id", "pre", "post", "source", "target", "weight", "from", "to",
    "scorer", "bodyparts", "coords", "sensitivity", "specificity", "chromosome", "global_signal", "trans_x",
}  # fmt: skip
"""Headers of events, participants, edge lists, poses and nuisance regressors, which are no traces of cells."""
_COORDINATES = {
    "x", "y", "z", "theta", "phi", "r", "site", "name", "id", "cell", "roi", "neuron", "label", "area", "radius", "size",
    "npix", "cell_id", "roi_id",
}  # fmt: skip
"""Headers of lists of places; a table of nothing else is one."""


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


def is_traces(layout: Layout) -> bool:
    """Tell whether a table's beginning is that of traces: enough rows of numbers that are no counts, codes or places."""
    if layout.row_names:
        header = layout.headers[0][1:] if layout.headers else ()
        numeric = all(is_number(cell) for cell in header)
        return numeric and layout.n_columns > _FEWEST_SAMPLES_WIDE and _has_fractions(layout, 1)
    words = {plain(name) for header in layout.headers for name in header}
    if words & _NOT_TRACES or (words - {""} <= _COORDINATES and layout.headers):
        return False
    wide = len(layout.rows) >= 2 and layout.n_columns >= _FEWEST_SAMPLES_WIDE and is_numbered(layout)
    if len(layout.rows) < FEWEST_ROWS and not wide:
        return False
    if long_columns(layout) is not None:
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


def is_numbered(layout: Layout) -> bool:
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


def plain(name: str) -> str:
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
        words_of = [plain(title) for title in titles]
        times = [
            i
            for i in range(n_columns)
            if words_of[i] and TIME.fullmatch(words_of[i]) and _increases(rows, i, layout, 0.8)
        ]
        frames = [
            i for i in range(n_columns) if words_of[i] and _FRAME.fullmatch(words_of[i]) and _increases(rows, i, layout)
        ]
        if not times and _TIME_UNIT.fullmatch(titles[0]) and _increases(rows, 0, layout):
            times = [0]
        time, frame = next(iter(times), None), next(iter(frames), None)
        if time is None and frame is None and not words_of[0] and _increases(rows, 0, layout):
            counted = [value_of(row[0], layout) for row in rows]
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


def value_of(cell: str, layout: Layout) -> float:
    try:
        return float(cell.replace(",", ".") if layout.decimal == "," else cell)
    except ValueError:
        return np.nan


def _increases(rows: list[tuple[str, ...]], column: int, layout: Layout, share: float = 1.0) -> bool:
    """Whether a column's first rows increase, or a share of its steps does: what is called time may be damaged."""
    values = np.array([value_of(row[column], layout) for row in rows])
    steps = np.diff(values)
    return len(values) >= 3 and bool(np.isfinite(values).mean() >= share and (steps > 0).mean() >= share)


_IDS = {"unit_id", "unit", "cell_id", "cell", "neuron_id", "neuron", "roi_id", "roi", "cell_number", "neuron_number"}


def long_columns(layout: Layout) -> tuple[int, int, int] | None:
    """Columns of cell, time and value of a table with a row per cell and sample (Minian's, pandas' ``melt``)."""
    if not layout.headers or layout.row_names:
        return None
    words_of = [plain(name) for name in layout.headers[0]]
    ids = [i for i, name in enumerate(words_of) if name in _IDS]
    times = [i for i, name in enumerate(words_of) if TIME.fullmatch(name) or _FRAME.fullmatch(name)]
    if len(ids) != 1 or not times:
        return None
    time = next((i for i in times if TIME.fullmatch(words_of[i])), times[-1])
    values = [i for i in range(len(words_of)) if i not in (*ids, *times) and words_of[i]]
    repeated = len({row[ids[0]] for row in layout.rows}) < len(layout.rows)
    return (ids[0], time, values[0]) if values and repeated else None
