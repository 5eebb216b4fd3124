"""What a simulated population of spiking neurons is, and the truth behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEHAVIOR_HZ = 100.0
"""Sampling rate of the simulated behaviour, as of common motion capture."""


@dataclass(frozen=True, eq=False)
class SimulatedSpikes:
    """One recording: what is written to its file, and the rates behind the spikes.

    Parameters
    ----------
    seconds
        Length of the recording.
    spike_times
        Sorted times of each neuron's spikes in seconds, one array per unit.
    behavior
        What is measured of the animal, metres, shape ``(time, 2)`` at `BEHAVIOR_HZ` from second 0.
    state_starts, states
        When each run of a state begins in seconds, and its place in ``state_names``; each shape ``(run,)``. What is
        written: in the null case not what drove the neurons.
    state_names
        Names of the states.
    bin_seconds
        Width of the bins that rates are constant in.
    rates_hz
        True rate of each neuron, shape ``(bin, unit)``; given all spikes before, where neurons are coupled.
    """

    seconds: float
    spike_times: list[NDArray[np.float64]]
    behavior: NDArray[np.float64]
    state_starts: NDArray[np.float64]
    states: NDArray[np.int64]
    state_names: tuple[str, ...]
    bin_seconds: float
    rates_hz: NDArray[np.float64]

    @property
    def kind(self) -> str:
        """Which simulator made it."""
        return "spikes"


@dataclass(frozen=True, eq=False)
class LorenzPopulation(SimulatedSpikes):
    """Independent Poisson neurons that share three latent variables.

    Parameters
    ----------
    latents
        Lorenz system, each variable of mean 0 and standard deviation 1 over the recording, shape ``(bin, 3)``.
    loadings
        How much a neuron's log rate changes per unit of each latent, shape ``(3, unit)``.
    baseline_hz
        Each neuron's rate where all latents are 0, shape ``(unit,)``.
    readout
        Metres per unit of each latent, shape ``(3, 2)``: ``behavior`` is ``latents @ readout`` (of other latents in
        the null case).
    """

    latents: NDArray[np.float64]
    loadings: NDArray[np.float64]
    baseline_hz: NDArray[np.float64]
    readout: NDArray[np.float64]

    @property
    def kind(self) -> str:
        """Which simulator made it."""
        return "lorenz"


@dataclass(frozen=True, eq=False)
class SwitchingGlm(SimulatedSpikes):
    """Coupled neurons whose baselines and couplings change with a hidden state.

    Parameters
    ----------
    driving_states
        State that the neurons followed in each bin, shape ``(bin,)``: that of ``states`` unless the null was asked for.
    weights
        Change of a neuron's log rate per spike in the trace of another, shape ``(state, post, pre, basis)``.
    basis_seconds
        Time constants of the exponential filters, shape ``(basis,)``; the first belongs to a neuron's own
        refractoriness, the others to couplings.
    baseline_hz
        Rate without any spike before, shape ``(state, unit)``.
    """

    driving_states: NDArray[np.int64]
    weights: NDArray[np.float64]
    basis_seconds: NDArray[np.float64]
    baseline_hz: NDArray[np.float64]

    @property
    def kind(self) -> str:
        """Which simulator made it."""
        return "switching_glm"
