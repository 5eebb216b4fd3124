"""Made-up tables of regions by time: ABIDE's .1D, a BIDS derivative, .npy with names beside it, and .mat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

N_VOLUMES, N_REGIONS = 25, 4
NAMES = ["V1", "M1", "A1", "Thalamus"]


def values(seed: int) -> np.ndarray:
    """Shape (time, region)."""
    return np.random.default_rng(seed).normal(1e4, 50, (N_VOLUMES, N_REGIONS))


def write_text(path: Path, table: np.ndarray, header: str = "", separator: str = "\t") -> None:
    """Write numbers so that they come back to the bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [separator.join(map(repr, row.tolist())) for row in table]
    path.write_text("\n".join(([header] if header else []) + rows) + "\n")


def write_raw(folder: Path) -> set[str]:
    """Write the files and return the names of the recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "caltech_rois_aal.1D", values(0), "#2001\t#2002\t#2101\t#2102")
    derivative = "sub-01_task-rest_atlas-Gordon_timeseries"
    write_text(folder / f"{derivative}.tsv", values(1), "\t".join(NAMES))
    (folder / f"{derivative}.json").write_text('{"RepetitionTime": 0.8}')
    np.save(folder / "bold_parcels.npy", values(2).T.astype("float32"))
    (folder / "bold_parcels_labels.txt").write_text("\n".join(NAMES) + "\n")
    savemat(folder / "BOLD_rsfMRI.mat", {"tc": values(3).T})
    return {"caltech_rois_aal", derivative, "bold_parcels", "BOLD_rsfMRI"}
