"""Linear forecasts from the past: each channel's own history, and a few sums over everyone's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurodata.windows.spec import DataSpec

from .lagged import group_share

PAST_SECONDS = (1 / 3, 2 / 3, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 15.0)
"""How far back linear forecasts look; each earlier value enters as its difference from the present one."""


class LinearPast(nn.Module):
    """Change of every channel over the next samples, linear in the past; untrained it says "no change".

    The sum of two paths: an autoregression on the channel's own past (weights shared by all channels, plus a
    correction per group of homologues), and ``rank`` sums over the pasts of all channels, which each channel reads by
    its group's own weights.

    Parameters
    ----------
    spec
        Gives rate and vocabulary.
    n_steps
        Samples forecast.
    rank
        Sums over all channels.
    dropout
        On those sums.
    """

    group_ids: Tensor

    def __init__(self, spec: DataSpec, n_steps: int, rank: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.lags = sorted({max(1, round(seconds * spec.rate_hz)) for seconds in PAST_SECONDS})
        self.register_buffer("group_ids", torch.tensor(spec.group_ids), persistent=False)
        n_groups, n_inputs = max(spec.group_ids) + 1, 1 + len(self.lags)
        self.own = nn.Linear(n_inputs, n_steps)
        self.own_group = nn.Parameter(torch.zeros(n_groups, n_inputs, n_steps))
        nn.init.zeros_(self.own.weight)
        nn.init.zeros_(self.own.bias)
        self.collect = nn.Parameter(torch.randn(n_groups, n_inputs, rank) * 0.05)
        self.spread = nn.Embedding(n_groups, rank)
        self.to_steps = nn.Linear(rank, n_steps, bias=False)
        nn.init.zeros_(self.to_steps.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, past: Tensor, channel_ids: Tensor) -> Tensor:
        """Return changes from the last value, ``(batch, step, channel)``.

        Parameters
        ----------
        past
            Values up to now, 0 where not recorded, ``(batch, time, channel)``.
        channel_ids
            ``(batch, channel)``.
        """
        now, last = past[:, -1], past.shape[1] - 1
        earlier = [past[:, max(0, last - lag)] - now for lag in self.lags]
        history = torch.stack([now, *earlier], -1)
        groups = self.group_ids[channel_ids]
        own = self.own(history) + torch.einsum("bci,bcis->bcs", history, self.own_group[groups])
        share = group_share(self.group_ids, channel_ids)
        sums = torch.einsum("bci,bcir->br", history, self.collect[groups] * share[..., None, None])
        others = self.to_steps(self.dropout(sums)[:, None] * self.spread(groups))
        change: Tensor = (own + others).transpose(1, 2)
        return change
