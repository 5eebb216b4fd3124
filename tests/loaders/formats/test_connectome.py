"""Connectomes as recordings: what is one, what of it is stored, and what is left to other loaders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import neurodata as nd
from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.connectomes import open_connectome
from neurodata.loaders.convert import convert
from neurodata.loaders.formats.connectome import Connectome
from neurodata.store.verify import schema_problems, verify_recording


@pytest.fixture
def raw(fake_raw, tmp_path):
    fake_raw("connectome").write_raw(tmp_path / "lab")
    return tmp_path / "lab"


def test_a_folder_of_tables_is_one_recording_that_opens_as_the_same_connectome(raw, fake_raw, tmp_path):
    convert("connectome", raw, tmp_path / "store")
    place = tmp_path / "store/lab/worm"
    recording = nd.open_recording(place)
    assert recording.metadata["subject"]["species"] == "Caenorhabditis elegans"
    assert recording.metadata["subject"]["sex"] == "XX"
    assert {entry["name"] for entry in recording.metadata["source_files"]} == {
        "chemical_White1986.csv", "electrical_White1986.csv", "chemical_Cook2019.csv",
    }  # fmt: skip
    assert verify_recording(place) == schema_problems(place) == []
    files, stored = open_connectome(raw / "worm"), open_connectome(place)
    pd.testing.assert_frame_equal(stored.edges, files.edges)
    assert (stored.neurons, stored.tables, stored.problems) == (files.neurons, files.tables, files.problems)
    counts = stored.matrix("chemical", "White1986").sel(pre=["AVAL", "VB1"], post=["RIML", "DB1"]).values
    expected = fake_raw("connectome").make_matrix(0).loc[["AVAL", "VB01"], ["RIML", "DB01"]].to_numpy(float)
    np.testing.assert_array_equal(counts, expected)


def test_one_table_is_a_recording_too(raw, tmp_path):
    convert("connectome", raw / "worm/electrical_White1986.csv", tmp_path / "store")
    graph = nd.open_store(tmp_path / "store")["electrical_White1986"].graphs["connectome"]
    assert set(graph.kind.values) == {"electrical"}
    missing = graph.attrs["tables"][0]["missing"]
    assert {"DB1", "ASEL"} <= set(missing)  # two of eight were not reconstructed
    assert not {"AVAL", "VB2"} & set(missing)


def test_options_say_what_the_name_does_not(raw, tmp_path):
    table = (raw / "worm/chemical_White1986.csv").rename(raw / "counts.csv")
    loader = Connectome(table)
    with pytest.raises(RawFileError, match=r"counts\.csv: .*says what kind of connections"):
        loader.load(loader.sessions()[0])
    loader = Connectome(table, kind="chemical", source="me", units="synapses")
    graph = loader.load(loader.sessions()[0]).graphs["connectome"]
    assert {key: graph.attrs["tables"][0][key] for key in ("kind", "source", "units")} == {
        "kind": "chemical", "source": "me", "units": "synapses",
    }  # fmt: skip
    with pytest.raises(NeurodataError, match="no sex 'queen'"):
        Connectome(table, sex="queen", kind="chemical").load("lab/counts")


def test_a_folder_that_holds_recordings_as_well_is_not_claimed_whole(raw):
    time = np.arange(200) / 3.0
    traces = pd.DataFrame({"Time (s)": time, "AVAL": np.sin(time), "AVAR": np.cos(time)})
    traces.to_csv(raw / "worm/traces.csv", index=False)
    assert Connectome.claim(raw / "worm") == []
    assert Connectome.claim(raw / "worm/traces.csv") == []
    assert set(Connectome(raw).sessions()) == {
        "lab/list", "lab/worm-chemical_White1986", "lab/worm-electrical_White1986", "lab/worm-chemical_Cook2019",
    }  # fmt: skip


OTHERS = {
    "a network of other things": "source,target,weight\nParis,Lyon,3\nLyon,Nice,2\n",
    "a network of numbers": "pre,post,weight\n1,2,3\n2,3,1\n",
    "a matrix of other things": ",a,b,c\na,0,1,2\nb,1,0,2\nc,2,1,0\n",
    "traces of neurons": "t,AVAL,AVAR,RIML\n" + "".join(f"{i / 3},{i % 7 / 3},0.5,0.1\n" for i in range(50)),
    "facts about neurons": "neuron,AVAL,AVAR\ntype,inter,inter\n",
    "a header alone": ",AVAL,AVAR,RIML\n",
    "pairs of neurons without rows": "pre,post\n",
    "nothing": "",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_other_tables_are_not_claimed(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    assert Connectome.claim(tmp_path / "table.csv") == []


def test_the_published_tables_are_one_recording(real_data, tmp_path):
    folder = real_data("celegans/connectomes-pub_utils")
    convert("connectome", folder, tmp_path / "store", options=["name=pub_utils", "dataset=connectomes"])
    place = tmp_path / "store/connectomes/pub_utils"
    assert verify_recording(place) == schema_problems(place) == []
    graph = nd.open_recording(place).graphs["connectome"]
    assert len(graph.attrs["tables"]) == 31
    tables = [path for kind in ("chemical", "electrical") for path in folder.glob(f"{kind}_*.csv")]
    total = sum(np.nansum(pd.read_csv(path, index_col=0).to_numpy(float)) for path in tables)
    assert graph.weight.values.sum() == pytest.approx(total)
