"""Which stretches of which recordings are learned from, chosen on, and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurodata import names
from neurodata.checks import check_option, suggest
from neurodata.errors import LeakageError, NeurodataError
from neurodata.recording.recording import Recording
from neurodata.store.manifest import json_digest
from neurodata.store.store import Store
from neurodata.windows.leakage import Neighbours
from neurodata.windows.leakage import check_leakage as check_leakage
from neurodata.windows.leakage import check_unseen as check_unseen

_MOST_NAMED = 50
"""Names that are written out in a message."""


@dataclass(frozen=True, order=True)
class Stretch:
    """Part of a recording: ``[start, stop)`` in seconds.

    Raises
    ------
    NeurodataError
        If start and stop are not finite, or stop comes before start: no guard could tell what such a stretch touches.
    """

    recording_id: str
    start: float
    stop: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start) and np.isfinite(self.stop) and self.start <= self.stop):
            raise NeurodataError(f"{self.recording_id}: [{self.start}, {self.stop}) is no stretch of time in seconds")


@dataclass(frozen=True)
class Split:
    """Stretches for ``train``, ``validation`` and ``test``.

    Parameters
    ----------
    parts
        Part → stretches, in the order of the store.
    by
        What was kept apart: ``subject``, ``recording``, ``time``, ``trials`` or ``intervals``.
    subjects
        Recording id → subject key; the same animal under two names has one key.
    contents
        Recording id → content digest; the same data under two names has one digest.
    """

    parts: Mapping[str, tuple[Stretch, ...]]
    by: str
    subjects: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 of the parts; written into every checkpoint and result. The order of stretches does not matter."""
        parts = {
            part: [[s.recording_id, float(s.start), float(s.stop)] for s in sorted(found)]
            for part, found in self.parts.items()
        }
        return json_digest({"by": self.by, "parts": parts})

    def recordings(self, part: str) -> list[str]:
        """Return the ids of a part's recordings, each once, in order."""
        check_option("part of the split", part, self.parts)
        return list(dict.fromkeys(stretch.recording_id for stretch in self.parts[part]))


