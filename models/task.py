"""What all tasks share: an optimiser with warm-up and cosine decay, and a logged loss."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import lightning
import torch
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError

from .network import Network


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
    """

    def __init__(
        self, network: Network, *, learning_rate: float = 3e-3, weight_decay: float = 0.05, warmup_steps: int = 20
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate, self.weight_decay, self.warmup_steps = learning_rate, weight_decay, warmup_steps

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, a scalar."""

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return and log the loss."""
        loss = self.loss(batch)
        if not torch.isfinite(loss):
            raise NeurodataError(
                f"training diverged: the loss became {loss.item()} at step {self.global_step}; lower learning_rate"
            )
        self.log("train_loss", loss, batch_size=len(batch.values))
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log the loss."""
        self.log("validation_loss", self.loss(batch), batch_size=len(batch.values))

    def configure_optimizers(self) -> Any:
        """AdamW over all parameters, with warm-up and cosine decay over the run's steps."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        steps = max(1, int(self.trainer.estimated_stepping_batches))

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
            return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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
