"""Poisson neurons driven by a Lorenz system."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurodata.simulate._spikes_truth import BEHAVIOR_HZ, LorenzPopulation

_SIGMA, _RHO, _BETA = 10.0, 28.0, 8.0 / 3.0
"""Lorenz 1963, J Atmos Sci 20:130: the values with which the system is chaotic."""
_STEP = 0.01
"""Time of the Lorenz system per step of integration (fourth order)."""
_SPEED = 1.5
"""Units of the Lorenz system's time per second: one turn of a wing takes about half a second."""
_SETTLE = 20.0
"""Units of time that are thrown away, so that the system is on its attractor."""
_BIN = 0.001
_HIGHEST_HZ = 200.0
_MEDIAN_HZ, _SPREAD = 8.0, 0.5
"""Baseline rates are log-normal; cortical neurons fire at some hertz (Roxin et al. 2011, J Neurosci 31:16217)."""
WINGS = ("left_wing", "right_wing")


def simulate_lorenz(
    seconds: float, rng: np.random.Generator, *, n_units: int, behavior_follows_activity: bool, gain: float
) -> LorenzPopulation:
    """Return one recording of independent neurons with ``rate = baseline * exp(latents @ loadings)``, at most 200 Hz.

    Parameters
    ----------
    seconds
        Length of the recording.
    rng
        Source of everything random.
    n_units
        How many neurons.
    behavior_follows_activity
        False is the null: the behaviour and the wing are read out of another run of the same system.
    gain
        Standard deviation of a neuron's log rate.
    """
    latent_rng, other_rng, unit_rng, spike_rng, readout_rng = rng.spawn(5)
    latents = _run_lorenz(seconds, latent_rng)
    shown = latents if behavior_follows_activity else _run_lorenz(seconds, other_rng)
    loadings = gain / np.sqrt(3) * unit_rng.standard_normal((3, n_units))
    baseline = _MEDIAN_HZ * np.exp(_SPREAD * unit_rng.standard_normal(n_units))
    rates = np.minimum(_HIGHEST_HZ, baseline * np.exp(latents @ loadings))
    readout = 0.05 * np.linalg.qr(readout_rng.standard_normal((3, 2)))[0]
    every = round(1 / (BEHAVIOR_HZ * _BIN))
    starts, codes = _runs((shown[:, 0] > 0).astype(np.int64))
    return LorenzPopulation(
        seconds=seconds,
        spike_times=_poisson_times(rates, seconds, spike_rng),
        behavior=shown[::every] @ readout,
        state_starts=np.asarray(starts * _BIN, np.float64),
        states=codes,
        state_names=WINGS,
        bin_seconds=_BIN,
        rates_hz=rates,
        latents=latents,
        loadings=loadings,
        baseline_hz=baseline,
        readout=readout,
    )


def _run_lorenz(seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The three variables at the middle of each bin, standardised, shape ``(bin, 3)``."""
    n_steps = int(np.ceil((_SETTLE + seconds * _SPEED) / _STEP)) + 2
    path = np.empty((n_steps, 3))
    state = rng.standard_normal(3) + np.array([0.0, 0.0, 25.0])
    for step in range(n_steps):
        path[step] = state
        first = _slope(state)
        second = _slope(state + _STEP / 2 * first)
        third = _slope(state + _STEP / 2 * second)
        state = state + _STEP / 6 * (first + 2 * second + 2 * third + _slope(state + _STEP * third))
    middles = (np.arange(round(seconds / _BIN)) + 0.5) * _BIN
    grid = np.arange(n_steps) * _STEP - _SETTLE
    values = np.column_stack([np.interp(middles * _SPEED, grid, column) for column in path.T])
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0))


def _slope(state: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = state.tolist()
    return np.array([_SIGMA * (y - x), x * (_RHO - z) - y, x * y - _BETA * z])


def _poisson_times(rates: NDArray[np.float64], seconds: float, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Spikes of an inhomogeneous Poisson process with a rate that is constant in each bin."""
    times = []
    for column in rates.T:
        counts = rng.poisson(column * _BIN)
        bins = np.repeat(np.arange(len(counts)), counts)
        found = np.sort((bins + rng.random(len(bins))) * _BIN)
        times.append(found[found < seconds])
    return times


def _runs(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First bin and code of each run of equal codes."""
    first = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
    return first, codes[first]
