"""Rows straight from the shards are what zarr reads, and damage of any kind is told, never handed out."""

import json
import multiprocessing
import os
import pickle
import struct
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from xarray.core import indexing
from zarr.codecs import BloscCodec, Crc32cCodec

from neurodata.errors import IntegrityError, StoreError
from neurodata.store.arrays import StoredArray
from neurodata.store.files import LocalFiles
from neurodata.store.shards import ChunkReader

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]


def write_array(folder, values, chunk, shard):
    """Write an array as format 1 does, cut as asked; return what reads it."""
    array = zarr.create_array(
        folder, name="a/x", shape=values.shape, dtype=values.dtype, chunks=chunk, shards=shard, overwrite=True,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()], filters=None,
        fill_value=0, config={"write_empty_chunks": True},
    )  # fmt: skip
    array[...] = values
    return reader_of(folder)


def document_of(folder):
    return json.loads((Path(folder) / "a/x/zarr.json").read_text())


def reader_of(folder):
    return ChunkReader(LocalFiles(Path(folder)), "a/x", document_of(folder))


def made_values(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return np.where(rng.random(shape) < 0.2, np.nan, rng.normal(size=shape)).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 100, size=shape).astype(dtype)


@st.composite
def arrays(draw):
    """An array with its chunk and shard shapes; some are wider than one chunk, some one bare chunk."""
    dtype, n_rows = draw(st.sampled_from(DTYPES)), draw(st.integers(1, 60))
    n_columns = draw(st.sampled_from([None, 1, 3, 5, 4097]))
    rows, per_shard = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    bare = draw(st.booleans())
    shape = (n_rows,) if n_columns is None else (n_rows, n_columns)
    inner = () if n_columns is None else (min(n_columns, 4096),)
    across = () if n_columns is None else (-(-n_columns // inner[0]) * inner[0],)
    values = made_values(dtype, shape, draw(st.integers(0, 9)))
    return values, (rows, *inner), None if bare else (rows * per_shard, *across)


@settings(max_examples=30, deadline=None)
@given(arrays(), st.data())
def test_rows_are_what_was_written_and_what_zarr_reads(made_array, data):
    values, chunk, shard = made_array
    with tempfile.TemporaryDirectory() as folder:
        reader = write_array(folder, values, chunk, shard)
        assert (reader.shape, reader.dtype, reader.chunk_rows) == (values.shape, values.dtype, chunk[0])
        edges = st.lists(st.integers(0, len(values)), min_size=2, max_size=2).map(sorted)
        spans = [(0, len(values)), *data.draw(st.lists(edges, min_size=1, max_size=4))]
        found = zarr.open_array(f"{folder}/a/x")[...]
        np.testing.assert_array_equal(found, values)
        for (first, after), many in zip(spans, reader.read_many(spans), strict=True):
            out = np.full((after - first, *values.shape[1:]), 7, values.dtype)
            assert reader.read(first, after, out) is out
            for rows in (out, many, reader.read(first, after)):
                np.testing.assert_array_equal(rows, found[first:after])
                assert rows.dtype == values.dtype
                assert rows.flags.c_contiguous


def slices(size):
    """Slices, but not those that go backwards through nothing: xarray fails on them."""
    return st.slices(size).filter(lambda s: s.indices(size)[2] > 0 or range(size)[s])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([None, 1, 5, 4097]), st.data())
def test_a_lazy_array_gives_what_numpy_gives(n_columns, data):
    shape = (50,) if n_columns is None else (50, n_columns)
    values = made_values("float32", shape)
    rows = st.one_of(st.integers(-50, 49), slices(50), st.lists(st.integers(0, 49), min_size=1).map(np.array))
    key = (data.draw(rows),)
    if n_columns is not None:
        some = st.lists(st.integers(0, n_columns - 1), min_size=1, max_size=4).map(np.array)
        key += (data.draw(st.one_of(st.integers(0, n_columns - 1), slices(n_columns), some)),)
    with tempfile.TemporaryDirectory() as folder:
        across = () if n_columns is None else (min(n_columns, 4096),)
        write_array(folder, values, (7, *across), (21, *((n_columns and (-(-n_columns // 4096) * across[0],)) or ())))
        lazy = indexing.LazilyIndexedArray(StoredArray(Path(folder), "a/x", document_of(folder)))
        dims = ("time", "channel")[: len(shape)]
        expected = xr.Variable(dims, values).isel(dict(zip(dims, key, strict=True)))
        found = xr.Variable(dims, lazy).isel(dict(zip(dims, key, strict=True)))
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.dtype == values.dtype


@pytest.fixture
def sharded(tmp_path):
    """Two shards of four chunks of 64 rows (the last chunk is half full), their values and their reader."""
    values = made_values("float32", (480, 8))
    reader = write_array(tmp_path, values, (64, 8), (256, 8))
    return values, reader, tmp_path / "a/x/c/0/0"


def test_few_columns_of_many_rows_are_read_block_by_block(tmp_path, monkeypatch):
    values = made_values("int16", (5000, 6))
    write_array(tmp_path, values, (64, 6), (1024, 6))
    monkeypatch.setattr("neurodata.store.arrays._BLOCK_BYTES", 4096)
    lazy = StoredArray(tmp_path, "a/x", document_of(tmp_path))
    for columns in (3, slice(1, 5, 2), np.array([5, 0, 0]), slice(0, 0)):
        np.testing.assert_array_equal(lazy._read((slice(100, 4321), columns)), values[100:4321, columns])


def test_every_flipped_bit_of_a_shard_is_noticed(sharded):
    values, _, file = sharded
    content = file.read_bytes()
    rng = np.random.default_rng(3)
    positions = [*rng.integers(0, len(content), 60), *range(len(content) - 68, len(content), 3)]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        message = r"array 'a/x' is damaged: .*'a/x/c/0/0' does not fit its checksum; run 'neurodata verify'"
        with pytest.raises(IntegrityError, match=message):
            reader_of(file.parents[4]).read(0, 256)
    file.write_bytes(content)
    np.testing.assert_array_equal(reader_of(file.parents[4]).read(0, 480), values)


@pytest.mark.parametrize("length", [0, 1, 4, 67, 68, 500, -1])
def test_a_shard_cut_short_is_noticed(sharded, length):
    _, reader, file = sharded
    file.write_bytes(file.read_bytes()[:length])
    message = {0: "is empty", 500: "does not fit its checksum"}.get(length, "ends too early|does not fit its checksum")
    with pytest.raises(IntegrityError, match=message):
        reader.read(0, 10)


def test_a_missing_shard_is_named(sharded):
    values, reader, file = sharded
    file.unlink()
    with pytest.raises(
        IntegrityError, match=r"array 'a/x' is damaged: file 'a/x/c/0/0' is missing; run 'neurodata ver"
    ):
        reader.read(0, 10)
    np.testing.assert_array_equal(reader.read(256, 480), values[256:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"file 'a/x/c/0' is missing", id="missing"),
        pytest.param(b"", r"file 'a/x/c/0' is empty", id="empty"),
        pytest.param(b"abc", r"chunk \(0, 0\) of file 'a/x/c/0' does not fit its checksum", id="three bytes"),
        pytest.param(b"\0" * 500, r"file 'a/x/c/0' is larger than 60 bytes", id="too long"),
    ],
)
def test_a_bare_chunk_that_is_damaged_is_noticed(tmp_path, content, message):
    write_array(tmp_path, np.arange(5.0), (5,), None)
    file = tmp_path / "a/x/c/0"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(IntegrityError, match=message):
        reader_of(tmp_path).read(0, 5)


def with_index(file, entries):
    """Put another index, of valid checksum, behind a shard's chunks."""
    body = file.read_bytes()[: -16 * 4 - 4]
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    file.write_bytes(body + index + struct.pack("<I", google_crc32c.value(index)))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param((2**64 - 1, 2**64 - 1), r"chunk \(0, 0\) is missing in file 'a/x/c/0/0'", id="marked as missing"),
        pytest.param((2**64 - 1, 100), "puts chunk .* at byte 18446744073709551615, of 100 bytes", id="beyond 2^63"),
        pytest.param((0, 2**40), r"of 1099511627776 bytes; it can have 2068 at the most", id="a terabyte"),
        pytest.param((0, 3), "of 3 bytes; it can have", id="less than a header"),
        pytest.param((2**50, 1000), "ends too early", id="behind the end"),
        pytest.param((1, 900), "does not fit its checksum", id="one byte off"),
    ],
)
def test_an_index_that_lies_is_refused_before_anything_is_read(sharded, entry, message):
    _, reader, file = sharded
    with_index(file, [entry] * 4)
    with pytest.raises(IntegrityError, match=message):
        reader.read(0, 64)


@pytest.mark.parametrize(
    ("at", "number", "message"),
    [
        pytest.param(4, 2**31 - 1, "claims 2147483647 bytes from", id="two gigabytes"),
        pytest.param(4, 2047, "claims 2047 bytes from .* there must be 2048", id="a byte less"),
        pytest.param(12, 2**30, "from 1073741824; there must be 2048 from", id="longer than it is"),
        pytest.param(8, 2**31 - 1, "error during blosc decompression", id="a huge block"),
    ],
)
def test_a_blosc_header_that_lies_is_refused(sharded, at, number, message):
    _, reader, file = sharded
    content = bytearray(file.read_bytes())
    entries = [struct.unpack_from("<QQ", content, len(content) - 68 + 16 * i) for i in range(4)]
    offset, size = entries[1]
    content[offset + at : offset + at + 4] = struct.pack("<I", number)
    content[offset + size - 4 : offset + size] = struct.pack(
        "<I", google_crc32c.value(bytes(content[offset : offset + size - 4]))
    )
    file.write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"array 'a/x' is damaged: .*{message}"):
        reader.read(64, 128)


def test_a_file_rewritten_under_its_reader_is_noticed(sharded):
    values, reader, file = sharded
    np.testing.assert_array_equal(reader.read(0, 10), values[:10])
    write_array(file.parents[4], values + 1, (64, 8), (256, 8))
    with pytest.raises(
        IntegrityError, match=r"array 'a/x' changed while it was in use: file 'a/x/c/0/0' was rewritten; open"
    ):
        reader.read(100, 110)
    np.testing.assert_array_equal(reader_of(file.parents[4]).read(100, 110), values[100:110] + 1)


def test_a_bare_chunk_rewritten_under_its_reader_is_noticed(tmp_path):
    reader = write_array(tmp_path, np.arange(5.0), (5,), None)
    assert reader.read(1, 2) == [1.0]
    os.replace(
        write_array(tmp_path / "other", np.ones(5), (5,), None) and tmp_path / "other/a/x/c/0", tmp_path / "a/x/c/0"
    )
    with pytest.raises(IntegrityError, match=r"changed while it was in use.*open the recording again"):
        reader.read(1, 2)


def test_what_is_asked_for_is_checked(sharded):
    _, reader, _ = sharded
    for span in [(-1, 5), (5, 4), (0, 481)]:
        with pytest.raises(IndexError, match=rf"rows {span[0]} to {span[1]} are not in array 'a/x' of 480 rows"):
            reader.read(*span)
        with pytest.raises(IndexError, match="are not in array"):
            reader.read_many([(0, 1), span])
    for out in (np.empty((4, 8), "float64"), np.empty((5, 8), "float32"), np.empty((8, 4), "float32").T):
        with pytest.raises(
            ValueError, match=r"rows 0 to 4 of array 'a/x' need a C-contiguous float32 array of shape \(4, 8\)"
        ):
            reader.read(0, 4, out)


def test_a_shape_that_fits_no_memory_says_so(sharded, tmp_path):
    document = document_of(tmp_path) | {"shape": [2**52, 8]}
    reader = ChunkReader(LocalFiles(tmp_path), "a/x", document)
    with pytest.raises(StoreError, match=r"array 'a/x' of shape \(4503599627370496, 8\) does not fit into memory"):
        reader.read(0, 2**52)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"data_type": "string"}, id="text"),
        pytest.param({"zarr_format": 2}, id="version 2"),
        pytest.param({"shape": [480]}, id="fewer dimensions"),
        pytest.param({"shape": [2, 2, 2]}, id="three dimensions"),
        pytest.param({"shape": None}, id="no shape"),
        pytest.param({"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}, id="no checksum"),
        pytest.param({"codecs": None}, id="no codecs"),
        pytest.param({"chunk_grid": {"name": "rectilinear"}}, id="another grid"),
        pytest.param({"chunk_key_encoding": {"name": "v2"}}, id="other file names"),
        pytest.param({"storage_transformers": [{"name": "x"}]}, id="a transformer"),
        pytest.param({"more": 1}, id="a member nobody knows"),
    ],
)
def test_what_is_stored_in_another_way_is_left_to_zarr(sharded, tmp_path, change):
    document = document_of(tmp_path)
    assert ChunkReader.can_read(document)
    assert not ChunkReader.can_read(document | change)
    with pytest.raises(ValueError, match="array 'a/x' is not stored as format 1 stores numbers; read it with zarr"):
        ChunkReader(LocalFiles(tmp_path), "a/x", document | change)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.update(index_location="start"), id="index at the start"),
        pytest.param(lambda s: s.update(index_codecs=s["index_codecs"][:1]), id="index without checksum"),
        pytest.param(lambda s: s.update(codecs=s["codecs"][:2]), id="chunks without checksum"),
        pytest.param(lambda s: s["codecs"][0]["configuration"].update(endian="big"), id="big end first"),
        pytest.param(lambda s: s["codecs"].insert(1, {"name": "transpose"}), id="another order"),
        pytest.param(lambda s: s.update(chunk_shape=[63, 8]), id="chunks that do not fill shards"),
    ],
)
def test_other_shards_are_left_to_zarr(sharded, tmp_path, change):
    document = document_of(tmp_path)
    change(document["codecs"][0]["configuration"])
    assert not ChunkReader.can_read(document)


