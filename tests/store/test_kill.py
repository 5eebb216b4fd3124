"""A recording is complete or not there, whenever its writer is killed, however many write at once."""

import fcntl
import os
import time

import numpy as np
import pytest

from neurodata.store.read import open_recording
from neurodata.store.store import open_store
from neurodata.store.table import list_recordings
from neurodata.store.verify import verify_recording
from neurodata.store.write import write_recording

ID = "made_up/large"


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory, file_bytes):
    """Files of a conversion nobody disturbed, by its size in MB."""
    stores = {}

    def files(megabytes):
        if megabytes not in stores:
            store = tmp_path_factory.mktemp("undisturbed")
            assert write_recording(made.large_recording(ID, megabytes), store) == "written"
            stores[megabytes] = file_bytes(store)
        return stores[megabytes]

    return files


def bytes_under(folder):
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # moved while we looked
                continue
    return total


def kill_at(process, folder, n_bytes):
    """Kill a writer as soon as that many bytes lie under ``folder``; tell how many did."""
    while process.poll() is None and bytes_under(folder) < n_bytes:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return bytes_under(folder)


def check_that_nothing_half_is_seen(store):
    if not store.exists():
        return
    assert list_recordings(store) in ([], [ID])
    assert len(open_store(store).table) == len(open_store(store))
    for recording_id in list_recordings(store):
        assert verify_recording(store / recording_id) == []
        open_recording(store / recording_id)
    assert {path.name for path in store.iterdir()} <= {".partial", "made_up"}


def run_kills(store_of, moments, megabytes, start_writer, undisturbed, file_bytes, made):
    """Kill a writer at each of these shares of the bytes to be written; return how many kills hit unfinished work."""
    expected = undisturbed(megabytes)
    total, inside = sum(map(len, expected.values())), 0
    for share in moments:
        store = store_of(share)
        kill_at(start_writer(store, ID, megabytes), store / ".partial", share * total)
        check_that_nothing_half_is_seen(store)
        inside += (store / ".partial").exists()
        shards = {p: p.stat().st_mtime_ns for p in (store / ".partial").rglob("c/*/0")}
        finished = store.exists() and list_recordings(store) == [ID]
        outcome = write_recording(made.large_recording(ID, megabytes), store)
        assert outcome == ("up to date" if finished else "written")
        for path, changed in shards.items():
            final = store / path.relative_to(store / ".partial" / "made_up~large" / "tree")
            assert final.stat().st_mtime_ns == changed, f"{final} was written again"
        assert file_bytes(store) == expected
    return inside


def test_a_killed_writer_leaves_nothing_half_and_is_resumed(tmp_path, start_writer, undisturbed, file_bytes, made):
    moments = [0.01, 0.2, 0.5, 0.85, 0.95]
    inside = run_kills(lambda s: tmp_path / str(s), moments, 8, start_writer, undisturbed, file_bytes, made)
    assert inside >= 3


@pytest.mark.slow
def test_twenty_kills_placed_by_bytes_written(tmp_path, start_writer, undisturbed, file_bytes, made):
    moments = [0, 1e-5, *(i / 17 for i in range(1, 17)), 0.999, 1.0]
    assert len(moments) == 20
    inside = run_kills(lambda s: tmp_path / str(s), moments, 100, start_writer, undisturbed, file_bytes, made)
    assert inside >= 15


def test_a_writer_killed_again_and_again_still_ends_at_the_same_bytes(tmp_path, start_writer, undisturbed, file_bytes):
    for n_bytes in (1, 34 * 2**20, 38 * 2**20):
        process = start_writer(tmp_path, ID, 36, n_bytes)
        process.communicate()
        assert process.returncode == -9
        check_that_nothing_half_is_seen(tmp_path)
    process = start_writer(tmp_path, ID, 36)
    assert process.communicate()[0] == "written\n"
    assert file_bytes(tmp_path) == undisturbed(36)


def test_work_begun_from_other_sources_is_not_taken_up(made, tmp_path, start_writer):
    start_writer(tmp_path, ID, 4, 1).communicate()
    assert list(tmp_path.rglob("noise/noise/c/0/0"))
    recording = made.large_recording(ID, 4)
    noise = recording.signals_stored["noise"]
    other = recording.replace(
        metadata={**recording.metadata, **made.sources(version=2)},
        signals={**recording.signals_stored, "noise": noise.copy(data=-noise.values)},
    )
    assert write_recording(other, tmp_path) == "written"
    got = open_recording(tmp_path / ID).signals_stored["noise"]
    np.testing.assert_array_equal(got.values, -noise.values)


@pytest.mark.parametrize("torn", [b"", b"\0" * 100, b"half a sha"], ids=["empty", "zeros", "garbage"])
def test_torn_leftovers_are_written_again(tmp_path, start_writer, undisturbed, file_bytes, made, torn):
    start_writer(tmp_path, ID, 4, 1).communicate()
    folder = tmp_path / ".partial" / "made_up~large" / "tree" / ID
    for file in [*folder.rglob("c/0/0"), *folder.rglob("zarr.json")]:
        file.write_bytes(torn)
    (folder / "signals" / "noise" / "noise" / "c" / "0.abc.partial").write_bytes(torn)
    assert write_recording(made.large_recording(ID, 4), tmp_path) == "written"
    assert file_bytes(tmp_path) == undisturbed(4)


def test_two_writers_of_one_recording_one_wins_and_the_other_says_so(tmp_path, start_writer, undisturbed, file_bytes):
    processes = [start_writer(tmp_path, ID, 8) for _ in range(2)]
    outcomes = sorted(process.communicate()[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert outcomes in (["left to another process", "written"], ["up to date", "written"])
    assert file_bytes(tmp_path) == undisturbed(8)


def test_writers_of_many_recordings_at_once_lose_nothing(tmp_path, start_writer):
    ids = [f"{dataset}/r{i}" for dataset in "ab" for i in range(2)]
    processes = [start_writer(tmp_path, recording_id, 1) for recording_id in ids]
    assert [process.communicate()[0] for process in processes] == ["written\n"] * len(ids)
    assert list_recordings(tmp_path) == ids
    assert [problem for recording_id in ids for problem in verify_recording(tmp_path / recording_id)] == []
    assert not (tmp_path / ".partial").exists()


def test_a_lock_left_by_a_killed_process_does_not_block(made, tmp_path):
    work = tmp_path / ".partial" / "made_up~first"
    work.mkdir(parents=True)
    with open(work / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert write_recording(made.full_recording(), tmp_path) == "left to another process"
        assert list_recordings(tmp_path) == []
    assert (work / "lock").exists()
    assert write_recording(made.full_recording(), tmp_path) == "written"
    assert not (tmp_path / ".partial").exists()


def test_an_overwrite_killed_between_its_two_moves_keeps_what_was_there(made, tmp_path):
    write_recording(made.full_recording(**made.sources()), tmp_path)
    tree = tmp_path / ".partial" / "made_up~first" / "tree"
    tree.mkdir(parents=True)
    os.rename(tmp_path / "made_up" / "first", tree / "replaced")
    assert list_recordings(tmp_path) == []
    assert write_recording(made.full_recording(**made.sources()), tmp_path) == "up to date"
    assert verify_recording(tmp_path / "made_up" / "first") == []
    assert not (tmp_path / ".partial").exists()
