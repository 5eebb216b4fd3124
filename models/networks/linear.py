"""Linear network: each channel identity at several lags, one linear map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurodata.windows.spec import DataSpec

from ..layers.lagged import LaggedReadout
from ..network import Inputs, Network


class Linear(Network):
    """Weighted sums of named channels' values and slopes at lags of 0, ±1, 2, 3 s.

    ``features``: ``(batch, time, width)``, linear in the activity. ``reconstruct``: each channel from its identity's
    weights on those features, ``(batch, time, channel)``.

    Parameters
    ----------
    spec
        Shape and meaning of the data.
    width
        Number of weighted sums.
    """

    def __init__(self, spec: DataSpec, *, width: int = 16) -> None:
        super().__init__(spec, width, {"width": width})
        self.read = LaggedReadout(spec, width, lags_seconds=(-3, -2, -1, 0, 1, 2, 3))
        nn.init.normal_(self.read.weight, std=0.02)
        self.back = nn.Embedding(spec.n_channel_ids, width)
        self.offset = nn.Embedding(spec.n_channel_ids, 1)
        nn.init.zeros_(self.back.weight)
        nn.init.zeros_(self.offset.weight)

    def features(self, inputs: Inputs) -> Tensor:
        """Return the weighted sums, ``(batch, time, width)``."""
        features: Tensor = self.read(inputs)
        return features

    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, channel)``."""
        found = torch.einsum("btw,bcw->btc", self.read(inputs), self.back(inputs.channel_ids))
        rebuilt: Tensor = found + self.offset(inputs.channel_ids).transpose(1, 2)
        return rebuilt
