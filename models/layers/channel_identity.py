"""Who a channel is, as a vector: the sum of all that is known of it; what is unknown has a vector of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurodata.windows.spec import BY_ID, BY_LABEL, Channel, DataSpec

from ..losses import share_count
from .patches import FAMILIES, family_of

SCALE_METRES = {"other": 1e-2, "calcium": 1e-4, "spikes": 1e-3, "electrical": 0.1, "fmri": 0.1}
"""What positions are divided by: a head's radius, a field of view, a probe's length."""

_OCTAVES = 3
"""Sines and cosines of a position at 1, 2 and 4 half waves per unit."""


SHARED = ("name", "group", "region")
"""What channels may have in common, each with a table of vectors."""


OWN_SPREAD = 0.3
"""Of the vectors of their own that channels begin with of which nothing else is known; as of names."""


class ChannelIdentity(nn.Module):
    """Sum of learned vectors: the name, its group of homologues, the region, the place, the modality, and the channel's own.

    A name that was in no training recording, like one that nobody gave, is "unknown", never an error: a learned vector
    that also stands in for what is dropped at random in training, so that it means something. A channel's own vector
    says how it departs from what its name, place and kind let expect: it begins at zero, or at random where neither name
    nor place is known.

    Parameters
    ----------
    spec
        Its vocabulary and what is known of the channels.
    width
        Of the vectors.
    dropped
        Share of channels whose name (and group), whose place and region, and whose own vector are each dropped in training.
    """

    name_ids: Tensor
    group_ids: Tensor
    region_ids: Tensor
    family_ids: Tensor
    places: Tensor
    is_placed: Tensor
    is_count: Tensor

    def __init__(self, spec: DataSpec, width: int, dropped: float) -> None:
        super().__init__()
        self.dropped = dropped
        channels = spec.channels or (Channel(),) * len(spec.vocabulary)
        names = _names(spec, channels)
        groups = [group if name else "" for name, group in zip(names, spec.groups or names)]
        regions = [channel.region for channel in channels]
        families = [family_of(channel.modality) for channel in channels]
        self.keys = {what: tuple(sorted(set(values) - {""})) for what, values in zip(SHARED, (names, groups, regions))}
        for what, values in zip(SHARED, (names, groups, regions)):
            self._keep(f"{what}_ids", _numbers(values, self.keys[what]))
            self.register_buffer(f"{what}_met", torch.zeros(len(self.keys[what]) + 1, dtype=torch.bool))
        self.register_buffer("own_met", torch.zeros(spec.n_channel_ids, dtype=torch.bool))
        self._keep("family_ids", [0, *map(FAMILIES.index, families)])
        self._keep("is_count", [False, *(channel.counts for channel in channels)])
        self._keep("places", [(0.0, 0.0, 0.0), *(_scaled(c, family) for c, family in zip(channels, families))])
        self._keep("is_placed", [False, *(bool(channel.position) for channel in channels)])
        self.name, self.group, self.region = (nn.Embedding(len(self.keys[what]) + 1, width) for what in SHARED)
        self.family = nn.Embedding(len(FAMILIES), width)
        self.own = nn.Embedding(spec.n_channel_ids, width)
        anywhere = any(channel.position for channel in channels)
        self.place = _place_network(width) if anywhere else None
        self.placeless = nn.Parameter(torch.zeros(width))
        for table, spread in ((self.name, 0.3), (self.group, 0.3), (self.region, 0.1), (self.family, 0.1)):
            nn.init.normal_(table.weight, std=spread)
        # Channels of which nothing else is known would all begin the same, and learn apart slowly only.
        alone = [False, *(not name and not channel.position for name, channel in zip(names, channels))]
        nn.init.normal_(self.own.weight, std=OWN_SPREAD)
        with torch.no_grad():
            self.own.weight[~torch.tensor(alone)] = 0.0
        self.default_family = max(families, key=families.count) if families else FAMILIES[0]

    def _keep(self, name: str, values: Sequence[object]) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    def meet(self, channel_ids: Tensor, recorded: Tensor) -> None:
        """Remember which channels, names, groups and regions there are in training.

        Parameters
        ----------
        channel_ids, recorded
            ``(batch, channel)``; ``recorded`` is whether a channel has any value.
        """
        counts = torch.zeros(len(self.get_buffer("own_met")), dtype=torch.long, device=channel_ids.device)
        counts = counts.index_add(0, channel_ids.flatten(), recorded.flatten().long())
        here = share_count(counts) > 0  # in training on several devices: met by any of them
        self.get_buffer("own_met").logical_or_(here)
        for what in SHARED:
            self.get_buffer(f"{what}_met")[self.get_buffer(f"{what}_ids")[here]] = True

    def forward(self, channel_ids: Tensor) -> Tensor:
        """Return ``(batch, channel, width)`` of ``(batch, channel)``."""
        named, placed, owned = (self._kept(channel_ids) for _ in range(3))
        own = channel_ids * owned
        found: Tensor = self.family(self.family_ids[channel_ids]) + self.own(own * self._is_met("own", own))
        for what, told in zip(SHARED, (named, named, placed)):
            ids = self.get_buffer(f"{what}_ids")[channel_ids] * told
            found = found + self.get_submodule(what)(ids * self._is_met(what, ids))
        if self.place is None:
            return found + self.placeless
        place = self.place(_waves(self.places[channel_ids].to(self.placeless.dtype)))
        return found + torch.where((self.is_placed[channel_ids] & placed)[..., None], place, self.placeless)

    def _is_met(self, what: str, ids: Tensor) -> Tensor:
        """Whether ids were in training; all of them while there is training, or was none."""
        met = self.get_buffer(f"{what}_met")
        return met[ids] | self.training | ~self.get_buffer("own_met").any()

    def _kept(self, channel_ids: Tensor) -> Tensor:
        """Whether something known is told, bool ``(batch, channel)``."""
        if not self.training or self.dropped == 0:
            return torch.ones_like(channel_ids, dtype=torch.bool)
        return torch.rand(channel_ids.shape, device=channel_ids.device) >= self.dropped

    def family_here(self, channel_ids: Tensor, present: Tensor) -> str:
        """Return the family of most channels of a batch."""
        here = self.family_ids[channel_ids[present & (channel_ids > 0)]]
        return FAMILIES[int(here.mode().values)] if here.numel() else self.default_family


def _names(spec: DataSpec, channels: Sequence[Channel]) -> list[str]:
    """Name of each key of the vocabulary; where channels are known by what they are called, the key itself."""
    by_key = spec.identity in (BY_LABEL, BY_ID)
    return [channel.name or (key if by_key else "") for channel, key in zip(channels, spec.vocabulary)]


def _numbers(values: Sequence[str], known: Sequence[str]) -> list[int]:
    """Position plus one of each value, 0 for ``""``, and 0 first, for the unknown channel."""
    place = {name: i + 1 for i, name in enumerate(known)} | {"": 0}
    return [0, *(place[value] for value in values)]


def _scaled(channel: Channel, family: str) -> tuple[float, ...]:
    """A channel's position in its family's unit; the origin where it has none."""
    return tuple(value / SCALE_METRES[family] for value in channel.position) or (0.0, 0.0, 0.0)


def _place_network(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3 * (1 + 2 * _OCTAVES), width), nn.GELU(), nn.Linear(width, width))


def _waves(places: Tensor) -> Tensor:
    """Positions with their sines and cosines, ``(…, 3 * (1 + 2 * octaves))``.

    Mildenhall et al. 2020 (NeRF), section 5.1: without them a network of two layers sees nothing fine.
    """
    octaves = math.pi * 2.0 ** torch.arange(_OCTAVES, device=places.device, dtype=places.dtype)
    angles = (places[..., None] * octaves).flatten(-2)
    return torch.cat([places, angles.sin(), angles.cos()], -1)
