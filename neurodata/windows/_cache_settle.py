"""Marks what has reached the disk, so that a crash of the machine never leaves an entry with holes in it.

A file's name and size may survive a crash that its bytes do not. Syncing every entry before it appears makes small ones
ten times slower (docs/decisions/decoded-cache.md), and so does syncing them from a thread at once. So an entry notes in
which start of the machine it was made, a thread syncs it after the kernel has written it back by itself, and after the
next start only what was synced is believed.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from neurodata.errors import CacheError
from neurodata.windows._cache_layout import DATA, DOCUMENT, SAFE

SETTLE_SECONDS = 40.0
"""Linux writes back what is 30 s old, looking every 5 s; a sync after that costs next to nothing."""

_waiting: queue.SimpleQueue[tuple[float, Callable[[], None]]] = queue.SimpleQueue()
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


def settle_later(job: Callable[[], None]) -> None:
    """Run a job in the thread that syncs; at once where no start of the machine can be told from another."""
    global _thread
    if not boot_id():
        job()
        return
    _waiting.put((time.monotonic() + SETTLE_SECONDS, job))
    with _guard:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="neurodata-cache-sync", daemon=True)
            _thread.start()


def settle_all() -> None:
    """Sync at once what was to be synced later, and wait for it."""
    done = threading.Event()
    settle_later(done.set)
    _hurry.set()
    done.wait()
    _hurry.clear()


def _run() -> None:
    while True:
        due, job = _waiting.get()
        _hurry.wait(max(0.0, due - time.monotonic()))
        try:
            job()
        except (
            OSError,
            CacheError,
        ):  # evicted meanwhile, or the disk is gone: it stays unmarked, and is made anew after a restart
            continue


def settle_entry(folder: str) -> None:
    """Sync an entry's files and then mark it.

    Through a descriptor of the folder: were the entry evicted and made anew meanwhile, the mark must not go to the new
    one.
    """
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in (DATA, DOCUMENT):
            handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=inside)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        os.fsync(inside)
        os.close(os.open(SAFE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666, dir_fd=inside))
    finally:
        os.close(inside)


def _forget_in_child() -> None:
    global _thread, _guard, _waiting, _hurry
    _thread, _guard, _waiting, _hurry = None, threading.Lock(), queue.SimpleQueue(), threading.Event()


os.register_at_fork(after_in_child=_forget_in_child)
