"""Masked-patch transformer over (neuron, time patch) tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodata.errors import NeurodataError
from neurodata.windows.spec import DataSpec

from ..layers.attention import Block
from ..layers.lagged import group_share, slope
from ..network import Inputs, Network

_SLOPE_SCALE = 4.0
"""Brings the slope of a z-scored worm neuron (spread about 0.22 per second at 3 Hz) to the spread of its value."""


class Transformer(Network):
    """Encoder whose tokens are one channel × one patch of time.

    A token is made of the patch's values, slopes and which of them are visible; to it is added who the channel is: a
    vector per identity and one per group of homologues, shared by all animals. Time enters as rotary position in
    seconds. Tokens without a visible value are attended to by none; they exist so that they can be reconstructed.

    ``features``: at every layer, channels are pooled by a gate that depends on their group only; so a missing neuron
    takes nothing but its own share. Shape ``(batch, time, width)``. ``reconstruct``: ``(batch, time, channel)``.

    Parameters
    ----------
    spec
        Shape and meaning of the data.
    token_width, n_layers, n_heads
        Size of the encoder.
    patch_samples
        Samples per token; must divide the window.
    pooled_width
        Gated sums per layer.
    width
        Features per sample.
    dropout, feature_dropout
        In the encoder, and on the features.

    Raises
    ------
    NeurodataError
        If patches do not fill the window, or heads the tokens.
    """

    group_ids: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        token_width: int = 32,
        n_layers: int = 2,
        n_heads: int = 2,
        patch_samples: int = 6,
        pooled_width: int = 64,
        width: int = 64,
        dropout: float = 0.05,
        feature_dropout: float = 0.3,
    ) -> None:
        hyperparameters = {"token_width": token_width, "n_layers": n_layers, "n_heads": n_heads, "patch_samples": patch_samples, "pooled_width": pooled_width, "width": width, "dropout": dropout, "feature_dropout": feature_dropout}  # fmt: skip
        super().__init__(spec, width, hyperparameters)
        fits = patch_samples > 0 and n_heads > 0 and token_width > 0
        if not fits or spec.window_samples % patch_samples or token_width % (2 * n_heads):
            raise NeurodataError(
                f"patch_samples={patch_samples} must divide the window of {spec.window_samples} samples, and "
                f"2 * n_heads={2 * n_heads} must divide token_width={token_width}"
            )
        self.patch_samples = patch_samples
        self.register_buffer("group_ids", torch.tensor(spec.group_ids), persistent=False)
        n_groups = max(spec.group_ids) + 1
        self.identity = nn.Embedding(spec.n_channel_ids, token_width)
        self.group = nn.Embedding(n_groups, token_width)
        nn.init.normal_(self.identity.weight, std=0.1)
        nn.init.normal_(self.group.weight, std=0.3)
        self.enter = nn.Linear(3 * patch_samples, token_width)
        self.mix = nn.Linear(token_width, token_width)
        self.blocks = nn.ModuleList([Block(token_width, n_heads, dropout) for _ in range(n_layers)])
        self.norm = nn.LayerNorm(token_width)
        self.back = nn.Linear(token_width, patch_samples)
        nn.init.zeros_(self.back.weight)  # untrained, it expects the mean; a forecast then copies the last value
        nn.init.zeros_(self.back.bias)
        self.pools = nn.ModuleList([nn.Linear(token_width, pooled_width) for _ in range(n_layers + 1)])
        self.gates = nn.ModuleList([nn.Embedding(n_groups, pooled_width) for _ in range(n_layers + 1)])
        self.to_hidden = nn.Linear((n_layers + 1) * pooled_width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.smooth = nn.Conv1d(width, width, 3, padding=1)
        self.to_samples = nn.Linear(width, patch_samples * width)
        self.feature_dropout = nn.Dropout(feature_dropout)

    def _encode(self, inputs: Inputs) -> list[Tensor]:
        """Tokens after every layer, each ``(batch, channel, patch, token_width)``; the last one normalised."""
        batch, _, n_channels = inputs.values.shape
        steep = slope(inputs.values, inputs.visible, self.spec.rate_hz) * _SLOPE_SCALE
        seen = torch.stack([inputs.values, steep, inputs.visible.to(inputs.values.dtype)], -1)
        patches = seen.view(batch, -1, self.patch_samples, n_channels, 3).permute(0, 3, 1, 2, 4).flatten(3)
        who = self.identity(inputs.channel_ids) + self.group(self.group_ids[inputs.channel_ids])
        tokens = functional.gelu(self.enter(patches) + who[:, :, None])
        tokens = self.mix(tokens) + who[:, :, None]
        attended = inputs.visible.view(batch, -1, self.patch_samples, n_channels).any(2).transpose(1, 2)
        seconds = inputs.seconds[:: self.patch_samples]
        layers = [tokens]
        for block in self.blocks:
            layers.append(block(layers[-1], attended, seconds))
        layers[-1] = self.norm(layers[-1])
        return layers

    def features(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, width)``."""
        groups = self.group_ids[inputs.channel_ids]
        share = group_share(self.group_ids, inputs.channel_ids) * inputs.visible.any(1)
        share = share * share.sum(1, keepdim=True).clamp(min=1).rsqrt()
        pooled = [
            torch.einsum("bcpd,bcd->bpd", pool(tokens), gate(groups) * share[..., None])
            for tokens, pool, gate in zip(self._encode(inputs), self.pools, self.gates)
        ]
        hidden = self.feature_dropout(functional.gelu(self.to_hidden(torch.cat(pooled, -1))))
        smooth = functional.gelu(self.smooth(self.hidden_norm(hidden).transpose(1, 2))).transpose(1, 2)
        per_sample = self.to_samples(hidden + smooth)
        features: Tensor = per_sample.view(hidden.shape[0], -1, self.width)
        return features

    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, channel)``."""
        values = self.back(self._encode(inputs)[-1])
        rebuilt: Tensor = values.permute(0, 2, 3, 1).flatten(1, 2)
        return rebuilt
