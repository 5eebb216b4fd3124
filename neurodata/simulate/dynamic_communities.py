"""Animals in which known groups of neurons act together for known stretches of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError

# Choices of this project; none is a measurement.
_GROUP_SIZE = 8
_WINDOWS = ((1 / 12, 1 / 3), (5 / 12, 2 / 3), (11 / 16, 15 / 16))
"""Stretches of the groups as shares of the recording: frames [40, 160), [200, 320), [330, 450) of 480."""
_CALCIUM_SECONDS = 3.0
_GROUP_RATE, _TAKING_PART, _JITTER_FRAMES = 0.06, 0.85, 1
_BACKGROUND_RATE = 0.01


@dataclass(frozen=True, eq=False)
class DynamicCommunities:
    """Traces, and which neurons acted together, when, and in which animals.

    Parameters
    ----------
    traces
        Calcium, one event is 1, NaN where a neuron was not recorded, shape ``(animal, time, neuron)``.
    rate_hz
        Frames per second.
    members
        Whether a neuron is of a group, shape ``(group, neuron)``.
    active
        Whether a group acts together in a frame, shape ``(group, time)``.
    animals
        Whether an animal has a group, shape ``(group, animal)``.
    """

    traces: NDArray[np.float64]
    rate_hz: float
    members: NDArray[np.bool_]
    active: NDArray[np.bool_]
    animals: NDArray[np.bool_]


def simulate_dynamic_communities(
    n_neurons: int = 30,
    n_animals: int = 6,
    n_frames: int = 480,
    seed: int = 0,
    *,
    rate_hz: float = 4.0,
    noise_sd: float = 0.3,
    missing: float = 0.0,
    drift: float = 0.0,
    drift_seconds: float = 40.0,
) -> DynamicCommunities:
    """Simulate animals with three groups of eight neurons, each acting together in a stretch of time of its own.

    In its stretch a group has common events (0.06 per frame, drawn anew in each animal), in each of which a member takes
    part with chance 0.85, up to one frame early or late. Every neuron also has events of its own (0.01 per frame).
    Calcium decays with 3 s. The third group is there in the first half of the animals only; neurons beyond 24 are in no
    group.

    Parameters
    ----------
    n_neurons, n_animals, n_frames
        Sizes.
    seed
        The same seed gives the same animals.
    rate_hz
        Frames per second.
    noise_sd
        White noise; an event is 1.
    missing
        Chance that an animal's neuron was not recorded.
    drift
        Size of a slow sine common to all neurons of all animals.
    drift_seconds
        Period of the sine.

    Raises
    ------
    NeurodataError
        If a number is not positive, there are fewer than 24 neurons, or ``missing`` is no share.
    """
    for name, value in (("n_animals", n_animals), ("n_frames", n_frames), ("rate_hz", rate_hz),
                        ("drift_seconds", drift_seconds)):  # fmt: skip
        check_positive(name, value)
    if n_neurons < len(_WINDOWS) * _GROUP_SIZE:
        raise NeurodataError(
            f"{len(_WINDOWS)} groups of {_GROUP_SIZE} need {len(_WINDOWS) * _GROUP_SIZE} neurons or more, got {n_neurons}"
        )
    if not 0 <= missing < 1:
        raise NeurodataError(f"missing is a share from 0 to below 1, got {missing!r}")
    members, active, animals = _truth(n_neurons, n_animals, n_frames)
    decay = np.exp(-1 / (_CALCIUM_SECONDS * rate_hz))
    slow = drift * np.sin(2 * np.pi * np.arange(n_frames) / (rate_hz * drift_seconds))[:, None]
    traces = np.empty((n_animals, n_frames, n_neurons))
    for animal, stream in enumerate(np.random.SeedSequence(seed).spawn(n_animals)):
        event_rng, noise_rng, missing_rng = np.random.default_rng(stream).spawn(3)
        events = _events(members[animals[:, animal]], active[animals[:, animal]], event_rng)
        traces[animal] = lfilter([1.0], [1.0, -decay], events, axis=0) + slow
        traces[animal] += noise_sd * noise_rng.standard_normal((n_frames, n_neurons))
        traces[animal][:, missing_rng.random(n_neurons) < missing] = np.nan
    return DynamicCommunities(traces, rate_hz, members, active, animals)


def _truth(
    n_neurons: int, n_animals: int, n_frames: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    n_groups = len(_WINDOWS)
    members = np.arange(n_neurons) // _GROUP_SIZE == np.arange(n_groups)[:, None]
    share = np.arange(n_frames) / n_frames
    active = np.stack([(share >= start) & (share < stop) for start, stop in _WINDOWS])
    animals = np.ones((n_groups, n_animals), np.bool_)
    animals[-1, (n_animals + 1) // 2 :] = False
    return members, active, animals


def _events(members: NDArray[np.bool_], active: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Events per frame and neuron of one animal."""
    n_frames, n_neurons = active.shape[1], members.shape[1]
    events = (rng.random((n_frames, n_neurons)) < _BACKGROUND_RATE).astype(np.float64)
    for group, stretch in zip(members, active):
        for frame in np.flatnonzero(stretch & (rng.random(n_frames) < _GROUP_RATE)):
            taking_part = np.flatnonzero(group & (rng.random(n_neurons) < _TAKING_PART))
            when = frame + rng.integers(-_JITTER_FRAMES, _JITTER_FRAMES + 1, len(taking_part))
            np.add.at(events, (np.clip(when, 0, n_frames - 1), taking_part), 1.0)
    return events
