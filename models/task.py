"""What all tasks share: an optimiser with warm-up and cosine decay, and a logged loss."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.checks import check_between, check_positive
from neurodata.errors import NeurodataError

from .divergence import check_step, check_weights
from .draws import window_uniform
from .network import Network

Batches = Batch | tuple[Batch, ...]
"""What a loader hands out: one batch, or one of each source of a mixture."""


class Task(lightning.LightningModule):
    """Contract of all tasks: what a network learns.

    Parameters
    ----------
    network
        The network that learns.
    learning_rate, weight_decay
        Of AdamW; the rate rises over the first ``warmup_steps`` and then falls to zero along a cosine.
    warmup_steps
        Steps until the full learning rate.

    Raises
    ------
    NeurodataError
        If one of them is negative, or the learning rate 0.
    """

    step_seed: int | None = None
    """What the random draws of a step depend on, the same in all processes; set by `neurodata.models.train.fit`."""

    def __init__(
        self, network: Network, *, learning_rate: float = 3e-3, weight_decay: float = 0.05, warmup_steps: int = 20
    ) -> None:
        super().__init__()
        check_positive("learning_rate", learning_rate)
        check_between("weight_decay", weight_decay, 0)
        check_between("warmup_steps", warmup_steps, 0)
        self.network = network
        self.learning_rate, self.weight_decay, self.warmup_steps = learning_rate, weight_decay, warmup_steps
        self._last: tuple[Batches, Tensor] | None = None  # what was seen, and its loss

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, a scalar."""

    def training_step(self, batch: Batches, batch_index: int) -> Tensor:
        """Return and log the loss."""
        loss = self.loss(batch)  # type: ignore[arg-type]  # a task for mixtures takes a tuple of batches
        self._last = (batch, loss.detach())
        self.log("train_loss", loss, batch_size=count_windows(batch))
        return loss

    def validation_step(self, batch: Batches, batch_index: int) -> None:
        """Log the loss; where processes share the windows, its mean over all."""
        loss = self.loss(batch)  # type: ignore[arg-type]
        self.log("validation_loss", loss, batch_size=count_windows(batch), sync_dist=True)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise where loss or gradient are not finite, before they can spoil the weights."""
        if self._last is not None:
            check_step(self, *self._last)

    def on_train_epoch_end(self) -> None:
        """Raise where a step has spoilt the weights, before they are kept."""
        if self._last is not None:
            check_weights(self, self._last[0])

    def on_train_end(self) -> None:
        """Let the last batch go."""
        self._last = None

    def draw(self, batch: Batch, what: int, n: int, *, each_channel: bool = False) -> Tensor:
        """Return random numbers between 0 and 1 for every window; see `neurodata.models.draws.window_uniform`.

        In `neurodata.models.train.fit` they depend on run, step and window alone, elsewhere on torch's seed as well.
        """
        seed = self.step_seed if self.step_seed is not None else int(torch.randint(2**62, ()))
        return window_uniform(batch, seed, what, n, each_channel=each_channel)

    def configure_optimizers(self) -> Any:
        """AdamW over all parameters, with warm-up and cosine decay over the run's steps."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        steps = max(1, int(self.trainer.estimated_stepping_batches))

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
            return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with this task's learning rate and not with the one the state was saved with.

        Raises
        ------
        NeurodataError
            If the state is of a model with other weights.
        """
        saved, own = checkpoint["state_dict"], self.state_dict()
        other = [name for name in {**own, **saved} if _shape(saved, name) != _shape(own, name)]
        if other:
            raise NeurodataError(
                f"the state to resume from is of another model: {other[0]} has the shape {_shape(saved, other[0])} there "
                f"and {_shape(own, other[0])} here; give the settings the training began with, or begin anew"
            )
        before = float(checkpoint.get("hyper_parameters", {}).get("learning_rate", self.learning_rate))
        if before == self.learning_rate:
            return
        factor = self.learning_rate / before
        for optimizer in checkpoint["optimizer_states"]:
            for group in optimizer["param_groups"]:
                group |= {key: group[key] * factor for key in ("lr", "initial_lr")}
        for schedule in checkpoint["lr_schedulers"]:
            for key in ("base_lrs", "_last_lr"):
                schedule[key] = [rate * factor for rate in schedule[key]]


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def count_windows(batch: Batches) -> int:
    """Return how many windows a batch holds, or the batches of all sources together."""
    return len(batch.values) if isinstance(batch, Batch) else sum(len(one.values) for one in batch)


def drop_channels(batch: Batch, share: float, generator: torch.Generator | None = None) -> Batch:
    """Return a batch from which some channels are missing, as if they had not been recorded.

    Each window loses a share of its channels drawn uniformly between 0 and ``share``; so a model learns to do with
    whatever neurons the next animal has.
    """
    if share <= 0:
        return batch
    n_windows, n_channels = batch.present.shape
    device = batch.values.device
    lost = share * torch.rand(n_windows, 1, generator=generator, device=device)
    kept = torch.rand(n_windows, n_channels, generator=generator, device=device) >= lost
    recorded = batch.recorded & kept[:, None]
    return batch._replace(recorded=recorded, values=torch.where(recorded, batch.values, batch.values.new_zeros(())))


def vary(batch: Batch, gain: float, offset: float, noise: float) -> Batch:
    """Return a batch whose channels differ a little, as another animal's would.

    Each channel of each window is multiplied by ``exp(gain * z)``, moved by ``offset * z`` and given white noise of
    spread ``noise`` (``z`` standard normal), all in scaled units.
    """
    if gain == offset == noise == 0:
        return batch
    n_windows, _, n_channels = batch.values.shape
    each = batch.values.new_zeros(n_windows, 1, n_channels)
    scaled = batch.values * torch.exp(gain * torch.randn_like(each)) + offset * torch.randn_like(each)
    values = scaled + noise * torch.randn_like(batch.values)
    return batch._replace(values=torch.where(batch.recorded, values, batch.values.new_zeros(())))
