"""Stores on real servers: nginx and S3, near, far and failing."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import neurodata as nd
from neurodata.cli import app
from neurodata.errors import StoreError, UsageError
from neurodata.store.remote import RemoteFiles, plan_requests
from neurodata.store.shards import ChunkReader
from neurodata.store.verify import verify_recording

QUICK = {
    "retry_config": {
        "max_retries": 3, "retry_timeout": timedelta(seconds=4), "backoff": {"init_backoff": timedelta(milliseconds=20)},
    },
    "client_options": {"read_timeout": "1s"},
}  # fmt: skip
FIRST, LARGE = "made_up/first", "made_up/large"


def assert_same(one, other):
    assert dict(one.metadata) == dict(other.metadata)
    for members in ("signals", "signals_stored", "events", "intervals"):
        assert list(getattr(one, members)) == list(getattr(other, members))
        for name, member in getattr(one, members).items():
            xr.testing.assert_identical(member.load(), getattr(other, members)[name].load())
    assert (one.units is None) == (other.units is None)
    if one.units is not None:
        xr.testing.assert_identical(one.units.load(), other.units.load())


@pytest.mark.parametrize("recording_id", [FIRST, LARGE])
@pytest.mark.parametrize("kind", ["web", "bucket"])
def test_a_remote_recording_is_the_local_one(kind, recording_id, local_store, request):
    address, options = (
        (request.getfixturevalue("published")[1], None) if kind == "web" else request.getfixturevalue("bucket")
    )
    store, here = nd.open_store(address, options), nd.open_store(local_store)
    assert store.recording_ids == here.recording_ids
    assert_same(store[recording_id], here[recording_id])
    assert_same(nd.open_recording(f"{address}/{recording_id}", storage_options=options), here[recording_id])
    assert store.table.equals(here.table)
    assert store.select(modality="eeg").recording_ids == (LARGE,)
    assert [recording.recording_id for recording in store] == list(store.recording_ids)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_random_windows_are_those_of_the_disk(data, local_store, bucket):
    here = nd.open_recording(local_store / LARGE)
    away = nd.open_recording(f"{bucket[0]}/{LARGE}", storage_options=bucket[1])
    signal = data.draw(st.sampled_from(["noise", "silence", "more0"]))
    start = data.draw(st.floats(-1, 300))
    window = slice(start, start + data.draw(st.sampled_from([0.001, 0.5, 2.0, 40.0])))
    xr.testing.assert_identical(here.signals[signal].sel(time=window), away.signals[signal].sel(time=window))


def test_opening_takes_two_requests_and_a_window_one(proxied):
    address, proxy = proxied
    store = nd.open_store(address)
    recording = store["large"]
    assert proxy.requests == 2, proxy.lines
    signal = recording.signals_stored["noise"]
    proxy.reset()
    for first in (0, 1000, 2000, 100_000, 500_000):  # within a chunk, across an edge, another shard
        assert signal.isel(time=slice(first, first + 1024)).values.shape == (1024, 32)
    assert proxy.requests == 5, proxy.lines
    chunk = 2048 * 64
    assert proxy.bytes < 7 * 1.05 * chunk
    proxy.reset()
    assert np.asarray(store["first"].events["spikes"]["time"]).shape == (500,)
    assert proxy.requests == 0, proxy.lines  # small arrays come with the openings


def test_rows_of_many_windows_are_fetched_with_few_requests(proxied, local_store):
    address, proxy = proxied
    recording = nd.open_store(address)["large"]
    document = json.loads((local_store / LARGE / "signals/noise/noise/zarr.json").read_text())
    reader = ChunkReader(RemoteFiles(address, is_store=True) / LARGE, "signals/noise/noise", document)
    spans = [(first, first + 1000) for first in range(0, 60_000, 2000)]
    proxy.reset()
    rows = reader.read_many(spans)
    assert proxy.requests <= 2, proxy.lines  # the openings, and one
    whole = recording.signals_stored["noise"].values
    for (first, after), found in zip(spans, rows):
        np.testing.assert_array_equal(found, whole[first:after])


def test_a_recording_opens_without_index_and_openings(published, proxied, local_store):
    folder, _ = published
    address, proxy = proxied
    (folder / "openings.parquet").unlink()
    assert_same(nd.open_store(address)[FIRST], nd.open_store(local_store)[FIRST])
    (folder / "index.parquet").unlink()
    proxy.reset()
    recording = nd.open_recording(f"{address}/{LARGE}")
    n_requests = proxy.requests
    assert n_requests < 15, proxy.lines
    recording.signals_stored["noise"].isel(time=slice(0, 10)).load()
    assert proxy.requests - n_requests == 2  # the shard's index, and the chunk
    with pytest.raises(StoreError, match=r"no store at .*no index.parquet.*'neurodata store index STORE'"):
        nd.open_store(address)
    with pytest.raises(StoreError, match=r"no recording at 'http://.*/made_up/none'"):
        nd.open_recording(f"{address}/made_up/none")


def test_a_spawned_worker_reads_and_a_fork_is_told_what_to_do(published):
    store = nd.open_store(published[1])
    place = store.path / FIRST
    assert verify_recording(place) == []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(verify_recording, place).result(60) == []
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        assert pool.submit(verify_recording, place).result(60) == []  # all of it is in the openings, in memory
        problems = pool.submit(verify_recording, store.path / LARGE).result(60)
    assert "is read in a forked process" in problems[0]
    assert "multiprocessing_context='spawn' or 'forkserver'" in problems[0]


def test_copies_pickled_apart_share_connections_and_openings(proxied):
    address, proxy = proxied
    store = nd.open_store(address)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for n_requests in (1, 1):
            assert pool.submit(verify_recording, store.path / FIRST).result(60) == []
            assert proxy.requests - 1 == n_requests, proxy.lines


def test_the_command_line_takes_addresses(published):
    folder, address = published

    def run(*arguments):
        return CliRunner().invoke(app, arguments)

    assert "2 recordings" in run("info", address).stdout
    assert json.loads(run("info", f"{address}/{FIRST}", "--json").stdout)["metadata"]["recording_id"] == FIRST
    assert "1 recordings, nothing wrong" in run("verify", f"{address}/{FIRST}").stdout
    assert "1 recordings, nothing wrong" in run("validate", f"{address}/{FIRST}").stdout
    (folder / "index.parquet").unlink()
    assert "'neurodata store index STORE'" in str(run("info", address).exception)
    assert "describe 2 recordings" in run("store", "index", str(folder)).stdout
    assert "2 recordings" in run("info", address).stdout


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        pytest.param("s3://", None, r"'s3://' is no address of a store; expected https://…", id="no bucket"),
        pytest.param("https://a.org/s?key=x", None, r"https://a.org/s ends in '\?' or '#'", id="query"),
        pytest.param(
            "https://a.org/s", {"region": "x"}, r"do not fit https:// addresses.*'client_options'", id="option"
        ),
        pytest.param("s3://b/s", {"regoin": "x"}, r'storage_options \["regoin"\] do not fit s3://', id="misspelt"),
    ],
)
def test_addresses_and_options_that_cannot_be(address, options, message):
    with pytest.raises((StoreError, UsageError), match=message):
        nd.open_store(address, options)


SPANS = st.lists(st.tuples(st.integers(0, 10**5), st.integers(1, 10**4)).map(lambda s: (s[0], s[0] + s[1])), min_size=1)


@settings(deadline=None)
@given(SPANS)
def test_a_plan_covers_every_span_and_reads_little_more(spans):
    plan = plan_requests(spans)
    for start, stop in spans:
        assert any(request.start <= start and stop <= request.stop for request in plan)
    wanted = len(set().union(*[range(start, stop) for start, stop in spans]))
    assert sum(request.stop - request.start for request in plan) <= 1.2 * wanted
    assert all(before.stop < after.start for before, after in pairwise(plan))


def test_long_spans_are_fetched_in_parts():
    (request,) = plan_requests([(10, 10 + 32 * 2**20)])
    assert [stop - start for start, stop in request.parts] == [8 * 2**20] * 4
    assert (request.parts[0][0], request.parts[-1][1]) == (request.start, request.stop)
    assert [len(request.parts) for request in plan_requests([(0, 10), (10**6, 10**6 + 10)])] == [1, 1]
