"""Block-design fMRI of simulated people, with responses, onsets and motion known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.simulate._edf_files import prepare_folder
from neurodata.simulate._fmri_volumes import (
    FINE_SECONDS,
    REGIONS,
    Head,
    make_head,
    make_motion,
    render,
    respond,
    write_data_set,
    write_image,
    write_json,
    write_motion,
    write_table,
)

CONDITIONS = ("face", "house")
TR_SECONDS = 2.0
_BLOCK, _REST = 16.0, 12.0
"""Seconds of a block and of the rest after it: long enough for the response to fall back (Haxby et al. 2001: 24, 12)."""
_SHORTEST = 2 * (_BLOCK + _REST)


@dataclass(frozen=True, eq=False)
class SimulatedFmri:
    """One run of one person: what is recorded, and the truth behind it.

    Parameters
    ----------
    subject
        ``sub-01`` …
    volumes
        As stored, shape ``(i, j, k, volume)``.
    tr
        Seconds between volumes.
    onsets, durations
        Blocks in seconds, shape ``(block,)``.
    conditions
        Which condition each block is (place in `CONDITIONS`), shape ``(block,)``.
    driving_conditions
        The conditions that drove the responses: equal to ``conditions`` unless the null case was asked for.
    betas
        Response to a long block in percent, shape ``(condition, region)``.
    percent
        True signal change in percent, shape ``(volume, region)``.
    motion
        Rotations in radian and translations in mm, shape ``(volume, 6)``.
    labels
        Region of each voxel from 1, shape ``(i, j, k)``.
    """

    subject: str
    volumes: NDArray[np.int16]
    tr: float
    onsets: NDArray[np.float64]
    durations: NDArray[np.float64]
    conditions: NDArray[np.int64]
    driving_conditions: NDArray[np.int64]
    betas: NDArray[np.float64]
    percent: NDArray[np.float64]
    motion: NDArray[np.float64]
    labels: NDArray[np.int16]


def simulate_fmri(
    n_recordings: int,
    seconds: float,
    seed: int,
    *,
    events_drive_bold: bool = True,
    noise_percent: float = 1.0,
    drift_percent: float = 1.0,
    motion_scale: float = 1.0,
) -> list[SimulatedFmri]:
    """Simulate runs in which blocks of two conditions drive regions through SPM's haemodynamic response.

    Regions answer alike in all people, each person with a gain of their own. On top come slow cosine drifts, noise
    with correlation 0.3 from volume to volume, and rigid motion.

    Parameters
    ----------
    n_recordings, seconds
        How many people, and how long each run is.
    seed
        The same seed gives the same runs; run ``i`` does not depend on how many there are.
    events_drive_bold
        False is the null case: which condition a block truly is has nothing to do with what the events say, so no
        decoder can do better than chance.
    noise_percent, drift_percent
        Spread of noise and drift in percent of the intensity.
    motion_scale
        Factor on all motion; 0 for a head that does not move.

    Raises
    ------
    NeurodataError
        If a number is not positive, or the run too short for one block of each condition.
    """
    check_positive("number of recordings", n_recordings)
    check_positive("length in seconds", seconds)
    if seconds < _SHORTEST:
        raise NeurodataError(
            f"a simulated run holds a block of each condition, at least {_SHORTEST:g} s, got {seconds} s"
        )
    common, *streams = np.random.SeedSequence(seed).spawn(n_recordings + 1)
    betas = _draw_betas(np.random.default_rng(common))
    return [
        _simulate_one(number, seconds, betas, np.random.default_rng(stream), events_drive_bold, noise_percent,
                      drift_percent, motion_scale)
        for number, stream in enumerate(streams, 1)
    ]  # fmt: skip


def write_raw(
    folder: str | Path, *, recordings: int, seconds: float, seed: int, events_drive_bold: bool = True
) -> list[SimulatedFmri]:
    """Write simulated people as a BIDS data set; return the truth.

    One run each: ``sub-01/func/sub-01_task-blocks_bold.nii.gz`` with its sidecar, ``events.tsv`` and the true motion as
    FSL's ``.par`` beside it. ``atlas/atlas-Simulated_dseg.nii.gz`` has the regions on the same grid, with names.

    Raises
    ------
    NeurodataError
        If the folder is not empty, or a number is out of range (see `simulate_fmri`).
    """
    truths = simulate_fmri(recordings, seconds, seed, events_drive_bold=events_drive_bold)
    folder = prepare_folder(folder)
    head = make_head(np.random.default_rng(0))
    write_data_set(folder, "Simulated blocks", [truth.subject for truth in truths], head)
    for truth in truths:
        stem = f"{truth.subject}_task-blocks"
        place = folder / truth.subject / "func"
        write_image(place / f"{stem}_bold.nii.gz", truth.volumes, head.affine, truth.tr)
        write_json(place / f"{stem}_bold.json", {"TaskName": "blocks", "RepetitionTime": truth.tr})
        rows = [
            (f"{onset:.15g}", f"{duration:.15g}", CONDITIONS[condition])
            for onset, duration, condition in zip(truth.onsets, truth.durations, truth.conditions)
        ]
        write_table(place / f"{stem}_events.tsv", ("onset", "duration", "trial_type"), rows)
        write_motion(place / f"{stem}_bold_mcf.par", truth.motion)
    return truths


def _draw_betas(rng: np.random.Generator) -> NDArray[np.float64]:
    """All regions see that something is shown; temporal ones tell faces from houses."""
    betas = rng.uniform(0.2, 0.6, (len(CONDITIONS), len(REGIONS)))
    betas[:, :2] += 1.0
    for place, region in enumerate(REGIONS):
        if region.startswith("temporal"):
            betas[:, place] = (2.0, 0.6) if region.endswith("R") else (0.6, 2.0)
    return betas


def _simulate_one(
    number: int,
    seconds: float,
    betas: NDArray[np.float64],
    rng: np.random.Generator,
    events_drive_bold: bool,
    noise_percent: float,
    drift_percent: float,
    motion_scale: float,
) -> SimulatedFmri:
    # Each part has its own stream, so that a switch changes what it says and nothing else.
    head_rng, block_rng, other_rng, gain_rng, motion_rng, noise_rng = rng.spawn(6)
    head: Head = make_head(head_rng)
    onsets = np.arange(_REST, seconds - _BLOCK + 1e-9, _BLOCK + _REST)
    conditions = _draw_conditions(len(onsets), block_rng)
    driving = conditions if events_drive_bold else _draw_conditions(len(onsets), other_rng)
    n_volumes = int(seconds // TR_SECONDS)
    fine = np.zeros((int(np.ceil(seconds / FINE_SECONDS)) + 1, len(CONDITIONS)))
    for onset, condition in zip(onsets, driving):
        first, stop = (round(moment / FINE_SECONDS) for moment in (onset, onset + _BLOCK))
        fine[first:stop, condition] = 1.0
    own = betas * gain_rng.uniform(0.7, 1.3)
    percent = respond(fine, TR_SECONDS, n_volumes) @ own
    motion = make_motion(n_volumes, motion_rng, motion_scale)
    volumes = render(head, percent, motion, noise_rng, noise_percent=noise_percent, drift_percent=drift_percent)
    return SimulatedFmri(
        subject=f"sub-{number:02}",
        volumes=volumes,
        tr=TR_SECONDS,
        onsets=onsets,
        durations=np.full(len(onsets), _BLOCK),
        conditions=conditions,
        driving_conditions=driving,
        betas=own,
        percent=percent,
        motion=motion,
        labels=head.labels,
    )


def _draw_conditions(n_blocks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """As many blocks of each condition as can be, in random order."""
    return np.asarray(rng.permutation(np.arange(n_blocks) % len(CONDITIONS)), np.int64)
