"""Tables of a BIDS data set as the schema has them: participants and labels of events."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurodata.errors import RawFileError

from ._fmri_tables import MISSING, Table, read_table, with_onsets

_SEX = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}


def row_of(path: Path | None, column: str, *values: str) -> dict[str, str]:
    """Return the row of a table whose ``column`` has one of some values, what is missing left out; else empty."""
    if path is None or not path.is_file():
        return {}
    table = read_table(path)
    if column not in table.header:
        return {}
    for row in table.rows:
        cells = dict(zip(table.header, (cell.strip() for cell in row)))
        if cells[column] in values:
            return {key: cell for key, cell in cells.items() if cell.lower() not in MISSING}
    return {}


def subject_of(participant: Mapping[str, str], subject: str) -> dict[str, Any]:
    """Return what a row of ``participants.tsv`` says of a subject; a data set that names no species is of humans."""
    row = {key.lower(): cell for key, cell in participant.items()}
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


def read_label_codes(tables: list[Path]) -> dict[str, int]:
    """Return label → code over all events of a data set, sorted, so that a code means the same in every run."""
    labels: set[str] = set()
    for path in tables:
        # A table that cannot be read is told of where its own run is converted.
        with contextlib.suppress(RawFileError):
            labels |= set(labels_of(with_onsets(read_table(path))))
    return {label: code for code, label in enumerate(sorted(labels - {""}))}


def labels_of(table: Table) -> list[str]:
    """Return what each event is: ``trial_type``, else ``value``, else ``event_type`` …; empty where nothing says."""
    for column in ("trial_type", "value", "event_type", "stim_type", "stim_file"):
        if column in table.header:
            cells = ["" if cell.strip().lower() in MISSING else cell.strip() for cell in table.column(column)]
            if any(cells):
                return cells
    return [""] * len(table.rows)
