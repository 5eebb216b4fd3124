"""Motor cortex of a monkey as shipped: neurons first, times rounded, no trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from neurodata.loaders.base import Facts, RecordingFacts


def variables(n_bins: int = 200, n_neurons: int = 6) -> dict[str, np.ndarray]:
    """Spike counts, hand and times; every fifth time stands half a millisecond early, as rounding leaves it."""
    rng = np.random.default_rng(3)
    times = 12.591 + np.arange(n_bins) * 0.05
    times[20:60:5] -= 0.0005
    hand = rng.normal(size=(3, n_bins))
    hand[2] = 0
    return {
        "time": times[None],
        "spikes": rng.poisson(1.0, (n_neurons, n_bins)).astype(np.uint8),
        "handVel": hand,
        "handPos": np.cumsum(hand, axis=1) * 0.05,
    }


def write_raw(folder: Path) -> Facts:
    """Write the file and say what is in it."""
    folder.mkdir(parents=True)
    savemat(folder / "m1_stevenson_2011.mat", variables(), do_compression=True)
    return Facts(
        data_folder="",
        species="Macaca mulatta",
        modality="spikes",
        signal="spike_counts",
        targets=("signals/hand_velocity",),
        recordings={
            "m1": RecordingFacts(
                subject="monkey_m1", n_channels=6, n_samples=200, rate_hz=20.0, duration_seconds=12.591 + 10
            )
        },
    )
