"""What an NWB file says besides its data: subject, device, session, lab; names and birth dates are left out."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurodata import names

from ._nwb_file import describe_group, member, plain, text

_SPECIES = {
    "mouse": "Mus musculus", "mice": "Mus musculus", "house mouse": "Mus musculus", "rat": "Rattus norvegicus",
    "rattus": "Rattus norvegicus", "human": "Homo sapiens", "humans": "Homo sapiens", "homo": "Homo sapiens",
    "rhesus": "Macaca mulatta", "rhesus macaque": "Macaca mulatta", "rhesus monkey": "Macaca mulatta",
    "macaque": "Macaca mulatta", "monkey": "Macaca mulatta", "cynomolgus": "Macaca fascicularis",
    "marmoset": "Callithrix jacchus", "zebrafish": "Danio rerio", "zebra fish": "Danio rerio",
    "fruit fly": "Drosophila melanogaster", "fly": "Drosophila melanogaster", "drosophila": "Drosophila melanogaster",
    "c. elegans": "Caenorhabditis elegans", "c elegans": "Caenorhabditis elegans", "worm": "Caenorhabditis elegans",
    "nematode": "Caenorhabditis elegans", "ferret": "Mustela putorius furo", "cat": "Felis catus",
    "pig": "Sus scrofa", "sheep": "Ovis aries", "zebra finch": "Taeniopygia guttata", "gerbil": "Meriones unguiculatus",
    "mongolian gerbil": "Meriones unguiculatus", "xenopus": "Xenopus laevis", "guinea pig": "Cavia porcellus",
    "rabbit": "Oryctolagus cuniculus", "dog": "Canis lupus familiaris", "owl monkey": "Aotus trivirgatus",
    "chimpanzee": "Pan troglodytes", "hydra": "Hydra vulgaris", "honey bee": "Apis mellifera",
}  # fmt: skip

_TAXA = {
    10090: "Mus musculus", 10092: "Mus musculus domesticus", 10116: "Rattus norvegicus", 9606: "Homo sapiens",
    9544: "Macaca mulatta", 9541: "Macaca fascicularis", 9545: "Macaca nemestrina", 9483: "Callithrix jacchus",
    7955: "Danio rerio", 7227: "Drosophila melanogaster", 6239: "Caenorhabditis elegans", 9669: "Mustela putorius furo",
    9685: "Felis catus", 9823: "Sus scrofa", 9940: "Ovis aries", 59729: "Taeniopygia guttata", 8355: "Xenopus laevis",
    10047: "Meriones unguiculatus", 9615: "Canis lupus familiaris", 9598: "Pan troglodytes", 10141: "Cavia porcellus",
}  # fmt: skip
"""NCBI Taxonomy (https://www.ncbi.nlm.nih.gov/taxonomy), as NCBITaxon_<number> or id=<number> in a URL."""

_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O", "u": "U", "unknown": "U", "xx": "XX",
          "xo": "XO", "x0": "XO", "hermaphrodite": "XX"}  # fmt: skip
_AGE = re.compile(r"P(?!$)(\d+(\.\d+)?[YMWD])*(T(\d+(\.\d+)?[HMS])+)?")
_WORDS = re.compile(
    r"(?:P)?\s*(\d+(?:\.\d+)?)\s*(years?|yrs?|y|months?|mo|weeks?|wks?|w|days?|d|hours?|h)(?: old)?", re.I
)
_GENERAL = ("institution", "lab", "keywords", "protocol", "notes", "pharmacology", "surgery", "virus", "slices",
            "stimulus", "data_collection", "was_generated_by", "source_script")  # fmt: skip
_DROPPED = ("experimenter", "date_of_birth", "subject", "related_publications", "session_id",
            "experiment_description", "electrodes", "intracellular_recordings", "sweep_table")  # fmt: skip


