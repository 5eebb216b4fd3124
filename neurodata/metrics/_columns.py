"""Checks every metric makes of its columns; raises ``ValueError``, for metrics import nothing of the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_columns(**columns: NDArray[np.generic]) -> None:
    """Raise unless the columns are equally long, one-dimensional, not empty and free of NaN and infinity.

    Parameters
    ----------
    columns
        Name → values, each of shape ``(moment,)``.

    Raises
    ------
    ValueError
        Naming the shapes, or the column and the count of missing values.
    """
    shapes = {name: values.shape for name, values in columns.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"expected one-dimensional columns of one length, got shapes {shapes}")
    for name, values in columns.items():
        if values.size == 0:
            raise ValueError(f"{name} is empty; a score needs at least one moment")
        if np.issubdtype(values.dtype, np.inexact) and (missing := int((~np.isfinite(values)).sum())):
            raise ValueError(
                f"{missing} of {values.size} {name} values are NaN or infinite; drop these moments before scoring"
            )


def check_class_columns(**columns: NDArray[np.generic]) -> None:
    """Raise unless the columns pass :func:`check_columns` and hold integer class codes.

    Raises
    ------
    ValueError
        As :func:`check_columns`, or naming the column and its type.
    """
    check_columns(**columns)
    for name, values in columns.items():
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} must hold integer class codes, got {values.dtype}")
