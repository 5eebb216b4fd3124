"""Which bin an event counts in: one rule for spikes in windows and for spikes around moments.

Bin ``k`` begins at ``start + k / rate`` seconds, and an event on an edge counts in the later bin. An event that comes at
most `ON_EDGE_SECONDS` before an edge counts as on it: times are decimal seconds that float64 holds nearly, so the same
moment written down by two programs falls a few rounding errors to either side (``0.1 + 0.7`` is below ``0.8``, and 0.29
s times 100 Hz below 29), and spikes taken on the ticks of a clock would be scattered over two bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError

Floats = NDArray[np.float64]

ON_EDGE_SECONDS = 1e-9
"""A time this little before an edge counts as on it: sixty rounding errors of float64 at 100 000 s, and far below the
33 µs between two samples at 30 kHz."""

_SHORTEST_SECONDS = 10 * ON_EDGE_SECONDS
"""Shortest bin: in a shorter one a good part of all events would be "on" its end."""
_MOST_BINS = 2**50
"""Up to here a product of float64 is off by less than one bin."""


def events_before(times: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return how many events come before each edge, shape of ``edges``; one on an edge does not.

    Parameters
    ----------
    times
        Sorted, shape ``(event,)``, seconds.
    edges
        Any shape, seconds.
    """
    return np.asarray(np.searchsorted(times, edges - ON_EDGE_SECONDS), np.int64)


def bin_of(times: ArrayLike, start_seconds: float, rate_hz: float) -> NDArray[np.int64]:
    """Return the bin that each event counts in, without looking at other events or making edges.

    It is exactly the ``k`` with ``start + k / rate - 1e-9 <= time < start + (k + 1) / rate - 1e-9``, each side as float64
    gives it, so counting by `events_before` gives the same.

    Parameters
    ----------
    times
        Seconds, any shape and order.
    start_seconds
        Where bin 0 begins; bins before it have negative numbers.
    rate_hz
        Bins per second.

    Returns
    -------
    bins
        Shape of ``times``.

    Raises
    ------
    NeurodataError
        If a time is not finite or too far away to be counted, or a bin is shorter than 10 ns.

    Examples
    --------
    >>> bin_of([0.1 + 0.7, 0.29, 0.57], 0.0, 100.0)
    array([80, 29, 57])
    """
    seconds = np.asarray(times, np.float64)
    _check_rate(rate_hz)
    with np.errstate(over="ignore", invalid="ignore"):
        bins = np.floor((seconds - (start_seconds - ON_EDGE_SECONDS)) * rate_hz)
    counted = np.abs(bins) < _MOST_BINS
    if not counted.all():
        wrong = seconds[~counted].flat[0]
        raise NeurodataError(
            f"an event at {wrong} s is in no bin: times must be finite, and fewer than 2**50 bins away"
        )
    # The product may round across an edge, by less than a bin: the edges themselves decide.
    bins -= seconds < start_seconds + bins / rate_hz - ON_EDGE_SECONDS
    bins += seconds >= start_seconds + (bins + 1) / rate_hz - ON_EDGE_SECONDS
    return bins.astype(np.int64)


def event_bins(times: ArrayLike, rate_hz: float, n_bins: int) -> NDArray[np.int64]:
    """Return the bin of each event on a clock that begins at second 0 and has ``n_bins`` bins.

    Parameters
    ----------
    times
        Seconds, any shape and order; may be not finite.
    rate_hz, n_bins
        Bins per second, and their number.

    Returns
    -------
    bins
        Shape of ``times``: -1 before second 0, ``n_bins`` after the last bin and where the time is not known (NaN).
        Sorted where ``times`` are.

    Raises
    ------
    NeurodataError
        If a bin is shorter than 10 ns.
    """
    _check_rate(rate_hz)
    # Far times are brought near first: nothing overflows whatever a file holds. fmin takes the number beside a NaN.
    near = np.fmax(np.fmin(np.asarray(times, np.float64), (n_bins + 1) / rate_hz), -2 / rate_hz)
    return np.clip(bin_of(near, 0.0, rate_hz), -1, n_bins)


def _check_rate(rate_hz: float) -> None:
    check_positive("rate_hz", rate_hz)
    if rate_hz * _SHORTEST_SECONDS > 1:
        raise NeurodataError(
            f"bins at {rate_hz:g} Hz are shorter than {_SHORTEST_SECONDS:g} s, and events are told from edges to "
            f"{ON_EDGE_SECONDS:g} s only; take a lower rate_hz"
        )
