"""Scoring a saved decoder on recordings it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import DataLoader

from neurodata.batches.collate import collate
from neurodata.batches.dataset import Statistics, WindowDataset
from neurodata.errors import LeakageError, NeurodataError
from neurodata.predictions import CHANCE, CLASS, MODEL, Predictions
from neurodata.store.manifest import json_digest
from neurodata.store.store import Store
from neurodata.windows import spec as spec_kinds
from neurodata.windows.cache import DecodedCache
from neurodata.windows.decoded import open_decoded
from neurodata.windows.decoding import Decoding
from neurodata.windows.scaling import fit_per_channel
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch

from .checkpoints import from_pretrained, read_config
from .task import Task
from .tasks.decode import Decode
from .train import WINDOWS_PER_SAMPLE, decode


def evaluate_checkpoint(checkpoint: str | Path, store: Store, *, allow_seen: bool = False) -> list[Predictions]:
    """Return a saved decoder's predictions of every recording of a store, and those of always saying the majority.

    Parameters
    ----------
    checkpoint
        Folder written by `save_pretrained`.
    store
        Recordings with the decoder's signal and target.
    allow_seen
        Whether recordings and subjects it was trained on may be scored.

    Raises
    ------
    LeakageError
        If a recording, its subject or its content was trained on.
    NeurodataError
        If the checkpoint decodes no classes, or the store is empty.
    """
    task, manifest = from_pretrained(checkpoint), read_config(checkpoint)["manifest"]
    spec = task.network.spec
    if not isinstance(task, Decode) or spec.target_kind != spec_kinds.CLASS:
        raise NeurodataError(
            f"checkpoint {str(checkpoint)!r} decodes no classes; evaluate takes a decoder, or a run's folder"
        )
    if not len(store):
        raise NeurodataError(f"store {str(store.path)!r} holds no recordings to score on")
    if not allow_seen:
        _check_unseen(manifest, store)
    return [
        found for recording_id in store.recording_ids for found in _evaluate_one(task, manifest, store, recording_id)
    ]


def _check_unseen(manifest: dict[str, Any], store: Store) -> None:
    table, trained = store.table, manifest.get("trained_on", {})
    subjects = {row.subject for row in table.itertuples() if row.recording_id in trained}
    seen = [
        row.recording_id
        for row in table.itertuples()
        if row.subject in subjects or row.recording_id in trained or row.content_sha256 in trained.values()
    ]
    if seen:
        raise LeakageError(
            f"the checkpoint was trained on {', '.join(map(str, seen))}; a score there says nothing about new animals. "
            "Score it on others, or pass --allow-seen"
        )


def _statistics(manifest: dict[str, Any], values: np.ndarray[Any, Any], channel_ids: np.ndarray[Any, Any]) -> Any:
    scaling = manifest.get("scaling")
    kept = manifest.get("statistics")
    if kept is not None:
        return np.asarray(kept["mean"])[channel_ids], np.asarray(kept["std"])[channel_ids]
    if scaling == "none":
        return np.zeros(len(channel_ids)), np.ones(len(channel_ids))
    return fit_per_channel(values, "the recording itself")


def _evaluate_one(task: Task, manifest: dict[str, Any], store: Store, recording_id: str) -> list[Predictions]:
    spec = task.network.spec
    recording = store[recording_id]
    prepared = open_decoded(store.path, recording_id, Decoding(spec), DecodedCache())
    stretch = Stretch(recording_id, 0.0, len(prepared) / spec.rate_hz)
    statistics: Statistics = {
        recording_id: _statistics(manifest, prepared.values.astype(np.float64), prepared.channel_ids)
    }
    windows = make_windows([stretch], spec.rate_hz, spec.window_seconds, spec.window_seconds / WINDOWS_PER_SAMPLE)
    dataset = WindowDataset(store.path, windows, Decoding(spec), statistics)
    found = decode(task, DataLoader(dataset, batch_size=32, collate_fn=collate))[0]
    known = found.truth >= 0
    if not known.any():
        raise NeurodataError(f"{recording_id} has no sample with a known {spec.target!r}; there is nothing to score")
    counts = np.asarray(task.hparams["class_counts"] or np.ones(spec.n_outputs), np.float64)
    majority = np.tile(counts / counts.sum(), (len(found.samples), 1))
    made = []
    for model, role, values in (
        (type(task.network).__name__.lower(), MODEL, found.values),
        ("majority", CHANCE, majority),
    ):
        table = pd.DataFrame({"recording": recording_id, "subject": recording.subject_key, "time": found.samples / spec.rate_hz, "truth": found.truth, "prediction": values.argmax(1)})  # fmt: skip
        for code in range(spec.n_outputs):
            table[f"probability_{code}"] = values[:, code]
        info = {"model": model, "kind": CLASS, "target": spec.target, "classes": list(spec.classes), "role": role, "fold": "held-out", "seed": manifest.get("seed"), "split_hash": json_digest([stretch.recording_id, stretch.stop]), "trained_on": list(manifest.get("trained_on", {})), "evaluated_on": [recording_id], "units": "class"}  # fmt: skip
        made.append(Predictions(table[known].reset_index(drop=True), info))
    return made
