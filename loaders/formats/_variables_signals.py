"""Signals from the variables of a file: matrices with a time axis, vectors of its length, cells of equal traces."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from neurodata.recording.timed import make_signal

from ._calcium_names import name_channels
from ._matlab_v5 import make_array
from ._variables_axes import Axes, Orienter
from ._variables_clock import repeat_clock
from ._variables_inventory import Inventory
from ._variables_names import (
    is_behavior_name,
    is_channel_name,
    is_event_name,
    is_label_name,
    is_neural_name,
    is_place_name,
    is_stimulus_name,
    is_unit_name,
    last_name,
    name_of,
    units_of,
)  # fmt: skip
from ._variables_tree import Array, lay_out

_FEWEST_SAMPLES = 20


@dataclass
class Signals:
    """What was made so far."""

    found: Inventory
    orienter: Orienter
    rate_hz: float | None = None
    made: dict[str, xr.DataArray] = field(default_factory=dict)
    trials: dict[str, xr.Dataset] = field(default_factory=dict)
    neural_paths: list[str] = field(default_factory=list)
    has_counts: bool = False
    names: set[str] = field(default_factory=set)
    species: str = ""

    def add(self, array: Array, axes: Axes, *, first: bool) -> None:
        """Make one signal of a variable."""
        length = array.shape[axes.time]
        n_channels = math.prod(array.shape[axis] for axis in axes.channels)
        role = role_of(array.path, n_channels, first=first)
        name = name_of(array.path, self.names)
        clock, attributes = self.clock_for(array.path, length)
        if axes.trial is not None:
            clock, more, table = repeat_clock(clock, length, array.shape[axes.trial])
            attributes |= more
            if table is not None:
                self.trials[name] = table
        counts = array.dtype.kind in "iub"
        if role == "neural":
            self.neural_paths.append(array.path)
            self.has_counts |= array.dtype == np.uint8 and n_channels > 1
        self.made[name] = make_signal(
            lay_out(array, axes.time, axes.channels, axes.trial),
            channel_id=self._channel_ids(name, role, n_channels),
            units=units_of(array.path, counts=counts),
            role=role,
            variable=array.path,
            orientation_source=axes.source,
            **attributes,
            **clock,
        )
        self.found.used.add(array.path)

    def _channel_ids(self, name: str, role: str, n_channels: int) -> list[str]:
        width = len(str(max(n_channels - 1, 0)))
        base = "n" if role == "neural" and n_channels > 1 else f"{name}_"
        return [f"{base}{i:0{width}d}" for i in range(n_channels)] if n_channels > 1 else [name]

    def clock_for(self, path: str, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments of `make_signal` for the time of a variable, and attributes that say where it is from."""
        times = self.found.times_of(path, length)
        edges = self.found.times_of(path, length + 1) if times is None else None
        if edges is not None and "edge" in last_name(edges.path).lower() and edges.clock:
            self.found.used.add(edges.path)
            clock = {key: value[:-1] if key == "time" else value for key, value in edges.clock.items()}
            return clock, {"sampling_rate_source": f"{edges.source}, edges of bins"}
        if times is not None:
            self.found.used.add(times.path)
            if times.assumed and times.assumed not in self.found.notes:
                self.found.notes.append(times.assumed)
            if times.clock:
                return dict(times.clock), {"sampling_rate_source": times.source}
        if self.rate_hz is not None:
            return {"rate_hz": self.rate_hz}, {"sampling_rate_source": "option rate_hz"}
        rate = self.found.rate_at(path)
        if rate is not None:
            self.found.used.add(rate[0])
            return {"rate_hz": rate[1]}, {"sampling_rate_source": f"variable {rate[0]}"}
        return {}, {}


def role_of(path: str, n_channels: int, *, first: bool) -> str:
    """Return the role that a variable's name suggests; a wide matrix without one is neural."""
    name = last_name(path).lower()
    if is_neural_name(path) and not re.search(r"^(ts|x|d)$", name):
        return "neural"
    if is_stimulus_name(path):
        return "stimulus"
    if is_behavior_name(path) or (n_channels < 4 and any(map(is_behavior_name, path.split(".")))):
        return "behavior"
    return "neural" if first or n_channels >= 4 or is_neural_name(path) else "behavior"


def make_signals(found: Inventory, *, rate_hz: float | None, orientation: str) -> Signals:
    """Make every signal that a file's matrices, vectors and cells of traces hold."""
    signals = Signals(found, Orienter(found, orientation), rate_hz)
    matrices = sorted(found.matrices, key=lambda array: -array.size)
    _stack_traces(found, matrices)
    first = True
    for array in matrices:
        axes = signals.orienter.find(array, largest=first and not _is_table(array))
        if axes is not None and not _is_per_channel(signals, array, axes):
            signals.orienter.lengths.setdefault(array.shape[axes.time], f"dimension of {array.path}")
            if axes.trial is not None:
                shape = (array.shape[axes.trial], array.shape[axes.time])
                signals.orienter.trials.setdefault(shape, f"trials and samples of {array.path}")
            signals.add(array, axes, first=first)
            first = False
    _seed_lengths(signals)
    for vector in found.vectors:
        if vector.size in signals.orienter.lengths and not _is_taken(signals, vector) and not _is_code(signals, vector):
            (axis,) = vector.long_axes
            first = not signals.neural_paths
            source = signals.orienter.lengths[vector.size]
            signals.add(vector, Axes(axis, (), None, source), first=first and is_neural_name(vector.path))
    return signals


def _is_table(array: Array) -> bool:
    """A matrix of a few columns, whose longest dimension may as well count events."""
    return min(array.shape[axis] for axis in array.long_axes) <= 2 and is_event_name(array.path)


