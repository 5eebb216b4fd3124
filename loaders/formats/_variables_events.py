"""Spikes, events and intervals from the variables of a file: sorted vectors, cells of them, starts with stops."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.recording.timed import clock_of, make_events, make_intervals, make_units

from ._variables_inventory import Inventory, take_columns
from ._variables_names import (
    is_event_name,
    is_spike_name,
    is_time_name,
    is_train_name,
    is_unit_name,
    last_name,
    name_of,
    unit_of,
    words,
)  # fmt: skip
from ._variables_tree import Array, Cells, Opaque, Text

_START = re.compile(
    r"^(.*?)[_.]?(starts?|onsets?|begins?|starttimes?|start_times?|t_?start|(?<=[a-z])on)$", re.IGNORECASE
)
_STOPS = (("start", "stop"), ("start", "end"), ("onset", "offset"), ("begin", "end"), ("on", "off"))
_UNITS = ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-4, "ten-thousandths of a second"), (1e-6, "microseconds"))


@dataclass
class Moments:
    """What was made so far, and what it is held against: the stretch that the signals cover."""

    found: Inventory
    stop: float | None = None
    rate: float | None = None
    n_samples: int | None = None
    events: dict[str, xr.Dataset] = field(default_factory=dict)
    intervals: dict[str, xr.Dataset] = field(default_factory=dict)
    units: xr.Dataset | None = None
    names: set[str] = field(default_factory=set)

    def to_seconds(self, path: str, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
        """Return times in seconds, and where their unit is from.

        A unit in the name counts first; else the times are held against the stretch that the signals cover.
        """
        stated = unit_of(path)
        if stated is not None:
            return values * stated, "the variable's name"
        largest = float(values.max()) if len(values) else 0.0
        whole = bool((values == np.round(values)).all())
        counted = bool({"frame", "frames", "sample", "samples", "ind", "inds", "index", "idx"} & words(path))
        if whole and counted and self.rate is not None:
            return values / self.rate, f"samples at {self.rate:g} Hz"
        if self.stop is None or not len(values):
            return values, "seconds (assumed: the file does not say)"
        if whole and self.rate and self.n_samples and self.stop * 1.05 + 1 < largest <= self.n_samples + 1:
            self.found.notes.append(f"{path} is taken for sample numbers: it runs to {largest:g} of {self.n_samples}")
            return values / self.rate, f"samples at {self.rate:g} Hz (inferred)"
        for scale, what in _UNITS:
            # Seconds that run on after the signals are likelier than units by which all is over at their very start.
            if largest * scale <= self.stop * 1.05 + 1 and (scale == 1.0 or largest * scale * largest >= self.stop**2):
                if scale != 1.0:
                    self.found.notes.append(
                        f"{path} is taken for {what}: it runs to {largest:g}, the recording to {self.stop:g} s"
                    )
                return values * scale, f"{what} (inferred: they fit the signals)"
        return values, "seconds (assumed: they fit no unit)"


def sorted_times(array: Any, *, strictly: bool = False) -> NDArray[np.float64] | None:
    """Return a vector without its NaN padding where it is sorted and not negative, None where it is no such vector."""
    if not isinstance(array, Array) or array.dtype.kind not in "iuf" or len(array.long_axes) > 1:
        return None
    values = array.vector()
    values = values[~np.isnan(values)]
    steps = np.diff(values)
    if not np.isfinite(values).all() or (steps < 0).any() or (strictly and (steps == 0).any()):
        return None
    return values


def add_moments(moments: Moments) -> None:
    """Make spikes, events and intervals of what no signal took."""
    found = moments.found
    for cells in found.cells:
        if cells.path not in found.used:
            _add_trains(moments, cells)
    _add_labelled_spikes(moments)
    _add_intervals(moments)
    for vector in found.vectors:
        if vector.path in found.used or not (is_event_name(vector.path) or is_time_name(vector.path)):
            continue
        values = sorted_times(vector)
        if values is None or (np.diff(values) == 0).all() or (len(values) < 3 and not is_time_name(vector.path)):
            continue
        times, source = moments.to_seconds(vector.path, values)
        name = name_of(vector.path, moments.names)
        attributes = {"variable": vector.path, "time_unit_source": source}
        if is_spike_name(vector.path) and moments.units is None:
            moments.units = make_units([last_name(vector.path)])
            moments.events["spikes"] = make_events(times, unit=np.zeros(len(times), np.int32), attributes=attributes)
        else:
            moments.events[name] = make_events(times, attributes=attributes, **_facts(found, vector))
        found.used.add(vector.path)


def _facts(found: Inventory, times: Array) -> dict[str, Any]:
    """Vectors and texts beside times that are as long and share a word with them: codes, labels, amplitudes."""
    scope, own = times.path.rpartition(".")[0], words(times.path)
    facts: dict[str, Any] = {}
    others: list[Array | Text] = [*found.vectors, *found.texts]
    for other in others:
        length = other.size if isinstance(other, Array) else len(other.rows)
        alike = other.path.rpartition(".")[0] == scope and bool(
            {word.rstrip("s") for word in words(other.path)} & {word.rstrip("s") for word in own}
        )
        if not alike or length != times.size or other.path in found.used or is_time_name(other.path):
            continue
        found.used.add(other.path)
        values = (
            other.values().ravel(order="F")
            if isinstance(other, Array)
            else np.array([row.strip() for row in other.rows])
        )
        facts[name_of(last_name(other.path), {"time", "unit", *facts})] = values
    return facts


def _add_trains(moments: Moments, cells: Cells) -> None:
    """Cells of sorted times, one per unit."""
    if not is_train_name(cells.path):
        return
    if sum(size > 1 for size in cells.shape) > 1 or moments.units is not None:
        return
    trains = [_train(item) for item in cells.items]
    kept = [train for train in trains if train is not None]
    if len(kept) < len(trains) or not sum(map(len, kept)):
        return
    everything, source = moments.to_seconds(cells.path, np.concatenate(kept))
    unit = np.repeat(np.arange(len(kept)), [len(train) for train in kept])
    order = np.argsort(everything, kind="stable")
    attributes = {"variable": cells.path, "time_unit_source": source}
    moments.events["spikes"] = make_events(everything[order], unit=unit[order], attributes=attributes)
    moments.found.used.add(cells.path)
    columns = take_columns(moments.found, len(kept), {"unit_id"}, cells.path.rpartition(".")[0])
    width = len(str(max(len(kept) - 1, 0)))
    moments.units = make_units([f"unit{i:0{width}d}" for i in range(len(kept))], **columns)


def _train(item: Any) -> NDArray[np.float64] | None:
    if isinstance(item, Array) and item.size == 0:
        return np.empty(0)
    if isinstance(item, Opaque) and item.kind.startswith(("nothing", "empty")):
        return np.empty(0)
    return sorted_times(item)


def _add_labelled_spikes(moments: Moments) -> None:
    """One vector of spike times with another that says which unit each is of."""
    found = moments.found
    if moments.units is not None:
        return
    for vector in found.vectors:
        values = sorted_times(vector) if vector.path not in found.used else None
        if values is None or not (is_spike_name(vector.path) or is_time_name(vector.path)):
            continue
        for other in found.vectors:
            same_place = other.path.rpartition(".")[0] == vector.path.rpartition(".")[0]
            named = is_unit_name(other.path)
            if other is vector or other.size != len(values) or not same_place or not named:
                continue
            codes = other.vector()
            if not (codes == np.round(codes)).all():
                continue
            known, unit = np.unique(codes.astype(np.int64), return_inverse=True)
            times, source = moments.to_seconds(vector.path, values)
            attributes = {"variable": vector.path, "unit_variable": other.path, "time_unit_source": source}
            moments.events["spikes"] = make_events(times, unit=unit, attributes=attributes)
            found.used.update((vector.path, other.path))
            columns = take_columns(found, len(known), {"unit_id"}, vector.path.rpartition(".")[0])
            moments.units = make_units([str(code) for code in known], **columns)
            return


def _add_intervals(moments: Moments) -> None:
    found = moments.found
    edges = [
        *found.vectors,
        *(scalar for scalar in found.scalars if last_name(scalar.path) in ("start", "end", "stop")),
    ]
    by_path = {vector.path: vector for vector in edges if vector.path not in found.used}
    for path, start in list(by_path.items()):
        stop = _partner(path, by_path)
        if stop is None or start.size != stop.size:
            continue
        first, last = start.vector(), stop.vector()
        if not (np.isfinite(first).all() and np.isfinite(last).all() and (last >= first).all()):
            continue
        both, source = moments.to_seconds(stop.path, np.concatenate([first, last]))
        scope = path.rpartition(".")[0]
        prefix = re.sub(_START, r"\1", last_name(path)).strip("_.") or last_name(scope) or "epochs"
        found.used.update((path, stop.path))
        columns = take_columns(found, start.size, {"start", "stop"}, scope)
        name = name_of(prefix, moments.names)
        attributes = {"variable": path, "stop_variable": stop.path, "time_unit_source": source}
        moments.intervals[name] = make_intervals(
            both[: len(first)], both[len(first) :], attributes=attributes, **columns
        )


def _partner(path: str, known: dict[str, Array]) -> Array | None:
    own = last_name(path)
    for start, stop in _STOPS:
        for change in (str.lower, str.capitalize, str.upper):
            if change(start) in own and (start != "on" or own.endswith((change(start), change(start) + "s"))):
                place = own.rindex(change(start))
                other = own[:place] + change(stop) + own[place + len(start) :]
                if path[: len(path) - len(own)] + other in known:
                    return known[path[: len(path) - len(own)] + other]
    return None


def span_of(signals: dict[str, xr.DataArray]) -> tuple[float | None, float | None, int | None]:
    """Return end in seconds, rate in Hz and number of samples of the signal that reaches furthest."""
    best: tuple[float | None, float | None, int | None] = (None, None, None)
    for signal in signals.values():
        clock = clock_of(signal)
        if clock is None:
            stop, rate = float(signal["time"][-1]), None
        elif clock.unit == "seconds":
            stop, rate = clock.time(clock.size - 1) + 1 / clock.rate_hz, clock.rate_hz
        else:
            continue
        if best[0] is None or stop > best[0]:
            best = (stop, rate, signal.sizes["time"])
    return best
