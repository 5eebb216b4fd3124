"""The store's formats: which arrays a recording becomes, and how a recording is put together from them again.

The layout is written down in docs/store-format.md. This file knows names and shapes only; it neither reads nor writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from neurodata import names
from neurodata.errors import IntegrityError
from neurodata.recording.graphs import REQUIRED
from neurodata.recording.recording import Recording
from neurodata.recording.timed import Clock, clock_of, time_coordinates
from neurodata.store.event_index import make_event_index

SEGMENT_START, SEGMENT_FIRST, SEGMENT = "segment_start", "segment_first", "segment"
EVENT_INDEX, SECOND = "second_first_event", "second"
HELPERS = (SEGMENT_START, SEGMENT_FIRST, EVENT_INDEX)
"""Arrays that speed reading up or place samples in time; they are not columns."""

COORDINATES = "coordinates"
"""CF attribute that lets plain xarray see the channel columns as coordinates."""


@dataclass(frozen=True)
class ArrayPlan:
    """One array to be stored: its path inside the recording, its (possibly lazy) values and its attributes."""

    path: str
    values: xr.Variable
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class RecordingPlan:
    """All groups (path → attributes) and arrays of a recording; the root group has the path ``""``."""

    groups: Mapping[str, Mapping[str, Any]]
    arrays: tuple[ArrayPlan, ...]

    @property
    def format_number(self) -> int:
        """The lowest format that has all of these: 2 where there are graphs, else 1."""
        return names.FORMAT_NUMBER if names.GRAPHS in self.groups else names.FIRST_FORMAT


def plan_recording(recording: Recording) -> RecordingPlan:
    """Return the groups and arrays a recording is stored as."""
    groups: dict[str, Mapping[str, Any]] = {"": {}}
    arrays: list[ArrayPlan] = []
    for name, signal in recording.signals_stored.items():
        groups |= {names.SIGNALS: {}, f"{names.SIGNALS}/{name}": {}}
        arrays += _plan_signal(f"{names.SIGNALS}/{name}", name, signal)
    tables_of = {
        names.EVENTS: recording.events,
        names.INTERVALS: recording.intervals,
        names.GRAPHS: recording.graphs,
    }
    for kind, tables in tables_of.items():
        for name, table in tables.items():
            groups |= {kind: {}, f"{kind}/{name}": dict(table.attrs)}
            arrays += _plan_table(f"{kind}/{name}", table)
            if kind == names.EVENTS:
                index = xr.Variable((SECOND,), make_event_index(np.asarray(table[names.TIME].values)))
                arrays.append(ArrayPlan(f"{kind}/{name}/{EVENT_INDEX}", index, {}))
    if recording.units is not None:
        groups[names.UNITS] = dict(recording.units.attrs)
        arrays += _plan_table(names.UNITS, recording.units)
    return RecordingPlan(groups, tuple(arrays))


def _plan_signal(path: str, name: str, signal: xr.DataArray) -> list[ArrayPlan]:
    columns = {str(column): values for column, values in signal.coords.items() if column != names.TIME}
    attributes = dict(signal.attrs) | {COORDINATES: " ".join(columns)}
    plans = [ArrayPlan(f"{path}/{name}", signal.variable, attributes)]
    plans += [ArrayPlan(f"{path}/{column}", values.variable, dict(values.attrs)) for column, values in columns.items()]
    clock = clock_of(signal)
    if clock is None:
        plans.append(ArrayPlan(f"{path}/{names.TIME}", signal[names.TIME].variable, {names.UNITS_ATTRIBUTE: "s"}))
    elif len(clock.segments()[0]) > 1:
        starts, firsts = clock.segments()
        plans.append(
            ArrayPlan(f"{path}/{SEGMENT_START}", xr.Variable((SEGMENT,), starts), {names.UNITS_ATTRIBUTE: "s"})
        )
        plans.append(ArrayPlan(f"{path}/{SEGMENT_FIRST}", xr.Variable((SEGMENT,), firsts), {}))
    return plans


def _plan_table(path: str, table: xr.Dataset) -> list[ArrayPlan]:
    return [
        ArrayPlan(f"{path}/{column}", variable, dict(variable.attrs)) for column, variable in table.variables.items()
    ]


@dataclass(frozen=True)
class StoredRecording:
    """What was found on disk: attributes of each group and, per array path, its variable (lazy) and attributes."""

    groups: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, xr.Variable]


def assemble_recording(stored: StoredRecording, metadata: Mapping[str, Any], *, decode: bool) -> Recording:
    """Put a recording together from stored groups and arrays.

    Raises
    ------
    IntegrityError
        If an array that must be there is missing or has other dimensions than its format gives it.
    """
    members: dict[str, dict[str, dict[str, xr.Variable]]] = {group: {} for group in names.GROUPS}
    units: dict[str, xr.Variable] = {}
    for path in stored.groups:
        parts = path.split("/")
        if len(parts) == 2 and parts[0] in members:
            members[parts[0]][parts[1]] = {}
    for path, variable in stored.arrays.items():
        parts = path.split("/")
        if parts[0] == names.UNITS and len(parts) == 2:
            units[parts[1]] = variable
        elif len(parts) == 3 and parts[0] in members and parts[1] in members[parts[0]]:
            members[parts[0]][parts[1]][parts[2]] = variable
        else:
            raise IntegrityError(
                f"array {path!r} has no place in store formats {names.FIRST_FORMAT} to {names.FORMAT_NUMBER}"
            )
    return Recording(
        metadata,
        {name: _assemble_signal(name, arrays) for name, arrays in members[names.SIGNALS].items()},
        _tables(stored, names.EVENTS, names.EVENT, members[names.EVENTS]),
        _tables(stored, names.INTERVALS, names.INTERVAL, members[names.INTERVALS]),
        _assemble_table(stored, names.UNITS, names.UNIT, units) if names.UNITS in stored.groups else None,
        decode,
        {name: _assemble_graph(stored, name, arrays) for name, arrays in members[names.GRAPHS].items()},
    )


def _take(path: str, arrays: dict[str, xr.Variable], name: str, dims: tuple[str, ...]) -> xr.Variable:
    if name not in arrays:
        raise IntegrityError(f"array '{path}/{name}' is missing")
    if arrays[name].dims != dims:
        raise IntegrityError(f"array '{path}/{name}' has dimensions {arrays[name].dims}, expected {dims}")
    return arrays[name]


def _assemble_signal(name: str, arrays: dict[str, xr.Variable]) -> xr.DataArray:
    path = f"{names.SIGNALS}/{name}"
    samples = _take(path, arrays, name, (names.TIME, names.CHANNEL))
    attributes = {key: value for key, value in samples.attrs.items() if key != COORDINATES}
    columns = {
        column: _take(path, arrays, column, (names.CHANNEL,))
        for column in arrays
        if column not in (name, names.TIME, *HELPERS)
    }
    signal = xr.DataArray(samples, coords=columns, name=name)
    signal.attrs = attributes
    return signal.assign_coords(_time_of(path, arrays, signal))


def _time_of(path: str, arrays: dict[str, xr.Variable], signal: xr.DataArray) -> xr.Coordinates:
    size = signal.sizes[names.TIME]
    if names.TIME in arrays:
        return time_coordinates(None, np.asarray(_take(path, arrays, names.TIME, (names.TIME,)).values))
    if signal.attrs.get(names.TIME_UNIT) == names.FRAMES:
        return time_coordinates(Clock(1.0, size, unit=names.FRAMES))
    rate, start = signal.attrs.get(names.SAMPLING_RATE), signal.attrs.get(names.START_SECONDS)
    if not isinstance(rate, (int, float)) or not isinstance(start, (int, float)) or rate <= 0:
        raise IntegrityError(
            f"signal {path!r} states no time: it has no array 'time' and its attributes '{names.SAMPLING_RATE}' and "
            f"'{names.START_SECONDS}' are {rate!r} and {start!r}"
        )
    starts: tuple[float, ...] = (float(start),)
    firsts: tuple[int, ...] = (0,)
    if SEGMENT_START in arrays:
        starts = tuple(_take(path, arrays, SEGMENT_START, (SEGMENT,)).values.tolist())
        firsts = tuple(_take(path, arrays, SEGMENT_FIRST, (SEGMENT,)).values.tolist())
    return time_coordinates(Clock(float(rate), size, starts, firsts))


def _tables(
    stored: StoredRecording, kind: str, dimension: str, found: Mapping[str, dict[str, xr.Variable]]
) -> dict[str, xr.Dataset]:
    return {name: _assemble_table(stored, f"{kind}/{name}", dimension, arrays) for name, arrays in found.items()}


def _assemble_table(stored: StoredRecording, path: str, dimension: str, arrays: dict[str, xr.Variable]) -> xr.Dataset:
    columns = {column: _take(path, arrays, column, (dimension,)) for column in arrays if column not in HELPERS}
    return xr.Dataset(columns, attrs=dict(stored.groups[path]))


def _assemble_graph(stored: StoredRecording, name: str, arrays: dict[str, xr.Variable]) -> xr.Dataset:
    path = f"{names.GRAPHS}/{name}"
    for column in (*REQUIRED, *arrays):
        of_nodes = column not in REQUIRED and column in arrays and arrays[column].dims == (names.NODE,)
        _take(path, arrays, column, (REQUIRED.get(column, names.NODE if of_nodes else names.EDGE),))
    return xr.Dataset(arrays, attrs=dict(stored.groups[path]))
