"""From what a reader of EEG and MEG files hands over to the signals, events and intervals of a Recording."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import import_extra
from neurodata.identity.channel_types import channel_type, depth_contacts
from neurodata.identity.eeg_montage import POSITION_SOURCE, clean_labels, positions, without_prefix
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_validity

from ..discover import safe_name
from ._mne_source import Marks, Source
from ._mne_triggers import find_triggers

SIGNAL_OF = {"mag": "meg_mag", "grad": "meg_grad", "stim": "trigger"}
"""Type of channel → name of its signal; the others are called like their type."""
_NEURAL = {
    "eeg",
    "seeg",
    "ecog",
    "dbs",
    "mag",
    "grad",
    "ref_meg",
    "csd",
    "hbo",
    "hbr",
    "fnirs_od",
    "fnirs_cw_amplitude",
}
_PLACED = {"eeg", "seeg", "ecog", "dbs", "mag", "grad", "ref_meg"}
"""Types of channel that a place belongs to; an electrode beside the eye that a cap's file lists among its own does not."""
_MODALITY = {"mag": "meg", "grad": "meg", "seeg": "seeg", "ecog": "ecog", "eeg": "eeg", "dbs": "lfp"}
_UNITS = {
    107: "V", 112: "T", 201: "T/m", 202: "A m", 203: "rad", 114: "degC", 103: "S", 6: "M", 1: "m", 210: "px",
}  # fmt: skip
"""FIF unit codes as in MNE-Python's ``mne._fiff.constants``; any other is a number without a stated unit."""
_SPACES = {1: "meg_device", 4: "head", 5: "mri", 7: "mni_tal"}
"""FIF coordinate frames."""
_SEX, _HAND = {1: "M", 2: "F"}, {1: "right", 2: "left", 3: "both"}
_STIM = 3
"""FIF kind of trigger channels."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a Recording is made of besides the metadata that a loader knows itself."""

    signals: dict[str, xr.DataArray]
    events: dict[str, xr.Dataset]
    intervals: dict[str, xr.Dataset]
    metadata: dict[str, Any]


def make_parts(source: Source, name: str, notes: Sequence[str] = (), eeg_is: str = "auto") -> Parts:
    """Return signals (one per type of channel), events, intervals and metadata of a recording.

    Parameters
    ----------
    source
        What a reader handed over.
    name
        Name of the file, which labels and positions are said to come from.
    notes
        The reader's warnings.
    eeg_is
        Type of the channels that the file calls EEG or nothing; with ``auto`` contacts that are numbered like those of
        depth electrodes are ``seeg``, all others ``eeg``.
    """
    mne = import_extra("mne", "eeg")
    labels = [str(label) for label in source.info["ch_names"]]
    types = [channel_type(label, kind) for label, kind in zip(labels, source.info.get_channel_types())]
    types = _brain_types(labels, types, eeg_is)
    signals, problems = {}, []
    for kind in dict.fromkeys(types):
        picks = np.array([i for i, other in enumerate(types) if other == kind], np.int64)
        signal, found = _make_signal(source, kind, picks, name)
        signals[safe_name(SIGNAL_OF.get(kind, kind))] = signal
        problems += found
    events, intervals = _tables(source.marks, float(source.info["sfreq"]))
    stim = mne.pick_types(source.info, meg=False, stim=True, exclude=[])
    triggers = find_triggers(source, stim) if len(stim) else None
    if triggers is not None:
        events["triggers"] = triggers
    if source.trials is not None:
        intervals["trials"] = _trials(source.trials)
    intervals |= make_validity(signals)
    metadata = _describe(source, types, notes, problems)
    return Parts(signals, events, intervals, metadata)


def _brain_types(labels: Sequence[str], types: Sequence[str], eeg_is: str) -> list[str]:
    """Types with what the file calls EEG told apart."""
    if eeg_is != "auto":
        return [eeg_is if kind == "eeg" else kind for kind in types]
    names_of = [without_prefix(label.strip()) for label in labels]
    depth = depth_contacts([name for name, kind in zip(names_of, types) if kind == "eeg"])
    return ["seeg" if kind == "eeg" and name in depth else kind for name, kind in zip(names_of, types)]


def _make_signal(source: Source, kind: str, picks: NDArray[np.int64], name: str) -> tuple[xr.DataArray, list[str]]:
    info = source.info
    channels = [info["chs"][i] for i in picks]
    cleaned = clean_labels([str(channel["ch_name"]) for channel in channels], [kind] * len(picks))
    columns: dict[str, Any] = dict(cleaned.columns(name))
    places, attributes = _places(channels, kind, cleaned.label, cleaned.label_confidence)
    columns |= places
    columns["type"] = [kind] * len(picks)
    columns["bad"] = np.isin([channel["ch_name"] for channel in channels], list(info["bads"]))
    units, stated = _units(source, channels)
    columns |= {"source_units": stated} if any(stated) else {}
    attributes |= _filters(info)
    attributes |= {"source_units": source.source_units} if source.source_units and units == "V" else {}
    values, scale = _lazy(source, kind, picks)
    if scale is not None:
        if len(set(scale.tolist())) == 1:
            attributes[names.SCALE_FACTOR] = float(scale[0])
        else:
            columns[names.SCALE_FACTOR] = scale
    signal = make_signal(
        values,
        channel_id=_ids(channels),
        units=units,
        role="neural" if kind in _NEURAL else "stimulus" if kind == "stim" else "behavior",
        rate_hz=float(info["sfreq"]),
        segments=source.segments,
        columns=columns,
        **attributes,
    )
    return signal, list(cleaned.problems) if kind == "eeg" else []