def read_species(stated: str) -> str:
    """Return the Latin binomial of what a file calls the species, ``unknown`` where that is not known."""
    words = " ".join(stated.replace("_", " ").split()) if "/" not in stated else stated.strip()
    if words.lower() in _SPECIES:
        return _SPECIES[words.lower()]
    taxon = re.search(r"(?:NCBITaxon[_:]|ncbitaxon[_:]|[?&]id=|taxonomy/|txid)(\d+)", stated)
    if taxon:
        return _TAXA.get(int(taxon[1]), "unknown")
    binomial = re.match(r"([A-Za-z]{3,}) ([a-z-]{2,})( [a-z-]+(?=$))?", words)
    if binomial and binomial[2] not in ("sp", "spp"):
        return f"{binomial[1].capitalize()} {binomial[2]}{binomial[3] or ''}"
    return next((latin for common, latin in _SPECIES.items() if re.search(rf"\b{re.escape(common)}\b", words.lower())), "unknown")  # fmt: skip


def read_age(stated: str) -> str | None:
    """Return an age as ISO 8601 duration (``P90D``), None where it is not one number or cannot be read."""
    stated = stated.strip()
    if _AGE.fullmatch(stated):
        return stated
    words = _WORDS.fullmatch(stated)
    if not words:
        return None
    unit = words[2].lower()
    return f"PT{words[1]}H" if unit.startswith("h") else f"P{words[1]}{unit[0].upper()}"


