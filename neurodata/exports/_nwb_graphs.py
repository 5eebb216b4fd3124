"""Graphs as tables of NWB: one of nodes and one of edges each, in ``processing/graphs``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import xarray as xr

from neurodata import names

from ._nwb_tables import said_of, write_columns


def add_graphs(nwb: Any, graphs: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Add graphs to a file, and return what the sidecar keeps of them.

    Parameters
    ----------
    nwb
        The file, to which a processing module ``graphs`` is added where there are any.
    graphs
        Name → graph of a Recording. The standard has no graph: ``pre`` and ``post`` are plain numbers of rows.
    """
    if not graphs:
        return {}
    module = nwb.create_processing_module(
        name=names.GRAPHS, description="per graph a table of nodes and one of edges, which count nodes from 0"
    )
    said: dict[str, Any] = {}
    for name, graph in graphs.items():
        said[name] = {"attributes": dict(graph.attrs)}
        for dimension in (names.NODE, names.EDGE):
            of_others = [column for column, values in graph.variables.items() if values.dims != (dimension,)]
            made, said[name][dimension] = _make_table(f"{name}_{dimension}s", dimension, graph.drop_vars(of_others))
            module.add(made)
    return said


def _make_table(name: str, dimension: str, columns: xr.Dataset) -> tuple[Any, dict[str, Any]]:
    made, said = write_columns({str(key): values.values for key, values in columns.variables.items()}, "DynamicTable")
    table = importlib.import_module("hdmf.common").DynamicTable(
        name=name,
        description=f"{dimension}s of a graph",
        columns=made,
        id=list(range(columns.sizes[dimension])),
    )
    return table, said_of(f"/processing/{names.GRAPHS}/{name}", columns.drop_attrs(deep=False), said)
