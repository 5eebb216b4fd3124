"""Made-up files in the layout of Tome et al. 2024."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts

SESSIONS = ("hc0", "cfc", "hc1", "neutral1", "training1", "hc2", "neutral2", "training2")


def write_raw(folder: Path) -> Facts:
    """Write eight sessions of two mice and return what is true of them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    recordings = {}
    for mouse, n_cells in ((3, 4), (4, 6)):
        for number, session in enumerate(SESSIONS):
            values = rng.normal(0, 10.0 ** (mouse - 3), (40 + number, n_cells))
            text = "\n".join(",".join(f"{value:.7G}" for value in row) for row in values)
            (folder / f"mouse{mouse}_{session}.csv").write_text(text + "\n")
            recordings[f"mouse{mouse}_{session}"] = RecordingFacts(
                subject=f"mouse{mouse}", duration_seconds=0.0, n_channels=n_cells, n_samples=40 + number
            )
    (folder / "imaging-data-description.txt").write_text("rows are time stamps\n")
    return Facts(data_folder="", species="Mus musculus", modality="calcium", signal="calcium", recordings=recordings)
