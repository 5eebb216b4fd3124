"""A file whose variables nobody has described, read as carefully as names and shapes allow."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from neurodata.errors import RawFileError
from neurodata.recording.timed import VALIDITY, make_validity

from ._variables_events import Moments, add_moments, span_of
from ._variables_inventory import Inventory, make_inventory, take_columns
from ._variables_names import is_neural_name, last_name, modality_of, name_of, words
from ._variables_pieces import add_pieces
from ._variables_signals import Signals, add_channel_columns, make_signals
from ._variables_start import starting_map
from ._variables_tree import Tree, describe, show

_MOST_LISTED = 500
_ANIMAL_WORDS = {"animal", "mouse", "rat", "monkey", "fish", "worm", "fly", "mouseid", "animalid", "ratid"}
_SUBJECT_WORDS = {"subject", "subj", "sub", "subjectid", "participant"}
_CODE = re.compile(r"(?=.*\d)[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
"""A subject that may be a person is taken where it is a code: names have no digits."""


@dataclass
class Parts:
    """What a recording is made of."""

    signals: dict[str, xr.DataArray] = field(default_factory=dict)
    events: dict[str, xr.Dataset] = field(default_factory=dict)
    intervals: dict[str, xr.Dataset] = field(default_factory=dict)
    units: xr.Dataset | None = None
    modality: str = "other"
    subject: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def read_unmapped(tree: Tree, *, rate_hz: float | None = None, orientation: str = "auto") -> Parts:
    """Recognise signals, spikes, events and intervals by the names and shapes of a file's variables.

    Raises
    ------
    RawFileError
        If nothing is recognised; lists the variables and gives a map to start from.
    """
    found = make_inventory(tree)
    signals = make_signals(found, rate_hz=rate_hz, orientation=orientation)
    add_pieces(signals)
    add_channel_columns(signals)
    stop, rate, n_samples = span_of(signals.made)
    moments = Moments(found, stop, rate or rate_hz, n_samples, names={VALIDITY})
    add_moments(moments)
    recognised = bool(signals.made or moments.events or moments.intervals)
    if not recognised or (tree.named_only and not _is_named(signals, moments)):
        raise RawFileError(
            f"{tree.path}: none of the variables looks like a recording; say which is what in a map (--set "
            f"map=FILE.yaml, see docs/variable-maps.md). The file holds:\n{show(tree.root)}\nA map to start from:\n"
            f"{starting_map(tree)}"
        )
    for note in found.notes:
        warnings.warn(f"{tree.path.name}: {note}; say it in a map if that is wrong", stacklevel=2)
    return Parts(
        signals=signals.made,
        events=moments.events,
        intervals=_intervals(signals, moments),
        units=moments.units,
        modality=_modality(signals, moments),
        subject=_subject(found) | ({"species": signals.species} if signals.species else {}),
        extra=_extra(found),
    )


def _is_named(signals: Signals, moments: Moments) -> bool:
    """Whether there are spikes, or a neural signal is called one or lies in something that is."""
    parts = (part for path in signals.neural_paths for part in path.split("."))
    return "spikes" in moments.events or any(map(is_neural_name, parts))


def _intervals(signals: Signals, moments: Moments) -> dict[str, xr.Dataset]:
    """The tables that were found; one table of trials where all signals have the same ones."""
    tables = dict(moments.intervals)
    own = list(signals.trials.items())
    if own and all(table.identical(own[0][1]) for _, table in own):
        own = [("trials", own[0][1])]
    else:
        own = [(f"trials_{name}", table) for name, table in own]
    for name, table in own:
        while name in tables:
            name += "_made"
        tables[name] = _with_columns(signals.found, table)
    return tables | make_validity(signals.made)


def _with_columns(found: Inventory, table: xr.Dataset) -> xr.Dataset:
    """Trials with the vectors and texts of one entry each: conditions, outcomes, directions."""
    n_trials = table.sizes["interval"]
    taken = {str(name) for name in table.variables}
    columns = take_columns(found, n_trials, taken)
    for array in found.matrices:  # FieldTrip's trialinfo
        if "trial" in last_name(array.path).lower() and array.shape[0] == n_trials and array.size <= 32 * n_trials:
            for i, values in enumerate(array.values().reshape(n_trials, -1).T):
                columns[name_of(f"{last_name(array.path)}_{i}", {*taken, *columns})] = values
            found.used.add(array.path)
    return table.assign({name: ("interval", values) for name, values in columns.items()})


def _modality(signals: Signals, moments: Moments) -> str:
    paths = list(signals.neural_paths)
    if not paths and "spikes" not in moments.events:
        return "behavior" if signals.made else "other"
    known = modality_of(paths, has_spikes="spikes" in moments.events, counts=False)
    if known == "other":
        known = modality_of([str(signals.found.tree.path.stem), *paths], has_spikes=False, counts=signals.has_counts)
    return known


def _subject(found: Inventory) -> dict[str, Any]:
    """The animal's id where a text of that name says it; people's names are never taken."""
    for text in found.texts:
        if words(text.path) & _ANIMAL_WORDS and len(text.rows) == 1 and 0 < len(text.rows[0].strip()) <= 64:
            found.used.add(text.path)
            return {"id": text.rows[0].strip()}
    for text in found.texts:
        if words(text.path) & _SUBJECT_WORDS and len(text.rows) == 1 and _CODE.fullmatch(text.rows[0].strip()):
            found.used.add(text.path)
            return {"id": text.rows[0].strip()}
    return {}


def _extra(found: Inventory) -> dict[str, Any]:
    used = found.used | {path for path, _ in found.rates if path in found.used}
    unread = [describe(node) for node in found.members() if node.path not in used]
    listed = unread[:_MOST_LISTED] + (
        [f"… and {len(unread) - _MOST_LISTED} more"] if len(unread) > _MOST_LISTED else []
    )
    extra: dict[str, Any] = {"read_as": "recognised by names and shapes, without a map"}
    if listed:
        extra["not_read"] = listed
    if found.notes:
        extra["assumed"] = list(found.notes)
    return extra
