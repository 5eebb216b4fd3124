"""Sorted units of NWB: spikes as events, one row per unit with all its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.recording.timed import make_events, make_intervals, make_units

from ._nwb_channels import Channels, unique_ids
from ._nwb_file import Item, Notes, OddNwbError, attribute, follow, number
from ._nwb_table import Column, Table, open_table, safe_columns

_TAKEN = {names.TIME, names.UNIT, "segment_start", "segment_first", "second_first_event"}
_MOST_VALUES = 4_000_000
"""Most values of a unit column of several channels that become text; waveforms of more keep their largest channel."""


@dataclass
class Sorted:
    """What a table of units holds; ``spikes`` is None where it has no spike times."""

    units: xr.Dataset
    spikes: xr.Dataset | None
    observed: xr.Dataset | None
    notes: dict[str, Any] = field(default_factory=dict)


def read_units(item: Item, channels: Channels, notes: Notes) -> Sorted:
    """Return units, their spikes (sorted by time, ties by unit) and the stretches in which each was observed.

    Ragged columns with one value per spike (amplitudes, depths) become columns of the spikes.
    """
    table = open_table(item.node, notes)
    ids = _unit_ids(table)
    times = table.columns.get("spike_times")
    spikes: xr.Dataset | None = None
    per_spike: set[str] = set()
    if times is not None and times.indexes:
        spikes, per_spike = _read_spikes(table, times, item, notes)
    skipped = {"spike_times", "spike_times_index", "obs_intervals", *per_spike}
    skipped |= {"unit_id"} if "unit_id" in table.columns else set()
    columns = {name: column for name, column in table.columns.items() if name not in skipped}
    values = _read_columns(table, columns, notes)
    if "unit_id" in table.columns and not np.array_equal(table.ids(), np.arange(table.n_rows)):
        values = {"id": table.ids(), **values}
    values |= {name: kept for name, kept in _places(table, channels, notes).items() if name not in values}
    units = make_units(ids, **safe_columns(values, {*_TAKEN, "unit_id"}))
    units.attrs["columns"] = table.descriptions([name for name in table.columns if name in values])
    return Sorted(units, spikes, _read_observed(table, ids, notes))


def _unit_ids(table: Table) -> list[str]:
    if "unit_id" in table.columns and not table.columns["unit_id"].indexes:
        given = table.read("unit_id")
        if len(np.unique(given)) == len(given):
            return unique_ids(list(given))
    return unique_ids(list(table.ids()))


def _read_spikes(table: Table, column: Column, item: Item, notes: Notes) -> tuple[xr.Dataset, set[str]]:
    ends = column.ends()
    if len(ends) != table.n_rows or column.data.ndim != 1 or column.data.dtype.kind not in "iuf":
        raise OddNwbError(f"spike times of {len(ends)} units, type {column.data.dtype}, for {table.n_rows} rows")
    n_spikes = int(ends[-1]) if len(ends) else 0
    times = np.asarray(column.data[:n_spikes], np.float64)
    unit = np.repeat(np.arange(len(ends), dtype=np.int32), np.diff(ends, prepend=0))
    per_spike = {
        name: other
        for name, other in table.columns.items()
        if name != column.name and _is_per_spike(other, ends, n_spikes)
    }
    good = np.isfinite(times)
    if not good.all():
        notes.mended.append(f"{item.path}: {int((~good).sum())} spikes have no finite time and are left out")
    # The file lists spikes unit by unit, so a stable sort leaves ties in the order of the units.
    order = np.flatnonzero(good)[np.argsort(times[good], kind="stable")]
    columns = {name: np.asarray(other.data[:n_spikes])[order] for name, other in per_spike.items()}
    resolution = number(attribute(column.data, "resolution"))
    said: dict[str, Any] = {"nwb": {"neurodata_type": item.kind, "path": f"{item.path}/spike_times"}}
    if math.isfinite(resolution) and resolution > 0:
        said["resolution_seconds"] = resolution
    spikes = make_events(times[order], attributes=said, unit=unit[order], **safe_columns(columns, _TAKEN))
    return spikes, set(per_spike)


def _is_per_spike(column: Column, ends: NDArray[np.int64], n_spikes: int) -> bool:
    if len(column.indexes) != 1 or column.data.ndim != 1 or column.data.dtype.kind not in "biuf":
        return False
    if column.name == "electrodes" or n_spikes == 0 or n_spikes == len(ends):
        return False
    return column.indexes[0].shape == ends.shape and np.array_equal(column.ends(), ends)


def _read_columns(table: Table, columns: dict[str, Column], notes: Notes) -> dict[str, NDArray[Any]]:
    values: dict[str, NDArray[Any]] = {}
    for name, column in columns.items():
        try:
            if not column.indexes and column.data.ndim == 3 and column.data.size > _MOST_VALUES:
                values |= _largest_channel(table, column, notes)
            else:
                values[name] = table.read(name)
        except OddNwbError as error:
            notes.not_read.append(f"{table.path}/{name}: {error}")
    return values


def _largest_channel(table: Table, column: Column, notes: Notes) -> dict[str, NDArray[Any]]:
    """Waveforms of many channels: each unit's on the channel where it is largest, and which one that is."""
    import json

    waveforms, channel = [], np.zeros(column.n_rows, np.int64)
    for row in range(column.n_rows):
        waveform = np.asarray(column.data[row])
        height = np.nan_to_num(np.nanmax(waveform, axis=0) - np.nanmin(waveform, axis=0), nan=-1.0)
        channel[row] = int(np.argmax(height))
        waveforms.append(json.dumps([None if math.isnan(v) else v for v in waveform[:, channel[row]].tolist()]))
    notes.mended.append(
        f"{table.path}/{column.name}: of shape {column.data.shape}; each unit's largest channel is kept"
    )
    return {column.name: np.array(waveforms, np.str_), f"{column.name}_channel": channel}


