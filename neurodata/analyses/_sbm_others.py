"""Partitions found by other programs, where they are installed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from neurodata.analyses._sbm_cost import Floats, Ints
from neurodata.checks import import_extra
from neurodata.errors import NeurodataError


def find_by_leiden(weights: Floats, *, weighted: bool, seed: int) -> Ints:
    """Return the partition of greatest modularity that igraph's Leiden finds, shape ``(node,)``."""
    igraph = import_extra("igraph", "communities")
    rows, columns = np.nonzero(np.triu(np.nan_to_num(weights), 1))
    graph = igraph.Graph(n=len(weights), edges=np.column_stack([rows, columns]).tolist())
    # igraph draws from one generator for the whole process: give it ours for this call, then Python's own again.
    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden(
            objective_function="modularity",
            weights=weights[rows, columns].tolist() if weighted else None,
            n_iterations=-1,
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(found.membership, dtype=np.int64)


def find_by_graph_tool(
    weights: Floats, corrected: list[bool], *, nested: bool, weighted: bool, seed: int
) -> tuple[list[Ints], float, bool]:
    """Return labels at every level (finest first), nats and whether degrees are corrected, of graph-tool's best fit."""
    try:
        import graph_tool
        import graph_tool.inference as inference
    except ImportError as error:
        raise NeurodataError(
            f"method 'graph-tool' needs graph-tool, which is not installed ({error}). It has no wheel for pip: "
            "conda install -c conda-forge graph-tool, or apt (see graph-tool.skewed.de); or use method='sbm'"
        ) from error
    rows, columns = np.nonzero(np.triu(np.nan_to_num(weights), 1))
    graph = graph_tool.Graph(directed=False)
    graph.add_vertex(len(weights))
    weight = graph.new_edge_property("double")
    graph.add_edge_list(np.column_stack([rows, columns, weights[rows, columns]]), eprops=[weight])
    minimise = inference.minimize_nested_blockmodel_dl if nested else inference.minimize_blockmodel_dl
    graph_tool.seed_rng(seed)
    fits = []
    for correct in corrected:
        arguments: dict[str, Any] = {"deg_corr": correct}
        if weighted:
            arguments |= {"recs": [weight], "rec_types": ["real-exponential"]}
        fits.append((minimise(graph, state_args=arguments), correct))
    state, correct = min(fits, key=lambda fit: float(fit[0].entropy()))
    levels = _levels_of(state) if nested else [np.asarray(state.get_blocks().a, dtype=np.int64)]
    return levels, float(state.entropy()), correct


def _levels_of(state: Any) -> list[Ints]:
    """Labels of the nodes at every level that has more than one block; the finest is always given."""
    levels: list[Ints] = []
    for step in state.get_bs():
        labels = np.asarray(step, dtype=np.int64)
        labels = labels[levels[-1]] if levels else labels
        if levels and len(np.unique(labels)) < 2:
            break
        levels.append(labels)
    return levels
