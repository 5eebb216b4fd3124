"""A small simulated head in a scanner: regions, haemodynamics, drift, noise and motion, and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter
from scipy.stats import gamma

from neurodata.checks import import_extra

GRID, VOXEL_MM = (14, 16, 10), 8.0
REGIONS = ("occipital_L", "occipital_R", "temporal_L", "temporal_R", "frontal_L", "frontal_R")
"""Region of label 1, 2 …"""
MOTION = ("rot_x", "rot_y", "rot_z", "trans_x", "trans_y", "trans_z")
"""Radian and mm, in the order of FSL's ``.par`` files."""
FINE_SECONDS = 0.1
"""Step in which sources and events are convolved with the haemodynamic response."""

_RADIUS_MM = (50.0, 58.0, 36.0)
_BASELINE = 1000.0
_AR = 0.3
"""Correlation of a voxel's noise from volume to volume."""


@dataclass(frozen=True, eq=False)
class Head:
    """Anatomy of one subject.

    Parameters
    ----------
    baseline
        Intensity at rest, shape ``GRID``; 0 outside the brain.
    labels
        Number of each voxel's region from 1, 0 where there is none, shape ``GRID``.
    affine
        From voxel indices to mm.
    """

    baseline: NDArray[np.float64]
    labels: NDArray[np.int16]
    affine: NDArray[np.float64]


def make_head(rng: np.random.Generator) -> Head:
    """Return an ellipsoid brain whose inner voxels are cut into `REGIONS`, its intensity different in each subject."""
    affine = np.diag([VOXEL_MM] * 3 + [1.0])
    affine[:3, 3] = -VOXEL_MM * (np.array(GRID) - 1) / 2
    places = np.moveaxis(np.indices(GRID), 0, -1) * VOXEL_MM + affine[:3, 3]
    radius = np.sqrt(((places / np.array(_RADIUS_MM)) ** 2).sum(-1))
    lobe = np.digitize(places[..., 1], [-18.0, 18.0])
    labels = np.where(radius < 0.85, 1 + 2 * lobe + (places[..., 0] > 0), 0)
    texture = 1 + 0.1 * rng.standard_normal(GRID)
    return Head(np.where(radius < 1, _BASELINE * texture * (1.2 - 0.4 * radius), 0.0), labels.astype(np.int16), affine)


def spm_hrf(step_seconds: float, seconds: float = 32.0) -> NDArray[np.float64]:
    """Return SPM's canonical haemodynamic response, sampled every ``step_seconds``, with sum 1.

    The difference of two gamma densities, peak at 6 s and undershoot at 16 s a sixth as large (SPM12, ``spm_hrf.m``).
    """
    times = np.arange(0, seconds + step_seconds / 2, step_seconds)
    response = gamma.pdf(times, 6) - gamma.pdf(times, 16) / 6
    return np.asarray(response / response.sum())


def respond(fine: NDArray[np.float64], tr: float, n_volumes: int) -> NDArray[np.float64]:
    """Return the haemodynamic response to inputs at the start of each volume.

    Parameters
    ----------
    fine
        Inputs every `FINE_SECONDS`, shape ``(fine time, input)``.
    tr, n_volumes
        Seconds between volumes, and how many there are.

    Returns
    -------
    response
        Shape ``(volume, input)``.
    """
    slow = fftconvolve(fine, spm_hrf(FINE_SECONDS)[:, None], axes=0)
    return np.asarray(slow[np.round(np.arange(n_volumes) * tr / FINE_SECONDS).astype(int)])


def make_motion(n_volumes: int, rng: np.random.Generator, scale: float) -> NDArray[np.float64]:
    """Return slow rigid motion with a few jumps, shape ``(volume, 6)``: rotations in radian, translations in mm."""
    steps = rng.standard_normal((n_volumes, 6)) * 0.02
    jumps = rng.random(n_volumes) < 0.02
    steps[jumps] += rng.standard_normal((int(jumps.sum()), 6)) * 0.3
    path = np.cumsum(steps, axis=0) - steps[0]
    return np.asarray(scale * path * np.array([1 / 50.0] * 3 + [1.0] * 3))


