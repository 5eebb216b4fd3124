"""Factorisations of tensors that come in blocks of rows."""

from __future__ import annotations

import os

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.models import TensorFactorisation
from neurodata.models.layers.cp import factor_match

SHAPE = (60, 20, 8)


def make_tensor(missing, seed=0):
    """Five components, noise, and entries missing at random or whole (row, last) fibres."""
    random = np.random.default_rng(seed)
    factors = [random.gamma(0.5, size=(size, 5)) for size in SHAPE]
    tensor = np.einsum("ir,jr,kr->ijk", *factors)
    tensor += 0.2 * tensor.std() * random.random(SHAPE)
    gaps = {"entries": SHAPE, "fibres": (SHAPE[0], 1, SHAPE[2]), "nothing": (1, 1, 1)}[missing]
    share = 0.0 if missing == "nothing" else 0.3
    return np.where(random.random(gaps) < share, np.nan, tensor), factors


def in_blocks(tensor, sizes=(7, 20, 33)):
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return lambda: ((int(first), tensor[first : first + size]) for first, size in zip(starts, sizes, strict=True))


@pytest.mark.parametrize("missing", ["nothing", "entries", "fibres"])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_blocks_and_the_whole_give_the_same_factors(missing, nonnegative):
    tensor, factors = make_tensor(missing)
    options = {"nonnegative": nonnegative, "n_restarts": 1, "random_state": 0, "accelerator": "cpu", "max_iter": 40}
    whole = TensorFactorisation(5, **options).fit(tensor)
    blocks = TensorFactorisation(5, **options).fit_blocks(in_blocks(tensor), SHAPE, dtype="float64")
    for one, other in zip(whole.factors_, blocks.factors_, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-4)
    assert blocks.error_ == pytest.approx(whole.error_, rel=1e-6)
    single = TensorFactorisation(5, **options).fit_blocks(in_blocks(tensor), SHAPE)
    assert factor_match(single.factors_, whole.factors_) > 0.99
    if nonnegative:  # noise with a mean: plain factors of it are others
        assert factor_match(whole.factors_, factors) > 0.95


def test_blocks_may_come_in_any_order_and_differ_in_what_they_lack():
    tensor, _ = make_tensor("fibres")
    tensor[30, 3, 2] = np.nan  # one block alone has a mask without structure
    tensor[50:] = np.nan_to_num(tensor[50:], nan=0.5)  # and another lacks nothing
    options = {"n_restarts": 1, "random_state": 0, "accelerator": "cpu", "max_iter": 30}
    whole = TensorFactorisation(4, **options).fit(tensor)
    places = [(40, 60), (0, 20), (20, 40)]
    model = TensorFactorisation(4, **options).fit_blocks(
        lambda: ((first, tensor[first:stop]) for first, stop in places), SHAPE, dtype="float64"
    )
    np.testing.assert_allclose(model.factors_[0], whole.factors_[0], atol=1e-4)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_new_loadings_and_scores_are_those_of_the_whole(mode, nonnegative):
    tensor, _ = make_tensor("entries")
    tensor[:, 3], tensor[2] = np.nan, np.nan
    model = TensorFactorisation(3, nonnegative=nonnegative, n_restarts=1, random_state=0, accelerator="cpu")
    model.fit_blocks(in_blocks(tensor), SHAPE, dtype="float64")
    assert np.isnan(model.factors_[0]).any(1).nonzero()[0].tolist() == [2]
    assert np.isnan(model.factors_[1]).any(1).nonzero()[0].tolist() == [3]
    found = model.transform_blocks(in_blocks(tensor), SHAPE, mode)
    np.testing.assert_allclose(found, model.transform(tensor, mode), atol=1e-6)
    assert model.score_blocks(in_blocks(tensor), SHAPE) == pytest.approx(model.score(tensor))
    assert model.score(tensor) == pytest.approx(1 - model.error_)


def test_a_pass_is_made_once_per_sweep_and_once_for_the_error():
    tensor, _ = make_tensor("nothing")
    passes = []

    def blocks():
        passes.append(1)
        return in_blocks(tensor)()

    model = TensorFactorisation(3, n_restarts=1, max_iter=6, random_state=0, accelerator="cpu")
    model.fit_blocks(blocks, SHAPE)
    assert len(passes) == model.n_iter_ + 1


def broken(tensor, kind):
    """Blocks with something wrong."""
    tensor = tensor.copy()
    if kind == "negative":
        tensor[31, 4, 2] = -1
    found = [(0, tensor[:30]), (30, tensor[30:])]
    return {
        "overlap": [*found, (59, tensor[59:])],
        "a gap": found[:1],
        "beyond": [*found, (60, tensor[:1])],
        "narrow": [(0, tensor[:, :3])],
    }.get(kind, found)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("overlap", "rows of the block at row 59 came twice"),
        ("a gap", "30 of 60 rows came in no block, the first is 30; give missing rows as NaN"),
        ("beyond", "rows 60 to 61 leaves the 60 there are"),
        ("narrow", r"the block at row 0 has shape \(60, 3, 8\), expected rows × 20 × 8"),
        ("negative", r"1 entries are negative, the first at \(31, 4, 2\)"),
    ],
)
def test_blocks_that_do_not_make_up_the_tensor_are_refused(kind, message):
    tensor, _ = make_tensor("nothing")
    with pytest.raises(NeurodataError, match=message):
        TensorFactorisation(3, max_iter=5, accelerator="cpu").fit_blocks(lambda: broken(tensor, kind), SHAPE)


def test_what_has_no_block_form_is_refused():
    with pytest.raises(NeurodataError, match="'tucker' needs the whole tensor at once; use fit"):
        TensorFactorisation(2, model="tucker", nonnegative=False).fit_blocks(list, SHAPE)
    with pytest.raises(NeurodataError, match=r"two or more modes, none of them empty, got \(5,\)"):
        TensorFactorisation(2).fit_blocks(list, (5,))
    with pytest.raises(NeurodataError, match="a generator can be gone through only once: pass the function"):
        TensorFactorisation(2).fit_blocks(iter([(0, np.ones(SHAPE))]), SHAPE)
    once = iter([(0, np.ones(SHAPE))])
    with pytest.raises(NeurodataError, match=r"no block came in a later pass; blocks\(\) must give all"):
        TensorFactorisation(2).fit_blocks(lambda: once, SHAPE)
    with pytest.raises(NeurodataError, match="or all are NaN: there is nothing"):
        TensorFactorisation(2).fit_blocks(lambda: [(0, np.full(SHAPE, np.nan))], SHAPE)


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="the system does not tell a peak")
def test_memory_is_a_block_and_not_the_tensor(grown_mb):
    shape, n_rows = (600, 150, 100), 12
    random = np.random.default_rng(0)
    factors = [random.random((size, 3), dtype=np.float32) for size in shape]
    lacking = random.random((shape[0], 1, shape[2])) < 0.2

    def blocks():
        for first in range(0, shape[0], n_rows):
            part = slice(first, first + n_rows)
            block = np.einsum("ir,jr,kr->ijk", factors[0][part], *factors[1:], optimize=True)
            np.copyto(block, np.nan, where=lacking[part])
            yield first, block

    model = TensorFactorisation(3, n_restarts=1, max_iter=2, random_state=0, accelerator="cpu")
    tensor, block = np.prod(shape) * 4 / 2**20, np.prod([n_rows, *shape[1:]]) * 4 / 2**20
    grown = grown_mb(lambda: model.fit_blocks(blocks, shape))
    assert grown < 20 * block < tensor / 2  # some copies of a block, sums as large as a row times the rank
