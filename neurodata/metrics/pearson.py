"""Pearson's correlation coefficient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurodata.metrics._columns import check_columns

kind = "continuous"
needs: tuple[str, ...] = ("truth", "prediction")
PERFECT = 1.0


def pearson(truth: NDArray[np.floating], prediction: NDArray[np.floating]) -> float:
    """Return the linear correlation of truth and prediction: 1 is perfect, 0 is chance, −1 is upside down.

    Scale and offset do not count; read it beside R². A constant prediction follows nothing and scores 0, so that the
    baseline "always the mean" has a score.

    Parameters
    ----------
    truth, prediction
        Values, shape ``(moment,)``.

    Raises
    ------
    ValueError
        If the columns differ in length, are empty or hold NaN (the message gives the count); if the truth is
        constant, for then no prediction could correlate with it.
    """
    check_columns(truth=truth, prediction=prediction)
    if np.ptp(truth) == 0:
        raise ValueError(
            f"truth is constant ({truth[0]}) over {truth.size} moments, so a correlation is undefined; leave it out"
        )
    if np.ptp(prediction) == 0:
        return 0.0
    return float(np.corrcoef(truth.astype(np.float64), prediction.astype(np.float64))[0, 1])


def chance(truth: NDArray[np.floating]) -> float:
    """Return 0: the expected correlation with the truth in shuffled order."""
    return 0.0
