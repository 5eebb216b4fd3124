"""Stereo-EEG of simulated depth electrodes in which spike-like motifs come again, at known times and contacts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.simulate._edf_bids import BidsDescription, write_bids
from neurodata.simulate._edf_files import PotentialFile, prepare_folder, write_potentials
from neurodata.simulate._edf_noise import make_background, make_mains

SHAFTS = ("A", "B'", "TB")
CONTACTS = 8
"""Contacts per shaft, numbered from the tip."""
LABELS = tuple(f"{shaft}{number}" for shaft in SHAFTS for number in range(1, CONTACTS + 1))
LAYOUTS = ("edf", "bids")

_BACKGROUND_UV, _MAINS_UV = 20.0, 3.0
_SPACING = 0.0035
"""Metres between contacts (common depth electrodes: 2 mm contacts, 1.5 mm apart)."""
_SPREAD_CONTACTS = 1.2
_MOTIF_SECONDS = 0.4
_REFRACTORY = 0.6
_SHORTEST = 20.0


@dataclass(frozen=True, eq=False)
class SimulatedSeeg:
    """One implantation: what is recorded, and the truth behind it.

    Parameters
    ----------
    samples
        Microvolts of the recorded stretches back to back, shape ``(time, channel)``.
    labels
        Names of the contacts, shape ``(channel,)``.
    rate_hz
        Samples per second.
    record_starts
        When each recorded second began, shape ``(record,)``; they step by more than 1 at a gap.
    times
        When each motif began, seconds, shape ``(event,)``; those that fall into a gap are not among them.
    motifs
        Which motif it was, shape ``(event,)``.
    waveforms
        The motifs, largest value 1, shape ``(motif, sample)``.
    weights
        Each motif's peak at each contact in microvolts, shape ``(motif, channel)``.
    positions
        Metres, shape ``(channel, 3)``.
    """

    samples: NDArray[np.float64]
    labels: tuple[str, ...]
    rate_hz: int
    record_starts: NDArray[np.float64]
    times: NDArray[np.float64]
    motifs: NDArray[np.int64]
    waveforms: NDArray[np.float64]
    weights: NDArray[np.float64]
    positions: NDArray[np.float64]

    def sample_of(self, time: float) -> int:
        """Return the position in ``samples`` of the sample at a time within a recorded stretch."""
        record = int(np.searchsorted(self.record_starts, time, side="right")) - 1
        return record * self.rate_hz + round((time - float(self.record_starts[record])) * self.rate_hz)


def simulate_seeg(
    n_recordings: int,
    seconds: float,
    seed: int,
    *,
    rate_hz: int = 512,
    n_motifs: int = 3,
    motifs_per_second: float = 0.5,
    effect: float = 1.0,
    n_gaps: int = 2,
) -> list[SimulatedSeeg]:
    """Simulate implantations of three shafts; each has motifs, places and times of its own.

    A motif is a sharp spike and a slow wave behind it. It has a contact at which it is largest and falls off along
    that shaft, and it comes at random, two motifs never closer than 0.6 s.

    Parameters
    ----------
    n_recordings, seconds
        How many, and how long each lasts, gaps included (whole seconds, at least 20).
    seed
        The same seed gives the same recordings; recording ``i`` does not depend on how many there are.
    rate_hz
        Samples per second.
    n_motifs, motifs_per_second
        How many different motifs, and how often any of them comes.
    effect
        Factor on the motifs' size (120–240 µV, where the background has a standard deviation of 20). With 0 nothing
        happens at the motifs' times; all else is the same.
    n_gaps
        Stretches of a few seconds in which nothing was recorded.

    Raises
    ------
    NeurodataError
        If a number is not positive, negative where it may be 0, or a recording too short.
    """
    for what, value in (("number of recordings", n_recordings), ("length in seconds", seconds), ("rate", rate_hz),
                        ("number of motifs", n_motifs), ("motifs per second", motifs_per_second)):  # fmt: skip
        check_positive(what, value)
    if seconds < _SHORTEST:
        raise NeurodataError(f"a simulated sEEG is at least {_SHORTEST:g} s long, got {seconds} s")
    if effect < 0 or n_gaps < 0:
        raise NeurodataError(f"'effect' and 'n_gaps' are not negative, got {effect} and {n_gaps}")
    streams = np.random.SeedSequence(seed).spawn(int(n_recordings))
    return [
        _simulate_one(int(seconds), np.random.default_rng(stream), rate_hz, n_motifs, motifs_per_second, effect, n_gaps)
        for stream in streams
    ]


def write_raw(
    folder: str | Path,
    *,
    recordings: int,
    seconds: float,
    seed: int,
    layout: Literal["edf", "bids"] = "edf",
    effect: float = 1.0,
) -> list[SimulatedSeeg]:
    """Write simulated implantations as EDF+D files (``patient1.edf`` …, with gaps) or as BIDS (without); return the truth.

    Raises
    ------
    NeurodataError
        If the folder is not empty, or a number is out of range (see `simulate_seeg`).
    """
    check_option("layout", layout, LAYOUTS)
    # Times in BIDS tables count from the first sample and know of no gaps.
    truths = simulate_seeg(recordings, seconds, seed, effect=effect, n_gaps=0 if layout == "bids" else 2)
    folder = prepare_folder(folder)
    contents = [
        PotentialFile(truth.samples, LABELS, truth.rate_hz, f"patient{number}", _annotations(truth),
                      truth.record_starts.tolist())
        for number, truth in enumerate(truths, 1)
    ]  # fmt: skip
    if layout == "bids":
        write_bids(folder, _describe(), contents)
    else:
        for content in contents:
            write_potentials(folder / f"{content.code}.edf", content)
    return truths


def _annotations(truth: SimulatedSeeg) -> list[tuple[float, float | None, str]]:
    return [(float(time), None, f"motif_{motif + 1}") for time, motif in zip(truth.times, truth.motifs)]


def _describe() -> BidsDescription:
    return BidsDescription(
        suffix="ieeg",
        name="Simulated interictal motifs",
        task="rest",
        channel_type="SEEG",
        positions=_positions(),
        coordinates={
            "iEEGCoordinateSystem": "Other",
            "iEEGCoordinateSystemDescription": "simulated shafts, x along the shaft from the outside inwards",
            "iEEGCoordinateUnits": "m",
        },
        sidecar={"iEEGReference": "none", "PowerLineFrequency": 50},
    )


def _positions() -> NDArray[np.float64]:
    """Shafts in parallel, 2 cm apart; the tip (contact 1) lies deepest."""
    return np.array(
        [(-number * _SPACING, 0.02 * shaft, 0.0) for shaft in range(len(SHAFTS)) for number in range(CONTACTS)]
    )


def _simulate_one(
    seconds: int,
    rng: np.random.Generator,
    rate_hz: int,
    n_motifs: int,
    per_second: float,
    effect: float,
    n_gaps: int,
) -> SimulatedSeeg:
    # Each part has its own stream, so that a switch changes what it says and nothing else.
    motif_rng, time_rng, noise_rng, mains_rng, gap_rng = rng.spawn(5)
    waveforms = np.stack([_waveform(rate_hz, motif_rng) for _ in range(n_motifs)])
    weights = effect * np.stack([_weights(motif_rng) for _ in range(n_motifs)])
    positions = _draw_samples(seconds, rate_hz, per_second, time_rng)
    motifs = time_rng.integers(0, n_motifs, len(positions))
    n_samples = seconds * rate_hz
    samples = _BACKGROUND_UV * make_background(n_samples, len(LABELS), rate_hz, noise_rng)
    samples += _MAINS_UV * make_mains(n_samples, len(LABELS), 50.0, rate_hz, mains_rng)
    for first, motif in zip(positions, motifs):
        samples[first : first + waveforms.shape[1]] += waveforms[motif][:, None] * weights[motif]
    kept = _kept_seconds(seconds, n_gaps, gap_rng)
    edges = positions // rate_hz, (positions + waveforms.shape[1] - 1) // rate_hz
    whole = kept[edges[0]] & kept[edges[1]]
    return SimulatedSeeg(
        samples=samples.reshape(seconds, rate_hz, -1)[kept].reshape(-1, len(LABELS)),
        labels=LABELS,
        rate_hz=rate_hz,
        record_starts=np.flatnonzero(kept).astype(np.float64),
        times=positions[whole] / rate_hz,
        motifs=motifs[whole],
        waveforms=waveforms,
        weights=weights,
        positions=_positions(),
    )


def _waveform(rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A negative spike of 20–70 ms and a positive slow wave (Kane et al. 2017, doi:10.1016/j.cnp.2017.07.002)."""
    time = np.arange(int(_MOTIF_SECONDS * rate_hz)) / rate_hz
    spike = np.exp(-0.5 * ((time - 0.05) / rng.uniform(0.006, 0.02)) ** 2)
    slow = rng.uniform(0.2, 0.5) * np.exp(-0.5 * ((time - rng.uniform(0.15, 0.22)) / rng.uniform(0.03, 0.05)) ** 2)
    wave = slow - spike
    return np.asarray(wave / np.abs(wave).max())


