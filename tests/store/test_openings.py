"""`openings.parquet`: what it keeps, that it is only a cache, and that nobody can do harm with it."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import neurodata as nd
from neurodata.errors import IntegrityError, StoreError
from neurodata.store import openings as module
from neurodata.store.openings import LARGEST_SMALL, OPENINGS_FILE, SCHEMA, Openings
from neurodata.store.server import Server
from neurodata.store.write import write_recording
from neurodata.store.write_openings import write_openings

FIRST, LARGE = "made_up/first", "made_up/large"


def rows_of(store):
    return pq.read_table(store / OPENINGS_FILE).to_pandas()


def packed(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


def test_every_kept_byte_is_the_file_s(local_store):
    rows = rows_of(local_store)
    assert rows["recording_id"].is_monotonic_increasing
    assert set(rows["recording_id"]) == {FIRST, LARGE}
    for row in rows.itertuples():
        whole = (local_store / row.recording_id / row.key).read_bytes()
        data = pa.Codec("zstd").decompress(row.data, decompressed_size=row.length, asbytes=True)
        assert len(whole) == row.file_bytes
        assert data == whole[row.start : row.start + row.length]
    for _, kept in rows.groupby("recording_id"):
        assert "zarr.json" in set(kept["key"])
        assert kept["length"].sum() < 2 * 2**20


def test_small_files_are_kept_whole_and_of_shards_the_index(local_store):
    rows = rows_of(local_store).set_index(["recording_id", "key"])
    for path in local_store.glob("*/*/**/c/**/*"):
        if not path.is_file():
            continue
        size, key = path.stat().st_size, path.relative_to(local_store).as_posix().split("/", 2)
        row = rows.loc[("/".join(key[:2]), key[2])]
        document = json.loads(
            next(p for p in path.parents if p.parent.name and p.name == "c").parent.joinpath("zarr.json").read_text()
        )
        if size <= LARGEST_SMALL:
            assert (row.start, row.length) == (0, size)
        else:
            shard, chunk = (document["chunk_grid"]["configuration"]["chunk_shape"], document["codecs"][0]["configuration"]["chunk_shape"])  # fmt: skip
            assert row.length == 16 * np.prod(np.array(shard) // np.array(chunk)) + 4
            assert row.start + row.length == size


def test_refreshing_reads_only_what_changed(local_store, made, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(local_store, store)
    before = rows_of(store)
    assert write_openings(store) is False  # the copy kept the times
    shutil.rmtree(store / LARGE / "signals")  # were it read again, its rows would be gone
    write_recording(made.full_recording("made_up/second"), store)
    assert write_openings(store) is True
    after = rows_of(store)
    assert set(after["recording_id"]) == {FIRST, LARGE, "made_up/second"}
    assert after[after["recording_id"] != "made_up/second"].reset_index(drop=True).equals(before)
    shutil.rmtree(store / LARGE)
    assert write_openings(store) is True
    assert set(rows_of(store)["recording_id"]) == {FIRST, "made_up/second"}


def test_an_old_file_in_any_state_is_written_anew(local_store, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(local_store, store)
    wanted = rows_of(store)
    for data in (b"", b"PAR1" * 1000, (store / OPENINGS_FILE).read_bytes()[:-100]):
        (store / OPENINGS_FILE).write_bytes(data)
        assert write_openings(store) is True
        assert rows_of(store).equals(wanted)
    assert [name for name in os.listdir(store) if name.startswith(".openings")] == []


def test_a_store_without_recordings(tmp_path, web, published):
    folder, address = published
    shutil.rmtree(folder / "made_up")
    assert write_openings(folder)
    assert Openings(Server(address)).find("made_up/first/zarr.json") is None


def many_rows(n_recordings, size=20_000):
    rng = np.random.default_rng(0)
    for number in range(n_recordings):
        data = rng.bytes(size)
        yield f"many/r{number:04d}", "stamp", "zarr.json", size, 0, size, packed(data)


def write_rows(file, rows, per_group=64, schema=SCHEMA, **options):
    rows = list(rows)
    columns = [pa.array(column, kind.type) for column, kind in zip(zip(*rows), schema)]
    options = {"compression": "none", "use_dictionary": False} | options
    pq.write_table(pa.table(columns, schema=schema), file, row_group_size=per_group, **options)


def test_of_a_large_store_only_the_row_groups_asked_for_are_fetched(published, proxied, monkeypatch):
    folder, _ = published
    address, proxy = proxied
    write_rows(folder / OPENINGS_FILE, many_rows(400))  # 8 MB
    openings = Openings(Server(address))
    kept = {row[0]: row[6] for row in many_rows(400)}
    proxy.reset()
    for number, requests in ((5, 2), (6, 2), (70, 3), (399, 3), (5, 3)):  # the last row group came with the list
        found = openings.find(f"many/r{number:04d}/zarr.json")
        assert packed(found.data) == kept[f"many/r{number:04d}"]
        assert proxy.requests == requests, proxy.lines
    assert openings.find("many/r0005/other") is None
    assert openings.find("many/x/zarr.json") is None
    assert proxy.requests == 3
    assert proxy.bytes < 8e6
    monkeypatch.setattr(module, "_HELD_BYTES", 2_000_000)
    for number in range(0, 400, 50):
        openings.find(f"many/r{number:04d}/zarr.json")
    assert len(openings._groups) == 1


def test_openings_of_an_older_upload_say_so(published, made):
    folder, address = published
    shutil.rmtree(folder / LARGE)
    write_recording(made.large_recording(megabytes=20), folder)
    nd.open_store(address)  # the index is old as well
    signal = nd.open_store(address)["large"].signals_stored["noise"]
    with pytest.raises(IntegrityError, match=r"openings of store .* may be stale; run 'neurodata store index STORE'"):
        signal.isel(time=slice(0, 10)).load()
    assert write_openings(folder)
    assert nd.open_store(address)["large"].signals_stored["noise"].isel(time=slice(0, 10)).load().shape == (10, 32)


def lie(**changes):
    """Rows for a true recording, with one of its numbers or bytes changed."""
    names = SCHEMA.names
    row = dict(zip(names, (FIRST, "stamp", "zarr.json", 1000, 0, 1000, packed(bytes(1000))))) | changes
    return lambda file: write_rows(file, [tuple(row[name] for name in names)])


def bomb(file):
    """A page of one entry that a dictionary repeats a thousand times."""
    rows = [(FIRST, "stamp", f"k{n}", 10**6, 0, 10**6, bytes(10**6)) for n in range(1000)]
    write_rows(file, rows, per_group=1000, use_dictionary=["data"], dictionary_pagesize_limit=10**7)


OTHER = pa.schema([pa.field("recording_id", pa.string(), nullable=False)])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(lambda f: f.write_bytes(os.urandom(5000)), "cannot be read", id="noise"),
        pytest.param(
            lambda f: f.write_bytes(b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1"), "cannot be read", id="end"
        ),
        pytest.param(lambda f: f.write_bytes(f.read_bytes()[:-50]), "cannot be read", id="cut short"),
        pytest.param(lambda f: f.write_bytes(f.read_bytes()[5000:]), "cannot be read", id="begins late"),
        pytest.param(lambda f: write_rows(f, [(FIRST,)], schema=OTHER), "expected the columns", id="other columns"),
        pytest.param(lambda f: write_rows(f, many_like_first(), compression="zstd"), "compressed", id="compressed"),
        pytest.param(bomb, "hold a dictionary", id="dictionary"),
        pytest.param(lambda f: write_rows(f, many_like_first(), write_statistics=False), "do not say", id="no names"),
        pytest.param(lambda f: write_rows(f, reversed(list(many_rows(9, 10))), 1), "not sorted", id="unsorted"),
        pytest.param(lie(length=10**12, file_bytes=10**13), "are said to be kept", id="a terabyte"),
        pytest.param(lie(length=-5), "are said to be kept", id="negative"),
        pytest.param(lie(start=-1), "are said to be kept", id="before the beginning"),
        pytest.param(lie(length=999), "cannot be unpacked", id="longer than said"),
        pytest.param(lie(length=2000, file_bytes=2000), "cannot be unpacked", id="shorter than said"),
        pytest.param(lie(data=packed(bytes(10**8))), "cannot be unpacked", id="a hundred megabytes"),
        pytest.param(lie(data=b"no zstd"), "cannot be unpacked", id="not packed"),
    ],
)
def test_hostile_openings_end_in_a_message(write, message, published):
    folder, address = published
    write(folder / OPENINGS_FILE)
    with pytest.raises(StoreError, match=rf"openings.parquet of store .*{message}.*only a cache: delete it, or run"):
        nd.open_store(address)["first"]


def many_like_first():
    return [(FIRST, "stamp", f"k{n}", 1000, 0, 1000, packed(bytes(1000))) for n in range(10)]


def test_lies_that_fit_are_found_by_checksum_and_digest(published):
    folder, address = published
    rows = [list(row) for row in pq.read_table(folder / OPENINGS_FILE).to_pandas().itertuples(index=False)]
    changed = [list(row) for row in rows]
    for row in changed:
        if row[0] == FIRST and row[2] == "signals/calcium/calcium/c/0/0":
            data = bytearray((folder / FIRST / row[2]).read_bytes())
            data[100] ^= 1
            row[6] = packed(bytes(data))
    write_rows(folder / OPENINGS_FILE, changed)
    with pytest.raises(IntegrityError, match=r"array 'signals/calcium/calcium' is damaged.*checksum"):
        nd.open_store(address)["first"].signals["calcium"].load()
    for row in changed:
        if row[0] == FIRST and row[2] == "zarr.json":
            text = (folder / FIRST / "zarr.json").read_bytes().replace(b"elegans", b"elegant", 1)
            row[3], row[5], row[6] = len(text), len(text), packed(text)
    write_rows(folder / OPENINGS_FILE, changed)
    with pytest.raises(
        IntegrityError, match=r"recording 'made_up/first': zarr.json: an attribute is not what was written"
    ):
        nd.open_store(address)["first"]
