"""Attributes of an ALF object as columns with one row per entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..npy_files import open_npy, read_npy
from ._spikes_alf_files import AlfFile, AlfObject
from ._spikes_tables import flat_columns, keepable, read_table

TABLE = "table"
"""The attribute whose columns are attributes of the object themselves."""


def read_attribute(files: list[AlfFile]) -> dict[str, NDArray[Any]]:
    """Return an attribute as arrays under their names: one array, or the columns of a table.

    Arrays of numbers stay in their file until they are used; those in parts are put together, by the parts' names.
    """
    parts = [_read_file(file) for file in files]
    if len(parts) == 1:
        return parts[0]
    if any(set(part) != set(parts[0]) for part in parts):
        raise RawFileError(
            f"{files[0].path}: its parts ({', '.join(f.path.name for f in files[1:])}) differ in columns"
        )
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    except ValueError as error:
        raise RawFileError(f"{files[0].path}: its parts do not fit together ({error})") from error


def _read_file(file: AlfFile) -> dict[str, NDArray[Any]]:
    if file.extension == "npy":
        return {file.attribute: read_array(file.path)}
    table = read_table(file.path)
    if len(table) == 1:
        return {file.attribute: next(iter(table.values()))}
    return table


def read_array(path: Path) -> NDArray[Any]:
    """Return an array, MATLAB's ``(row, 1)`` flattened; text that was saved as Python objects becomes text.

    Raises
    ------
    RawFileError
        If it is damaged, or holds objects that are no text or numbers.
    """
    try:
        values = open_npy(path)
    except RawFileError as error:
        try:
            values = keepable(read_npy(path, objects=True))
        except RawFileError:
            raise error from None
    if values.ndim == 0:
        values = values.reshape(1)
    return values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values


def read_columns(
    owner: AlfObject, without: frozenset[str] = frozenset(), most: int = 10
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Return an object's attributes as columns, and the names of files that are no columns (waveforms, images).

    As in ONE, columns of ``object.table`` stand before files of the same name.

    Raises
    ------
    RawFileError
        If attributes differ in their number of rows; names the files.
    """
    columns: dict[str, NDArray[Any]] = {}
    rows: dict[str, int] = {}
    skipped: list[str] = []
    for attribute, files in sorted(owner.attributes.items(), key=lambda entry: entry[0] == TABLE):
        if attribute in without:
            continue
        for name, values in read_attribute(files).items():
            flat = flat_columns(name, values, most)
            if not flat:
                skipped.append(files[0].path.name)
                continue
            rows[files[0].path.name] = len(values)
            columns |= flat
    check_rows(owner, rows)
    return columns, skipped


def check_rows(owner: AlfObject, rows: dict[str, int]) -> None:
    """Raise unless all files of an object have the same number of rows."""
    if len(set(rows.values())) > 1:
        shown = ", ".join(f"{name} has {count}" for name, count in list(rows.items())[:12])
        raise RawFileError(
            f"{owner.paths[0].parent}: files of the object {owner.name!r} differ in their number of rows: {shown}; "
            f"expected one row per entry in all of them. Fetch them again, or leave the object out: "
            f"--set skip={owner.name}"
        )
