"""Views of BOLD signals that are computed when they are looked at and never stored: drift, confounds, scrubbing.

Each takes a signal ``(time, channel)`` of a recording and returns a new one. What is fitted is fitted on all volumes
unless ``fit_on`` says which: a decoder that is tested on other volumes must not have seen them here either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.recording.timed import check_seconds

Stretch = tuple[float, float]
"""``[start, stop)`` in seconds."""

_RIGID = re.compile(r"(rot|trans)_[xyz]|roll|pitch|yaw|dS|dL|dP")


def cosine_drifts(n_volumes: int, tr_seconds: float, period_seconds: float = 128.0) -> NDArray[np.float64]:
    """Return the slow cosines that SPM takes out as drift, shape ``(volume, cosine)``, without the constant.

    ``sqrt(2/n) cos(π k (2 t + 1) / 2n)`` for ``k = 1 … floor(2 n tr / period)``.

    Parameters
    ----------
    n_volumes, tr_seconds
        Length of the signal and seconds between volumes.
    period_seconds
        Shortest period that counts as drift; SPM's default.

    References
    ----------
    SPM12, ``spm_filter.m`` and ``spm_dctmtx.m``.
    """
    check_positive("seconds between volumes", tr_seconds)
    check_positive("period in seconds", period_seconds)
    n_cosines = min(n_volumes - 1, int(np.floor(2 * n_volumes * tr_seconds / period_seconds)))
    moments = (2 * np.arange(n_volumes) + 1) / (2 * n_volumes)
    return np.asarray(np.sqrt(2 / n_volumes) * np.cos(np.pi * np.outer(moments, np.arange(1, n_cosines + 1))))


def remove_drift(
    signal: xr.DataArray,
    *,
    method: Literal["linear", "polynomial", "cosine"] = "linear",
    order: int = 2,
    period_seconds: float = 128.0,
    fit_on: Stretch | None = None,
    keep_mean: bool = False,
) -> xr.DataArray:
    """Return a signal without slow drift: the residual of a least-squares fit per channel.

    Parameters
    ----------
    signal
        ``(time, channel)``; missing values (NaN) are left out of the fit and stay missing.
    method
        A straight line, a polynomial of ``order``, or SPM's cosines slower than ``period_seconds``
        (see `cosine_drifts`), which pass what is faster.
    order, period_seconds
        Of the polynomial and of the cosines.
    fit_on
        Stretch that the fit sees; all of the signal where None. Away from it drifts are extrapolated, polynomials
        badly so.
    keep_mean
        Whether each channel's mean level stays.

    Raises
    ------
    NeurodataError
        If the fit would see fewer volumes than it has terms.
    UnknownRateError
        If seconds are needed and the rate is unknown.
    """
    basis = _drifts(signal, method, order, period_seconds)
    return _residual(signal, basis, fit_on, keep_mean, f"drift removed ({method})")


def _drifts(signal: xr.DataArray, method: str, order: int, period_seconds: float) -> NDArray[np.float64]:
    n_volumes = signal.sizes[names.TIME]
    if method == "cosine":
        check_seconds(signal)
        times = signal[names.TIME].values
        steps = np.diff(times)
        if n_volumes < 2 or not np.allclose(steps, steps.mean(), rtol=1e-3):
            raise NeurodataError(f"signal {signal.name!r}: cosine drifts need evenly spaced volumes; use a polynomial")
        return cosine_drifts(n_volumes, float(steps.mean()), period_seconds)
    degree = 1 if method == "linear" else order
    if degree < 1:
        raise NeurodataError(f"the order of a polynomial drift is at least 1, got {order}")
    # Legendre polynomials: powers of time would be nearly the same for a computer.
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, n_volumes), degree)[:, 1:]
    return np.asarray(basis, np.float64)


def regress_confounds(
    signal: xr.DataArray,
    confounds: xr.DataArray,
    *,
    columns: Sequence[str] | None = None,
    drift: Literal["none", "linear", "polynomial", "cosine"] = "none",
    order: int = 2,
    period_seconds: float = 128.0,
    fit_on: Stretch | None = None,
    keep_mean: bool = True,
) -> xr.DataArray:
    """Return a signal without what confounds explain: the residual of one least-squares fit per channel.

    Drift goes into the same fit: done one after the other, the second step brings back what the first took out.

    Parameters
    ----------
    signal
        ``(time, channel)``.
    confounds
        ``(time, confound)`` at the same times, for example ``recording.signals["motion"]``.
    columns
        Which of its channels; all where None. A volume in which one is missing is left out of the fit and NaN in
        the result.
    drift, order, period_seconds
        As `remove_drift` has them.
    fit_on
        Stretch that the fit sees; all where None.
    keep_mean
        Whether each channel's mean level stays.

    Raises
    ------
    NeurodataError
        If the times differ, a column is not there, or the fit would see fewer volumes than it has terms.

    References
    ----------
    Friston KJ et al. 1996, Magnetic Resonance in Medicine 35:346-355 (motion as regressors); Lindquist MA et al. 2019,
    Human Brain Mapping 40:2358-2376 (why in one step).
    """
    _check_same_times(signal, confounds)
    ids = confounds[names.CHANNEL_ID].values.tolist()
    missing = [name for name in columns or () if name not in ids]
    if missing:
        raise NeurodataError(f"no confound {missing[0]!r}; there are {', '.join(ids)}")
    chosen = [ids.index(name) for name in columns] if columns is not None else list(range(len(ids)))
    basis = np.asarray(confounds.values, np.float64)[:, chosen]
    if drift != "none":
        basis = np.column_stack([basis, _drifts(signal, drift, order, period_seconds)])
    return _residual(signal, basis, fit_on, keep_mean, f"confounds regressed out ({len(chosen)}), drift {drift}")


def _check_same_times(signal: xr.DataArray, other: xr.DataArray) -> None:
    ours, theirs = signal[names.TIME].values, other[names.TIME].values
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=0, atol=1e-6):
        raise NeurodataError(
            f"signal {signal.name!r} has {len(ours)} volumes and {other.name!r} {len(theirs)} rows, or their times "
            "differ; expected one row per volume"
        )


def _residual(
    signal: xr.DataArray, basis: NDArray[np.float64], fit_on: Stretch | None, keep_mean: bool, what: str
) -> xr.DataArray:
    values = np.array(signal.values, np.float64)
    complete: NDArray[np.bool_] = np.asarray(np.isfinite(basis).all(axis=1))
    seen = complete.copy()
    if fit_on is not None:
        check_seconds(signal)
        times = signal[names.TIME].values
        seen &= (times >= fit_on[0]) & (times < fit_on[1])
    if not seen.any():
        raise NeurodataError(f"signal {signal.name!r}: no complete volume to fit on (fit_on={fit_on})")
    centre, spread = basis[seen].mean(0), basis[seen].std(0)
    scaled = (basis - centre) / np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(len(basis)), scaled])
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(values))
    for pattern, channels in _patterns(finite & seen[:, None]):
        if pattern.sum() <= basis.shape[1]:
            raise NeurodataError(
                f"signal {signal.name!r}: {int(pattern.sum())} volumes to fit {basis.shape[1] + 1} terms on; take fewer "
                "terms or a longer stretch"
            )
        weights, *_ = np.linalg.lstsq(design[pattern], values[pattern][:, channels], rcond=None)
        explained = design[complete][:, int(keep_mean) :] @ weights[int(keep_mean) :]
        values[np.ix_(complete, channels)] -= explained
    values[~complete] = np.nan
    return _view_of(signal, values, what)


def _patterns(there: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Which channels have values in the same volumes: they share one fit; those without any are left out."""
    channels_of: dict[bytes, list[int]] = {}  # numpy's own unique columns take ten times as long
    for channel, packed in enumerate(np.packbits(there, axis=0).T):
        channels_of.setdefault(packed.tobytes(), []).append(channel)
    return [(there[:, found[0]], np.asarray(found)) for found in channels_of.values() if there[:, found[0]].any()]


