"""Scaling that needs no training: each sample by what its channel did before it."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.recording.recording import physical
from neurodata.windows.filters import rate_of, with_history

Floats = NDArray[np.float64]

_FEWEST = 2
"""Samples a spread is made of at least, and samples of a time constant: below, a mean hardly averages."""

_ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""A smaller spread, as a share of the mean, is what rounding leaves of a constant; as in `neurodata.windows.scaling`."""

_BLOCK = 1 << 22
"""Values computed with at once, all samples of some channels: 32 MiB as float64, four times that with what is made."""


def running_scale(signal: xr.DataArray, seconds: float, *, warm_up_seconds: float | None = None) -> xr.DataArray:
    """Return a signal whose every sample is centred and divided by mean and spread of its channel's samples before it.

    A sample ``k`` steps back weighs ``exp(-k / (seconds * rate))``. No later sample is looked at, nor the sample itself,
    so that an artefact comes out as large as it is. Weights are divided by their sum, and the variance by one less the
    sum of their squares: the state is that of the samples there were and begins with the first one, nothing is assumed
    before it. As the spread of a few samples can be far too small, the first samples come out missing.

    A missing sample (NaN, infinite) stays missing, and a gap changes nothing: after it weights go on where they stopped,
    as if there was no gap. A channel that never changed so far is centred and not divided, so a constant is 0.

    Parameters
    ----------
    signal
        ``(time, channel)`` at a regular rate; integers are taken in physical units. It is read into memory, and
        computed with some channels at a time.
    seconds
        Time constant of the weights.
    warm_up_seconds
        How many seconds of a channel's recorded samples come out missing at its beginning; None for ``seconds``. With 0
        it is two samples, the fewest that have a spread, and the next ones may be very large.

    Returns
    -------
    scaled
        In running standard deviations, float32 unless the signal is float64; attribute ``history`` says what was done.
        Sparse signals: a spread shrinks by ``exp(-t / 2 seconds)`` in ``t`` s of silence, so what comes next is large.

    Raises
    ------
    NeurodataError
        If the rate is unknown or irregular, the time constant is shorter than two samples, or the warm-up negative.

    References
    ----------
    Computed by pandas' ``DataFrame.ewm(adjust=True, ignore_na=True)``, its user guide, "Exponentially weighted window":
    the weights, and the variance's correction (``bias=False``).

    Examples
    --------
    >>> from neurodata.recording.timed import make_signal
    >>> steps = make_signal(np.array([[1.0], [3.0], [6.0], [4.0]]), channel_id=["a"], units="V", rate_hz=1.0)
    >>> running_scale(steps, 1e6, warm_up_seconds=0).values[:, 0].round(3).tolist()
    [nan, nan, 2.828, 0.265]
    """
    check_positive("seconds", seconds)
    rate_hz = rate_of(signal)
    if seconds * rate_hz < _FEWEST:
        raise NeurodataError(
            f"signal {signal.name!r} is sampled at {rate_hz:g} Hz, so a time constant of {seconds:g} s is "
            f"{seconds * rate_hz:g} samples; take {_FEWEST / rate_hz:g} s (two samples) or more"
        )
    warm_up = seconds if warm_up_seconds is None else warm_up_seconds
    if not 0 <= warm_up < math.inf:
        raise NeurodataError(f"warm_up_seconds is 0 or more, None for the time constant; got {warm_up!r}")
    n_before = max(_FEWEST, math.ceil(warm_up * rate_hz - 1e-9))
    viewed = physical(signal)
    _warn_if_short(viewed, n_before, rate_hz)
    values = _scaled(np.asarray(viewed.values), -math.expm1(-1 / (seconds * rate_hz)), n_before)
    done = f"running_scale(seconds={seconds}, warm_up_seconds={warm_up})"
    view = with_history(viewed.copy(data=values), viewed, done)
    return view.assign_attrs({names.UNITS_ATTRIBUTE: "running standard deviations"})


def _warn_if_short(signal: xr.DataArray, n_before: int, rate_hz: float) -> None:
    size = signal.sizes[names.TIME]
    if 0 < size <= n_before:
        warnings.warn(
            f"signal {signal.name!r} lasts {size / rate_hz:g} s, and the first {n_before / rate_hz:g} s of a running scale "
            "are missing, so nothing is left of it; take a shorter time constant or warm_up_seconds",
            stacklevel=3,
        )


def _scaled(samples: NDArray[np.floating], newest: float, n_before: int) -> NDArray[np.floating]:
    """Scale all channels, some at a time, in the type of the samples.

    Parameters
    ----------
    samples
        ``(time, channel)``.
    newest
        Weight of the newest sample once there are many.
    n_before
        Samples of a channel before the first that is scaled.
    """
    scaled = np.empty_like(samples)
    n_samples, n_channels = samples.shape
    most = max(1, _BLOCK // max(1, n_samples))
    for first in range(0, n_channels, most):
        channels = slice(first, first + most)
        scaled[:, channels] = _scaled_block(samples[:, channels].astype(np.float64), newest, n_before)
    return scaled


def _scaled_block(values: Floats, newest: float, n_before: int) -> Floats:
    values[~np.isfinite(values)] = np.nan
    state = pd.DataFrame(values).ewm(alpha=newest, min_periods=n_before, adjust=True, ignore_na=True)
    mean, spread = _before(state.mean().to_numpy()), _before(state.std(bias=False).to_numpy())
    spread[spread <= _ROUNDING * np.abs(mean)] = 1.0
    return np.asarray((values - mean) / spread)


def _before(state: Floats) -> Floats:
    """The state before each sample, of the state after it; missing before the first."""
    shifted = np.full_like(state, np.nan)
    shifted[1:] = state[:-1]
    return shifted
