"""The switching GLM as users meet it: it finds what was simulated, and says what is wrong with data it cannot take."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks, get_tags

from neurodata.analyses.structure_function import shuffle_edges
from neurodata.errors import CheckpointError, NeurodataError
from neurodata.models import SwitchingGLM
from neurodata.models.array_task import fit_arrays
from neurodata.models.checkpoints import CONFIG, save_pretrained
from neurodata.models.estimators._switching_data import names_of, read_connectome
from neurodata.models.estimators.switching_glm import StateWarning
from neurodata.models.layers.history import make_basis
from neurodata.models.layers.hmm import smooth
from neurodata.models.layers.sequences import Sequences
from neurodata.models.layers.states import match_states
from neurodata.models.networks.switching_glm import SwitchingGlm
from neurodata.models.tasks.switching import Switching
from neurodata.simulate.switching_glm import simulate_switching_glm


def make(n_states=3, **settings):
    """An estimator that is quick on small data."""
    quick = {"n_restarts": 1, "link": "sigmoid", "accelerator": "cpu", "random_state": 0}
    return SwitchingGLM(n_states, **quick | settings)


class Found:
    """What a fit says of held-out sequences of a simulation, its states renamed as the truth's."""

    def __init__(self, simulated, n_train, model, first_test=None):
        test = slice(n_train if first_test is None else first_test, None)
        self.model = model.fit(simulated.counts[:n_train])
        truth, held_out = simulated.states[test], simulated.counts[test]
        chances = np.stack(model.predict_proba(held_out))
        named = match_states(chances.argmax(-1), truth)
        self.accuracy = (named[chances.argmax(-1)] == truth).mean()
        self.score = model.score(held_out)
        self.weights = model.weights_[np.argsort(named)]
        self.correlation = np.corrcoef(self.weights.ravel(), simulated.weights.ravel())[0, 1]
        oracle = smooth(
            torch.as_tensor(simulated.log_emission()[test]),
            torch.as_tensor(simulated.transition).log(),
            torch.as_tensor(simulated.log_initial()),
        )
        self.oracle_accuracy = (oracle.states.argmax(-1).numpy() == truth).mean()
        self.oracle_score = float(oracle.log_likelihood.sum()) / held_out.size


@pytest.fixture(scope="module")
def small():
    """Twelve sequences of ten units in three states."""
    return simulate_switching_glm(12, 1000, 10, 3, seed=0)


@pytest.fixture(scope="module")
def found(small):
    return Found(small, 8, make())


def test_states_and_weights_of_a_simulation_are_found(found):
    assert found.accuracy >= found.oracle_accuracy - 0.02
    assert found.score >= found.oracle_score - 0.003
    assert found.correlation >= 0.92  # 8000 bins; the slow test has 60,000
    assert found.model.weights_.shape == (3, 10, 10)
    assert found.model.kernels_.shape == (3, 10, 10, 5)
    np.testing.assert_allclose(np.diag(found.model.transition_), 0.98, atol=0.01)
    np.testing.assert_allclose(found.model.share_, 1 / 3, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("n_train", "correlation"), [(30, 0.95), (4, 0.85)])
def test_the_published_simulation_is_recovered_and_priors_help_where_data_are_short(seed, n_train, correlation):
    simulated = simulate_switching_glm(50, 2000, 20, 5, seed=seed)
    fits = {
        prior: Found(simulated, n_train, make(5, prior=prior, n_restarts=3, random_state=seed), first_test=30)
        for prior in ("none", "gaussian", "onehot")
    }
    for fit in fits.values():
        assert fit.accuracy >= fit.oracle_accuracy - 0.02
        assert fit.correlation >= correlation
    if n_train == 30:
        assert all(fit.score >= fit.oracle_score - 0.003 for fit in fits.values())
    else:
        assert fits["onehot"].score >= fits["gaussian"].score >= fits["none"].score
        assert fits["onehot"].correlation >= fits["gaussian"].correlation >= fits["none"].correlation
    assert fits["onehot"].score >= fits["gaussian"].score
    assert fits["onehot"].correlation >= fits["gaussian"].correlation


