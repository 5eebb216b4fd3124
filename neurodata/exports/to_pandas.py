"""Recordings as pandas tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neurodata import names
from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.recording.graphs import end_labels
from neurodata.recording.recording import Recording

ALL = "all"
"""Every channel column as a level of the table's columns."""


def to_pandas(
    recording: Recording, name: str, *, columns: str = names.CHANNEL_ID, join_units: bool = False
) -> pd.DataFrame:
    """Return one signal, table of events or intervals, graph, or the units of a recording as a table in memory.

    Parameters
    ----------
    recording
        The recording.
    name
        ``signals/eeg``, ``events/spikes``, ``intervals/trials``, ``graphs/wiring`` or ``units``; ``eeg`` is enough
        where no other group has a member of that name.
    columns
        Of a signal: the channel column that heads the table's columns, for example ``label`` (the channel id stands in
        where a label is empty), or ``all`` for a ``MultiIndex`` of every channel column.
    join_units
        Of events with a unit: whether each row gets the columns of its unit, as ``unit_id``, ``unit.depth`` …

    Returns
    -------
    table
        A signal has its times in seconds as index ``time`` (``frame``, counted from 0, where its rate is unknown) and
        physical values; integers are scaled as in ``recording.signals``. Events, intervals and units have one row
        each, in order, with all their columns; a graph has one per edge, ``pre`` and ``post`` being labels of nodes.
        The attributes of the member are in ``table.attrs``.

    Raises
    ------
    NeurodataError
        If there is no such member, a signal has no such channel column, or two channels have the same heading.
    """
    group, member = _find(recording, name)
    if group == names.SIGNALS:
        return _signal(recording.signals[member], columns)
    if group == names.UNITS:
        assert recording.units is not None
        return _table(recording.units, names.UNIT)
    if group == names.GRAPHS:
        return _edges(recording.graphs[member])
    if group == names.INTERVALS:
        return _table(recording.intervals[member], names.INTERVAL)
    events = _table(recording.events[member], names.EVENT)
    if not join_units:
        return events
    if names.UNIT not in events or recording.units is None:
        raise NeurodataError(f"events/{member} do not point at units, so there are no columns of units to join")
    own = _table(recording.units, names.UNIT).rename(columns=lambda key: key if key == "unit_id" else f"unit.{key}")
    joined = own.iloc[events[names.UNIT].to_numpy()].set_axis(events.index)
    table = pd.concat([events, joined], axis=1)
    table.attrs = events.attrs
    return table


def _find(recording: Recording, name: str) -> tuple[str, str]:
    paths = [f"{group}/{member}" for group in names.GROUPS for member in getattr(recording, group)]
    paths += [names.UNITS] if recording.units is not None else []
    meant = [name] if name in paths else [path for path in paths if path.partition("/")[2] == name]
    if len(meant) != 1:
        check_option("member of the recording", name, meant or paths)
    group, _, member = meant[0].partition("/")
    return group, member


def _signal(signal: xr.DataArray, columns: str) -> pd.DataFrame:
    facts = {str(key): column.values for key, column in signal.coords.items() if column.dims == (names.CHANNEL,)}
    if columns == ALL:
        heading: pd.Index[Any] = pd.MultiIndex.from_arrays(list(facts.values()), names=list(facts))
    else:
        check_option("channel column", columns, [*facts, ALL])
        values = facts[columns]
        if values.dtype.kind == "U":
            values = np.where(values == "", facts[names.CHANNEL_ID], values)
        heading = pd.Index(values, name=columns)
    twice = heading[heading.duplicated()]
    if len(twice):
        raise NeurodataError(
            f"signals/{signal.name}: {len(twice) + 1} or more channels have the same {columns} ({twice[0]!r}); "
            "head the table with columns='channel_id' or columns='all'"
        )
    times = np.asarray(signal[names.TIME].values)
    if signal.attrs.get(names.TIME_UNIT) == names.FRAMES:
        index = pd.Index(times.astype(np.int64), name=names.FRAMES)
    else:
        index = pd.Index(times, name=names.TIME)
    table = pd.DataFrame(np.asarray(signal.values), index=index, columns=heading)
    table.attrs = dict(signal.attrs)
    return table


def _edges(graph: xr.Dataset) -> pd.DataFrame:
    of_edges = graph.drop_vars([name for name, column in graph.variables.items() if column.dims != (names.EDGE,)])
    table = _table(of_edges, names.EDGE)
    ends = {end: end_labels(graph, end) for end in (names.PRE, names.POST)}
    first = [names.PRE, names.POST, names.KIND, names.WEIGHT, names.SOURCE]
    found = table.assign(**ends)[[*first, *(name for name in table if name not in first)]]
    found.attrs = table.attrs
    return found


def _table(table: xr.Dataset, dimension: str) -> pd.DataFrame:
    columns = {str(key): column.values for key, column in table.variables.items()}
    frame = pd.DataFrame(columns, index=pd.RangeIndex(table.sizes.get(dimension, 0), name=dimension))
    frame.attrs = dict(table.attrs)
    return frame
