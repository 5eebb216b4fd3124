"""Recordings as pynapple objects."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_option, import_extra
from neurodata.recording.recording import Recording
from neurodata.recording.timed import VALIDITY, check_seconds, clock_of

_TOUCH = 1e-9
"""Seconds by which an interval that ends where another begins is shortened: pynapple's stretches are closed on both
sides and its times are kept to a nanosecond. Left alone it takes off a microsecond and warns."""


def to_pynapple(recording: Recording, name: str | None = None) -> dict[str, Any]:
    """Return signals, events and intervals of a recording as pynapple objects, values unchanged, in memory.

    - A signal of one channel is a ``Tsd``, any other a ``TsdFrame`` whose columns are the channel ids and whose
      metadata are the channel columns. Its time support are the stretches in which it was recorded (pieces of a signal
      with gaps, or its rows of ``intervals/validity``), each to the end of its last sample.
    - Spikes are a ``TsGroup`` with one ``Ts`` per row of the units table (also of units without a spike) and its
      columns as metadata. Events with a text ``label`` and no unit are a ``TsGroup`` with one ``Ts`` per label; others
      are a ``Ts``, a ``Tsd`` where they have one column of numbers, or a ``TsdFrame`` where they have several. Further
      text columns, and columns of spikes, are in `neurodata.exports.to_pandas.to_pandas`.
    - Intervals are an ``IntervalSet`` with their columns as metadata; ``row`` is the place in the recording's table.

    pynapple joins intervals that overlap, and drops their metadata. So a table with overlaps comes as several sets
    without overlaps: ``intervals/trials``, ``intervals/trials.2`` …, each interval in the first set that has room for
    it. pynapple's intervals are closed on both sides: one that ends where the next begins is shortened by 1 ns.
    Intervals without duration cannot be kept there; they are left out with a warning.

    Parameters
    ----------
    recording
        The recording.
    name
        One member only: ``signals/eeg``, or ``eeg`` where no other group has a member of that name.

    Returns
    -------
    objects
        ``group/name`` → object, for example ``{"events/spikes": TsGroup, "intervals/trials": IntervalSet}``.

    Raises
    ------
    UnknownRateError
        If a signal counts frames; says how to state its rate.
    NeurodataError
        If pynapple is not installed, or there is no such member.
    """
    nap = import_extra("pynapple", "pynapple")
    objects: dict[str, Any] = {}
    for path in _select(recording, name):
        group, _, member = path.partition("/")
        if group == names.SIGNALS:
            objects[path] = _signal(nap, recording, member)
        elif group == names.EVENTS:
            objects[path] = _events(nap, recording, recording.events[member])
        else:
            objects |= _intervals(nap, path, recording.intervals[member])
    return objects


def _select(recording: Recording, name: str | None) -> list[str]:
    paths = [f"{group}/{member}" for group in names.TIMED_GROUPS for member in getattr(recording, group)]
    if name is None:
        return paths
    if name in paths:
        return [name]
    meant = [path for path in paths if path.partition("/")[2] == name]
    if len(meant) != 1:
        check_option("signal, event or interval table", name, meant or paths)
    return meant


def _signal(nap: Any, recording: Recording, name: str) -> Any:
    signal = recording.signals[name]
    check_seconds(signal)
    times, values = np.asarray(signal[names.TIME].values), np.asarray(signal.values)
    support = _support(nap, recording, name, signal, times)
    if values.shape[1] == 1:
        return nap.Tsd(t=times, d=values[:, 0], time_support=support)
    columns = {str(key): column.values for key, column in signal.coords.items() if column.dims == (names.CHANNEL,)}
    ids = columns.pop(names.CHANNEL_ID).tolist()
    metadata = _metadata(nap.TsdFrame, columns, taken=ids)
    return nap.TsdFrame(t=times, d=values, columns=ids, time_support=support, metadata=metadata)


def _support(nap: Any, recording: Recording, name: str, signal: xr.DataArray, times: NDArray[np.float64]) -> Any:
    """The stretches in which a signal was recorded."""
    clock = clock_of(signal)
    if not len(times):
        return nap.IntervalSet(0.0, max(recording.duration_seconds, _TOUCH))
    if clock is not None:
        first = clock.segments()[1]
        last = np.append(first[1:], len(times)) - 1
        return _disjoint(nap, times[first], times[last] + 1 / clock.sampling_rate_hz)
    whole = times[:1], np.maximum(times[-1:], times[:1] + _TOUCH)
    if VALIDITY in recording.intervals and "signal" in recording.intervals[VALIDITY]:
        table = recording.intervals[VALIDITY]
        own = table["signal"].values == name
        start, stop = table[names.START].values[own], table[names.STOP].values[own]
        order = np.argsort(start, kind="stable")
        start, stop = start[order], stop[order]
        inside = np.searchsorted(start, times, side="right") > np.searchsorted(stop, times, side="left")
        if len(start) and (start < stop).all() and (start[1:] >= stop[:-1]).all() and inside.all():
            return _disjoint(nap, start, stop)
    return nap.IntervalSet(*whole)


def _disjoint(
    nap: Any, start: NDArray[np.float64], stop: NDArray[np.float64], metadata: dict[str, Any] | None = None
) -> Any:
    """Sorted stretches without overlap, those that touch taken 1 ns apart."""
    stop = np.append(np.minimum(stop[:-1], np.maximum(start[1:] - _TOUCH, np.nextafter(start[:-1], np.inf))), stop[-1:])
    return nap.IntervalSet(start, stop, metadata=metadata)


def _events(nap: Any, recording: Recording, table: xr.Dataset) -> Any:
    times = np.asarray(table[names.TIME].values)
    ends = np.append(times, [0.0, recording.duration_seconds])
    support = nap.IntervalSet(ends.min(), max(ends.max(), ends.min() + _TOUCH))
    if names.UNIT in table and recording.units is not None:
        units = {str(key): column.values for key, column in recording.units.variables.items()}
        n_units = recording.units.sizes[names.UNIT]
        return _group(nap, times, table[names.UNIT].values, n_units, support, units)
    if names.LABEL in table and table[names.LABEL].dtype.kind == "U":
        labels, codes = np.unique(table[names.LABEL].values, return_inverse=True)
        return _group(nap, times, codes, len(labels), support, {names.LABEL: labels})
    numbers = {str(key): column.values for key, column in table.data_vars.items() if column.dtype.kind in "biuf"}
    numbers.pop(names.TIME, None)
    if not numbers:
        return nap.Ts(t=times, time_support=support)
    if len(numbers) == 1:
        return nap.Tsd(t=times, d=next(iter(numbers.values())), time_support=support)
    return nap.TsdFrame(t=times, d=np.column_stack(list(numbers.values())), columns=list(numbers), time_support=support)


def _group(
    nap: Any,
    times: NDArray[np.float64],
    codes: NDArray[Any],
    n_members: int,
    support: Any,
    columns: Mapping[str, NDArray[Any]],
) -> Any:
    order = np.argsort(codes, kind="stable")  # keeps each member's times sorted
    edges = np.searchsorted(codes[order], np.arange(n_members + 1))
    members = {
        row: nap.Ts(t=times[order[edges[row] : edges[row + 1]]], time_support=support) for row in range(n_members)
    }
    metadata = _metadata(nap.TsGroup, columns, taken=())
    return nap.TsGroup(members, time_support=support, bypass_check=True, metadata=metadata)


def _intervals(nap: Any, path: str, table: xr.Dataset) -> dict[str, Any]:
    start, stop = np.asarray(table[names.START].values), np.asarray(table[names.STOP].values)
    rows = np.argsort(start, kind="stable")
    lasting = stop[rows] - start[rows] > _TOUCH
    if not lasting.all():
        left_out = int((~lasting).sum())
        warnings.warn(
            f"{path}: {left_out} intervals have no duration and are left out of the IntervalSet", stacklevel=3
        )
    columns = {str(key): column.values for key, column in table.data_vars.items()}
    for edge in (names.START, names.STOP):
        columns.pop(edge)
    sets = {}
    for number, layer in enumerate(_layers(start, stop, rows[lasting]), 1):
        picked = {key: values[layer] for key, values in columns.items()} | {"row": layer}
        metadata = _metadata(nap.IntervalSet, picked, taken=("start", "end"))
        sets[path if number == 1 else f"{path}.{number}"] = _disjoint(nap, start[layer], stop[layer], metadata)
    return sets


def _layers(start: NDArray[np.float64], stop: NDArray[np.float64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows, sorted by start, dealt into sets without overlap; one empty set where there are none."""
    layers: list[list[int]] = [[]]
    ends = [-np.inf]
    for row in rows.tolist():
        place = next((place for place, end in enumerate(ends) if start[row] >= end), len(ends))
        if place == len(ends):
            layers.append([])
            ends.append(-np.inf)
        layers[place].append(row)
        ends[place] = stop[row]
    return [np.array(layer, np.int64) for layer in layers]


def _metadata(kind: type, columns: Mapping[str, NDArray[Any]], taken: Any) -> dict[str, NDArray[Any]]:
    """Columns under names that pynapple keeps as metadata: words, and none of its own."""
    metadata: dict[str, NDArray[Any]] = {}
    for key, values in columns.items():
        word = re.sub(r"\W", "_", key)
        word = word if word.isidentifier() else f"_{word}"
        while (
            hasattr(kind, word) or word in taken or word in metadata or word in ("rate", "index", "columns", "values")
        ):
            word += "_"
        metadata[word] = values
    return metadata
