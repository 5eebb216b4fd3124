"""A list of connections: one per line, with who, to whom, of what kind and how strong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurodata import names as words
from neurodata.errors import RawFileError
from neurodata.recording.connectome import Connectome, Table, ends_of

from ._connectome_matrix import asymmetries
from ._connectome_names import CellNames, clean_names, in_order, is_other_cell, kind_of, shorten, units_of

# Header words of the lists of WormAtlas (Varshney et al. 2011: 'Neuron 1', 'Neuron 2', 'Type', 'Nbr'), WormWiring (Cook et
# al. 2019: Source, Target, Weight, Type), OpenWorm (Origin, Target, Type, Number of Connections), nemanode and
# wormneuroatlas (pre, post, type, synapses) and Bentley et al. 2016 ('source neuron', 'target neuron').
_COLUMNS = {
    words.PRE: (
        "pre",
        "presynaptic",
        "presynapticneuron",
        "neuron1",
        "n1",
        "origin",
        "sourceneuron",
        "from",
        "precell",
        "prename",
        "preneuron",
    ),
    words.POST: (
        "post",
        "postsynaptic",
        "postsynapticneuron",
        "neuron2",
        "n2",
        "target",
        "targetneuron",
        "to",
        "postcell",
        "postname",
        "postneuron",
    ),
    words.KIND: ("kind", "type", "synapsetype", "connectiontype", "edgetype", "syntype"),
    words.WEIGHT: (
        "weight",
        "synapses",
        "n",
        "nbr",
        "number",
        "count",
        "numberofconnections",
        "sections",
        "num",
        "strength",
        "syncount",
        "synapsecount",
    ),
    words.SOURCE: ("source", "dataset", "reconstruction"),
}
_COLUMN_OF = {word: column for column, these in _COLUMNS.items() for word in these}
_MIRRORED = {"r", "rp", "receive"}
"""A list may name each chemical synapse from both ends: S, Sp as sent, R, Rp as received (Varshney et al. 2011)."""
_RESERVED = {words.LABEL, words.NODE, words.EDGE, words.TIME, "mirrored"}
"""Names that a graph, or reading a list, uses otherwise; a further column of that name is read as ``label_``."""
_SHOWN = 8


@dataclass(frozen=True)
class _Given:
    """What was said of a list when it was opened."""

    kind: str | None
    source: str
    units: str | None


def find_columns(header: list[str]) -> dict[str, int]:
    """Return where a list's columns are: pre, post, and those of kind, weight and source that there are; else nothing."""
    said = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    found: dict[str, int] = {}
    for i, name in enumerate(said):
        column = _COLUMN_OF.get(name)
        if column:
            found.setdefault(column, i)
    if words.PRE not in found and "source" in said and words.POST in found and "target" in said:
        found[words.PRE] = said.index("source")  # 'Source, Target': who, not who says so
        others = [i for i, name in enumerate(said) if _COLUMN_OF.get(name) == words.SOURCE and name != "source"]
        found = {column: i for column, i in found.items() if column != words.SOURCE}
        found |= {words.SOURCE: others[0]} if others else {}
    return found if words.PRE in found and words.POST in found else {}


def read_edges(
    rows: Sequence[tuple[int, list[str]]],
    path: Path,
    *,
    kind: str | None,
    source: str,
    units: str | None,
    sex: str | None,
    other_cells: str,
) -> Connectome:
    """Return a list of connections as a connectome, one table per kind and source.

    Neurons that the list never names are missing from it: whether they were looked at, a list does not say.

    Parameters
    ----------
    rows
        Number of each line and its cells, the header first.
    path
        The file, for messages.
    kind, source, units
        What the list is, where it does not say so itself.
    sex, other_cells
        See `open_connectome`.

    Raises
    ------
    RawFileError
        If a line is too short, a kind is unknown, or a weight is not a number or (unless functional) negative; lists the
        first.
    """
    columns = find_columns(rows[0][1])
    lines, problems = _read_lines(rows, columns, path, _Given(kind, source, units))
    lines, mirrored = _drop_mirrored(lines)
    cells = clean_names(
        [*lines[words.PRE], *lines[words.POST]], path.name, sex=sex, source=source, other_cells=other_cells
    )
    problems += [*mirrored, *cells.problems, *_say_others(lines, cells, other_cells)]
    for end in (words.PRE, words.POST):
        lines[end] = lines[end].map(cells.of)
    lines = lines.dropna(subset=[words.PRE, words.POST])
    lines = lines[lines[words.WEIGHT] != 0]
    keys = [words.PRE, words.POST, words.KIND, words.SOURCE]
    n_more = int(lines.duplicated(keys).sum())
    if n_more:
        problems.append(
            f"{n_more} lines name a pair that an earlier one of the same kind names; their weights are summed"
        )
    texts = {name: _together for name in lines.columns if name not in (*keys, words.WEIGHT)}
    edges = lines.groupby(keys, sort=False, as_index=False).agg({words.WEIGHT: "sum", **texts})
    edges = edges[[words.PRE, words.POST, words.KIND, words.WEIGHT, words.SOURCE, *texts]]
    neurons = in_order([*edges[words.PRE], *edges[words.POST]], cells.sex)
    tables = []
    for (one, said), part in edges.groupby([words.KIND, words.SOURCE], sort=False):
        table, oddities = _make_table(part, neurons, str(one), str(said), units)
        tables.append(table)
        problems += oddities
    if not tables:
        raise RawFileError(
            f"{path}: the list holds no connection between neurons but of weight 0{''.join(f'; {p}' for p in problems[:5])}"
        )
    return Connectome(neurons, edges, tuple(tables), tuple(f"{source}: {problem}" for problem in problems), cells.sex)