def test_priors_help_where_data_are_short(small):
    fits = {prior: Found(small, 2, make(prior=prior, max_iter=20)) for prior in ("none", "gaussian", "onehot")}
    assert fits["onehot"].score > fits["gaussian"].score > fits["none"].score
    assert fits["onehot"].correlation > fits["gaussian"].correlation > fits["none"].correlation
    graph = fits["onehot"].model.prior_graph_
    np.testing.assert_allclose(graph.sum(-1), 1, atol=1e-5)
    signs, truth = graph[..., 2] - graph[..., 0], small.prior[..., 2] - small.prior[..., 0]
    assert np.corrcoef(signs.ravel(), truth.ravel())[0, 1] > 0.4
    assert fits["onehot"].model.restarts_["prior"].tolist() == ["gaussian", "onehot"]


def test_a_connectome_helps_and_its_shuffle_does_not():
    simulated = simulate_switching_glm(6, 600, 14, 2, seed=3)
    graph = (simulated.weights != 0).any(0).astype(float)
    scores = [
        Found(simulated, 2, make(2, prior="connectome", connectome=one, max_iter=15)).score
        for one in (graph, shuffle_edges(graph, np.random.default_rng(0)))
    ]
    assert scores[0] > scores[1] + 0.002


def test_a_table_of_connections_is_turned_so_that_rows_are_targets():
    names = ["AVAL", "AVAR", "AVBL"]
    table = xr.DataArray(np.arange(9.0).reshape(3, 3), dims=("pre", "post"), coords={"pre": names, "post": names})
    np.testing.assert_array_equal(read_connectome(table, 3), np.arange(9.0).reshape(3, 3).T)
    np.testing.assert_array_equal(read_connectome(table.to_numpy().T, 3), np.arange(9.0).reshape(3, 3).T)


def test_named_units_and_a_named_connectome_are_put_into_one_order():
    names = ["AVAL", "AVAR", "AVBL"]
    table = xr.DataArray(np.arange(9.0).reshape(3, 3), dims=("pre", "post"), coords={"pre": names, "post": names})
    straight = read_connectome(table, 3)
    np.testing.assert_array_equal(read_connectome(table.isel(pre=[2, 0, 1]), 3), straight)
    turned = read_connectome(table, 2, ["AVBL", "AVAL"])  # two units of three
    np.testing.assert_array_equal(turned, straight[[2, 0]][:, [2, 0]])
    counts = xr.DataArray(np.ones((1, 9, 2)), dims=("sequence", "time", "unit"), coords={"unit": ["AVAL", "AVBR"]})
    with pytest.raises(NeurodataError, match="hold each neuron once among pre and among post; it does not for AVBR; it holds AVAL, AVAR, AVBL"):  # fmt: skip
        make(2, prior="connectome", connectome=table).fit(counts)
    assert names_of(counts) == names_of(list(counts)) == ["AVAL", "AVBR"]
    assert names_of(np.ones((1, 9, 2))) is None
    with pytest.raises(NeurodataError, match="sequence 1 names its units AVBR, AVAL, sequence 0 AVAL, AVBR"):
        names_of([counts[0], counts[0][:, ::-1]])


@pytest.mark.parametrize("emission", ["bernoulli", "negative_binomial"])
def test_other_laws_of_counts_are_recovered(emission):
    link = "sigmoid" if emission == "bernoulli" else "softplus"
    simulated = simulate_switching_glm(10, 1000, 8, 2, seed=2, emission=emission, link=link)
    fit = Found(simulated, 7, make(2, emission=emission, link=link, max_iter=20))
    assert fit.accuracy >= fit.oracle_accuracy - 0.02
    assert fit.score >= fit.oracle_score - 0.003
    assert fit.correlation >= 0.9
    if emission == "negative_binomial":
        np.testing.assert_allclose(fit.model.task_.network.log_size.detach().exp().numpy(), 2.0, rtol=0.35)


def test_autoregressive_states_of_traces_are_recovered_in_the_units_of_the_data():
    simulated = simulate_switching_glm(20, 500, 8, 3, seed=0, emission="gaussian")
    plain = Found(simulated, 12, make(emission="gaussian"))
    assert plain.accuracy >= plain.oracle_accuracy - 0.02
    assert plain.score >= plain.oracle_score - 0.004
    assert plain.correlation >= 0.95
    gain = np.logspace(-3, 2, 8).astype(np.float32)
    scaled = make(emission="gaussian").fit(simulated.counts[:12] * gain + 50 * gain)
    np.testing.assert_allclose(scaled.weights_ / gain[:, None] * gain, plain.model.weights_, atol=0.02)
    shifted = plain.model.bias_ + plain.model.state_bias_ + 50 - plain.model.weights_.sum(-1) * 50
    np.testing.assert_allclose((scaled.bias_ + scaled.state_bias_) / gain, shifted, atol=0.5)
    assert scaled.log_likelihood_ + np.log(gain).mean() == pytest.approx(plain.model.log_likelihood_, abs=1e-3)


