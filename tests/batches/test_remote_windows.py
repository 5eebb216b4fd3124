"""Windows of a store on a server are those of the store on this disk, and cost few requests and bytes."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import neurodata as nd
from neurodata.errors import IntegrityError, NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_signal, make_units
from neurodata.store.table import write_index
from neurodata.store.write import write_recording
from neurodata.store.write_openings import write_openings

RATE, SECONDS, N_RECORDINGS = 256.0, 60.0, 3


def recording(name, seed):
    rng = np.random.default_rng(seed)
    size = int(RATE * SECONDS)
    values = rng.normal(size=(size, 16)).astype(np.float32).cumsum(axis=0)
    time = np.sort(rng.uniform(0, SECONDS, 2000))
    metadata = {"dataset": "far", "recording_id": f"far/{name}", "modality": "eeg", "subject": {"id": name, "species": "Homo sapiens"}, "licence": "CC0-1.0"}  # fmt: skip
    return Recording(
        metadata,
        {"eeg": make_signal(values, channel_id=[f"c{i}" for i in range(16)], units="uV", rate_hz=RATE)},
        {"spikes": make_events(time, unit=rng.integers(0, 4, 2000))},
        {},
        make_units([f"u{i}" for i in range(4)]),
    )


@pytest.fixture(scope="module")
def near(tmp_path_factory):
    folder = tmp_path_factory.mktemp("near")
    for number in range(N_RECORDINGS):
        write_recording(recording(f"r{number}", number), folder)
    write_index(folder)
    write_openings(folder)
    return folder


@pytest.fixture
def far(near, web_server, delaying_proxy):
    with web_server(near) as upstream, delaying_proxy(upstream, 0.05) as proxy:
        yield proxy


def module(store, cache, **options):
    settings = {"inputs": "eeg", "identity": "channel_id", "rate_hz": RATE, "window_seconds": 2.0, "scaling": "none"}
    split = nd.split_by("recording", test=["far/r2"])
    return nd.RecordingDataModule(store, **({"split": split, "cache": cache, "order": "streamed"} | settings | options))


def same(one, other):
    for a, b in zip(one, other):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    "options", [{}, {"lookahead": 0}, {"scaling": "training"}], ids=["ahead", "when asked", "scaled"]
)
def test_a_streamed_epoch_is_the_same_from_near_and_far(near, far, tmp_path, options):
    one = list(module(near, tmp_path / "near", **options).train_dataloader())
    other = list(module(far.url, tmp_path / "far", **options).train_dataloader())
    assert len(one) == len(other) > 1
    for a, b in zip(one, other):
        same(a, b)


def test_every_byte_is_fetched_once(near, far, tmp_path):
    data = module(far.url, tmp_path / "cache")
    for _ in data.train_dataloader():
        pass
    needed = sum(
        path.stat().st_size for name in ("r0", "r1") for path in (near / "far" / name / "signals/eeg/eeg").rglob("*")
        if path.is_file()
    )  # fmt: skip
    fetched = far.bytes
    assert fetched <= 1.3 * needed
    far.reset()
    for _ in data.train_dataloader():
        pass
    assert far.bytes == 0  # the second epoch comes out of the cache


@pytest.mark.parametrize(("test", "bar"), [(["far/r1", "far/r2"], 12), (["far/r2"], 4 + 2 * 2)], ids=["one", "two"])
def test_the_first_batch_needs_few_requests(far, tmp_path, test, bar):
    data = module(far.url, tmp_path / "cache", split=nd.split_by("recording", test=test), batch_size=16)
    next(iter(data.train_dataloader()))
    assert far.requests <= bar


def test_a_window_asked_for_by_itself_is_one_request(far, tmp_path):
    dataset = module(far.url, tmp_path / "cache").dataset("train")
    dataset[0]
    before = far.requests
    dataset[len(dataset) // 3]
    assert far.requests == before + 1
    dataset[len(dataset) // 3]
    assert far.requests == before + 1


def test_threads_share_what_is_under_way(near, far, tmp_path):
    dataset = module(far.url, tmp_path / "cache").dataset("train")
    dataset.fetch([0])
    far.reset()
    wanted = list(range(2000, 2600, 50))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: dataset.fetch(wanted), range(8)))
    assert far.requests == 1
    same(dataset.__getitems__(wanted), module(near, tmp_path / "near").dataset("train").__getitems__(wanted))


def test_events_and_resampled_signals_are_fetched_as_a_whole(near, far, tmp_path):
    for options in ({"inputs": "spikes", "rate_hz": 50.0}, {"rate_hz": 100.0}):
        one, other = (
            module(place, tmp_path / name, **options).dataset("test") for place, name in ((near, "n"), (far.url, "f"))
        )
        same(one.__getitems__([0, 7, 3]), other.__getitems__([0, 7, 3]))


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_workers_fetch_too(near, far, tmp_path, start):
    workers = {"num_workers": 1, "multiprocessing_context": start}
    one = list(module(near, tmp_path / "near").train_dataloader())
    other = list(module(far.url, tmp_path / "far", **workers).train_dataloader())
    for a, b in zip(one, other, strict=True):
        same(a, b)


def test_a_server_that_drops_connections_is_asked_again(near, far, tmp_path):
    data = module(far.url, tmp_path / "far")
    far.reset(drop_every=4)
    one = list(module(near, tmp_path / "near").train_dataloader())
    for a, b in zip(one, data.train_dataloader(), strict=True):
        same(a, b)


def test_a_server_that_is_gone_ends_the_epoch_with_a_message(near, web_server, delaying_proxy, tmp_path):
    with web_server(near) as upstream, delaying_proxy(upstream, 0.0) as proxy:
        data = module(proxy.url, tmp_path / "far")
        loader = data.train_dataloader()
        proxy.reset(fail_every=1)
        with pytest.raises(NeurodataError, match="503"):
            list(loader)


def test_openings_older_than_the_index_are_named(near, web_server, tmp_path):
    store = shutil.copytree(near, tmp_path / "store")
    write_recording(recording("r0", 77), store, overwrite=True)
    write_index(store)  # and the openings are left as they were
    with web_server(store) as (host, port):
        data = module(f"http://{host}:{port}", tmp_path / "far")
        with pytest.raises(
            IntegrityError, match=r"'far/r0' of store .* not the one its index lists.*store index STORE"
        ):
            list(data.train_dataloader())
        write_openings(store)
        assert len(list(module(f"http://{host}:{port}", tmp_path / "far").train_dataloader())) > 1


def test_one_value_changed_on_the_server_is_noticed_though_all_files_keep_their_sizes(near, web_server, tmp_path):
    store = shutil.copytree(near, tmp_path / "store")
    with web_server(store) as (host, port):
        dataset = module(f"http://{host}:{port}", tmp_path / "far").dataset("train", 2.0)
        dataset.fetch([0])  # of r0; r1 is known by its openings only
        shard = store / "far/r1/signals/eeg/eeg/c/0/0"
        before = shard.stat().st_size
        changed = recording("r1", 1)
        values = changed.signals["eeg"].values.copy()
        values[100, 3] += 1
        write_recording(
            changed.replace(signals={"eeg": changed.signals["eeg"].copy(data=values)}), store, overwrite=True
        )
        assert shard.stat().st_size == before
        with pytest.raises(IntegrityError, match=r"'far/r1' of store .* was rewritten since this run began"):
            dataset.fetch([len(dataset) - 1])
