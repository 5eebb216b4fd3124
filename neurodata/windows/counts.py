"""Events on a window's clock: how many fell into each bin, per unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurodata.recording.bins import event_bins

__all__ = ["count_events", "event_bins"]


def count_events(
    times: NDArray[np.float64], units: NDArray[np.integer], n_units: int, rate_hz: float, n_bins: int
) -> NDArray[np.float32]:
    """Return events per bin and unit; bin ``k`` is ``[k, k + 1) / rate_hz`` seconds.

    Parameters
    ----------
    times
        Event times in seconds from the session's start, shape ``(event,)``.
    units
        Row of the units table per event, shape ``(event,)``.
    n_units
        Units in that table.
    rate_hz
        Bins per second.
    n_bins
        Bins from second 0 on; events outside are not counted.

    Returns
    -------
    counts
        Shape ``(bin, unit)``. An event on an edge, or at most 1 ns before it, counts in the later bin
        (`neurodata.recording.bins` says why).
    """
    bins = event_bins(times, rate_hz, n_bins)
    inside = (bins >= 0) & (bins < n_bins)
    cell = bins[inside] * n_units + np.asarray(units, np.int64)[inside]
    return np.bincount(cell, minlength=n_bins * n_units).reshape(n_bins, n_units).astype(np.float32)
