"""Blocks of weighted graphs: planted ones are found, absent ones are not."""

from __future__ import annotations

import doctest
import sys
import time
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, expon
from sklearn.metrics import normalized_mutual_info_score as nmi

from neurodata.analyses._sbm_blocks import Blocks
from neurodata.analyses._sbm_cost import make_graph
from neurodata.analyses.communities import block_order, communities
from neurodata.errors import NeurodataError
from neurodata.simulate.block_graphs import simulate_block_graph

BY_WEIGHT = {"mean_inside": 5.0, "mean_between": 1.0}
BY_TOPOLOGY = {"density_inside": 0.6, "density_between": 0.15, "weight": "equal"}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow),
                                  pytest.param(3, marks=pytest.mark.slow)])  # fmt: skip
def test_blocks_that_differ_in_weight_alone_are_found_by_weight_alone(seed):
    graph = simulate_block_graph(100, 4, **BY_WEIGHT, seed=seed)
    found = communities(graph.weights, seed=seed)
    assert nmi(graph.labels, found.labels) >= 0.95
    assert found.n_communities == 4
    assert found.description_length < found.null_description_length - 300
    unweighted = communities(graph.weights, weighted=False, seed=seed)
    assert unweighted.n_communities == 0
    assert nmi(graph.labels, unweighted.labels) == 0


@pytest.mark.parametrize(
    ("n_nodes", "seed"), [(60, 0), *(pytest.param(100, seed, marks=pytest.mark.slow) for seed in range(3))]
)
def test_blocks_of_a_complete_graph_are_found(n_nodes, seed):
    graph = simulate_block_graph(n_nodes, 4, density_inside=1.0, density_between=1.0, **BY_WEIGHT, seed=seed)
    assert nmi(graph.labels, communities(graph.weights, seed=seed).labels) >= 0.95


@pytest.mark.parametrize("weighted", [pytest.param(True, marks=pytest.mark.slow), False])
def test_blocks_that_differ_in_density_alone_are_found_either_way(weighted):
    graph = simulate_block_graph(100, 4, **BY_TOPOLOGY, seed=0)
    assert nmi(graph.labels, communities(graph.weights, weighted=weighted).labels) >= 0.99


@pytest.mark.parametrize("weight", ["equal", "exponential"])
@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_nothing_is_found_where_nothing_is(seed, weight):
    graph = simulate_block_graph(100, 1, weight=weight, seed=seed)
    found = communities(graph.weights, seed=seed)
    assert found.n_communities == 0
    assert not found.labels.any()
    assert found.description_length == found.null_description_length


def test_nothing_is_found_in_small_graphs_where_nothing_is():
    for seed, density in product(range(2), (0.3, 1.0)):
        graph = simulate_block_graph(30, 1, density_inside=density, seed=seed)
        assert communities(graph.weights).n_communities == 0


def test_neither_the_order_of_nodes_nor_the_unit_of_weights_matters():
    graph = simulate_block_graph(40, 2, **BY_WEIGHT, seed=1)
    found = communities(graph.weights)
    order = np.random.default_rng(0).permutation(40)
    moved = communities(graph.weights[np.ix_(order, order)])
    assert nmi(found.labels[order], moved.labels) == pytest.approx(1.0)
    assert moved.description_length == pytest.approx(found.description_length)
    for factor in (1e3, 1e-3):
        scaled = communities(factor * graph.weights)
        np.testing.assert_array_equal(scaled.labels, found.labels)
        assert scaled.description_length == pytest.approx(found.description_length)


SPARSE = {"density_inside": 0.1, "density_between": 0.005}


def test_degrees_are_corrected_where_they_have_a_heavy_tail():
    tailed = simulate_block_graph(120, 2, **SPARSE, degree_spread=0.8, seed=0)
    found = communities(tailed.weights, weighted=False)
    assert found.degree_corrected
    # Nodes of no edge belong nowhere.
    joined = tailed.weights.sum(axis=0) > 0
    assert nmi(tailed.labels[joined], found.labels[joined]) > 0.8
    plain = communities(tailed.weights, weighted=False, degree_corrected="no")
    assert plain.description_length > found.description_length + 10
    assert nmi(tailed.labels[joined], plain.labels[joined]) < 0.7