def chain(n_sequences, n_bins, n_states, seed, stay=0.97):
    rng = np.random.default_rng(seed)
    states = np.zeros((n_sequences, n_bins), int)
    states[:, 0] = rng.integers(n_states, size=n_sequences)
    for at in range(1, n_bins):
        moved = (states[:, at - 1] + rng.integers(1, max(2, n_states), size=n_sequences)) % n_states
        states[:, at] = np.where(rng.random(n_sequences) < stay, states[:, at - 1], moved)
    return states, rng


def test_weights_of_covariates_are_recovered_per_state_in_their_own_units():
    states, rng = chain(6, 800, 2, seed=0)
    covariates = 300 + 100 * rng.normal(size=(6, 800, 2))
    weights = rng.normal(size=(2, 6, 2)) / 100
    drive = np.einsum("stc,stuc->stu", covariates - 300, weights[states]) + 0.3
    counts = rng.poisson(np.logaddexp(0, drive))
    model = make(2, link="softplus", history_bins=2, max_iter=20).fit(counts, covariates)
    named = match_states(model.predict(counts, covariates), list(states))
    fitted = model.covariate_weights_[np.argsort(named)]
    np.testing.assert_allclose(fitted, weights, atol=0.0025)
    bias = (model.bias_ + model.state_bias_)[np.argsort(named)] + fitted @ np.array([300, 300])
    np.testing.assert_allclose(bias, 0.3, atol=0.2)


def test_a_model_without_history_is_a_plain_hidden_markov_model():
    states, rng = chain(6, 500, 2, seed=1)
    rates = rng.uniform(0.2, 3.0, (2, 5))
    counts = rng.poisson(rates[states])
    model = make(2, link="exp", history_bins=0, max_iter=20).fit(counts)
    named = match_states(model.predict(counts), list(states))
    fitted = np.exp(model.bias_ + model.state_bias_)[np.argsort(named)]
    np.testing.assert_allclose(fitted, rates, atol=0.2)
    assert not model.weights_.any()


@pytest.mark.parametrize("history", ["learned", "raised_cosine"])
def test_the_shape_of_a_history_is_recovered(history):
    shape = (make_basis("raised_cosine", 6, 3) @ torch.tensor([0.05, 0.75, 0.2])).numpy()  # rises, then falls
    simulated = simulate_switching_glm(8, 1000, 8, 2, seed=0, history=shape)
    fit = Found(simulated, 8, make(2, history=history, history_bins=6, n_filters=3, max_iter=20), first_test=0)
    kernels = fit.model.kernels_
    strong = np.abs(fit.model.weights_) > 0.6
    size = (kernels * np.sign(fit.model.weights_)[..., None])[strong].mean(0)
    np.testing.assert_allclose(size / size.sum(), shape, atol=0.05)
    assert fit.correlation > 0.85


def test_a_separate_self_history_is_told_apart_from_edges(small):
    model = make(self_history="separate", max_iter=4).fit(small.counts[:2])
    own = model.task_.network.own.detach().numpy()
    for state in range(3):
        np.testing.assert_allclose(model.kernels_[state][np.diag_indices(10)], own, atol=1e-6)
    free = make(self_history="none", max_iter=2).fit(small.counts[:2])
    assert not free.weights_[:, np.arange(10), np.arange(10)].any()


def test_padding_order_and_ragged_ends_change_nothing(found, small):
    model = found.model
    ragged = [small.counts[8], small.counts[9][:700], small.counts[10][:333]]
    alone = [model.predict_proba([one])[0] for one in ragged]
    for part, one in zip(model.predict_proba(ragged[::-1])[::-1], alone):
        np.testing.assert_allclose(part, one, atol=1e-5)
    assert [len(path) for path in model.predict(ragged)] == [1000, 700, 333]
    sizes = np.array([len(one) for one in ragged])
    scores = [model.score([one]) for one in ragged]
    assert model.score(ragged) == pytest.approx(sizes @ scores / sizes.sum(), rel=1e-5)
    np.testing.assert_array_equal(model.predict(small.counts[8:10])[1], model.predict(list(small.counts[8:10]))[1])


