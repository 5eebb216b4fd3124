"""Networks on a fold: the encoder by every strategy, and the networks that stand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

import neurodata as nd
from neurodata import names
from neurodata.batches.collate import collate
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.loader import WindowLoader
from neurodata.batches.sampling import DrawnWindows
from neurodata.models.build import make_network, make_task
from neurodata.models.checkpoints import read_config
from neurodata.models.linear_start import LinearReadout, fit_readout
from neurodata.models.task import Task
from neurodata.models.train import decode, fit, predict
from neurodata.predictions import BASELINE, MODEL, Predictions
from neurodata.store.store import Store

from .data import Labelled, label, label_options, open_data, trial_windows
from .grid import LEARNING_RATES, NETWORK_RATE, PUBLISHED, SCRATCH, STRATEGIES, Cell, steps_of
from .outcomes import Source, sample_predictions, trial_predictions
from .rows import Fold, Row, check_clean

SIZE = "nano"
"""Of the encoder that learns from scratch; that of the checkpoints."""

PUBLISHED_STEPS = 1600
"""Of the GRU for hand velocity in docs/results/modalities.md, with batches of 32 and a width of 96."""


@dataclass(frozen=True)
class Trained:
    """A trained `Decode` task with the data it fits, and how many steps it took."""

    task: Task
    data: RecordingDataModule
    steps: int


def train_encoder(
    store: Store, row: Row, fold: Fold, cell: Cell, cache: Path, checkpoints: Path, scale: float
) -> Trained:
    """Adapt the encoder to a fold's labels, from scratch or from the joint checkpoint that saw nothing of its test part.

    Raises
    ------
    LeakageError
        If the checkpoint cannot show that.
    """
    from neurodata.models.adapt import adapt

    steps = steps_of(row, cell.share, scale)
    data = open_data(store, row, fold, cache, own=False, steps=steps)
    labelled = label(store, row, fold, cell.share)
    torch.manual_seed(cell.seed)
    model = (
        make_network("perceiver", data.spec, {"size": SIZE})
        if cell.predictor == SCRATCH
        else _pretrained(checkpoints, fold)
    )
    task = adapt(
        model,
        data,
        strategy=STRATEGIES[cell.predictor],
        steps=steps,
        learning_rate=LEARNING_RATES[cell.predictor] * (0.5 if row.readout_lags else 1.0),
        batch_size=row.batch_size,
        seed=cell.seed,
        windows=labelled.windows,
        linear_start=_readout(row, fold, cell, data, labelled) if row.readout_lags else False,
        options=_options(row, row.readout_lags, steps) | label_options(data, labelled),
    )
    return Trained(task, data, steps)


_READOUTS: dict[tuple[str, str, float], LinearReadout] = {}
"""Linear readouts of this process: the same for every way to train the encoder on a fold's labels."""


def _readout(row: Row, fold: Fold, cell: Cell, data: RecordingDataModule, labelled: Labelled) -> LinearReadout:
    """The linear readout of a fold's labels, fitted once; it does not depend on the encoder beside it."""
    key = (row.name, fold.name, cell.share)
    if key not in _READOUTS:
        options = _options(row, row.readout_lags, row.steps) | label_options(data, labelled)
        task = make_task("decode", make_network("perceiver", data.spec, {"size": "tiny"}), options)
        _READOUTS[key] = fit_readout(task, data.windows_dataset(labelled.windows))
    return _READOUTS[key]


def _pretrained(checkpoints: Path, fold: Fold) -> Any:
    folder = checkpoints / f"fold{fold.joint_fold}"
    check_clean(read_config(folder)["manifest"], fold)
    return nd.from_pretrained(folder)


def train_network(store: Store, row: Row, fold: Fold, cell: Cell, cache: Path, scale: float) -> Trained:
    """Train the network that stands beside the encoder, with as many steps; or the GRU as it was published."""
    published = cell.predictor == PUBLISHED
    steps = max(4, round(PUBLISHED_STEPS * scale)) if published else steps_of(row, cell.share, scale)
    data = open_data(store, row, fold, cache, own=True, steps=steps)
    labelled = label(store, row, fold, cell.share)
    torch.manual_seed(cell.seed)
    network = make_network(row.network, data.spec, {"width": 96} if row.network == "gru" else {})
    lags = (0.0, *row.lags_seconds) if row.lags_seconds else ()
    options = _options(row, lags, steps) | label_options(data, labelled) | {"learning_rate": NETWORK_RATE}
    loader = _drawing(data, labelled, 2 * row.batch_size if published else row.batch_size, steps, cell.seed)
    task = make_task("decode", network, options)
    average = min(0.98, 1 - 3 / steps)  # over a third of the steps at most: the first ones know nothing
    return Trained(fit(task, loader, steps=steps, seed=cell.seed, average_decay=average).task, data, steps)


def _options(row: Row, lags_seconds: tuple[float, ...], steps: int) -> dict[str, Any]:
    """Options of the `decode` task; the learning rate rises over a tenth of the steps."""
    found: dict[str, Any] = {**row.options, "warmup_steps": max(1, min(20, steps // 10))}
    return found | ({"lags_seconds": sorted(lags_seconds)} if lags_seconds else {"lagged_readout": False})


def _drawing(data: RecordingDataModule, labelled: Labelled, batch_size: int, steps: int, seed: int) -> WindowLoader:
    dataset = data.windows_dataset(labelled.windows)
    sampler = DrawnWindows(labelled.windows, batch_size * steps, seed)
    return WindowLoader(dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate, background=True)


def predict_network(store: Store, row: Row, fold: Fold, cell: Cell, trained: Trained) -> list[Predictions]:
    """Return the predictions of a trained network on a fold's test part."""
    role = MODEL if cell.predictor in STRATEGIES else BASELINE
    source = Source(cell, cell.predictor, role, {"steps": trained.steps})
    if row.trials is not None:
        return _predict_trials(store, row, fold, source, trained)
    found = []
    for stitched in decode(trained.task, trained.data.covering_dataloader(names.TEST)):
        values = np.full((len(trained.data.prepared(stitched.recording_id)), stitched.values.shape[1]), np.nan)
        values[stitched.samples] = stitched.values
        found += sample_predictions(source, trained.data, row, fold, stitched.recording_id, values)
    return found


def _predict_trials(store: Store, row: Row, fold: Fold, source: Source, trained: Trained) -> list[Predictions]:
    test = trial_windows(store, row, fold.split.parts[names.TEST])
    known = trial_windows(store, row, fold.split.parts[names.TRAIN])
    classes = sorted(set(known.labels.tolist()))
    loader = DataLoader(trained.data.windows_dataset(test.windows), batch_size=row.batch_size, collate_fn=collate)
    found = torch.cat(predict(trained.task, loader)).double().numpy()
    columns = [trained.data.spec.classes.index(name) for name in classes]
    return trial_predictions(source, row, fold, test.table, mean_log(found[:, :, columns]), classes)


def mean_log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the samples of each trial say together, ``(trial, class)``: the mean of log probabilities, as one."""
    logs = np.log(np.maximum(probabilities, 1e-12)).mean(axis=1)
    found = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))
