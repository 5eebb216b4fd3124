"""Marks what has reached the disk, so that a crash of the machine never leaves an entry with holes in it.

A file's name and size may survive a crash that its bytes do not. Syncing every entry before it appears makes small ones
ten times slower (docs/decisions/decoded-cache.md). So an entry notes in which start of the machine it was made, a thread
syncs many at once after the kernel has written them back by itself, and after the next start only what was synced is
believed.
"""

from __future__ import annotations

import ctypes
import functools
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from neurodata.errors import CacheError
from neurodata.windows._cache_layout import DATA, SAFE

SETTLE_SECONDS = 40.0
"""Linux writes back what is 30 s old, looking every 5 s; a sync after that costs next to nothing."""

Job = Callable[[], Callable[[], None]]
"""Called before the sync; what it returns is called after, and says what is on the disk now."""

_waiting: queue.SimpleQueue[tuple[float, Path, Job]] = queue.SimpleQueue()
_hurry = threading.Event()
_thread: threading.Thread | None = None
_guard = threading.Lock()


@functools.cache
def boot_id() -> str:
    """Return the name of this start of the machine, ``""`` where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def settle_later(cache: Path, job: Job) -> None:
    """Run a job in the thread that syncs; at once where no start of the machine can be told from another."""
    global _thread
    if not boot_id():
        _settle([(cache, job)])
        return
    _waiting.put((time.monotonic() + SETTLE_SECONDS, cache, job))
    with _guard:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="neurodata-cache-sync", daemon=True)
            _thread.start()


def settle_all(cache: Path) -> None:
    """Sync at once what was to be synced later, and wait for it."""
    done = threading.Event()
    settle_later(cache, lambda: done.set)
    _hurry.set()
    done.wait()
    _hurry.clear()


def _run() -> None:
    while True:
        due, cache, job = _waiting.get()
        _hurry.wait(max(0.0, due - time.monotonic()))
        jobs = [(cache, job)]
        while not _waiting.empty():  # the young ones too: one sync is for all
            jobs.append(_waiting.get()[1:])
        _settle(jobs)


def _settle(jobs: list[tuple[Path, Job]]) -> None:
    for cache in dict.fromkeys(cache for cache, _ in jobs):
        marks = [job() for other, job in jobs if other == cache]
        synced = _sync(cache)
        for mark in marks:
            try:
                if synced:
                    mark()
            except (OSError, CacheError):  # evicted meanwhile: it stays unmarked, and is made anew after a restart
                continue


def _sync(cache: Path) -> bool:
    """Write back all of the file system a cache is on; tell whether that went well."""
    try:
        handle = os.open(cache, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        libc = ctypes.CDLL(None)
        if hasattr(libc, "syncfs"):
            return bool(libc.syncfs(handle) == 0)
        os.sync()
        return True
    finally:
        os.close(handle)


def settle_entry(folder: str, inode: int) -> Callable[[], None]:
    """Mark an entry after the sync, if it is the same one still."""

    def mark() -> None:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.stat(DATA, dir_fd=inside).st_ino == inode:
                os.close(os.open(SAFE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666, dir_fd=inside))
        finally:
            os.close(inside)

    return mark


def _forget_in_child() -> None:
    global _thread, _guard, _waiting, _hurry
    _thread, _guard, _waiting, _hurry = None, threading.Lock(), queue.SimpleQueue(), threading.Event()


os.register_at_fork(after_in_child=_forget_in_child)
