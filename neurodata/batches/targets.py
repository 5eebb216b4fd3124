"""What training samples say of a target: how often each class occurs, where each output lies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import NeurodataError


def count_classes(pieces: Iterable[NDArray[np.int64]], n_classes: int) -> NDArray[np.int64]:
    """Return how many samples each class has, shape ``(class,)``; samples that are not labelled (-1) are left out."""
    counts = np.zeros(n_classes, np.int64)
    for codes in pieces:
        counts += np.bincount(codes[codes >= 0], minlength=n_classes)
    return counts


def describe_outputs(
    pieces: Iterable[NDArray[np.float32]], outputs: Sequence[str], target: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each output, both ``(output,)``; an output that never changes has 1.

    Parameters
    ----------
    pieces
        Values ``(time, output)``, NaN where missing.
    outputs, target
        Their names, for the message.

    Raises
    ------
    NeurodataError
        If an output has no value; names it.
    """
    values = np.concatenate([np.asarray(piece, np.float64) for piece in pieces])
    lacking = [name for name, known in zip(outputs, np.asarray(np.isfinite(values).any(axis=0))) if not known]
    if lacking:
        raise NeurodataError(f"target {target!r}: {', '.join(lacking)} has no value in the training part")
    std = np.nanstd(values, axis=0)
    return np.nanmean(values, axis=0), np.where(std > 0, std, 1.0)
