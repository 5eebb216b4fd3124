"""Few labels: what a pretrained encoder decodes after a twentieth of a recording's labels, beside one from scratch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import balanced_accuracy_score, r2_score

import neurodata as nd
from neurodata import names
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.adapt import FULL, HEAD, LORA, adapt
from neurodata.models.networks.perceiver import Perceiver
from neurodata.models.train import decode
from neurodata.windows.spec import CLASS

from .cohorts import Cohort

SHARE = 0.05
"""Of the labels of what may be trained on: its first seconds, of each recording."""

NO_LAGS = {"lagged_readout": False}
"""The linear readout of the activity itself is left out of all of them: it knows nothing of pretraining."""


def score_few_labels(cohort: Cohort, task: Any, seed: int, steps: int) -> pd.DataFrame:
    """Return one row per way of adapting and held-out recording.

    Worms share neurons: labels are of the training worms, scored are unseen ones. Simulated units do not: the labels are
    of the recording itself, whose first half the encoder has seen without labels, and its second half is scored.
    """
    if cohort.kind.name == "worms":
        split = nd.split_by("recording", test=[key.rpartition("/")[2] for key in cohort.test])
        data = [cohort.windows((*cohort.train, *cohort.test), split, "state")]
    else:
        data = [cohort.halves((key,), "cursor") for key in cohort.test]
    return pd.concat([_score(one, cohort, task, seed, steps) for one in data], ignore_index=True)


def _score(data: RecordingDataModule, cohort: Cohort, task: Any, seed: int, steps: int) -> pd.DataFrame:
    data.setup()
    torch.manual_seed(seed)
    fresh = Perceiver(data.spec)
    how = {"steps": steps, "batch_size": 4, "seed": seed, "minutes": SHARE * cohort.kind.seconds / 60, "options": NO_LAGS}  # fmt: skip
    ways = {"pretrained, head": (task, HEAD), "pretrained, LoRA": (task, LORA), "pretrained, all weights": (task, FULL), "scratch": (fresh, FULL)}  # fmt: skip
    rows = []
    for way, (model, strategy) in ways.items():
        found = decode(adapt(model, data, strategy=strategy, **how), data.covering_dataloader(names.TEST))
        rows += [
            {"modality": cohort.kind.name, "seed": seed, "way": way, "recording": one.recording_id,
             "value": _value(one.truth, one.values, data.spec.target_kind == CLASS)}
            for one in found
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _value(truth: np.ndarray, said: np.ndarray, classes: bool) -> float:
    """Balanced accuracy over the classes there are, or R² (mean over outputs)."""
    if classes:
        return float(balanced_accuracy_score(truth[truth >= 0], said[truth >= 0].argmax(1)))
    known = np.isfinite(truth).all(1)
    return float(r2_score(truth[known], said[known]))
