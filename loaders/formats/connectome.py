"""Connectomes as they are published: matrices and lists of connections, one graph per folder or file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import ClassVar

import h5py

from neurodata.errors import NeurodataError, RawFileError
from neurodata.recording.recording import Recording

from .._connectome_edges import find_columns
from .._connectome_names import clean, is_other_cell
from ..base import Claim
from ..connectomes import open_connectome
from ..format_loader import FormatLoader
from ..hdf5 import is_hdf5, open_hdf5
from ._calcium_names import WORM
from ._tables_columns import is_traces
from ._tables_text import find_layout

GRAPH = "connectome"
"""The recording's graph."""

_TABLES = {".csv", ".tsv"}
_WORDS = {".md", ".txt", ".json", ".pdf", ""}
"""What may lie beside the tables of a folder that is one connectome: licences, descriptions."""

_MOST_BEGINNING = 1 << 16
"""Bytes of a file that are looked at: the header of a male's matrix, the widest, has 2.5 kB."""

_FEWEST_NAMES = 2
_ATLAS = ("neuron_ids", "wt/dFF", "unc31/dFF")
_SEXES = {"hermaphrodite": "XX", "male": "XO"}


class Connectome(FormatLoader):
    """Published connectomes of *C. elegans*: matrices and lists of connections (``.csv``, ``.tsv``), the functional atlas.

    The recording holds one graph, ``graphs/connectome``, and nothing else: a node per neuron under its canonical name,
    an edge per connection with ``kind``, ``weight`` and ``source``, and in its attributes the tables (unit of the
    weights, neurons that are no part of the reconstruction), the sex, and all that is odd about the tables
    (``problems``). Nothing is symmetrised, summed or left out without a word; `neurodata.loaders.connectomes` says
    what becomes of names. `neurodata.open_connectome` opens the stored recording, or the files themselves.

    - A matrix has names of neurons in its first row and column; rows are presynaptic, an empty cell is not part of the
      reconstruction. Its kind and source are in its name (``chemical_Cook2019.csv``) or in options.
    - A list has columns such as ``pre``, ``post``, ``type``, ``synapses``.
    - ``funatlas.h5`` of wormneuroatlas holds measured responses to stimulation.
    - A folder of several tables (and nothing but words beside them) is one recording with all of them.

    Only tables that name known neurons on both sides are recognised; networks of anything else are not.

    Parameters
    ----------
    raw
        A table, or a folder that is searched for them.
    kind, source, units
        What a table holds, who says so, and the unit of its weights, where its name and columns do not say.
    sex
        ``hermaphrodite`` or ``male``, where the names do not tell.
    other_cells
        What to do with names that are no neurons: ``report``, ``leave out`` or ``keep``.
    common
        As every format: ``dataset``, ``name``, ``subject``, ``species``.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(
        self,
        raw: str | Path,
        *,
        kind: str | None = None,
        source: str | None = None,
        units: str | None = None,
        sex: str | None = None,
        other_cells: str = "report",
        **common: str | None,
    ) -> None:
        super().__init__(raw, kind=kind, source=source, units=units, sex=sex, other_cells=other_cells, **common)
        self.kind, self.source, self.units, self.sex, self.other_cells = kind, source, units, sex, other_cells

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the connectome that a file or a folder of tables is."""
        if path.is_dir():
            tables = _tables_of(path)
            return [Claim(path, tuple(tables))] if len(tables) > 1 else []
        return [Claim(path, (path,))] if _is_connectome(path) else []

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one connectome.

        Raises
        ------
        RawFileError
            If a table is damaged or names cells that nobody knows, or nothing says what kind of connections it holds.
        """
        try:
            found = open_connectome(
                claim.path, kind=self.kind, source=self.source, units=self.units, sex=self.sex,
                other_cells=self.other_cells,
            )  # fmt: skip
        except NeurodataError as error:
            where = str(claim.path)
            raise error if where in str(error) else RawFileError(f"{where}: {error}") from error
        subject = {"species": WORM, "sex": _SEXES.get(found.sex, "U")}
        metadata = self.describe(session, modality="other", subject=subject)
        return Recording(metadata, graphs={GRAPH: found.to_graph()})


def _tables_of(folder: Path) -> list[Path]:
    """Tables of a folder that is one connectome; none where other data lie in it, which would be passed over."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not all(path.is_file() and (path.suffix.lower() in _TABLES | _WORDS or is_hdf5(path)) for path in inside):
        return []
    tables = [path for path in inside if _is_connectome(path)]
    others = [path for path in inside if path not in tables and path.suffix.lower() not in _WORDS]
    return tables if not any(_is_data(path) for path in others) else []


def _is_data(path: Path) -> bool:
    """Whether a file that is no connectome may be a recording, and not a table of facts about neurons."""
    if is_hdf5(path):
        return True
    layout = find_layout(path)
    return layout is not None and is_traces(layout)


def _is_connectome(path: Path) -> bool:
    if is_hdf5(path):
        return _is_atlas(path)
    return path.suffix.lower() in _TABLES and path.is_file() and _names_both_sides(_first_lines(path))


def _is_atlas(path: Path) -> bool:
    try:
        with open_hdf5(path) as file:
            there = {name for name in _ATLAS if isinstance(file.get(name), h5py.Dataset)}
            return _ATLAS[0] in there and len(there) > 1
    except RawFileError:
        return False


def _first_lines(path: Path) -> list[list[str]]:
    """Cells of the first lines of a text table; none where it is not text."""
    with path.open("rb") as stream:
        begin = stream.read(_MOST_BEGINNING)
    try:
        text = begin.decode("utf-8-sig", errors="strict" if len(begin) < _MOST_BEGINNING else "ignore")
    except UnicodeDecodeError:
        return []
    lines = [line for line in text.splitlines() if line.strip(" ,;\t")][:4]
    if "\0" in text or not lines:
        return []
    separator = max(",\t;", key=lines[0].count)
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return []


def _names_both_sides(rows: list[list[str]]) -> bool:
    """Whether a table's first lines are those of a matrix or a list of connections between cells of a worm."""
    columns = find_columns(rows[0]) if rows else {}
    if columns:
        ends = [[row[column] for row in rows[1:] if column < len(row)] for column in (columns["pre"], columns["post"])]
        return len(rows) > 1 and all(end and all(map(_is_cell, end)) for end in ends) and any(map(_is_neuron, ends[0]))
    if len(rows) < 2 or len(rows[0]) <= _FEWEST_NAMES:
        return False
    header = [name for name in rows[0][1:] if name.strip()]
    known = sum(map(_is_neuron, header))
    return known >= max(_FEWEST_NAMES, 0.5 * len(header)) and all(_is_cell(row[0]) for row in rows[1:3] if row)


def _is_neuron(name: str) -> bool:
    return bool(clean(name.strip(), "both").label)


def _is_cell(name: str) -> bool:
    return _is_neuron(name) or (bool(name.strip()) and is_other_cell(name))
