"""A made-up dense series of cortex and thalamus, and a parcellated one."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from nibabel.cifti2 import BrainModelAxis, ParcelsAxis, SeriesAxis

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
N_VOLUMES, N_CHANNELS, N_PARCELS = 9, 11, 3


def brain() -> BrainModelAxis:
    """Five vertices left, three right, and three voxels of the thalamus."""
    left = BrainModelAxis.from_surface([0, 1, 2, 5, 6], 8, "CortexLeft")
    right = BrainModelAxis.from_surface([1, 2, 4], 8, "CortexRight")
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 2, 3] = mask[2, 2, 3] = mask[3, 0, 1] = True
    return left + right + BrainModelAxis.from_mask(mask, "ThalamusLeft", AFFINE)


def parcels() -> ParcelsAxis:
    """Three parcels."""
    axis = brain()
    return ParcelsAxis.from_brain_models([("V1", axis[:3]), ("M1", axis[3:8]), ("Thalamus", axis[8:])])


def write_series(path: Path, axis, *, step: float = 0.72, unit: str = "SECOND", dtype: str = "float32") -> np.ndarray:
    """Write a series and return its values, shape (time, channel)."""
    values = np.random.default_rng(len(axis)).normal(100, 9, (N_VOLUMES, len(axis))).astype(dtype)
    header = nibabel.Cifti2Header.from_axes((SeriesAxis(0, step, N_VOLUMES, unit), axis))
    image = nibabel.Cifti2Image(values, header)
    image.nifti_header.set_intent(
        "NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES" if isinstance(axis, BrainModelAxis) else 3004
    )
    image.nifti_header.set_data_dtype(dtype)
    image.to_filename(path)
    return values


def write_raw(folder: Path) -> set[str]:
    """Write the files and return the names of the recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    write_series(folder / "rest.dtseries.nii", brain())
    write_series(folder / "parcels.ptseries.nii", parcels())
    return {"rest.dtseries", "parcels.ptseries"}
