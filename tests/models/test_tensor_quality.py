"""Match of factors, core consistency, choice of the rank, and the sums that sweeps rest on."""

from __future__ import annotations

import numpy as np
import pytest
import tensorly
import torch
from scipy.optimize import nnls
from tensorly.cp_tensor import CPTensor
from tensorly.decomposition import non_negative_parafac_hals

from neurodata.errors import NeurodataError
from neurodata.models import TensorFactorisation
from neurodata.models.estimators._tensor_fit import fixed_loadings
from neurodata.models.estimators.tensor_factorisation import choose_rank
from neurodata.models.layers.cp import core_consistency, factor_match, subspace_match
from neurodata.models.layers.cp_sweeps import outer, row_equations
from neurodata.models.layers.tensor_rows import make_rows
from neurodata.models.networks.tensor_factors import TensorFactors


def make_factors(rank=3, shape=(20, 15, 10), seed=0):
    random = np.random.default_rng(seed)
    return [random.random((size, rank)) ** 2 for size in shape]


def whole(factors):
    return np.einsum("ir,jr,kr->ijk", *factors)


def test_factors_match_in_any_order_scale_and_sign():
    factors = make_factors()
    other = [factor[:, [2, 0, 1]] * scale for factor, scale in zip(factors, (-3.0, 0.1, -1.0), strict=True)]
    assert factor_match(factors, other) == pytest.approx(1)
    other[0][4] = np.nan
    assert factor_match(factors, other) == pytest.approx(1)
    assert factor_match([f[:, :2] for f in factors], other) == pytest.approx(1)


def test_factors_that_share_nothing_do_not_match():
    halves = np.eye(6)
    assert factor_match([halves[:, :3]] * 3, [halves[:, 3:]] * 3) == 0
    one, two = np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])
    assert factor_match([one, one], [two, two]) == pytest.approx(0.5)  # cos 45° in each of two modes
    with pytest.raises(NeurodataError, match=r"modes of sizes \[6, 6\] and \[2, 2\]"):
        factor_match([halves, halves], [one, one])


def test_subspaces_match_whatever_their_basis():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    basis = np.eye(5)[:, :2]
    assert subspace_match([basis, basis], [basis @ turn, basis]) == pytest.approx(1)
    assert subspace_match([basis, basis], [np.eye(5)[:, 2:4], basis]) == 0


def test_core_consistency_falls_once_there_are_too_many_components():
    random = np.random.default_rng(1)
    factors = make_factors()
    tensor = whole(factors)
    tensor += 0.1 * tensor.std() * random.random(tensor.shape)
    assert core_consistency(whole(factors), factors) == pytest.approx(100)
    options = {"random_state": 0, "n_restarts": 2, "accelerator": "cpu"}
    found = {}
    for rank in (3, 5):
        model = TensorFactorisation(rank, **options).fit(tensor)
        found[rank] = core_consistency(tensor, model.factors_)
    assert found[3] > 95
    assert found[5] < 50
    gaps = np.where(random.random(tensor.shape) < 0.3, np.nan, whole(factors))
    assert core_consistency(gaps, factors) == pytest.approx(100)
    assert np.isnan(core_consistency(tensor, [np.repeat(f[:, :1], 2, axis=1) for f in factors]))


@pytest.mark.parametrize("along", [None, 1], ids=["entries", "fibres of time"])
def test_the_planted_rank_is_chosen(along):
    tensor = whole(make_factors())
    random = np.random.default_rng(2)
    tensor = (tensor + 0.3 * tensor.std() * random.standard_normal(tensor.shape)).clip(0)
    tensor[random.random(tensor.shape) < 0.1] = np.nan
    model = TensorFactorisation(random_state=0, n_restarts=2, max_iter=30, tol=1e-4, accelerator="cpu")
    choice = choose_rank(model, tensor, [2, 3, 4], along=along, n_splits=3)
    assert choice.rank == 3
    assert choice.table["rank"].tolist() == [2, 3, 4]
    assert (choice.table["error"].diff().dropna() < 0).all()  # it fits ever better; what was held out it does not
    assert choice.table["held_out_error"].argmin() == 1
    assert choice.table["factor_match"][1] > 0.98
    assert choice.table["core_consistency"][1] > 80


