"""What a BIDS data set says of channels and electrodes, put onto the signals that a file's own loader read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names

from ._fmri_sidecar import parse_name, read_json
from ._fmri_tables import MISSING, Table, read_table, safe_columns, typed_column

SIGNALS = {
    "EEG": "eeg", "EOG": "eog", "HEOG": "eog", "VEOG": "eog", "EYEGAZE": "gaze", "PUPIL": "pupil", "ECG": "ecg",
    "EMG": "emg", "RESP": "resp", "GSR": "gsr", "TEMP": "temperature", "TRIG": "trigger", "REF": "eeg", "MISC": "misc",
    "OTHER": "misc", "AUDIO": "audio", "PD": "photodiode", "SYSCLOCK": "clock", "SEEG": "seeg", "ECOG": "ecog",
    "DBS": "dbs", "PPG": "ppg", "MEGMAG": "meg_mag", "MEGGRADPLANAR": "meg_grad", "MEGGRADAXIAL": "meg_grad",
    "MEGREFMAG": "ref_meg", "MEGREFGRADAXIAL": "ref_meg", "MEGREFGRADPLANAR": "ref_meg",
}  # fmt: skip
"""Type of a channel in channels.tsv → name of the signal it belongs to (BIDS specification 1.10, channel types)."""
_TYPES = {"meg_mag": "mag", "meg_grad": "grad", "trigger": "stim"}
"""Signals whose channels' type, as all loaders call it, is not the signal's name."""
_METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2}
_HEAD = (0.1, 0.4)
"""Metres between the outermost electrodes of a cap, in any unit that electrodes.tsv may be meant in."""

Rows = Mapping[str, Mapping[str, str]]
"""Channel name → its cells by column, what is missing left out."""


@dataclass(frozen=True)
class Places:
    """What ``electrodes.tsv`` says.

    Parameters
    ----------
    xyz
        Electrode → place in metres, shape ``(3,)``; empty where the unit is no length.
    space
        The coordinate system they are in.
    rows
        Electrode → all other cells.
    remark
        What was made of a table that does not state its unit; empty where nothing.
    """

    xyz: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    space: str = ""
    rows: Rows = field(default_factory=dict)
    remark: str = ""


def read_channels(path: Path | None) -> dict[str, dict[str, str]]:
    """Return the rows of ``channels.tsv`` by name; a name that comes twice keeps its first row."""
    return {} if path is None else _rows(read_table(path), ())


def _rows(table: Table, without: tuple[str, ...]) -> dict[str, dict[str, str]]:
    if "name" not in table.header:
        return {}
    place = table.header.index("name")
    found: dict[str, dict[str, str]] = {}
    for row in table.rows:
        cells = {key: cell.strip() for key, cell in zip(table.header, row) if cell.strip().lower() not in MISSING}
        kept = {key: cell for key, cell in cells.items() if key != "name" and key not in without}
        found.setdefault(row[place].strip(), kept)
    return found


def read_places(electrodes: Path | None, coordsystem: Path | None, is_cap: bool) -> Places:
    """Return what is known of electrodes.

    Parameters
    ----------
    electrodes, coordsystem
        The table, and the description of its axes.
    is_cap
        Whether they sit on a head: then a missing unit is told by the distance of the outermost ones.
    """
    if electrodes is None:
        return Places()
    table = read_table(electrodes)
    rows = _rows(table, ("x", "y", "z"))
    if not {"name", "x", "y", "z"} <= set(table.header):
        return Places(rows=rows)
    stated = read_json(coordsystem) if coordsystem is not None else {}
    stated = stated if isinstance(stated, Mapping) else {}
    unit, space = (
        next((str(stated[f"{kind}Coordinate{what}"]) for kind in ("EEG", "iEEG", "MEG") if f"{kind}Coordinate{what}" in stated), "n/a")
        for what in ("Units", "System")
    )  # fmt: skip
    space = parse_name(electrodes).entities.get("space", "") if space.lower() in MISSING else space
    values = np.stack([np.asarray(_numbers(table.column(axis))) for axis in "xyz"], axis=1)
    there = np.isfinite(values).all(axis=1)
    remark = ""
    if unit not in _METRES and is_cap and unit.lower() in MISSING:
        unit = _unit_of(values[there])
        remark = f"{electrodes.name} states no unit; by the size of the head it is {unit}" if unit else ""
    if unit not in _METRES:
        return Places(rows=rows)
    labels = [label.strip() for label in table.column("name")]
    return Places({labels[i]: values[i] * _METRES[unit] for i in np.flatnonzero(there)}, space, rows, remark)


def _unit_of(values: NDArray[np.float64]) -> str:
    """Unit in which electrodes span a head; empty where none fits (a unit sphere, a drawing)."""
    span = float(np.ptp(values, axis=0).max()) if len(values) > 3 else 0.0
    return next((unit for unit, metres in _METRES.items() if _HEAD[0] <= span * metres <= _HEAD[1]), "")


def _numbers(cells: list[str]) -> list[float]:
    found = []
    for cell in cells:
        try:
            found.append(float(cell))
        except ValueError:
            found.append(np.nan)
    return found


def _finder(table: Mapping[str, Any]) -> Mapping[str, str]:
    """Names as they may be written elsewhere → name in the table; ambiguous ones are left out."""
    found: dict[str, str] = {}
    for name in table:
        key = _loosely(name)
        found[key] = "" if key in found else name
    return {key: name for key, name in found.items() if key and name} | {name: name for name in table}


def _loosely(name: str) -> str:
    """A name without case, blanks, dots, underscores and the word EEG before it."""
    return re.sub(r"^eeg(?=[a-z])|[\s._]+", "", re.sub(r"[\s._]+", "", name).casefold())


def _find_rows(signal: xr.DataArray, table: Mapping[str, Any]) -> list[str]:
    """The name of each channel's row: its id or label as it is, else written a little differently; else empty."""
    called = [
        np.asarray(signal.coords[column].values, np.str_).tolist()
        for column in (names.CHANNEL_ID, names.LABEL_RAW, names.LABEL)
        if column in signal.coords
    ]
    finder = _finder(table)
    rows = []
    for texts in zip(*called):
        tried = [*texts, *(text.strip() for text in texts), *map(_loosely, texts)]
        rows.append(next((finder[text] for text in tried if text in finder), ""))
    return rows


