"""What `score_states.py` measures: held-out stretches, agreement of states with behaviour, intervals and nulls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from neurodata.models.layers.states import match_states

Arrays = list[NDArray]
"""One array per sequence, time first."""

N_SHIFTS = 1000
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Parts:
    """Places of the training and the held-out sequences in a recording."""

    train: list[slice]
    test: list[slice]

    def of(self, values: NDArray) -> tuple[Arrays, Arrays]:
        """Return both parts of an array, time first."""
        return [values[place] for place in self.train], [values[place] for place in self.test]


def hold_out_end(n_bins: int, length: int, share: float, guard: int) -> Parts:
    """Hold out the end of a recording, a guard of so many bins before it; both cut into sequences of one length."""
    first = round((1 - share) * n_bins)
    return Parts(_cut(0, first - guard, length), _cut(first, n_bins, length))


def hold_out_thirds(n_bins: int, length: int, guard: int) -> Parts:
    """Hold out every third block of a recording, without the guard at both its ends; each block is a sequence."""
    blocks = _cut(0, n_bins, length)
    test = [slice(block.start + guard, block.stop - guard) for block in blocks[2::3]]
    return Parts([block for place, block in enumerate(blocks) if place % 3 != 2], test)


def trailing_mean(sequences: Arrays, n_bins: int) -> Arrays:
    """Return the mean of each bin and those before it, of so many or as many as there are."""
    smoothed = []
    for values in sequences:
        total = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), values]), axis=0)
        last = np.arange(1, len(values) + 1)
        first = np.maximum(last - n_bins, 0)
        smoothed.append((total[last] - total[first]) / (last - first)[:, None])
    return smoothed


def shift_each(sequences: Arrays, rng: np.random.Generator) -> Arrays:
    """Return the sequences with each unit shifted in time by an amount of its own, circularly over all of them."""
    values = np.concatenate(sequences)
    shifts = rng.integers(len(values) // 20, len(values) - len(values) // 20, values.shape[1])
    moved = np.column_stack([np.roll(column, by) for column, by in zip(values.T, shifts)])
    return np.split(moved, np.cumsum([len(part) for part in sequences])[:-1])


def read_out(states: NDArray, classes: NDArray, n_states: int) -> NDArray[np.int64]:
    """Return the class under which each state is most likely, shape ``(state,)``: prior chances of classes ignored."""
    n_classes = classes.max() + 1
    together = np.zeros((n_states, n_classes))
    np.add.at(together, (states, classes), 1)
    return np.asarray((together / np.maximum(together.sum(axis=0), 1)).argmax(axis=1))


def read_out_mean(states: NDArray, values: NDArray, n_states: int) -> NDArray[np.float64]:
    """Return the mean of a trace in each state, its overall mean where a state never was, shape ``(state,)``."""
    times = np.bincount(states, minlength=n_states)
    sums = np.bincount(states, weights=values, minlength=n_states)
    return np.where(times > 0, sums / np.maximum(times, 1), values.mean())


def match(states: NDArray, classes: NDArray, n_states: int) -> NDArray[np.int64]:
    """Return the class of each state that makes most moments agree, one to one; -1 for states left over or not there."""
    matched = match_states([states], [classes])
    return np.pad(matched, (0, n_states - len(matched)), constant_values=-1)


def accuracy(predicted: NDArray, truth: NDArray) -> float:
    """Return the share of moments that agree."""
    return float((predicted == truth).mean())


def balanced(predicted: NDArray, truth: NDArray) -> float:
    """Return the mean over classes of the share of their moments that is found; a class without one is left out."""
    return float(np.mean([(predicted[truth == code] == code).mean() for code in np.unique(truth)]))


def correlation(predicted: NDArray, truth: NDArray) -> float:
    """Return Pearson's correlation, 0 where a side is constant."""
    if predicted.std() == 0 or truth.std() == 0:
        return 0.0
    return float(np.corrcoef(predicted, truth)[0, 1])


def shared_information(states: NDArray, classes: NDArray) -> float:
    """Return normalised mutual information (arithmetic mean of entropies): 0 none, 1 the same partition."""
    return float(normalized_mutual_info_score(classes, states))


Measure = Callable[[NDArray, NDArray], float]


def score(predicted: Arrays, truth: Arrays, measure: Measure, *, shifted: int, seed: int) -> dict[str, float]:
    """Return a measure on held-out sequences with its interval over them, and what shifted predictions reach.

    Parameters
    ----------
    predicted, truth
        One array per sequence.
    measure
        Of predictions and truth, both of all moments.
    shifted
        Smallest circular shift of the null, in bins of all sequences end to end. Shifts keep how long states last.
    seed
        Of the shifts and the bootstrap.

    Returns
    -------
    row
        ``value``, ``low`` and ``high`` (95 % bootstrap over sequences), ``null`` (mean), ``null_high`` (95th
        percentile), ``p`` (share of shifts that do as well, the data included).
    """
    rng = np.random.default_rng(seed)
    value = measure(np.concatenate(predicted), np.concatenate(truth))
    drawn = []
    for _ in range(N_RESAMPLES // 4):  # measures cost milliseconds
        chosen = rng.integers(len(truth), size=len(truth))
        drawn.append(
            measure(np.concatenate([predicted[i] for i in chosen]), np.concatenate([truth[i] for i in chosen]))
        )
    found, kept = np.concatenate(predicted), np.concatenate(truth)
    by = rng.integers(shifted, len(found) - shifted, N_SHIFTS // 2)
    null = np.array([measure(np.roll(found, int(shift)), kept) for shift in by])
    low, high = np.percentile(drawn, [2.5, 97.5])
    p = (1 + (null >= value).sum()) / (1 + len(null))
    return {"value": value, "low": low, "high": high, "null": null.mean(), "null_high": np.percentile(null, 95), "p": p}


def interval(values: NDArray, seed: int = 0) -> tuple[float, float, float]:
    """Return mean and 95 % bootstrap interval over entries (sequences, trials or animals)."""
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(N_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def choose_fewest(table: pd.DataFrame, per_sequence: dict[int, NDArray]) -> int:
    """Return the fewest states whose held-out likelihood is within one standard error of the best, paired by sequence.

    The likelihood often keeps rising a little with rare states (Breiman et al. 1984, Classification and Regression
    Trees, 3.4.3: the one-standard-error rule).
    """
    held_out = table[table["split"] == "held out"].set_index("n_states")["value"]
    best = int(held_out.idxmax())
    for n_states in sorted(per_sequence):
        lag = per_sequence[best] - per_sequence[n_states]
        if lag.mean() <= lag.std(ddof=1) / np.sqrt(len(lag)):
            return n_states
    return best


def markdown(table: pd.DataFrame) -> str:
    """Return a table for a document."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def shown(number: tuple[float, float, float] | dict[str, float], digits: int = 3, sign: str = "") -> str:
    """Return ``value (low to high)``."""
    value, low, high = (number["value"], number["low"], number["high"]) if isinstance(number, dict) else number
    return f"{value:{sign}.{digits}f} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


def _cut(first: int, stop: int, length: int) -> list[slice]:
    return [slice(at, at + length) for at in range(first, stop - length + 1, length)]
