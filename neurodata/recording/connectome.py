"""A connectome: named neurons, their connections by kind and source, and what each source did not look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurodata import names as words
from neurodata.checks import check_option, suggest
from neurodata.errors import NeurodataError
from neurodata.recording.graphs import MEASURED, MISSING, TABLES, end_labels, graph_problems, make_graph
from neurodata.recording.timed import text_array

KINDS = ("chemical", "electrical", "functional", "monoamine", "peptide", "structural")
"""Kinds of connection that are read under these words whatever a file calls them; others are kept as they are."""

EDGE_COLUMNS = (words.PRE, words.POST, words.KIND, words.WEIGHT, words.SOURCE)
"""Columns that every connectome's edges have; more may follow."""

_REDUCE: dict[str, Callable[..., Any]] = {"max": np.fmax, "sum": np.add, "mean": np.add}


@dataclass(frozen=True)
class Table:
    """One published table of connections.

    Parameters
    ----------
    kind, source
        What connects (see `KINDS`), and who says so; together the table's name.
    units
        Unit of its weights, ``"synapses"`` or ``"EM sections"`` for example.
    missing
        Neurons that are not part of this reconstruction: their connections are unknown.
    measured
        ``"all"``: two neurons of the table without an edge are not connected. ``"listed"``: only pairs that are listed
        were measured (a weight may then be 0), all others are unknown.
    """

    kind: str
    source: str
    units: str = ""
    missing: tuple[str, ...] = ()
    measured: str = "all"


