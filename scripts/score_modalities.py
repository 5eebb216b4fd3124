"""One decoding run per modality on published recordings, each beside chance and baselines, with intervals.

``python scripts/score_modalities.py FOLDER_OF_DATA OUTPUT [RUN …]`` converts the recordings into one store, trains, scores, prints each table and writes them to OUTPUT/tables.md. How
settings were chosen, and what came out, is in docs/results/modalities.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import neurodata as nd
from neurodata.models.estimators.csp import Csp
from neurodata.models.recipe import Recipe, Stage
from neurodata.models.run import leave_one_subject_out, train_run
from neurodata.models.trials import decode_trials, stack_trials
from neurodata.predictions import Predictions
from neurodata.report.blocks import make_block_scores
from neurodata.report.run_folder import read_run
from neurodata.report.scores import make_scores

DATASETS = (
    "stevenson_reaching_2011", "benjamin_random_target_2018", "theis_spikefinder_2016", "schalk_bci2000_2004",
    "haxby_objects_2001", "guo_thalamus_2017",
)  # fmt: skip

HAND = Recipe(
    inputs="spike_counts",
    target="hand_velocity",
    identity="channel_id",
    rate_hz=20.0,
    window_seconds=2.0,
    lags_seconds=(-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3),
    scaling="training",
    network="gru",
    network_options={"width": 96},
    pretrain=Stage(steps=0),
    decode=Stage(
        steps=1600,
        learning_rate=3e-3,
        batch_size=32,
        options={"dropped_channels": 0.2, "offset": 0.0, "gain": 0.0},
    ),
    forecast=Stage(steps=0),
)
SPIKES = Recipe(
    inputs="fluorescence",
    target="spikes",
    identity="order",
    rate_hz=25.0,
    window_seconds=4.0,
    lags_seconds=(-0.4, -0.2, -0.08, 0.08, 0.16, 0.24, 0.32, 0.48, 0.64, 0.8, 1.0),
    scaling="recording",
    network="gru",
    pretrain=Stage(steps=0),
    decode=Stage(
        steps=300,
        learning_rate=3e-3,
        batch_size=32,
        options={"dropped_channels": 0.0, "offset": 0.2, "gain": 0.3, "noise": 0.05},
    ),
    forecast=Stage(steps=0),
)


def convert_all(data: Path, store: Path) -> nd.Store:
    """Convert the published recordings into one store."""
    from neurodata.catalogue import read_entry

    for name in DATASETS:
        nd.convert(name, data / read_entry("loaders", name).facts.data_folder, store)
    return nd.open_store(store)


def score_hand(store: nd.Store, recording_id: str, output: Path) -> pd.DataFrame:
    """Hand velocity from spike counts: the last fifth of the recording, a guard of window and lag before it."""
    rule = nd.split_by("time", validation=0.1, test=0.2, guard_seconds=3.0)
    chosen = store.select(recording_id=recording_id)
    folder = train_run(chosen, rule, HAND, output, command="scripts/score_modalities.py")
    nd.write_report(folder)
    found = read_run(folder).predictions
    return _by_target(found, "r2", by="time")


def score_spikes(store: nd.Store, output: Path) -> pd.DataFrame:
    """Spikes from the calcium of a neuron that no model has seen, in bins of 40 ms."""
    chosen = store.select(dataset="theis_spikefinder_2016")
    folder = leave_one_subject_out(
        chosen, SPIKES, output, command="scripts/score_modalities.py", title="calcium → spikes"
    )
    nd.write_report(folder)
    return _by_subject(read_run(folder).predictions, "pearson")


def score_eeg(store: nd.Store, runs: Sequence[int], labels: tuple[str, str]) -> pd.DataFrame:
    """Which of two movements was made or imagined, one run held out at a time."""
    epochs, names, groups = [], [], []
    for run in runs:
        recording = store[f"schalk_bci2000_2004/S001R{run:02d}"]
        found = nd.make_epochs(
            recording, "task", (0.5, 3.5), signal="eeg", where={"label": list(labels)}, view=_motor_band
        )
        values = found.clean
        epochs.append((recording, values))
        names.append(np.asarray(values["label"].values, np.str_))
        groups.append(np.full(len(values), f"run{run:02d}"))
    trials = stack_trials("movement", epochs, names, groups)
    csp = _search(
        make_pipeline(Csp(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
        {"csp__n_patterns": [2, 4, 6]},
    )
    power = _search(make_pipeline(_log_power(), StandardScaler(), LogisticRegression(max_iter=2000)), _C)
    return _by_target(
        decode_trials(trials, {"csp_lda": csp}, {"log_power_logistic": power}), "balanced_accuracy", by="moment"
    )


def score_haxby(store: nd.Store) -> pd.DataFrame:
    """Which of eight kinds of objects was shown, from one slice, one run held out at a time."""
    epochs, names, groups = [], [], []
    for recording in store.select(dataset="haxby_objects_2001"):
        quiet = recording.replace(signals={"bold": _run_scaled(recording.signals["bold"])})
        # Blocks last 22.5 s and more; the response is taken 5 s late (its peak after an impulse).
        found = quiet.align("stimulus", window=(5.0, 25.0), signal="bold")
        values = found.mean("time", skipna=True).expand_dims("time", axis=1)
        epochs.append((recording, values))
        names.append(np.asarray(found["label"].values, np.str_))
        groups.append(np.full(len(values), recording.recording_id.rpartition("/")[2]))
    trials = stack_trials("object", epochs, names, groups)
    logistic = _search(make_pipeline(_flat(), StandardScaler(), LogisticRegression(max_iter=2000)), _C)
    centroid = make_pipeline(_flat(), VarianceThreshold(), StandardScaler(), NearestCentroid())
    return _by_target(
        decode_trials(trials, {"logistic": logistic}, {"nearest_mean": centroid}), "balanced_accuracy", by="recording"
    )


def score_licks(store: nd.Store, window: tuple[float, float]) -> pd.DataFrame:
    """Which side the mouse licked, from four thalamic units; five blocks of trials held out in turn.

    Trials without light, without an early lick, in which the mouse licked after the cue.
    """
    [recording] = store.select(dataset="guo_thalamus_2017")
    table = recording.intervals["trials"]
    answered = np.isin(table["response"].values, ["correct", "incorrect"])
    used = answered & (table["is_good"].values == 1) & (table["stim_present"].values == 0)
    found = recording.align("trials/cue_start_time", window=window, rate_hz=5, where=used)
    told_left, correct = found["type"].values == "lick left", found["response"].values == "correct"
    licked = np.where(told_left == correct, "left", "right")
    block = np.array_split(np.arange(len(found)), 5)
    groups = np.concatenate([np.full(len(rows), f"block{number}") for number, rows in enumerate(block)])
    trials = stack_trials("side", [(recording, found)], [licked], [groups])
    course = _search(
        make_pipeline(_flat(), StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced")), _C
    )
    count = make_pipeline(FunctionTransformer(_total), StandardScaler(), LogisticRegression(class_weight="balanced"))
    return _by_target(
        decode_trials(trials, {"time_course_logistic": course}, {"count_logistic": count}),
        "balanced_accuracy",
        by="moment",
    )


_C = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}


def _search(pipeline: Pipeline, grid: dict[str, list[float]] | dict[str, list[int]]) -> GridSearchCV:
    """Settings are searched for inside the training groups."""
    return GridSearchCV(pipeline, grid, cv=LeaveOneGroupOut(), scoring="accuracy")


def _motor_band(signal: xr.DataArray) -> xr.DataArray:
    """8 to 30 Hz of the average reference; forwards and backwards, for a run is held out as a whole."""
    return nd.band_pass(nd.re_reference(signal, "average"), 8.0, 30.0, causal=False)


def _run_scaled(bold: xr.DataArray) -> xr.DataArray:
    """Each voxel without its trend over the run, in standard deviations of the run; no label is used."""
    from scipy.signal import detrend

    values = detrend(np.asarray(bold.values, np.float64), axis=0)
    spread = values.std(axis=0)
    return bold.copy(data=(values / np.where(spread > 0, spread, 1.0)).astype(np.float32))


def _log_power() -> FunctionTransformer:
    return FunctionTransformer(_log_variance)


def _log_variance(trials: np.ndarray) -> np.ndarray:
    return np.log(trials.var(axis=1))


def _flat() -> FunctionTransformer:
    return FunctionTransformer(_flattened)


def _flattened(trials: np.ndarray) -> np.ndarray:
    return trials.reshape(len(trials), -1)


def _total(trials: np.ndarray) -> np.ndarray:
    return trials.sum(axis=1)


def _by_target(predictions: Sequence[Predictions], metric: str, *, by: str) -> pd.DataFrame:
    tables = []
    for target in sorted({part.info["target"] for part in predictions}):
        chosen = [part for part in predictions if part.info["target"] == target]
        tables.append(make_block_scores(chosen, metric, by=by).assign(target=target, metric=metric))
    return pd.concat(tables, ignore_index=True)


def _by_subject(predictions: Sequence[Predictions], metric: str) -> pd.DataFrame:
    """The mean over neurons, with the interval over neurons: a correlation is of one neuron's bins."""
    scores = make_scores(predictions, [metric])
    table = scores.summary.rename(columns={"mean": "value", "n_subjects": "n_blocks"})
    best = scores.differences[scores.differences["best"]].set_index("model")
    for column, source in (("ahead", "difference"), ("ahead_low", "low"), ("ahead_high", "high")):
        table[column] = table["model"].map(best[source])
    return table.sort_values("value", ascending=False)


