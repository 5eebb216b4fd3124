"""Compact convolutional network for EEG: temporal kernels, a spatial filter for each, pooled power."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodata.checks import check_positive
from neurodata.windows.spec import DataSpec

from ..network import Inputs, Network

MAX_NORM = 1.0
"""Largest length of a spatial filter (Lawhern et al. 2018, table 2)."""

SHORTEST_KERNEL = 3
"""Samples. At a few Hz half a second would be one sample or two, and a kernel should see both neighbours."""


class EEGNet(Network):
    """Band-pass kernels shared by all channels, weights over channels for each, then a separable convolution.

    A spatial filter is one weight per channel id, so a montage may lack channels or list them in any order: what is
    missing takes nothing. Lengths are in seconds and become samples at the data's rate; at 128 Hz the defaults are the
    paper's EEGNet-8,2: kernels of 64 and 16 samples, pooling by 4 and then 8. Where a sample lasts longer than a pool
    (calcium, fMRI) nothing is pooled.

    ``features``: the pooled maps, ``(batch, time, n_pointwise)``. ``reconstruct``: a weight per channel id for each
    feature and each filtered signal before it is pooled, ``(batch, time, channel)``.

    What differs from the paper: features are wanted at every sample, so pooled maps are interpolated back to the rate
    instead of being flattened into a classifier; they change no faster than the second pool. Spatial filters come
    before the kernels, which gives the same as both are linear and takes F1·D convolutions instead of F1 per channel;
    the batch norm between the two is left out, as it is one scale and one shift per kernel, which the next one undoes.
    A filter's length (over the whole vocabulary) is held by dividing by it, not by clipping after a step, so that it
    holds under any optimiser. As in the paper, batch norm lets the windows of a batch see each other in training, and never afterwards.

    Parameters
    ----------
    spec
        Shape and meaning of the data.
    n_temporal, n_spatial, n_pointwise
        Kernels (F1), spatial filters per kernel (D) and features per sample (F2).
    kernel_seconds
        Length of both kernels: half a second tells frequencies from 2 Hz on.
    first_pool_seconds, pool_seconds
        What a value stands for after the first and after the second pooling.
    dropout
        After each pooling; the paper has 0.25 across subjects and 0.5 within one.

    Raises
    ------
    NeurodataError
        If a number of maps or a length is not positive.

    References
    ----------
    Lawhern et al. 2018, J. Neural Eng. 15:056013, section 2.2.1 and table 2.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        n_temporal: int = 8,
        n_spatial: int = 2,
        n_pointwise: int = 16,
        kernel_seconds: float = 0.5,
        first_pool_seconds: float = 0.03125,
        pool_seconds: float = 0.25,
        dropout: float = 0.25,
    ) -> None:
        sizes = {"n_temporal": n_temporal, "n_spatial": n_spatial, "n_pointwise": n_pointwise}
        lengths = {"kernel_seconds": kernel_seconds, "first_pool_seconds": first_pool_seconds, "pool_seconds": pool_seconds}  # fmt: skip
        for name, value in {**sizes, **lengths}.items():
            check_positive(name, value)
        super().__init__(spec, n_pointwise, {**sizes, **lengths, "dropout": dropout})
        length, n_maps = spec.window_samples, n_temporal * n_spatial
        self.n_temporal = n_temporal
        kernel = _samples(kernel_seconds, spec.rate_hz, SHORTEST_KERNEL, length)
        # Two values at least are left: a batch norm in training needs them even for a batch of one window.
        self.first_pool = _samples(first_pool_seconds, spec.rate_hz, 1, max(1, length // 2))
        later_hz, later_length = spec.rate_hz / self.first_pool, -(-length // self.first_pool)
        later_kernel = _samples(kernel_seconds, later_hz, SHORTEST_KERNEL, later_length)
        self.second_pool = _samples(pool_seconds, later_hz, 1, later_length)
        self.spatial = nn.Embedding(spec.n_channel_ids, n_maps)
        nn.init.normal_(self.spatial.weight, std=spec.n_channel_ids**-0.5)  # of length 1, about
        self.temporal = nn.Conv1d(n_temporal, n_temporal, kernel, groups=n_temporal, bias=False)
        self.depthwise = nn.Conv1d(n_maps, n_maps, later_kernel, groups=n_maps, bias=False)
        self.pointwise = nn.Conv1d(n_maps, n_pointwise, 1, bias=False)
        self.norm, self.later_norm = nn.BatchNorm1d(n_maps), nn.BatchNorm1d(n_pointwise)
        self.dropout = nn.Dropout(dropout)
        self.back = nn.Embedding(spec.n_channel_ids, n_maps + n_pointwise)
        self.offset = nn.Embedding(spec.n_channel_ids, 1)
        nn.init.zeros_(self.back.weight)
        nn.init.zeros_(self.offset.weight)

    def spatial_filters(self) -> Tensor:
        """Return the weight of each channel id in each filter, none longer than `MAX_NORM`, ``(channel id, map)``."""
        weight = self.spatial.weight
        held: Tensor = weight * (MAX_NORM / weight.norm(dim=0).clamp(min=MAX_NORM))
        return held

    def _filtered(self, inputs: Inputs) -> Tensor:
        """Activity through spatial filters and their kernels, normalised, ``(batch, map, time)``."""
        weight = functional.embedding(inputs.channel_ids, self.spatial_filters())
        maps = torch.einsum("btc,bcm->bmt", inputs.values, weight)
        by_kernel = maps.reshape(-1, self.n_temporal, maps.shape[-1])  # a kernel is shared by its spatial filters
        filtered: Tensor = self.norm(_same(self.temporal, by_kernel).view_as(maps))
        return filtered

    def _pooled(self, filtered: Tensor) -> Tensor:
        """Pooled maps, back at the rate of the samples, ``(batch, time, n_pointwise)``."""
        length = filtered.shape[-1]
        early = self.dropout(_pool(functional.elu(filtered), self.first_pool))
        late = functional.elu(self.later_norm(self.pointwise(_same(self.depthwise, early))))
        late = self.dropout(_pool(late, self.second_pool))
        step = self.first_pool * self.second_pool
        # Each pooled value stands at the middle of what it was pooled from.
        back = late if step == 1 else functional.interpolate(late, scale_factor=float(step), mode="linear")
        return back[..., :length].transpose(1, 2)

    def features(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, n_pointwise)``."""
        return self._pooled(self._filtered(inputs))

    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, channel)``."""
        filtered = self._filtered(inputs)
        known = torch.cat([filtered.transpose(1, 2), self._pooled(filtered)], -1)
        found = torch.einsum("btk,bck->btc", known, self.back(inputs.channel_ids))
        rebuilt: Tensor = found + self.offset(inputs.channel_ids).transpose(1, 2)
        return rebuilt


def _samples(seconds: float, rate_hz: float, least: int, most: int) -> int:
    """Samples in a stretch of time, at least ``least`` but never more than there are."""
    return min(max(round(seconds * rate_hz), least), most)


def _same(convolution: nn.Conv1d, maps: Tensor) -> Tensor:
    """The convolution of ``(batch, map, time)``, as long as before; an even kernel reaches one sample further ahead."""
    kernel = convolution.kernel_size[0]
    # Not padding="same": that warns about even kernels.
    convolved: Tensor = convolution(functional.pad(maps, ((kernel - 1) // 2, kernel // 2)))
    return convolved


def _pool(maps: Tensor, size: int) -> Tensor:
    """Means over ``size`` samples of ``(batch, map, time)``; the last over what is left."""
    if size == 1:
        return maps
    return functional.avg_pool1d(maps, size, ceil_mode=True, count_include_pad=False)
