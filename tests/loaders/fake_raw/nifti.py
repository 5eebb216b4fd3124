"""Made-up BOLD files: compressed and scaled, a pair of floats, and big-endian NIfTI-2, with what lies beside them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np

SHAPE = (4, 3, 2, 7)
AFFINE = np.array([[-3.0, 0, 0, 10], [0, 3, 0.5, -20], [0, -0.5, 4, 5], [0, 0, 0, 1.0]])


def values(seed: int, dtype: str = "int16", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Stored values of a made-up file."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 200, shape) if np.dtype(dtype).kind in "iu" else rng.normal(100, 5, shape)
    return numbers.astype(dtype)


def make_image(
    stored: np.ndarray, *, tr: float = 2.5, units: str | None = "sec", kind=nibabel.Nifti1Image, code: int = 1
):
    """An image with an affine and the distance between volumes."""
    image = kind(stored, AFFINE)
    image.header.set_sform(AFFINE, code)
    image.header.set_qform(AFFINE, 0)
    if stored.ndim > 3:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    image.header.set_xyzt_units("mm", units)
    return image


def write_raw(folder: Path) -> set[str]:
    """Write the files and return the names of the recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    scaled = make_image(values(0))
    scaled.header.set_slope_inter(0.5, 100)
    scaled.to_filename(folder / "rest.nii.gz")
    (folder / "rest.json").write_text(
        json.dumps({"RepetitionTime": 2.5, "SliceTiming": [0.0, 1.25], "TaskName": "rest"})
    )
    (folder / "rest_events.tsv").write_text(
        "onset\tduration\ttrial_type\tresponse\n0.0\t5\tface\t1\n7.5\tn/a\thouse\tn/a\n"
    )
    np.savetxt(folder / "rest_mcf.par", np.arange(42.0).reshape(7, 6))
    make_image(values(1, "float32"), kind=nibabel.Nifti1Pair).to_filename(folder / "pair.hdr")
    big = make_image(values(2, "uint8"), tr=1.0, units=None, kind=nibabel.Nifti2Image)
    nibabel.Nifti2Image(big.dataobj, AFFINE, big.header.as_byteswapped(">")).to_filename(folder / "second.nii")
    return {"rest", "pair", "second"}
