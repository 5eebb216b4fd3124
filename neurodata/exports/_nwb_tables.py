"""Events, intervals, units and channel columns as tables of NWB."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names

_WAVEFORMS = ("waveform_mean", "waveform_sd")
_PREDEFINED = {
    "EventsTable": ("timestamp", "annotation"),
    "TimeIntervals": ("start_time", "stop_time", "tags", "timeseries"),
    "Units": ("spike_times", "obs_intervals", "electrodes", "electrode_group", "waveforms", *_WAVEFORMS),
    "DynamicTable": (),
}
"""Columns that the standard gives a type of its own, which ours of the same name may not have."""


def column_name(name: str, kind: str, others: tuple[str, ...]) -> str:
    """Return the name under which a column can stand in an NWB table of this kind."""
    table = importlib.import_module("hdmf.common").DynamicTable
    taken = name in _PREDEFINED[kind] or hasattr(table, name) or name in ("id", "name", "description", "parent")
    if not taken and not name.endswith("_index"):
        return name
    found = f"{name}_column"
    while found in others:
        found += "_"
    return found


def write_columns(
    columns: Mapping[str, Any], kind: str, described: Mapping[str, Any] | None = None
) -> tuple[list[Any], dict[str, list[str]]]:
    """Return columns for pynwb, and for the sidecar: the file's name → ours and its type."""
    common = importlib.import_module("hdmf.common")
    made, said = [], {}
    for ours, values in columns.items():
        values = np.asarray(values)
        name = column_name(ours, kind, tuple(columns))
        words = str((described or {}).get(ours) or f"{ours} of each row")
        if kind == "EventsTable" and name == "duration":
            if values.dtype.kind == "f":
                event = importlib.import_module("pynwb.event")
                made.append(event.DurationVectorData(name=name, description=words, data=values))
                said[name] = [ours, values.dtype.str]
                continue
            name = "duration_column"
        made.append(common.VectorData(name=name, description=words, data=storable(values)))
        said[name] = [ours, values.dtype.str]
    return made, said


def storable(values: NDArray[Any]) -> Any:
    """Return a column as h5py stores it: text as objects, for HDF5 knows no fixed-width Unicode."""
    return values.astype(object) if values.dtype.kind == "U" and values.size else _no_text(values)


def _no_text(values: NDArray[Any]) -> Any:
    import h5py

    return np.empty(0, h5py.string_dtype()) if values.dtype.kind == "U" else values


