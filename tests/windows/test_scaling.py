"""Scaling knows training windows only, and copes with what recordings hold."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.windows.scaling import fit_scaling


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_training_values_come_out_with_mean_0_and_spread_1(rng):
    values, ids = rng.normal([5, -3, 100], [2, 0.1, 30], size=(400, 3)), np.array([2, 1, 4])
    scaled = fit_scaling([(values, ids)], 6, "here").apply(values, ids)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-4)


def test_statistics_are_pooled_over_recordings_per_identity(rng):
    one, other = rng.normal(3, 1, size=(100, 2)), rng.normal(-3, 1, size=(300, 1))
    scaling = fit_scaling([(one, np.array([1, 2])), (other, np.array([2]))], 4, "here")
    together = np.concatenate([one[:, 1], other[:, 0]])
    assert scaling.mean[2] == pytest.approx(together.mean())
    assert scaling.std[2] == pytest.approx(together.std())
    assert scaling.mean[1] == pytest.approx(one[:, 0].mean())


def test_missing_values_are_left_out_and_stay_missing(rng):
    values, ids = rng.normal(4, 2, size=(200, 2)), np.array([1, 2])
    values[50:150, 0], values[3, 1], values[4, 1] = np.nan, np.inf, -np.inf
    scaling = fit_scaling([(values, ids)], 3, "here")
    finite = values[np.isfinite(values[:, 1]), 1]
    assert scaling.mean[1] == pytest.approx(np.nanmean(values[:, 0]))
    assert scaling.std[2] == pytest.approx(finite.std())
    scaled = scaling.apply(values, ids)
    np.testing.assert_array_equal(np.isfinite(scaled), np.isfinite(values))


def test_a_constant_channel_becomes_0(rng):
    values, ids = np.stack([np.full(50, 7.25), rng.normal(size=50)], 1), np.array([1, 2])
    scaled = fit_scaling([(values, ids)], 3, "here").apply(values, ids)
    np.testing.assert_array_equal(scaled[:, 0], 0)


def test_constant_channels_only_stay_finite():
    values, ids = np.full((50, 2), 3.0), np.array([1, 2])
    scaling = fit_scaling([(values, ids)], 4, "here")
    assert np.isfinite(scaling.apply(values + 1, np.array([3, 0]))).all()


def test_identities_never_trained_on_get_the_mean_and_spread_of_all(rng):
    values, ids = rng.normal([5, -5], [2, 1], size=(1000, 2)), np.array([1, 2])
    scaling = fit_scaling([(values, ids)], 5, "here")
    assert scaling.mean[3] == scaling.mean[0] == pytest.approx(values.mean())
    assert scaling.std[3] == scaling.std[0] == pytest.approx(np.sqrt(values.var(0).mean()))


def test_unknown_channels_share_their_own_statistics(rng):
    values, ids = rng.normal([5, 50, 52], 1, size=(1000, 3)), np.array([1, 0, 0])
    scaling = fit_scaling([(values, ids)], 2, "here")
    assert scaling.mean[0] == pytest.approx(values[:, 1:].mean())


def test_pieces_may_come_from_a_generator(rng):
    values, ids = rng.normal(size=(20, 1)), np.array([1])
    made = fit_scaling(((values, ids) for _ in range(2)), 2, "here")
    np.testing.assert_array_equal(made.std, fit_scaling([(values, ids)] * 2, 2, "here").std)


@pytest.mark.parametrize("pieces", [[], [(np.full((5, 2), np.nan), np.array([1, 2]))]], ids=["none", "all missing"])
def test_nothing_to_fit_on_is_refused(pieces):
    with pytest.raises(NeurodataError, match=r"no recorded value to fit the scaling on \(2 training stretches\)"):
        fit_scaling(pieces, 3, "2 training stretches")