Run = Callable[[nd.Store, Path], pd.DataFrame]
RUNS: dict[str, tuple[str, Run]] = {
    "m1_hand": ("M1: hand velocity, R²", lambda store, out: score_hand(store, "stevenson_reaching_2011/m1", out)),
    "s1_hand": ("S1: hand velocity, R²", lambda store, out: score_hand(store, "benjamin_random_target_2018/s1", out)),
    "calcium_spikes": ("Calcium → spikes of an unseen neuron, 40 ms bins, correlation", score_spikes),
    "eeg_fists_feet": ("EEG: imagined fists against feet, runs 6, 10, 14", lambda store, _: score_eeg(store, (6, 10, 14), ("both_fists", "both_feet"))),
    "eeg_left_right": ("EEG: left against right fist, executed, runs 3, 7, 11", lambda store, _: score_eeg(store, (3, 7, 11), ("left_fist", "right_fist"))),
    "eeg_left_right_imagined": ("EEG: left against right fist, imagined, runs 4, 8, 12", lambda store, _: score_eeg(store, (4, 8, 12), ("left_fist", "right_fist"))),
    "haxby_objects": ("fMRI: eight kinds of objects, one slice, leave one run out", lambda store, _: score_haxby(store)),
    "guo_delay": ("Thalamus: side licked, from the 1.2 s of delay before the cue", lambda store, _: score_licks(store, (-1.2, 0.0))),
    "guo_response": ("Thalamus: side licked, from the 1 s after the cue", lambda store, _: score_licks(store, (0.0, 1.0))),
}  # fmt: skip


def main() -> None:
    """Run what is named, or everything, and write the tables."""
    data, output, wanted = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or list(RUNS)
    store = convert_all(data, output / "store")
    shown = (
        store.table.groupby(["dataset", "modality", "species"]).agg(recordings=("recording_id", "size")).reset_index()
    )
    sections = [_markdown(shown)]
    for name in wanted:
        title, run = RUNS[name]
        begin = time.time()
        table = run(store, output / "runs" / name)
        table.to_csv(output / f"{name}.csv", index=False)
        sections.append(f"### {title}\n\n{_markdown(_shown(table))}")
        print(f"{name}: {time.time() - begin:.0f} s\n{_shown(table).to_string(index=False)}\n", flush=True)
    (output / "tables.md").write_text("\n".join(sections), encoding="utf-8")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in table.itertuples():
        ahead = f"{row.ahead:+.3f} ({row.ahead_low:+.3f} to {row.ahead_high:+.3f})" if row.ahead == row.ahead else ""
        rows.append(
            {"target": row.target, "predictor": row.model, "role": row.role, row.metric: f"{row.value:.3f}",
             "95 % interval": f"{row.low:.3f} to {row.high:.3f}", "blocks": row.n_blocks, "ahead of the best other": ahead}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
