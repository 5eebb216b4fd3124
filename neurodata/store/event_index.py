"""A per-second index of sorted events, so that a window of spikes is two small range reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LONGEST_SECONDS = 10_000_000
"""About 115 days; beyond that the index would outgrow the events it serves and is left empty."""


def make_event_index(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of the first event at or after each whole second.

    Parameters
    ----------
    times
        Sorted event times in seconds, shape ``(event,)``. Events before second 0 are found by position 0.

    Returns
    -------
    index
        Entry ``s`` is the number of events before second ``s``; shape ``(second,)``, from second 0 to the first whole
        second after the last event. Empty where there are no events.
    """
    if times.size == 0 or times[-1] > _LONGEST_SECONDS:
        return np.zeros(0, dtype=np.int64)
    seconds = np.arange(max(0, int(np.floor(times[-1]))) + 2)
    return np.searchsorted(times, seconds, side="left").astype(np.int64)


def candidates(index: NDArray[np.int64], n_events: int, start: float, stop: float) -> slice:
    """Return the positions that hold every event of ``[start, stop)``, and at most a second more on either side.

    Parameters
    ----------
    index
        What `make_event_index` returned.
    n_events
        Number of events in the table.
    start, stop
        Seconds.
    """
    if index.size == 0:
        return slice(0, n_events)
    first = 0 if start < 0 else int(index[min(int(np.floor(start)), index.size - 1)])
    last = int(index[min(max(0, int(np.ceil(stop))), index.size - 1)])
    return slice(first, n_events if np.ceil(stop) >= index.size else max(first, last))
