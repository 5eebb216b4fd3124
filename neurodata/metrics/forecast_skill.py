"""Forecast skill over copying the last value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import mean_squared_error

from neurodata.metrics._columns import check_columns

kind = "forecast"
needs: tuple[str, ...] = ("truth", "prediction", "last")
PERFECT = 1.0


def forecast_skill(truth: NDArray[np.floating], prediction: NDArray[np.floating], last: NDArray[np.floating]) -> float:
    """Return 1 − MSE / MSE of copy-last: 1 is perfect, 0 is chance (no better than copying the last value).

    It has no lower end. Errors are pooled over all moments (and channels) given, so channels that move more weigh
    more; give z-scored values to weigh them alike.

    Parameters
    ----------
    truth, prediction
        Values at the moment forecast, shape ``(moment,)``.
    last
        The last value known when the forecast was made, shape ``(moment,)``.

    Raises
    ------
    ValueError
        If the columns differ in length, are empty or hold NaN (the message gives the count); if copy-last is without
        error, for then no forecast could be better.

    References
    ----------
    Murphy 1988, Monthly Weather Review 116:2417: skill from the mean squared error, persistence as reference.
    """
    check_columns(truth=truth, prediction=prediction, last=last)
    error_of_last = mean_squared_error(truth, last)
    if error_of_last == 0:
        raise ValueError(
            f"copying the last value is without error over {truth.size} moments, so skill over it is undefined; "
            "leave out the channels that never change"
        )
    return float(1.0 - mean_squared_error(truth, prediction) / error_of_last)


def chance(truth: NDArray[np.floating]) -> float:
    """Return 0: the skill of copying the last value, by definition."""
    return 0.0
