"""What one process holds of a cache's folder: the lock, and the lease that says which entries it uses.

Eviction takes the lock alone; opening an entry shares it, so nothing vanishes between being found and being leased.
Locks are the kernel's (flock): they go when their process goes, however that ends.
"""

from __future__ import annotations

import fcntl
import math
import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurodata.windows._cache_layout import LIVE, LOCK, MAKING, OURS, cache_error, is_key

_PLACES: dict[Path, Place] = {}
_GUARD = threading.Lock()
_HELD: set[int] = set()
"""Descriptors of locks this process holds or may take; a forked child gives its copies back."""

_MOST_TRIES = 1000
_TOTAL_DIGITS = 20


class Place:
    """One process's lock and lease in a cache's folder; safe for threads.

    Parameters
    ----------
    cache
        The cache's folder.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.ours = cache / OURS
        self.dropped: deque[str] = (
            deque()
        )  # keys of entries that went out of use; appended by finalizers, from anywhere
        self.added_bytes = 0  # growth of growing entries that the common total does not hold yet
        self.in_vain = -math.inf  # when eviction last found everything in use
        self.warned = False
        self._threads = threading.Lock()
        self._lock: int | None = None
        self._lease: int | None = None
        self._uses: dict[str, int] = {}

    @contextmanager
    def held(self, *, alone: bool = False, create: bool = False, what: str = "its lock") -> Iterator[None]:
        """Hold the cache's lock; without one where the folder is read-only or, unless ``create``, not there.

        Raises
        ------
        CacheError
            If the folder cannot be made or locked.
        """
        with self._threads:
            try:
                handle = self._lock_handle(create)
                if handle is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            except OSError as error:
                raise cache_error(error, self.cache, 0, what) from error
            try:
                self._write_releases()
                yield
            finally:
                if handle is not None:
                    fcntl.flock(handle, fcntl.LOCK_UN)

    def _lock_handle(self, create: bool) -> int | None:
        if self._lock is not None and os.fstat(self._lock).st_nlink == 0:  # somebody removed the whole folder
            _close(self._lock)
            _close(self._lease)
            self._lock = self._lease = None
        if self._lock is None:
            if create:
                os.makedirs(self.cache, mode=0o700, exist_ok=True)
                for folder in (self.ours, self.ours / LIVE, self.ours / MAKING):
                    folder.mkdir(exist_ok=True)
            self._lock = _open_lock(self.ours / LOCK, create)
        return self._lock

    def register(self, key: str) -> None:
        """Say that this process uses an entry; the lock must be held.

        Where the lease cannot be written (read-only folder, full disk) the entry is used without one: at worst it is
        evicted early, and what is mapped stays readable even then.
        """
        self._uses[key] = self._uses.get(key, 0) + 1
        if self._uses[key] == 1 or self._lease is None:
            self._write_lease(f"+{key}\n")

    def _write_releases(self) -> None:
        while self.dropped:
            key = self.dropped.popleft()
            self._uses[key] -= 1
            if not self._uses[key]:
                del self._uses[key]
                self._write_lease(f"-{key}\n")

    def _write_lease(self, line: str) -> None:
        with suppress(OSError):
            if self._lease is None:
                path = self.ours / LIVE / f"{os.getpid()}-{secrets.token_hex(4)}"
                lease = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
                fcntl.flock(lease, fcntl.LOCK_EX)
                self._lease = lease
                line = "".join(f"+{key}\n" for key in self._uses)
            os.write(self._lease, line.encode())

    def keys_in_use(self) -> set[str]:
        """Keys that live processes use; leases of dead ones are removed. The lock must be held alone."""
        used: set[str] = set(self._uses)
        for path in _listed(self.ours / LIVE):
            with suppress(OSError), path.open("rb") as lease:
                try:
                    fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    used |= _keys_of(lease.read())
                else:
                    path.unlink()
        return used

    def read_total(self) -> int | None:
        """Bytes the cache holds as noted by all processes, None where nothing is noted; the lock must be held alone."""
        assert self._lock is not None
        text = os.pread(self._lock, _TOTAL_DIGITS, 0)
        return int(text) if text.strip().isdigit() else None

    def write_total(self, n_bytes: int) -> None:
        """Note how many bytes the cache holds; the lock must be held alone."""
        assert self._lock is not None
        with suppress(OSError):  # read-only for us: the note of others stays, and is mended by who finds it too high
            os.pwrite(self._lock, f"{max(0, n_bytes):>{_TOTAL_DIGITS}}".encode(), 0)

    @contextmanager
    def making(self, key: str, *, wait: bool = True, what: str = "an entry") -> Iterator[bool]:
        """Hold the lock of one key, the right to make its entry; False where ``wait`` is off and another has it."""
        path = self.ours / MAKING / f"{key}.{LOCK}"
        try:
            handle = _take(path, wait)
        except OSError as error:
            raise cache_error(error, self.cache, 0, what) from error
        if handle is None:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(OSError):
                path.unlink()
            fcntl.flock(handle, fcntl.LOCK_UN)  # not only closed: a child that was forked meanwhile has a copy
            _close(handle)


def place_of(cache: Path) -> Place:
    """Return this process's place in a cache's folder."""
    with _GUARD:
        return _PLACES.setdefault(cache, Place(cache)) if cache not in _PLACES else _PLACES[cache]


def _open_lock(path: Path, create: bool) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o666)
    except FileNotFoundError:
        if create:
            raise
        return None
    except OSError:
        if create:
            raise
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
    _HELD.add(handle)
    return handle


def _take(path: Path, wait: bool) -> int | None:
    for _ in range(_MOST_TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _HELD.add(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.fstat(handle).st_nlink:  # 0: its holder has finished and removed it; lock the new one
                return handle
        except BlockingIOError:
            _close(handle)
            return None
        except BaseException:  # a key pressed while waiting
            _close(handle)
            raise
        _close(handle)
    raise OSError(f"the lock {path.name} keeps vanishing")


def _close(handle: int | None) -> None:
    if handle is not None:
        _HELD.discard(handle)
        os.close(handle)


def _listed(folder: Path) -> list[Path]:
    try:
        return [Path(f.path) for f in os.scandir(folder) if f.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _keys_of(lease: bytes) -> set[str]:
    keys: set[str] = set()
    for line in lease.decode("ascii", "replace").splitlines():
        if is_key(line[1:]):
            (keys.add if line[0] == "+" else keys.discard)(line[1:])
    return keys


def _forget_in_child() -> None:
    """A forked child starts anew: it must not hold its parent's locks, nor speak through its parent's lease.

    Its copy of the parent's lease stays open, so what the parent opened before the fork stays protected.
    """
    global _GUARD
    _GUARD = threading.Lock()
    _PLACES.clear()
    for handle in list(_HELD):
        _close(handle)


os.register_at_fork(after_in_child=_forget_in_child)
