"""Predictions of a cell as `neurodata.predictions`, the same moments for every predictor of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.predictions import CLASS as CLASS_KIND
from neurodata.predictions import CONTINUOUS as CONTINUOUS_KIND
from neurodata.predictions import Predictions
from neurodata.windows.spec import CLASS

from .grid import Cell
from .rows import Fold, Row


@dataclass(frozen=True)
class Source:
    """Who predicts: a cell's predictor, with its role and what was chosen for it inside the training part."""

    cell: Cell
    model: str
    role: str
    chosen: dict[str, Any]


def sample_predictions(
    source: Source, data: RecordingDataModule, row: Row, fold: Fold, recording_id: str, values: NDArray[np.float64]
) -> list[Predictions]:
    """Return predictions of every sample of a recording's test stretches: one of a class, or one per output.

    ``values``: class probabilities or values at all samples of the recording, ``(time, output)``; NaN where nothing was
    predicted, which must be outside the test stretches.
    """
    prepared = data.prepared(recording_id)
    own = [s for s in fold.split.parts[names.TEST] if s.recording_id == recording_id]
    samples = np.concatenate([np.arange(len(prepared))[prepared.samples(stretch)] for stretch in own])
    truth, found = np.asarray(prepared.target)[samples], values[samples]
    common = _common(fold, recording_id, samples / row.rate_hz)
    if data.spec.target_kind == CLASS:
        known = np.flatnonzero(truth >= 0)
        table = _class_table(common, truth, found).iloc[known].reset_index(drop=True)
        return [Predictions(table, _info(source, row, fold, CLASS_KIND, [recording_id], list(data.spec.classes)))]
    parts = []
    for output, name in enumerate(data.spec.classes):
        if row.outputs and name not in row.outputs:
            continue
        table = pd.DataFrame({**common, "truth": truth[:, output], "prediction": found[:, output]})
        table = table[np.isfinite(truth[:, output])].astype({"truth": np.float64}).reset_index(drop=True)
        info = _info(source, row, fold, CONTINUOUS_KIND, [recording_id], None)
        parts.append(Predictions(table, info | {"target": f"{row.target}/{name}"}))
    return parts


def trial_predictions(
    source: Source, row: Row, fold: Fold, trials: pd.DataFrame, probabilities: NDArray[np.float64], classes: list[str]
) -> list[Predictions]:
    """Return predictions of the test trials, ``probabilities`` of shape ``(trial, class)``."""
    truth = np.searchsorted(classes, trials[names.LABEL].to_numpy(dtype=np.str_))
    common = {
        "recording": trials["recording_id"].astype(str),
        "subject": [_subject(fold, r) for r in trials["recording_id"]],
    }
    table = _class_table({**common, "time": trials["time"].to_numpy()}, truth, probabilities)
    evaluated = sorted(set(table["recording"]))
    return [Predictions(table, _info(source, row, fold, CLASS_KIND, evaluated, classes))]


def _class_table(common: dict[str, Any], truth: NDArray[np.int64], found: NDArray[np.float64]) -> pd.DataFrame:
    table = pd.DataFrame({**common, "truth": truth.astype(np.int64), "prediction": np.argmax(found, axis=1)})
    for code in range(found.shape[1]):
        table[f"probability_{code}"] = found[:, code].astype(np.float64)
    return table


def _common(fold: Fold, recording_id: str, seconds: NDArray[np.float64]) -> dict[str, Any]:
    return {"recording": recording_id, "subject": _subject(fold, recording_id), "time": seconds}


def _subject(fold: Fold, recording_id: str) -> str:
    return fold.split.subjects.get(recording_id, recording_id)


def _info(
    source: Source, row: Row, fold: Fold, kind: str, evaluated: list[str], classes: list[str] | None
) -> dict[str, Any]:
    return {
        "model": source.model,
        "kind": kind,
        "target": row.target,
        "classes": classes,
        "role": source.role,
        "fold": fold.name,
        "seed": source.cell.seed,
        "split_hash": fold.split.digest,
        "trained_on": fold.split.recordings(names.TRAIN),
        "evaluated_on": evaluated,
        "units": "class" if kind == CLASS_KIND else "target units",
        "row": row.name,
        "share": source.cell.share,
        "chosen": source.chosen,
    }