def _view_of(signal: xr.DataArray, values: NDArray[np.float64], what: str) -> xr.DataArray:
    kind = signal.dtype if signal.dtype.kind == "f" else np.dtype(np.float64)
    history = [*signal.attrs.get("views", []), what]
    return signal.copy(data=values.astype(kind)).assign_attrs(views=history)


def framewise_displacement(motion: xr.DataArray, *, radius_mm: float = 50.0) -> xr.DataArray:
    """Return how far the head moved since the volume before, in mm, shape ``(time, channel)`` with one channel.

    ``FD = Σ |Δ translation| + Σ |Δ rotation| r``: rotations as the arc on a sphere of 50 mm. The first volume has none
    before it and is NaN.

    Parameters
    ----------
    motion
        Six rigid-body estimates with a channel column ``units`` (``mm``, ``rad`` or ``deg``), as the loaders make it;
        further channels of a table of confounds (derivatives, squares) are not used.
    radius_mm
        Of the sphere.

    Raises
    ------
    NeurodataError
        If there are not six estimates, or their units are not stated.

    References
    ----------
    Power JD et al. 2012, NeuroImage 59:2142-2154, "Framewise displacement".
    """
    ids = motion[names.CHANNEL_ID].values.tolist()
    chosen = [place for place, name in enumerate(ids) if _RIGID.fullmatch(name)]
    chosen = chosen if chosen or len(ids) != 6 else list(range(6))
    units = motion["units"].values[chosen].tolist() if "units" in motion.coords else []
    factors = {"mm": 1.0, "rad": radius_mm, "deg": np.deg2rad(1.0) * radius_mm}
    if len(chosen) != 6 or len(units) != 6 or any(unit not in factors for unit in units):
        raise NeurodataError(
            f"framewise displacement needs six motion estimates with units mm, rad or deg, got {len(chosen)} with units "
            f"{', '.join(map(str, units)) or 'not stated'} among the channels {', '.join(map(str, ids[:8]))}"
        )
    steps = np.abs(np.diff(np.asarray(motion.values, np.float64)[:, chosen], axis=0))
    moved = np.concatenate([[np.nan], steps @ np.array([factors[unit] for unit in units])])
    picked = motion.isel(channel=[chosen[0]])
    kept = picked.drop_vars([name for name in picked.coords if name not in (names.TIME, names.CHANNEL_ID)])
    kept = kept.assign_coords({names.CHANNEL_ID: (names.CHANNEL, ["framewise_displacement"])})
    attributes: dict[str, Any] = {names.UNITS_ATTRIBUTE: "mm", "radius_mm": radius_mm, "source": "Power et al. 2012"}
    return kept.copy(data=moved[:, None]).assign_attrs(attributes).rename("framewise_displacement")


