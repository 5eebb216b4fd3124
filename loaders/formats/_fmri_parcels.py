"""Region by time tables of any container: the numbers, what names the regions, and which axis is time."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ._fmri_lut import read_lut
from ._fmri_matlab import is_matlab, list_matlab, list_texts, read_matlab
from ._fmri_tables import MISSING, Table, is_number, read_table, to_numbers

Orientation = Literal["auto", "time_first", "time_last"]
SUFFIXES = (".1d", ".csv", ".tsv", ".txt", ".npy", ".mat")
_TIME = re.compile(r"(?i)time|t|seconds|sec|time_?s|time ?\[s\]|time ?\(s\)|onset")
_COUNT = re.compile(r"(?i)|frame|volume|vol|scan|tr|index|sub-?brick|timepoint|unnamed: ?0|file|#")
_MOMENT = re.compile(r"(?i)(t|tr|vol|volume|time|frame|scan|v|x|var)?[ _-]*\d+")
_LIKELY = ("roisignals", "tc", "ts", "timeseries", "time_series", "roi_ts", "tcs", "bold", "data", "x")
_NAMES = ("labels", "names", "roi_names", "roinames", "regions", "region_names", "label")
_BESIDE = ("{stem}_labels", "{stem}.labels", "{stem}_regions", "{stem}_names", "{stem}_rois", "labels", "region_labels",
           "roi_labels", "regions", "roi_names", "region_names", "atlas_labels")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Matrix:
    """Numbers of a table, and what the file says about them.

    Parameters
    ----------
    values
        Two axes as in the file; of a ``.npy`` file a memory map.
    names
        Names of the regions; empty where the file has none.
    time_axis
        Which axis is time, None where the file does not say.
    times
        Seconds of each volume, where there is a column of them.
    tr
        Seconds between volumes, where the file says so.
    variable
        Name of the array in its file.
    dropped
        Columns that are no region (counts of volumes, file names).
    """

    values: NDArray[Any]
    names: tuple[str, ...] = ()
    time_axis: int | None = None
    times: NDArray[np.float64] | None = None
    tr: float | None = None
    variable: str = ""
    dropped: tuple[str, ...] = ()


def read_matrix(path: Path, variable: str | None = None) -> Matrix:
    """Return the table that a file holds.

    Raises
    ------
    RawFileError
        If it holds no table of numbers with two axes.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[:6] == b"\x93NUMPY":
        return _from_npy(path)
    if is_matlab(path) or start == b"\x89HDF\r\n\x1a\n":
        return _from_matlab(path, variable)
    return _from_text(path, read_table(path))


def _from_npy(path: Path) -> Matrix:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy parses the header as Python and lets through what the parser raises
        raise RawFileError(f"{path}: expected a numpy array of numbers ({error}); fetch it again") from error
    if values.ndim != 2 or values.dtype.kind not in "iuf" or values.dtype.itemsize > 8 or 0 in values.shape:
        raise RawFileError(f"{path}: expected regions by time, got {values.dtype} of shape {values.shape}")
    return Matrix(values)


def _from_matlab(path: Path, variable: str | None) -> Matrix:
    listed = list_matlab(path)
    if variable is None:
        fitting = {name: shape for name, shape in listed.items() if len(shape) == 2 and min(shape) > 1}
        likely = [name for word in _LIKELY for name in fitting if name.lower() == word]
        series = [name for name, shape in fitting.items() if max(shape) >= 20 and shape[0] != shape[1]]
        candidates = list(fitting) if len(fitting) == 1 else series if len(series) == 1 else likely[:1]
        if not candidates:
            shown = ", ".join(f"{name} {shape}" for name, shape in listed.items()) or "no numeric arrays"
            raise RawFileError(f"{path}: which array is regions by time? It holds {shown}; say --set variable=NAME")
        variable = candidates[0]
    values = read_matlab(path, variable)
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "iuf":
        raise RawFileError(
            f"{path}: expected {variable!r} as regions by time, got {values.dtype} of shape {values.shape}"
        )
    texts = list_texts(path)
    order = sorted(texts, key=lambda name: name.lower() not in _NAMES)
    fits = [name for name in order if values.shape.count(len(texts[name])) == 1]
    return Matrix(values, tuple(texts[fits[0]]) if fits else (), variable=variable)