def test_a_reader_is_pickled_small_and_reads_in_another_process(sharded, tmp_path):
    values, reader, _ = sharded
    reader.read(0, 480)
    assert len(pickle.dumps(reader)) < 1000
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(ChunkReader.read, reader, 100, 300).result(), values[100:300])


def test_many_threads_share_a_reader(tmp_path):
    values = made_values("float32", (40_000, 64), 1)  # several tasks a read, so that the readers' own threads run too
    reader = write_array(tmp_path, values, (512, 64), (8192, 64))
    rng = np.random.default_rng(2)
    spans = [tuple(sorted(rng.integers(0, len(values), 2))) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for (first, after), rows in zip(spans, pool.map(lambda span: reader.read(*span), spans), strict=True):
            np.testing.assert_array_equal(rows, values[first:after])


@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)  # Python 3.12 warns of any fork
def test_a_forked_process_reads_after_its_parent_did(tmp_path):
    values = made_values("float32", (40_000, 64), 1)
    reader = write_array(tmp_path, values, (512, 64), (8192, 64))
    reader.read(0, len(values))
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(reader.read(0, len(values)), values, equal_nan=True) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_when_reading_fails_nothing_is_written_any_more(tmp_path):
    values = made_values("float32", (40_000, 64), 1)
    reader = write_array(tmp_path, values, (512, 64), (8192, 64))
    (tmp_path / "a/x/c/0/0").unlink()
    out = np.zeros_like(values)
    with pytest.raises(IntegrityError, match=r"file 'a/x/c/0/0' is missing"):
        reader.read(0, len(values), out)
    out[:] = 0
    assert not out.any()


