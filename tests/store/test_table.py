"""The table: what it says of a recording, how it is asked, and an index that comes from anyone."""

from __future__ import annotations

import io
import os
import shutil
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neurodata.errors import IntegrityError, NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal
from neurodata.store.documents import read_root_attributes
from neurodata.store.read import open_recording
from neurodata.store.store import open_store
from neurodata.store.table import COLUMNS, INDEX_FILE, read_table, select_rows, table_of, write_index
from neurodata.store.write import write_recording


def small(recording_id, *, signals=None, seconds=10.0, **metadata):
    """A recording of one signal, unless others are given."""
    if signals is None:
        values = np.zeros((int(seconds * 2), 2), np.float32)
        signals = {"calcium": make_signal(values, channel_id=["a", "b"], units="dF/F", rate_hz=2.0)}
    facts = {
        "dataset": recording_id.split("/")[0],
        "recording_id": recording_id,
        "subject": {"id": "s1", "species": "Mus musculus"},
        "modality": "calcium",
    }
    return Recording(facts | metadata, signals)


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """Four recordings that differ in what is known of them; nobody writes here."""
    folder = tmp_path_factory.mktemp("animals")
    eeg = make_signal(np.zeros((40, 1), np.float32), channel_id=["x"], units="V", rate_hz=4.0)
    calcium = small("lab/x").signals["calcium"]
    for recording in (
        small("lab/a", session="one", extra={"genotype": "wt", "rig": {"temperature": 20}}),
        small("lab/b", seconds=100.0, extra={"genotype": "het", "rig": {"temperature": 31.5}, "lit": True}),
        small("lab/c", session="two", extra={"genotype": "wt", "rig": {"name": "left"}}, description="pilot"),
        small(
            "lab/d",
            signals={"calcium": calcium, "calcium_raw": calcium, "eeg": eeg},
            subject={"id": "s2", "species": "Rattus norvegicus", "description": "old"},
        ),
    ):
        write_recording(recording, folder)
    write_index(folder)
    return folder


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({}, "abcd", id="nothing asked"),
        pytest.param({"species": "Mus musculus"}, "abc", id="a column"),
        pytest.param({"session": ["one", "two"]}, "ac", id="one of several"),
        pytest.param({"session": None}, "bd", id="nothing known"),
        pytest.param({"session": ("one", None)}, "abd", id="a value or nothing known"),
        pytest.param({"loader_version": None}, "abcd", id="no number known"),
        pytest.param({"species": "Mus musculus", "session": "two"}, "c", id="both of two"),
        pytest.param({"extra.genotype": "wt"}, "ac", id="a nested entry"),
        pytest.param({"genotype": "wt"}, "ac", id="a nested entry by its last part"),
        pytest.param({"extra.rig.temperature": [20, 31.5]}, "ab", id="numbers, two levels down"),
        pytest.param({"temperature": lambda values: values.fillna(0) > 25}, "b", id="a function of an entry"),
        pytest.param({"lit": True}, "b", id="a truth value"),
        pytest.param({"subject.description": "old"}, "d", id="of the subject"),
        pytest.param({"description": "pilot"}, "c", id="of the recording, though the subject has one too"),
        pytest.param({"subject.id": "s1", "genotype": None}, "", id="nothing left"),
        pytest.param({"duration_seconds": lambda seconds: seconds > 60}, "b", id="a function"),
        pytest.param({"session": lambda found: found == "one"}, "a", id="a function where some is not known"),
        pytest.param({"n_channels": 2}, "abcd", id="a number"),
        pytest.param({"signals": "calcium"}, "abcd", id="a member"),
        pytest.param({"signals": "calcium_raw"}, "d", id="a member, not a part of a name"),
        pytest.param({"signals": "eeg calcium"}, "d", id="two members"),
        pytest.param({"signals": ["eeg", "none"]}, "d", id="one member or another"),
        pytest.param({"signals": "raw"}, "", id="no such member"),
        pytest.param({"recording_id": {"lab/a", "lab/d"}}, "ad", id="recordings"),
    ],
)
def test_selecting(animals, wanted, expected):
    store = open_store(animals)
    assert [name[-1] for name in store.select(**wanted).recording_ids] == list(expected)
    chosen = select_rows(store.table, wanted)
    assert chosen.dtype == bool
    assert int(chosen.sum()) == len(expected)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        pytest.param({"specie": "x"}, r"no column or metadata entry 'specie'; did you mean 'species'\?", id="misspelt"),
        pytest.param({"extra.genotyp": "x"}, r"did you mean 'extra.genotype'\?", id="misspelt entry"),
        pytest.param({"id": "s1"}, None, id="the last part of one entry only"),
        pytest.param({"name": "left"}, None, id="two levels down"),
        pytest.param(
            {"session": lambda s: "yes"}, r"'session' must give true or false for each of 4 rows", id="no rows"
        ),
        pytest.param({"session": lambda s: np.ones(4)}, r"of shape \(4,\) and type float64", id="numbers"),
        pytest.param({"session": lambda s: s[:2] == "a"}, r"of shape \(2,\)", id="too few"),
        pytest.param(
            {"session": lambda s: s > 5}, r"the condition on 'session' failed: .* pandas Series", id="failing"
        ),
    ],
)
def test_wrong_conditions_are_refused(animals, wanted, text):
    store = open_store(animals)
    if text is None:
        assert len(store.select(**wanted))
    else:
        with pytest.raises(NeurodataError, match=text):
            store.select(**wanted)


