"""Scores of all predictors on the same resamples: value, interval, spread of seeds, and paired differences."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.catalogue import read_entry
from neurodata.errors import NeurodataError
from neurodata.predictions import BASELINE, MODEL, Predictions

from .grid import PUBLISHED, SCRATCH
from .rows import ROWS, Row

N_RESAMPLES = 1000
N_BLOCKS = 20
"""Blocks of time of a recording, as in `neurodata.report.blocks`."""

COLUMNS = ("row", "predictor", "role", "share", "value", "low", "high", "seeds", "seed_spread",
           "ahead_scratch", "ahead_scratch_low", "ahead_scratch_high", "best_classical", "ahead_classical",
           "ahead_classical_low", "ahead_classical_high", "folds")  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A predictor at a share of the labels.

    Parameters
    ----------
    role
        As in its predictions.
    values
        Score of everything and then of each resample, mean over seeds, ``(1 + resample,)``.
    seeds
        Score of everything by each seed.
    """

    role: str
    values: NDArray[np.float64]
    seeds: NDArray[np.float64]


def score_rows(predictions: Sequence[Predictions]) -> pd.DataFrame:
    """Return one line per row, predictor and share with the columns `COLUMNS`; a row's folds must all be there."""
    lines = []
    for name in ROWS:
        own = [part for part in predictions if part.info["row"] == name]
        drawn = {key: _draw(ROWS[name], parts) for key, parts in _by_predictor(own).items()}
        lines += [_line(name, key, drawn, own) for key in drawn]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _by_predictor(predictions: Sequence[Predictions]) -> dict[tuple[str, float], list[Predictions]]:
    """(predictor, share) → its predictions; only those that cover every fold that any predictor covers."""
    found: dict[tuple[str, float], list[Predictions]] = {}
    for part in predictions:
        found.setdefault((part.info["model"], part.info["share"]), []).append(part)
    folds = {part.info["fold"] for part in predictions}
    return {key: parts for key, parts in found.items() if {part.info["fold"] for part in parts} == folds}


def _draw(row: Row, parts: Sequence[Predictions]) -> Drawn:
    by_seed: dict[int, list[Predictions]] = {}
    for part in parts:
        by_seed.setdefault(part.info["seed"], []).append(part)
    most = max(len(own) for own in by_seed.values())
    whole = [own for own in by_seed.values() if len(own) == most]  # a seed that is not through all folds waits
    scores = np.stack([_score_seed(row, own) for own in whole])
    return Drawn(parts[0].info["role"], scores.mean(axis=0), scores[:, 0])


def _score_seed(row: Row, parts: Sequence[Predictions]) -> NDArray[np.float64]:
    """Score of one seed on everything and on each resample, mean over the outputs of a continuous target."""
    targets = sorted({part.info["target"] for part in parts})
    by_target = [[part for part in parts if part.info["target"] == target] for target in targets]
    score = _score_folds if row.blocks == "fold" else _score_together
    return np.asarray(np.mean([score(row, own) for own in by_target], axis=0))


def _score_folds(row: Row, parts: Sequence[Predictions]) -> NDArray[np.float64]:
    """The mean over folds, resampled."""
    metric = getattr(sys.modules[read_entry("metrics", row.metric).__module__], row.metric)
    tables = [part.table for part in sorted(parts, key=lambda part: part.info["fold"])]
    values = np.array([metric(table["truth"].to_numpy(), table["prediction"].to_numpy()) for table in tables])
    picks = np.random.default_rng(0).integers(0, len(values), (N_RESAMPLES, len(values)))
    return np.concatenate([[values.mean()], values[picks].mean(axis=1)])


