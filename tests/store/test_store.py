"""A store: its recordings, its table, and the cache of that table, which is never trusted with more than speed."""

import os
import shutil

import pandas as pd
import pytest

from neurodata.errors import NeurodataError, StoreError
from neurodata.store.store import open_store
from neurodata.store.table import COLUMNS, INDEX_FILE, write_index
from neurodata.store.write import is_up_to_date, write_recording


@pytest.fixture(scope="module")
def three(made, tmp_path_factory):
    store = tmp_path_factory.mktemp("three")
    write_recording(made.full_recording("made_up/first", **made.sources()), store)
    mouse = {"id": "m1", "species": "Mus musculus", "age": "P90D"}
    write_recording(made.full_recording("mice/night", seed=1, subject=mouse, session="s1"), store)
    write_recording(made.full_recording("mice/first", seed=2, subject=mouse, modality="other"), store)
    return store


@pytest.fixture
def store(three, tmp_path):
    """A store of three recordings, to be changed at will."""
    return shutil.copytree(three, tmp_path / "store")


def test_the_table_has_a_row_per_recording(store):
    table = open_store(store).table
    assert tuple(table.columns) == COLUMNS
    assert table["recording_id"].tolist() == ["made_up/first", "mice/first", "mice/night"]
    row = table.set_index("recording_id").loc["made_up/first"]
    assert row["subject"] == "made_up/w1"
    assert (row["n_channels"], row["sampling_rate_hz"]) == (5, 3137 / 1080)
    assert row["duration_seconds"] == pytest.approx(1.5 + 300 * 1080 / 3137)  # it starts at 1.5 s
    assert (row["loader"], row["loader_version"]) == ("made_up", 1)
    assert set(row["signals"].split()) == {"calcium", "eeg", "gaps", "wheel", "frames", "none"}
    assert pd.isna(table.set_index("recording_id").loc["mice/night", "loader"])


def test_selecting_and_finding(store):
    opened = open_store(store)
    assert opened.select(species="Mus musculus").recording_ids == ("mice/first", "mice/night")
    assert opened.select(dataset=["mice", "made_up"], modality="calcium").recording_ids == (
        "made_up/first",
        "mice/night",
    )
    assert len(opened.select(species="Rattus norvegicus")) == 0
    assert len(opened.select(species="Rattus norvegicus").table) == 0
    assert opened["night"].recording_id == "mice/night"
    assert [recording.recording_id for recording in opened] == list(opened.recording_ids)
    with pytest.raises(StoreError, match=r"no single recording 'first'.*could be any of made_up/first, mice/first"):
        opened["first"]
    with pytest.raises(StoreError, match=r"no single recording 'mice/nigth'.*did you mean 'mice/night'\?"):
        opened["mice/nigth"]
    with pytest.raises(NeurodataError, match=r"no column or metadata entry 'specie'"):
        opened.select(specie="x")


def test_a_store_that_is_not_there_or_empty(tmp_path):
    with pytest.raises(StoreError, match=r"no store at .*'neurodata convert LOADER RAW STORE' makes one"):
        open_store(tmp_path / "none")
    assert len(open_store(tmp_path).table) == 0
    write_index(tmp_path)
    assert len(open_store(tmp_path).table) == 0


def test_the_cached_table_is_the_fresh_one(store):
    fresh = open_store(store).table
    write_index(store)
    pd.testing.assert_frame_equal(open_store(store).table, fresh)
    assert [path.name for path in store.iterdir() if path.name.startswith(".")] == []


def test_a_stale_index_is_seen_through(store, made):
    write_index(store)
    changed = made.full_recording("made_up/first", seed=5, **made.sources(version=2))
    write_recording(changed, store, overwrite=True)
    write_recording(made.full_recording("made_up/second"), store)
    os.rename(store / "mice" / "night", store / "mice" / "day")
    table = open_store(store).table.set_index("recording_id")
    assert table.index.tolist() == ["made_up/first", "made_up/second", "mice/day", "mice/first"]
    assert table.loc["made_up/first", "loader_version"] == 2


INDEXES = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "not parquet": lambda file: file.write_bytes(b"PAR1 nonsense PAR1"),
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a link to a device": lambda file: (file.unlink(), file.symlink_to("/dev/null")),
    "without its columns": lambda file: pd.DataFrame({"x": [1]}).to_parquet(file),
    "of lists": lambda file: pd.read_parquet(file).map(lambda _: [1, 2]).to_parquet(file),
    "of numbers": lambda file: pd.read_parquet(file).map(lambda _: 7).to_parquet(file),
    "huge": lambda file: os.truncate(file, 2**40),
}


@pytest.mark.parametrize("damage", INDEXES.values(), ids=INDEXES)
def test_an_index_in_any_state_is_never_an_error(store, damage):
    fresh = open_store(store).table
    write_index(store)
    damage(store / INDEX_FILE)
    pd.testing.assert_frame_equal(open_store(store).table, fresh)
    write_index(store)
    pd.testing.assert_frame_equal(open_store(store).table, fresh)


def test_converting_again_says_up_to_date_or_asks_to_overwrite(made, tmp_path):
    recording = made.full_recording(**made.sources())
    assert write_recording(recording, tmp_path) == "written"
    assert write_recording(recording, tmp_path) == "up to date"
    same = made.sources()
    assert is_up_to_date(tmp_path, "made_up/first", same["source_files"], same["loader"])
    for other in (made.sources(version=2), made.sources(sha256="1" * 64)):
        assert not is_up_to_date(tmp_path, "made_up/first", other["source_files"], other["loader"])
        changed = made.full_recording(seed=3, **other)
        with pytest.raises(StoreError, match=r"is in store .* already, made from other files.*give --overwrite"):
            write_recording(changed, tmp_path)
        assert write_recording(changed, tmp_path, overwrite=True) == "written"
        assert write_recording(changed, tmp_path) == "up to date"
    assert not is_up_to_date(tmp_path, "made_up/none", [], {})
    assert not (tmp_path / ".partial").exists()


def test_recordings_without_sources_are_compared_by_content(made, tmp_path):
    write_recording(made.full_recording(), tmp_path)
    assert write_recording(made.full_recording(), tmp_path) == "up to date"
    with pytest.raises(StoreError, match=r"--overwrite"):
        write_recording(made.full_recording(seed=1), tmp_path)
    with pytest.raises(StoreError, match=r"--overwrite"):
        write_recording(made.full_recording(session="other"), tmp_path)


def test_a_snapshot_keeps_the_table_it_was_made_with(made, tmp_path):
    write_recording(made.full_recording("made/a"), tmp_path)
    store = open_store(tmp_path)
    kept = store.snapshot()
    before = kept.table
    write_recording(made.full_recording("made/b", seed=1), tmp_path)
    assert kept.table.equals(before)
    assert kept.recording_ids == store.recording_ids == ("made/a",)