def _is_per_channel(signals: Signals, array: Array, axes: Axes) -> bool:
    """Facts about channels: their positions, for example."""
    counts = {signal.sizes["channel"] for signal in signals.made.values() if signal.sizes["channel"] > 1}
    if is_channel_name(array.path):
        return any(array.shape[axis] in counts for axis in array.long_axes)
    sampled = {signal.sizes["time"] for signal in signals.made.values()} | {t.length for t in signals.found.times}
    return array.shape[axes.time] in counts - sampled and not is_behavior_name(array.path)


def _is_taken(signals: Signals, vector: Array) -> bool:
    times = {entry.path for entry in signals.found.times}
    counts = {signal.sizes["channel"] for signal in signals.made.values()}
    sampled = {length for _, length in signals.orienter.trials} | {entry.length for entry in signals.found.times}
    per_trial = vector.size in {n_trials for n_trials, _ in signals.orienter.trials} - sampled
    return vector.path in times or per_trial or (vector.size in counts and is_channel_name(vector.path))


def _is_code(signals: Signals, vector: Array) -> bool:
    """Numbers of units beside spike times, which are no samples."""
    sampled = {signal.sizes["time"] for signal in signals.made.values()}
    return is_unit_name(vector.path) and vector.dtype.kind in "iu" and vector.size not in sampled


def _stack_traces(found: Inventory, matrices: list[Array]) -> None:
    """Cells of one trace each, all of one length, as a matrix ``(time, cell)``."""
    for cells in list(found.cells):
        items = [item for item in cells.items if isinstance(item, Array)]
        lengths = {item.size for item in items}
        if len(items) < len(cells.items) or len(lengths) != 1 or not _are_traces(items):
            continue
        stacked = make_array(np.stack([item.values().ravel(order="F") for item in items], axis=1), cells.path)
        found.cells.remove(cells)
        found.matrices.append(stacked)
        matrices.insert(0, stacked)
        matrices.sort(key=lambda array: -array.size)


def _are_traces(items: list[Array]) -> bool:
    """Vectors that go up and down, long enough to be samples; sorted ones are times."""
    if any(len(item.long_axes) != 1 or item.size < _FEWEST_SAMPLES or item.dtype.kind not in "biuf" for item in items):
        return False
    return any((np.diff(item.vector()) < 0).any() for item in items[:20])


def _seed_lengths(signals: Signals) -> None:
    """Lengths of vectors with a rate beside them; without any matrix or times also of neural names, or of any rate."""
    alone = not signals.orienter.lengths
    for vector in signals.found.vectors:
        rate = signals.found.rate_at(vector.path)
        scope = vector.path.rpartition(".")[0]
        known = rate is not None and scope != "" and rate[0].rpartition(".")[0] == scope
        if alone:
            known = known or is_neural_name(vector.path) or signals.rate_hz is not None or rate is not None
        if vector.size >= _FEWEST_SAMPLES and known and not is_channel_name(vector.path):
            values = vector.vector()
            if not is_event_name(vector.path) or (np.diff(values[np.isfinite(values)]) < 0).any():
                signals.orienter.lengths.setdefault(vector.size, f"length of {vector.path}")


def add_channel_columns(signals: Signals) -> None:
    """Give neural signals the vectors and texts of one entry per channel: labels, quality, positions."""
    neural = [name for name, signal in signals.made.items() if signal.attrs["role"] == "neural"]
    gone = set(signals.found.used)
    for name in neural:
        signal = signals.made[name]
        columns: dict[str, Any] = {}
        n_channels = signal.sizes["channel"]
        if n_channels < 2:
            continue
        for text in signals.found.texts:
            if len(text.rows) == n_channels:
                label = "label" if is_label_name(text.path) and "label" not in columns else ""
                columns[label or name_of(last_name(text.path), {name, "channel_id", *columns})] = [
                    row.strip() for row in text.rows
                ]
                signals.found.used.add(text.path)
        if "label" in columns:
            named = name_channels(columns["label"], signals.found.tree.path.name)
            columns |= named.columns if named.species else {}
            signals.species = signals.species or named.species
        for array in [*signals.found.vectors, *signals.found.matrices]:
            if array.path in gone:
                continue
            columns |= _columns_of(signals, array, n_channels, {name, "channel_id", *columns})
        signals.made[name] = signal.assign_coords(
            {key: ("channel", np.asarray(value)) for key, value in columns.items()}
        )


def _columns_of(signals: Signals, array: Array, n_channels: int, taken: set[str]) -> dict[str, Any]:
    if array.size in signals.orienter.lengths or _made_from(signals, array) or array.dtype.itemsize > 8:
        return {}
    if signals.trials and "trial" in last_name(array.path).lower():
        return {}
    values = array.values() if array.size <= 64 * n_channels else None
    if values is not None and array.size == n_channels and len(array.long_axes) == 1:
        signals.found.used.add(array.path)
        return {name_of(last_name(array.path), taken): _column(values.ravel(order="F"))}
    if values is None or len(array.long_axes) != 2:
        return {}
    table = values.reshape([array.shape[axis] for axis in array.long_axes])
    table = table if table.shape[0] == n_channels else table.T
    if table.shape[0] != n_channels or table.shape[1] not in (2, 3):
        return {}
    signals.found.used.add(array.path)
    base = last_name(array.path)
    names = "xyz" if is_place_name(array.path) else [name_of(f"{base}_{i}", taken) for i in range(table.shape[1])]
    return {name: _column(table[:, i]) for i, name in enumerate(names[: table.shape[1]])}


def _column(values: Any) -> Any:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _made_from(signals: Signals, array: Array) -> bool:
    return any(signal.attrs.get("variable") == array.path for signal in signals.made.values())
