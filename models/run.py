"""Runs: one split from a settings file, or leave-one-subject-out; each ends in a folder a report is made from."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from neurodata import names
from neurodata.errors import NeurodataError
from neurodata.predictions import FORECAST, write_predictions
from neurodata.recording.recording import Recording
from neurodata.store.store import Store
from neurodata.windows.align import codes_at
from neurodata.windows.make_spec import make_spec
from neurodata.windows.prepare import ALL, identities, prepare
from neurodata.windows.splits import Split, SplitRule

from .check_run import about, check_run
from .decoding import run_decoding
from .fold import Fold, FoldResult
from .forecasting import run_forecasts
from .recipe import Recipe

RUN_FILE = "run.json"

Progress = Callable[[str], None]
"""Called with the name of each fold when it is done."""


def run_fold(fold: Fold) -> FoldResult:
    """Train and predict one fold; writes checkpoints into the run folder, returns all else."""
    result = FoldResult()
    if fold.recipe.target and fold.recipe.decode.steps:
        run_decoding(fold, result)
    if fold.recipe.forecast.steps:
        run_forecasts(fold, result)
    return result


def leave_one_subject_out(
    store: Store,
    recipe: Recipe,
    folder: str | Path,
    *,
    command: str,
    title: str,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Hold out each subject in turn, train on the others, and write a run folder.

    For each held-out subject the next one (in order) is the validation subject on which baselines choose their
    settings; baselines and models are then fitted on all subjects but the held-out one.

    Parameters
    ----------
    store
        Recordings of at least three subjects.
    recipe
        Settings.
    folder
        Run folder; replaced where it exists.
    command, title
        What was typed, and what the report is called.
    workers
        Folds trained at the same time, each in a process of its own.
    progress
        Called with each finished fold's name.

    Returns
    -------
    folder
        Ready for `neurodata.report.page.write_report`.

    Raises
    ------
    NeurodataError
        If there are fewer than three subjects.
    """
    table = store.table
    subjects = sorted(set(table["subject"]))
    if len(subjects) < 3:
        raise NeurodataError(
            f"leave-one-subject-out needs at least 3 subjects (train, validation, test), the store has {len(subjects)}: "
            f"{', '.join(subjects) or 'none'}"
        )
    folds = []
    for number, subject in enumerate(subjects):
        after = subjects[(number + 1) % len(subjects)]
        selecting = SplitRule("subject", {names.VALIDATION: (after,), names.TEST: (subject,)}).apply(store)
        name = subject.split("/", 1)[1]
        folds.append(Fold(name, store.path, selecting, join_validation(selecting), recipe, Path(folder)))
    for fold in folds:
        check_run(fold)
    folder = _fresh(folder)
    results = _run_folds(folds, workers, progress)
    write_run(folder, store, folds, results, command=command, title=title)
    return folder


def join_validation(split: Split) -> Split:
    """Return the split with validation's stretches added to train: what final models are fitted on."""
    train = (*split.parts[names.TRAIN], *split.parts.get(names.VALIDATION, ()))
    parts = {names.TRAIN: tuple(sorted(train)), names.TEST: split.parts[names.TEST]}
    return Split(parts, split.by, split.subjects, split.contents)


def train_run(
    store: Store, rule: SplitRule, recipe: Recipe, folder: str | Path, *, command: str, resume: bool = False
) -> Path:
    """Train on one split, predict its test part, and write a run folder.

    Raises
    ------
    NeurodataError
        If the split has no validation or test part, or the folder exists and ``resume`` is False.
    """
    folder, run_file = Path(folder), Path(folder) / RUN_FILE
    if folder.exists() and not resume:
        raise NeurodataError(f"run {str(folder)!r} is there already; choose another name, delete it, or --resume")
    with about("split"):
        split = rule.apply(store)
    missing = [part for part in names.PARTS if part not in split.parts]
    if missing:
        raise NeurodataError(
            f"split.{missing[0]}: the split has no {' and no '.join(missing)} part; name recordings or fractions for it"
        )
    fold = Fold("split", store.path, split, join_validation(split), recipe, folder, resumable=True)
    check_run(fold)
    if run_file.exists():  # only its scores and report were still to be made
        if json.loads(run_file.read_text(encoding="utf-8"))["recipe"] != recipe.model_dump(mode="json"):
            raise NeurodataError(f"run {str(folder)!r} is finished, with another recipe; choose another name")
    else:
        _make(folder)
        try:
            result = run_fold(fold)
        except NeurodataError:
            with suppress(OSError):  # settings that cannot work leave no folder; a run that began keeps its states
                folder.rmdir()
            raise
        write_run(folder, store, [fold], [result], command=command, title=folder.name)
    shutil.rmtree(folder / "resume", ignore_errors=True)
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NeurodataError(f"the run's folder {str(folder)!r} cannot be made: {error.strerror}") from error


def _fresh(folder: str | Path) -> Path:
    folder = Path(folder)
    if folder.exists() and not (folder / RUN_FILE).exists() and any(folder.iterdir()):
        raise NeurodataError(f"{str(folder)!r} is not a run folder and not empty; choose another place for the run")
    shutil.rmtree(folder, ignore_errors=True)
    _make(folder)
    return folder


def _run_folds(folds: Sequence[Fold], workers: int, progress: Progress | None) -> list[FoldResult]:
    if workers <= 1:
        results = []
        for fold in folds:
            results.append(run_fold(fold))
            if progress is not None:
                progress(fold.name)
        return results
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_limit_threads, initargs=(threads,)) as pool:
        futures = [pool.submit(run_fold, fold) for fold in folds]
        for fold, future in zip(folds, futures):
            future.result()
            if progress is not None:
                progress(fold.name)
        return [future.result() for future in futures]


