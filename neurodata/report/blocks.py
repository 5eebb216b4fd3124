"""Scores of one recording with an interval: over its runs, trials or blocks of time instead of over animals."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.catalogue import read_entry
from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.predictions import MODEL, Predictions
from neurodata.report.scores import check_baselines

N_RESAMPLES = 2000
BY_RECORDING, BY_TIME, BY_MOMENT = WAYS = ("recording", "time", "moment")


def make_block_scores(
    predictions: Sequence[Predictions], metric: str, *, by: str, n_blocks: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Return each predictor's score over all its held-out moments, with a bootstrap interval over blocks of them.

    An interval over subjects says how far a result carries to another animal; this one only how far it carries to
    another stretch of the same recordings. All predictors are resampled alike, so differences are paired.

    Parameters
    ----------
    predictions
        Of one target: models with their baselines, folds together.
    metric
        Name in the catalogue.
    by
        What is resampled: ``recording`` (runs), ``time`` (contiguous blocks of each recording's moments) or ``moment``
        (single trials).
    n_blocks
        Blocks of time, over all recordings together at least one per recording.
    seed
        Of the bootstrap.

    Returns
    -------
    scores
        One row per predictor: ``model, role, value, low, high, n_blocks`` and, for models, ``ahead, ahead_low,
        ahead_high``: the difference to the best of the others.

    Raises
    ------
    NeurodataError
        If a model stands without its baselines, or predictors cover different moments.

    References
    ----------
    Künsch 1989, Ann Stat 17:1217-1241: resampling blocks keeps the dependence of neighbouring samples. Percentile
    interval as Efron & Tibshirani 1993, chapter 13.
    """
    check_option("way of resampling", by, WAYS)
    check_baselines(predictions)
    tables = _tables(predictions)
    resamples = _resamples(_blocks(next(iter(tables.values())), by, n_blocks), seed)
    module = sys.modules[read_entry("metrics", metric).__module__]
    drawn = {model: _score(module, metric, table, resamples.rows) for model, table in tables.items()}
    roles = {part.info["model"]: part.info["role"] for part in predictions}
    best = max((model for model in tables if roles[model] != MODEL), key=lambda model: drawn[model][0])
    rows = []
    for model in sorted(tables, key=lambda model: -drawn[model][0]):
        low, high = np.percentile(drawn[model][1:], [2.5, 97.5])
        row: dict[str, Any] = {"model": model, "role": roles[model], "value": drawn[model][0], "low": low, "high": high}
        row["n_blocks"] = resamples.n_blocks
        if roles[model] == MODEL:
            gain = drawn[model] - drawn[best]
            ahead_low, ahead_high = np.percentile(gain[1:], [2.5, 97.5])
            row |= {"best_other": best, "ahead": gain[0], "ahead_low": ahead_low, "ahead_high": ahead_high}
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Resamples:
    """Rows of each resample; the first is everything, once."""

    n_blocks: int
    rows: list[NDArray[np.int64]]


def _resamples(block: NDArray[np.int64], seed: int) -> _Resamples:
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(block == number) for number in range(block.max() + 1)]
    picks = (rng.integers(0, len(members), len(members)) for _ in range(N_RESAMPLES))
    drawn = [np.concatenate([members[i] for i in pick]) for pick in picks]
    return _Resamples(len(members), [np.arange(len(block)), *drawn])


def _score(
    module: ModuleType, metric: str, table: pd.DataFrame, resamples: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """The metric of each resample, shape ``(resample,)``."""
    columns = {column: table[column].to_numpy() for column in module.needs}
    function = getattr(module, metric)
    return np.asarray([function(**{name: values[rows] for name, values in columns.items()}) for rows in resamples])


def _tables(predictions: Sequence[Predictions]) -> dict[str, pd.DataFrame]:
    """Predictor → its moments of all folds, in one order."""
    targets = {part.info["target"] for part in predictions}
    if len(targets) != 1:
        raise NeurodataError(f"blocks are scored for one target at a time, got {', '.join(sorted(targets))}")
    parts: dict[str, list[pd.DataFrame]] = {}
    for part in predictions:
        parts.setdefault(part.info["model"], []).append(part.table)
    tables = {
        model: pd.concat(found).sort_values(["recording", "time"], kind="stable").reset_index(drop=True)
        for model, found in parts.items()
    }
    lengths = {model: len(table) for model, table in tables.items()}
    if len(set(lengths.values())) != 1:
        raise NeurodataError(f"predictors cover different numbers of moments: {lengths}")
    return tables


def _blocks(table: pd.DataFrame, by: str, n_blocks: int) -> NDArray[np.int64]:
    """Number of the block each moment belongs to, from 0 without gaps."""
    if by == BY_MOMENT:
        return np.arange(len(table))
    recording = pd.factorize(table["recording"])[0]
    if by == BY_RECORDING:
        return np.asarray(recording, np.int64)
    each = max(1, round(n_blocks / (recording.max() + 1)))
    rank = table.groupby("recording").cumcount().to_numpy()
    size = table.groupby("recording")["time"].transform("size").to_numpy()
    return np.asarray(recording * each + np.minimum(each - 1, rank * each // size), np.int64)
