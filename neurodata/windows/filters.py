"""Filtered views of signals: never stored, causal unless asked otherwise, never across a gap or a stretch's border."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, sosfiltfilt

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.recording.recording import physical
from neurodata.recording.timed import check_seconds, clock_of
from neurodata.windows.splits import Stretch

Floats = NDArray[np.float64]

HISTORY = "history"


def band_pass(
    signal: xr.DataArray,
    low_hz: float | None,
    high_hz: float | None,
    *,
    causal: bool = True,
    order: int = 4,
    stretch: Stretch | tuple[float, float] | None = None,
) -> xr.DataArray:
    """Return a Butterworth-filtered view of a signal.

    Each run of finite samples of a channel is filtered by itself: nothing is read across a gap or a missing sample,
    which stays missing. A causal filter starts as if the first sample had lasted for ever (so a constant makes no
    transient), gives nothing that depends on a later sample, and delays. With ``causal=False`` the filter runs forwards
    and backwards: no delay, the gain squared (-6 dB at the edges), and every sample depends on later ones; within about
    ``1 / low_hz`` of an end of a run the result is of what is guessed beyond it.

    Parameters
    ----------
    signal
        ``(time, channel)`` at a regular rate; integers are taken in physical units. It (or its stretch) is read into
        memory as float64.
    low_hz, high_hz
        Edges of the band (-3 dB each); None for no edge there.
    causal
        Whether only the past is used. Without it give the ``stretch`` of one part of a split, else values of a training
        window are made from test samples.
    order
        Order of the filter's prototype (a band-pass has twice as many poles).
    stretch
        ``[start, stop)`` in seconds: the signal is cut to it first, and no sample outside is looked at.

    Returns
    -------
    filtered
        The signal (of the stretch), float32 unless the signal is float64; attribute ``history`` says what was done.

    Raises
    ------
    NeurodataError
        If the rate is too low for the band, unknown or irregular, or the band is empty.

    Examples
    --------
    >>> from neurodata.recording.timed import make_signal
    >>> eeg = make_signal(np.ones((100, 1)), channel_id=["Cz"], units="V", rate_hz=100.0)
    >>> float(abs(band_pass(eeg, 1, 40)).max()) < 1e-9
    True
    """
    edges = [edge for edge in (low_hz, high_hz) if edge is not None]
    for edge in edges:
        check_positive("an edge of the band", edge)
    if not edges or (len(edges) == 2 and edges[0] >= edges[1]):
        raise NeurodataError(f"a band needs an edge, and its lower edge below its upper; got {low_hz} to {high_hz} Hz")
    if order < 1:
        raise NeurodataError(f"the order of a filter is 1 or more, got {order}")
    rate_hz = rate_of(signal)
    _check_below_nyquist(signal, edges[-1], rate_hz)
    kind = "bandpass" if len(edges) == 2 else "highpass" if low_hz is not None else "lowpass"
    sections = butter(order, edges if len(edges) == 2 else edges[0], kind, fs=rate_hz, output="sos")
    done = f"band_pass(low_hz={low_hz}, high_hz={high_hz}, order={order}, causal={causal}{_said(stretch)})"
    return _filtered(cut(signal, stretch), sections, causal, done)


def notch(
    signal: xr.DataArray,
    line_hz: float,
    harmonics: int | None = None,
    *,
    causal: bool = True,
    width_hz: float = 2.0,
    stretch: Stretch | tuple[float, float] | None = None,
) -> xr.DataArray:
    """Return a view of a signal without the mains' frequency and its multiples.

    Runs, causality and stretches are those of `band_pass`.

    Parameters
    ----------
    signal
        ``(time, channel)`` at a regular rate.
    line_hz
        Frequency of the mains: 50 or 60.
    harmonics
        Multiples to take out, the line itself included (1: only the line); None for all below half the rate.
    causal
        Whether only the past is used; a causal notch rings for about ``1 / width_hz`` s after a jump.
    width_hz
        Width of each notch at -3 dB (-6 dB without ``causal``).
    stretch
        As in `band_pass`.

    Raises
    ------
    NeurodataError
        If the rate is too low for the highest multiple, unknown or irregular.
    """
    check_positive("line_hz", line_hz)
    check_positive("width_hz", width_hz)
    rate_hz = rate_of(signal)
    if harmonics is None:
        harmonics = max(1, int(np.ceil(0.5 * rate_hz / line_hz)) - 1)
    if harmonics < 1:
        raise NeurodataError(f"harmonics counts the line itself, so it is 1 or more; got {harmonics}")
    _check_below_nyquist(signal, harmonics * line_hz, rate_hz)
    sections = []
    for multiple in range(1, harmonics + 1):
        numerator, denominator = iirnotch(multiple * line_hz, multiple * line_hz / width_hz, fs=rate_hz)
        sections.append(np.concatenate([numerator, denominator]))
    done = f"notch(line_hz={line_hz}, harmonics={harmonics}, width_hz={width_hz}, causal={causal}{_said(stretch)})"
    return _filtered(cut(signal, stretch), np.array(sections), causal, done)


def cut(signal: xr.DataArray, stretch: Stretch | tuple[float, float] | None) -> xr.DataArray:
    """Return a signal on ``[start, stop)`` seconds, in physical units; all of it where ``stretch`` is None."""
    if stretch is None:
        return physical(signal)
    start, stop = (stretch.start, stretch.stop) if isinstance(stretch, Stretch) else stretch
    if not start < stop:
        raise NeurodataError(f"a stretch starts before it stops, got [{start}, {stop}) s")
    return physical(signal.sel({names.TIME: slice(start, stop)}))


def with_history(view: xr.DataArray, signal: xr.DataArray, done: str) -> xr.DataArray:
    """Return a view with the attributes of its signal, and what was done added to ``history``."""
    view.attrs = {**signal.attrs, HISTORY: [*signal.attrs.get(HISTORY, []), done]}
    return view


def _said(stretch: Stretch | tuple[float, float] | None) -> str:
    if stretch is None:
        return ""
    start, stop = (stretch.start, stretch.stop) if isinstance(stretch, Stretch) else stretch
    return f", stretch=({start:g}, {stop:g})"


def rate_of(signal: xr.DataArray) -> float:
    """Return the rate in Hz of a regular signal; raise, saying what to do, where it is unknown or irregular."""
    check_seconds(signal)
    clock = clock_of(signal)
    if clock is None:
        raise NeurodataError(
            f"signal {signal.name!r} is irregular, and filters and running statistics need equal steps; "
            "resample it first (neurodata.windows.align.resample)"
        )
    return clock.sampling_rate_hz


def _check_below_nyquist(signal: xr.DataArray, highest_hz: float, rate_hz: float) -> None:
    if highest_hz >= 0.5 * rate_hz:
        raise NeurodataError(
            f"signal {signal.name!r} is sampled at {rate_hz:g} Hz and holds nothing from {0.5 * rate_hz:g} Hz on, so "
            f"{highest_hz:g} Hz is too high"
        )


def _filtered(signal: xr.DataArray, sections: Floats, causal: bool, done: str) -> xr.DataArray:
    samples = np.asarray(signal.values)
    values = samples.astype(np.float64)
    clock = clock_of(signal)
    assert clock is not None
    for first, after in _pieces(clock.segments()[1], len(values)):
        for begin, end, channels in _finite_runs(values[first:after]):
            place = np.ix_(np.arange(first + begin, first + end), channels)
            values[place] = _run(values[place], sections, causal)
    # An infinite sample (a clipped one) is missing as well: nothing can be made of it.
    values[~np.isfinite(samples)] = np.nan
    return with_history(signal.copy(data=values.astype(samples.dtype)), signal, done)


def _run(values: Floats, sections: Floats, causal: bool) -> Floats:
    """Filter one run without gaps, shape ``(time, channel)``."""
    if causal:
        state = sosfilt_zi(sections)[:, :, None] * values[0]
        return np.asarray(sosfilt(sections, values, axis=0, zi=state)[0])
    # scipy's own padding, cut where a run is shorter than it.
    n_zeros = min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())
    padding = 3 * (2 * len(sections) + 1 - n_zeros)
    return np.asarray(sosfiltfilt(sections, values, axis=0, padlen=min(int(padding), len(values) - 1)))


def _pieces(firsts: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """First sample and the one after the last of each stretch without a gap."""
    for first, after in zip(firsts.tolist(), [*firsts[1:].tolist(), size]):
        if after > first:
            yield first, after


def _finite_runs(values: Floats) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Runs of finite samples, and the channels that have this run."""
    finite = np.isfinite(values)
    if finite.all():
        yield 0, len(values), np.arange(values.shape[1])
        return
    runs: dict[tuple[int, int], list[int]] = {}
    for channel in range(values.shape[1]):
        edges = np.flatnonzero(np.diff(finite[:, channel].astype(np.int8), prepend=0, append=0))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist()):
            runs.setdefault((begin, end), []).append(channel)
    for (begin, end), channels in runs.items():
        yield begin, end, np.asarray(channels)
