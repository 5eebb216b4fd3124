"""Connectomes from the files they are published in, under the same neuron names as the recordings."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from neurodata.checks import check_exists, check_option
from neurodata.errors import NeurodataError, RawFileError
from neurodata.identity.celegans import SEXES
from neurodata.recording.connectome import Connectome
from neurodata.recording.consensus import join
from neurodata.store.read import open_recording

from ._connectome_atlas import read_atlas
from ._connectome_edges import find_columns, read_edges
from ._connectome_matrix import read_matrix
from ._connectome_names import OTHER_CELLS, clean, kind_of, read_file_name, shorten, units_of
from .hdf5 import is_hdf5

_TABLES = (".csv", ".tsv")
_HDF5 = (".h5", ".hdf5")
_MOST_BYTES = 64 << 20
"""Of a table; the largest published one has 0.6 MB."""
_MOST_TABLES = 500
_ADDRESSES = ("s3://", "http://", "https://")


def open_connectome(
    path: str | Path,
    *,
    kind: str | None = None,
    source: str | None = None,
    units: str | None = None,
    sex: str | None = None,
    other_cells: str = "report",
    graph: str | None = None,
) -> Connectome:
    """Open a connectome: who connects to whom, by what, how strongly, and what was not looked at.

    Parameters
    ----------
    path
        A CSV matrix (rows presynaptic; an empty cell is not part of the reconstruction, 0 no connection), a list of
        connections (CSV or TSV with columns such as ``pre, post, type, synapses``), ``funatlas.h5`` of the package
        wormneuroatlas, a folder of any of them, or a stored recording that holds a graph.
    kind, source, units
        What the table is, where neither the file's name (``chemical_Cook2019.csv``) nor a column of it says so.
    sex
        ``"hermaphrodite"`` or ``"male"``; told from the names where None.
    other_cells
        Names that are no neurons: ``"report"`` leaves out known muscles, glia and other cells and refuses all else;
        ``"leave out"`` leaves out all; ``"keep"`` keeps all under their own names. What is left out or kept is said in
        ``problems``.
    graph
        Which graph of a stored recording; all that it holds where None.

    Returns
    -------
    connectome
        Neurons under canonical names (``VB2``, not ``VB02``) in the usual order; every table of a folder is kept.
        Self-junctions, gap junctions that differ between the two directions, missing neurons and the like are listed in
        ``problems`` and kept as published.

    Raises
    ------
    RawFileError
        If a file is missing, damaged, too large, or not a connectome; says where.
    NeurodataError
        If an option is unknown, or the recording holds no graph.

    Examples
    --------
    >>> import neurodata as nd
    >>> wiring = nd.open_connectome("connectomes-pub_utils")  # doctest: +SKIP
    >>> wiring.matrix("chemical", "Cook2019", symmetrise="max")  # doctest: +SKIP
    """
    check_option("way with other cells", other_cells, OTHER_CELLS)
    if sex is not None:
        check_option("sex", sex, SEXES)
    if kind is not None:
        if not kind.strip():
            raise NeurodataError("kind is empty; say what connects: chemical, electrical, functional …")
        kind = kind_of(kind) or kind
    if str(path).startswith(_ADDRESSES):
        return _open_stored(path, graph)
    path = Path(path)
    check_exists("connectome", path)
    if path.is_dir():
        if (path / "zarr.json").is_file():
            return _open_stored(path, graph)
        return _open_folder(path, kind, source, units, sex, other_cells)
    found = _open_file(path, kind, source, units, sex, other_cells)
    if found is None:
        raise RawFileError(
            f"{path}: expected a matrix of connections (neuron names in the first row and column), a list of connections "
            "(columns such as pre, post, type, weight) or funatlas.h5 of wormneuroatlas; this is none of them"
        )
    return found


def _open_stored(path: str | Path, graph: str | None) -> Connectome:
    graphs = open_recording(path).graphs
    if not graphs:
        raise NeurodataError(
            f"recording {str(path)!r} holds no graph; a connectome is stored as recording.graphs[name]"
        )
    if graph is not None:
        check_option("graph", graph, graphs)
        return Connectome.from_graph(graphs[graph])
    return join([Connectome.from_graph(one) for one in graphs.values()])


def _open_folder(
    path: Path, kind: str | None, source: str | None, units: str | None, sex: str | None, other_cells: str
) -> Connectome:
    files = sorted(one for one in path.iterdir() if one.suffix.lower() in (*_TABLES, *_HDF5) and one.is_file())
    if len(files) > _MOST_TABLES:
        raise RawFileError(
            f"{path}: {len(files)} tables are more than a connectome has ({_MOST_TABLES}); name one file"
        )
    found, skipped = [], []
    for one in files:
        connectome = _open_file(one, kind, source, units, sex, other_cells)
        if connectome is None:
            skipped.append(one.name)
        else:
            found.append(connectome)
    if not found:
        raise RawFileError(
            f"{path}: expected tables of connections (.csv, .tsv) or funatlas.h5, found "
            f"{shorten(sorted(one.name for one in path.iterdir())) or 'an empty folder'}; of a store, name the recording: "
            "STORE/DATASET/RECORDING"
        )
    whole = join(found)
    if not skipped:
        return whole
    return replace(whole, problems=(*whole.problems, f"skipped, for it is no table of connections: {shorten(skipped)}"))


def _open_file(
    path: Path, kind: str | None, source: str | None, units: str | None, sex: str | None, other_cells: str
) -> Connectome | None:
    """Return what a file holds, or None where it is no table of connections."""
    if is_hdf5(path):
        return read_atlas(path, source=source, sex=sex, other_cells=other_cells)
    if path.suffix.lower() not in (*_TABLES, ".txt"):
        return None
    rows = _read_rows(path)
    said_kind, said_source = read_file_name(path.stem)
    kind, source = kind or said_kind, source or said_source
    if find_columns(rows[0][1]):
        return read_edges(rows, path, kind=kind, source=source, units=units, sex=sex, other_cells=other_cells)
    if not _names_neurons(rows[0][1][1:]):
        return None
    if kind is None:
        raise RawFileError(
            f"{path}: neither the name of the file says what kind of connections it holds (chemical_{path.name}) nor kind="
        )
    units = units or units_of(kind, source)
    return read_matrix(
        [row for _, row in rows], path, kind=kind, source=source, units=units, sex=sex, other_cells=other_cells
    )


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Numbers and cells of a table's lines that hold anything; the separator is the one that its header has most of."""
    if not path.is_file():  # a link to a device is endless
        raise RawFileError(f"{path}: expected a file, this is none")
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise RawFileError(
            f"{path}: {size / 1e6:.0f} MB are too much for a table of connections ({_MOST_BYTES >> 20} MB)"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RawFileError(f"{path}: expected text in UTF-8 ({error}); save the table as CSV") from error
    lines = text.splitlines()
    there = [line for line in lines if line.strip(" ,;\t")]
    if not there:
        raise RawFileError(f"{path}: expected a table of connections, the file is empty")
    reader = csv.reader(lines, delimiter=max(",\t;", key=there[0].count))
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip(" ,;\t") for cell in row)]
    except csv.Error as error:
        raise RawFileError(f"{path}: expected a table in CSV ({error})") from error


def _names_neurons(header: list[str]) -> bool:
    """Tell whether at least half of a header's cells are neuron names."""
    n_known = sum(bool(clean(name, "both").label) for name in header)
    return n_known > 0 and n_known >= 0.5 * len(header)
