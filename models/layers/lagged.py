"""A linear readout of named channels at several lags: what logistic regression on lagged activity computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurodata.windows.spec import DataSpec

from ..network import Inputs


def slope(values: Tensor, visible: Tensor, rate_hz: float, span_seconds: float = 1.0) -> Tensor:
    """Return the central difference over ``span_seconds``, per second; 0 where either end is not visible.

    Parameters
    ----------
    values, visible
        ``(batch, time, channel)``; values are 0 where not visible.
    rate_hz
        Samples per second.
    span_seconds
        Distance between the two samples compared; at the window's ends one of them is the end itself.
    """
    reach = max(1, round(span_seconds * rate_hz / 2))
    length = values.shape[1]
    position = torch.arange(length, device=values.device)
    before, after = (position - reach).clamp(min=0), (position + reach).clamp(max=length - 1)
    apart = ((after - before).clamp(min=1) / rate_hz).to(values.dtype)[:, None]
    both = visible[:, before] & visible[:, after]
    return (values[:, after] - values[:, before]) / apart * both


def group_share(group_ids: Tensor, channel_ids: Tensor) -> Tensor:
    """Return one over the number of channels of a window in a channel's group, 0 for unknown channels.

    Parameters
    ----------
    group_ids
        Group of each channel id, ``(channel id,)``.
    channel_ids
        ``(batch, channel)``.
    """
    groups = group_ids[channel_ids]
    together = (groups[:, :, None] == groups[:, None, :]).sum(-1)
    return (channel_ids > 0) / together.to(torch.get_default_dtype())


class LaggedReadout(nn.Module):
    """Weighted sum over channels, lags and {value, slope}; homologues (AVAL and AVAR) share weights and are averaged.

    Starts at zero. Lags that reach outside the window read its first or last sample.

    Parameters
    ----------
    spec
        Gives rate and vocabulary.
    n_outputs
        Outputs per sample.
    lags_seconds
        Lags read, positive ones are later samples.
    slope_scale
        Factor on the slope, so that its spread is near that of the value (a z-scored worm neuron at 3 Hz changes by
        about 0.22 per second).
    """

    group_ids: Tensor

    def __init__(
        self,
        spec: DataSpec,
        n_outputs: int,
        lags_seconds: Sequence[float],
        slope_scale: float = 4.0,
    ) -> None:
        super().__init__()
        self.rate_hz, self.slope_scale = spec.rate_hz, slope_scale
        self.lags = [round(lag * spec.rate_hz) for lag in lags_seconds]
        self.register_buffer("group_ids", torch.tensor(spec.group_ids), persistent=False)
        self.weight = nn.Parameter(torch.zeros(max(spec.group_ids) + 1, 2 * len(self.lags), n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def terms(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is weighed.

        Returns
        -------
        lagged
            Values and slopes at every lag, ``(batch, time, channel, feature)``.
        share
            How much a channel counts in its group, ``(batch, channel)``.
        groups
            Its group, ``(batch, channel)``.
        """
        steep = slope(inputs.values, inputs.visible, self.rate_hz) * self.slope_scale
        both = torch.stack([inputs.values, steep], -1)
        length = both.shape[1]
        position = torch.arange(length, device=both.device)
        shifted = [both[:, (position + lag).clamp(0, length - 1)] for lag in self.lags]
        share = group_share(self.group_ids, inputs.channel_ids)
        return torch.cat(shifted, -1), share, self.group_ids[inputs.channel_ids]

    def forward(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, output)``."""
        lagged, share, groups = self.terms(inputs)
        weight = self.weight[groups] * share[..., None, None]
        found: Tensor = torch.einsum("btk,bko->bto", lagged.flatten(2), weight.flatten(1, 2)) + self.bias
        return found

    def penalty(self) -> Tensor:
        """Return the sum of squared weights."""
        return self.weight.square().sum()
