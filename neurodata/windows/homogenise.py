"""Recordings of different animals as one array: the same neurons, the same clock, and a mask of what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names as words
from neurodata.checks import check_option, check_positive, suggest
from neurodata.errors import NeurodataError
from neurodata.identity.celegans import NAMES, table
from neurodata.recording.recording import Recording
from neurodata.recording.timed import check_seconds, clock_of
from neurodata.windows.align import causal_delay_seconds, resample

Floats = NDArray[np.float64]

ALL = "all"


def homogenise(
    recordings: Iterable[Recording],
    rate_hz: float = 3.0,
    neurons: Sequence[str] | str | None = None,
    *,
    signal: str = "calcium",
    causal: bool = False,
    zscore: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Return the labelled neurons of several recordings on one clock.

    Nothing is changed in the recordings; this is a view made from their raw values. What was not recorded is NaN and
    False in the mask, never zero.

    Parameters
    ----------
    recordings
        Recordings, or anything that gives them one by one, such as a store's selection. Those that hold no signal at
        all (a connectome) are passed over.
    rate_hz
        Rate of the common clock; its times are ``k / rate_hz``.
    neurons
        Names of the channels wanted, in that order; ``"all"`` for the 300 neurons of *C. elegans* (302 without CANL
        and CANR); None for every neuron labelled in at least one recording, in the order of the table of neurons.
    signal
        Name of the signal.
    causal
        Whether to use only samples from before each time; everything is then late by ``delay_seconds``.
    zscore
        Interval ``[start, stop)`` in seconds on whose raw samples mean and standard deviation are fitted, per recording
        and neuron; None leaves values in their units. For a score on held-out time it must lie in the training part.

    Returns
    -------
    worms
        ``activity`` (recording, time, channel), float64; ``mask``, its recorded values; ``length_seconds`` and
        ``delay_seconds`` (recording,). The length is where the recording's last sample period ends on the session's
        clock; the time axis runs from 0 (or an earlier first sample) to the longest of them.

    Raises
    ------
    NeurodataError
        If there is no recording with signals, a signal, label column or neuron is missing or doubled, units differ, or the z-score
        has nothing to be fitted on.
    UnknownRateError
        If nobody has stated a signal's sampling rate.
    """
    check_positive("rate_hz", rate_hz)
    signals = _signals(recordings, signal)
    labels = {name: _labels(name, array) for name, array in signals.items()}
    channels = _channels(labels, neurons)
    clocks = {name: _times(array) for name, array in signals.items()}
    times = _common_times([clock for clock, _ in clocks.values()], [stop for _, stop in clocks.values()], rate_hz)
    activity = np.full((len(signals), len(times), len(channels)), np.nan)
    delays = np.zeros(len(signals))
    for row, (name, array) in enumerate(signals.items()):
        clock, stop = clocks[name]
        held = [i for i, neuron in enumerate(channels) if neuron in labels[name]]
        raw = _raw(array, [labels[name].index(channels[i]) for i in held])
        if zscore is not None:
            raw = _standardised(name, raw, clock, zscore, [channels[i] for i in held])
        activity[row][:, held] = resample(raw, clock, times, causal=causal, rate_hz=rate_hz)
        if causal and len(clock):
            delays[row] = causal_delay_seconds(len(clock) / (stop - clock[0]), rate_hz)
    lengths = np.array([stop for _, stop in clocks.values()])
    attrs = {
        "rate_hz": float(rate_hz),
        "signal": signal,
        words.UNITS_ATTRIBUTE: "1" if zscore else _units(signals),
        "method": "windowed sinc looking back" if causal else "bandlimited fit where irregular, then windowed sinc",
        "causal": int(causal),
        "delay_seconds": float(delays.max()),
        "zscore_interval_seconds": [float(edge) for edge in zscore] if zscore else "none",
    }
    return _dataset(activity, list(signals), times, channels, lengths, delays, attrs)


def _dataset(
    activity: Floats,
    recordings: list[str],
    times: Floats,
    channels: list[str],
    lengths: Floats,
    delays: Floats,
    attrs: dict[str, object],
) -> xr.Dataset:
    dimensions = (words.RECORDING, words.TIME, words.CHANNEL)
    seconds = {words.UNITS_ATTRIBUTE: "s"}
    return xr.Dataset(
        {
            "activity": (dimensions, activity, {words.UNITS_ATTRIBUTE: attrs[words.UNITS_ATTRIBUTE]}),
            "mask": (dimensions, np.isfinite(activity)),
            "length_seconds": ((words.RECORDING,), lengths, seconds),
            "delay_seconds": ((words.RECORDING,), delays, seconds),
        },
        coords={
            words.RECORDING: np.array(recordings, dtype=np.str_),
            words.TIME: (words.TIME, times, seconds),
            words.CHANNEL: np.array(channels, dtype=np.str_),
        },
        attrs=attrs,
    )


