"""A store may come from anyone: whatever it says ends in a clear error, not in a crash or a full memory."""

import json
import os
import resource
import shutil

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import IntegrityError, NeurodataError, SchemaError, StoreError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events
from neurodata.store.documents import documents_digest, read_documents
from neurodata.store.read import open_recording
from neurodata.store.store import open_store
from neurodata.store.verify import schema_problems, verify_recording
from neurodata.store.write import is_up_to_date, write_recording


def forge(folder, path, change, *, consistent=True):
    """Change a document and make every digest fit again, as someone who means harm would."""
    file = folder / path / "zarr.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    root = json.loads((folder / "zarr.json").read_text())
    root.pop("consolidated_metadata", None)
    (folder / "zarr.json").write_text(json.dumps(root))
    if consistent:
        found = {p.parent.relative_to(folder).as_posix(): json.loads(p.read_text()) for p in folder.rglob("zarr.json")}
        found[""] = found.pop(".")
        root["attributes"]["manifest"]["documents_sha256"] = documents_digest(found)
        (folder / "zarr.json").write_text(json.dumps(root))


def grid(chunk_shape):
    return lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=chunk_shape)


def codecs(*codecs):
    return lambda d: d.update(codecs=list(codecs))


DEEP = {"name": "bytes"}
for _ in range(70):
    DEEP = {"x": DEEP}