def test_a_list_and_an_array_are_fitted_alike_and_seeds_are_kept(small):
    state = torch.get_rng_state()
    fits = [make(max_iter=2).fit(given) for given in (small.counts[:3], list(small.counts[:3]))]
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(fits[0].weights_, fits[1].weights_)
    other = make(max_iter=2, random_state=1).fit(small.counts[:3])
    assert not np.array_equal(other.weights_, fits[0].weights_)


def test_the_reported_likelihood_is_the_score_of_the_training_data_and_the_best_restart_is_kept(small):
    model = make(max_iter=3, n_restarts=2).fit(small.counts[:3])
    assert model.score(small.counts[:3]) == pytest.approx(model.log_likelihood_, abs=1e-6)
    kept = model.restarts_[model.restarts_["kept"]]
    assert len(model.restarts_) == 2
    assert kept["log_likelihood"].item() == model.restarts_["log_likelihood"].max() == model.log_likelihood_
    assert kept["n_iter"].item() == model.n_iter_ == 3


def test_missing_values_are_left_out_of_fit_and_score(small):
    rng = np.random.default_rng(0)
    known = rng.random(small.counts.shape) < 0.9
    counts = np.where(known, small.counts, np.nan)
    model = make(max_iter=12).fit(counts[:6], mask=known[:6])
    paths = np.stack(model.predict(counts[8:], mask=known[8:]))
    named = match_states(paths, small.states[8:])
    assert (named[paths] == small.states[8:]).mean() > 0.85
    whole = known.all(-1)
    by_bin = model.score(np.where(whole[8:, :, None], counts[8:], np.nan), mask=list(whole[8:]))
    assert np.isfinite(by_bin)
    gaussian = make(emission="gaussian", max_iter=5).fit(counts[:3] + 0.1, mask=known[:3])
    assert np.isfinite(gaussian.log_likelihood_)


def test_one_state_is_the_plain_glm_that_more_states_beat(found, small):
    with pytest.raises(NeurodataError, match="n_states=1 leaves no states to switch between: use 2 or more, or allow_one_state=True"):  # fmt: skip
        make(1).fit(small.counts[:8])
    single = make(1, max_iter=10, allow_one_state=True).fit(small.counts[:8])
    assert single.weights_.shape == (1, 10, 10)
    assert single.score(small.counts[8:]) < found.score - 0.005
    with pytest.raises(NeurodataError, match="prior='onehot' is what states share; with n_states=1 use another prior"):
        make(1, prior="onehot", allow_one_state=True).fit(small.counts[:2])


def test_a_fitted_model_comes_back_bit_by_bit(found, small, tmp_path):
    save_pretrained(found.model, tmp_path, {"seed": 0})
    again = SwitchingGLM.from_pretrained(tmp_path)
    for ours, theirs in zip(found.model.predict_proba(small.counts[8:]), again.predict_proba(small.counts[8:])):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("weights_", "bias_", "state_bias_", "transition_", "initial_", "prior_graph_", "log_likelihood_"):
        np.testing.assert_array_equal(getattr(found.model, name), getattr(again, name))
    assert again.get_params() == found.model.get_params()
    assert again.restarts_.equals(found.model.restarts_)
    np.testing.assert_array_equal(again.share_, found.model.share_)


def test_what_a_checkpoint_says_of_a_fit_is_checked(found, tmp_path):
    save_pretrained(found.model, tmp_path, {})
    config = json.loads((tmp_path / CONFIG).read_text())
    for wrong in ({"share": [1.0]}, {"parameters": {"accelerator": 1}}, {"restarts": [{"prior": 3}]}, {"share": None}):
        (tmp_path / CONFIG).write_text(json.dumps(config | {"fit": config["fit"] | wrong}))
        with pytest.raises(CheckpointError, match="expected parameters, restarts and shares of states of a fit"):
            SwitchingGLM.from_pretrained(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(config | {"fit": [1]}))
    with pytest.raises(CheckpointError, match=r"expected named facts about the fit, got \[1\]"):
        SwitchingGLM.from_pretrained(tmp_path)
    save_pretrained(found.model.task_, tmp_path, {})  # a task alone has no fit to tell of
    assert SwitchingGLM.from_pretrained(tmp_path).n_states == 3


