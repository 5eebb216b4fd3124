"""Windows: equally long stretches of a recording's samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.splits import Stretch


@dataclass(frozen=True)
class Windows:
    """Equally long windows, described by one row per stretch instead of one object per window.

    Parameters
    ----------
    stretches
        Where the windows lie.
    length
        Samples per window.
    firsts
        First samples of the windows of each stretch.
    """

    stretches: tuple[Stretch, ...]
    length: int
    firsts: tuple[NDArray[np.int64], ...]

    def __len__(self) -> int:
        return sum(len(firsts) for firsts in self.firsts)

    def locate(self, index: int) -> tuple[str, int]:
        """Return a window's recording id and first sample."""
        left = index + len(self) if index < 0 else index
        for stretch, firsts in zip(self.stretches, self.firsts):
            if 0 <= left < len(firsts):
                return stretch.recording_id, int(firsts[left])
            left -= len(firsts)
        raise IndexError(f"window {index} of {len(self)}")


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
        If the window is not a whole number of samples, or no stretch is as long as a window; gives the longest one.

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
    firsts = []
    for stretch in stretches:
        begin, end = (int(np.ceil(t * rate_hz - 1e-9)) for t in (stretch.start, stretch.stop))
        last = end - length
        found = np.arange(begin, last + 1, stride, dtype=np.int64)
        if found.size and found[-1] != last:
            found = np.append(found, last)
        firsts.append(found)
    if not any(found.size for found in firsts):
        longest = max((s.stop - s.start for s in stretches), default=0.0)
        raise NeurodataError(f"no stretch holds a window of {window_seconds:g} s; the longest lasts {longest:g} s")
    return Windows(tuple(stretches), length, tuple(firsts))
