"""Forecasting in one fold: the network, a GRU and ridge regression against copying the last value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names
from neurodata.batches.datamodule import TRAINING, RecordingDataModule
from neurodata.predictions import BASELINE, FORECAST, MODEL, Predictions

from .build import make_task
from .fold import Fold, FoldResult, fit_stage, make_info, make_table, new_network, part_tables, save_checkpoint
from .ridge_forecast import ridge_forecast
from .tasks.forecast import Forecast
from .train import predict

ORIGIN_STRIDE_SECONDS = 2.0
"""Between two moments from which a held-out recording is forecast."""

RIVALS: dict[str, dict[str, Any]] = {"gru": {}}
"""Networks trained beside the recipe's own, with their options."""


def run_forecasts(fold: Fold, result: FoldResult) -> None:
    """Train the recipe's network and its rivals to forecast, and predict the held-out recordings beside ridge.

    Values are scaled by training statistics, so that nothing of the held-out future is known.
    """
    recipe = fold.recipe
    data = fold.datamodule(fold.final, recipe.forecast, scaling=TRAINING, target="")
    data.setup()
    loader = data.covering_dataloader(names.TEST, ORIGIN_STRIDE_SECONDS)
    batches = list(loader)
    rows = [(int(r), int(f)) for batch in batches for r, f in zip(batch.recording, batch.first)]
    tests = data.split.recordings(names.TEST)
    for name, options in {recipe.network: recipe.network_options, **RIVALS}.items():
        settings = {"learning_rate": recipe.forecast.learning_rate, "horizons_seconds": recipe.horizons_seconds}
        network = new_network(fold, data, recipe.seed, name, options)
        task = make_task("forecast", network, {**recipe.forecast.options, **settings})
        task = fit_stage(fold, result, task, data, recipe.forecast, recipe.seed, name, "forecast")
        save_checkpoint(fold, result, task, data, f"forecast-{name}", recipe.seed)
        outputs = [(f.numpy(), last.numpy()) for f, last in predict(task, loader)]
        futures = [future for batch, _ in outputs for future in batch]
        lasts = [last for _, batch in outputs for last in batch]
        assert isinstance(task, Forecast)
        for number, recording_id in enumerate(tests):
            chosen = [i for i, (r, _) in enumerate(rows) if r == number]
            origins = np.asarray([rows[i][1] + task.cut - 1 for i in chosen])
            n_channels = len(data.prepared(recording_id).channel_ids)
            future = np.stack([futures[i][:, :n_channels] for i in chosen]).astype(np.float64)
            last = np.stack([lasts[i][:n_channels] for i in chosen]).astype(np.float64)
            found = _predictions(fold, data, name, MODEL, recording_id, origins, future, last)
            result.predictions.append(found)
            if name == recipe.network:
                result.predictions.append(_ridge(fold, data, recording_id, origins, last))


def _ridge(
    fold: Fold, data: RecordingDataModule, recording_id: str, origins: NDArray[np.int64], last: NDArray[np.float64]
) -> Predictions:
    recipe = fold.recipe
    selecting = fold.datamodule(fold.selecting, recipe.forecast, scaling=TRAINING, target="")
    selecting.setup()
    train, validation = (part_tables(selecting, part) for part in (names.TRAIN, names.VALIDATION))
    test = make_table(data, recording_id)
    future = np.repeat(last[:, None], len(recipe.horizons_seconds), axis=1)
    for position, horizon in enumerate(recipe.horizons_seconds):
        step = round(horizon * recipe.rate_hz)
        found = ridge_forecast(train, validation, test, origins, step, recipe.rate_hz)
        for column, channel in enumerate(test.channel_ids.tolist()):
            future[:, position, column] += found.change.get(channel, 0.0)
    return _predictions(fold, data, "ridge", BASELINE, recording_id, origins, future, last)


def _predictions(fold: Fold, data: RecordingDataModule, model: str, role: str, recording_id: str, origins: NDArray[np.int64], future: NDArray[np.float64], last: NDArray[np.float64]) -> Predictions:  # fmt: skip
    """Forecasts whose truth was recorded; ``future`` is ``(origin, horizon, channel)``, ``last`` ``(origin, channel)``."""
    recipe, table = fold.recipe, make_table(data, recording_id)
    labels = np.asarray(["", *data.spec.vocabulary])[table.channel_ids]
    frames = []
    for position, horizon in enumerate(recipe.horizons_seconds):
        samples = origins + round(horizon * recipe.rate_hz)
        truth = table.values[samples]
        known = np.isfinite(truth) & np.isfinite(table.values[origins])
        row, column = np.nonzero(known)
        frames.append(
            pd.DataFrame(
                {
                    "time": samples[row] / recipe.rate_hz,
                    "truth": truth[known],
                    "prediction": future[:, position][known],
                    "channel": labels[column],
                    "horizon_seconds": float(horizon),
                    "last": last[known],
                }
            )
        )
    found = pd.concat(frames, ignore_index=True)
    found.insert(0, "recording", recording_id)
    found.insert(1, "subject", data.split.subjects.get(recording_id, recording_id))
    return Predictions(found, make_info(fold, data, model, role, FORECAST, recording_id, recipe.seed, {}))