@dataclass(frozen=True, eq=False)
class Connectome:
    """A labelled directed graph of neurons from one or more published tables.

    Parameters
    ----------
    neurons
        Canonical names, shape ``(neuron,)``.
    edges
        One row per connection of a table: ``pre``, ``post`` (names), ``kind``, ``weight`` (in the table's units),
        ``source``, and any more columns. Self-junctions and gap junctions that differ between the two directions are
        kept as published.
    tables
        The tables the edges come from.
    problems
        What is odd about the published tables, one line each.
    sex
        ``hermaphrodite``, ``male`` or ``both``.

    Raises
    ------
    NeurodataError
        If names repeat, an edge joins unknown neurons or is of no table, comes twice, or its weight is not finite; the
        message lists it all.
    """

    neurons: tuple[str, ...]
    edges: pd.DataFrame
    tables: tuple[Table, ...]
    problems: tuple[str, ...] = ()
    sex: str = "hermaphrodite"

    def __post_init__(self) -> None:
        problems = list(_breaches(self.neurons, self.edges, self.tables))
        if problems:
            raise NeurodataError("this is no connectome:\n" + "\n".join(f"  - {problem}" for problem in problems))

    def __repr__(self) -> str:
        named = [f"{table.kind} {table.source}" for table in self.tables]
        shown = ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
        return (
            f"Connectome({len(self.neurons)} neurons, {len(self.edges)} edges: {shown}; {len(self.problems)} oddities)"
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of connection, in the order of the tables."""
        return tuple(dict.fromkeys(table.kind for table in self.tables))

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources, in the order of the tables."""
        return tuple(dict.fromkeys(table.source for table in self.tables))

    def select(
        self,
        kind: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        neurons: Iterable[str] | None = None,
    ) -> Connectome:
        """Return the part of some kinds, sources and neurons; ``problems`` are those of the whole.

        Raises
        ------
        NeurodataError
            If there is no such kind, source or neuron, or no table is both of that kind and from that source.
        """
        kinds = _listed("kind of connection", kind, self.kinds)
        sources = _listed("source", source, self.sources)
        chosen = self.neurons if neurons is None else _known(neurons, self.neurons)
        tables = [table for table in self.tables if table.kind in kinds and table.source in sources]
        if not tables:
            raise NeurodataError(
                f"no table is {' or '.join(kinds)} and from {' or '.join(sources)}; there are "
                + ", ".join(f"{table.kind} {table.source}" for table in self.tables)
            )
        kept = set(chosen)
        tables = [replace(table, missing=tuple(n for n in table.missing if n in kept)) for table in tables]
        edges = self.edges
        inside = edges[words.KIND].isin(kinds) & edges[words.SOURCE].isin(sources)
        inside &= edges[words.PRE].isin(kept) & edges[words.POST].isin(kept)
        return replace(self, neurons=chosen, edges=edges[inside].reset_index(drop=True), tables=tuple(tables))

    def matrix(
        self,
        kind: str | None = None,
        source: str | None = None,
        *,
        neurons: Iterable[str] | None = None,
        value: str = words.WEIGHT,
        binary: bool = False,
        symmetrise: str | None = None,
    ) -> xr.DataArray:
        """Return one table as a matrix.

        Parameters
        ----------
        kind, source
            Which table; may be left out where only one is left.
        neurons
            Names in the order wanted; all where None.
        value
            Column of the edges to show.
        binary
            1 for a connection whose value is not 0.
        symmetrise
            Of the two directions of a pair take the larger (``"max"``), their mean (``"mean"``) or their sum
            (``"sum"``); where one of them is unknown, the other. None keeps what was published.

        Returns
        -------
        matrix
            Dimensions ``("pre", "post")``, both with the neurons' names: 0 is no connection, NaN where a neuron is not
            part of the reconstruction (or the pair was not measured).

        Raises
        ------
        NeurodataError
            If more than one table is meant (combine them with `neurodata.recording.consensus`), or a name is unknown.
        """
        part = self.select(kind, source, neurons)
        if len(part.tables) > 1:
            raise NeurodataError(
                f"a matrix is of one table, {len(part.tables)} are meant: "
                + ", ".join(f"(kind={table.kind!r}, source={table.source!r})" for table in part.tables[:40])
                + "; name one, or combine them with neurodata.recording.consensus"
            )
        table, numbers = part.tables[0], [c for c in part.edges.columns if part.edges[c].dtype.kind in "iufb"]
        check_option("column of numbers", value, numbers)
        values = dense(part, table, value)
        if binary:
            values = np.where(np.isnan(values), np.nan, (values != 0).astype(np.float64))
        if symmetrise is not None:
            values = symmetric(values, symmetrise)
        names = np.array(part.neurons, dtype=np.str_)
        attributes = {"kind": table.kind, "source": table.source, "units": "" if binary else table.units}
        attributes["symmetrised"] = symmetrise or ""
        return xr.DataArray(
            values, {words.PRE: names, words.POST: names}, (words.PRE, words.POST), name=value, attrs=attributes
        )

    def to_graph(self) -> xr.Dataset:
        """Return the connectome as a graph of a Recording (see `neurodata.recording.graphs.make_graph`).

        Raises
        ------
        NeurodataError
            If a further column of the edges is called as something else of a graph is (``label``, ``node``, ``edge``).
        """
        tables = [{**vars(table), MISSING: list(table.missing)} for table in self.tables]
        graph = make_graph(
            list(self.neurons),
            *ends_of(self.edges, self.neurons),
            kind=self.edges[words.KIND].to_numpy(str),
            weight=self.edges[words.WEIGHT].to_numpy(np.float64),
            source=self.edges[words.SOURCE].to_numpy(str),
            tables=tables,
            attributes={"sex": self.sex, "problems": list(self.problems)},
        )
        more = {str(c): self.edges[c].to_numpy() for c in self.edges.columns if c not in EDGE_COLUMNS}
        taken = sorted(set(more) & {*graph.variables, *graph.dims})
        if taken:
            raise NeurodataError(f"edges have columns that a graph uses otherwise: {', '.join(taken)}; rename them")
        return graph.assign({name: (words.EDGE, text_array(values)) for name, values in more.items()})

    @classmethod
    def from_graph(cls, graph: xr.Dataset) -> Connectome:
        """Return a graph of a Recording as a connectome.

        Edges that join the same neurons in the same table (synapse by synapse) become one with the sum of their weights;
        their further columns are left out. A graph that lists no tables gets one per kind and source, with no neuron
        missing.

        Raises
        ------
        NeurodataError
            If it breaks what a graph is (a stored one may be made by hand); the message lists it all.
        """
        breaches = list(graph_problems(graph))
        if breaches:
            raise NeurodataError("this is no graph of a connectome:\n" + "\n".join(f"  - {one}" for one in breaches))
        columns = {str(n): v.values for n, v in graph.variables.items() if v.dims == (words.EDGE,) and n != words.EDGE}
        edges = pd.DataFrame({name: list(v) if v.dtype.kind == "U" else np.array(v) for name, v in columns.items()})
        for end in (words.PRE, words.POST):
            edges[end] = end_labels(graph, end)
        edges = edges[[*EDGE_COLUMNS, *(name for name in edges.columns if name not in EDGE_COLUMNS)]]
        edges, n_more = _one_each(edges)
        entries = graph.attrs.get(TABLES) or [
            {words.KIND: kind, words.SOURCE: source, "units": "", MISSING: []}
            for kind, source in dict.fromkeys(zip(edges[words.KIND], edges[words.SOURCE]))
        ]
        tables = tuple(
            Table(t[words.KIND], t[words.SOURCE], t["units"], tuple(t[MISSING]), t.get("measured", "all"))
            for t in entries
        )
        said = graph.attrs.get("problems", [])
        problems = [str(problem) for problem in (said if isinstance(said, list) else [said])]
        if n_more:
            problems.append(f"{n_more} edges of the graph join neurons that others of the same table join too; summed")
        sex = str(graph.attrs.get("sex", "hermaphrodite"))
        return cls(tuple(graph[words.LABEL].values.tolist()), edges, tables, tuple(problems), sex)


def from_dense(values: NDArray[np.float64], neurons: Sequence[str], table: Table) -> tuple[pd.DataFrame, Table]:
    """Return the edges of a matrix ``(pre, post)``, and its table with the neurons of nothing but NaN as missing.

    Where single pairs are NaN besides, every measured pair is listed, those of weight 0 too.
    """
    known = np.isfinite(values)
    part: NDArray[np.bool_] = np.asarray(known.any(axis=0) | known.any(axis=1))
    missing = tuple(name for name, there in zip(neurons, part) if not there)
    complete = bool(known[np.ix_(part, part)].all())
    pre, post = np.nonzero(known & (values != 0) if complete else known)
    names = np.array(neurons, dtype=object)
    edges = pd.DataFrame({words.PRE: names[pre], words.POST: names[post], words.KIND: table.kind})
    edges[words.WEIGHT], edges[words.SOURCE] = values[pre, post].astype(np.float64), table.source
    return edges, replace(table, missing=missing, measured="all" if complete else "listed")


def symmetric(values: NDArray[np.float64], rule: str) -> NDArray[np.float64]:
    """Return a matrix whose two directions are one: their ``max``, ``mean`` or ``sum``; of one that is NaN, the other."""
    check_option("rule of symmetrising", rule, _REDUCE)
    if rule == "max":
        return np.asarray(np.fmax(values, values.T))
    known = np.isfinite(values)
    n_known = known.astype(int) + known.T
    total = np.where(known, values, 0.0) + np.where(known, values, 0.0).T
    shared = total / np.maximum(n_known, 1) if rule == "mean" else total
    return np.asarray(np.where(n_known > 0, shared, np.nan))


def ends_of(edges: pd.DataFrame, neurons: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the two neurons of every edge, each of shape ``(edge,)``."""
    position = pd.Index(neurons)
    return position.get_indexer(pd.Index(edges[words.PRE])), position.get_indexer(pd.Index(edges[words.POST]))


def dense(part: Connectome, table: Table, value: str) -> NDArray[np.float64]:
    """Return a column of one table's edges as an array ``(pre, post)``: 0 is no edge, NaN unknown."""
    n = len(part.neurons)
    values = np.full((n, n), 0.0 if table.measured == "all" else np.nan)
    values[ends_of(part.edges, part.neurons)] = part.edges[value]
    away = np.isin(part.neurons, table.missing)
    values[away] = values[:, away] = np.nan
    return values


def _one_each(edges: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Edges with those of one table that join the same neurons summed, and how many that took away."""
    keys = [words.PRE, words.POST, words.KIND, words.SOURCE]
    n_more = int(edges.duplicated(keys).sum())
    if not n_more:
        return edges, 0
    summed = edges.groupby(keys, sort=False, as_index=False).agg(**{words.WEIGHT: (words.WEIGHT, "sum")})
    return summed[list(EDGE_COLUMNS)], n_more


def _listed(what: str, chosen: str | Sequence[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = known if chosen is None else (chosen,) if isinstance(chosen, str) else tuple(chosen)
    if not wanted:
        raise NeurodataError(f"no {what} is chosen; name some of {', '.join(known)}, or None for all")
    for one in wanted:
        check_option(what, one, known)
    return wanted


def _known(neurons: Iterable[str], known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = tuple(str(name) for name in neurons)
    unknown = [
        f"{name!r}{suggest(name, known).removesuffix('?')}" for name in dict.fromkeys(wanted) if name not in known
    ]
    if unknown or len(set(wanted)) < len(wanted):
        said = f"are not among its {len(known)}: {', '.join(unknown[:20])}" if unknown else "are asked for twice"
        raise NeurodataError(f"neurons of this connectome {said}; names are canonical ('VB2', not 'VB02')")
    return wanted


def _breaches(neurons: tuple[str, ...], edges: pd.DataFrame, tables: tuple[Table, ...]) -> Iterable[str]:
    if len(set(neurons)) < len(neurons) or "" in neurons:
        yield "neurons: names are unique and not empty, these are not"
    absent = [column for column in EDGE_COLUMNS if column not in edges.columns]
    if absent:
        yield f"edges: columns {', '.join(absent)} are missing; there are {', '.join(map(str, edges.columns))}"
        return
    strange = sorted((set(edges[words.PRE]) | set(edges[words.POST])) - set(neurons))
    if strange:
        yield f"edges: {', '.join(strange[:10])} are not among the {len(neurons)} neurons"
    if not np.isfinite(edges[words.WEIGHT].to_numpy(np.float64)).all():
        yield "edges: weights are finite, these are not; leave out pairs that are unknown"
    keys = [(table.kind, table.source) for table in tables]
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        yield f"tables: {key[0]} {key[1]} is given twice; name the sources differently"
    for kind, source in sorted(set(zip(edges[words.KIND], edges[words.SOURCE])) - set(keys)):
        yield f"edges: {kind} {source} is not among the tables"
    if edges.duplicated([words.PRE, words.POST, words.KIND, words.SOURCE]).any():
        yield "edges: two of one table join the same neurons in the same direction; sum them first"
    for table in tables:
        if table.measured not in MEASURED:
            yield f"tables: measured is one of {', '.join(MEASURED)}, got {table.measured!r}"
        unknown = sorted(set(table.missing) - set(neurons))
        if unknown:
            yield f"tables: {table.kind} {table.source} misses {', '.join(unknown[:10])}, which no neuron is called"
        own = edges[(edges[words.KIND] == table.kind) & (edges[words.SOURCE] == table.source)]
        touched = sorted(set(table.missing) & (set(own[words.PRE]) | set(own[words.POST])))
        if touched:
            yield f"tables: {table.kind} {table.source} misses {', '.join(touched[:10])}, but has edges there"
