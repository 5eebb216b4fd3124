"""Recordings as objects of MNE-Python."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_option, import_extra
from neurodata.errors import NeurodataError
from neurodata.recording.clock import Clock
from neurodata.recording.recording import Recording
from neurodata.recording.timed import VALIDITY, check_seconds, clock_of

GAP = "BAD_ACQ_SKIP"
"""What MNE calls a stretch in which nothing was recorded; its filters and epochs leave it out."""

_FACTORS = {
    **{f"{prefix}V": factor for prefix, factor in (("", 1.0), ("m", 1e-3), ("u", 1e-6), ("µ", 1e-6), ("μ", 1e-6), ("n", 1e-9))},
    **{f"{prefix}T": factor for prefix, factor in (("", 1.0), ("n", 1e-9), ("p", 1e-12), ("f", 1e-15))},
    "T/m": 1.0, "fT/cm": 1e-13, "pT/m": 1e-12, "fT/mm": 1e-12,
}  # fmt: skip
"""Unit of a signal → factor to MNE's unit (V, T or T/m)."""
_DEFAULT_TYPES = {"meg_mag": "mag", "meg_grad": "grad"}
_MODALITY_TYPES = {"eeg": "eeg", "seeg": "seeg", "ecog": "ecog", "lfp": "dbs"}
_VOLTS = {"eeg", "seeg", "ecog", "dbs", "eog", "ecg", "emg", "bio", "misc"}
_PLACED = {"eeg", "seeg", "ecog", "dbs"}
_SEX, _HAND = {"M": 1, "F": 2}, {"right-handed": 1, "left-handed": 2, "uses both hands": 3}


def to_mne(recording: Recording, signal: str | Sequence[str] = "eeg") -> Any:
    """Return signals of a recording as an ``mne.io.RawArray``.

    Channels are called by their labels where each has one of its own, by their ids otherwise. Types, positions (those
    in the head frame), bad channels, filters, line frequency and the time of the recording come along. Events and
    intervals become annotations: those of the table ``annotations`` by their label, those of other tables as
    ``table/label``; spikes are left out. All samples are read into memory (float64).

    In gaps, where this schema has no samples or NaN for a signal that is not recorded, MNE has zeros and an annotation
    ``BAD_ACQ_SKIP``, which its filters and epochs leave out. Single missing values stay NaN.

    Parameters
    ----------
    recording
        One recording.
    signal
        Name of a signal, or of several that share rate, start and number of samples (``["eeg", "eog"]``).

    Returns
    -------
    raw
        ``mne.io.RawArray`` in MNE's units (V, T, T/m). Channels in other units are ``misc`` and keep their numbers.

    Raises
    ------
    NeurodataError
        If there is no such signal, its rate is unknown or irregular, or the signals do not share their clock.
    """
    mne = import_extra("mne", "eeg")
    wanted = [signal] if isinstance(signal, str) else list(signal)
    for name in wanted:
        check_option("signal", name, recording.signals)
    signals = {name: recording.signals[name] for name in wanted}
    clock = _shared_clock(signals)
    labels = _channel_names(list(signals.values()))
    types = [kind for name, part in signals.items() for kind in _types(part, name, recording)]
    info = mne.create_info(labels, clock.rate_hz, types, verbose="error")
    _place(mne, info, list(signals.values()), types)
    bad = np.concatenate([_column(part, "bad", False) for part in signals.values()])
    info["bads"] = [label for label, is_bad in zip(labels, bad) if is_bad]
    _state_filters(info, next(iter(signals.values())))
    values, gaps = _laid_out(list(signals.values()), clock)
    first = clock.time(0) if clock.size else 0.0
    raw = mne.io.RawArray(values, info, first_samp=round(first * clock.rate_hz), copy=None, verbose="error")
    _state_subject(raw, recording)
    raw.set_annotations(_annotations(mne, recording, raw, first, gaps), verbose="error")
    return raw


