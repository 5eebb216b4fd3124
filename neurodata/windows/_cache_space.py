"""How large a cache is, and which entries go when it is full."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neurodata.errors import CacheWarning
from neurodata.windows._cache_layout import DOCUMENT, LOCK, MAKING, OURS, is_key, is_ours, remove_folder
from neurodata.windows._cache_place import Place

DEFAULT_LIMIT = 100 * 2**30
DEFAULT_SHARE = 0.8
_KEPT = 0.95
"""Eviction goes down to this share of the limit, so that not every new entry looks at all of them."""

_VAIN_SECONDS = 30.0
"""How long to go on over the limit before looking again, once everything was in use."""

_PREFIX = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True)
class Found:
    """An entry's folder as it lies there: bytes on the disk, and when it was last used."""

    key: str
    path: str
    n_bytes: int
    used_at: float


def list_found(cache: Path) -> Iterator[Found]:
    """Every entry of a cache, in no order; folders that hold anything else are passed over."""
    for prefix in _folders(str(cache)):
        if _PREFIX.fullmatch(prefix.name):
            for folder in _folders(prefix.path):
                if is_key(folder.name) and folder.name.startswith(prefix.name) and is_ours(folder.path):
                    n_bytes, used_at = _size_and_use(folder.path)
                    yield Found(folder.name, folder.path, n_bytes, used_at)


def _folders(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return [f for f in found if f.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _size_and_use(folder: str) -> tuple[int, float]:
    n_bytes, used_at = 0, 0.0
    try:
        with os.scandir(folder) as found:
            for file in found:
                stat = file.stat(follow_symlinks=False)
                n_bytes += stat.st_blocks * 512  # of a growing entry only what is there
                used_at = stat.st_mtime if file.name == DOCUMENT else used_at
    except OSError:  # removed while we looked
        return n_bytes, used_at
    return n_bytes, used_at


def make_room(place: Place, needed_bytes: int, limit_bytes: int | None) -> None:
    """Evict the least recently used entries that nobody uses until so many more bytes fit, and count these as taken.

    Where everything is in use the cache grows over its limit, with a warning: a training is worth more than a limit.
    """
    with place.held(alone=True, create=True):
        total = place.read_total()
        taken, place.added_bytes = needed_bytes + place.added_bytes, 0
        if total is not None and _fits(place, total, taken, limit_bytes):
            place.write_total(total + taken)
            return
        found, unfinished = list(list_found(place.cache)), sweep(place)
        total = sum(f.n_bytes for f in found) + unfinished
        limit = _limit(place.cache, total, limit_bytes)
        moved: list[str] = []
        if total + needed_bytes > limit:
            moved, total = _move_out(place, found, total, int(limit * _KEPT) - needed_bytes)
        place.write_total(total + needed_bytes)
        if limit_bytes is not None:
            limit = limit_bytes  # a disk that is too small for it is told by who writes
        over = total + needed_bytes - limit
        place.in_vain = time.monotonic() if over > 0 else -_VAIN_SECONDS
    for path in moved:
        remove_folder(path)
    if over > 0 and not place.warned:
        place.warned = True
        warnings.warn(
            f"the decoded cache {str(place.cache)!r} goes {over / 1e6:.1f} MB over its limit of {limit / 1e6:.1f} MB, "
            "because live processes use all that is in it; set NEURODATA_CACHE_BYTES higher or take a smaller cache dtype",
            CacheWarning,
            stacklevel=4,
        )


def _fits(place: Place, total: int, taken: int, limit_bytes: int | None) -> bool:
    """Whether so much more may be taken without looking at every entry first."""
    if time.monotonic() - place.in_vain < _VAIN_SECONDS:
        return taken <= shutil.disk_usage(place.cache).free
    return total + taken <= _limit(place.cache, total, limit_bytes)


def _limit(cache: Path, total: int, limit_bytes: int | None) -> int:
    free = shutil.disk_usage(cache).free
    if limit_bytes is not None:
        return min(limit_bytes, total + free)  # a limit beyond the disk's end would end in a full disk
    return min(DEFAULT_LIMIT, int(DEFAULT_SHARE * (total + free)))


def _move_out(place: Place, found: list[Found], total: int, goal: int) -> tuple[list[str], int]:
    """Move entries out of sight, least recently used first; return where they went and how many bytes stay."""
    used, moved = place.keys_in_use(), []
    for entry in sorted(found, key=lambda f: f.used_at):
        if total <= goal:
            break
        if entry.key not in used and (path := move_out(place, entry.path)):
            moved.append(path)
            total -= entry.n_bytes
    return moved, total


def move_out(place: Place, folder: str) -> str | None:
    """Move an entry out of sight in one step, to be removed; the lock must be held alone. None where it cannot be."""
    target = work_folder(place, os.path.basename(folder))
    try:
        os.rename(folder, target)
    except OSError:
        return None
    return str(target)


def work_folder(place: Place, key: str) -> Path:
    """A new name for unfinished work on an entry."""
    return place.ours / MAKING / f"{key}.{os.getpid()}-{secrets.token_hex(4)}"


def sweep(place: Place) -> int:
    """Remove what killed makers left; return the bytes of unfinished entries that live ones are making."""
    making, left = place.cache / OURS / MAKING, 0
    for key in sorted({name.partition(".")[0] for name in _names(making)}):
        if is_key(key):
            with place.making(key, wait=False) as ours:
                if ours:
                    remove_leftovers(place, key)
                else:
                    left += sum(_size_and_use(f.path)[0] for f in _folders(str(making)) if f.name.startswith(key))
    return left


def remove_leftovers(place: Place, key: str) -> None:
    """Remove unfinished work on one entry; the key's lock must be held."""
    making = place.ours / MAKING
    for name in _names(making):
        if name.startswith(f"{key}.") and name != f"{key}.{LOCK}" and is_ours(str(making / name)):
            remove_folder(str(making / name))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
