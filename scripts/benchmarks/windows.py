"""Random windows per second: neurodata beside torch_brain, h5py, zarr-python, and numpy copying from RAM (the limit).

Made-up recordings (16 × 600 s) are written once as each reader likes them best; all readers return the same windows,
which is checked before anything is timed. Rounds are interleaved and the median is reported; a ratio is the median of
the rounds' ratios. ``--quick`` has windows of the same shapes from fewer, shorter recordings.

    python scripts/benchmarks/windows.py [--quick] [--json] [--write-docs] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import contenders as readers
import numpy as np
from contenders import Contender, Request
from made_data import STORE, TORCH_BRAIN, Work, bytes_below, list_work, make_data
from measuring import (
    bytes_read,
    describe_machine,
    drop_page_cache,
    list_versions,
    median_ratio,
    time_interleaved,
    timed,
)
from performance_page import KINDS, save_result, write_page
from rich.console import Console
from rich.table import Table

from neurodata import names

OURS, SCALED, LOADER = "neurodata", "neurodata, scaled", "neurodata, train_dataloader"
RIVAL, RIVAL_LOADER = "torch_brain", "torch_brain, DataLoader"
RIVAL_CLOSED, RIVAL_MEMORY = "torch_brain, files closed", "torch_brain Data in RAM"
H5PY, ZARR, LIMIT = "h5py, chunked", "zarr-python", "numpy from RAM"
FAST = (OURS, SCALED, LOADER, LIMIT)
"""Who serves so many windows that a round must have more of them to be timed well."""
ASIDE = (H5PY, ZARR, RIVAL_CLOSED)
"""Who is shown beside, and need not be timed as well as those whose ratios count."""
ORDER = (OURS, SCALED, LOADER, RIVAL, RIVAL_LOADER, RIVAL_CLOSED, RIVAL_MEMORY, H5PY, ZARR, LIMIT)
"""In tables and plot."""
RATIOS = (
    "ratio", "of_ram_copy", "ratio_scaled", "of_ram_copy_scaled", "ratio_dataloaders", "ratio_to_rival_in_memory",
    "cold_ratio",
)  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, batches per round for fast and slow readers, and rounds of the cold epoch."""

    repeats: int
    fast_batches: int
    slow_batches: int
    cold_repeats: int
    batch_size: int = 32


FULL, QUICK = Effort(9, 192, 48, 5), Effort(5, 64, 8, 7)


