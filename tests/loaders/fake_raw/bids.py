"""A made-up BIDS data set: EEG of two subjects (one in two sessions), and a small BOLD run with inherited sidecars."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal

CHANNELS = ("Fp1", "Cz", "VEOG", "Trig")
TYPES = ("EEG", "EEG", "VEOG", "MISC")
RATE = 128


def samples(seed: int) -> np.ndarray:
    """Microvolts, shape (time, channel)."""
    return np.random.default_rng(seed).normal(scale=40, size=(6 * RATE, len(CHANNELS)))


def write_json(path: Path, fields: dict) -> None:
    """Write a sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields), encoding="utf-8")


def write_eeg(folder: Path, stem: str, seed: int) -> None:
    """Write one EEG run with its tables."""
    folder.mkdir(parents=True, exist_ok=True)
    signals = [
        EdfSignal(column, RATE, label=label, physical_dimension="uV")
        for label, column in zip(CHANNELS, samples(seed).T)
    ]
    Edf(signals, annotations=[EdfAnnotation(1.0, None, "start")]).write(folder / f"{stem}_eeg.edf")
    rows = [f"{name}\t{kind}\tuV\t{'bad' if name == 'Cz' else 'good'}\t0.1" for name, kind in zip(CHANNELS, TYPES)]
    text = "\n".join(["name\ttype\tunits\tstatus\tlow_cutoff", *rows])
    (folder / f"{stem}_channels.tsv").write_text(text + "\n", encoding="utf-8")
    events = "onset\tduration\ttrial_type\tresponse_time\n0.5\t1\tright\tn/a\n2.5\tn/a\tleft\t0.31\n"
    (folder / f"{stem}_events.tsv").write_text(events if seed else events.replace("left", "centre"), encoding="utf-8")


def write_bold(root: Path) -> None:
    """Write a BOLD run whose repetition time stands in the data set's own folder."""
    folder = root / "sub-02" / "func"
    folder.mkdir(parents=True)
    image = nibabel.Nifti1Image(np.arange(3 * 3 * 2 * 5, dtype=np.int16).reshape(3, 3, 2, 5), np.diag([3, 3, 3, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    nibabel.save(image, folder / "sub-02_task-rest_bold.nii.gz")
    write_json(root / "task-rest_bold.json", {"RepetitionTime": 2.0, "TaskName": "rest"})


def write_raw(folder: Path) -> set[str]:
    """Write the data set and return the names of its runs."""
    write_json(
        folder / "dataset_description.json",
        {"Name": "Made up", "BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["A. Nobody", "B. Nobody"]},
    )
    (folder / "participants.tsv").write_text(
        "participant_id\tage\tsex\thandedness\nsub-01\t29\tF\tR\nsub-02\tn/a\tn/a\tL\n", encoding="utf-8"
    )
    write_json(folder / "task-walk_eeg.json", {"TaskName": "walk", "PowerLineFrequency": 50, "EEGReference": "Cz"})
    write_eeg(folder / "sub-01/ses-a/eeg", "sub-01_ses-a_task-walk", 0)
    write_json(folder / "sub-01/ses-a/eeg/sub-01_ses-a_task-walk_eeg.json", {"PowerLineFrequency": 60})
    write_eeg(folder / "sub-01/ses-b/eeg", "sub-01_ses-b_task-walk", 1)
    write_eeg(folder / "sub-02/eeg", "sub-02_task-walk", 2)
    (folder / "sub-02/eeg/sub-02_electrodes.tsv").write_text(
        "name\tx\ty\tz\nFp1\t-30\t110\t20\nCz\t0\tn/a\t90\n", encoding="utf-8"
    )
    write_json(
        folder / "sub-02/eeg/sub-02_coordsystem.json",
        {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm"},
    )
    write_bold(folder)
    return {
        "sub-01_ses-a_task-walk_eeg", "sub-01_ses-b_task-walk_eeg", "sub-02_task-walk_eeg", "sub-02_task-rest_bold"
    }  # fmt: skip
