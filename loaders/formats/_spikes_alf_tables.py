"""ALF objects that are events or stretches of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.timed import make_events, make_intervals

from ._spikes_alf_columns import read_attribute, read_columns
from ._spikes_alf_files import AlfObject
from ._spikes_tables import safe_columns

Columns = dict[str, NDArray[Any]]


def read_events(owner: AlfObject) -> tuple[xr.Dataset, list[str], list[str]]:
    """Return an object with ``times`` as events, names of its files that are no columns, and remarks.

    Raises
    ------
    RawFileError
        If attributes differ in their number of rows; names the files.
    """
    columns, skipped = read_columns(owner)
    time = _seconds(owner, "times", columns.pop("times"))
    known = np.isfinite(time)
    remarks = [f"{owner.name}: {int((~known).sum())} events without a time are left out"] if not known.all() else []
    order = np.flatnonzero(known)[np.argsort(time[known], kind="stable")]
    kept = {name: values[order] for name, values in columns.items()}
    return make_events(time[order], **safe_columns(kept, {"event", "unit"})), skipped, remarks


def has_intervals(owner: AlfObject) -> bool:
    """Tell whether an object may be stretches of time: by its attribute, or by the columns of its table."""
    return "intervals" in owner.attributes or "intervalsTable" in owner.attributes or "table" in owner.attributes


def read_intervals(owner: AlfObject) -> tuple[xr.Dataset | None, list[str], list[str]]:
    """Return an object with ``intervals`` as intervals, names of its files that are no columns, and remarks.

    Also tables with ``start`` and ``stop``; with ``XOn`` and ``XOff``, where X becomes the label; and IBL's passive
    periods, whose columns are periods and whose rows are start and stop. None where no column says when.

    Raises
    ------
    RawFileError
        If attributes differ in their number of rows; names the files.
    """
    if "intervalsTable" in owner.attributes:
        edges = _periods(read_attribute(owner.attributes["intervalsTable"]))
        table, remarks = _made(owner, edges, [])
        return table, [], remarks
    columns, skipped = read_columns(owner)
    for start, stop in (("intervals_0", "intervals_1"), ("start", "stop"), ("start", "end")):
        if start in columns and stop in columns:
            edges = {"start": columns.pop(start), "stop": columns.pop(stop), **columns}
            table, remarks = _made(owner, edges, [])
            return table, skipped, remarks
    pairs = [name.removesuffix("On") for name in columns if name.endswith("On") and name[:-2] + "Off" in columns]
    if not pairs:
        return None, skipped, []
    edges = {
        "start": np.concatenate([columns[f"{name}On"] for name in pairs]),
        "stop": np.concatenate([columns[f"{name}Off"] for name in pairs]),
        "label": np.repeat(pairs, [len(columns[f"{name}On"]) for name in pairs]),
    }
    order = np.argsort(edges["start"], kind="stable")
    table, remarks = _made(owner, {name: values[order] for name, values in edges.items()}, skipped)
    return table, skipped, remarks


def _periods(table: Columns) -> Columns:
    """Start and stop of each period that took place: IBL leaves the cells of the others empty."""
    timed = {name: values for name, values in table.items() if values.dtype.kind in "iuf" and len(values) == 2}
    names = [name for name, values in timed.items() if np.isfinite(values).all()]
    return {
        "start": np.array([table[name][0] for name in names]),
        "stop": np.array([table[name][1] for name in names]),
        "label": np.array(names, np.str_),
    }


def _made(owner: AlfObject, columns: Columns, remarks: list[str]) -> tuple[xr.Dataset, list[str]]:
    start, stop = (_seconds(owner, edge, columns.pop(edge)) for edge in ("start", "stop"))
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(start) & np.isfinite(stop) & (stop >= start)
    if not fine.all():
        remarks = [*remarks, f"{owner.name}: {int((~fine).sum())} intervals without start or stop are left out"]
    kept = {name: values[fine] for name, values in columns.items()}
    return make_intervals(start[fine], stop[fine], **safe_columns(kept, {"start", "stop", "interval"})), remarks


def _seconds(owner: AlfObject, what: str, values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise RawFileError(
            f"{owner.paths[0].parent}: {what} of the object {owner.name!r} are {values.dtype}, expected seconds"
        )
    return np.asarray(values, np.float64)
