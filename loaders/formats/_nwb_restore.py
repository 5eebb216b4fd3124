"""What `neurodata.exports.to_nwb` writes beside the standard's own fields, so that its files come back as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units

from ._nwb_file import Notes, member, text
from ._nwb_rows import SeriesRows, lazy_series
from ._nwb_table import Column, Table, open_table

SIDECAR = "scratch/neurodata_recording"
"""Where the export keeps names, roles, clocks and metadata as JSON; the same word stands in the export."""
_MOST_JSON = 64 << 20
_FIELDS = ("subject", "session_start", "session", "modality", "device", "task", "description", "licence", "citation",
           "history")  # fmt: skip


@dataclass
class Found:
    """What was read from a file by the standard's own fields: members by name, and the name that each path got."""

    signals: dict[str, xr.DataArray] = field(default_factory=dict)
    events: dict[str, xr.Dataset] = field(default_factory=dict)
    intervals: dict[str, xr.Dataset] = field(default_factory=dict)
    units: xr.Dataset | None = None
    graphs: dict[str, xr.Dataset] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def read_sidecar(file: h5py.File) -> dict[str, Any]:
    """Return what the export says about its file; nothing where another program wrote it."""
    node = member(file, SIDECAR)
    if not isinstance(node, h5py.Dataset) or node.shape not in ((), (1,)) or node.dtype.kind not in "OS":
        return {}
    words = text(node[()])
    if len(words) > _MOST_JSON:
        return {}
    try:
        said = json.loads(words)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) and said.get("version") == 1 else {}


def restore_members(file: h5py.File, path: Path, said: dict[str, Any], found: Found) -> None:
    """Put back every member that still is as the export wrote it; one that somebody changed stays as it was read."""
    notes = Notes()
    for place, entry in said.get("signals", {}).items():
        data = member(file, f"{place}/data")
        if isinstance(data, h5py.Dataset) and [list(data.shape), data.dtype.str] == [entry["shape"], entry["dtype"]]:
            _forget(found.signals, found.places.get(place))
            found.signals[entry["name"]] = _signal(file, path, place, entry, notes)
    for group, members in (("events", found.events), ("intervals", found.intervals)):
        for place, entry in said.get(group, {}).items():
            node = member(file, place)
            table = open_table(node, notes) if isinstance(node, h5py.Group) else None
            if table is not None and table.n_rows == entry["n_rows"] and set(entry["columns"]) <= set(table.columns):
                columns: dict[str, Any] = {
                    ours: _column(table, name, kind) for name, (ours, kind) in entry["columns"].items()
                }
                _forget(members, found.places.get(place))
                make = make_events if group == "events" else make_intervals
                members[entry["name"]] = _with_attributes(make(**columns), entry)
    _restore_units(file, said.get("units"), found, notes)


def restore_graphs(file: h5py.File, said: dict[str, Any], notes: Notes) -> tuple[dict[str, xr.Dataset], set[str]]:
    """Return the graphs whose tables still are as the export wrote them, and the paths of these tables."""
    graphs, places = dict[str, xr.Dataset](), set[str]()
    for name, entry in said.get(names.GRAPHS, {}).items():
        graph = xr.Dataset(attrs=dict(entry["attributes"]))
        parts = {dimension: entry[dimension] for dimension in (names.NODE, names.EDGE)}
        for dimension, part in parts.items():
            node = member(file, part["name"])
            table = open_table(node, notes) if isinstance(node, h5py.Group) else None
            if table is None or table.n_rows != part["n_rows"] or not set(part["columns"]) <= set(table.columns):
                notes.not_read.append(f"{part['name']}: this table of graph {name!r} is not as it was exported")
                break
            columns = {ours: (dimension, _column(table, key, kind)) for key, (ours, kind) in part["columns"].items()}
            graph = graph.assign(columns)
            for column, attributes in part.get("column_attributes", {}).items():
                graph[column].attrs = dict(attributes)
        else:
            graphs[name] = graph
            places |= {part["name"] for part in parts.values()}
    return graphs, places


