"""suite2p's statistics of its regions of interest, as columns of channels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import is_safe_part
from neurodata.errors import RawFileError

from ..npy_files import open_npy, read_npy

_TAKEN = {
    "channel_id",
    "label",
    "x",
    "y",
    "z",
    "is_cell",
    "cell_probability",
    "is_red",
    "red_probability",
    "channel",
    "time",
}


def read_objects(path: Path) -> tuple[Any, str]:
    """Read what ``np.save`` wrote of Python objects, and why it is not read where it is refused (None is returned)."""
    try:
        found = read_npy(path, objects=True)
    except RawFileError as error:
        warnings.warn(f"{error} (the traces beside it are read all the same)", stacklevel=2)
        return None, str(error).removeprefix(f"{path}: ")
    return (found[()] if found.ndim == 0 else found), ""


def read_cells(folder: Path, n_rois: int) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return ``is_cell`` and ``cell_probability`` (and ``is_red``, ``red_probability``), each of shape ``(channel,)``.

    A file with other rows than ``F.npy`` has is left out with a warning, as after a sorting of other regions; the
    second dictionary says which and why.
    """
    columns: dict[str, NDArray[Any]] = {}
    unread: dict[str, str] = {}
    for name, flag, probability in (
        ("iscell.npy", "is_cell", "cell_probability"),
        ("redcell.npy", "is_red", "red_probability"),
    ):
        path = folder / name
        if not path.is_file():
            continue
        values = np.asarray(open_npy(path))
        if (
            values.ndim not in (1, 2)
            or len(values) != n_rois
            or values.dtype.kind not in "biuf"
            or 0 in values.shape[1:]
        ):
            unread[name] = (
                f"expected one row for each of the {n_rois} ROIs of F.npy, got {values.dtype} of shape "
                f"{values.shape}; are the files of one run?"
            )
            warnings.warn(f"{path}: {unread[name]} It is not used", stacklevel=2)
            continue
        columns[flag] = (values if values.ndim == 1 else values[:, 0]) > 0
        if values.ndim == 2 and values.shape[1] > 1:
            columns[probability] = values[:, 1].astype(np.float64)
    return columns, unread


def stat_columns(stat: Any, path: Path, n_rois: int) -> dict[str, NDArray[Any]]:
    """Return every statistic that is one number per region, and ``x``, ``y`` in pixels from ``med``.

    Parameters
    ----------
    stat
        What ``stat.npy`` holds: one dictionary per region.
    path
        The file, for errors.
    n_rois
        Regions of ``F.npy``.
    """
    rows = list(stat) if isinstance(stat, (np.ndarray, list)) else []
    if len(rows) != n_rois or not all(isinstance(row, dict) for row in rows):
        raise RawFileError(
            f"{path}: expected a dictionary for each of the {n_rois} ROIs of F.npy, got {len(rows)} entries; are the "
            "files of one run?"
        )
    columns: dict[str, NDArray[Any]] = {}
    centres = [_centre(row.get("med")) for row in rows]
    if any(centre is not None for centre in centres):
        positions = np.array([centre or (np.nan, np.nan) for centre in centres], np.float64)
        columns = {"x": positions[:, 1], "y": positions[:, 0]}
    for key in dict.fromkeys(key for row in rows for key in row):
        if isinstance(key, str) and is_safe_part(key) and key not in _TAKEN:
            column = _column([row.get(key) for row in rows])
            if column is not None:
                columns["plane" if key == "iplane" else key] = column
    return columns


def _centre(med: Any) -> tuple[float, float] | None:
    """Row and column of a region's centre, in pixels."""
    if isinstance(med, (list, np.ndarray)) and len(med) == 2 and all(map(_is_number, med)):
        return float(med[0]), float(med[1])
    return None


def _column(values: Sequence[Any]) -> NDArray[Any] | None:
    """One number per region, NaN where a region has none; None where they are no numbers."""
    there = [value for value in values if value is not None]
    if not there or not all(map(_is_number, there)):
        return None
    if len(there) < len(values):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    column = np.array(values)
    return column if column.dtype.kind in "bif" and column.dtype != np.float16 else column.astype(np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))