def render(
    head: Head,
    percent: NDArray[np.float64],
    motion: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    noise_percent: float,
    drift_percent: float,
) -> NDArray[np.int16]:
    """Return the volumes that the scanner stores.

    Parameters
    ----------
    head
        Whose head it is.
    percent
        Signal change of each region in percent, shape ``(volume, region)``.
    motion
        Shape ``(volume, 6)``. Intensity changes as the baseline's gradient along the shift (first order).
    rng
        Of noise and drift.
    noise_percent, drift_percent
        Spread of each voxel's noise, and of its slow drift, in percent of the brain's intensity.

    Returns
    -------
    volumes
        Shape ``(i, j, k, volume)``.
    """
    n_volumes, inside = len(percent), head.baseline > 0
    padded = np.column_stack([np.zeros(n_volumes), percent])
    brain = head.baseline[inside]
    values = brain * (1 + padded[:, head.labels[inside]] / 100)
    moments = np.linspace(0, 1, n_volumes)[:, None] * np.arange(1, 4)
    weights = rng.standard_normal((3, len(brain))) / np.arange(1, 4)[:, None]
    values += _BASELINE * drift_percent / 100 * (np.cos(np.pi * moments) @ weights)
    white = rng.standard_normal((n_volumes, len(brain))) * np.sqrt(1 - _AR**2)
    values += _BASELINE * noise_percent / 100 * lfilter([1], [1, -_AR], white, axis=0)
    gradient = np.stack([np.gradient(head.baseline, VOXEL_MM, axis=axis) for axis in range(3)], -1)[inside]
    places = np.argwhere(inside) @ head.affine[:3, :3].T + head.affine[:3, 3]
    for number, (rotation, translation) in enumerate(zip(motion[:, :3], motion[:, 3:])):
        shift = translation + np.cross(np.broadcast_to(rotation, places.shape), places)
        values[number] -= (gradient * shift).sum(1)
    volumes = np.zeros((*GRID, n_volumes), np.int16)
    volumes[inside] = np.clip(np.round(values), 0, np.iinfo(np.int16).max).T.astype(np.int16)
    return volumes


def write_image(path: Path, values: NDArray[Any], affine: NDArray[np.float64], tr: float | None = None) -> None:
    """Write a NIfTI file, with the time between volumes in its header where there are several."""
    nibabel = import_extra("nibabel", "fmri")
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    if tr is not None:
        image.header.set_zooms((*[VOXEL_MM] * 3, tr))
    image.to_filename(str(path))


def write_data_set(folder: Path, name: str, subjects: Sequence[str], head: Head) -> None:
    """Write what a BIDS data set has once: description, participants, and the labels of the regions."""
    write_json(
        folder / "dataset_description.json",
        {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0",
         "GeneratedBy": [{"Name": "neurodata simulate"}]},
    )  # fmt: skip
    (folder / "README").write_text(f"{name}: simulated recordings with known truth.\n", encoding="utf-8")
    (folder / ".bidsignore").write_text("*.par\natlas/\n", encoding="utf-8")
    write_table(folder / "participants.tsv", ("participant_id", "species"), [(subject, "n/a") for subject in subjects])
    write_image(folder / "atlas" / "atlas-Simulated_dseg.nii.gz", head.labels, head.affine)
    rows = [(str(number), region) for number, region in enumerate(REGIONS, 1)]
    write_table(folder / "atlas" / "atlas-Simulated_dseg.tsv", ("index", "name"), rows)


def write_motion(path: Path, motion: NDArray[np.float64]) -> None:
    """Write motion as FSL's MCFLIRT does."""
    path.write_text("".join("  ".join(f"{value:.9g}" for value in row) + "  \n" for row in motion), encoding="ascii")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table set apart by tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in [header, *rows]), encoding="utf-8")
