"""Made-up resting EEG in the true layout of YASA's notebook data, with known answers."""

from __future__ import annotations

import datetime
from pathlib import Path

import mne
import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts

N_SAMPLES, RATE = 800, 200.0


def write_raw(folder: Path, names: tuple[str, str] = ("F4-A1", "CZ-A2")) -> Facts:
    """Write the FIF file and return what a loader must find in it."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).normal(scale=2e-5, size=(2, N_SAMPLES))
    raw = mne.io.RawArray(values, mne.create_info(list(names), RATE, "eeg"), first_samp=2000, verbose="error")
    raw.set_meas_date(datetime.datetime(2019, 2, 27, 8, 18, 2, tzinfo=datetime.UTC))
    raw.save(folder / "data_resting_EO_200Hz_raw.fif", overwrite=True, verbose="error")
    facts = RecordingFacts(
        subject="subject1",
        duration_seconds=N_SAMPLES / RATE,
        n_channels=2,
        n_named=2,
        n_samples=N_SAMPLES,
        rate_hz=RATE,
    )
    return Facts(data_folder="", species="Homo sapiens", modality="eeg", signal="eeg", recordings={"rest": facts})
