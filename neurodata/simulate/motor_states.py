"""Motor states of a simulated worm, and which neurons follow them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STATES = ("dt", "fwd", "nostate", "rev1", "rev2", "revsus", "slow", "vt")
"""States by code, as in the Kato et al. 2015 files."""

# Measured on the 589 runs of the five Kato et al. 2015 recordings (worm_*_y.csv).
_NEXT = np.array(
    [
        [0, 17, 0, 0, 0, 0, 21, 0],
        [0, 0, 0, 2, 8, 0, 56, 0],
        [0, 2, 0, 0, 0, 2, 2, 0],
        [0, 0, 0, 0, 0, 59, 0, 0],
        [0, 0, 0, 0, 0, 61, 0, 0],
        [38, 0, 4, 0, 0, 0, 0, 81],
        [0, 35, 3, 57, 53, 2, 0, 0],
        [0, 12, 0, 0, 0, 0, 69, 0],
    ],
    dtype=np.float64,
)
"""How often the state of a row was followed by the state of a column."""
_MEDIAN_SECONDS = np.array([7.23, 5.68, 7.58, 3.10, 3.44, 12.89, 1.77, 6.54])
_LOG_SD = np.array([0.31, 1.09, 0.59, 0.31, 0.24, 0.49, 1.81, 0.37])
"""Medians and standard deviations of the logarithm of the dwell times, which are taken as log-normal."""
_SHORTEST, _LONGEST = 0.35, 120.0
"""Seconds; one sample, and about the longest slow run of the recordings."""

# Mean z-scored activity in each state over the five recordings and both sides, rounded: the order is STATES.
_FOLLOWS = {
    "AVAL AVAR": (-0.1, -1.0, 0.1, 0.2, 0.2, 1.1, -0.9, 0.1),
    "AVEL AVER": (0.0, -0.9, 0.0, -0.5, -0.6, 1.0, -0.8, 0.3),
    "RIML RIMR": (-0.2, -0.9, -0.1, -0.2, -0.2, 1.1, -0.9, 0.1),
    "AIBL AIBR": (0.2, -0.9, 0.3, 0.3, 0.0, 0.9, -0.9, 0.6),
    "AVBL AVBR": (-0.4, 0.3, -0.5, -0.2, -0.4, -0.6, 0.7, -0.2),
    "RIBL RIBR": (-0.4, 0.6, -0.1, -0.6, -0.6, -0.7, 0.9, -0.3),
    "RID": (-0.2, 0.4, -0.5, 0.1, -0.4, -0.5, 0.5, 0.1),
    "VB01 VB02": (-0.4, 1.1, -0.4, -0.3, 0.0, -0.8, 0.8, -0.5),
    "DB01 DB02": (-0.4, 0.7, -0.3, 0.1, -0.1, -0.8, 0.8, -0.1),
    "RMED": (0.0, 0.8, -0.5, -0.8, 0.0, -0.8, 1.0, -0.8),
    "RMEV": (-0.8, 0.4, -0.7, 0.1, -0.4, -0.7, 1.0, 0.0),
    "RMEL RMER": (-0.6, 0.9, -0.4, -0.4, -0.3, -0.8, 0.9, -0.5),
    "SMDDL SMDDR": (2.7, 0.4, 0.0, -0.5, -0.4, -0.3, 0.0, -0.5),
    "SMDVL SMDVR": (-0.5, -0.4, 0.4, -0.1, -0.4, 0.0, -0.3, 1.7),
    "RIVL RIVR": (-0.2, -0.4, -0.2, 1.0, -0.4, 0.1, -0.5, 1.5),
    "VA01": (0.3, -0.8, 0.7, 0.0, -0.4, 0.8, -0.8, 0.5),
    "DA01": (0.6, -0.7, -0.4, 0.7, -0.3, 1.0, -0.9, 0.8),
    "OLQDL OLQDR OLQVL OLQVR": (0.8, -0.6, 0.3, 0.4, -0.5, 0.5, -0.7, 1.0),
    "ASKL ASKR": (0.0, -0.6, -0.1, 0.3, 0.0, 0.3, -0.4, 0.8),
}

_LABELLED_IN = {
    5: "RMEL RMER RMED RID SMDVR AVAL AVAR ALA ASKR AVER AVEL AIBR AVBR AIBL RIVR RIMR RIVL AVBL RIBL RIML SMDDR VB02",
    4: "RMEV SMDVL ASKL AVFL VB01 RIBR SMDDL RIS AVFR",
    3: "OLQVL OLQDL OLQDR VA01",
    2: "OLQVR URYDR URYDL RIFR SABVL DB02 DB01 SIBVL SABD RIGL SIADL",
    1: "SIBDR VB03 AVHL AVHR BAGL SAAVR SAAVL SIBVR RIGR AS01 DA01 SABVR",
}
"""In how many of the five recordings a neuron carries its name."""


def simulate_states(seconds: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw a sequence of motor states with the dwell times and transitions of real worms.

    Parameters
    ----------
    seconds
        Time to cover.
    rng
        Source of chance.

    Returns
    -------
    starts, codes
        Start of each run in seconds, the first at 0, and its state (place in `STATES`), each shape ``(run,)``. No two
        neighbours are equal.
    """
    starts, codes, now = [], [], 0.0
    code = int(rng.choice(len(STATES), p=_NEXT.sum(axis=0) / _NEXT.sum()))
    while now < seconds:
        starts.append(now)
        codes.append(code)
        dwell = _MEDIAN_SECONDS[code] * np.exp(_LOG_SD[code] * rng.standard_normal())
        now += float(np.clip(dwell, _SHORTEST, _LONGEST))
        code = int(rng.choice(len(STATES), p=_NEXT[code] / _NEXT[code].sum()))
    return np.array(starts), np.array(codes)


