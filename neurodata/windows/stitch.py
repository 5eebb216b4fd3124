"""Predictions of overlapping windows put together into one value per sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import NeurodataError
from neurodata.windows.select import Windows


@dataclass(frozen=True, eq=False)
class Stitched:
    """What was predicted for one recording.

    Parameters
    ----------
    recording_id
        Which.
    samples
        Positions on the windows' clock that a window covers, rising, ``(time,)``.
    values
        Predictions, ``(time, …)``.
    truth
        What is true there, ``(time, …)``; ``(0,)`` where none was given.
    """

    recording_id: str
    samples: NDArray[np.int64]
    values: NDArray[np.float64]
    truth: NDArray[Any]


def middle_weights(length: int) -> NDArray[np.float64]:
    """Return weights that are largest in a window's middle and small at its ends, ``(time,)``.

    At its ends a network has seen least of what lies around.
    """
    return np.asarray(1.0 - np.abs(np.linspace(-1, 1, length + 2)[1:-1]), np.float64)


class Stitcher:
    """Weighted mean of overlapping windows, for predictions that come in any order.

    The result does not depend on that order, to the last bit: a window that comes early is kept until those before it
    have come. Windows in order (`neurodata.batches.sampling.CoveringWindows`) thus need one recording's samples of
    memory, windows in random order all predictions of the recordings begun. Where one window only covers a sample,
    or all agree, the value is theirs exactly.

    Parameters
    ----------
    windows
        All windows that are predicted, by all processes together.
    weight
        How much each sample of a window counts, above 0, ``(time,)``; `middle_weights` where None.

    Raises
    ------
    NeurodataError
        If the weights do not fit, or the windows are shifted at random.
    """

    def __init__(self, windows: Windows, weight: NDArray[np.float64] | None = None) -> None:
        if windows.jitter:
            raise NeurodataError("windows with jitter are for drawing; stitch the windows they were made from")
        self.windows = windows
        self.weight = middle_weights(windows.length) if weight is None else np.asarray(weight, np.float64)
        if self.weight.shape != (windows.length,) or not np.all(np.isfinite(self.weight) & (self.weight > 0)):
            raise NeurodataError(
                f"weights are {windows.length} finite numbers above 0, one per sample of a window; got shape "
                f"{self.weight.shape}"
            )
        self._order = np.argsort(windows.recording, kind="stable")
        self._sorted = windows.recording[self._order]
        self._open: dict[int, _Recording] = {}
        self._done: set[int] = set()

    def add(
        self,
        recording: NDArray[np.int64],
        first: NDArray[np.int64],
        values: NDArray[Any],
        truth: NDArray[Any] | None = None,
    ) -> list[Stitched]:
        """Take a batch in, and return the recordings that it completes.

        Parameters
        ----------
        recording, first
            Number of each window's recording and its first sample, ``(window,)``.
        values
            Predictions, ``(window, time, …)``.
        truth
            What is true, ``(window, time, …)``.

        Raises
        ------
        NeurodataError
            If a window is not one of those expected, or came before.
        """
        finished = []
        for row, (number, begin) in enumerate(zip(np.asarray(recording).tolist(), np.asarray(first).tolist())):
            found = self._of(number)
            if not found.take(begin, values[row], None if truth is None else truth[row]):
                name = self.windows.recording_ids[number]
                raise NeurodataError(
                    f"{name}: the window from sample {begin} on is not expected, or came twice; stitch each window of "
                    "the windows given once (under DDP: CoveringWindows, not a sampler that pads)"
                )
            finished += self._finished(number)
        return finished

    def merge(self, other: Stitcher) -> list[Stitched]:
        """Take in what another process has not finished, and return the recordings that it completes.

        Raises
        ------
        NeurodataError
            If the other one stitches other windows, or has taken in the same ones.
        """
        if other.windows.digest != self.windows.digest:
            raise NeurodataError("the other process stitches other windows; give both the same ones")
        finished = []
        for number, theirs in other._open.items():
            ours = self._of(number)
            if not ours.unite(theirs):
                name = self.windows.recording_ids[number]
                raise NeurodataError(f"{name}: two processes predicted the same window; give each its own share")
            finished += self._finished(number)
        return finished

    def finish(self) -> None:
        """Raise where windows of a recording that was begun have not come; names it."""
        for number, found in self._open.items():
            raise NeurodataError(
                f"{self.windows.recording_ids[number]}: {found.left.sum()} of {found.times.sum()} windows have not been "
                "predicted, so nothing can be said of all its samples"
            )

    def _of(self, number: int) -> _Recording:
        if number in self._done or not 0 <= number < len(self.windows.recording_ids):
            raise NeurodataError(f"recording {number} is complete already, or not among the windows to be stitched")
        if number not in self._open:
            low, high = np.searchsorted(self._sorted, [number, number + 1])
            self._open[number] = _Recording(*self._firsts(self._order[low:high]), self.weight)
        return self._open[number]

    def _firsts(self, runs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First samples of the windows of runs, sorted, each once, and how often each occurs."""
        w = self.windows
        count = w.count[runs]
        place = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        begin, stride, last = (np.repeat(values[runs], count) for values in (w.begin, w.stride, w.last))
        return np.unique(np.minimum(begin + place * stride, last), return_counts=True)

    def _finished(self, number: int) -> list[Stitched]:
        if self._open[number].left.any():
            return []
        self._done.add(number)
        return [self._open.pop(number).stitched(self.windows.recording_ids[number])]


