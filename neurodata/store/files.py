"""Read-only files of a store or a recording, on this disk or on a server: what may be read, and how damage is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from neurodata.errors import IntegrityError

LARGEST_FILE = 1 << 30
"""Bytes read at once from one file, and bytes of one text column in memory."""

REMOTE_SCHEMES = ("https://", "http://", "s3://")
"""How the address of a store on a server begins."""


class RewrittenError(IntegrityError):
    """A file was replaced while it was in use; what is read of it now does not belong to what was read before."""


class Files(Protocol):
    """Read-only files below one folder, on this disk or on a server. Picklable; holds no handle until it is used.

    A *key* is a file's path below the folder, with ``/`` between its parts.
    """

    remote: bool
    """Whether each request costs a way to a server and back."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the folder's path; a recording's last two are its dataset and its name."""
        ...

    def below(self, path: str) -> Files:
        """Return the files of a folder inside; ``""`` is this folder."""
        ...

    def __truediv__(self, path: str) -> Files:
        """Return the files of a folder inside, as :class:`pathlib.Path` does."""
        return self.below(path)

    def read(self, key: str, limit: int) -> bytes:
        """Return a whole file.

        Raises
        ------
        FileNotFoundError
            If there is none.
        IntegrityError
            If it is larger than ``limit`` bytes or no plain file.
        """
        ...

    def read_spans(self, key: str, spans: Sequence[tuple[int, int]]) -> list[bytes | memoryview]:
        """Return the bytes ``[start, stop)`` of a file, one entry per span.

        Raises
        ------
        IntegrityError
            If the file is missing, empty, no plain file or ends before a span does.
        """
        ...

    def read_tail(self, key: str, count: int) -> bytes:
        """Return the last ``count`` bytes of a file; raises as :meth:`read_spans` does."""
        ...

    def has(self, key: str) -> bool:
        """Say whether there is such a plain file."""
        ...

    def hint(self, key: str) -> str:
        """Return what to do where bytes of this file are damaged, if there is more to say than that; begins with ``;``."""
        return ""

    def stamp(self, key: str) -> Hashable:
        """Return what differs once the file was rewritten; None where that cannot be told without a request."""
        return None


@dataclass(frozen=True)
class LocalFiles(Files):
    """Files below a folder of this disk; each call opens the file anew, so forks and pickles share nothing."""

    folder: Path
    remote = False

    @property
    def parts(self) -> tuple[str, ...]:
        return self.folder.parts

    def below(self, path: str) -> LocalFiles:
        return LocalFiles(self.folder / path) if path else self

    def __truediv__(self, path: str) -> LocalFiles:
        return self.below(path)

    def read(self, key: str, limit: int) -> bytes:
        with self._opened(key) as (handle, size):
            if size > limit:
                raise IntegrityError(f"file {key!r} is larger than {limit} bytes")
            return _read_exactly(handle, 0, size, key)

    def read_spans(self, key: str, spans: Sequence[tuple[int, int]]) -> list[bytes | memoryview]:
        if any(not 0 <= start <= stop for start, stop in spans):
            raise IntegrityError(f"impossible bytes {list(spans)[:3]} are asked of file {key!r}")
        with self._opened_whole(key) as (handle, size):
            if sum(stop - start for start, stop in spans) > LARGEST_FILE:
                raise IntegrityError(f"more than {LARGEST_FILE} bytes are asked of file {key!r} at once")
            last = max((stop for _, stop in spans), default=0)
            if last > size:
                raise IntegrityError(f"file {key!r} ends too early: {size} bytes where there must be {last}")
            return [_read_exactly(handle, start, stop, key) for start, stop in spans]

    def read_tail(self, key: str, count: int) -> bytes:
        with self._opened_whole(key) as (handle, size):
            if count > size:
                raise IntegrityError(f"file {key!r} ends too early: {size} bytes where there must be {count}")
            if count > LARGEST_FILE:
                raise IntegrityError(f"more than {LARGEST_FILE} bytes are asked of file {key!r} at once")
            return _read_exactly(handle, size - count, size, key)

    def has(self, key: str) -> bool:
        try:
            return stat.S_ISREG(os.stat(self._place(key)).st_mode)
        except OSError:
            return False

    def stamp(self, key: str) -> Hashable:
        try:
            found = os.stat(self._place(key))
        except OSError:
            return "missing"
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _place(self, key: str) -> str:
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise IntegrityError(f"{key!r} is no file inside {str(self.folder)!r}")
        return f"{self.folder}/{key}"

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, int]]:
        """A plain file's handle and size; a pipe or a device is never opened, for it might never end."""
        place = self._place(key)
        try:
            if not stat.S_ISREG(os.stat(place).st_mode):
                raise IntegrityError(f"{key!r} is not a plain file")
            handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except NotADirectoryError as error:
            raise FileNotFoundError(error.errno, error.strerror, place) from None
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):  # it was swapped between the two looks
                raise IntegrityError(f"{key!r} is not a plain file")
            yield handle, found.st_size
        finally:
            os.close(handle)

    @contextmanager
    def _opened_whole(self, key: str) -> Iterator[tuple[int, int]]:
        """A file that was written in full: one that is missing or empty is damage."""
        try:
            with self._opened(key) as (handle, size):
                if size == 0:
                    raise IntegrityError(f"file {key!r} is empty")
                yield handle, size
        except FileNotFoundError:
            raise IntegrityError(f"file {key!r} is missing") from None


Location: TypeAlias = Path | Files
"""Where a recording or a store is: a folder of this disk, or files on a server."""


def as_location(location: str | Path | Files) -> Location:
    """Return a location given as text too: a path stays a path, an address becomes the files there."""
    if isinstance(location, str):
        return files_at(location) if location.startswith(REMOTE_SCHEMES) else Path(location)
    return location


def files_at(location: str | Path | Files) -> Files:
    """Return the files at a path, or at an address that begins with ``https://``, ``http://`` or ``s3://``."""
    if isinstance(location, Path):
        return LocalFiles(location)
    if not isinstance(location, str):
        return location
    if location.startswith(REMOTE_SCHEMES):
        from neurodata.store.remote import RemoteFiles

        return RemoteFiles(location)
    return LocalFiles(Path(location))


def _read_exactly(handle: int, start: int, stop: int, key: str) -> bytes:
    found = os.pread(handle, stop - start, start)
    if len(found) == stop - start:
        return found
    pieces = [found]
    while pieces[-1] and sum(map(len, pieces)) < stop - start:  # one call reads two gigabytes at the most
        read = sum(map(len, pieces))
        pieces.append(os.pread(handle, stop - start - read, start + read))
    found = b"".join(pieces)
    if len(found) < stop - start:
        raise IntegrityError(f"file {key!r} ends too early: {len(found)} bytes where there must be {stop - start}")
    return found
