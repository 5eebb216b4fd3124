"""One row per recording, without opening a single array; `index.parquet` is its cache, never its truth."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from neurodata import names
from neurodata.checks import is_safe_part
from neurodata.store.documents import check_root, read_documents
from neurodata.store.manifest import CONTENT_DIGEST, MANIFEST
from neurodata.store.read import open_recording

INDEX_FILE = "index.parquet"
_STAMP = "stamp"
_LARGEST_INDEX = 256 * 1024 * 1024
COLUMNS = (
    "recording_id", "dataset", "subject", "species", "sex", "age", "stage", "strain", "modality", "session", "task",
    "device", "licence", "citation", "loader", "loader_version", "signals", "events", "intervals", "n_channels",
    "sampling_rate_hz", "duration_seconds", "content_sha256",
)  # fmt: skip


_NUMBERS = ("loader_version", "n_channels", "sampling_rate_hz", "duration_seconds")
_TYPES = {column: "float64" if column in _NUMBERS else "object" for column in (*COLUMNS, _STAMP)}
"""Fixed, so that a table has the same types whatever its rows hold and wherever they come from."""


def list_recordings(store: Path) -> list[str]:
    """Return the ids of all complete recordings of a store, sorted; unfinished work and other files are passed over."""
    found = []
    for dataset in os.scandir(store):
        if not is_safe_part(dataset.name) or not dataset.is_dir(follow_symlinks=False):
            continue
        for recording in os.scandir(dataset.path):
            if not is_safe_part(recording.name) or not recording.is_dir(follow_symlinks=False):
                continue
            if os.path.isfile(os.path.join(recording.path, "zarr.json")):
                found.append(f"{dataset.name}/{recording.name}")
    return sorted(found)


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


def write_index(store: Path) -> None:
    """Write ``index.parquet``; a store that cannot be written simply stays without."""
    table, part = _stamped_table(store), store / f".{INDEX_FILE}.{os.getpid()}"
    try:
        table.to_parquet(part, index=False)
        os.replace(part, store / INDEX_FILE)
    except Exception:  # a full or read-only disk, or rows of a strange store that parquet cannot hold
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _stamped_table(store: Path) -> pd.DataFrame:
    cached = _read_index(store)
    rows = []
    for recording_id in list_recordings(store):
        stat = os.stat(store / recording_id / "zarr.json")
        stamp = f"{stat.st_mtime_ns}-{stat.st_size}"
        row = cached.get((recording_id, stamp))
        rows.append(row if row is not None else _read_row(store, recording_id) | {_STAMP: stamp})
    return pd.DataFrame(rows, columns=[*COLUMNS, _STAMP]).astype(_TYPES)


def _read_index(store: Path) -> dict[tuple[str, str], dict[Any, Any]]:
    try:
        if os.path.getsize(store / INDEX_FILE) > _LARGEST_INDEX:
            return {}
        table = pd.read_parquet(store / INDEX_FILE)
        rows = table[[*COLUMNS, _STAMP]].astype(object).where(table.notna(), None).to_dict("records")
        return {(row["recording_id"], row[_STAMP]): row for row in rows}
    except Exception:  # a cache in any state is no reason to fail
        return {}


def _read_row(store: Path, recording_id: str) -> dict[str, Any]:
    folder = store / recording_id
    documents = read_documents(folder)
    root = check_root(folder, documents[""])
    metadata = root["metadata"]
    subject, loader = (value if isinstance(value := metadata.get(key), dict) else {} for key in ("subject", "loader"))
    row = {key: metadata.get(key) for key in COLUMNS} | {
        key: subject.get(key) for key in ("species", "sex", "age", "stage", "strain")
    }
    row |= {"recording_id": recording_id, "subject": f"{metadata.get('dataset')}/{subject.get('id')}"}
    row |= {"loader": loader.get("name"), "loader_version": loader.get("version")}
    row |= {group: _member_names(documents, group) for group in names.GROUPS}
    row |= _first_signal(documents) | {"content_sha256": root[MANIFEST].get(CONTENT_DIGEST)}
    # Late starts, gaps and explicit times: the recording itself knows when it ends.
    row["duration_seconds"] = open_recording(folder).duration_seconds or None
    return {key: _plain_value(key, value) for key, value in row.items()}


def _plain_value(column: str, value: Any) -> Any:
    """Text or a number, as the column wants it; whatever else a strange store holds is left out."""
    wanted = (int, float) if column in _NUMBERS else str
    return value if isinstance(value, wanted) and not isinstance(value, bool) else None


def _member_names(documents: Mapping[str, Any], group: str) -> str:
    """Names of a group's members, separated by blanks."""
    return " ".join(path.split("/")[1] for path in documents if path.startswith(f"{group}/") and path.count("/") == 1)


def _first_signal(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Channels and rate of the first neural signal (of the first signal where none is neural)."""
    signals = [
        document
        for path, document in documents.items()
        if document["node_type"] == "array" and path == "/".join([names.SIGNALS, *[path.split("/")[-1]] * 2])
    ]
    signals.sort(key=lambda document: document["attributes"].get(names.ROLE) != "neural")
    if not signals:
        return {"n_channels": None, "sampling_rate_hz": None}
    shape, rate = signals[0]["shape"], signals[0]["attributes"].get(names.SAMPLING_RATE)
    regular = isinstance(rate, (int, float)) and rate > 0
    return {"n_channels": shape[-1], "sampling_rate_hz": rate if regular else None}
