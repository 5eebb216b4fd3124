"""numpy archives and arrays of several labs."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def session() -> dict[str, np.ndarray]:
    """Fluorescence with times, running, spikes with cluster numbers, trials."""
    rng = np.random.default_rng(7)
    return {
        "dff": rng.normal(size=(90, 4)).astype(np.float32),
        "time": np.arange(90) / 30.0,
        "running": rng.normal(size=90),
        "spike_times": np.sort(rng.uniform(0, 3, 25)),
        "spike_clusters": rng.integers(3, 6, 25),
        "trial_start": np.array([0.1, 1.1]),
        "trial_stop": np.array([0.9, 2.5]),
        "outcome": np.array(["hit", "miss"]),
    }


def write_raw(folder: Path) -> set[str]:
    """Write an archive, a compressed one and a single array, and return the names of the recordings."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(8)
    np.savez(folder / "session.npz", **session())
    np.savez_compressed(
        folder / "counts.npz", spikes=rng.poisson(1, (200, 6)).astype(np.uint8), pos=rng.normal(size=(200, 2)), fs=20.0
    )
    np.save(folder / "traces.npy", rng.integers(0, 900, (3, 150), np.int16))
    return {"session", "counts", "traces"}
