"""Scalp EEG of simulated people who move a hand, with the sources, labels and artefacts known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.identity.eeg_montage import positions
from neurodata.simulate._edf_bids import BidsDescription, write_bids
from neurodata.simulate._edf_files import PotentialFile, prepare_folder, write_potentials
from neurodata.simulate._edf_noise import make_background, make_mains, make_rhythm

LABELS = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC3", "FC4", "T7", "C3", "Cz", "C4", "T8", "CP3", "CP4", "P7", "P3",
    "Pz", "P4", "P8", "O1", "Oz", "O2",
)  # fmt: skip
"""Electrodes, in the order of the channels."""
HANDS = ("left_hand", "right_hand")
SOURCES = ("C3", "C4", "Oz")
"""Where the rhythms come from: left and right sensorimotor cortex, and a visual alpha that knows nothing of hands."""
LAYOUTS = ("edf", "bids")

_ALPHA_HZ, _BETA_HZ = (8.0, 13.0), (16.0, 26.0)
"""Sensorimotor mu and beta rhythms (Pfurtscheller & Lopes da Silva 1999, doi:10.1016/S1388-2457(99)00141-8)."""
_ALPHA_UV, _BETA_UV, _BACKGROUND_UV, _MAINS_UV = 9.0, 5.0, 8.0, 2.0
_SPREAD = 0.045
"""Metres over which a source's potential falls to ``exp(-1/2)``: the skull blurs."""
_REST, _MOVE, _RAMP = 2.0, 3.0, 0.5
"""Seconds of a pause, of a movement, and in which the rhythm changes."""
_SHORTEST = 20.0


@dataclass(frozen=True, eq=False)
class SimulatedEeg:
    """One person: what is recorded, and the truth behind it.

    Parameters
    ----------
    samples
        Microvolts, shape ``(time, channel)``.
    labels
        Names of the electrodes, shape ``(channel,)``.
    rate_hz
        Samples per second.
    starts, stops
        Movements in seconds, shape ``(trial,)``.
    hands
        Which hand each trial asks for (place in `HANDS`), shape ``(trial,)``.
    mixing
        Potential of each source at each electrode, shape ``(source, channel)``.
    amplitude
        How strong each source's rhythms are at each sample (1 at rest), shape ``(time, source)``.
    artefacts
        Start in seconds, stop in seconds and kind (``blink`` or ``muscle``) of each.
    effect
        Part of the rhythm that is lost over the moving hand's cortex; 0 is the null case.
    """

    samples: NDArray[np.float64]
    labels: tuple[str, ...]
    rate_hz: int
    starts: NDArray[np.float64]
    stops: NDArray[np.float64]
    hands: NDArray[np.int64]
    mixing: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    artefacts: tuple[tuple[float, float, str], ...]
    effect: float


def simulate_eeg(
    n_recordings: int,
    seconds: float,
    seed: int,
    *,
    rate_hz: int = 160,
    effect: float = 0.2,
    line_hz: float = 50.0,
    artefacts_per_minute: float = 6.0,
) -> list[SimulatedEeg]:
    """Simulate people who move one hand or the other, five seconds a trial.

    Mu and beta rhythms of the sensorimotor cortex opposite to the hand weaken while it moves. They are recorded with
    1/f background, a visual alpha rhythm, the mains, blinks and muscle.

    Parameters
    ----------
    n_recordings, seconds
        How many people, and how long each is recorded (whole seconds, at least 20).
    seed
        The same seed gives the same people; person ``i`` does not depend on how many there are.
    rate_hz
        Samples per second.
    effect
        Part of the rhythms' amplitude that is lost, 0 … 1. With 0 nothing tells the hands apart; all else is the same.
    line_hz
        Frequency of the mains.
    artefacts_per_minute
        Blinks and bursts of muscle.

    Raises
    ------
    NeurodataError
        If a number is not positive, the effect no part of one, or a recording too short or too slowly sampled.
    """
    check_positive("number of recordings", n_recordings)
    check_positive("length in seconds", seconds)
    if seconds < _SHORTEST:
        raise NeurodataError(f"a simulated EEG is at least {_SHORTEST:g} s long, got {seconds} s")
    if not 0 <= effect <= 1:
        raise NeurodataError(f"'effect' is the part of the rhythm that is lost, 0 … 1, got {effect}")
    if rate_hz < 2.5 * max(line_hz, _BETA_HZ[1]):
        raise NeurodataError(
            f"{rate_hz} Hz is too slow for beta rhythm and mains; use {2.5 * max(line_hz, 26):g} or more"
        )
    streams = np.random.SeedSequence(seed).spawn(int(n_recordings))
    return [
        _simulate_one(int(seconds), np.random.default_rng(stream), rate_hz, effect, line_hz, artefacts_per_minute)
        for stream in streams
    ]