def test_the_smallest_of_the_good_ranks_is_chosen_in_whatever_order_they_are_tried():
    tensor = np.random.default_rng(0).random((12, 11, 10))  # one component as good as any more
    model = TensorFactorisation(random_state=0, n_restarts=1, max_iter=5, accelerator="cpu")
    assert choose_rank(model, tensor, [3, 1, 2], n_splits=2).rank == 1
    assert choose_rank(model, tensor, range(1, 4), n_splits=2).rank == 1


def test_a_rank_is_chosen_among_some():
    tensor = whole(make_factors())
    with pytest.raises(NeurodataError, match=r"one rank or more and a share between 0 and 1; got \[\] and 0.1"):
        choose_rank(TensorFactorisation(), tensor, [])
    with pytest.raises(NeurodataError, match="holding out 1e-09 of 3000 observed entries leaves nothing"):
        choose_rank(TensorFactorisation(), tensor, [2], held_out=1e-9)


@pytest.mark.parametrize("missing", ["nothing", "entries", "fibres", "slices"])
def test_normal_equations_leave_missing_entries_out_exactly(missing):
    random = np.random.default_rng(0)
    shape = (6, 5, 4, 3)
    factors = [random.random((size, 3)) for size in shape]
    gaps = {"nothing": (0,) * 4, "entries": shape, "fibres": (6, 1, 1, 3), "slices": (1, 1, 4, 1)}[missing]
    lacking = np.broadcast_to(random.random(gaps) < 0.4 if any(gaps) else np.zeros((1,) * 4, bool), shape)
    values = np.where(lacking, np.nan, random.random(shape))
    rows = make_rows(0, torch.from_numpy(values))
    assert tuple(rows.mask.shape) == {"nothing": (1, 1, 1, 1)}.get(missing, gaps)
    others = [torch.from_numpy(factor.T.copy()) for factor in factors[1:]]
    data, grams = row_equations(rows, others, outer(others))
    design = np.einsum("jr,kr,lr->jklr", *factors[1:]).reshape(-1, 3)
    found = fixed_loadings(data, grams, nonnegative=True)
    for i in range(shape[0]):
        seen = ~lacking[i].ravel()
        gram = grams[:, :, i if grams.shape[2] > 1 else 0]
        np.testing.assert_allclose(gram, design[seen].T @ design[seen], atol=1e-12)
        np.testing.assert_allclose(data[:, i], design[seen].T @ values[i].ravel()[seen], atol=1e-12)
        np.testing.assert_allclose(found[:, i], nnls(design[seen], values[i].ravel()[seen])[0], atol=1e-6)


@pytest.mark.parametrize("rank", [5, 10])
def test_complete_data_are_fitted_as_well_as_by_tensorly(rank):
    random = np.random.default_rng(3)
    tensor = whole(make_factors(rank, (30, 40, 25), seed=3))
    tensor = (tensor + 0.5 * tensor.std() * random.standard_normal(tensor.shape)).clip(0)
    model = TensorFactorisation(rank, n_restarts=1, random_state=0, accelerator="cpu").fit(tensor)
    network = TensorFactors(shape=tensor.shape, ranks=[rank], double=True)
    network.draw(int(np.random.RandomState(0).randint(2**31 - 1, size=1)[0]))  # the same start
    start = CPTensor((np.ones(rank), [factor.detach().numpy().copy() for factor in network.factors]))
    with tensorly.backend_context("numpy"):
        _, errors = non_negative_parafac_hals(tensor, rank, n_iter_max=100, init=start, return_errors=True)
    assert model.error_ <= errors[-1] * (1 + 1e-4)
    assert np.flatnonzero(np.array(model.errors_) <= errors[-1] * (1 + 1e-6))[:1].size  # reached on the way
    assert np.argmax(np.array(model.errors_) <= errors[-1] * (1 + 1e-6)) < len(errors)  # in fewer sweeps
