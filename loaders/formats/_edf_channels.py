"""What the channels of an EDF file are, by their labels and units, and which of them make one signal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurodata.identity.channel_types import depth_contacts, kind_of
from neurodata.identity.eeg_montage import clean_label, clean_labels

from ._edf_header import EdfChannel, EdfHeader

NEURAL = ("eeg", "seeg", "ecog", "lfp")
"""Types recorded from the brain."""

_UNITS = {"": "a.u.", "bpm": "bpm", "beats/min": "bpm", "1/min": "bpm", "percent": "%", "sec": "s", "\u00b0c": "degC",
          "degc": "degC", "celsius": "degC", "deg c": "degC",
          "c": "degC"}  # fmt: skip
_VOLT = re.compile(r"(|m|milli|n|nano|u|[\u00b5\u03bc\u00e6\u00ca]|mc|mic|micro)[ -]?v(olts?|ol?)?", re.IGNORECASE)
"""Volts in full, or cut to the eight characters of the field; a micro sign comes in four encodings."""
_VOLT_OF = {"": "V", "m": "mV", "n": "nV"}
_VOLTS = ("uV", "mV", "nV", "V")
_OF_UNIT = {"bpm": "pulse", "degC": "temperature", "%": "misc", "Ohm": "misc", "kOhm": "misc"}
"""Units that no potential has, whatever the channel is called."""

_PREFIX = re.compile(r"(S?EEG|I?EEG|ECOG|POL|LFP|ECG|EKG|EMG|EOG)(?=[ :_])[ :_]+", re.IGNORECASE)
_ORGANS = ("ecg", "emg", "eog")
_REFERENCE = re.compile(r"(?<=.)[-_ ]+(ref\d?|r|le|ar|avg?|av|org|vref|car|g2|a1a2|a1\+a2|m1m2|gnd|(?-i:G19))$", re.I)


@dataclass(frozen=True)
class Named:
    """A channel with what its label was understood as."""

    channel: EdfChannel
    label: str
    confidence: float
    reference: str
    kind: str
    units: str


def clean_units(text: str) -> str:
    """Return a physical unit in the spelling of the schema; an unknown one as it is, none as ``a.u.``."""
    text = text.strip()
    volt = _VOLT.fullmatch(text) if text != "MV" else None
    if volt:
        prefix = {"milli": "m", "nano": "n"}.get(volt[1].lower(), volt[1].lower())
        return _VOLT_OF.get(prefix, "uV")
    return _UNITS.get(text.lower(), text)


def split_label(raw: str) -> tuple[str, str, str]:
    """Return a channel's name, its reference (empty where the label names none) and the type its prefix states.

    ``EEG Fp1-Ref`` is Fp1 against Ref; ``F4-A1`` is a derivation and stays one.
    """
    prefix = _PREFIX.match(raw)
    stated = prefix[1].lower() if prefix else ""
    stated = {"ieeg": "seeg", "ekg": "ecg"}.get(stated, stated)
    text = raw[prefix.end() :] if prefix and stated not in _ORGANS else raw
    text = text.strip().rstrip(".").strip() or raw.strip()
    tail = _REFERENCE.search(text)
    name, reference = (text[: tail.start()].strip(), tail[1]) if tail else (text, "")
    return name, reference, stated


def name_channels(header: EdfHeader, modality: str | None) -> list[Named]:
    """Return the channels that hold samples with name, type and unit.

    The label decides: what names another organ or device is that; an electrode of the 10-10 system, or a derivation
    of two, is ``eeg``; numbered contacts of several shafts are ``seeg``. A channel with any other label is of the main
    type where unit and rate are those of the brain's channels, else it is ``misc``.
    """
    kept = [channel for channel in header.channels if channel.samples and not channel.is_annotations]
    cleaned = [split_label(channel.label) for channel in kept]
    shafts = set() if modality else depth_contacts([name for name, _, _ in cleaned])
    kinds = [_kind(channel, name, stated, name in shafts) for channel, (name, _, stated) in zip(kept, cleaned)]
    main = modality or ("seeg" if shafts else "eeg")
    units = [clean_units(channel.units) if channel.scale is not None else "a.u." for channel in kept]
    home = _home(kept, kinds, units)
    for i, (channel, (name, _, _), unit) in enumerate(zip(kept, cleaned, units)):
        if kinds[i] == "":
            kinds[i] = main if (channel.samples, unit) == home and any(c.isalnum() for c in name) else "misc"
        elif kinds[i] in NEURAL and modality:
            kinds[i] = main
    # Only scalp electrodes have canonical names: a depth contact called T3 is no T7.
    clean = clean_labels([name for name, _, _ in cleaned], kinds)
    return [
        Named(channel, str(clean.label[i]), float(clean.label_confidence[i]), reference, kinds[i], units[i])
        for i, (channel, (_, reference, _)) in enumerate(zip(kept, cleaned))
    ]


def _kind(channel: EdfChannel, name: str, stated: str, in_shaft: bool) -> str:
    """Type by label, empty where the label says nothing."""
    unit = clean_units(channel.units)
    if in_shaft:
        return "seeg"
    if kind_of(name):
        return kind_of(name)
    if stated in (*_ORGANS, *NEURAL):
        return stated
    if unit in _OF_UNIT:
        return _OF_UNIT[unit]
    return "eeg" if clean_label(name).confidence else "" if unit in (*_VOLTS, "a.u.") else "misc"


def _home(channels: Sequence[EdfChannel], kinds: Sequence[str], units: Sequence[str]) -> tuple[int, str] | None:
    """Samples per record and unit of the brain's channels: of those named, else of most that are volts."""
    for wanted in (NEURAL, ("",)):
        found = Counter(
            (c.samples, u) for c, k, u in zip(channels, kinds, units) if k in wanted and (u in _VOLTS or k in NEURAL)
        )
        if found:
            return found.most_common(1)[0][0]
    return None


