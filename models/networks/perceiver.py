"""One encoder for all modalities: patches of channels are read by latents on a grid of time, and asked for by queries."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodata.batches.batch import Batch
from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.windows.spec import BY_RECORDING, BY_SUBJECT, DataSpec

from ..layers.channel_identity import ChannelIdentity
from ..layers.latents import CrossAttention, LatentBlock, neighbours
from ..layers.patches import (
    FAMILIES,
    PATCHINGS,
    Patching,
    as_like,
    cut_patches,
    family_of,
    from_base,
    join_patches,
    to_base,
)
from ..layers.running_scale import RunningScale
from ..layers.tokens import Tokens, around_patches, n_around, n_entering, rate_of, step_centres
from ..losses import LARGEST_LOG_RATE
from ..network import Inputs, Network


class Size(NamedTuple):
    """Features of a latent, blocks, heads, and features of a token."""

    width: int
    depth: int
    n_heads: int
    token_width: int


SIZES = {
    "tiny": Size(32, 2, 2, 16),
    "nano": Size(128, 4, 4, 64),
    "small": Size(256, 6, 8, 96),
    "base": Size(512, 12, 8, 128),
}
"""About 1, 5 and 40 million parameters, the tables of channels aside; ``tiny`` (0.05) is for tests and first tries."""

NEAR_STEPS = 1
"""Grid steps before and after its own that a query reads; what is further away, latents have told each other."""


class Latents(NamedTuple):
    """What the encoder says of a window.

    Parameters
    ----------
    values
        ``(batch, step, latent, width)``; a step is a patch of time.
    heard
        Whether any channel had something visible then, bool ``(batch, step)``.
    tokens
        What they were read from.
    """

    values: Tensor
    heard: Tensor
    tokens: Tokens


class Perceiver(Network):
    """Encoder of any recording: any channels, any rate, channels missing, several modalities in one network.

    A token is one channel × one patch of some seconds, embedded by a kernel that is resized to the recording's rate;
    who the channel is (`ChannelIdentity`) is added to it and scales its features. The latents of each step of a time
    grid attend to the tokens of that step, then blocks of self-attention with rotary time in seconds let steps speak
    with each other: cost is linear in channels × time. What is asked for is a query: a behaviour at a moment
    (`features`), or a channel over a patch (`reconstruct`), which attends to the latents around its time. A channel's
    query also knows that channel's own last and next visible patch.

    ``features``: ``(batch, time, width)``. ``reconstruct``: ``(batch, time, channel)``, rates for counts.

    Parameters
    ----------
    spec
        Shape and meaning of the data; a batch's own clock decides over ``rate_hz``.
    size
        ``tiny``, ``nano``, ``small`` or ``base``; see `SIZES`.
    n_latents
        Latents per step.
    patch_seconds
        Length of a patch; 0: that of the modality (`PATCHINGS`).
    dropout
        In the encoder, and on the features.
    dropped_identity
        Share of channels of which parts of the identity are not told in training.

    Raises
    ------
    NeurodataError
        If there is no such size, a number is out of its range, or a patch is longer than the window.

    References
    ----------
    Jaegle et al. 2021, Perceiver IO, section 3; Azabou et al. 2023, POYO, section 2 (latents on a time grid, rotary
    time); Beyer et al. 2023, FlexiViT (kernels for any patch size); Perez et al. 2018, FiLM (identity scales features).
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        size: str = "nano",
        n_latents: int = 4,
        patch_seconds: float = 0.0,
        dropout: float = 0.1,
        dropped_identity: float = 0.1,
    ) -> None:
        check_option("size", size, SIZES)
        width, depth, n_heads, token_width = SIZES[size]
        hyperparameters: dict[str, int | float | str | bool] = {"size": size, "n_latents": n_latents, "patch_seconds": patch_seconds, "dropout": dropout, "dropped_identity": dropped_identity}  # fmt: skip
        super().__init__(spec, width, hyperparameters)
        if n_latents < 1 or patch_seconds < 0 or not (0 <= dropout < 1 and 0 <= dropped_identity < 1):
            raise NeurodataError(
                f"n_latents is 1 or more, patch_seconds 0 or more, dropout and dropped_identity lie in [0, 1); got "
                f"n_latents={n_latents}, patch_seconds={patch_seconds:g}, dropout={dropout:g}, dropped_identity={dropped_identity:g}"
            )
        if patch_seconds > spec.window_seconds:
            raise NeurodataError(
                f"patch_seconds={patch_seconds:g} is longer than the window of {spec.window_seconds:g} s; take shorter "
                "patches or longer windows"
            )
        self.n_latents, self.patch_seconds = n_latents, patch_seconds
        self.identity = ChannelIdentity(spec, token_width, dropped_identity)
        here = {family_of(channel.modality) for channel in spec.channels} or {FAMILIES[0]}
        self.families = tuple(family for family in FAMILIES if family in here)
        self.enter = nn.ModuleDict(
            {name: nn.Linear(n_entering(name), token_width, bias=False) for name in self.families}
        )
        self.gain, self.gain_back = (nn.Linear(token_width, token_width) for _ in range(2))
        for gain in (self.gain, self.gain_back):
            nn.init.normal_(gain.weight, std=2.5 * token_width**-0.5)  # channels are told apart from the first step on
        self.present, self.mix = nn.Linear(1, token_width), nn.Linear(token_width, token_width)
        self.count_scale = RunningScale(spec.n_channel_ids)
        self.spectrum_scale = RunningScale(PATCHINGS["electrical"].base_samples // 2)
        self.latents = nn.Parameter(torch.randn(n_latents, width) * 0.3)
        self.token_norm = nn.LayerNorm(token_width)
        self.read = CrossAttention(width, token_width, width, n_heads)
        self.pool = nn.Linear(token_width, n_latents * width)
        self.blocks = nn.ModuleList([LatentBlock(width, n_heads, dropout) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.behaviour = nn.Parameter(torch.randn(width) * 0.3)
        self.moments = nn.ParameterDict({name: torch.randn(PATCHINGS[name].base_samples, width) * 0.1 for name in self.families})  # fmt: skip
        self.tell = CrossAttention(width, width, width, n_heads)
        self.told = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.around = nn.ModuleDict({name: nn.Linear(n_around(name), token_width) for name in self.families})
        self.rebuild = CrossAttention(token_width, width, width, n_heads)
        self.rebuilt = nn.Sequential(nn.LayerNorm(token_width), nn.Linear(token_width, 2 * token_width), nn.GELU(), nn.Linear(2 * token_width, token_width))  # fmt: skip
        self.back = nn.ModuleDict(
            {name: nn.Linear(token_width, PATCHINGS[name].base_samples) for name in self.families}
        )
        self.straight = nn.ModuleDict({name: nn.Linear(n_around(name), PATCHINGS[name].base_samples) for name in self.families})  # fmt: skip
        for layer in (*self.back.values(), *self.straight.values()):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def see(self, batch: Batch, hidden: Tensor | None = None) -> Inputs:
        """Return what the network sees of a batch.

        Where every channel stands for itself, one that was in no training recording is seen all the same: it is known by
        the name, the place or the kind that it shares with others. Elsewhere see `Network.see`.
        """
        if self.training:
            self.identity.meet(batch.channel_ids, batch.recorded.any(1))
        return super().see(batch, hidden)

    def knows(self, batch: Batch) -> Tensor:
        """Return whether each channel can be spoken of, bool ``(batch, channel)``; see `see`."""
        alone = self.spec.identity in (BY_RECORDING, BY_SUBJECT)
        return torch.ones_like(batch.present) if alone else super().knows(batch)

    def patching(self, family: str) -> Patching:
        """Return how a family's windows are cut: the base kernel spans the patch, however long it is."""
        standard = PATCHINGS[family]
        return standard._replace(seconds=self.patch_seconds) if self.patch_seconds else standard

    def tokenise(self, inputs: Inputs) -> Tokens:
        """Return a window's tokens."""
        family = self.identity.family_here(inputs.channel_ids, inputs.present)
        if family not in self.families:
            raise NeurodataError(
                f"the network was built for {', '.join(self.families)} recordings, the batch is of the family {family!r}; "
                "adapt the network to the new recordings first (nd.adapt)"
            )
        patching, rate_hz, length = self.patching(family), rate_of(inputs, self.spec), inputs.values.shape[1]
        n_samples = min(patching.n_samples(rate_hz), length)
        is_count = self.identity.is_count[inputs.channel_ids]
        values = inputs.values
        if family == "spikes":
            values = torch.where(
                is_count[:, None], self._stabilised(inputs, rate_hz / patching.base_rate_hz, is_count), values
            )
        matrix = as_like(to_base(n_samples, patching.base_samples, family == "spikes"), values)
        base = cut_patches(values, n_samples) @ matrix.T
        share = cut_patches(inputs.visible.to(values.dtype), n_samples).mean(-1, keepdim=True)
        attended = share[..., 0] > 0
        who = self.identity(inputs.channel_ids)
        spectrum = self._spectrum(base, attended) if family == "electrical" else []
        entered = self.enter[family](torch.cat([base, *spectrum], -1)) * (1 + self.gain(who))[:, :, None]
        mixed = entered + self.present(share) + who[:, :, None]
        content = mixed + self.mix(functional.gelu(mixed))
        return Tokens(content, entered, attended, who, base, family, rate_hz, n_samples, length, is_count)

    def _stabilised(self, inputs: Inputs, per_base_bin: float, is_count: Tensor) -> Tensor:
        """Counts of bins of any width as those of the base rate's, their square roots centred and of unit spread.

        Anscombe 1948, Biometrika 35:246: the square root of a Poisson count has nearly the same variance at every rate.
        """
        roots = (inputs.values * per_base_bin).clamp(min=0).sqrt()
        if self.training:
            self.count_scale.see(inputs.channel_ids[:, None], roots, inputs.visible & is_count[:, None])
        mean, spread = (part.to(roots.dtype)[inputs.channel_ids][:, None] for part in self.count_scale.statistics())
        return torch.where(inputs.visible, (roots - mean) / spread, roots.new_zeros(()))

    def _spectrum(self, base: Tensor, attended: Tensor) -> list[Tensor]:
        """Logarithm of each frequency's amplitude in a patch: rhythms have no fixed phase.

        CBraMod (Wang et al. 2025) has amplitudes beside the samples as well.
        """
        wide = base.float() if base.dtype in (torch.bfloat16, torch.float16) else base
        window = torch.hann_window(base.shape[-1], periodic=False, device=base.device, dtype=wide.dtype)
        found = torch.fft.rfft(wide * window, norm="ortho").abs()[..., 1:].log1p()
        if self.training:
            place = torch.arange(found.shape[-1], device=found.device)
            self.spectrum_scale.see(place, found, attended[..., None].expand(found.shape))
        mean, spread = (part.to(found.dtype) for part in self.spectrum_scale.statistics())
        return [((found - mean) / spread * attended[..., None]).to(base.dtype)]

    def encode(self, inputs: Inputs) -> Latents:
        """Return the latents of a window."""
        tokens = self.tokenise(inputs)
        batch, _, n_steps, _ = tokens.content.shape
        by_step = self.token_norm(tokens.content).transpose(1, 2).flatten(0, 1)
        attended = tokens.attended.transpose(1, 2).flatten(0, 1)
        start = self.latents.expand(len(by_step), -1, -1)
        read = self.read(start, self.read.to_key_value(by_step), attended)
        # The sum beside the attention: a weighted mean of many channels would lose what each of them adds.
        entered = tokens.entered.transpose(1, 2).flatten(0, 1) * attended[..., None]
        summed = entered.sum(1) * attended.sum(1, keepdim=True).clamp(min=1).rsqrt()
        values = start + read + self.pool(summed).view(start.shape)
        values, heard = values.view(batch, n_steps, *values.shape[1:]), attended.any(-1).view(batch, n_steps)
        seconds = step_centres(tokens, inputs.seconds)
        for block in self.blocks:
            values = block(values, heard, seconds)
        return Latents(self.norm(values), heard, tokens)

    def features(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, width)``."""
        return self.ask(self.encode(inputs))

    def ask(self, latents: Latents, behaviour: Tensor | None = None) -> Tensor:
        """Return what is told of a behaviour at every sample, ``(batch, time, width)``.

        Parameters
        ----------
        latents
            Of `encode`.
        behaviour
            What is asked, ``(width,)``; None: the network's own query.
        """
        tokens = latents.tokens
        batch, n_steps = latents.heard.shape
        asked = self.behaviour if behaviour is None else behaviour
        moments = self.moments[tokens.family]
        matrix = as_like(from_base(tokens.n_samples, len(moments), tokens.family == "spikes"), moments)
        queries = (asked + matrix @ moments).expand(batch * n_steps, -1, -1)
        offsets = torch.arange(tokens.n_samples, device=moments.device) / tokens.rate_hz - tokens.step_seconds / 2
        found: Tensor = queries + self._near(self.tell, latents, queries, offsets)
        found = self.dropout(found + self.told(found))
        return found.reshape(batch, -1, self.width)[:, : tokens.length]

    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, channel)``: values, or the rate per bin of counts."""
        latents = self.encode(inputs)
        told = self.predict(latents)
        return torch.where(latents.tokens.is_count[:, None], told.clamp(max=LARGEST_LOG_RATE).exp(), told)

    def predict(self, latents: Latents) -> Tensor:
        """Return values, or the logarithm of the rate per bin of counts, ``(batch, time, channel)``."""
        tokens = latents.tokens
        around = around_patches(tokens)
        queries = tokens.who[:, :, None] + self.around[tokens.family](around)
        by_step = queries.transpose(1, 2).flatten(0, 1)
        here = torch.zeros(queries.shape[1], device=queries.device)
        found = by_step + self._near(self.rebuild, latents, by_step, here)
        found = found + self.rebuilt(found)
        found = (
            found.view(*latents.heard.shape, *found.shape[1:]).transpose(1, 2)
            * (1 + self.gain_back(tokens.who))[:, :, None]
        )
        base = self.back[tokens.family](found) + self.straight[tokens.family](around)
        patching = self.patching(tokens.family)
        bins = tokens.family == "spikes"
        matrix = as_like(from_base(tokens.n_samples, patching.base_samples, bins), base)
        told = join_patches(base @ matrix.T, tokens.length)
        if bins:
            told = torch.where(tokens.is_count[:, None], told + math.log(patching.base_rate_hz / tokens.rate_hz), told)
        return told

    def _near(self, attention: CrossAttention, latents: Latents, queries: Tensor, offsets: Tensor) -> Tensor:
        """What queries read from the latents of their step and those around it: ``(batch * step, query, width)``."""
        tokens = latents.tokens
        steps = torch.arange(-NEAR_STEPS, NEAR_STEPS + 1, device=queries.device)
        keys = neighbours(attention.to_key_value(latents.values), NEAR_STEPS).flatten(2, 3).flatten(0, 1)
        # A step's own latents are there even where nothing was visible: others have told them.
        attended = neighbours(latents.heard, NEAR_STEPS) | (steps == 0)
        attended = attended.flatten(0, 1).repeat_interleave(self.n_latents, 1)
        times = (steps * tokens.step_seconds).repeat_interleave(self.n_latents)
        dtype = torch.float64 if queries.dtype == torch.float64 else torch.float32
        found: Tensor = attention(queries, keys, attended, (offsets.to(dtype), times.to(dtype)))
        return found
