"""Epochs: a signal around events, on a baseline, and which of them are kept and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurodata import names
from neurodata.errors import NeurodataError
from neurodata.recording._align_moments import find_table
from neurodata.recording.aligned import EVENT_TIME
from neurodata.recording.recording import Recording
from neurodata.windows.eeg_views import bad_channels
from neurodata.windows.filters import HISTORY, cut
from neurodata.windows.splits import Stretch

Limit = float | Mapping[str, float]
"""One number for every channel, or one per channel_id."""

_NORMAL_MAD = 1.4826
"""Standard deviations of a normal distribution per median absolute deviation: 1 / 0.6745 (Rousseeuw & Croux 1993,
J Am Stat Assoc 88:1273-1283)."""


@dataclass(frozen=True, eq=False)
class Epochs:
    """A signal around events, rejected ones included, so that the count of what was left out is known.

    Parameters
    ----------
    values
        ``(event, time, channel)``, time in seconds from the event.
    kept
        Which events are kept, shape ``(event,)``.
    reasons
        Why an event is not kept, one text per event, ``""`` for those that are.
    """

    values: xr.DataArray
    kept: NDArray[np.bool_]
    reasons: tuple[str, ...]

    @property
    def clean(self) -> xr.DataArray:
        """The kept epochs."""
        return self.values.isel({names.EVENT: np.flatnonzero(self.kept)})

    def __len__(self) -> int:
        return int(self.kept.sum())

    def __repr__(self) -> str:
        return f"<Epochs {len(self)} of {len(self.kept)} kept · {dict(self.values.sizes)}>"


@dataclass(frozen=True)
class Rejection:
    """Thresholds learned from training epochs, to be applied to any.

    Parameters
    ----------
    peak_to_peak, flat
        channel_id → largest and smallest peak-to-peak amplitude that is kept, in the signal's unit.
    source
        How they were found, from how many epochs of what.
    """

    peak_to_peak: Mapping[str, float]
    flat: Mapping[str, float]
    source: str


def make_epochs(
    recording: Recording,
    event: str | ArrayLike,
    window: tuple[float, float],
    *,
    signal: str | None = None,
    rate_hz: float | None = None,
    where: Mapping[str, Any] | ArrayLike | None = None,
    edge: str = names.START,
    view: Callable[[xr.DataArray], xr.DataArray] | None = None,
    stretch: Stretch | tuple[float, float] | None = None,
    baseline: tuple[float | None, float | None] | None = None,
    reject_peak_to_peak: Limit | None = None,
    reject_flat: Limit | None = None,
    reject_intervals: Sequence[str] = ("BAD",),
    reject_missing: bool = True,
) -> Epochs:
    """Return a signal's epochs around events, with those that should not be used marked.

    Parameters
    ----------
    recording, event, window, rate_hz, where, edge
        As in `neurodata.recording.recording.Recording.align`.
    signal
        Name of a signal; where not given, the recording's only neural one.
    view
        Applied to the signal first, for example ``lambda eeg: band_pass(re_reference(eeg, "average"), 1, 40)``.
    stretch
        ``[start, stop)`` in seconds: the signal is cut to it before ``view`` sees it, so nothing crosses the border of
        a part of a split; epochs that do not lie in it wholly miss samples.
    baseline
        Half-open stretch of the window, seconds from the event, whose mean per epoch and channel is taken off; None
        as a side is the window's. None: nothing is taken off.
    reject_peak_to_peak, reject_flat
        Epochs in which a channel's largest less smallest value is above (below) this are not kept: fixed values in the
        signal's unit, or what `fit_rejection` learned **from training epochs**.
    reject_intervals
        Beginnings of labels: epochs that touch an interval or hold an event so labelled, in any table, are not kept
        (case does not matter). Empty for none.
    reject_missing
        Whether epochs with a missing sample are not kept (NaN: gaps, ends, or missing in the recording).

    Returns
    -------
    epochs
        Channels marked bad (`neurodata.windows.eeg_views.bad_channels`) are there but decide nothing.

    Raises
    ------
    NeurodataError
        If the event or signal is not there, the baseline holds no sample, or a channel has no threshold.
    """
    name, prepared = _prepared(recording, signal, view, stretch)
    values = prepared.align(event, window, rate_hz, signal=name, where=where, edge=edge)
    if baseline is not None:
        values = _on_baseline(values, baseline)
    kept = np.ones(values.sizes[names.EVENT], np.bool_)
    epochs = Epochs(values, kept, ("",) * len(kept))
    epochs = _drop(epochs, _touched(recording, values, reject_intervals))
    if reject_missing:
        missing = np.isnan(values.values[:, :, ~_bad(values)]).any(axis=1).sum(axis=1)
        epochs = _drop(epochs, [f"samples missing in {count} channels" if count else "" for count in missing.tolist()])
    return reject(epochs, peak_to_peak=reject_peak_to_peak, flat=reject_flat)


def reject(epochs: Epochs, *, peak_to_peak: Limit | None = None, flat: Limit | None = None) -> Epochs:
    """Return the epochs without those whose amplitude is too large or too small.

    Parameters
    ----------
    epochs
        Made by `make_epochs`; an event that is not kept stays so, with its reason.
    peak_to_peak, flat
        As ``reject_peak_to_peak`` and ``reject_flat`` of `make_epochs`.
    """
    good = ~_bad(epochs.values)
    ids = np.asarray(epochs.values.coords[names.CHANNEL_ID].values)[good]
    amplitude = _amplitudes(epochs.values)[:, good]
    for limit, verb, sign in ((peak_to_peak, "above", 1), (flat, "below", -1)):
        if limit is None:
            continue
        limits = _limits(limit, ids.tolist())
        beyond = sign * amplitude > sign * limits
        reasons = [""] * len(beyond)
        for row in np.flatnonzero(beyond.any(axis=1)).tolist():
            worst = int(np.argmax(np.where(beyond[row], sign * (amplitude[row] - limits), -np.inf)))
            reasons[row] = f"{ids[worst]}: peak to peak {amplitude[row, worst]:g} {verb} {limits[worst]:g}"
        epochs = _drop(epochs, reasons)
    return epochs


def fit_rejection(training: Epochs, deviations: float = 5.0) -> Rejection:
    """Learn from training epochs which amplitudes are too large or too small.

    Give it kept epochs of the training part only: thresholds that have seen test epochs flatter the score on them.

    Parameters
    ----------
    training
        Epochs of the training part; those not kept are not looked at.
    deviations
        How far from the median, in standard deviations estimated by the median absolute deviation. A choice of ours:
        5 keeps every epoch of a normal distribution and drops gross artefacts.

    Returns
    -------
    rejection
        Per channel ``median ± deviations × 1.4826 × MAD`` of the peak-to-peak amplitude over epochs, the lower one not
        below zero. A channel without a value gets no limit (infinity, zero).

    Raises
    ------
    NeurodataError
        If no training epoch is kept, or ``deviations`` is not positive.
    """
    if not deviations > 0:
        raise NeurodataError(f"deviations must be above 0, got {deviations!r}")
    clean = training.clean
    if not len(training):
        raise NeurodataError("no training epoch is kept, so there is nothing to learn thresholds from")
    amplitude = _amplitudes(clean)
    middle = _medians(amplitude)
    spread = deviations * _NORMAL_MAD * _medians(np.abs(amplitude - middle))
    known = np.isfinite(middle)
    high, low = np.where(known, middle + spread, np.inf), np.where(known, np.maximum(middle - spread, 0), 0.0)
    ids = np.asarray(clean.coords[names.CHANNEL_ID].values).tolist()
    source = (
        f"median ± {deviations:g} × 1.4826 × MAD of {len(training)} epochs of {clean.attrs.get('signal')} around "
        f"{clean.attrs.get('event')}"
    )
    return Rejection(dict(zip(ids, high.tolist())), dict(zip(ids, low.tolist())), source)


def _prepared(
    recording: Recording,
    signal: str | None,
    view: Callable[[xr.DataArray], xr.DataArray] | None,
    stretch: Stretch | tuple[float, float] | None,
) -> tuple[str, Recording]:
    """Name of the signal, and a recording in which it is the view of the stretch."""
    if signal is None:
        neural = [name for name, found in recording.signals.items() if found.attrs.get(names.ROLE) == "neural"]
        if len(neural) != 1:
            raise NeurodataError(
                f"{recording.metadata.get('recording_id')} has {len(neural)} neural signals "
                f"({', '.join(neural or recording.signals) or 'no signal at all'}); say which with signal=…"
            )
        signal = neural[0]
    _, name, _ = find_table(recording, signal, (names.SIGNALS,))
    path = f"{names.SIGNALS}/{name}"
    if view is None and stretch is None:
        return path, recording
    if isinstance(stretch, Stretch) and stretch.recording_id != recording.metadata.get("recording_id"):
        raise NeurodataError(
            f"the stretch is of {stretch.recording_id} and the recording is {recording.metadata.get('recording_id')}"
        )
    changed = cut(recording.signals[name], stretch)
    changed = changed if view is None else view(changed)
    if changed.dims != (names.TIME, names.CHANNEL):
        raise NeurodataError(f"a view is (time, channel) like its signal, got {changed.dims}")
    return path, recording.replace(signals={**recording.signals_stored, name: changed})


def _bad(values: xr.DataArray) -> NDArray[np.bool_]:
    """Bad channels; a channel column that gave way to one of the events has another name."""
    renamed = {f"{names.CHANNEL}_{key}": key for key in ("bad", "good", "status")}
    own = {str(key): column for key, column in values.coords.items() if column.dims == (names.CHANNEL,)}
    channels = xr.DataArray(np.zeros(values.sizes[names.CHANNEL]), dims=(names.CHANNEL,))
    return bad_channels(channels.assign_coords({renamed.get(key, key): column.variable for key, column in own.items()}))


def _on_baseline(values: xr.DataArray, baseline: tuple[float | None, float | None]) -> xr.DataArray:
    inside = values.sel({names.TIME: slice(*baseline)}).values.astype(np.float64)
    if inside.shape[1] == 0:
        raise NeurodataError(f"the baseline [{baseline[0]}, {baseline[1]}) s holds no sample of the window")
    finite = np.isfinite(inside)
    number = finite.sum(axis=1, keepdims=True)
    mean = np.where(number > 0, np.where(finite, inside, 0).sum(axis=1, keepdims=True) / np.maximum(number, 1), np.nan)
    found = values.copy(data=(values.values - mean).astype(values.dtype))
    found.attrs = {**values.attrs, HISTORY: [*values.attrs.get(HISTORY, []), f"baseline({baseline[0]}, {baseline[1]})"]}
    return found


def _amplitudes(values: xr.DataArray) -> NDArray[np.float64]:
    """Largest less smallest value, shape ``(event, channel)``; NaN where no sample is finite."""
    samples = values.values.astype(np.float64)
    finite = np.isfinite(samples)
    high = np.where(finite, samples, -np.inf).max(axis=1)
    low = np.where(finite, samples, np.inf).min(axis=1)
    return np.where(finite.any(axis=1), high - np.where(np.isfinite(low), low, 0), np.nan)


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each column's finite values; NaN where there is none."""
    finite = [column[np.isfinite(column)] for column in values.T]
    return np.array([np.median(column) if column.size else np.nan for column in finite], np.float64)


