"""The guard that what is learned from and what is scored stay apart."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurodata.checks import check_positive
from neurodata.errors import LeakageError, NeurodataError

if TYPE_CHECKING:
    from neurodata.windows.splits import Split, Stretch

_MOST_LISTED = 100
"""Leaks that are written out in a message."""

_ROUNDING = 1e-9
"""Seconds by which a gap may fall short of the reach."""


def check_leakage(split: Split, window_seconds: float, lag_seconds: float = 0.0) -> None:
    """Raise where a window of one part could share time, or an animal, with another part.

    Parameters
    ----------
    split
        What is to be checked.
    window_seconds
        Length of a window.
    lag_seconds
        How far beyond its window a model or its target looks.

    Raises
    ------
    LeakageError
        If stretches of two parts are closer than ``window_seconds + lag_seconds`` in one recording; if a subject
        split has one animal on both sides; or if the same data stand on both sides under two names.
    """
    check_positive("window_seconds", window_seconds)
    if not lag_seconds >= 0:
        raise NeurodataError(f"lag_seconds must be 0 or more, got {lag_seconds!r}")
    pairs = itertools.combinations(split.parts, 2)
    leaks = (
        _close_stretches(split, one, other, window_seconds + lag_seconds) + _shared_keys(split, one, other)
        for one, other in pairs
    )
    problems = [problem for found in leaks for problem in found]
    if len(problems) > _MOST_LISTED:
        problems[_MOST_LISTED:] = [f"and {len(problems) - _MOST_LISTED} more"]
    if problems:
        raise LeakageError(
            "the split leaks, so its scores could not be believed:\n" + "\n".join(f"  - {p}" for p in problems)
        )


def _close_stretches(split: Split, one: str, other: str, reach: float) -> list[str]:
    """Only stretches of one recording are compared, and of those only the ones that start before a stretch's reach ends."""
    others: dict[str, list[Stretch]] = {}
    for stretch in split.parts[other]:
        others.setdefault(stretch.recording_id, []).append(stretch)
    ordered = {recording_id: Neighbours(found) for recording_id, found in others.items()}
    problems = []
    for a in split.parts[one]:
        near = ordered[a.recording_id].near(a.start, a.stop, reach) if a.recording_id in ordered else ()
        for b in near:
            gap = seconds_between(a, b)
            if gap < reach - _ROUNDING:
                problems.append(
                    f"{a.recording_id}: {one} [{a.start:g}, {a.stop:g}) s and {other} [{b.start:g}, {b.stop:g}) s are "
                    f"{max(gap, 0):g} s apart, windows reach {reach:g} s; take guard_seconds={reach:g} or more"
                )
    return problems


def seconds_between(a: Stretch, b: Stretch) -> float:
    """Return the gap between two stretches of a recording; below 0 where they overlap."""
    return max(a.start, b.start) - min(a.stop, b.stop)


class Neighbours:
    """Stretches of one recording by their start, so that those near a given one are found without looking at all.

    Parameters
    ----------
    stretches
        In any order; they may overlap.
    """

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._place = np.argsort([s.start for s in stretches], kind="stable")
        self._stretches = stretches
        self._starts = np.asarray([s.start for s in stretches])[self._place]
        self._ends = np.maximum.accumulate(np.asarray([s.stop for s in stretches])[self._place])

    def near(self, start: float, stop: float, reach: float) -> list[Stretch]:
        """Return every stretch within reach, and perhaps some that are not, in the order in which they were given."""
        reach += 1e-6 * (1.0 + abs(start) + abs(stop) + reach)  # sums round, and none may be missed for it
        first = np.searchsorted(self._ends, start - reach)
        last = np.searchsorted(self._starts, stop + reach, side="right")
        return [self._stretches[place] for place in sorted(self._place[first:last].tolist())]

    def any_within(self, stretch: Stretch, reach: float) -> bool:
        """Tell whether one of them comes closer than ``reach`` to a stretch, or overlaps it."""
        found = self.near(stretch.start, stretch.stop, reach)
        return any(seconds_between(stretch, other) < max(reach - _ROUNDING, 0.0) for other in found)


def _shared_keys(split: Split, one: str, other: str) -> list[str]:
    problems = []
    sides = (split.recordings(one), split.recordings(other))
    if split.by == "subject":
        shared = set.intersection(*({split.subjects.get(r, r) for r in side} for side in sides))
        problems += [f"subject {subject!r} is in both {one} and {other}" for subject in sorted(shared)]
    copies: dict[str, list[str]] = {}
    for b in sides[1]:
        if split.contents.get(b) is not None:
            copies.setdefault(split.contents[b], []).append(b)
    for a in sides[0]:
        same = copies.get(split.contents.get(a, ""), ())
        problems += [f"{a} ({one}) and {b} ({other}) hold the same data" for b in same if a != b]
    return problems


def check_unseen(trained_on: Sequence[str], scored_on: Sequence[str], subjects: Mapping[str, str], what: str) -> None:
    """Raise where a model that is to be scored was trained on a subject it is scored on.

    Parameters
    ----------
    trained_on
        Recording ids from a checkpoint's manifest.
    scored_on
        Recording ids of the test part.
    subjects
        Recording id → subject key.
    what
        Name of the model, for the message.

    Raises
    ------
    LeakageError
        Names the subjects seen in training.
    """
    seen = {subjects.get(r, r) for r in trained_on} & {subjects.get(r, r) for r in scored_on}
    if seen:
        raise LeakageError(
            f"{what} was trained on {', '.join(sorted(seen))} and cannot be scored on it; pretrain without"
        )
