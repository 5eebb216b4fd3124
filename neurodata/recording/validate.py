"""The schema, checked: every breach is listed at once, each with its path."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurodata import names
from neurodata.checks import is_safe_part
from neurodata.errors import SchemaError
from neurodata.recording.metadata import metadata_problems
from neurodata.recording.recording import Recording
from neurodata.recording.timed import clock_of

_RESERVED_COLUMNS = {names.TIME, "segment_start", "segment_first", "second_first_event"}
_MAX_TEXT = 1_000_000
"""Longest text, in characters, that an attribute may hold: far above any real one, far below what hurts a reader."""


def validate(recording: Recording) -> None:
    """Raise unless a recording follows the schema.

    Raises
    ------
    SchemaError
        Lists every breach with its path, for example ``signals/wheel: attribute 'units' is missing``.
    """
    problems = list_problems(recording)
    if problems:
        raise SchemaError(f"recording {recording.metadata.get('recording_id')!r}", problems)


def list_problems(recording: Recording) -> list[str]:
    """List every breach of the schema, each beginning with its path; an empty list means that all is well."""
    problems = metadata_problems(dict(recording.metadata))
    problems += _json_problems("metadata", dict(recording.metadata))
    for name, signal in recording.signals_stored.items():
        problems += _named(f"{names.SIGNALS}/{name}", name, _signal_problems(signal))
    n_units = None if recording.units is None else recording.units.sizes.get(names.UNIT, 0)
    for name, table in recording.events.items():
        problems += _named(f"{names.EVENTS}/{name}", name, _event_problems(table, n_units))
    for name, table in recording.intervals.items():
        problems += _named(f"{names.INTERVALS}/{name}", name, _interval_problems(table))
    if recording.units is not None:
        problems += [f"{names.UNITS}: {problem}" for problem in _unit_problems(recording.units)]
    if not (recording.signals_stored or recording.events or recording.intervals):
        problems.append("the recording is empty: it has no signal, event or interval")
    return problems


def _named(path: str, name: str, problems: Iterator[str]) -> list[str]:
    found = [f"{path}: {problem}" for problem in problems]
    if not is_safe_part(name):
        found.insert(0, f"{path}: a name is made of letters, digits and _ . + = - and does not begin with a dot")
    return found


def _json_problems(path: str, value: Any) -> list[str]:
    """What in an attribute is not plain JSON: other types, NaN, infinity, lone surrogates, endless text."""
    if isinstance(value, Mapping):
        bad_keys = [f"{path}: key {key!r} is not text" for key in value if not isinstance(key, str)]
        return bad_keys + [p for key, entry in value.items() for p in _json_problems(f"{path}/{key}", entry)]
    if isinstance(value, (list, tuple)):
        return [p for i, entry in enumerate(value) for p in _json_problems(f"{path}/{i}", entry)]
    if isinstance(value, str):
        if len(value) > _MAX_TEXT:
            return [f"{path}: text of {len(value)} characters; at most {_MAX_TEXT} fit into an attribute"]
        try:
            value.encode()
        except UnicodeEncodeError:
            return [f"{path}: {value!r} is not valid Unicode text"]
        return []
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{path}: {value} cannot be written as JSON; leave the attribute out where the value is unknown"]
    if value is None or isinstance(value, (bool, int, float)):
        return []
    return [f"{path}: {type(value).__name__} is not a JSON value; use text, numbers, lists or dictionaries"]


def _column_problems(
    table: xr.Dataset | xr.DataArray, columns: Mapping[Any, Any], dimension: str, reserved: set[str]
) -> Iterator[str]:
    for column, values in columns.items():
        if not isinstance(column, str) or not is_safe_part(column) or column in reserved:
            yield f"column {column!r} cannot be stored under that name"
        if values.dims != (dimension,):
            yield f"column {column!r} has dimensions {values.dims}, expected ({dimension!r},)"
        if values.dtype.kind not in "biufU":
            yield f"column {column!r} has type {values.dtype}; text, numbers and booleans can be stored"
        yield from _json_problems(f"column {column!r}", dict(values.attrs))
    yield from _json_problems("attributes", dict(table.attrs))


def _signal_problems(signal: xr.DataArray) -> Iterator[str]:
    if signal.dims != (names.TIME, names.CHANNEL):
        yield f"dimensions are {signal.dims}, expected ('time', 'channel')"
        return
    if signal.dtype.kind not in "iuf" or signal.dtype.itemsize > 8:
        yield f"type {signal.dtype} cannot be stored; use floats or integers"
    if not isinstance(signal.attrs.get(names.UNITS_ATTRIBUTE), str):
        yield "attribute 'units' is missing; use 'a.u.' where the scale is unknown"
    if signal.attrs.get(names.ROLE) not in names.ROLES:
        yield f"attribute 'role' is {signal.attrs.get(names.ROLE)!r}, expected one of {', '.join(names.ROLES)}"
    yield from _time_problems(signal)
    columns = {name: values for name, values in signal.coords.items() if name != names.TIME}
    yield from _column_problems(signal, columns, names.CHANNEL, {str(signal.name), *_RESERVED_COLUMNS})
    yield from _channel_problems(signal)


def _time_problems(signal: xr.DataArray) -> Iterator[str]:
    clock = clock_of(signal)
    if names.TIME not in signal.coords:
        yield "there is no time; make signals with neurodata.recording.timed.make_signal"
    elif clock is None:
        times = np.asarray(signal[names.TIME].values)
        if times.dtype != np.float64:
            yield f"time has type {times.dtype}, expected float64 seconds"
        elif not np.isfinite(times).all():
            yield f"time is not finite at sample {int(np.flatnonzero(~np.isfinite(times))[0])}"
        elif (np.diff(times) <= 0).any():
            yield f"time does not increase at sample {int(np.flatnonzero(np.diff(times) <= 0)[0]) + 1}"
    else:
        if not (math.isfinite(clock.rate_hz) and clock.rate_hz > 0):
            yield f"the sampling rate is {clock.rate_hz} Hz, expected a positive number"
        if len(clock.starts) != len(clock.firsts) or not np.isfinite(clock.starts).all():
            yield "segments need one finite start in seconds and one first sample each"
        elif len(clock.starts) > 1 and not (np.diff(clock.firsts) > 0).all():
            yield "the first samples of segments do not increase"
        elif len(clock.starts) > 1 and (np.diff(clock.starts) < np.diff(clock.firsts) / clock.rate_hz - 1e-9).any():
            yield "two segments overlap in time"


def _channel_problems(signal: xr.DataArray) -> Iterator[str]:
    if names.CHANNEL_ID not in signal.coords:
        yield "channel column 'channel_id' is missing"
    else:
        ids = np.asarray(signal.coords[names.CHANNEL_ID].values)
        values, counts = np.unique(ids, return_counts=True)
        if ids.dtype.kind != "U":
            yield f"channel_id has type {ids.dtype}, expected text"
        elif (counts > 1).any():
            yield f"channel_id is not unique: {', '.join(map(repr, values[counts > 1][:5].tolist()))} come more than once"
    confidence = signal.coords.get(names.LABEL_CONFIDENCE)
    if confidence is not None and confidence.dtype.kind == "f":
        values = confidence.values[~np.isnan(confidence.values)]
        if ((values < 0) | (values > 1)).any():
            yield "label_confidence lies outside 0 … 1"
    scale = (
        signal.coords[names.SCALE_FACTOR].values
        if names.SCALE_FACTOR in signal.coords
        else signal.attrs.get(names.SCALE_FACTOR)
    )
    if scale is not None and not (
        np.isfinite(np.asarray(scale, float)).all() and (np.asarray(scale, float) != 0).all()
    ):
        yield "scale_factor is not a finite number other than 0"
    if scale is not None and signal.dtype.kind == "f":
        yield "scale_factor belongs to integer signals; a float signal is in its physical unit already"


def _event_problems(table: xr.Dataset, n_units: int | None) -> Iterator[str]:
    yield from _column_problems(table, table.variables, names.EVENT, _RESERVED_COLUMNS - {names.TIME})
    if names.TIME not in table:
        yield "column 'time' is missing"
        return
    times = np.asarray(table[names.TIME].values)
    if times.dtype != np.float64:
        yield f"time has type {times.dtype}, expected float64 seconds"
    elif not np.isfinite(times).all():
        yield f"time is not finite at event {int(np.flatnonzero(~np.isfinite(times))[0])}"
    elif (np.diff(times) < 0).any():
        yield f"time is not sorted at event {int(np.flatnonzero(np.diff(times) < 0)[0]) + 1}"
    if names.UNIT in table.variables:
        units = np.asarray(table[names.UNIT].values)
        if units.dtype.kind not in "iu":
            yield f"'unit' has type {units.dtype}, expected integers"
        elif n_units is None:
            yield "'unit' points into a units table, and the recording has none"
        elif units.size and (units.min() < 0 or units.max() >= n_units):
            yield f"'unit' runs from {units.min()} to {units.max()} but n_units is {n_units}; units count from 0"


def _interval_problems(table: xr.Dataset) -> Iterator[str]:
    yield from _column_problems(table, table.variables, names.INTERVAL, _RESERVED_COLUMNS)
    missing = [edge for edge in (names.START, names.STOP) if edge not in table]
    if missing:
        yield f"column {' and '.join(map(repr, missing))} is missing"
        return
    start, stop = table[names.START].values, table[names.STOP].values
    if start.dtype != np.float64 or stop.dtype != np.float64:
        yield f"start and stop have types {start.dtype} and {stop.dtype}, expected float64 seconds"
    elif not (np.isfinite(start).all() and np.isfinite(stop).all()):
        yield "start or stop is not finite"
    elif (stop < start).any():
        row = int(np.flatnonzero(stop < start)[0])
        yield f"interval {row} stops at {stop[row]} s, before it starts at {start[row]} s"


def _unit_problems(units: xr.Dataset) -> Iterator[str]:
    yield from _column_problems(units, units.variables, names.UNIT, _RESERVED_COLUMNS)
    if "unit_id" not in units:
        yield "column 'unit_id' is missing"
    elif len(np.unique(units["unit_id"].values)) != units.sizes[names.UNIT]:
        yield "unit_id is not unique"
