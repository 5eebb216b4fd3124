"""Connectomes together: side by side, or as one in which every edge says who saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from neurodata import names as words
from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.recording.connectome import Connectome, Table, dense, ends_of, from_dense


def join(connectomes: Sequence[Connectome]) -> Connectome:
    """Return one connectome with the tables of several; a neuron that one does not have is missing from its tables.

    Raises
    ------
    NeurodataError
        If there is none, or two hold a table of the same kind and source.
    """
    if not connectomes:
        raise NeurodataError("there are no connectomes to join; give one or more")
    neurons = tuple(dict.fromkeys(name for one in connectomes for name in one.neurons))
    tables = [
        replace(table, missing=tuple(name for name in neurons if name in set(table.missing) or name not in own))
        for one in connectomes
        for own in [set(one.neurons)]
        for table in one.tables
    ]
    edges = pd.concat([one.edges for one in connectomes if len(one.edges)] or [connectomes[0].edges], ignore_index=True)
    problems = tuple(dict.fromkeys(problem for one in connectomes for problem in one.problems))
    sexes = {one.sex for one in connectomes}
    return Connectome(neurons, edges, tuple(tables), problems, sexes.pop() if len(sexes) == 1 else "both")


def consensus(
    connectomes: Connectome | Sequence[Connectome],
    *,
    kind: str | Sequence[str] | None = None,
    source: str | Sequence[str] | None = None,
    min_sources: int = 1,
    rule: str = "mean",
) -> Connectome:
    """Combine the sources of each kind of connection into one table that still says who saw each edge.

    Parameters
    ----------
    connectomes
        One with several sources, or several.
    kind, source
        What to combine; all where None.
    min_sources
        In how many sources an edge is at least.
    rule
        Weight of an edge over the sources that contain both its neurons: their ``"mean"`` (a source that did not see
        the edge counts as 0), their ``"max"``, or the ``"count"`` of sources that saw it.

    Returns
    -------
    combined
        Source ``"consensus"``. Its edges carry ``sources`` (who saw the edge, separated by ``", "``), ``n_sources`` (how
        many) and ``n_possible`` (how many contain both neurons). Pairs that fewer than ``min_sources`` contain stay
        unknown: they could not be seen that often.

    Raises
    ------
    NeurodataError
        If there is no such rule, kind or source, or ``min_sources`` is no whole number or more than there are.
    """
    check_option("rule of a consensus", rule, ("mean", "max", "count"))
    whole = join([connectomes] if isinstance(connectomes, Connectome) else list(connectomes)).select(kind, source)
    most = max(sum(table.kind == one for table in whole.tables) for one in whole.kinds)
    whole_number = isinstance(min_sources, (int, np.integer)) and not isinstance(min_sources, bool)
    if not whole_number or not 1 <= min_sources <= most:
        raise NeurodataError(
            f"min_sources is a whole number from 1 to the {most} sources of a kind, got {min_sources!r}"
        )
    parts = [_combine(whole.select(one), one, min_sources, rule) for one in whole.kinds]
    return join(parts)


def _combine(part: Connectome, kind: str, min_sources: int, rule: str) -> Connectome:
    n = len(part.neurons)
    total, largest, n_seen, n_possible = (np.zeros((n, n)) for _ in range(4))
    largest[:] = -np.inf
    for table in part.tables:
        values = dense(part.select(source=table.source), table, words.WEIGHT)
        known = np.isfinite(values)
        n_possible += known
        total += np.where(known, values, 0.0)
        n_seen += known & (values != 0)
        largest = np.fmax(largest, np.where(known, values, -np.inf))
    weights = {"mean": total / np.maximum(n_possible, 1), "max": largest, "count": n_seen}[rule]
    weights = np.where(n_seen >= min_sources, weights, 0.0)
    weights[n_possible < min_sources] = np.nan
    units = sorted({table.units for table in part.tables})
    named = Table(kind, "consensus", "sources" if rule == "count" else " and ".join(units))
    edges, named = from_dense(weights, part.neurons, named)
    seen = part.edges[part.edges[words.WEIGHT] != 0].groupby([words.PRE, words.POST])[words.SOURCE].agg(", ".join)
    pairs = pd.MultiIndex.from_frame(edges[[words.PRE, words.POST]])
    edges["sources"] = seen.reindex(pairs).fillna("").to_numpy(str).astype(object)
    at = ends_of(edges, part.neurons)
    edges["n_sources"], edges["n_possible"] = n_seen[at].astype(np.int64), n_possible[at].astype(np.int64)
    problems = list(part.problems)
    if len(units) > 1 and rule != "count":
        problems.append(
            f"consensus of {kind} connections: weights are in {' and in '.join(units)}; they were not scaled"
        )
    return replace(part, edges=edges, tables=(named,), problems=tuple(problems))
