"""What the scores say, in words; a negative result is said as plainly as a good one."""

from __future__ import annotations

import math

import pandas as pd

from neurodata.report.markup import number
from neurodata.report.scores import FIRST_METRIC, Scores

_LABELS = {
    "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "r2": "R²", "pearson": "Pearson correlation",
    "forecast_skill": "skill over copy-last",
}  # fmt: skip


def label(metric: str) -> str:
    """Return a metric's name as one says it."""
    return _LABELS.get(metric, metric.replace("_", " "))


def make_verdict(scores: Scores, model: str) -> list[str]:
    """Return one paragraph per target that the model predicts: its score, and how it stands to the baselines."""
    mine = scores.summary[(scores.summary["model"] == model) & _first_metric(scores.summary)]
    words = []
    for (kind, target), rows in mine.groupby(["kind", "target"], sort=True):  # class and continuous before forecast
        say = _forecast_verdict if kind == "forecast" else _target_verdict
        words.append(say(scores, model, str(target), rows))
    return words


def make_interval_words(low: float, high: float, signed: bool = False) -> str:
    """Return an interval in words, or why there is none."""
    if math.isnan(low):
        return "no interval: a single subject"
    return f"95 % CI {number(low, signed=signed)} to {number(high, signed=signed)}"


def compare(row: pd.Series) -> str:
    """Return how a model stands to another predictor, from one row of ``differences``."""
    if row["n_subjects"] == 1:
        side = "ahead of" if row["difference"] > 0 else "not ahead of"
        return f"is {side} {row['other']} ({number(row['difference'], signed=True)}) in the one subject there is"
    gain = f"{number(row['difference'], signed=True)}, {make_interval_words(row['low'], row['high'], signed=True)}"
    ahead = f"ahead in {row['n_ahead']} of {row['n_subjects']} subjects"
    if row["low"] > 0:
        return f"beats {row['other']} ({gain}; {ahead})"
    if row["high"] < 0:
        return f"is worse than {row['other']} ({gain}; {ahead})"
    return f"cannot be told apart from {row['other']} on these subjects ({gain}; {ahead})"


def _first_metric(table: pd.DataFrame) -> pd.Series:
    return table["metric"] == table["kind"].map(FIRST_METRIC)


def _target_verdict(scores: Scores, model: str, target: str, rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    beside = scores.differences[
        (scores.differences["model"] == model)
        & (scores.differences["target"] == target)
        & (scores.differences["metric"] == row["metric"])
    ]
    trivial, best = beside[beside["trivial"]], beside[beside["best"]].iloc[0]
    return (
        f"On held-out data of {row['n_subjects']} subject{'s' if row['n_subjects'] != 1 else ''}, {model} decodes {target} with a {label(row['metric'])} of "
        f"{number(row['mean'])} ({make_interval_words(row['low'], row['high'])}; chance is {number(row['chance'])}). "
        f"{_trivial_words(trivial)} It {compare(best)}, the best baseline of all."
        + (" One subject says nothing of another." if row["n_subjects"] == 1 else "")
    )


def _trivial_words(trivial: pd.DataFrame) -> str:
    if (trivial["n_subjects"] == 1).all():
        return f"It {'; it '.join(compare(row) for _, row in trivial.iterrows())}."
    beaten = trivial[trivial["low"] > 0]
    if len(beaten) == len(trivial):
        return f"It beats every trivial baseline ({', '.join(trivial['other'])})."
    rest = trivial[~(trivial["low"] > 0)]
    return f"It does NOT beat every trivial baseline: it {'; it '.join(compare(row) for _, row in rest.iterrows())}."


def _forecast_verdict(scores: Scores, model: str, target: str, rows: pd.DataFrame) -> str:
    parts = []
    for _, row in rows.sort_values("horizon_seconds").iterrows():
        beside = scores.differences[
            (scores.differences["model"] == model)
            & (scores.differences["target"] == target)
            & (scores.differences["horizon_seconds"] == row["horizon_seconds"])
            & (scores.differences["metric"] == row["metric"])
            & scores.differences["best"]
        ].iloc[0]
        interval = make_interval_words(row["low"], row["high"])
        parts.append(
            f"at {row['horizon_seconds']:g} s its skill over copy-last is {number(row['mean'], signed=True)} ({interval}) "
            f"and it {compare(beside)}"
        )
    return f"Forecasting {target}, {model}: " + "; ".join(parts) + "."
