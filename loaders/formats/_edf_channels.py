"""What the channels of an EDF file are, by their labels and units, and which of them make one signal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurodata.identity.eeg_montage import CleanLabel, clean_label

from ._edf_header import EdfChannel, EdfHeader

NEURAL = ("EEG", "SEEG", "ECOG", "LFP")
"""Types recorded from the brain."""

_UNITS = {"uv": "uV", "µv": "uV", "μv": "uV", "microv": "uV", "mcv": "uV", "mv": "mV", "nv": "nV", "bpm": "bpm", "volt": "V",
          "volts": "V", "v": "V", "percent": "%", "sec": "s", "": "a.u."}  # fmt: skip
_VOLTS = ("uV", "mV", "nV", "V")

_PREFIX = re.compile(r"(S?EEG|I?EEG|ECOG|POL|LFP|ECG|EKG|EMG|EOG)(?=[ :_])[ :_]+", re.IGNORECASE)
_ORGANS = ("ECG", "EKG", "EMG", "EOG")
_REFERENCE = re.compile(r"(?<=.)[-_ ]+(ref\d?|r|le|ar|avg?|av|org|vref|car|g2|a1a2|a1\+a2|m1m2|gnd|(?-i:G19))$", re.I)

_BY_NAME: tuple[tuple[str, str], ...] = (
    ("TRIG", r"(bdf )?status|trig|(?<![a-z])stim?(?![a-z])|event|marker|(?<![a-z])mark(?![a-z])|photic|button"),
    ("ECG", r"ecg|ekg|(?<![a-z])cardiac"),
    ("EMG", r"emg|(?<![a-z])(chin|lleg|rleg|leg|plm|tib|delt|submental|mentalis|masseter)(?![a-su-z])|"
            r"(?<![a-z])[lr]at(?![a-z0-9])"),
    ("EOG", r"eog|(?<![a-z0-9])(loc|roc|[vh]eo[gul]?|[lr]eye|eye)(?![a-z0-9])|(?<![a-z0-9])e[12]-[am]\d"),
    ("SPO2", r"sp?a?o2|osat|o2sat|(?<![a-z])sat(?![a-z0-9])|(?<![a-z])(pulse)?oxim"),
    ("PPG", r"pleth|ppg"),
    ("PULSE", r"pulse|(?<![a-z])(pr|hr|hrate|dhr)(?![a-z0-9])|heart ?rate"),
    ("RESP", r"resp|(?<![a-z])(thor|thx|abd|chest|airflow|flow|nasal|effort|breath|pneumo|cannula|therm)|"
             r"(?<![a-z])(et)?co2|capno|cpap"),
    ("TEMP", r"(?<![a-z])temp(?![a-z0-9])|temperature"),
    ("AUDIO", r"snor|(?<![a-z])(mic|audio|sound)(?![a-z0-9])"),
    ("GSR", r"(?<![a-z])(gsr|eda|scr|scl)(?![a-z0-9])"),
    ("ACCEL", r"(?<![a-z])(accel|acc[ _-]?[xyz](?![a-z0-9])|gyro|imu)"),
    ("POSITION", r"(?<![a-z])(pos|position|body ?pos)(?![a-z0-9])"),
    ("LIGHT", r"(?<![a-z])(light|lux)(?![a-z0-9])"),
    ("MISC", r"(?<![a-z])(dc|aux|stage|ibi|bursts|suppr)[ _-]?\d*(?![a-z0-9])"),
)  # fmt: skip
"""Types (those of BIDS where it has one) and what labels of their channels hold. Short names end at a digit: contacts of
a shaft are called LAT1 or ACC1."""
_RULES = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _BY_NAME)

_CONTACT = re.compile(r"([A-Za-z]{1,4}['’`]?)[ _-]?0*(\d{1,2})")
_LONGEST_SHAFT = 20


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
    return _UNITS.get(text.strip().lower(), text.strip()) if text != "MV" else "MV"


def split_label(raw: str) -> tuple[str, str, str]:
    """Return a channel's name, its reference (empty where the label names none) and the type its prefix states.

    ``EEG Fp1-Ref`` is Fp1 against Ref; ``F4-A1`` is a derivation and stays one.
    """
    prefix = _PREFIX.match(raw)
    stated = prefix[1].upper() if prefix else ""
    text = raw[prefix.end() :] if prefix and stated not in _ORGANS else raw
    text = text.strip().rstrip(".").strip() or raw.strip()
    tail = _REFERENCE.search(text)
    name, reference = (text[: tail.start()].strip(), tail[1]) if tail else (text, "")
    return name, reference, {"IEEG": "SEEG", "EKG": "ECG"}.get(stated, stated)


def _is_electrode(name: str) -> bool:
    return clean_label(name).kind in ("electrode", "reference")


def name_channels(header: EdfHeader, modality: str | None) -> list[Named]:
    """Return the channels that hold samples with name, type and unit.

    The label decides: what names another organ or device is that; an electrode of the 10-10 system, or a derivation
    of two, is EEG; numbered contacts of several shafts are SEEG. A channel with any other label is of the main type
    where unit and rate are those of the brain's channels, else it is ``MISC``.
    """
    kept = [channel for channel in header.channels if channel.samples and not channel.is_annotations]
    cleaned = [split_label(channel.label) for channel in kept]
    shafts = set() if modality else _shafts([name for name, _, _ in cleaned])
    kinds = [_kind(channel, name, stated, name in shafts) for channel, (name, _, stated) in zip(kept, cleaned)]
    main = modality.upper() if modality else ("SEEG" if shafts else "EEG")
    units = [clean_units(channel.units) if channel.scale is not None else "a.u." for channel in kept]
    home = _home(kept, kinds, units)
    named = []
    for channel, (name, reference, _), kind, unit in zip(kept, cleaned, kinds, units):
        if kind == "":
            kind = main if (channel.samples, unit) == home and any(c.isalnum() for c in name) else "MISC"
        elif kind in NEURAL and modality:
            kind = main
        # Only scalp electrodes have canonical names: a depth contact called T3 is no T7.
        clean = clean_label(name) if kind == "EEG" else CleanLabel(name, 0.0)
        label = clean.label if clean.confidence else name
        named.append(Named(channel, label, clean.confidence, reference, kind, unit))
    return named


def _kind(channel: EdfChannel, name: str, stated: str, in_shaft: bool) -> str:
    """Type by label, empty where the label says nothing."""
    if in_shaft:
        return "SEEG"
    for kind, pattern in _RULES:
        if pattern.search(name) and not _is_electrode(name):
            return kind
    if stated in ("ECG", "EMG", "EOG", *NEURAL):
        return stated
    if clean_units(channel.units) not in (*_VOLTS, "a.u."):
        return "PULSE" if clean_units(channel.units) == "bpm" else "MISC"
    return "EEG" if clean_label(name).confidence else ""


def _shafts(names: Sequence[str]) -> set[str]:
    """Names of contacts on depth electrodes; empty unless most channels are and cannot be a scalp cap.

    A cap has rows that count up too (F1 … F8), so contacts with other names must be most of the channels, or some of
    them where there is no electrode of the midline.
    """
    shafts: dict[str, dict[int, str]] = {}
    for name in names:
        match = _CONTACT.fullmatch(name.split("-")[0])
        if match and not any(pattern.search(name) for _, pattern in _RULES):
            shafts.setdefault(match[1], {})[int(match[2])] = name
    long = [s for s in shafts.values() if 4 <= len(s) <= _LONGEST_SHAFT and max(s) <= _LONGEST_SHAFT]
    surely = [s for s in long if sum(not _is_electrode(name.split("-")[0]) for name in s.values()) >= 2]
    contacts = {name for shaft in long for name in shaft.values()}
    n_sure = sum(map(len, surely))
    midline = any(clean_label(name.split("-")[0]).label.endswith("z") for name in names)
    clear = n_sure > len(names) / 2 or (n_sure >= 4 and not midline)
    return contacts if len(long) >= 2 and len(contacts) > len(names) / 2 and clear else set()


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
        name = "trigger" if kind == "TRIG" else kind.lower()
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
