"""Names and JSON sidecars of fMRI files, and how often volumes were taken."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodata.errors import RawFileError

from ..options import OptionError

_MOST_TEXT = 16 << 20
_DEEPEST = 20
_PERSONAL = re.compile(r"(?i)patient(?!position)|physician|operator|birth|address|telephone|accession|performed.*name")
"""Fields of a converted DICOM header that say who a person is."""
_DERIVED = ("desc", "space", "res", "den", "hemi", "label", "part", "rec", "echo", "atlas", "seg", "stat")
"""Entities that a file of the same run need not share with its BOLD series."""
_PLAUSIBLE = (0.02, 60.0)
"""Seconds between two volumes, from the fastest single slices to sparse sampling."""


@dataclass(frozen=True)
class BidsName:
    """A file name cut into ``key-value`` entities and its last part; without entities where it is not such a name."""

    entities: dict[str, str]
    suffix: str


def parse_name(path: Path) -> BidsName:
    """Return the entities and the suffix of a name such as ``sub-01_task-rest_bold.nii.gz``."""
    *pairs, suffix = path.name.split(".")[0].split("_")
    split = [pair.partition("-") for pair in pairs]
    if not split or any(not dash or not value for _, dash, value in split):
        return BidsName({}, "")
    return BidsName({key: value for key, _, value in split}, suffix)


def bids_folders(path: Path) -> list[Path]:
    """List the folders whose sidecars hold for a file, outermost first: its own, and all up to its BIDS data set's."""
    folders = [path.absolute().parent]
    for folder in list(folders[0].parents)[:5]:
        if (folders[-1] / "dataset_description.json").is_file() or "sub-" not in path.name:
            break
        folders.append(folder)
    if (folders[-1] / "dataset_description.json").is_file():
        return folders[::-1]
    return folders[:1]


def companions(path: Path, suffixes: tuple[str, ...], ending: str) -> list[Path]:
    """List files that by their BIDS names hold for a file, the most general first.

    Parameters
    ----------
    path
        The BOLD file.
    suffixes
        Last parts of the names that are looked for.
    ending
        Such as ``.tsv``.
    """
    ours = parse_name(path).entities
    if "sub" not in ours:
        return []
    found: list[Path] = []
    for folder in bids_folders(path):
        fitting = []
        for other in folder.glob(f"*{ending}"):
            name = parse_name(other) if "-" in other.name else BidsName({}, other.name.split(".")[0])
            same = all(ours.get(key) == value for key, value in name.entities.items() if key not in _DERIVED)
            if same and name.suffix in suffixes and other.is_file() and _complete(ours, name, ending):
                fitting.append(other)
        found += sorted(fitting, key=lambda other: (len(parse_name(other).entities), other.name))
    # As the file itself was named, so that both are known for the same path.
    return found if path.is_absolute() else [Path(os.path.relpath(other)) for other in found]