@dataclass(frozen=True)
class SplitRule:
    """How a store will be split; `apply` makes the `Split`. Made by `split_by`."""

    by: str
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fractions: Mapping[str, float] = field(default_factory=dict)
    guard_seconds: float = 0.0
    intervals: str = ""
    same_animal: tuple[tuple[str, ...], ...] = ()
    seed: int = 0

    def apply(self, store: Store) -> Split:
        """Split a store's recordings.

        Raises
        ------
        NeurodataError
            If a named subject or recording is not in the store, a duration is unknown, or a part stays empty that was
            asked for.
        """
        table = store.table
        listed = dict(zip(map(str, table["recording_id"]), map(str, table["subject"])))
        alias = _aliases(self.same_animal, set(listed.values()))
        subjects = {recording_id: alias.get(subject, subject) for recording_id, subject in listed.items()}
        contents = dict(zip(table["recording_id"], table["content_sha256"]))
        whole = {name: _whole(name, seconds) for name, seconds in zip(listed, table["duration_seconds"].tolist())}
        if self.by == "time":
            parts = self._by_time(list(whole.values()))
        elif self.by == "intervals":
            parts = self._by_intervals(store)
        elif self.by == "trials":
            parts = self._by_trials(store)
        else:
            keys = subjects if self.by == "subject" else {recording: recording for recording in whole}
            parts = self._by_key(whole, keys, listed if self.by == "subject" else keys)
        empty = [part for part in parts if not parts[part]]
        if empty:
            raise NeurodataError(f"the split leaves {' and '.join(empty)} empty; the store has {len(whole)} recordings")
        return Split(parts, self.by, subjects, contents)

    def _by_key(
        self, whole: Mapping[str, Stretch], keys: Mapping[str, str], listed: Mapping[str, str]
    ) -> dict[str, tuple[Stretch, ...]]:
        """Put each key into the part it is named for; ``listed`` gives the name a key has in the store."""
        named: dict[str, set[str]] = {}
        for recording, key in keys.items():
            for name in _names_of(key, listed[recording], recording):
                named.setdefault(name, set()).add(key)
        part_of: dict[str, str] = {}
        for part, wanted in self.chosen.items():
            for name in wanted:
                found = named.get(name, set())
                if not found:
                    known = sorted(set(listed.values()))
                    raise NeurodataError(
                        f"no {self.by} {name!r} to put into {part}; known: {_some(known)}"
                        f"{suggest(name, [*known, *(key.split('/')[-1] for key in known)])}"
                    )
                for key in found:
                    if part_of.setdefault(key, part) != part:
                        raise LeakageError(f"{self.by} {key!r} is named for both {part_of[key]} and {part}")
        parts: dict[str, list[Stretch]] = {part: [] for part in (names.TRAIN, *self.chosen)}
        for recording, stretch in whole.items():
            parts[part_of.get(keys[recording], names.TRAIN)].append(stretch)
        return {part: tuple(found) for part, found in parts.items()}

    def _by_time(self, whole: Sequence[Stretch]) -> dict[str, tuple[Stretch, ...]]:
        parts: dict[str, list[Stretch]] = {part: [] for part in self.fractions}
        for stretch in whole:
            usable = stretch.stop - stretch.start - self.guard_seconds * (len(self.fractions) - 1)
            if usable <= 0:
                raise NeurodataError(
                    f"{stretch.recording_id} lasts {stretch.stop - stretch.start:g} s, less than the guard gaps of "
                    f"{self.guard_seconds:g} s between its blocks; take a smaller guard_seconds"
                )
            start = stretch.start
            for part, fraction in self.fractions.items():
                stop = start + usable * fraction
                parts[part].append(Stretch(stretch.recording_id, start, stop))
                start = stop + self.guard_seconds
        return {part: tuple(found) for part, found in parts.items()}

    def _by_intervals(self, store: Store) -> dict[str, tuple[Stretch, ...]]:
        parts: dict[str, list[Stretch]] = {}
        for recording in store:
            for stretch, label in _labelled_stretches(recording, self.intervals):
                parts.setdefault(label, []).append(stretch)
        unknown = sorted(set(parts) - set(names.PARTS))
        if unknown:
            raise NeurodataError(
                f"intervals {self.intervals!r} are labelled {', '.join(unknown)}; expected {', '.join(names.PARTS)}"
            )
        return {part: tuple(parts[part]) for part in names.PARTS if part in parts}

    def _by_trials(self, store: Store) -> dict[str, tuple[Stretch, ...]]:
        """Deal out each recording's trials; one that comes too close to a trial that is scored is left out."""
        parts: dict[str, list[Stretch]] = {part: [] for part in self.fractions}
        for recording in store:
            dealt = self._dealt(recording)
            scored: list[Stretch] = []
            for part in reversed(dealt):  # test gives way to none, validation to test, train to both
                near = Neighbours(scored)
                kept = [trial for trial in dealt[part] if not near.any_within(trial, self.guard_seconds)]
                parts[part] += kept
                scored += kept
        return {part: tuple(found) for part, found in parts.items()}

    def _dealt(self, recording: Recording) -> dict[str, list[Stretch]]:
        """Part → a recording's trials, drawn at random: the same whatever other recordings there are."""
        table, name = recording.intervals[self.intervals], recording.recording_id
        edges = np.stack([table[names.START].values, table[names.STOP].values], axis=1).astype(np.float64)
        rng = np.random.default_rng([self.seed, int(json_digest(name)[:16], 16)])
        shares = np.cumsum(list(self.fractions.values()))[:-1]
        drawn = np.split(rng.permutation(len(edges)), np.round(shares * len(edges)).astype(int))
        return {
            part: [Stretch(name, *edges[i].tolist()) for i in np.sort(rows)]
            for part, rows in zip(self.fractions, drawn)
        }


def _whole(recording_id: str, duration: float) -> Stretch:
    """All of a recording, from the session's start to the end that the store's table gives; NaN where it is unknown."""
    if not duration > 0:
        raise NeurodataError(
            f"the duration of {recording_id} is unknown: its signal counts frames (convert it with --set rate_hz=RATE), "
            "or it has none (leave it out: store.select(signals=NAME))"
        )
    return Stretch(recording_id, 0.0, float(duration))


def _names_of(key: str, listed: str, recording_id: str) -> set[str]:
    """What a user may call a subject or recording: with or without its dataset, by an alias, by its recording."""
    return {key, key.split("/")[-1], listed, listed.split("/")[-1], recording_id}


def _aliases(same_animal: Sequence[Sequence[str]], known: set[str]) -> dict[str, str]:
    """Subject key → first key of its animal; groups that share a key are one animal."""
    animal_of: dict[str, set[str]] = {}
    for group in same_animal:
        for key in group:
            if key not in known:
                raise NeurodataError(
                    f"same_animal names {key!r}, which no recording of the store has as its subject; "
                    f"known: {_some(sorted(known))}{suggest(key, known)}"
                )
        animal = set(group).union(*(animal_of.get(key, ()) for key in group))
        animal_of |= dict.fromkeys(animal, animal)
    return {key: min(animal) for key, animal in animal_of.items()}