def _read_lines(
    rows: Sequence[tuple[int, list[str]]], columns: dict[str, int], path: Path, given: _Given
) -> tuple[pd.DataFrame, list[str]]:
    """Lines as a table with pre, post, kind, weight, source, mirrored and further columns; and what is odd."""
    read, wrong = [], []
    header = rows[0][1]
    more = _name_more({i: name for i, name in enumerate(header) if i not in columns.values()})
    for number, row in rows[1:]:
        if len(row) <= max(columns.values()):
            wrong.append(f"line {number}: {len(row)} cells, expected {len(header)}")
            continue
        cell = {column: row[i].strip() for column, i in columns.items()}
        said = cell.get(words.KIND, "")
        kind = "chemical" if said.lower() in _MIRRORED else kind_of(said) or given.kind
        other = is_other_cell(cell[words.PRE]) or is_other_cell(cell[words.POST])  # 'NMJ' is a kind and a cell
        if kind is None and not other:
            wrong.append(f"line {number}: kind {said!r} is not known; give kind=")
            continue
        weight = _number(cell.get(words.WEIGHT, "1"), signed=kind == "functional")
        if weight is None:
            least = "finite number" if kind == "functional" else "number from 0 on"
            wrong.append(f"line {number}: weight {cell[words.WEIGHT]!r} is not a {least}")
            continue
        line = {
            words.PRE: cell[words.PRE],
            words.POST: cell[words.POST],
            words.KIND: kind or "chemical",
            words.WEIGHT: weight,
        }
        line |= {words.SOURCE: cell.get(words.SOURCE) or given.source, "mirrored": said.lower() in _MIRRORED}
        read.append(line | {name: row[i].strip() if i < len(row) else "" for i, name in more.items()})
    if wrong:
        more_wrong = f"\n  - and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise RawFileError(
            f"{path}: {len(wrong)} lines of the list cannot be read:\n"
            + "\n".join(f"  - {w}" for w in wrong[:_SHOWN])
            + more_wrong
        )
    if not read:
        raise RawFileError(f"{path}: the list has a header and no line")
    noted = [] if words.WEIGHT in columns else ["the list states no weights; each line counts 1"]
    return pd.DataFrame(read), noted


def _name_more(headers: Mapping[int, str]) -> dict[int, str]:
    """Names of further columns by their places, such as a graph can hold: each once, of letters, digits and ``_``."""
    taken, named = {*_COLUMNS, *_RESERVED}, {}
    for place, header in headers.items():
        plain = re.sub(r"\W+", "_", header.lower(), flags=re.ASCII).strip("_")
        if plain:
            while plain in taken:
                plain += "_"
            named[place] = plain
            taken.add(plain)
    return named


def _number(text: str, *, signed: bool) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and (signed or value >= 0) else None


def _drop_mirrored(lines: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out chemical synapses that are listed again from the receiving end; turn them round where only those are."""
    mirrored = lines.pop("mirrored").to_numpy(bool)
    if not mirrored.any():
        return lines, []
    among = ~(lines[words.PRE].map(is_other_cell) | lines[words.POST].map(is_other_cell)).to_numpy(bool)
    if (~mirrored & among & (lines[words.KIND] == "chemical")).any():
        said = f"{int(mirrored.sum())} lines list synapses again from the receiving end (R, Rp); left out"
        return lines[~mirrored].reset_index(drop=True), [said]
    turned = lines.copy()
    turned.loc[mirrored, [words.PRE, words.POST]] = lines.loc[mirrored, [words.POST, words.PRE]].to_numpy()
    return turned, [f"{int(mirrored.sum())} lines list synapses from the receiving end (R, Rp); turned round"]


def _say_others(lines: pd.DataFrame, cells: CellNames, other_cells: str) -> list[str]:
    if not cells.others:
        return []
    touched = lines[words.PRE].isin(cells.others) | lines[words.POST].isin(cells.others)
    done = "kept" if other_cells == "keep" else "left out"
    return [
        f"{len(cells.others)} cells are no neurons; {int(touched.sum())} connections of weight "
        f"{lines.loc[touched, words.WEIGHT].sum():g} in all are {done}: {shorten(cells.others)}"
    ]


def _together(values: pd.Series) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def _make_table(
    part: pd.DataFrame, neurons: tuple[str, ...], kind: str, source: str, units: str | None
) -> tuple[Table, list[str]]:
    there = set(part[words.PRE]) | set(part[words.POST])
    missing = tuple(name for name in neurons if name not in there)
    problems = []
    if missing:
        problems.append(
            f"{len(missing)} neurons are in no {kind} connection, so taken as not looked at: {shorten(missing)}"
        )
    own = part[part[words.PRE] == part[words.POST]]
    if len(own):
        named = shorten([f"{name} ({weight:g})" for name, weight in zip(own[words.PRE], own[words.WEIGHT])])
        problems.append(f"{len(own)} {kind} self-junctions of weight {own[words.WEIGHT].sum():g} in all, kept: {named}")
    if kind == "electrical":
        dense = np.zeros((len(neurons), len(neurons)))
        dense[ends_of(part, neurons)] = part[words.WEIGHT]
        problems += asymmetries(dense, neurons)
    return Table(kind, source, units or units_of(kind, source), missing), problems
