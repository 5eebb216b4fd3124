"""What `neurodata.models.train.fit` adds to Lightning's loop: seeds, curves, states to resume from, shared windows."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, WeightAveraging

from neurodata.batches.ordering import WindowSampler
from neurodata.errors import NeurodataError

from .divergence import check_weights
from .task import Task

LAST, UNPROVEN = "last.ckpt", "unproven.ckpt"


class StepSeed(Callback):
    """Seeds dropout and masks by seed, epoch and batch, so that a run resumed anywhere goes on as it would have.

    What a task draws by window (`neurodata.models.task.Task.draw`) is the same in all processes; what torch draws, such
    as dropout, is not. Validation hides the same values at every look.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch and the task."""
        seed = ((self.seed * 1_000_003 + trainer.current_epoch) * 1_000_003 + batch_idx) % 2**63
        _set_seed(pl_module, seed)
        torch.manual_seed((seed + trainer.global_rank * 1_000_000_007) % 2**63)

    def on_validation_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Seed the task."""
        _set_seed(pl_module, self.seed)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the task to torch's seed."""
        _set_seed(pl_module, None)


def _set_seed(module: lightning.LightningModule, seed: int | None) -> None:
    if isinstance(module, Task):
        module.step_seed = seed


class Curve(Callback):
    """Keeps losses by step, for learning curves; the training loss is a mean over ``every`` steps and all processes."""

    def __init__(self, every: int = 10) -> None:
        self.every, self.rows, self._recent = every, list[dict[str, Any]](), list[float]()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Collect the training loss."""
        self._recent.append(float(outputs["loss"]))
        if trainer.global_step % self.every == 0:
            self._keep(trainer)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Collect what is left."""
        if self._recent:
            self._keep(trainer)

    def _keep(self, trainer: lightning.Trainer) -> None:
        value = float(np.mean(self._recent))
        if trainer.world_size > 1:
            here = torch.tensor(value, dtype=torch.float64, device=trainer.strategy.root_device)
            value = float(trainer.strategy.reduce(here, reduce_op="mean"))
        self.rows.append({"step": trainer.global_step, "split": "train", "value": value})
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


class KeepState(Checkpoint):
    """Keeps the state to resume from after every epoch, as ``last.ckpt``.

    A state gets that name by the first step from it whose loss and gradient are finite; until then the one before has
    it. So ``last.ckpt`` is whole whenever the process is killed, and good where training diverges.

    Parameters
    ----------
    folder
        Made where it is missing.
    validate_every
        Steps between two looks at the validation loss; a state of such a step holds what was seen. None: never.
    """

    def __init__(self, folder: str | Path, validate_every: int | None = None) -> None:
        self.folder, self.validate_every = Path(folder), validate_every
        self.last_step: int | None = None
        self._unproven: int | None = None
        self._due = False

    @property
    def last_model_path(self) -> str:
        """The last good state; empty where there is none yet."""
        return "" if self.last_step is None else str(self.folder / LAST)

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note which step is gone on from."""
        self.last_step = int(checkpoint["global_step"])

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Call the state good, as a step was made from it; write the next one after an epoch's last step.

        Not in ``on_train_epoch_end``: from a state written there, Lightning 2.6 goes on with one batch too many.
        """
        self._prove(trainer)
        self._due = trainer.is_last_batch or trainer.global_step >= trainer.max_steps
        if self._due:
            check_weights(pl_module, batch)
        if self._due and not (self.validate_every and trainer.global_step % self.validate_every == 0):
            self._write(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the state that is due."""
        if self._due:
            self._write(trainer)

    def _write(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.folder / UNPROVEN)
        self._unproven, self._due = trainer.global_step, False

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Call the final state good: its weights are finite."""
        self._prove(trainer)

    def on_exception(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Remove a state that nothing is known of."""
        if trainer.is_global_zero:
            (self.folder / UNPROVEN).unlink(missing_ok=True)

    def _prove(self, trainer: lightning.Trainer) -> None:
        if self._unproven is None:
            return
        if trainer.is_global_zero:
            os.replace(self.folder / UNPROVEN, self.folder / LAST)
        self.last_step, self._unproven = self._unproven, None


def find_state(folder: Path) -> Path | None:
    """Return the state to resume from, where there is one.

    Raises
    ------
    NeurodataError
        If it is damaged.
    """
    path = folder / LAST
    if not path.exists():
        return None
    if not zipfile.is_zipfile(path):  # the index of what torch writes stands at the end
        raise NeurodataError(f"the state {str(path)!r} is damaged; delete it to begin this training anew")
    return path


class Finish(Callback):
    """Ends a training that is resumed after its last step as it ended before; Lightning skips it and its end."""

    def __init__(self) -> None:
        self._trained = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note that Lightning will end it."""
        self._trained = True

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the averaged weights in place, and the last losses into the curve."""
        for callback in [] if self._trained else trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, (WeightAveraging, Curve)):
                callback.on_train_end(trainer, pl_module)


class Deal(Callback):
    """Gives each process its share of windows, where loaders were made before there were processes."""

    def __init__(self, loaders: Sequence[Any]) -> None:
        # A mixture has a loader of each source (`neurodata.batches.mixture.MixtureLoader`).
        several = [dict(getattr(loader, "loaders", {"": loader})) for loader in loaders if loader is not None]
        self.loaders = [loader for one in several for loader in one.values()]

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Deal the orders; raise where a process would get nothing."""
        for loader in self.loaders if trainer.world_size > 1 else []:
            order = getattr(loader, "sampler", None)
            if isinstance(order, WindowSampler):
                order.deal(trainer.global_rank, trainer.world_size)
                if len(order) == 0 or order.n_windows < trainer.world_size:
                    raise NeurodataError(
                        f"{order.n_windows} windows cannot be shared by {trainer.world_size} devices; take fewer devices"
                    )
