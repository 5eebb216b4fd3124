"""Balanced accuracy: the mean of the classes' recalls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import recall_score

from neurodata.metrics._columns import check_class_columns

kind = "class"
needs: tuple[str, ...] = ("truth", "prediction")
PERFECT = 1.0


def balanced_accuracy(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
    """Return the recall averaged over the classes present in the truth: 1 is perfect, 1 / classes is chance.

    A rare class weighs as much as a common one. A class that the truth does not hold has no recall and does not
    count; predicting it costs the class that was meant. ``sklearn.metrics.balanced_accuracy_score`` gives the same
    number but warns in that case, and a worm that never turns is no reason to warn.

    Parameters
    ----------
    truth, prediction
        Integer class codes, shape ``(moment,)``.

    Raises
    ------
    ValueError
        If the columns differ in length, are empty, or hold NaN (the message gives the count) or anything but codes.

    Examples
    --------
    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    check_class_columns(truth=truth, prediction=prediction)
    return float(recall_score(truth, prediction, labels=np.unique(truth), average="macro", zero_division=0))


def chance(truth: NDArray[np.integer]) -> float:
    """Return one over the number of classes present: what any prediction made without a look at the data expects."""
    return 1.0 / np.unique(truth).size