def _signals(recordings: Iterable[Recording], signal: str) -> dict[str, xr.DataArray]:
    found: dict[str, xr.DataArray] = {}
    for recording in [recordings] if isinstance(recordings, Recording) else recordings:
        name = str(recording.metadata.get("recording_id"))
        if name in found:
            raise NeurodataError(f"recording {name!r} is given twice; each may come once")
        if not recording.signals:
            continue
        if signal not in recording.signals:
            check_option(f"signal in recording {name!r}:", signal, recording.signals)
        found[name] = recording.signals[signal]
        check_seconds(found[name])
    if not found:
        raise NeurodataError("there is no recording to homogenise; the selection is empty, or holds no signals")
    _units(found)
    return found


def _units(signals: dict[str, xr.DataArray]) -> str:
    units = {name: str(array.attrs.get(words.UNITS_ATTRIBUTE, "a.u.")) for name, array in signals.items()}
    if len(set(units.values())) > 1:
        listed = ", ".join(f"{name}: {unit!r}" for name, unit in units.items())
        raise NeurodataError(f"the signals have different units, so their values cannot stand in one array ({listed})")
    return next(iter(units.values()))


def _raw(signal: xr.DataArray, columns: list[int]) -> Floats:
    return np.asarray(signal.isel({words.CHANNEL: columns}).values, dtype=np.float64)


def _labels(name: str, signal: xr.DataArray) -> list[str]:
    if words.LABEL not in signal.coords:
        raise NeurodataError(
            f"recording {name!r}: signal {signal.name!r} has no channel column 'label', so nobody knows which neuron is "
            "which; its loader must give one (see neurodata.identity.celegans.clean_labels)"
        )
    labels = [str(label) for label in signal.coords[words.LABEL].values]
    twice = [label for label, count in Counter(labels).items() if label and count > 1]
    if twice:
        raise NeurodataError(
            f"recording {name!r}: {', '.join(twice)} label more than one channel; two channels cannot be one neuron, "
            "clean the labels (neurodata.identity.celegans.clean_labels leaves both unlabelled)"
        )
    return labels


def _channels(labels: dict[str, list[str]], neurons: Sequence[str] | str | None) -> list[str]:
    recorded = {label for of_one in labels.values() for label in of_one if label}
    if neurons is None:
        others = sorted(recorded.difference(NAMES))
        return [name for name in NAMES if name in recorded] + others
    if isinstance(neurons, str):
        check_option("set of neurons (or give a list of names):", neurons, [ALL])
        known = table()
        return [str(name) for name in known.loc[~known["is_end_organ"], "name"]]
    wanted = [str(name) for name in neurons]
    options = sorted(recorded.union(NAMES))
    unknown = [name for name in wanted if name not in options]
    if unknown:
        listed = ", ".join(f"{name!r}{suggest(name, options).removesuffix('?')}" for name in unknown)
        raise NeurodataError(f"neither the table of neurons nor a recording has these neurons: {listed}")
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise NeurodataError(f"neurons holds {', '.join(twice)} more than once; each may be asked for once")
    return wanted


def _times(signal: xr.DataArray) -> tuple[Floats, float]:
    """Times of a signal's samples and the end of its last sample's period, seconds."""
    times = np.asarray(signal[words.TIME].values, dtype=np.float64)
    if not len(times):
        return times, 0.0
    clock = clock_of(signal)
    if clock is not None:
        return times, float(times[-1] + 1.0 / clock.sampling_rate_hz)
    return times, float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.0))


def _common_times(clocks: list[Floats], stops: list[float], rate_hz: float) -> Floats:
    # Counted from k / rate_hz, not from a start in seconds: the same k is the same time in every call.
    first = min(0, *(int(np.floor(clock[0] * rate_hz + 1e-9)) for clock in clocks if len(clock)), 0)
    after = int(np.ceil(max(stops) * rate_hz - 1e-9))
    return np.asarray(np.arange(first, max(after, first)) / rate_hz, dtype=np.float64)


def _standardised(name: str, raw: Floats, clock: Floats, interval: tuple[float, float], channels: list[str]) -> Floats:
    start, stop = interval
    if not start < stop:
        raise NeurodataError(f"zscore must be an interval (start, stop) with start before stop, got {interval!r}")
    fitted_on = raw[(clock >= start) & (clock < stop)]
    count = np.isfinite(fitted_on).sum(axis=0)
    mean = np.nansum(fitted_on, axis=0) / np.maximum(count, 1)
    spread = np.sqrt(np.nansum((fitted_on - mean) ** 2, axis=0) / np.maximum(count, 1))
    recorded = np.isfinite(raw).any(axis=0)
    bad = recorded & ((count < 2) | ~(spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)))
    if bad.any():
        listed = ", ".join(np.asarray(channels)[bad][:10])
        raise NeurodataError(
            f"recording {name!r}: z-scores cannot be fitted on [{start:g}, {stop:g}) s, where these neurons have no data "
            f"or never change: {listed}; choose another interval or leave them out of neurons="
        )
    return np.asarray((raw - mean) / np.where(bad | ~recorded, 1.0, spread))