def scrub(
    signal: xr.DataArray,
    displacement: xr.DataArray,
    *,
    threshold_mm: float = 0.5,
    before: int = 1,
    after: int = 2,
    shortest: int = 0,
) -> xr.DataArray:
    """Return a signal with NaN where the head moved: nothing is interpolated.

    Parameters
    ----------
    signal
        ``(time, channel)``.
    displacement
        Framewise displacement in mm at the same times (`framewise_displacement`, or that channel of the confounds).
    threshold_mm
        A volume with more than this is taken out; Power et al. take 0.5.
    before, after
        Volumes taken out around each; Power et al. take one and two.
    shortest
        Pieces of fewer volumes than this between those taken out go too.

    Raises
    ------
    NeurodataError
        If the times differ, or the displacement is not in mm.

    References
    ----------
    Power JD et al. 2012, NeuroImage 59:2142-2154 ("1 back and 2 forward"); Power JD et al. 2014, NeuroImage 84:320-341
    (pieces of fewer than five volumes).
    """
    _check_same_times(signal, displacement)
    unit = displacement.attrs.get(names.UNITS_ATTRIBUTE)
    if displacement.sizes[names.CHANNEL] != 1 or (unit not in ("mm", "mixed")):
        raise NeurodataError(
            f"expected one channel of displacement in mm, got {displacement.sizes[names.CHANNEL]} in {unit!r}"
        )
    if before < 0 or after < 0:
        raise NeurodataError(f"before and after count volumes, got {before} and {after}")
    moved = np.flatnonzero(displacement.values[:, 0] > threshold_mm)
    out = np.zeros(signal.sizes[names.TIME], bool)
    for place in moved:
        out[max(0, place - before) : place + after + 1] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], out, [True]]).astype(np.int8)))
    for first, stop in zip(edges[::2], edges[1::2]):
        if stop - first < shortest:
            out[first:stop] = True
    values = np.array(signal.values, np.float64)
    values[out] = np.nan
    return _view_of(signal, values, f"scrubbed ({int(out.sum())} of {len(out)} volumes, FD > {threshold_mm:g} mm)")
