"""What cells are called in a file, and whether these are a worm's neurons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from neurodata import names as words
from neurodata.identity.celegans import clean_labels, names_of

WORM = "Caenorhabditis elegans"
_MOST_TEXT = 200
_FEWEST_CLASSES = 3


@dataclass(frozen=True)
class Named:
    """Channels and what is known of their names.

    Parameters
    ----------
    channel_id
        Unique, one per channel.
    columns
        ``label_raw``; of a worm also ``label``, ``label_confidence``, ``label_source`` and ``label_class``.
    species
        Latin binomial where the names tell; empty otherwise.
    problems
        One line for each name that is uncertain, unknown or comes twice.
    """

    channel_id: list[str]
    columns: dict[str, Any] = field(default_factory=dict)
    species: str = ""
    problems: tuple[str, ...] = ()


def name_channels(raw: Sequence[str], source: str, *, species: str | None = None, numbered: str = "") -> Named:
    """Say what channels are called.

    Names are taken for those of *Caenorhabditis elegans* where three classes of neurons (``AVA``, ``RIM`` …, of three
    letters or more) are among them, or where a person states the species. Otherwise they are kept as they are.

    Parameters
    ----------
    raw
        Names as the file has them, one per channel, empty where a channel has none.
    source
        Where they are from.
    species
        What a person states.
    numbered
        Prefix of the channels' ids where they are to be numbers; otherwise ids are the names where these are there for
        every channel and unique, and ``cell000`` … where not.
    """
    texts = [_printable(name) for name in raw]
    unique = not numbered and len(set(texts)) == len(texts) and all(texts) and not all(map(str.isdecimal, texts))
    ids = texts if unique else [f"{numbered or 'cell'}{number:03d}" for number in range(len(texts))]
    if not any(texts):
        return Named(ids)
    cleaned = clean_labels(texts, names=names_of("male"))
    hermaphrodite = clean_labels(texts)
    if (hermaphrodite.label != "").sum() >= (cleaned.label != "").sum():
        cleaned = hermaphrodite
    classes = {
        str(kind)
        for kind, label in zip(cleaned.label_class, cleaned.label)
        if label and re.match(r"[A-Z]{3}", str(kind))
    }
    enough = len(classes) >= _FEWEST_CLASSES and (cleaned.label != "").sum() * 5 >= sum(map(bool, texts))
    if species != WORM and (species is not None or not enough):
        return Named(ids, {words.LABEL_RAW: texts})
    columns = dict(cleaned.columns(source))
    return Named(ids, columns, WORM, tuple(problem for problem in cleaned.problems))


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(name).strip())[:_MOST_TEXT]