CALCIUM = "signals/calcium/calcium"
FORGED = {
    "a shape of 10^15 rows": (lambda d: d.update(shape=[10**15, 5]), "more than 1000000 chunks are claimed"),
    "a shape beyond 64 bits": (lambda d: d.update(shape=[10**30, 5]), "is not one or two sizes"),
    "a huge shape in huge shards": (
        lambda d: (d.update(shape=[10**12, 5]), grid([10**6, 5])(d)), "its last file 'c/999999/0' is missing",
    ),
    "a chunk of 10^15 bytes": (grid([10**15, 5]), "chunks of 40000000000000000 bytes are claimed; at most 67108864"),
    "no chunks": (grid([0, 5]), r"chunk shape \[0, 5\] does not fit"),
    "a negative chunk": (grid([-1, 5]), "does not fit"),
    "chunks of three dimensions": (grid([1, 1, 1]), "does not fit"),
    "chunks in words": (grid("many"), "chunk shape many does not fit"),
    "a shape in words": (lambda d: d.update(shape="large"), "shape large is not one or two sizes"),
    "a shape of fractions": (lambda d: d.update(shape=[1.5, 5]), "is not one or two sizes"),
    "a shape of truths": (lambda d: d.update(shape=[True, 5]), "is not one or two sizes"),
    "a negative shape": (lambda d: d.update(shape=[-1, 5]), "is not one or two sizes"),
    "no shape": (lambda d: d.pop("shape"), "shape None is not one or two sizes"),
    "a shape of many dimensions": (lambda d: d.update(shape=[1] * 40), "is not one or two sizes"),
    "an unknown codec": (codecs({"name": "evil"}), "codec 'evil' is not one of"),
    "a pickling codec": (codecs({"name": "numcodecs.pickle"}), "codec 'numcodecs.pickle' is not one of"),
    "a codec in a word": (codecs("bytes"), "codec 'bytes' is not one of"),
    "no codecs": (codecs(), "there are no codecs"),
    "codecs in the wrong order": (codecs({"name": "crc32c"}, {"name": "bytes"}), "is not described correctly"),
    "a codec with a strange setting": (codecs({"name": "bytes", "configuration": {"endian": 3}}), "is not described correctly"),
    "shards in shards, unfilled": (
        codecs({"name": "sharding_indexed", "configuration": {"chunk_shape": [7, 5], "codecs": [{"name": "bytes"}],
                                                              "index_codecs": [{"name": "bytes"}]}}),
        r"inner chunks of \[7, 5\] do not fill shards",
    ),
    "an object type": (lambda d: d.update(data_type="object"), "data type 'object' is not one of"),
    "a structured type": (lambda d: d.update(data_type={"name": "struct"}), "data type .* is not one of"),
    "one dimension name": (lambda d: d.update(dimension_names=["time"]), r"dimension names \['time'\] do not fit"),
    "dimension names that are none": (lambda d: d.update(dimension_names=[None, 3]), "there are no dimension names"),
    "the same dimension twice": (lambda d: d.update(dimension_names=["time", "time"]), "do not fit"),
    "other dimensions": (lambda d: d.update(dimension_names=["channel", "time"]), "expected .*'time', 'channel'"),
    "attributes in a list": (lambda d: d.update(attributes=[1]), "attributes are not a dictionary"),
    "no rate": (lambda d: d["attributes"].pop("sampling_rate_hz"), "states no time"),
    "a rate of 0": (lambda d: d["attributes"].update(sampling_rate_hz=0), "states no time"),
    "a rate in words": (lambda d: d["attributes"].update(sampling_rate_hz="fast"), "states no time"),
    "a storage transformer": (lambda d: d.update(storage_transformers=[{}]), "storage transformers are not part"),
    "chunk keys of version 2": (lambda d: d.update(chunk_key_encoding={"name": "v2"}), "chunk key encoding"),
    "a lone surrogate": (lambda d: d["attributes"].update(x="\ud800"), "cannot be encoded"),
    "deep nesting": (lambda d: d.update(codecs=[DEEP]), "nested more than 64 deep"),
    "a group of that name": (lambda d: d.update(node_type="group"), "is missing|not the first"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FORGED.values(), ids=FORGED)
def test_a_forged_description_is_refused_without_a_big_allocation(stored, change, message):
    forge(stored, CALCIUM, change, consistent="surrogate" not in message and "encoded" not in message)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(IntegrityError, match=message) as error:
        open_recording(stored)
    assert "made_up/first" in str(error.value)
    assert len(str(error.value)) < 1000
    assert isinstance(
        verify_recording(stored), list
    )  # a forger's digests may fit; what cannot be opened is named here:
    assert len(schema_problems(stored)) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[" * 100_000, "zarr.json cannot be read", id="brackets without end"),
        pytest.param('{"node_type": "group", "attributes": {"x": NaN}}', "NaN is not JSON", id="NaN"),
        pytest.param('{"node_type": "group", "attributes": {"x": 1e999}}', "1e999 is not a finite number", id="1e999"),
        pytest.param(
            '{"node_type": "group", "attributes": {"x": ' + "9" * 5000 + "}}", "cannot be read", id="5000 digits"
        ),
        pytest.param("[1, 2]", "is not a Zarr v3 document", id="a list"),
        pytest.param("", "cannot be read", id="empty"),
        pytest.param("\0\0", "cannot be read", id="NUL bytes"),
        pytest.param('{"node_type": "planet"}', "is not a Zarr v3 document", id="another node type"),
    ],
)
@pytest.mark.parametrize("path", ["", CALCIUM])
def test_a_document_that_is_no_document_is_refused(stored, path, text, message):
    (stored / path / "zarr.json").write_text(text)
    for call in (open_recording, lambda f: open_store(f.parent.parent).table):
        with pytest.raises(IntegrityError, match=message):
            call(stored)
    assert message.split()[-1] in verify_recording(stored)[0]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (3, "is of store format 3, this version reads up to 2; upgrade neurodata"),
        (10**9, "is of store format 1000000000"),
        (0, "is not a neurodata recording: expected a Zarr group whose attribute 'neurodata_format' is 1 to 2"),
        ("1", "is not a neurodata recording"),
        (True, "is not a neurodata recording"),
        (1.0, "is not a neurodata recording"),
        (None, "is not a neurodata recording"),
    ],
)
def test_another_format_is_refused_by_its_number(stored, number, message):
    forge(stored, "", lambda d: d["attributes"].update(neurodata_format=number))
    with pytest.raises(StoreError, match=message):
        open_recording(stored)
    with pytest.raises(StoreError, match=message):
        is_up_to_date(stored.parent.parent, "made_up/first", [], {})
    assert message in verify_recording(stored)[0]


def test_links_pipes_and_devices_are_not_read(stored, tmp_path):
    chunk = stored / "units" / "snr" / "c" / "0"
    for make in (lambda: os.mkfifo(chunk), lambda: chunk.symlink_to("/dev/zero"), lambda: chunk.mkdir()):
        chunk.unlink() if chunk.exists() else None
        make()
        with pytest.raises(IntegrityError, match=r"units/snr.*is not a plain file"):
            open_recording(stored).units.load()
        assert "units/snr" in verify_recording(stored)[0]
        shutil.rmtree(chunk) if chunk.is_dir() else None
    document = stored / "units" / "snr" / "zarr.json"
    document.unlink()
    os.mkfifo(document)
    with pytest.raises(IntegrityError, match=r"is not a plain file"):
        open_recording(stored)


