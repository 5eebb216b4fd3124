"""Times of samples as they stand in a file: a regular clock where they are one, themselves where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
