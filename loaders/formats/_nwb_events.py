"""Events and intervals of NWB: annotations, event tables, trials and every other table of stretches."""

from __future__ import annotations

import json
import math
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.recording.timed import make_events, make_intervals

from ._nwb_file import Item, Notes, OddNwbError, attribute, follow, member, number, plain, text
from ._nwb_rows import read_times
from ._nwb_table import Table, safe_columns, text_list

EVENT_TAKEN = {names.TIME, names.UNIT, names.EVENT, "segment_start", "segment_first", "second_first_event"}
INTERVAL_TAKEN = {names.TIME, names.START, names.STOP, names.INTERVAL, "segment_start", "segment_first",
                  "second_first_event"}  # fmt: skip
_TIME_COLUMNS = ("timestamp", "timestamps", "time", "event_time", "event_times")
_MOST_EVENTS = 50_000_000


def is_event_series(item: Item) -> bool:
    """Tell whether a series marks moments: text per time, behavioural events, or no samples at all."""
    if item.is_a("AnnotationSeries", "IndexSeries", "Events", "SpikeEventSeries"):
        return True
    data = member(item.node, "data")
    if item.is_a("ImageSeries", "IntervalSeries"):
        return False
    if data is None:
        return "timestamps" in item.node
    said = isinstance(data, h5py.Dataset) and data.ndim == 1 and data.dtype.kind in "OSU"
    return said or "/BehavioralEvents/" in item.path or _parent_kind(item) == "BehavioralEvents"


def _parent_kind(item: Item) -> str:
    return text(attribute(item.node.parent, "neurodata_type", ""))


def read_event_series(item: Item, notes: Notes) -> xr.Dataset:
    """Return the events of a series: ``time``, and its data as ``label`` (text) or ``value``."""
    data = member(item.node, "data")
    times, order = _event_times(item, data, notes)
    columns: dict[str, NDArray[Any]] = {}
    if isinstance(data, h5py.Dataset) and data.shape and not item.is_a("SpikeEventSeries"):
        columns = _event_columns(item, data, len(times), notes)
    elif item.is_a("SpikeEventSeries"):
        notes.not_read.append(f"{item.path}/data: waveforms of single spikes; their times are kept")
    columns = safe_columns({name: values[order] for name, values in columns.items()}, EVENT_TAKEN)
    return make_events(times[order], attributes=_said(item, data), **columns)


def _said(item: Item, data: Any) -> dict[str, Any]:
    said = {"nwb": {"neurodata_type": item.kind, "path": item.path}}
    words = text(attribute(item.node, "description", ""))
    unit = text(attribute(data, "unit", "")) if data is not None else ""
    return {
        **said,
        **({"description": words} if words.lower() not in ("", "no description") else {}),
        **({"value_units": unit} if unit.lower() not in ("", "n/a") else {}),
    }


