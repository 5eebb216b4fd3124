"""Made-up EEG in the true layout of EEGLAB's tutorial recording, with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from neurodata.loaders.base import Facts, RecordingFacts

N_SAMPLES, RATE = 640, 128
NAMES = (
    "FPz", "EOG1", "F3", "Fz", "F4", "EOG2", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "C4", "Cz", "T8", "CP5", "CP1",
    "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2",
)  # fmt: skip
EMPTY = np.zeros((0, 0))
EVENTS = [("square", 2, 129.00875, 1), ("square", 1, 218.00875, 2), ("rt", EMPTY, 267.54813625, 3)]


def microvolts() -> np.ndarray:
    """Shape (channel, time)."""
    return np.random.default_rng(0).normal(scale=20, size=(32, N_SAMPLES)).astype(np.float32)


def write_raw(folder: Path, names: tuple[str, ...] = NAMES) -> Facts:
    """Write header, samples and positions and return what a loader must find in them."""
    folder.mkdir(parents=True, exist_ok=True)
    place = np.random.default_rng(1).normal(size=(32, 3))
    place /= np.linalg.norm(place, axis=1)[:, None]
    rows = [(name, *xyz, "") for name, xyz in zip(names, place)]
    eeg = {
        "setname": "Continuous EEG Data", "filename": "eeglab_data.set", "nbchan": 32, "trials": 1, "pnts": N_SAMPLES,
        "srate": RATE, "xmin": 0, "xmax": (N_SAMPLES - 1) / RATE, "data": "eeglab_data.fdt", "ref": "common",
        "chanlocs": np.array(rows, dtype=[(key, object) for key in ("labels", "X", "Y", "Z", "type")]),
        "event": np.array(EVENTS, dtype=[(key, object) for key in ("type", "position", "latency", "urevent")]),
        "datfile": "eeglab_data.fdt",
    }  # fmt: skip
    scipy.io.savemat(folder / "eeglab_data.set", {"EEG": eeg}, appendmat=False)
    microvolts().T.tofile(folder / "eeglab_data.fdt")
    (folder / "eeglab_chan32.locs").write_text("1\t0\t0.50669\tFPz\n")
    facts = RecordingFacts(
        subject="subject1",
        duration_seconds=N_SAMPLES / RATE,
        n_channels=30,
        n_named=30,
        n_samples=N_SAMPLES,
        rate_hz=float(RATE),
    )
    return Facts(
        data_folder="",
        species="Homo sapiens",
        modality="eeg",
        signal="eeg",
        recordings={"attention": facts},
        targets=("events/annotations",),
    )
