"""Hidden Markov recursions against enumeration of all paths, against another hand's, and against themselves."""

import itertools
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch

from neurodata.errors import NeurodataError
from neurodata.models.layers import hmm, hmm_scan
from neurodata.models.layers.hmm import filter_states, smooth, viterbi
from neurodata.models.layers.hmm_logs import smooth_in_logs


@pytest.fixture(autouse=True)
def one_thread():
    """Arrays here are too small for more, and where threads wait for one another that counts as their work."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


class Chain(NamedTuple):
    log_emission: torch.Tensor
    log_transition: torch.Tensor
    log_initial: torch.Tensor


def make_chain(n_sequences, n_bins, n_states, seed, *, spread=3.0, zeros=0.0, stay=0.0, dtype=torch.float64):
    """A random model and random emissions; ``zeros`` is the share of transitions and first states that cannot be."""
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(n_states), n_states) * (1 - stay) + stay * np.eye(n_states)
    initial = rng.dirichlet(np.ones(n_states))
    possible = rng.random((n_states, n_states)) >= zeros
    np.fill_diagonal(possible, True)
    transition, initial = transition * possible, initial * (np.arange(n_states) % 2 == 0 if zeros else 1)
    transition, initial = transition / transition.sum(1, keepdims=True), initial / initial.sum()
    emission = rng.normal(0, spread, (n_sequences, n_bins, n_states))
    with np.errstate(divide="ignore"):
        values = emission, np.log(transition), np.log(initial)
    return Chain(*(torch.as_tensor(value).to(dtype) for value in values))


def enumerate_paths(chain):
    """Smoothed, pooled pairs, filtered, log-likelihood and best path of one sequence by going through all its paths."""
    emission, transition, initial = (value.numpy() for value in chain)
    n_bins, n_states = emission.shape[1:]
    paths = np.array(list(itertools.product(range(n_states), repeat=n_bins)))

    def log_joint(upto):
        steps = transition[paths[:, : upto - 1], paths[:, 1:upto]].sum(1)
        return initial[paths[:, 0]] + steps + emission[0, np.arange(upto), paths[:, :upto]].sum(1)

    def per_state(weights, at):
        return np.bincount(paths[:, at], weights / weights.sum(), n_states)

    whole = log_joint(n_bins)
    weights = np.exp(whole - whole.max())
    pairs = np.zeros((n_states, n_states))
    for at in range(n_bins - 1):
        np.add.at(pairs, (paths[:, at], paths[:, at + 1]), weights / weights.sum())
    causal = []
    for at in range(n_bins):
        now = log_joint(at + 1)
        causal.append(per_state(np.exp(now - now.max()), at))
    smoothed = np.stack([per_state(weights, at) for at in range(n_bins)])
    return smoothed, pairs, np.stack(causal), whole.max() + np.log(weights.sum()), paths[whole.argmax()]


def in_logs(chain, lengths=None):
    """The plain recursion, one bin after another."""
    lengths = torch.full((len(chain.log_emission),), chain.log_emission.shape[1]) if lengths is None else lengths
    return smooth_in_logs(*chain, lengths)


def assert_same(posterior, states, pairs, log_likelihood, tolerance):
    torch.testing.assert_close(posterior.states, states, rtol=0, atol=tolerance)
    torch.testing.assert_close(posterior.pairs, pairs, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(posterior.first, states[:, 0].sum(0), rtol=0, atol=tolerance * len(states))
    torch.testing.assert_close(posterior.log_likelihood, log_likelihood, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("zeros", [0.0, 0.4], ids=["all transitions possible", "some transitions impossible"])
@pytest.mark.parametrize(("n_bins", "seed"), [(6, 0), (6, 1), (6, 2), (6, 3), (6, 4), (2, 5), (1, 6)])
def test_everything_equals_going_through_all_paths(n_bins, seed, zeros):
    chain = make_chain(1, n_bins, 3, seed, zeros=zeros)
    states, pairs, causal, log_likelihood, path = enumerate_paths(chain)
    posterior = smooth(*chain)
    np.testing.assert_allclose(posterior.states[0], states, atol=1e-8)
    np.testing.assert_allclose(posterior.pairs, pairs, atol=1e-8)
    np.testing.assert_allclose(posterior.first, states[0], atol=1e-8)
    np.testing.assert_allclose(posterior.log_likelihood, [log_likelihood], atol=1e-8)
    np.testing.assert_allclose(filter_states(*chain)[0], causal, atol=1e-8)
    np.testing.assert_array_equal(viterbi(*chain)[0], path)


def test_pairs_of_several_sequences_are_summed():
    chain = make_chain(4, 6, 3, seed=7)
    alone = [smooth(chain.log_emission[[i]], *chain[1:]) for i in range(4)]
    together = smooth(*chain)
    assert_same(
        together,
        torch.cat([one.states for one in alone]),
        sum(one.pairs for one in alone),
        torch.cat([one.log_likelihood for one in alone]),
        1e-10,
    )
    assert together.pairs.sum() == pytest.approx(4 * 5)


@pytest.mark.parametrize("stay", [0.0, 0.97], ids=["quick", "sticky"])
@pytest.mark.parametrize(
    ("n_sequences", "n_bins", "n_states"),
    [
        pytest.param(3, 1, 4, id="one bin"),
        pytest.param(3, 2, 4, id="two bins"),
        pytest.param(1, 307, 2, id="a prime number of bins"),
        pytest.param(5, 400, 5, id="whole blocks"),
        pytest.param(2, 401, 5, id="one bin more than whole blocks"),
        pytest.param(2, 60, 120, id="so many states that there are no blocks"),
        pytest.param(3, 50, 1, id="one state"),
    ],
)
def test_blocks_of_time_equal_the_plain_recursion_in_logs(n_sequences, n_bins, n_states, stay):
    chain = make_chain(n_sequences, n_bins, n_states, seed=n_bins, spread=4.0, stay=stay)
    assert not hmm_scan.scan(chain[0], chain[1].exp(), chain[2].exp(), None).inexact.any()
    assert_same(smooth(*chain), *in_logs(chain), 1e-9)


@pytest.mark.parametrize("block", [1, 2, 7, 39, 40, 64])
def test_no_size_of_block_changes_the_result(block, monkeypatch):
    chain = make_chain(3, 40, 4, seed=block)
    monkeypatch.setattr(hmm_scan, "choose_block", lambda *sizes: block)
    assert_same(smooth(*chain), *in_logs(chain), 1e-10)


DYNAMAX = """
import sys
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from dynamax.hidden_markov_model import hmm_posterior_mode, hmm_smoother