def test_samples_are_like_the_data(found, small):
    values, states = found.model.sample(1000, 6, random_state=0)
    assert values.shape == (6, 1000, 10)
    np.testing.assert_allclose(values.mean((0, 1)), small.counts.mean((0, 1)), atol=0.06)
    assert (states[:, 1:] == states[:, :-1]).mean() == pytest.approx(0.98, abs=0.01)
    decoded = np.stack(found.model.predict(values))
    assert (decoded == states).mean() > 0.85
    np.testing.assert_array_equal(values, found.model.sample(1000, 6, random_state=0)[0])
    with pytest.raises(NeurodataError, match=r"expected finite covariates of shape \(1, 5, 0\), got shape \(1, 5, 2\)"):
        found.model.sample(5, covariates=np.zeros((1, 5, 2)))


def test_the_number_of_states_shows_in_the_likelihood_of_held_out_sequences(small):
    table = make(max_iter=6).choose_n_states(small.counts[:6], [1, 3], n_folds=2)
    held_out = table[table["split"] == "held out"].set_index("n_states")
    assert held_out.loc[3, "value"] > held_out.loc[1, "value"] + 0.002
    assert (table["low"] <= table["value"]).all()
    with pytest.raises(NeurodataError, match="got 5 folds of 1 sequences; cut long sequences into pieces"):
        make().choose_n_states(small.counts[:1])
    with pytest.raises(NeurodataError, match="expected candidates, one or more numbers of states, got 3"):
        make().choose_n_states(small.counts[:6], 3)


def test_one_state_stands_beside_states_with_one_hot_edges(small):
    table = make(prior="onehot", max_iter=1).choose_n_states(small.counts[:4, :200], [1, 2], n_folds=2)
    assert np.isfinite(table["value"]).all()
    assert table["n_states"].tolist() == [1, 1, 2, 2]


def fit_alone(small, sweeps, std, folder=None):
    """Fit a network of two states whose weights begin with this spread."""
    values = torch.as_tensor(small.counts[:2])
    known = torch.ones_like(values, dtype=torch.bool)
    network = SwitchingGlm(n_units=10, n_states=2, link="sigmoid")
    torch.nn.init.normal_(network.weight, std=std, generator=torch.Generator().manual_seed(0))
    task = Switching(network)
    bins = network.lay_out(Sequences(values, known, torch.zeros(2, 1000, 0), torch.full((2,), 1000)))
    fit_arrays(task, [bins], epochs=sweeps, seed=0, folder=folder, accelerator="cpu")
    return task


def test_a_fit_goes_on_where_it_stopped(small, tmp_path):
    first = fit_alone(small, 2, 0.2, tmp_path)
    later = fit_alone(small, 5, 0.2, tmp_path)
    assert (int(first.n_sweeps), int(later.n_sweeps)) == (2, 5)
    assert later.log_likelihood > first.log_likelihood


def test_states_that_come_out_the_same_are_refused(small):
    model = make(2)
    model._take(fit_alone(small, 3, 0.0))  # zero weights are a symmetric saddle: the states stay alike for ever
    model.share_ = np.array([0.5, 0.5])
    with pytest.raises(NeurodataError, match=r"states 0 and 1 came out the same .* use fewer states"):
        model._check_states()
    model.set_params(allow_twins=True)._check_states()
    model._take(fit_alone(small, 3, 0.2))
    model.set_params(allow_twins=False)._check_states()


def test_a_state_that_explains_nothing_is_told(small):
    model = make(2)
    model._take(fit_alone(small, 1, 0.2))
    model.share_ = np.array([0.999, 0.001])
    with pytest.warns(StateWarning, match=r"states 1 explain less than 0.5% of the bins each"):
        model._check_states()


def test_it_is_an_estimator():
    model = SwitchingGLM(4, prior="onehot", link="exp")
    assert model.get_params()["prior"] == "onehot"
    assert clone(model).link == "exp"
    assert repr(model) == "SwitchingGLM(link='exp', n_states=4, prior='onehot')"
    assert model.set_params(n_states=2).n_states == 2
    tags = get_tags(model)
    assert (tags.input_tags.three_d_array, tags.input_tags.two_d_array, tags.target_tags.required) == (True, False, False)  # fmt: skip
    with pytest.raises(NotFittedError, match="SwitchingGLM instance is not fitted yet"):
        model.predict(np.zeros((1, 9, 2)))


