"""Connectomes: what is unknown stays unknown, tables stay apart until they are combined, and a consensus says who saw it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError
from neurodata.recording.connectome import Connectome, Table, from_dense, symmetric
from neurodata.recording.consensus import consensus, join
from neurodata.recording.graphs import graph_problems, make_graph

NEURONS = ("AVAL", "AVAR", "RIML", "VB2")


def make_connectome(weights, kind="chemical", source="one", neurons=NEURONS, **about):
    edges, table = from_dense(np.array(weights, dtype=float), neurons, Table(kind, source, "synapses", **about))
    return Connectome(neurons, edges, (table,))


@pytest.fixture
def wiring():
    """VB2 is not part of it; AVAL has a self-junction; AVAL→AVAR and back differ."""
    nan = np.nan
    return make_connectome([[2, 3, 0, nan], [1, 0, 0, nan], [0, 4, 0, nan], [nan, nan, nan, nan]])


def test_a_matrix_is_what_went_in_with_rows_presynaptic(wiring):
    matrix = wiring.matrix()
    assert matrix.dims == ("pre", "post")
    assert matrix.sel(pre="RIML", post="AVAR") == 4
    assert matrix.sel(pre="AVAR", post="RIML") == 0
    assert np.isnan(matrix.sel(pre="VB2")).all()
    assert matrix.sum() == 10
    assert matrix.attrs["units"] == "synapses"
    assert wiring.tables[0].missing == ("VB2",)


def test_neurons_come_in_the_order_asked_for(wiring):
    matrix = wiring.matrix(neurons=["VB2", "AVAR", "RIML"], binary=True)
    np.testing.assert_array_equal(matrix, [[np.nan] * 3, [np.nan, 0, 0], [np.nan, 1, 0]])


@pytest.mark.parametrize(("rule", "there"), [("max", 3), ("mean", 2), ("sum", 4)])
def test_a_matrix_is_made_symmetric_by_a_named_rule_only(wiring, rule, there):
    matrix = wiring.matrix(symmetrise=rule)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert matrix.sel(pre="AVAL", post="AVAR") == there
    assert matrix.attrs["symmetrised"] == rule
    assert wiring.matrix().sel(pre="AVAR", post="AVAL") == 1


def test_of_a_direction_that_is_unknown_the_other_is_taken():
    values = np.array([[0, np.nan, np.nan], [2.0, 0, 0], [np.nan, 0, 0]])
    for rule in ("max", "mean", "sum"):
        np.testing.assert_array_equal(symmetric(values, rule), [[0, 2, np.nan], [2, 0, 0], [np.nan, 0, 0]])


def test_pairs_that_were_not_measured_are_unknown_not_unconnected():
    listed = make_connectome([[0, 1.5, np.nan, 0], [np.nan, 0, 0, 0], [0, 0, 0, -2], [0, 0, 0, 0]], kind="functional")
    assert listed.tables[0].measured == "listed"
    matrix = listed.matrix()
    assert np.isnan(matrix.sel(pre="AVAL", post="RIML"))
    assert matrix.sel(pre="RIML", post="AVAL") == 0
    assert matrix.sel(pre="RIML", post="VB2") == -2
    assert np.isnan(matrix.values).sum() == 2


def test_selecting_leaves_kinds_sources_and_neurons(wiring):
    both = join([wiring, make_connectome(np.eye(4), "electrical", "two")])
    assert both.kinds == ("chemical", "electrical")
    assert both.sources == ("one", "two")
    part = both.select(kind="electrical", neurons=["AVAR", "VB2"])
    assert part.neurons == ("AVAR", "VB2")
    assert part.edges[["pre", "post"]].to_numpy().tolist() == [["AVAR", "AVAR"], ["VB2", "VB2"]]


def test_a_graph_goes_there_and_back(wiring):
    whole = join([wiring, make_connectome(np.eye(4) * -1.5, "functional", "two", measured="all")])
    whole.edges["sign"] = np.arange(len(whole.edges))
    whole.edges["transmitter"] = "GABA"
    graph = whole.to_graph()
    assert list(graph_problems(graph)) == []
    back = Connectome.from_graph(graph)
    pd.testing.assert_frame_equal(back.edges, whole.edges, check_dtype=False)
    assert (back.neurons, back.tables, back.sex) == (whole.neurons, whole.tables, whole.sex)


def test_a_graph_of_single_synapses_is_summed_and_says_so():
    graph = make_graph(["a", "b"], [0, 0, 1], [1, 1, 0], kind="chemical", weight=[1, 1, 5], source="em")
    wiring = Connectome.from_graph(graph)
    np.testing.assert_array_equal(wiring.matrix(), [[0, 2], [5, 0]])
    assert "1 edges of the graph join neurons" in wiring.problems[-1]


FORGED = {
    "before the first": ({"pre": np.array([-1, 0], np.int32)}, None, "'pre' runs from -1 to 0"),
    "beyond the last": ({"post": np.array([1, 2], np.int32)}, None, "'post' runs from 1 to 2"),
    "not finite": ({"weight": np.array([1, np.nan])}, None, "weight is not finite at edge 1"),
    "no list": ({}, 3, "attribute 'tables' is int"),
    "not of tables": ({}, ["em"], "tables/0: str is no table"),
    "without words": ({}, [{}], "tables/0: 'kind' is None, expected text"),
    "missing what it joins": ({}, [["b"]], "misses 'b', but"),
    "measured in another way": ({}, [[], "some"], "tables/0: 'measured' is 'some', expected 'all' or 'listed'"),
}


@pytest.mark.parametrize(("columns", "tables", "message"), FORGED.values(), ids=FORGED)
def test_a_stored_graph_made_by_hand_is_not_believed(columns, tables, message):
    graph = make_graph(["a", "b"], [0, 1], [1, 0], kind="chemical", weight=[1, 5], source="em")
    graph = graph.assign({name: ("edge", values) for name, values in columns.items()})
    if isinstance(tables, list) and tables and isinstance(tables[0], list):
        missing, *measured = tables
        entry = {"kind": "chemical", "source": "em", "units": "", "missing": missing}
        tables = [entry | ({"measured": measured[0]} if measured else {})]
    if tables is not None:
        graph.attrs["tables"] = tables
    with pytest.raises(NeurodataError, match=message):
        Connectome.from_graph(graph)


def test_columns_that_a_graph_uses_otherwise_are_named(wiring):
    wiring.edges["label"] = "x"
    with pytest.raises(NeurodataError, match=r"columns that a graph uses otherwise: label; rename"):
        wiring.to_graph()
    del wiring.edges["label"]
    wiring.edges["tables"] = 7
    assert wiring.to_graph()["tables"].values.tolist() == [7] * len(wiring.edges)


def test_a_neuron_that_one_connectome_lacks_is_missing_from_its_tables(wiring):
    other = make_connectome(np.ones((1, 1)), source="male", neurons=("CP1",))
    whole = join([wiring, other])
    assert whole.neurons == (*NEURONS, "CP1")
    assert whole.tables[0].missing == ("VB2", "CP1")
    assert whole.tables[1].missing == NEURONS


@pytest.fixture
def three():
    """Three sources of three neurons; the second does not hold the third neuron."""
    nan = np.nan
    tables = [
        [[0, 6, 0], [0, 0, 3], [0, 0, 0]],
        [[0, 2, nan], [0, 0, nan], [nan, nan, nan]],
        [[0, 0, 1], [0, 0, 3], [0, 0, 0]],
    ]
    return [make_connectome(w, source=s, neurons=("A", "B", "C")) for w, s in zip(tables, ("x", "y", "z"))]


def test_a_consensus_counts_only_sources_that_contain_both_neurons(three):
    combined = consensus(three)
    edges = combined.edges.set_index(["pre", "post"])
    assert edges.loc[("A", "B"), ["weight", "n_sources", "n_possible"]].tolist() == [pytest.approx(8 / 3), 2, 3]
    assert edges.loc[("A", "B"), "sources"] == "x, y"
    assert edges.loc[("B", "C"), ["weight", "n_sources", "n_possible"]].tolist() == [3, 2, 2]
    assert edges.loc[("A", "C"), "weight"] == 0.5
    assert combined.sources == ("consensus",)


@pytest.mark.parametrize(("rule", "weight"), [("max", 6), ("count", 2), ("mean", 8 / 3)])
def test_the_rule_of_a_consensus_gives_its_weights(three, rule, weight):
    combined = consensus(join(three), rule=rule, min_sources=2)
    assert combined.matrix().sel(pre="A", post="B") == pytest.approx(weight)
    assert combined.matrix().sel(pre="A", post="C") == 0, "one source only"


def test_a_pair_that_no_source_holds_stays_unknown():
    nan = np.nan
    one = make_connectome([[0, 1, nan], [1, 0, nan], [nan, nan, nan]], source="x", neurons=("A", "B", "C"))
    two = make_connectome([[nan, nan, nan], [nan, 0, 1], [nan, 1, 0]], source="y", neurons=("A", "B", "C"))
    matrix = consensus([one, two]).matrix()
    assert np.isnan(matrix.sel(pre="A", post="C"))
    assert matrix.sel(pre="B", post="C") == 1
    assert matrix.sel(pre="B", post="B") == 0
    assert np.isnan(matrix.values).sum() == 2


def test_a_pair_that_too_few_sources_hold_is_unknown_not_unconnected(three):
    """Two of three hold C: nobody can say that all three saw, or did not see, B→C."""
    matrix = consensus(three, min_sources=3).matrix()
    assert np.isnan(matrix.sel(pre="B", post="C"))
    assert matrix.sel(pre="A", post="B") == 0, "two of the three that could"
    assert np.isnan(consensus(three, min_sources=3).matrix().values).sum() == 5


def test_kinds_are_combined_apart(three):
    gaps = make_connectome(np.ones((3, 3)), "electrical", "x", neurons=("A", "B", "C"))
    combined = consensus([*three, gaps])
    assert combined.kinds == ("chemical", "electrical")
    assert combined.matrix("electrical").sum() == 9


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        pytest.param(
            lambda c: c.matrix("chemicl"), r"no kind of connection 'chemicl'; did you mean 'chemical'", id="kind"
        ),
        pytest.param(lambda c: c.matrix(source="White"), r"no source 'White'", id="source"),
        pytest.param(
            lambda c: c.matrix(), r"of one table, 2 are meant: \(kind='chemical', source='one'\)", id="two tables"
        ),
        pytest.param(
            lambda c: c.matrix("electrical", "one"), r"no table is electrical and from one; there are", id="none"
        ),
        pytest.param(lambda c: c.select(neurons=["VB02"]), r"'VB02'; did you mean 'VB2'.*not 'VB02'", id="neuron"),
        pytest.param(lambda c: c.select(neurons=["VB2", "VB2"]), r"are asked for twice", id="neuron twice"),
        pytest.param(lambda c: c.matrix("chemical", value="wieght"), r"no column of numbers 'wieght'", id="column"),
        pytest.param(lambda c: c.matrix("chemical", symmetrise="or"), r"no rule of symmetrising 'or'", id="rule"),
        pytest.param(lambda c: consensus(c, rule="median"), r"no rule of a consensus 'median'", id="consensus rule"),
        pytest.param(
            lambda c: consensus(c, min_sources=3),
            r"a whole number from 1 to the 1 sources of a kind, got 3",
            id="min_sources",
        ),
        pytest.param(lambda c: consensus(c, min_sources=1.0), r"a whole number .* got 1.0", id="half a source"),
        pytest.param(
            lambda c: c.select(kind=[]), r"no kind of connection is chosen; name some of chemical", id="no kind"
        ),
        pytest.param(lambda c: join([c, c]), r"chemical one is given twice", id="joined with itself"),
        pytest.param(lambda c: join([]), r"no connectomes to join", id="nothing to join"),
    ],
)
def test_what_cannot_be_is_explained(wiring, ask, message):
    whole = join([wiring, make_connectome(np.eye(4), "electrical", "two")])
    with pytest.raises(NeurodataError, match=message):
        ask(whole)


def test_every_breach_is_listed_at_once():
    edges = pd.DataFrame({"pre": ["A", "A"], "post": ["B", "B"], "kind": "k", "weight": [1.0, np.inf], "source": "s"})
    with pytest.raises(
        NeurodataError, match=r"(?s)B are not among.*weights are finite.*k s is not among.*same neurons"
    ):
        Connectome(("A",), edges, ())
    with pytest.raises(NeurodataError, match=r"measured is one of all, listed, got 'some'"):
        Connectome(("A", "B"), edges[:1], (Table("k", "s", measured="some"),))
    with pytest.raises(NeurodataError, match=r"k s misses A, but has edges there"):
        Connectome(("A", "B"), edges[:1], (Table("k", "s", missing=("A",)),))
    with pytest.raises(NeurodataError, match=r"columns kind, weight, source are missing"):
        Connectome(("A",), edges[["pre", "post"]], ())
