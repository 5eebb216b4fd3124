"""Which electrode of the 10-05 system an EEG channel is, under the same name in every recording, and where it sits.

Names follow Oostenveld & Praamstra 2001 (Clin Neurophysiol 112:713-719), an extension of the 10-20 and 10-10 systems.
The table of positions beside this file is made by ``scripts/make_eeg_montage_table.py`` from MNE-Python's template
montage ``standard_1005`` (BSD-3-Clause): metres, head frame (origin between the ears, x right, y to the nose, z up).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names as words
from neurodata.checks import suggest
from neurodata.errors import NeurodataError

POSITION_SOURCE = "standard_1005"
"""What a template position is called where it stands beside positions that a file gave."""


@cache
def _table() -> pd.DataFrame:
    source = files("neurodata.identity").joinpath("eeg_positions_1005.csv")
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False).set_index("label")


NAMES: tuple[str, ...] = tuple(_table().index)
"""Names of the 10-05 system and of the ear and mastoid references; the position is the electrode's vocabulary id."""

REFERENCES = ("A1", "A2", "M1", "M2")
"""Ear lobes and mastoids: where reference electrodes sit."""

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Names of the 10-20 system that the 10-10 system changed (American Clinical Neurophysiology Society 1991)."""

_CANONICAL = {name.upper(): name for name in NAMES}
_PREFIX = re.compile(r"^(EEG|POL|ELEC)[\s_:.-]*(?=[A-Z])", re.IGNORECASE)
_REFERENTIAL = re.compile(
    r"[\s_:.-]+(REF\d*|LE|LER|AR|AVG?|AVERAGE|CE|CAR|NONE|A1A2|A1\+A2|M1M2|M1\+M2)$", re.IGNORECASE
)
_NOTHING = {"", "?", "NA", "NAN", "N/A", "NONE", "UNKNOWN"}


@dataclass(frozen=True)
class CleanLabel:
    """A label made canonical.

    Parameters
    ----------
    label
        Canonical name (``FC5``), derivation (``F4-A1``), or the text of the file where it is neither.
    confidence
        1 for a name or derivation of the 10-05 system, 0 otherwise.
    kind
        ``electrode``, ``reference`` (ear or mastoid), ``derivation`` (the difference of two electrodes, which sits
        nowhere) or ``""``.
    note
        What a person should know: an old name, an unknown one. Empty where there is nothing to say.
    """

    label: str
    confidence: float
    kind: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class CleanedLabels:
    """Labels of a signal's channels made canonical, each array of shape ``(channel,)``; see `clean_labels`."""

    label: NDArray[np.str_]
    label_raw: NDArray[np.str_]
    label_confidence: NDArray[np.float64]
    kind: NDArray[np.str_]
    problems: tuple[str, ...]

    def columns(self, source: str) -> dict[str, NDArray[np.str_] | NDArray[np.float64]]:
        """Return the channel columns of a signal: what was cleaned, and ``source``, where the labels come from."""
        return {
            words.LABEL: self.label,
            words.LABEL_RAW: self.label_raw,
            words.LABEL_CONFIDENCE: self.label_confidence,
            words.LABEL_SOURCE: np.where(self.label_raw == "", "", source),
        }


def clean_label(raw: str) -> CleanLabel:
    """Return the canonical name of one scalp channel.

    Case, dots, spaces, underscores, a leading ``EEG`` and a common reference (``-REF``, ``-LE``) do not matter; a zero
    typed for the letter O is mended. This looks at one name only: whether ``A1`` is an ear lobe or the first contact
    of a depth electrode is decided by `clean_labels`, which sees all of them.

    Examples
    --------
    >>> clean_label("Fc5.").label, clean_label("EEG T3-REF").label, clean_label("CZ-A2").kind
    ('FC5', 'T7', 'derivation')
    """
    text = _text(raw)
    if text.upper() in _NOTHING:
        return CleanLabel("", 0.0)
    short = _REFERENTIAL.sub("", _PREFIX.sub("", text))
    name, note = _electrode(short)
    if name:
        return CleanLabel(name, 1.0, "reference" if name in REFERENCES else "electrode", note)
    sides = re.split(r"\s*[-–:/]\s*", short.rstrip(". "))
    if len(sides) == 2:
        both = [_electrode(side) for side in sides]
        if both[0][0] and both[1][0] and both[0][0] != both[1][0]:
            notes = "; ".join(note for _, note in both if note)
            return CleanLabel(f"{both[0][0]}-{both[1][0]}", 1.0, "derivation", notes)
    return CleanLabel(text, 0.0, "", "no electrode of the 10-05 system has this name")


