"""Which of the 302 neurons of *Caenorhabditis elegans* a channel is, under the same name in every recording.

The table beside this file is made by ``scripts/make_celegans_table.py`` and lists the hermaphrodite's neurons in the
order of the connectome of Cook et al. 2019 (Nature 571:63-71), by WormBase's unpadded names (``DB1``, not ``DB01``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names as words
from neurodata.checks import check_option, suggest
from neurodata.errors import NeurodataError


@cache
def _table() -> pd.DataFrame:
    source = files("neurodata.identity").joinpath("celegans_neurons.csv")
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False, dtype={"is_end_organ": bool})


def table() -> pd.DataFrame:
    """Return the 302 neurons of the hermaphrodite, one row each, in the order of Cook et al. 2019.

    Many neurons do more than one thing; ``function`` is one word all the same, the first of the shared features table
    (Flavell lab): IL1 and URA count as motor, SAA, SAB, RIM, RID, AVL and DVB as inter, although each of them is
    called otherwise elsewhere. Pharyngeal neurons are typed as by Albertson & Thomson 1976 (Phil Trans R Soc B
    275:299-325; kept by Cook et al. 2020, J Comp Neurol 528:2767-2784): I1-I6 inter; M1-M5, MC, MI and NSM motor.

    Returns
    -------
    table
        A fresh copy with the text columns ``name``; ``neuron_class`` (the 118 classes of White et al. 1986, Phil Trans
        R Soc B 314:1-340); ``function`` (``sensory``, ``inter``, ``motor``, ``unknown``); ``system`` (``pharyngeal``,
        ``somatic``); ``left_right`` and ``dorsal_ventral`` (the partner's name, empty where there is none; both are
        involutions); ``sex`` (``both``, ``hermaphrodite``); ``born`` (``embryonic`` for the 222 neurons present at
        hatching, Sulston & Horvitz 1977, Dev Biol 56:110-156); and the boolean ``is_end_organ``, true for CANL and
        CANR, which make no synapses: without them there are 300.
    """
    return _table().copy()


NAMES: tuple[str, ...] = tuple(_table()["name"])
"""Names of the hermaphrodite's 302 neurons; the position is the neuron's vocabulary id."""

MALE_ONLY: tuple[str, ...] = (
    *(f"CEM{quadrant}" for quadrant in ("DL", "DR", "VL", "VR")),
    *(f"CA{i}" for i in range(1, 10)),
    *(f"CP{i}" for i in range(10)),
    *("DVE", "DVF", "DX1", "DX2", "DX3", "EF1", "EF2", "EF3", "HOA", "HOB", "MCML", "MCMR"),
    *("PCAL", "PCAR", "PCBL", "PCBR", "PCCL", "PCCR", "PDC", "PGA", "PHDL", "PHDR", "PVV", "PVX", "PVY", "PVZ"),
    *(f"R{ray}{kind}{side}" for ray in range(1, 10) for kind in "AB" for side in "LR"),
    *("SPCL", "SPCR", "SPDL", "SPDR", "SPVL", "SPVR"),
)
"""Neurons that only males have, as in the male connectome of Cook et al. 2019: 302 - 8 + 91 = 385 in a male."""

SEXES = ("hermaphrodite", "male")
STAGES = ("hatchling", "L1", "L2", "L3", "dauer", "L4", "adult")
ALIASES = {"DB1/3": "DB1", "DB3/1": "DB3"}
"""White et al. 1986 named DB1 and DB3 the other way round than the lineage papers; the double names put WormBase's first."""

_NOTHING = {"", "?", "NA", "NAN", "NONE", "NULL", "UNKNOWN", "UNLABELED", "UNLABELLED", "UNNAMED", "UNIDENTIFIED"}


