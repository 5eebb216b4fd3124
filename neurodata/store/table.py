"""One row per recording, without opening a single array; `index.parquet` is its cache, never its truth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_option, is_safe_part, recording_id_problem
from neurodata.errors import IntegrityError, NeurodataError
from neurodata.store.row import COLUMNS as COLUMNS
from neurodata.store.row import LONGEST_METADATA, NUMBERS, read_row

INDEX_FILE = "index.parquet"
_STAMP = "stamp"
_ALL = (*COLUMNS, _STAMP)
LARGEST_INDEX = 256 * 1024 * 1024
_LARGEST_DECODED = 1024 * 1024 * 1024
_MOST_ROWS = 1_000_000
_READ_AT_ONCE = 8

_ADDED = {names.GRAPHS: ""}
"""Columns that an index written before they were thought of lacks, and what they hold for all of its recordings."""


def list_recordings(store: Path) -> list[str]:
    """Return the ids of all complete recordings of a store, sorted; unfinished work and other files are passed over."""
    return sorted(recording_id for recording_id, _ in _find_recordings(store))


def read_table(store: Path) -> pd.DataFrame:
    """Return one row per recording.

    Rows come from ``index.parquet`` where the recording's root document has not changed since (same size and time of
    change), else from the recording itself; a missing or damaged index is never an error.

    Returns
    -------
    table
        Indexed by nothing, sorted by ``recording_id``; columns are `COLUMNS`.
    """
    return _stamped_table(store).drop(columns=_STAMP)


def table_of(data: bytes) -> pd.DataFrame:
    """Return the rows of an ``index.parquet`` whose recordings cannot be looked at one by one (they are on a server).

    Parameters
    ----------
    data
        The whole file, from anyone.

    Returns
    -------
    table
        As from `read_table`.

    Raises
    ------
    IntegrityError
        If these are not the bytes of an index of this version, or claim more rows or text than any store has.
    """
    return _parse_index(data).drop(columns=_STAMP)


def select_rows(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.Series[bool]:
    """Tell which rows match every condition.

    Parameters
    ----------
    table
        From `read_table`.
    wanted
        Column of the table, or dotted name of a metadata entry (``subject.description``, ``extra.genotype``; its last
        part will do where only one entry ends so) → a value; a list of values of which one must match; or a function
        that takes the column, a pandas Series, and gives true or false per row. ``signals``, ``events``,
        ``intervals`` and ``graphs`` match where the recording has a member of that name (each of several, separated by blanks).
        None matches where nothing is known.

    Raises
    ------
    NeurodataError
        If there is no such column or entry (names the closest one), or a function gives something else.
    """
    chosen = pd.Series(True, index=table.index)
    for name, condition in wanted.items():
        column = table[name] if name in COLUMNS else _metadata_column(table, name)
        chosen &= _matches(column, name, condition)
    return chosen


def _matches(column: pd.Series[Any], name: str, condition: Any) -> NDArray[np.bool_]:
    if callable(condition):
        return _judged(column, name, condition)
    options = list(condition) if isinstance(condition, (list, tuple, set, frozenset)) else [condition]
    if name in names.GROUPS:
        members = [set(text.split()) if isinstance(text, str) else set() for text in column]
        wanted = [set(str(option).split()) for option in options]
        return np.asarray([any(option <= found for option in wanted) for found in members], dtype=np.bool_)
    known = [option for option in options if option is not None]
    found = column.isin(known).to_numpy(np.bool_)
    return found if len(known) == len(options) else found | column.isna().to_numpy(np.bool_)


def _judged(column: pd.Series[Any], name: str, condition: Any) -> NDArray[np.bool_]:
    try:
        found = condition(column)
    except Exception as error:
        raise NeurodataError(
            f"the condition on {name!r} failed: {error}; it is given the whole column, a pandas Series"
        ) from error
    answers = np.asarray(found)
    if answers.shape != (len(column),) or answers.dtype.kind not in "bO":
        raise NeurodataError(
            f"the condition on {name!r} must give true or false for each of {len(column)} rows, "
            f"got {type(found).__name__} of shape {answers.shape} and type {answers.dtype}"
        )
    return np.asarray(pd.Series(answers).eq(True), dtype=np.bool_)  # what is neither is no match


def _metadata_column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Values of one metadata entry per row, None where a recording lacks it."""
    entries = [_entries_of(text) for text in table["metadata"]]
    known = dict.fromkeys(key for row in entries for key in row)
    ends = [key for key in known if key.split(".")[-1] == name] if name not in known else [name]
    if len(ends) > 1:
        raise NeurodataError(f"{name!r} could be any of the metadata entries {', '.join(sorted(ends))}; give one whole")
    if not ends and len(table):
        check_option("column or metadata entry", name, [*COLUMNS, *sorted(known)])
    return pd.Series([row.get(ends[0]) if ends else None for row in entries], index=table.index, dtype=object)


def _entries_of(text: Any) -> dict[str, Any]:
    try:
        entries = json.loads(text) if isinstance(text, str) and len(text) <= LONGEST_METADATA else {}
    except (ValueError, RecursionError):  # an index by a strange hand
        return {}
    return entries if isinstance(entries, dict) else {}