def _from_text(path: Path, table: Table) -> Matrix:
    if not table.rows:
        raise RawFileError(f"{path}: expected numbers below the names of columns, there is no row")
    header = list(table.header)
    numeric = [all(is_number(row[place]) or row[place].lower() in MISSING for row in table.rows)
               for place in range(table.n_columns)]  # fmt: skip
    kept = [place for place, yes in enumerate(numeric) if yes]
    texts = [place for place, yes in enumerate(numeric) if not yes]
    if texts and texts != list(range(len(texts))):
        raise RawFileError(
            f"{path}: column {texts[-1] + 1} holds text, for example {table.rows[0][texts[-1]]!r}; expected numbers"
        )
    tr = _row_tr(table)
    if not header and texts:
        found = [row[texts[-1]] for row in table.rows]
        values = to_numbers(path, [[row[place] for place in kept] for row in table.rows])
        return Matrix(values, tuple(found), time_axis=1, tr=tr)
    moments = bool(header) and all(_MOMENT.fullmatch(header[place]) for place in kept)
    if texts and moments:
        found = [row[texts[-1]] for row in table.rows]
        if len(set(found)) == len(found) and not _is_brick(found):
            values = to_numbers(path, [[row[place] for place in kept] for row in table.rows])
            return Matrix(values, tuple(found), time_axis=1, tr=tr)
    times, counted = None, [header[place] for place in texts] if header else []
    if header and len(kept) > 1:
        first = to_numbers(path, [[row[kept[0]]] for row in table.rows])[:, 0].astype(np.float64)
        rising = len(first) > 1 and bool((np.diff(first) > 0).all())
        if rising and _TIME.fullmatch(header[kept[0]]):
            times, counted, kept = first, [*counted, header[kept[0]]], kept[1:]
        elif rising and _COUNT.fullmatch(header[kept[0]]) and (np.diff(first) == 1).all():
            counted, kept = [*counted, header[kept[0]]], kept[1:]
    if not kept:
        raise RawFileError(f"{path}: expected columns of numbers, found none")
    values = to_numbers(path, [[row[place] for place in kept] for row in table.rows])
    names = tuple(header[place] for place in kept) if header else ()
    # Numbers above the columns are labels of an atlas (ABIDE, ADHD-200), unless they just count volumes.
    return Matrix(values, names, 0 if header else None, times, tr, dropped=tuple(counted))


def _is_brick(cells: list[str]) -> bool:
    return all(re.match(r"\d+\[", cell) for cell in cells)


def _row_tr(table: Table) -> float | None:
    """``RowTR`` of an AFNI matrix."""
    match = re.search(r'RowTR\s*=\s*"?(\d+(\.\d+)?)', "\n".join(table.comments))
    return float(match[1]) if match and float(match[1]) > 0 else None


def find_names(path: Path, shape: tuple[int, ...]) -> Path | None:
    """Return the list of region names beside a table, if it names one axis of it; None where there is none."""
    stem = path.name.rpartition(".")[0]
    for pattern in _BESIDE:
        for ending in (".txt", ".csv", ".tsv", ".json"):
            other = path.with_name(pattern.format(stem=stem) + ending)
            if other != path and other.is_file():
                try:
                    if shape.count(len(read_names(other))) == 1:
                        return other
                except RawFileError:
                    continue
    return None


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of regions in order: of a list, or of a lookup table by its numbers (0, background, left out)."""
    regions = read_lut(path)
    if regions.ordered:
        return regions.ordered
    return tuple(name for number, name in sorted(regions.names.items()) if number != 0)


def choose_time_axis(path: Path, matrix: Matrix, n_names: int, orientation: Orientation) -> tuple[int, str]:
    """Return which axis is time, and why.

    Raises
    ------
    RawFileError
        If nothing decides: both axes are as long as each other, or as the list of names.
    """
    shape = matrix.values.shape
    if orientation != "auto":
        return (0 if orientation == "time_first" else 1), "option orientation"
    if matrix.time_axis is not None:
        return matrix.time_axis, "names of the regions in the file"
    if n_names and shape.count(n_names) == 1:
        return 1 - shape.index(n_names), "number of names of regions"
    if shape[0] != shape[1]:
        return int(np.argmax(shape)), "the longer axis is taken for time"
    raise RawFileError(
        f"{path}: {shape[0]} by {shape[1]} numbers; which axis is time? Say --set orientation=time_first (a row per "
        "volume) or time_last"
    )


def check_names(path: Path, matrix: Matrix, names: tuple[str, ...], time_axis: int) -> Matrix:
    """Return the table with names that fit its regions.

    Raises
    ------
    RawFileError
        If there are more or fewer names than regions.
    """
    n_regions = matrix.values.shape[1 - time_axis]
    if names and len(names) != n_regions:
        raise RawFileError(f"{path}: {len(names)} names for {n_regions} regions; expected one each")
    return replace(matrix, names=names)