def write_raw(
    folder: str | Path,
    *,
    recordings: int,
    seconds: float,
    seed: int,
    layout: Literal["edf", "bids"] = "edf",
    effect: float = 0.2,
) -> list[SimulatedEeg]:
    """Write simulated people as EDF+ files (``person1.edf`` …) or as a BIDS data set; return the truth.

    Raises
    ------
    NeurodataError
        If the folder is not empty, or a number is out of range (see `simulate_eeg`).
    """
    check_option("layout", layout, LAYOUTS)
    truths = simulate_eeg(recordings, seconds, seed, effect=effect)
    folder = prepare_folder(folder)
    contents = [
        PotentialFile(truth.samples, truth.labels, truth.rate_hz, f"person{number}", _annotations(truth))
        for number, truth in enumerate(truths, 1)
    ]
    if layout == "bids":
        write_bids(folder, _describe(), contents)
    else:
        for content in contents:
            named = PotentialFile(content.samples, [f"EEG {label}" for label in LABELS], content.rate_hz, content.code,
                                  content.annotations)  # fmt: skip
            write_potentials(folder / f"{content.code}.edf", named)
    return truths


def _annotations(truth: SimulatedEeg) -> list[tuple[float, float | None, str]]:
    moves = [
        (float(start), float(stop - start), HANDS[hand])
        for start, stop, hand in zip(truth.starts, truth.stops, truth.hands)
    ]
    pauses = [(start - _REST, _REST, "rest") for start, _, _ in moves]
    return sorted([*pauses, *moves])


def _describe() -> BidsDescription:
    return BidsDescription(
        suffix="eeg",
        name="Simulated hand movements",
        task="hands",
        channel_type="EEG",
        positions=positions(LABELS),
        coordinates={"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"},
        sidecar={"EEGReference": "none", "PowerLineFrequency": 50},
    )


def _simulate_one(
    seconds: int, rng: np.random.Generator, rate_hz: int, effect: float, line_hz: float, per_minute: float
) -> SimulatedEeg:
    # Each part has its own stream, so that a switch changes what it says and nothing else.
    trial_rng, rhythm_rng, noise_rng, mains_rng, artefact_rng = rng.spawn(5)
    n_samples = seconds * rate_hz
    n_trials = int(seconds // (_REST + _MOVE))
    starts = np.arange(n_trials, dtype=np.float64) * (_REST + _MOVE) + _REST
    hands = trial_rng.permutation(np.arange(n_trials) % 2)
    amplitude = _amplitude(n_samples, rate_hz, starts, hands, effect)
    mixing = _mixing()
    alpha = make_rhythm(n_samples, len(SOURCES), _ALPHA_HZ, rate_hz, rhythm_rng) * _ALPHA_UV
    beta = make_rhythm(n_samples, len(SOURCES), _BETA_HZ, rate_hz, rhythm_rng) * (_BETA_UV, _BETA_UV, 0.0)
    samples = ((alpha + beta) * amplitude) @ mixing
    samples += _BACKGROUND_UV * make_background(n_samples, len(LABELS), rate_hz, noise_rng)
    samples += _MAINS_UV * make_mains(n_samples, len(LABELS), line_hz, rate_hz, mains_rng)
    n_artefacts = int(artefact_rng.poisson(per_minute * seconds / 60))
    artefacts = tuple(sorted(_add_artefact(samples, rate_hz, artefact_rng) for _ in range(n_artefacts)))
    return SimulatedEeg(
        samples=samples,
        labels=LABELS,
        rate_hz=rate_hz,
        starts=starts,
        stops=starts + _MOVE,
        hands=hands,
        mixing=mixing,
        amplitude=amplitude,
        artefacts=artefacts,
        effect=effect,
    )


def _mixing() -> NDArray[np.float64]:
    distance = np.linalg.norm(positions(SOURCES)[:, None] - positions(LABELS)[None], axis=2)
    return np.asarray(np.exp(-0.5 * (distance / _SPREAD) ** 2))


def _amplitude(
    n_samples: int, rate_hz: int, starts: NDArray[np.float64], hands: NDArray[np.int64], effect: float
) -> NDArray[np.float64]:
    """Strength of each source's rhythms: the right hand (1) weakens C3 (0), the left hand (0) C4 (1)."""
    time = np.arange(n_samples) / rate_hz
    amplitude = np.ones((n_samples, len(SOURCES)))
    for start, hand in zip(starts, hands):
        rise, fall = (np.clip((time - edge) / _RAMP, 0, 1) for edge in (start, start + _MOVE - _RAMP))
        amplitude[:, 1 - hand] -= effect * (rise - fall)
    return amplitude


def _add_artefact(samples: NDArray[np.float64], rate_hz: int, rng: np.random.Generator) -> tuple[float, float, str]:
    """Add a blink (front) or a burst of muscle (one temple) in place and say where."""
    kind = ("blink", "muscle")[int(rng.integers(2))]
    length = rng.uniform(0.2, 0.4) if kind == "blink" else rng.uniform(0.5, 1.5)
    n = int(length * rate_hz)
    first = int(rng.integers(0, len(samples) - n))
    place = "Fp1" if kind == "blink" else ("T7", "T8")[int(rng.integers(2))]
    spread = np.exp(-0.5 * (np.linalg.norm(positions(LABELS) - positions([place]), axis=1) / 0.04) ** 2)
    if kind == "blink":
        spread[LABELS.index("Fp2")] = 1.0
        wave = rng.uniform(80, 150) * np.hanning(n)
    else:
        wave = rng.uniform(15, 30) * np.hanning(n) * rng.standard_normal(n)
    samples[first : first + n] += wave[:, None] * spread
    return first / rate_hz, (first + n) / rate_hz, kind
