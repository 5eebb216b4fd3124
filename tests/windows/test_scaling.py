"""Scaling knows training windows only, and copes with what recordings hold."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.errors import NeurodataError
from neurodata.windows.scaling import fit_robust_scaling, fit_scaling


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


def all_at_once(pieces, n_ids):
    """Mean and spread of each id from all its values in one array; 0 and 1 for ids without."""
    mean, std = np.zeros(n_ids), np.ones(n_ids)
    for wanted in range(n_ids):
        found = [values[:, ids == wanted].astype(np.float64).ravel() for values, ids in pieces]
        together = np.concatenate(found)[np.isfinite(np.concatenate(found))]
        if together.size:
            mean[wanted], std[wanted] = together.mean(), together.std()
    return mean, std


shapes = st.lists(st.tuples(st.integers(0, 700), st.integers(1, 6), st.booleans()), min_size=1, max_size=4)


@given(shapes=shapes, seed=st.integers(0, 1000), offset=st.sampled_from([0.0, 3.0, -1e4]))
def test_property_piece_by_piece_is_all_at_once(shapes, seed, offset):
    rng = np.random.default_rng(seed)
    pieces = []
    for n_samples, n_channels, some_missing in [*shapes, (2, 1, False)]:
        values = offset + rng.normal(rng.normal(size=n_channels), 1.0, size=(n_samples, n_channels))
        values[rng.random(values.shape) < 0.3 * some_missing] = rng.choice([np.nan, np.inf, -np.inf])
        pieces.append((values, rng.integers(0, 5, n_channels)))
    scaling, (mean, std) = fit_scaling(pieces, 6, "here"), all_at_once(pieces, 6)
    counts = np.zeros(6)
    for values, ids in pieces:
        np.add.at(counts, ids, np.isfinite(values).sum(0))
    many = counts > 1
    np.testing.assert_allclose(scaling.mean[counts > 0], mean[counts > 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scaling.std[many], std[many], rtol=1e-6)


@pytest.mark.parametrize("n_channels", [1, 3, 40, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_piece_of_many_blocks_is_as_one(rng, n_channels, dtype):
    values = (1000.0 + rng.normal(size=(700_001 // n_channels, n_channels))).astype(dtype)
    values[5::7, 0] = np.nan
    scaling = fit_scaling([(values, np.arange(1, n_channels + 1))], n_channels + 1, "here")
    np.testing.assert_allclose(scaling.mean[1:], np.nanmean(values.astype(np.float64), 0), rtol=1e-12)
    np.testing.assert_allclose(scaling.std[1:], np.nanstd(values.astype(np.float64), 0), rtol=1e-10)


def test_a_drift_a_million_times_the_noise_leaves_the_noise(rng):
    pieces = [(1e6 + rng.normal(size=(1000, 1)) * 1e-3, np.array([1])) for _ in range(50)]
    assert fit_scaling(pieces, 2, "here").std[1] == pytest.approx(1e-3, rel=0.02)


def test_constants_that_floating_point_cannot_hold_stay_constants():
    values, ids = np.full((300_007, 3), [0.1, -7.3e8, 1 / 3]), np.array([1, 2, 3])
    scaled = fit_scaling([(values, ids)], 4, "here").apply(values, ids)
    np.testing.assert_allclose(scaled, 0, atol=1e-6)


def test_a_piece_larger_than_memory_is_read_block_by_block(tmp_path):
    values = np.lib.format.open_memmap(tmp_path / "values.npy", "w+", np.float32, (4_000_000, 8))
    values[::1000] = 1.0
    tracemalloc.start()
    try:
        scaling = fit_scaling([(values, np.arange(1, 9))], 9, "here")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scaling.mean[1:] == pytest.approx(1e-3)
    assert peak < 8e6 < values.nbytes / 10


def test_pieces_without_samples_or_channels_add_nothing(rng):
    values, ids = rng.normal(size=(50, 2)), np.array([1, 2])
    nothing = [(values[:0], ids), (values[:, :0], ids[:0])]
    made = fit_scaling([*nothing, (values, ids), *nothing], 3, "here")
    np.testing.assert_array_equal(made.std, fit_scaling([(values, ids)], 3, "here").std)


@pytest.mark.parametrize("pieces", [[], [(np.full((5, 2), np.nan), np.array([1, 2]))]], ids=["none", "all missing"])
def test_nothing_to_fit_on_is_refused(pieces):
    with pytest.raises(NeurodataError, match=r"no recorded value to fit the scaling on \(2 training stretches\)"):
        fit_scaling(pieces, 3, "2 training stretches")


def robust(*pieces, n_ids):
    return fit_robust_scaling(lambda: iter(pieces), n_ids, "here")


def test_robust_scaling_of_normal_values_is_that_by_mean_and_deviation(rng):
    values, ids = rng.normal([5, -3, 100], [2, 0.1, 30], size=(200_000, 3)), np.array([2, 1, 4])
    scaling = robust((values, ids), n_ids=6)
    np.testing.assert_allclose(scaling.mean[ids], [5, -3, 100], atol=0.4)
    np.testing.assert_allclose(scaling.std[ids], [2, 0.1, 30], rtol=0.01)
    low, high = np.quantile(values[:, 0].astype(np.float32), [0.25, 0.75], method="inverted_cdf")
    assert scaling.std[2] == pytest.approx((high - low) / 1.3489795, rel=1e-6)


@given(st.integers(1, 80), st.floats(1e3, 1e9), st.integers(0, 99))
def test_property_artefacts_move_mean_and_deviation_but_not_median_and_quartiles(n_artefacts, size, seed):
    rng = np.random.default_rng(seed)
    values, ids = rng.normal(10, 2, size=(4000, 2)), np.array([1, 2])
    hit = values.copy()
    hit[rng.choice(4000, n_artefacts, replace=False), 0] = size
    plain, plain_hit = (fit_scaling([(v, ids)], 3, "here") for v in (values, hit))
    assert plain_hit.std[1] > 5 * plain.std[1]
    assert plain_hit.mean[1] > plain.mean[1] + 0.1
    clean, dirty = robust((values, ids), n_ids=3), robust((hit, ids), n_ids=3)
    assert dirty.mean[1] == pytest.approx(clean.mean[1], abs=0.1)
    assert dirty.std[1] == pytest.approx(clean.std[1], rel=0.05)
    assert (dirty.mean[2], dirty.std[2]) == (clean.mean[2], clean.std[2])


def test_robust_scaling_pools_recordings_per_identity_and_leaves_missing_values_out(rng):
    one, other = rng.normal(3, 1, size=(100, 2)), rng.normal(-3, 1, size=(301, 1))
    one[10:40, 1], other[7] = np.nan, np.inf
    scaling = robust((one, np.array([1, 2])), (other, np.array([2])), n_ids=4)
    together = np.concatenate([one[:, 1], other[:, 0]]).astype(np.float32)
    together = together[np.isfinite(together)]
    assert scaling.mean[2] == np.quantile(together, 0.5, method="inverted_cdf")
    scaled = scaling.apply(one, np.array([1, 2]))
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(one))


@pytest.mark.parametrize("constant", [0.0, 7.25, 0.1, -7.3e8])
@pytest.mark.parametrize("wild", [1.0, 1e12], ids=["alone", "beside a wild channel"])
def test_a_constant_channel_becomes_0_in_robust_scaling(rng, constant, wild):
    values, ids = (
        np.stack([np.full(500, constant), wild * rng.normal(size=500)], 1).astype(np.float32),
        np.array([1, 2]),
    )
    for pieces in ([(values, ids)], [(values[:, :1], ids[:1])]):
        scaling = robust(*pieces, n_ids=4)
        assert scaling.std[1] == 1
        np.testing.assert_array_equal(scaling.apply(values[:, :1], ids[:1]), 0)
        assert np.isfinite(scaling.apply(values + 1, np.array([3, 0]))).all()


def test_sparse_counts_are_scaled_by_their_deviation(rng):
    counts, ids = (rng.random((10_000, 3)) < [0.02, 0.001, 0.6]).astype(np.float32), np.array([1, 2, 3])
    counts[:, 2] *= rng.integers(1, 9, 10_000)
    scaling = robust((counts, ids), n_ids=4)
    np.testing.assert_array_equal(scaling.mean[1:3], 0)
    np.testing.assert_allclose(scaling.std[1:3], counts[:, :2].astype(np.float64).std(0), rtol=1e-9)
    low, high = np.quantile(counts[:, 2], [0.25, 0.75], method="inverted_cdf")
    assert scaling.std[3] == pytest.approx((high - low) / 1.3489795)


def test_a_wild_channel_does_not_make_others_constant(rng):
    values, ids = rng.normal(size=(1000, 3)), np.array([1, 2, 3])
    values[:, 1] = rng.random(1000) < 0.05
    values[3, 0] = 1e12
    assert robust((values, ids), n_ids=4).std[2] == pytest.approx(values[:, 1].std())


def test_robust_scaling_of_identities_never_trained_on_is_the_median_of_all_others(rng):
    values, ids = rng.normal([5, -5, 3], [2, 1, 4], size=(1000, 3)), np.array([1, 2, 3])
    values[:, 1] = -5
    scaling = robust((values, ids), (np.array([[8.0]]), np.array([4])), n_ids=7)
    assert scaling.mean[6] == scaling.mean[0] == np.median(scaling.mean[1:5])
    assert scaling.std[6] == scaling.std[0] == scaling.std[4] == np.median(scaling.std[[1, 3]])
    assert (scaling.mean[4], scaling.std[2]) == (8, 1)


def test_robust_scaling_of_nothing_is_refused():
    with pytest.raises(NeurodataError, match=r"no recorded value to fit the scaling on \(here\)"):
        robust((np.full((5, 2), np.nan), np.array([1, 2])), n_ids=3)
