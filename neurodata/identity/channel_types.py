"""What a channel of an EEG file records: brain, another organ or a device, by what it is called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from neurodata.identity.eeg_montage import NO_SHAFT, clean_label, without_prefix

_BY_NAME: tuple[tuple[str, str], ...] = (
    ("stim", r"(bdf )?status|trig|(?<![a-z])stim?(?![a-z])|event|(?<![a-z])(mark|mrk|mkr)(?![a-z])|marker|photic|"
             r"button"),
    ("ecg", r"ecg|ekg|(?<![a-z])cardiac"),
    ("emg", r"emg|(?<![a-z])(chin|lleg|rleg|leg|plm|tib|delt|submental|mentalis|masseter)(?![a-su-z])|"
            r"(?<![a-z])[lr]at(?![a-z0-9])"),
    ("eog", r"eog|(?<![a-z0-9])(loc|roc|[vh]eo[gul]?|[lr]eye|eye)(?![a-z0-9])|(?<![a-z0-9])e[12]-[am]\d"),
    ("spo2", r"sp?a?o2|osat|o2sat|(?<![a-z])sat(?![a-z0-9])|(?<![a-z])(pulse)?oxim"),
    ("ppg", r"(?<![a-z])plet|pleth|ppg"),
    ("pulse", r"pulse|(?<![a-z])(pr|hr|hrate|dhr|bpm)(?![a-z0-9])|heart.?rate"),
    ("resp", r"resp|(?<![a-z])(thor|thx|abd|chest|air ?flow|flow|nasal|effort|breath|pneumo|cannula|therm)|"
             r"(?<![a-z])(et)?co2|capno|cpap"),
    ("temperature", r"(?<![a-z])temp(?![a-z0-9])|temperature"),
    ("audio", r"snor|(?<![a-z])(mic|audio|sound)(?![a-z])"),
    ("gsr", r"(?<![a-z])(gsr|eda|scr|scl)\d?(?![a-z0-9])"),
    ("accel", r"(?<![a-z])(accel|acc[ _.-]?[xyz](?![a-z0-9])|gyr|imu)"),
    ("position", r"(?<![a-z])(pos|position|body ?pos)(?![a-z0-9])"),
    ("light", r"(?<![a-z])(light|lux)(?![a-z0-9])|photo ?(diode|sensor|cell)|^photo$"),
    ("misc", r"(?<![a-z])(dc|aux|erg|ana|stage|ibi|bursts|suppr)[ _-]?\d*(?![a-z0-9])"),
)  # fmt: skip
"""Types and what labels of their channels hold. Short names end at a digit: contacts of a shaft are called LAT1, ACC1."""
_RULES = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _BY_NAME)
_NO_MNE_TYPE = {"spo2", "ppg", "pulse", "audio", "accel", "position", "light"}

_CONTACT = re.compile(r"([A-Za-z]{1,4}['’`]?)[ _-]?0*(\d{1,2})")
_LONGEST_SHAFT = 20


def kind_of(label: str) -> str:
    """Return the type of a channel whose label names an organ other than the brain, or a device; else empty.

    Examples
    --------
    >>> kind_of("EOG ROC-A2"), kind_of("SpO2"), kind_of("O2")
    ('eog', 'spo2', '')
    """
    return next((kind for kind, pattern in _RULES if pattern.search(label)), "")


def channel_type(label: str, stated_type: str = "") -> str:
    """Return what a channel records: the file's own type, unless that is a default that the label contradicts.

    Parameters
    ----------
    label
        The channel's name: ``EOG1`` is no EEG, whatever the file says.
    stated_type
        Type by MNE-Python's names (``eeg``, ``seeg``, ``eog``, ``mag`` …), empty where the file states none.

    Returns
    -------
    type
        By MNE's names, ``eeg`` where neither says anything else. Types other than ``eeg`` are never changed: an
        ``seeg`` contact called ``T3`` stays one.
    """
    stated = stated_type.strip().lower()
    if stated not in ("", "eeg", "n/a", "unknown"):
        return stated
    kind = kind_of(without_prefix(label.strip()))
    return "misc" if kind in _NO_MNE_TYPE else kind or "eeg"


def depth_contacts(labels: Sequence[str]) -> set[str]:
    """Return the names of contacts on depth electrodes; empty unless most channels are and cannot be a scalp cap.

    A cap has rows that count up too (F1 … F8), so contacts with other names must be most of the channels, or some of
    them where there is no electrode of the midline.
    """
    shafts: dict[str, dict[int, str]] = {}
    for label in labels:
        match = _CONTACT.fullmatch(label.split("-")[0])
        if match and match[1].upper() not in NO_SHAFT and not kind_of(label):
            shafts.setdefault(match[1], {})[int(match[2])] = label
    long = [shaft for shaft in shafts.values() if 4 <= len(shaft) <= _LONGEST_SHAFT and max(shaft) <= _LONGEST_SHAFT]
    n_sure = sum(len(shaft) for shaft in long if sum(not _is_electrode(label) for label in shaft.values()) >= 2)
    contacts = {label for shaft in long for label in shaft.values()}
    midline = any(clean_label(label.split("-")[0]).label.endswith("z") for label in labels)
    clear = n_sure > len(labels) / 2 or (n_sure >= 4 and not midline)
    return contacts if len(long) >= 2 and len(contacts) > len(labels) / 2 and clear else set()


def _is_electrode(label: str) -> bool:
    return clean_label(label.split("-")[0]).kind in ("electrode", "reference")