def _score_together(row: Row, parts: Sequence[Predictions]) -> NDArray[np.float64]:
    """Of all moments together, blocks of them resampled: the same ones for every predictor of the row."""
    table = pd.concat([part.table for part in parts]).sort_values(["recording", "time"], kind="stable")
    truth, prediction = table["truth"].to_numpy(), table["prediction"].to_numpy()
    n_blocks = len(table) if row.blocks == "moment" else N_BLOCKS
    block = np.arange(len(table)) * n_blocks // len(table)
    picks = np.random.default_rng(0).integers(0, n_blocks, (N_RESAMPLES, n_blocks))
    counts = np.stack([np.bincount(pick, minlength=n_blocks) for pick in picks])
    return SUMMED[row.metric](truth, prediction, block, np.vstack([np.ones(n_blocks, np.int64), counts]))


def sum_r2(truth: NDArray, prediction: NDArray, block: NDArray, counts: NDArray) -> NDArray[np.float64]:
    """Return R² of blocks taken so many times each, ``(resample,)``, from sums over each block.

    Parameters
    ----------
    truth, prediction, block
        Values, and the block each is in, ``(moment,)``.
    counts
        How often each block is taken, ``(resample, block)``.
    """
    truth, prediction = truth.astype(np.float64), prediction.astype(np.float64)
    columns = (np.ones(len(truth)), truth, truth**2, (truth - prediction) ** 2)
    number, total, squares, errors = (counts @ np.bincount(block, column) for column in columns)
    return np.asarray(1 - errors / (squares - total**2 / number))


def sum_balanced_accuracy(truth: NDArray, prediction: NDArray, block: NDArray, counts: NDArray) -> NDArray[np.float64]:
    """Return balanced accuracy of blocks taken so many times each; arguments as for `sum_r2`."""
    n_blocks, recalls = counts.shape[1], []
    for code in np.unique(truth):
        there = counts @ np.bincount(block, truth == code, n_blocks)
        found = counts @ np.bincount(block, (truth == code) & (prediction == code), n_blocks)
        recalls.append(np.where(there > 0, found / np.maximum(there, 1), np.nan))
    return np.asarray(np.nanmean(recalls, axis=0))


SUMMED = {"r2": sum_r2, "balanced_accuracy": sum_balanced_accuracy}
"""Metrics that sums over blocks tell: a thousand resamples cost one multiplication."""


def _line(
    row: str, key: tuple[str, float], drawn: dict[tuple[str, float], Drawn], parts: Sequence[Predictions]
) -> dict[str, object]:
    predictor, share = key
    own = drawn[key]
    low, high = np.percentile(own.values[1:], [2.5, 97.5])
    line: dict[str, object] = {"row": row, "predictor": predictor, "role": own.role, "share": share,
        "value": own.values[0], "low": low, "high": high, "seeds": len(own.seeds), "seed_spread": np.ptp(own.seeds),
        "folds": len({part.info["fold"] for part in parts})}  # fmt: skip
    if own.role == MODEL and predictor != SCRATCH and (SCRATCH, share) in drawn:
        line |= _ahead("ahead_scratch", own, drawn[SCRATCH, share])
    best = _best_classical(drawn, share)
    if own.role == MODEL and best:
        line |= {"best_classical": best} | _ahead("ahead_classical", own, drawn[best, share])
    return line


def _ahead(name: str, one: Drawn, other: Drawn) -> dict[str, float]:
    """Difference of two predictors with its interval: on each resample both have the same moments."""
    if one.values.shape != other.values.shape:
        raise NeurodataError("predictors were resampled differently and cannot be compared")
    gain = one.values - other.values
    low, high = np.percentile(gain[1:], [2.5, 97.5])
    return {name: float(gain[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


def _best_classical(drawn: dict[tuple[str, float], Drawn], share: float) -> str:
    """The best baseline of scikit-learn by its score on the test part: that favours the baselines."""
    networks = {PUBLISHED, *(row.network for row in ROWS.values())}
    found = {
        name: own.values[0]
        for (name, part), own in drawn.items()
        if part == share and own.role == BASELINE and name not in networks
    }
    return max(found, key=lambda name: found[name]) if found else ""
