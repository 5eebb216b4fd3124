"""HDF5 files of strangers: first looked through by a process that may die, then opened.

A damaged HDF5 file can crash the library that reads it, and a hostile one can point at other files. So a child process
with little memory and time walks through every group, attribute and dataset first; its death becomes our error.
"""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SECONDS = 120
_MOST_MEMORY = 4 << 30
_MOST_OBJECTS = 1_000_000
_MOST_CHUNKS = 4096
"""Chunks that are read in one call."""


def is_hdf5(path: Path) -> bool:
    """Tell whether a file begins as HDF5 does, at byte 0 or behind a user block (512, 1024, 2048 bytes, as MATLAB's)."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        for offset in (0, 512, 1024, 2048):
            stream.seek(offset)
            if stream.read(len(SIGNATURE)) == SIGNATURE:
                return True
    return False


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, after a child process has walked through it unharmed.

    Raises
    ------
    RawFileError
        If the file is damaged (also where it crashes the library), takes too long, or refers to other files: external
        links, external raw storage and virtual datasets are refused, for no path from a file is trusted.
    """
    status = path.stat()
    problem = _look_through(str(path.resolve()), status.st_size, status.st_mtime_ns)
    if problem:
        raise RawFileError(f"{path}: {problem}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise RawFileError(f"{path}: expected an HDF5 file that can be opened ({error}); fetch it again") from error


def read_part(data: h5py.Dataset, *key: slice) -> NDArray[Any]:
    """Return ``data[key]`` (slices without a step, one per dimension or fewer) read a few thousand chunks at a time.

    The library keeps about 1.5 kB of notes for every chunk of one call: half a million chunks of one row each, as
    streaming writers leave them, took 1.8 GB.
    """
    whole = (*key, *[slice(None)] * (data.ndim - len(key)))
    if data.chunks is None:
        return np.asarray(data[whole])
    bounds = [part.indices(length)[:2] for part, length in zip(whole, data.shape)]
    counts = [-(-max(0, after - first) // size) for (first, after), size in zip(bounds, data.chunks)]
    axis = int(np.argmax(counts))
    if math.prod(counts) <= _MOST_CHUNKS or counts[axis] < 2:
        return np.asarray(data[whole])
    step = max(1, counts[axis] * _MOST_CHUNKS // math.prod(counts)) * data.chunks[axis]
    first, after = bounds[axis]
    edges = [(low, min(low + step, after)) for low in range(first, after, step)]
    parts = [read_part(data, *whole[:axis], slice(low, high), *whole[axis + 1 :]) for low, high in edges]
    return np.concatenate(parts, axis=axis)


@functools.lru_cache(maxsize=4096)
def _look_through(path: str, n_bytes: int, modified: int) -> str:
    """What is wrong with a file, empty where nothing is."""
    probe = Path(__file__).with_name("hdf5_probe.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(probe), path, str(_MOST_MEMORY), str(_MOST_OBJECTS)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"looking through the HDF5 file took longer than {_SECONDS} s; it is damaged or not a recording"
    if done.returncode == 0:
        return ""
    if done.returncode == 1 and done.stdout.startswith("refused: "):
        return done.stdout.removeprefix("refused: ").strip()
    return (
        f"the HDF5 file is damaged: looking through it ended a child process (status {done.returncode}); "
        "fetch the file again"
    )