def label_chances(neurons: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return how likely each neuron is to be recorded under its name, shape of ``neurons``."""
    chances = {name: count / 5 for count, group in _LABELLED_IN.items() for name in group.split()}
    return np.array([chances.get(str(name), 0.0) for name in neurons])


def record_chances(neurons: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return how likely each neuron is to be recorded, with or without its name, shape of ``neurons``.

    Neurons that are named in some worm are recorded when they are named; all others fill up to the 109–135 channels
    (122 on average) of a recording.
    """
    chances = label_chances(neurons)
    never = chances == 0
    return np.where(never, (122.0 - chances.sum()) / max(1, never.sum()), chances)


def make_drive(neurons: NDArray[np.str_], rng: np.random.Generator, *, other_sd: float = 0.35) -> NDArray[np.float64]:
    """Return what each state adds to each neuron's input.

    Neurons that are known to follow the states do so as they did in the five worms. All others follow at random, the
    same in every worm, and such that in each state the expected sum over a recording's neurons, and of their squares,
    is the same: how active a worm is *altogether* tells nothing, so a decoder that does not know which neuron is which
    (shuffled names) has nothing to go by.

    Parameters
    ----------
    neurons
        Zero-padded names, shape ``(neuron,)``.
    rng
        Source of chance for the neurons of unknown tuning.
    other_sd
        Standard deviation of those neurons' drive.

    Returns
    -------
    drive
        Shape ``(state, neuron)``.
    """
    follows = {name: values for group, values in _FOLLOWS.items() for name in group.split()}
    known = np.array([str(name) in follows for name in neurons])
    drive = other_sd * rng.standard_normal((len(STATES), len(neurons)))
    drive[:, known] = np.array([follows[str(name)] for name in neurons[known]]).T
    chance = record_chances(neurons)
    sums, squares = drive[:, known] @ chance[known], drive[:, known] ** 2 @ chance[known]
    others, n_others = drive[:, ~known], chance[~known].sum()
    others -= (others @ chance[~known] / n_others)[:, None]
    mean = -sums / n_others
    wanted = other_sd**2 + (squares.max() - squares) / n_others
    variance = others**2 @ chance[~known] / n_others
    others *= np.sqrt(np.clip(wanted - mean**2, 0.01, None) / variance)[:, None]
    drive[:, ~known] = others + mean[:, None]
    return drive