def _some(known: Sequence[str]) -> str:
    """Names for a message, the first of them where there are thousands."""
    rest = len(known) - _MOST_NAMED
    return ", ".join(known[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _labelled_stretches(recording: Recording, name: str) -> list[tuple[Stretch, str]]:
    table = recording.intervals[name]
    if names.LABEL not in table:
        raise NeurodataError(f"{recording.recording_id}: intervals {name!r} need the column 'label' to split by")
    rows = zip(table[names.START].values, table[names.STOP].values, table[names.LABEL].values)
    return [(Stretch(recording.recording_id, float(start), float(stop)), str(label)) for start, stop, label in rows]


def split_by(
    by: str,
    *,
    validation: Sequence[str] | float = (),
    test: Sequence[str] | float = (),
    guard_seconds: float = 0.0,
    intervals: str = "",
    same_animal: Sequence[Sequence[str]] = (),
    seed: int = 0,
) -> SplitRule:
    """Say how a store is to be split.

    Parameters
    ----------
    by
        ``subject`` or ``recording``: those named go into validation and test, all others into train.
        ``time``: each recording is cut into contiguous blocks, train first.
        ``trials``: each recording's trials are dealt out at random.
        ``intervals``: published intervals, labelled ``train``, ``validation`` and ``test``.
    validation, test
        Names (``worm5``, ``kato_brain_2015/worm5``) or, by time and by trials, fractions of each recording.
    guard_seconds
        Left out between two blocks of time; at least window length plus lag, or the leakage guard raises. By trials, those
        closer than this to one of the test part (and then of validation) are in no part.
    intervals
        Name of the interval table: ``split`` unless given, for trials ``trials``.
    same_animal
        Groups of subject keys (``dataset/subject``) that are one animal.
    seed
        Of the trials' draw.

    Raises
    ------
    NeurodataError
        If the arguments do not fit ``by``.

    Examples
    --------
    >>> split_by("subject", test=["worm5"], validation=["worm1"]).by
    'subject'
    """
    check_option("split", by, ("subject", "recording", "time", "trials", "intervals"))
    if not guard_seconds >= 0:
        raise NeurodataError(f"guard_seconds must be 0 or more, got {guard_seconds!r}")
    groups = tuple(tuple(group) for group in same_animal)
    table = intervals or {"trials": "trials"}.get(by, "split")
    if by == "intervals":
        return SplitRule(by, intervals=table, same_animal=groups)
    if by in ("time", "trials"):
        shares = _as_fractions(by, validation, test)
        return SplitRule(
            by, fractions=shares, guard_seconds=guard_seconds, intervals=table, same_animal=groups, seed=seed
        )
    if isinstance(validation, (int, float)) or isinstance(test, (int, float)):
        raise NeurodataError(f"a split by {by} takes lists of names, got validation={validation!r} and test={test!r}")
    chosen = {names.VALIDATION: _as_names(validation), names.TEST: _as_names(test)}
    return SplitRule(by, {part: found for part, found in chosen.items() if found}, same_animal=groups)


def _as_fractions(by: str, validation: Sequence[str] | float, test: Sequence[str] | float) -> dict[str, float]:
    """Part → its share, in the order train, validation, test; a part that nobody asked for is left out."""
    asked = [0.0 if isinstance(share, (list, tuple)) and not share else share for share in (validation, test)]
    numbers = [float(share) for share in asked if isinstance(share, (int, float))]
    if len(numbers) < len(asked):
        raise NeurodataError(f"a split by {by} takes fractions, got validation={validation!r} and test={test!r}")
    if not (min(numbers) >= 0 and sum(numbers) < 1):
        raise NeurodataError(f"fractions must leave something to train on, got validation={validation}, test={test}")
    shares = {names.TRAIN: 1.0 - numbers[0] - numbers[1], names.VALIDATION: numbers[0], names.TEST: numbers[1]}
    return {part: share for part, share in shares.items() if share > 0}


def _as_names(wanted: Sequence[str]) -> tuple[str, ...]:
    """One name may be given as text; its letters are not names."""
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def describe(split: Split) -> dict[str, Any]:
    """Return the split as JSON: its digest and, per part, recordings and seconds."""
    return {
        "by": split.by,
        "sha256": split.digest,
        "parts": {
            part: {
                "recordings": split.recordings(part),
                "seconds": round(sum(s.stop - s.start for s in stretches), 3),
            }
            for part, stretches in split.parts.items()
        },
    }