@pytest.mark.slow
def test_degrees_are_not_corrected_where_nodes_of_a_block_are_alike():
    alike = communities(simulate_block_graph(120, 2, **SPARSE, seed=0).weights, weighted=False)
    assert not alike.degree_corrected
    assert alike.n_communities == 2


def test_levels_are_nested_and_find_blocks_within_blocks():
    fine = np.repeat(np.arange(8), 12)
    coarse = fine // 4
    mean = np.where(fine[:, None] == fine, 16.0, np.where(coarse[:, None] == coarse, 4.0, 1.0))
    upper = np.triu(np.random.default_rng(0).exponential(mean), 1)
    found = communities(upper + upper.T)
    assert nmi(fine, found.labels) >= 0.95
    assert len(found.levels) == 2
    np.testing.assert_array_equal(found.levels[0], found.labels)
    assert nmi(coarse, found.levels[-1]) == pytest.approx(1.0)
    for finer, coarser in pairwise(found.levels):
        assert len(np.unique(np.column_stack([finer, coarser]), axis=0)) == finer.max() + 1
    flat = communities(upper + upper.T, nested=False)
    assert len(flat.levels) == 1
    order = block_order(found.labels, found.levels)
    assert (np.diff(found.levels[-1][order]) >= 0).all()
    assert (np.diff(found.labels[order]) != 0).sum() == found.n_communities - 1


def test_the_example_of_the_docstring_is_true():
    results = doctest.testmod(sys.modules["neurodata.analyses.communities"])
    assert results.attempted >= 4
    assert results.failed == 0


def test_labels_count_from_the_largest_block():
    labels = np.repeat([0, 1, 2], [10, 30, 20])
    mean = np.where(labels[:, None] == labels, 8.0, 1.0)
    upper = np.triu(np.random.default_rng(3).exponential(mean), 1)
    np.testing.assert_array_equal(communities(upper + upper.T).labels, np.repeat([2, 0, 1], [10, 30, 20]))


def test_unknown_pairs_are_left_out_and_are_not_zeros():
    graph = simulate_block_graph(60, 2, density_inside=1.0, density_between=1.0, **BY_WEIGHT, seed=0)
    rng = np.random.default_rng(0)
    # Unknown only between some nodes and the rest: as zeros they would be a block of their own.
    unknown = np.zeros((60, 60), bool)
    unknown[:15, 15:40] = rng.random((15, 25)) < 0.9
    unknown |= unknown.T
    weights = np.where(unknown, np.nan, graph.weights)
    weights[59] = weights[:, 59] = np.nan
    found = communities(weights)
    assert found.labels[59] == -1
    assert found.n_communities == 2
    assert nmi(graph.labels[:59], found.labels[:59]) >= 0.95
    assert block_order(found.labels, found.levels)[-1] == 59
    as_zeros = communities(np.nan_to_num(weights))
    assert nmi(graph.labels[:59], as_zeros.labels[:59]) < 0.8
    with pytest.raises(NeurodataError, match=r"degree correction is for graphs in which every pair is known.*NaN"):
        communities(weights, degree_corrected="yes")


# ---- the description length


def test_costs_are_the_integrals_they_stand_for():
    plain = make_graph(np.ones((6, 6)), corrected=False, weighted=False)
    joined, pairs = 4, 11
    integral = quad(lambda p: beta(1, 1).pdf(p) * p**joined * (1 - p) ** (pairs - joined), 0, 1)[0]
    assert plain.cost_of_pairs(joined, 0.0, pairs) == pytest.approx(-np.log(integral))
    weighted = make_graph(np.ones((6, 6)), corrected=False, weighted=True)
    total = 2.7
    integral = quad(lambda rate: expon.pdf(rate) * rate**joined * np.exp(-rate * total), 0, np.inf)[0]
    extra = weighted.cost_of_pairs(joined, total, pairs) - plain.cost_of_pairs(joined, total, pairs)
    assert extra == pytest.approx(-np.log(integral))
    corrected = make_graph(np.ones((6, 6)), corrected=True, weighted=False)
    prior = expon(scale=corrected.density)
    integral = quad(lambda rate: prior.pdf(rate) * rate**joined * np.exp(-rate * pairs), 0, 60)[0]
    assert corrected.cost_of_pairs(joined, 0.0, pairs) == pytest.approx(-np.log(integral))


