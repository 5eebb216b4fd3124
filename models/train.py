"""Training through ``lightning.Trainer``, and predictions put together from overlapping windows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader

from neurodata.batches.dataset import WindowDataset
from neurodata.windows.select import Windows
from neurodata.windows.stitch import Stitched, Stitcher

from .task import Task

WINDOWS_PER_SAMPLE = 6
"""Overlapping windows that a sample's decoded value is averaged over."""

CURVE_COLUMNS = ("model", "fold", "phase", "step", "split", "value")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning and torch say of themselves; each filter has its reason."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # device found, tips for other products, "max_steps reached"
    with warnings.catch_warnings():
        # Few workers are right here: prepared windows lie in memory, gathering them is cheaper than sending them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # A stage without validation data is meant: settings were chosen before.
        warnings.filterwarnings("ignore", message=".*You defined a `validation_step` but have no.*")
        # Training windows are drawn with replacement, an "epoch" may be shorter than the logging interval.
        warnings.filterwarnings("ignore", message=".*The number of training batches.*")
        # lightning 2.6 still calls torch.jit / LeafSpec interfaces that torch 2.13 announces the end of.
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="lightning.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.. is deprecated.*")
        yield


class StepSeed(Callback):
    """Seeds dropout and masks by seed, epoch and batch, so that a run resumed anywhere goes on as it would have."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch."""
        torch.manual_seed(((self.seed * 1_000_003 + trainer.current_epoch) * 1_000_003 + batch_idx) % 2**63)


class Curve(Callback):
    """Keeps losses by step, for learning curves; the training loss is a mean over ``every`` steps."""

    def __init__(self, every: int = 10) -> None:
        self.every, self.rows, self._recent = every, list[dict[str, Any]](), list[float]()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Collect the training loss."""
        self._recent.append(float(outputs["loss"]))
        if trainer.global_step % self.every == 0:
            self._keep(trainer.global_step)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Collect what is left."""
        if self._recent:
            self._keep(trainer.global_step)

    def _keep(self, step: int) -> None:
        self.rows.append({"step": step, "split": "train", "value": float(np.mean(self._recent))})
        self._recent.clear()

    def state_dict(self) -> dict[str, Any]:
        """What is kept for resuming."""
        return {"rows": self.rows, "recent": self._recent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what was kept."""
        self.rows, self._recent = list(state_dict["rows"]), list(state_dict["recent"])

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Collect the validation loss."""
        found = trainer.callback_metrics.get("validation_loss")
        if found is not None and not trainer.sanity_checking:
            self.rows.append({"step": trainer.global_step, "split": "validation", "value": float(found)})


@dataclass(frozen=True)
class Fitted:
    """A trained task and its losses by step."""

    task: Task
    curve: pd.DataFrame


def fit(
    task: Task,
    training: DataLoader[Any],
    *,
    steps: int,
    seed: int,
    validation: DataLoader[Any] | None = None,
    validate_every: int = 50,
    average_decay: float | None = 0.98,
    gradient_clip: float = 1.0,
    precision: Any = "32-true",
    compile_network: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    folder: str | Path | None = None,
) -> Fitted:
    """Train a task through ``lightning.Trainer`` for a number of steps.

    Parameters
    ----------
    task
        What is learned; trained in place.
    training, validation
        Loaders of `Batch`.
    steps
        Optimiser steps.
    seed
        Of dropout and masks; the drawn windows have their own in the datamodule.
    validate_every
        Steps between two looks at the validation loss.
    average_decay
        Weights used afterwards are a moving average with this decay; None for the last weights.
    gradient_clip
        Largest norm of the gradient.
    precision
        As for ``lightning.Trainer``: ``32-true``, ``bf16-mixed`` …
    compile_network
        Whether ``torch.compile`` is applied to the task's loss.
    callbacks
        More Lightning callbacks.
    progress
        Whether a progress bar is shown.
    folder
        Where the state to resume from is kept after every epoch; none is without it. A state found there is
        taken up (read with ``weights_only=True``).
    """
    lightning.seed_everything(seed, verbose=False)
    curve = Curve()
    extra: list[Callback] = [StepSeed(seed)]
    extra += [EMAWeightAveraging(decay=average_decay)] if average_decay is not None else []
    state = None
    if folder is not None:
        extra.append(ModelCheckpoint(folder, save_last=True, save_top_k=0, save_on_train_epoch_end=True))
        state = Path(folder) / "last.ckpt" if (Path(folder) / "last.ckpt").exists() else None
    if compile_network:
        task.loss = torch.compile(task.loss)  # type: ignore[method-assign]
    task.train()
    with quiet():
        trainer = lightning.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator="auto",
            devices=1,
            precision=precision,
            gradient_clip_val=gradient_clip,
            logger=False,
            enable_checkpointing=folder is not None,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validation is not None else 0,
            val_check_interval=validate_every if validation is not None else None,
            check_val_every_n_epoch=None,
            callbacks=[curve, *extra, *callbacks],
            default_root_dir=folder,
        )
        trainer.fit(task, training, validation, ckpt_path=state, weights_only=True if state else None)
    return Fitted(task.eval(), pd.DataFrame(curve.rows, columns=["step", "split", "value"]))


def predict(task: Task, loader: DataLoader[Any]) -> list[Any]:
    """Return ``predict_step`` of every batch, through ``lightning.Trainer``."""
    with quiet():
        return list(_predicting().predict(task, loader) or [])


def _predicting(*callbacks: Callback) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip


class _Stitching(Callback):
    """Stitches what is predicted, batch by batch."""

    def __init__(self, windows: Windows) -> None:
        self.stitcher, self.found = Stitcher(windows), list[Stitched]()

    def on_predict_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Take a batch in."""
        recording, first, truth = (part.cpu().numpy() for part in (batch.recording, batch.first, batch.target))
        values = outputs.double().cpu().numpy()
        self.found += self.stitcher.add(recording, first, values, truth if truth.shape[1] else None)


def decode(task: Task, loader: DataLoader[Any]) -> list[Stitched]:
    """Decode every recording a loader covers, averaging windows where they overlap.

    A window counts most at its middle and least at its ends, where the network has seen least of what lies around. Each
    recording's values are class probabilities or continuous values, ``(time, output)``, its truth class codes
    ``(time,)`` or values ``(time, output)``.
    """
    dataset = loader.dataset
    assert isinstance(dataset, WindowDataset)
    stitching = _Stitching(dataset.windows)
    with quiet():
        _predicting(stitching).predict(task, loader, return_predictions=False)
    stitching.stitcher.finish()
    place = {recording_id: number for number, recording_id in enumerate(dataset.recording_ids)}
    return sorted(stitching.found, key=lambda one: place[one.recording_id])
