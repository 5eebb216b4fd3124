"""Drift, confounds and scrubbing: against nilearn, and what training volumes may see."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.glm.first_level import make_first_level_design_matrix
from nilearn.signal import clean

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.recording.timed import make_signal
from neurodata.windows.fmri_views import (
    cosine_drifts,
    framewise_displacement,
    regress_confounds,
    remove_drift,
    scrub,
)

TR, N = 2.5, 120


@pytest.fixture
def bold():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, N)[:, None]
    values = 1000 + 30 * time - 20 * time**2 + rng.normal(size=(N, 3))
    return make_signal(values, channel_id=list("abc"), units="BOLD a.u.", rate_hz=1 / TR)


@pytest.fixture
def motion():
    rng = np.random.default_rng(1)
    values = np.cumsum(rng.normal(0, 0.01, (N, 6)), axis=0) * [0.1, 0.1, 0.1, 1, 1, 1]
    ids = ["rot_x", "rot_y", "rot_z", "trans_x", "trans_y", "trans_z"]
    units = {"units": ["rad"] * 3 + ["mm"] * 3}
    return make_signal(values, channel_id=ids, units="mixed", role="behavior", rate_hz=1 / TR, columns=units)


def test_linear_drift_as_nilearn_removes_it(bold):
    expected = clean(bold.values, detrend=True, standardize=None)
    view = remove_drift(bold)
    np.testing.assert_allclose(view.values, expected, atol=1e-9)
    assert view.attrs["views"] == ["drift removed (linear)"]
    assert "views" not in bold.attrs


def test_cosine_drift_as_nilearn_removes_it(bold):
    expected = clean(bold.values, detrend=False, standardize=None, filter="cosine", high_pass=1 / 128, t_r=TR)
    np.testing.assert_allclose(remove_drift(bold, method="cosine", keep_mean=True).values, expected, atol=1e-8)


def test_cosines_are_those_of_a_design_matrix():
    design = make_first_level_design_matrix(TR * np.arange(N), None, drift_model="cosine", high_pass=1 / 128)
    theirs = design.filter(like="drift").values
    ours = cosine_drifts(N, TR)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(np.abs(np.corrcoef(ours.T, theirs.T)[: ours.shape[1], ours.shape[1] :]).max(1), 1)


def test_a_polynomial_takes_out_its_own_kind(bold):
    left = remove_drift(bold, method="polynomial", order=2).values
    assert np.abs(np.polyfit(np.arange(N), left, 2)).max() < 1e-9
    np.testing.assert_allclose(left.mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("drift", ["none", "linear"])
def test_confounds_as_nilearn_regresses_them(bold, motion, drift):
    signal = bold + np.asarray(motion.values) @ np.random.default_rng(2).normal(0, 90, (6, 3))
    signal = signal.assign_attrs(bold.attrs)
    confounds = np.asarray(motion.values)
    if drift == "linear":
        confounds = np.column_stack([confounds, np.linspace(-1, 1, N)])
    expected = clean(signal.values, confounds=confounds, detrend=False, standardize=None)
    np.testing.assert_allclose(regress_confounds(signal, motion, drift=drift).values, expected, atol=1e-8)


def test_what_is_fitted_on_training_volumes_does_not_see_the_others(bold, motion):
    changed = bold.copy(data=np.where(np.arange(N)[:, None] < 80, bold.values, -5.0)).assign_attrs(bold.attrs)
    for view in (
        lambda signal: remove_drift(signal, fit_on=(0, 200)),
        lambda signal: remove_drift(signal, method="cosine", fit_on=(0, 200)),
        lambda signal: regress_confounds(signal, motion, fit_on=(0, 200)),
    ):
        np.testing.assert_array_equal(view(bold).values[:80], view(changed).values[:80])
    assert not np.allclose(remove_drift(bold).values[:80], remove_drift(changed).values[:80])


def test_missing_values_stay_missing_and_are_not_fitted(bold, motion):
    holes = bold.values.copy()
    holes[10:14, 1], holes[:, 2] = np.nan, np.nan
    view = remove_drift(bold.copy(data=holes)).values
    np.testing.assert_array_equal(np.isnan(view), np.isnan(holes))
    np.testing.assert_allclose(view[:, 0], remove_drift(bold).values[:, 0])
    without = np.delete(np.arange(N), range(10, 14))
    line = np.polyval(np.polyfit(without, holes[without, 1], 1), without)
    np.testing.assert_allclose(view[without, 1], holes[without, 1] - line, atol=1e-8)
    first = motion.values.copy()
    first[0, 0] = np.nan
    cleaned = regress_confounds(bold, motion.copy(data=first)).values
    assert np.isnan(cleaned[0]).all()
    assert np.isfinite(cleaned[1:]).all()


def test_displacement_is_that_of_power_2012(motion):
    moved = framewise_displacement(motion)
    expected = [
        np.abs(motion.values[t, 3:] - motion.values[t - 1, 3:]).sum()
        + 50 * np.abs(motion.values[t, :3] - motion.values[t - 1, :3]).sum()
        for t in range(1, N)
    ]
    np.testing.assert_allclose(moved.values[1:, 0], expected)
    assert np.isnan(moved.values[0, 0])
    assert moved.attrs["units"] == "mm"
    degrees = motion.copy(data=motion.values * ([180 / np.pi] * 3 + [1] * 3))
    degrees = degrees.assign_coords(units=("channel", ["deg"] * 3 + ["mm"] * 3))
    np.testing.assert_allclose(framewise_displacement(degrees).values[1:], moved.values[1:])


def test_scrubbing_takes_out_one_before_and_two_after(bold, motion):
    still = motion.copy(data=np.zeros((N, 6)))
    jump = still.values.copy()
    jump[40:, 3] = 0.6
    moved = framewise_displacement(still.copy(data=jump))
    view = scrub(bold, moved)
    assert np.flatnonzero(np.isnan(view.values).all(1)).tolist() == [39, 40, 41, 42]
    np.testing.assert_array_equal(view.values[:39], bold.values[:39])
    jump[46:, 4] = 0.7
    pieces = scrub(bold, framewise_displacement(still.copy(data=jump)), shortest=5)
    assert np.flatnonzero(np.isnan(pieces.values[:, 0])).tolist() == list(range(39, 49))
    assert np.isfinite(scrub(bold, moved, threshold_mm=1.0).values).all()


def test_wrong_use_is_explained(bold, motion):
    with pytest.raises(NeurodataError, match=r"120 volumes and .* 60 rows, or their times differ"):
        regress_confounds(bold, motion.isel(time=slice(60)))
    with pytest.raises(NeurodataError, match="no confound 'csf'; there are rot_x"):
        regress_confounds(bold, motion, columns=["csf"])
    with pytest.raises(NeurodataError, match="4 volumes to fit 7 terms on"):
        regress_confounds(bold, motion, fit_on=(0, 10))
    with pytest.raises(NeurodataError, match="no complete volume to fit on"):
        remove_drift(bold, fit_on=(5000, 6000))
    with pytest.raises(
        NeurodataError, match="six motion estimates with units mm, rad or deg, got 6 with units not stated"
    ):
        framewise_displacement(motion.drop_vars("units"))
    with pytest.raises(NeurodataError, match="expected one channel of displacement in mm, got 6"):
        scrub(bold, motion)
    frames = make_signal(bold.values, channel_id=list("abc"), units="a.u.")
    with pytest.raises(UnknownRateError, match="its sampling rate is unknown"):
        remove_drift(frames, method="cosine")
    assert remove_drift(frames).shape == bold.shape