@dataclass(frozen=True)
class CleanLabel:
    """A label made canonical.

    Parameters
    ----------
    label
        Canonical name, or ``""`` where the neuron is not known for certain.
    confidence
        1 for a certain name, 0 for none.
    neuron_class
        Class of the name; kept where only the side is uncertain (``AVA?`` → ``AVA``).
    note
        What a person should know: an alias, an uncertain side, an unknown name. Empty where there is nothing to say.
    """

    label: str
    confidence: float
    neuron_class: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class CleanedLabels:
    """Labels of a recording's channels made canonical, each array of shape ``(channel,)``; see `clean_labels`."""

    label: NDArray[np.str_]
    label_raw: NDArray[np.str_]
    label_confidence: NDArray[np.float64]
    label_class: NDArray[np.str_]
    problems: tuple[str, ...]

    def columns(self, source: str) -> dict[str, NDArray[np.str_] | NDArray[np.float64]]:
        """Return the channel columns of a signal: what was cleaned, and ``source``, where the labels come from."""
        given = np.where(self.label_raw == "", "", source)
        return {
            words.LABEL: self.label,
            words.LABEL_RAW: self.label_raw,
            words.LABEL_CONFIDENCE: self.label_confidence,
            words.LABEL_SOURCE: given,
            "label_class": self.label_class,
        }


@cache
def _class_of(name: str) -> str:
    rows = _table().loc[_table()["name"] == name, "neuron_class"]
    if len(rows):
        return str(rows.iloc[0])
    return "CEM" if name.startswith("CEM") else re.sub(r"[LR]$|(?<=[A-Z])\d+$", "", name)


@cache
def _classes(names: tuple[str, ...]) -> dict[str, str]:
    return {name: _class_of(name) for name in names}


def _text(raw: object) -> str:
    return "" if raw is None or (isinstance(raw, float) and np.isnan(raw)) else str(raw)


def clean_label(raw: str, *, names: Collection[str] = NAMES) -> CleanLabel:
    """Return the canonical name of one label.

    Case, blanks, ``_ - .`` and zero padding do not matter (``db01`` → ``DB1``; ``AS10`` stays). A label that leaves the
    side open (``AVA?``, ``AVA``, ``AVAL/R``) or carries a question mark (``AVAL?``) names no neuron: it is unlabelled,
    and its class is kept. So a label is either certain or empty, and nobody has to look at the confidence first.

    Parameters
    ----------
    raw
        The label as the file has it.
    names
        Canonical names that may come out; see `names_of` for a male.

    Examples
    --------
    >>> clean_label("vb02").label, clean_label("DB1/3").label
    ('VB2', 'DB1')
    >>> clean_label("AVA?")
    CleanLabel(label='', confidence=0.0, neuron_class='AVA', note='the side is uncertain')
    """
    text = re.sub(r"[\s_.\-]+", "", _text(raw)).upper()
    text = re.sub(r"(?<=[A-Z/])0+(?=\d)", "", text)
    classes = _classes(tuple(names))
    if text in _NOTHING or text.isdecimal():
        return CleanLabel("", 0.0)
    if text in classes:
        return CleanLabel(text, 1.0, classes[text])
    if text in ALIASES and ALIASES[text] in classes:
        return CleanLabel(ALIASES[text], 1.0, classes[ALIASES[text]], f"{raw!r} is an older name of {ALIASES[text]}")
    stem = re.sub(r"(L/R|R/L|LR|RL)$", "", text.replace("?", ""))
    if stem in classes:
        return CleanLabel("", 0.0, classes[stem], "the identity is uncertain")
    found = {neuron for name, neuron in classes.items() if name.startswith(stem) and len(stem) >= len(neuron)}
    if len(found) == 1:
        return CleanLabel("", 0.0, found.pop(), "the side is uncertain")
    return CleanLabel("", 0.0, "", f"no neuron has this name{suggest(stem, classes).removesuffix('?')}")


