"""Tables of a BIDS data set as the schema has them: participants, channels, electrodes, events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names

from ._fmri_sidecar import read_json
from ._fmri_tables import MISSING, Table, read_table, safe_columns, typed_column

TYPES = {
    "EEG": "eeg", "EOG": "eog", "HEOG": "eog", "VEOG": "eog", "EYEGAZE": "gaze", "PUPIL": "pupil", "ECG": "ecg",
    "EMG": "emg", "RESP": "resp", "GSR": "gsr", "TEMP": "temperature", "TRIG": "trigger", "REF": "eeg", "MISC": "misc",
    "OTHER": "misc", "AUDIO": "audio", "PD": "photodiode", "SYSCLOCK": "clock", "SEEG": "seeg", "ECOG": "ecog",
    "DBS": "dbs", "PPG": "ppg", "MEGMAG": "meg_mag", "MEGGRADPLANAR": "meg_grad", "MEGGRADAXIAL": "meg_grad",
}  # fmt: skip
"""Type of a channel in channels.tsv → name of the signal it belongs to (BIDS specification 1.10, channel types)."""
_METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2}
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}


def row_of(path: Path | None, column: str, value: str) -> dict[str, str]:
    """Return the row of a table whose ``column`` is ``value``, what is missing left out; empty without such a row."""
    if path is None or not path.is_file():
        return {}
    table = read_table(path)
    if column not in table.header:
        return {}
    for row in table.rows:
        cells = dict(zip(table.header, (cell.strip() for cell in row)))
        if cells[column] == value:
            return {key: cell for key, cell in cells.items() if cell.lower() not in MISSING}
    return {}


def subject_of(participants: Path, subject: str) -> dict[str, Any]:
    """Return what ``participants.tsv`` says of a subject; a data set that names no species is of humans."""
    row = row_of(participants, "participant_id", f"sub-{subject}")
    species = row.get("species", "Homo sapiens").strip().capitalize()
    found: dict[str, Any] = {
        "id": subject,
        "species": species if re.fullmatch(r"[A-Z][a-z]+ [a-z-]+( [a-z-]+)?", species) else "unknown",
        "sex": _SEX.get(row.get("sex", row.get("gender", "")).lower(), "U"),
        "strain": row.get("strain"),
    }
    age = row.get("age", "")
    if re.fullmatch(r"\d+(\.\d+)?", age):
        found["age"] = f"P{age.rstrip('0').rstrip('.') if '.' in age else age}Y"
    return found


def read_channels(path: Path | None) -> dict[str, dict[str, str]]:
    """Return ``channels.tsv``: channel name → its cells, what is missing left out."""
    if path is None:
        return {}
    table = read_table(path)
    if "name" not in table.header:
        return {}
    place = table.header.index("name")
    return {
        row[place].strip(): {
            key: cell.strip()
            for key, cell in zip(table.header, row)
            if key != "name" and cell.strip().lower() not in MISSING
        }
        for row in table.rows
    }


def read_positions(electrodes: Path | None, coordsystem: Path | None) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Return electrode name → x, y, z in metres, and the coordinate system they are in.

    Pixels and unknown units are no places in space and are left out.
    """
    if electrodes is None:
        return {}, ""
    table = read_table(electrodes)
    if not {"name", "x", "y", "z"} <= set(table.header):
        return {}, ""
    fields = read_json(coordsystem) if coordsystem is not None else {}
    fields = fields if isinstance(fields, Mapping) else {}
    found = {key: str(fields.get(key)) for key in fields if key.endswith(("CoordinateSystem", "CoordinateUnits"))}
    unit = next(
        (
            found[key]
            for key in sorted(found)
            if key in ("EEGCoordinateUnits", "iEEGCoordinateUnits", "MEGCoordinateUnits")
        ),
        "n/a",
    )
    space = next(
        (
            found[key]
            for key in sorted(found)
            if key in ("EEGCoordinateSystem", "iEEGCoordinateSystem", "MEGCoordinateSystem")
        ),
        "",
    )
    if unit not in _METRES:
        return {}, ""
    name = table.column("name")
    values = np.stack([np.asarray(_numbers(table.column(axis))) for axis in "xyz"], axis=1) * _METRES[unit]
    return {label.strip(): row for label, row in zip(name, values) if np.isfinite(row).all()}, space


