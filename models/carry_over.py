"""A trained encoder made ready for other channels: what it knows is kept, by name; new channels begin where they belong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from neurodata.errors import NeurodataError
from neurodata.windows.spec import Channel, DataSpec

from .layers.channel_identity import OWN_SPREAD, SCALE_METRES, SHARED
from .layers.patches import family_of
from .networks.perceiver import Perceiver

NEAR = 0.3
"""Width of the neighbourhood in which places tell a new channel's vector, in its family's unit of position."""


def carry_over(network: Perceiver, spec: DataSpec) -> Perceiver:
    """Return a network for other recordings, with everything the trained one has learned.

    The vocabulary of the returned network begins with that of ``spec``, so that batches of its data fit, and goes on
    with the channels that were known before.

    Parameters
    ----------
    network
        The trained encoder; left as it is.
    spec
        Of the new recordings.

    Raises
    ------
    NeurodataError
        If ``spec`` says nothing of its channels.
    """
    if len(spec.channels) != len(spec.vocabulary):
        raise NeurodataError("the spec says nothing of its channels; make it by RecordingDataModule or make_spec")
    joined = _joined(spec, network.spec)
    hyperparameters = dict(network.hyperparameters)
    if float(hyperparameters["patch_seconds"]) > joined.window_seconds:
        raise NeurodataError(
            f"the network's patches of {hyperparameters['patch_seconds']} s are longer than the windows of "
            f"{joined.window_seconds:g} s; take longer windows"
        )
    made = Perceiver(joined, **hyperparameters)  # type: ignore[arg-type]
    made.to(next(network.parameters()))
    made.load_state_dict(_carried(network, made), strict=False)
    with torch.no_grad():
        new = [number for number, key in enumerate(joined.vocabulary) if key not in set(network.spec.vocabulary)]
        made.identity.own.weight[torch.tensor(new, dtype=torch.long) + 1] = start_vectors(network, [joined.channels[n] for n in new])  # fmt: skip
    return made


def _joined(spec: DataSpec, before: DataSpec) -> DataSpec:
    """The new spec with the channels known before behind its own."""
    old = before.channels or (Channel(),) * len(before.vocabulary)
    groups = dict(zip(before.vocabulary, before.groups or before.vocabulary))
    kept = [(key, channel) for key, channel in zip(before.vocabulary, old) if key not in set(spec.vocabulary)]
    return dataclasses.replace(
        spec,
        vocabulary=(*spec.vocabulary, *(key for key, _ in kept)),
        groups=(*(spec.groups or spec.vocabulary), *(groups[key] for key, _ in kept)),
        channels=(*spec.channels, *(channel for _, channel in kept)),
        parts=(),
    )


def _carried(network: Perceiver, made: Perceiver) -> dict[str, Tensor]:
    """The trained weights that fit, tables row by row."""
    before, after = network.state_dict(), made.state_dict()
    carried = {name: before[name] for name in after if name in before and before[name].shape == after[name].shape}
    tables = {"met": (network.spec.vocabulary, made.spec.vocabulary)}
    tables |= dict.fromkeys(("identity.own_met", "identity.own.weight", "count_scale.sums"), tables["met"])
    for what in SHARED:
        keys = (network.identity.keys[what], made.identity.keys[what])
        tables |= {f"identity.{what}{part}": keys for part in ("_met", ".weight")}
    return carried | {name: _rows(before[name], after[name], *keys) for name, keys in tables.items()}


def _rows(before: Tensor, after: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """A table with the trained row of every key that had one; row 0 is the unknown's."""
    place: Mapping[str, int] = {key: row for row, key in enumerate(old, start=1)}
    pairs = [(row, place[key]) for row, key in enumerate(new, start=1) if key in place]
    table = after.clone()
    table[0] = before[0]
    if pairs:
        to, source = torch.tensor(pairs).T
        table[to] = before[source]
    return table


def start_vectors(network: Perceiver, channels: Sequence[Channel]) -> Tensor:
    """Return the own vectors that new channels begin with, ``(channel, token_width)``.

    The mean over the trained channels of the same name; else the mean over those near by, weighted by distance; else
    the mean over those of the same modality; else zero. So a new animal's cells begin as what is known of such cells.
    Those of neither name nor place get a random vector of spread `OWN_SPREAD` on top, drawn from torch's generator:
    nothing else would tell them apart.

    Parameters
    ----------
    network
        The trained encoder.
    channels
        What is known of the new ones.
    """
    own, met = network.identity.own.weight.detach()[1:], network.identity.get_buffer("own_met")[1:]
    old = network.spec.channels or (Channel(),) * len(own)
    places = torch.tensor([channel.position or (torch.nan,) * 3 for channel in old]).reshape(-1, 3).to(own)
    found = torch.zeros(len(channels), own.shape[1]).to(own)
    for row, channel in enumerate(channels):
        weights = _likeness(channel, old, places) * met
        if float(weights.sum()) > 0:
            found[row] = (weights[:, None] * own).sum(0) / weights.sum()
    alone = torch.tensor([[not channel.name and not channel.position] for channel in channels]).reshape(-1, 1)
    return found + OWN_SPREAD * (alone * torch.randn(found.shape)).to(found)


def _likeness(channel: Channel, others: Sequence[Channel], places: Tensor) -> Tensor:
    """How much each trained channel tells of a new one, ``(trained channel,)``."""
    named = torch.tensor([bool(channel.name) and other.name == channel.name for other in others])
    if named.any():
        return named.to(places)
    kind = torch.tensor([other.modality == channel.modality for other in others]).to(places)
    if channel.position:
        unit = SCALE_METRES[family_of(channel.modality)] * NEAR
        apart = (places - torch.tensor(channel.position).to(places)).square().sum(1) / (2 * unit**2)
        near = torch.nan_to_num(torch.exp(-apart)) * kind
        if float(near.sum()) > 1e-6:
            return near
    return kind