def _ids(channels: Sequence[Mapping[str, Any]]) -> list[str]:
    given: list[str] = []
    for number, channel in enumerate(channels, 1):
        wanted = str(channel["ch_name"]).strip() or f"channel{number}"
        given.append(wanted if wanted not in given else f"{wanted}_{number}")
    return given


def _lazy(source: Source, kind: str, picks: NDArray[np.int64]) -> tuple[Any, NDArray[np.float64] | None]:
    """Samples of some channels, read where they are asked for, and the scale of integers."""
    shape = (source.n_times, len(picks))
    if source.integers is not None:
        integers = source.integers

        def read_integers(first: int, after: int) -> NDArray[Any]:
            return integers.read(picks, first, after).astype(integers.dtype)

        return lazy_rows(shape, integers.dtype, read_integers), integers.scale[picks]
    # Trigger codes go beyond the 24 bits of a float32.
    dtype = np.dtype(np.float64 if kind == "stim" else np.float32)

    def read(first: int, after: int) -> NDArray[Any]:
        values = source.read(picks, first, after)
        for begin, end in source.gaps:
            inside = values[max(begin - first, 0) : max(end - first, 0)]
            inside[~inside.any(axis=1)] = np.nan  # MNE fills with zeros what was not recorded
        return values.astype(dtype)

    return lazy_rows(shape, dtype, read), None