def label_signal(signal: xr.DataArray, channels: Rows, places: Places) -> dict[str, xr.DataArray]:
    """Return a signal with the columns of channels.tsv and electrodes.tsv, apart by the types stated there.

    Parameters
    ----------
    signal
        As the file's own loader read it; its ids or labels are the names in the tables, but for case and blanks.
    channels, places
        From `read_channels` and `read_places`.

    Returns
    -------
    signals
        Signal name → signal. Channels that the table does not know keep the signal's own name and type.
    """
    rows = _find_rows(signal, channels)
    stated = [channels.get(row, {}).get("type", "") for row in rows]
    kinds = [SIGNALS.get(kind.upper(), str(signal.name)) for kind in stated]
    added = _columns(signal, rows, channels, "")
    if any(channels.get(row, {}).get("status") for row in rows):
        bad = [channels.get(row, {}).get("status", "").lower() == "bad" for row in rows]
        added["bad"] = (names.CHANNEL, np.asarray(bad))
    own = signal.coords["type"].values.tolist() if "type" in signal.coords else [str(signal.name)] * len(rows)
    types = [
        _TYPES.get(kind, kind) if said.upper() in SIGNALS else before for kind, said, before in zip(kinds, stated, own)
    ]
    added["type"] = (names.CHANNEL, np.asarray(types, np.str_))
    described = _place(signal.assign_coords(added), places)
    return {
        kind: described.isel({names.CHANNEL: [i for i, other in enumerate(kinds) if other == kind]}).rename(kind)
        for kind in dict.fromkeys(kinds)
    }


_RENAMED = {"units": "units_stated", "type": "type_stated"}


def _columns(signal: xr.DataArray, rows: list[str], table: Rows, prefix: str) -> dict[str, Any]:
    """All columns of a table for the channels of a signal, under names that are still free."""
    keys = sorted({key for row in rows for key in table.get(row, {})})
    taken = {*map(str, signal.coords), names.TIME, names.CHANNEL, str(signal.name), *SIGNALS.values()}
    added: dict[str, Any] = {}
    for safe, key in zip(safe_columns(tuple(keys)), keys):
        name = _RENAMED.get(key, safe) if not prefix else safe
        if name in taken or (prefix and key in ("type", "units")):
            name = f"{prefix or 'stated'}_{name}"
        if name not in taken:
            added[name] = (names.CHANNEL, typed_column([table.get(row, {}).get(key, "") for row in rows]))
    return added


def _place(signal: xr.DataArray, places: Places) -> xr.DataArray:
    """A signal with the positions of electrodes.tsv, which overrule those of the file, and its other columns."""
    found = _find_rows(signal, {**places.rows, **places.xyz})
    described = signal.assign_coords(_columns(signal, found, places.rows, "electrode"))
    there = np.array([row in places.xyz for row in found], bool)
    if not there.any():
        return described
    xyz = np.stack([places.xyz.get(row, np.full(3, np.nan)) for row in found])
    columns: dict[str, Any] = {axis: (names.CHANNEL, xyz[:, i]) for i, axis in enumerate("xyz")}
    columns["position_source"] = (names.CHANNEL, np.where(there, "electrodes.tsv", ""))
    return described.assign_coords(columns).assign_attrs(space=places.space or "unknown", position_units="m")