def _places(table: Table, channels: Channels, notes: Notes) -> dict[str, NDArray[Any]]:
    """Region and position of each unit's first electrode, and the group it belongs to."""
    column = table.columns.get("electrodes")
    target = follow(table.group.file, attribute(column.data, "table")) if column is not None else None
    target = channels.electrode_table() if target is None else target
    if column is None or target is None or len(column.indexes) > 1 or column.data.ndim != 1:
        return {}
    if column.n_rows != table.n_rows or column.data.dtype.kind not in "iu":
        return {}
    electrodes = open_table(target, notes)
    rows = np.asarray(column.data[()], np.int64)
    first = np.r_[0, column.ends()[:-1]] if column.indexes else np.arange(len(rows))
    has = np.diff(column.ends(), prepend=0) > 0 if column.indexes else np.ones(len(rows), bool)
    if rows.size and (rows.min() < 0 or rows.max() >= electrodes.n_rows):
        notes.mended.append(f"{table.path}/electrodes points beyond its table of {electrodes.n_rows} rows")
        return {}
    if not has.any():
        return {}
    known = channels.electrodes(np.arange(electrodes.n_rows), electrodes)
    at = rows[np.where(has, first, 0)]
    places: dict[str, NDArray[Any]] = {}
    for name in ("region", "x", "y", "z", "group_name"):
        if name in known:
            missing: Any = "" if known[name].dtype.kind == "U" else np.nan
            places[name] = np.where(has, known[name][at], missing)
    return places


def _read_observed(table: Table, ids: list[str], notes: Notes) -> xr.Dataset | None:
    """``obs_intervals``: when each unit could have been seen to fire."""
    column = table.columns.get("obs_intervals")
    if column is None or not column.indexes or column.data.ndim != 2 or column.data.shape[1] != 2:
        return None
    ends = column.ends()
    edges = np.asarray(column.data[: int(ends[-1]) if len(ends) else 0], np.float64)
    unit = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    good = np.isfinite(edges).all(axis=1) & (edges[:, 1] >= edges[:, 0])
    if not good.all():
        notes.mended.append(f"{table.path}/obs_intervals: {int((~good).sum())} without finite edges are left out")
    unit_id = np.array(ids, np.str_)[unit[good]] if len(ids) else np.array([], np.str_)
    return make_intervals(edges[good, 0], edges[good, 1], unit=unit[good].astype(np.int32), unit_id=unit_id)