@pytest.mark.parametrize(
    "check",
    [
        # Those that fit to made-up tables (sample, feature) do not apply: this takes sequences of counts.
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_repr",
        "check_estimator_cloneable",
        "check_valid_tag_types",
        "check_mixin_order",
    ],
)
def test_checks_of_estimators_that_need_no_table_pass(check):
    getattr(estimator_checks, check)("SwitchingGLM", SwitchingGLM())


GOOD = np.random.default_rng(0).poisson(0.5, (2, 30, 4)).astype(float)


def changed(at, value):
    counts = GOOD.copy()
    counts[at] = value
    return counts


@pytest.mark.parametrize(
    ("counts", "settings", "text"),
    [
        pytest.param(changed((1, 3, 2), -1), {}, r"counts of sequence 1 are negative in 1 places \(first: bin 3, unit 2\); emission 'poisson' takes counts, emission='gaussian' takes any", id="negative"),
        pytest.param(changed((0, 3, 2), 0.5), {}, "counts of sequence 0 are not whole numbers in 1 places", id="not whole"),
        pytest.param(changed((0, 3, 2), 3), {"emission": "bernoulli"}, "counts of sequence 0 are above 1 .* takes 0 and 1: use shorter bins", id="bernoulli of 3"),
        pytest.param(changed((0, 3, 2), np.nan), {}, r"sequence 0 hold NaN or infinity in 1 places .*; pass mask=", id="NaN"),
        pytest.param(GOOD[:, :, :1], {}, "counts hold one unit; couplings are between units", id="one unit"),
        pytest.param(GOOD[0], {}, r"got shape \(30, 4\); one sequence alone is counts\[None\]", id="one sequence"),
        pytest.param([], {}, "got no sequences", id="no sequences"),
        pytest.param([GOOD[0], GOOD[1][:0]], {}, "sequences without bins: 1; leave empty trials out", id="empty trial"),
        pytest.param([GOOD[0], GOOD[1][:5]], {}, r"no longer than the history of 5 bins: 1 \(5 bins\)", id="short"),
        pytest.param([GOOD[0], GOOD[1][:, :3]], {}, r"sequence 1 has shape \(30, 3\), sequence 0 has shape \(30, 4\)", id="other units"),
        pytest.param([["a", "b"]], {}, "list of .time, unit. of numbers", id="words"),
        pytest.param(GOOD.astype(int).astype(str), {}, "of numbers, sequence 0 holds <U", id="numbers as text"),
        pytest.param(GOOD + 1j, {}, "of numbers, sequence 0 holds complex128", id="complex"),
        pytest.param([1, 2], {}, r"sequence 0 has shape \(\)", id="a list of numbers"),
        pytest.param(None, {}, r"got NoneType of shape \(\)", id="nothing"),
        pytest.param(GOOD[:, :, :0], {}, "counts hold no units", id="no unit"),
        pytest.param(np.ma.masked_array(GOOD), {}, r"masked array, whose mask would be lost; pass counts.data and mask=", id="masked array"),
        pytest.param(xr.DataArray(GOOD, dims=("time", "sequence", "unit")), {}, "transpose them so that time is the last but one", id="turned table"),
        pytest.param(GOOD * 0, {}, "counts hold no event in any unit", id="no event"),
        pytest.param(GOOD, {"n_states": 61}, "n_states=61 are more than the 60 bins of the counts", id="more states than bins"),
        pytest.param(GOOD, {"n_states": True}, "n_states must be a whole number of 2 or more, got True", id="a state that is true"),
        pytest.param(GOOD, {"n_states": 2.0}, "n_states must be a whole number of 2 or more, got 2.0", id="states with a point"),
        pytest.param(GOOD, {"prior": None}, "no prior None", id="no prior"),
        pytest.param(GOOD, {"link": None}, "no link None", id="no link"),
        pytest.param(GOOD, {"prior_scale": "1"}, "prior_scale must be a positive number, got '1'", id="spread as text"),
        pytest.param(GOOD, {"stickiness": -1}, "stickiness must be a number of 0 or more, got -1", id="stickiness"),
        pytest.param(GOOD, {"state_bias": "yes"}, "state_bias must be True, False or None, got 'yes'", id="bias as text"),
        pytest.param(GOOD, {"allow_twins": 1}, "allow_twins must be True or False, got 1", id="switch as number"),
        pytest.param(GOOD, {"history_bins": 0, "prior": "onehot"}, "prior='onehot' is of couplings, and history_bins=0 leaves none", id="edges without history"),
        pytest.param(GOOD, {"prior": "connectome", "connectome": "abc"}, "expected a connectome of numbers", id="graph as text"),
        pytest.param(GOOD, {"prior": "connectome", "connectome": np.full((4, 4), np.inf)}, "the connectome holds infinity", id="infinite graph"),
        pytest.param(GOOD, {"prior": "one hot"}, "no prior 'one hot'; did you mean 'onehot'", id="prior"),
        pytest.param(GOOD, {"link": "relu"}, "no link 'relu'", id="link"),
        pytest.param(GOOD, {"emission": "normal"}, "no emission 'normal'", id="emission"),
        pytest.param(GOOD, {"n_states": 0}, "n_states must be a whole number of 2 or more, got 0", id="no state"),
        pytest.param(GOOD, {"n_restarts": 1.5}, "n_restarts must be a whole number of 1 or more, got 1.5", id="no restart"),
        pytest.param(GOOD, {"prior_scale": 0}, "prior_scale must be a positive number, got 0", id="no spread"),
        pytest.param(GOOD, {"prior": "connectome"}, "prior='connectome' needs a graph: pass connectome=", id="no graph"),
        pytest.param(GOOD, {"prior": "connectome", "connectome": np.ones((3, 3))}, r"expected a connectome of shape \(4, 4\).* got \(3, 3\)", id="other graph"),
        pytest.param(GOOD, {"prior": "connectome", "connectome": np.zeros((4, 4))}, "the connectome holds no connection", id="empty graph"),
        pytest.param(GOOD, {"connectome": np.ones((4, 4))}, "a connectome was given, but prior='gaussian' does not use it", id="unused graph"),
        pytest.param(GOOD, {"history_bins": 0, "state_bias": False}, "all states are alike", id="nothing differs"),
        pytest.param(GOOD * [1, 1, 1, 0], {"emission": "gaussian"}, "units 3 never change; leave them out", id="constant trace"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_meant_are_refused_with_one_clear_message(counts, settings, text):
    with pytest.raises(NeurodataError, match=text):
        make(**settings).fit(counts)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param({"covariates": np.zeros((1, 30, 1))}, "covariates do not fit the counts: 1 sequences for 2", id="sequences"),
        pytest.param({"covariates": np.zeros((2, 29, 1))}, "29 bins in sequence 0, whose counts have 30", id="bins"),
        pytest.param({"covariates": np.full((2, 30, 1), np.nan)}, "covariates hold NaN or infinity in sequences 0, 1", id="NaN"),
        pytest.param({"mask": np.ones((2, 30, 3), bool)}, r"mask of sequence 0: expected True and False of shape \(30,\) or \(30, 4\)", id="mask"),
        pytest.param({"mask": np.ones((1, 30), bool)}, "got a mask of 1 sequences for counts of 2", id="masks"),
        pytest.param({"mask": True}, r"expected a mask as counts, or \(sequence, time\), got True", id="one mask"),
        pytest.param({"mask": np.zeros((2, 30), bool)}, "the mask leaves no value known", id="nothing known"),
    ],
)  # fmt: skip
def test_what_comes_with_the_counts_must_fit_them(given, text):
    with pytest.raises(NeurodataError, match=text):
        make().fit(GOOD, **given)


def test_counts_that_never_change_are_fitted_without_complaint():
    counts = np.ones((2, 120, 3))
    assert np.isfinite(make(2, max_iter=1, link="softplus").fit(counts).log_likelihood_)


def test_sequences_of_several_lengths_may_come_as_an_array_of_objects(small):
    ragged = np.empty(2, object)
    ragged[:] = [small.counts[0], small.counts[1][:300]]
    fits = [make(max_iter=1).fit(given) for given in (ragged, list(ragged))]
    np.testing.assert_array_equal(fits[0].weights_, fits[1].weights_)


@pytest.mark.parametrize("n_bins", [0, 1.5, True])
def test_samples_are_a_whole_number_of_bins(found, n_bins):
    with pytest.raises(NeurodataError, match="n_bins must be a whole number of 1 or more"):
        found.model.sample(n_bins)


def test_other_units_than_those_fitted_are_refused(found, small):
    with pytest.raises(NeurodataError, match="fitted to 10 units and 0 covariates, got 9 and 0"):
        found.model.predict(small.counts[8:, :, :9])
    with pytest.raises(NeurodataError, match="fitted to 10 units and 0 covariates, got 10 and 2"):
        found.model.score(small.counts[8:], np.zeros((4, 1000, 2)))
