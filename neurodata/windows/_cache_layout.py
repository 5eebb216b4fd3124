"""What lies where in a cache's folder, and what an entry says about itself in ``entry.json``.

    <cache>/<key[:2]>/<key>/entry.json    names, types, shapes and facts; written last
    <cache>/<key[:2]>/<key>/data          every array of the entry, each begins on a page
    <cache>/<key[:2]>/<key>/safe          an empty file: all bytes have reached the disk (see `_cache_settle`)
    <cache>/.neurodata-cache/             lock, live/ (who uses what), making/ (unfinished entries and their locks)

One file for all arrays of an entry: a process may have about 65,000 mappings, and thousands of entries are open at once.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurodata.checks import is_safe_part
from neurodata.errors import CacheError

FORMAT = 1
"""Part of every key, so that programs of two formats share a folder without seeing each other's entries."""

OURS, LOCK, LIVE, MAKING = ".neurodata-cache", "lock", "live", "making"
DOCUMENT, DATA, SAFE = "entry.json", "data", "safe"
VALUES, HAVE, BOOT = "values", "have", "boot"
"""Arrays of a growing entry: its rows, a byte per chunk, and in which start of the machine it was written."""

BOOT_BYTES = 64
ENTRY_FILES = frozenset({DOCUMENT, DATA, SAFE})
PAGE = 4096
DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"})
_MOST_DOCUMENT_BYTES = 64 * 2**20
_KEY = re.compile(r"[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class DamagedError(Exception):
    """An entry is not what was written; it is dropped and made anew."""


@dataclass(frozen=True)
class Span:
    """Where one array lies in the file ``data``."""

    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Document:
    """What ``entry.json`` says: the spans are inside the file, the names and types are plain.

    Parameters
    ----------
    what
        For people, such as ``"kato_brain_2015/worm1 calcium 3 Hz"``.
    n_bytes
        Size of the file ``data``.
    arrays
        Name → span.
    facts
        Whatever the maker wanted to say, JSON.
    boot
        The machine's start in which the entry was made, ``""`` where that cannot be known.
    chunk_rows
        Of a growing entry: rows that are filled together; 0 of others.
    """

    what: str
    n_bytes: int
    arrays: Mapping[str, Span]
    facts: Mapping[str, Any]
    boot: str
    chunk_rows: int = 0


def is_key(name: str) -> bool:
    return _KEY.fullmatch(name) is not None


def check_key(key: str) -> None:
    """Raise unless ``key`` came from `make_key`; it becomes a folder's name."""
    if not (isinstance(key, str) and is_key(key)):
        raise CacheError(f"a cache key is 64 hexadecimal digits from make_key(…), got {key!r}")


def entry_folder(cache: Path, key: str) -> str:
    return f"{cache}/{key[:2]}/{key}"


def page_up(n_bytes: int) -> int:
    return -(-n_bytes // PAGE) * PAGE


def check_array(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Return the name of a type as stored; raise where an entry cannot hold such an array."""
    stored = dtype.newbyteorder("<").str
    if not is_safe_part(name):
        raise CacheError(f"a cached array's name is made of letters, digits and _ . + = -, got {name!r}")
    if stored not in DTYPES:
        raise CacheError(f"cached arrays hold numbers of one of {', '.join(sorted(DTYPES))}; {name!r} is {dtype}")
    if not shape or any(n < 0 for n in shape):
        raise CacheError(f"a cached array has rows: expected a shape like (time, channel), got {shape} for {name!r}")
    return stored


def write_document(folder: Path, document: Document, made_by: str) -> None:
    """Write ``entry.json``; with it the folder becomes an entry once it is in its place."""
    fields = {
        "neurodata_cache": FORMAT,
        "made_by": made_by,
        "what": document.what,
        "n_bytes": document.n_bytes,
        "arrays": {k: {"dtype": s.dtype, "shape": s.shape, "start": s.start} for k, s in document.arrays.items()},
        "boot": document.boot,
        "chunk_rows": document.chunk_rows,
        "facts": dict(document.facts),
    }
    try:
        text = json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise CacheError(f"the facts of cache entry {document.what!r} are not JSON: {error}") from error
    (folder / DOCUMENT).write_bytes(text)


def read_document(handle: int) -> Document:
    """Read an open ``entry.json``.

    Raises
    ------
    DamagedError
        If it is not what `write_document` writes.
    """
    size = os.fstat(handle).st_size
    if size > _MOST_DOCUMENT_BYTES:
        raise DamagedError(f"{DOCUMENT} has {size} bytes")
    try:
        fields = json.loads(os.read(handle, size + 1))
        if fields["neurodata_cache"] != FORMAT:
            raise DamagedError(f"{DOCUMENT} is of format {fields['neurodata_cache']!r}")
        n_bytes, chunk_rows = int(fields["n_bytes"]), int(fields["chunk_rows"])
        arrays = {name: _read_span(name, span, n_bytes) for name, span in fields["arrays"].items()}
        if chunk_rows:
            _check_growing(arrays, chunk_rows)
        return Document(str(fields["what"]), n_bytes, arrays, dict(fields["facts"]), str(fields["boot"]), chunk_rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise DamagedError(f"{DOCUMENT} is not what was written: {error!r}") from error


def _check_growing(arrays: Mapping[str, Span], chunk_rows: int) -> None:
    n_chunks = -(-arrays[VALUES].shape[0] // chunk_rows)
    expected = {HAVE: ("|u1", (n_chunks,)), BOOT: ("|u1", (BOOT_BYTES,))}
    if chunk_rows < 0 or any((arrays[n].dtype, arrays[n].shape) != e for n, e in expected.items()):
        raise DamagedError(f"{DOCUMENT} lacks what a growing entry has")


def _read_span(name: str, fields: Mapping[str, Any], n_bytes: int) -> Span:
    span = Span(fields["dtype"], tuple(fields["shape"]), fields["start"])
    whole = all(type(n) is int and n >= 0 for n in (*span.shape, span.start))
    if not (
        span.shape
        and whole
        and span.dtype in DTYPES
        and span.start % PAGE == 0
        and span.stop <= n_bytes
        and is_safe_part(name)
    ):
        raise DamagedError(f"{DOCUMENT} places {name!r} where it cannot be")
    return span


def is_ours(folder: str) -> bool:
    """Tell whether a folder holds nothing but files an entry is made of; anything else is never removed."""
    if os.path.islink(folder):
        return False
    try:
        with os.scandir(folder) as found:
            return all(f.name in ENTRY_FILES and f.is_file(follow_symlinks=False) for f in found)
    except OSError:
        return False


def remove_folder(folder: str) -> None:
    """Remove an entry's files and its folder; what else lies there stays, and the folder with it."""
    if os.path.islink(folder):
        return
    for name in ENTRY_FILES:
        try:
            os.unlink(f"{folder}/{name}")
        except OSError:
            continue
    try:
        os.rmdir(folder)
    except OSError:
        return


def cache_error(error: OSError, cache: Path, needed_bytes: int, what: str) -> CacheError:
    """Say what a failed call of the system means for the cache, and what to do."""
    ways = (
        "point NEURODATA_CACHE at a larger disk, run 'neurodata cache clear', or take a smaller cache dtype (float16)"
    )
    if error.errno in _FULL:
        return CacheError(
            f"the decoded cache {str(cache)!r} has no room for {what}: it needs {_megabytes(needed_bytes)}, "
            f"{_megabytes(_free_bytes(cache))} are free ({error.strerror}); {ways}"
        )
    if error.errno in _NOT_WRITABLE:
        return CacheError(
            f"the decoded cache {str(cache)!r} cannot be written ({error.strerror}), and {what} is not in it; "
            "point NEURODATA_CACHE at a folder of yours"
        )
    return CacheError(
        f"the decoded cache {str(cache)!r} failed at {what}: {error.strerror or error}; "
        "point NEURODATA_CACHE at a folder on a local disk"
    )


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"


def _free_bytes(cache: Path) -> int:
    try:
        return shutil.disk_usage(cache).free
    except OSError:
        return 0
