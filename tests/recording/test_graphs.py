"""Graphs of a Recording: what makes one, and every way in which one can be wrong."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import xarray as xr

from neurodata.errors import NeurodataError, SchemaError
from neurodata.exports.to_pandas import to_pandas
from neurodata.exports.to_pynapple import to_pynapple
from neurodata.recording.graphs import make_graph
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal
from neurodata.recording.validate import list_problems, validate

METADATA = {
    "dataset": "d",
    "recording_id": "d/r",
    "subject": {"id": "w1", "species": "Caenorhabditis elegans"},
    "modality": "other",
}
CHEMICAL = {"kind": "chemical", "source": "White1986", "units": "synapses", "missing": ["CANL"]}
ELECTRICAL = {"kind": "electrical", "source": "White1986", "units": "junctions", "missing": []}


def wiring(**changes):
    """Two kinds of edges between four neurons, one of them onto itself."""
    fields = {
        "labels": ["AVAL", "AVAR", "RIML", "CANL"],
        "pre": [0, 1, 1, 0],
        "post": [1, 0, 1, 3],
        "kind": ["chemical", "chemical", "chemical", "electrical"],
        "weight": [3, 5, 1, 0.5],
        "source": "White1986",
        "tables": [CHEMICAL, ELECTRICAL],
    }
    return make_graph(**(fields | changes))


def test_a_graph_has_nodes_and_edges_and_says_where_they_are_from():
    graph = wiring(node_columns={"type": ["inter", "inter", "motor", ""]}, n_sections=[4, 5, 6, 7])
    assert dict(graph.sizes) == {"node": 4, "edge": 4}
    assert graph.label.values[graph.pre.values].tolist() == ["AVAL", "AVAR", "AVAR", "AVAL"]
    assert (graph.pre.dtype, graph.post.dtype, graph.weight.dtype) == (np.int32, np.int32, np.float64)
    assert graph.source.values.tolist() == ["White1986"] * 4
    assert graph.n_sections.dims == ("edge",)
    assert graph.type.dims == ("node",)
    assert graph.attrs["tables"] == [CHEMICAL, ELECTRICAL]
    validate(Recording(METADATA, graphs={"wiring": graph}))


@pytest.mark.parametrize("labels", [[], ["a", "b"]], ids=["no nodes", "two nodes"])
def test_a_graph_without_edges_follows_the_schema(labels):
    graph = make_graph(labels, [], [], kind=[], weight=[], source=[])
    assert graph.kind.dtype.kind == graph.label.dtype.kind == "U"
    validate(Recording(METADATA, graphs={"empty": graph}))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param(
            {"post": [0, 1]}, r"column 'post' of a graph has shape \(2,\), expected \(edge,\) = \(4,\)", id="few"
        ),
        pytest.param({"kind": ["x"] * 3}, r"column 'kind' of a graph has shape \(3,\)", id="kinds"),
        pytest.param({"pre": [0, 1, 2, 4]}, "'pre' runs from 0 to 4, but there are 4 nodes", id="beyond"),
        pytest.param({"pre": [0, -1, 2, 3]}, "'pre' runs from -1 to 3, but there are 4 nodes", id="negative"),
        pytest.param({"pre": [0, 1, 2, 2**40]}, "'pre' runs from 0 to 1099511627776", id="beyond 32 bits"),
        pytest.param({"pre": [0.0, 1, 2, 3]}, "'pre' of a graph holds float64, expected rows of nodes", id="fractions"),
        pytest.param({"weight": 1.0}, r"weights of shape \(edge,\), got \(4,\) and \(\)", id="one weight"),
        pytest.param(
            {"x": [1] * 4, "node_columns": {"x": [1] * 4}}, "column 'x' is given for nodes and for", id="twice"
        ),
        pytest.param({"node_columns": {"x": [1]}}, r"shape \(1,\), expected \(node,\) = \(4,\)", id="node column"),
    ],
)
def test_what_does_not_fit_together_is_no_graph(changes, text):
    with pytest.raises(NeurodataError, match=text):
        wiring(**changes)


def edited(**variables):
    """The graph with some variables put in place of others, unchecked; None takes one away."""
    graph = wiring()
    gone = [name for name, values in variables.items() if values is None]
    return graph.drop_vars(gone).assign({name: values for name, values in variables.items() if values is not None})


def with_tables(*tables):
    return wiring().assign_attrs(tables=list(tables))


WRONG = {
    "labels twice": (edited(label=("node", ["a", "a", "b", "CANL"])), "label is not unique: 'a' come more than once"),
    "no label": (edited(label=("node", ["a", "", "b", "CANL"])), "label is empty for node 1; every node needs a name"),
    "labels in numbers": (edited(label=("node", [1, 2, 3, 4])), "column 'label' has type int64, expected text"),
    "an edge to nowhere": (
        edited(post=("edge", np.array([0, 1, 2, 9], np.int32))), "'post' runs from 0 to 9 but there are 4 nodes",
    ),
    "edges without nodes": (
        wiring().drop_vars("label").assign(label=("node", np.zeros(0, "U1"))), "'pre' runs from 0 to 1 but there are 0 nodes",
    ),
    "an edge from below": (
        edited(pre=("edge", np.array([-1, 1, 2, 0], np.int32))), "'pre' runs from -1 to 2 but there are 4 nodes",
    ),
    "wide rows": (edited(pre=("edge", np.zeros(4, np.int64))), "column 'pre' has type int64, expected int32"),
    "a weight of NaN": (edited(weight=("edge", [1.0, np.nan, 2, 3])), "weight is not finite at edge 1; leave out edges"),
    "an endless weight": (edited(weight=("edge", [1.0, 2, 3, -np.inf])), "weight is not finite at edge 3"),
    "narrow weights": (edited(weight=("edge", np.ones(4, np.float32))), "'weight' has type float32, expected float64"),
    "kinds in numbers": (edited(kind=("edge", [1, 2, 3, 4])), "column 'kind' has type int64, expected text"),
    "an empty kind": (edited(kind=("edge", ["chemical", "", "chemical", "electrical"])), "kind is empty at edge 1"),
    "no source": (edited(source=None), "column 'source' is missing; make graphs with"),
    "no nodes": (edited(label=None), "column 'label' is missing"),
    "weights of nodes": (
        edited(weight=("node", np.ones(4))), "column 'weight' has dimensions ('node',), expected ('edge',)",
    ),
    "labels of edges": (
        edited(label=("edge", list("abcd"))), "column 'label' has dimensions ('edge',), expected ('node',)",
    ),
    "a matrix": (
        edited(matrix=(("node", "edge"), np.zeros((4, 4)))), "'matrix' has dimensions ('node', 'edge'), expected ('edge',)",
    ),
    "a stranger's dimension": (edited(x=("time", [1.0])), "column 'x' has dimensions ('time',), expected ('edge',)"),
    "objects": (edited(x=("edge", np.array([1, "a", None, []], object))), "column 'x' has type object"),
    "a name of the store's": (edited(second_first_event=("edge", [1] * 4)), "'second_first_event' cannot be stored"),
    "an index": (wiring().set_index(node="label"), "column 'label' is missing"),
    "NaN in an attribute": (wiring().assign_attrs(x=np.nan), "attributes/x: nan cannot be written as JSON"),
    "tables in a word": (wiring().assign_attrs(tables="all"), "attribute 'tables' is str, expected a list of tables"),
    "a table in a word": (with_tables("White1986"), "tables/0: str is no table; give a dictionary"),
    "a table without units": (
        with_tables(CHEMICAL, {**ELECTRICAL, "units": None}), "tables/1: 'units' is None, expected text",
    ),
    "missing in a word": (
        with_tables({**CHEMICAL, "missing": "CANL"}, ELECTRICAL), "tables/0: 'missing' is 'CANL', expected a list of labels",
    ),
    "missing what is not there": (
        with_tables({**CHEMICAL, "missing": ["CANL", "XXX"]}, ELECTRICAL),
        "tables: 'chemical' of 'White1986' misses 'XXX', which no node is called",
    ),
    "a table twice": (with_tables(CHEMICAL, ELECTRICAL, CHEMICAL), "'chemical' of 'White1986' is listed twice"),
    "edges of no table": (with_tables(CHEMICAL), "edges are 'electrical' of 'White1986', which is not listed"),
    "an edge of a missing node": (
        with_tables(CHEMICAL, {**ELECTRICAL, "missing": ["CANL"]}),
        "'electrical' of 'White1986' misses 'CANL', but 'post' of edge 3 is that node",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "text"), WRONG.values(), ids=WRONG)
def test_every_breach_is_told_under_its_path(graph, text):
    problems = list_problems(Recording(METADATA, graphs={"wiring": graph}))
    assert any(problem.startswith("graphs/wiring: ") and text in problem for problem in problems), problems


def test_all_breaches_are_told_at_once():
    graph = edited(weight=("edge", [np.inf] * 4), label=("node", ["a", "a", "b", ""]), x=("edge", np.zeros(4, complex)))
    with pytest.raises(SchemaError, match=r"(?s)recording 'd/r' breaks the schema in \d places") as error:
        validate(Recording(METADATA, graphs={"wiring": graph, "../up": wiring()}))
    for text in ("column 'x' has type complex128", "label is not unique", "label is empty for node 3", "not finite",
                 "misses 'CANL', which no node", "graphs/'../up': a name is made of letters"):  # fmt: skip
        assert text in str(error.value)


def test_a_recording_keeps_its_graphs_and_shows_them():
    signal = make_signal(np.zeros((4, 1)), channel_id=["a"], units="V", rate_hz=1.0)
    recording = Recording(METADATA, {"x": signal}, graphs={"wiring": wiring()})
    assert "graphs/wiring: 4 nodes, 4 edges: chemical, electrical" in repr(recording)
    for other in (ForkingPickler.loads(ForkingPickler.dumps(recording)), recording.replace(metadata=METADATA)):
        xr.testing.assert_identical(other.graphs["wiring"], wiring())
    assert repr(Recording(METADATA, graphs={"wiring": wiring()})).splitlines()[0] == "<Recording d/r>", "no seconds"
    assert not recording.replace(graphs={}).graphs
    with pytest.raises(NeurodataError, match=r"no graph 'wirin'; did you mean 'wiring'\?"):
        recording.graphs["wirin"]
    recording.graphs["wiring"].attrs["tables"].clear()
    assert recording.graphs["wiring"].attrs["tables"] == [CHEMICAL, ELECTRICAL]
    with pytest.raises(ValueError, match="read-only"):
        recording.graphs["wiring"].weight.values[0] = 9


def test_a_graph_as_a_table_has_a_row_per_edge_and_the_names_of_its_ends():
    recording = Recording(METADATA, graphs={"wiring": wiring(n_sections=[4, 5, 6, 7])})
    table = to_pandas(recording, "graphs/wiring")
    assert table.pre.tolist() == ["AVAL", "AVAR", "AVAR", "AVAL"]
    assert table.post.tolist() == ["AVAR", "AVAL", "AVAR", "CANL"]
    assert table.groupby("kind")["weight"].sum().to_dict() == {"chemical": 9.0, "electrical": 0.5}
    assert list(table) == ["pre", "post", "kind", "weight", "source", "n_sections"]
    assert table.attrs["tables"] == [CHEMICAL, ELECTRICAL]
    forged = wiring().assign(post=("edge", np.array([1, 0, -1, 3], np.int32)))
    with pytest.raises(NeurodataError, match=r"'post' runs from -1 to 3, but there are 4 nodes"):
        to_pandas(Recording(METADATA, graphs={"wiring": forged}), "wiring")


def test_what_is_on_no_clock_is_no_time_series():
    pytest.importorskip("pynapple")
    assert to_pynapple(Recording(METADATA, graphs={"wiring": wiring()})) == {}
