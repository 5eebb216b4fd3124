"""What every network is: a plain module between a window of activity and features or reconstructed activity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurodata.batches.batch import Batch
from neurodata.windows.spec import DataSpec

from .losses import share_count


class Inputs(NamedTuple):
    """What a network may look at; what is hidden from it is zero here already.

    Parameters
    ----------
    values
        Scaled activity, 0 where not visible, ``(batch, time, channel)``.
    visible
        Whether a value was recorded and is not hidden, bool ``(batch, time, channel)``.
    channel_ids
        Position in the vocabulary plus one, 0 unknown, ``(batch, channel)``.
    present
        Whether a channel exists (False: padding), bool ``(batch, channel)``.
    seconds
        Time from the window's first sample, ``(time,)``.
    """

    values: Tensor
    visible: Tensor
    channel_ids: Tensor
    present: Tensor
    seconds: Tensor


def make_inputs(batch: Batch, hidden: Tensor | None = None) -> Inputs:
    """Return what a network sees of a batch.

    Parameters
    ----------
    batch
        Windows.
    hidden
        Values to keep from the network, bool ``(batch, time, channel)``.
    """
    visible = batch.recorded if hidden is None else batch.recorded & ~hidden
    # Not a product: what is hidden must not show even where it is infinite or NaN.
    values = torch.where(visible, batch.values, batch.values.new_zeros(()))
    return Inputs(values, visible, batch.channel_ids, batch.present, batch.seconds)


class Network(nn.Module):
    """Contract of all networks.

    A network is built from a `DataSpec` and named keyword arguments (kept in ``hyperparameters``), knows nothing of
    tasks, and answers two questions about a window.

    Parameters
    ----------
    spec
        Shape and meaning of the data.
    width
        Features per sample that `features` gives.
    hyperparameters
        The keyword arguments it was built with; enough, with the spec, to build it again.
    """

    met: Tensor
    """Whether a channel id was in training, bool ``(channel id,)``; saved with the weights."""

    def __init__(self, spec: DataSpec, width: int, hyperparameters: Mapping[str, int | float | str | bool]) -> None:
        super().__init__()
        self.spec, self.width, self.hyperparameters = spec, width, dict(hyperparameters)
        self.register_buffer("met", torch.zeros(spec.n_channel_ids, dtype=torch.bool))

    def see(self, batch: Batch, hidden: Tensor | None = None) -> Inputs:
        """Return what the network sees of a batch: in training all that is not hidden, later only neurons it has met.

        What belongs to a neuron that was in no training recording (its identity vector, its gate) is as random as at
        the start; shown to the network, such a neuron would only add noise.
        """
        inputs = make_inputs(batch, hidden)
        if self.training:
            here = batch.recorded.any(1).flatten().long()
            counts = torch.zeros_like(self.met, dtype=torch.long).index_add(0, batch.channel_ids.flatten(), here)
            self.met.logical_or_(share_count(counts) > 0)  # in training on several devices: met by any of them
            return inputs
        visible = inputs.visible & self.knows(batch)[:, None]
        return inputs._replace(visible=visible, values=inputs.values * visible)

    def knows(self, batch: Batch) -> Tensor:
        """Return whether each channel was met in training, bool ``(batch, channel)``; all before any training."""
        return self.met[batch.channel_ids] | ~self.met.any()

    @abstractmethod
    def features(self, inputs: Inputs) -> Tensor:
        """Return what a decoder reads from: ``(batch, time, width)``."""

    @abstractmethod
    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return the activity expected at every sample of every channel, hidden or not: ``(batch, time, channel)``."""
