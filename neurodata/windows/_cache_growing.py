"""Entries that are filled chunk by chunk, for signals read from a server."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neurodata.errors import CacheError
from neurodata.windows._cache_entry import Entry, Mapped, check_block, reserve, write_at
from neurodata.windows._cache_layout import (
    BOOT,
    BOOT_BYTES,
    DATA,
    HAVE,
    VALUES,
    Document,
    Span,
    cache_error,
    check_array,
    entry_folder,
    page_up,
    write_document,
)
from neurodata.windows._cache_settle import boot_id, settle_later

MISSING, WRITTEN, ON_DISK = 0, 1, 2
"""What is known of a chunk. ``WRITTEN`` is believed until the machine is started anew, ``ON_DISK`` for ever."""


class GrowingEntry(Entry):
    """One array, ``arrays["values"]``, whose rows are there once they were filled; safe for threads and processes.

    Look at rows only where `missing` finds none: others read as zero.
    """

    def __init__(self, cache: Path, key: str, mapped: Mapped, grew: Callable[[int], None]) -> None:
        super().__init__(key, mapped)
        self.chunk_rows = mapped.document.chunk_rows
        self._have, self._boot = self.arrays[HAVE], self.arrays[BOOT]
        self.values = self.arrays[VALUES]
        self.arrays = {VALUES: self.values}
        self._queued = False
        self._cache, self._path = cache, f"{entry_folder(cache, key)}/{DATA}"
        self._spans, self._inode, self._grew = mapped.document.arrays, mapped.inode, grew
        self._row_bytes = self.values.dtype.itemsize * math.prod(self.values.shape[1:])

    @property
    def complete(self) -> bool:
        """Whether every chunk is there."""
        return bool((self._have >= self._least()).all())

    def missing(self, first: int, after: int) -> list[tuple[int, int]]:
        """Return spans of rows to be filled before rows ``[first, after)`` can be read.

        Returns
        -------
        spans
            ``(first, after)`` of whole chunks, neighbours as one, in order; empty where all is there.
        """
        n_rows, step = len(self.values), self.chunk_rows
        first, after = max(0, first), min(n_rows, after)
        if after <= first:
            return []
        begin, end = first // step, -(-after // step)
        there = self._have[begin:end] >= self._least()
        if there.all():
            return []
        edges = np.flatnonzero(np.diff(there, prepend=True, append=True)) + begin
        return [(int(a) * step, min(n_rows, int(b) * step)) for a, b in edges.reshape(-1, 2)]

    def fill(self, first_row: int, block: NDArray[Any]) -> None:
        """Write whole chunks of rows, and then say that they are there.

        Raises
        ------
        CacheError
            If the block is of another type or shape or not of whole chunks, the disk is full, or the entry is gone.
        """
        check_block(VALUES, self.values.shape, self.values.dtype, first_row, block)
        after = first_row + len(block)
        if first_row % self.chunk_rows or (after % self.chunk_rows and after != len(self.values)):
            raise CacheError(
                f"rows {first_row} to {after} of cache entry {self.what!r} are not whole chunks of {self.chunk_rows} rows"
            )
        if not len(block):
            return
        begin, end = first_row // self.chunk_rows, -(-after // self.chunk_rows)
        try:
            handle = self._open()
            try:
                self._renew(handle)
                write_at(handle, self._spans[VALUES].start + first_row * self._row_bytes, block)
                self._note(handle, begin, end)
            finally:
                os.close(handle)
        except OSError as error:
            raise cache_error(error, self._cache, block.nbytes, self.what) from error
        if boot_id() and not self._queued:
            self._queued = True
            settle_later(self._cache, self._settle)
        self._grew(block.nbytes)

    def _note(self, handle: int, begin: int, end: int) -> None:
        state = WRITTEN
        if not boot_id():  # one start of the machine cannot be told from another: wait for the disk
            os.fsync(handle)
            state = ON_DISK
        write_at(handle, self._spans[HAVE].start + begin, np.full(end - begin, state, np.uint8))

    def _settle(self) -> Callable[[], None]:
        """What was written is on the disk after the sync that follows; say so then."""
        self._queued = False  # before looking: what is written from now on asks again
        written = np.flatnonzero(self._have == WRITTEN) if self._is_this_boot() else np.empty(0, np.int64)

        def mark() -> None:
            handle = self._open()
            try:
                for run in np.split(written, np.flatnonzero(np.diff(written) > 1) + 1):
                    state = np.full(run.size, ON_DISK, np.uint8)
                    write_at(handle, self._spans[HAVE].start + int(run[0]), state)
            finally:
                os.close(handle)

        return mark if written.size else lambda: None

    def _least(self) -> int:
        return WRITTEN if self._is_this_boot() else ON_DISK

    def _is_this_boot(self) -> bool:
        return self._boot.tobytes() == _boot_bytes()

    def _renew(self, handle: int) -> None:
        """After a new start of the machine: forget what may not have reached the disk."""
        if self._is_this_boot():
            return
        have = self._have.copy()
        have[have == WRITTEN] = MISSING
        write_at(handle, self._spans[HAVE].start, have)
        write_at(handle, self._spans[BOOT].start, np.frombuffer(_boot_bytes(), np.uint8))

    def _open(self) -> int:
        """A descriptor of the file that is mapped; not of one that somebody made in its place."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            if os.fstat(handle).st_ino == self._inode:
                return handle
            os.close(handle)
        except FileNotFoundError:
            pass
        raise CacheError(
            f"cache entry {self.what!r} was removed from {str(self._cache)!r} while it was in use; run this again"
        )


def make_growing(
    folder: Path,
    what: str,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    chunk_rows: int,
    facts: Mapping[str, Any],
    made_by: str,
) -> None:
    """Write an entry with nothing in it yet: a file of full size that takes no room on the disk.

    Raises
    ------
    CacheError
        If the shape, type or facts cannot be stored.
    """
    if chunk_rows < 1:
        raise CacheError(f"cache entry {what!r}: chunk_rows must be at least 1, got {chunk_rows}")
    stored = check_array(VALUES, shape, np.dtype(dtype))
    values = Span(stored, shape, 0)
    have = Span("|u1", (-(-shape[0] // chunk_rows),), page_up(values.stop))
    boot = Span("|u1", (BOOT_BYTES,), page_up(have.stop))
    n_bytes = page_up(boot.stop)
    handle = os.open(folder / DATA, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.ftruncate(handle, have.start)
        reserve(handle, have.start, n_bytes - have.start)
        write_at(handle, boot.start, np.frombuffer(_boot_bytes(), np.uint8))
    finally:
        os.close(handle)
    spans = {VALUES: values, HAVE: have, BOOT: boot}
    write_document(folder, Document(what, n_bytes, spans, facts, boot_id(), chunk_rows), made_by)


def check_growing(entry: Entry, shape: tuple[int, ...], dtype: DTypeLike, chunk_rows: int) -> GrowingEntry:
    """Return the entry, which must be a growing one of this shape, type and chunk."""
    if isinstance(entry, GrowingEntry):
        found = (entry.values.shape, entry.values.dtype, entry.chunk_rows)
        if found == (shape, np.dtype(dtype), chunk_rows):
            return entry
    raise CacheError(
        f"cache entry {entry.what!r} is not a growing one of {np.dtype(dtype)}{list(shape)} in chunks of {chunk_rows} rows; "
        "its key must tell it apart from other entries (make_key with shape, dtype and chunk_rows)"
    )


@functools.cache
def _boot_bytes() -> bytes:
    return boot_id().encode()[:BOOT_BYTES].ljust(BOOT_BYTES, b"\0")
