"""Entries of the decoded cache: opened, and written."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neurodata.errors import CacheError
from neurodata.windows._cache_layout import (
    DATA,
    DOCUMENT,
    SAFE,
    DamagedError,
    Document,
    Span,
    cache_error,
    check_array,
    entry_folder,
    page_up,
    read_document,
    write_document,
)
from neurodata.windows._cache_mapping import map_file
from neurodata.windows._cache_settle import boot_id, settle_entry, settle_later

_TOUCH_SECONDS = 60.0
"""How exact the order of last use is; a touch writes to the disk."""


@dataclass(frozen=True)
class Mapped:
    """What an entry says, its bytes in memory, and which file they are of."""

    document: Document
    memory: NDArray[np.uint8]
    inode: int


class Entry:
    """Arrays of one key, mapped read-only. As long as any of its arrays lives, the entry is in use and stays.

    Attributes
    ----------
    key, what
        Its name, for programs and for people.
    arrays
        Name → array.
    facts
        What its maker said about it.
    """

    def __init__(self, key: str, mapped: Mapped) -> None:
        document = mapped.document
        self.key, self.what, self.facts = key, document.what, document.facts
        self.arrays: Mapping[str, NDArray[Any]] = {n: _view(mapped.memory, span) for n, span in document.arrays.items()}

    def __repr__(self) -> str:
        arrays = ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in self.arrays.items())
        return f"{type(self).__name__}({self.what!r}: {arrays})"


def _view(memory: NDArray[np.uint8], span: Span) -> NDArray[Any]:
    return memory[span.start : span.stop].view(span.dtype).reshape(span.shape)


def map_entry(cache: Path, key: str, gone: Callable[[], None], *, touching: bool = True) -> Mapped | None:
    """Return what an entry says and its mapped bytes, None where there is none; the cache's lock must be held.

    Raises
    ------
    DamagedError
        If it is not what was written, or may not be since the machine crashed before it was on the disk.
    OSError
        If it cannot be read or mapped.
    """
    folder = entry_folder(cache, key)
    try:
        handle = os.open(f"{folder}/{DOCUMENT}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if os.path.isdir(folder):
            raise DamagedError(f"{DOCUMENT} is missing") from None
        return None
    try:
        document = read_document(handle)
        if touching and time.time() - os.fstat(handle).st_mtime > _TOUCH_SECONDS:
            touch(f"{folder}/{DOCUMENT}")
    finally:
        os.close(handle)
    settled = bool(document.chunk_rows) or not touching or _is_settled(folder, document)
    mapped = _map_data(folder, document, gone)
    if not settled:
        settle_later(cache, functools.partial(settle_entry, folder, mapped.inode))
    return mapped


def _map_data(folder: str, document: Document, gone: Callable[[], None]) -> Mapped:
    try:
        handle = os.open(f"{folder}/{DATA}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise DamagedError(f"{DATA} is missing") from error
    try:
        stat = os.fstat(handle)
        if stat.st_size != document.n_bytes:
            raise DamagedError(f"{DATA} has {stat.st_size} bytes, {DOCUMENT} says {document.n_bytes}")
        return Mapped(document, map_file(handle, stat.st_size, gone), stat.st_ino)
    finally:
        os.close(handle)


def _is_settled(folder: str, document: Document) -> bool:
    """Whether an entry is known to be on the disk; if not, it must have been made since the machine started."""
    if os.path.exists(f"{folder}/{SAFE}"):
        return True
    if document.boot != boot_id():
        raise DamagedError("the machine was started anew before the entry was known to be on the disk")
    return False


def touch(path: str) -> None:
    """Note that an entry is used now."""
    try:
        os.utime(path)
    except OSError:  # a read-only folder: nothing is evicted there either
        return


class ArrayFile:
    """One array being written; its space is reserved, so a full disk was noticed before the first value came.

    Safe for threads that write different rows.
    """

    def __init__(self, writer: EntryWriter, name: str, span: Span) -> None:
        self.name, self.shape, self.dtype = name, span.shape, np.dtype(span.dtype)
        self._writer, self._start = writer, span.start
        self._row_bytes = self.dtype.itemsize * math.prod(span.shape[1:])
        self._lock = threading.Lock()
        self.rows_written = 0

    def write(self, first_row: int, block: NDArray[Any]) -> None:
        """Write rows beginning at ``first_row``; every row is to be written once.

        Raises
        ------
        CacheError
            If the block is of another type or shape, lies outside, or cannot be written.
        """
        check_block(self.name, self.shape, self.dtype, first_row, block)
        self._writer.put(self._start + first_row * self._row_bytes, block)
        with self._lock:
            self.rows_written += len(block)


def check_block(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], first_row: int, block: NDArray[Any]) -> None:
    """Raise unless a block of rows fits into an array."""
    inside = block.ndim == len(shape) and 0 <= first_row <= first_row + len(block) <= shape[0]
    if block.dtype != dtype or not inside or block.shape[1:] != shape[1:]:
        raise CacheError(
            f"rows from {first_row} of cached array {name!r} ({dtype}, {shape}) cannot be "
            f"{block.dtype} of shape {block.shape}"
        )


class EntryWriter:
    """What a maker fills: arrays by `create`, and ``facts`` (JSON)."""

    def __init__(self, cache: Path, folder: Path, what: str) -> None:
        self.facts: dict[str, Any] = {}
        self._cache, self._folder, self._what = cache, folder, what
        self._files: dict[str, ArrayFile] = {}
        self._spans: dict[str, Span] = {}
        self._end = 0
        self._handle = os.open(folder / DATA, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def create(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> ArrayFile:
        """Add an array, with its space reserved on the disk.

        Raises
        ------
        CacheError
            If the name, type or shape cannot be stored, the name is taken, or there is no room.
        """
        shape = tuple(int(n) for n in shape)
        span = Span(check_array(name, shape, np.dtype(dtype)), shape, self._end)
        if name in self._spans:
            raise CacheError(f"cache entry {self._what!r} has two arrays {name!r}")
        end = page_up(span.stop)
        self._reserve(self._end, end - self._end)
        self._spans[name], self._end = span, end
        self._files[name] = ArrayFile(self, name, span)
        return self._files[name]

    def _reserve(self, start: int, n_bytes: int) -> None:
        try:
            reserve(self._handle, start, n_bytes)
        except OSError as error:
            raise cache_error(error, self._cache, start + n_bytes, self._what) from error

    def put(self, start: int, block: NDArray[Any]) -> None:
        """Write a block's bytes at a place in the file."""
        try:
            write_at(self._handle, start, block)
        except OSError as error:
            raise cache_error(error, self._cache, self._end, self._what) from error

    def finish(self, made_by: str) -> int:
        """Write ``entry.json`` and return the size of ``data``.

        Raises
        ------
        CacheError
            If rows are missing, or the disk is full.
        """
        for name, file in self._files.items():
            if file.rows_written != file.shape[0]:
                raise CacheError(
                    f"cache entry {self._what!r}: {file.rows_written} rows of {name!r} were written, expected {file.shape[0]}"
                )
        if not self._end:
            self._reserve(0, page_up(1))
            self._end = page_up(1)
        self.close()
        try:
            write_document(self._folder, Document(self._what, self._end, self._spans, self.facts, boot_id()), made_by)
        except OSError as error:
            raise cache_error(error, self._cache, self._end, self._what) from error
        return self._end

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def reserve(handle: int, start: int, n_bytes: int) -> None:
    """Make a file longer with its blocks set aside; where the system cannot do that, writing will tell."""
    if n_bytes and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, start, n_bytes)
    elif n_bytes:
        os.ftruncate(handle, start + n_bytes)


def write_at(handle: int, start: int, block: NDArray[Any]) -> None:
    """Write all bytes of a block; one call of the system may take fewer than it is given."""
    left = np.ascontiguousarray(block).reshape(-1).view(np.uint8).data
    while left:
        n_written = os.pwrite(handle, left, start)
        start, left = start + n_written, left[n_written:]