def test_an_entry_that_two_parts_of_the_metadata_have_is_asked_by_its_whole_name(tmp_path):
    write_recording(small("lab/a", extra={"left": {"gain": 1}, "right": {"gain": 2}}), tmp_path)
    with pytest.raises(NeurodataError, match=r"could be any of the metadata entries extra.left.gain, extra.right.gain"):
        open_store(tmp_path).select(gain=1)
    assert len(open_store(tmp_path).select(**{"extra.right.gain": 2})) == 1
    assert len(open_store(tmp_path).select(species="none").select(gain=1)) == 0


def test_digests_of_content_and_documents_are_those_of_the_recording(animals):
    table = read_table(animals).set_index("recording_id")
    for recording_id in table.index:
        manifest = read_root_attributes(animals / recording_id)["manifest"]
        for column in ("content_sha256", "documents_sha256"):
            assert table.loc[recording_id, column] == manifest[column]
    assert table["documents_sha256"].is_unique


SIGNALS = {
    "late": {"rate_hz": 3137 / 1080, "start_seconds": 1.5},
    "before the session": {"rate_hz": 7, "start_seconds": -100},
    "segments": {"rate_hz": 10.0, "segments": ([0.0, 20.0, 50.5], [0, 10, 20])},
    "explicit times": {"time": np.cumsum(np.full(30, 0.11))},
    "frames": {},
}


@pytest.mark.parametrize("clock", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("n_samples", [30, 0])
def test_the_duration_is_what_the_recording_says(tmp_path, clock, n_samples):
    if n_samples == 0 and ("time" in clock or "segments" in clock):
        return
    signal = make_signal(np.zeros((n_samples, 1), np.float32), channel_id=["a"], units="V", **clock)
    regular = make_signal(np.zeros((1, 1), np.float32), channel_id=["a"], units="V", rate_hz=1e3)
    for name, signals in {"alone": {"x": signal}, "beside": {"x": signal, "y": regular}}.items():
        write_recording(small(f"lab/{name}", signals=signals), tmp_path)
    for row in read_table(tmp_path).to_dict("records"):
        expected = open_recording(tmp_path / row["recording_id"]).duration_seconds
        assert row["duration_seconds"] == expected or (expected == 0 and np.isnan(row["duration_seconds"]))


def test_the_duration_of_a_recording_without_signals_is_that_of_its_tables(tmp_path):
    events, intervals = make_events([1.0, 7.5]), make_intervals([0.0], [9.0])
    recording = small("lab/a", signals={}).replace(events={"licks": events}, intervals={"trials": intervals})
    write_recording(recording, tmp_path)
    assert read_table(tmp_path)["duration_seconds"].tolist() == [9.0]


def test_an_index_written_before_a_column_was_added_is_seen_through(animals, tmp_path):
    store = shutil.copytree(animals, tmp_path / "store")
    fresh = read_table(store)
    old = pd.read_parquet(store / INDEX_FILE).drop(columns=["metadata", "documents_sha256"])
    old.to_parquet(store / INDEX_FILE)
    pd.testing.assert_frame_equal(read_table(store), fresh)


def test_metadata_that_no_table_can_hold_leave_the_others_in_the_index(tmp_path):
    nested = {"deep": {f"k{i}": "x" * 900 for i in range(100)}}
    write_recording(
        small("lab/a", description="x" * 2000, extra={"list": [1, 2], "nothing": None, "öß": 1.5}), tmp_path
    )
    write_recording(small("lab/b", extra=nested), tmp_path)
    write_recording(small("lab/c"), tmp_path)
    fresh = read_table(tmp_path)
    write_index(tmp_path)
    pd.testing.assert_frame_equal(table_of((tmp_path / INDEX_FILE).read_bytes()), fresh)
    assert '"extra.öß": 1.5' in fresh["metadata"][0]
    assert not any(name in fresh["metadata"][0] for name in ("description", "list", "nothing"))
    assert fresh["metadata"][1] is None
    assert open_store(tmp_path).select(**{"extra.öß": 1.5}).recording_ids == ("lab/a",)


def test_only_what_changed_is_read_again(animals, tmp_path):
    store = shutil.copytree(animals, tmp_path / "store")
    write_index(store)
    shutil.rmtree(store / "lab" / "a" / "signals")
    fresh = read_table(store)  # of lab/a only its root document is looked at
    assert fresh["signals"].tolist() == ["calcium", "calcium", "calcium", "calcium calcium_raw eeg"]
    write_recording(small("lab/b", seconds=7.0), store, overwrite=True)
    assert read_table(store)["duration_seconds"].tolist() == [10.0, 7.0, 10.0, 10.0]
    os.utime(store / "lab" / "a" / "zarr.json", ns=(1, 1))
    with pytest.raises(IntegrityError):
        read_table(store)


def as_bytes(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), buffer, **options)
    return buffer.getvalue()


