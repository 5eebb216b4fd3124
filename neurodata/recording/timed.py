"""Signals, events and intervals: what happens when, in seconds, on half-open stretches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurodata import names
from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.recording.clock import Clock
from neurodata.recording.time_index import TimeIndex, clock_of, time_coordinates

__all__ = [
    "Clock", "TimeIndex", "check_seconds", "clock_of", "make_events", "make_intervals", "make_signal", "make_units",
    "make_validity", "run_lengths", "text_array", "time_coordinates",
]  # fmt: skip

VALIDITY = "validity"
"""The interval table of the stretches in which a signal with gaps was recorded."""


def check_seconds(signal: xr.DataArray) -> None:
    """Raise unless the signal's time is in seconds.

    Raises
    ------
    UnknownRateError
        If the sampling rate is unknown; says how to state it.
    """
    if signal.attrs.get(names.TIME_UNIT) == names.FRAMES:
        raise UnknownRateError(
            f"signal {signal.name!r} counts frames, its sampling rate is unknown, and this needs seconds; "
            "convert it again with --set rate_hz=RATE"
        )


def text_array(values: ArrayLike) -> NDArray[Any]:
    """Return text as a numpy array of fixed-width strings (object and variable-width strings are converted)."""
    array = np.asarray(values)
    return np.array(array.tolist(), dtype=np.str_) if array.dtype.kind in "OTS" else array


def _frozen(values: Any) -> Any:
    """A read-only view of a numpy array; a lazy array is left as it is."""
    if isinstance(values, np.ndarray):
        values = values.view()
        values.flags.writeable = False
    return values


def make_signal(
    values: Any,
    *,
    channel_id: Sequence[str] | NDArray[Any],
    units: str,
    role: str = "neural",
    rate_hz: float | None = None,
    start_seconds: float = 0.0,
    time: ArrayLike | None = None,
    segments: tuple[Sequence[float], Sequence[int]] | None = None,
    columns: Mapping[str, ArrayLike] | None = None,
    **attributes: Any,
) -> xr.DataArray:
    """Make a signal of a Recording.

    Parameters
    ----------
    values
        Samples, shape ``(time, channel)``; numpy or lazy. Floats mark missing values with NaN; integers are physical
        values after ``scale_factor`` and ``add_offset`` (attributes, or columns for one value per channel).
    channel_id
        Unique names, shape ``(channel,)``.
    units
        Physical unit of the samples.
    role
        ``neural``, ``behavior`` or ``stimulus``.
    rate_hz, start_seconds
        Sampling rate and time of the first sample of a regular signal.
    time
        Times of an irregular signal in seconds, shape ``(time,)``. With neither ``time`` nor ``rate_hz`` the rate is
        unknown and time counts frames.
    segments
        Gaps of a regular signal whose pieces lie back to back: start of each piece in seconds and position of its
        first sample.
    columns
        More facts per channel, each of shape ``(channel,)``: ``label``, ``region``, ``x`` …
    attributes
        Anything else worth saying about the signal (JSON values).

    Returns
    -------
    signal
        ``(time, channel)`` with the columns as non-index coordinates of ``channel``.

    Raises
    ------
    NeurodataError
        If the shapes do not fit (the message gives both), or the rate is no positive number.
    """
    shape = tuple(values.shape)
    if len(shape) != 2 or shape[1] != len(channel_id):
        raise NeurodataError(
            f"a signal is (time, channel) with one channel_id each: got values of shape {shape} and {len(channel_id)} ids"
        )
    coordinates: dict[str, Any] = {names.CHANNEL_ID: (names.CHANNEL, _frozen(text_array(channel_id)))}
    for name, column in (columns or {}).items():
        column = text_array(column)
        if column.shape != (shape[1],):
            raise NeurodataError(f"channel column {name!r} has shape {column.shape}, expected ({shape[1]},)")
        coordinates[name] = (names.CHANNEL, _frozen(column))
    attrs = {names.UNITS_ATTRIBUTE: units, names.ROLE: role, **attributes}
    signal = xr.DataArray(_frozen(values), dims=(names.TIME, names.CHANNEL), coords=coordinates, attrs=attrs)
    if time is not None:
        times = np.asarray(time, dtype=np.float64)
        if times.shape != (shape[0],):
            raise NeurodataError(f"time has shape {times.shape}, expected ({shape[0]},) like the samples")
        return signal.assign_coords(time_coordinates(None, times))
    if rate_hz is None:
        return signal.assign_attrs({names.TIME_UNIT: names.FRAMES}).assign_coords(
            time_coordinates(Clock(1.0, shape[0], unit=names.FRAMES))
        )
    starts, firsts = segments if segments is not None else ((start_seconds,), (0,))
    clock = Clock(float(rate_hz), shape[0], tuple(map(float, starts)), tuple(map(int, firsts)))
    signal = signal.assign_attrs({names.SAMPLING_RATE: float(rate_hz), names.START_SECONDS: float(starts[0])})
    return signal.assign_coords(time_coordinates(clock))


def _make_table(dimension: str, columns: Mapping[str, ArrayLike], attributes: Mapping[str, Any]) -> xr.Dataset:
    arrays = {name: (dimension, _frozen(text_array(values))) for name, values in columns.items()}
    return xr.Dataset(arrays, attrs=dict(attributes))


def make_events(time: ArrayLike, *, attributes: Mapping[str, Any] | None = None, **columns: ArrayLike) -> xr.Dataset:
    """Make a table of events.

    Parameters
    ----------
    time
        Seconds from the session's start, sorted, shape ``(event,)``.
    attributes
        What is worth saying about the events (JSON values).
    columns
        ``unit`` (row of the units table), ``label``, and any more, each of shape ``(event,)``.
    """
    if names.UNIT in columns and np.asarray(columns[names.UNIT]).dtype.kind in "iu":
        columns[names.UNIT] = np.asarray(columns[names.UNIT], np.int32)
    return _make_table(names.EVENT, {names.TIME: np.asarray(time, np.float64), **columns}, attributes or {})


def make_intervals(
    start: ArrayLike, stop: ArrayLike, *, attributes: Mapping[str, Any] | None = None, **columns: ArrayLike
) -> xr.Dataset:
    """Make a table of half-open stretches ``[start, stop)``.

    Parameters
    ----------
    start, stop
        Seconds from the session's start, shape ``(interval,)``.
    attributes
        What is worth saying about the intervals (JSON values).
    columns
        ``label``, ``code`` and any more, each of shape ``(interval,)``.
    """
    edges = {names.START: np.asarray(start, np.float64), names.STOP: np.asarray(stop, np.float64)}
    return _make_table(names.INTERVAL, {**edges, **columns}, attributes or {})


def make_units(unit_id: ArrayLike, **columns: ArrayLike) -> xr.Dataset:
    """Make the table of sorted units that spikes point into: ``unit_id`` and quality columns, dimension ``unit``."""
    return _make_table(names.UNIT, {"unit_id": text_array(unit_id), **columns}, {})


def make_validity(signals: Mapping[str, xr.DataArray]) -> dict[str, xr.Dataset]:
    """Return the interval table ``validity`` of signals with gaps, as ``{"validity": table}``; nothing without gaps.

    Parameters
    ----------
    signals
        Name → regular signal.

    Returns
    -------
    tables
        One interval per piece of a signal that has several: ``start``, ``stop`` in seconds and the column ``signal``.
    """
    start: list[float] = []
    stop: list[float] = []
    signal_of: list[str] = []
    for name, signal in signals.items():
        clock = clock_of(signal)
        if clock is None or clock.unit != names.SECONDS or len(clock.segments()[0]) < 2:
            continue
        starts, firsts = clock.segments()
        lengths = np.diff(np.append(firsts, signal.sizes[names.TIME]))
        start += starts.tolist()
        stop += (starts + lengths / clock.rate_hz).tolist()
        signal_of += [name] * len(starts)
    return {VALIDITY: make_intervals(start, stop, signal=signal_of)} if start else {}


def run_lengths(codes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Return the runs of equal values.

    Parameters
    ----------
    codes
        One value per sample, shape ``(time,)``.

    Returns
    -------
    first, after, value
        Position of each run's first sample, of the first sample after it, and its value, each of shape ``(run,)``.
    """
    if len(codes) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), codes
    first = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    return first, np.r_[first[1:], len(codes)], codes[first]
