"""Groups of windows that are drawn from with given shares: recordings, subjects, classes, modalities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.windows.select import Windows

RECORDING, SUBJECT, CLASS = "recording", "subject", "class"
BALANCES = (RECORDING, SUBJECT, CLASS)


@dataclass(frozen=True, eq=False)
class Groups:
    """Windows in groups, each drawn from with its share; inside a group every window is as likely.

    Parameters
    ----------
    names
        What each group is.
    shares
        How often each is drawn from, summing to 1, ``(group,)``.
    begin
        Number of the first of some consecutive windows of one group, sorted by group, ``(piece,)``.
    after
        Windows of the pieces up to and with each, ``(piece,)``.
    last
        Pieces of the groups up to and with each, ``(group,)``.
    """

    names: tuple[str, ...]
    shares: NDArray[np.float64]
    begin: NDArray[np.int64]
    after: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Windows of each group, ``(group,)``."""
        return np.diff(self.after[self.last - 1], prepend=0)

    @property
    def digest(self) -> str:
        """sha256 of the groups and their shares; empty where there is one group only."""
        if len(self.names) == 1:
            return ""
        digest = hashlib.sha256(json.dumps(self.names).encode())
        for values in (self.shares, self.begin, self.after, self.last):
            digest.update(values.tobytes())
        return digest.hexdigest()

    def pick(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return one window per pair of random 64-bit words, from shape ``(draw, 2)`` to ``(draw,)``."""
        even = (words[:, 0] >> np.uint64(11)) * 2.0**-53
        upper = np.cumsum(self.shares)
        possible = np.flatnonzero(self.shares)
        # Rounding may leave the sum below 1: the last group that is drawn at all takes the rest.
        group = np.minimum(np.searchsorted(upper, even, side="right"), possible[-1])
        sizes = self.sizes
        place = (words[:, 1] % sizes[group].astype(np.uint64)).astype(np.int64) + (np.cumsum(sizes) - sizes)[group]
        piece = np.searchsorted(self.after, place, side="right")
        before = np.concatenate([[0], self.after[:-1]])
        return np.asarray(self.begin[piece] + place - before[piece], np.int64)


def group_windows(
    windows: Windows,
    *,
    balance: str | None = None,
    subjects: Mapping[str, str] | None = None,
    labels: ArrayLike | None = None,
    proportions: Mapping[str, float] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Groups:
    """Return groups of windows with their shares.

    Parameters
    ----------
    windows
        What is drawn from.
    balance
        What is drawn equally often: ``recording``, ``subject`` (needs ``subjects``) or ``class`` (needs ``labels``);
        None: windows of the same kind are all as likely.
    subjects
        Recording id → subject.
    labels
        Class of each window, ``(window,)``, not counting shifts; a window of class ``""`` or below 0 is never drawn.
    proportions
        Kind of recording → how often it is drawn from, relative to the others; every kind there is, 0 for never.
    kinds
        Recording id → kind, for example its modality.

    Raises
    ------
    NeurodataError
        If something needed is not given, a recording has no subject or kind, or a proportion has no windows.
    """
    if balance is None and proportions is None:
        raise NeurodataError("say what is balanced (balance=…) or in which proportions kinds are drawn (proportions=…)")
    if balance is not None:
        check_option("balance", balance, BALANCES)
    begin, count, recording = _pieces(windows, one_each=balance == CLASS)
    outer = np.zeros(len(begin), np.int64)
    kind_names: tuple[str, ...] = ("",)
    if proportions is not None:
        kind_names, of_recording = _numbered(windows, kinds, "kind", "kinds")
        outer = of_recording[recording]
    inner, inner_names = _inner(windows, balance, subjects, labels, recording)
    kept = (inner >= 0) & (count > 0)
    key = outer * len(inner_names) + inner
    order = np.flatnonzero(kept)[np.argsort(key[kept], kind="stable")]
    if not order.size:
        raise NeurodataError("no window has a class to be drawn by")
    found, last = np.unique(key[order], return_index=True)[0], np.flatnonzero(np.diff(key[order], append=-1)) + 1
    kind, member = np.divmod(found, len(inner_names))
    shares = _shares(kind, kind_names, proportions)
    names = tuple("/".join(filter(None, (kind_names[k], inner_names[m]))) for k, m in zip(kind, member))
    shifts = windows.n_shifts
    return Groups(names, shares, begin[order] * shifts, np.cumsum(count[order] * shifts), last)


def _pieces(windows: Windows, one_each: bool) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """First window, count and recording of each run, or of each window."""
    if not one_each:
        return windows.after - windows.count, windows.count, windows.recording
    n_windows = int(windows.count.sum())
    return np.arange(n_windows), np.ones(n_windows, np.int64), np.repeat(windows.recording, windows.count)


def _inner(
    windows: Windows,
    balance: str | None,
    subjects: Mapping[str, str] | None,
    labels: ArrayLike | None,
    recording: NDArray[np.int32],
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Group of each piece inside its kind (-1: never drawn), and the groups' names."""
    if balance == RECORDING:
        return recording.astype(np.int64), windows.recording_ids
    if balance == SUBJECT:
        names, of_recording = _numbered(windows, subjects, "subject", "subjects")
        return of_recording[recording], names
    if balance == CLASS:
        return _classes(labels, len(recording))
    return np.zeros(len(recording), np.int64), ("",)


def _classes(labels: ArrayLike | None, n_windows: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    given: NDArray[Any] = np.asarray([] if labels is None else labels)
    if given.shape != (n_windows,):
        raise NeurodataError(f"balance='class' needs labels=…, one per window, {n_windows} of them; got {given.shape}")
    names, codes = np.unique(given, return_inverse=True)
    lacking = names == "" if names.dtype.kind in "UTO" else names < 0
    codes = codes.astype(np.int64)
    return np.where(lacking[codes], -1, codes), tuple(map(str, names.tolist()))


def _numbered(
    windows: Windows, given: Mapping[str, str] | None, what: str, argument: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """What there is of a recording's property, and each recording's number among it."""
    lacking = [recording_id for recording_id in windows.recording_ids if recording_id not in (given or {})]
    if given is None or lacking:
        raise NeurodataError(
            f"{len(lacking)} recordings have no {what}, for example {lacking[0]}; give {argument}={{recording id: {what}}}"
        )
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(str(given[recording_id]), len(numbers)) for recording_id in windows.recording_ids]
    return tuple(numbers), np.array(found, np.int64)


def _shares(
    kind: NDArray[np.int64], names: Sequence[str], proportions: Mapping[str, float] | None
) -> NDArray[np.float64]:
    """Share of each group: its kind's, divided evenly among the kind's groups."""
    present = [names[k] for k in np.unique(kind)]
    wanted = dict(proportions) if proportions is not None else {"": 1.0}
    missing = [name for name in wanted if name not in present and wanted[name] > 0]
    unnamed = [name for name in present if name not in wanted]
    weights = np.array([float(wanted.get(name, 0.0)) for name in names])
    if missing or unnamed or not np.all(np.isfinite(weights) & (weights >= 0)) or not weights.sum() > 0:
        raise NeurodataError(
            f"proportions are numbers of 0 or more, one above 0, for each kind there is ({', '.join(present)}); got "
            f"{wanted}"
        )
    weights /= weights.sum()
    return np.asarray(weights[kind] / np.bincount(kind, minlength=len(names))[kind], np.float64)


def all_windows(n_windows: int) -> Groups:
    """Return one group of all windows."""
    one = np.ones(1, np.int64)
    return Groups(("",), np.ones(1), one * 0, one * n_windows, one)
