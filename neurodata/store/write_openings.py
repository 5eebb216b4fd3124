"""Writing ``openings.parquet`` (`neurodata.store.openings` says what it is); only what changed is read again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from neurodata.errors import NeurodataError
from neurodata.store.chunks import chunk_keys, count_chunks
from neurodata.store.documents import LARGEST_DOCUMENT, documents_of, parse_document, recording_name
from neurodata.store.files import LocalFiles
from neurodata.store.openings import (
    GROUP_BYTES,
    GROUP_RECORDINGS,
    LARGEST_KEPT,
    LARGEST_SMALL,
    LARGEST_WHOLE,
    MOST_GROUPS,
    OPENINGS_FILE,
    SCHEMA,
    Row,
    group_span,
    open_openings,
    read_group,
)
from neurodata.store.table import list_recordings


def write_openings(store: Path) -> bool:
    """Write ``openings.parquet``; a store that cannot be written simply stays without.

    Parameters
    ----------
    store
        The store's folder.

    Returns
    -------
    written
        False where the file was already as it should be, or could not be written.
    """
    stamps = {recording_id: _stamp(store, recording_id) for recording_id in list_recordings(store)}
    old = _OldOpenings(store / OPENINGS_FILE)
    if old.stamps == stamps:
        return False
    part = store / f".{OPENINGS_FILE}.{os.getpid()}"
    try:
        _write(part, store, stamps, old)
        os.replace(part, store / OPENINGS_FILE)
    except (OSError, pa.ArrowException):  # a full or read-only disk
        with suppress(OSError):
            part.unlink(missing_ok=True)
        return False
    return True


def _stamp(store: Path, recording_id: str) -> str:
    found = os.stat(store / recording_id / "zarr.json")
    return f"{found.st_mtime_ns}-{found.st_size}"


def _write(part: Path, store: Path, stamps: Mapping[str, str], old: _OldOpenings) -> None:
    target = max(GROUP_BYTES, old.n_bytes // MOST_GROUPS)
    held: list[Row] = []
    n_recordings = 0
    with pq.ParquetWriter(
        part, SCHEMA, compression="none", use_dictionary=False, write_statistics=["recording_id"]
    ) as writer:
        for recording_id, stamp in stamps.items():
            rows = old.rows(recording_id, stamp) or list(_read_rows(store, recording_id, stamp))
            if held and (n_recordings >= GROUP_RECORDINGS or _size(held) + _size(rows) > target):
                _flush(writer, held)
                n_recordings = 0
            held += rows
            n_recordings += 1
        if held:
            _flush(writer, held)


def _size(rows: Sequence[Row]) -> int:
    return sum(len(row[-1]) + 200 for row in rows)


def _flush(writer: Any, held: list[Row]) -> None:
    table = pa.table([pa.array(column, kind.type) for column, kind in zip(zip(*held), SCHEMA)], schema=SCHEMA)
    writer.write_table(table, row_group_size=len(held))
    held.clear()


def _read_rows(store: Path, recording_id: str, stamp: str) -> Iterator[Row]:
    """What is kept of one recording; of one that cannot be read, nothing."""
    files = LocalFiles(store / recording_id)
    try:
        root = files.read("zarr.json", LARGEST_DOCUMENT)
        name = recording_name(store / recording_id)
        documents = documents_of(parse_document(root, name), name)
    except (NeurodataError, OSError):
        return
    left = {"whole": LARGEST_WHOLE, "all": LARGEST_KEPT}
    for key, file_bytes, start, whole in _wanted(store / recording_id, len(root), documents):
        count = file_bytes - start
        if count > left["all"] or (whole and count > left["whole"]):
            continue
        try:
            data = files.read_spans(key, [(start, file_bytes)])[0]
        except (NeurodataError, OSError):
            continue
        left["all"] -= count
        left["whole"] -= count if whole else 0
        packed = pa.Codec("zstd").compress(bytes(data), asbytes=True)
        yield recording_id, stamp, key, file_bytes, start, count, packed


def _wanted(
    folder: Path, root_bytes: int, documents: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, int, int, bool]]:
    """Files to keep as (key, size, first byte kept, whether it is a small file): root, ends of shards, small files."""
    ends: list[tuple[str, int, int, bool]] = []
    small: list[tuple[str, int, int, bool]] = []
    for path, document in documents.items():
        if document["node_type"] != "array":
            continue
        stored = document["chunk_grid"]["configuration"]["chunk_shape"]
        tail = _tail_bytes(document, stored)
        for key in chunk_keys(tuple(document["shape"]), tuple(stored)):
            with suppress(OSError):
                size = os.stat(folder / path / key).st_size
                if size <= LARGEST_SMALL and size > 0:
                    small.append((f"{path}/{key}", size, 0, True))
                elif tail is not None and tail < size:
                    ends.append((f"{path}/{key}", size, size - tail, False))
    return [("zarr.json", root_bytes, 0, False), *ends, *sorted(small, key=lambda found: found[1])]


def _tail_bytes(document: Mapping[str, Any], stored: Sequence[int]) -> int | None:
    """Bytes of the index at a shard's end: offset and length per inner chunk, and a checksum; None where it has none."""
    codec = document["codecs"][0]
    inside = codec.get("configuration", {})
    if codec["name"] != "sharding_indexed" or inside.get("index_location", "end") != "end":
        return None
    if [entry.get("name") for entry in inside.get("index_codecs", ())] != ["bytes", "crc32c"]:
        return None
    return 16 * count_chunks(stored, inside["chunk_shape"]) + 4


class _OldOpenings:
    """What an earlier openings file of this store holds; nothing where it cannot be read."""

    def __init__(self, file: Path) -> None:
        self.stamps: dict[str, str] = {}
        self.n_bytes = 0
        self._group_of: dict[str, int] = {}
        self._loaded: tuple[int, dict[str, list[Row]]] = (-1, {})
        with suppress(Exception):  # a cache in any state is no reason to fail
            self._reader, self.n_bytes = open_openings(file), os.path.getsize(file)
            for number in range(self._reader.metadata.num_row_groups):
                group_span(self._reader.metadata.row_group(number), self.n_bytes)
                names = self._reader.read_row_group(number, columns=["recording_id", "stamp"])
                found = dict(zip(names.column(0).to_pylist(), names.column(1).to_pylist()))
                self.stamps |= found
                self._group_of |= dict.fromkeys(found, number)

    def rows(self, recording_id: str, stamp: str) -> list[Row]:
        """The rows of a recording whose root document is still the one they were made from; else none."""
        if self.stamps.get(recording_id) != stamp:
            return []
        try:
            number = self._group_of[recording_id]
            if self._loaded[0] != number:
                by_recording: dict[str, list[Row]] = {}
                for row in read_group(self._reader, number, self.n_bytes):
                    by_recording.setdefault(row[0], []).append(row)
                self._loaded = number, by_recording
            return self._loaded[1].get(recording_id, [])
        except Exception:  # as above
            return []
