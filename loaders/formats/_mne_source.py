"""What the readers of EEG and MEG files hand over: MNE's description of the channels, and samples read on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Read = Callable[[NDArray[np.int64], int, int], NDArray[np.float64]]
"""Given positions of channels, the first sample and the one after the last: values, shape ``(time, channel)``."""


@dataclass(frozen=True, eq=False)
class Marks:
    """What a file says happened when.

    Parameters
    ----------
    onset, duration
        Seconds from the first sample, and how long it took (0 for a moment), shape ``(mark,)``.
    label
        What happened.
    columns
        More facts per mark, as the file has them.
    """

    onset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    duration: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    label: Sequence[str] = ()
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Integers:
    """Samples as the file stores them: ``value = integer * scale``.

    Parameters
    ----------
    dtype
        int16 or int32.
    scale
        Physical unit per step of each channel, shape ``(channel,)``.
    read
        As `Source.read`, integers (held in float64) instead of physical values.
    """

    dtype: np.dtype[Any]
    scale: NDArray[np.float64]
    read: Read


@dataclass(frozen=True, eq=False)
class Source:
    """One recording in a file.

    Parameters
    ----------
    info
        ``mne.Info``: channels, rate, filters, bad channels, subject.
    n_times
        Number of samples.
    read
        Reads physical values in MNE's units (V, T, T/m).
    first_seconds
        Time of the first sample after ``info["meas_date"]``.
    marks
        Annotations or events of the file.
    gaps
        Positions (first, after) of stretches in which nothing was recorded.
    integers
        The samples before scaling, where the file stores integers.
    segments
        Start in seconds and first sample of pieces that lie apart in time (epochs), None for one piece.
    trials
        Columns of the epochs, None for a continuous recording.
    source_units
        Unit of the values in the file, where it differs from that of the signal.
    units
        Channel → unit as the file writes it.
    subject
        What the file says of the subject besides ``info``.
    extra
        Facts for the metadata.
    """

    info: Any
    n_times: int
    read: Read
    first_seconds: float = 0.0
    marks: Marks = field(default_factory=Marks)
    gaps: Sequence[tuple[int, int]] = ()
    integers: Integers | None = None
    segments: tuple[Sequence[float], Sequence[int]] | None = None
    trials: Mapping[str, Any] | None = None
    source_units: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    subject: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
