"""What a decoded recording holds: samples, or counts of events; both give windows by plain copying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodata.windows.quantize import decode_into


@dataclass(frozen=True)
class Samples:
    """A signal on a run's clock.

    Parameters
    ----------
    stored
        float32 ``(time, channel)``, NaN where nothing was recorded; or a smaller type, see `neurodata.windows.quantize`.
    complete
        Whether every value is known to be finite, so that nobody needs to look for missing ones.
    scale, offset
        Of a smaller type, ``(channel,)``; None for float32.
    """

    stored: NDArray[np.generic]
    complete: bool = False
    scale: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and channels."""
        return self.stored.shape[0], self.stored.shape[1]

    def copy_window(self, first: int, out: NDArray[np.float32]) -> None:
        """Write the samples from ``first`` on into ``out`` ``(time, channel)``."""
        window = self.stored[first : first + len(out)]
        if self.scale is None:
            out[...] = window
        else:
            decode_into(window, self.scale, self.offset, out)

    def dense(self) -> NDArray[np.float32]:
        """Return all values, float32 ``(time, channel)``; those of a float32 recording are not copied."""
        if self.scale is None:
            return np.asarray(self.stored, np.float32)
        values = np.empty(self.stored.shape, np.float32)
        self.copy_window(0, values)
        return values


@dataclass(frozen=True)
class Counts:
    """Events counted in the bins of a run's clock, kept as the cells that are not 0.

    Parameters
    ----------
    cells
        ``bin * channels + channel`` of each cell that holds an event, int64 ``(cell,)``, increasing.
    counts
        Events in it, float32 ``(cell,)``.
    shape
        Bins and channels.
    """

    cells: NDArray[np.int64]
    counts: NDArray[np.float32]
    shape: tuple[int, int]
    complete: bool = True

    def copy_window(self, first: int, out: NDArray[np.float32]) -> None:
        """Write the counts of the bins from ``first`` on into ``out`` ``(time, channel)``."""
        out[...] = 0
        found, n_channels = self.within(first, len(out)), self.shape[1]
        bins, channels = np.divmod(self.cells[found] - first * n_channels, n_channels)
        out[bins, channels] = self.counts[found]

    def within(self, first: int, length: int) -> slice:
        """Return which cells lie in the bins ``[first, first + length)``."""
        n_channels = self.shape[1]
        edges = self.cells.searchsorted((first * n_channels, (first + length) * n_channels))
        return slice(int(edges[0]), int(edges[1]))

    def dense(self) -> NDArray[np.float32]:
        """Return all counts, float32 ``(time, channel)``."""
        values = np.zeros(self.shape, np.float32)
        values.reshape(-1)[self.cells] = self.counts
        return values


Activity = Samples | Counts


def make_counts(bins: NDArray[np.int64], channels: NDArray[np.int64], shape: tuple[int, int]) -> Counts:
    """Return how many events fell into each cell.

    Parameters
    ----------
    bins
        Bin of each event, int64 ``(event,)``, in any order; those outside ``[0, shape[0])`` are not counted.
    channels
        Channel of each event, ``(event,)``; those below 0 are not counted.
    shape
        Bins and channels.
    """
    kept = (bins >= 0) & (bins < shape[0]) & (channels >= 0)
    cells, counts = np.unique(bins[kept] * shape[1] + channels[kept], return_counts=True)
    return Counts(cells.astype(np.int64), counts.astype(np.float32), shape)


def gather(activities: Sequence[Activity], firsts: Sequence[int], out: NDArray[np.float32]) -> None:
    """Copy the windows of a batch into one array, window after window; spikes of a whole batch in one pass.

    Parameters
    ----------
    activities
        Of each window's recording, one per window.
    firsts
        First sample of each window.
    out
        float32 ``(window, time, channel)``, as many channels as the most; what a recording does not have becomes 0.
    """
    most = out.shape[2]
    counted = [isinstance(activity, Counts) and activity.shape[1] == most for activity in activities]
    if all(counted):
        _scatter(activities, firsts, out)  # type: ignore[arg-type]
        return
    for activity, first, window in zip(activities, firsts, out):
        n_channels = activity.shape[1]
        if n_channels == most:
            activity.copy_window(first, window)
        else:
            activity.copy_window(first, window[:, :n_channels])
            window[:, n_channels:] = 0


def _scatter(activities: Sequence[Counts], firsts: Sequence[int], out: NDArray[np.float32]) -> None:
    """Write the counts of all windows at once into the flat batch."""
    size = out.shape[1] * out.shape[2]
    found = [activity.within(first, out.shape[1]) for activity, first in zip(activities, firsts)]
    total = sum(span.stop - span.start for span in found)
    places, counts = np.empty(total, np.int64), np.empty(total, np.float32)
    begin = 0
    for row, (activity, first, span) in enumerate(zip(activities, firsts, found)):
        end = begin + span.stop - span.start
        np.add(activity.cells[span], row * size - first * out.shape[2], out=places[begin:end])
        counts[begin:end] = activity.counts[span]
        begin = end
    out[...] = 0
    out.reshape(-1)[places] = counts
