"""Rows of a stored array, decoded straight from its files by a few threads; every checksum is looked at.

zarr reads the same bytes, but spends more time on each chunk than the decoding takes. What is read here is exactly what
format 1 writes for numbers (bytes, blosc, crc32c; docs/store-format.md); anything else is left to zarr.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeAlias

import google_crc32c
import numcodecs.blosc  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from neurodata.errors import IntegrityError, NeurodataError, StoreError
from neurodata.store.documents import recording_name
from neurodata.store.files import Files, RewrittenError
from neurodata.store.shard_layout import BLOSC_HEADER, CHECKSUM, Place, ShardLayout, find_layout

numcodecs.blosc.use_threads = False  # as zarr sets it: blosc's own threads share one state and do not survive a fork

_MISSING = 2**64 - 1
_JOB_BYTES = 1 << 20
"""Decoded bytes of one thread's task on this disk: half a millisecond, well above what handing it over costs."""

_REMEMBERED_BYTES = 4 << 20
"""Bytes of shard indexes one reader remembers; those of a gigabyte take 0.2 MB."""

_REMOTE_THREADS = 8
"""Shards fetched at once; each is fetched with requests of its own that run side by side."""

_LOCK = threading.Lock()
"""Held for a look at what a reader remembers, never while one reads."""

_Target: TypeAlias = tuple[int, int, NDArray[Any]]
"""Rows ``[first, after)`` and where they go, shape ``(after - first, column)``."""

_Job: TypeAlias = tuple[Place, dict[Place, list[_Target]]]
"""A file, and for each chunk wanted of it who wants it."""


