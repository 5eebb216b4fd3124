"""The parts of a report that show scores, predictions and activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.errors import NeurodataError
from neurodata.predictions import BASELINE, CHANCE, CLASS, CONTINUOUS, COPY_LAST, FORECAST, MODEL, Predictions
from neurodata.report import figures, markup
from neurodata.report.colours import make_model_colours, make_state_colours
from neurodata.report.run_folder import Run
from neurodata.report.scores import FIRST_METRIC, Scores
from neurodata.report.verdict import label, make_interval_words

_ROLE_ORDER = {MODEL: 0, BASELINE: 1, CHANCE: 2}
_COARSE = (
    "Intervals are 95 % percentile bootstraps over subjects (10 000 resamples). With five subjects they are coarse and "
    "somewhat too narrow: read them beside the single subjects' values."
)


def make_target_sections(run: Run, scores: Scores, main: str) -> list[str]:
    """Return scores and pictures of every class or continuous target."""
    sections = []
    targets = dict.fromkeys((p.info["kind"], p.info["target"]) for p in run.predictions if p.info["kind"] != FORECAST)
    for kind, target in targets:
        sections.append(_score_section(scores, kind, target))
        mine = [p for p in run.predictions if (p.info["kind"], p.info["target"]) == (kind, target)]
        models = sorted({p.info["model"] for p in mine if p.info["role"] == MODEL})
        shown = main if main in models else models[0]
        if kind == CLASS:
            best = _best_baseline(scores, kind, target)
            sections.append(_state_section(mine, [shown, best], target))
            sections.append(_confusion_section(mine, [shown, best], target))
        if kind == CONTINUOUS:
            sections.append(_trace_section(mine, shown, target))
    return sections


def _score_section(scores: Scores, kind: str, target: str) -> str:
    """Return a figure of the first metric and one table per metric, every predictor beside chance."""
    table = scores.table[(scores.table["kind"] == kind) & (scores.table["target"] == target)]
    summary = scores.summary[(scores.summary["kind"] == kind) & (scores.summary["target"] == target)]
    first = FIRST_METRIC[kind]
    metrics = sorted(table["metric"].unique(), key=lambda name: (name != first, name))
    models = _in_order(summary[summary["metric"] == first])
    uri = figures.draw(
        figures.make_score_figure,
        table[table["metric"] == first], summary[summary["metric"] == first], models, label(first),
    )  # fmt: skip
    picture = markup.figure(
        uri,
        f"{label(first)} of every predictor; the numbers are in the table below",
        "Dots are subjects; diamond and bar are their mean and its 95 % interval. Blue: models; grey: baselines.",
    )
    tables = []
    for metric in metrics:
        tables.append(f"<h3>{markup.text(label(metric))}</h3>")
        tables.append(_score_table(table[table["metric"] == metric], summary[summary["metric"] == metric], models))
    rows = scores.differences
    rows = rows[(rows["kind"] == kind) & (rows["target"] == target) & (rows["metric"] == first)]
    tables += [f"<h3>{markup.text(label(first))}: model − baseline, paired by subject</h3>", _difference_table(rows)]
    return markup.section(f"Scores: {target}", picture, *tables, markup.paragraph(_COARSE, "note"))


def _difference_table(differences: pd.DataFrame) -> str:
    rows = []
    for _, row in differences.sort_values(["model", "difference"]).iterrows():
        interval = make_interval_words(row["low"], row["high"], signed=True).removeprefix("95 % CI ")
        ahead = f"{row['n_ahead']} of {row['n_subjects']}"
        rows.append([row["model"], row["other"], markup.number(row["difference"], signed=True), interval, ahead])
    header = ["model", "baseline", "mean difference", "95 % CI", "subjects ahead"]
    return markup.table(header, rows, numeric=range(2, 5))


def _score_table(table: pd.DataFrame, summary: pd.DataFrame, models: Sequence[str], floor: str = "chance") -> str:
    """Return predictors × recordings with mean and interval over subjects, and the level of chance as last row."""
    recordings = sorted(table["recording"].unique())
    values = table.groupby(["model", "recording"])["value"].mean()
    rows, kinds = [], []
    for model in models:
        row = summary[summary["model"] == model].iloc[0]
        cells = [markup.number(values[model, recording]) for recording in recordings]
        interval = make_interval_words(row["low"], row["high"]).removeprefix("95 % CI ")
        rows.append([model, row["role"], *cells, markup.number(row["mean"]), interval])
        kinds.append("model" if row["role"] == MODEL else "")
    chance = table.groupby("recording")["chance"].mean()
    level = [markup.number(chance[recording]) for recording in recordings]
    rows.append([floor, "by definition", *level, markup.number(summary["chance"].mean()), ""])
    header = ["predictor", "role", *shorten(recordings), "mean", "95 % CI"]
    return markup.table(header, rows, [*kinds, "floor"], range(2, len(header)))


def _state_section(parts: Sequence[Predictions], models: Sequence[str], target: str) -> str:
    classes = parts[0].info["classes"]
    rows = []
    for recording in _recordings(parts):
        strips: list[tuple[str, NDArray[Any], NDArray[Any]]] = []
        for model in models:
            table = _rows_of(parts, model, recording)
            time = table["time"].to_numpy()
            strips = strips or [("true", time, table["truth"].to_numpy())]
            strips.append((model, time, table["prediction"].to_numpy()))
        rows.append((recording, strips))
    uri = figures.draw(figures.make_timeline_figure, rows, classes, make_state_colours(classes), vector=False)
    return markup.section(
        f"True and predicted {target} over time",
        markup.figure(
            uri,
            f"Strips of true and predicted {target} for each held-out recording: {', '.join(_recordings(parts))}",
            f"For each held-out recording: truth, {models[0]}, and the best baseline, {models[1]}. White: no prediction.",
        ),
    )


def _confusion_section(parts: Sequence[Predictions], models: Sequence[str], target: str) -> str:
    classes = parts[0].info["classes"]
    matrices = []
    for model in models:
        counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
        for part in parts:
            if part.info["model"] == model:
                np.add.at(counts, (part.table["truth"].to_numpy(), part.table["prediction"].to_numpy()), 1)
        matrices.append((model, counts))
    uri = figures.draw(figures.make_confusion_figure, matrices, classes)
    return markup.section(
        f"Which {target} is taken for which",
        markup.figure(
            uri,
            f"Confusion matrices of {' and '.join(models)}, in percent of the true moments",
            "Percent of each true state's moments (all held-out recordings together); rows add up to 100. "
            "The number of moments stands beside the state's name; a row without moments is empty.",
        ),
    )


def _trace_section(parts: Sequence[Predictions], model: str, target: str) -> str:
    rows = []
    for recording in _recordings(parts):
        table = _rows_of(parts, model, recording)
        rows.append((recording, *(table[column].to_numpy() for column in ("time", "truth", "prediction"))))
    uri = figures.draw(figures.make_trace_figure, rows, str(parts[0].info["units"]), vector=False)
    return markup.section(
        f"True and predicted {target} over time",
        markup.figure(uri, f"Traces of true and predicted {target}", f"Black: true; red: predicted by {model}."),
    )


def make_forecast_section(scores: Scores) -> str:
    table = scores.table[scores.table["kind"] == FORECAST]
    if table.empty:
        return ""
    parts = []
    for target, here in table.groupby("target", sort=False):
        summary = scores.summary[(scores.summary["kind"] == FORECAST) & (scores.summary["target"] == target)]
        models = [model for model in _in_order(summary) if model != COPY_LAST]
        roles = summary.groupby("model")["role"].first()
        colours = make_model_colours(models, [roles[model] for model in models])
        uri = figures.draw(figures.make_skill_figure, here, summary, models, colours)
        parts.append(
            markup.figure(
                uri,
                f"Forecast skill of {target} by horizon; the numbers are in the tables below",
                f"{target}: 1 − MSE / MSE of copying the last value. Dots are subjects; diamonds and bars are means "
                "and 95 % intervals; below the dashed line a forecast is worse than no change.",
            )
        )
        for horizon in sorted(here["horizon_seconds"].unique()):
            parts.append(f"<h3>{markup.text(target)}, {horizon:g} s ahead</h3>")
            at = [frame[frame["horizon_seconds"] == horizon] for frame in (here, summary)]
            parts.append(_score_table(at[0], at[1], models, floor=COPY_LAST))
        rows = scores.differences
        rows = rows[(rows["kind"] == FORECAST) & (rows["target"] == target)]
        for horizon in sorted(rows["horizon_seconds"].unique()):
            words = f"{target}, {horizon:g} s ahead: model − baseline, paired by subject"
            parts += [f"<h3>{markup.text(words)}</h3>", _difference_table(rows[rows["horizon_seconds"] == horizon])]
    return markup.section("Forecasts", *parts)


def make_heatmap_section(run: Run) -> str:
    if run.heatmap is None:
        return ""
    classes = next((part.info["classes"] for part in run.predictions if part.info["kind"] == CLASS), None)
    names = classes or [str(code) for code in range(int(run.heatmap.codes.max(initial=0)) + 1)]
    if run.heatmap.codes.max(initial=-1) >= len(names):
        raise NeurodataError(f"heatmap.npz: codes run to {run.heatmap.codes.max()} but there are {len(names)} states")
    uri = figures.draw(figures.make_heatmap_figure, run.heatmap, names, make_state_colours(names), vector=False)
    recording = run.heatmap.recording or "one recording"
    return markup.section(
        "A recording to look at",
        markup.figure(
            uri,
            f"Heat map of {recording}: {run.heatmap.values.shape[1]} channels by time, with the state under it",
            f"{recording}: each neuron z-scored over the recording for display only, named ones on top; both blocks in "
            "the order of the first principal component. White: not recorded.",
        ),
    )


def make_curve_section(run: Run) -> str:
    if run.curves is None or run.curves.empty:
        return ""
    models = list(dict.fromkeys(run.curves["model"]))
    uri = figures.draw(figures.make_curve_figure, run.curves, make_model_colours(models, [MODEL] * len(models)))
    return markup.section(
        "Learning curves",
        markup.figure(
            uri,
            f"Loss by step for {', '.join(models)}",
            "Thin lines are folds, thick ones their mean; solid: training, dashed: validation.",
        ),
    )


def _in_order(summary: pd.DataFrame) -> list[str]:
    """Return predictors: models, then baselines, then chance, each from best to worst."""
    means = summary.groupby(["model", "role"])["mean"].mean()
    return [model for model, _ in sorted(means.index, key=lambda name: (_ROLE_ORDER[name[1]], -means[name]))]


def _best_baseline(scores: Scores, kind: str, target: str) -> str:
    rows = scores.differences
    here = (rows["kind"] == kind) & (rows["target"] == target) & (rows["metric"] == FIRST_METRIC[kind])
    return str(rows[here & rows["best"]]["other"].iloc[0])


def shorten(recordings: Sequence[str]) -> list[str]:
    """Return recording ids without their dataset where all have the same one."""
    datasets = {recording.partition("/")[0] for recording in recordings}
    same = len(datasets) == 1 and all(recording.partition("/")[2] for recording in recordings)
    return [recording.partition("/")[2] if same else recording for recording in recordings]


def _recordings(parts: Sequence[Predictions]) -> list[str]:
    return sorted({recording for part in parts for recording in part.info["evaluated_on"]})


def _rows_of(parts: Sequence[Predictions], model: str, recording: str) -> pd.DataFrame:
    """Return a model's rows for a recording in order of time; of several seeds the first is shown."""
    tables = [p for p in parts if p.info["model"] == model and recording in p.info["evaluated_on"]]
    seed = min(str(part.info["seed"]) for part in tables)
    table = pd.concat([part.table for part in tables if str(part.info["seed"]) == seed])
    return table[table["recording"] == recording].sort_values("time")
