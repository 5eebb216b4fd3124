"""Factorisations of tensors with known factors: what is found, what is missing, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.base import clone

from neurodata.errors import NeurodataError
from neurodata.models import TensorFactorisation
from neurodata.models.checkpoints import from_pretrained, save_pretrained
from neurodata.models.layers.cp import factor_match

SHAPE = (28, 20, 12)


def make_tensor(shape=SHAPE, rank=5, *, missing=0.0, noise=0.0, seed=0, signed=False):
    """A tensor of known factors, with noise in parts of its spread, and entries missing at random."""
    random = np.random.default_rng(seed)
    draw = random.standard_normal if signed else (lambda size: random.gamma(0.5, size=size))
    factors = [draw((size, rank)) for size in shape]
    whole = factors[0]
    for factor in factors[1:]:
        whole = whole[..., None, :] * factor
    whole = whole.sum(-1)
    tensor = whole + noise * whole.std() * random.standard_normal(shape)
    tensor = tensor if signed else tensor.clip(0)
    return np.where(random.random(shape) < missing, np.nan, tensor), whole, factors


def fitted(tensor, rank=5, **options):
    return TensorFactorisation(rank, **({"random_state": 0, "accelerator": "cpu", "n_restarts": 2} | options)).fit(
        tensor
    )


@pytest.mark.parametrize("signed", [False, True], ids=["non-negative", "plain"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_components_are_found_with_two_fifths_missing(signed, dtype):
    tensor, whole, factors = make_tensor(missing=0.4, noise=0.3, signed=signed)
    model = fitted(tensor.astype(dtype), nonnegative=not signed)
    assert model.factors_[0].dtype == dtype
    assert factor_match(model.factors_, factors) >= 0.98
    assert model.score(np.where(np.isnan(tensor), whole, np.nan)) > 0.85  # the entries it never saw


@pytest.mark.parametrize("signed", [False, True], ids=["non-negative", "plain"])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_a_tensor_without_noise_is_rebuilt_exactly(signed, missing):
    tensor, whole, factors = make_tensor(rank=3, missing=missing, signed=signed)
    model = fitted(tensor, 3, nonnegative=not signed, max_iter=1000, tol=1e-9)
    assert model.error_ < 1e-6
    np.testing.assert_allclose(model.reconstruct(), whole, atol=1e-5 * whole.std())
    assert factor_match(model.factors_, factors) > 1 - 1e-9


@pytest.mark.parametrize("shape", [(30, 20), (14, 9, 8, 7)], ids=["a matrix", "four modes"])
def test_tensors_of_any_order_are_factorised(shape):
    tensor, whole, factors = make_tensor(shape, 2, missing=0.2)
    model = fitted(tensor, 2, max_iter=1000, tol=1e-9)
    np.testing.assert_allclose(model.reconstruct(), whole, atol=1e-3 * whole.std())
    if len(shape) > 2:  # a matrix has no unique factors
        assert factor_match(model.factors_, factors) > 0.999


def test_factors_share_the_scale_and_are_in_order():
    tensor, _, _ = make_tensor(missing=0.2)
    model = fitted(tensor)
    for factor in model.factors_:
        np.testing.assert_allclose(np.linalg.norm(factor, axis=0) ** 3, model.weights_)
        assert factor.min() >= 0
    assert (np.diff(model.weights_) <= 0).all()
    whole = np.einsum("ir,jr,kr->ijk", *model.factors_)
    np.testing.assert_allclose(model.reconstruct(), whole)
    off = (tensor - whole)[~np.isnan(tensor)]
    assert model.error_ == pytest.approx(np.linalg.norm(off) / np.linalg.norm(tensor[~np.isnan(tensor)]))
    assert model.score(tensor) == pytest.approx(1 - model.error_)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_data_change_the_weights_alone(scale):
    tensor, _, _ = make_tensor(missing=0.2, noise=0.3)
    one, other = fitted(tensor), fitted(tensor * scale)
    assert factor_match(one.factors_, other.factors_) > 0.999
    np.testing.assert_allclose(other.weights_, scale * one.weights_, rtol=1e-2)


def test_the_order_of_entries_and_modes_does_not_matter():
    tensor, _, _ = make_tensor(missing=0.3, noise=0.3)
    order = np.random.default_rng(1).permutation(len(tensor))
    model = fitted(tensor)
    shuffled = fitted(tensor[order])
    assert factor_match([model.factors_[0][order], *model.factors_[1:]], shuffled.factors_) > 0.999
    turned = fitted(tensor.transpose(2, 0, 1))
    assert factor_match([model.factors_[i] for i in (2, 0, 1)], turned.factors_) > 0.999


def test_single_and_double_precision_agree():
    tensor, _, _ = make_tensor(missing=0.3, noise=0.3)
    one, other = fitted(tensor), fitted(tensor.astype(np.float32))
    assert one.error_ == pytest.approx(other.error_, rel=1e-3)
    assert factor_match(one.factors_, other.factors_) > 0.999


def test_nothing_is_made_of_the_values_of_missing_entries():
    tensor, _, _ = make_tensor(noise=0.3)
    gap = np.random.default_rng(3).random(SHAPE) < 0.3
    as_nan = fitted(np.where(gap, np.nan, tensor))
    masked = fitted(np.ma.MaskedArray(np.where(gap, 1e9, tensor), gap))
    np.testing.assert_array_equal(as_nan.factors_[0], masked.factors_[0])
    labelled = fitted(xr.DataArray(np.where(gap, np.nan, tensor), dims=("pair", "time", "animal")))
    np.testing.assert_array_equal(as_nan.factors_[0], labelled.factors_[0])


def test_fibres_that_are_missing_as_a_whole_count_as_any_missing_entries_do():
    tensor, _, factors = make_tensor(noise=0.1)
    lacking = (
        np.random.default_rng(2).random((SHAPE[0], 1, SHAPE[2])) < 0.4
    )  # a pair that an animal lacks, all the time
    by_fibre = np.where(lacking, np.nan, tensor)
    by_entry = by_fibre.copy()
    by_entry[tuple(np.argwhere(~np.isnan(by_fibre))[0])] = np.nan  # one entry more: no structure is left in the mask
    first, second = fitted(by_fibre), fitted(by_entry)
    assert factor_match(first.factors_, factors) > 0.98
    assert factor_match(first.factors_, second.factors_) > 0.9999


def test_what_was_never_observed_is_unknown_and_nothing_else_is():
    tensor, whole, factors = make_tensor(missing=0.2)
    tensor[7], tensor[:, :, 3] = np.nan, np.nan
    model = fitted(tensor)
    unknown = [np.flatnonzero(np.isnan(factor).any(1)).tolist() for factor in model.factors_]
    assert unknown == [[7], [], [3]]
    known = np.ones(SHAPE, bool)
    known[7], known[:, :, 3] = False, False
    assert (np.isnan(model.reconstruct()) == ~known).all()
    assert factor_match(model.factors_, factors) > 0.999
    assert model.score(whole) > 0.99  # over what can be known


def test_restarts_tell_how_stable_the_components_are():
    tensor, _, _ = make_tensor(noise=0.2)
    stable = fitted(tensor, n_restarts=3)
    assert list(stable.restarts_.columns) == ["error", "n_iter", "converged", "factor_match", "best"]
    assert stable.restarts_["best"].sum() == 1
    assert stable.factor_match_ > 0.99
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    assert fitted(noise, n_restarts=3, nonnegative=False, max_iter=60).factor_match_ < 0.8
    assert len(stable.errors_) == stable.n_iter_
    assert (np.diff(stable.errors_) <= 0).all()
    assert np.isnan(fitted(tensor, n_restarts=1).factor_match_)


@pytest.mark.parametrize("mode", [0, 1, -1])
@pytest.mark.parametrize("signed", [False, True], ids=["non-negative", "plain"])
def test_loadings_of_new_data_are_those_it_was_made_with(mode, signed):
    tensor, whole, factors = make_tensor(rank=3, missing=0.3, signed=signed)
    n_new = 5
    train = np.moveaxis(np.moveaxis(tensor, mode, 0)[n_new:], 0, mode)
    model = fitted(train, 3, n_restarts=1, nonnegative=not signed, max_iter=1000, tol=1e-9)
    new = np.moveaxis(np.moveaxis(tensor, mode, 0)[:n_new], 0, mode)
    found = model.transform(new, mode)
    assert found.shape == (n_new, 3)
    own = model.transform(train, mode)
    np.testing.assert_allclose(own, model.factors_[mode], atol=1e-4)
    both = [np.concatenate([found, own]) if m == mode % 3 else f for m, f in enumerate(model.factors_)]
    assert factor_match(both, factors) > 0.9999
    rebuilt = np.einsum("ir,jr,kr->ijk", *both)
    np.testing.assert_allclose(rebuilt, whole, atol=1e-3 * whole.std())
    np.testing.assert_allclose(model.transform(new.take(0, mode), mode), found[0], atol=1e-12)


def test_a_new_slice_that_is_missing_has_no_loadings():
    tensor, _, _ = make_tensor()
    model = fitted(tensor)
    new = tensor[:, :, :3].copy()
    new[:, :, 1] = np.nan
    assert np.isnan(model.transform(new)).all(1).tolist() == [False, True, False]


def test_new_data_may_be_silent_or_missing_altogether():
    tensor, _, _ = make_tensor()
    model = fitted(tensor, n_restarts=1, max_iter=5)
    np.testing.assert_array_equal(model.transform(np.zeros((28, 20))), 0)
    np.testing.assert_array_equal(model.transform(np.zeros((28, 20, 2))), 0)
    assert np.isnan(model.transform(np.full((28, 20), np.nan))).all()


def test_a_new_row_of_a_matrix_may_be_a_vector():
    tensor, _, _ = make_tensor(missing=0.0)
    model = fitted(tensor[:, :, 0], 2)
    np.testing.assert_allclose(model.transform(tensor[3, :, 0], mode=0), model.transform(tensor[:, :, 0], mode=0)[3])


def test_tucker_finds_the_subspaces_of_each_mode():
    random = np.random.default_rng(0)
    bases = [np.linalg.qr(random.standard_normal((size, rank)))[0] for size, rank in zip(SHAPE, (3, 4, 2), strict=True)]
    whole = np.einsum("abc,ia,jb,kc->ijk", random.standard_normal((3, 4, 2)), *bases)
    tensor = np.where(random.random(SHAPE) < 0.3, np.nan, whole)
    model = fitted(tensor, (3, 4, 2), model="tucker", nonnegative=False, max_iter=2000, tol=1e-9)
    assert model.error_ < 1e-3
    np.testing.assert_allclose(model.reconstruct(), whole, atol=0.02 * whole.std())
    for basis, found in zip(bases, model.factors_, strict=True):
        np.testing.assert_allclose(found.T @ found, np.eye(found.shape[1]), atol=1e-9)
        assert np.linalg.svd(basis.T @ found)[1].min() > 0.999
    assert model.core_.shape == (3, 4, 2)
    assert model.score(np.where(np.isnan(tensor), whole, np.nan)) > 0.98
    np.testing.assert_allclose(model.transform(whole[:, 2:5], 1), model.factors_[1][2:5], atol=0.02)


def test_a_tucker_model_of_complete_data_is_no_worse_than_truncated_svds():
    tensor, _, _ = make_tensor(noise=0.5, signed=True)
    rest = tensor
    for mode in range(3):
        basis = np.linalg.svd(np.moveaxis(tensor, mode, 0).reshape(SHAPE[mode], -1), full_matrices=False)[0][:, :3]
        rest = np.moveaxis(np.tensordot(basis @ basis.T, rest, (1, mode)), 0, mode)
    error = np.linalg.norm(tensor - rest) / np.linalg.norm(tensor)
    assert fitted(tensor, 3, model="tucker", nonnegative=False).error_ <= error


def test_it_is_an_estimator_and_alike_for_alike_seeds():
    model = TensorFactorisation(3, random_state=4, n_restarts=1, max_iter=5)
    again = clone(model)
    assert again.get_params() == model.get_params()
    tensor, _, _ = make_tensor(missing=0.2)
    state = torch.get_rng_state()
    first, second = model.fit(tensor).factors_[0], again.fit(tensor).factors_[0]
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(model).startswith("TensorFactorisation(")
    assert not np.array_equal(first, clone(model).set_params(random_state=5).fit(tensor).factors_[0])


@pytest.mark.parametrize(
    "options", [{}, {"model": "tucker", "nonnegative": False}], ids=["cp, double precision", "tucker"]
)
def test_a_fitted_model_is_saved_and_opened(options, tmp_path):
    tensor, _, _ = make_tensor(missing=0.2)
    tensor[4] = np.nan
    model = fitted(tensor, 2, max_iter=20, **options)
    save_pretrained(model, tmp_path, {"seed": 0})
    opened = from_pretrained(tmp_path)
    with torch.no_grad():
        np.testing.assert_array_equal(opened.network().numpy(), model.reconstruct())


def test_a_fit_that_was_stopped_goes_on_as_it_would_have(tmp_path):
    tensor = np.random.default_rng(0).random(SHAPE)  # takes long: there are no components
    options = {"n_restarts": 2, "tol": 1e-12, "accelerator": "cpu", "random_state": 1}
    TensorFactorisation(5, max_iter=10, **options).fit(tensor, folder=tmp_path)
    resumed = TensorFactorisation(5, max_iter=30, **options).fit(tensor, folder=tmp_path)
    straight = TensorFactorisation(5, max_iter=30, **options).fit(tensor)
    assert resumed.n_iter_ == straight.n_iter_ == 30
    np.testing.assert_allclose(resumed.errors_, straight.errors_, rtol=1e-12)
    np.testing.assert_allclose(resumed.factors_[1], straight.factors_[1], atol=1e-9)
    finished = TensorFactorisation(5, max_iter=30, **options).fit(tensor, folder=tmp_path)
    np.testing.assert_array_equal(finished.factors_[1], resumed.factors_[1])


def negative():
    tensor = make_tensor()[0]
    tensor[3, 2, 1] = -1
    return tensor


def infinite():
    tensor = make_tensor()[0]
    tensor[3, 2, 1] = np.inf
    return tensor


@pytest.mark.parametrize(
    ("tensor", "options", "message"),
    [
        pytest.param(np.ones(5), {}, r"two or more modes, none of them empty, got shape \(5,\)", id="one mode"),
        pytest.param(np.ones((5, 0, 3)), {}, r"none of them empty, got shape \(5, 0, 3\)", id="an empty mode"),
        pytest.param(np.full((3, 4, 5), np.nan), {}, "no entry .* is observed: all are NaN", id="all missing"),
        pytest.param(np.zeros((3, 4, 5)), {}, "every observed entry is 0", id="all zero"),
        pytest.param(negative(), {}, r"1 entries are negative, the first at \(3, 2, 1\).*nonnegative=False", id="negative"),
        pytest.param(infinite(), {}, r"1 entries are infinite, the first at \(3, 2, 1\).*NaN", id="infinite"),
        pytest.param(np.array([["a", "b"]]), {}, "real numbers, got <U1", id="text"),
        pytest.param(np.ones((3, 4, 5)), {"rank": 0}, "1 positive rank.*got 0", id="rank 0"),
        pytest.param(np.ones((3, 4, 5)), {"rank": 2.5}, "positive whole number .*got 2.5", id="half a component"),
        pytest.param(np.ones((3, 4, 5)), {"rank": 13}, r"rank 13 is more than a tensor of shape \(3, 4, 5\) can have, 12", id="rank too high"),
        pytest.param(np.ones((3, 4, 5)), {"rank": (2, 2)}, r"takes 1 positive rank\(s\), got \(2, 2\)", id="two ranks"),
        pytest.param(np.ones((3, 4, 5)), {"model": "tukcer"}, "did you mean 'tucker'", id="unknown model"),
        pytest.param(np.ones((3, 4, 5)), {"model": "tucker"}, "pass nonnegative=False", id="a non-negative Tucker"),
        pytest.param(np.ones((3, 4, 5)), {"model": "tucker", "nonnegative": False, "rank": 4}, "rank 4 of mode 0 is more than 3", id="Tucker rank too high"),
        pytest.param([[1.0, 2.0], [3.0]], {}, "every slice of one size, got something ragged", id="ragged lists"),
        pytest.param(np.ones((3, 4, 5)), {"max_iter": 0.5}, "max_iter must be a whole number, got 0.5", id="half a pass"),
        pytest.param(np.ones((3, 4, 5)), {"n_restarts": 0}, "n_restarts must be a positive number, got 0", id="no restart"),
    ],
)  # fmt: skip
def test_what_cannot_be_factorised_is_refused(tensor, options, message):
    with pytest.raises(NeurodataError, match=message):
        TensorFactorisation(**({"rank": 2} | options)).fit(tensor)


def test_new_data_of_another_shape_are_refused():
    tensor, _, _ = make_tensor()
    model = fitted(tensor, n_restarts=1, max_iter=5)
    with pytest.raises(
        NeurodataError, match=r"expected a tensor of shape \(28, 20, any\) as in fit, got \(28, 19, 3\)"
    ):
        model.transform(tensor[:, :19, :3])
    with pytest.raises(NeurodataError, match="a tensor of 3 modes has none of number 3"):
        model.transform(tensor, 3)
    with pytest.raises(NeurodataError, match=r"a tensor of 3 modes has none of number 1\.5"):
        model.transform(tensor, 1.5)
    with pytest.raises(NeurodataError, match=r"expected a tensor of shape \(28, 20, 12\)"):
        model.score(tensor[:3])
