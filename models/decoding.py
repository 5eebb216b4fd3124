"""Decoding in one fold: pretrain, decode, predict the held-out recordings, and the baselines beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.errors import LeakageError, NeurodataError
from neurodata.predictions import BASELINE, MODEL, Predictions
from neurodata.predictions import CLASS as CLASS_KIND
from neurodata.predictions import CONTINUOUS as CONTINUOUS_KIND
from neurodata.windows.spec import CLASS
from neurodata.windows.splits import Split, check_unseen

from .baselines import Table, class_baselines, ridge_decoder
from .build import make_task
from .checkpoints import read_config, transfer
from .fold import Fold, FoldResult, fit_stage, make_info, make_table, new_network, part_tables, save_checkpoint
from .task import Task
from .train import WINDOWS_PER_SAMPLE, decode


def run_decoding(fold: Fold, result: FoldResult) -> None:
    recipe = fold.recipe
    data = fold.datamodule(fold.final, recipe.decode, scaling=recipe.scaling, target=recipe.target)
    data.setup()
    outputs = []
    for member in range(recipe.members):
        task = _train_decoder(fold, result, data, recipe.seed + member, pretrained=recipe.pretrain.steps > 0)
        outputs.append(decode(task, data.covering_dataloader(names.TEST, recipe.window_seconds / WINDOWS_PER_SAMPLE)))
    for number, first in enumerate(outputs[0]):
        values = np.mean([output[number].values for output in outputs], axis=0)
        truth = make_table(data, first.recording_id)
        result.predictions += _predictions(
            fold, data, recipe.network, MODEL, first.recording_id, first.samples, values, recipe.seed, {}
        )
        result.predictions += list(_decoding_baselines(fold, data, truth, first.samples, result))


def check_pretrained(manifest: Mapping[str, Any], split: Split, what: str) -> None:
    """Raise unless a checkpoint's own manifest shows that it was trained without what the split scores on.

    Where animals or recordings are kept apart, it may have seen none of the test part's; where time is, both sides are
    of the same recordings, and it must have been trained on the training stretches of this very split.

    Raises
    ------
    LeakageError
        Names what was seen, or the two splits.
    """
    if split.by in ("subject", "recording"):
        subjects = split.subjects if split.by == "subject" else {}
        check_unseen(list(manifest["trained_on"]), split.recordings(names.TEST), subjects, what)
    elif manifest["split_sha256"] != split.digest:
        raise LeakageError(
            f"{what} was trained on split {manifest['split_sha256']}, this is split {split.digest}; pretrain on this one"
        )


def _train_decoder(fold: Fold, result: FoldResult, data: RecordingDataModule, seed: int, *, pretrained: bool) -> Task:
    recipe = fold.recipe
    network = new_network(fold, data, seed)
    if pretrained:
        plain = fold.datamodule(fold.final, recipe.pretrain, scaling=recipe.scaling, target=recipe.target)
        learner = make_task(
            "pretrain", network, recipe.pretrain.options | {"learning_rate": recipe.pretrain.learning_rate}
        )
        learner = fit_stage(fold, result, learner, plain, recipe.pretrain, seed, recipe.network, "pretrain")
        folder = save_checkpoint(fold, result, learner, plain, f"pretrained-{seed}", seed)
        check_pretrained(read_config(folder)["manifest"], data.split, f"checkpoint {folder.name!r}")
        network = new_network(fold, data, seed)
        transfer(learner.network, network)
    options: dict[str, Any] = dict(recipe.decode.options) | {"learning_rate": recipe.decode.learning_rate}
    if recipe.decode.options.get("lagged_readout", True):
        options["lags_seconds"] = sorted({0.0, *recipe.lags_seconds})
    if data.spec.target_kind == CLASS:
        options["class_counts"] = data.target_counts().tolist()
    else:
        mean, std = data.target_statistics()
        options |= {"output_mean": mean.tolist(), "output_std": std.tolist()}
    task = make_task("decode", network, options)
    task = fit_stage(fold, result, task, data, recipe.decode, seed, recipe.network, "decode")
    save_checkpoint(fold, result, task, data, f"decoder-{seed}", seed)
    return task


def _decoding_baselines(
    fold: Fold, data: RecordingDataModule, test: Table, samples: NDArray[np.int64], result: FoldResult
) -> Iterator[Predictions]:
    recipe = fold.recipe
    selecting = fold.datamodule(fold.selecting, recipe.decode, scaling=recipe.scaling, target=recipe.target)
    selecting.setup()
    train, validation = (part_tables(selecting, part) for part in (names.TRAIN, names.VALIDATION))
    if not validation:
        raise NeurodataError(
            "baselines choose their settings on validation recordings; name some under split.validation"
        )
    if data.spec.target_kind == CLASS:
        found = class_baselines(
            train, validation, test, recipe.rate_hz, data.spec.n_outputs, recipe.seed, recipe.lags_seconds
        )
        for baseline in found:
            result.chosen[f"{fold.name}/{baseline.name}"] = dict(baseline.chosen)
            values = baseline.probabilities[samples]
            yield from _predictions(fold, data, baseline.name, baseline.role, test.recording_id, samples, values, recipe.seed, baseline.chosen)  # fmt: skip
        return
    decoded, alpha = ridge_decoder(train, validation, test, recipe.rate_hz, recipe.lags_seconds)
    known = np.concatenate([np.asarray(t.target) for t in (*train, *validation)])
    mean = np.tile(np.nanmean(known, axis=0), (len(samples), 1))
    yield from _predictions(fold, data, "mean", BASELINE, test.recording_id, samples, mean, recipe.seed, {})
    yield from _predictions(fold, data, "ridge", BASELINE, test.recording_id, samples, decoded[samples], recipe.seed, {"alpha": alpha})  # fmt: skip


def _predictions(fold: Fold, data: RecordingDataModule, model: str, role: str, recording_id: str, samples: NDArray[np.int64], values: NDArray[np.float64], seed: int, more: Mapping[str, Any]) -> Iterator[Predictions]:  # fmt: skip
    """Predictions of samples whose truth is known: one of a class, or one for each continuous output."""
    prepared = data.prepared(recording_id)
    truth = np.asarray(prepared.target)[samples]
    common: dict[str, Any] = {
        "recording": recording_id,
        "subject": data.split.subjects.get(recording_id, recording_id),
        "time": samples / prepared.rate_hz,
    }
    if data.spec.target_kind == CLASS:
        table = pd.DataFrame({**common, "truth": truth, "prediction": values.argmax(1)})
        for code in range(values.shape[1]):
            table[f"probability_{code}"] = values[:, code]
        table = table[truth >= 0].reset_index(drop=True)
        yield Predictions(table, make_info(fold, data, model, role, CLASS_KIND, recording_id, seed, more))
        return
    for output, name in enumerate(data.spec.classes):
        table = pd.DataFrame({**common, "truth": truth[:, output], "prediction": values[:, output]})
        table = table[np.isfinite(truth[:, output])].reset_index(drop=True)
        if table["truth"].nunique() < 2:
            continue  # a coordinate that never moves (the height of a planar reach) cannot be scored
        info = make_info(fold, data, model, role, CONTINUOUS_KIND, recording_id, seed, more)
        target = info["target"] if len(data.spec.classes) == 1 else f"{info['target']}/{name}"
        yield Predictions(table, info | {"target": target})
