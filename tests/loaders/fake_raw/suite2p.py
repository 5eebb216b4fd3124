"""Made-up folders in the layout that suite2p writes."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np


def make_stat(n_rois: int, rng: np.random.Generator, plane: int = 0) -> np.ndarray[Any, Any]:
    """Statistics as suite2p 0.14 writes them."""
    stat = np.empty(n_rois, object)
    for roi in range(n_rois):
        n_pixels = int(rng.integers(5, 20))
        stat[roi] = {
            "ypix": rng.integers(0, 64, n_pixels),
            "xpix": rng.integers(0, 64, n_pixels),
            "lam": rng.random(n_pixels).astype(np.float32),
            "med": [int(rng.integers(64)), int(rng.integers(64))],
            "footprint": np.float64(1.0),
            "mrs": np.float32(rng.random()),
            "compact": np.float64(rng.random()),
            "npix": n_pixels,
            "npix_soma": np.int64(n_pixels),
            "soma_crop": np.ones(n_pixels, bool),
            "overlap": np.zeros(n_pixels, bool),
            "radius": np.float64(rng.random()),
            "aspect_ratio": np.float64(1.1),
            "skew": np.float32(rng.random()),
            "std": np.float32(rng.random()),
            "iplane": plane,
        }
    return stat


def write_plane(folder: Path, *, seed: int = 0, n_rois: int = 5, n_frames: int = 60, fs: float | None = 30.0) -> None:
    """Write one plane; without ``fs`` there is no ``ops.npy``."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in ("F", "Fneu", "spks"):
        np.save(folder / f"{name}.npy", rng.normal(100, 10, (n_rois, n_frames)).astype(np.float32))
    np.save(folder / "iscell.npy", np.stack([np.arange(n_rois) % 2, rng.random(n_rois)], axis=1))
    np.save(folder / "stat.npy", make_stat(n_rois, rng, seed))
    if fs is not None:
        ops = {
            "fs": fs,
            "suite2p_version": "0.14.3",
            "nplanes": 2,
            "nframes": n_frames,
            "tau": 1.0,
            "neucoeff": 0.7,
            "Ly": 64,
            "Lx": 64,
            "data_path": ["/somebody/data"],
            "save_path": None,
            "date_proc": datetime.datetime(2024, 1, 2, 3, 4, 5),
            "meanImg": rng.random((64, 64)).astype(np.float32),
            "badframes": np.arange(n_frames) == n_frames - 1,
            "timing": {"total_plane_runtime": 1.5},
            "block_size": [128, 128],
        }
        np.save(folder / "ops.npy", np.array(ops, dtype=object))


def write_raw(folder: Path) -> set[str]:
    """Write a session of two planes with settings and one without, and return their names."""
    write_plane(folder / "day1" / "suite2p" / "plane0")
    write_plane(folder / "day1" / "suite2p" / "plane1", seed=1, n_rois=3)
    write_plane(folder / "day2" / "roi_traces", seed=2, fs=None)
    np.save(folder / "day2" / "roi_traces" / "redcell.npy", np.array([[1.0, 0.9]] * 5))
    return {"day1-suite2p-plane0", "day1-suite2p-plane1", "day2-roi_traces"}
