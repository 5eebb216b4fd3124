"""EEG and fMRI of simulated people recorded at once: one hidden source drives alpha power and, slowly, BOLD."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.identity.eeg_montage import positions
from neurodata.simulate._edf_files import PotentialFile, prepare_folder, write_potentials
from neurodata.simulate._edf_noise import make_background, make_rhythm
from neurodata.simulate._fmri_volumes import (
    FINE_SECONDS,
    REGIONS,
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

LABELS = ("Fp1", "Fp2", "F3", "F4", "Fz", "C3", "C4", "Cz", "P3", "P4", "Pz", "O1", "O2", "Oz")
EEG_HZ, TR_SECONDS = 250, 2.0
_ALPHA_HZ = (8.0, 12.0)
_ALPHA_UV, _BACKGROUND_UV = 12.0, 8.0
_SPREAD = 0.05
"""Metres over which the potential of the source at Oz falls to ``exp(-1/2)``."""
_SOURCE_SECONDS = 10.0
"""How long the source keeps its level: alpha waxes and wanes over about ten seconds."""
_DEPTH = 0.6
"""Change of the logarithm of alpha's amplitude per standard deviation of the source."""
_COUPLING = {"occipital": -1.5, "temporal": -0.3, "frontal": 0.0}
"""Percent of BOLD per standard deviation of the source: alpha up, occipital BOLD down (Goldman RI et al. 2002,
NeuroReport 13:2487-2492)."""
_SHORTEST = 40.0


@dataclass(frozen=True, eq=False)
class SimulatedEegFmri:
    """One person: both recordings begin at the same moment.

    Parameters
    ----------
    subject
        ``sub-01`` …
    samples
        Microvolts, shape ``(time, channel)``, `EEG_HZ` per second.
    labels
        Names of the electrodes.
    volumes
        As stored, shape ``(i, j, k, volume)``, one every `TR_SECONDS`.
    source
        The hidden source every ``source_step`` seconds, mean 0 and variance 1, shape ``(step,)``.
    source_step
        Seconds between its values.
    bold_source
        The source that drove BOLD: equal to ``source`` unless the null case was asked for.
    percent
        True change of BOLD in percent, shape ``(volume, region)``.
    motion
        Rotations in radian and translations in mm, shape ``(volume, 6)``.
    """

    subject: str
    samples: NDArray[np.float64]
    labels: tuple[str, ...]
    volumes: NDArray[np.int16]
    source: NDArray[np.float64]
    source_step: float
    bold_source: NDArray[np.float64]
    percent: NDArray[np.float64]
    motion: NDArray[np.float64]


