"""What happened in a window as a list of events: who, when and how much."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..network import Inputs


class Events(NamedTuple):
    """Events of several windows, in order of time, padded to the most among them.

    Parameters
    ----------
    values
        Activity of the event: a count, or any value that is not zero, ``(batch, event)``.
    channel_ids
        Whose event it is, ``(batch, event)``.
    seconds
        Time of the event's sample, ``(batch, event)``.
    real
        Whether there is such an event (False: padding), bool ``(batch, event)``.
    """

    values: Tensor
    channel_ids: Tensor
    seconds: Tensor
    real: Tensor


def gather_events(inputs: Inputs) -> Events:
    """Return every visible value that is not zero as an event; a bin without a spike makes none."""
    happened = (inputs.visible & (inputs.values != 0)).flatten(1)
    window, place = happened.nonzero(as_tuple=True)
    counts = happened.sum(1)
    rank = torch.arange(len(window), device=window.device) - (counts.cumsum(0) - counts)[window]
    n_events, n_channels = int(counts.max()), inputs.values.shape[2]
    places = place.new_zeros(len(counts), n_events)
    places[window, rank] = place
    return Events(
        inputs.values.flatten(1).gather(1, places),
        inputs.channel_ids.gather(1, places % n_channels),
        inputs.seconds[places // n_channels],
        torch.arange(n_events, device=place.device) < counts[:, None],
    )
