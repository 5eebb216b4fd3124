"""When the samples of a regular signal were taken."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError


@dataclass(frozen=True)
class Clock:
    """When the samples of a regular signal were taken.

    Sample ``i`` of the array belongs to the last segment whose ``first`` is not above ``i`` and was taken at
    ``start + (i - first) / rate_hz``: one division per sample, so no step is ever added up and nothing drifts.

    Parameters
    ----------
    rate_hz
        Samples per second (per frame, i.e. 1, where ``unit`` is ``"frame"``).
    size
        Number of samples.
    starts
        Time of each segment's first sample in seconds, shape ``(segment,)``. One segment where there is no gap.
    firsts
        Position of each segment's first sample in the (whole) array, shape ``(segment,)``.
    offset
        Position on the original clock of this one's first sample (``a`` after ``[a:]``).
    stride
        Samples of the original clock per sample of this one (2 after ``[::2]``).
    unit
        ``"seconds"``, or ``"frame"`` where nobody has stated the rate.

    Raises
    ------
    NeurodataError
        If the rate is no positive number, or segments lack a finite start or a first sample.
    """

    rate_hz: float
    size: int
    starts: tuple[float, ...] = (0.0,)
    firsts: tuple[int, ...] = (0,)
    offset: int = 0
    stride: int = 1
    unit: str = names.SECONDS

    def __post_init__(self) -> None:
        check_positive("the sampling rate", self.rate_hz)
        if not self.starts or len(self.starts) != len(self.firsts) or not all(map(math.isfinite, self.starts)):
            raise NeurodataError(
                f"segments need one finite start in seconds and one first sample each, got starts {self.starts} and "
                f"first samples {self.firsts}"
            )

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Starts and firsts as arrays."""
        return np.asarray(self.starts, dtype=np.float64), np.asarray(self.firsts, dtype=np.int64)

    def times(self, positions: NDArray[Any]) -> NDArray[np.float64]:
        """Return the times of samples, shape of ``positions``, seconds (frames where the rate is unknown)."""
        original = np.asarray(positions, dtype=np.int64) * self.stride + self.offset
        starts, firsts = self._table
        segment = np.clip(np.searchsorted(firsts, original, side="right") - 1, 0, None)
        return np.asarray(starts[segment] + (original - firsts[segment]) / self.rate_hz)

    def time(self, position: int) -> float:
        """Return the time of one sample."""
        return float(self.times(np.asarray(position)))

    def position(self, time: float) -> int:
        """Return the position of the first sample taken at ``time`` or later (``size`` where there is none)."""
        return bisect.bisect_left(range(self.size), time, key=self.time)

    def positions(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the position of the sample nearest to each time (the earlier of two equally near)."""
        starts, firsts = self._table
        segment = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
        original = firsts[segment] + (np.asarray(times) - starts[segment]) * self.rate_hz
        original = np.clip(original, firsts[segment], np.append(firsts[1:], np.inf)[segment])
        left = np.clip(np.floor((original - self.offset) / self.stride), 0, max(self.size - 2, 0)).astype(np.int64)
        right = np.minimum(left + 1, max(self.size - 1, 0))
        return np.asarray(np.where(times - self.times(left) <= self.times(right) - times, left, right))

    def slice(self, wanted: slice) -> Clock:
        """Return the clock of ``array[wanted]``."""
        chosen = range(self.size)[wanted]
        if chosen.step < 0:
            raise NeurodataError("a signal cannot be reversed in time; use a slice with a positive step")
        return Clock(
            self.rate_hz,
            len(chosen),
            self.starts,
            self.firsts,
            self.offset + chosen.start * self.stride,
            self.stride * chosen.step,
            self.unit,
        )

    @property
    def sampling_rate_hz(self) -> float:
        """Samples per second after any stride."""
        return self.rate_hz / self.stride

    def segments(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return start times (seconds) and first positions of the gapless stretches, each shape ``(segment,)``."""
        firsts = [max(0, math.ceil((first - self.offset) / self.stride)) for first in self.firsts]
        kept = [first for first, after in zip(firsts, [*firsts[1:], self.size]) if first < min(after, self.size)]
        positions = np.asarray(kept or [0], dtype=np.int64)
        return self.times(positions), positions
