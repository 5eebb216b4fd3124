"""Windows with different neurons into one padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from neurodata.batches.batch import Batch


class Sample(NamedTuple):
    """One window as numpy arrays; see `Batch` for the fields."""

    values: NDArray[np.float32]
    recorded: NDArray[np.bool_]
    channel_ids: NDArray[np.int64]
    target: NDArray[np.int64] | NDArray[np.float32] | None
    recording: int
    first: int
    rate_hz: float


def collate(samples: Batch | Sequence[Sample]) -> Batch:
    """Return samples as one batch; channels are padded at the end, never reordered.

    What is a batch already (`neurodata.batches.dataset.WindowDataset` gathers whole ones) is returned as it is.

    Parameters
    ----------
    samples
        Windows of equal length; channels may differ in number and identity.
    """
    if isinstance(samples, Batch):
        return samples
    length, most = samples[0].values.shape[0], max(sample.values.shape[1] for sample in samples)
    values = np.zeros((len(samples), length, most), np.float32)
    recorded = np.zeros(values.shape, np.bool_)
    channel_ids = np.zeros((len(samples), most), np.int64)
    present = np.zeros((len(samples), most), np.bool_)
    for row, sample in enumerate(samples):
        n_channels = sample.values.shape[1]
        values[row, :, :n_channels] = sample.values
        recorded[row, :, :n_channels] = sample.recorded
        channel_ids[row, :n_channels] = sample.channel_ids
        present[row, :n_channels] = True
    targets = [sample.target for sample in samples if sample.target is not None]
    target = np.stack(targets) if targets else np.zeros((len(samples), 0), np.int64)
    return Batch(
        torch.from_numpy(values),
        torch.from_numpy(recorded),
        torch.from_numpy(channel_ids),
        torch.from_numpy(present),
        torch.arange(length, dtype=torch.float32) / samples[0].rate_hz,
        torch.from_numpy(target),
        torch.tensor([sample.recording for sample in samples]),
        torch.tensor([sample.first for sample in samples]),
    )
