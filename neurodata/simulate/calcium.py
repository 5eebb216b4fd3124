"""Whole-brain calcium of simulated worms whose wiring, activity and motor states are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.simulate.motor_states import label_chances, make_drive, simulate_states
from neurodata.simulate.wiring import list_neurons, make_weights, random_connectome, read_connectome

_STEP = 0.1
"""Seconds per step of the dynamics: a fifth of the fastest time constant."""
_TAU_RATE, _TAU_CALCIUM = 0.5, 2.0
"""Seconds: a graded neuron's response, and the decay of nuclear GCaMP."""
_SETTLE = 20.0
"""Seconds that are simulated first and thrown away, so that no recording begins at rest."""
_RATES_HZ = (2.7, 3.1)
"""Volumes per second; the five Kato et al. 2015 worms lie between 2.80 and 3.07."""
_JITTER = 0.2
"""Largest shift of a sample, in samples."""


@dataclass(frozen=True)
class Noise:
    """How hard the worms are to read.

    Parameters
    ----------
    private_sd, private_tau
        Each neuron's own slow input (resting activity is 1) and its correlation time in seconds.
    shared_sd, shared_tau
        Slow inputs common to many neurons, mixed anew in each worm.
    gain_sd
        Spread (of the logarithm) of how strongly a worm's neuron follows its drive.
    measurement_sd
        White noise on the traces, ΔF/F.
    bleaching_sd
        What bleach correction leaves: spread over worms of the relative change of fluorescence in 600 s.
    """

    private_sd: float = 0.4
    private_tau: float = 8.0
    shared_sd: float = 0.25
    shared_tau: float = 25.0
    gain_sd: float = 0.3
    measurement_sd: float = 0.02
    bleaching_sd: float = 0.05


@dataclass(frozen=True, eq=False)
class SimulatedWorm:
    """One worm: what is recorded of it, and the truth behind it.

    Parameters
    ----------
    traces
        ΔF/F as recorded, shape ``(time, channel)``; NaN where a neuron was lost for a while.
    labels
        Zero-padded names as recorded, empty where a channel has none, shape ``(channel,)``.
    states
        Motor state of each sample (place in `neurodata.simulate.motor_states.STATES`), shape ``(time,)``.
    times
        When each sample was really taken, seconds, shape ``(time,)``.
    rate_hz, seconds
        Nominal sampling rate, and the length of the recording.
    neurons
        Names of all neurons, shape ``(neuron,)``.
    channels
        Which neuron each channel truly is, shape ``(channel,)``.
    weights
        Signed wiring, shape ``(pre, post)``.
    drive
        What each state adds to each neuron's input, shape ``(state, neuron)``.
    activity
        Activity of all neurons at the samples, shape ``(time, neuron)``; at rest 1.
    driving_states
        The states that drove the activity: equal to ``states`` unless the null case was asked for. Shape ``(time,)``.
    bleaching
        Relative fluorescence that bleach correction left, shape ``(time,)``.
    """

    traces: NDArray[np.float64]
    labels: NDArray[np.str_]
    states: NDArray[np.int64]
    times: NDArray[np.float64]
    rate_hz: float
    seconds: float
    neurons: NDArray[np.str_]
    channels: NDArray[np.int64]
    weights: NDArray[np.float64]
    drive: NDArray[np.float64]
    activity: NDArray[np.float64]
    driving_states: NDArray[np.int64]
    bleaching: NDArray[np.float64]