def simulate_eeg_fmri(
    n_recordings: int, seconds: float, seed: int, *, shared: bool = True, noise_percent: float = 0.7
) -> list[SimulatedEegFmri]:
    """Simulate people at rest whose slow hidden source scales alpha at the back of the head and drives BOLD.

    Parameters
    ----------
    n_recordings, seconds
        How many people, and how long each is recorded; cut to whole volumes.
    seed
        The same seed gives the same people; person ``i`` does not depend on how many there are.
    shared
        False is the null case: BOLD follows a source of its own with the same statistics, so nothing in the EEG
        tells anything of it.
    noise_percent
        Spread of a voxel's noise in percent of its intensity.

    Raises
    ------
    NeurodataError
        If a number is not positive, or the recording is shorter than 40 s.
    """
    check_positive("number of recordings", n_recordings)
    check_positive("length in seconds", seconds)
    if seconds < _SHORTEST:
        raise NeurodataError(f"a simulated recording is at least {_SHORTEST:g} s long, got {seconds} s")
    streams = np.random.SeedSequence(seed).spawn(n_recordings)
    n_volumes = int(seconds // TR_SECONDS)
    return [
        _simulate_one(number, n_volumes, np.random.default_rng(stream), shared, noise_percent)
        for number, stream in enumerate(streams, 1)
    ]


def write_raw(
    folder: str | Path, *, recordings: int, seconds: float, seed: int, shared: bool = True
) -> list[SimulatedEegFmri]:
    """Write simulated people as a BIDS data set with ``eeg`` (EDF) and ``func`` (NIfTI) of each; return the truth.

    Raises
    ------
    NeurodataError
        If the folder is not empty, or a number is out of range (see `simulate_eeg_fmri`).
    """
    truths = simulate_eeg_fmri(recordings, seconds, seed, shared=shared)
    folder = prepare_folder(folder)
    head = make_head(np.random.default_rng(0))
    write_data_set(folder, "Simulated EEG and fMRI", [truth.subject for truth in truths], head)
    for truth in truths:
        stem = f"{truth.subject}_task-rest"
        _write_eeg(folder / truth.subject / "eeg", stem, truth)
        func = folder / truth.subject / "func"
        write_image(func / f"{stem}_bold.nii.gz", truth.volumes, head.affine, TR_SECONDS)
        write_json(func / f"{stem}_bold.json", {"TaskName": "rest", "RepetitionTime": TR_SECONDS})
        write_motion(func / f"{stem}_bold_mcf.par", truth.motion)
    return truths


def _simulate_one(
    number: int, n_volumes: int, rng: np.random.Generator, shared: bool, noise_percent: float
) -> SimulatedEegFmri:
    # Each part has its own stream, so that a switch changes what it says and nothing else.
    source_rng, other_rng, eeg_rng, head_rng, motion_rng, noise_rng = rng.spawn(6)
    seconds = n_volumes * TR_SECONDS
    source = _draw_source(seconds, source_rng)
    bold_source = source if shared else _draw_source(seconds, other_rng)
    coupling = np.array([_COUPLING[region.partition("_")[0]] for region in REGIONS])
    percent = respond(bold_source[:, None], TR_SECONDS, n_volumes) * coupling
    motion = make_motion(n_volumes, motion_rng, 0.5)
    volumes = render(make_head(head_rng), percent, motion, noise_rng, noise_percent=noise_percent, drift_percent=0.5)
    return SimulatedEegFmri(
        subject=f"sub-{number:02}",
        samples=_make_eeg(source, round(seconds * EEG_HZ), eeg_rng),
        labels=LABELS,
        volumes=volumes,
        source=source,
        source_step=FINE_SECONDS,
        bold_source=bold_source,
        percent=percent,
        motion=motion,
    )


def _draw_source(seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Low-passed noise of two equal stages, mean 0 and variance 1 over the recording."""
    n_steps, settle = round(seconds / FINE_SECONDS), round(10 * _SOURCE_SECONDS / FINE_SECONDS)
    keep = np.exp(-FINE_SECONDS / (_SOURCE_SECONDS / 2))
    white = rng.standard_normal(n_steps + settle)
    slow = lfilter([1], [1, -keep], lfilter([1], [1, -keep], white))[settle:]
    return np.asarray((slow - slow.mean()) / slow.std())


def _make_eeg(source: NDArray[np.float64], n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    moments = np.arange(n_samples) / EEG_HZ
    level = np.interp(moments, np.arange(len(source)) * FINE_SECONDS, source)
    alpha = make_rhythm(n_samples, 1, _ALPHA_HZ, EEG_HZ, rng)[:, 0] * np.exp(_DEPTH * level)
    places = positions(LABELS)
    away = np.linalg.norm(places - places[LABELS.index("Oz")], axis=1)
    topography = np.exp(-0.5 * (away / _SPREAD) ** 2)
    background = make_background(n_samples, len(LABELS), EEG_HZ, rng)
    return np.asarray(_ALPHA_UV * alpha[:, None] * topography + _BACKGROUND_UV * background)


def _write_eeg(folder: Path, stem: str, truth: SimulatedEegFmri) -> None:
    path = folder / f"{stem}_eeg.edf"
    write_potentials(path, PotentialFile(truth.samples, LABELS, EEG_HZ, truth.subject, ()))
    write_json(
        folder / f"{stem}_eeg.json",
        {"TaskName": "rest", "SamplingFrequency": EEG_HZ, "EEGReference": "FCz", "PowerLineFrequency": "n/a",
         "SoftwareFilters": "n/a", "EEGChannelCount": len(LABELS), "RecordingType": "continuous",
         "RecordingDuration": len(truth.samples) / EEG_HZ},
    )  # fmt: skip
    rows = [(label, "EEG", "uV", str(EEG_HZ), "good") for label in LABELS]
    write_table(folder / f"{stem}_channels.tsv", ("name", "type", "units", "sampling_frequency", "status"), rows)
