"""Scores of predictions, per subject, beside chance and baselines; refuses to score a model that stands alone."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.catalogue import list_entries, read_entry
from neurodata.errors import NeurodataError
from neurodata.predictions import (
    BASELINE,
    CHANCE,
    CLASS,
    COPY_LAST,
    FORECAST,
    MAJORITY,
    MEAN,
    MODEL,
    RIDGE,
    SHUFFLED_LABELS,
    Predictions,
    list_keys,
    write_whole,
)  # fmt: skip

TRIVIAL = (MAJORITY, SHUFFLED_LABELS, MEAN, COPY_LAST)
"""Predictors that know nothing of the activity at the moment (or nothing of how it goes on)."""

FIRST_METRIC = {"class": "balanced_accuracy", "continuous": "r2", "forecast": "forecast_skill"}
"""The metric that a verdict is given on."""

N_RESAMPLES = 10_000
TASK = ["kind", "target", "metric", "horizon_seconds"]


@dataclass(frozen=True)
class Scores:
    """All numbers of a report.

    Parameters
    ----------
    table
        One row per predictor, recording and metric: ``kind, target, model, role, metric, horizon_seconds`` (NaN unless
        a forecast), ``recording, subject, fold, seed, n_moments, value, chance``.
    summary
        One row per predictor and metric: ``mean`` over subjects, ``low`` and ``high`` (95 % CI), ``n_subjects``.
    differences
        One row per model, other predictor and metric: ``difference`` (model − other, paired by subject), ``low``,
        ``high``, ``n_ahead`` subjects in which the model is ahead, ``n_subjects``, ``trivial`` (is the other one?)
        and ``best`` (is the other the best of all that are not models?).
    seed
        Of the bootstrap.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    seed: int


def make_scores(predictions: Sequence[Predictions], metrics: Sequence[str] | None = None, seed: int = 0) -> Scores:
    """Score predictions and compare every model with every baseline on the same moments.

    Raises
    ------
    NeurodataError
        As :func:`check_baselines` and :func:`make_score_table`.
    """
    check_baselines(predictions)
    table = make_score_table(predictions, metrics)
    return Scores(table, make_summary(table, seed=seed), make_differences(table, seed=seed), seed)


