"""Spikes of a sorter as the events and units of a Recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.timed import make_events


def one_per_spike(path: Path, values: NDArray[Any], n_spikes: int, times_path: Path) -> NDArray[Any]:
    """Return an array of one value per spike, MATLAB's ``(spike, 1)`` flattened.

    Raises
    ------
    RawFileError
        If it has another shape; names both files.
    """
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    if values.shape != (n_spikes,):
        raise RawFileError(
            f"{path}: has shape {values.shape}, but {times_path.name} has {n_spikes} spikes; expected one value each. "
            "They are of two different sortings, or one was cut short"
        )
    return values


def whole_numbers(path: Path, values: NDArray[Any], what: str) -> NDArray[Any]:
    """Return whole numbers as int32 where they fit, else int64, also where the file keeps them as floats.

    Raises
    ------
    RawFileError
        If they are not whole or too large.
    """
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            fine = bool(
                np.isfinite(values).all() and (values == np.round(values)).all() and (abs(values) < 2**53).all()
            )
    else:
        fine = values.dtype.kind in "iu" and (values.size == 0 or int(values.max()) < 2**62)
    if not fine:
        raise RawFileError(f"{path}: expected {what} as whole numbers, got {values.dtype} with other values")
    # Half the memory for clusters and templates of 100 million spikes.
    small = values.size == 0 or (abs(int(values.min())) < 2**31 and abs(int(values.max())) < 2**31)
    return np.asarray(values, np.int32 if small else np.int64)


def make_spikes(
    time: NDArray[np.float64],
    unit: NDArray[np.int32],
    columns: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return spikes sorted by time, ties by unit, as events."""
    if (time[1:] < time[:-1]).any() or ((time[1:] == time[:-1]) & (unit[1:] < unit[:-1])).any():
        order = np.lexsort((unit, time))
        time, unit = time[order], unit[order]
        columns = {name: values[order] for name, values in columns.items()}
    return make_events(time, attributes=attributes, unit=unit, **columns)


def rows_of(ids: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the different ids, sorted, and for each entry the place of its id among them."""
    if ids.size and ids.min() >= 0 and ids.max() < 10_000_000:  # no sorting of millions of spikes
        present = np.zeros(int(ids.max()) + 1, bool)
        present[ids] = True
        places = np.cumsum(present, dtype=np.int32) - 1
        return np.flatnonzero(present).astype(np.int64), places[ids].astype(np.int32, copy=False)
    found, inverse = np.unique(ids, return_inverse=True)
    return found.astype(np.int64), inverse.astype(np.int32)