def test_a_huge_sparse_file_is_not_read(stored):
    os.truncate(stored / "units" / "snr" / "c" / "0", 2**40)
    with pytest.raises(IntegrityError, match=r"is larger than"):
        open_recording(stored).units.load()
    assert "larger than" in verify_recording(stored)[0]


def test_linked_folders_are_no_recordings(stored, tmp_path):
    store = stored.parent.parent
    (store / "elsewhere").symlink_to(tmp_path)
    (store / "made_up" / "linked").symlink_to(stored)
    (store / "made_up" / "loop").symlink_to(store)
    assert open_store(store).recording_ids == ("made_up/first",)
    shutil.move(stored / "units", tmp_path / "units")
    (stored / "units").symlink_to(tmp_path / "units")
    with pytest.raises(IntegrityError, match=r"units/zarr.json: this array or group is missing"):
        open_recording(stored)


def test_folders_with_odd_names_are_passed_over(stored):
    store = stored.parent.parent
    for name in ["..evil", "new\nline", "a b", "ünï", "\udcff", "-rf", "x" * 200, ".partial"]:
        shutil.copytree(stored, store / name / "first")
        if name != ".partial":
            shutil.copytree(stored, store / "made_up" / name)
    (store / "made_up" / "empty").mkdir()
    (store / "made_up" / "file").write_text("x")
    (store / "file").write_text("x")
    assert open_store(store).recording_ids == ("made_up/first",)
    assert len(open_store(store).table) == 1


def test_text_that_would_fill_the_memory_is_refused(made, tmp_path):
    long = make_events(np.arange(3.0), label=["x" * 30_000, "a", "b"])
    write_recording(Recording(made.metadata(), events={"e": long}), tmp_path)
    assert open_recording(tmp_path / "made_up/first").events["e"].label.values[0] == "x" * 30_000
    many = make_events(np.arange(10_000.0), label=np.broadcast_to(np.array(["x" * 30_000]), 10_000))
    with pytest.raises(SchemaError, match=r"10000 entries as wide as the longest \(30000 characters\)"):
        write_recording(Recording(made.metadata("made_up/second"), events={"e": many}), tmp_path)
    assert open_store(tmp_path).recording_ids == ("made_up/first",)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"extra": {"evil": object()}}, id="an object"),
        pytest.param({"extra": {"evil": b"raw"}}, id="bytes"),
        pytest.param({"extra": {"evil": float("nan")}}, id="NaN"),
        pytest.param({"extra": {"evil": "\ud800"}}, id="a lone surrogate"),
        pytest.param({"extra": {"evil": "x" * 2_000_000}}, id="2 MB of text"),
        pytest.param({"extra": {3: 4}}, id="a key that is not text"),
        pytest.param({"recording_id": "../../evil"}, id="an id that leaves the store"),
        pytest.param({"recording_id": "made_up/\0"}, id="an id with NUL"),
        pytest.param({"recording_id": None}, id="no id"),
    ],
)
def test_nothing_is_written_of_a_hostile_recording(made, tmp_path, changes):
    recording = made.full_recording().replace(metadata=made.metadata() | changes)
    with pytest.raises(SchemaError, match=r"breaks the schema"):
        write_recording(recording, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_attributes_too_large_to_be_read_again_are_not_written(made, tmp_path):
    notes = [f"{'x' * 990_000}{i}" for i in range(40)]
    with pytest.raises(StoreError, match=r"the metadata and attributes take \d+ bytes, at most 33554432 are stored"):
        write_recording(made.full_recording(extra={"notes": notes}), tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_table_of_strange_recordings_leaves_out_what_is_no_row(stored):
    def change(document):
        document["attributes"]["metadata"].update(session=[1], loader="x", subject=3, citation={"a": 1})

    forge(stored, "", change)
    row = open_store(stored.parent.parent).table.iloc[0]
    assert row["recording_id"] == "made_up/first"
    assert row[["session", "citation", "species"]].isna().all()
    assert isinstance(schema_problems(stored), list)
    with pytest.raises(NeurodataError, match=r"no column or metadata entry 'speceis'.*'species'"):
        open_store(stored.parent.parent).select(speceis="x")
    assert isinstance(open_store(stored.parent.parent).table, pd.DataFrame)
    assert len(read_documents(stored)) > 10
