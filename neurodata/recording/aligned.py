"""Signals and spikes around events: one array (event, time, channel), for PSTHs and epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurodata import names
from neurodata.checks import check_positive, suggest
from neurodata.errors import NeurodataError
from neurodata.recording._align_moments import Moments, find_moments, find_table
from neurodata.recording._align_samples import averaged, interpolated, median_rate_hz, own_samples
from neurodata.recording._align_spikes import count_units, covered, edge_positions, observed
from neurodata.recording.recording import Recording, physical
from neurodata.recording.time_index import clock_of, time_coordinates
from neurodata.recording.timed import check_seconds

EVENT_TIME, SAMPLE_OFFSET = "event_time", "sample_offset_seconds"
SAMPLE, BIN_START = "sample", "start of bin"
"""What a time of the result is: when a sample was taken, or when a bin begins."""


def align(
    recording: Recording,
    event: str | ArrayLike,
    window: tuple[float, float] = (-1.0, 2.0),
    rate_hz: float | None = None,
    *,
    signal: str | None = None,
    units: ArrayLike | None = None,
    where: Mapping[str, Any] | ArrayLike | None = None,
    edge: str = names.START,
    as_rate: bool = False,
) -> xr.DataArray:
    """Return what was recorded around events; `Recording.align` says what the arguments mean."""
    low, high = _window(window)
    moments = find_moments(recording, event, where, edge)
    group, name = _aligned_member(recording, signal)
    if rate_hz is not None:
        check_positive("rate_hz", rate_hz)
    if group == names.EVENTS:
        found = _spikes(recording, name, moments, (low, high), rate_hz, units, as_rate)
    else:
        if units is not None or as_rate:
            raise NeurodataError(
                f"units and as_rate are for spikes, and {name!r} is a signal; select its channels after"
            )
        found = _samples(recording, name, moments, (low, high), rate_hz)
    found.attrs |= {"event": moments.source, "n_dropped": moments.n_dropped, "window_seconds": [low, high]}
    return _with_columns(found, moments)


def _window(window: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(side) for side in window)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise NeurodataError(f"a window is two numbers of seconds, the first below the second; got {window!r}")
    return low, high


def _aligned_member(recording: Recording, signal: str | None) -> tuple[str, str]:
    """Group and name of what is aligned; where nothing is said there must be one kind of neural data."""
    if signal is not None:
        group, name, _ = find_table(recording, signal, (names.SIGNALS, names.EVENTS))
        return group, name
    neural = [(names.EVENTS, name) for name, table in recording.events.items() if names.UNIT in table.variables]
    neural += [
        (names.SIGNALS, name)
        for name, found in recording.signals_stored.items()
        if found.attrs.get(names.ROLE) == "neural"
    ]
    if len(neural) != 1:
        known = ", ".join(f"{group}/{name}" for group, name in neural)
        others = ", ".join([*recording.signals, *recording.events]) or "none"
        raise NeurodataError(
            f"{recording.metadata.get('recording_id')} has "
            + (f"several kinds of neural data ({known})" if neural else f"no neural data; it has {others}")
            + "; say which is to be aligned with signal=…"
        )
    return neural[0]


def _bins(window: tuple[float, float], rate_hz: float) -> NDArray[np.int64]:
    """Numbers of the bins of a window, counted from the event."""
    low, high = (side * rate_hz for side in window)
    if abs(low - round(low)) > 1e-6 or abs(high - round(high)) > 1e-6:
        raise NeurodataError(
            f"a window of ({window[0]:g}, {window[1]:g}) s at {rate_hz:g} Hz is ({low:g}, {high:g}) samples; choose "
            "edges and a rate that give whole numbers"
        )
    return np.arange(round(low), round(high))


def _spikes(
    recording: Recording, name: str, moments: Moments, window: tuple[float, float], rate_hz: float | None,
    units: ArrayLike | None, as_rate: bool,
) -> xr.DataArray:  # fmt: skip
    if rate_hz is None:
        raise NeurodataError(f"{name!r} are events, which have no rate of their own; give rate_hz, the bins per second")
    bins = _bins(window, rate_hz)
    edges = moments.times[:, None] + np.arange(bins[0], bins[-1] + 2) / rate_hz
    table = recording.events[name]
    rows, columns = _units_of(recording, table, name, units)
    times = table.variables[names.TIME]
    size = table.sizes[names.EVENT]
    positions = edge_positions(lambda first, after: np.asarray(times[first:after].values, np.float64), size, edges)
    unit = table.variables.get(names.UNIT)
    column_of = np.full(max(_n_units(recording, table), 1), -1, np.int64)
    column_of[rows] = np.arange(len(rows))

    def read_units(first: int, after: int) -> NDArray[Any]:
        return np.zeros(after - first, np.int64) if unit is None else np.asarray(unit[first:after].values)

    counts = count_units(read_units, positions, column_of, len(rows))
    for stretches, watched in observed(recording, name, rows.tolist()):
        missing = ~covered(stretches, edges[:, :-1], edges[:, 1:])
        for column in watched if missing.any() else ():
            counts[:, :, column][missing] = np.nan
    if as_rate:
        counts *= np.float32(rate_hz)
    attributes = {names.UNITS_ATTRIBUTE: "spikes/s" if as_rate else "count", "signal": name, "time_is": BIN_START}
    if unit is None:
        attributes[names.UNITS_ATTRIBUTE] = "events/s" if as_rate else "count"
    return _array(counts, bins, rate_hz, columns, attributes)


def _n_units(recording: Recording, table: xr.Dataset) -> int:
    if names.UNIT not in table.variables:
        return 1
    if recording.units is not None:
        return int(recording.units.sizes[names.UNIT])
    found = table[names.UNIT].values
    return int(found.max()) + 1 if found.size else 0


def _units_of(
    recording: Recording, table: xr.Dataset, name: str, wanted: ArrayLike | None
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Rows of the chosen units, and their columns."""
    if names.UNIT not in table.variables:
        if wanted is not None:
            raise NeurodataError(f"events {name!r} have no unit, so none can be chosen")
        return np.zeros(1, np.int64), {names.CHANNEL_ID: np.array([name])}
    size = _n_units(recording, table)
    stated: dict[str, NDArray[Any]] = {"unit_id": np.arange(size).astype(np.str_)}
    if recording.units is not None:
        stated = {str(key): np.asarray(values.values) for key, values in recording.units.variables.items()}
    rows = np.arange(size)
    if wanted is not None:
        rows = _rows_of(np.asarray(wanted), stated["unit_id"].tolist(), size)
    return rows, {key: values[rows] for key, values in stated.items()}


