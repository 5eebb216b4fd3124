"""What was changed or lost on disk is noticed, by verify and on reading; it is never handed out."""

import json
import shutil

import numpy as np
import pytest

from neurodata.errors import IntegrityError, StoreError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal
from neurodata.store.arrays import open_array, read_values
from neurodata.store.documents import read_documents
from neurodata.store.read import open_recording
from neurodata.store.verify import schema_problems, verify_recording
from neurodata.store.write import write_recording


def read_all(folder):
    recording = open_recording(folder)
    for signal in recording.signals_stored.values():
        signal.load()
        signal.time.load()
    for table in [*recording.events.values(), *recording.intervals.values(), recording.units]:
        if table is not None:
            table.load()


def chunk_files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "zarr.json"]


def array_of(folder, file):
    return file.relative_to(folder).as_posix().split("/c/")[0]


@pytest.fixture
def sharded(tmp_path, made):
    """A recording of one sharded signal: 8 inner chunks in one shard."""
    values = np.random.default_rng(0).normal(size=(8 * 1024, 16))
    values[1024:2048] = np.nan  # a chunk of nothing but the fill value must be there like any other
    signal = make_signal(values, channel_id=[str(i) for i in range(16)], units="V", rate_hz=100.0)
    write_recording(Recording(made.metadata(), {"s": signal}), tmp_path)
    return tmp_path / "made_up" / "first"