class _Recording:
    """Running means of one recording; windows are folded in one after the other, in order of time."""

    def __init__(self, firsts: NDArray[np.int64], times: NDArray[np.int64], weight: NDArray[np.float64]) -> None:
        self.firsts, self.times, self.weight = firsts, times, weight
        self.left = times.copy()  # how often each window is still to come: overlapping stretches may share one
        self.next = 0  # windows before this one are folded in
        self.waiting: dict[int, tuple[NDArray[Any], NDArray[Any] | None]] = {}
        self.mean: NDArray[np.float64] | None = None
        self.truth: NDArray[Any] | None = None
        self.total: NDArray[np.float64] = np.zeros(0)

    def take(self, first: int, values: NDArray[Any], truth: NDArray[Any] | None) -> bool:
        """Keep or fold in a window; False where it is not expected or was there."""
        place = int(np.searchsorted(self.firsts, first))
        if place == len(self.firsts) or self.firsts[place] != first or not self.left[place]:
            return False
        if len(values) != len(self.weight) or (truth is not None and len(truth) != len(self.weight)):
            raise NeurodataError(f"a prediction has {len(self.weight)} samples like its window, got {len(values)}")
        self.left[place] -= 1
        if place >= self.next and place not in self.waiting:
            # A copy: what is kept must not hold the whole batch in memory.
            kept = place > self.next
            self.waiting[place] = (np.array(values), None if truth is None else np.array(truth)) if kept else (values, truth)  # fmt: skip
            self._fold_all()
        return True

    def unite(self, other: _Recording) -> bool:
        """Take in another process's share; False where the two have a window in common."""
        left = self.left + other.left - self.times
        if np.any(left < 0):
            return False
        self.left, self.waiting = left, {**other.waiting, **self.waiting}
        if other.next > self.next:
            self.mean, self.truth, self.total, self.next = other.mean, other.truth, other.total, other.next
        for place in [place for place in self.waiting if place < self.next]:
            del self.waiting[place]
        self._fold_all()
        return True

    def _fold_all(self) -> None:
        """Fold in what is next, as far as it has come."""
        while self.next in self.waiting:
            self._fold(int(self.firsts[self.next]), *self.waiting.pop(self.next))

    def _fold(self, first: int, values: NDArray[Any], truth: NDArray[Any] | None) -> None:
        begin, length = int(self.firsts[0]), len(self.weight)
        if self.mean is None:
            span = int(self.firsts[-1]) + length - begin
            self.mean, self.total = np.zeros((span, *values.shape[1:])), np.zeros(span)
            self.truth = None if truth is None else np.zeros((span, *truth.shape[1:]), truth.dtype)
        here = slice(first - begin, first - begin + length)
        self.total[here] += self.weight
        # As a step towards the new value: exact where it is the first one, or says what the others said.
        share = (self.weight / self.total[here]).reshape(-1, *[1] * (values.ndim - 1))
        self.mean[here] += share * (np.asarray(values, np.float64) - self.mean[here])
        if self.truth is not None and truth is not None:
            self.truth[here] = truth
        self.next += 1

    def stitched(self, recording_id: str) -> Stitched:
        assert self.mean is not None
        covered = np.flatnonzero(self.total)
        truth = np.zeros(0) if self.truth is None else self.truth[covered]
        return Stitched(recording_id, covered + int(self.firsts[0]), self.mean[covered], truth)


Piece = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]
"""Recording numbers, first samples and predictions of some windows."""


def stitch(windows: Windows, pieces: Iterable[Piece], weight: NDArray[np.float64] | None = None) -> Iterator[Stitched]:
    """Return recordings one after the other, as soon as all their windows have come.

    Parameters
    ----------
    windows, weight
        As for `Stitcher`.
    pieces
        Predictions of windows, in any order and number.

    Raises
    ------
    NeurodataError
        If windows of a recording are missing at the end, came twice, or are none of those expected.

    Examples
    --------
    >>> from neurodata.windows.select import make_windows
    >>> from neurodata.windows.splits import Stretch
    >>> windows = make_windows([Stretch("a/b", 0, 7)], rate_hz=1, window_seconds=4, stride_seconds=2)
    >>> numbers, firsts = windows.locate_many(np.arange(len(windows)))
    >>> (found,) = stitch(windows, [(numbers, firsts, firsts[:, None] + np.arange(4.0))])
    >>> found.values.tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    """
    stitcher = Stitcher(windows, weight)
    for numbers, firsts, values in pieces:
        yield from stitcher.add(numbers, firsts, values)
    stitcher.finish()
