"""A recording from a file's variables as a map names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units, make_validity

from ..discover import safe_name
from ._matlab_v5 import make_array
from ._variables_auto import Parts
from ._variables_clock import fit_clock, repeat_clock
from ._variables_inventory import unwrap
from ._variables_map import EventMap, IntervalMap, SignalMap, VariableMap, seconds_per
from ._variables_tree import (
    Array,
    Cells,
    Node,
    Struct,
    Text,
    Tree,
    describe,
    find_array,
    find_variable,
    lay_out,
    list_leaves,
)  # fmt: skip

_MOST_LISTED = 500


def list_elements(tree: Tree, stated: VariableMap) -> list[tuple[str, Node | None]]:
    """Return name and variable of each recording of a file; one without a name where the map names no array.

    Raises
    ------
    RawFileError
        If the array is not there, or two elements have one name.
    """
    if stated.recordings is None:
        return [("", None)]
    node = find_variable(tree, stated.recordings.each)
    items: Sequence[Node] = node.items if isinstance(node, Cells) else [node]
    width = len(str(len(items)))
    names = [f"{number + 1:0{width}d}" for number in range(len(items))]
    if stated.recordings.name is not None:
        names = [safe_name(_texts(tree, stated.recordings.name, item)[0]) for item in items]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RawFileError(f"{tree.path}: two recordings are called {twice[0]!r} by {stated.recordings.name!r}")
    return list(zip(names, map(unwrap, items)))


def read_mapped(tree: Tree, stated: VariableMap, element: Node | None) -> Parts:
    """Return the signals, events and intervals that a map names.

    Parameters
    ----------
    tree
        The file.
    stated
        The map.
    element
        The element that is read, where the file holds several recordings; paths are looked up in it first, then in
        the file.

    Raises
    ------
    RawFileError
        If a variable is not there (names the closest ones), or lengths do not fit.
    """
    mapped = _Mapped(tree, element)
    parts = Parts(modality=str(stated.metadata.get("modality", "other")))
    for name, signal in stated.signals.items():
        parts.signals[name] = mapped.signal(name, signal)
    for name, events in stated.events.items():
        parts.events[name] = mapped.events(name, events)
    for name, intervals in stated.intervals.items():
        parts.intervals[name] = mapped.intervals(name, intervals)
    for name, table in mapped.trials.items():
        parts.intervals.setdefault("trials" if len(mapped.trials) == 1 else f"trials_{name}", table)
    parts.intervals |= make_validity(parts.signals)
    parts.units = make_units(mapped.unit_ids) if mapped.unit_ids is not None else None
    parts.subject = _subject(stated.metadata)
    others = {key: value for key, value in stated.metadata.items() if key not in ("subject", "species", "modality")}
    parts.metadata = {key: str(value) for key, value in others.items()}
    parts.extra = {"read_as": "by a map"}
    beside = element if isinstance(element, Struct) else tree.root
    unread = [describe(leaf) for leaf in list_leaves(beside) if not _is_inside(leaf.path, mapped.used)]
    if unread:
        parts.extra["not_read"] = unread[:_MOST_LISTED]
    return parts


def _is_inside(path: str, used: set[str]) -> bool:
    return any(path == other or path.startswith((f"{other}[", f"{other}.")) for other in used)


def _subject(metadata: dict[str, Any]) -> dict[str, Any]:
    subject = metadata.get("subject")
    stated = dict(subject) if isinstance(subject, dict) else ({"id": str(subject)} if subject is not None else {})
    return stated | ({"species": str(metadata["species"])} if "species" in metadata else {})


@dataclass
class _Mapped:
    """Looks variables up and makes what the map names of them."""

    tree: Tree
    element: Node | None
    used: set[str] = field(default_factory=set)
    trials: dict[str, xr.Dataset] = field(default_factory=dict)
    unit_ids: list[str] | None = None

    def node(self, path: str) -> Node:
        if self.element is not None:
            try:
                found = find_variable(self.tree, path, self.element)
                self.used.add(found.path)
                return found
            except RawFileError:
                if path.partition(".")[0].partition("[")[0] not in self.tree.root.fields:
                    raise
        found = find_variable(self.tree, path)
        self.used.add(found.path)
        return found

    def array(self, path: str) -> Array:
        node = unwrap(self.node(path))
        if isinstance(node, Cells):
            items = [unwrap(item) for item in node.items]
            arrays = [item for item in items if isinstance(item, Array)]
            if len(arrays) == len(items) and len({item.size for item in arrays}) == 1:
                stacked = np.stack([item.values().ravel(order="F") for item in arrays], axis=1)
                return make_array(stacked if stacked.shape[0] > 1 else stacked.ravel(), node.path)
        if not isinstance(node, Array) or node.dtype.kind not in "biuf":
            raise RawFileError(f"{self.tree.path}: expected real numbers at {path!r}, found {describe(node)}")
        return node

    def number(self, value: float | str, what: str) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        array = self.array(value)
        if array.size != 1:
            raise RawFileError(f"{self.tree.path}: expected one number as {what}, found {describe(array)}")
        return float(array.vector()[0])

    def signal(self, name: str, stated: SignalMap) -> xr.DataArray:
        array = self.array(stated.variable)
        times = None if stated.time is None else self.array(stated.time)
        time, channels, trial, source = self._axes(array, stated, None if times is None else times.size)
        length = array.shape[time]
        if times is not None and times.size != length:
            raise RawFileError(
                f"{self.tree.path}: signal {name!r} has {length} samples along time, {times.path} has {times.size} times; "
                "is the orientation right?"
            )
        clock = self._clock(stated, times)
        attributes: dict[str, Any] = {"variable": array.path, "orientation_source": source}
        if trial is not None:
            clock, more, table = repeat_clock(clock, length, array.shape[trial])
            attributes |= more
            if table is not None:
                self.trials[name] = table
        n_channels = math.prod(array.shape[axis] for axis in channels)
        factor, scaling = self._scaling(array, stated)
        return make_signal(
            lay_out(array, time, channels, trial, factor),
            channel_id=self._ids(name, stated, n_channels),
            units=stated.units,
            role=stated.role,
            columns=self._columns(stated, n_channels),
            **attributes,
            **scaling,
            **clock,
        )

    def _scaling(self, array: Array, stated: SignalMap) -> tuple[float, dict[str, Any]]:
        """Integers keep their values and get attributes; floats are multiplied where they are read."""
        scale = 1.0 if stated.scale is None else self.number(stated.scale, "scale")
        offset = 0.0 if stated.offset is None else self.number(stated.offset, "offset")
        if array.dtype.kind in "iub":
            stored = {"scale_factor": scale} if stated.scale is not None else {}
            return 1.0, stored | ({"add_offset": offset} if stated.offset is not None else {})
        if stated.offset is not None:
            raise RawFileError(f"{self.tree.path}: 'offset' is for integers, {stated.variable!r} holds {array.dtype}")
        return scale, ({"source_scale": scale} if stated.scale is not None else {})

    def _axes(
        self, array: Array, stated: SignalMap, n_times: int | None
    ) -> tuple[int, tuple[int, ...], int | None, str]:
        """Time, channel and trial dimensions of a variable."""
        long = array.long_axes
        if stated.orientation in (None, "channel_first", "time_first"):
            if len(long) > 2 or (stated.orientation is not None and len(array.shape) > 2 and len(long) > 2):
                raise RawFileError(
                    f"{self.tree.path}: {describe(array)} has {len(long)} dimensions; say which is which, for example "
                    "orientation: 'trial, channel, time'"
                )
            if len(long) < 2:
                axes = long or (0,)
                if stated.orientation is not None and len(array.shape) == 2:
                    axes = (1 if stated.orientation == "channel_first" else 0,)
            else:
                axes = long
            time, source = _pick(array, axes, stated.orientation, n_times)
            return time, tuple(axis for axis in range(len(array.shape)) if axis != time), None, source
        named = [part.strip() for part in stated.orientation.split(",")]
        places = list(range(len(array.shape))) if len(array.shape) == len(named) else list(long)
        if len(places) != len(named):
            raise RawFileError(
                f"{self.tree.path}: {describe(array)} has {len(array.shape)} dimensions, orientation names {len(named)}"
            )
        place = dict(zip(named, places))
        channels = (place["channel"],) if "channel" in place else ()
        return place["time"], channels, place.get("trial"), "the map"

    def _clock(self, stated: SignalMap, times: Array | None) -> dict[str, Any]:
        if times is not None:
            values = times.values().ravel(order="F")
            if not (np.isfinite(values).all() and (np.diff(values.astype(np.float64)) > 0).all()):
                raise RawFileError(f"{self.tree.path}: the times {times.path} do not increase everywhere")
            return fit_clock(values, self.scale(stated.time_unit))
        if stated.rate_hz is None:
            return {}
        start = self.number(stated.start_seconds, "start_seconds")
        return {"rate_hz": self.number(stated.rate_hz, "rate_hz"), "start_seconds": start}

    def _ids(self, name: str, stated: SignalMap, n_channels: int) -> list[str]:
        if stated.channel_id is None:
            width = len(str(max(n_channels - 1, 0)))
            return [f"{name}_{i:0{width}d}" for i in range(n_channels)] if n_channels != 1 else [name]
        return self._entries(stated.channel_id, n_channels, "channel_id")

    def _columns(self, stated: SignalMap, n_channels: int) -> dict[str, Any]:
        columns: dict[str, Any] = {name: self._values(path, n_channels, name) for name, path in stated.columns.items()}
        if stated.labels is not None:
            columns["label"] = self._entries(stated.labels, n_channels, "labels")
        return columns

    def _entries(self, stated: str | list[str], count: int, what: str) -> list[str]:
        entries = stated if isinstance(stated, list) else _texts(self.tree, stated, None, self.node(stated))
        if len(entries) != count:
            raise RawFileError(f"{self.tree.path}: {len(entries)} entries of {what} for {count} channels")
        return entries

    def _values(self, path: str, count: int, what: str) -> Any:
        node = unwrap(self.node(path))
        values: Any
        if isinstance(node, Array) and node.dtype.kind in "biuf":
            values = node.values().ravel(order="F")
            values = values.astype(np.float32) if values.dtype == np.float16 else values
        else:
            values = _texts(self.tree, path, None, node)
        if len(values) != count:
            raise RawFileError(f"{self.tree.path}: column {what!r} has {len(values)} entries, expected {count}")
        return values

    def scale(self, unit: str) -> float:
        """Seconds per unit of time; the rate of ``samples@`` may be a variable."""
        seconds = seconds_per(unit)
        return seconds if isinstance(seconds, float) else 1.0 / self.number(seconds, "the rate of 'samples@'")

    def events(self, name: str, stated: EventMap) -> xr.Dataset:
        scale = self.scale(stated.unit)
        if stated.unit_of == "cells":
            return self._trains(name, stated, scale)
        array = self.array(stated.variable)
        times = array.vector()
        columns = {key: np.asarray(self._values(path, len(times), key)) for key, path in stated.columns.items()}
        if stated.label is not None:
            columns["label"] = np.asarray(self._values(stated.label, len(times), "label"))
        if stated.unit_of is not None:
            known, unit = np.unique(
                np.asarray(self._values(stated.unit_of, len(times), "unit_of")), return_inverse=True
            )
            columns["unit"] = self._rows([f"{code:g}" if known.dtype.kind == "f" else str(code) for code in known])[
                unit
            ]
        order = np.flatnonzero(~np.isnan(times))  # padding
        order = order[np.argsort(times[order], kind="stable")]
        kept = {key: values[order] for key, values in columns.items()}
        return make_events(times[order] * scale, attributes={"variable": array.path}, **kept)

    def _trains(self, name: str, stated: EventMap, scale: float) -> xr.Dataset:
        node = unwrap(self.node(stated.variable))
        items = [unwrap(item) for item in node.items] if isinstance(node, Cells) else [node]
        trains: list[NDArray[np.float64]] = []
        for item in items:
            if not isinstance(item, Array) or item.dtype.kind not in "biuf":
                raise RawFileError(
                    f"{self.tree.path}: events {name!r}: expected one vector of times per cell, found {describe(item)}"
                )
            times = item.vector()
            trains.append(times[~np.isnan(times)])
        width = len(str(max(len(trains) - 1, 0)))
        rows = self._rows([f"{name}_{i:0{width}d}" for i in range(len(trains))])
        unit = np.repeat(rows, [len(train) for train in trains])
        everything = np.concatenate(trains) if trains else np.empty(0)
        order = np.argsort(everything, kind="stable")
        return make_events(everything[order] * scale, unit=unit[order], attributes={"variable": node.path})

    def _rows(self, ids: list[str]) -> NDArray[np.int64]:
        """Rows of units in the one table of a recording; those that are new are added."""
        known = self.unit_ids = self.unit_ids or []
        known += [entry for entry in ids if entry not in known]
        return np.array([known.index(entry) for entry in ids], np.int64)

    def intervals(self, name: str, stated: IntervalMap) -> xr.Dataset:
        scale = self.scale(stated.unit)
        if stated.variable is not None:
            table = self.array(stated.variable).values()
            if table.ndim != 2 or 2 not in table.shape:
                raise RawFileError(f"{self.tree.path}: intervals {name!r}: expected two columns, got {table.shape}")
            table = table if table.shape[1] == 2 else table.T
            start, stop = table.astype(np.float64).T
        else:
            assert stated.start is not None  # the map was checked
            assert stated.stop is not None
            start, stop = self.array(stated.start).vector(), self.array(stated.stop).vector()
        if len(start) != len(stop):
            raise RawFileError(f"{self.tree.path}: intervals {name!r}: {len(start)} starts and {len(stop)} stops")
        columns = {key: self._values(path, len(start), key) for key, path in stated.columns.items()}
        if stated.label is not None:
            columns["label"] = [str(entry) for entry in self._values(stated.label, len(start), "label")]
        return make_intervals(start * scale, stop * scale, **columns)


def _pick(array: Array, axes: tuple[int, ...], orientation: str | None, n_times: int | None) -> tuple[int, str]:
    if orientation is not None:
        return axes[-1 if orientation == "channel_first" else 0], "the map"
    fits = [axis for axis in axes if array.shape[axis] == n_times]
    if len(fits) == 1:
        return fits[0], "length of the times"
    return max(axes, key=lambda axis: array.shape[axis]), "the longest dimension (assumed)"


def _texts(tree: Tree, path: str, start: Node | None, node: Node | None = None) -> list[str]:
    """The entries of a variable as text."""
    node = unwrap(node if node is not None else find_variable(tree, path, start))
    if isinstance(node, Text):
        return [row.strip() for row in node.rows]
    if isinstance(node, Cells) and all(isinstance(unwrap(item), Text) for item in node.items):
        return [" ".join(_texts(tree, path, None, item)).strip() for item in node.items]
    array = find_array(tree, path, start) if not isinstance(node, Array) else node
    return [f"{value:g}" for value in array.vector()]