class ChunkReader:
    """Rows of one stored array straight from its files, every checksum checked.

    Makes no request until it reads; can be pickled; may be used by several threads at once. A local file that was
    rewritten since this reader first read it raises: old and new values are never mixed.

    Parameters
    ----------
    files
        The recording's files.
    path
        The array's path inside the recording.
    document
        The array's ``zarr.json``, checked by `neurodata.store.documents`.

    Raises
    ------
    ValueError
        If the array is stored in another way than format 1 stores numbers; see `can_read`.
    """

    def __init__(self, files: Files, path: str, document: Mapping[str, Any]) -> None:
        layout = find_layout(document)
        if layout is None:
            raise ValueError(f"array {path!r} is not stored as format 1 stores numbers; read it with zarr")
        self._prepare(files, path, layout)

    def _prepare(self, files: Files, path: str, layout: ShardLayout) -> None:
        self.files, self.path, self.layout = files, path, layout
        self._indexes: OrderedDict[str, NDArray[np.uint64]] = OrderedDict()
        self._stamps: dict[str, Hashable] = {}

    def __getstate__(self) -> tuple[Files, str, ShardLayout]:
        return self.files, self.path, self.layout

    def __setstate__(self, state: tuple[Files, str, ShardLayout]) -> None:
        self._prepare(*state)

    @staticmethod
    def can_read(document: Mapping[str, Any]) -> bool:
        """Say whether an array is stored as format 1 stores numbers, so that no zarr is needed to read it."""
        return find_layout(document) is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array: ``(row,)`` or ``(row, column)``."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, as they are stored."""
        return self.layout.dtype

    @property
    def chunk_rows(self) -> int:
        """Rows of one inner chunk."""
        return self.layout.inner[0]

    @property
    def n_chunk_columns(self) -> int:
        """How many inner chunks there are across the columns."""
        return -(-self.layout.columns // self.layout.inner[1])

    def read(self, first: int, after: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return rows ``[first, after)``.

        Parameters
        ----------
        first, after
            ``0 <= first <= after <= shape[0]``.
        out
            Where to write them: a C-contiguous array of the result's shape and of `dtype`; a new one if None.

        Raises
        ------
        IntegrityError
            If a file is missing, cut short, damaged or was rewritten meanwhile.
        """
        self._check_span(first, after)
        shape = (after - first, *self.shape[1:])
        if out is None:
            out = self._make_empty(shape)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"rows {first} to {after} of array {self.path!r} need a C-contiguous {self.dtype} array of shape "
                f"{shape} to go to, got {out.dtype} of shape {out.shape}"
            )
        self._fill([(first, after, out.reshape(len(out), self.layout.columns))])
        return out

    def read_many(self, spans: Sequence[tuple[int, int]]) -> list[NDArray[Any]]:
        """Return the rows of each span; what several spans share is fetched and decoded once."""
        for first, after in spans:
            self._check_span(first, after)
        found = [self._make_empty((after - first, *self.shape[1:])) for first, after in spans]
        columns = self.layout.columns
        self._fill([(*span, out.reshape(len(out), columns)) for span, out in zip(spans, found, strict=True)])
        return found

    def _check_span(self, first: int, after: int) -> None:
        if not 0 <= first <= after <= self.shape[0]:
            raise IndexError(f"rows {first} to {after} are not in array {self.path!r} of {self.shape[0]} rows")

    def _make_empty(self, shape: tuple[int, ...]) -> NDArray[Any]:
        try:
            return np.empty(shape, self.dtype)
        except (MemoryError, ValueError) as error:
            raise too_large_error(self.files, self.path, self.shape) from error

    def _fill(self, targets: Sequence[_Target]) -> None:
        """Read all targets, or raise naming the array; nothing is written to them any more once this has returned."""
        try:
            _run(self._read_chunks, self._list_jobs(targets), remote=self.files.remote)
        except MemoryError as error:
            raise too_large_error(self.files, self.path, self.shape) from error
        except Exception as error:  # codecs fail in many ways on damaged bytes
            raise damage_error(self.files, self.path, error) from error

    def _list_jobs(self, targets: Sequence[_Target]) -> list[_Job]:
        """What is wanted of each file: all at once from a server, in small tasks from this disk."""
        wanted: dict[Place, dict[Place, list[_Target]]] = {}
        for target in targets:
            for chunk in self.layout.list_chunks(*target[:2]):
                wanted.setdefault(self.layout.file_of(chunk), {}).setdefault(chunk, []).append(target)
        total = self.layout.chunk_bytes * sum(map(len, wanted.values()))
        if self.files.remote or total <= _JOB_BYTES:
            return list(wanted.items())
        step = max(1, _JOB_BYTES // self.layout.chunk_bytes)
        return [
            (file, dict(chunks[first : first + step]))
            for file, chunks in ((file, list(chunks.items())) for file, chunks in wanted.items())
            for first in range(0, len(chunks), step)
        ]

    def _read_chunks(self, file: Place, chunks: dict[Place, list[_Target]]) -> None:
        """Read and decode some chunks of one file; neighbours are read in one piece."""
        key = self.layout.key(self.path, file)
        if not self.layout.sharded:
            self._decode(self._read_whole(key), next(iter(chunks)), next(iter(chunks.values())), key)
            return
        index = self._index(key)
        joined: list[tuple[int, int]] = []
        pieces: list[tuple[int, int, int, Place]] = []  # which of the joined, where in it, which chunk
        for start, stop, chunk in sorted((*self._span(index, chunk, key), chunk) for chunk in chunks):
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
            begin = joined[-1][0]
            pieces.append((len(joined) - 1, start - begin, stop - begin, chunk))
        contents = [np.frombuffer(content, np.uint8) for content in self.files.read_spans(key, joined)]
        self._check_stamp(key)
        for number, start, stop, chunk in pieces:
            self._decode(contents[number][start:stop], chunk, chunks[chunk], key)

    def _span(self, index: NDArray[np.uint64], chunk: Place, key: str) -> tuple[int, int]:
        offset, size = index[self.layout.number_of(chunk)].tolist()
        if offset == _MISSING and size == _MISSING:
            raise IntegrityError(f"chunk {chunk} is missing in file {key!r}")
        if offset > 2**53 or not BLOSC_HEADER + CHECKSUM < size <= self.layout.most_encoded:
            raise IntegrityError(
                f"the index of file {key!r} puts chunk {chunk} at byte {offset}, of {size} bytes; "
                f"it can have {self.layout.most_encoded} at the most"
            )
        return offset, offset + size

    def _index(self, key: str) -> NDArray[np.uint64]:
        """Byte and size of every chunk of a shard, shape ``(chunk, 2)``: remembered, else read from the file's end."""
        with _LOCK:
            found = self._indexes.get(key)
            if found is not None:
                self._indexes.move_to_end(key)
                return found
        self._note_stamp(key)
        n_chunks = self.layout.chunks_per_file
        tail = np.frombuffer(self.files.read_tail(key, 16 * n_chunks + CHECKSUM), np.uint8)
        _check_crc(tail, f"the index of file {key!r}")
        found = tail[:-CHECKSUM].view("<u8").reshape(n_chunks, 2)
        with _LOCK:
            self._indexes[key] = found
            while len(self._indexes) > 1 and sum(one.nbytes for one in self._indexes.values()) > _REMEMBERED_BYTES:
                self._indexes.popitem(last=False)
        return found

    def _read_whole(self, key: str) -> NDArray[np.uint8]:
        self._note_stamp(key)
        try:
            content = self.files.read(key, self.layout.most_encoded)
        except FileNotFoundError:
            raise IntegrityError(f"file {key!r} is missing") from None
        if not content:
            raise IntegrityError(f"file {key!r} is empty")
        self._check_stamp(key)
        return np.frombuffer(content, np.uint8)

    def _note_stamp(self, key: str) -> None:
        stamp = self.files.stamp(key)
        with _LOCK:
            self._stamps.setdefault(key, stamp)

    def _check_stamp(self, key: str) -> None:
        """Raise where a file is no longer the one its index was read from; looked at after reading, so that none slips by."""
        if self.files.stamp(key) != self._stamps[key]:
            raise RewrittenError(f"file {key!r} was rewritten")

    def _decode(self, content: NDArray[np.uint8], chunk: Place, targets: Sequence[_Target], key: str) -> None:
        where = f"chunk {chunk} of file {key!r}"
        _check_crc(content, where)
        encoded = content[:-CHECKSUM]
        self._check_header(encoded, where)
        (n_rows, n_columns), (at_row, at_column) = self.layout.inner, self.layout.begin_of(chunk)
        first, after, out = targets[0]
        if len(targets) == 1 and n_columns == out.shape[1] and first <= at_row and at_row + n_rows <= after:
            numcodecs.blosc.decompress(encoded, out[at_row - first : at_row - first + n_rows])
            return
        whole = np.empty(self.layout.inner, self.dtype)
        numcodecs.blosc.decompress(encoded, whole)
        for first, after, out in targets:
            begin, end = max(first, at_row), min(after, at_row + n_rows)
            part = whole[begin - at_row : end - at_row, : out.shape[1] - at_column]
            out[begin - first : end - first, at_column : at_column + n_columns] = part

    def _check_header(self, encoded: NDArray[np.uint8], where: str) -> None:
        """Compare the sizes blosc is about to believe with those there must be."""
        if len(encoded) < BLOSC_HEADER:
            raise IntegrityError(f"{where} ends within its header")
        n_bytes, n_encoded = (int.from_bytes(encoded[at : at + 4].tobytes(), "little") for at in (4, 12))
        if (n_bytes, n_encoded) != (self.layout.chunk_bytes, len(encoded)):
            raise IntegrityError(
                f"{where} claims {n_bytes} bytes from {n_encoded}; there must be {self.layout.chunk_bytes} from {len(encoded)}"
            )


def damage_error(files: Files, path: str, error: Exception) -> IntegrityError:
    """Return what to raise where reading an array failed with ``error``.

    Raises
    ------
    NeurodataError
        ``error`` itself, where it says nothing about what is stored (a server that does not answer).
    """
    name = recording_name(files)
    if isinstance(error, RewrittenError):
        again = "" if files.remote else "; open the recording again"  # a server's files say themselves what to open
        return RewrittenError(f"{name}: array {path!r} changed while it was in use: {error}{again}")
    if isinstance(error, NeurodataError) and not isinstance(error, IntegrityError):
        raise error
    hint = files.hint("zarr.json")
    reason = f"{error}{'' if hint in str(error) else hint}"
    return IntegrityError(f"{name}: array {path!r} is damaged: {reason}; run 'neurodata verify' and convert it again")


def too_large_error(files: Files, path: str, shape: tuple[int, ...]) -> StoreError:
    """Return what to raise where an array is larger than the memory."""
    return StoreError(
        f"{recording_name(files)}: array {path!r} of shape {shape} does not fit into memory; read a part of "
        "it with .sel(time=slice(…)) or .isel(…)"
    )


def _check_crc(content: NDArray[np.uint8], what: str) -> None:
    stated = int.from_bytes(content[-CHECKSUM:].tobytes(), "little")
    if len(content) <= CHECKSUM or google_crc32c.value(content[:-CHECKSUM]) != stated:
        raise IntegrityError(f"{what} does not fit its checksum")


_POOLS: dict[bool, ThreadPoolExecutor] = {}


def _begin_anew() -> None:
    """A fork has no threads but its own, and nobody who would give back a lock."""
    global _LOCK
    _LOCK = threading.Lock()
    _POOLS.clear()


os.register_at_fork(after_in_child=_begin_anew)


def _pool(remote: bool) -> ThreadPoolExecutor:
    if remote not in _POOLS:
        n_threads = _REMOTE_THREADS if remote else max(2, min(4, os.cpu_count() or 2))
        _POOLS.setdefault(remote, ThreadPoolExecutor(n_threads, thread_name_prefix="neurodata-shards"))
    return _POOLS[remote]


def _run(task: Callable[[Place, dict[Place, list[_Target]]], None], jobs: Sequence[_Job], *, remote: bool) -> None:
    """Run all jobs and raise what the first of them raised, when the last has ended."""
    if len(jobs) == 1:
        task(*jobs[0])
        return
    running: list[Future[None]] = [_pool(remote).submit(task, *job) for job in jobs]
    try:
        wait(running)
    except BaseException:
        for future in running:
            future.cancel()
        wait(running)
        raise
    for future in running:
        future.result()
