"""Graphs on disk: what is written is what is read, by us, from far away, and by plain xarray; and the format's number."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

import neurodata as nd
from neurodata.cli import app
from neurodata.errors import IntegrityError, NeurodataError, StoreError
from neurodata.recording.graphs import make_graph
from neurodata.recording.recording import Recording
from neurodata.store.documents import documents_digest, read_root_attributes
from neurodata.store.table import INDEX_FILE, read_table, table_of, write_index
from neurodata.store.verify import schema_problems, verify_recording
from neurodata.store.write import write_recording
from neurodata.store.write_openings import write_openings

WIRING = make_graph(
    ["AVAL", "öß", "線虫"], [0, 1, 1], [1, 0, 1], kind=["chemical", "electrical", "chemical"], weight=[3, 0.5, 1e-300],
    source="White1986", n_sections=np.array([1, 2, 3], "uint8"), node_columns={"x": [0.0, np.nan, 2.5]},
    tables=[{"kind": "chemical", "source": "White1986", "units": "synapses", "missing": ["線虫"]},
            {"kind": "electrical", "source": "White1986", "units": "junctions", "missing": []}],
    attributes={"sex": "hermaphrodite"},
)  # fmt: skip
NONE = make_graph(["a", "b"], [], [], kind=[], weight=[], source=[])


def connectome(made, recording_id="made_up/connectome"):
    """A recording of graphs and nothing else."""
    return Recording(made.metadata(recording_id, modality="other"), graphs={"wiring": WIRING, "none": NONE})


def assert_same(got, expected):
    assert set(got) == set(expected)
    for name, graph in expected.items():
        xr.testing.assert_identical(got[name].load(), graph)
        assert {key: v.dtype for key, v in got[name].variables.items()} == {
            key: v.dtype for key, v in graph.variables.items()
        }


@pytest.fixture(scope="module")
def graphs_once(made, tmp_path_factory):
    """A store of a recording of every kind with graphs, one of graphs only and one without; not to be touched."""
    store, full = tmp_path_factory.mktemp("graphs") / "store", made.full_recording()
    write_recording(full.replace(graphs={"wiring": WIRING, "none": NONE}), store)
    write_recording(connectome(made), store)
    write_recording(full.replace(metadata=made.metadata("made_up/plain")), store)
    return store


@pytest.fixture
def with_graphs(graphs_once, tmp_path):
    """A copy of it, to be damaged at will."""
    return shutil.copytree(graphs_once, tmp_path / "store")


def test_graphs_come_back_beside_everything_else(made, with_graphs):
    for name in ("first", "connectome"):
        folder = with_graphs / "made_up" / name
        recording = nd.open_recording(folder)
        assert_same(recording.graphs, {"wiring": WIRING, "none": NONE})
        assert verify_recording(folder) == schema_problems(folder) == []
    assert set(nd.open_recording(with_graphs / "made_up/first").signals) == set(made.full_recording().signals)
    assert write_recording(connectome(made), with_graphs) == "up to date"
    changed = connectome(made).replace(graphs={"wiring": WIRING.assign(weight=WIRING.weight + 1), "none": NONE})
    with pytest.raises(StoreError, match=r"'made_up/connectome' is in store .* already"):
        write_recording(changed, with_graphs)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@st.composite
def graphs(draw):
    labels = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=8, unique=True))
    n_edges = draw(st.integers(0, 20))
    ends = st.lists(st.integers(0, len(labels) - 1), min_size=n_edges, max_size=n_edges)
    texts = st.lists(TEXT.filter(bool), min_size=n_edges, max_size=n_edges)
    weight = draw(hnp.arrays("float64", n_edges, elements=st.floats(allow_nan=False, allow_infinity=False)))
    more = draw(hnp.arrays(st.sampled_from(["int8", "uint64", "float32", "bool"]), len(labels)))
    return make_graph(
        labels, draw(ends), draw(ends), kind=draw(texts), weight=weight, source=draw(texts), node_columns={"more": more}
    )


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs())
def test_any_graph_comes_back(tmp_path_factory, made, graph):
    store = tmp_path_factory.mktemp("store")
    recording = Recording(made.metadata("d/r"), graphs={"g": graph})
    assert write_recording(recording, store) == "written"
    assert_same(nd.open_recording(store / "d/r").graphs, {"g": graph})
    assert verify_recording(store / "d/r") == []
    assert write_recording(recording, store) == "up to date"


def test_the_number_is_the_lowest_format_that_has_all_of_it(made, with_graphs, written_once, file_bytes):
    numbers = {name: read_root_attributes(with_graphs / "made_up" / name)["neurodata_format"] for name in
               ("first", "connectome", "plain")}  # fmt: skip
    assert numbers == {"first": 2, "connectome": 2, "plain": 1}
    again = made.full_recording().replace(graphs={})
    shutil.rmtree(with_graphs)
    write_recording(again, with_graphs)
    assert file_bytes(with_graphs) == file_bytes(written_once)


def claim_format(folder, number):
    """Say another number and make the digest of the documents fit, as someone who means harm would."""
    root = json.loads((folder / "zarr.json").read_text())
    root["attributes"]["neurodata_format"] = number
    documents = {p.parent.relative_to(folder).as_posix(): json.loads(p.read_text()) for p in folder.rglob("zarr.json")}
    documents[""] = root
    del documents["."]
    root["attributes"]["manifest"]["documents_sha256"] = documents_digest(documents)
    (folder / "zarr.json").write_text(json.dumps(root))


def test_graphs_under_format_1_are_refused(with_graphs):
    folder = with_graphs / "made_up/connectome"
    claim_format(folder, 1)
    text = "graphs: zarr.json says this is store format 1, which has no graphs"
    with pytest.raises(IntegrityError, match=text):
        nd.open_recording(folder)
    with pytest.raises(IntegrityError, match=text):
        read_table(with_graphs)
    assert verify_recording(folder) == [text]


def test_a_recording_without_graphs_that_says_2_is_read(with_graphs):
    claim_format(with_graphs / "made_up/plain", 2)
    assert not nd.open_recording(with_graphs / "made_up/plain").graphs


def test_a_damaged_or_lacking_array_of_a_graph_is_noticed(with_graphs):
    weights = with_graphs / "made_up/connectome/graphs/wiring/weight"
    chunk = weights / "c/0"
    content = bytearray(chunk.read_bytes())
    content[-6] ^= 1
    chunk.write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match="graphs/wiring/weight"):
        nd.open_recording(with_graphs / "made_up/connectome").graphs["wiring"].weight.values  # noqa: B018
    assert any("graphs/wiring/weight" in problem for problem in verify_recording(with_graphs / "made_up/connectome"))
    shutil.rmtree(weights)
    with pytest.raises(IntegrityError, match=r"graphs/wiring/weight/zarr\.json: this array or group is missing"):
        nd.open_recording(with_graphs / "made_up/connectome")


def edit_document(folder, path, change):
    """Change one document, or take it away, with digests that fit."""
    file = folder / path / "zarr.json"
    document = json.loads(file.read_text())
    if change is None:
        shutil.rmtree(file.parent)
    else:
        change(document)
        file.write_text(json.dumps(document))
    root = json.loads((folder / "zarr.json").read_text())
    root.pop("consolidated_metadata", None)
    (folder / "zarr.json").write_text(json.dumps(root))
    claim_format(folder, 2)


FORGED = {
    "no weights": ("weight", None, "array 'graphs/wiring/weight' is missing"),
    "no labels": ("label", None, "array 'graphs/wiring/label' is missing"),
    "weights of nodes": (
        "weight", lambda d: d.update(dimension_names=["node"]), r"'graphs/wiring/weight' has dimensions \('node',\), expected",
    ),
    "another dimension": (
        "n_sections", lambda d: d.update(dimension_names=["time"]), r"has dimensions \('time',\), expected \('edge',\)",
    ),
    "10^15 edges": ("pre", lambda d: d.update(shape=[10**15]), "more than 1000000 chunks are claimed"),
    "10^9 edges in huge shards": (
        "pre", lambda d: (d.update(shape=[10**9]), d["chunk_grid"]["configuration"].update(chunk_shape=[10**6])),
        "its last file 'c/999' is missing",
    ),
    "as many kinds as nobody has": ("kind", lambda d: d.update(shape=[10**8]), "claims|chunks are claimed|is missing"),
    "edges of several lengths": ("pre", lambda d: d.update(shape=[2]), "conflicting sizes for dimension 'edge'"),
}  # fmt: skip


@pytest.mark.parametrize(("array", "change", "text"), FORGED.values(), ids=FORGED)
def test_a_forged_graph_is_refused(with_graphs, array, change, text):
    folder = with_graphs / "made_up/connectome"
    edit_document(folder, f"graphs/wiring/{array}", change)
    with pytest.raises(IntegrityError, match=text) as error:
        nd.open_recording(folder)
    assert "made_up/connectome" in str(error.value)
    assert len(schema_problems(folder)) == 1


def test_tables_that_were_edited_are_told_by_the_schema(with_graphs):
    folder = with_graphs / "made_up/connectome"
    edit_document(folder, "graphs/wiring", lambda d: d["attributes"]["tables"][0].update(missing=["AVAL"]))
    assert schema_problems(folder) == [
        "graphs/wiring: tables: 'chemical' of 'White1986' misses 'AVAL', but 'pre' of edge 0 is that node"
    ]


def test_plain_xarray_opens_graphs_without_a_warning(with_graphs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(with_graphs / "made_up/first", engine="zarr")
        tree.load()
    found = tree["graphs/wiring"].dataset
    assert found["label"].values.tolist() == ["AVAL", "öß", "線虫"]
    assert found["weight"].values.tolist() == [3, 0.5, 1e-300]
    assert found.attrs == WIRING.attrs


def test_the_table_names_graphs_and_finds_by_them(with_graphs):
    store = nd.open_store(with_graphs)
    table = store.table.set_index("recording_id")
    assert table["graphs"].to_dict() == {
        "made_up/connectome": "none wiring", "made_up/first": "none wiring", "made_up/plain": "",
    }  # fmt: skip
    assert store.select(graphs="wiring", signals="").recording_ids == ("made_up/connectome", "made_up/first")
    assert table.loc["made_up/connectome", "signals"] == ""
    assert np.isnan(table.loc["made_up/connectome", "duration_seconds"])


def test_an_index_from_before_there_were_graphs_is_still_read(made, tmp_path):
    write_recording(made.full_recording(), tmp_path)
    write_index(tmp_path)
    fresh = read_table(tmp_path)
    old = pq.read_table(tmp_path / INDEX_FILE).drop_columns(["graphs"])
    pq.write_table(old, tmp_path / INDEX_FILE)
    pd.testing.assert_frame_equal(table_of((tmp_path / INDEX_FILE).read_bytes()), fresh)
    shutil.rmtree(tmp_path / "made_up/first/signals")  # of what has not changed, only the root document is looked at
    pd.testing.assert_frame_equal(read_table(tmp_path), fresh)
    pq.write_table(old.drop_columns(["age"]), tmp_path / INDEX_FILE)
    with pytest.raises(IntegrityError, match="'age' is there 0 times"):
        table_of((tmp_path / INDEX_FILE).read_bytes())


def test_a_far_store_gives_the_same_graphs(with_graphs, web):
    (host, port), root = web
    write_index(with_graphs)
    assert write_openings(with_graphs)
    shutil.copytree(with_graphs, root / "graphs")
    store = nd.open_store(f"http://{host}:{port}/graphs")
    pd.testing.assert_frame_equal(store.table, nd.open_store(with_graphs).table)
    for name in ("connectome", "first"):
        assert_same(store[name].graphs, {"wiring": WIRING, "none": NONE})
    assert verify_recording(store.path / "made_up/connectome") == []


def test_the_command_line_shows_and_checks_graphs(with_graphs):
    run = CliRunner()
    shown = run.invoke(app, ["info", str(with_graphs)]).output
    assert "graphs" in shown
    assert "none wiring" in shown
    one = run.invoke(app, ["info", str(with_graphs / "made_up/connectome")]).output
    assert "graphs/wiring: 3 nodes, 3 edges: chemical, electrical" in one
    members = json.loads(run.invoke(app, ["info", "--json", str(with_graphs / "made_up/connectome")]).output)["members"]
    assert [member.split(":")[0].strip() for member in members] == ["graphs/none", "graphs/wiring"]
    for command in ("validate", "verify"):
        assert "3 recordings, nothing wrong" in run.invoke(app, [command, str(with_graphs)]).output


def test_what_reads_signals_passes_over_a_recording_of_graphs_or_says_what_it_lacks(with_graphs):
    store = nd.open_store(with_graphs)
    with pytest.raises(NeurodataError, match=r"no signal 'calcium'"):
        store["connectome"].signals["calcium"]
    with pytest.raises(NeurodataError, match=r"the duration of made_up/connectome is unknown.*select\(signals=NAME\)"):
        nd.split_by("recording", test=["connectome"]).apply(store)
    assert store.select(signals="calcium").recording_ids == ("made_up/first", "made_up/plain")