def _shared_clock(signals: dict[str, xr.DataArray]) -> Clock:
    clocks = []
    for name, part in signals.items():
        check_seconds(part)
        clock = clock_of(part)
        if clock is None:
            raise NeurodataError(
                f"signal {name!r} has samples at irregular times, which MNE cannot hold; resample it first"
            )
        clocks.append(clock)
    for name, clock in zip(signals, clocks):
        first = clocks[0]
        same = np.isclose(clock.sampling_rate_hz, first.sampling_rate_hz) and clock.size == first.size
        same = same and all(np.allclose(a, b) for a, b in zip(clock.segments(), first.segments()) if len(a) == len(b))
        if not same or len(clock.segments()[0]) != len(first.segments()[0]):
            raise NeurodataError(
                f"signals {next(iter(signals))!r} and {name!r} do not share their clock: "
                f"{first.size} samples at {first.sampling_rate_hz:g} Hz and {clock.size} at {clock.sampling_rate_hz:g} Hz, "
                "or other gaps; hand them over one at a time"
            )
    starts, firsts = clocks[0].segments()
    return Clock(clocks[0].sampling_rate_hz, clocks[0].size, tuple(starts.tolist()), tuple(firsts.tolist()))


def _column(part: xr.DataArray, name: str, missing: Any) -> NDArray[Any]:
    found = part.coords.get(name)
    return np.asarray(found.values) if found is not None else np.full(part.sizes[names.CHANNEL], missing)


def _channel_names(parts: Sequence[xr.DataArray]) -> list[str]:
    labels = [str(label) for part in parts for label in _column(part, names.LABEL, "")]
    if all(labels) and len(set(labels)) == len(labels):
        return labels
    ids = [str(channel) for part in parts for channel in part.coords[names.CHANNEL_ID].values]
    if len(set(ids)) < len(ids):
        ids = [f"{part.name}/{channel}" for part in parts for channel in part.coords[names.CHANNEL_ID].values]
    return ids


def _types(part: xr.DataArray, name: str, recording: Recording) -> list[str]:
    """MNE's type of each channel: that of the column, else by the signal's name and the modality; misc in odd units."""
    mne = import_extra("mne", "eeg")
    known = set(mne.io.get_channel_type_constants(include_defaults=True))
    default = _DEFAULT_TYPES.get(name, name if name in known else "")
    if not default and part.attrs.get(names.ROLE) == "neural":
        default = _MODALITY_TYPES.get(str(recording.metadata.get("modality")), "")
    units = str(part.attrs.get(names.UNITS_ATTRIBUTE))
    found = []
    for stated in _column(part, "type", ""):
        kind = str(stated).lower() if str(stated).lower() in known else default or "misc"
        is_volt, is_tesla = units.endswith("V"), units.endswith("T") or units.startswith(("T/", "fT/", "pT/"))
        fits = (kind not in _VOLTS or is_volt) and (kind not in ("mag", "grad", "ref_meg") or is_tesla)
        found.append(kind if fits else "misc")
    return found


def _place(mne: Any, info: Any, parts: Sequence[xr.DataArray], types: Sequence[str]) -> None:
    """Positions in the head frame become a montage; those of MEG sensors go where MNE keeps them."""
    spaces = [str(part.attrs.get("space", "")) for part in parts for _ in range(part.sizes[names.CHANNEL])]
    places = np.concatenate(
        [np.stack([_column(part, axis, np.nan) for axis in "xyz"], axis=1) for part in parts]
    ).astype(np.float64)
    factor = {"mm": 1e-3, "cm": 1e-2}
    units = [str(part.attrs.get("position_units", "m")) for part in parts for _ in range(part.sizes[names.CHANNEL])]
    places *= np.array([factor.get(unit, 1.0) for unit in units])[:, None]
    there = [bool(np.isfinite(place).all()) for place in places]
    electrodes = {
        name: place
        for name, place, is_there, space, kind in zip(info["ch_names"], places, there, spaces, types)
        if is_there and space == "head" and kind in _PLACED
    }
    if electrodes:
        montage = mne.channels.make_dig_montage(electrodes, coord_frame="head")
        info.set_montage(montage, on_missing="ignore", verbose="error")
    normals = np.concatenate(
        [np.stack([_column(part, f"normal_{axis}", np.nan) for axis in "xyz"], axis=1) for part in parts]
    )
    coils = np.concatenate([_column(part, "coil_type", 0) for part in parts])
    for channel, place, normal, coil, is_there, space in zip(info["chs"], places, normals, coils, there, spaces):
        if is_there and space == "meg_device":
            channel["loc"][:3], channel["loc"][9:12] = place, normal
            channel["coil_type"] = int(coil) or channel["coil_type"]


