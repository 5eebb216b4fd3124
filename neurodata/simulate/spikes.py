"""Populations of spiking neurons whose rates, couplings and hidden states are known, as NWB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.simulate._spikes_glm import simulate_switching_glm
from neurodata.simulate._spikes_lorenz import simulate_lorenz
from neurodata.simulate._spikes_nwb import write_nwb
from neurodata.simulate._spikes_truth import BEHAVIOR_HZ, LorenzPopulation, SimulatedSpikes, SwitchingGlm

__all__ = [
    "BEHAVIOR_HZ", "KINDS", "LorenzPopulation", "SimulatedSpikes", "SwitchingGlm", "simulate_spikes", "write_raw",
]  # fmt: skip

KINDS = ("lorenz", "switching_glm")
_SHORTEST = 5.0


def simulate_spikes(
    n_recordings: int,
    seconds: float,
    seed: int,
    *,
    kind: str = "lorenz",
    n_units: int = 30,
    n_states: int = 3,
    gain: float = 0.8,
    behavior_follows_activity: bool = True,
) -> list[SimulatedSpikes]:
    """Simulate recordings of populations, each of other neurons.

    ``lorenz``: independent Poisson neurons whose log rates follow a chaotic three-dimensional system; the behaviour is
    a linear readout of it, and the states say which wing of the attractor it is on. ``switching_glm``: coupled and
    refractory neurons whose baselines and couplings switch with a hidden Markov state, which also moves the cursor.

    Parameters
    ----------
    n_recordings, seconds
        How many recordings, and how long each is.
    seed
        The same seed gives the same recordings; recording ``i`` does not depend on how many there are.
    kind
        One of `KINDS`.
    n_units
        Neurons per recording.
    n_states
        Hidden states of ``switching_glm``.
    gain
        Of ``lorenz``: standard deviation of a neuron's log rate.
    behavior_follows_activity
        False is a null case: behaviour and states are of another run with the same statistics, so no decoder can do
        better than chance.

    Returns
    -------
    recordings
        One per recording, with the truth behind it: `LorenzPopulation` or `SwitchingGlm`.

    Raises
    ------
    NeurodataError
        If the kind is unknown, a number is not positive, or a recording would be shorter than 5 s.
    """
    check_option("kind of simulated spikes", kind, KINDS)
    for what, value in (("recordings", n_recordings), ("units", n_units), ("states", n_states)):
        check_positive(f"number of {what}", value)
    check_positive("option 'gain'", gain)
    check_positive("length in seconds", seconds)
    if seconds < _SHORTEST:
        raise NeurodataError(f"a simulated recording is at least {_SHORTEST:g} s long, got {seconds} s")
    streams = [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(n_recordings)]
    follows = behavior_follows_activity
    if kind == "lorenz":
        return [
            simulate_lorenz(seconds, rng, n_units=n_units, behavior_follows_activity=follows, gain=gain)
            for rng in streams
        ]
    return [
        simulate_switching_glm(seconds, rng, n_units=n_units, n_states=n_states, behavior_follows_activity=follows)
        for rng in streams
    ]


def write_raw(
    folder: str | Path,
    *,
    recordings: int = 2,
    seconds: float = 120.0,
    seed: int = 0,
    kind: str = "lorenz",
    n_units: int = 30,
    n_states: int = 3,
    gain: float = 0.8,
    behavior_follows_activity: bool = True,
) -> list[SimulatedSpikes]:
    """Simulate recordings and write each as ``sub-KIND01.nwb``: units, cursor position, and states as intervals.

    Parameters
    ----------
    folder
        Where to write; made where it is missing.
    recordings, seconds, seed, kind, n_units, n_states, gain, behavior_follows_activity
        As of `simulate_spikes`.

    Returns
    -------
    recordings
        The truth of each file, in their order. Rates, latents and weights are in no file.

    Raises
    ------
    NeurodataError
        As `simulate_spikes`, or if the folder holds NWB files already, which would be mixed with these.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NeurodataError(f"{folder}: expected a folder to write to, this is a file")
    if folder.is_dir() and any(folder.glob("*.nwb")):
        raise NeurodataError(f"{folder}: holds NWB files already; choose an empty folder or delete them first")
    made = simulate_spikes(
        recordings, seconds, seed, kind=kind, n_units=n_units, n_states=n_states, gain=gain,
        behavior_follows_activity=behavior_follows_activity,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for number, recording in enumerate(made, 1):
        subject = f"{kind.replace('_', '-')}{number:02d}"
        write_nwb(recording, folder / f"sub-{subject}.nwb", subject=subject)
    return made
