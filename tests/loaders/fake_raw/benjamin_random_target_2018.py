"""Somatosensory cortex of a monkey as shipped: time first, no times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from neurodata.loaders.base import Facts, RecordingFacts


def variables(n_bins: int = 240, n_neurons: int = 5) -> dict[str, np.ndarray]:
    """Spike counts and hand."""
    rng = np.random.default_rng(4)
    velocity = rng.normal(size=(n_bins, 2))
    return {
        "pos": np.cumsum(velocity, axis=0) * 0.05,
        "spikes": rng.poisson(0.5, (n_bins, n_neurons)).astype(np.uint8),
        "vel": velocity,
    }


def write_raw(folder: Path) -> Facts:
    """Write the file and say what is in it."""
    folder.mkdir(parents=True)
    savemat(folder / "s1_data.mat", variables(), do_compression=True)
    return Facts(
        data_folder="",
        species="Macaca mulatta",
        modality="spikes",
        signal="spike_counts",
        targets=("signals/hand_velocity",),
        recordings={
            "s1": RecordingFacts(subject="monkey_s1", n_channels=5, n_samples=240, rate_hz=20.0, duration_seconds=12.0)
        },
    )