def _forget(members: dict[str, Any], name: str | None) -> None:
    if name is not None:
        members.pop(name, None)


def _with_attributes(table: xr.Dataset, entry: dict[str, Any]) -> xr.Dataset:
    table.attrs = dict(entry["attributes"])
    for name, attributes in entry.get("column_attributes", {}).items():
        if name in table.variables:
            table[name].attrs = dict(attributes)
    return table


def _column(table: Table, name: str, kind: str) -> NDArray[Any]:
    values = table.read(name)
    return values.astype(np.str_ if kind.startswith("<U") else np.dtype(kind))


def _signal(file: h5py.File, path: Path, place: str, entry: dict[str, Any], notes: Notes) -> xr.DataArray:
    data = file[f"{place}/data"]
    table = open_table(file[entry["channels"]], notes)
    columns = {ours: _column(table, name, kind) for name, (ours, kind) in entry["columns"].items()}
    clock: dict[str, Any] = dict(entry["clock"])
    if clock.pop("timestamps", False):
        clock["time"] = np.asarray(file[f"{place}/timestamps"][()], np.float64)
    if "segments" in clock:
        clock["segments"] = tuple(clock["segments"])
    values = lazy_series(data, data.shape[0], SeriesRows(path, text(data.name)))
    ids = columns.pop(names.CHANNEL_ID)
    attributes = dict(entry["attributes"])
    unit = attributes.pop(names.UNITS_ATTRIBUTE)
    signal = make_signal(values, channel_id=ids, units=unit, role=entry["role"], columns=columns, **clock)
    signal.attrs |= attributes
    for name, attributes in entry.get("column_attributes", {}).items():
        signal.coords[name].attrs = dict(attributes)
    return signal


def _restore_units(file: h5py.File, entry: Any, found: Found, notes: Notes) -> None:
    node = member(file, "units")
    if not isinstance(entry, dict) or not isinstance(node, h5py.Group):
        return
    table = open_table(node, notes)
    if table.n_rows != entry["n_rows"] or not set(entry["columns"]) <= set(table.columns):
        return
    columns = {ours: _column(table, name, kind) for name, (ours, kind) in entry["columns"].items()}
    found.units = _with_attributes(make_units(**columns), entry)
    spikes = entry.get("spikes")
    times = table.columns.get("spike_times")
    if spikes is None:
        found.events.pop("spikes", None)
    elif times is not None and times.indexes:
        found.events.pop("spikes", None)
        found.events[spikes["name"]] = _spikes(table, times, spikes)


def _spikes(table: Table, column: Column, entry: dict[str, Any]) -> xr.Dataset:
    ends = column.ends()
    times = np.asarray(column.data[()], np.float64)
    unit = np.repeat(np.arange(len(ends), dtype=np.int32), np.diff(ends, prepend=0))
    order = np.argsort(times, kind="stable")
    more: dict[str, Any] = {}
    for name, (ours, kind) in entry["columns"].items():
        values = table.columns[name].data[()]
        if kind.startswith("<U"):
            more[ours] = np.array([text(value) for value in values], np.str_)[order]
        else:
            more[ours] = np.asarray(values)[order].astype(np.dtype(kind))
    return _with_attributes(make_events(times[order], unit=unit[order], **more), entry)


def restore_facts(said: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Return a recording's metadata as it was exported; what was mended or left out while reading stays said."""
    kept = said.get("metadata", {})
    restored = {**facts, **{name: None for name in _FIELDS if name in facts}}
    restored |= {name: kept[name] for name in _FIELDS if name in kept}
    read = {k: v for k, v in facts["extra"].items() if k in ("mended", "not_read", "unknown_extensions")}
    return {**restored, "extra": {**kept.get("extra", {}), **read}}
