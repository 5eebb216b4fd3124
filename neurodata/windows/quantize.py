"""Signals in two bytes a value, with the error stated: half the disk and memory of float32.

``float16`` keeps 11 bits of every value, so the error follows the value's size; ``int16`` cuts each channel's range into
65,534 equal steps, so the error is at most half a step everywhere, large where one artefact stretches the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_option
from neurodata.errors import NeurodataError

FLOAT16, INT16 = "float16", "int16"
MISSING = -32768
"""What stands for NaN in int16; values use -32767 to 32767."""

_MOST = 32767
_FLOAT16_EXPONENT = 15
"""The largest value of a channel comes to lie below 2**15: no rounding reaches float16's end (65504), and only values
2**29 times smaller lose bits."""

_LARGEST = 1e37
"""Nearer to the end of float32 a decoded value could round to infinity."""

Stored = NDArray[np.float16] | NDArray[np.int16]


@dataclass(frozen=True)
class Encoded:
    """A signal in two bytes a value.

    Parameters
    ----------
    stored
        float16 or int16 ``(time, channel)``; NaN is NaN or `MISSING`.
    scale
        Value of one stored unit, in the signal's units, float32 ``(channel,)``; a power of two for float16.
    offset
        Value of a stored 0, float32 ``(channel,)``; None for float16, where it is 0.
    largest_error
        Measured by decoding again, in the signal's units, ``(channel,)``; 0 where all is NaN.
    """

    stored: Stored
    scale: NDArray[np.float32]
    offset: NDArray[np.float32] | None
    largest_error: NDArray[np.float64]


def encode(values: NDArray[np.float32], dtype: str) -> Encoded:
    """Return a whole signal ``(time, channel)`` in ``float16`` or ``int16``.

    Raises
    ------
    NeurodataError
        As `make_encoder`.
    """
    unknown = np.full(values.shape[1:], np.nan, np.float32)
    minimum, maximum = (f.reduce(values, axis=0) if len(values) else unknown for f in (np.fmin, np.fmax))
    encoder = make_encoder(minimum, maximum, dtype)
    return Encoded(encoder.encode(values), encoder.scale, encoder.offset, encoder.largest_error)


def make_encoder(minimum: NDArray[np.floating[Any]], maximum: NDArray[np.floating[Any]], dtype: str) -> Encoder:
    """Return what encodes a signal block by block, from each channel's extremes.

    Parameters
    ----------
    minimum, maximum
        Smallest and largest value of each channel in any block, ``(channel,)``; NaN where it has none.
    dtype
        ``float16`` or ``int16``.

    Raises
    ------
    NeurodataError
        If the type is another one, or a channel has values beyond 1e37.
    """
    check_option("type to encode in", dtype, (FLOAT16, INT16))
    low, high = (np.asarray(extreme, np.float64) for extreme in (minimum, maximum))
    infinite = np.flatnonzero((np.abs(low) > _LARGEST) | (np.abs(high) > _LARGEST))
    if infinite.size:
        raise NeurodataError(
            f"{dtype} cannot hold the values of channel {infinite[0]}"
            f"{f' and {infinite.size - 1} more' if infinite.size > 1 else ''}, which are infinite or beyond {_LARGEST:g}; keep float32, or store NaN for missing values"
        )
    low, high = np.nan_to_num(low), np.nan_to_num(high)
    return Encoder(dtype, *(_power_of_two(low, high) if dtype == FLOAT16 else _steps(low, high)))


def _power_of_two(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.float32], None]:
    _, exponent = np.frexp(np.maximum(np.abs(low), np.abs(high)))
    # The scale itself must be a normal float32; signals below 1e-33 lose bits, and the measured error says so.
    return np.ldexp(np.float32(1), np.maximum(exponent - _FLOAT16_EXPONENT, -126)).astype(np.float32), None


def _steps(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    offset = ((low + high) / 2).astype(np.float32)
    half = np.maximum(high - offset, offset - low)  # of the rounded offset, so that both ends are reached
    scale = np.nextafter((half / _MOST).astype(np.float32), np.float32(np.inf))
    return np.maximum(scale, np.finfo(np.float32).tiny), offset


class Encoder:
    """Encodes blocks of a signal and keeps the largest error it made; from `make_encoder`."""

    def __init__(self, dtype: str, scale: NDArray[np.float32], offset: NDArray[np.float32] | None) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.scale, self.offset = scale, offset
        self.largest_error = np.zeros(scale.shape, np.float64)

    def encode(self, block: NDArray[np.float32]) -> Stored:
        """Return a block ``(time, channel)`` as stored.

        Raises
        ------
        NeurodataError
            If a value lies outside the extremes that were given.
        """
        stored = self._to_float16(block) if self.offset is None else self._to_int16(block, self.offset)
        decoded = np.empty(block.shape, np.float32)
        decode_into(stored, self.scale, self.offset, decoded)
        decoded -= block
        error = np.fmax.reduce(np.abs(decoded, out=decoded), axis=0, initial=0)
        np.maximum(self.largest_error, error, out=self.largest_error)
        return stored

    def _to_float16(self, block: NDArray[np.float32]) -> NDArray[np.float16]:
        scaled = block / self.scale
        self._check_range(scaled, 2.0**_FLOAT16_EXPONENT)
        return scaled.astype(np.float16)

    def _to_int16(self, block: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.int16]:
        steps = np.subtract(block, offset, dtype=np.float64)  # in float32 a step could get lost in a large offset
        steps /= self.scale
        np.rint(steps, out=steps)
        self._check_range(steps, _MOST)
        steps[np.isnan(steps)] = MISSING
        return steps.astype(np.int16)

    def _check_range(self, scaled: NDArray[np.floating[Any]], most: float) -> None:
        largest = np.fmax.reduce(np.abs(scaled), axis=None, initial=0)
        if largest > most:
            raise NeurodataError(
                f"a value lies {largest / most:.3g} times outside the range that {self.dtype} was set up for; "
                "give make_encoder the extremes of the whole signal"
            )

    def facts(self) -> dict[str, Any]:
        """Return scale, offset (int16) and largest error so far, as JSON."""
        offset = {} if self.offset is None else {"offset": self.offset.tolist()}
        return {"scale": self.scale.tolist(), **offset, "largest_error": self.largest_error.tolist()}


def decode_into(
    stored: NDArray[np.generic],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32] | None,
    out: NDArray[np.float32],
) -> None:
    """Write the values of stored ones into ``out``, float32 of the same shape ``(…, channel)``."""
    if offset is None:
        _widen(stored.view(np.int16), out)
        out *= scale
        return
    np.multiply(stored, scale, out=out)
    out += offset
    if stored.size and stored.min() == MISSING:
        out[stored == MISSING] = np.nan


def _widen(halves: NDArray[np.int16], out: NDArray[np.float32]) -> None:
    """Write float16 values, given as their bits, as float32: eight times as quick as numpy's own conversion.

    The bits of exponent and fraction move to where float32 has them, and a multiplication puts the exponent's bias
    right. The exponent that means NaN then is a plain large number, so NaN is written over it.
    """
    bits = out.view(np.int32)
    bits[...] = halves
    bits <<= 13
    bits &= ~0x70001FFF  # the sign was copied into three bits beside it
    out *= np.float32(2.0**112)
    magnitude = halves & 0x7FFF
    if magnitude.size and magnitude.max() >= 0x7C00:
        out[magnitude >= 0x7C00] = np.nan
