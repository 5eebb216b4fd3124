"""Tables of an EDF file: what was noted, and what a status channel says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.timed import make_events, make_intervals

from ._edf_annotations import Annotation
from ._edf_header import EdfHeader

ANNOTATIONS, TRIGGERS = "annotations", "triggers"

_MOST_TEXT = 1 << 28
"""Most characters of a text column: each entry takes as much room as the longest."""
_STATUS = ("status", "bdf status")
_TRIGGER_BITS = 0xFFFF
"""The lower 16 bits of a BioSemi status word are the trigger input (biosemi.com/faq/trigger_signals.htm)."""
_BLOCK = 1 << 22
_MOST_CHANGES = 1_000_000


def annotation_tables(
    path: Path, entries: Sequence[Annotation], origin: Decimal
) -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
    """Return annotations as events (no duration, or 0) and as intervals, sorted by onset.

    Parameters
    ----------
    path
        The file, for messages.
    entries
        All annotations, onsets in seconds from the header's start.
    origin
        When the first record began, which is time 0.
    """
    longest = max((len(entry.text) for entry in entries), default=0)
    if longest * len(entries) > _MOST_TEXT:
        raise RawFileError(
            f"{path}: {len(entries)} annotations of up to {longest} characters are more than is kept; is it damaged?"
        )
    events = sorted((entry for entry in entries if not entry.duration), key=lambda entry: entry.onset)
    stretches = sorted((entry for entry in entries if entry.duration), key=lambda entry: entry.onset)
    tables: tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]] = ({}, {})
    if events:
        tables[0][ANNOTATIONS] = make_events(_onsets(events, origin), **_texts(events))
    if stretches:
        lengths = [entry.duration or Decimal(0) for entry in stretches]
        # Added as decimals: a stretch that ends where the next begins must not end one bit later.
        stop = [float(entry.onset - origin + length) for entry, length in zip(stretches, lengths)]
        tables[1][ANNOTATIONS] = make_intervals(
            _onsets(stretches, origin), stop, duration=np.array(lengths, np.float64), **_texts(stretches)
        )
    return tables


def _onsets(entries: Sequence[Annotation], origin: Decimal) -> NDArray[np.float64]:
    return np.array([float(entry.onset - origin) for entry in entries], np.float64)


def _texts(entries: Sequence[Annotation]) -> dict[str, Any]:
    text = [entry.text for entry in entries]
    return {names.LABEL: np.array([entry.strip() for entry in text]), "text": np.array(text)}


def trigger_events(path: Path, header: EdfHeader, signals: Mapping[str, xr.DataArray]) -> dict[str, xr.Dataset]:
    """Return the changes of the trigger input of a ``Status`` channel: new ``code``, and the whole status word.

    The first sample is no change. A channel that changes all the time is no trigger and gives no events.
    """
    for signal in signals.values():
        labels = [label.lower() for label in signal[names.LABEL_RAW].values.tolist()]
        found = [i for i, label in enumerate(labels) if label in _STATUS]
        if found and header.record_seconds:
            return _changes(path, signal[:, found[0]])
    return {}


def _changes(path: Path, channel: xr.DataArray) -> dict[str, xr.Dataset]:
    at: list[NDArray[np.int64]] = []
    words: list[NDArray[np.int64]] = []
    before: int | None = None
    for first in range(0, channel.sizes[names.TIME], _BLOCK):
        word = channel[first : first + _BLOCK].values.astype(np.int64)
        code = word & _TRIGGER_BITS
        changed = np.flatnonzero(np.diff(code, prepend=code[0] if before is None else before))
        before = int(code[-1])
        at.append(changed + first)
        words.append(word[changed])
        if sum(map(len, at)) > _MOST_CHANGES:
            warnings.warn(f"{path.name}: the status channel changes all the time; no triggers were made", stacklevel=2)
            return {}
    places, status = np.concatenate(at), np.concatenate(words)
    code = (status & _TRIGGER_BITS).astype(np.int32)
    time = np.asarray(channel[names.TIME][places].values, np.float64)
    return {TRIGGERS: make_events(time, label=code.astype(np.str_), code=code, status=status.astype(np.int32))}
