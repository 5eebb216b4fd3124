"""The tiny store of format 2, written when the format was fixed, is read the same for ever."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neurodata.store.read import open_recording
from neurodata.store.store import open_store
from neurodata.store.verify import schema_problems, verify_recording
from neurodata.store.write import write_recording

HERE = Path(__file__).parent
CONTENT = {
    "kept/connectome": "2ed2d598d749f46d8146a6bdb4d14d01878b537b73d75b9425b1ba54bee43fa9",
    "kept/worm": "f4704b9dff5e22fd0f63191c66e0375abb3179fa5a344e072f05f9013266179b",
}


@pytest.fixture(scope="module")
def make_recordings():
    spec = importlib.util.spec_from_file_location("make_format_2", HERE / "make_format_2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_recordings


def test_it_is_whole_and_follows_the_schema():
    store = open_store(HERE / "format_2")
    assert store.table.set_index("recording_id")["content_sha256"].to_dict() == CONTENT
    for name in CONTENT:
        assert verify_recording(store.path / name) == schema_problems(store.path / name) == []
    files = [path for path in store.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000


def test_its_graphs_are_those_that_were_written():
    recording = open_recording(HERE / "format_2/kept/connectome")
    assert not [*recording.signals, *recording.events, *recording.intervals]
    wiring = recording.graphs["wiring"]
    assert wiring.label.values.tolist() == ["AVAL", "AVAR", "öß 線虫"]
    assert wiring.inter.values.tolist() == [True, True, False]
    np.testing.assert_array_equal(wiring.x.values, [0.0, np.nan, -2.5])
    assert (wiring.pre.values.tolist(), wiring.post.values.tolist()) == ([0, 1, 1, 2], [1, 0, 1, 0])
    assert (wiring.pre.dtype, wiring.n_sections.dtype) == (np.int32, np.uint8)
    assert wiring.kind.values.tolist() == ["chemical", "chemical", "chemical", "electrical"]
    assert wiring.weight.values.tolist() == [3, 5, 0.25, 2]
    assert wiring.source.values.tolist() == ["White1986"] * 3 + ["Cook2019"]
    assert wiring.n_sections.values.tolist() == [7, 0, 255, 1]
    assert wiring.note.values.tolist() == ["", "a", "ünï", ""]
    assert wiring.attrs["sex"] == "hermaphrodite"
    assert wiring.attrs["tables"][0] == {
        "kind": "chemical", "source": "White1986", "units": "synapses", "missing": ["öß 線虫"],
    }  # fmt: skip
    ring = recording.graphs["ring"]
    np.testing.assert_array_equal(ring.weight.values, np.arange(17_000) / 8)
    np.testing.assert_array_equal(ring.post.values, (np.arange(17_000) + 1) % 200)


def test_a_graph_beside_a_signal_is_those_that_were_written():
    recording = open_recording(HERE / "format_2/kept/worm")
    assert recording.signals["calcium"].values.tolist() == np.arange(20.0).reshape(10, 2).tolist()
    empty = recording.graphs["empty"]
    assert dict(empty.sizes) == {"node": 2, "edge": 0}
    assert empty.kind.dtype.kind == "U"
    assert empty.attrs == {"tables": []}


@pytest.mark.parametrize("number", [0, 1])
def test_the_same_recordings_still_have_the_same_digests(make_recordings, tmp_path, number):
    """Compressed bytes may change with a library; documents apart from codecs, and the digests of content, may not."""
    recording = make_recordings()[number]
    write_recording(recording, tmp_path)
    places = (HERE / "format_2", tmp_path)
    kept, new = (json.loads((store / recording.recording_id / "zarr.json").read_text()) for store in places)
    assert new["attributes"]["manifest"]["arrays"] == kept["attributes"]["manifest"]["arrays"]
    assert new["attributes"]["metadata"] == kept["attributes"]["metadata"]
    assert set(new["consolidated_metadata"]["metadata"]) == set(kept["consolidated_metadata"]["metadata"])
    assert new["attributes"]["neurodata_format"] == kept["attributes"]["neurodata_format"] == 2


def test_plain_xarray_opens_it():
    tree = xr.open_datatree(HERE / "format_2/kept/connectome", engine="zarr")
    assert tree["graphs/ring"].dataset.sizes == {"node": 200, "edge": 17_000}