def _limit_threads(threads: int) -> None:
    """Keep a worker to its share of the cores: torch, and the BLAS and OpenMP of scikit-learn."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def write_run(folder: Path, store: Store, folds: Sequence[Fold], results: Sequence[FoldResult], *, command: str, title: str) -> None:  # fmt: skip
    """Write predictions, curves, a heat map and ``run.json`` of finished folds."""
    (folder / "predictions").mkdir(exist_ok=True)
    for result in results:
        for found in result.predictions:
            info = found.info
            output = info["target"].removeprefix(folds[0].recipe.target).strip("/") if info["kind"] != FORECAST else ""
            parts = [info["fold"], info["kind"], info["model"], info["evaluated_on"][0].split("/")[1], output]
            name = re.sub(r"[^A-Za-z0-9_.+=-]", "_", "-".join(part for part in parts if part))
            write_predictions(found, folder / "predictions" / f"{name}.parquet")
    curves = [curve for result in results for curve in result.curves]
    if curves:
        pd.concat(curves, ignore_index=True).to_csv(folder / "curves.csv", index=False)
    used = sorted({r for fold in folds for part in fold.final.parts for r in fold.final.recordings(part)})
    contents = folds[0].final.contents
    recipe = folds[0].recipe
    _write_heatmap(folder / "heatmap.npz", store[used[0]], recipe)
    provenance = {
        "title": title,
        "command": command,
        "main_model": recipe.network,
        "seed": recipe.seed,
        "split_hash": {fold.name: fold.final.digest for fold in folds},
        "store": store.path.parts[-1],
        "recordings": [_describe(store[recording_id], recipe, contents[recording_id]) for recording_id in used],
        "checkpoints": [entry for result in results for entry in result.checkpoints],
        "chosen_on_validation": {key: value for result in results for key, value in result.chosen.items()},
        "recipe": recipe.model_dump(mode="json"),
        "versions": _versions(),
        "machine": _machine(),
        "notes": _notes(recipe, folds[0].final.by),
    }
    # Last and at once: a folder with this file is a whole run, whenever the process was killed.
    text = json.dumps(provenance, indent=1, allow_nan=False, ensure_ascii=False)
    (folder / f"{RUN_FILE}.partial").write_text(text, encoding="utf-8")
    os.replace(folder / f"{RUN_FILE}.partial", folder / RUN_FILE)


def _notes(recipe: Recipe, by: str) -> list[str]:
    if by == "subject":
        notes = [
            "Each held-out subject is predicted by models that saw neither its activity nor its labels in training or pretraining.",
            "Settings of baselines were chosen on the validation subject, then all were fitted on every subject but the held-out one.",
        ]
    else:
        notes = [
            f"Training, validation and test parts are kept apart by {by}; an animal may be in all of them.",
            "Settings of baselines were chosen on the validation part, then all were fitted on training and validation together.",
        ]
    if recipe.scaling == "recording":
        notes.append(
            "For decoding, every recording (the held-out one too) is z-scored per channel by its own mean and spread, from "
            "its training stretches where it has some; this uses activity, not labels, and is the same for the model and "
            "all baselines."
        )
    return notes


def _describe(recording: Recording, recipe: Recipe, content_sha256: str) -> dict[str, Any]:
    found = identities(recording, recipe.inputs, recipe.identity)
    duration = recording.duration_seconds
    rate: float | None = None
    if recipe.inputs in recording.signals:
        signal = recording.signals[recipe.inputs]
        rate = signal.attrs.get(names.SAMPLING_RATE) or round(signal.sizes[names.TIME] / duration, 4)
    return {
        "recording_id": recording.recording_id,
        "subject": recording.subject_key,
        "species": recording.metadata["subject"]["species"],
        "n_channels": int(found.size),
        "n_named": int((found != "").sum()),
        "rate_hz": float(rate or recipe.rate_hz),
        "duration_seconds": float(duration),
        "licence": recording.metadata.get("licence", "unknown"),
        "citation": recording.metadata.get("citation", "unknown"),
        "content_sha256": content_sha256,
    }


def _versions() -> dict[str, str]:
    packages = ("neurodata", "torch", "lightning", "scikit-learn", "numpy", "xarray", "zarr")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}"


def _write_heatmap(path: Path, recording: Recording, recipe: Recipe) -> None:
    """Save one recording's raw activity with the target's codes beside it, for the report to draw."""
    if recipe.inputs in recording.events:
        spec = make_spec(
            [recording], inputs=recipe.inputs, rate_hz=recipe.rate_hz, window_seconds=recipe.window_seconds
        )
        values = prepare(recording, spec, channels=ALL).values
        times = np.arange(len(values)) / recipe.rate_hz
    else:
        signal = recording.signals[recipe.inputs]
        values, times = np.asarray(signal.values, np.float32), np.asarray(signal[names.TIME].values)
    codes = np.full(len(times), -1)
    if recipe.target in recording.intervals:
        found = codes_at(recording.intervals[recipe.target], times)
        known = np.unique(recording.intervals[recipe.target][names.CODE].values)
        codes = np.where(found >= 0, np.searchsorted(known, found), -1)
    np.savez_compressed(
        path,
        values=values,
        time=times,
        labels=identities(recording, recipe.inputs, recipe.identity),
        codes=codes.astype(np.int64),
        recording=np.asarray(recording.recording_id),
    )
