"""Lookup tables: which region each number of an atlas is, and where it lies if the table says so."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodata.errors import RawFileError

from ._fmri_sidecar import read_json
from ._fmri_tables import Table, is_number, read_table, read_text

_INDEX = ("index", "label_index", "roi_index", "region_index", "id", "label_id", "region_id", "roi_id", "value", "no",
          "number", "key", "code", "roi", "parcel", "label", "region", "intensity")  # fmt: skip
_NAME = ("name", "label_name", "region_name", "roi_name", "regionname", "roiname", "structure", "full_name",
         "fullname", "label", "region", "roi", "parcel", "abbreviation", "description", "network")  # fmt: skip
_POSITION = (("x", "y", "z"), ("x.mni", "y.mni", "z.mni"), ("mni_x", "mni_y", "mni_z"), ("r", "a", "s"))
_ENDINGS = (".tsv", ".csv", ".json", ".txt", ".xml", ".lut", ".label")
_MOST_TEXT = 16 << 20


@dataclass(frozen=True)
class Regions:
    """What a lookup table says.

    Parameters
    ----------
    names
        Number in the atlas → name.
    positions
        Number in the atlas → x, y, z in mm, where the table gives them.
    ordered
        Names in the order of the file, where the table gives no numbers.
    source
        Name of the file.
    """

    names: dict[int, str]
    positions: dict[int, tuple[float, float, float]]
    ordered: tuple[str, ...]
    source: str


def find_lut(labels: Path) -> Path | None:
    """Return the lookup table that lies beside a label image under its name; None where there is none."""
    stem = labels.name.removesuffix(".gz").rpartition(".")[0]
    candidates = [f"{stem}{middle}{ending}" for middle in ("", "_lut", "_labels", "_LUT") for ending in _ENDINGS]
    return next((labels.with_name(name) for name in candidates if labels.with_name(name).is_file()), None)


def read_lut(path: Path) -> Regions:
    """Return the regions that a lookup table lists.

    Tables with a line of names (BIDS ``dseg.tsv``: ``index``, ``name``, and x, y, z where they are mm), FreeSurfer and
    Schaefer colour tables (number, name, colour), AAL lists, ITK-SNAP label files, FSL and AAL ``.xml``, JSON
    (``{"1": "name"}``, ``{"name": 1}`` or lists), and lists of names, one per line.

    Raises
    ------
    RawFileError
        If none of these is there.
    """
    ending = path.suffix.lower()
    if ending == ".xml":
        return _from_xml(path)
    if ending == ".json":
        return _from_json(path)
    text = read_text(path, _MOST_TEXT)
    if "LABEL" in text and any(re.search(r'^\s*\d+(\s+[\d.]+){6}\s+"', line) for line in text.splitlines()):
        return _from_itksnap(path, text)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    blanks_only = not any(mark in line for line in lines for mark in "\t,;")
    return _from_lines(path, lines) if blanks_only and not _is_headed(lines) else _from_table(path, read_table(path))


def _is_headed(lines: list[str]) -> bool:
    """Whether a list set apart by blanks begins with names of columns: words above a line with a number."""
    first, second = (line.split() for line in (*lines, "", "")[:2])
    return not any(map(is_number, first)) and any(map(is_number, second))


def _from_table(path: Path, table: Table) -> Regions:
    columns = {name.strip().lower(): place for place, name in enumerate(table.header)}
    rows = table.rows
    numeric = [all(re.fullmatch(r"-?\d+(\.0*)?", row[place]) for row in rows) for place in range(table.n_columns)]
    textual = [not any(is_number(row[place]) for row in rows[:50]) for place in range(table.n_columns)]
    number = next((columns[name] for name in _INDEX if name in columns and numeric[columns[name]]), None)
    name = next((columns[key] for key in _NAME if key in columns and columns[key] != number), None)
    if number is None and (not table.header or "index" not in columns):
        # AAL's list has two names before a number, a colour table the number first.
        number = next((place for place, yes in enumerate(numeric) if yes), None)
        if number is not None and numeric.count(True) == 1:
            number = numeric.index(True)
    if name is None:
        texts = [place for place, yes in enumerate(textual) if yes]
        name = max(texts, key=lambda place: sum(len(row[place]) for row in rows)) if texts else None
    if name is None:
        raise RawFileError(
            f"{path}: expected a lookup table with numbers and names of regions, found no column of names"
        )
    if number is None:
        return Regions({}, {}, tuple(row[name] for row in rows), path.name)
    positions = {}
    place = next(([columns[axis] for axis in axes] for axes in _POSITION if all(a in columns for a in axes)), None)
    if place:
        positions = {
            int(float(row[number])): (float(row[place[0]]), float(row[place[1]]), float(row[place[2]]))
            for row in rows
            if all(is_number(row[axis]) and row[axis].lower() not in ("n/a", "nan") for axis in place)
        }
    return Regions({int(float(row[number])): row[name] for row in rows}, positions, (), path.name)


def _from_lines(path: Path, lines: list[str]) -> Regions:
    """One region per line: a number, a name that may hold blanks, perhaps a colour (or AAL's code); or a name only."""
    lines = [line.strip() for line in lines]
    numbered = [re.fullmatch(r"(\d{1,9})[\s:]+(.*?[A-Za-z].*?)((\s+\d+){3,4}|\s+\d{4})?", line) for line in lines]
    if lines and all(numbered):
        return Regions({int(m[1]): m[2].strip().strip('"') for m in numbered if m}, {}, (), path.name)
    if not lines or any(numbered) or any(is_number(line) for line in lines):
        raise RawFileError(f"{path}: expected a lookup table with one region per line, got {lines[:1]}")
    return Regions({}, {}, tuple(lines), path.name)


def _from_itksnap(path: Path, text: str) -> Regions:
    """ITK-SNAP's label file: number, colour (4), visibility (2), name in quotes."""
    found = {}
    for line in text.splitlines():
        if re.match(r"\s*\d", line):
            cells = shlex.split(line)
            found[int(cells[0])] = cells[-1]
    return Regions(found, {}, (), path.name)


def _from_json(path: Path) -> Regions:
    content = read_json(path)
    if isinstance(content, dict) and len(content) == 1 and isinstance(next(iter(content.values())), (dict, list)):
        content = next(iter(content.values()))
    if isinstance(content, list) and content and all(isinstance(entry, str) for entry in content):
        return Regions({}, {}, tuple(content), path.name)
    found: dict[int, str] = {}
    if isinstance(content, list):
        for entry in content:
            if isinstance(entry, dict):
                lower = {str(key).lower(): value for key, value in entry.items()}
                number = next((lower[key] for key in _INDEX if isinstance(lower.get(key), int)), None)
                name = next((lower[key] for key in _NAME if isinstance(lower.get(key), str)), None)
                if number is not None and name is not None:
                    found[int(number)] = name
    elif isinstance(content, dict):
        for key, value in content.items():
            if re.fullmatch(r"-?\d{1,9}", key) and isinstance(value, str):
                found[int(key)] = value
            elif isinstance(value, int) and not isinstance(value, bool):
                found[value] = key
    if not found:
        shown = json.dumps(content)[:60]
        raise RawFileError(f'{path}: expected regions such as {{"1": "name"}} or ["name", …], got {shown}')
    return Regions(found, {}, (), path.name)


def _from_xml(path: Path) -> Regions:
    """FSL's atlas (attribute ``index``, from 0) or AAL's (elements ``index`` and ``name``)."""
    text = read_text(path, _MOST_TEXT)
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise RawFileError(f"{path}: the XML defines entities, which no atlas needs; it is not read")
    try:
        root: Any = ElementTree.fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", text))
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise RawFileError(f"{path}: expected XML ({error})") from error
    found, numbers = {}, []
    for entry in root.iter("label"):
        number, name = entry.findtext("index") or entry.get("index"), entry.findtext("name") or entry.text
        if number and name and re.fullmatch(r"\s*\d{1,9}\s*", number):
            found[int(number)] = name.strip()
            numbers.append("index" in entry.attrib)
    if not found:
        raise RawFileError(f"{path}: expected <label index=…> elements with names of regions, found none")
    kind = (root.findtext("header/type") or root.findtext("type") or "").lower()
    if all(numbers) and "prob" in kind:  # FSL: in the summary image a region has its index plus 1
        found = {number + 1: name for number, name in found.items()}
    return Regions(found, {}, (), path.name)