@jax.jit
def everything(initial, transition, emission):
    smoothed = jax.vmap(lambda one: hmm_smoother(initial, transition, one))(emission)
    return {
        "states": smoothed.smoothed_probs,
        "pairs": smoothed.trans_probs.sum(0),
        "log_likelihood": smoothed.marginal_loglik,
        "filtered": smoothed.filtered_probs,
        "path": jax.vmap(lambda one: hmm_posterior_mode(initial, transition, one))(emission),
    }

given, found = np.load(sys.argv[1]), {}
for case in {name.split("/")[0] for name in given}:
    values = everything(*(given[f"{case}/{name}"] for name in ("initial", "transition", "emission")))
    found |= {f"{case}/{name}": value for name, value in values.items()}
np.savez(sys.argv[2], **found)
"""


def test_everything_equals_dynamax(tmp_path):
    # Three share a shape, 307 is prime: each shape is compiled anew, which is what takes the time.
    sizes = {"prime": (2, 307, 5), "sticky": (2, 307, 5), "zeros": (2, 307, 5), "many": (3, 64, 12)}
    chains = {
        name: make_chain(*size, seed=11, stay=0.95 * (name == "sticky"), zeros=0.4 * (name == "zeros"))
        for name, size in sizes.items()
    }
    given = {
        f"{name}/{key}": value.numpy()
        for name, chain in chains.items()
        for key, value in (
            ("emission", chain.log_emission),
            ("transition", chain.log_transition.exp()),
            ("initial", chain.log_initial.exp()),
        )
    }
    np.savez(tmp_path / "given.npz", **given)
    # In a process of its own: JAX starts threads, and a process with threads may not be forked by other tests.
    subprocess.run([sys.executable, "-c", DYNAMAX, tmp_path / "given.npz", tmp_path / "found.npz"], check=True)
    with np.load(tmp_path / "found.npz") as found:
        for name, chain in chains.items():
            posterior = smooth(*chain)
            for key in ("states", "pairs", "log_likelihood"):
                np.testing.assert_allclose(getattr(posterior, key), found[f"{name}/{key}"], rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(filter_states(*chain), found[f"{name}/filtered"], atol=1e-8)
            np.testing.assert_array_equal(viterbi(*chain), found[f"{name}/path"])


@pytest.mark.parametrize("kind", ["spread", "isolated", "never"])
@pytest.mark.parametrize("zeros", [0.0, 0.5], ids=["all transitions possible", "some transitions impossible"])
def test_emissions_ten_thousand_nats_apart_are_exact(kind, zeros):
    chain = make_chain(4, 300, 4, seed=3, zeros=zeros, stay=0.9)
    if kind == "spread":
        emission = chain.log_emission * 1e4 / 3
    elif kind == "isolated":  # one bin in thirty speaks very loudly
        emission = chain.log_emission.clone()
        emission[:, ::30] *= 1e4
    else:
        emission = chain.log_emission.masked_fill(chain.log_emission > 4, -torch.inf)
    chain = chain._replace(log_emission=emission)
    states, pairs, log_likelihood = in_logs(chain)
    assert torch.isfinite(log_likelihood).all()
    assert_same(smooth(*chain), states, pairs, log_likelihood, 1e-8)


def test_what_cannot_be_reached_is_not_reached_however_loud_it_is():
    # From left to right only: state 0 is favoured by 2000 nats in a bin after it was left for good.
    log_transition = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64).log()
    log_initial = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).log()
    emission = torch.zeros(2, 50, 3, dtype=torch.float64)
    emission[0, 20, 1], emission[0, 30, 0] = 5000.0, 2000.0
    chain = Chain(emission, log_transition, log_initial)
    fast = hmm_scan.scan(emission, log_transition.exp(), log_initial.exp(), None)
    assert fast.inexact.tolist() == [True, False]
    assert_same(smooth(*chain), *in_logs(chain), 1e-9)
    posterior = smooth(*chain)
    assert posterior.states[0, 20, 1] == pytest.approx(1)
    assert posterior.states[0, 30, 0] == 0
    assert posterior.pairs[1, 0] == posterior.pairs[2, 1] == 0
    assert viterbi(*chain)[0, 20] == 1


@pytest.mark.parametrize("spread", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("zeros", [0.0, 0.4], ids=["all transitions possible", "some transitions impossible"])
def test_single_precision_is_close_to_double(spread, zeros):
    double = make_chain(4, 1000, 5, seed=2, spread=spread, zeros=zeros, stay=0.9)
    # Both get the same numbers: rounding the data is not what is tested.
    double = double._replace(log_emission=double.log_emission.float().double())
    single = Chain(*(value.float() for value in double))
    fine, coarse = smooth(*double), smooth(*single)
    assert coarse.states.dtype == coarse.pairs.dtype == coarse.first.dtype == torch.float32
    assert coarse.log_likelihood.dtype == torch.float64
    torch.testing.assert_close(coarse.states.double(), fine.states, rtol=0, atol=1e-4)
    torch.testing.assert_close(coarse.pairs.double(), fine.pairs, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(coarse.log_likelihood, fine.log_likelihood, rtol=1e-6, atol=1e-3)
    torch.testing.assert_close(filter_states(*single).double(), filter_states(*double), rtol=0, atol=1e-4)
    assert (viterbi(*single) == viterbi(*double)).double().mean() > 0.999


@pytest.mark.parametrize("zeros", [0.0, 0.4], ids=["all transitions possible", "some transitions impossible"])
def test_sequences_of_different_lengths_are_as_alone(zeros):
    chain = make_chain(6, 120, 4, seed=5, zeros=zeros)
    lengths = [120, 1, 2, 63, 119, 11]
    garbage = chain.log_emission.clone()
    for sequence, length in enumerate(lengths):
        garbage[sequence, length:] = torch.nan
    together = smooth(garbage, *chain[1:], lengths)
    causal, paths = filter_states(garbage, *chain[1:], lengths), viterbi(garbage, *chain[1:], torch.tensor(lengths))
    pairs = torch.zeros(4, 4, dtype=torch.float64)
    for sequence, length in enumerate(lengths):
        alone = Chain(chain.log_emission[[sequence], :length], *chain[1:])
        posterior = smooth(*alone)
        pairs += posterior.pairs
        torch.testing.assert_close(together.states[[sequence], :length], posterior.states, rtol=0, atol=1e-10)
        torch.testing.assert_close(together.log_likelihood[[sequence]], posterior.log_likelihood)
        torch.testing.assert_close(causal[[sequence], :length], filter_states(*alone), rtol=0, atol=1e-10)
        assert torch.equal(paths[[sequence], :length], viterbi(*alone))
        assert not together.states[sequence, length:].any()
        assert not causal[sequence, length:].any()
        assert (paths[sequence, length:] == -1).all()
    torch.testing.assert_close(together.pairs, pairs)


def test_padding_changes_nothing():
    chain = make_chain(3, 77, 3, seed=9)
    padded = torch.nn.functional.pad(chain.log_emission, (0, 0, 0, 50), value=3.0)
    short, long = smooth(*chain), smooth(padded, *chain[1:], [77, 77, 77])
    assert_same(long._replace(states=long.states[:, :77]), short.states, short.pairs, short.log_likelihood, 1e-10)


def test_bins_that_were_not_observed_follow_the_transitions_alone():
    chain = make_chain(1, 30, 3, seed=4)
    emission = torch.zeros_like(chain.log_emission)
    posterior = smooth(emission, *chain[1:])
    expected = chain.log_initial.exp() @ torch.linalg.matrix_power(chain.log_transition.exp(), 29)
    torch.testing.assert_close(posterior.states[0, 29], expected)
    assert float(posterior.log_likelihood) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(("n_sequences", "n_bins"), [(2, 50), (2, 1), (1, 1)])
def test_the_arguments_are_left_as_they_were(n_sequences, n_bins):
    chain = make_chain(n_sequences, n_bins, 3, seed=1)
    copies = [value.clone() for value in chain]
    for lengths in (None, [n_bins, 1][:n_sequences]):
        smooth(*chain, lengths), filter_states(*chain, lengths), viterbi(*chain, lengths)
    assert all(torch.equal(value, copy) for value, copy in zip(chain, copies, strict=True))


def test_torch_keeps_its_number_of_threads():
    chain = make_chain(2, 50, 3, seed=1)
    torch.set_num_threads(2)
    smooth(*chain), filter_states(*chain), viterbi(*chain)
    assert torch.get_num_threads() == 2


def broken(**changes):
    return make_chain(2, 10, 3, seed=0)._replace(**changes)


@pytest.mark.parametrize("function", [smooth, filter_states, viterbi])
@pytest.mark.parametrize(
    ("chain", "lengths", "message"),
    [
        pytest.param(
            broken(log_emission=torch.zeros(10, 3)),
            None,
            r"must be \(sequence, time, state\) .* got \(10, 3\); one sequence is",
            id="no axis of sequences",
        ),
        pytest.param(
            broken(log_emission=torch.zeros(2, 10, 3).half()),
            None,
            "must be float32 or float64, got torch.float16",
            id="half precision",
        ),
        pytest.param(
            broken(log_transition=torch.zeros(2, 2)),
            None,
            r"log_transition must be \(3, 3\) for the 3 states of log_emission, got \(2, 2\)",
            id="another number of states",
        ),
        pytest.param(
            broken(log_transition=torch.full((3, 3), 1 / 3)),
            None,
            r"row 0 of log_transition must sum to 1 once exponentiated, got 4\.18684",
            id="probabilities where logarithms belong",
        ),
        pytest.param(
            broken(log_initial=torch.tensor([0.0, torch.nan, 0.0])),
            None,
            "log_initial must sum to 1 once exponentiated, got nan",
            id="a first state that is not a number",
        ),
        pytest.param(
            broken(log_emission=torch.zeros(2, 10, 3).index_fill(1, torch.tensor([4]), torch.nan)),
            None,
            r"got nan at sequence 0, bin 4, state 0 \(6 such\); bins that were not observed are 0",
            id="an emission that is not a number",
        ),
        pytest.param(
            broken(log_emission=torch.zeros(2, 10, 3).index_fill(1, torch.tensor([4]), -torch.inf)),
            None,
            "sequence 0 is impossible: at bin 4 log_emission is -inf in every state",
            id="a bin that no state explains",
        ),
        pytest.param(broken(), [10, 0], "from 1 to the 10 bins .* got 0 for sequence 1; leave empty", id="empty"),
        pytest.param(broken(), [10, 11], "from 1 to the 10 bins .* got 11 for sequence 1", id="longer than the data"),
        pytest.param(
            broken(), [10], r"one whole number per sequence, 2 in all, got torch.int64 of shape \(1,\)", id="n"
        ),
        pytest.param(
            broken(), [9.5, 10.0], "one whole number per sequence, 2 in all, got torch.float32", id="half bins"
        ),
    ],
)
def test_bad_arguments_are_refused_with_a_reason(function, chain, lengths, message):
    with pytest.raises(NeurodataError, match=message):
        function(*chain, lengths)


@pytest.mark.parametrize("function", [smooth, filter_states, viterbi])
def test_a_sequence_that_no_path_explains_is_named(function):
    log_transition = torch.eye(2, dtype=torch.float64).log()
    emission = torch.zeros(3, 20, 2)
    emission[2, 3, 0] = emission[2, 15, 1] = -torch.inf
    with pytest.raises(NeurodataError, match="sequence 2 is impossible: no path of states has a probability above 0"):
        function(emission, log_transition, torch.tensor([0.5, 0.5]).log())


def test_sums_that_are_off_by_rounding_are_scaled_to_one():
    chain = make_chain(2, 500, 4, seed=6)
    off = chain._replace(log_transition=chain.log_transition + 0.5 * hmm.TOLERANCE)
    assert_same(smooth(*off), *in_logs(chain), 1e-8)