def make_score_table(predictions: Sequence[Predictions], metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per predictor, fold, recording, horizon and metric, as :class:`Scores` describes.

    Forecasts also bring the rows of ``copy_last``, which is implied in them.

    Parameters
    ----------
    predictions
        Any number of models and folds.
    metrics
        Names; None takes all that fit the kind of each prediction. Named ones that fit no prediction are an error.

    Raises
    ------
    NeurodataError
        If a metric is unknown or does not fit, or cannot be computed (says for which model and recording); if a model's
        predictions come twice.
    """
    modules = [_metric_module(name) for name in (list_entries("metrics") if metrics is None else metrics)]
    kinds = {part.info["kind"] for part in predictions}
    for module in modules:
        if metrics is not None and module.kind not in kinds:
            raise NeurodataError(
                f"metric {_name(module)!r} scores {module.kind} predictions, got {', '.join(sorted(kinds)) or 'none'}"
            )
    table = pd.DataFrame([row for part in _with_copy_last(predictions) for row in _score_rows(part, modules)])
    twice = table.duplicated(["kind", "target", "model", "metric", "horizon_seconds", "recording", "fold", "seed"])
    if twice.any():
        row = table[twice].iloc[0]
        raise NeurodataError(
            f"model {row['model']!r} is given twice for recording {row['recording']!r}, fold {row['fold']}, "
            f"seed {row['seed']}; a prediction counts once and a name stands for one model"
        )
    return table


def make_summary(table: pd.DataFrame, n_resamples: int = N_RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return the mean over subjects of each predictor and metric with its bootstrap confidence interval.

    A subject's value is the mean of its recordings' (over folds and seeds alike), so that a subject recorded twice does
    not weigh twice.
    """
    rows = []
    for keys, group in table.groupby([*TASK, "model", "role"], dropna=False, sort=False):
        values = group.groupby("subject")["value"].mean()
        low, high = make_interval(values.to_numpy(), n_resamples, seed)
        chance = group.groupby("subject")["chance"].mean().mean()
        rows.append(
            dict(zip([*TASK, "model", "role"], keys))
            | {"mean": values.mean(), "low": low, "high": high, "n_subjects": len(values), "chance": chance}
        )
    return pd.DataFrame(rows)


def make_differences(table: pd.DataFrame, n_resamples: int = N_RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return how far each model is ahead of each baseline, paired by subject, as :class:`Scores` describes.

    The best baseline is chosen by the very scores shown, which favours the baseline and not the model.

    Raises
    ------
    NeurodataError
        If a model and a baseline were scored on different subjects.
    """
    rows = []
    for keys, group in table.groupby(TASK, dropna=False, sort=False):
        values = group.groupby(["model", "subject"])["value"].mean().unstack("subject")
        roles: dict[Hashable, str] = group.groupby("model")["role"].first().to_dict()
        if values.isna().any().any():
            raise NeurodataError(f"{keys[2]}: not every model is scored on every subject:\n{values.round(3)}")
        others = [name for name in values.index if roles[name] != MODEL]
        best = values.loc[others].mean(axis=1).idxmax() if others else None
        for model in (name for name in values.index if roles[name] == MODEL):
            for other in others:
                gain = (values.loc[model] - values.loc[other]).to_numpy()
                low, high = make_interval(gain, n_resamples, seed)
                rows.append(
                    dict(zip(TASK, keys))
                    | {"model": model, "other": other, "difference": gain.mean(), "low": low, "high": high}
                    | {"n_ahead": int((gain > 0).sum()), "n_subjects": gain.size}
                    | {"trivial": is_trivial(str(other), roles[other]), "best": other == best}
                )
    return pd.DataFrame(rows)


def make_interval(values: NDArray[np.floating], n_resamples: int = N_RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of ``values``, shape ``(subject,)``.

    Coarse where subjects are few: five of them make 126 different resamples, and the interval comes out too narrow by a
    factor of about √(4/5). One subject gives NaN, NaN: there is nothing to resample.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    if values.size < 2:
        return math.nan, math.nan
    picks = np.random.default_rng(seed).integers(0, values.size, (n_resamples, values.size))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def is_trivial(model: str, role: str) -> bool:
    """Tell whether a predictor is one that knows nothing of the moment."""
    return role == CHANCE or (role != MODEL and model in TRIVIAL)


def check_baselines(predictions: Sequence[Predictions]) -> None:
    """Raise unless every model stands beside its baselines, predicted for the same moments of the same split.

    A class target needs ``majority``, ``shuffled_labels`` and one fitted baseline; a continuous one ``mean`` and a
    fitted baseline; a forecast a ``ridge`` (copy-last is implied in the file).

    Raises
    ------
    NeurodataError
        Listing, for every model, what is missing or differs.
    """
    models = [part for part in predictions if part.info["role"] == MODEL]
    if not models:
        raise NeurodataError("expected predictions of at least one model (role 'model'), got none")
    problems: list[str] = []
    for part in models:
        beside = [p for p in predictions if p.info["role"] != MODEL and _task(p) == _task(part)]
        same_fold = [p for p in beside if p.info["fold"] == part.info["fold"]]
        where = f"model {part.info['model']!r}, {part.info['target']}, fold {part.info['fold']}"
        problems += [f"{where}: {what}" for what in _missing_baselines(part, same_fold)]
        problems += [f"{where}: {what}" for other in same_fold for what in _unlike(part, other)]
    if problems:
        raise NeurodataError(
            "a model is never shown without its baselines on the same split:\n"
            + "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
        )


def write_scores(scores: Scores, path: Path | str) -> None:
    """Write scores, summary and differences as one JSON file (NaN becomes null); whole or not at all."""
    content = {
        "bootstrap": {"resamples": N_RESAMPLES, "seed": scores.seed, "over": "subjects", "interval": 0.95},
        "summary": _records(scores.summary),
        "differences": _records(scores.differences),
        "scores": _records(scores.table),
    }
    write_whole((json.dumps(content, indent=1, allow_nan=False) + "\n").encode(), Path(path))


def _metric_module(name: str) -> ModuleType:
    return sys.modules[read_entry("metrics", name).__module__]


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _with_copy_last(predictions: Sequence[Predictions]) -> Iterator[Predictions]:
    """Yield all predictions, and copy-last once for every task and fold that forecasts."""
    done = {(part.info["target"], part.info["fold"]) for part in predictions if part.info["model"] == COPY_LAST}
    for part in predictions:
        yield part
        key = (part.info["target"], part.info["fold"])
        if part.info["kind"] == FORECAST and key not in done:
            done.add(key)
            info = part.info | {"model": COPY_LAST, "role": BASELINE, "trained_on": [], "seed": None}
            yield replace(part, table=part.table.assign(prediction=part.table["last"]), info=info)


def _score_rows(part: Predictions, modules: Sequence[ModuleType]) -> Iterator[dict[str, Any]]:
    info = {key: part.info[key] for key in ("kind", "target", "model", "role")}
    by = ["recording", "subject"] + (["horizon_seconds"] if info["kind"] == FORECAST else [])
    for keys, group in part.table.groupby(by, sort=True):
        recording, subject, *horizon = keys
        for module in modules:
            if module.kind == info["kind"]:
                where = f"model {info['model']!r}, recording {recording!r}"
                yield info | {
                    "metric": _name(module),
                    "horizon_seconds": horizon[0] if horizon else math.nan,
                    "recording": recording,
                    "subject": subject,
                    "fold": part.info["fold"],
                    "seed": part.info["seed"],
                    "n_moments": len(group),
                    "value": _score(module, group, where),
                    "chance": module.chance(group["truth"].to_numpy()),
                }


def _score(module: ModuleType, group: pd.DataFrame, where: str) -> float:
    function = getattr(module, _name(module))
    try:
        return float(function(**{column: group[column].to_numpy() for column in module.needs}))
    except ValueError as error:
        raise NeurodataError(f"{_name(module)} of {where}: {error}") from None


def _task(part: Predictions) -> tuple[str, str]:
    return part.info["kind"], part.info["target"]


def _missing_baselines(part: Predictions, beside: Sequence[Predictions]) -> list[str]:
    kind = part.info["kind"]
    names = {p.info["model"] for p in beside}
    fitted = sorted(p.info["model"] for p in beside if not is_trivial(p.info["model"], p.info["role"]))
    needed = {CLASS: (MAJORITY, SHUFFLED_LABELS), FORECAST: ()}.get(kind, (MEAN,))
    missing = [f"{name!r} is missing" for name in needed if name not in names]
    if kind == FORECAST and not any(name.startswith(RIDGE) for name in fitted):
        missing.append(f"{RIDGE!r} is missing")
    elif not fitted:
        missing.append("a fitted baseline (role 'baseline', for example logistic or ridge) is missing")
    return missing


def _unlike(part: Predictions, other: Predictions) -> list[str]:
    name = other.info["model"]
    if other.info["split_hash"] != part.info["split_hash"]:
        return [f"{name!r} is from split {other.info['split_hash']!r}, the model from {part.info['split_hash']!r}"]
    mine, its = _moments(part), _moments(other)
    if mine != its:
        return [f"{name!r} predicts other moments ({its[0]}) than the model ({mine[0]}); predict the same ones"]
    return []


def _moments(part: Predictions) -> tuple[int, int]:
    """Return the number of moments and a hash of them (and of class truths) that does not depend on their order."""
    keys = part.table[list_keys(part.info["kind"])].copy()
    keys["time"] = (keys["time"] * 1000).round().astype(np.int64)  # clocks that agree to a millisecond are the same
    if part.info["kind"] == CLASS:
        keys["truth"] = part.table["truth"].astype(np.int64)
    hashes = pd.util.hash_pandas_object(keys, index=False).to_numpy()
    return len(keys), int(hashes.sum(dtype=np.uint64))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=12))
    return found