def said_of(name: str, table: xr.Dataset, columns: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the sidecar keeps of a table."""
    by_column = {str(key): dict(values.attrs) for key, values in table.variables.items() if values.attrs}
    size = next(iter(table.sizes.values()), 0)
    entry = {"name": name, "n_rows": size, "columns": columns, "attributes": dict(table.attrs)}
    return {**entry, **({"column_attributes": by_column} if by_column else {})}


def _description(table: xr.Dataset, otherwise: str) -> str:
    return str(table.attrs.get("description") or otherwise)


def _described(table: xr.Dataset) -> Mapping[str, Any]:
    found = table.attrs.get("columns")
    return found if isinstance(found, dict) else {}


def make_events_table(name: str, table: xr.Dataset) -> tuple[Any, dict[str, Any]]:
    """Return a table of events for pynwb and what the sidecar keeps of it."""
    event = importlib.import_module("pynwb.event")
    others = {str(key): values.values for key, values in table.variables.items() if key != names.TIME}
    columns, said = write_columns(others, "EventsTable", _described(table))
    time = event.TimestampVectorData(name="timestamp", description="seconds from the start", data=table["time"].values)
    made = event.EventsTable(
        name=name,
        description=_description(table, f"events {name}"),
        columns=[time, *columns],
        id=list(range(table.sizes[names.EVENT])),
    )
    return made, said_of(name, table, {"timestamp": [names.TIME, "<f8"], **said})


def make_intervals_table(name: str, table: xr.Dataset) -> tuple[Any, dict[str, Any]]:
    """Return a table of stretches for pynwb and what the sidecar keeps of it."""
    common, epoch = importlib.import_module("hdmf.common"), importlib.import_module("pynwb.epoch")
    edges = {names.START: "start_time", names.STOP: "stop_time"}
    others = {str(key): values.values for key, values in table.variables.items() if key not in edges}
    columns, said = write_columns(others, "TimeIntervals", _described(table))
    edge_columns = [
        common.VectorData(name=theirs, description=f"{ours} in seconds", data=table[ours].values)
        for ours, theirs in edges.items()
    ]
    made = epoch.TimeIntervals(
        name=name,
        description=_description(table, f"intervals {name}"),
        columns=[*edge_columns, *columns],
        id=list(range(table.sizes[names.INTERVAL])),
    )
    return made, said_of(name, table, {theirs: [ours, "<f8"] for ours, theirs in edges.items()} | said)


def make_units_table(units: xr.Dataset, spikes: tuple[str, xr.Dataset] | None) -> tuple[Any, dict[str, Any]]:
    """Return the table of units with their spikes for pynwb, and what the sidecar keeps of both."""
    common, misc = importlib.import_module("hdmf.common"), importlib.import_module("pynwb.misc")
    waveforms: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, values in units.variables.items():
        parsed = _parse_waveforms(values.values) if key in _WAVEFORMS else None
        (others if parsed is None else waveforms)[str(key)] = values.values if parsed is None else parsed
    columns, said = write_columns(others, "Units", _described(units))
    for name, values in waveforms.items():
        columns.append(common.VectorData(name=name, description=f"{name} of each unit", data=values))
        said[name] = [name, "<U1"]
    entry = said_of("units", units, said)
    if spikes is not None:
        spike_columns, entry["spikes"] = _make_spikes(*spikes, n_units=units.sizes[names.UNIT], taken=set(said))
        columns += spike_columns
    made = misc.Units(
        name="units", description="sorted units", columns=columns, id=list(range(units.sizes[names.UNIT]))
    )
    return made, entry


def _make_spikes(name: str, table: xr.Dataset, *, n_units: int, taken: set[str]) -> tuple[list[Any], dict[str, Any]]:
    """Spike times and further columns per spike, unit by unit."""
    common = importlib.import_module("hdmf.common")
    unit = np.asarray(table[names.UNIT].values)
    order = np.argsort(unit, kind="stable")
    ends = np.cumsum(np.bincount(unit, minlength=n_units)).astype(np.uint64)
    columns, said = [], {}
    for key, values in table.variables.items():
        if key == names.UNIT:
            continue
        theirs = "spike_times" if key == names.TIME else column_name(str(key), "Units", tuple(taken))
        while theirs in taken:
            theirs = f"spike_{theirs}"
        taken.add(theirs)
        data = common.VectorData(name=theirs, description=f"{key} of each spike", data=storable(values.values[order]))
        columns += [data, common.VectorIndex(name=f"{theirs}_index", data=ends, target=data)]
        if key != names.TIME:
            said[theirs] = [str(key), values.dtype.str]
    return columns, said_of(name, table, said)


def _parse_waveforms(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Mean waveforms that stand as JSON text, as numbers of shape ``(unit, sample …)``; None where they are not."""
    if values.dtype.kind != "U" or not values.size:
        return None
    try:
        rows = [json.loads(value) for value in values.tolist()]
        numbers = np.array(rows, np.float64)
    except (ValueError, TypeError):
        return None
    back = [json.dumps(_nulls(row), ensure_ascii=False) for row in numbers]
    return numbers if numbers.ndim in (2, 3) and back == values.tolist() else None


def _nulls(row: NDArray[np.float64]) -> Any:
    """Numbers as JSON knows them: a missing one is null."""
    if row.ndim > 1:
        return [_nulls(inner) for inner in row]
    return [None if np.isnan(value) else value for value in row.tolist()]
