"""Ridge regression of what comes next on what was before: the baseline a forecast has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from .baselines import ALPHA_GRID, Table, shared_ids
from .layers.past import PAST_SECONDS


@dataclass(frozen=True)
class RidgeForecast:
    """Change of each named channel over a horizon.

    ``change`` maps a channel id to the change from the last value, ``(origin,)``; ``alpha`` was chosen on validation.
    """

    change: Mapping[int, NDArray[np.float64]]
    alpha: float


def ridge_forecast(
    train: Sequence[Table],
    validation: Sequence[Table],
    test: Table,
    origins: NDArray[np.int64],
    step: int,
    rate_hz: float,
) -> RidgeForecast:
    """Forecast every named channel of a recording by ridge regression on past activity.

    The named channels all recordings share are forecast together from all their pasts; any other channel from those
    and its own past, fitted on the recordings that have it. A channel no training recording has keeps its last value.

    Parameters
    ----------
    train, validation
        Recordings to fit on and to choose alpha on; the final fit is on both.
    test
        Recording to forecast.
    origins
        Last samples known, ``(origin,)``.
    step
        Horizon in samples.
    rate_hz
        Samples per second.
    """
    known = [*train, *validation]
    ids = shared_ids([*known, test])
    pasts = {table.recording_id: make_past(_columns(table, ids), rate_hz) for table in (*known, test)}
    rows, changes = _stack(validation, pasts, ids, step)
    errors = {a: np.mean((_fit(*_stack(train, pasts, ids, step), a).predict(rows) - changes) ** 2) for a in ALPHA_GRID}
    alpha = min(errors, key=lambda a: errors[a])
    together = _fit(*_stack(known, pasts, ids, step), alpha).predict(pasts[test.recording_id][origins])
    change = {int(channel): together[:, column] for column, channel in enumerate(ids)}
    for channel in sorted({int(i) for i in test.channel_ids if i > 0} - set(change)):
        change[channel] = _alone(known, test, pasts, channel, origins, step, rate_hz, alpha)
    return RidgeForecast(change, alpha)


def make_past(values: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    """Return each column now, and how it differed before, ``(time, channel * (1 + lag))``; nothing later is used.

    Parameters
    ----------
    values
        ``(time, channel)`` without NaN.
    rate_hz
        Samples per second; before the first sample the first one is repeated.
    """
    position = np.arange(len(values))
    earlier = [values[np.clip(position - max(1, round(s * rate_hz)), 0, None)] - values for s in PAST_SECONDS]
    return np.concatenate([values, *earlier], axis=1)


def _columns(table: Table, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    column = {int(i): k for k, i in enumerate(table.channel_ids)}
    return np.nan_to_num(table.values[:, [column[int(i)] for i in ids]])


def _stack(
    tables: Sequence[Table], pasts: Mapping[str, NDArray[np.float64]], ids: NDArray[np.int64], step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pasts and changes of all recordings, one row per sample whose future is known."""
    changes = [_columns(table, ids)[step:] - _columns(table, ids)[:-step] for table in tables]
    return np.concatenate([pasts[table.recording_id][:-step] for table in tables]), np.concatenate(changes)


def _fit(rows: NDArray[np.float64], changes: NDArray[np.float64], alpha: float) -> Pipeline:
    return make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(rows, changes)


def _alone(known: Sequence[Table], test: Table, pasts: Mapping[str, NDArray[np.float64]], channel: int, origins: NDArray[np.int64], step: int, rate_hz: float, alpha: float) -> NDArray[np.float64]:  # fmt: skip
    """Forecast of a channel that not every recording has."""
    having = [table for table in known if channel in table.channel_ids]
    if not having:
        return np.zeros(len(origins))
    own = np.asarray([channel])
    with_own = {
        table.recording_id: np.concatenate(
            [pasts[table.recording_id], make_past(_columns(table, own), rate_hz)], axis=1
        )
        for table in (*having, test)
    }
    fitted = _fit(*_stack(having, with_own, own, step), alpha)
    return np.asarray(fitted.predict(with_own[test.recording_id][origins])).reshape(len(origins))