def test_one_flipped_bit_anywhere_in_any_file_is_noticed(stored):
    flips = 0
    for file in chunk_files(stored):
        content = file.read_bytes()
        path, documents = array_of(stored, file), read_documents(stored)
        for position in sorted({*range(0, len(content), max(1, len(content) // 7)), len(content) - 1}):
            damaged = bytearray(content)
            damaged[position] ^= 1 << (position % 8)
            file.write_bytes(damaged)
            with pytest.raises(IntegrityError, match=f"array '{path}' is damaged"):
                read_values(stored, path, open_array(stored, path, documents[path]), ...)
            flips += 1
        problems = verify_recording(stored)
        assert [problem.split(":")[0] for problem in problems] == [path]
        if "second_first_event" not in path:
            with pytest.raises(IntegrityError, match=f"array '{path}' is damaged"):
                read_all(stored)
        file.write_bytes(content)
    assert flips > 200
    assert verify_recording(stored) == []


def test_one_flipped_bit_anywhere_in_a_shard_spoils_its_chunk_only(sharded):
    (file,) = (sharded / "signals" / "s" / "s").rglob("c/*/0")
    content, truth = file.read_bytes(), open_recording(sharded).signals["s"].values
    rng, spoiled = np.random.default_rng(1), 0
    for position in [*rng.integers(0, len(content), 24), *range(len(content) - 60, len(content), 12)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        signal = open_recording(sharded).signals["s"]
        with pytest.raises(IntegrityError, match=r"array 'signals/s/s' is damaged"):
            signal.load()
        for first in range(0, len(truth), 1024):
            try:
                part = open_recording(sharded).signals["s"][first : first + 1024].values
            except IntegrityError:
                spoiled += 1
                continue
            np.testing.assert_array_equal(part, truth[first : first + 1024])
        assert verify_recording(sharded)[0].startswith("signals/s/s: ")
    assert spoiled >= 29


def test_a_truncated_shard_is_noticed_wherever_it_ends(sharded):
    (file,) = (sharded / "signals" / "s" / "s").rglob("c/*/0")
    content = file.read_bytes()
    for length in [0, 1, 4, 100, *np.linspace(101, len(content) - 2, 8).astype(int), len(content) - 1]:
        file.write_bytes(content[:length])
        assert verify_recording(sharded)[0].startswith("signals/s/s: ")
        with pytest.raises(IntegrityError, match=r"signals/s/s"):
            read_all(sharded)


def test_a_deleted_shard_is_noticed(made, tmp_path):
    write_recording(made.large_recording(megabytes=36), tmp_path)
    folder = tmp_path / "made_up" / "large"
    (folder / "signals/noise/noise/c/1/0").unlink()
    assert verify_recording(folder) == ["signals/noise/noise: c/1/0 of 2 files missing"]
    signal = open_recording(folder).signals_stored["noise"]
    assert signal[:10].values.any()
    with pytest.raises(IntegrityError, match=r"array 'signals/noise/noise' is damaged: file .*c/1/0' is missing"):
        signal[550_000:550_010].load()


def test_every_deleted_file_is_noticed(stored):
    parts = ("signals/calcium", "events/spikes", "units")
    files = [path for part in parts for path in sorted((stored / part).rglob("*")) if path.is_file()]
    for file in [stored / "intervals" / "zarr.json", *files]:
        content = file.read_bytes()
        file.unlink()
        path = array_of(stored, file).removesuffix("/zarr.json")
        assert any(path in problem for problem in verify_recording(stored)), file
        if "second_first_event" not in path:
            with pytest.raises(IntegrityError, match=path):
                read_all(stored)
        file.write_bytes(content)
    assert verify_recording(stored) == []


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def in_copies(path, change):
    return lambda root: change(root["consolidated_metadata"]["metadata"][path])


EDITS = {
    "species, in the root": ("", lambda d: d["attributes"]["metadata"]["subject"].update(species="Mus musculus")),
    "a new attribute of the root": ("", lambda d: d["attributes"].update(note="x")),
    "a digest in the manifest": ("", lambda d: d["attributes"]["manifest"]["arrays"].update({"units/snr": "0" * 64})),
    "digest over all documents": ("", lambda d: d["attributes"]["manifest"].update(documents_sha256="0" * 64)),
    "digest over all arrays": ("", lambda d: d["attributes"]["manifest"].update(content_sha256="0" * 64)),
    "sampling rate": ("signals/calcium/calcium", lambda d: d["attributes"].update(sampling_rate_hz=3.0)),
    "units of a signal": ("signals/eeg/eeg", lambda d: d["attributes"].update(units="V")),
    "an attribute of a table": ("events/spikes", lambda d: d["attributes"].update(sorter="by hand")),
    "a shape": ("signals/calcium/calcium", lambda d: d.update(shape=[299, 5])),
    "a fill value": ("signals/calcium/calcium", lambda d: d.update(fill_value=0.0)),
    "dimension names": ("intervals/state/start", lambda d: d.update(dimension_names=["event"])),
    "a data type": ("intervals/state/code", lambda d: d.update(data_type="uint64")),
    "rate, in the consolidated copy": (
        "", in_copies("signals/calcium/calcium", lambda d: d["attributes"].update(sampling_rate_hz=3.0)),
    ),
    "an array left out of the consolidated copy": ("", lambda d: d["consolidated_metadata"]["metadata"].pop("units/snr")),
    "a group added to the consolidated copy": (
        "", lambda d: d["consolidated_metadata"]["metadata"].update({"x": d["consolidated_metadata"]["metadata"]["units"]}),
    ),
    "a consolidated copy that is none": ("", lambda d: d.update(consolidated_metadata={"metadata": [1]})),
}  # fmt: skip


@pytest.mark.parametrize(("path", "change"), EDITS.values(), ids=EDITS)
def test_an_edited_attribute_is_noticed(stored, path, change):
    edit(stored / path / "zarr.json", change)
    problems = verify_recording(stored)
    assert any(path in problem and "zarr.json" in problem for problem in problems), problems
    with pytest.raises(IntegrityError, match=r"recording 'made_up/first': .*run 'neurodata verify'"):
        open_recording(stored)
    assert "made_up/first" in schema_problems(stored)[0]


def test_the_consolidated_copy_is_not_relied_on(stored):
    edit(stored / "zarr.json", lambda d: d.pop("consolidated_metadata"))
    read_all(stored)
    assert verify_recording(stored) == []


def test_files_nobody_wrote_are_noticed(stored, tmp_path):
    (stored / "signals" / "note.txt").write_text("hello")
    (stored / "units" / "more").symlink_to(tmp_path)
    (stored / "units" / "dangling").symlink_to(tmp_path / "nowhere")
    assert verify_recording(stored) == [
        "signals/note.txt: nobody wrote this file",
        "units/dangling: nobody wrote this file",
        "units/more: nobody wrote this file",
    ]
    shutil.copytree(stored / "units" / "snr", stored / "units" / "snr2")
    assert "units/snr2: the array is not in the manifest" in verify_recording(stored)
    with pytest.raises(IntegrityError, match=r"units/snr2"):
        open_recording(stored)


def swap(one, other):
    a, b = one.read_bytes(), other.read_bytes()
    assert a != b
    one.write_bytes(b)
    other.write_bytes(a)


def test_swapped_but_valid_chunks_are_noticed_by_verify(made, tmp_path):
    write_recording(made.large_recording(megabytes=36), tmp_path)
    folder = tmp_path / "made_up" / "large" / "signals"
    shards = [folder / "noise/noise/c/0/0", folder / "noise/noise/c/1/0"]
    swap(*shards)
    message = "signals/noise/noise: the values are not those that were written (their digest differs from the manifest)"
    assert verify_recording(folder.parent) == [message]
    swap(*shards)
    swap(folder / "noise/noise/c/0/0", folder / "silence/silence/c/0/0")
    assert [problem.split(":")[0] for problem in verify_recording(folder.parent)] == [
        "signals/noise/noise",
        "signals/silence/silence",
    ]


def test_swapped_columns_are_noticed_by_verify(stored):
    swap(stored / "intervals/state/start/c/0", stored / "intervals/state/stop/c/0")
    assert [problem.split(":")[0] for problem in verify_recording(stored)] == [
        "intervals/state/start",
        "intervals/state/stop",
    ]


def test_what_is_no_recording_says_so(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreError, match=r"no recording at .*expected STORE/DATASET/RECORDING"):
            open_recording(path)
        assert "no recording at" in verify_recording(path)[0]
