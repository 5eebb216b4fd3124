"""Measure a store of ten thousand small recordings: opening it, asking its table, planning a run, and reading windows.

The store is made once, through `write_recording`, and kept in the folder. Every measurement runs in a process of its own.
Window time is compared with 16 recordings twice: with 16 long ones that hold as many windows altogether, and with 16 of
the small ones, which fit into the processor's cache, as nobody's data do. Run: ``python scripts/benchmarks/scale.py FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from measure_open import resident_mb, timed
from measuring import describe_machine, list_versions

import neurodata as nd
from neurodata.store.table import INDEX_FILE, list_recordings, write_index

RATE_HZ, WINDOW_SECONDS, BATCH = 128.0, 1.0, 32
SPECIES = ("Mus musculus", "Rattus norvegicus", "Homo sapiens", "Macaca mulatta", "Danio rerio")
DATASETS, FEW = 20, 16
BATCHES = 1500
BARS = {"open_store_seconds": 1.0, "open_store_rss_mb": 300.0, "table_seconds": 1.5, "window_time_ratio": 1.2}


def make_recording(number: int, seconds: float | None = None) -> nd.Recording:
    """Return a made-up recording: 8 to 32 channels of 15 to 30 s (or as long as asked for) at 128 Hz, int16 microvolts."""
    rng = np.random.default_rng(number)
    n_channels = 8 + number * 7 % 25
    n_samples = int((15.0 + number % 16 if seconds is None else seconds) * RATE_HZ)
    values = rng.integers(-3000, 3000, size=(n_samples, n_channels), dtype=np.int16)
    labels = [f"E{channel:02d}" for channel in range(n_channels)]
    signal = nd.make_signal(
        values, channel_id=labels, units="uV", rate_hz=RATE_HZ, columns={"label": labels}, scale_factor=0.1, add_offset=0.0
    )  # fmt: skip
    dataset, animal = f"made_{number % DATASETS:02d}", number // 2
    metadata = {
        "dataset": dataset,
        "recording_id": f"{dataset}/r{number:05d}",
        "subject": {"id": f"s{animal:05d}", "species": SPECIES[animal % len(SPECIES)], "sex": "MF"[animal % 2]},
        "modality": "eeg",
        "session": str(number % 2),
        "extra": {"genotype": ("wt", "het", "hom")[animal % 3], "score": float(rng.random())},
    }
    return nd.Recording(metadata, {"eeg": signal})


def _write(task: tuple[str, int, float | None]) -> None:
    folder, number, seconds = task
    nd.write_recording(make_recording(number, seconds), folder)


def build(folder: Path, n_recordings: int, seconds: float | None = None) -> dict[str, float]:
    """Make a store, or what is missing of one; return what that took, nothing where all was there."""
    folder.mkdir(parents=True, exist_ok=True)
    there = set(list_recordings(folder))
    wanted = [number for number in range(n_recordings) if f"made_{number % DATASETS:02d}/r{number:05d}" not in there]
    if len(there) + len(wanted) != n_recordings:
        raise SystemExit(
            f"{folder} holds {len(there)} recordings already, others than those wanted; give another folder"
        )
    if not wanted and (folder / INDEX_FILE).exists():
        return {}
    begin = time.perf_counter()
    tasks = [(str(folder), number, seconds) for number in wanted]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), multiprocessing.get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(_write, tasks, chunksize=16), 1):
            if done % 1000 == 0:
                say(f"{done} of {len(wanted)} recordings written, {time.perf_counter() - begin:.0f} s")
    written, begin = time.perf_counter() - begin, time.perf_counter()
    write_index(folder)
    indexed = time.perf_counter() - begin
    return {"write_ms_per_recording": 1e3 * written / max(1, len(wanted)), "index_seconds": indexed}


def make_data_module(store: nd.Store) -> nd.RecordingDataModule:
    """The last fiftieth of the animals for testing, the rest for training."""
    subjects = list(dict.fromkeys(store.table["subject"]))
    split = nd.split_by("subject", test=subjects[-max(1, len(subjects) // 50) :])
    return nd.RecordingDataModule(
        store, inputs="eeg", split=split, window_seconds=WINDOW_SECONDS, rate_hz=RATE_HZ, scaling="none", batch_size=BATCH
    )  # fmt: skip


def measure_windows(folder: Path, few_long: Path) -> dict[str, Any]:
    """Plan a run over all recordings, decode them, and time random batches beside those of 16 recordings."""
    store, _ = nd.open_store(folder), nd.RecordingDataModule  # torch's import is not part of what follows
    begin = time.perf_counter()
    module = make_data_module(store)
    built = time.perf_counter()
    many = module.dataset("train")
    planned = time.perf_counter()
    step = max(1, len(store) // FEW)
    small = nd.Store(store.path, store.recording_ids[::step][:FEW])
    datasets = {
        "many": many,
        "few_long": make_data_module(nd.open_store(few_long)).dataset("train"),
        "few_small": make_data_module(small).dataset("train"),
    }
    touched = {name: timed(lambda dataset=dataset: touch(dataset)) for name, dataset in datasets.items()}
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    seconds = time_batches(datasets)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return {
        "data_module_seconds": built - begin,
        "dataset_seconds": planned - built,
        "first_pass_ms_per_recording": 1e3 * touched["many"] / len(store),
        "windows": {name: len(dataset) for name, dataset in datasets.items()},
        "us_per_window": {name: 1e6 * found / BATCH for name, found in median.items()},
        "window_time_ratio": median["many"] / median["few_long"],
        "window_time_ratio_to_16_of_them": median["many"] / median["few_small"],
        "read_from_disk_while_timing": resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults,
        "windows_rss_mb": resident_mb(),
    }


def touch(dataset: Any) -> None:
    """Read everything once, window by window, so that all recordings are decoded and open, and their pages in memory."""
    places = np.arange(0, len(dataset), int(WINDOW_SECONDS * RATE_HZ))
    for first in range(0, len(places), BATCH):
        dataset.__getitems__(places[first : first + BATCH].tolist())


def time_batches(datasets: Mapping[str, Any]) -> dict[str, list[float]]:
    """Seconds of each batch of random windows; the datasets take turns, so what else the machine does falls on all."""
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {name: [] for name in datasets}
    for _ in range(BATCHES):
        for name, dataset in datasets.items():
            indices = rng.integers(0, len(dataset), BATCH).tolist()
            seconds[name].append(timed(lambda dataset=dataset, indices=indices: dataset.__getitems__(indices)))
    return seconds


def in_fresh_process(script: str, *arguments: str | Path, cache: Path) -> dict[str, Any]:
    """Return what one measurement printed, made in a process of its own."""
    command = [sys.executable, Path(__file__).with_name(script), *arguments]
    limits = {"NEURODATA_CACHE": str(cache), "NEURODATA_CACHE_BYTES": str(64 * 2**30)}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | limits, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure_all(folder: Path, n_recordings: int) -> dict[str, Any]:
    """Build both stores under ``folder`` and return every measurement."""
    small, long = folder / f"store_{n_recordings}", folder / f"store_{FEW}_long_{n_recordings}"
    built = build(small, n_recordings)
    build(long, FEW, seconds=22.5 * n_recordings / FEW)
    say("stores are there; measuring")
    tries = [in_fresh_process("measure_open.py", small, cache=folder / "cache") for _ in range(5)]
    opened = sorted(tries, key=lambda found: found["open_store_seconds"])[2]  # the first may read libraries from disk
    windows = in_fresh_process("scale.py", "--windows", small, long, cache=folder / "cache")
    facts = {"machine": describe_machine(), "versions": list_versions()}
    return {"recordings": n_recordings, **built, **opened, **windows, **facts}


def print_result(result: Mapping[str, Any]) -> None:
    """Print every number, and whether the bars were reached."""
    for key, value in result.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        bar = f"   (bar: {BARS[key]:g}: {'reached' if value <= BARS[key] else 'MISSED'})" if key in BARS else ""
        print(f"{key:34s} {shown}{bar}")


def say(text: str) -> None:
    """Tell how far it is, without touching what is printed as the result."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="*", help="where the stores are kept; else a temporary folder")
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--build-only", action="store_true", help="make the stores and stop")
    parser.add_argument("--windows", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.windows:
        print(json.dumps(measure_windows(*options.folder)))
        return
    place = nullcontext(options.folder[0]) if options.folder else tempfile.TemporaryDirectory(prefix="scale_")
    with place as folder:
        if options.build_only:
            result: dict[str, Any] = build(Path(folder) / f"store_{options.recordings}", options.recordings)
        else:
            result = measure_all(Path(folder), options.recordings)
    print(json.dumps(result)) if options.json else print_result(result)


if __name__ == "__main__":
    main()
