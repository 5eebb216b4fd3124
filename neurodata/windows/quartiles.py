"""Exact quartiles per channel id of more values than fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Piece = tuple[NDArray[np.floating], NDArray[np.int64]]
"""Values ``(time, channel)`` and the channels' ids ``(channel,)``."""

_DIGIT = 8
"""Bits found per pass: four passes over the data, and three times 256 counters (6 KiB) per id and per channel."""

_BLOCK = 1 << 20
"""Values looked at at once: 4 MiB as float32, some 40 MiB with what is made of them."""

_SIGN, _MISSING = np.uint32(1 << 31), np.uint32((1 << 32) - 1)
"""The bit of the sign, and what stands for missing values: larger than any value, so no quartile's rank is reached."""


def quartiles(pieces: Callable[[], Iterable[Piece]], n_channel_ids: int) -> NDArray[np.float64]:
    """Return the lower quartile, the median and the upper quartile of each id's finite values, ``(3, channel id)``.

    They are exact for float32 values, whatever their number, order or range, and without random numbers: the bits of a
    float32 sort as the float does, so each quartile is found digit by digit, by counting. numpy's name for the
    definition is ``inverted_cdf``: each is one of the values, and nothing lies between two of them.

    Parameters
    ----------
    pieces
        Called once per pass (four times) for the same pieces; each is looked at a block at a time, as float32.
    n_channel_ids
        Number of ids.

    Returns
    -------
    found
        NaN for ids without a finite value.
    """
    known = np.zeros((3, n_channel_ids), np.uint32)
    ranks = count = np.zeros((3, n_channel_ids), np.int64)
    for shift in range(32 - _DIGIT, -1, -_DIGIT):
        counters = _count_digits(pieces(), known, shift)
        if shift == 32 - _DIGIT:
            count = counters.sum(2)
            ranks = (count * np.array([[1], [2], [3]]) + 3) // 4 - 1
        up_to = counters.cumsum(2)
        digit = (up_to <= ranks[..., None]).sum(2)
        ranks = ranks - np.take_along_axis(up_to - counters, digit[..., None], 2)[..., 0]
        known = (known << np.uint32(_DIGIT)) | digit.astype(np.uint32)
    return np.where(count > 0, _floats(known), np.nan)


def _count_digits(pieces: Iterable[Piece], known: NDArray[np.uint32], shift: int) -> NDArray[np.int64]:
    """How often each next digit follows the digits known so far, ``(3, channel id, digit)``.

    Parameters
    ----------
    pieces
        All values.
    known
        Leading digits of each quartile, ``(3, channel id)``.
    shift
        Bits behind the digit that is counted.
    """
    counters = np.zeros((*known.shape, 1 << _DIGIT), np.int64)
    for values, ids in pieces:
        found = np.zeros((3, len(ids) << _DIGIT), np.int64)
        columns = np.tile(np.arange(len(ids)) << _DIGIT, min(len(values), _rows_of(values)))
        for keys in _blocks(values):
            leading = (keys >> np.uint32(shift)).ravel()
            if shift == 32 - _DIGIT:  # nothing is known yet, so all three count the same
                found += np.bincount(leading + columns[: leading.size], minlength=found.shape[1])
                found[:, (1 << _DIGIT) - 1 :: 1 << _DIGIT] -= np.count_nonzero(keys == _MISSING, axis=0)
                continue
            before = keys >> np.uint32(shift + _DIGIT)
            for quartile in range(3):
                fitting = np.flatnonzero(before == known[quartile, ids])
                places = (leading[fitting] & np.uint32((1 << _DIGIT) - 1)) + columns[fitting]
                found[quartile] += np.bincount(places, minlength=found.shape[1])
        for quartile in range(3):  # several channels may have one id
            np.add.at(counters[quartile], ids, found[quartile].reshape(len(ids), -1))
    return counters


def _rows_of(values: NDArray[np.floating]) -> int:
    """Samples of a block."""
    n_channels: int = values.shape[1]
    return max(1, _BLOCK // max(1, n_channels))


def _blocks(values: NDArray[np.floating]) -> Iterator[NDArray[np.uint32]]:
    """Blocks of values as numbers in the same order, uint32 ``(time, channel)``; `_MISSING` where not finite.

    The bits of a float32 are such numbers once those of negative values are turned, and the sign of all others.
    """
    rows = _rows_of(values)
    for first in range(0, len(values) if values.shape[1] else 0, rows):
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            block = np.ascontiguousarray(values[first : first + rows], np.float32)
        turned = (block.view(np.int32) >> 31).view(np.uint32) | _SIGN
        keys = block.view(np.uint32) ^ turned
        keys[~np.isfinite(block)] = _MISSING
        yield keys


def _floats(keys: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The values that `_blocks` made numbers of; 0.0 is added so that there is no -0."""
    bits = np.where(keys & _SIGN, keys & ~_SIGN, ~keys)
    with np.errstate(invalid="ignore"):  # ids without values have some bits or other
        return bits.view(np.float32).astype(np.float64) + 0.0
