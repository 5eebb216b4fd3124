"""``openings.parquet``: what opening a recording reads, of all recordings of a store in one file.

On a server every file costs a way there and back, and a recording has dozens of small ones. This cache beside
``index.parquet`` keeps the root document, small arrays whole, and the index at the end of every shard, so that a
remote recording opens without a request of its own and a window is one range. It is a cache: a store without it reads
as well, only later; every value is still checked against its checksum, every document against its digest.

One row per file: ``recording_id``, ``stamp`` (of the recording's root document, as in ``index.parquet``), ``key``
(path inside the recording), ``file_bytes``, ``start`` (of what is kept), ``length`` and ``data`` (zstd of the bytes
kept). Rows are sorted by recording, in row groups of up to 64 recordings; parquet's own compression and dictionaries
are off, so that no page unfolds into more than the file holds.
"""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from neurodata.errors import StoreError
from neurodata.store.server import RefusedError, Server

OPENINGS_FILE = "openings.parquet"

LARGEST_SMALL = 64 * 1024
"""Bytes of a file that is kept whole; more is read when it is needed."""

LARGEST_WHOLE, LARGEST_KEPT = 512 * 1024, 8 * 1024 * 1024
"""Bytes of small files, and of all that is kept, per recording."""

_FIRST_READ = 4 * 1024 * 1024
"""Bytes of the first request: a small store's openings as a whole, else their end with the list of row groups."""

GROUP_RECORDINGS, GROUP_BYTES, MOST_GROUPS = 64, 1024 * 1024, 1000
"""Recordings and bytes a row group is closed at; with more row groups than that, their list would grow long."""

_LARGEST_GROUP = 16 * 1024 * 1024
_MOST_ROWS = 1_000_000
"""Rows of one row group."""

_HELD_BYTES = 64 * 1024 * 1024
"""Compressed bytes of row groups that stay in memory."""

SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("recording_id", pa.string()), ("stamp", pa.string()), ("key", pa.string()), ("file_bytes", pa.int64()),
            ("start", pa.int64()), ("length", pa.int64()), ("data", pa.binary()),
        )
    ]
)  # fmt: skip


Row = tuple[str, str, str, int, int, int, bytes]
"""One file of one recording, in the order of `SCHEMA`."""

_Bytes = tuple[int, int, int, bytes]
"""Its last four: size of the file, first byte kept, number of bytes kept, and these packed."""


@dataclass(frozen=True)
class Kept:
    """Bytes of one file that the openings keep, where they begin and how large the file is."""

    file_bytes: int
    start: int
    data: bytes

    def covers(self, start: int, stop: int) -> bool:
        """Say whether [start, stop) is among what is kept."""
        return self.start <= start and stop <= self.start + len(self.data)

    def cut(self, start: int, stop: int) -> memoryview:
        """Return the bytes [start, stop) of the file."""
        return memoryview(self.data)[start - self.start : stop - self.start]


class Openings:
    """The openings of a store on a server: fetched when first asked, row group by row group, kept within bounds.

    Parameters
    ----------
    server
        The store's address.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._lock, self._locked_in = threading.Lock(), os.getpid()
        self._groups: OrderedDict[int, dict[str, _Bytes]] = OrderedDict()
        self._held: dict[int, int] = {}
        self._firsts: list[str] | None = None
        self._lasts: list[str] = []
        self._metadata: Any = None
        self._file_bytes = 0
        self._tail, self._tail_start = b"", 0

        server.shared["openings"] = self

    def __reduce__(self) -> Any:
        return _find_openings, (self.server,)

    def find(self, path: str) -> Kept | None:
        """Return what is kept of ``DATASET/RECORDING/KEY``; None where nothing is.

        Raises
        ------
        StoreError
            If the server cannot be reached or the openings are not what `write_openings` writes.
        """
        if path.count("/") < 2:
            return None
        recording_id = "/".join(path.split("/", 2)[:2])
        if self._locked_in != os.getpid():  # a fork can use what is in memory, but not a lock that was held
            self._lock, self._locked_in = threading.Lock(), os.getpid()
        with self._lock:
            row = self._rows(recording_id).get(path)
        if row is None:
            return None
        file_bytes, start, length, packed = row
        if not (0 < length <= LARGEST_KEPT and start >= 0 and start + length <= file_bytes):
            raise self._damaged(f"{length} bytes of {path[:200]!r} are said to be kept")
        try:
            data = pa.Codec("zstd").decompress(packed, decompressed_size=length, asbytes=True)
        except Exception as error:
            raise self._damaged(f"{path[:200]!r} cannot be unpacked: {error}") from error
        return Kept(file_bytes, start, data)

    def _rows(self, recording_id: str) -> Mapping[str, _Bytes]:
        if self._firsts is None:
            self._fetch_list()
        assert self._firsts is not None
        number = bisect_right(self._firsts, recording_id) - 1
        if number < 0 or recording_id > self._lasts[number]:
            return {}
        if number not in self._groups:
            self._fetch_group(number)
        self._groups.move_to_end(number)
        return self._groups[number]

    def _fetch_list(self) -> None:
        """Fetch the end of the file, with the list of its row groups."""
        try:
            end = self.server.get(OPENINGS_FILE, _FIRST_READ, _FIRST_READ)
        except (FileNotFoundError, RefusedError):
            self._firsts = []
            return
        self._tail, self._tail_start = bytes(end.data), end.start
        try:
            pieces = _Pieces(end.file_bytes, {end.start: self._tail})
            metadata = open_openings(pa.PythonFile(pieces, mode="r")).metadata
            firsts, lasts = _group_names(metadata)
        except Exception as error:  # bytes from anyone
            raise self._damaged(str(error)) from error
        self._metadata, self._firsts, self._lasts = metadata, firsts, lasts
        self._file_bytes = end.file_bytes

    def _fetch_group(self, number: int) -> None:
        try:
            start, stop = group_span(self._metadata.row_group(number), self._file_bytes)
        except Exception as error:
            raise self._damaged(str(error)) from error
        pieces = {self._tail_start: self._tail}
        if start < self._tail_start:
            pieces[start] = bytes(self.server.get(OPENINGS_FILE, (start, stop), _LARGEST_GROUP).data)
        try:
            reader = open_openings(pa.PythonFile(_Pieces(self._file_bytes, pieces), mode="r"), self._metadata)
            rows = read_group(reader, number, self._file_bytes)
        except Exception as error:
            raise self._damaged(str(error)) from error
        self._groups[number] = {f"{row[0]}/{row[2]}": row[3:] for row in rows}
        self._held[number] = stop - start
        while sum(self._held.values()) > _HELD_BYTES and len(self._groups) > 1:
            oldest, _ = self._groups.popitem(last=False)
            del self._held[oldest]

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(
            f"{OPENINGS_FILE} of store {self.server.shown!r} cannot be read ({reason[:300]}); it is only a cache: delete it, "
            "or run 'neurodata store index STORE' where the store was written and upload it again"
        )


def _find_openings(server: Server) -> Openings:
    """Those of this process, so that copies of one store's files that were pickled apart fetch them once."""
    return server.shared.get("openings") or Openings(server)