def clean_labels(raw: Sequence[str], *, names: Collection[str] = NAMES) -> CleanedLabels:
    """Return the canonical names of a recording's channels.

    Two channels cannot be the same neuron, so labels that come more than once are taken from all of them.

    Parameters
    ----------
    raw
        The labels as the file has them, one per channel, empty where a channel has none.
    names
        Canonical names that may come out.

    Returns
    -------
    cleaned
        Labels (``""`` where unlabelled), raw labels, confidence (0 … 1) and class per channel, and ``problems``: one
        line for each duplicate, unknown or uncertain label.
    """
    cleaned = [clean_label(label, names=names) for label in raw]
    problems = [
        f"channel {i}: label {_text(label)!r}: {clean.note}; left unlabelled"
        for i, (label, clean) in enumerate(zip(raw, cleaned))
        if clean.note and not clean.label
    ]
    channels = defaultdict(list)
    for i, clean in enumerate(cleaned):
        channels[clean.label].append(i)
    for label, places in channels.items():
        if label and len(places) > 1:
            problems.append(f"channels {', '.join(map(str, places))}: all labelled {label!r}; left unlabelled")
            for i in places:
                cleaned[i] = CleanLabel("", 0.0, cleaned[i].neuron_class, "the label comes more than once")
    return CleanedLabels(
        label=np.array([clean.label for clean in cleaned], dtype=np.str_),
        label_raw=np.array([_text(label) for label in raw], dtype=np.str_),
        label_confidence=np.array([clean.confidence for clean in cleaned], dtype=np.float64),
        label_class=np.array([clean.neuron_class for clean in cleaned], dtype=np.str_),
        problems=tuple(problems),
    )


def names_of(sex: str = "hermaphrodite", stage: str = "adult") -> tuple[str, ...]:
    """Return the names of the neurons that an animal of a sex and stage has.

    A hatchling has the 222 embryonic neurons; the other 80 arise within L1 and L2, cell by cell, so that from L1 on all
    302 may be there (in a male 302 - 8 + 91 = 385). HSN is present at hatching in both sexes and dies in the male.

    Raises
    ------
    NeurodataError
        If there is no such sex or stage.
    """
    check_option("sex", sex, SEXES)
    check_option("stage", stage, STAGES)
    neurons = _table()
    if sex == "male":
        neurons = neurons[neurons["sex"] != "hermaphrodite"]
    if stage == "hatchling":
        return tuple(neurons.loc[neurons["born"] == "embryonic", "name"])
    return (*neurons["name"], *(MALE_ONLY if sex == "male" else ()))


def check_names(names: Iterable[str], sex: str = "hermaphrodite", stage: str = "adult") -> tuple[str, ...]:
    """Return the canonical names of a table of neurons, for example a connectome's, checked against its sex and stage.

    Raises
    ------
    NeurodataError
        If a name is not one of that sex and stage, or comes twice; the message lists them all.
    """
    allowed, raw = names_of(sex, stage), list(names)
    cleaned = [clean_label(name, names=allowed) for name in raw]
    problems = [f"{name!r}: " + (clean.note or "no name") for name, clean in zip(raw, cleaned) if not clean.label]
    found = [clean.label for clean in cleaned if clean.label]
    problems += [f"{name!r}: comes {found.count(name)} times" for name in dict.fromkeys(found) if found.count(name) > 1]
    if problems:
        shown = problems[:20] + ([f"and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise NeurodataError(
            f"{len(problems)} of {len(raw)} names are not those of {sex}, {stage}; state another sex or stage, or correct them:\n"
            + "\n".join(f"  - {problem}" for problem in shown)
        )
    return tuple(found)


def vocabulary_ids(labels: Iterable[str]) -> NDArray[np.int64]:
    """Return each canonical label's position in `NAMES`, -1 where a channel is unlabelled, shape ``(channel,)``.

    Raises
    ------
    NeurodataError
        If a label is no canonical name of the hermaphrodite; clean labels first.
    """
    position = {"": -1, **{name: i for i, name in enumerate(NAMES)}}
    labels = [str(label) for label in labels]
    unknown = [label for label in dict.fromkeys(labels) if label not in position]
    if unknown:
        listed = ", ".join(f"{label!r}{suggest(label, NAMES).removesuffix('?')}" for label in unknown[:10])
        raise NeurodataError(f"not canonical neuron names: {listed}. Pass raw labels through clean_labels first")
    return np.array([position[label] for label in labels], dtype=np.int64)
