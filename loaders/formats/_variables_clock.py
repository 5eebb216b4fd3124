"""Times of samples as they stand in a file: a regular clock where they are one, themselves where they are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.recording.timed import make_intervals

_SHARE_OF_STEP = 1e-3
_MOST_SECONDS = 1e-5
"""How far samples of a regular signal may stand from the clock; beyond rounding, times are kept as they are."""


def fit_clock(times: NDArray[Any], scale: float = 1.0) -> dict[str, Any]:
    """Return ``rate_hz`` and ``start_seconds`` of a regular clock, or ``time`` where there is none.

    Parameters
    ----------
    times
        Increasing times of the file, shape ``(time,)``.
    scale
        Seconds per unit of ``times``.

    Returns
    -------
    clock
        Arguments of `neurodata.recording.timed.make_signal`. Regular times lie within a thousandth of a step (at most
        10 µs) of the clock, or within the rounding of the file's own type.
    """
    rounding = float(np.finfo(times.dtype).eps) if times.dtype.kind == "f" else float(np.finfo(np.float64).eps)
    seconds = np.asarray(times, np.float64) * scale
    if len(seconds) < 2 or not seconds[-1] > seconds[0]:
        return {"time": seconds}
    step = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    allowed = max(min(_SHARE_OF_STEP * step, _MOST_SECONDS), 2 * rounding * float(np.abs(seconds[[0, -1]]).max()))
    if allowed > step / 4:
        return {"time": seconds}
    rate = 1.0 / step
    for candidate in (float(round(rate)), round(rate, 3), round(rate, 6), rate):
        if candidate > 0:
            deviation = np.abs(seconds - (seconds[0] + np.arange(len(seconds)) / candidate)).max()
            # A round number has to fit as well as the exact one does: times are not moved to make a rate look nice.
            if deviation <= (allowed if candidate == rate else max(1e-9, allowed / 100)):
                return {"rate_hz": candidate, "start_seconds": float(seconds[0])}
    return {"time": seconds}


def repeat_clock(
    clock: dict[str, Any], length: int, n_trials: int
) -> tuple[dict[str, Any], dict[str, Any], xr.Dataset | None]:
    """Return the clock of trials of equal length whose true times are unknown: one behind the other, with gaps.

    Parameters
    ----------
    clock
        The clock of one trial; empty where the rate is unknown, and the trials then lie back to back in frames.
    length, n_trials
        Samples of a trial, and how many trials there are.

    Returns
    -------
    clock, attributes
        Arguments of `make_signal`.
    trials
        One interval per trial with ``trial`` and ``zero_seconds`` (where the trial's own time is zero), or None.
    """
    attributes: dict[str, Any] = {"n_trials": n_trials, "samples_per_trial": length}
    if not clock:
        return {}, attributes, None
    first = float(clock["time"][0]) if "time" in clock else float(clock.get("start_seconds", 0.0))
    if "time" in clock:
        within = clock["time"] - first
        duration = float(within[-1] + within[-1] / max(length - 1, 1))
    else:
        duration = length / clock["rate_hz"]
    # A second apart, so that no window that needs gapless samples can span two trials.
    starts = (math.ceil(duration - 1e-9) + 1.0) * np.arange(n_trials)
    attributes["trial_times"] = "made: trials follow each other with gaps, the file does not say when they were"
    table = make_intervals(starts, starts + duration, trial=np.arange(n_trials), zero_seconds=starts - first)
    if "time" in clock:
        return {"time": (starts[:, None] + within).ravel()}, attributes, table
    segments = (starts.tolist(), (length * np.arange(n_trials)).tolist())
    return {"rate_hz": clock["rate_hz"], "segments": segments}, attributes, table
