"""Structure and function: a known wiring is found in covariances, and nothing is found where there is nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from neurodata.analyses._nulls import degree_matched, shuffle_edges
from neurodata.analyses._structure_scores import against
from neurodata.analyses.structure_function import make_functional, state_regressors, structure_function
from neurodata.errors import NeurodataError
from neurodata.recording.connectome import Connectome, Table, from_dense
from neurodata.recording.consensus import join
from neurodata.simulate.calcium import Noise, simulate_worms
from neurodata.simulate.wiring import list_neurons, random_connectome

NAMES = [f"N{i}" for i in range(40)]


def named(values, names=None):
    names = NAMES[: len(values)] if names is None else names
    return xr.DataArray(np.asarray(values, float), {"pre": names, "post": names}, ("pre", "post"))


def made(n=40, share=0.1, seed=0):
    """A directed graph with weights 1 … 9, and functional values that follow it loosely."""
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((n, n)) < share, rng.integers(1, 10, (n, n)), 0.0)
    np.fill_diagonal(weights, 0)
    return named(weights + rng.normal(0, 4, (n, n))), named(weights)


def row(result, statistic="auc", **where):
    table = result.table[result.table["statistic"] == statistic]
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


# ---- scores


def test_scores_are_those_of_scipy_and_scikit_learn():
    functional, structure = made()
    found = structure_function(functional, structure, absolute=False, n_nulls=5)
    off = ~np.eye(40, dtype=bool)
    x, y = functional.values[off], structure.values[off]
    assert row(found)["value"] == pytest.approx(roc_auc_score(y > 0, x))
    assert row(found, "spearman")["value"] == pytest.approx(spearmanr(x, y)[0])
    assert row(found, "pearson")["value"] == pytest.approx(pearsonr(x, y)[0])
    assert row(found)["n_pairs"] == off.sum()
    assert row(found)["n_connected"] == (y > 0).sum()
    assert found.rule == "each direction of a pair by itself, signed functional values"


def test_a_symmetric_functional_matrix_meets_unordered_pairs_of_the_symmetrised_graph():
    functional, structure = made()
    both = named(functional.values + functional.values.T)
    found = structure_function(both, structure, n_nulls=5)
    upper = np.triu_indices(40, 1)
    connected = np.maximum(structure.values, structure.values.T)[upper] > 0
    assert row(found)["value"] == pytest.approx(roc_auc_score(connected, np.abs(both.values[upper])))
    assert row(found)["n_pairs"] == 780
    assert "made symmetric by the max of its two directions" in found.rule


def test_neurons_are_matched_by_name_and_unknown_pairs_left_out():
    functional, structure = made()
    order = np.random.default_rng(1).permutation(40)
    turned = functional.isel(pre=order, post=order)
    same = structure_function(turned, structure, n_nulls=2)
    assert row(same)["value"] == pytest.approx(row(structure_function(functional, structure, n_nulls=2))["value"])
    part = functional.copy()
    part[3, 5] = np.nan
    wiring = structure.copy()
    wiring[{"pre": 7}] = wiring[{"post": 7}] = np.nan
    found = structure_function(part, wiring, n_nulls=20)
    assert row(found)["n_neurons"] == 39
    assert row(found)["n_pairs"] == 39 * 38 - 1
    assert found.left_out == ("N7",)
    assert not ((found.pairs["pre"] == "N3") & (found.pairs["post"] == "N5")).any()
    assert np.isfinite(found.nulls["structural", "labels", "auc"]).all()


def test_single_unmeasured_pairs_of_the_wiring_are_left_out_of_nulls_too():
    functional, structure = made()
    wiring = structure.copy()
    wiring[2, 9] = np.nan
    found = structure_function(functional, wiring, n_nulls=30)
    assert row(found)["n_pairs"] == 40 * 39 - 1
    assert np.isfinite(found.nulls["structural", "labels", "pearson"]).all()


def test_every_kind_is_compared_by_itself():
    functional, structure = made()
    chemical, one = from_dense(structure.values, NAMES, Table("chemical", "x"))
    electrical, two = from_dense(structure.values[::-1, ::-1].T.copy(), NAMES, Table("electrical", "x"))
    whole = join([Connectome(tuple(NAMES), chemical, (one,)), Connectome(tuple(NAMES), electrical, (two,))])
    found = structure_function(functional, whole, n_nulls=5)
    assert found.table["kind"].unique().tolist() == ["chemical", "electrical"]
    assert row(found, kind="chemical")["value"] > 0.65
    assert abs(row(found, kind="electrical")["value"] - 0.5) < 0.1
    assert row(structure_function(functional, whole, kind="electrical", n_nulls=2))["kind"] == "electrical"


def test_animals_are_averaged_pair_by_pair_and_give_an_interval():
    _, structure = made()
    rng = np.random.default_rng(3)
    animals = [named(structure.values + rng.normal(0, 8, (40, 40))) for _ in range(6)]
    for animal, lost in zip(animals, range(6)):
        animal[{"pre": lost}] = animal[{"post": lost}] = np.nan
    found = structure_function(animals, structure, absolute=False, n_nulls=5)
    auc = row(found)
    alone = found.animals[found.animals["statistic"] == "auc"]["value"]
    assert auc["n_animals"] == len(alone) == 6
    assert auc["low"] < auc["value"] < auc["high"]
    assert auc["value"] > alone.max(), "the mean is less noisy than any animal"
    assert np.isnan(row(structure_function(animals[0], structure, n_nulls=2))["low"])


def test_the_same_seed_gives_the_same_nulls():
    functional, structure = made()
    one, two = (structure_function(functional, structure, n_nulls=10, seed=4) for _ in range(2))
    for key, values in one.nulls.items():
        np.testing.assert_array_equal(values, two.nulls[key])


def test_p_and_z_say_how_far_from_the_nulls_a_score_is():
    functional, structure = made()
    auc = row(structure_function(functional, structure, n_nulls=199))
    assert auc["labels_z"] > 5
    assert auc["labels_p"] == auc["degree_p"] == 1 / 200
    noise = named(np.random.default_rng(0).normal(size=(40, 40)))
    chance = [row(structure_function(noise, made(seed=s)[1], n_nulls=99))["degree_p"] for s in range(1, 8)]
    assert min(chance) > 0.02
    assert max(chance) > 0.3


def test_p_is_uniform_where_a_value_is_one_of_its_nulls():
    """Each of some values against all others: of n + 1 values, one has p = 1 / (n + 1), one 2 / (n + 1), and so on."""
    values = np.random.default_rng(0).gamma(1, size=20)
    chances = [against(value, np.delete(values, i), "null")["null_p"] for i, value in enumerate(values)]
    np.testing.assert_allclose(np.sort(chances), np.arange(1, 21) / 20)


# ---- rewiring


def test_rewiring_keeps_every_degree_and_all_weights():
    counts = random_connectome(302, np.random.default_rng(0))
    counts[5, 5] = 3
    rewired = degree_matched(counts, np.random.default_rng(1))
    for axis in (0, 1):
        np.testing.assert_array_equal((rewired > 0).sum(axis), (counts > 0).sum(axis))
    np.testing.assert_array_equal(np.sort(rewired, axis=None), np.sort(counts, axis=None))
    np.testing.assert_array_equal(rewired.sum(axis=1), counts.sum(axis=1))
    assert rewired[5, 5] == 3
    assert ((rewired > 0) & (counts > 0)).sum() < 0.2 * (counts > 0).sum(), "partners are others"


def test_undirected_rewiring_stays_undirected_and_unknown_pairs_stay_empty():
    counts = np.maximum(*(lambda c: (c, c.T))(random_connectome(60, np.random.default_rng(2))))
    counts[4, :9] = counts[:9, 4] = np.nan
    rewired = degree_matched(counts, np.random.default_rng(1), directed=False)
    np.testing.assert_array_equal(rewired, rewired.T)
    np.testing.assert_array_equal(np.isnan(rewired), np.isnan(counts))
    np.testing.assert_array_equal((rewired > 0).sum(0), (counts > 0).sum(0))
    np.testing.assert_array_equal(shuffle_edges(counts, np.random.default_rng(1)), rewired)


@pytest.mark.parametrize("n", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("directed", [True, False])
def test_all_graphs_of_the_same_degrees_are_equally_likely(directed, n):
    start = np.zeros((4, 4) if directed else (5, 5))
    for i, j in [(0, 1), (1, 2), (2, 3), (0, 3), (3, 1)] if directed else [(0, 1), (1, 2), (2, 3), (3, 4), (0, 2)]:
        start[i, j] = 1
        start[j, i] = start[j, i] if directed else 1
    cells = [(i, j) for i, j in itertools.permutations(range(len(start)), 2) if directed or i < j]
    n_edges = 5
    possible = set()
    for chosen in itertools.combinations(cells, n_edges):
        graph = np.zeros_like(start)
        for i, j in chosen:
            graph[i, j] = 1
            graph[j, i] = graph[j, i] if directed else 1
        if all((graph.sum(a) == start.sum(a)).all() for a in (0, 1)):
            possible.add(graph.tobytes())
    rng = np.random.default_rng(0)
    drawn = [degree_matched(start, rng, directed).tobytes() for _ in range(n * len(possible))]
    counts = [drawn.count(one) for one in possible]
    assert set(drawn) == possible
    assert max(abs(count - n) for count in counts) < 4 * np.sqrt(n)


def test_shuffled_labels_keep_the_graph():
    _, structure = made()
    turned = shuffle_edges(structure.values, np.random.default_rng(0), "labels")
    assert sorted((turned > 0).sum(0)) == sorted((structure.values > 0).sum(0))
    assert not np.array_equal(turned, structure.values)


def test_graphs_that_allow_no_swap_come_back_as_they_are():
    full = np.ones((5, 5)) - np.eye(5)
    for graph in (full, np.zeros((3, 3)), np.diag([1.0, 2.0])):
        np.testing.assert_array_equal(degree_matched(graph, np.random.default_rng(0)), graph)


# ---- functional matrices


def test_correlations_are_those_of_the_moments_at_which_both_were_seen():
    rng = np.random.default_rng(0)
    traces = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    traces[:50, 1] = np.nan
    found = make_functional(traces, ["A", "B", "", "C"])
    assert found["pre"].values.tolist() == ["A", "B", "C"]
    assert found.sel(pre="A", post="B") == pytest.approx(np.corrcoef(traces[50:, 0], traces[50:, 1])[0, 1])
    assert np.isnan(found.sel(pre="A", post="A"))
    covariance = make_functional(traces, ["A", "B", "", "C"], measure="covariance")
    assert covariance.sel(pre="A", post="C") == pytest.approx(np.cov(traces[:, 0], traces[:, 3], bias=True)[0, 1])


def test_partial_correlation_does_not_see_a_path_through_an_unnamed_neuron():
    rng = np.random.default_rng(0)
    a = rng.normal(size=20_000)
    b = a + 0.7 * rng.normal(size=20_000)
    c = b + 0.7 * rng.normal(size=20_000)
    traces = np.column_stack([a, b, c])
    assert make_functional(traces, ["A", "", "C"]).sel(pre="A", post="C") > 0.6
    partial = make_functional(traces, ["A", "", "C"], measure="partial_correlation")
    assert abs(float(partial.sel(pre="A", post="C"))) < 0.03


def test_known_states_are_regressed_out():
    rng = np.random.default_rng(0)
    states = np.repeat(rng.integers(0, 3, 60), 25)
    drive = state_regressors(states, 3.0) @ rng.normal(size=(12, 2))
    traces = np.column_stack([drive @ [1, 1], drive @ [1, 1]]) + 0.1 * rng.normal(size=(1500, 2))
    traces[100:130, 0] = np.nan
    assert make_functional(traces, ["A", "B"]).sel(pre="A", post="B") > 0.9
    left = make_functional(traces, ["A", "B"], given=state_regressors(states, 3.0))
    assert abs(float(left.sel(pre="A", post="B"))) < 0.1


# ---- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda f, s: structure_function(f.isel(pre=slice(9), post=slice(9)), s),
            r"9 of 9 named neurons are among the 40 of the structural connectome, expected 10 or more",
            id="few neurons",
        ),
        pytest.param(
            lambda f, s: structure_function(
                f.assign_coords(pre=["X" + n for n in NAMES], post=["X" + n for n in NAMES]), s
            ),
            r"0 of 40 named neurons .*not found: XN0, .*names are canonical",
            id="no shared neuron",
        ),
        pytest.param(
            lambda f, s: structure_function(f, s * 0), r"0 of 1560 pairs .* nothing to tell apart", id="no edges"
        ),
        pytest.param(lambda f, s: structure_function(f, s * 0 + 1), r"1560 of 1560 pairs", id="all edges"),
        pytest.param(
            lambda f, s: structure_function(f.T, s), r"dimensions \('pre', 'post'\), got \('post'", id="turned"
        ),
        pytest.param(
            lambda f, s: structure_function(f.values, s), r"got ndarray|functional matrix 0: expected", id="array"
        ),
        pytest.param(lambda f, s: structure_function([], s), r"no functional matrices", id="none"),
        pytest.param(
            lambda f, s: structure_function(f, s, n_nulls=9.5), r"n_nulls must be a whole .* got 9.5", id="nulls"
        ),
        pytest.param(lambda f, s: structure_function(f, s, seed=-1), r"seed must be a whole number of 0 or", id="seed"),
        pytest.param(
            lambda f, s: structure_function(f, s, kind="electrical"),
            r"with one matrix; leave them out",
            id="kind of a matrix",
        ),
        pytest.param(lambda f, s: structure_function(f, s.values), r"a connectome is .* got ndarray", id="connectome"),
        pytest.param(
            lambda f, s: structure_function(f.assign_coords(pre=["A"] * 40), s),
            r"more than once in 'pre': A",
            id="repeated",
        ),
        pytest.param(
            lambda f, s: structure_function(f.assign_coords(pre=[*NAMES[::-1][:39], "Z"]), s),
            r"name different neurons",
            id="names",
        ),
        pytest.param(lambda f, s: make_functional(np.ones((5, 2)), ["A"]), r"got \(5, 2\) and 1 labels", id="labels"),
        pytest.param(lambda f, s: make_functional(np.ones((5, 2)), ["A", ""]), r"got 1 named: A$", id="one named"),
        pytest.param(
            lambda f, s: make_functional(np.ones((5, 2)), "AB", measure="corr"), r"no functional measure", id="measure"
        ),
        pytest.param(
            lambda f, s: make_functional(np.ones((5, 2)), "AB", given=np.ones((4, 1))), r"as long as", id="given"
        ),
        pytest.param(lambda f, s: shuffle_edges(np.ones((2, 3)), np.random.default_rng(0)), r"square", id="not square"),
        pytest.param(
            lambda f, s: degree_matched(np.triu(np.ones((3, 3))), np.random.default_rng(0), directed=False),
            r"symmetric matrix, this one is not",
            id="not symmetric",
        ),
    ],
)
def test_what_cannot_be_compared_is_explained(call, message):
    with pytest.raises(NeurodataError, match=message):
        call(*made())


# ---- simulated worms

QUIET = Noise(private_tau=1.0, shared_sd=0.0, bleaching_sd=0.0)
"""Nothing is common to the neurons but their wiring and, where it is on, the command drive."""


def write_even_wiring(path, seed=5):
    """Twelve partners for every neuron in either direction: without hubs, degrees tell nothing."""
    rng, neurons = np.random.default_rng(seed), list_neurons()
    counts = np.zeros((302, 302))
    for step in rng.choice(np.arange(1, 302), 12, replace=False):
        counts[np.arange(302), (np.arange(302) + step) % 302] = rng.integers(1, 8, 302)
    places = rng.permutation(302)
    counts = counts[np.ix_(places, places)]
    rows = [",".join([name, *map(str, row)]) for name, row in zip(neurons, counts)]
    path.write_text("\n".join([",".join(["", *neurons]), *rows]))
    return path


def compare(worms, n_nulls=20, **options):
    given = options.pop("given", False)
    functional = [
        make_functional(w.traces, w.labels, given=state_regressors(w.states, w.rate_hz) if given else None, **options)
        for w in worms
    ]
    names = worms[0].neurons
    structure = xr.DataArray(worms[0].weights, {"pre": names, "post": names}, ("pre", "post"))
    return structure_function(functional, structure, n_nulls=n_nulls)


def simulate(n_worms=3, seconds=1500.0, seed=0, **options):
    return simulate_worms(n_worms, seconds, seed, record="all", strength=0.9, missing_runs=0, noise=QUIET, **options)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_covariances_find_a_known_wiring_without_common_drive_and_with_half_the_names(seed, tmp_path):
    worms = simulate(drive=0.0, seed=seed, connectome=write_even_wiring(tmp_path / "even.csv"))
    found = row(compare(worms, measure="covariance"))
    assert found["value"] > 0.8
    assert found["n_neurons"] == 302
    assert abs(found["labels_mean"] - 0.5) < 0.03
    assert abs(found["degree_mean"] - 0.5) < 0.03
    rng = np.random.default_rng(seed)
    for worm in worms:
        worm.labels[rng.permutation(302)[:151]] = ""
    half = row(compare(worms, measure="covariance"))
    assert half["value"] > 0.65
    assert abs(half["labels_mean"] - 0.5) < 0.03
    assert abs(half["degree_mean"] - 0.5) < 0.03


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_under_command_drive_the_wiring_is_found_once_the_drive_is_taken_out(seed):
    worms = simulate(seed=seed)
    given_states = row(compare(worms, measure="covariance", given=True))
    partial = row(compare(worms, measure="partial_correlation"))
    plain = row(compare(worms, measure="covariance"))
    assert given_states["value"] > 0.65
    assert partial["value"] > 0.65
    assert plain["value"] < 0.6, "a plain covariance sees the drive, not the wiring"
    for found in (given_states, partial, plain):
        assert abs(found["labels_mean"] - 0.5) < 0.03
        assert found["value"] > found["degree_mean"] + 4 * found["degree_sd"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_with_hubs_degrees_alone_tell_some_and_the_degree_null_says_so(seed):
    found = row(compare(simulate(drive=0.0, seed=seed), measure="covariance", n_nulls=100))
    assert found["value"] > 0.8
    assert abs(found["labels_mean"] - 0.5) < 0.03
    assert 0.53 < found["degree_mean"] < 0.68
    assert found["degree_z"] > 10
    half = row(compare(simulate(drive=0.0, seed=seed, named_share=0.5), measure="covariance"))
    assert half["value"] > 0.65


@pytest.mark.slow
def test_a_wiring_that_is_not_the_worms_own_is_not_found():
    worms = simulate(drive=0.0)
    other = random_connectome(302, np.random.default_rng(99))
    functional = [make_functional(w.traces, w.labels) for w in worms]
    names = worms[0].neurons
    structure = xr.DataArray(other, {"pre": names, "post": names}, ("pre", "post"))
    found = row(structure_function(functional, structure, n_nulls=100))
    assert abs(found["value"] - 0.5) < 0.03
    assert found["degree_p"] > 0.01