def _state_filters(info: Any, part: xr.DataArray) -> None:
    stated = {"highpass": "highpass_hz", "lowpass": "lowpass_hz", "line_freq": "line_frequency_hz"}
    with info._unlock():
        for key, attribute in stated.items():
            if attribute in part.attrs:
                info[key] = float(part.attrs[attribute])


def _laid_out(parts: Sequence[xr.DataArray], clock: Clock) -> tuple[NDArray[np.float64], list[tuple[float, float]]]:
    """Samples in MNE's units, ``(channel, time)``, with zeros in the gaps; and start and length of these in seconds."""
    starts, firsts = clock.segments()
    lengths = np.diff(np.append(firsts, clock.size))
    places = np.rint((starts - starts[0]) * clock.rate_hz).astype(np.int64)
    n_samples = int(places[-1] + lengths[-1]) if clock.size else 0
    n_channels = sum(part.sizes[names.CHANNEL] for part in parts)
    values, row = np.zeros((n_channels, n_samples)), 0
    for part in parts:
        factor = _FACTORS.get(str(part.attrs.get(names.UNITS_ATTRIBUTE)), 1.0)
        rows = slice(row, row + part.sizes[names.CHANNEL])
        for place, first, length in zip(places, firsts, lengths):
            piece = np.asarray(part[first : first + length].values, np.float64).T
            values[rows, place : place + length] = piece * factor
        row = rows.stop
    gaps = [
        (place + length, after) for place, length, after in zip(places, lengths, places[1:]) if after > place + length
    ]
    missing = np.isnan(values).all(axis=0)
    if missing.any():
        edges = np.flatnonzero(np.diff(np.r_[False, missing, False]))
        gaps += list(zip(edges[::2].tolist(), edges[1::2].tolist()))
        values[:, missing] = 0
    return values, [(begin / clock.rate_hz, (end - begin) / clock.rate_hz) for begin, end in sorted(gaps)]


def _state_subject(raw: Any, recording: Recording) -> None:
    metadata = recording.metadata
    start = metadata.get("session_start")
    if start:
        moment = datetime.datetime.fromisoformat(str(start).replace("Z", "+00:00"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        raw.set_meas_date(moment.astimezone(datetime.UTC))
    subject = metadata["subject"]
    told = {"his_id": str(subject["id"]), "sex": _SEX.get(str(subject.get("sex")), 0)}
    if subject.get("description") in _HAND:
        told["hand"] = _HAND[str(subject["description"])]
    raw.info["subject_info"] = told


def _annotations(mne: Any, recording: Recording, raw: Any, first: float, gaps: Sequence[tuple[float, float]]) -> Any:
    """Everything that happened while the signal was recorded, relative to its first sample."""
    rows = [(begin, length, GAP) for begin, length in gaps]
    for name, table in recording.events.items():
        if names.UNIT not in table.variables:
            length = np.nan_to_num(np.asarray(_of(table, "duration", 0.0), np.float64))
            rows += list(zip(table[names.TIME].values - first, length, _descriptions(name, table)))
    for name, table in recording.intervals.items():
        if name != VALIDITY:
            start, stop = table[names.START].values, table[names.STOP].values
            rows += list(zip(start - first, stop - start, _descriptions(name, table)))
    # BAD_ACQ_SKIP may stand in a table too, when the file that the recording was read from said so.
    known = {(round(begin, 3), round(length, 3)) for begin, length in gaps}
    rows = rows[: len(gaps)] + [
        row for row in rows[len(gaps) :] if row[2] != GAP or (round(row[0], 3), round(row[1], 3)) not in known
    ]
    end = raw.n_times / raw.info["sfreq"]
    rows = [row for row in rows if -1e-9 <= row[0] < end and re.search(r"\S", row[2])]
    onset, duration, text = zip(*rows) if rows else ((), (), ())
    return mne.Annotations(np.maximum(onset, 0.0), duration, text)


def _of(table: xr.Dataset, column: str, missing: Any) -> NDArray[Any]:
    length = next(iter(table.sizes.values()), 0)
    return np.asarray(table[column].values) if column in table.variables else np.full(length, missing)


def _descriptions(name: str, table: xr.Dataset) -> list[str]:
    labels = [str(label) for label in _of(table, names.LABEL, "")]
    if name == "annotations":
        return labels
    return [f"{name}/{label}" if label else name for label in labels]
