"""Coefficient of determination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from neurodata.metrics._columns import check_columns

kind = "continuous"
needs: tuple[str, ...] = ("truth", "prediction")
PERFECT = 1.0


def r2(truth: NDArray[np.floating], prediction: NDArray[np.floating]) -> float:
    """Return the share of the truth's variance that is predicted: 1 is perfect, 0 is chance (the truth's own mean).

    It has no lower end: a prediction of the wrong scale or offset falls far below 0.

    Parameters
    ----------
    truth, prediction
        Values in one unit, shape ``(moment,)``.

    Raises
    ------
    ValueError
        If the columns differ in length, are empty or hold NaN (the message gives the count); if the truth is
        constant, for then there is no variance to predict and any number would mislead.
    """
    check_columns(truth=truth, prediction=prediction)
    if np.ptp(truth) == 0:
        raise ValueError(f"truth is constant ({truth[0]}) over {truth.size} moments, so R² is undefined; leave it out")
    return float(r2_score(truth, prediction))


def chance(truth: NDArray[np.floating]) -> float:
    """Return 0: the score of the truth's own mean, the best prediction that knows nothing of the moment."""
    return 0.0
