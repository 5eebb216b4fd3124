"""Samples of one NWB series, read from its HDF5 file where they are asked for, and their times."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from xarray.core import indexing

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows

from ..hdf5 import open_hdf5, read_part
from ._nwb_file import OddNwbError, attribute, check_stored, member, number, scalar

_MOST_TIMES = 8_000_000
"""Most explicit times that are kept in memory without asking whether a rate says the same (64 MB)."""
_BLOCK = 1 << 20


@dataclass
class SeriesRows:
    """Reads rows of a dataset, trailing dimensions flattened; opens the file at the first call, also in a new process.

    Parameters
    ----------
    path, dataset
        The file, and the dataset's path in it.
    order
        Row of the file per row of the signal, where they are not the same ones in the same order.
    transposed
        Whether the file holds ``(channel, time)``.
    scale, offset
        What floats are multiplied with and what is added, to be in their unit; None where they are already.
    """

    path: Path
    dataset: str
    order: NDArray[np.int64] | None = None
    transposed: bool = False
    scale: Any = None
    offset: Any = None
    _file: h5py.File | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def __call__(self, first: int, after: int) -> NDArray[Any]:
        """Return these rows, shape ``(rows, channel)``."""
        if self._file is None:
            self._file = open_hdf5(self.path)
        try:
            values = self._read(self._file[self.dataset], first, after)
        except Exception as error:
            raise RawFileError(
                f"{self.path}: rows {first} to {after} of {self.dataset} cannot be read ({error}); fetch the file again"
            ) from error
        values = values.reshape(after - first, -1)
        if self.scale is None:
            return values
        return np.asarray(values * self.scale + self.offset)

    def _read(self, data: Any, first: int, after: int) -> NDArray[Any]:
        if self.order is None:
            return self._slab(data, first, after)
        rows = self.order[first:after]
        low, high = int(rows.min()), int(rows.max()) + 1
        if high - low <= 4 * len(rows) + _BLOCK // 16:
            return self._slab(data, low, high)[rows - low]
        unique, inverse = np.unique(rows, return_inverse=True)
        picked = data[:, unique].T if self.transposed else data[unique]
        return np.asarray(picked[inverse])

    def _slab(self, data: Any, low: int, high: int) -> NDArray[Any]:
        rows = slice(low, high)
        return read_part(data, slice(None), rows).T if self.transposed else read_part(data, rows)


def lazy_series(data: h5py.Dataset, n_times: int, rows: SeriesRows) -> indexing.LazilyIndexedArray:
    """Return the lazy ``(time, channel)`` array of a series' data."""
    shape = data.shape[::-1] if rows.transposed else data.shape
    kept = {"b": np.dtype(np.uint8)}.get(data.dtype.kind, data.dtype.newbyteorder("="))
    if kept == np.float16:
        kept = np.dtype(np.float32)
    if kept.kind == "f" and kept.itemsize > 8:
        kept = np.dtype(np.float64)
    return lazy_rows((n_times, math.prod(shape[1:])), kept, rows)


@dataclass(frozen=True)
class Times:
    """When samples were taken.

    Parameters
    ----------
    clock
        ``rate_hz`` and ``start_seconds``, or ``time``, or nothing (unknown), as `make_signal` takes them.
    n_times
        Samples that have a time.
    order
        Row of the data per sample, where rows without a time were left out or others came out of order.
    mended
        What had to be mended, empty where nothing.
    """

    clock: dict[str, Any]
    n_times: int
    order: NDArray[np.int64] | None = None
    mended: tuple[str, ...] = ()


def read_times(group: Any, n_rows: int) -> Times:
    """Return when the ``n_rows`` samples of a series were taken.

    Explicit times stay explicit, however regular. Where there are more than 8 million of them and a rate gives each to
    within a thousandth of a sample, the rate is kept instead, for so many times fit no memory.
    """
    stamps = member(group, "timestamps")
    if isinstance(stamps, h5py.Dataset) and (stamps.ndim == 1 or _is_vector(stamps)):
        return _read_stamps(stamps, n_rows)
    start = number(scalar(group, "starting_time"))
    node = member(group, "starting_time")
    rate = number(attribute(node, "rate")) if node is not None else math.nan
    if not (math.isfinite(rate) and rate > 0):
        return Times({}, n_rows, mended=("neither timestamps nor a rate: samples are counted",))
    return Times({"rate_hz": rate, "start_seconds": start if math.isfinite(start) else 0.0}, n_rows)


def _is_vector(data: h5py.Dataset) -> bool:
    """Whether a dataset is a row or a column, as MatNWB wrote vectors."""
    return data.ndim == 2 and 1 in data.shape and math.prod(data.shape) <= _MOST_TIMES


def _read_stamps(stamps: h5py.Dataset, n_rows: int) -> Times:
    mended = []
    if stamps.dtype.kind not in "iuf":
        raise OddNwbError(f"timestamps are of type {stamps.dtype}")
    check_stored(stamps)
    if stamps.ndim == 2:
        stamps = stamps[()].ravel()
    n_times = min(n_rows, len(stamps))
    if len(stamps) != n_rows:
        mended.append(f"{len(stamps)} timestamps for {n_rows} samples: the first {n_times} of both are kept")
    if n_times > _MOST_TIMES and (clock := _regular(stamps, n_times)):
        return Times(clock, n_times, mended=(*mended, "timestamps agree with a constant rate, which is kept instead"))
    times = np.asarray(stamps[:n_times], np.float64)
    sorted_times, order, more = sort_times(times)
    mended += more
    if n_times > 2 and (len(sorted_times) == 0 or sorted_times[-1] - sorted_times[0] < 1e-12 * n_times):
        return Times({}, n_times, mended=(*mended, "all timestamps are the same or missing: samples are counted"))
    return Times({"time": sorted_times}, len(sorted_times), order, tuple(mended))


def sort_times(times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64] | None, list[str]]:
    """Return strictly increasing times, which row each is of (None: the same), and what had to be mended."""
    order, mended = None, []
    good = np.isfinite(times)
    if not good.all():
        mended.append(f"{int((~good).sum())} samples have no finite timestamp and are left out")
        order = np.flatnonzero(good)
        times = times[order]
    if (np.diff(times) < 0).any():
        mended.append(f"timestamps go back at {int((np.diff(times) < 0).sum())} samples: sorted by time")
        by_time = np.argsort(times, kind="stable")
        times, order = times[by_time], by_time if order is None else order[by_time]
    equal = np.flatnonzero(np.diff(times) <= 0) + 1
    if equal.size:
        mended.append(f"{equal.size} timestamps are that of the sample before: each is moved on by one ulp")
        times = times.copy()
        for position in equal:
            later = position
            while later < len(times) and times[later] <= times[later - 1]:
                times[later] = np.nextafter(times[later - 1], np.inf)
                later += 1
    return times, order, mended


def _regular(stamps: h5py.Dataset, n_times: int) -> dict[str, float] | None:
    """The constant rate that gives every time to within a thousandth of a sample, None where there is none."""
    first, last = float(stamps[0]), float(stamps[n_times - 1])
    if not (math.isfinite(first) and math.isfinite(last) and last > first):
        return None
    rate = (n_times - 1) / (last - first)
    for begin in range(0, n_times, _BLOCK):
        block = np.asarray(stamps[begin : min(begin + _BLOCK, n_times)], np.float64)
        expected = first + np.arange(begin, begin + len(block)) / rate
        if not (np.abs(block - expected) * rate <= 1e-3).all():
            return None
    return {"rate_hz": rate, "start_seconds": first}