def group_channels(named: Sequence[Named], header: EdfHeader) -> dict[str, list[Named]]:
    """Return the channels of each signal by the signal's name: one type, sampling rate and unit each.

    The largest group of a type is called by it (``eeg``, ``ecg``, ``spo2``); others get their rate (``eeg_256hz``)
    or, at the same rate, their unit (``misc_mV``) behind it.
    """
    groups: dict[tuple[str, int, str], list[Named]] = {}
    for entry in named:
        groups.setdefault((entry.kind, entry.channel.samples, entry.units), []).append(entry)
    order = sorted(groups, key=lambda key: (-len(groups[key]), -key[1], groups[key][0].channel.number))
    plain: dict[str, tuple[str, int, str]] = {}
    signals: dict[str, list[Named]] = {}
    for key in order:
        kind, samples, units = key
        name = "trigger" if kind == "stim" else kind
        first = plain.setdefault(name, key)
        if key != first:
            rate = header.rate_hz(groups[key][0].channel)
            if samples != first[1]:
                name += f"_{rate:g}hz" if rate else f"_{samples}perrecord"
            if units != first[2]:
                name += f"_{_safe(units)}"
        signals[_unused(name, signals)] = groups[key]
    return dict(sorted(signals.items(), key=lambda item: (item[1][0].kind not in NEURAL, item[1][0].channel.number)))


def _safe(units: str) -> str:
    words = {"%": "percent", "a.u.": "au"}
    return words.get(units) or re.sub(r"[^A-Za-z0-9]+", "_", units).strip("_") or "other"


def _unused(name: str, taken: Mapping[str, object]) -> str:
    unique, number = name.replace("+", ""), 1
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def unique_ids(channels: Sequence[EdfChannel]) -> dict[int, str]:
    """Return an id per channel number: its label as in the file, with ``_2`` … behind one that comes again."""
    labels = {channel.number: channel.label or f"channel_{channel.number + 1}" for channel in channels}
    taken = set(labels.values())
    counts: Counter[str] = Counter()
    ids: dict[int, str] = {}
    for number, label in labels.items():
        counts[label] += 1
        unique = label
        while counts[label] > 1 and unique in taken:
            unique = f"{label}_{counts[label]}"
            counts[label] += unique in taken
        taken.add(unique)
        ids[number] = unique
    return ids