def test_plain_descriptions_of_all_graphs_and_partitions_add_up_to_one():
    """A description length is the logarithm of a probability: over everything that can be said it sums to one."""
    above = np.triu_indices(4, 1)
    partitions = [p for p in product(range(4), repeat=4) if set(p) == set(range(max(p) + 1))]
    total = 0.0
    for edges in product((0.0, 1.0), repeat=6):
        if not any(edges):
            continue
        weights = np.zeros((4, 4))
        weights[above] = edges
        graph = make_graph(weights + weights.T, corrected=False, weighted=False)
        for partition in partitions:
            modes = (True, False) if max(partition) > 1 else (True,)
            total += sum(np.exp(-Blocks(graph, np.array(partition), tied=t, leaves=False).cost()) for t in modes)
    empty = sum(
        np.exp(-Blocks(_empty(4), np.array(partition), tied=tied, leaves=False).cost())
        for partition in partitions
        for tied in ((True, False) if max(partition) > 1 else (True,))
    )
    assert total + empty == pytest.approx(1.0)


def _empty(n):
    graph = make_graph(np.ones((n, n)), corrected=False, weighted=False)
    return type(graph)(**{**vars(graph), "present": 0 * graph.present, "weight": 0 * graph.weight})


@pytest.mark.parametrize(("corrected", "tied", "leaves"), list(product([False, True], repeat=3)))
def test_the_cost_of_a_move_and_of_a_merge_is_the_difference_of_two_descriptions(corrected, tied, leaves):
    made = simulate_block_graph(24, 4, density_inside=0.4, density_between=0.2, seed=2)
    graph = make_graph(made.weights, corrected=corrected, weighted=True)

    def describe(labels):
        return Blocks(graph, labels, tied=tied, leaves=leaves).cost()

    blocks = Blocks(graph, made.labels, tied=tied, leaves=leaves)
    for node in (0, 7):
        home = made.labels[node]
        blocks._shift(node, home, -1)
        costs = blocks._costs_of_insertion(node)
        blocks._shift(node, home, +1)
        for block in range(5):
            moved = made.labels.copy()
            moved[node] = block
            assert costs[block] - costs[home] == pytest.approx(describe(moved) - describe(made.labels))
    left, right = np.triu_indices(4, 1)
    gains = blocks._costs_of_merging(left, right)
    for gain, one, other in zip(gains, left, right):
        merged = np.where(made.labels == other, one, made.labels)
        assert gain == pytest.approx(describe(merged) - describe(made.labels))


def test_the_search_finds_the_best_of_all_partitions_of_a_small_graph():
    made = simulate_block_graph(9, 2, density_inside=1.0, density_between=1.0, mean_inside=30.0, seed=4)
    graph = make_graph(made.weights, corrected=False, weighted=True)
    best = min(
        Blocks(graph, np.array(partition), tied=True, leaves=False).cost() for partition in product(range(2), repeat=9)
    )
    assert communities(made.weights, nested=False).description_length == pytest.approx(best)


# ---- other programs, bad input, time


