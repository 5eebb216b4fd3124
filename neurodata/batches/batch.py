"""What a model is given."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Windows of several recordings, padded to the most channels among them.

    Parameters
    ----------
    values
        Scaled activity, 0 where nothing was recorded, float ``(batch, time, channel)``.
    recorded
        Whether a value was recorded, bool ``(batch, time, channel)``; padding is never recorded. Where nothing is
        missing all samples of a window share their memory: ``clone()`` it before you write to it.
    channel_ids
        Who a channel is: position in the vocabulary plus one, 0 unknown or padding, int64 ``(batch, channel)``.
    present
        Whether a channel exists (False: padding), bool ``(batch, channel)``.
    seconds
        Time from the window's first sample, float ``(time,)``.
    target
        Class codes int64 ``(batch, time)`` with -1 where not labelled, or float ``(batch, time, output)`` with NaN
        where not recorded, or int64 ``(batch, 0)`` where there is no target.
    recording
        Position of the window's recording in the dataset's list, int64 ``(batch,)``.
    first
        The window's first sample on the recording's clock, int64 ``(batch,)``.
    """

    values: Tensor
    recorded: Tensor
    channel_ids: Tensor
    present: Tensor
    seconds: Tensor
    target: Tensor
    recording: Tensor
    first: Tensor