def _rows_of(wanted: NDArray[Any], ids: list[str], size: int) -> NDArray[np.int64]:
    wanted = np.atleast_1d(wanted)
    if wanted.dtype == np.bool_ and wanted.shape == (size,):
        rows = np.flatnonzero(wanted)
    elif wanted.dtype.kind in "UO":
        place = {unit_id: row for row, unit_id in enumerate(ids)}
        for unit_id in wanted.tolist():
            if unit_id not in place:
                raise NeurodataError(f"no unit {unit_id!r}{suggest(str(unit_id), ids)}; there are {size} units")
        rows = np.array([place[unit_id] for unit_id in wanted.tolist()], np.int64)
    elif wanted.dtype.kind in "iu" and wanted.ndim == 1 and ((wanted >= 0) & (wanted < size)).all():
        rows = wanted.astype(np.int64)
    else:
        raise NeurodataError(
            f"units are unit_ids, rows of the units table from 0 to {size - 1}, or one True or False for each of the "
            f"{size}; got {wanted.dtype} of shape {wanted.shape}"
        )
    if len(np.unique(rows)) != len(rows):
        raise NeurodataError("units name one unit twice")
    return rows


def _samples(
    recording: Recording, name: str, moments: Moments, window: tuple[float, float], rate_hz: float | None
) -> xr.DataArray:
    signal = physical(recording.signals[name])
    check_seconds(signal)
    clock, own_rate = clock_of(signal), median_rate_hz(signal)
    attributes = {**signal.attrs, "signal": name, "time_is": SAMPLE}
    columns = {
        str(key): np.asarray(values.values) for key, values in signal.coords.items() if values.dims == (names.CHANNEL,)
    }
    if rate_hz is None:
        if clock is None:
            raise NeurodataError(
                f"signal {name!r} is irregular, so its samples fall differently around each event; give rate_hz "
                f"(its median rate is {own_rate:g} Hz)"
            )
        steps = np.arange(math.ceil(window[0] * own_rate - 1e-6), math.ceil(window[1] * own_rate - 1e-6))
        if not len(steps):
            raise NeurodataError(f"no sample of {name!r}, taken at {own_rate:g} Hz, lies in the window {window} s")
        values, offsets = own_samples(signal, clock, moments.times, steps)
        aligned = _array(values, steps, own_rate, columns, attributes)
        return aligned.assign_coords({SAMPLE_OFFSET: (names.EVENT, offsets)})
    bins = _bins(window, rate_hz)
    if rate_hz < own_rate * (1 - 1e-9) and math.isfinite(own_rate):
        edges = moments.times[:, None] + np.arange(bins[0], bins[-1] + 2) / rate_hz
        attributes["time_is"] = BIN_START
        return _array(averaged(signal, edges, rate_hz), bins, rate_hz, columns, attributes)
    targets = moments.times[:, None] + bins / rate_hz
    return _array(interpolated(signal, targets), bins, rate_hz, columns, attributes)


def _array(
    values: NDArray[Any],
    bins: NDArray[np.int64],
    rate_hz: float,
    columns: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, Any],
) -> xr.DataArray:
    coordinates = {key: (names.CHANNEL, column) for key, column in columns.items()}
    array = xr.DataArray(values, dims=(names.EVENT, names.TIME, names.CHANNEL), coords=coordinates)
    array.attrs = {
        key: value for key, value in attributes.items() if key not in (names.START_SECONDS, names.SAMPLING_RATE)
    } | {names.SAMPLING_RATE: float(rate_hz)}
    # One division per sample: time 0 is exactly 0, and slices of time are half-open here too.
    return array.assign_coords(time_coordinates(None, bins / rate_hz))


def _with_columns(array: xr.DataArray, moments: Moments) -> xr.DataArray:
    """The events' columns as coordinates; a channel column of the same name gives way and becomes ``channel_…``."""
    taken = {*array.dims, EVENT_TIME, SAMPLE_OFFSET}
    own = {(f"{names.EVENT}_{key}" if key in taken else key): values for key, values in moments.columns.items()}
    array = array.rename({key: f"{names.CHANNEL}_{key}" for key in own if key in array.coords})
    coordinates = {key: (names.EVENT, values) for key, values in own.items()}
    return array.assign_coords({EVENT_TIME: (names.EVENT, moments.times), **coordinates})
