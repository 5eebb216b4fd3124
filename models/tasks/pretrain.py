"""Mask and predict: activity is hidden and must be told from what is left."""

from __future__ import annotations

import torch
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError

from ..losses import masked_huber
from ..network import Network
from ..task import Task


class Pretrain(Task):
    """Hide random patches of time, whole neurons and the window's end; predict them from the rest.

    The loss counts hidden values that were recorded and nothing else.

    Parameters
    ----------
    network
        The network that learns.
    patch_seconds
        Length of the pieces of time hidden per neuron.
    hidden_patches, hidden_channels, hidden_futures
        Share of patches, of whole neurons, and of windows whose last quarter is hidden.
    learning_rate, weight_decay, warmup_steps
        As for `Task`.

    Raises
    ------
    NeurodataError
        If a share is not between 0 and 1.
    """

    def __init__(
        self,
        network: Network,
        *,
        patch_seconds: float = 2.0,
        hidden_patches: float = 0.3,
        hidden_channels: float = 0.2,
        hidden_futures: float = 0.2,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warmup_steps: int = 20,
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, weight_decay=weight_decay, warmup_steps=warmup_steps)
        self.save_hyperparameters(ignore=["network"])
        for share in (hidden_patches, hidden_channels, hidden_futures):
            if not 0 <= share <= 1:
                raise NeurodataError(f"a hidden share lies between 0 and 1, got {share!r}")
        self.patch_samples = max(1, round(patch_seconds * network.spec.rate_hz))
        self.hidden_patches, self.hidden_channels = hidden_patches, hidden_channels
        self.hidden_futures = hidden_futures

    def draw_hidden(self, batch: Batch) -> Tensor:
        """Return what is hidden from the network, bool ``(batch, time, channel)``."""
        n_samples, device = batch.values.shape[1], batch.values.device
        n_patches = -(-n_samples // self.patch_samples)
        patches = self.draw(batch, 0, n_patches, each_channel=True) < self.hidden_patches
        hidden = patches.repeat_interleave(self.patch_samples, 1)[:, :n_samples]
        hidden = hidden | (self.draw(batch, 1, 1, each_channel=True) < self.hidden_channels)
        late = torch.arange(n_samples, device=device) >= n_samples - n_samples // 4
        cut = self.draw(batch, 2, 1)[..., None] < self.hidden_futures
        return hidden | (cut & late[None, :, None])

    def loss(self, batch: Batch) -> Tensor:
        """Return the Huber loss over hidden, recorded values."""
        hidden = self.draw_hidden(batch)
        predicted = self.network.reconstruct(self.network.see(batch, hidden))
        return masked_huber(predicted, batch.values, hidden & batch.recorded)