def with_column(table, name, values):
    return table.set_column(table.schema.get_field_index(name), name, values)


def test_the_rows_of_an_index_are_those_of_the_store(animals):
    table = table_of((animals / INDEX_FILE).read_bytes())
    assert tuple(table.columns) == COLUMNS
    pd.testing.assert_frame_equal(table, read_table(animals))


HOSTILE = {
    "nothing": (lambda table: b"", ""),
    "not parquet": (lambda table: b"PAR1" + b"\xff" * 200 + b"PAR1", ""),
    "cut short": (lambda table: as_bytes(table)[:-100], ""),
    "a column missing": (lambda table: as_bytes(table.drop_columns(["age"])), "'age' is there 0 times"),
    "a column twice": (lambda table: as_bytes(table.append_column("age", table["age"])), "'age' is there 2 times"),
    "lists": (
        lambda table: as_bytes(with_column(table, "age", pa.array([["x"]] * 4))),
        "'age' is of type list.*expected string",
    ),
    "text for a number": (
        lambda table: as_bytes(with_column(table, "n_channels", pa.array(["7"] * 4))),
        "'n_channels' is of type string, expected double",
    ),
    "a way out of the store": (
        lambda table: as_bytes(with_column(table, "recording_id", pa.array(["lab/a", "../x", "lab/c", "lab/d"]))),
        r"bad recording id: .*'\.\./x'",
    ),
    "no id": (
        lambda table: as_bytes(with_column(table, "recording_id", pa.array(["lab/a", None, "lab/c", "lab/d"]))),
        "bad recording id: .*NoneType",
    ),
    "a recording twice": (
        lambda table: as_bytes(with_column(table, "recording_id", pa.array(["lab/a"] * 4))),
        "a recording is there twice",
    ),
    "too many rows": (
        lambda table: as_bytes(table.take(np.zeros(1_000_001, int))),
        "claims 1000001 rows, at most 1000000",
    ),
    "text that is not UTF-8": (
        lambda table: as_bytes(
            with_column(table, "age", pa.array([b"\xff"] * 4).view(pa.string()))
        ),
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "text"), HOSTILE.values(), ids=HOSTILE)
def test_an_index_from_anyone_is_refused_where_it_is_not_one(animals, make, text):
    data = make(pq.read_table(animals / INDEX_FILE))
    with pytest.raises(IntegrityError, match=rf"(?s)index.parquet is not an index that this version can use: .*{text}"):
        table_of(data)


def test_a_small_file_of_one_long_text_many_times_stays_small(animals):
    rows = np.zeros(20_000, np.int32)
    many = pq.read_table(animals / INDEX_FILE).take(rows)
    many = with_column(many, "recording_id", pa.array([f"lab/{number}" for number in range(20_000)]))
    # two thousand million characters
    many = with_column(many, "licence", pa.DictionaryArray.from_arrays(rows, ["x" * 100_000]))
    data = as_bytes(many)
    assert len(data) < 2_000_000
    del many
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    try:
        assert len(table_of(data)) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6
    assert pa.total_allocated_bytes() - before < 100e6