def _event_times(item: Item, data: Any, notes: Notes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All times in the file's order, and the rows with a time, sorted by it."""
    stamps = member(item.node, "timestamps")
    n_rows = data.shape[0] if isinstance(data, h5py.Dataset) and data.shape else 0
    if isinstance(stamps, h5py.Dataset) and stamps.ndim == 1 and stamps.dtype.kind in "iuf":
        if len(stamps) > _MOST_EVENTS:
            raise OddNwbError(f"{len(stamps)} events, at most {_MOST_EVENTS} are read")
        times = np.asarray(stamps[()], np.float64)
        times = times[: min(len(times), n_rows)] if data is not None else times
    else:
        clock = read_times(item.node, n_rows).clock
        if "rate_hz" not in clock:
            raise OddNwbError("its events have no times")
        times = clock["start_seconds"] + np.arange(n_rows) / clock["rate_hz"]
    return times, sorted_rows(times, item.path, notes)


def sorted_rows(times: NDArray[np.float64], path: str, notes: Notes) -> NDArray[np.int64]:
    """Return the rows with a finite time in the order of their times; notes those without."""
    good = np.flatnonzero(np.isfinite(times))
    if len(good) < len(times):
        notes.mended.append(f"{path}: {len(times) - len(good)} rows have no finite time and are left out")
    return np.asarray(good[np.argsort(times[good], kind="stable")])


def _event_columns(item: Item, data: h5py.Dataset, n_events: int, notes: Notes) -> dict[str, NDArray[Any]]:
    values = data[:n_events]
    if values.dtype.kind in "OSU":
        return {names.LABEL: np.array([text(value).strip() for value in values.ravel()][:n_events], np.str_)}
    if values.dtype.kind not in "biuf" or values.ndim > 2:
        notes.not_read.append(f"{item.path}/data: values of type {values.dtype} and shape {data.shape}")
        return {}
    factor, offset = (
        number(attribute(data, name, default)) for name, default in (("conversion", 1.0), ("offset", 0.0))
    )
    if (factor, offset) != (1.0, 0.0) and math.isfinite(factor) and math.isfinite(offset):
        values = values * factor + offset
    if values.ndim == 2:
        return {f"value_{column}": values[:, column] for column in range(values.shape[1])}
    columns = {"value": values}
    words = text_list(attribute(data, "labels", attribute(item.node, "labels"))) or _image_names(item)
    if words and values.dtype.kind in "iu" and values.size and values.min() >= 0 and values.max() < len(words):
        columns[names.LABEL] = np.array(words, np.str_)[values]
    return columns


def _image_names(item: Item) -> list[str]:
    """Names of the images that an IndexSeries shows, in the order of their numbers."""
    images = member(item.node, "indexed_images")
    order = member(images, "order_of_images") if isinstance(images, h5py.Group) else None
    if not isinstance(order, h5py.Dataset) or order.ndim != 1 or not h5py.check_ref_dtype(order.dtype):
        return []
    targets = [follow(order.file, reference) for reference in order[()]]
    return ["" if target is None else text(target.name).rpartition("/")[2] for target in targets]


def read_image_times(item: Item, notes: Notes) -> xr.Dataset | None:
    """Return when the frames of a shown image series came, None where the file does not say; images are not read."""
    stamps = member(item.node, "timestamps")
    if not isinstance(stamps, h5py.Dataset) or stamps.ndim != 1 or not 0 < len(stamps) <= _MOST_EVENTS:
        return None
    times = np.asarray(stamps[()], np.float64)
    order = sorted_rows(times, item.path, notes)
    return make_events(times[order], attributes=_said(item, None), frame=order)


def read_interval_series(item: Item, notes: Notes) -> xr.Dataset:
    """Return the intervals of an IntervalSeries: ``+k`` opens one of kind ``k``, the next ``-k`` closes it."""
    data = member(item.node, "data")
    if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.dtype.kind not in "iuf":
        raise OddNwbError("an IntervalSeries without whole numbers")
    times, order = _event_times(item, data, notes)
    values = np.asarray(data[: len(times)])[order]
    open_at: dict[float, list[int]] = {}
    rows: list[tuple[float, float, float]] = []
    unmatched = 0
    for time, value in zip(times[order].tolist(), values.tolist()):
        if value > 0:
            open_at.setdefault(value, []).append(len(rows))
            rows.append((time, time, value))
        elif open_at.get(-value):
            row = open_at[-value].pop(0)
            rows[row] = (rows[row][0], time, -value)
        else:
            unmatched += 1
    unmatched += sum(map(len, open_at.values()))
    if unmatched:
        notes.mended.append(f"{item.path}: {unmatched} edges have no partner (an open interval has no length)")
    table = np.array(rows, np.float64).reshape(-1, 3)
    code = table[:, 2].astype(data.dtype if data.dtype.kind in "iu" else np.int64)
    return make_intervals(table[:, 0], table[:, 1], attributes=_said(item, None), code=code)


def event_column(table: Table) -> str | None:
    """Return the column that says when each row happened, None where there is none."""
    for name in _TIME_COLUMNS:
        if name in table.columns and table.columns[name].data.dtype.kind in "iuf":
            return name
    return None


def read_event_table(item: Item, table: Table, column: str, notes: Notes) -> xr.Dataset:
    """Return a table whose rows (or lists of times per row) are events, with all its columns."""
    columns = table.read_all(without=(column,))
    times = table.columns[column]
    if times.data.ndim != 1 or len(times.indexes) > 1:
        raise OddNwbError(f"its column {column!r} is not one list of times")
    values = np.asarray(times.data[()], np.float64)
    if times.indexes:  # AnnotatedEventsTable: one row per kind of event
        row_of = np.repeat(np.arange(table.n_rows), np.diff(times.ends(), prepend=0))
        values, columns = values[: len(row_of)], {name: kept[row_of] for name, kept in columns.items()}
    elif len(values) != table.n_rows:
        raise OddNwbError(f"its column {column!r} has {len(values)} times for {table.n_rows} rows")
    ids = table.ids()
    if not times.indexes and not np.array_equal(ids, np.arange(len(ids))):
        columns["id"] = ids
    order = sorted_rows(values, item.path, notes)
    kept = {name: entries[order] for name, entries in columns.items()}
    return make_events(values[order], attributes=_said(item, None), **safe_columns(kept, EVENT_TAKEN))


def read_intervals(item: Item, table: Table, notes: Notes, dropped: dict[str, Any]) -> xr.Dataset:
    """Return a table of stretches with all its columns.

    A row without a finite start or stop keeps the edge it has as both, and the file's own values stand in the columns
    ``start_time`` and ``stop_time``; one without either has no place in time and goes into ``dropped`` as it is.
    """
    start, stop = (_edge(table, name) for name in ("start_time", "stop_time"))
    start, stop = (stop if start is None else start), (start if stop is None else stop)
    if start is None or stop is None:
        raise OddNwbError("it has no start_time")
    columns: dict[str, NDArray[Any]] = {"id": table.ids(), **table.read_all(without=("start_time", "stop_time"))}
    known = np.isfinite(start) | np.isfinite(stop)
    odd = ~np.isfinite(start) | ~np.isfinite(stop) | (stop < start)
    if odd.any():
        columns |= {"start_time": start, "stop_time": stop}
        notes.mended.append(f"{item.path}: {int(odd.sum())} rows without a finite start and a later stop")
    if not known.all():
        lost = {name: plain(values[~known]) for name, values in columns.items()}
        dropped[item.path] = json.loads(json.dumps(lost))
        notes.mended.append(
            f"{item.path}: {int((~known).sum())} of them have neither and are kept in extra/rows_without_time"
        )
    begin = np.where(np.isfinite(start), start, stop)
    end = np.where(np.isfinite(stop), np.maximum(stop, begin), begin)
    renamed: dict[str, str] = {}
    kept = safe_columns({name: values[known] for name, values in columns.items()}, INTERVAL_TAKEN, renamed)
    attributes = _said(item, None) | {"columns": table.descriptions([n for n in table.columns if n in columns])}
    if renamed:
        attributes["renamed_columns"] = renamed
    return make_intervals(begin[known], end[known], attributes=attributes, **kept)


def _edge(table: Table, name: str) -> NDArray[np.float64] | None:
    column = table.columns.get(name)
    shapes = ((table.n_rows,), (1, table.n_rows))  # MatNWB wrote row vectors
    if column is None or column.indexes or column.data.shape not in shapes or column.data.dtype.kind not in "iuf":
        return None
    return np.asarray(column.data[()], np.float64).ravel()


def read_event_times(item: Item, notes: Notes) -> xr.Dataset:
    """Return the events of the older containers: Clustering, EventDetection and FeatureExtraction."""
    stamps = member(item.node, "times")
    if not isinstance(stamps, h5py.Dataset) or stamps.ndim != 1 or stamps.dtype.kind not in "iuf":
        raise OddNwbError("it has no times")
    times = np.asarray(stamps[()], np.float64)
    columns = {
        name: node[()]
        for name in ("num", "source_idx")
        if isinstance(node := member(item.node, name), h5py.Dataset) and node.shape == times.shape
    }
    if item.is_a("FeatureExtraction"):
        notes.not_read.append(f"{item.path}/features: kept are the times of the events")
    order = sorted_rows(times, item.path, notes)
    kept = {name: values[order] for name, values in columns.items()}
    return make_events(times[order], attributes=_said(item, None), **safe_columns(kept, EVENT_TAKEN))
