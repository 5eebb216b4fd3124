"""Made-up files in the layout of pynapple's suite2p test data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts


def write_raw(folder: Path) -> Facts:
    """Write one plane without settings and return what is true of it."""
    rng = np.random.default_rng(0)
    plane = folder / "suite2p" / "plane0"
    plane.mkdir(parents=True)
    for name in ("F", "Fneu", "spks"):
        np.save(plane / f"{name}.npy", rng.random((219, 2000), np.float32))
    np.save(plane / "iscell.npy", np.stack([np.arange(219) % 3 == 0, rng.random(219)], axis=1))
    stat = np.empty(219, object)
    for roi in range(219):
        stat[roi] = {"med": [roi, 2 * roi], "npix": roi + 5, "radius": np.float64(rng.random()), "ypix": np.arange(roi)}
    np.save(plane / "stat.npy", stat)
    return Facts(
        data_folder="",
        species="unknown",
        modality="calcium",
        signal="fluorescence",
        recordings={
            "2022_08_08": RecordingFacts(subject="unknown", duration_seconds=0.0, n_channels=219, n_samples=2000)
        },
    )
