"""A store over HTTP with 50 ms latency: speed of a first epoch, bytes, and requests before the first batch.

nginx serves the made-up field recordings, a proxy lets every response wait 50 ms. The first epoch is windows side by side,
streamed with prefetching as `train_dataloader` does by itself for such a store, into an empty decoded cache; the same
epoch from the disk, page cache dropped, is what it is compared with. Opening the store is part of both.

    python scripts/benchmarks/remote.py [--quick] [--json] [--write-docs] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from made_data import STORE, Work, bytes_below, list_work, make_data
from measuring import describe_machine, drop_page_cache, list_versions
from performance_page import ROOT, save_result, write_page
from rich.console import Console

import neurodata as nd

BATCH, DELAY_MS = 32, 50.0


@dataclass(frozen=True)
class Epoch:
    """What one first epoch took."""

    seconds: float
    windows: int
    requests: int = 0
    n_bytes: int = 0


class Server:
    """nginx behind a proxy in a process of its own, which counts.

    Parameters
    ----------
    url
        Where the proxy answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def counts(self) -> tuple[int, int]:
        """Return requests and bytes since this was asked before."""
        with urllib.request.urlopen(f"{self.url}/__proxy__") as answer:
            counted = json.loads(answer.read())
        return int(counted["requests"]), int(counted["bytes"])


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serve a folder late, on ports of its own, and stop both servers at the end."""
    sys.path.insert(0, str(ROOT / "tests" / "servers"))
    from nginx_server import run_nginx

    with run_nginx(folder) as (host, port):
        command = [sys.executable, str(Path(__file__).with_name("delaying_proxy.py")), f"{host}:{port}"]
        proxy = subprocess.Popen([*command, "--delay-ms", str(DELAY_MS)], stdout=subprocess.PIPE, text=True)
        assert proxy.stdout is not None
        try:
            yield Server(proxy.stdout.readline().strip())
        finally:
            proxy.terminate()
            proxy.wait(10)
            proxy.stdout.close()


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter recordings")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--write-docs", action="store_true", help="refresh docs/performance.md")
    parser.add_argument("--folder", type=Path, help="where the made-up data are kept; else a temporary folder")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    work = list_work(options.quick)[0]
    with tempfile.TemporaryDirectory(prefix="benchmark_remote_") as temporary:
        home = make_data(work, options.folder or Path(temporary))
        with serve(home / STORE) as server:
            result = measure(work, home, server, options.repeats)
    if options.json:
        print(json.dumps(result))
    else:
        Console().print(result)
    if options.write_docs:
        save_result("remote", result)
        write_page()


def measure(work: Work, home: Path, server: Server, repeats: int) -> dict[str, Any]:
    """Return throughput beside that from the disk, bytes beside those needed, and requests of first batches."""
    local, remote = [], []
    for _ in range(repeats):
        drop_page_cache(home / STORE, whole_machine=False)
        local.append(first_epoch(work, home, str(home / STORE)))
        server.counts()
        found = first_epoch(work, home, server.url)
        remote.append(Epoch(found.seconds, found.windows, *server.counts()))
    # What is needed: the files that hold samples. Windows side by side leave out none of them.
    needed = sum(bytes_below(folder) for folder in (home / STORE).glob(f"made/*/signals/{work.name}/{work.name}/c"))
    speeds = {name: [e.windows / e.seconds for e in epochs] for name, epochs in (("local", local), ("remote", remote))}
    return {
        "of_local_cold": round(statistics.median(r / q for q, r in zip(speeds["local"], speeds["remote"])), 3),
        "bytes_ratio": round(statistics.median(epoch.n_bytes for epoch in remote) / needed, 4),
        "first_batch": count_first_batches(work, home, server, order="streamed"),
        "first_batch_random": count_first_batches(work, home, server, order="drawn", lookahead=0),
        "windows_per_second": {name: round(statistics.median(found), 1) for name, found in speeds.items()},
        "bytes_needed": needed,
        "bytes_read": [epoch.n_bytes for epoch in remote],
        "requests": [epoch.requests for epoch in remote],
        "windows": remote[0].windows,
        "delay_ms": DELAY_MS,
        "machine": describe_machine(),
        "versions": list_versions((*("neurodata", "numpy", "torch", "zarr"), "obstore")),
    }


def make_data_module(work: Work, store: Any, **options: Any) -> nd.RecordingDataModule:
    """Return the data module of a store or an address, with an order that suits first epochs."""
    settings: dict[str, Any] = {"order": "streamed", "scaling": "none", "batch_size": BATCH, **options}
    return nd.RecordingDataModule(
        store,
        inputs=work.name,
        split=nd.split_by("time"),
        window_seconds=work.window_seconds,
        rate_hz=work.rate_hz,
        **settings,
    )


@contextmanager
def fresh_cache(home: Path) -> Iterator[None]:
    """An empty decoded cache for a while."""
    before = os.environ.get("NEURODATA_CACHE")
    with tempfile.TemporaryDirectory(prefix="fresh_cache_", dir=home) as folder:
        os.environ["NEURODATA_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("NEURODATA_CACHE")
            if before is not None:
                os.environ["NEURODATA_CACHE"] = before


def first_epoch(work: Work, home: Path, store: str) -> Epoch:
    """Open a store and run through its windows once, as a training's first epoch does."""
    with fresh_cache(home):
        begin, n_windows = time.perf_counter(), 0
        module = make_data_module(work, nd.open_store(store))
        module.prepare_data()
        for batch in module.train_dataloader():
            n_windows += len(batch.values)
        return Epoch(time.perf_counter() - begin, n_windows)


def count_first_batches(work: Work, home: Path, server: Server, **options: Any) -> dict[str, int]:
    """Return the requests of a first batch of windows of one recording, and of all."""
    one, every = work.names()[:1], work.names()
    return {
        "one_recording": first_batch(work, home, server, one, **options),
        "all_recordings": first_batch(work, home, server, every, **options),
        "recordings": len(every),
    }


def first_batch(work: Work, home: Path, server: Server, recordings: list[str], **options: Any) -> int:
    """Return the requests up to the first batch of some recordings, opening the store and fetching ahead included."""
    with fresh_cache(home):
        server.counts()
        store = nd.open_store(server.url).select(recording_id=[f"made/{name}" for name in recordings])
        batches = iter(make_data_module(work, store, **options).train_dataloader())
        next(batches)
        return server.counts()[0]


if __name__ == "__main__":
    main()
