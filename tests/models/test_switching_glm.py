"""Layers and network of the switching GLM: histories, emissions, edges, least squares, first guesses, EM sweeps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from neurodata.errors import NeurodataError
from neurodata.models.estimators._switching_start import start_from
from neurodata.models.layers.edges import draw_kinds, fit_prior, sign_of
from neurodata.models.layers.emissions import draw, drive_of, log_base, log_density, rate_of
from neurodata.models.layers.history import filter_past, make_basis
from neurodata.models.layers.sequences import Sequences
from neurodata.models.layers.states import match_states
from neurodata.models.layers.weighted_fit import solve_states
from neurodata.models.networks.switching_glm import SwitchingGlm
from neurodata.models.tasks.switching import Switching, emissions


def sequences_of(values, lengths=None, covariates=None):
    values = torch.as_tensor(values, dtype=torch.float32)
    lengths = torch.tensor(lengths or [values.shape[1]] * len(values))
    within = torch.arange(values.shape[1]) < lengths[:, None]
    extra = torch.zeros(*values.shape[:2], 0) if covariates is None else torch.as_tensor(covariates).float()
    return Sequences(values * within[:, :, None], within[:, :, None].expand(values.shape), extra, lengths)


def stirred(seed=0, **sizes):
    """A network with every weight away from zero."""
    torch.manual_seed(seed)
    network = SwitchingGlm(**sizes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return network


def test_the_exponential_history_is_the_published_one():
    expected = [0.6364, 0.2341, 0.0861, 0.0317, 0.0117]
    np.testing.assert_allclose(make_basis("exponential", 5)[:, 0], expected, atol=5e-5)


@pytest.mark.parametrize("n_lags", [1, 4, 50])
def test_raised_cosines_sum_to_one_and_peak_later_and_later(n_lags):
    basis = make_basis("raised_cosine", n_lags, min(4, n_lags))
    torch.testing.assert_close(basis.sum(0), torch.ones(basis.shape[1]))
    peaks = basis.argmax(0).tolist()
    assert peaks == sorted(peaks)
    assert (peaks[0], peaks[-1]) == (0, n_lags - 1)


def test_more_bumps_than_lags_are_refused():
    with pytest.raises(NeurodataError, match="expected 1 to 3 bumps over 3 bins of history, got n_filters=4"):
        make_basis("raised_cosine", 3, 4)


def test_the_past_ends_one_bin_ago_and_is_zero_before_the_first_bin():
    values = torch.tensor([1.0, 0, 0, 2, 0])[None, :, None]
    past = filter_past(values, torch.tensor([[0.5], [0.3]]))[0, :, 0, 0]
    torch.testing.assert_close(past, torch.tensor([0, 0.5, 0.3, 0, 1.0]))


COUNTS = np.arange(6.0)


@pytest.mark.parametrize("link", ["softplus", "exp", "sigmoid"])
@pytest.mark.parametrize(
    ("emission", "law"),
    [
        ("poisson", lambda rate: stats.poisson(rate)),
        ("negative_binomial", lambda rate: stats.nbinom(1.7, 1.7 / (1.7 + rate))),
    ],
)
def test_counts_have_the_probabilities_of_their_law(emission, law, link):
    drive, counts = torch.tensor([-1.2, 0.4]), torch.tensor(COUNTS, dtype=torch.float32)[:, None]
    found = log_density(emission, link, drive, counts, torch.tensor(1.7).log()) + log_base(emission, counts)
    rate = rate_of(link, drive).numpy()
    np.testing.assert_allclose(found.numpy(), law(rate).logpmf(COUNTS[:, None]), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("link", ["softplus", "exp", "sigmoid"])
def test_chances_of_a_bernoulli_bin_sum_to_one(link):
    drive = torch.tensor([-3.0, 0.4])
    both = [log_density("bernoulli", link, drive, torch.tensor(x), torch.tensor(0.0)).exp() for x in (0.0, 1.0)]
    torch.testing.assert_close(both[0] + both[1], torch.ones(2))
    assert (both[1][0] < both[1][1]).all()


def test_gaussian_values_have_their_density():
    found = log_density("gaussian", "exp", torch.tensor(1.0), torch.tensor(2.5), torch.tensor(0.49).log())
    assert float(found) == pytest.approx(stats.norm(1.0, 0.7).logpdf(2.5), rel=1e-5)


@pytest.mark.parametrize("link", ["softplus", "exp", "sigmoid"])
def test_links_are_inverted_and_keep_gradients_where_rates_vanish(link):
    rate = torch.tensor([0.01, 0.5, 0.9])
    torch.testing.assert_close(rate_of(link, drive_of(link, rate)), rate)
    drive = torch.tensor([-200.0, 200.0], requires_grad=True)
    density = log_density("poisson", link, drive, torch.tensor(1.0), torch.tensor(0.0))
    density.sum().backward()
    assert torch.isfinite(density).all()
    assert torch.isfinite(drive.grad).all()
    assert drive.grad[0] == pytest.approx(1.0)


@pytest.mark.parametrize("emission", ["poisson", "bernoulli", "negative_binomial", "gaussian"])
def test_draws_have_the_mean_and_variance_of_their_law(emission):
    drive = torch.full((40_000,), -0.4)
    values = draw(emission, "softplus", drive, torch.tensor(2.0).log(), torch.Generator().manual_seed(0))
    rate = float(rate_of("softplus", drive[0]))
    chance = 1 - np.exp(-rate)
    mean, variance = {
        "poisson": (rate, rate),
        "bernoulli": (chance, chance * (1 - chance)),
        "negative_binomial": (rate, rate + rate**2 / 2),
        "gaussian": (-0.4, 2.0),
    }[emission]
    assert float(values.mean()) == pytest.approx(mean, abs=0.03)
    assert float(values.var()) == pytest.approx(variance, rel=0.05)


def test_drawn_edges_are_on_the_simplex_and_follow_their_chances():
    logits = torch.tensor([0.1, 0.8, 0.1]).log().expand(20_000, 3)
    torch.manual_seed(0)
    kinds = draw_kinds(logits, 0.1)
    torch.testing.assert_close(kinds.sum(-1), torch.ones(20_000))
    np.testing.assert_allclose(kinds.argmax(-1).bincount() / 20_000, [0.1, 0.8, 0.1], atol=0.01)
    assert sign_of(torch.tensor([0.0, 0.0, 1.0])) == 1
    assert sign_of(torch.tensor([1.0, 0.0, 0.0])) == -1


def test_the_prior_of_an_edge_is_between_its_own_shares_and_everyone_s():
    kinds = torch.zeros(5, 2, 2, 3)
    kinds[..., 1] = 1.0
    kinds[:, 0, 0] = torch.tensor([0.0, 0.0, 1.0])
    prior = fit_prior(kinds, 2.0).exp()
    torch.testing.assert_close(prior[0, 0], torch.tensor([0.0, 1.5, 5.5]) / 7)
    torch.testing.assert_close(prior[1, 1], torch.tensor([0.0, 6.5, 0.5]) / 7)


def test_names_of_states_are_matched_and_a_state_too_many_is_left_over():
    truth = [np.array([0, 0, 1, 1]), np.array([2, 2, 2])]
    found = [np.array([3, 3, 0, 0]), np.array([1, 1, 2])]
    assert match_states(found, truth).tolist() == [1, 2, -1, 0]
    with pytest.raises(NeurodataError, match="states of 7 bins cannot be matched to a reference of 4"):
        match_states(found, truth[:1])


@pytest.mark.parametrize("missing", [False, True])
def test_weighted_least_squares_sets_the_gradient_to_zero(missing):
    torch.manual_seed(0)
    design, targets = torch.randn(300, 4), torch.randn(300, 17)  # more units than are solved for at once
    states, known = torch.rand(300, 2), (torch.rand(300, 17) < 0.7).float() if missing else None
    precision, centre, noise = torch.rand(17, 4), torch.randn(17, 4), 0.5 + torch.rand(2, 17)
    weights = solve_states(design, targets, known, states, precision, centre, noise).requires_grad_()
    error = (targets[:, None] - torch.einsum("bf,snf->bsn", design, weights)) ** 2 / noise
    if known is not None:
        error = error * known[:, None]
    loss = (states[:, :, None] * error).sum() + (precision * (weights - centre) ** 2).sum()
    (slope,) = torch.autograd.grad(loss, weights)
    assert slope.abs().max() < 0.01


SIZES = {"n_units": 3, "n_states": 2}


@pytest.mark.parametrize("emission", ["poisson", "gaussian"])
def test_the_drive_is_what_the_equation_says(emission):
    network = stirred(
        **SIZES, n_covariates=1, history_bins=2, self_history="separate", state_bias=True, emission=emission
    )
    values, extra = np.random.default_rng(0).poisson(1.0, (1, 5, 3)), np.random.default_rng(1).normal(size=(1, 5, 1))
    bins = network.lay_out(sequences_of(values, covariates=extra))
    drive = network.drive(bins, network.edges()).detach().numpy()
    weights, own = network.weight.detach().numpy()[..., 0], network.own.detach().numpy()
    kernel, bias = network.basis.numpy()[:, 0], (network.bias + network.state_bias).detach().numpy()
    for time, state, unit in itertools.product(range(5), range(2), range(3)):
        expected = bias[state, unit] + network.covariate_weight.detach().numpy()[state, unit, 0] * extra[0, time, 0]
        for lag, source in itertools.product(range(min(2, time)), range(3)):
            weight = own[unit, lag] if source == unit else weights[state, unit, source] * kernel[lag]
            expected += weight * values[0, time - 1 - lag, source]
        assert drive[time, state, unit] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("history", ["raised_cosine", "learned"])
def test_a_learned_or_wide_history_is_its_kernel_over_lags(history):
    network = stirred(**SIZES, history=history, history_bins=4, n_filters=3)
    values = torch.poisson(torch.ones(1, 9, 3))
    bins = network.lay_out(sequences_of(values))
    kernels = (network.spread_edges(network.edges()) @ network.basis.T).detach()
    last = values[0, 4:8].flip(0)  # (lag, source), for bin 8
    expected = network.bias + torch.einsum("snml,lm->sn", kernels, last)
    torch.testing.assert_close(network.drive(bins, network.edges())[8], expected)


def test_padding_and_order_of_sequences_change_no_bin():
    network = stirred(**SIZES)
    values = torch.poisson(torch.ones(2, 12, 3))
    together = emissions(network, network.lay_out(sequences_of(values, [12, 7])))
    alone = [network.lay_out(sequences_of(part)) for part in (values[:1], values[1:, :7])]
    torch.testing.assert_close(together, torch.cat([emissions(network, part) for part in alone]))


def test_what_is_missing_counts_for_nothing():
    network = stirred(**SIZES)
    values = torch.poisson(torch.ones(1, 6, 3))
    whole = sequences_of(values)
    hidden = whole.observed.clone()
    hidden[0, 5, 1] = False
    found = emissions(network, network.lay_out(whole._replace(observed=hidden)))
    other = emissions(network, network.lay_out(whole._replace(values=values.index_fill(1, torch.tensor([5]), 3.0), observed=hidden)))  # fmt: skip
    assert torch.equal(found[:5], emissions(network, network.lay_out(whole))[:5])
    assert not torch.equal(found[5], other[5])  # the two units that are known differ
    only = sequences_of(values)._replace(observed=torch.zeros_like(hidden).index_fill_(2, torch.tensor([0]), True))
    bins = network.lay_out(only)
    assert bins.n_known == 6
    drive = network.drive(bins, network.edges())
    expected = log_density("poisson", "softplus", drive, bins.values[:, None], network.spread())[..., 0]
    torch.testing.assert_close(emissions(network, bins), expected.detach())


def test_a_connectome_frees_weights_by_strength_and_signs_count_where_some_are_negative():
    network = SwitchingGlm(n_units=3, n_states=2, prior="connectome", prior_scale=0.5)
    network.graph.copy_(torch.tensor([[0, 4.0, 1.0], [4.0, 0, float("nan")], [0, 4.0, 0]]))
    spread = network.weight_spread()
    assert spread[0, 1] == 0.5
    assert spread[0, 0] == pytest.approx(0.05)
    assert spread[0, 2] == pytest.approx(0.5 * (0.1 + 0.9 * 0.5))
    assert spread[1, 2] == 0.5  # not known
    assert not network.signed_graph
    network.graph[0, 1] = -4.0
    weights = torch.zeros(2, 3, 3, 1)
    weights[:, 0, 1] = 0.4
    wrong = network.log_prior(weights)
    right = network.log_prior(-weights)
    assert wrong < right - 10


def test_an_edge_of_no_strength_costs_more_than_none():
    network = SwitchingGlm(n_units=2, n_states=2, prior="onehot")
    with torch.no_grad():
        network.strength.fill_(0.5)
        network.strength[0, 0, 1] = -6.0
        costs = []
        for kind in (0, 1, 2):
            network.kinds.zero_()
            network.kinds[0, 0, 1, kind] = 8.0
            costs.append(-float(network.log_prior(network.edges())))
    assert min(costs[0], costs[2]) > costs[1] + 3


def test_a_symmetric_start_stays_symmetric_which_is_why_starts_are_noisy():
    network = SwitchingGlm(n_units=3, n_states=2)
    values = torch.poisson(torch.full((2, 200, 3), 0.5), generator=torch.Generator().manual_seed(0))
    bins = network.lay_out(sequences_of(values))
    task = Switching(network)
    states = task.expect(bins)
    loss = -(states * network.log_emission(bins)).sum()
    slope = torch.autograd.grad(loss, network.weight)[0]
    torch.testing.assert_close(slope[0], slope[1])


def test_states_start_apart_around_the_one_state_model():
    single, network = stirred(n_units=3, n_states=1), SwitchingGlm(n_units=3, n_states=4)
    bins = network.lay_out(sequences_of(torch.ones(1, 9, 3)))
    start_from(network, single, bins, seed=0)
    apart = network.weight.detach() - single.weight.detach()
    assert 0.05 < float(apart.std()) < 0.2
    assert float((network.weight[0] - network.weight[1]).detach().abs().max()) > 0.01
    assert torch.equal(network.bias, single.bias)


def test_the_chain_is_set_from_all_sequences_with_a_pull_to_stay():
    task = Switching(SwitchingGlm(n_units=2, n_states=2), stickiness=10.0)
    task.set_transitions(torch.tensor([[80.0, 9.8], [0.0, 0.0]]), torch.tensor([3.0, 0.0]))
    expected = torch.tensor([[90.1, 9.9], [0.1, 10.1]]) / torch.tensor([[100.0], [10.2]])
    torch.testing.assert_close(task.network.log_transition.exp(), expected)
    torch.testing.assert_close(task.network.log_initial.exp(), torch.tensor([0.8, 0.2]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"emission": "poison"}, "no emission 'poison'; did you mean 'poisson'", id="emission"),
        pytest.param({"link": "log"}, "no link 'log'", id="link"),
        pytest.param({"prior": "one-hot"}, "no prior 'one-hot'; did you mean 'onehot'", id="prior"),
        pytest.param({"history": "cosine"}, "no history 'cosine'", id="history"),
        pytest.param({"self_history": "edges"}, "no self_history 'edges'; did you mean 'edge'", id="self history"),
        pytest.param({"n_states": 0}, "sizes of a switching GLM must be positive", id="no states"),
    ],
)
def test_networks_that_cannot_be_are_refused(change, text):
    with pytest.raises(NeurodataError, match=text):
        SwitchingGlm(**change)
