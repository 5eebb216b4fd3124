"""Simulated potentials as a BIDS data set (EEG-BIDS 2019, iEEG-BIDS 2019), written file by file."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.simulate._edf_files import PotentialFile, write_potentials

_VERSION = "1.10.0"
_MISSING = "n/a"


@dataclass(frozen=True, eq=False)
class BidsDescription:
    """What all recordings of a data set share.

    Parameters
    ----------
    suffix
        ``eeg`` or ``ieeg``.
    name, task
        Of the data set, and of what was done in it.
    channel_type
        ``EEG``, ``SEEG`` …
    positions
        Metres, shape ``(channel, 3)``.
    coordinates
        Fields of ``coordsystem.json``.
    sidecar
        Further fields of the recordings' JSON file.
    """

    suffix: str
    name: str
    task: str
    channel_type: str
    positions: NDArray[np.float64]
    coordinates: Mapping[str, str]
    sidecar: Mapping[str, Any]


def write_bids(folder: Path, description: BidsDescription, contents: Sequence[PotentialFile]) -> None:
    """Write one session of one run per subject, the subjects numbered from 01."""
    _write_json(
        folder / "dataset_description.json",
        {"Name": description.name, "BIDSVersion": _VERSION, "DatasetType": "raw", "License": "CC0",
         "GeneratedBy": [{"Name": "neurodata simulate"}]},
    )  # fmt: skip
    (folder / "README").write_text(f"{description.name}: simulated recordings with known truth.\n", encoding="utf-8")
    subjects = [f"sub-{number:02}" for number in range(1, len(contents) + 1)]
    _write_table(folder / "participants.tsv", ("participant_id", "species"), [(s, "n/a") for s in subjects])
    for subject, content in zip(subjects, contents):
        _write_subject(folder / subject / description.suffix, subject, description, content)


def _write_subject(folder: Path, subject: str, description: BidsDescription, content: PotentialFile) -> None:
    stem = f"{subject}_task-{description.task}"
    # The events of a BIDS run stand in events.tsv, and only there.
    plain = PotentialFile(content.samples, content.labels, content.rate_hz, subject, ())
    write_potentials(folder / f"{stem}_{description.suffix}.edf", plain)
    _write_json(
        folder / f"{stem}_{description.suffix}.json",
        {"TaskName": description.task, "SamplingFrequency": content.rate_hz, "SoftwareFilters": "n/a",
         "RecordingDuration": len(content.samples) / content.rate_hz, "RecordingType": "continuous",
         f"{description.channel_type}ChannelCount": len(content.labels), **description.sidecar},
    )  # fmt: skip
    _write_table(
        folder / f"{stem}_channels.tsv",
        ("name", "type", "units", "low_cutoff", "high_cutoff", "sampling_frequency", "status"),
        [
            (label, description.channel_type, "uV", _MISSING, _MISSING, content.rate_hz, "good")
            for label in content.labels
        ],
    )
    _write_table(
        folder / f"{stem}_events.tsv",
        ("onset", "duration", "trial_type"),
        [(f"{onset:.15g}", f"{duration or 0:.15g}", text) for onset, duration, text in content.annotations],
    )
    _write_table(
        folder / f"{subject}_electrodes.tsv",
        ("name", "x", "y", "z", "size"),
        [
            (label, *(f"{value:.6f}" for value in row), _MISSING)
            for label, row in zip(content.labels, description.positions)
        ],
    )
    _write_json(folder / f"{subject}_coordsystem.json", description.coordinates)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