def write_index(store: Path) -> None:
    """Write ``index.parquet``; a store that cannot be written simply stays without."""
    table, part = _stamped_table(store), store / f".{INDEX_FILE}.{os.getpid()}"
    try:
        columns = [pa.array(table[name], _arrow_type(name), from_pandas=True) for name in _ALL]
        pq.write_table(pa.table(columns, names=list(_ALL)), part, compression="zstd")
        os.replace(part, store / INDEX_FILE)
    except Exception:  # a full or read-only disk, or rows of a strange store that parquet cannot hold
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _arrow_type(column: str) -> pa.DataType:
    """Fixed, so that a table has the same types whatever its rows hold and wherever they come from."""
    return pa.float64() if column in NUMBERS else pa.string()


def _find_recordings(store: Path) -> Iterator[tuple[str, str]]:
    """Id of each complete recording, and a stamp that changes with its root document; one look at each file."""
    for dataset in os.scandir(store):
        if not is_safe_part(dataset.name) or not dataset.is_dir(follow_symlinks=False):
            continue
        for recording in os.scandir(dataset.path):
            if not is_safe_part(recording.name) or not recording.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError):
                stat = os.stat(f"{recording.path}/zarr.json")
                if S_ISREG(stat.st_mode):
                    yield f"{dataset.name}/{recording.name}", f"{stat.st_mtime_ns}-{stat.st_size}"


def _stamped_table(store: Path) -> pd.DataFrame:
    stamps = dict(sorted(_find_recordings(store)))
    cached = _read_index(store)
    row = pd.Index(cached["recording_id"]).get_indexer(pd.Index(list(stamps), dtype=object))
    fresh = np.flatnonzero(row >= 0)
    fresh = fresh[cached[_STAMP].to_numpy()[row[fresh]] == np.asarray(list(stamps.values()), dtype=object)[fresh]]
    columns: dict[str, NDArray[Any]] = {
        name: np.full(len(stamps), np.nan) if name in NUMBERS else np.full(len(stamps), None, object) for name in _ALL
    }
    for name, values in columns.items():
        values[fresh] = cached[name].to_numpy()[row[fresh]]
    ids, places = list(stamps), np.setdiff1d(np.arange(len(stamps)), fresh)
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:  # reading a row is mostly waiting for small files
        rows = pool.map(lambda place: read_row(store, ids[place]) | {_STAMP: stamps[ids[place]]}, places)
        for place, entries in zip(places, rows):
            for name, value in entries.items():
                columns[name][place] = np.nan if value is None and name in NUMBERS else value
    return _table_of(columns)


def _table_of(columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Columns of the types they have, whatever they hold: pandas would guess others for text."""
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def _read_index(store: Path) -> pd.DataFrame:
    try:
        if os.path.getsize(store / INDEX_FILE) <= LARGEST_INDEX:
            return _parse_index((store / INDEX_FILE).read_bytes())
    except Exception:  # a cache in any state is no reason to fail
        pass
    return pd.DataFrame({name: [] for name in _ALL}, dtype=object)


def _parse_index(data: bytes) -> pd.DataFrame:
    try:
        if len(data) > LARGEST_INDEX:
            raise ValueError(f"{len(data)} bytes, at most {LARGEST_INDEX} are read")
        limits = {"thrift_string_size_limit": max(1, len(data)), "thrift_container_size_limit": _MOST_ROWS}
        columns = _checked_columns(pq.ParquetFile(pa.BufferReader(data), **limits))
        # Equal texts are kept once, in the file and here: a small file of one long text a million times stays small.
        texts = [name for name in columns if name not in NUMBERS]
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts, **limits)
        found = file.read(columns=columns, use_threads=False)
        found.validate(full=True)
        table = _table_of(
            {
                name: _column_of(name, found[name])
                if name in columns
                else np.full(found.num_rows, _ADDED[name], object)
                for name in _ALL
            }
        )
        _check_ids(table["recording_id"].tolist())
    except Exception as error:
        raise IntegrityError(
            f"{INDEX_FILE} is not an index that this version can use: {error}; 'neurodata convert' writes it anew"
        ) from error
    return table


def _checked_columns(file: pq.ParquetFile) -> list[str]:
    """Return a file's columns; raise unless each is there once, of its type, and it claims no more than stores have."""
    columns = [name for name in _ALL if name not in _ADDED or name in file.schema_arrow.names]
    schema, facts = file.schema_arrow, file.metadata
    for name in columns:
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            raise ValueError(f"column {name!r} is there {len(places)} times, expected once")
        kind = schema.field(places[0]).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if kind != _arrow_type(name):
            raise ValueError(f"column {name!r} is of type {kind}, expected {_arrow_type(name)}")
    if facts.num_rows > _MOST_ROWS or facts.num_row_groups > _MOST_ROWS:
        raise ValueError(f"it claims {facts.num_rows} rows, at most {_MOST_ROWS} are read")
    decoded = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
    if not 0 <= decoded <= _LARGEST_DECODED:
        raise ValueError(f"it claims {decoded} bytes of values, at most {_LARGEST_DECODED} are read")
    return columns


def _column_of(name: str, column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers as float64 with NaN, text as objects with None; equal texts of a chunk are one object."""
    if name in NUMBERS:
        return np.asarray(column.to_numpy(), dtype=np.float64)
    pieces = [np.empty(0, object)]
    for chunk in column.chunks:
        texts = np.asarray([*chunk.dictionary.to_pylist(), None], dtype=object)
        pieces.append(texts[chunk.indices.fill_null(len(texts) - 1).to_numpy()])
    return np.concatenate(pieces)


def _check_ids(ids: list[Any]) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError("a recording is there twice")
    for recording_id in ids:
        problem = recording_id_problem(recording_id)
        if problem:
            raise ValueError(f"bad recording id: {problem}")
