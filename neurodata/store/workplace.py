"""Where unfinished recordings live, and how a finished one moves to its place in one step."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL, TREE = ".partial", "tree"
_REPLACED = "replaced"
_MOST_TRIES = 1000


@contextmanager
def hold_workplace(store: Path, recording_id: str) -> Iterator[Path | None]:
    """This recording's folder under ``.partial``, held alone; None where another process holds it.

    The lock is the kernel's (flock): it goes when its process goes, however that ends. A workplace that still has its
    ``tree`` when it is let go was interrupted and is kept to be resumed; any other is cleared.
    """
    work = store / PARTIAL / recording_id.replace("/", "~")
    handle = _take_lock(work)
    if handle is None:
        yield None
        return
    try:
        _put_back(work, store / recording_id)
        yield work
    finally:
        if not (work / TREE).exists():
            shutil.rmtree(work, ignore_errors=True)
        os.close(handle)
        _remove_if_empty(store / PARTIAL)


def _take_lock(work: Path) -> int | None:
    """Handle of the locked file ``lock``, None where another process has it."""
    for _ in range(_MOST_TRIES):
        try:
            work.mkdir(parents=True, exist_ok=True)
            handle = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # another process finished and cleared the folder just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_ino == os.stat(work / "lock").st_ino:
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:  # cleared between opening and locking; lock the new one
            pass
        os.close(handle)
    raise OSError(errno.EAGAIN, "its folder for unfinished work keeps vanishing", str(work))


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _put_back(work: Path, target: Path) -> None:
    """Put a recording back that an interrupted overwrite had moved away."""
    replaced = work / TREE / _REPLACED
    if replaced.exists() and not target.exists():
        target.parent.mkdir(exist_ok=True)
        os.rename(replaced, target)


def publish(work: Path, store: Path, recording_id: str) -> None:
    """Move a finished tree to its place in one step, after every byte of it has reached the disk.

    Raises
    ------
    OSError
        If it cannot be moved; a recording that was to be replaced is then in its place again.
    """
    dataset, _ = recording_id.split("/")
    tree, target = work / TREE, store / recording_id
    for path in [*sorted((tree / dataset).rglob("*"), reverse=True), tree / dataset]:
        _sync(path)
    if target.exists():
        os.rename(target, tree / _REPLACED)
    try:
        _move(tree / dataset, store / dataset, tree / recording_id, target)
    except OSError:
        _put_back(work, target)
        raise
    _sync(target.parent)
    _sync(store)
    shutil.rmtree(tree)


def _move(dataset: Path, dataset_target: Path, recording: Path, target: Path) -> None:
    try:
        os.rename(dataset, dataset_target)  # a dataset folder appears with its first complete recording
    except OSError:
        os.rename(recording, target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
