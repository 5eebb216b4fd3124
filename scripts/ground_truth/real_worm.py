"""Half of the neurons of a real worm that was never trained on, told by the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

import neurodata as nd
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture
from neurodata.models.build import make_network, make_task
from neurodata.models.train import fit

from .cohorts import KINDS, make_worms
from .masked import adapted
from .prediction import CHANNELS, HALF, PATCHES, copy_predictor, network_predictor, ridge_predictor, score

UNSEEN = "kato_brain_2015/worm5"
SIMULATED = "simulated_worms"
STEPS = 300


def score_real_worm(store: nd.Store, seed: int, folder: Path) -> pd.DataFrame:
    """Return one row per pattern and predictor of worm 5, after pretraining on worms 1–4 and simulated ones.

    Its first half may be adapted to, its second is scored; intervals are over windows, for there is one such worm.
    """
    task = _pretrain(store, seed, folder)
    data = _windows(store.select(recording_id=[UNSEEN]), nd.split_by("time", test=0.5, guard_seconds=12.0), 8, folder)
    data.setup()
    predictors = {name: network_predictor(model, data) for name, model in adapted(task, data, seed).items()}
    predictors |= {"ridge on visible channels": ridge_predictor(data), "copy-last": copy_predictor(data)}
    rows = []
    for pattern in (PATCHES, CHANNELS, HALF):
        found = {name: by_id[UNSEEN] for name, by_id in score(data, pattern, seed, predictors).items()}
        best = found["pretrained, all adapted"]
        for name, one in found.items():
            gain, low, high = best.ahead(one, seed)
            rows.append({"seed": seed, "pattern": pattern, "predictor": name, "value": one.explained,
                         "gain": gain, "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def _pretrain(store: nd.Store, seed: int, folder: Path) -> Any:
    others = [key for key in store.select(dataset="kato_brain_2015").recording_ids if key != UNSEEN]
    whole = nd.split_by("recording")
    mixture = Mixture(
        {
            "real": _windows(store.select(recording_id=others), whole, 3, folder),
            "simulated": _windows(_simulated(seed, folder), whole, 1, folder),
        }
    )
    mixture.setup()
    torch.manual_seed(seed)
    task = make_task("pretrain", make_network("perceiver", mixture.spec, {}), {"patch_seconds": 0.0})
    return fit(task, mixture.train_dataloader(), steps=STEPS, seed=seed).task


def _windows(store: nd.Store, split: Any, batch_size: int, folder: Path) -> RecordingDataModule:
    kind = KINDS["worms"]
    return RecordingDataModule(
        store, inputs=kind.inputs, rate_hz=kind.rate_hz, window_seconds=kind.window_seconds, split=split,
        scaling=kind.scaling, channels="all", identity="recording_channel", batch_size=batch_size,
        batches_per_epoch=STEPS, cache=folder / "cache",
    )  # fmt: skip


def _simulated(seed: int, folder: Path) -> nd.Store:
    """Simulated worms under a name of their own: the loader calls them as the published ones are called."""
    raw, converted, store = (folder / f"{what}_{seed}" for what in ("raw", "converted", "simulated"))
    nd.write_kato_layout(make_worms(4, 240.0, 100 + seed), raw)
    nd.convert("kato_brain_2015", raw, converted)
    for recording in nd.open_store(converted):
        last = recording.recording_id.rpartition("/")[2]
        subject = {**recording.metadata["subject"], "id": f"{SIMULATED}_{last}"}
        told = {"dataset": SIMULATED, "recording_id": f"{SIMULATED}/{last}", "subject": subject}
        nd.write_recording(recording.replace(metadata={**recording.metadata, **told}), store)
    return nd.open_store(store)
