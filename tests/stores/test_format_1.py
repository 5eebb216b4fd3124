"""The tiny store of format 1, written when the format was fixed, is read the same for ever."""

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
CONTENT = "7649bd983baa1f3f08527c1e43a7df3c9a51aef1576edbe13847c8ffc2032e8a"


@pytest.fixture(scope="module")
def make_recording():
    spec = importlib.util.spec_from_file_location("make_format_1", HERE / "make_format_1.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_recording


@pytest.fixture(scope="module")
def recording():
    return open_recording(HERE / "format_1" / "kept" / "first")


def test_it_is_whole_and_follows_the_schema():
    store = open_store(HERE / "format_1")
    assert store.recording_ids == ("kept/first",)
    assert verify_recording(store.path / "kept/first") == schema_problems(store.path / "kept/first") == []
    assert store.table["content_sha256"].tolist() == [CONTENT]
    files = [path for path in store.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000


def test_its_values_are_those_that_were_written(recording):
    calcium = recording.signals["calcium"]
    expected = np.arange(120.0).reshape(40, 3) / 8
    expected[5:8, 1] = np.nan
    np.testing.assert_array_equal(calcium.values, expected)
    np.testing.assert_array_equal(calcium.time.values, 0.5 + np.arange(40) / (3137 / 1080))
    assert calcium.label.values.tolist() == ["AVAL", "", "öß 線虫"]
    assert calcium.flagged.values.tolist() == [True, False, True]
    eeg = recording.signals["eeg"]
    assert eeg.dtype == np.float32
    assert eeg.sel(time=slice(30, 30.2)).values.tolist() == [[-10.0, -3.75], [-9.0, -3.25]]
    assert recording.signals_stored["eeg"].dtype == np.int16
    assert recording.signals["wheel"].time.values.tolist() == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert recording.signals["frames"].time.values.tolist() == [0, 1, 2, 3]
    assert recording.signals["long"].sel(time=slice(41, 41.002)).values.tolist() == [[41.0], [41.0]]
    assert recording.events["spikes"].time.values.tolist() == [-0.5, 0.25, 1.0, 2.5]
    assert recording.events["spikes"].unit.values.tolist() == [0, 1, 1, 0]
    assert recording.events["taps"].sizes["event"] == 0
    assert recording.intervals["state"].label.values.tolist() == ["forward", "ünï"]
    assert recording.intervals["state"].attrs == {"by": "hand"}
    assert recording.units.unit_id.values.tolist() == ["u1", "u2"]
    assert recording.metadata["extra"] == {"note": "öß 線虫", "list": [1, None, True]}
    assert recording.metadata["subject"]["species"] == "Caenorhabditis elegans"


def test_the_same_recording_still_has_the_same_digests(recording, make_recording, tmp_path):
    """Compressed bytes may change with a library; documents apart from codecs, and the digests of content, may not."""
    write_recording(make_recording(), tmp_path)
    kept, new = (json.loads((s / "kept/first/zarr.json").read_text()) for s in (HERE / "format_1", tmp_path))
    assert new["attributes"]["manifest"]["arrays"] == kept["attributes"]["manifest"]["arrays"]
    assert new["attributes"]["metadata"] == kept["attributes"]["metadata"]
    assert set(new["consolidated_metadata"]["metadata"]) == set(kept["consolidated_metadata"]["metadata"])
    assert new["attributes"]["neurodata_format"] == kept["attributes"]["neurodata_format"] == 1


def test_plain_xarray_opens_it():
    tree = xr.open_datatree(HERE / "format_1" / "kept" / "first", engine="zarr")
    assert tree["signals/long/long"].shape == (80_000, 1)