def open_openings(source: Any, metadata: Any = None) -> Any:
    """Return a reader of an openings file; raises where it has other columns than `SCHEMA`."""
    reader = pq.ParquetFile(
        source, metadata=metadata, pre_buffer=False, thrift_string_size_limit=_FIRST_READ,
        thrift_container_size_limit=200_000,
    )  # fmt: skip
    if not reader.schema_arrow.equals(SCHEMA):
        raise ValueError(f"expected the columns {', '.join(SCHEMA.names)}, got {reader.schema_arrow.names}")
    return reader


def read_group(reader: Any, number: int, file_bytes: int) -> list[Row]:
    """Return the rows of a row group, a few at a time, so that what a page unfolds into can be bounded."""
    start, stop = group_span(reader.metadata.row_group(number), file_bytes)
    rows: list[Row] = []
    unfolded = 0
    for batch in reader.iter_batches(batch_size=16, row_groups=[number], use_threads=False):
        unfolded += batch.nbytes
        if unfolded > 2 * (stop - start) + 65536:
            raise ValueError("a row group unfolds into more than the file holds")
        rows += zip(*[batch.column(name).to_pylist() for name in SCHEMA.names])
    return rows


class _Pieces(io.RawIOBase):
    """A file of which only some pieces are here."""

    def __init__(self, size: int, pieces: Mapping[int, bytes]) -> None:
        self._size, self._pieces, self._place = size, pieces, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def read(self, count: int = -1) -> bytes:
        stop = self._size if count < 0 else min(self._size, self._place + count)
        for first, data in self._pieces.items():
            if first <= self._place and stop <= first + len(data):
                found = data[self._place - first : stop - first]
                self._place += len(found)
                return found
        raise ValueError(f"the list of row groups points to bytes {self._place} to {stop}, where none should be read")


def _group_names(metadata: Any) -> tuple[list[str], list[str]]:
    """First and last recording of every row group; raises where the list of row groups is not as it is written."""
    firsts, lasts = [], []
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(0).statistics
        if statistics is None or not statistics.has_min_max:
            raise ValueError("the row groups do not say which recordings they hold")
        firsts.append(str(statistics.min))
        lasts.append(str(statistics.max))
    if firsts != sorted(firsts) or any(last < first for first, last in zip(firsts, lasts)):
        raise ValueError("the row groups are not sorted by recording")
    return firsts, lasts


def group_span(group: Any, file_bytes: int) -> tuple[int, int]:
    """Where a row group lies in the file; raises where that cannot be, or where its pages could unfold."""
    columns = [group.column(number) for number in range(group.num_columns)]
    if any(c.compression != "UNCOMPRESSED" or c.dictionary_page_offset is not None for c in columns):
        raise ValueError("its pages are compressed or hold a dictionary")
    start = min(column.data_page_offset for column in columns)
    stop = max(column.data_page_offset + column.total_compressed_size for column in columns)
    if not 0 <= start < stop <= file_bytes or stop - start > _LARGEST_GROUP or not 0 < group.num_rows <= _MOST_ROWS:
        raise ValueError(f"a row group claims {group.num_rows} rows in the bytes {start} to {stop} of {file_bytes}")
    return start, stop