def main() -> None:
    """Measure what the command line asks for, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter recordings, fewer rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--write-docs", action="store_true", help="refresh docs/performance.md and its plot")
    parser.add_argument("--folder", type=Path, help="where the made-up data are kept; else a temporary folder")
    parser.add_argument("--only", choices=[work.name for work in list_work(True)], help="one kind of recordings")
    options = parser.parse_args()
    if options.folder is not None:
        result = measure_all(options.quick, options.folder, options.only)
    else:
        with tempfile.TemporaryDirectory(prefix="benchmark_windows_") as folder:
            result = measure_all(options.quick, Path(folder), options.only)
    if options.json:
        print(json.dumps(result))
    else:
        print_tables(result)
    if options.write_docs:
        save_result("windows", result)
        write_page()


def measure_all(quick: bool, folder: Path, only: str | None = None) -> dict[str, Any]:
    """Return the measurements of every kind of recordings, with the machine and versions they were made with."""
    result: dict[str, Any] = {}
    for work in list_work(quick):
        if only in (None, work.name):
            say(f"{work.name}: {work.n_recordings} recordings x {work.seconds:g} s")
            home = make_data(work, folder)
            result[work.name] = measure(work, home, QUICK if quick else FULL, whole_machine=not quick)
    return {**result, "quick": quick, "machine": describe_machine(), "versions": list_versions()}


def measure(work: Work, home: Path, effort: Effort, *, whole_machine: bool) -> dict[str, Any]:
    """Return one kind's windows per second, ratios, and details."""
    os.environ["NEURODATA_CACHE"] = str(home / "cache")
    rates = warm_rates(work, home, effort)
    rival = max((RIVAL, RIVAL_CLOSED), key=lambda name: statistics.median(rates.get(name, [0.0])))
    cold = cold_epochs(work, home, effort, whole_machine=whole_machine)
    middle = {name: statistics.median(rates[name]) for name in ORDER if name in rates}
    return {
        "windows_per_second": round(middle[OURS], 1),
        "ratio": ratio(rates, OURS, rival),
        "of_ram_copy": ratio(rates, OURS, LIMIT),
        "ratio_scaled": ratio(rates, SCALED, rival),
        "of_ram_copy_scaled": ratio(rates, SCALED, LIMIT),
        "ratio_dataloaders": ratio(rates, LOADER, RIVAL_LOADER),
        "ratio_to_rival_in_memory": ratio(rates, OURS, RIVAL_MEMORY),
        "cold_ratio": round(cold["windows_per_second"] / middle[rival], 3),
        "details": {
            "window": f"{work.window_samples} x {work.n_channels} float32",
            "recordings": work.n_recordings,
            "seconds": work.seconds,
            "batch_size": effort.batch_size,
            "rounds": effort.repeats,
            "rates": {
                name: {
                    "median": round(median, 1),
                    "least": round(min(rates[name]), 1),
                    "most": round(max(rates[name]), 1),
                }
                for name, median in middle.items()
            },
            "cold": cold,
            "bytes": {
                "window": work.window_bytes,
                "store": bytes_below(home / STORE),
                "torch_brain": bytes_below(home / TORCH_BRAIN),
                "cache": bytes_below(home / "cache"),
            },
        },
    }


