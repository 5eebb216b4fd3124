"""Two made-up worms in the true layout of Kato et al. 2015, with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts

DURATION = 1080.0
N_SAMPLES, N_CHANNELS = (60, 48), (9, 7)
COLUMNS = ([1, 3, 4, 8], [0, 2, 6])
NAMES = (["AVAL", "VB02", "avar", "AS10"], ["DB01", "RIMR", "AVA?"])
CANONICAL = ({1: "AVAL", 3: "VB2", 4: "AVAR", 8: "AS10"}, {0: "DB1", 2: "RIMR"})
CODES = (
    [1] * 20 + [3] * 5 + [5] * 15 + [0] * 9 + [6] * 10 + [1],
    [7] * 4 + [6] * 30 + [4] * 2 + [5] * 11 + [2],
)


def traces(worm: int) -> np.ndarray:
    """ΔF/F of worm 0 or 1, shape (time, neuron); a run of samples of one neuron is missing."""
    values = np.random.default_rng(worm).normal(size=(N_SAMPLES[worm], N_CHANNELS[worm]))
    values[10:14, 2] = np.nan
    return values


def object_array(entries: list) -> np.ndarray:
    """One Python object per worm, as the published archive holds them."""
    array = np.empty(len(entries), object)
    for i, entry in enumerate(entries):
        array[i] = entry
    return array


def write_known(folder: Path, columns: list, labels: list) -> None:
    """Write ``known_neurons.npz``."""
    np.savez(folder / "known_neurons.npz", object_array(columns), object_array(labels))


def write_raw(folder: Path) -> Facts:
    """Write the raw files and return what a loader must find in them."""
    folder.mkdir(parents=True, exist_ok=True)
    for worm in range(2):
        np.savez(folder / f"raw_full_data_worm_{worm + 1}.npz", np.asfortranarray(traces(worm)))
        (folder / f"worm_{worm}_y.csv").write_text(",".join(map(str, CODES[worm])) + "\n")
    write_known(folder, [np.array(columns) for columns in COLUMNS], [list(names) for names in NAMES])
    recordings = {
        f"worm{worm + 1}": RecordingFacts(
            subject=f"worm{worm + 1}",
            n_channels=N_CHANNELS[worm],
            n_named=len(CANONICAL[worm]),
            n_samples=N_SAMPLES[worm],
            rate_hz=N_SAMPLES[worm] / DURATION,
            duration_seconds=DURATION,
        )
        for worm in range(2)
    }
    labels = frozenset({"fwd", "rev1", "revsus", "dt", "slow", "vt", "rev2", "nostate"})
    return Facts(
        data_folder="",
        species="Caenorhabditis elegans",
        modality="calcium",
        signal="calcium",
        recordings=recordings,
        targets=("intervals/state",),
        interval_labels={"state": labels},
    )