def _limits(limit: Limit, ids: list[str]) -> NDArray[np.float64]:
    if isinstance(limit, Mapping):
        missing = [channel for channel in ids if channel not in limit]
        if missing:
            raise NeurodataError(f"no threshold for {len(missing)} channels: {', '.join(missing[:8])}")
        return np.array([limit[channel] for channel in ids], np.float64)
    if not limit >= 0:
        raise NeurodataError(f"a threshold is an amplitude of 0 or more, got {limit!r}")
    return np.full(len(ids), float(limit))


def _touched(recording: Recording, values: xr.DataArray, beginnings: Sequence[str]) -> list[str]:
    """Label of the bad interval (or moment) that an epoch touches, per event."""
    reasons = [""] * values.sizes[names.EVENT]
    low, high = values.attrs["window_seconds"]
    times = np.asarray(values.coords[EVENT_TIME].values)
    tables = [(name, table, names.START, names.STOP) for name, table in recording.intervals.items()]
    tables += [(name, table, names.TIME, names.TIME) for name, table in recording.events.items()]
    wanted = tuple(beginning.lower() for beginning in beginnings)
    for name, table, start, stop in tables:
        if names.LABEL not in table or table[names.LABEL].dtype.kind != "U":
            continue
        labels = table[names.LABEL].values.tolist()
        for row in [row for row, label in enumerate(labels) if label.lower().startswith(wanted)]:
            begin, end = float(table[start].values[row]), float(table[stop].values[row])
            for event in np.flatnonzero((times + low < end) & (times + high > begin)).tolist():
                reasons[event] = reasons[event] or f"touches {labels[row]!r} of {name} at {begin:g} s"
    return reasons


def _drop(epochs: Epochs, reasons: Sequence[str]) -> Epochs:
    """Note reasons; the first one an event got stays."""
    kept = tuple(old or new for old, new in zip(epochs.reasons, reasons))
    return replace(epochs, kept=np.array([not reason for reason in kept], np.bool_), reasons=kept)