def _numbers(cells: list[str]) -> list[float]:
    found = []
    for cell in cells:
        try:
            found.append(float(cell))
        except ValueError:
            found.append(np.nan)
    return found


def label_signal(
    signal: xr.DataArray,
    channels: Mapping[str, Mapping[str, str]],
    positions: Mapping[str, NDArray[np.float64]],
    space: str,
) -> dict[str, xr.DataArray]:
    """Return a signal with the columns of channels.tsv, apart by the types stated there.

    Parameters
    ----------
    signal
        As the file's own loader read it; its ``label_raw`` (else ``channel_id``) is the name in the tables.
    channels, positions, space
        From `read_channels` and `read_positions`.

    Returns
    -------
    signals
        Type → signal. Channels that the table does not know keep the signal's own name.
    """
    ids = np.asarray(signal.coords[names.CHANNEL_ID].values, np.str_)
    known = [
        np.asarray(signal.coords[column].values, np.str_)
        for column in (names.LABEL_RAW, names.LABEL)
        if column in signal.coords
    ]
    rows = []
    for position, channel in enumerate(ids.tolist()):
        called = [channel, *(str(column[position]).strip() for column in known)]
        rows.append(
            next((name for name in called if name in channels), next((n for n in called if n in positions), channel))
        )
    kinds = [TYPES.get(channels.get(row, {}).get("type", "").upper(), str(signal.name)) for row in rows]
    columns = sorted({key for row in rows for key in channels.get(row, {}) if key != "type"})
    named = dict(zip(safe_columns(tuple(columns)), columns))
    added: dict[str, Any] = {}
    for column, key in named.items():
        cells = [channels.get(row, {}).get(key, "") for row in rows]
        if column not in (*signal.coords, names.TIME, names.CHANNEL, str(signal.name), "units", names.CHANNEL_ID):
            added[column] = (names.CHANNEL, typed_column(cells))
        elif column == "units":
            added["units_stated"] = (names.CHANNEL, np.asarray(cells, np.str_))
    if any("status" in channels.get(row, {}) for row in rows):
        added["bad"] = (
            names.CHANNEL,
            np.asarray([channels.get(row, {}).get("status", "").lower() == "bad" for row in rows]),
        )
    added["type"] = (
        names.CHANNEL,
        np.asarray([channels.get(row, {}).get("type", "").lower() or str(signal.name) for row in rows], np.str_),
    )
    if any(row in positions for row in rows):
        place = np.stack([positions.get(row, np.full(3, np.nan)) for row in rows])
        added |= {axis: (names.CHANNEL, place[:, i]) for i, axis in enumerate("xyz")}
    described = signal.assign_coords(added)
    if "x" in added:
        described = described.assign_attrs(space=space or "unknown", position_units="m")
    return {
        kind: described.isel({names.CHANNEL: [i for i, own in enumerate(kinds) if own == kind]}).rename(kind)
        for kind in dict.fromkeys(kinds)
    }


def read_label_codes(tables: list[Path]) -> dict[str, int]:
    """Return label → code over all events of a data set, sorted, so that a code means the same in every run."""
    labels: set[str] = set()
    for path in tables:
        table = read_table(path)
        labels |= set(labels_of(table))
    return {label: code for code, label in enumerate(sorted(labels - {""}))}


def labels_of(table: Table) -> list[str]:
    """Return what each event is: ``trial_type``, else ``value``, else ``event_type`` …; empty where nothing says."""
    for column in ("trial_type", "value", "event_type", "stim_type", "stim_file"):
        if column in table.header:
            return ["" if cell.strip().lower() in MISSING else cell.strip() for cell in table.column(column)]
    return [""] * len(table.rows)