def _complete(ours: dict[str, str], name: BidsName, ending: str) -> bool:
    """Tables belong to one run: they share all that names it; sidecars may be more general."""
    return ending == ".json" or all(key in name.entities for key in ours if key not in (*_DERIVED, "dir", "acq", "ce"))


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    RawFileError
        If it is no JSON, or larger than any sidecar.
    """
    if path.stat().st_size > _MOST_TEXT:
        raise RawFileError(f"{path}: {path.stat().st_size} bytes; a sidecar has at most {_MOST_TEXT}")
    try:
        return json.loads(path.read_text("utf-8-sig"), parse_constant=lambda _: None)
    except (ValueError, RecursionError, OSError) as error:
        raise RawFileError(f"{path}: expected JSON ({error}); correct or remove it") from error


def find_sidecars(path: Path, suffix: str = "bold") -> list[Path]:
    """List the JSON sidecars that hold for a file, the most general first."""
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    own = path.with_name(f"{stem.removesuffix('.dtseries').removesuffix('.ptseries')}.json")
    name = parse_name(path)
    general = [
        other
        for other in companions(path, (name.suffix or suffix,), ".json")
        if not (set(parse_name(other).entities) & set(_DERIVED)) - set(name.entities)
        and all(name.entities.get(key) == value for key, value in parse_name(other).entities.items())
    ]
    own_again = [own] if own.is_file() else []
    return [other for other in general if other.absolute() != own.absolute()] + own_again


def read_sidecars(paths: list[Path]) -> dict[str, Any]:
    """Return the fields of sidecars, later ones overruling earlier ones; who a person is is left out."""
    fields: dict[str, Any] = {}
    for path in paths:
        content = read_json(path)
        if not isinstance(content, dict):
            raise RawFileError(f"{path}: expected a JSON object with fields, got a {type(content).__name__}")
        fields |= content
    return dict(_kept(fields))


def _kept(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if not _PERSONAL.search(key):
            yield _storable(key), _storable(value)


def _storable(value: Any, depth: int = 0) -> Any:
    """A value as an attribute can keep it: no infinity, no integer beyond 64 bits, no broken Unicode."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {_storable(key): _storable(entry, depth + 1) for key, entry in _kept(value)}
    if isinstance(value, list):
        return [_storable(entry, depth + 1) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return str(value)[:100]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@dataclass(frozen=True)
class Spacing:
    """How far apart volumes are.

    Parameters
    ----------
    seconds
        None where nobody says.
    source
        Who says so.
    problem
        What a user must know about it; empty where nothing.
    """

    seconds: float | None
    source: str
    problem: str = ""

    @property
    def rate_hz(self) -> float | None:
        """Volumes per second."""
        return None if self.seconds is None else 1.0 / self.seconds


def choose_spacing(
    tr: float | None,
    rate_hz: float | None,
    sidecar: dict[str, Any],
    header: Spacing | None,
) -> Spacing:
    """Return the spacing of volumes: the option's, else the sidecar's, else the header's.

    Raises
    ------
    OptionError
        If both options are given, or one is no positive number.
    """
    if tr is not None and rate_hz is not None:
        raise OptionError("options 'tr' and 'rate_hz' say the same thing; give one of them")
    for key, value in (("tr", tr), ("rate_hz", rate_hz)):
        if value is not None and not 0 < value < math.inf:
            raise OptionError(f"option {key!r} is a positive number, got {value!r}")
    if tr is not None:
        return Spacing(float(tr), "option tr")
    if rate_hz is not None:
        return Spacing(1.0 / float(rate_hz), "option rate_hz")
    stated = _number(sidecar.get("RepetitionTime"))
    if stated is None and _number(sidecar.get("SamplingFrequency")) is not None:
        stated = 1.0 / float(sidecar["SamplingFrequency"])
    unknown = header or Spacing(None, "unknown")
    if stated is None:
        return unknown
    problem = ""
    if unknown.seconds is not None and abs(unknown.seconds - stated) > 1e-3 * stated + 1e-6:
        problem = (
            f"the sidecar says {stated:g} s between volumes, the header {unknown.seconds:g} s; the sidecar's is used"
        )
    return Spacing(stated, "RepetitionTime of the JSON sidecar", problem)


def _number(value: Any) -> float | None:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = float(value)
        if 0 < number < math.inf and not isinstance(value, bool):
            return number
    return None


def spacing_of_header(step: float, unit: float | None, where: str) -> Spacing:
    """Return the spacing that a header states, doubting what cannot be.

    A step of 1 without a unit is what libraries write where nobody set it, so it says nothing. A step that is beyond
    0.02 … 60 s in its unit but within them in the other one (2000 "seconds", 2 "milliseconds") is read in that one.

    Parameters
    ----------
    step
        As the header has it.
    unit
        Seconds per step's unit; None where the header states no unit.
    where
        Which field this is.
    """
    if not 0 < step < math.inf or (unit is None and step == 1):
        return Spacing(None, "unknown")
    seconds = _round(step * (unit or 1.0))
    if _PLAUSIBLE[0] <= seconds <= _PLAUSIBLE[1]:
        return Spacing(seconds, where + ("" if unit else " (no unit stated, read as seconds)"))
    for factor in (1e-3, 1e3, 1e-6):
        guess = _round(seconds * factor)
        if 0.1 <= guess <= 30:
            problem = (
                f"{where} is {seconds:g} s, which cannot be; it is read as {guess:g} s. State it with --set tr=SECONDS"
            )
            return Spacing(guess, f"{where}, its unit corrected", problem)
    return Spacing(None, "unknown", f"{where} is {seconds:g} s, which cannot be; state it with --set tr=SECONDS")


def _round(seconds: float) -> float:
    """Headers hold float32: 0.72 comes as 0.7200000286; the shortest number of that float32 is meant."""
    return float(f"{seconds:.7g}")
