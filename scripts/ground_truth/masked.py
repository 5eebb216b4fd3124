"""Masked prediction of held-out simulated recordings, with and without their names, and with half of their channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from neurodata.batches.batch import Batch
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.adapt import FULL, IDENTITY, adapt
from neurodata.models.networks.perceiver import Perceiver

from .cohorts import Cohort
from .prediction import (
    CHANNELS,
    HALF,
    PATCHES,
    Predictor,
    copy_predictor,
    network_predictor,
    oracle_predictor,
    ridge_predictor,
    score,
)

N_SHUFFLES = 5

PRETRAINED, IDENTITIES, ALL_WEIGHTS, FRESH = "pretrained", "pretrained, identities adapted", "pretrained, all adapted", "fresh, as many steps"  # fmt: skip


def adapted(task: Any, data: RecordingDataModule, seed: int, steps: int) -> dict[str, Any]:
    """Return networks trained equally long on the first halves of held-out recordings, and the one that was not."""
    how = {"steps": steps, "batch_size": 4, "seed": seed}
    data.setup()
    torch.manual_seed(seed)
    fresh = Perceiver(data.spec)
    return {
        PRETRAINED: task,
        IDENTITIES: adapt(task, data, strategy=IDENTITY, **how),
        ALL_WEIGHTS: adapt(task, data, strategy=FULL, **how),
        FRESH: adapt(fresh, data, strategy=FULL, learning_rate=3e-3, **how),
    }


def score_masked(cohort: Cohort, networks: dict[str, Any], seed: int) -> pd.DataFrame:
    """Return one row per pattern, predictor and held-out recording: R² or deviance explained of hidden values."""
    data = cohort.halves()
    data.setup()
    predictors: dict[str, Predictor] = {"oracle": oracle_predictor(data, cohort.oracle)} if cohort.oracle else {}
    predictors |= {name: network_predictor(model, data) for name, model in networks.items()}
    predictors |= {"ridge on visible channels": ridge_predictor(data), "copy-last": copy_predictor(data)}
    rows = []
    for pattern in (PATCHES, CHANNELS, HALF):
        for predictor, by_id in score(data, pattern, seed, predictors).items():
            rows += [
                {"modality": cohort.kind.name, "seed": seed, "pattern": pattern, "predictor": predictor,
                 "recording": key, "value": found.explained}
                for key, found in by_id.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


def score_names(cohort: Cohort, task: Any, seed: int) -> pd.DataFrame:
    """Return R² of hidden named channels of held-out worms, with their names and with names shuffled among them."""
    data = cohort.halves()
    data.setup()
    named = torch.tensor([False, *(bool(channel.name) for channel in data.spec.channels)])
    predictors = {"names": network_predictor(task, data)}
    for number in range(N_SHUFFLES):
        shuffle = _Shuffle(named, seed * N_SHUFFLES + number)
        predictors[f"shuffled {number}"] = network_predictor(task, data, shuffle)
    rows = []
    for pattern in (PATCHES, CHANNELS, HALF):
        found = score(data, pattern, seed, predictors, counted=lambda batch: named[batch.channel_ids])
        for key, own in found["names"].items():
            wrong = [found[name][key].explained for name in predictors if name != "names"]
            rows.append({"seed": seed, "pattern": pattern, "recording": key, "names": own.explained,
                         "shuffled": float(np.mean(wrong))})  # fmt: skip
    return pd.DataFrame(rows)


class _Shuffle:
    """Deals the named channels of each recording their names anew, the same way in all of its windows."""

    def __init__(self, named: torch.Tensor, seed: int) -> None:
        self.named, self.seed = named, seed

    def __call__(self, batch: Batch) -> Batch:
        ids = batch.channel_ids.clone()
        places = self.named[ids[0]].nonzero()[:, 0]
        rng = np.random.default_rng([self.seed, int(batch.recording[0])])
        ids[:, places] = ids[:, places[torch.from_numpy(rng.permutation(len(places)))]]
        return batch._replace(channel_ids=ids)
