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
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch.utils.data import DataLoader

from neurodata.batches.dataset import WindowDataset
from neurodata.windows.select import Windows
from neurodata.windows.stitch import Stitched, Stitcher

from .callbacks import Curve, Deal, Finish, KeepState, StepSeed, find_state
from .processes import check_devices, distributed_strategy, in_process, train_in_processes
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
        # Which parameters a loss reaches depends on the task: the rest must be looked for, and may be none.
        warnings.filterwarnings("ignore", message=".*find_unused_parameters=True was specified.*")
        # lightning 2.6 still calls torch.jit / LeafSpec interfaces that torch 2.13 announces the end of.
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="lightning.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.. is deprecated.*")
        yield


@dataclass(frozen=True)
class Fitted:
    """A trained task and its losses by step."""

    task: Task
    curve: pd.DataFrame


@dataclass(frozen=True)
class Course:
    """How a training goes; see `fit`."""

    steps: int
    seed: int
    validate_every: int
    average_decay: float | None
    gradient_clip: float
    precision: Any
    compile_network: bool
    callbacks: tuple[Callback, ...]
    progress: bool
    folder: Path | None
    devices: int
    accelerator: str
    curve_every: int


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
    devices: int = 1,
    accelerator: str = "auto",
    curve_every: int = 10,
) -> Fitted:
    """Train a task through ``lightning.Trainer`` for a number of steps.

    Parameters
    ----------
    task
        What is learned; trained in place.
    training, validation
        Loaders of `Batch`. With several devices each takes its own batches of the loaders' size.
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
        taken up (read with ``weights_only=True``), with this task's learning rate.
    devices
        Processes that train together, one on each GPU or CPU (``DistributedDataParallel``): two with batches of 16 do
        what one with batches of 32 does. They are spawned, so a script that asks for several must do so under
        ``if __name__ == "__main__":``.
    accelerator
        As for ``lightning.Trainer``: ``auto``, ``cpu``, ``gpu`` …
    curve_every
        Steps that each training loss of the curve is a mean over.

    Raises
    ------
    NeurodataError
        If loss, gradient or weights stop being finite; says when, on which recordings, and what to go on from.
    """
    course = Course(
        steps, seed, validate_every, average_decay, gradient_clip, precision, compile_network, tuple(callbacks),
        progress, None if folder is None else Path(folder), devices, accelerator, curve_every,
    )  # fmt: skip
    check_devices(devices, accelerator)
    run = train_here if devices == 1 or in_process() else train_in_processes
    rows = run(task, training, validation, course)
    return Fitted(task.eval(), pd.DataFrame(rows, columns=["step", "split", "value"]))


def train_here(
    task: Task, training: DataLoader[Any], validation: DataLoader[Any] | None, course: Course
) -> list[dict[str, Any]]:
    """Train in this process, and return the rows of the curve."""
    lightning.seed_everything(course.seed, verbose=False)
    curve = Curve(course.curve_every)
    callbacks: list[Callback] = [curve, StepSeed(course.seed), Deal([training, validation]), Finish()]
    # Buffers are counts and whole numbers (ids): their moving average would be another id by rounding.
    callbacks += (
        [EMAWeightAveraging(decay=course.average_decay, use_buffers=False)] if course.average_decay is not None else []
    )
    state = None
    if course.folder is not None:
        callbacks.append(KeepState(course.folder, course.validate_every if validation is not None else None))
        state = find_state(course.folder)
    if course.compile_network:
        task.loss = torch.compile(task.loss)  # type: ignore[method-assign]
    task.train()
    with quiet():
        trainer = lightning.Trainer(
            max_steps=course.steps,
            max_epochs=-1,
            accelerator=course.accelerator,
            devices=course.devices,
            strategy=distributed_strategy() if course.devices > 1 else "auto",
            precision=course.precision,
            gradient_clip_val=course.gradient_clip,
            logger=False,
            enable_checkpointing=course.folder is not None,
            enable_progress_bar=course.progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validation is not None else 0,
            val_check_interval=course.validate_every if validation is not None else None,
            check_val_every_n_epoch=None,
            callbacks=[*callbacks, *course.callbacks],
            default_root_dir=course.folder,
        )
        trainer.fit(task, training, validation, ckpt_path=state, weights_only=True if state else None)
    return curve.rows


def predict(task: Task, loader: DataLoader[Any]) -> list[Any]:
    """Return ``predict_step`` of every batch, through ``lightning.Trainer``."""
    with quiet():
        return list(_predicting(task).predict(task, loader) or [])


def _predicting(task: Task, *callbacks: Callback) -> lightning.Trainer:
    double = any(parameter.dtype == torch.float64 for parameter in task.parameters())
    return lightning.Trainer(
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks), precision="64-true" if double else "32-true",
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
        _predicting(task, stitching).predict(task, loader, return_predictions=False)
    stitching.stitcher.finish()
    place = {recording_id: number for number, recording_id in enumerate(dataset.recording_ids)}
    return sorted(stitching.found, key=lambda one: place[one.recording_id])
