"""Windows around trials and events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from neurodata import names
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.store.store import Store
from neurodata.windows.select import Windows, first_samples, whole_samples
from neurodata.windows.splits import Stretch


@dataclass(frozen=True, eq=False)
class LockedWindows:
    """Windows that each belong to a trial or event, and what became of the others.

    Parameters
    ----------
    windows
        One window per row of ``table``, in its order.
    table
        One row per window: ``recording_id``, ``row`` (of the recording's interval or event table), ``time`` (seconds of
        the moment it is locked to), ``shift_seconds`` (the window's first sample less moment and offset: at most half a
        sample to either side), ``stretch`` (position in the stretches given) and ``label`` (``""``: has none).
    dropped
        Why moments have no window → how many: ``time is missing``, ``outside every stretch``, ``reaches out of its
        stretch``.
    """

    windows: Windows
    table: pd.DataFrame
    dropped: Mapping[str, int]

    @property
    def labels(self) -> NDArray[Any]:
        """Label of each window, ``(window,)``, for `neurodata.batches.groups.group_windows`."""
        return self.table[names.LABEL].to_numpy(dtype=np.str_)

    def __len__(self) -> int:
        return len(self.table)


NO_TIME, OUTSIDE, REACHES_OUT = "time is missing", "outside every stretch", "reaches out of its stretch"


def make_trial_windows(
    recordings: Iterable[Recording],
    stretches: Sequence[Stretch],
    *,
    intervals: str,
    rate_hz: float,
    window_seconds: float,
    offset_seconds: float = 0.0,
    edge: str = names.START,
    where: Mapping[str, Any] | None = None,
    label: str = names.LABEL,
) -> LockedWindows:
    """Return one window per trial, locked to its start or stop, inside the stretches of one part of a split.

    Parameters
    ----------
    recordings
        A store, or some recordings; those without a stretch are passed over, unopened where they are a store's.
    stretches
        One part of a split. A trial belongs to the stretch that its moment lies in, and its window is kept where it
        lies in that stretch wholly, so what the leakage guard promises of the stretches holds for the windows.
    intervals
        Name of the table of trials.
    rate_hz
        Rate of the windows' clock; sample ``k`` is taken at ``k / rate_hz``.
    window_seconds
        Length of a window.
    offset_seconds
        From the moment to the window's start, negative for before. The window begins with the sample nearest to moment
        and offset; where two are equally near, with the later one.
    edge
        ``start`` or ``stop`` of a trial.
    where
        Column → value or values: which rows of the table are taken.
    label
        Column that says what a trial was; windows have no labels where the table lacks it.

    Raises
    ------
    NeurodataError
        If the table is missing somewhere, a recording of a stretch was not given, the window is not a whole number of
        samples, or no trial fits; says why they do not.
    """
    check_option("edge of an interval", edge, (names.START, names.STOP))
    lock = _Lock(names.INTERVALS, intervals, edge, rate_hz, window_seconds, offset_seconds, dict(where or {}), label)
    return lock.windows(recordings, stretches)


def make_event_windows(
    recordings: Iterable[Recording],
    stretches: Sequence[Stretch],
    *,
    events: str,
    rate_hz: float,
    window_seconds: float,
    offset_seconds: float = 0.0,
    where: Mapping[str, Any] | None = None,
    label: str = names.LABEL,
) -> LockedWindows:
    """Return one window per event, inside the stretches of one part of a split; see `make_trial_windows`.

    Parameters
    ----------
    recordings, stretches, rate_hz, window_seconds, offset_seconds, where, label
        As for `make_trial_windows`.
    events
        Name of the table of events.
    """
    lock = _Lock(names.EVENTS, events, names.TIME, rate_hz, window_seconds, offset_seconds, dict(where or {}), label)
    return lock.windows(recordings, stretches)


@dataclass(frozen=True)
class _Found:
    """Windows of one recording: first samples, and how far they could be shifted, each ``(window,)``."""

    recording_id: str
    first: NDArray[np.int64]
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    table: pd.DataFrame


@dataclass(frozen=True)
class _Lock:
    """What windows are locked to."""

    group: str
    name: str
    column: str
    rate_hz: float
    window_seconds: float
    offset_seconds: float
    where: Mapping[str, Any]
    label: str

    def windows(self, recordings: Iterable[Recording], stretches: Sequence[Stretch]) -> LockedWindows:
        check_positive("rate_hz", self.rate_hz)
        check_positive("window_seconds", self.window_seconds)
        length = whole_samples(self.window_seconds, self.rate_hz)
        if not np.isfinite(self.offset_seconds):
            raise NeurodataError(f"offset_seconds must be a finite number, got {self.offset_seconds!r}")
        own: dict[str, list[int]] = {}
        for number, stretch in enumerate(stretches):
            own.setdefault(stretch.recording_id, []).append(number)
        dropped = dict.fromkeys((NO_TIME, OUTSIDE, REACHES_OUT), 0)
        found = {
            recording.recording_id: self._of(recording, stretches, own[recording.recording_id], length, dropped)
            for recording in _among(recordings, own)
        }
        lacking = [recording_id for recording_id in own if recording_id not in found]
        if lacking:
            raise NeurodataError(
                f"{len(lacking)} recordings that have stretches were not given, for example {lacking[0]}"
            )
        # In the stretches' order, whatever order the recordings come in.
        ordered = [found[recording_id] for recording_id in own]
        if not any(len(one.first) for one in ordered):
            raise NeurodataError(self._nothing(dropped))
        table = pd.concat([one.table for one in ordered if len(one.first)], ignore_index=True)
        return LockedWindows(_windows(tuple(own), length, ordered), table, dropped)

    def _nothing(self, dropped: Mapping[str, int]) -> str:
        what = f"{self.group}/{self.name}" + (f" with {dict(self.where)}" if self.where else "")
        reasons = ", ".join(f"{count} × {why}" for why, count in dropped.items() if count)
        return (
            f"no window of {self.window_seconds:g} s from {self.offset_seconds:g} s on fits around {self.column} of "
            f"{what}: {reasons or 'there is no such row'}"
        )

    def _of(
        self,
        recording: Recording,
        stretches: Sequence[Stretch],
        own: Sequence[int],
        length: int,
        dropped: dict[str, int],
    ) -> _Found:
        row, times, labels = self._rows(recording)
        known = np.isfinite(times)
        dropped[NO_TIME] += int((~known).sum())
        row, times, labels = row[known], times[known], labels[known]
        begin, end = first_samples([stretches[number] for number in own], self.rate_hz)
        inside = _stretch_of(times, [stretches[n].start for n in own], [stretches[n].stop for n in own])
        first = np.floor((times + self.offset_seconds) * self.rate_hz + 0.5 + 1e-9)  # half way: the later one
        fits = (inside >= 0) & (first >= begin[inside]) & (first + length <= end[inside])
        dropped[OUTSIDE] += int((inside < 0).sum())
        dropped[REACHES_OUT] += int(((inside >= 0) & ~fits).sum())
        times, inside, first = times[fits], inside[fits], first[fits].astype(np.int64)
        columns = {
            "recording_id": recording.recording_id,
            "row": row[fits],
            "time": times,
            "shift_seconds": first / self.rate_hz - (times + self.offset_seconds),
            "stretch": np.asarray(own, np.int64)[inside],
            names.LABEL: labels[fits],
        }
        return _Found(recording.recording_id, first, begin[inside], end[inside] - length, pd.DataFrame(columns))

    def _rows(self, recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[Any]]:
        """Rows that are asked for, their moments and labels, each ``(row,)``."""
        what = f"{self.group}/{self.name} of {recording.recording_id}"
        members = getattr(recording, self.group)
        check_option(f"table among the {self.group} of {recording.recording_id}", self.name, members)
        table = members[self.name]
        kept = np.ones(table[self.column].shape, np.bool_)
        for column, wanted in self.where.items():
            check_option(f"column of {what}", column, map(str, table.variables))
            kept &= np.isin(np.asarray(table[column].values), np.atleast_1d(np.asarray(wanted)))
        row = np.flatnonzero(kept)
        times = np.asarray(table[self.column].values, np.float64)[row]
        if self.label not in table.variables:
            return row, times, np.full(len(row), "")
        return row, times, np.asarray(table[self.label].values)[row].astype(np.str_)


def _among(recordings: Iterable[Recording], wanted: Mapping[str, Any]) -> Iterator[Recording]:
    """The recordings that are wanted; of a store, only these are opened."""
    if isinstance(recordings, Store):
        known = set(recordings.recording_ids)
        return (recordings[recording_id] for recording_id in wanted if recording_id in known)
    return (recording for recording in recordings if recording.recording_id in wanted)


def _stretch_of(times: NDArray[np.float64], start: ArrayLike, stop: ArrayLike) -> NDArray[np.int64]:
    """The first stretch, in time, that holds each moment, -1 where none does."""
    low, high = np.asarray(start, np.float64), np.asarray(stop, np.float64)
    order = np.argsort(low, kind="stable")
    if np.all(low[order][1:] >= high[order][:-1]):  # apart, as a split's are: one search for all
        place = np.searchsorted(low[order], times, side="right") - 1
        found = order[np.maximum(place, 0)]
        return np.where((place >= 0) & (times < high[found]), found, -1)
    found = np.full(len(times), -1, np.int64)
    for number in order[::-1].tolist():
        found[(times >= low[number]) & (times < high[number])] = number
    return found


def _windows(recording_ids: tuple[str, ...], length: int, found: Sequence[_Found]) -> Windows:
    number = {recording_id: number for number, recording_id in enumerate(recording_ids)}
    recording = np.repeat([number[one.recording_id] for one in found], [len(one.first) for one in found])
    first, lowest, highest = (
        np.concatenate([getattr(one, part) for one in found]) for part in ("first", "lowest", "highest")
    )
    one_each = np.ones(len(first), np.int64)
    return Windows(recording_ids, length, recording.astype(np.int32), first, one_each, one_each, first, lowest, highest)
