"""MATLAB files of several labs and versions: nested, cells of spikes, trials, version 4, 5 and 7.3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

N_SAMPLES, N_CELLS, RATE_HZ = 120, 5, 10.0


def cells(entries: list[Any]) -> np.ndarray:
    """Return entries as a cell array of one row."""
    made = np.empty((1, len(entries)), object)
    for i, entry in enumerate(entries):
        made[0, i] = entry
    return made


def nested() -> dict[str, Any]:
    """Calcium and behaviour in structs, each with its own clock, as many labs save them."""
    rng = np.random.default_rng(0)
    return {
        "data": {
            "imaging": {
                "dff": rng.normal(size=(N_CELLS, N_SAMPLES)),
                "frame_times": np.arange(N_SAMPLES) / RATE_HZ + 0.25,
                "roi_labels": cells([f"roi {i}" for i in range(N_CELLS)]),
                "snr": rng.normal(size=N_CELLS),
            },
            "behavior": {"speed": rng.normal(size=(400, 1)), "fs": 50.0},
            "licks": np.sort(rng.uniform(0, 8, 7)),
            "mouse": "m12",
        }
    }


def spikes() -> dict[str, Any]:
    """Cells of spike times with a quality vector, and trials as starts with stops."""
    rng = np.random.default_rng(1)
    return {
        "spike_times": cells([np.sort(rng.uniform(0, 60, n))[:, None] for n in (30, 0, 12)]),
        "trial_start": np.arange(0.0, 50, 10)[None],
        "trial_end": np.arange(0.0, 50, 10)[None] + 4,
        "direction": np.arange(5)[None],
    }


def trials() -> dict[str, Any]:
    """Field potentials (channel, time, trial) with times around zero and a condition per trial."""
    rng = np.random.default_rng(2)
    return {
        "lfp": rng.integers(-500, 500, (3, 64, 6)).astype(np.int16),
        "t": (np.arange(64) - 16) / 64.0,
        "condition": np.array([1, 2, 1, 2, 1, 2]),
    }


def write_v73(path: Path, variables: dict[str, Any]) -> None:
    """Write variables as MATLAB 7.3 does: HDF5 behind a header of 512 bytes, transposed, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        for name, value in variables.items():
            _put(file, file, name, value)
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 2026 HDF5 schema 1.00 ."
    with path.open("r+b") as stream:
        stream.write(head.ljust(116) + b"\0" * 8 + b"\x00\x02IM")


def _refer(file: h5py.File, value: Any) -> h5py.Reference:
    name = f"r{len(file['#refs#'])}"
    _put(file, file["#refs#"], name, value)
    return file["#refs#"][name].ref


def _put(file: h5py.File, group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, dict):
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, entry in value.items():
            _put(file, made, key, entry)
        return
    if isinstance(value, list):  # a struct array
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key in value[0]:
            refs = np.array([[_refer(file, entry[key])] for entry in value], h5py.ref_dtype)
            made.create_dataset(key, data=refs, dtype=h5py.ref_dtype)
        return
    if isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), np.uint16)[:, None]
        made = group.create_dataset(name, data=codes)
        made.attrs["MATLAB_class"], made.attrs["MATLAB_int_decode"] = np.bytes_("char"), 2
        return
    array = np.asarray(value)
    if array.dtype == object:
        refs = np.array([_refer(file, entry) for entry in array.ravel(order="F")], h5py.ref_dtype)
        made = group.create_dataset(name, data=refs.reshape(np.atleast_2d(array).shape[::-1]), dtype=h5py.ref_dtype)
        made.attrs["MATLAB_class"] = np.bytes_("cell")
        return
    array = np.atleast_2d(array)
    if array.size == 0:
        made = group.create_dataset(name, data=np.array(array.shape, np.uint64))
        made.attrs["MATLAB_empty"] = 1
    else:
        made = group.create_dataset(name, data=array.T.astype(np.uint8) if array.dtype == bool else array.T)
    known = {"float64": "double", "float32": "single", "bool": "logical"}
    made.attrs["MATLAB_class"] = np.bytes_(known.get(array.dtype.name, array.dtype.name))


def write_raw(folder: Path) -> set[str]:
    """Write one file of each kind and return the names of the recordings."""
    (folder / "more").mkdir(parents=True)
    savemat(folder / "nested.mat", nested(), do_compression=True)
    savemat(folder / "spikes.mat", spikes())
    savemat(folder / "trials.mat", trials(), do_compression=True)
    savemat(folder / "old.mat", {"eeg": np.arange(600.0).reshape(4, 150) % 7, "fs": 100.0}, format="4")
    write_v73(folder / "more" / "nested73.mat", nested())
    return {"nested", "spikes", "trials", "old", "more-nested73"}
