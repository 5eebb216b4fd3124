"""Mask and predict: activity is hidden and must be told from what is left."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodata.batches.batch import Batch
from neurodata.checks import check_between, check_option
from neurodata.errors import NeurodataError

from ..losses import masked_mean, negative_binomial_loss, per_count, poisson_loss, where_counted
from ..network import Network
from ..task import Batches, Task

COUNT_LOSSES, FIELD_LOSSES = ("poisson", "negative_binomial"), ("huber", "gaussian")

COLLAPSED = 0.05
"""Latents whose features spread less than this over windows and time say the same of everything; layer-normed ones spread 1."""


class Pretrain(Task):
    """Hide patches of time, whole channels, whole regions and the window's end; predict them from the rest.

    The loss counts hidden values that were recorded and nothing else. Of a mixture (a batch of each source) it is the
    mean over modalities, so that none drowns the others; counts of events have a likelihood of counts where the
    network tells the logarithm of their rate (`Perceiver.predict`).

    Parameters
    ----------
    network
        The network that learns.
    patch_seconds
        Length of the pieces of time hidden per channel; 0: the network's own patches.
    hidden_patches, hidden_channels, hidden_regions, hidden_futures
        Share of patches and of whole channels, of windows that lose all channels of one region, and of windows whose
        last quarter is hidden.
    count_loss, field_loss
        ``poisson`` or ``negative_binomial``; ``huber`` or ``gaussian`` (squared error).
    latent_weight
        Weight of predicting the latents that a slowly following copy of the network has of the whole window; 0: none.
    latent_momentum
        How slowly that copy follows.
    learning_rate, weight_decay, warmup_steps
        As for `Task`.

    Raises
    ------
    NeurodataError
        If a share is not between 0 and 1, a loss is unknown, or latents are asked of a network that has none.

    References
    ----------
    He et al. 2022, masked autoencoders, section 3; Assran et al. 2023, I-JEPA, section 3 (latents of a following copy).
    """

    modality_ids: Tensor
    region_ids: Tensor
    is_count: Tensor

    def __init__(
        self,
        network: Network,
        *,
        patch_seconds: float = 2.0,
        hidden_patches: float = 0.3,
        hidden_channels: float = 0.2,
        hidden_regions: float = 0.0,
        hidden_futures: float = 0.2,
        count_loss: str = "poisson",
        field_loss: str = "huber",
        latent_weight: float = 0.0,
        latent_momentum: float = 0.996,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warmup_steps: int = 20,
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, weight_decay=weight_decay, warmup_steps=warmup_steps)
        self.save_hyperparameters(ignore=["network"])
        shares = {
            "hidden_patches": hidden_patches,
            "hidden_channels": hidden_channels,
            "hidden_regions": hidden_regions,
        }
        for name, share in {**shares, "hidden_futures": hidden_futures, "latent_momentum": latent_momentum}.items():
            check_between(name, share, 0, 1)
        check_between("patch_seconds", patch_seconds, 0, network.spec.window_seconds)
        check_between("latent_weight", latent_weight, 0)
        check_option("count_loss", count_loss, COUNT_LOSSES)
        check_option("field_loss", field_loss, FIELD_LOSSES)
        self.field_loss, self.patch_seconds = field_loss, patch_seconds
        self.hidden_patches, self.hidden_channels = hidden_patches, hidden_channels
        self.hidden_regions, self.hidden_futures = hidden_regions, hidden_futures
        channels = network.spec.channels
        self._number("modality_ids", [channel.modality for channel in channels])
        self._number("region_ids", [channel.region for channel in channels])
        counts = (
            [False, *(channel.counts for channel in channels)] if channels else [False] * network.spec.n_channel_ids
        )
        self.register_buffer("is_count", torch.tensor(counts), persistent=False)
        self.tells_rates = hasattr(network, "predict") and any(counts)
        self.dispersion = nn.Parameter(torch.zeros(())) if count_loss == "negative_binomial" else None
        self.latent_weight, self.latent_momentum = latent_weight, latent_momentum
        self.latent_spread: float | None = None
        if latent_weight:
            self._follow(network)

    def _number(self, name: str, values: list[str]) -> None:
        """Keep what each channel id has of a property, as a number; 0 where nothing is known."""
        known = {value: i + 1 for i, value in enumerate(sorted(set(values) - {""}))} | {"": 0}
        ids = [known[value] for value in values] or [0] * (self.network.spec.n_channel_ids - 1)
        self.register_buffer(name, torch.tensor([0, *ids]), persistent=False)

    def _follow(self, network: Any) -> None:
        if not hasattr(network, "encode"):
            raise NeurodataError(
                f"latent_weight={self.latent_weight:g} needs a network with latents, such as 'perceiver'; "
                f"{type(network).__name__} has none"
            )
        self.following = copy.deepcopy(network).requires_grad_(False)
        self.foresee = nn.Sequential(nn.Linear(network.width, network.width), nn.GELU(), nn.Linear(network.width, network.width))  # fmt: skip

    def draw_hidden(self, batch: Batch) -> Tensor:
        """Return what is hidden from the network, bool ``(batch, time, channel)``."""
        n_samples, device = batch.values.shape[1], batch.values.device
        patch_samples = self._patch_samples(batch)
        n_patches = -(-n_samples // patch_samples)
        patches = self.draw(batch, 0, n_patches, each_channel=True) < self.hidden_patches
        hidden = patches.repeat_interleave(patch_samples, 1)[:, :n_samples]
        hidden = hidden | (self.draw(batch, 1, 1, each_channel=True) < self.hidden_channels)
        late = torch.arange(n_samples, device=device) >= n_samples - n_samples // 4
        cut = self.draw(batch, 2, 1)[..., None] < self.hidden_futures
        hidden = hidden | (cut & late[None, :, None])
        return hidden | self._hidden_region(batch)[:, None] if self.hidden_regions else hidden

    def _patch_samples(self, batch: Batch) -> int:
        """Samples of a hidden piece, by the batch's own clock."""
        seconds = batch.seconds
        rate_hz = (
            (len(seconds) - 1) / float(seconds[-1] - seconds[0]) if len(seconds) > 1 else self.network.spec.rate_hz
        )
        if self.patch_seconds or not hasattr(self.network, "patching"):
            return max(1, round((self.patch_seconds or 2.0) * rate_hz))
        network: Any = self.network
        family = network.identity.family_here(batch.channel_ids, batch.present)
        return int(network.patching(family).n_samples(rate_hz))

    def _hidden_region(self, batch: Batch) -> Tensor:
        """The channels of one region, that of a channel drawn among those whose region is known, ``(batch, channel)``."""
        regions = self.region_ids[batch.channel_ids]
        chance = self.draw(batch, 3, 1, each_channel=True)[:, 0] * (regions > 0)
        chosen = regions.gather(1, chance.argmax(1, keepdim=True))
        return (regions == chosen) & (chosen > 0) & (self.draw(batch, 4, 1) < self.hidden_regions)

    def loss(self, batch: Batches) -> Tensor:
        """Return the loss over hidden, recorded values, the mean over modalities."""
        sums: dict[int, list[tuple[Tensor, Tensor]]] = {}
        latent = []
        self.latent_spread = None
        for one in [batch] if isinstance(batch, Batch) else batch:
            ids = self.modality_ids[one.channel_ids[one.present]]
            modality = int(ids.mode().values) if ids.numel() else 0
            total, count, foreseen = self._parts(one)
            sums.setdefault(modality, []).append((total, count))
            latent += [] if foreseen is None else [foreseen]
        means = [per_count(sum_of(total for total, _ in parts), sum_of(count for _, count in parts)) for parts in sums.values()]  # fmt: skip
        loss = torch.stack(means).mean()
        return loss + self.latent_weight * torch.stack(latent).mean() if latent else loss

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Summed loss, number of values counted, and the loss of the latents, where they are predicted."""
        hidden = self.draw_hidden(batch)
        inputs = self.network.see(batch, hidden)
        network: Any = self.network
        foreseen = None
        if self.tells_rates or self.latent_weight:
            latents = network.encode(inputs)
            predicted = network.predict(latents)
            foreseen = self._latent_loss(batch, latents) if self.latent_weight else None
        else:
            predicted = network.reconstruct(inputs)
        counted = hidden & batch.recorded
        errors = self._errors(predicted, where_counted(batch.values, predicted, counted), batch)
        return torch.where(counted, errors, errors.new_zeros(())).sum(), counted.sum(), foreseen

    def _errors(self, predicted: Tensor, truth: Tensor, batch: Batch) -> Tensor:
        if self.field_loss == "huber":
            errors = functional.huber_loss(predicted, truth, reduction="none")
        else:
            errors = (predicted - truth).square()
        if not self.tells_rates:
            return errors
        counts = self.is_count[batch.channel_ids][:, None]
        if self.dispersion is None:
            return torch.where(counts, poisson_loss(predicted, truth.clamp(min=0)), errors)
        return torch.where(counts, negative_binomial_loss(predicted, truth.clamp(min=0), self.dispersion), errors)

    def _latent_loss(self, batch: Batch, latents: Any) -> Tensor:
        """How far latents of what is visible are from foreseeing those that the following copy has of everything."""
        with torch.no_grad():
            whole = self.following.eval().encode(self.network.see(batch))
            wanted = functional.layer_norm(whole.values, whole.values.shape[-1:])
            heard = whole.heard[..., None, None].expand_as(wanted)
            told = whole.values[whole.heard]
        # Of each latent, as they begin apart, and of the copy, as dropout would look like spread; the lowest of all sources.
        spread = float(told.std(0).mean()) if len(told) > 1 else 1.0
        self.latent_spread = spread if self.latent_spread is None else min(spread, self.latent_spread)
        errors = functional.smooth_l1_loss(self.foresee(latents.values), wanted, reduction="none")
        return masked_mean(errors, heard)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the copy follow, and watch that latents do not become the same for everything."""
        if not self.latent_weight:
            return
        with torch.no_grad():
            for slow, fast in zip(self.following.state_dict().values(), self.network.state_dict().values()):
                if slow.is_floating_point():
                    slow.lerp_(fast, 1 - self.latent_momentum)
                else:
                    slow.copy_(fast)
        spread = self.latent_spread if self.latent_spread is not None else 1.0
        self.log("latent_spread", spread)
        if spread < COLLAPSED and self.global_step > self.warmup_steps:
            raise NeurodataError(
                f"the latents have collapsed: their features spread {spread:.3f} over windows and time at step "
                f"{self.global_step}; lower latent_weight or learning_rate, or raise latent_momentum"
            )

    def predict_step(self, batch: Batches, batch_index: int) -> Tensor | tuple[Tensor, ...]:
        """Return the activity told of each sample, ``(batch, time, channel)``; of a mixture one for each source."""
        if isinstance(batch, Batch):
            return self.network.reconstruct(self.network.see(batch))
        return tuple(self.network.reconstruct(self.network.see(one)) for one in batch)


def sum_of(values: Any) -> Tensor:
    """Return the sum of tensors of one shape."""
    return torch.stack(list(values)).sum(0)
