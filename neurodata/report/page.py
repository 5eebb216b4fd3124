"""One self-contained HTML file that lets a person judge a run by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.errors import NeurodataError
from neurodata.predictions import BASELINE, CHANCE, CLASS, CONTINUOUS, FORECAST, MODEL, Predictions, write_whole
from neurodata.report import figures, markup
from neurodata.report.colours import make_model_colours, make_state_colours
from neurodata.report.run_folder import Run, read_run
from neurodata.report.scores import COPY_LAST, FIRST_METRIC, Scores, make_scores
from neurodata.report.verdict import label, make_interval_words, make_verdict

REPORT_NAME = "report.html"
_ROLE_ORDER = {MODEL: 0, BASELINE: 1, CHANCE: 2}
_COARSE = (
    "Intervals are 95 % percentile bootstraps over subjects (10 000 resamples). With five subjects they are coarse and "
    "somewhat too narrow: read them beside the single subjects' values."
)


def write_report(run_folder: Path | str) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Raises
    ------
    NeurodataError
        As :func:`neurodata.report.run_folder.read_run` and :func:`make_page`; nothing is written then.
    """
    path = Path(run_folder) / REPORT_NAME
    write_whole(make_page(read_run(run_folder)).encode("utf-8"), path)
    return path


def make_page(run: Run, seed: int = 0) -> str:
    """Return the report of a run as one HTML document that loads nothing from anywhere.

    Sections whose data the run does not have (forecasts, curves, heat map) are left out.

    Parameters
    ----------
    run
        The run, as ``read_run`` gives it.
    seed
        Of the bootstrap.

    Raises
    ------
    NeurodataError
        If a model would be shown without its baselines on the same split.
    """
    scores = make_scores(run.predictions, seed=seed)
    title = str(run.provenance.get("title") or run.name)
    main = choose_main_model(run)
    verdict = [markup.paragraph(words) for words in make_verdict(scores, main)]
    parts = [
        f"<header><h1>{markup.text(title)}</h1>",
        markup.paragraph(f"Run {run.name}; model under test: {main}", "note"),
        f'<div class="verdict">{"".join(verdict)}</div></header>',
        *_target_sections(run, scores, main),
        _forecast_section(scores),
        _heatmap_section(run),
        _curve_section(run),
        _data_card(run.provenance["recordings"]),
        _provenance_section(run),
    ]
    return markup.page(title, [part for part in parts if part])


def choose_main_model(run: Run) -> str:
    """Return the model a run is about: ``main_model`` of run.json, else the only one.

    Raises
    ------
    NeurodataError
        If ``main_model`` is not among the models, or if there are several and none is named: the best one is not
        picked afterwards by its scores.
    """
    models = sorted({part.info["model"] for part in run.predictions if part.info["role"] == MODEL})
    main = run.provenance.get("main_model") or (models[0] if len(models) == 1 else None)
    if main not in models:
        raise NeurodataError(
            f"run.json must name one of the models as 'main_model': expected one of {', '.join(models)}, got {main!r}"
        )
    return str(main)


def _target_sections(run: Run, scores: Scores, main: str) -> list[str]:
    """Return scores and pictures of every class or continuous target."""
    sections = []
    targets = dict.fromkeys((p.info["kind"], p.info["target"]) for p in run.predictions if p.info["kind"] != FORECAST)
    for kind, target in targets:
        sections.append(_score_section(scores, kind, target))
        mine = [p for p in run.predictions if (p.info["kind"], p.info["target"]) == (kind, target)]
        best = _best_baseline(scores, main, target)
        if kind == CLASS:
            sections.append(_state_section(mine, [main, best], target))
            sections.append(_confusion_section(mine, [main, best], target))
        if kind == CONTINUOUS:
            sections.append(_trace_section(mine, main, target))
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
        "Dots are subjects, the diamond their mean, the bar its 95 % interval. Blue: models; grey: baselines.",
    )
    tables = []
    for metric in metrics:
        tables.append(f"<h3>{markup.text(label(metric))}</h3>")
        tables.append(_score_table(table[table["metric"] == metric], summary[summary["metric"] == metric], models))
    return markup.section(f"Scores: {target}", picture, *tables, markup.paragraph(_COARSE, "note"))


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
    header = ["predictor", "role", *recordings, "mean", "95 % CI"]
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
            f"Each recording as predicted by models that were not tested on it before: truth, {models[0]}, and the best "
            f"baseline, {models[1]}.",
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