def simulate_worms(
    n_worms: int,
    seconds: float,
    seed: int,
    *,
    connectome: str | Path | None = None,
    states_drive_activity: bool = True,
    shuffle_names: bool = False,
    missing_runs: int = 4,
    noise: Noise | None = None,
    strength: float = 0.5,
    drive: float = 1.0,
    record: str = "published",
    named_share: float | None = None,
) -> list[SimulatedWorm]:
    """Simulate whole-brain recordings of worms that share wiring and tuning, not noise, neurons or clocks.

    Activity follows ``tau dr/dt = -r + max(0, b + W'r + drive(state) + noise)`` with ``b`` such that ``r`` rests at
    1; calcium is activity through an exponential decay; a recording holds 109–135 neurons, about 38 of them named.

    Parameters
    ----------
    n_worms, seconds
        How many worms, and how long each is recorded.
    seed
        The same seed gives the same worms; worm ``i`` does not depend on how many there are.
    connectome
        CSV of synapse counts (see `neurodata.simulate.wiring.read_connectome`); random wiring where None.
    states_drive_activity
        False is a null case: activity follows states of its own, with the same statistics as those recorded, so no
        decoder can do better than chance.
    shuffle_names
        Another null case: in each worm names sit on channels at random, so a name means nothing across worms. What
        needs no names is left: forests on sorted activity and slopes reach 0.147 ± 0.006 balanced accuracy over six
        seeds where chance is 0.125 (logistic regression 0.132 ± 0.010; without drive the forests have 0.126 ± 0.003).
    missing_runs
        Stretches of 2–15 s in which one channel is lost, per worm.
    noise
        How hard the worms are to read.
    strength
        Spectral radius of the absolute wiring, below 1 (see `neurodata.simulate.wiring.make_weights`).
    drive
        Factor on what the motor states add to the neurons' input; 0 leaves wiring and noise alone.
    record
        ``"published"``: 109–135 neurons as in the published worms; ``"all"``: all 302, in their order.
    named_share
        Share of the recorded neurons that carry their name, drawn anew in each worm; None names those that are named in
        the published worms (all, where all are recorded).

    Returns
    -------
    worms
        One per worm, with the truth behind it.

    Raises
    ------
    NeurodataError
        If a number is not positive or out of its range, or there is no such way of recording.
    RawFileError
        If the connectome cannot be read.
    """
    check_positive("number of worms", n_worms)
    check_positive("length in seconds", seconds)
    check_option("way of recording", record, ("published", "all"))
    if not (0 <= strength < 1 and drive >= 0 and (named_share is None or 0 <= named_share <= 1)):
        raise NeurodataError(
            "strength is from 0 to below 1, drive from 0 on, named_share from 0 to 1; got "
            f"strength={strength}, drive={drive}, named_share={named_share}"
        )
    if seconds < 10:
        raise NeurodataError(f"a simulated recording is at least 10 s long, got {seconds} s")
    common, *streams = np.random.SeedSequence(seed).spawn(n_worms + 1)
    rng = np.random.default_rng(common)
    neurons = list_neurons()
    counts = read_connectome(connectome) if connectome is not None else random_connectome(len(neurons), rng)
    weights = make_weights(counts, neurons, rng, strength=strength)
    brain = _Brain(neurons, weights, drive * make_drive(neurons, rng))
    return [
        _simulate_worm(brain, seconds, np.random.default_rng(stream), states_drive_activity, shuffle_names,
                       missing_runs, noise or Noise(), record == "all", named_share)
        for stream in streams
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Brain:
    """What all worms share."""

    neurons: NDArray[np.str_]
    weights: NDArray[np.float64]
    drive: NDArray[np.float64]


def _simulate_worm(
    brain: _Brain,
    seconds: float,
    rng: np.random.Generator,
    states_drive_activity: bool,
    shuffle_names: bool,
    missing_runs: int,
    noise: Noise,
    record_all: bool,
    named_share: float | None,
) -> SimulatedWorm:
    # Each part has its own stream, so that a switch changes what it says and nothing else.
    state_rng, other_rng, activity_rng, channel_rng, clock_rng, trace_rng, name_rng = rng.spawn(7)
    shown = simulate_states(_SETTLE + seconds, state_rng)
    driving = shown if states_drive_activity else simulate_states(_SETTLE + seconds, other_rng)
    rate_hz, times = _draw_clock(seconds, clock_rng)
    activity = _simulate_activity(brain, driving, seconds, noise, activity_rng)
    calcium = lfilter([1 - np.exp(-_STEP / _TAU_CALCIUM)], [1, -np.exp(-_STEP / _TAU_CALCIUM)], activity, axis=0)
    if record_all:
        channels, labels = np.arange(len(brain.neurons)), brain.neurons.copy()
    else:
        channels, labels = _draw_channels(brain.neurons, channel_rng)
    if named_share is not None:
        labels = _name_some(brain.neurons[channels], named_share, channel_rng)
    if shuffle_names:
        labels = name_rng.permutation(labels)
    bleaching = np.exp(noise.bleaching_sd * trace_rng.standard_normal() * times / 600.0)
    traces = _record(_at(calcium[:, channels], times), bleaching, noise, trace_rng)
    _lose_neurons(traces, rate_hz, missing_runs, trace_rng)
    return SimulatedWorm(
        traces=traces,
        labels=labels,
        states=_state_at(shown, times),
        times=times,
        rate_hz=rate_hz,
        seconds=seconds,
        neurons=brain.neurons,
        channels=channels,
        weights=brain.weights,
        drive=brain.drive,
        activity=_at(activity, times),
        driving_states=_state_at(driving, times),
        bleaching=bleaching,
    )


def _draw_clock(seconds: float, rng: np.random.Generator) -> tuple[float, NDArray[np.float64]]:
    """Nominal rate, and jittered sample times of which the first is 0."""
    n_samples = int(seconds * rng.uniform(*_RATES_HZ))
    rate_hz = n_samples / seconds
    jitter = rng.uniform(-_JITTER, _JITTER, n_samples)
    jitter[0] = 0.0
    return rate_hz, (np.arange(n_samples) + jitter) / rate_hz


def _state_at(runs: tuple[NDArray[np.float64], NDArray[np.int64]], times: NDArray[np.float64]) -> NDArray[np.int64]:
    starts, codes = runs
    return np.asarray(codes[np.searchsorted(starts, times + _SETTLE, side="right") - 1])


def _at(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the simulated grid at the samples' times, linear between steps."""
    position = (times + _SETTLE) / _STEP
    left = np.minimum(position.astype(int), len(values) - 2)
    share = (position - left)[:, None]
    return np.asarray(values[left] * (1 - share) + values[left + 1] * share)


def _slow_noise(n_steps: int, n_columns: int, tau: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Ornstein–Uhlenbeck noise of unit variance, stationary from the first step, shape ``(step, column)``."""
    keep = np.exp(-_STEP / tau)
    white = rng.standard_normal((n_steps, n_columns))
    white[1:] *= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], white, axis=0))


def _simulate_activity(
    brain: _Brain,
    driving: tuple[NDArray[np.float64], NDArray[np.int64]],
    seconds: float,
    noise: Noise,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Activity of all neurons on the simulated grid, shape ``(step, neuron)``."""
    n_neurons, n_steps = len(brain.neurons), int((_SETTLE + seconds) / _STEP) + 2
    codes = _state_at(driving, np.arange(n_steps, dtype=np.float64) * _STEP - _SETTLE)
    gain = np.exp(noise.gain_sd * rng.standard_normal(n_neurons))
    mixing = noise.shared_sd * rng.standard_normal((3, n_neurons))
    inputs = brain.drive[codes] * (0.6 * gain)
    inputs += noise.private_sd * _slow_noise(n_steps, n_neurons, noise.private_tau, rng)
    inputs += _slow_noise(n_steps, 3, noise.shared_tau, rng) @ mixing
    inputs += 1.0 - brain.weights.sum(axis=0)
    weights = np.ascontiguousarray(brain.weights.T)
    activity = np.empty((n_steps, n_neurons))
    state = np.ones(n_neurons)
    for step in range(n_steps):
        state = state + (_STEP / _TAU_RATE) * (np.maximum(0.0, inputs[step] + weights @ state) - state)
        activity[step] = state
    return activity


def _draw_channels(neurons: NDArray[np.str_], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Which neurons are recorded, in which column, and which of them are named."""
    named = rng.random(len(neurons)) < label_chances(neurons)
    others = np.flatnonzero(label_chances(neurons) == 0)
    n_channels = int(rng.integers(109, 136))
    unnamed = rng.choice(others, size=n_channels - int(named.sum()), replace=False)
    channels = rng.permutation(np.concatenate([np.flatnonzero(named), unnamed]))
    return channels, np.where(named[channels], neurons[channels], "")


def _name_some(names: NDArray[np.str_], share: float, rng: np.random.Generator) -> NDArray[np.str_]:
    """Names of a share of the neurons, empty for the others."""
    named = np.zeros(len(names), dtype=bool)
    named[rng.permutation(len(names))[: round(share * len(names))]] = True
    return np.where(named, names, "")


def _record(
    calcium: NDArray[np.float64], bleaching: NDArray[np.float64], noise: Noise, rng: np.random.Generator
) -> NDArray[np.float64]:
    """ΔF/F of calcium: each channel its own brightness, drift that bleach correction left, white noise."""
    gain = 0.2 * np.exp(0.4 * rng.standard_normal(calcium.shape[1]))
    fluorescence = (1.0 + gain * calcium) * bleaching[:, None]
    return np.asarray(fluorescence - 1.0 + noise.measurement_sd * rng.standard_normal(calcium.shape))


def _lose_neurons(traces: NDArray[np.float64], rate_hz: float, n_runs: int, rng: np.random.Generator) -> None:
    """Set stretches of single channels to NaN, in place."""
    n_samples, n_channels = traces.shape
    for _ in range(n_runs):
        length = min(int(rng.uniform(2.0, 15.0) * rate_hz), n_samples // 3)
        first = int(rng.integers(0, n_samples - length))
        traces[first : first + length, int(rng.integers(n_channels))] = np.nan
