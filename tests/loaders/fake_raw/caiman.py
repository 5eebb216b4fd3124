"""Made-up results in the layout of CaImAn's ``save_dict_to_hdf5``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.sparse import csc_matrix

DIMS = (8, 6)
N_CELLS, N_FRAMES = 5, 70


def make_results(seed: int = 0) -> dict[str, Any]:
    """Estimates as CaImAn 1.9 has them."""
    rng = np.random.default_rng(seed)
    footprints = np.zeros((DIMS[0] * DIMS[1], N_CELLS))
    for cell in range(N_CELLS - 1):  # the last has no footprint
        footprints[rng.choice(len(footprints), 4, replace=False), cell] = rng.random(4)
    return {
        "A": csc_matrix(footprints),
        "C": rng.normal(0, 1, (N_CELLS, N_FRAMES)),
        "S": rng.random((N_CELLS, N_FRAMES)),
        "YrA": rng.normal(0, 1, (N_CELLS, N_FRAMES)),
        "F_dff": rng.normal(0, 1, (N_CELLS, N_FRAMES)).astype(np.float32),
        "R": None,
        "b": np.ones((len(footprints), 1)),
        "f": np.ones((1, N_FRAMES)),
        "dims": np.array(DIMS),
        "idx_components": np.array([0, 2, 3]),
        "idx_components_bad": np.array([1, 4]),
        "SNR_comp": rng.random(N_CELLS),
        "r_values": rng.random(N_CELLS),
        "cnn_preds": None,
        "bl": np.zeros(N_CELLS),
    }


def write_group(group: h5py.Group, content: dict[str, Any]) -> None:
    """Write a dictionary as CaImAn does: sparse matrices as groups, nothing as ``NoneType``."""
    for key, value in content.items():
        if isinstance(value, dict):
            write_group(group.create_group(key), value)
        elif isinstance(value, csc_matrix):
            write_group(
                group.create_group(key),
                {"data": value.data, "indptr": value.indptr, "indices": value.indices, "shape": np.array(value.shape)},
            )
        else:
            group[key] = "NoneType" if value is None else value


def write_raw(folder: Path) -> set[str]:
    """Write a file as CaImAn saves it, and one with everything at the top level."""
    folder.mkdir(parents=True)
    with h5py.File(folder / "analysis_results.hdf5", "w") as file:
        params = {"data": {"fr": 15.0, "decay_time": 0.4, "dims": np.array(DIMS), "dxy": np.array([1.0, 1.0])}}
        write_group(
            file,
            {"estimates": make_results(), "params": params, "dims": np.array(DIMS), "remove_very_bad_comps": False},
        )
    with h5py.File(folder / "flat.h5", "w") as file:
        results = make_results(1)
        del results["F_dff"], results["idx_components"]
        write_group(file, {**results, "fr": 20.0})
    return {"analysis_results", "flat"}
