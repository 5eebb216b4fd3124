"""Recurrent network: a GRU over the window, channels entered by identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurodata.windows.spec import DataSpec

from ..network import Inputs, Network


class GRU(Network):
    """Gated recurrent unit over time, running both ways.

    Channels enter as a sum of learned vectors, one per identity, weighted by the channel's value, plus one per identity
    for being visible; so worms with different neurons share all weights and a missing neuron adds nothing.

    ``features``: ``(batch, time, 2 * width)``. ``reconstruct``: ``(batch, time, channel)``.

    Parameters
    ----------
    spec
        Shape and meaning of the data.
    width
        Hidden units in each direction.
    dropout
        On the features.

    References
    ----------
    Cho et al. 2014, Learning phrase representations using RNN encoder-decoder, section 2.3 (the unit).
    """

    def __init__(self, spec: DataSpec, *, width: int = 48, dropout: float = 0.2) -> None:
        super().__init__(spec, 2 * width, {"width": width, "dropout": dropout})
        self.enter = nn.Embedding(spec.n_channel_ids, width)
        self.seen = nn.Embedding(spec.n_channel_ids, width)
        nn.init.normal_(self.enter.weight, std=0.3)
        nn.init.normal_(self.seen.weight, std=0.02)
        self.recurrent = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.back = nn.Embedding(spec.n_channel_ids, 2 * width)
        self.offset = nn.Embedding(spec.n_channel_ids, 1)
        nn.init.zeros_(self.back.weight)
        nn.init.zeros_(self.offset.weight)

    def features(self, inputs: Inputs) -> Tensor:
        """Return the hidden states of both directions, ``(batch, time, 2 * width)``."""
        entered = torch.einsum("btc,bcw->btw", inputs.values, self.enter(inputs.channel_ids))
        entered = entered + torch.einsum(
            "btc,bcw->btw", inputs.visible.to(entered.dtype), self.seen(inputs.channel_ids)
        )
        scale = inputs.present.sum(1).clamp(min=1).to(entered.dtype).rsqrt()
        hidden: Tensor = self.dropout(self.recurrent(entered * scale[:, None, None])[0])
        return hidden

    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, channel)``."""
        found = torch.einsum("btw,bcw->btc", self.features(inputs), self.back(inputs.channel_ids))
        rebuilt: Tensor = found + self.offset(inputs.channel_ids).transpose(1, 2)
        return rebuilt