def _units(source: Source, channels: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """Unit of the signal, and per channel the unit of the file where the signal's says less."""
    if all(int(channel["kind"]) == _STIM for channel in channels):
        return "a.u.", []  # codes, whatever unit the file writes beside them
    known = {_UNITS.get(int(channel["unit"]), "") for channel in channels}
    if len(known) == 1 and "" not in known:
        return known.pop(), []
    stated = [str(source.units.get(channel["ch_name"], "")) for channel in channels]
    stated = ["" if unit in ("n/a", "NA") else unit for unit in stated]
    return (stated[0] if len(set(stated)) == 1 and stated[0] else "a.u."), stated


def _places(
    channels: Sequence[Mapping[str, Any]], kind: str, label: NDArray[np.str_], confidence: NDArray[np.float64]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Positions that the file gives; of scalp electrodes without any, those of the template."""
    if kind not in _PLACED:
        return {}, {}
    places = np.array([channel["loc"][:3] for channel in channels], np.float64).reshape(-1, 3)
    places[(places == 0).all(axis=1) | ~np.isfinite(places).all(axis=1)] = np.nan
    if not _is_head(places):
        places[:] = np.nan
    there = np.isfinite(places).all(axis=1)
    space = _SPACES.get(int(channels[int(np.argmax(there))]["coord_frame"]), "unknown")
    source = np.where(there, "file", "")
    if kind == "eeg" and not there.any():
        places = positions(np.where(confidence > 0, label, ""))
        there, space = np.isfinite(places).all(axis=1), "head"
        source = np.where(there, POSITION_SOURCE, "")
    if not there.any():
        return {}, {}
    columns = {"x": places[:, 0], "y": places[:, 1], "z": places[:, 2], "position_source": source}
    if kind in ("mag", "grad", "ref_meg"):
        normal = np.array([channel["loc"][9:12] for channel in channels], np.float64)
        columns |= {axis: normal[:, i] for i, axis in enumerate(("normal_x", "normal_y", "normal_z"))}
        columns["coil_type"] = np.array([int(channel["coil_type"]) for channel in channels], np.int64)
    return columns, {"space": space, "position_units": "m"}


def _is_head(places: NDArray[np.float64]) -> bool:
    """Tell whether positions (m) can be those of sensors: some headers hold drawings of the head or one place for all."""
    there = places[np.isfinite(places).all(axis=1)]
    return len(there) > 0 and float(np.abs(there).max()) < 1.0 and len(np.unique(there, axis=0)) > len(there) // 2


def _filters(info: Any) -> dict[str, Any]:
    """Filters and line frequency as far as they are stated: 0 and half the rate is what MNE fills in."""
    found = {}
    if info.get("highpass"):
        found["highpass_hz"] = float(info["highpass"])
    if info.get("lowpass") and not np.isclose(info["lowpass"], info["sfreq"] / 2):
        found["lowpass_hz"] = float(info["lowpass"])
    if info.get("line_freq"):
        found["line_frequency_hz"] = float(info["line_freq"])
    return {key: value for key, value in found.items() if np.isfinite(value)}


def _tables(marks: Marks, rate: float) -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
    """Moments become events, stretches become intervals; a mark of one sample, as recorders write it, is a moment."""
    order = np.argsort(marks.onset, kind="stable")
    lasts = marks.duration > 1.5 / rate
    columns = _typed(safe_columns(marks.columns))
    columns["label"] = np.array([_plain_text(label) for label in marks.label], np.str_)
    moments, stretches = order[~lasts[order]], order[lasts[order]]
    events, intervals = {}, {}
    if len(moments):
        chosen = {key: values[moments] for key, values in columns.items()}
        if marks.duration[moments].any():
            chosen["duration"] = marks.duration[moments]
        events["annotations"] = make_events(marks.onset[moments], **chosen)
    if len(stretches):
        chosen = {key: values[stretches] for key, values in columns.items()}
        start = marks.onset[stretches]
        intervals["annotations"] = make_intervals(start, start + marks.duration[stretches], **chosen)
    return events, intervals


_TAKEN = {"time", "start", "stop", "unit", "event", "interval", "label", "duration", "second_first_event",
          "segment_start", "segment_first", "attributes", "annotations", "trials", "channel", "segment"}  # fmt: skip


def safe_columns(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return columns under names that a store takes, each once."""
    found: dict[str, list[Any]] = {}
    for key, values in columns.items():
        name = safe_name(str(key))
        while name in _TAKEN or name in found:
            name += "_"
        found[name] = list(values)
    return found


def _typed(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns as numbers where all entries are, missing ones NaN; as text otherwise, missing ones empty."""
    return {key: _column(values) for key, values in columns.items()}


def _column(values: Sequence[Any]) -> NDArray[Any]:
    plain = [_entry(value) for value in values]
    numbers = [value for value in plain if isinstance(value, (int, float))]
    if numbers and len(numbers) == sum(value is not None for value in plain):
        if len(numbers) == len(plain) and all(isinstance(value, int) and abs(value) < 1 << 53 for value in numbers):
            return np.array(numbers, np.int64)
        return np.array([float(value) if isinstance(value, (int, float)) else np.nan for value in plain])
    return np.array(["" if value is None else _plain_text(value) for value in plain], np.str_)


def _plain_text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _entry(value: Any) -> int | float | str | None:
    """A number, a text, or None for what is empty."""
    if isinstance(value, (list, tuple, np.ndarray)):
        flat = np.asarray(value, dtype=object).ravel()
        return None if flat.size == 0 else _entry(flat[0]) if flat.size == 1 else " ".join(map(str, flat))
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    return float(value) if isinstance(value, (float, np.floating)) else str(value)


def _trials(trials: Mapping[str, Any]) -> xr.Dataset:
    columns = {key: list(values) for key, values in trials.items() if key not in ("start", "stop", "label")}
    typed = _typed(safe_columns(columns))
    typed["label"] = np.array(list(map(_plain_text, trials["label"])), np.str_)
    if "code" not in typed:
        typed["code"] = np.unique(typed["label"], return_inverse=True)[1].astype(np.int64)
    return make_intervals(trials["start"], trials["stop"], **typed)


def _describe(source: Source, types: Sequence[str], notes: Sequence[str], problems: Sequence[str]) -> dict[str, Any]:
    info = source.info
    start = info["meas_date"]
    if isinstance(start, datetime.datetime):
        start = start + datetime.timedelta(seconds=source.first_seconds)
    extra: dict[str, Any] = dict(source.extra)
    if source.first_seconds:
        extra["seconds_before_the_first_sample"] = source.first_seconds
    if info["projs"]:
        extra["projectors"] = [{"name": str(p["desc"]), "applied_in_file": bool(p["active"])} for p in info["projs"]]
    if info.get("dev_head_t") is not None and any(kind in ("mag", "grad") for kind in types):
        extra["device_to_head"] = np.asarray(info["dev_head_t"]["trans"], np.float64).tolist()
    if info.get("custom_ref_applied"):
        extra["reference_changed_by_software"] = True
    if source.segments is None and source.gaps:
        extra["gaps"] = "samples that were not recorded are NaN; intervals/annotations calls them BAD_ACQ_SKIP"
    if notes:
        extra["reader_notes"] = list(notes)
    if problems:
        extra["label_problems"] = list(problems)[:100]
    device = " ".join(str((info.get("device_info") or {}).get(key) or "") for key in ("type", "model")).strip()
    return {
        "modality": next((_MODALITY[kind] for kind in _MODALITY if kind in types), "other"),
        "subject": _subject(info, source.subject),
        "session_start": start.isoformat() if isinstance(start, datetime.datetime) else None,
        "device": device or None,
        "description": str(info.get("description") or "").strip()[:1000] or None,
        "extra": extra,
    }


def _subject(info: Any, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Id, sex and hand; names and birth dates stay in the file."""
    found = info.get("subject_info") or {}
    hand = _HAND.get(int(found.get("hand") or 0))
    return {
        "id": str(stated.get("id") or found.get("his_id") or "").strip()[:200],
        "sex": _SEX.get(int(found.get("sex") or 0), "U"),
        "description": f"{hand}-handed" if hand in ("right", "left") else "uses both hands" if hand else None,
    }
