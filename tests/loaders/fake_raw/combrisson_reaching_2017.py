"""Stereo-EEG trials as shipped: integers (trial, time) with times around zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts


def arrays(n_trials: int = 4) -> dict[str, np.ndarray]:
    """Samples, rate and times of trials at 64 Hz."""
    times = np.arange(-60, 180) / 64
    data = np.random.default_rng(5).integers(-3000, 3000, (n_trials, len(times)), np.int32)
    return {"data": data, "sf": np.array(64.0), "times": times}


def write_raw(folder: Path) -> Facts:
    """Write the file and say what is in it."""
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "seeg_data_pac.npz", **arrays())
    return Facts(
        data_folder="",
        species="Homo sapiens",
        modality="seeg",
        signal="seeg",
        targets=("intervals/phase",),
        recordings={
            "patient1": RecordingFacts(
                subject="patient1", n_channels=1, n_samples=4 * 240, rate_hz=64.0, duration_seconds=15 + 240 / 64
            )
        },
        interval_labels={"phase": frozenset({"baseline", "planning", "execution"})},
    )
