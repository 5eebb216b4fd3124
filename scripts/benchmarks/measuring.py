"""What every benchmark says about itself: machine, versions, bytes read, and times that can be believed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("neurodata", "numpy", "torch", "zarr", "h5py", "torch_brain")


def describe_machine() -> dict[str, Any]:
    """Return processor, cores this process may use, memory and operating system."""
    model = platform.processor() or platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def list_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the installed version of each package, and Python's."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def time_interleaved(contenders: Mapping[str, Callable[[int], float]], repeats: int) -> dict[str, list[float]]:
    """Time each contender once per round, every round in another order, and return the seconds of each round.

    What else the machine does then falls on all of them alike.

    Parameters
    ----------
    contenders
        Name → function that does the work of one round, given the round's number, and returns the seconds it took.
    repeats
        Rounds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for repeat in range(repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(contenders[name](repeat))
    return seconds


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def median_ratio(slow: Iterable[float], fast: Iterable[float]) -> float:
    """Return the median over rounds of how many times faster the second is: both were measured side by side."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def bytes_read() -> int:
    """Return what this process has made the disk read so far, in bytes; 0 where the system does not say."""
    for line in _lines("/proc/self/io"):
        if line.startswith("read_bytes"):
            return int(line.split(":")[1])
    return 0


def drop_page_cache(folder: Path, whole_machine: bool) -> str:
    """Make the next read of a folder's files come from the disk, and return how that was done.

    Parameters
    ----------
    folder
        Where the files are.
    whole_machine
        Whether the system's whole page cache may be dropped, which needs root and slows down everybody else.
    """
    os.sync()
    if whole_machine and os.geteuid() == 0:
        try:
            Path("/proc/sys/vm/drop_caches").write_text("3\n")
            return "the whole page cache was dropped"
        except OSError:
            pass  # a container may not: one file at a time then
    if not hasattr(os, "posix_fadvise"):
        return "not dropped: this system cannot"
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
    return "dropped file by file with posix_fadvise"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
