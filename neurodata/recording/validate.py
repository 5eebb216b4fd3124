"""Is a recording what the schema says? Every breach is listed at once, with its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from neurodata import names
from neurodata.checks import is_safe_part
from neurodata.errors import SchemaError
from neurodata.recording.attributes import OWN_ARRAYS, attribute_problems, column_problems, json_problems
from neurodata.recording.clock import Clock
from neurodata.recording.graphs import graph_problems
from neurodata.recording.metadata import metadata_problems
from neurodata.recording.recording import Recording
from neurodata.recording.time_index import clock_of


def validate(recording: Recording) -> None:
    """Raise unless a recording follows the schema.

    Raises
    ------
    SchemaError
        Lists every breach with its path, for example ``signals/wheel: attribute 'units' is missing``.
    """
    problems = list_problems(recording)
    if problems:
        raise SchemaError(f"recording {recording.metadata.get('recording_id')!a}", problems)


def list_problems(recording: Recording) -> list[str]:
    """List every breach of the schema, each beginning with its path; an empty list means that all is well."""
    metadata = dict(recording.metadata)
    problems = metadata_problems(metadata) + json_problems("metadata", metadata)
    n_units = None if recording.units is None else recording.units.sizes.get(names.UNIT, 0)
    for name, signal in recording.signals_stored.items():
        problems += _named(names.SIGNALS, name, _signal_problems(signal), OWN_ARRAYS)
    for name, table in recording.events.items():
        problems += _named(names.EVENTS, name, _event_problems(table, n_units))
    for name, table in recording.intervals.items():
        problems += _named(names.INTERVALS, name, _interval_problems(table))
    for name, graph in recording.graphs.items():
        problems += _named(names.GRAPHS, name, graph_problems(graph))
    if recording.units is not None:
        problems += [f"{names.UNITS}: {problem}" for problem in _unit_problems(recording.units)]
    if not (recording.signals_stored or recording.events or recording.intervals or recording.graphs):
        problems.append("the recording is empty: it has no signal, event, interval or graph")
    return problems


def _named(group: str, name: Any, problems: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    safe = isinstance(name, str) and is_safe_part(name)
    path = f"{group}/{name if safe else ascii(name)}"
    found = [f"{path}: {problem}" for problem in problems]
    if not safe:
        found.insert(0, f"{path}: a name is made of letters, digits and _ . + = - and does not begin with a dot")
    elif name in taken or name in (names.CHANNEL, "segment"):
        found.insert(0, f"{path}: the store keeps that name for itself; choose another")
    return found


def _signal_problems(signal: xr.DataArray) -> Iterator[str]:
    if signal.dims != (names.TIME, names.CHANNEL):
        yield f"dimensions are {signal.dims}, expected ('time', 'channel')"
    if signal.dtype.kind not in "iuf" or signal.dtype.itemsize > 8 or signal.dtype == np.float16:
        yield f"type {signal.dtype} cannot be stored; use float32, float64 or integers"
    if not isinstance(signal.attrs.get(names.UNITS_ATTRIBUTE), str):
        yield "attribute 'units' is missing; use 'a.u.' where the scale is unknown"
    if signal.attrs.get(names.ROLE) not in names.ROLES:
        yield f"attribute 'role' is {signal.attrs.get(names.ROLE)!r}, expected one of {', '.join(names.ROLES)}"
    yield from attribute_problems(dict(signal.attrs))
    if names.TIME in signal.dims:
        yield from _time_problems(signal)
    columns = {name: values for name, values in signal.coords.items() if name != names.TIME}
    yield from column_problems(columns, names.CHANNEL, {str(signal.name), *OWN_ARRAYS})
    yield from _channel_problems(signal)
    yield from _scale_problems(signal)


def _time_problems(signal: xr.DataArray) -> Iterator[str]:
    clock = clock_of(signal)
    if clock is not None:
        yield from _clock_problems(clock)
    elif names.TIME not in signal.coords:
        yield "there is no time; make signals with neurodata.recording.timed.make_signal"
    else:
        yield from _times_problems(np.asarray(signal[names.TIME].values), "sample", strictly=True)


def _times_problems(times: np.ndarray[Any, Any], what: str, *, strictly: bool) -> Iterator[str]:
    if times.dtype != np.float64:
        yield f"time has type {times.dtype}, expected float64 seconds"
    elif times.ndim != 1:
        yield f"time has {times.ndim} dimensions, expected one"
    elif not np.isfinite(times).all():
        yield f"time is not finite at {what} {int(np.flatnonzero(~np.isfinite(times))[0])}"
    else:
        steps = np.diff(times)
        back = np.flatnonzero(steps <= 0 if strictly else steps < 0)
        if back.size:
            yield f"time {'does not increase' if strictly else 'is not sorted'} at {what} {int(back[0]) + 1}"


def _clock_problems(clock: Clock) -> Iterator[str]:
    firsts, starts = np.asarray(clock.firsts), np.asarray(clock.starts)
    if firsts[0] > clock.offset:
        yield f"the first segment begins at sample {firsts[0]}, expected 0; the samples before it have no time"
    if (np.diff(firsts) <= 0).any():
        yield "the first samples of segments do not increase"
    elif (np.diff(starts) < np.diff(firsts) / clock.rate_hz - 1e-9).any():
        yield "two segments overlap in time"


def _channel_problems(signal: xr.DataArray) -> Iterator[str]:
    if names.CHANNEL_ID not in signal.coords:
        yield "channel column 'channel_id' is missing"
    else:
        ids = np.asarray(signal.coords[names.CHANNEL_ID].values)
        if ids.dtype.kind != "U":
            yield f"channel_id has type {ids.dtype}, expected text"
        else:
            values, counts = np.unique(ids, return_counts=True)
            twice = ", ".join(map(ascii, values[counts > 1][:5].tolist()))
            if twice:
                yield f"channel_id is not unique: {twice} come more than once"
            if (values == "").any():
                yield "channel_id is empty for a channel; every channel needs a name"
    confidence = signal.coords.get(names.LABEL_CONFIDENCE)
    if confidence is not None and confidence.dtype.kind == "f":
        values = confidence.values[~np.isnan(confidence.values)]
        if ((values < 0) | (values > 1)).any():
            yield "label_confidence lies outside 0 … 1"


def _scale_problems(signal: xr.DataArray) -> Iterator[str]:
    for name in (names.SCALE_FACTOR, names.ADD_OFFSET):
        value = signal.coords[name].values if name in signal.coords else signal.attrs.get(name)
        if value is None:
            continue
        number = np.asarray(value)
        finite = number.dtype.kind in "iuf" and bool(np.isfinite(number).all())
        if not finite or (name == names.SCALE_FACTOR and bool((number == 0).any())):
            yield f"{name} is not a finite number" + (" other than 0" if name == names.SCALE_FACTOR else "")
        elif number.ndim and name not in signal.coords:
            yield f"attribute {name!r} is one number; one value per channel is a column"
        if signal.dtype.kind == "f":
            yield f"{name} belongs to integer signals; a float signal is in its physical unit already"


def _event_problems(table: xr.Dataset, n_units: int | None) -> Iterator[str]:
    yield from attribute_problems(dict(table.attrs))
    yield from column_problems(table.variables, names.EVENT, OWN_ARRAYS - {names.TIME})
    if names.TIME not in table.variables:
        yield "column 'time' is missing"
    else:
        yield from _times_problems(np.asarray(table[names.TIME].values), "event", strictly=False)
    if names.UNIT in table.variables:
        units = np.asarray(table[names.UNIT].values)
        if units.dtype.kind not in "iu":
            yield f"'unit' has type {units.dtype}, expected integers"
        elif n_units is None:
            yield "'unit' points into a units table, and the recording has none"
        elif units.size and (units.min() < 0 or units.max() >= n_units):
            yield f"'unit' runs from {units.min()} to {units.max()} but n_units is {n_units}; units count from 0"


def _interval_problems(table: xr.Dataset) -> Iterator[str]:
    yield from attribute_problems(dict(table.attrs))
    yield from column_problems(table.variables, names.INTERVAL, OWN_ARRAYS)
    missing = [edge for edge in (names.START, names.STOP) if edge not in table.variables]
    if missing:
        yield f"column {' and '.join(map(repr, missing))} is missing"
        return
    start, stop = np.asarray(table[names.START].values), np.asarray(table[names.STOP].values)
    if start.dtype != np.float64 or stop.dtype != np.float64:
        yield f"start and stop have types {start.dtype} and {stop.dtype}, expected float64 seconds"
    elif start.shape != stop.shape:
        yield f"start and stop have shapes {start.shape} and {stop.shape}, expected one of each per interval"
    elif not (np.isfinite(start).all() and np.isfinite(stop).all()):
        yield "start or stop is not finite"
    elif (stop < start).any():
        row = int(np.flatnonzero(stop < start)[0])
        yield f"interval {row} stops at {stop[row]} s, before it starts at {start[row]} s"


def _unit_problems(units: xr.Dataset) -> Iterator[str]:
    yield from attribute_problems(dict(units.attrs))
    yield from column_problems(units.variables, names.UNIT, OWN_ARRAYS)
    if "unit_id" not in units.variables:
        yield "column 'unit_id' is missing"
    elif len(np.unique(units["unit_id"].values)) != units["unit_id"].size:
        yield "unit_id is not unique"
