"""Models of whole arrays: fitted through ``lightning.Trainer`` by sweeps of their own, not by gradients on windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn

from .train import quiet


class ArrayNetwork(nn.Module):
    """Contract of networks built from sizes alone; the others (see `Network`) are built from a `DataSpec`.

    Parameters
    ----------
    hyperparameters
        The keyword arguments it was built with, JSON values; enough to build it again. Every one has a default.
    """

    def __init__(self, hyperparameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.hyperparameters = dict(hyperparameters)


class ClosedForm(torch.optim.Optimizer):
    """Optimizer whose step changes nothing: parameters were set in closed form before.

    Lightning counts steps, writes checkpoints and resumes by what its optimizers do; a task that steps this one once
    per sweep is counted, saved and resumed as any other.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(list(parameters), {})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change nothing."""


class ArrayTask(lightning.LightningModule):
    """Contract of tasks that fit an `ArrayNetwork` to whole arrays, by manual optimisation.

    Parameters
    ----------
    network
        The network that is fitted.
    """

    def __init__(self, network: ArrayNetwork) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network

    @abstractmethod
    def training_step(self, batch: Any, batch_index: int) -> None:
        """Make one sweep and step the optimizer."""

    def configure_optimizers(self) -> Any:
        """Return the optimizer that changes nothing; a task with gradients returns its own."""
        return ClosedForm(self.parameters())


class _Batches:
    """A loader of whole batches. (Of a bare list, Lightning takes what can be iterated for loaders of their own.)"""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def fit_arrays(
    task: ArrayTask,
    batches: Sequence[Any],
    *,
    epochs: int,
    seed: int,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    progress: bool = False,
    accelerator: str = "auto",
) -> None:
    """Fit a task in place through ``lightning.Trainer``; the caller's random numbers are left as they were.

    Parameters
    ----------
    task
        What is fitted; ends in evaluation mode. It may set ``self.trainer.should_stop`` once it has converged.
    batches
        What the task's ``training_step`` takes, one by one; gone through once per epoch.
    epochs
        Most passes over the batches.
    seed
        Of everything drawn while fitting.
    callbacks
        More Lightning callbacks.
    folder
        Where the state to resume from is kept after every epoch; none is without it. A state found there is taken up
        (read with ``weights_only=True``).
    progress
        Whether a progress bar is shown.
    accelerator
        As for ``lightning.Trainer``.
    """
    extra, state = list(callbacks), None
    if folder is not None:
        extra.append(ModelCheckpoint(folder, save_last=True, save_top_k=0, save_on_train_epoch_end=True))
        state = Path(folder) / "last.ckpt" if (Path(folder) / "last.ckpt").exists() else None
    task.train()
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=folder is not None,
            enable_progress_bar=progress,
            enable_model_summary=False,
            callbacks=extra,
            default_root_dir=folder,
        )
        trainer.fit(task, _Batches(batches), ckpt_path=state, weights_only=True if state else None)
    task.eval()
    task.cpu()
    task._trainer = None  # a fitted task is copied and saved without the loop, and the data, that fitted it