def _weights(rng: np.random.Generator) -> NDArray[np.float64]:
    """Peak of a motif at each contact: largest at one, smaller along its shaft, none on the others."""
    weights = np.zeros((len(SHAFTS), CONTACTS))
    shaft, focus = int(rng.integers(len(SHAFTS))), int(rng.integers(CONTACTS))
    distance = (np.arange(CONTACTS) - focus) / _SPREAD_CONTACTS
    weights[shaft] = rng.uniform(120.0, 240.0) * np.exp(-0.5 * distance**2)
    return weights.ravel()


def _draw_samples(seconds: int, rate_hz: int, per_second: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """First sample of each motif: random, at least the refractory time apart, all of it within the recording."""
    n_draws = int(rng.poisson(per_second * seconds))
    drawn = np.sort(rng.uniform(0, seconds - _MOTIF_SECONDS - 1 / rate_hz, n_draws))
    kept: list[float] = []
    for time in drawn.tolist():
        if not kept or time - kept[-1] >= _REFRACTORY:
            kept.append(time)
    return np.round(np.array(kept) * rate_hz).astype(np.int64)


def _kept_seconds(seconds: int, n_gaps: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which seconds were recorded: gaps of 2–4 s, never at the beginning."""
    kept = np.ones(seconds, np.bool_)
    for _ in range(n_gaps):
        length = int(rng.integers(2, 5))
        first = int(rng.integers(2, seconds - length - 2))
        kept[first : first + length] = False
    return kept
