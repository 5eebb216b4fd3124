"""Simulated switching couplings: drawn as published, the same for the same seed, and true to their own likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from neurodata.errors import NeurodataError
from neurodata.simulate.switching_glm import EMISSIONS, LINKS, simulate_switching_glm


@pytest.fixture(scope="module")
def published():
    return simulate_switching_glm()


def smoothed(made) -> np.ndarray:
    """Chances of the states under the true parameters, by scaled forward-backward."""
    emission = made.log_emission()
    chance = np.exp(emission - emission.max(axis=2, keepdims=True))
    forward, backward = np.empty_like(chance), np.ones_like(chance)
    forward[:, 0] = chance[:, 0]
    for at in range(1, chance.shape[1]):
        forward[:, at] = (forward[:, at - 1] @ made.transition) * chance[:, at]
        forward[:, at] /= forward[:, at].sum(axis=1, keepdims=True)
    for at in range(chance.shape[1] - 2, -1, -1):
        backward[:, at] = (chance[:, at + 1] * backward[:, at + 1]) @ made.transition.T
        backward[:, at] /= backward[:, at].sum(axis=1, keepdims=True)
    return forward * backward


def test_sizes_rates_and_couplings_are_the_published_ones(published):
    assert published.counts.shape == (50, 2000, 20)
    assert published.counts.mean() == pytest.approx(0.5, abs=0.06)
    assert published.history == pytest.approx([0.6364, 0.2341, 0.0861, 0.0317, 0.0117], abs=1e-4)
    assert published.prior.mean(axis=(0, 1)) == pytest.approx([0.1, 0.8, 0.1], abs=0.03)
    sign = np.sign(published.weights)
    for place, value in enumerate((-1, 0, 1)):  # each state drew its edges from its edge's own chances
        drawn, chance = (sign == value).sum(axis=0), published.prior[:, :, place]
        assert (drawn - 5 * chance).mean() == pytest.approx(0, abs=0.1)
        assert np.corrcoef(drawn.ravel(), chance.ravel())[0, 1] > 0.8
    strength = np.abs(published.weights[sign != 0])
    assert strength.max() <= np.log(4)
    assert strength.mean() == pytest.approx(4 * np.log(4) / 3 - 1, abs=0.05)  # mean of log(1 + 3u)
    assert np.abs(published.bias).max() <= 0.05


def test_states_are_sticky_and_begin_anywhere(published):
    states = published.states
    pairs = np.zeros((5, 5))
    np.add.at(pairs, (states[:, :-1].ravel(), states[:, 1:].ravel()), 1)
    empirical = pairs / pairs.sum(axis=1, keepdims=True)
    assert np.allclose(np.diag(empirical), 0.98, atol=0.005)
    assert np.allclose(empirical[~np.eye(5, dtype=bool)], 0.005, atol=0.002)
    first = np.bincount(simulate_switching_glm(500, 1, 2).states[:, 0], minlength=5)
    assert stats.chisquare(first).pvalue > 1e-3


def test_the_oracle_decodes_nearly_all_states(published):
    assert (smoothed(published).argmax(axis=2) == published.states).mean() == pytest.approx(0.985, abs=0.004)
    own, other = (
        np.take_along_axis(published.log_emission(), states[:, :, None], axis=2).mean() / 20
        for states in (published.states, (published.states + 1) % 5)
    )
    assert -0.95 < own < -0.85  # a state's own couplings matter: measured -0.88 for other draws of them
    assert other < own - 0.04


def test_the_same_seed_gives_the_same_sequences_however_many():
    one, other = simulate_switching_glm(2, 60, 4, 3, seed=5), simulate_switching_glm(7, 60, 4, 3, seed=5)
    assert np.array_equal(one.counts, other.counts[:2])
    assert np.array_equal(one.states, other.states[:2])
    assert np.array_equal(one.weights, other.weights)
    assert not np.array_equal(one.counts, simulate_switching_glm(2, 60, 4, 3, seed=6).counts)
    assert not np.array_equal(other.counts[0], other.counts[1])


def test_history_drives_what_comes_next():
    """A regression on the past, within each state, finds the couplings that the truth names."""
    made = simulate_switching_glm(20, 1000, 5, 2, seed=1, emission="gaussian", noise_sd=0.7)
    past = np.zeros((20, 1000, 5))
    for lag, weight in enumerate(made.history, 1):
        past[:, lag:] += weight * made.counts[:, :-lag]
    for state in range(2):
        now = made.states == state
        inputs = np.column_stack([past[now], np.ones(now.sum())])
        found = np.linalg.lstsq(inputs, made.counts[now], rcond=None)[0].T
        assert np.allclose(found[:, :5], made.weights[state], atol=0.08)
        assert np.allclose(found[:, 5], made.bias, atol=0.04)
    assert np.abs(made.weights[0] - made.weights[1]).max() > 0.3


@pytest.mark.parametrize(
    ("emission", "link"),
    [
        *((emission, "sigmoid") for emission in EMISSIONS),
        *(("poisson", link) for link in LINKS[1:]),
        ("bernoulli", "exp"),
    ],
)
def test_log_emissions_are_those_of_the_named_distribution(emission, link):
    made = simulate_switching_glm(30, 200, 3, 2, seed=2, emission=emission, link=link, state_bias_sd=0.5)
    past = np.zeros((30, 3))
    for lag, weight in enumerate(made.history, 1):
        past += weight * made.counts[:, 50 - lag]
    r = made.dispersion
    densities = {
        "poisson": stats.poisson.logpmf,
        "bernoulli": stats.bernoulli.logpmf,
        "negative_binomial": lambda x, m: stats.nbinom.logpmf(x, r, r / (r + m)),
        "gaussian": stats.norm.logpdf,
    }
    links = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.log1p(np.exp(x)), "exp": np.exp}
    for state in range(2):
        value = past @ made.weights[state].T + made.bias + made.state_bias[state]
        mean = value if emission == "gaussian" else links[link](value)
        mean = 1 - np.exp(-mean) if (emission, link) == ("bernoulli", "exp") else mean
        expected = densities[emission](made.counts[:, 50], mean)
        assert np.allclose(made.log_emission()[:, 50, state], expected.sum(axis=1), atol=1e-6)


@pytest.mark.parametrize("emission", EMISSIONS)
def test_values_have_the_mean_and_variance_of_their_distribution(emission):
    made = simulate_switching_glm(40, 500, 4, 1, seed=3, emission=emission, dispersion=1.5, noise_sd=0.5)
    past = np.zeros_like(made.counts, dtype=float)
    for lag, weight in enumerate(made.history, 1):
        past[:, lag:] += weight * made.counts[:, :-lag]
    value = past @ made.weights[0].T + made.bias
    mean = value if emission == "gaussian" else 1 / (1 + np.exp(-value))
    variance = {
        "poisson": mean, "bernoulli": mean * (1 - mean), "negative_binomial": mean + mean**2 / 1.5,
        "gaussian": np.full_like(mean, 0.25),
    }[emission]  # fmt: skip
    assert (made.counts - mean).mean() == pytest.approx(0, abs=0.01)
    assert ((made.counts - mean) ** 2).mean() == pytest.approx(variance.mean(), rel=0.03)


@pytest.mark.parametrize("link", LINKS[1:])
def test_links_without_a_bound_do_not_run_away(link):
    made = simulate_switching_glm(10, 2000, seed=4, link=link)
    assert made.counts[:, 1000:].mean() == pytest.approx(made.counts[:, 100:1000].mean(), rel=0.05)
    assert made.counts.max() < 20


def test_a_given_history_is_the_one_that_acts():
    made = simulate_switching_glm(1, 10, 3, 1, history=[0.0, 2.0], state_bias_sd=1.0)
    assert made.history == pytest.approx([0.0, 1.0])
    changed = made.counts.copy()
    changed[0, 4] += 1
    touched = np.flatnonzero(np.abs(made.log_emission(changed) - made.log_emission()).sum(axis=(0, 2)) > 1e-12)
    assert set(touched) == {4, 6}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"emission": "poison"}, "no emission 'poison'; did you mean 'poisson'", id="emission"),
        pytest.param({"link": "logit"}, "no link 'logit'.*Known: sigmoid, softplus, exp", id="link"),
        pytest.param({"n_units": 0}, "number of units must be a positive number, got 0", id="no units"),
        pytest.param({"stay": 1.2}, "from 0 to 1, got 1.2", id="stay"),
        pytest.param({"noise_sd": 0.0}, "'noise_sd' must be a positive number", id="noise"),
        pytest.param({"state_bias_sd": -1.0}, "'state_bias_sd' must be 0 or more, got -1.0", id="state bias"),
        pytest.param({"history": []}, "finite weights with a positive sum, got \\[\\]", id="history"),
        pytest.param({"link": "exp", "state_bias_sd": 50.0}, "rates run away", id="rates"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(NeurodataError, match=message):
        simulate_switching_glm(**{"n_sequences": 2, "n_bins": 5, "n_units": 4, **options})


def test_counts_of_other_units_are_refused():
    with pytest.raises(NeurodataError, match=r"shape \(sequence, time, 4 units\), got shape \(5, 3\)"):
        simulate_switching_glm(1, 5, 4).log_emission(np.zeros((5, 3)))
