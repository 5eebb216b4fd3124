"""Windows: equally long stretches of a recording's samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.splits import Stretch

MOST_SAMPLES = 2**52
"""Sample numbers up to here are exact as float64."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Equally long windows, described by runs of equally spaced ones instead of one object or number per window.

    Windows are counted through, run after run. Window ``k`` of a run begins at ``begin + k * stride``, its last one at
    ``last``.

    Parameters
    ----------
    recording_ids
        The recordings, in the order they are numbered in.
    length
        Samples per window.
    recording
        Number of each run's recording, ``(run,)``.
    begin, last
        First sample of each run's first and last window, ``(run,)``.
    count
        Windows of each run, one at least, ``(run,)``.
    stride
        Samples from one window's start to the next one's, ``(run,)``.
    lowest, highest
        First samples that a shifted window of each run may have, ``(run,)``: it still lies inside its stretch.
        ``begin`` and ``last`` where None.
    jitter
        See `with_jitter`.
    """

    recording_ids: tuple[str, ...]
    length: int
    recording: NDArray[np.int32]
    begin: NDArray[np.int64]
    count: NDArray[np.int64]
    stride: NDArray[np.int64]
    last: NDArray[np.int64]
    lowest: NDArray[np.int64] | None = None
    highest: NDArray[np.int64] | None = None
    jitter: int = 0

    @cached_property
    def after(self) -> NDArray[np.int64]:
        """Number of the window after each run's last one, not counting shifts, ``(run,)``."""
        return np.cumsum(self.count, dtype=np.int64)

    @property
    def n_shifts(self) -> int:
        """Numbers that each window has: 1 without jitter."""
        return 2 * self.jitter + 1

    def __len__(self) -> int:
        return int(self.after[-1]) * self.n_shifts if len(self.count) else 0

    def locate(self, index: int) -> tuple[str, int]:
        """Return a window's recording id and first sample."""
        recordings, firsts = self.locate_many(np.array([index], np.int64))
        return self.recording_ids[int(recordings[0])], int(firsts[0])

    def locate_many(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the recording numbers and first samples of windows, each ``(index,)``.

        Parameters
        ----------
        indices
            Numbers of windows, ``(index,)``; below 0 they count from the end.

        Raises
        ------
        IndexError
            If there is no such window; names the first one.
        """
        wanted = np.asarray(indices, np.int64)
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        wrong = np.flatnonzero((wanted < 0) | (wanted >= len(self)))
        if wrong.size:
            raise IndexError(f"window {indices[wrong[0]]} of {len(self)}")
        window, shift = (wanted, None) if not self.jitter else np.divmod(wanted, self.n_shifts)
        run = np.searchsorted(self.after, window, side="right")
        place = window - (self.after[run] - self.count[run])
        firsts = np.minimum(self.begin[run] + place * self.stride[run], self.last[run])
        if shift is not None:
            lowest = self.begin if self.lowest is None else self.lowest
            highest = self.last if self.highest is None else self.highest
            firsts = np.clip(firsts + shift - self.jitter, lowest[run], highest[run])
        return self.recording[run].astype(np.int64), firsts

    def with_jitter(self, samples: int) -> Windows:
        """Return windows that have one number per shift of up to ``samples``, to draw from.

        Each window then has ``2 * samples + 1`` numbers, one after the other; a number drawn evenly is a window drawn
        evenly and a shift drawn evenly. A shift that would leave the window's stretch ends at its edge. For drawing
        only: what covers or shuffles windows should do so without.
        """
        if samples < 0:
            raise NeurodataError(f"jitter must be zero samples or more, got {samples}")
        return replace(self, jitter=int(samples))

    @cached_property
    def digest(self) -> str:
        """sha256 of all that says which windows these are: the same number then means the same window."""
        digest = hashlib.sha256(json.dumps([self.recording_ids, self.length, self.jitter]).encode())
        for values in (self.recording, self.begin, self.count, self.stride, self.last, self.lowest, self.highest):
            digest.update(b"none" if values is None else np.ascontiguousarray(values, "<i8").tobytes())
        return digest.hexdigest()


def whole_samples(window_seconds: float, rate_hz: float) -> int:
    """Return the samples of a window.

    Raises
    ------
    NeurodataError
        If they are not a whole number.
    """
    samples = window_seconds * rate_hz
    if abs(samples - round(samples)) > 1e-6 or round(samples) < 1:
        raise NeurodataError(
            f"a window of {window_seconds:g} s at {rate_hz:g} Hz is {samples:g} samples; "
            "choose lengths that give a whole number"
        )
    return round(samples)


def make_windows(
    stretches: Sequence[Stretch], rate_hz: float, window_seconds: float, stride_seconds: float | None = None
) -> Windows:
    """Cut stretches into windows that lie wholly inside them.

    Parameters
    ----------
    stretches
        One part of a split.
    rate_hz
        Rate of the windows' clock; sample ``k`` is taken at ``k / rate_hz``.
    window_seconds
        Length of a window.
    stride_seconds
        From one window's start to the next one's; one sample where None. The last window is moved back to end with
        the stretch, so every sample of a stretch is in at least one window.

    Raises
    ------
    NeurodataError
        If the window is not a whole number of samples, no stretch is as long as a window (gives the longest one), or a
        stretch ends beyond any clock.

    Examples
    --------
    >>> windows = make_windows([Stretch("a/b", 0, 10)], rate_hz=2, window_seconds=4, stride_seconds=4)
    >>> [windows.locate(i) for i in range(len(windows))]
    [('a/b', 0), ('a/b', 8), ('a/b', 12)]
    """
    check_positive("rate_hz", rate_hz)
    check_positive("window_seconds", window_seconds)
    length = whole_samples(window_seconds, rate_hz)
    if stride_seconds is not None:
        check_positive("stride_seconds", stride_seconds)
    stride = 1 if stride_seconds is None else max(1, round(stride_seconds * rate_hz))
    begin, end = first_samples(stretches, rate_hz)
    last = end - length
    kept = np.flatnonzero(last >= begin)
    if not kept.size:
        longest = max((s.stop - s.start for s in stretches), default=0.0)
        raise NeurodataError(f"no stretch holds a window of {window_seconds:g} s; the longest lasts {longest:g} s")
    recording_ids, recording = number_recordings(stretches)
    begin, last = begin[kept], last[kept]
    count = -((begin - last) // stride) + 1  # rounded up: the last one is moved back
    return Windows(recording_ids, length, recording[kept], begin, count, np.full(kept.size, stride, np.int64), last)


def first_samples(stretches: Sequence[Stretch], rate_hz: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first sample inside each stretch and the first one after it, each ``(stretch,)``."""
    edges = np.array([(s.start, s.stop) for s in stretches], np.float64).reshape(-1, 2)
    # A product that misses a whole number by its last bits is that number.
    samples = np.ceil(edges * rate_hz - 1e-9)
    if np.any(np.abs(samples) > MOST_SAMPLES):
        where = stretches[int(np.argmax(np.abs(samples).max(axis=1)))]
        raise NeurodataError(
            f"{where.recording_id}: [{where.start:g}, {where.stop:g}) s is too far out to count samples"
        )
    return samples[:, 0].astype(np.int64), samples[:, 1].astype(np.int64)


def number_recordings(stretches: Sequence[Stretch]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the recordings of stretches, in order of appearance, and each stretch's number among them."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(stretch.recording_id, len(numbers)) for stretch in stretches]
    return tuple(numbers), np.array(found, np.int32)
