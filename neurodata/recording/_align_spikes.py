"""Events counted in bins around moments: the core of aligned spikes, on tables that may be lazy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata import names
from neurodata.recording.bins import ON_EDGE_SECONDS, events_before
from neurodata.recording.recording import Recording
from neurodata.recording.time_index import TimeIndex
from neurodata.recording.timed import VALIDITY

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]

OBSERVED = "obs_intervals"
"""Interval table of when units were watched (the word of NWB); its column ``unit`` may name the unit."""

_BLOCK_EVENTS = 4_000_000
"""Events held at a time while they are looked through: 32 MB of times."""
_BRIDGE_EVENTS = 50_000
"""Two ranges of events this close are read in one go: about one chunk of a store."""


def spans(
    first: Positions, after: Positions, bridge: int, largest: int
) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """Put ranges of rows together that are better read at once.

    Parameters
    ----------
    first, after
        Each range's first row and the one after its last, shape ``(range,)``; empty ranges are left out.
    bridge
        Rows that may lie unused between two ranges of one span.
    largest
        Rows a span may have, unless one range alone has more.

    Yields
    ------
    members, begin, end
        Positions of the ranges of a span, and the rows ``[begin, end)`` that hold them all.
    """
    order = np.argsort(first, kind="stable")
    order = order[after[order] > first[order]]
    members: list[int] = []
    begin = end = 0
    for range_ in order.tolist():
        low, high = int(first[range_]), int(after[range_])
        if members and (low > end + bridge or max(high, end) - begin > largest):
            yield np.asarray(members, np.int64), begin, end
            members = []
        if not members:
            begin, end = low, high
        members.append(range_)
        end = max(end, high)
    if members:
        yield np.asarray(members, np.int64), begin, end


def edge_positions(read_times: Callable[[int, int], Floats], n_events: int, edges: Floats) -> Positions:
    """Return how many events come before each edge.

    Parameters
    ----------
    read_times
        Given the first row and the one after the last, returns sorted times in seconds.
    n_events
        Rows of the table.
    edges
        Any shape, seconds.
    """
    positions = np.zeros(edges.shape, np.int64)
    for begin in range(0, n_events, _BLOCK_EVENTS):
        # Times are sorted, so the counts of the blocks add up to the position in the whole.
        positions += events_before(read_times(begin, min(begin + _BLOCK_EVENTS, n_events)), edges)
    return positions


def count_units(
    read_units: Callable[[int, int], NDArray[Any]], positions: Positions, column_of: Positions, n_columns: int
) -> NDArray[np.float32]:
    """Return the number of spikes per moment, bin and chosen unit.

    Parameters
    ----------
    read_units
        Given the first row and the one after the last, returns the unit of each spike.
    positions
        Row of the first spike at or after each bin edge, shape ``(event, bin + 1)``.
    column_of
        Column of each unit in the result, -1 where it is not wanted, shape ``(unit,)``.
    n_columns
        Number of chosen units.

    Returns
    -------
    counts
        Shape ``(event, bin, column)``.
    """
    n_bins = positions.shape[1] - 1
    counts = np.zeros((len(positions), n_bins, n_columns), np.float32)
    for members, begin, end in spans(positions[:, 0], positions[:, -1], _BRIDGE_EVENTS, _BLOCK_EVENTS):
        columns = column_of[np.asarray(read_units(begin, end), np.int64)]
        for event in members.tolist():
            rows = positions[event]
            column = columns[rows[0] - begin : rows[-1] - begin]
            cell = np.repeat(np.arange(n_bins), np.diff(rows)) * n_columns + column
            found = np.bincount(cell[column >= 0], minlength=n_bins * n_columns)
            counts[event] = found.reshape(n_bins, n_columns)
    return counts


def observed(recording: Recording, table: str, units: Sequence[int]) -> list[tuple[Floats, list[int]]]:
    """Return when events were watched for, units with the same stretches together.

    What is stated counts: intervals ``obs_intervals`` (of each ``unit``, where there is such a column), else intervals
    ``validity`` whose column ``signal`` names the table. Where nothing is stated a table is taken to be complete from
    the session's start (or its first event) to the recording's end (or its last event).

    Parameters
    ----------
    recording
        Where the table is from.
    table
        Name of the event table.
    units
        Rows of the units table, one per column.

    Returns
    -------
    groups
        Disjoint stretches in seconds, shape ``(stretch, 2)``, and the columns they hold for.
    """
    everyone, whole = list(range(len(units))), np.array([_extent(recording, table)])
    if OBSERVED in recording.intervals:
        stated = recording.intervals[OBSERVED]
        edges = np.column_stack([stated[names.START].values, stated[names.STOP].values])
        if names.UNIT not in stated:
            return [(_merged(edges), everyone)]
        watched = np.asarray(stated[names.UNIT].values)
        groups: dict[bytes, tuple[Floats, list[int]]] = {}
        for column, unit in enumerate(units):
            own = _merged(edges[watched == unit]) if (watched == unit).any() else whole
            groups.setdefault(own.tobytes(), (own, []))[1].append(column)
        return list(groups.values())
    if VALIDITY in recording.intervals and "signal" in recording.intervals[VALIDITY]:
        stated = recording.intervals[VALIDITY]
        own_rows = np.asarray(stated["signal"].values) == table
        if own_rows.any():
            edges = np.column_stack([stated[names.START].values, stated[names.STOP].values])
            return [(_merged(edges[own_rows]), everyone)]
    return [(whole, everyone)]


def covered(stretches: Floats, start: Floats, stop: Floats) -> NDArray[np.bool_]:
    """Tell whether each ``[start, stop)`` lies wholly in one of the disjoint, sorted stretches."""
    if not len(stretches):
        return np.zeros(start.shape, np.bool_)
    place = np.searchsorted(stretches[:, 0], start + ON_EDGE_SECONDS, side="right") - 1
    return np.asarray((place >= 0) & (stop <= stretches[place, 1] + ON_EDGE_SECONDS))


def _merged(edges: Floats) -> Floats:
    """Overlapping and touching stretches as one, sorted."""
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    if not len(edges):
        return edges
    so_far = np.maximum.accumulate(edges[:, 1])
    begins = np.flatnonzero(np.r_[True, edges[1:, 0] > so_far[:-1] + ON_EDGE_SECONDS])
    return np.column_stack([edges[begins, 0], so_far[np.r_[begins[1:] - 1, len(edges) - 1]]])


def _extent(recording: Recording, name: str) -> tuple[float, float]:
    times = recording.events[name][names.TIME]
    ends = [float(times[place].values) for place in (0, -1)] if times.size else [0.0, 0.0]
    starts = [0.0, ends[0]]
    for signal in recording.signals_stored.values():
        index = signal.xindexes.get(names.TIME)
        if isinstance(index, TimeIndex) and index.clock.unit == names.SECONDS and index.clock.size:
            starts.append(index.start)
    return min(starts), max(recording.duration_seconds, ends[1])
