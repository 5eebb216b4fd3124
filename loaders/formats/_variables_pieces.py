"""Cells of matrices, one per trial: pieces of one signal (FieldTrip's ``trial`` with its ``time``, for example)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.recording.lazy import lazy_rows
from neurodata.recording.timed import make_intervals, make_signal

from ._variables_names import name_of, units_of
from ._variables_signals import Signals, role_of
from ._variables_tree import Array, Cells, stored_dtype


@dataclass(frozen=True)
class _Pieces:
    """Matrices that share their channels; ``time`` says which of two dimensions is time."""

    cells: Cells
    items: tuple[Array, ...]
    time: int
    times: tuple[NDArray[np.float64], ...] | None
    times_path: str = ""

    @property
    def lengths(self) -> list[int]:
        return [item.shape[self.time] for item in self.items]


def add_pieces(signals: Signals) -> None:
    """Make one signal of each cell array whose elements are matrices of the same channels."""
    for cells in list(signals.found.cells):
        pieces = _find_pieces(signals, cells)
        if pieces is not None:
            _add(signals, pieces)


def _find_pieces(signals: Signals, cells: Cells) -> _Pieces | None:
    items = tuple(item for item in cells.items if isinstance(item, Array) and item.dtype.kind in "biuf" and item.size)
    if len(items) < max(2, len(cells.items)) or any(len(item.shape) != 2 for item in items):
        return None
    if all(1 in item.shape for item in items):
        return None
    times = _times_of(signals, cells, items)
    if times is not None:
        axis, partner, values = times
        return _Pieces(cells, items, axis, values, partner.path)
    shapes = [{item.shape[axis] for item in items} for axis in (0, 1)]
    if min(map(len, shapes)) > 1:
        return None
    if len(shapes[0]) == len(shapes[1]):
        rows, columns = items[0].shape
        return _Pieces(cells, items, int(columns > rows), None) if rows != columns else None
    return _Pieces(cells, items, int(len(shapes[1]) > 1), None)


def _times_of(
    signals: Signals, cells: Cells, items: tuple[Array, ...]
) -> tuple[int, Cells, tuple[NDArray[np.float64], ...]] | None:
    """The cells of times, one vector per piece, and the dimension that they are as long as."""
    for other in signals.found.cells:
        vectors = [item for item in other.items if isinstance(item, Array) and len(item.long_axes) <= 1]
        if other is cells or len(vectors) != len(items) or len(other.items) != len(items):
            continue
        for axis in (1, 0):
            fits = all(vector.size == item.shape[axis] for vector, item in zip(vectors, items))
            if fits and len({item.shape[1 - axis] for item in items}) == 1:
                values = tuple(vector.vector() for vector in vectors)
                if all((np.diff(value) > 0).all() and np.isfinite(value).all() for value in values):
                    return axis, other, values
    return None


def _add(signals: Signals, pieces: _Pieces) -> None:
    found = signals.found
    name = name_of(pieces.cells.path, signals.names)
    n_channels = pieces.items[0].shape[1 - pieces.time]
    clock, attributes = _clock(signals, pieces, name)
    role = role_of(pieces.cells.path, n_channels, first=not signals.neural_paths)
    if role == "neural":
        signals.neural_paths.append(pieces.cells.path)
    dtype = np.result_type(*[stored_dtype(item.dtype) for item in pieces.items])
    width = len(str(max(n_channels - 1, 0)))
    base = "n" if role == "neural" else f"{name}_"
    signals.made[name] = make_signal(
        _lay_out(pieces, dtype, n_channels),
        channel_id=[f"{base}{i:0{width}d}" for i in range(n_channels)],
        units=units_of(pieces.cells.path, counts=dtype.kind in "iu"),
        role=role,
        variable=pieces.cells.path,
        **attributes,
        **clock,
    )
    found.used.add(pieces.cells.path)
    if pieces.times_path:
        found.used.add(pieces.times_path)


def _lay_out(pieces: _Pieces, dtype: np.dtype[Any], n_channels: int) -> Any:
    edges = np.r_[0, np.cumsum(pieces.lengths)]

    def read(first: int, after: int) -> NDArray[Any]:
        blocks = []
        for i in range(int(np.searchsorted(edges, first, "right")) - 1, len(pieces.items)):
            if edges[i] >= after:
                break
            rows = slice(max(first - int(edges[i]), 0), min(after, int(edges[i + 1])) - int(edges[i]))
            key = (rows, slice(None)) if pieces.time == 0 else (slice(None), rows)
            values = pieces.items[i].read(key)
            blocks.append((values if pieces.time == 0 else values.T).astype(dtype, copy=False))
        return np.concatenate(blocks)

    return lazy_rows((int(edges[-1]), n_channels), dtype, read)


def _clock(signals: Signals, pieces: _Pieces, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rate and segments of the pieces; their intervals are noted as trials."""
    lengths = np.asarray(pieces.lengths)
    attributes: dict[str, Any] = {"n_trials": len(lengths)}
    rate, source = _rate(signals, pieces)
    if rate is None:
        return {}, attributes
    attributes["sampling_rate_source"] = source
    durations = lengths / rate
    starts = _starts(signals, pieces, rate, durations)
    if starts is None:
        starts = np.r_[0.0, np.cumsum(np.ceil(durations - 1e-9) + 1.0)[:-1]]
        attributes["trial_times"] = "made: trials follow each other with gaps, the file does not say when they were"
    zeros = starts - [value[0] for value in pieces.times] if pieces.times is not None else starts
    signals.trials[name] = make_intervals(
        starts, starts + durations, trial=np.arange(len(lengths)), zero_seconds=np.asarray(zeros)
    )
    firsts = np.r_[0, np.cumsum(lengths)[:-1]]
    return {"rate_hz": rate, "segments": (starts.tolist(), firsts.tolist())}, attributes


def _rate(signals: Signals, pieces: _Pieces) -> tuple[float | None, str]:
    if signals.rate_hz is not None:
        return signals.rate_hz, "option rate_hz"
    stated = signals.found.rate_at(pieces.cells.path)
    if stated is not None:
        signals.found.used.add(stated[0])
        return stated[1], f"variable {stated[0]}"
    if pieces.times is not None:
        steps = [(value[-1] - value[0]) / (len(value) - 1) for value in pieces.times if len(value) > 1]
        if steps and max(steps) < 1.001 * min(steps):
            rate = 1.0 / steps[0]
            return (round(rate, 6) if abs(round(rate, 6) / rate - 1) < 1e-9 else rate), f"variable {pieces.times_path}"
    return None, ""


def _starts(
    signals: Signals, pieces: _Pieces, rate: float, durations: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Where the file says when its trials were: times that go on from trial to trial, or FieldTrip's sample numbers."""
    if pieces.times is not None:
        starts = np.array([value[0] for value in pieces.times])
        if (np.diff(starts) >= durations[:-1] - 1e-6).all():
            return starts
    scope = pieces.cells.path.rpartition(".")[0]
    for array in signals.found.matrices:
        if array.path.rpartition(".")[2] == "sampleinfo" and array.path.rpartition(".")[0] == scope:
            starts = (np.asarray(array.values()[:, 0], np.float64) - 1) / rate  # samples count from 1
            if len(starts) == len(durations) and (np.diff(starts) >= durations[:-1] - 1e-6).all():
                signals.found.used.add(array.path)
                return starts
    return None