class CountedFiles(LocalFiles):
    """A server, as far as how often it is asked goes."""

    remote = True

    def __init__(self, folder):
        super().__init__(folder)
        object.__setattr__(self, "asked", [])

    def read_tail(self, key, count):
        self.asked.append((key, count))
        return super().read_tail(key, count)

    def read_spans(self, key, spans):
        self.asked.append((key, list(spans)))
        return super().read_spans(key, spans)


def test_a_server_is_asked_twice_a_shard_and_once_when_its_index_is_known(sharded, tmp_path):
    values, local, _ = sharded
    files = CountedFiles(tmp_path)
    reader = ChunkReader(files, "a/x", document_of(tmp_path))
    spans = [(0, 100), (60, 70), (200, 256), (300, 301), (310, 480)]
    for found, (first, after) in zip(reader.read_many(spans), spans, strict=True):
        np.testing.assert_array_equal(found, values[first:after])
    assert sorted(key for key, _ in files.asked) == ["a/x/c/0/0"] * 2 + ["a/x/c/1/0"] * 2
    n_spans = {key: len(spans) for key, spans in files.asked if isinstance(spans, list)}
    assert n_spans == {"a/x/c/0/0": 2, "a/x/c/1/0": 1}  # neighbouring chunks are one span
    files.asked.clear()
    reader.read(0, 480)
    assert len(files.asked) == 2
    assert local.read(0, 1).shape == (1, 8)


class SilentFiles(CountedFiles):
    """A server that does not answer."""

    def read_tail(self, key, count):
        raise StoreError("the server does not answer; try again")


def test_a_server_that_does_not_answer_is_not_called_damage(sharded, tmp_path):
    lazy = StoredArray(SilentFiles(tmp_path), "a/x", document_of(tmp_path))
    for key in ((slice(0, 9), slice(None)), (np.array([0, 3]), slice(None))):  # ours, and zarr's
        with pytest.raises(StoreError, match=r"^the server does not answer; try again$"):
            lazy._read(key)


def test_a_server_is_asked_nothing_before_values_are_wanted(sharded, tmp_path):
    files, document = CountedFiles(tmp_path), document_of(tmp_path) | {"shape": [2**40, 8]}
    assert StoredArray(files, "a/x", document).shape == (2**40, 8)
    assert files.asked == []
    message = r"array 'a/x' claims the shape \(1099511627776, 8\), but its last file 'c/4294967295/0' is missing"
    with pytest.raises(IntegrityError, match=message):
        StoredArray(files, "a/x", document)._read((slice(None), slice(None)))
    with pytest.raises(IntegrityError, match=message):
        StoredArray(tmp_path, "a/x", document)
