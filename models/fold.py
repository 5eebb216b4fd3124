"""One fold of a run: its split, its settings, and what every stage of it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from neurodata import names
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.predictions import CLASS, FORECAST, Predictions
from neurodata.store.remote import RemoteFiles
from neurodata.windows.splits import Split

from .baselines import Table
from .build import make_network
from .checkpoints import WEIGHTS, save_pretrained
from .network import Network
from .recipe import Recipe, Stage
from .task import Task
from .train import CURVE_COLUMNS, fit

EPOCH_STEPS = 25
"""Steps per epoch, after each of which an interrupted run can be resumed."""


@dataclass
class FoldResult:
    """What a fold gives: predictions of all models and baselines, losses by step, and the checkpoints it wrote."""

    predictions: list[Predictions] = field(default_factory=list)
    curves: list[pd.DataFrame] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """Everything a fold needs, so that it can run in another process.

    Parameters
    ----------
    name
        Names the fold in predictions, curves and checkpoints, for example ``worm1``.
    store
        The store's folder or address.
    selecting
        Train, validation and test; baselines choose their settings on validation here.
    final
        The same test part; train holds validation's recordings too.
    recipe
        Settings.
    folder
        Run folder; checkpoints go to ``checkpoints/<name>/``.
    resumable
        Whether states to resume from are kept under ``resume/`` while training goes on.
    """

    name: str
    store: Path | RemoteFiles
    selecting: Split
    final: Split
    recipe: Recipe
    folder: Path
    resumable: bool = False

    def datamodule(self, split: Split, stage: Stage, *, scaling: str, target: str) -> RecordingDataModule:
        """Return windows of this fold for a stage."""
        recipe = self.recipe
        return RecordingDataModule(
            self.store,
            inputs=recipe.inputs,
            target=target,
            split=split,
            window_seconds=recipe.window_seconds,
            rate_hz=recipe.rate_hz,
            batch_size=stage.batch_size,
            batches_per_epoch=max(1, min(stage.steps, EPOCH_STEPS)),
            scaling=scaling,
            identity=recipe.identity,
            views=recipe.views,
            seed=recipe.seed,
        )


def new_network(
    fold: Fold,
    datamodule: RecordingDataModule,
    seed: int,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Network:
    """Return an untrained network, the recipe's where no other is named.

    It and the task that is made next depend on the seed alone: not on what was trained, or resumed, before.
    """
    torch.manual_seed(seed)
    options = fold.recipe.network_options if options is None else options
    network: Network = make_network(name or fold.recipe.network, datamodule.spec, options)
    return network


def fit_stage(fold: Fold, result: FoldResult, task: Task, datamodule: RecordingDataModule, stage: Stage, seed: int, model: str, phase: str) -> Task:  # fmt: skip
    fitted = fit(
        task,
        datamodule.train_dataloader(),
        steps=stage.steps,
        seed=seed,
        precision=fold.recipe.precision,
        compile_network=fold.recipe.compile_network,
        devices=fold.recipe.devices,
        folder=fold.folder / "resume" / f"{fold.name}-{phase}-{model}-{seed}" if fold.resumable else None,
    )
    curve = fitted.curve.assign(model=model, fold=fold.name, phase=phase)
    result.curves.append(curve[list(CURVE_COLUMNS)])
    return fitted.task


def save_checkpoint(
    fold: Fold, result: FoldResult, task: Task, datamodule: RecordingDataModule, name: str, seed: int
) -> Path:
    """Write a checkpoint whose manifest says what it was trained on."""
    table = datamodule.store.table.set_index("recording_id")
    trained = datamodule.split.recordings(names.TRAIN)
    rows = table.loc[trained]
    manifest = {
        "trained_on": {recording: table.loc[recording, "content_sha256"] for recording in trained},
        "split_sha256": datamodule.split.digest,
        "fold": fold.name,
        "seed": seed,
        "scaling": datamodule.scaling,
        "statistics": datamodule.pooled_statistics(),
        "licence": "; ".join(sorted(set(rows["licence"].dropna()))),
        "recipe": fold.recipe.model_dump(mode="json"),
    }
    folder = fold.folder / "checkpoints" / fold.name / name
    save_pretrained(task, folder, manifest)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    path = folder.relative_to(fold.folder).as_posix()
    result.checkpoints.append({"name": path, "fold": fold.name, "sha256": digest, "trained_on": trained})
    return folder


def make_table(data: RecordingDataModule, recording_id: str) -> Table:
    """Return one recording, scaled, as baselines read it."""
    prepared = data.prepared(recording_id)
    mean, std = data.statistics[recording_id]
    target = np.zeros((len(prepared.values), 0), np.float32) if prepared.target is None else prepared.target
    return Table(recording_id, (prepared.values - mean) / std, prepared.channel_ids, target)


def part_tables(data: RecordingDataModule, part: str) -> list[Table]:
    """A part's recordings, each cut to the part's stretches."""
    tables = []
    for stretch in data.split.parts.get(part, ()):
        whole = make_table(data, stretch.recording_id)
        span = data.prepared(stretch.recording_id).samples(stretch)
        name = f"{stretch.recording_id}@{stretch.start:g}"
        tables.append(Table(name, whole.values[span], whole.channel_ids, whole.target[span]))
    return tables


def make_info(fold: Fold, data: RecordingDataModule, model: str, role: str, kind: str, recording_id: str, seed: int, more: Mapping[str, Any]) -> dict[str, Any]:  # fmt: skip
    classes = list(data.spec.classes) if kind == CLASS else None
    return {
        "model": model,
        "kind": kind,
        "target": fold.recipe.inputs if kind == FORECAST else fold.recipe.target,
        "classes": classes,
        "role": role,
        "fold": fold.name,
        "seed": seed,
        "split_hash": data.split.digest,
        "trained_on": data.split.recordings(names.TRAIN),
        "evaluated_on": [recording_id],
        "units": {CLASS: "class", FORECAST: "training standard deviations"}.get(kind, "target units"),
        "chosen": dict(more),
    }
