"""Decoded arrays kept on disk, so that a training reads windows at the speed of memory.

What a run needs of a recording is decoded once into one memory-mapped file and shared by every process that needs the
same: the key says what it is made from (`make_key`). The decision and its measurements: docs/decisions/decoded-cache.md.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import platformdirs
from numpy.typing import DTypeLike

from neurodata.errors import CacheError
from neurodata.windows._cache_entry import ArrayFile, Entry, EntryWriter, map_entry
from neurodata.windows._cache_growing import GrowingEntry, check_growing, make_growing
from neurodata.windows._cache_layout import (
    FORMAT,
    DamagedError,
    cache_error,
    check_key,
    entry_folder,
    is_ours,
    remove_folder,
)
from neurodata.windows._cache_place import Place, place_of
from neurodata.windows._cache_space import Found, list_found, make_room, move_out, remove_leftovers, sweep, work_folder

__all__ = ["ArrayFile", "DecodedCache", "Entry", "EntryWriter", "GrowingEntry", "make_key"]

FOLDER_VARIABLE, LIMIT_VARIABLE = "NEURODATA_CACHE", "NEURODATA_CACHE_BYTES"
_MOST_TRIES = 5
_FLUSH_BYTES = 16 * 2**20
"""After so much growth a process tells the others, and the limit is looked at."""


def make_key(**parts: Any) -> str:
    """Return the key of what is made from these parts, 64 hexadecimal digits.

    Parameters
    ----------
    **parts
        All that decides the values: content digests, selection, dtype, preprocessing. JSON; the order of names does
        not matter.

    Raises
    ------
    CacheError
        If a part is not JSON (an array, a NaN).
    """
    try:
        text = json.dumps([FORMAT, parts], sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise CacheError(f"a cache key is made of text, numbers, lists and mappings of them: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, init=False)
class DecodedCache:
    """A folder of decoded arrays, shared by all processes that name it; may be pickled to workers.

    Entries are made once, opened in about 0.1 ms, and removed least recently used first when the folder grows over its
    limit; never one that a live process uses. Of processes with different limits each keeps to its own when it adds
    something.

    Parameters
    ----------
    folder
        Where it is; made with the first entry, for its owner alone. Left out: ``NEURODATA_CACHE``, else ``decoded`` in
        the user's cache folder. Nothing in it is touched that this class did not make.
    limit_bytes
        Size kept to. Left out: ``NEURODATA_CACHE_BYTES``, else 100 GiB, at most 80 % of what is free on the disk and
        held by the cache together.

    Raises
    ------
    CacheError
        If ``NEURODATA_CACHE_BYTES`` is no whole number.
    """

    folder: Path
    limit_bytes: int | None

    def __init__(self, folder: Path | None = None, limit_bytes: int | None = None) -> None:
        object.__setattr__(self, "folder", Path(os.path.abspath(_default_folder() if folder is None else folder)))
        object.__setattr__(self, "limit_bytes", _default_limit() if limit_bytes is None else int(limit_bytes))

    def open(self, key: str) -> Entry | None:
        """Return an entry, None where it is not there; it is this process's as long as one of its arrays lives.

        An entry that is damaged (cut short, of a wrong size, its description unreadable) is removed and not there.
        """
        check_key(key)
        place = place_of(self.folder)
        try:
            with place.held():
                return self._open_held(place, key)
        except DamagedError:
            self._drop_damaged(place, key)
            return None

    def _open_held(self, place: Place, key: str) -> Entry | None:
        try:
            mapped = map_entry(self.folder, key, lambda: place.dropped.append(key))
        except OSError as error:
            way = (
                "raise vm.max_map_count"
                if error.errno == errno.ENOMEM
                else "point NEURODATA_CACHE at a folder of yours"
            )
            raise CacheError(
                f"entry {key[:12]}… of the decoded cache {str(self.folder)!r} cannot be opened ({error.strerror}); {way}"
            ) from error
        if mapped is None:
            return None
        place.register(key)
        if mapped.document.chunk_rows:
            return GrowingEntry(self.folder, key, mapped, self._grew)
        return Entry(key, mapped)

    def _drop_damaged(self, place: Place, key: str) -> None:
        with suppress(CacheError), place.held(alone=True, create=True):
            try:
                map_entry(self.folder, key, lambda: None)  # another process may have mended it meanwhile
            except DamagedError:
                folder = entry_folder(self.folder, key)
                moved = move_out(place, folder) if is_ours(folder) else None
                if moved:
                    remove_folder(moved)

    def open_or_make(self, key: str, what: str, n_bytes: int, make: Callable[[EntryWriter], None]) -> Entry:
        """Return an entry, made first where it is not there; of several processes one makes it and the others wait.

        Parameters
        ----------
        key
            From `make_key`.
        what
            What it is, for people.
        n_bytes
            About how much it will take; room is made before it is begun.
        make
            Creates and writes all arrays. If it fails or is killed nothing is left.

        Raises
        ------
        CacheError
            If the disk is full or the folder cannot be written, with what to do. What ``make`` raises comes through.
        """

        def write(folder: Path) -> int:
            writer = EntryWriter(self.folder, folder, what)
            try:
                make(writer)
                return writer.finish(_made_by())
            finally:
                writer.close()

        return self._open_or_write(key, what, n_bytes, write)

    def open_growing(
        self,
        key: str,
        what: str,
        *,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        chunk_rows: int,
        facts: Mapping[str, Any],
    ) -> GrowingEntry:
        """Return an entry of one array, ``values``, that is filled chunk by chunk; it takes room as it fills.

        Parameters
        ----------
        key, what
            As for `open_or_make`; the key must tell shape, type and chunk.
        shape, dtype
            Of the whole array.
        chunk_rows
            Rows that come together.
        facts
            Kept with a new entry.
        """
        shape = tuple(int(n) for n in shape)

        def write(folder: Path) -> int:
            make_growing(folder, what, shape, dtype, chunk_rows, facts, _made_by())
            return 0

        return check_growing(self._open_or_write(key, what, 0, write), shape, dtype, chunk_rows)

    def _open_or_write(self, key: str, what: str, n_bytes: int, write: Callable[[Path], int]) -> Entry:
        for _ in range(_MOST_TRIES):
            entry = self.open(key)
            if entry is not None:
                return entry
            place = place_of(self.folder)
            with place.held(create=True, what=what):
                pass
            with place.making(key, what=what):
                entry = self.open(key)
                if entry is not None:
                    return entry
                try:
                    entry = self._make(place, key, n_bytes, write)
                except OSError as error:
                    raise cache_error(error, self.folder, n_bytes, what) from error
                if entry is not None:
                    return entry
        raise CacheError(
            f"cache entry {what!r} is removed from {str(self.folder)!r} again and again as soon as it is made"
        )

    def _make(self, place: Place, key: str, n_bytes: int, write: Callable[[Path], int]) -> Entry | None:
        remove_leftovers(place, key)
        make_room(place, n_bytes, self.limit_bytes)
        folder = work_folder(place, key)
        taken = 0
        try:
            folder.mkdir()
            taken = write(folder)
            return self._publish(place, key, folder)
        finally:
            remove_folder(str(folder))  # where it was not published
            if taken != n_bytes:
                self._add_to_total(place, taken - n_bytes)

    def _publish(self, place: Place, key: str, folder: Path) -> Entry | None:
        target = entry_folder(self.folder, key)
        with place.held(alone=True, create=True):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(folder, target)
            entry = self._open_held(place, key)  # before the lock is let go: nobody evicts it in between
        return entry

    def _add_to_total(self, place: Place, n_bytes: int) -> None:
        with suppress(CacheError), place.held(alone=True, create=True):
            total = place.read_total()
            if total is not None:
                place.write_total(total + n_bytes)

    def _grew(self, n_bytes: int) -> None:
        """Count what a growing entry took; now and then look at the limit."""
        place = place_of(self.folder)
        place.added_bytes += n_bytes
        if place.added_bytes >= _FLUSH_BYTES:
            make_room(place, 0, self.limit_bytes)

    def list(self) -> pd.DataFrame:
        """Return what is in the cache, most recently used first; what killed makers left is removed.

        Returns
        -------
        entries
            ``key``, ``what``, ``bytes`` on the disk, ``last_used`` (UTC, to a minute), ``in_use`` by a live process, and
            ``complete`` (a growing entry may not be).
        """
        found, used = self._look()
        rows = [(f.key, *_describe(self.folder, f.key), f.n_bytes, f.used_at, f.key in used) for f in found]
        table = pd.DataFrame(rows, columns=["key", "what", "complete", "bytes", "last_used", "in_use"])
        table["last_used"] = pd.to_datetime(table["last_used"].astype(np.float64), unit="s", utc=True)
        table = table.sort_values(["last_used", "key"], ascending=[False, True], ignore_index=True)
        return table.astype({"bytes": np.int64, "in_use": bool, "complete": bool})[
            ["key", "what", "bytes", "last_used", "in_use", "complete"]
        ]

    def _look(self) -> tuple[Sequence[Found], set[str]]:
        """Every entry, and the keys in use."""
        place = place_of(self.folder)
        if not self.folder.is_dir():
            return [], set()
        with place.held(alone=True):
            sweep(place)
            return [*list_found(self.folder)], place.keys_in_use()

    def clear(self, keys: Iterable[str] | None = None) -> int:
        """Remove entries that no live process uses, all of them or these; return the bytes freed.

        What is in use stays, and `list` shows it.

        Raises
        ------
        CacheError
            If the folder cannot be written.
        """
        chosen = None if keys is None else set(keys)
        place = place_of(self.folder)
        if not self.folder.is_dir():
            return 0
        with place.held(alone=True, create=True, what="the note of what is removed"):
            sweep(place)
            used, freed, moved = place.keys_in_use(), 0, []
            for found in [*list_found(self.folder)]:
                if found.key not in used and (chosen is None or found.key in chosen):
                    path = move_out(place, found.path)
                    if path is None:
                        raise CacheError(
                            f"the decoded cache {str(self.folder)!r} cannot be written; nothing can be removed"
                        )
                    moved.append(path)
                    freed += found.n_bytes
            place.write_total(max(0, (place.read_total() or 0) - freed))
        for path in moved:
            remove_folder(path)
        return freed


def _describe(cache: Path, key: str) -> tuple[str, bool]:
    """What an entry is, and whether it is complete; by its own files, without using it."""
    try:
        mapped = map_entry(cache, key, lambda: None, touching=False)
    except (DamagedError, OSError) as error:
        return f"damaged: {error}", False
    if mapped is None:
        return "removed just now", False
    if mapped.document.chunk_rows:
        return mapped.document.what, GrowingEntry(cache, key, mapped, lambda _: None).complete
    return mapped.document.what, True


def _default_folder() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("neurodata")) / "decoded"


def _default_limit() -> int | None:
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise CacheError(f"{LIMIT_VARIABLE} is a number of bytes such as 50000000000, got {text!r}")
    return int(text)


@functools.cache
def _made_by() -> str:
    try:
        return f"neurodata {metadata.version('neurodata')}"
    except metadata.PackageNotFoundError:  # run from a folder, not installed
        return "neurodata"
