"""How many frames a second: what the file says, what a person says, and which of the two was taken."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import check_positive

_GRID = 1e-6
"""Times that lie on a regular grid to this part of a sample are a rate."""


def check_rate_option(rate_hz: float | None) -> None:
    """Raise unless the option ``rate_hz`` is a positive number, or was not given."""
    if rate_hz is not None:
        check_positive("option 'rate_hz'", rate_hz)


def choose_rate(
    stated: float | None, found: Any, source: str, *, path: Path, default: float
) -> tuple[float | None, str]:
    """Return the sampling rate in Hz and where it comes from.

    Parameters
    ----------
    stated
        What a person stated, in Hz; it overrules the file.
    found
        What the file says, in Hz; None where it says nothing.
    source
        Where the file says it, for example ``fs in ops.npy``.
    path
        The file, for the warning where what it says is no rate.
    default
        What the program writes that made the file where nobody told it the rate, in Hz.

    Returns
    -------
    rate_hz
        None where nobody says it.
    said
        In words.
    """
    if isinstance(found, np.ndarray) and found.size == 1:  # MATLAB and older programs write numbers as matrices
        found = found.reshape(())[()]
    if found is not None and not is_rate(found):
        warnings.warn(f"{path}: {source} is {found!r:.40}, no sampling rate; it is not used", stacklevel=2)
        found = None
    if stated is not None:
        return float(stated), "option rate_hz" + (f" ({source} says {float(found):g} Hz)" if found is not None else "")
    if found is None:
        return None, "unknown"
    hint = ", the default of the program that wrote it: check that it is true" if float(found) == default else ""
    return float(found), source + hint


def is_rate(value: Any) -> bool:
    """Tell whether a value is a number that can be a sampling rate."""
    try:
        return not isinstance(value, (bool, str)) and 0 < float(value) < 1e6
    except (TypeError, ValueError):
        return False


def regular_or_not(time: NDArray[np.float64]) -> dict[str, Any]:
    """Return times as ``rate_hz`` and ``start_seconds`` where they are regular to a millionth of a sample, else as they are."""
    if len(time) > 2:
        step = (time[-1] - time[0]) / (len(time) - 1)
        if np.abs(time - (time[0] + step * np.arange(len(time)))).max() <= _GRID * step:
            return {"rate_hz": float(1 / step), "start_seconds": float(time[0])}
    return {"time": time}
