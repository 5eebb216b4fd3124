"""Made-up connectomes: a folder of matrices with words and a table of facts beside them, and a list of connections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

NEURONS = ["AVAL", "AVAR", "RIML", "RIMR", "VB01", "VB02", "DB01", "ASEL"]


def make_matrix(seed: int, n_missing: int = 0) -> pd.DataFrame:
    """Counts of synapses, rows presynaptic; the last neurons are not part of the reconstruction."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.5, (len(NEURONS), len(NEURONS))) * (rng.random((len(NEURONS), len(NEURONS))) < 0.4)
    table = pd.DataFrame(counts.astype(object), index=NEURONS, columns=NEURONS)
    table.iloc[len(NEURONS) - n_missing :, :] = None
    table.iloc[:, len(NEURONS) - n_missing :] = None
    return table


def write_raw(folder: Path) -> set[str]:
    """Write a connectome of three tables in a folder of its own and a list beside it, and return their names."""
    worm = folder / "worm"
    worm.mkdir(parents=True)
    make_matrix(0).to_csv(worm / "chemical_White1986.csv")
    make_matrix(1, n_missing=2).to_csv(worm / "electrical_White1986.csv")
    make_matrix(2).to_csv(worm / "chemical_Cook2019.csv")
    (worm / "README.md").write_text("Three tables that nobody has published.\n")
    pd.DataFrame({"neuron": NEURONS, "type": "inter"}).to_csv(worm / "neuron_features.csv", index=False)
    rows = [("AVAL", "AVAR", "chemical", 3), ("VB01", "DB01", "electrical", 1), ("RIML", "RIML", "chemical", 2)]
    pd.DataFrame(rows, columns=["Pre", "Post", "Type", "Synapses"]).to_csv(folder / "list.csv", index=False)
    return {"worm", "list"}
