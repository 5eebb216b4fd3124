"""Clocks, signals, events and intervals: what happens when, in seconds, on half-open stretches."""

from __future__ import annotations

import bisect
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from xarray.core.coordinate_transform import CoordinateTransform
from xarray.core.indexes import CoordinateTransformIndex, PandasIndex
from xarray.core.indexing import IndexSelResult
from xarray.indexes import RangeIndex

from neurodata import names
from neurodata.errors import NeurodataError, UnknownRateError


@dataclass(frozen=True)
class Clock:
    """When the samples of a regular signal were taken.

    Sample ``i`` of the array belongs to the last segment whose ``first`` is not above ``i`` and was taken at
    ``start + (i - first) / rate_hz``: one division per sample, so no step is ever added up and nothing drifts.

    Parameters
    ----------
    rate_hz
        Samples per second (per frame, i.e. 1, where ``unit`` is ``"frame"``).
    size
        Number of samples.
    starts
        Time of each segment's first sample in seconds, shape ``(segment,)``. One segment where there is no gap.
    firsts
        Position of each segment's first sample in the array, shape ``(segment,)``; may lie below 0 for the first
        segment of a cut-out piece, so that times stay exactly those of the whole.
    stride
        Samples of the original clock per sample of this one (2 after ``[::2]``).
    unit
        ``"seconds"``, or ``"frame"`` where nobody has stated the rate.
    """

    rate_hz: float
    size: int
    starts: tuple[float, ...] = (0.0,)
    firsts: tuple[int, ...] = (0,)
    offset: int = 0
    stride: int = 1
    unit: str = names.SECONDS

    def times(self, positions: NDArray[Any]) -> NDArray[np.float64]:
        """Return the times of samples, shape of ``positions``, seconds (frames where the rate is unknown)."""
        original = np.asarray(positions, dtype=np.int64) * self.stride + self.offset
        segment = np.clip(np.searchsorted(self.firsts, original, side="right") - 1, 0, None)
        firsts, starts = np.asarray(self.firsts), np.asarray(self.starts, dtype=np.float64)
        return np.asarray(starts[segment] + (original - firsts[segment]) / self.rate_hz)

    def time(self, position: int) -> float:
        """Return the time of one sample."""
        return float(self.times(np.asarray(position)))

    def position(self, time: float) -> int:
        """Return the position of the first sample taken at ``time`` or later (``size`` where there is none)."""
        return bisect.bisect_left(range(self.size), time, key=self.time)

    def positions(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the position of the sample nearest to each time (the earlier of two equally near)."""
        firsts, starts = np.asarray(self.firsts), np.asarray(self.starts, dtype=np.float64)
        segment = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
        original = firsts[segment] + (np.asarray(times) - starts[segment]) * self.rate_hz
        original = np.clip(original, firsts[segment], np.append(firsts[1:], np.inf)[segment])
        left = np.clip(np.floor((original - self.offset) / self.stride), 0, max(self.size - 2, 0)).astype(np.int64)
        right = np.minimum(left + 1, max(self.size - 1, 0))
        return np.asarray(np.where(times - self.times(left) <= self.times(right) - times, left, right))

    def slice(self, wanted: slice) -> Clock:
        """Return the clock of ``array[wanted]``."""
        chosen = range(self.size)[wanted]
        if chosen.step < 0:
            raise NeurodataError("a signal cannot be reversed in time; use a slice with a positive step")
        return Clock(
            self.rate_hz,
            len(chosen),
            self.starts,
            self.firsts,
            self.offset + chosen.start * self.stride,
            self.stride * chosen.step,
            self.unit,
        )

    @property
    def sampling_rate_hz(self) -> float:
        """Samples per second after any stride."""
        return self.rate_hz / self.stride

    def segments(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return start times (seconds) and first positions of the gapless stretches, each shape ``(segment,)``."""
        firsts = [max(0, math.ceil((first - self.offset) / self.stride)) for first in self.firsts]
        kept = [first for first, after in zip(firsts, [*firsts[1:], self.size]) if first < min(after, self.size)]
        positions = np.asarray(kept or [0], dtype=np.int64)
        return self.times(positions), positions


class ClockTransform(CoordinateTransform):
    """Lets xarray compute times from a `Clock` only where they are asked for."""

    def __init__(self, clock: Clock) -> None:
        super().__init__([names.TIME], {names.TIME: clock.size}, dtype=np.dtype(np.float64))
        self.clock = clock

    def forward(self, dim_positions: dict[str, Any]) -> dict[Hashable, Any]:
        """Positions to times."""
        return {names.TIME: self.clock.times(dim_positions[names.TIME])}

    def reverse(self, coord_labels: dict[Hashable, Any]) -> dict[str, Any]:
        """Times to nearest positions."""
        return {names.TIME: self.clock.positions(np.asarray(coord_labels[names.TIME], dtype=np.float64))}

    def equals(self, other: CoordinateTransform, **_: Any) -> bool:
        """Tell whether two clocks give the same times."""
        if not isinstance(other, ClockTransform) or self.clock.size != other.clock.size:
            return False
        ours, theirs = self.clock.segments(), other.clock.segments()
        return (
            self.clock.unit == other.clock.unit
            and math.isclose(self.clock.sampling_rate_hz, other.clock.sampling_rate_hz)
            and np.array_equal(ours[1], theirs[1])
            and np.allclose(ours[0], theirs[0], rtol=0, atol=1e-9)
        )


class TimeIndex(RangeIndex):
    """Index of a regular signal's time: nothing is stored, slices are half-open ``[start, stop)``.

    xarray's own ``RangeIndex`` refuses slices without ``method="nearest"``, and a plain float64 index is closed on
    the right and costs 8 bytes a sample. Gaps between segments are known to the clock.
    """

    def __init__(self, transform: ClockTransform) -> None:
        CoordinateTransformIndex.__init__(self, transform)

    @property
    def clock(self) -> Clock:
        """The clock behind this index."""
        assert isinstance(self.transform, ClockTransform)
        return self.transform.clock

    @property
    def start(self) -> float:
        """Time of the first sample."""
        return self.clock.time(0)

    @property
    def step(self) -> float:
        """Seconds between samples."""
        return 1.0 / self.clock.sampling_rate_hz

    @property
    def stop(self) -> float:
        """End of the last sample's period: the first time that no longer belongs to the signal."""
        return self.clock.time(self.clock.size - 1) + self.step if self.clock.size else self.start

    def equals(self, other: Any, *, exclude: Any = None, exact: bool = False) -> bool:
        """Tell whether two indexes give the same times."""
        return isinstance(other, TimeIndex) and self.transform.equals(other.transform)

    def isel(self, indexers: Mapping[Any, Any]) -> Any:
        """Index of a part: a slice keeps the clock, a list of positions becomes explicit times."""
        wanted = indexers[names.TIME]
        if isinstance(wanted, slice):
            return TimeIndex(ClockTransform(self.clock.slice(wanted)))
        values = getattr(wanted, "values", wanted)
        if np.ndim(values) != 1:
            return None
        if np.asarray(values).dtype == bool:
            values = np.flatnonzero(values)
        dimension = getattr(wanted, "dims", (names.TIME,))[0]
        times = self.clock.times(np.where(np.asarray(values) < 0, np.asarray(values) + self.clock.size, values))
        return TimesIndex(pd.Index(times, name=names.TIME), dimension)

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        """Positions of times: slices are half-open, single times must exist unless ``method="nearest"``."""
        label = labels[names.TIME]
        if isinstance(label, slice):
            if label.step is not None:
                raise KeyError("a slice of time takes no step; select first, then .isel(time=slice(None, None, step))")
            first = 0 if label.start is None else self.clock.position(float(label.start))
            last = self.clock.size if label.stop is None else self.clock.position(float(label.stop))
            return IndexSelResult({names.TIME: slice(first, max(first, last))})
        wanted = np.asarray(getattr(label, "values", label), dtype=np.float64)
        positions = self.clock.positions(wanted)
        away = np.abs(self.clock.times(positions) - wanted)
        limit = (
            (np.inf if tolerance is None else tolerance) if method == "nearest" else 1e-9 * np.maximum(1, abs(wanted))
        )
        if self.clock.size == 0 or (away > limit).any():
            raise KeyError(f"no sample was taken at {label}; use method='nearest' or a slice [start, stop)")
        if isinstance(label, (xr.DataArray, xr.Variable)):
            return IndexSelResult({names.TIME: label.copy(data=positions)})
        return IndexSelResult({names.TIME: int(positions) if positions.ndim == 0 else positions})

    def to_pandas_index(self) -> pd.Index[Any]:
        """Return every time as a pandas index (8 bytes a sample)."""
        return pd.Index(self.clock.times(np.arange(self.clock.size)), name=names.TIME)

    def __repr__(self) -> str:
        return f"TimeIndex(start={self.start:.6g}, stop={self.stop:.6g}, rate_hz={self.clock.sampling_rate_hz:.6g})"

    def _repr_inline_(self, max_width: int) -> str:
        return repr(self)[:max_width]


class TimesIndex(PandasIndex):
    """Index of an irregular signal's explicit times; slices are half-open ``[start, stop)`` here too."""

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        """Positions of times; a slice leaves out a sample taken exactly at its stop."""
        label = labels[names.TIME]
        if not isinstance(label, slice):
            return super().sel(labels, method=method, tolerance=tolerance)
        first = 0 if label.start is None else int(self.index.searchsorted(label.start, side="left"))
        last = len(self.index) if label.stop is None else int(self.index.searchsorted(label.stop, side="left"))
        return IndexSelResult({self.dim: slice(first, max(first, last), label.step)})


def time_coordinates(clock: Clock | None, time: NDArray[np.float64] | None = None) -> xr.Coordinates:
    """Return the time coordinate of a signal: from a clock (nothing stored) or from explicit times."""
    if clock is not None:
        return xr.Coordinates.from_xindex(TimeIndex(ClockTransform(clock)))
    index = TimesIndex(pd.Index(np.asarray(time, dtype=np.float64), name=names.TIME), names.TIME)
    return xr.Coordinates.from_xindex(index)


def clock_of(signal: xr.DataArray) -> Clock | None:
    """Return a regular signal's clock, None where its times are explicit."""
    index = signal.xindexes.get(names.TIME)
    return index.clock if isinstance(index, TimeIndex) else None


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
    return np.array(array.tolist(), dtype=np.str_) if array.dtype.kind in "OTSU" else array


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
        If the shapes do not fit; the message gives both.
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