def ratio(rates: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """Return how many times faster the first reader is, round by round, the median."""
    return round(median_ratio(rates[one], rates[other]), 3)


def warm_rates(work: Work, home: Path, effort: Effort) -> dict[str, list[float]]:
    """Return windows per second of every reader in every round, everything in the page cache and one process."""
    module = readers.make_data_module(work, home, batches_per_epoch=effort.fast_batches)
    dataset = module.dataset(names.TRAIN)
    scaled = readers.make_data_module(work, home, scaling="training").dataset(names.TRAIN)
    direct: dict[str, Contender] = {
        OURS: readers.ours(dataset),
        RIVAL: readers.torch_brain_dataset(work, home, keep_files_open=True),
        RIVAL_MEMORY: readers.torch_brain_in_memory(work, home),
        H5PY: readers.plain_h5py(work, home),
        ZARR: readers.zarr_python(work, home),
        LIMIT: readers.ram_copy(work, home),
    }
    if effort is not QUICK:
        direct[RIVAL_CLOSED] = readers.torch_brain_dataset(work, home, keep_files_open=False)
    rounds = [
        readers.draw_requests(dataset, work, effort.fast_batches, effort.batch_size, seed)
        for seed in range(effort.repeats + 1)
    ]
    for request in rounds[-1][:3]:
        readers.check_equal(work, direct, request, LIMIT)
    direct[SCALED] = readers.ours(scaled)
    for name in (OURS, SCALED):
        touch_everything(direct[name], len(dataset), work, effort)
    timers = {name: direct_timer(name, get, rounds, effort) for name, get in direct.items()}
    timers[LOADER] = our_loader_timer(module)
    timers[RIVAL_LOADER] = rival_loader_timer(work, home, effort)
    return time_interleaved(timers, effort.repeats)


def touch_everything(get: Contender, n_windows: int, work: Work, effort: Effort) -> None:
    """Read every sample once, so that a memory map has its pages and nothing is decoded while it is timed."""
    indices = list(range(0, n_windows, work.window_samples))
    for begin in range(0, len(indices), effort.batch_size):
        get(Request(indices[begin : begin + effort.batch_size], [], []))


def direct_timer(
    name: str, get: Contender, rounds: Sequence[Sequence[Request]], effort: Effort
) -> Callable[[int], float]:
    """Return what gives windows per second of a round when batches are asked for one after the other."""
    n_batches = effort.fast_batches if name in FAST else effort.slow_batches
    if name in ASIDE:
        n_batches = max(1, n_batches // 3)

    def measure_round(repeat: int) -> float:
        requests = rounds[repeat][:n_batches]
        begin = time.perf_counter()
        for request in requests:
            get(request)
        return n_batches * effort.batch_size / (time.perf_counter() - begin)

    return measure_round


def our_loader_timer(module: Any) -> Callable[[int], float]:
    """Return what gives windows per second of a whole epoch of our `train_dataloader`, as Lightning runs through it."""
    loader = module.train_dataloader()

    def measure_round(_: int) -> float:
        begin, n_windows = time.perf_counter(), 0
        for batch in loader:
            n_windows += len(batch.values)
        return n_windows / (time.perf_counter() - begin)

    measure_round(0)  # opens what it reads from

    return measure_round


def rival_loader_timer(work: Work, home: Path, effort: Effort) -> Callable[[int], float]:
    """Return what gives windows per second of torch_brain's Dataset, sampler, collate and DataLoader."""
    _, batches = readers.torch_brain_batches(work, home, seed=0)

    def measure_round(_: int) -> float:
        iterator = batches(effort.slow_batches)
        n_windows = 0
        # Its sampler lays out the whole epoch at the first batch: not counted, as we measure a part of an epoch.
        next(iterator)
        begin = time.perf_counter()
        for batch in iterator:
            n_windows += len(batch)
        return n_windows / (time.perf_counter() - begin)

    return measure_round


def cold_epochs(work: Work, home: Path, effort: Effort, *, whole_machine: bool) -> dict[str, Any]:
    """Return windows per second of first epochs: page cache dropped, no decoded cache, opening and decoding included."""
    n_batches = work.n_recordings * work.n_samples // work.window_samples // effort.batch_size
    found, how, n_bytes = [], "", 0
    for repeat in range(effort.cold_repeats):
        with tempfile.TemporaryDirectory(prefix="cold_cache_", dir=home) as cache:
            os.environ["NEURODATA_CACHE"] = cache
            how = drop_page_cache(home / STORE, whole_machine)
            before = bytes_read()
            found.append(timed(partial(first_epoch, work, home, n_batches, effort.batch_size, repeat)))
            n_bytes = bytes_read() - before
    os.environ["NEURODATA_CACHE"] = str(home / "cache")
    n_windows = n_batches * effort.batch_size
    return {
        "windows_per_second": round(n_windows / statistics.median(found), 1),
        "windows": n_windows,
        "seconds": [round(seconds, 4) for seconds in found],
        "bytes_read": n_bytes,
        "page_cache": how,
    }


def first_epoch(work: Work, home: Path, n_batches: int, batch_size: int, seed: int) -> None:
    """Open the store and get as many random windows as would fill the recordings once."""
    module = readers.make_data_module(work, home)
    module.prepare_data()
    dataset = module.dataset(names.TRAIN)
    get = readers.ours(dataset)
    for indices in np.random.default_rng(seed).integers(0, len(dataset), (n_batches, batch_size)).tolist():
        get(Request(indices, [], []))


def print_tables(result: Mapping[str, Any]) -> None:
    """Print windows per second of every reader, and the ratios, for people."""
    kinds = [kind for kind in KINDS if kind in result]
    table = Table("windows per second (median)", *(KINDS[kind] for kind in kinds))
    for name in result[kinds[0]]["details"]["rates"]:
        rates = [result[kind]["details"]["rates"].get(name, {}).get("median", float("nan")) for kind in kinds]
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates))
    table.add_section()
    for key in RATIOS:
        table.add_row(key, *(f"{result[kind][key]:.3g}" for kind in kinds))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(result["machine"], result["versions"])


def say(text: str) -> None:
    """Tell how far it is, without touching what is printed as the result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
