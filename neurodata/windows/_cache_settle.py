"""Marks what has reached the disk, so that a crash of the machine never leaves an entry with holes in it.

A file's name and size may survive a crash its bytes do not. Syncing before an entry appears would make every first use
wait for the disk (measured in docs/decisions/decoded-cache.md); so an entry notes in which start of the machine it was
made, a thread syncs it later, and only an entry that was synced is believed after the next start.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from neurodata.windows._cache_layout import DATA, DOCUMENT, SAFE

_waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
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
    _waiting.put(job)
    with _guard:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="neurodata-cache-sync", daemon=True)
            _thread.start()


def settle_all() -> None:
    """Wait until everything asked for so far is synced."""
    done = threading.Event()
    settle_later(done.set)
    done.wait()


def _run() -> None:
    while True:
        try:
            _waiting.get()()
        except OSError:  # evicted meanwhile, or the disk is gone: it stays unmarked, and is made anew after a restart
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
    global _thread, _guard, _waiting
    _thread, _guard, _waiting = None, threading.Lock(), queue.SimpleQueue()


os.register_at_fork(after_in_child=_forget_in_child)
