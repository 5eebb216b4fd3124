"""Indexes of time for xarray: half-open slices, nothing stored for a regular signal."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from xarray.core.coordinate_transform import CoordinateTransform
from xarray.core.indexes import CoordinateTransformIndex, PandasIndex
from xarray.core.indexing import IndexSelResult
from xarray.indexes import RangeIndex

from neurodata import names
from neurodata.recording.clock import Clock


class ClockTransform(CoordinateTransform):
    """Lets xarray compute times from a `Clock` only where they are asked for."""

    def __init__(self, clock: Clock) -> None:
        super().__init__([names.TIME], {names.TIME: clock.size}, dtype=np.dtype(np.float64))
        self.clock = clock

    def forward(self, dim_positions: dict[str, Any]) -> dict[Hashable, Any]:
        """Positions to times."""
        return {self.coord_names[0]: self.clock.times(dim_positions[self.dims[0]])}

    def reverse(self, coord_labels: dict[Hashable, Any]) -> dict[str, Any]:
        """Times to nearest positions."""
        return {self.dims[0]: self.clock.positions(np.asarray(coord_labels[self.coord_names[0]], dtype=np.float64))}

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

    transform: ClockTransform  # type: ignore[assignment]

    def __init__(self, transform: ClockTransform) -> None:
        CoordinateTransformIndex.__init__(self, transform)

    @property
    def clock(self) -> Clock:
        """The clock behind this index."""
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

    @property
    def dim(self) -> str:
        """Name of the dimension: ``time``, unless the signal's was renamed."""
        return str(self.transform.dims[0])

    def isel(self, indexers: Mapping[Any, Any]) -> Any:
        """Index of a part: a slice keeps the clock, a list of positions becomes explicit times."""
        wanted = indexers[self.dim]
        if isinstance(wanted, slice):
            part = ClockTransform(self.clock.slice(wanted))
            part.coord_names, part.dims, part.dim_size = (
                self.transform.coord_names,
                (self.dim,),
                {self.dim: part.clock.size},
            )
            return TimeIndex(part)
        values = getattr(wanted, "values", wanted)
        if np.ndim(values) != 1:
            return None
        if np.asarray(values).dtype == bool:
            values = np.flatnonzero(values)
        dimension = getattr(wanted, "dims", (self.dim,))[0]
        times = self.clock.times(np.where(np.asarray(values) < 0, np.asarray(values) + self.clock.size, values))
        return TimesIndex(pd.Index(times, name=self.transform.coord_names[0]), dimension)

    @classmethod
    def concat(cls, indexes: Sequence[Any], dim: Hashable, positions: Iterable[Iterable[int]] | None = None) -> Any:
        """Index of pieces put one after the other: explicit times."""
        times = np.concatenate([index.to_pandas_index().to_numpy() for index in indexes])
        if positions is not None:
            times = times[np.argsort(np.concatenate([np.asarray(list(places)) for places in positions]))]
        return TimesIndex(pd.Index(times, name=dim), dim)

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        """Positions of times: slices are half-open, single times must exist unless ``method="nearest"``."""
        (label,) = labels.values()
        if isinstance(label, slice):
            start, stop = _edges(label)
            if label.step is not None:
                raise KeyError("a slice of time takes no step; select first, then .isel(time=slice(None, None, step))")
            first = 0 if start is None else self.clock.position(start)
            last = self.clock.size if stop is None else self.clock.position(stop)
            return IndexSelResult({self.dim: slice(first, max(first, last))})
        wanted = np.asarray(getattr(label, "values", label), dtype=np.float64)
        positions = self.clock.positions(wanted)
        away = np.abs(self.clock.times(positions) - wanted)
        limit = (
            (np.inf if tolerance is None else tolerance) if method == "nearest" else 1e-9 * np.maximum(1, abs(wanted))
        )
        if self.clock.size == 0 or not (away <= limit).all():
            raise KeyError(f"no sample was taken at {label}; use method='nearest' or a slice [start, stop)")
        if isinstance(label, (xr.DataArray, xr.Variable)):
            return IndexSelResult({self.dim: label.copy(data=positions)})
        return IndexSelResult({self.dim: int(positions) if positions.ndim == 0 else positions})

    def to_pandas_index(self) -> pd.Index[Any]:
        """Return every time as a pandas index (8 bytes a sample)."""
        return pd.Index(self.clock.times(np.arange(self.clock.size)), name=self.transform.coord_names[0])

    def __repr__(self) -> str:
        return f"TimeIndex(start={self.start:.6g}, stop={self.stop:.6g}, rate_hz={self.clock.sampling_rate_hz:.6g})"

    def _repr_inline_(self, max_width: int) -> str:
        return repr(self)[:max_width]


class TimesIndex(PandasIndex):
    """Index of an irregular signal's explicit times; slices are half-open ``[start, stop)`` here too."""

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        """Positions of times; a slice leaves out a sample taken exactly at its stop."""
        (label,) = labels.values()
        if not isinstance(label, slice):
            return super().sel(labels, method=method, tolerance=tolerance)
        if not self.index.is_monotonic_increasing:
            raise KeyError("these times are not sorted, so no stretch of them can be cut out; sort first with .sortby")
        start, stop = _edges(label)
        first = 0 if start is None else int(self.index.searchsorted(start, side="left"))
        last = len(self.index) if stop is None else int(self.index.searchsorted(stop, side="left"))
        return IndexSelResult({self.dim: slice(first, max(first, last), label.step)})


def _edges(wanted: slice) -> tuple[float | None, float | None]:
    """Start and stop of a slice in seconds."""
    edges = [None if edge is None else float(edge) for edge in (wanted.start, wanted.stop)]
    if any(edge is not None and math.isnan(edge) for edge in edges):
        raise KeyError(f"a stretch of time needs numbers, got [{wanted.start}, {wanted.stop})")
    return edges[0], edges[1]


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