def read_subject(general: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema's subject and the file's further words on it; never a birth date."""
    node = member(general, "subject") if general is not None else None
    if not isinstance(node, h5py.Group):
        return {}, {}
    stated = {name: value for name, value in describe_group(node, without=_DROPPED, depth=0).items() if value}
    words = {name: text(value) for name, value in stated.items()}
    species, sex, age = (words.get(name, "") for name in ("species", "sex", "age"))
    subject = {
        "id": words.get("subject_id", "")[:200],
        "species": read_species(species) if species else None,
        "sex": _SEXES.get(sex.strip().lower()) if sex else None,
        "age": read_age(age) if age else None,
        "strain": words.get("strain"),
        "stage": words.get("growth_stage") or words.get("stage"),
        "description": words.get("description"),
    }
    kept = {"subject_id", "strain", "description", "growth_stage", "stage"}
    kept |= {name for name in ("species", "sex", "age") if words.get(name) == subject[name]}
    return subject, {name: value for name, value in stated.items() if name not in kept}


def read_start(file: h5py.File, name: str = "session_start_time") -> tuple[str | None, str]:
    """Return a date of the file as ISO 8601 (None where it is none) and as it is written."""
    node = member(file, name)
    stated = text(node[()]).strip() if isinstance(node, h5py.Dataset) and node.shape in ((), (1,)) else ""
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError:
        return None, stated
    seconds = moment.utcoffset().total_seconds() if moment.tzinfo else 0.0  # type: ignore[union-attr]
    whole = moment.isoformat() if seconds % 60 == 0 else moment.replace(tzinfo=None).isoformat()
    return whole.replace("+00:00", "Z") if stated.endswith("Z") else whole, stated


def read_facts(file: h5py.File) -> dict[str, Any]:
    """Return the fields of a recording's metadata that the file states: start, session, device, citation … and extra."""
    general = member(file, "general")
    start, stated_start = read_start(file)
    subject, more = read_subject(general)
    extra: dict[str, Any] = {"nwb_version": text(file.attrs.get("nwb_version", ""))}
    extra["identifier"] = _words(file, "identifier")
    if more:
        extra["subject"] = more
    if start is None and stated_start:
        extra["session_start_time"] = stated_start
    reference = read_start(file, "timestamps_reference_time")
    if reference[1] and reference[1] != stated_start:
        extra["timestamps_reference_time"] = reference[1]
    facts: dict[str, Any] = {"subject": subject, "session_start": start, "extra": extra}
    descriptions = [_words(file, "session_description")]
    if isinstance(general, h5py.Group):
        facts |= {"session": _words(general, "session_id") or None, "device": _device(general) or None}
        facts["citation"] = _words(general, "related_publications") or None
        descriptions.append(_words(general, "experiment_description"))
        extra |= _general(general)
    said = [
        words
        for words in dict.fromkeys(descriptions)
        if words and words.lower() not in ("n/a", "none", "no description")
    ]
    facts["description"] = "; ".join(said) or None
    facts["extra"] = {name: value for name, value in extra.items() if value not in ("", [], {}, None)}
    return facts


def _words(group: Any, name: str) -> str:
    node = member(group, name)
    if not isinstance(node, h5py.Dataset) or node.shape is None or node.size > 10_000 or node.dtype.kind not in "OSU":
        return ""
    value = node[()]
    return "; ".join(text(entry) for entry in np.ravel(value)) if isinstance(value, np.ndarray) else text(value)


def _general(general: h5py.Group) -> dict[str, Any]:
    """Lab, keywords …, and the small facts of every sub-group: probes, imaging planes, optogenetic sites."""
    found: dict[str, Any] = {}
    for name in general:
        node = member(general, name)
        if name in _DROPPED or name == "devices":
            continue
        if isinstance(node, h5py.Group):
            found[name] = describe_group(node, without=_DROPPED)
        elif isinstance(node, h5py.Dataset) and name in _GENERAL:
            value = node[()] if node.shape is not None and node.size <= 1000 else ""
            found[name] = [text(v) for v in value.ravel()] if isinstance(value, np.ndarray) else text(value)
    return found


def _device(general: h5py.Group) -> str:
    devices = member(general, "devices")
    said = []
    for name in devices if isinstance(devices, h5py.Group) else ():
        node = member(devices, name)
        if not isinstance(node, h5py.Group) or text(node.attrs.get("neurodata_type", "")) == "DeviceModel":
            continue
        facts = describe_group(node, most=1, depth=0)
        about = [text(facts[key]) for key in ("description", "manufacturer", "model") if text(facts.get(key, ""))]
        said.append(f"{name} ({', '.join(about)})" if about else name)
    return "; ".join(said)


def guess_modality(signals: dict[str, xr.DataArray], *, spikes: bool, with_electrodes: bool, words: str) -> str:
    """Return the modality that fits what a file holds.

    Parameters
    ----------
    signals
        Name → signal; the NWB type is in its attribute ``nwb``.
    spikes
        Whether there are sorted units.
    with_electrodes
        Whether these units point at electrodes.
    words
        What the file says of its electrodes and devices: grids and depth electrodes are told apart by it.
    """
    kinds = {str(signal.attrs.get("nwb", {}).get("neurodata_type", "")) for signal in signals.values()}
    has_cells = "RoiResponseSeries" in kinds
    if has_cells and not (spikes and with_electrodes):
        return "calcium"
    if spikes:
        return "spikes"
    electrical = [s for s in signals.values() if s.attrs.get("nwb", {}).get("neurodata_type") == "ElectricalSeries"]
    if electrical:
        for modality, pattern in (
            ("ecog", r"\becog\b|electrocorticogra|subdural|\bgrids?\b|\bstrips?\b"),
            ("seeg", r"\bs-?eeg\b|stereo.?eeg|stereotactic|depth electrode"),
            ("eeg", r"\beeg\b|scalp"),
        ):
            if re.search(pattern, words.lower()):
                return modality
        fast = [signal.attrs.get(names.SAMPLING_RATE, 0.0) for signal in electrical]
        return "lfp" if min(fast) < 5000 else "spikes"  # below: LFP bands; above: raw voltage that spikes are found in
    if kinds & {"CurrentClampSeries", "VoltageClampSeries", "IZeroClampSeries", "PatchClampSeries"}:
        return "other"
    roles = {signal.attrs.get(names.ROLE) for signal in signals.values()}
    return "behavior" if roles and "neural" not in roles else "other"


def modality_words(file: h5py.File, signals: Collection[str]) -> str:
    """Return what the file says of its electrodes, groups, devices and series, as one text."""
    general = member(file, "general")
    said: list[Any] = list(signals)
    if isinstance(general, h5py.Group):
        for name in ("devices", "extracellular_ephys"):
            node = member(general, name)
            if isinstance(node, h5py.Group):
                said.append(describe_group(node, without=("electrodes",)))
        said.append(_words(general, "keywords"))
    return text(str(plain(said))).replace("_", " ")
