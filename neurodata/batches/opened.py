"""Decoded recordings as batches need them: what a window is made from lies in arrays by the recording's number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurodata.windows.activity import Activity, Samples, gather
from neurodata.windows.growing import Growing
from neurodata.windows.prepare import Prepared

_ROW_VALUES, _MANY = 1 << 14, 256
"""Values that mean and spread are repeated to, for numpy's inner loops are the faster the longer they are; a sixteenth
of it where there are many recordings, as each has its own."""


class Scale:
    """``(value - mean) / std`` of one recording's windows, in float32.

    Parameters
    ----------
    mean, std
        Per channel, ``(channel,)``.
    length
        Samples per window.
    row_values
        Values they are repeated to, about.
    """

    __slots__ = ("mean", "repeated_mean", "repeated_std", "shape", "std")

    def __init__(self, mean: NDArray[np.float32], std: NDArray[np.float32], length: int, row_values: int) -> None:
        self.mean, self.std = mean, std
        most = max(1, row_values // max(1, mean.size))
        repeats = max(count for count in range(1, min(most, length) + 1) if length % count == 0)
        self.shape = (length // repeats, repeats * mean.size)
        self.repeated_mean, self.repeated_std = np.tile(mean, repeats), np.tile(std, repeats)

    def copy(self, window: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write a scaled window into ``out``; both contiguous, ``(time, channel)``."""
        scaled = out.reshape(self.shape)
        np.subtract(window.reshape(self.shape), self.repeated_mean, out=scaled)
        np.divide(scaled, self.repeated_std, out=scaled)

    def apply(self, window: NDArray[np.float32]) -> None:
        """Scale a window in place; it may be part of a wider one."""
        np.subtract(window, self.mean, out=window)
        np.divide(window, self.std, out=window)


class OpenedRecordings:
    """What is known of the recordings of a dataset that were opened, by their number.

    Parameters
    ----------
    count
        Recordings of the dataset.
    length
        Samples per window.

    Attributes
    ----------
    size
        Samples of each recording on the windows' clock, -1 where it is not open, ``(recording,)``.
    width
        Channels, ``(recording,)``.
    plain
        Whether windows are slices of ``stored``, ``(recording,)``.
    complete
        Whether no value is missing, scaled ones included, ``(recording,)``.
    growing
        Whether samples are fetched as they are asked for, ``(recording,)``.
    """

    def __init__(self, count: int, length: int) -> None:
        self.length, self.row_values = length, _ROW_VALUES if count <= _MANY else _ROW_VALUES // 16
        self.size = np.full(count, -1, np.int64)
        self.width = np.zeros(count, np.int64)
        self.plain, self.complete, self.growing = (np.zeros(count, np.bool_) for _ in range(3))
        self.activity: list[Activity | None] = [None] * count
        self.stored: list[NDArray[np.float32] | None] = [None] * count
        self.scale: list[Scale | None] = [None] * count
        self.target: list[NDArray[np.int64] | NDArray[np.float32] | None] = [None] * count
        self.channel_ids = np.zeros((count, 0), np.int64)

    def add(self, number: int, prepared: Prepared, mean: NDArray[np.float32], std: NDArray[np.float32]) -> None:
        """Take in a recording; ``mean`` and ``std`` are empty where values stay as they are."""
        activity, ids = prepared.activity, prepared.channel_ids
        is_scaled = mean.size > 0 and bool((mean != 0).any() or (std != 1).any())
        if ids.size > self.channel_ids.shape[1]:
            self.channel_ids = np.pad(self.channel_ids, ((0, 0), (0, ids.size - self.channel_ids.shape[1])))
        self.channel_ids[number, : ids.size] = ids
        self.width[number], self.activity[number], self.target[number] = ids.size, activity, prepared.target
        self.scale[number] = Scale(mean, std, self.length, self.row_values) if is_scaled else None
        self.complete[number] = activity.complete and (not is_scaled or bool((std > 0).all()))
        self.growing[number] = isinstance(activity, Growing)
        if isinstance(activity, Samples) and activity.scale is None:
            self.stored[number] = np.asarray(activity.stored, np.float32)
            self.plain[number] = True
        self.size[number] = activity.shape[0]  # last: from now on the recording counts as open

    def gather(self, numbers: NDArray[np.int64], firsts: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        """Write scaled windows into ``out`` ``(window, time, channel)``; channels that a recording lacks become 0."""
        if not self.plain[numbers].all():
            gather([self._activity(number) for number in numbers.tolist()], firsts.tolist(), out)
            for window, number in zip(out, numbers.tolist()):
                scale = self.scale[number]
                if scale is not None:
                    scale.apply(window[:, : scale.mean.size])
        elif (self.width[numbers] == out.shape[2]).all():
            self._copy(numbers.tolist(), firsts.tolist(), out)
        else:
            self._copy_ragged(numbers.tolist(), firsts.tolist(), out)

    def _copy(self, numbers: list[int], firsts: list[int], out: NDArray[np.float32]) -> None:
        """The hot path: one copy per window and nothing else."""
        stored, scales, length = self.stored, self.scale, self.length
        for window, number, first in zip(out, numbers, firsts):
            found, scale = stored[number][first : first + length], scales[number]  # type: ignore[index]
            if scale is None:
                window[...] = found
            else:
                scale.copy(found, window)

    def _copy_ragged(self, numbers: list[int], firsts: list[int], out: NDArray[np.float32]) -> None:
        """The same for recordings of different width."""
        stored, scales, length = self.stored, self.scale, self.length
        out[...] = 0
        for window, number, first in zip(out, numbers, firsts):
            found, scale = stored[number][first : first + length], scales[number]  # type: ignore[index]
            window = window[:, : found.shape[1]]
            window[...] = found
            if scale is not None:
                scale.apply(window)

    def _activity(self, number: int) -> Activity:
        activity = self.activity[number]
        assert activity is not None
        return activity

    def growing_of(self, number: int) -> Growing:
        """Return the samples of a recording that are fetched as they are asked for."""
        activity = self.activity[number]
        assert isinstance(activity, Growing)
        return activity
