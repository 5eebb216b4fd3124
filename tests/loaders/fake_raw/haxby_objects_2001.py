"""Two made-up runs in the layout of Haxby et al. 2001 as reduced for PyMVPA, both variants."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts
from neurodata.loaders.datasets.haxby_objects_2001 import CATEGORIES

N_VOLUMES = 24
GRIDS = {"1slice": (5, 4, 1), "25mm": (2, 3, 2)}
ORDERS = ((3, 0, 7, 1, 2, 4, 6, 5), (7, 6, 5, 4, 3, 2, 1, 0))


def volumes(run: int, variant: str) -> np.ndarray:
    """Stored values of run 0 or 1, shape (i, j, k, time)."""
    return np.random.default_rng(run).integers(0, 2000, (*GRIDS[variant], N_VOLUMES)).astype("int16")


def write_image(path: Path, values: np.ndarray) -> None:
    """Write an image with an affine and TR 2.5 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, np.diag([3.0, 3, 3, 1]))
    image.header.set_xyzt_units("mm", "sec")
    if values.ndim == 4:
        image.header.set_zooms((3, 3, 3, 2.5))
    image.to_filename(path)


def write_run(folder: Path, run: int) -> None:
    """Write volumes, events, motion and onsets of one run."""
    name = f"task001_run{run + 1:03d}"
    bold = folder / "sub001" / "BOLD" / name
    for variant in GRIDS:
        write_image(bold / f"bold_{variant}.nii.gz", volumes(run, variant))
    blocks = [(5.0 + 6.5 * place, 5.0, condition) for place, condition in enumerate(ORDERS[run])]
    lines = [f"{onset}\t{duration}\t{CATEGORIES[condition]}\n" for onset, duration, condition in blocks]
    (bold / "bold_events.tsv").write_text("onset\tduration\ttrial_type\n" + "".join(lines))
    motion = np.random.default_rng(run + 10).normal(0, 0.01, (N_VOLUMES, 6))
    (bold / "bold_moest.txt").write_text("".join("  ".join(f"{v:g}" for v in row) + "  \n" for row in motion))
    onsets = folder / "sub001" / "model" / "model001" / "onsets" / name
    onsets.mkdir(parents=True)
    for onset, duration, condition in blocks:
        (onsets / f"cond{condition + 1:03d}.txt").write_text(f"{onset}\t{duration}\t1\n")


def write_raw(folder: Path) -> Facts:
    """Write the raw files and return what a loader must find in them."""
    (folder / "models" / "model001").mkdir(parents=True)
    key = "".join(f"task001 cond{number:03d} {name}\n" for number, name in enumerate(CATEGORIES, 1))
    (folder / "models" / "model001" / "condition_key.txt").write_text(key)
    (folder / "scan_key.txt").write_text("TR 2.5\n")
    for run in range(2):
        write_run(folder, run)
    for number, name in enumerate(("brain", "gray", "white", "vt", "hoc")):
        values = np.random.default_rng(number).integers(0, 30 if name == "hoc" else 2, GRIDS["25mm"])
        write_image(folder / "sub001" / "masks" / "25mm" / f"{name}.nii.gz", values.astype("uint8"))
    return Facts(
        data_folder="",
        species="Homo sapiens",
        modality="fmri",
        signal="bold",
        targets=("intervals/stimulus",),
        recordings={
            f"run{run + 1:03d}": RecordingFacts(
                subject="sub001", duration_seconds=N_VOLUMES * 2.5, n_channels=20, n_samples=N_VOLUMES, rate_hz=0.4
            )
            for run in range(2)
        },
        interval_labels={"stimulus": frozenset(CATEGORIES)},
    )