def clean_labels(raw: Sequence[str], types: Sequence[str] | None = None) -> CleanedLabels:
    """Return the canonical names of a recording's channels.

    Only channels of type ``eeg`` are electrodes on the scalp; all others keep their text. So do contacts of depth
    electrodes in a file that types everything as EEG (``A1``, ``A2``, ``A3``, ``A4`` …: numbered through, and some of
    the numbers are none of the 10-05 system), and two channels that would get the same name.

    Parameters
    ----------
    raw
        The labels as the file has them, one per channel.
    types
        What each channel records (see `neurodata.identity.channel_types.channel_type`), all ``eeg`` where left out.

    Returns
    -------
    cleaned
        Labels, raw labels, confidence (0 … 1) and kind per channel, and ``problems``: one line for each label that
        was left as it is although its channel is typed as EEG.
    """
    texts = [_text(label) for label in raw]
    scalp = [kind.lower() == "eeg" for kind in types] if types is not None else [True] * len(texts)
    contacts = _contacts([text for text, is_scalp in zip(texts, scalp) if is_scalp])
    cleaned = []
    for text, is_scalp in zip(texts, scalp):
        clean = clean_label(text) if is_scalp else CleanLabel(text, 0.0)
        if is_scalp and _stems(text) & contacts:
            clean = CleanLabel(text, 0.0, "", "contacts of this name are numbered through like a depth electrode's")
        cleaned.append(clean)
    places = defaultdict(list)
    for i, clean in enumerate(cleaned):
        if clean.confidence:
            places[clean.label].append(i)
    for label, twice in places.items():
        if len(twice) > 1:
            for i in twice:
                cleaned[i] = CleanLabel(texts[i], 0.0, "", f"{len(twice)} channels would be called {label}")
    return CleanedLabels(
        label=np.array([clean.label for clean in cleaned], dtype=np.str_),
        label_raw=np.array(texts, dtype=np.str_),
        label_confidence=np.array([clean.confidence for clean in cleaned], dtype=np.float64),
        kind=np.array([clean.kind for clean in cleaned], dtype=np.str_),
        problems=tuple(
            f"channel {i}: label {texts[i]!r}: {clean.note}; left as it is"
            for i, clean in enumerate(cleaned)
            if clean.note and not clean.confidence
        ),
    )


def without_prefix(label: str) -> str:
    """Return a label without the ``EEG`` or ``POL`` that a recorder wrote before it."""
    return _PREFIX.sub("", label)


def positions(labels: Iterable[str]) -> NDArray[np.float64]:
    """Return the template positions of canonical names, metres in the head frame, shape ``(channel, 3)``.

    NaN for whatever is no single electrode: a derivation, a contact, an unknown name.
    """
    table = _table()
    place = {name: row for row, name in enumerate(NAMES)}
    rows = np.array([place.get(str(label), -1) for label in labels], np.int64)
    values = np.vstack([table.to_numpy(np.float64), np.full(3, np.nan)])
    return np.asarray(values[rows], dtype=np.float64).reshape(-1, 3)


def homologue(label: str) -> str:
    """Return the electrode at the same place of the other hemisphere: ``FC6`` of ``FC5``, ``Cz`` of ``Cz``.

    Raises
    ------
    NeurodataError
        If the name is no canonical one.
    """
    if label not in _table().index:
        raise NeurodataError(
            f"{label!r} is no electrode of the 10-05 system{suggest(clean_label(label).label, NAMES) or '.'}"
        )
    match = re.fullmatch(r"([A-Za-z]+?)(\d+)(h?)", label)
    if match is None:
        return label
    number = int(match[2])
    return f"{match[1]}{number + 1 if number % 2 else number - 1}{match[3]}"


def vocabulary_ids(labels: Iterable[str]) -> NDArray[np.int64]:
    """Return each label's position in `NAMES`, -1 where it is no single electrode, shape ``(channel,)``."""
    position = {name: i for i, name in enumerate(NAMES)}
    return np.array([position.get(str(label), -1) for label in labels], dtype=np.int64)


def _text(label: object) -> str:
    return "" if label is None else str(label).strip()


def _electrode(text: str) -> tuple[str, str]:
    """Canonical name and a note; empty where it is none."""
    key = re.sub(r"[\s_.]+", "", text).upper()
    if key in OLD_NAMES:
        return OLD_NAMES[key], f"{text!r} is an older name of {OLD_NAMES[key]}"
    if key in _CANONICAL:
        return _CANONICAL[key], ""
    mended = re.sub(r"^P0(?=[1-9Z])", "PO", re.sub(r"^0(?=[12Z]$)", "O", key))
    return (_CANONICAL[mended], f"{text!r} has a zero for the letter O") if mended in _CANONICAL else ("", "")


NO_SHAFT = {"EXG", "EEG", "CH", "CHAN", "AUX", "DC", "ACC", "EMG", "ECG", "EOG", "DIN", "STI", "REF", "BIP", "X"}
"""Prefixes of numbered channels that are no depth electrodes."""


def _stems(text: str) -> set[str]:
    """Letters before the number of each side of a name, marked where they carry a prime: ``B'3-B'4`` → ``B'``."""
    found = set()
    for side in re.split(r"[-–:/]", _PREFIX.sub("", text)):
        match = re.fullmatch(r"([A-Z]{1,4}'?)\s*0*(\d+)", side.strip(" ._").upper())
        found |= {match[1]} if match else set()
    return found


def _contacts(texts: Sequence[str]) -> set[str]:
    """Prefixes of depth electrodes among channels that are all typed as EEG.

    A shaft is numbered 1, 2, 3, 4 …; so are rows of a dense cap (``F1`` to ``F8``), which is why there must be a shaft
    that is no row of the 10-05 system, and no sign of a dense cap (``FC`` and ``CP`` rows), before a row is taken for
    a shaft.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    for text in texts:
        for side in re.split(r"[-–:/]", _PREFIX.sub("", text)):
            match = re.fullmatch(r"([A-Z]{1,4}'?)\s*0*(\d{1,3})", side.strip(" ._").upper())
            if match and match[1] not in NO_SHAFT:
                numbers[match[1]].add(int(match[2]))
    shafts = {stem for stem, found in numbers.items() if {1, 2, 3, 4} <= found}
    known = {*_CANONICAL, *OLD_NAMES}
    foreign = {stem for stem in shafts if any(f"{stem}{number}" not in known for number in numbers[stem])}
    is_dense_cap = "FC" in numbers and "CP" in numbers
    return foreign if is_dense_cap else (shafts if foreign else set())
