"""Coupled neurons whose baselines and couplings switch with a hidden Markov state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurodata.simulate._spikes_truth import BEHAVIOR_HZ, SwitchingGlm

_BIN = 0.002
_BASIS = np.array([0.003, 0.006, 0.030])
"""Seconds: refractoriness, and fast and slow couplings, within what is seen in cortex and retina (Pillow et al. 2008,
Nature 454:995, Fig. 1)."""
_REFRACTORY = -8.0
"""Log rate right after a neuron's own spike: its rate is down to a thousandth."""
_SHARE = 0.1
"""Of the pairs that are coupled."""
_STRENGTH, _STRONGEST = 1.6, 2.0
"""Change of the log rate right after a spike, on average and at most, before couplings are weakened."""
_INHIBITORY = 0.4
"""Share of neurons all of whose couplings lower rates."""
_RADIUS = 0.45
"""Largest eigenvalue of the mean-field coupling; a linear Hawkes process is stable below 1 (Brémaud & Massoulié 1996,
Ann Probab 24:1563), and log rates leave room for fluctuations."""
_HIGHEST_HZ = 200.0
_MEDIAN_HZ, _SPREAD, _STATE_SPREAD = 8.0, 0.3, 0.6
_SHORTEST, _MEAN_EXTRA = 0.5, 1.5
"""Seconds in a state: at least the first, and on average the second more."""


def simulate_switching_glm(
    seconds: float, rng: np.random.Generator, *, n_units: int, n_states: int, behavior_follows_activity: bool
) -> SwitchingGlm:
    """Return one recording of neurons that spike or not in each bin of 2 ms.

    ``p = 1 - exp(-rate * bin)`` with ``log rate = log baseline[state] + weights[state] · traces``; each spike adds 1
    to its neuron's traces, which decay exponentially. Every filter is causal, from the next bin on.

    Parameters
    ----------
    seconds
        Length of the recording.
    rng
        Source of everything random.
    n_units, n_states
        How many neurons and hidden states.
    behavior_follows_activity
        False is the null: behaviour and the states that are shown are another run of the same chain.
    """
    chain_rng, other_rng, unit_rng, spike_rng, behavior_rng = rng.spawn(5)
    driving = _run_chain(seconds, n_states, chain_rng)
    shown = driving if behavior_follows_activity else _run_chain(seconds, n_states, other_rng)
    baseline = _MEDIAN_HZ * np.exp(
        _SPREAD * unit_rng.standard_normal(n_units) + _STATE_SPREAD * unit_rng.standard_normal((n_states, n_units))
    )
    weights = _draw_weights(baseline, unit_rng)
    spiked, rates = _run_neurons(driving, baseline, weights, spike_rng)
    starts = np.flatnonzero(np.r_[True, np.diff(shown) != 0])
    times = [_times_of(column, seconds, spike_rng) for column in spiked.T]
    return SwitchingGlm(
        seconds=seconds,
        spike_times=times,
        behavior=_move(shown, n_states, behavior_rng),
        state_starts=np.asarray(starts * _BIN, np.float64),
        states=shown[starts],
        state_names=tuple(f"state{code}" for code in range(n_states)),
        bin_seconds=_BIN,
        rates_hz=rates,
        driving_states=driving,
        weights=weights,
        basis_seconds=_BASIS.copy(),
        baseline_hz=baseline,
    )


def _run_chain(seconds: float, n_states: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """State of each bin: exponential dwell times beyond the shortest, every other state equally likely next."""
    n_bins = round(seconds / _BIN)
    codes = np.empty(n_bins, np.int64)
    at, state = 0, int(rng.integers(n_states))
    while at < n_bins:
        length = max(1, round((_SHORTEST + rng.exponential(_MEAN_EXTRA)) / _BIN))
        codes[at : at + length] = state
        at += length
        if n_states > 1:
            state = (state + int(rng.integers(1, n_states))) % n_states
    return codes


def _draw_weights(baseline: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Sparse couplings of one sign per sending neuron, weakened where they could make the activity run away."""
    n_states, n_units = baseline.shape
    sign = np.where(np.arange(n_units) < round(_INHIBITORY * n_units), -1.0, 1.0)
    weights = np.zeros((n_states, n_units, n_units, len(_BASIS)))
    for state in range(n_states):
        coupled = rng.random((n_units, n_units)) < _SHARE
        np.fill_diagonal(coupled, False)
        size = np.minimum(_STRONGEST, _STRENGTH * rng.gamma(4.0, 0.25, (n_units, n_units))) * coupled
        share = rng.random((n_units, n_units))
        weights[state, :, :, 1] = size * share * sign
        weights[state, :, :, 2] = 0.5 * size * (1 - share) * sign
        excess = _mean_field_radius(baseline[state], weights[state]) / _RADIUS
        weights[state] /= max(1.0, excess)
        weights[state, np.arange(n_units), np.arange(n_units), 0] = _REFRACTORY
    return weights


def _mean_field_radius(baseline: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Spectral radius of expected extra spikes per spike, raising couplings only, at 1.5 times the baseline."""
    # exp(w) - 1 bounds what a trace that begins at w adds to the rate, relative to it.
    gain = 1.5 * baseline[:, None] * np.clip(np.expm1(weights) @ _BASIS, 0, None)
    return float(np.abs(np.linalg.eigvals(gain)).max())


def _run_neurons(
    states: NDArray[np.int64], baseline: NDArray[np.float64], weights: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which neuron spiked in which bin, and the rates that it did so with, each shape ``(bin, unit)``."""
    n_units = baseline.shape[1]
    log_baseline = np.log(baseline)
    # (state, post, basis · pre), to fit the traces laid out one basis after the other.
    flat = np.ascontiguousarray(weights.transpose(0, 1, 3, 2)).reshape(len(baseline), n_units, -1)
    decay = np.repeat(np.exp(-_BIN / _BASIS), n_units)
    traces = np.zeros(n_units * len(_BASIS))
    chance = -np.log(rng.random((len(states), n_units)))  # exponential: spikes where rate · bin exceeds it
    spiked, rates = np.zeros((len(states), n_units), bool), np.empty((len(states), n_units))
    highest = np.log(_HIGHEST_HZ)
    for step, state in enumerate(states.tolist()):
        rate = np.exp(np.minimum(highest, log_baseline[state] + flat[state] @ traces))
        now = rate * _BIN > chance[step]
        rates[step], spiked[step] = rate, now
        traces *= decay
        if now.any():
            traces += np.tile(now, len(_BASIS))
    return spiked, rates


def _times_of(spiked: NDArray[np.bool_], seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    bins = np.flatnonzero(spiked)
    times = (bins + rng.random(len(bins))) * _BIN
    return times[times < seconds]


def _move(states: NDArray[np.int64], n_states: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Position that is drawn to a place of each state within 0.3 s, with 5 mm of noise, metres."""
    angle = 2 * np.pi * np.arange(n_states) / n_states
    targets = 0.05 * np.column_stack([np.cos(angle), np.sin(angle)])[states]
    keep = np.exp(-_BIN / 0.3)
    settled, _ = lfilter([1 - keep], [1, -keep], targets, axis=0, zi=keep * targets[:1])
    shown = settled[:: round(1 / (BEHAVIOR_HZ * _BIN))]
    return np.asarray(shown + 0.005 * rng.standard_normal(shown.shape))