def test_leiden_finds_dense_blocks_by_seed_and_leaves_other_random_numbers_alone():
    pytest.importorskip("igraph")
    graph = simulate_block_graph(60, 3, density_inside=0.7, density_between=0.05, mean_inside=2.0, seed=0)
    found = communities(graph.weights, method="leiden", seed=3)
    assert nmi(graph.labels, found.labels) >= 0.95
    np.testing.assert_array_equal(found.labels, communities(graph.weights, method="leiden", seed=3).labels)
    own = communities(graph.weights, nested=False)
    assert own.description_length <= found.description_length + 1e-6
    assert found.description_length < found.null_description_length
    noise = simulate_block_graph(60, 1, seed=0).weights
    assert communities(noise, method="leiden").description_length > communities(noise).description_length


def test_graph_tool_finds_the_blocks_where_it_is_installed_and_says_how_to_get_it_where_not():
    graph = simulate_block_graph(100, 4, **BY_WEIGHT, seed=0)
    try:
        import graph_tool  # noqa: F401
    except ImportError:
        with pytest.raises(NeurodataError, match=r"not installed .*no wheel for pip: conda install .* method='sbm'"):
            communities(graph.weights, method="graph-tool")
    else:
        assert nmi(graph.labels, communities(graph.weights, method="graph-tool").labels) >= 0.9


def changed(row, column, value, mirror=True):
    weights = np.ones((4, 4))
    weights[row, column] = value
    if mirror:
        weights[column, row] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        pytest.param(np.ones((3, 4)), r"square matrix, got shape \(3, 4\)", id="not square"),
        pytest.param(np.ones(3), r"square matrix, got shape \(3,\)", id="one axis"),
        pytest.param(np.ones((1, 1)), r"at least 2 nodes, got 1", id="one node"),
        pytest.param(
            changed(1, 2, 1.5, mirror=False), r"\[1, 2\] and \[2, 1\] differ by 0.5. Symmetrise", id="asymmetric"
        ),
        pytest.param(changed(1, 2, np.nan, mirror=False), r"\[1, 2\] and \[2, 1\]: only one .*NaN", id="NaN one way"),
        pytest.param(changed(0, 3, -2.0), r"2 of 16 weights are negative, the first at \[0, 3\]: -2\.", id="negative"),
        pytest.param(changed(0, 3, np.inf), r"2 of 16 weights are infinite", id="infinite"),
        pytest.param(np.eye(4), r"no pair of nodes has a positive weight", id="no edges"),
        pytest.param(np.full((4, 4), np.nan), r"no pair of nodes has a positive weight", id="nothing known"),
    ],
)
def test_bad_weights_are_refused(weights, text):
    with pytest.raises(NeurodataError, match=text):
        communities(weights)


def test_unknown_options_are_refused():
    with pytest.raises(NeurodataError, match=r"no method 'lieden'; did you mean 'leiden'"):
        communities(np.ones((4, 4)), method="lieden")
    with pytest.raises(NeurodataError, match=r"no way to correct for degrees 'maybe'"):
        communities(np.ones((4, 4)), degree_corrected="maybe")
    with pytest.raises(NeurodataError, match=r"every pair is known and at most half are joined.*100%"):
        communities(np.ones((4, 4)), degree_corrected="yes")


@pytest.mark.slow
@pytest.mark.parametrize(("n_nodes", "limit_seconds"), [(100, 2.0), (302, 10.0)])
def test_a_fit_is_quick(n_nodes, limit_seconds):
    graph = simulate_block_graph(n_nodes, 4, **BY_WEIGHT, seed=0)
    start = time.process_time()
    assert communities(graph.weights).n_communities == 4
    assert time.process_time() - start < limit_seconds


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_nodes": 3, "n_blocks": 4}, r"3 nodes cannot fill 4 blocks"),
        ({"n_nodes": 3, "n_blocks": 1, "density_inside": 1.5}, r"between 0 and 1, got 1.5"),
        ({"n_nodes": 3, "n_blocks": 1, "weight": "equla"}, r"did you mean 'equal'"),
        ({"n_nodes": 0, "n_blocks": 1}, r"number of nodes must be a positive number"),
    ],
)
def test_graphs_that_cannot_be_are_not_simulated(settings, text):
    with pytest.raises(NeurodataError, match=text):
        simulate_block_graph(**settings)
