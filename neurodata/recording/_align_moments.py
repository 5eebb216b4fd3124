"""The moments a recording is aligned to: times of events, starts or stops of intervals, any column of seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodata import names
from neurodata.checks import check_option, suggest
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording


@dataclass(frozen=True)
class Moments:
    """What a recording is aligned to.

    Parameters
    ----------
    source
        Where the times are from, for example ``events/licks``.
    times
        Seconds, finite, in the table's order, shape ``(event,)``.
    columns
        The table's other columns, each of shape ``(event,)``.
    n_dropped
        Rows left out because their time is missing.
    """

    source: str
    times: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]]
    n_dropped: int


def find_moments(
    recording: Recording, event: str | ArrayLike, where: Mapping[str, Any] | ArrayLike | None, edge: str
) -> Moments:
    """Return the times that ``event`` names, and their table's other columns.

    Raises
    ------
    NeurodataError
        If there is no such table or column, two tables share the name, or ``where`` fits no row.
    """
    check_option("edge of an interval", edge, (names.START, names.STOP))
    if not isinstance(event, str):
        times, columns, source = np.asarray(event, np.float64), dict[str, NDArray[Any]](), "times"
        if times.ndim != 1:
            raise NeurodataError(f"times to align to have shape (event,), got {times.shape}")
    else:
        group, name, column = find_table(recording, event, (names.EVENTS, names.INTERVALS))
        if group == names.EVENTS and edge == names.STOP:
            raise NeurodataError(f"events {name!r} have no stop; edge='stop' is for intervals")
        table = getattr(recording, group)[name]
        column = column or (names.TIME if group == names.EVENTS else edge)
        check_option(f"column of {group}/{name}", column, map(str, table.variables))
        columns = {str(key): np.asarray(values.values) for key, values in table.variables.items()}
        if columns[column].dtype.kind not in "iuf":
            raise NeurodataError(f"column {column!r} of {group}/{name} holds {columns[column].dtype}, not seconds")
        times, source = columns[column].astype(np.float64), f"{group}/{name}/{column}"
        if column == names.TIME:
            del columns[names.TIME]
    kept = _chosen(columns, len(times), where, source)
    finite = np.isfinite(times) & kept
    dropped = int((kept & ~finite).sum())
    return Moments(source, times[finite], {key: values[finite] for key, values in columns.items()}, dropped)


def _chosen(
    columns: Mapping[str, NDArray[Any]], n_rows: int, where: Mapping[str, Any] | ArrayLike | None, source: str
) -> NDArray[np.bool_]:
    kept = np.ones(n_rows, np.bool_)
    if where is None:
        return kept
    if not isinstance(where, Mapping):
        mask = np.asarray(where)
        if mask.dtype != np.bool_ or mask.shape != kept.shape:
            raise NeurodataError(
                f"where is a dictionary {{column: value}} or one True or False per row of {source}, shape ({n_rows},); "
                f"got {mask.dtype} of shape {mask.shape}"
            )
        return mask
    for column, wanted in where.items():
        check_option(f"column of {source.rpartition('/')[0] or source}", column, columns)
        kept &= np.isin(columns[column], np.atleast_1d(np.asarray(wanted)))
        if not kept.any():
            values = ", ".join(map(str, np.unique(columns[column])[:10].tolist()))
            raise NeurodataError(f"no row of {source} is left with {column} = {wanted!r}; it holds {values}")
    return kept


def find_table(recording: Recording, path: str, groups: Sequence[str]) -> tuple[str, str, str]:
    """Group, name and column of ``name``, ``name/column``, ``group/name`` or ``group/name/column``."""
    first, _, rest = path.partition("/")
    name, _, column = rest.partition("/")
    if first in groups and name in getattr(recording, first):
        return first, name, column
    found = [group for group in groups if first in getattr(recording, group)]
    if len(found) > 1:
        raise NeurodataError(f"{first!r} names several tables; say {' or '.join(f'{group}/{path}' for group in found)}")
    if not found:
        known = [f"{group}/{member}" for group in groups for member in getattr(recording, group)]
        members = [member for group in groups for member in getattr(recording, group)]
        raise NeurodataError(
            f"{recording.metadata.get('recording_id')} has no {' or '.join(groups)} called {path!r}"
            f"{suggest(first, members)}; it has {', '.join(known) or 'none'}"
        )
    return found[0], first, rest
