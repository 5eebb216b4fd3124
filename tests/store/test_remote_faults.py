"""Remote stores that refuse, fail, lie or were damaged."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
import xarray as xr

import neurodata as nd
from neurodata.errors import IntegrityError, StoreError
from neurodata.store.remote import RemoteFiles
from neurodata.store.store import open_place
from neurodata.store.write_openings import write_openings

QUICK = {
    "retry_config": {
        "max_retries": 3, "retry_timeout": timedelta(seconds=4), "backoff": {"init_backoff": timedelta(milliseconds=20)},
    },
    "client_options": {"read_timeout": "1s"},
}  # fmt: skip
FIRST, LARGE = "made_up/first", "made_up/large"


def test_a_bucket_without_index_is_listed(bucket, local_store, s3):
    address, options = bucket
    s3.upload(local_store / "made_up" / "first", options["endpoint"], "bare/made_up/first")
    store = nd.open_store("s3://recordings/bare", options)
    assert store.recording_ids == (FIRST,)
    assert store.table["species"].tolist() == ["Caenorhabditis elegans"]
    xr.testing.assert_identical(store["first"].signals["eeg"], nd.open_store(local_store)["first"].signals["eeg"])
    with pytest.raises(StoreError, match=r"neither index.parquet nor a recording.*check bucket and prefix"):
        nd.open_store("s3://recordings/nothing/here", options)
    with pytest.raises(StoreError, match=r"is one recording, not a store of them"):
        nd.open_store(f"{address}/{FIRST}", options)
    assert isinstance(open_place(f"{address}/{FIRST}", options), RemoteFiles)


def test_a_bucket_that_refuses(bucket, monkeypatch):
    address, options = bucket
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=r"does not let us read 's3://.*set AWS_ACCESS_KEY_ID.*skip_signature"):
        nd.open_store(address, {"endpoint": options["endpoint"]})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret_access_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint"])
    assert len(nd.open_store(address)) == 2


def test_forbidden_on_a_web_server(web):
    host, port = web[0]
    with pytest.raises(StoreError, match=r"does not let us read.*403 Forbidden.*default_headers"):
        nd.open_store(f"http://{host}:{port}/forbidden/store")


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"drop_every": 2}, id="every second answer breaks off"),
        pytest.param({"drop_every": 3, "hide_tags": True}, id="every third breaks off, without an ETag"),
        pytest.param({"fail_every": 2}, id="every second is a 503"),
        pytest.param({"fail_every": 2, "fail_status": 500}, id="every second is a 500"),
        pytest.param({"hang_every": 5}, id="every fifth never comes"),
    ],
)
def test_a_bad_connection_is_survived(faults, proxied, local_store):
    address, proxy = proxied
    proxy.reset(**faults)
    recording = nd.open_store(address, QUICK)["large"]
    for first in (0, 100_000, 500_000):
        window = {"time": slice(first, first + 1024)}
        here = nd.open_recording(local_store / LARGE).signals_stored["noise"].isel(window)
        xr.testing.assert_identical(recording.signals_stored["noise"].isel(window), here)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        pytest.param({"fail_every": 1}, r"cannot read .*index.parquet.*after 3 retries.*503", id="503"),
        pytest.param({"drop_every": 1}, r"cannot read .*index.parquet.*body error", id="breaks off"),
        pytest.param({"hang_every": 1}, r"cannot read .*index.parquet.*retries", id="never answers"),
    ],
)
def test_a_server_that_never_works_is_given_up(faults, message, proxied):
    address, proxy = proxied
    proxy.reset(**faults)
    began = time.monotonic()
    with pytest.raises(StoreError, match=message):
        nd.open_store(address, QUICK)
    assert time.monotonic() - began < 15


def test_nobody_answers():
    with pytest.raises(StoreError, match=r"cannot read 'http://127.0.0.1:9/store/index.parquet'.*check the address"):
        nd.open_store("http://127.0.0.1:9/store", QUICK)


def test_a_password_is_not_shown():
    with pytest.raises(StoreError) as error:
        nd.open_store("http://me:secret@127.0.0.1:9/store", QUICK)
    assert "secret" not in str(error.value)
    assert "secret" not in repr(RemoteFiles("http://me:secret@127.0.0.1:9/store"))


def test_a_server_that_ignores_ranges_is_refused(proxied):
    address, proxy = proxied
    recording = nd.open_store(address)["large"]
    proxy.reset(ignore_range=True)
    with pytest.raises(StoreError, match=r"ignores range requests.*serve the store with nginx"):
        recording.signals_stored["noise"].isel(time=slice(0, 10)).load()
    assert proxy.bytes < 20 * 2**20  # what was under way when the connection was closed


def shard_of(folder, signal="noise"):
    return folder / LARGE / "signals" / signal / signal / "c" / "0" / "0"


@pytest.mark.parametrize("keep_openings", [True, False])
def test_damage_on_the_server_raises(published, keep_openings):
    folder, address = published
    if not keep_openings:
        (folder / "openings.parquet").unlink()
    stored = nd.open_store(address)["large"]
    shard = shard_of(folder)
    whole = bytearray(shard.read_bytes())
    flipped = whole.copy()
    flipped[1000] ^= 1
    shard.write_bytes(flipped)
    with pytest.raises(IntegrityError, match=r"recording 'made_up/large': array 'signals/noise/noise' is damaged"):
        stored.signals_stored["noise"].isel(time=slice(0, 10)).load()
    shard.write_bytes(whole[:5000])
    with pytest.raises(
        IntegrityError, match=r"is damaged: (file .* ends too early.*may be stale|the index of file .* does not fit)"
    ) as told:
        nd.open_store(address)["large"].signals_stored["noise"].isel(time=slice(100_000, 100_010)).load()
    assert str(told.value).count("may be stale") <= 1
    shard.write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"is damaged"):
        nd.open_store(address)["large"].signals_stored["noise"].isel(time=slice(0, 10)).load()
    shard.unlink()
    with pytest.raises(IntegrityError, match=r"is damaged: file .* is missing"):
        nd.open_store(address)["large"].signals_stored["noise"].isel(time=slice(0, 10)).load()


def test_a_file_replaced_while_it_is_read_is_noticed(published):
    folder, address = published
    signal = nd.open_store(address)["large"].signals_stored["noise"]
    signal.isel(time=slice(0, 10)).load()
    other = shard_of(folder).read_bytes()
    time.sleep(1.1)  # nginx's ETag is made of size and second
    shard_of(folder).write_bytes(other)
    with pytest.raises(
        IntegrityError, match=r"changed while it was in use: .* was replaced on the server .*; open the store again$"
    ):
        signal.isel(time=slice(100_000, 100_010)).load()


def edit_root(change):
    def edit(folder):
        file = folder / FIRST / "zarr.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    return edit


def nested(document):
    inner = document["attributes"]["metadata"]["extra"] = []
    for _ in range(100):
        inner.append([])
        inner = inner[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            edit_root(lambda d: d["attributes"]["metadata"].update(species="x")), "not what was written", id="edited"
        ),
        pytest.param(
            edit_root(lambda d: d["consolidated_metadata"]["metadata"].pop("signals/eeg/eeg")), "digest", id="lost"
        ),
        pytest.param(
            edit_root(lambda d: d["consolidated_metadata"]["metadata"].update({"../../x": {"node_type": "group"}})),
            "is no path of a group or array",
            id="a path outside",
        ),
        pytest.param(
            edit_root(lambda d: d["consolidated_metadata"]["metadata"]["signals/eeg/eeg"].update(shape=[10**18, 3])),
            r"shape \[1000000000000000000, 3\] is not one or two sizes",
            id="a shape of 10^18",
        ),
        pytest.param(
            edit_root(lambda d: d["consolidated_metadata"]["metadata"].update(x=3)), "not a Zarr v3 doc", id="a number"
        ),
        pytest.param(edit_root(lambda d: d.pop("consolidated_metadata")), "no consolidated copy", id="no copy"),
        pytest.param(edit_root(nested), "nested more than 64 deep", id="deep"),
        pytest.param(lambda f: (f / FIRST / "zarr.json").write_text('{"a": NaN}'), "NaN is not JSON", id="NaN"),
        pytest.param(lambda f: (f / FIRST / "zarr.json").write_bytes(b"\xff{"), "cannot be read", id="no text"),
    ],
)
def test_hostile_documents_end_in_a_message(damage, message, published):
    folder, address = published
    damage(folder)
    (folder / "openings.parquet").unlink()
    with pytest.raises(StoreError, match=message):
        nd.open_store(address)[FIRST]
    write_openings(folder)
    with pytest.raises(StoreError, match=message):
        nd.open_store(address)[FIRST]


@pytest.mark.parametrize("data", [b"", b"PAR1 nothing PAR1", bytes(100_000)])
def test_a_hostile_index_ends_in_a_message(data, published):
    folder, address = published
    (folder / "index.parquet").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"store 'http://.*index.parquet is not an index"):
        nd.open_store(address)
