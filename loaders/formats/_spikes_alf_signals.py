"""ALF objects that are sampled in time, as signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.timed import make_signal

from ._spikes_alf_columns import TABLE, check_rows, read_attribute
from ._spikes_alf_files import AlfObject
from ._spikes_tables import safe_columns

_UNITS = {("ibl", "wheel", "position"): "rad", ("ibl", "wheel", "velocity"): "rad/s"}
"""IBL's list of data set types; other labs' wheels count what they like."""
_TIMES = ("timestamps", "times")


def read_signals(
    owner: AlfObject, prefix: str, rois: AlfObject | None = None
) -> tuple[dict[str, xr.DataArray], list[str]]:
    """Return one signal per attribute of a sampled object, ``PREFIX_attribute``, and remarks about its times.

    Parameters
    ----------
    owner
        With ``timestamps``, or with ``times`` of frames.
    prefix
        What its signals' names begin with.
    rois
        Of two-photon imaging: the object with one row per cell.

    Raises
    ------
    RawFileError
        If attributes differ in their number of rows or from the times, or times run backwards; names the files.
    """
    time_of = next(name for name in _TIMES if name in owner.attributes)
    time_path = owner.attributes[time_of][0].path
    stamps = next(iter(read_attribute(owner.attributes[time_of]).values()))
    values: dict[str, dict[str, NDArray[Any]]] = {}
    rows: dict[str, int] = {}
    for attribute, files in owner.attributes.items():
        if attribute.startswith(_TIMES):  # times on other clocks (times_bpod) are not the universal ones
            continue
        read = {name: array for name, array in read_attribute(files).items() if array.dtype.kind in "biuf"}
        if read and all(array.ndim <= 2 for array in read.values()):
            values[attribute] = read
            rows[files[0].path.name] = len(next(iter(read.values())))
    check_rows(owner, rows)
    n_samples = next(iter(rows.values()), 0)
    if not rows:
        return {}, []
    clock, keep, remarks = _clock(time_path, owner, stamps, n_samples)
    signals = {}
    for attribute, arrays in values.items():
        name = f"{prefix}_{attribute.lstrip('_')}" if attribute != TABLE else prefix
        signals[name] = _signal(owner, attribute, arrays, keep, clock, rois)
    return signals, remarks


def _clock(
    path: Path, owner: AlfObject, stamps: NDArray[Any], n_samples: int
) -> tuple[dict[str, Any], NDArray[np.int64] | None, list[str]]:
    """How `make_signal` is told the times, which samples have one (None: all), and what was odd."""
    if stamps.dtype.kind not in "iuf":
        raise RawFileError(f"{path}: expected times in seconds, got {stamps.dtype}")
    if stamps.ndim == 2 and stamps.shape[1] == 2:
        return *_interpolated(path, np.asarray(stamps, np.float64), n_samples), []
    if stamps.ndim != 1:
        raise RawFileError(
            f"{path}: expected one time per sample, or two columns (sample and time), got shape {stamps.shape}"
        )
    if len(stamps) != n_samples:
        other = next(p for p in owner.paths if p != path)
        check_rows(owner, {path.name: len(stamps), other.name: n_samples})
    times, remarks = np.array(stamps, np.float64), []
    keep: NDArray[np.int64] | None = None
    if not np.isfinite(times).all():
        keep = np.flatnonzero(np.isfinite(times))
        remarks.append(f"{path.name}: {n_samples - len(keep)} samples without a time are left out")
        times = times[keep]
    steps = np.diff(times)
    if (steps < 0).any():
        place = int(np.flatnonzero(steps < 0)[0]) + 1
        raise RawFileError(
            f"{path}: times run backwards at sample {place} ({times[place]} s after {times[place - 1]} s); leave the "
            f"object out with --set skip={owner.name}"
        )
    if (steps == 0).any():  # two samples at one time: the later ones come a rounding error later
        first = np.r_[0, np.flatnonzero(steps > 0) + 1]
        behind = np.arange(len(times)) - np.repeat(first, np.diff(np.r_[first, len(times)]))
        times = times + behind * 2 * np.spacing(np.maximum(np.abs(times), 1e-3))
        remarks.append(f"{path.name}: {int((steps == 0).sum())} samples have the time of the one before")
        if (np.diff(times) <= 0).any():
            raise RawFileError(f"{path}: too many samples at one time; leave it out with --set skip={owner.name}")
    return {"time": times}, keep, remarks


def _interpolated(path: Path, stamps: NDArray[np.float64], n_samples: int) -> tuple[dict[str, Any], None]:
    """Times of samples between synchronisation points; with two points the samples are regular."""
    index, times = stamps.T
    fine = len(index) >= 2 and np.isfinite(stamps).all() and (np.diff(index) > 0).all() and (np.diff(times) > 0).all()
    if not fine:
        raise RawFileError(f"{path}: expected increasing sample numbers and their times in seconds, two rows or more")
    if index[0] == 1 and index[-1] == n_samples:  # counted from 1, as MATLAB does
        index = index - 1
    if len(index) == 2:
        rate_hz = float((index[1] - index[0]) / (times[1] - times[0]))
        return {"rate_hz": rate_hz, "start_seconds": float(times[0] - index[0] / rate_hz)}, None
    samples = np.arange(n_samples, dtype=np.float64)
    found = np.interp(samples, index, times)
    for outside, (near, far) in ((samples < index[0], (0, 1)), (samples > index[-1], (-1, -2))):
        slope = (times[near] - times[far]) / (index[near] - index[far])
        found[outside] = times[near] + (samples[outside] - index[near]) * slope
    return {"time": found}, None


def _signal(
    owner: AlfObject,
    attribute: str,
    arrays: dict[str, NDArray[Any]],
    keep: NDArray[np.int64] | None,
    clock: dict[str, Any],
    rois: AlfObject | None,
) -> xr.DataArray:
    imaging = owner.name == "mpci"
    columns: dict[str, NDArray[Any]] = {}
    if len(arrays) == 1:
        (array,) = arrays.values()
        array = array.reshape(len(array), -1)
        if imaging and array.shape[1] > 1:
            ids = [f"{owner.collection.replace('/', '_') or 'FOV'}_roi{column:05d}" for column in range(array.shape[1])]
            columns = _roi_columns(rois, array.shape[1])
        else:
            ids = (
                [attribute.lstrip("_")]
                if array.shape[1] == 1
                else [f"{attribute.lstrip('_')}_{i}" for i in range(array.shape[1])]
            )
        values = _lazy(array, keep)
    else:
        ids = list(arrays)
        stacked = np.column_stack([array.astype(np.float64) for array in arrays.values()])
        values = stacked if keep is None else stacked[keep]
    namespace = owner.attributes[attribute][0].namespace
    neural = imaging and attribute.startswith(("ROI", "_ROI"))
    return make_signal(
        values,
        channel_id=ids,
        units=_UNITS.get((namespace, owner.name, attribute), "px" if attribute == "dlc" else "a.u."),
        role="neural" if neural else "behavior",
        columns=columns,
        **clock,
    )


def _lazy(array: NDArray[Any], keep: NDArray[np.int64] | None) -> Any:
    """Rows of a memory-mapped array, floats of two bytes and booleans as types that can be stored."""
    kind = array.dtype.newbyteorder("=")
    kind = (
        np.dtype(np.int8)
        if kind.kind == "b"
        else np.dtype(np.float32)
        if kind.itemsize == 2 and kind.kind == "f"
        else kind
    )
    if keep is None:
        return lazy_rows(array.shape, kind, lambda first, after: np.asarray(array[first:after]))
    return lazy_rows((len(keep), array.shape[1]), kind, lambda first, after: np.asarray(array[keep[first:after]]))


def _roi_columns(rois: AlfObject | None, n_rois: int) -> dict[str, NDArray[Any]]:
    if rois is None:
        return {}
    columns: dict[str, NDArray[Any]] = {}
    for attribute, files in rois.attributes.items():
        for name, values in read_attribute(files).items():
            if values.shape == (n_rois,) and values.dtype.kind in "biufU":
                columns[name] = values
            elif (
                values.ndim == 2
                and values.shape[0] == n_rois
                and values.shape[1] == 3
                and attribute.startswith("mlapdv")
            ):
                columns |= {key: np.ascontiguousarray(values[:, i]) for i, key in enumerate("xyz")}
    return safe_columns(columns, {"channel_id", "channel", "scale_factor", "add_offset", "label_confidence"})
