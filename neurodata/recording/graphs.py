"""Graphs of a Recording: which node reaches which, by what kind of connection, how strongly, and who says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurodata import names
from neurodata.errors import NeurodataError
from neurodata.recording.attributes import OWN_ARRAYS, attribute_problems, column_problems
from neurodata.recording.timed import text_array

TABLES = "tables"
"""Attribute of a graph: the published tables that its edges are from."""

MISSING = "missing"
"""Entry of a table: labels of the nodes that are no part of it, so that no edge there does not mean no connection."""

MEASURED = ("all", "listed")
"""Entry of a table, ``"all"`` where it is not there: whether nodes of the table without an edge are not connected
(``"all"``), or unknown, for only the pairs that are listed were measured (``"listed"``; such a weight may be 0)."""

_EDGE_COLUMNS = (names.PRE, names.POST, names.KIND, names.WEIGHT, names.SOURCE)
REQUIRED = {names.LABEL: names.NODE} | dict.fromkeys(_EDGE_COLUMNS, names.EDGE)
"""Columns that every graph has → their dimension."""

_SHOWN = 5


def make_graph(
    labels: ArrayLike,
    pre: ArrayLike,
    post: ArrayLike,
    *,
    kind: ArrayLike,
    weight: ArrayLike,
    source: ArrayLike,
    tables: Sequence[Mapping[str, Any]] = (),
    node_columns: Mapping[str, ArrayLike] | None = None,
    attributes: Mapping[str, Any] | None = None,
    **columns: ArrayLike,
) -> xr.Dataset:
    """Make a graph of a Recording: nodes with labels, and directed edges between them.

    Edges may join a node to itself, and several may join the same two nodes: of other kinds, from other sources, or
    synapse by synapse. What is symmetric (a gap junction) is kept as it was published, as one edge or as two.

    Parameters
    ----------
    labels
        Unique names of the nodes, shape ``(node,)``.
    pre, post
        Row of the node an edge leaves and of the one it reaches, counted from 0, shape ``(edge,)``.
    kind
        What kind of connection: chemical, electrical, functional, monoamine, peptide, structural …; shape ``(edge,)``
        or one for all.
    weight
        How strong, in the unit its table states, finite, shape ``(edge,)``.
    source
        Who says so, shape ``(edge,)`` or one for all.
    tables
        The tables that edges are from, each ``{"kind": …, "source": …, "units": …, "missing": [labels]}``: ``units`` is
        that of its weights, ``missing`` names the nodes that are no part of it; ``"measured": "listed"`` says that only
        listed pairs were measured (see `MEASURED`). With any given, all are.
    node_columns
        More facts per node, each of shape ``(node,)``.
    attributes
        What is worth saying about the graph (JSON values).
    columns
        More facts per edge, each of shape ``(edge,)``.

    Returns
    -------
    graph
        Dimensions ``node`` and ``edge``; variables ``label`` (node), ``pre``, ``post`` (int32), ``kind``, ``weight``
        (float64), ``source`` (edge) and the columns; attribute ``tables``.

    Raises
    ------
    NeurodataError
        If shapes do not fit (the message gives both), two columns share a name, or an edge leaves or reaches no node.

    Examples
    --------
    >>> graph = make_graph(["AVAL", "AVAR"], [0, 1], [1, 0], kind="chemical", weight=[3, 5], source="White1986")
    >>> graph.label.values[graph.post.values].tolist()
    ['AVAR', 'AVAL']
    """
    label = _text(labels)
    weights = np.asarray(weight, np.float64)
    if label.ndim != 1 or weights.ndim != 1:
        raise NeurodataError(
            f"a graph has labels of shape (node,) and weights of shape (edge,), got {label.shape} and {weights.shape}"
        )
    n_nodes, n_edges = len(label), len(weights)
    edges = {
        names.PRE: _rows(names.PRE, pre, n_nodes),
        names.POST: _rows(names.POST, post, n_nodes),
        names.KIND: _for_each(kind, n_edges),
        names.WEIGHT: weights,
        names.SOURCE: _for_each(source, n_edges),
    }
    found: dict[str, Any] = {}
    nodes = {names.LABEL: label, **(node_columns or {})}
    for dimension, size, group in ((names.NODE, n_nodes, nodes), (names.EDGE, n_edges, edges | columns)):
        for name, values in group.items():
            column = text_array(values)
            if column.shape != (size,):
                raise NeurodataError(
                    f"column {name!r} of a graph has shape {column.shape}, expected ({dimension},) = ({size},)"
                )
            if name in found:
                raise NeurodataError(f"column {name!r} is given for nodes and for edges; call one of them otherwise")
            found[name] = (dimension, _frozen(column))
    attrs = {TABLES: [dict(table) for table in tables], **(attributes or {})}
    return xr.Dataset(found, attrs=attrs)


def end_labels(graph: xr.Dataset, end: str) -> NDArray[np.str_]:
    """Return the label of the node that each edge leaves (``pre``) or reaches (``post``), shape ``(edge,)``.

    Raises
    ------
    NeurodataError
        If an edge leaves or reaches no node.
    """
    label: NDArray[np.str_] = graph[names.LABEL].values
    return label[_rows(end, graph[end].values, len(label))]


def _text(values: ArrayLike) -> NDArray[Any]:
    """Text also where there is none to tell the type by."""
    array = text_array(values)
    return np.zeros(array.shape, np.str_) if array.size == 0 else array


def _for_each(values: ArrayLike, n_edges: int) -> NDArray[Any]:
    array = _text(values)
    return np.full(n_edges, array) if array.ndim == 0 else array


def _rows(name: str, values: ArrayLike, n_nodes: int) -> NDArray[np.int32]:
    rows = np.asarray(values)
    if rows.size and rows.dtype.kind not in "iu":
        raise NeurodataError(f"{name!r} of a graph holds {rows.dtype}, expected rows of nodes counted from 0")
    if rows.size and (rows.min() < 0 or rows.max() >= n_nodes):
        raise NeurodataError(
            f"{name!r} runs from {rows.min()} to {rows.max()}, but there are {n_nodes} nodes; nodes count from 0"
        )
    return rows.astype(np.int32)


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


def graph_problems(graph: xr.Dataset) -> Iterator[str]:
    """List every breach of what a graph of a Recording is.

    Parameters
    ----------
    graph
        As `make_graph` makes it, or from anyone.
    """
    yield from attribute_problems(dict(graph.attrs))
    by_dimension: dict[str, dict[Any, xr.Variable]] = {names.NODE: {}, names.EDGE: {}}
    for name, variable in graph.variables.items():
        of_nodes = variable.dims == (names.NODE,) and REQUIRED.get(str(name)) != names.EDGE
        by_dimension[names.NODE if of_nodes or name == names.LABEL else names.EDGE][name] = variable
    for dimension, columns in by_dimension.items():
        yield from column_problems(columns, dimension, OWN_ARRAYS | {names.NODE, names.EDGE})
    absent = [name for name in REQUIRED if name not in graph.variables]
    if absent:
        yield f"column {' and '.join(map(repr, absent))} is missing; make graphs with neurodata.recording.graphs.make_graph"
    if absent or any(graph.variables[name].dims != (dimension,) for name, dimension in REQUIRED.items()):
        return
    values = {name: np.asarray(graph.variables[name].values) for name in REQUIRED}
    typed = list(_type_problems(values))
    yield from typed
    if not typed:
        yield from _node_problems(values)
        yield from _table_problems(graph.attrs.get(TABLES, []), values)


def _type_problems(values: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    for name in (names.LABEL, names.KIND, names.SOURCE):
        if values[name].dtype.kind != "U":
            yield f"column {name!r} has type {values[name].dtype}, expected text"
    for name in (names.PRE, names.POST):
        if values[name].dtype != np.int32:
            yield f"column {name!r} has type {values[name].dtype}, expected int32"
    if values[names.WEIGHT].dtype != np.float64:
        yield f"column 'weight' has type {values[names.WEIGHT].dtype}, expected float64"


def _node_problems(values: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    label, n_nodes = values[names.LABEL], len(values[names.LABEL])
    unique, counts = np.unique(label, return_counts=True)
    if (counts > 1).any():
        yield f"label is not unique: {_some(unique[counts > 1])} come more than once"
    if (label == "").any():
        yield f"label is empty for node {int(np.flatnonzero(label == '')[0])}; every node needs a name"
    for name in (names.PRE, names.POST):
        rows = values[name]
        if rows.size and (rows.min() < 0 or rows.max() >= n_nodes):
            yield f"{name!r} runs from {rows.min()} to {rows.max()} but there are {n_nodes} nodes; nodes count from 0"
    wrong = np.flatnonzero(~np.isfinite(values[names.WEIGHT]))
    if wrong.size:
        yield (
            f"weight is not finite at edge {int(wrong[0])}; leave out edges that are not there, and name nodes that were "
            "not reconstructed in their table's 'missing'"
        )
    if (values[names.KIND] == "").any():
        yield f"kind is empty at edge {int(np.flatnonzero(values[names.KIND] == '')[0])}"


def _table_problems(tables: Any, values: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    if not isinstance(tables, list):
        yield f"attribute 'tables' is {type(tables).__name__}, expected a list of tables"
        return
    problems = [problem for number, table in enumerate(tables) for problem in _entry_problems(number, table)]
    yield from problems
    if problems or not tables:
        return
    known: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for table in tables:
        key = (table[names.KIND], table[names.SOURCE])
        if key in known:
            yield f"tables: {key[0]!a} of {key[1]!a} is listed twice"
        strange = np.setdiff1d(np.asarray(table[MISSING], np.str_), values[names.LABEL])
        if strange.size:
            yield f"tables: {key[0]!a} of {key[1]!a} misses {_some(strange)}, which no node is called"
        known[key] = np.isin(values[names.LABEL], np.asarray(table[MISSING], np.str_))
    yield from _edges_outside(known, values)


def _entry_problems(number: int, table: Any) -> Iterator[str]:
    if not isinstance(table, Mapping):
        yield f"tables/{number}: {type(table).__name__} is no table; give a dictionary"
        return
    for key in (names.KIND, names.SOURCE, names.UNITS_ATTRIBUTE):
        if not isinstance(table.get(key), str):
            yield f"tables/{number}: {key!r} is {table.get(key)!a:.80}, expected text"
    measured = table.get("measured", MEASURED[0])
    if measured not in MEASURED:
        yield f"tables/{number}: 'measured' is {measured!a:.80}, expected {' or '.join(map(repr, MEASURED))}"
    missing = table.get(MISSING)
    if not isinstance(missing, list) or not all(isinstance(label, str) for label in missing):
        yield f"tables/{number}: 'missing' is {missing!a:.80}, expected a list of labels, empty where all nodes are part of it"


def _edges_outside(
    known: Mapping[tuple[str, str], NDArray[np.bool_]], values: Mapping[str, NDArray[Any]]
) -> Iterator[str]:
    """Edges of tables that are not listed, and edges of nodes that their table says it does not hold."""
    kinds, kind = np.unique(values[names.KIND], return_inverse=True)
    sources, source = np.unique(values[names.SOURCE], return_inverse=True)
    n_nodes = len(values[names.LABEL])
    if not n_nodes:  # every edge reaches nothing, which is told already
        return
    for code in np.unique(kind * len(sources) + source).tolist():
        key = (str(kinds[code // len(sources)]), str(sources[code % len(sources)]))
        if key not in known:
            yield f"tables: edges are {key[0]!a} of {key[1]!a}, which is not listed"
            continue
        own = np.flatnonzero((kind == code // len(sources)) & (source == code % len(sources)))
        for end in (names.PRE, names.POST):
            rows = values[end][own]
            inside = (rows >= 0) & (rows < n_nodes)  # others are told of already
            at = np.flatnonzero(inside & known[key][np.where(inside, rows, 0)])
            if at.size:
                label = str(values[names.LABEL][rows[at[0]]])
                yield (
                    f"tables: {key[0]!a} of {key[1]!a} misses {label!a}, but {end!r} of edge {int(own[at[0]])} is that node"
                )


def _some(labels: NDArray[Any]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(map(ascii, labels[:_SHOWN].tolist())) + more