def _forecast_section(scores: Scores) -> str:
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
    return markup.section("Forecasts", *parts)


def _heatmap_section(run: Run) -> str:
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


def _curve_section(run: Run) -> str:
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


def _data_card(recordings: Sequence[Mapping[str, Any]]) -> str:
    header = ["recording", "subject", "neurons", "named", "rate (Hz)", "duration (s)"]
    rows = [
        [r["recording_id"], r["subject"], r["n_channels"], r["n_named"], _quantity(r["rate_hz"], 4),
         _quantity(r["duration_seconds"], 1)]
        for r in recordings
    ]  # fmt: skip
    licences = sorted({str(r["licence"]) for r in recordings})
    citations = sorted({str(r["citation"]) for r in recordings})
    n_subjects = len({r["subject"] for r in recordings})
    return markup.section(
        "Data card",
        markup.paragraph(f"{len(recordings)} recordings of {n_subjects} subjects."),
        markup.table(header, rows, numeric=range(2, 6)),
        markup.definitions({"licence": "; ".join(licences), "citation": "; ".join(citations)}),
    )


def _provenance_section(run: Run) -> str:
    shown = {k: v for k, v in run.provenance.items() if k not in ("recordings", "checkpoints", "title")}
    digests = {r["recording_id"]: r["content_digests"] for r in run.provenance["recordings"] if "content_digests" in r}
    parts = [markup.definitions(shown), "<h3>What each predictor was trained on</h3>", _training_table(run.predictions)]
    if run.provenance.get("checkpoints"):
        parts += ["<h3>Checkpoints</h3>", markup.definitions({"checkpoints": run.provenance["checkpoints"]})]
    if digests:
        parts += ["<h3>Content digests of the recordings</h3>", markup.definitions({"sha256": digests})]
    return markup.section("Provenance", *parts)


def _training_table(predictions: Sequence[Predictions]) -> str:
    """Return who was trained on and tested on what, and whether the two meet."""
    rows = []
    for info in (part.info for part in predictions):
        trained = info["trained_on"]
        both = sorted(set(trained or ()) & set(info["evaluated_on"]))
        meets = "unknown" if trained is None else f"other times of {', '.join(both)}" if both else "none"
        words = "unknown" if trained is None else ", ".join(trained) or "nothing"
        rows.append(
            [info["model"], info["target"], info["fold"], info["seed"], info["split_hash"], ", ".join(info["evaluated_on"]),
             words, meets]
        )  # fmt: skip
    header = [
        "predictor",
        "target",
        "fold",
        "seed",
        "split",
        "tested on",
        "trained on",
        "tested recordings in training",
    ]
    return markup.table(header, sorted(rows, key=lambda row: (str(row[1]), str(row[0]), str(row[2]))))


def _in_order(summary: pd.DataFrame) -> list[str]:
    """Return predictors: models, then baselines, then chance, each from best to worst."""
    means = summary.groupby(["model", "role"])["mean"].mean()
    return [model for model, _ in sorted(means.index, key=lambda name: (_ROLE_ORDER[name[1]], -means[name]))]


def _best_baseline(scores: Scores, model: str, target: str) -> str:
    rows = scores.differences
    here = rows["best"] & (rows["target"] == target) & (rows["metric"] == rows["kind"].map(FIRST_METRIC))
    return str(rows[here & (rows["kind"] != FORECAST)]["other"].iloc[0])


def _recordings(parts: Sequence[Predictions]) -> list[str]:
    return sorted({recording for part in parts for recording in part.info["evaluated_on"]})


def _rows_of(parts: Sequence[Predictions], model: str, recording: str) -> pd.DataFrame:
    """Return a model's rows for a recording in order of time; of several seeds the first is shown."""
    tables = [p for p in parts if p.info["model"] == model and recording in p.info["evaluated_on"]]
    seed = min(str(part.info["seed"]) for part in tables)
    table = pd.concat([part.table for part in tables if str(part.info["seed"]) == seed])
    return table[table["recording"] == recording].sort_values("time")


def _quantity(value: Any, digits: int) -> str:
    return markup.number(value, digits) if isinstance(value, (int, float)) else "unknown"
