"""Macro F1: the mean of the classes' F1 scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from neurodata.metrics._columns import check_class_columns

kind = "class"
needs: tuple[str, ...] = ("truth", "prediction")
PERFECT = 1.0


def macro_f1(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
    """Return F1 averaged over the classes present in the truth: 1 is perfect, 1 / classes is chance.

    Unlike balanced accuracy it also falls when a rare class is predicted too often. A class that the truth does not
    hold does not count by itself.

    Parameters
    ----------
    truth, prediction
        Integer class codes, shape ``(moment,)``.

    Raises
    ------
    ValueError
        If the columns differ in length, are empty, or hold NaN (the message gives the count) or anything but codes.
    """
    check_class_columns(truth=truth, prediction=prediction)
    return float(f1_score(truth, prediction, labels=np.unique(truth), average="macro", zero_division=0))


def chance(truth: NDArray[np.integer]) -> float:
    """Return the expected score of the truth in shuffled order: one over the number of classes present.

    With both margins equal to a class's share p, its precision and recall are p on average and F1 = 2TP / (2np) has
    the expectation p; the mean of the shares over the classes is 1 / classes.
    """
    return 1.0 / np.unique(truth).size
