"""Whether worker processes help: field windows per second through the data loaders, with 0, 1 and 2 of them.

The caches are warm and the workers are there already: only a second and later epochs are timed. A spawned worker needs
its dataset pickled; where a reader cannot be, the error's type is the result.

    python scripts/benchmarks/workers.py [--quick] [--json] [--write-docs] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from contenders import make_data_module
from made_data import TORCH_BRAIN, Work, list_work, make_data
from measuring import describe_machine, list_versions
from performance_page import save_result, write_page
from rich.console import Console
from torch.utils.data import DataLoader

WAYS = ((0, None), (1, "fork"), (2, "fork"), (2, "spawn"))
"""Workers, and how they start."""


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter recordings")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--write-docs", action="store_true", help="refresh docs/performance.md")
    parser.add_argument("--folder", type=Path, help="where the made-up data are kept; else a temporary folder")
    options = parser.parse_args()
    work = list_work(options.quick)[0]
    with tempfile.TemporaryDirectory(prefix="benchmark_workers_") as temporary:
        result = measure(work, make_data(work, options.folder or Path(temporary)))
    if options.json:
        print(json.dumps(result))
    else:
        Console().print(result)
    if options.write_docs:
        save_result("workers", result)
        write_page()


def measure(work: Work, home: Path) -> dict[str, Any]:
    """Return windows per second for each number of workers and way to start them, ours and torch_brain's."""
    os.environ["NEURODATA_CACHE"] = str(home / "cache")
    rates: dict[str, dict[str, float | str]] = {}
    for n_workers, start in WAYS:
        name = f"{n_workers} workers" + (f", {start}" if start else "")
        rates[name] = {
            "neurodata": rate_of(lambda: our_loader(work, home, n_workers, start), 300),  # noqa: B023 - called at once
            "torch_brain": rate_of(lambda: rival_loader(work, home, n_workers, start), 40),  # noqa: B023
        }
    return {"rates": rates, "machine": describe_machine(), "versions": list_versions()}


def our_loader(work: Work, home: Path, n_workers: int, start: str | None) -> Iterable[Any]:
    """Our training loader, as Lightning gets it."""
    module = make_data_module(work, home, batches_per_epoch=300, num_workers=n_workers, multiprocessing_context=start)
    return module.train_dataloader()


def rival_loader(work: Work, home: Path, n_workers: int, start: str | None) -> Iterable[Any]:
    """torch_brain's dataset, sampler and collate in torch's loader; its files open, except where they must be sent."""
    from torch_brain.batching import collate
    from torch_brain.datasets import Dataset
    from torch_brain.samplers import RandomFixedWindowSampler

    dataset = Dataset(home / TORCH_BRAIN, transform=values_of, keep_files_open=start != "spawn")
    sampler = RandomFixedWindowSampler(
        sampling_intervals=dataset.get_sampling_intervals(), window_length=work.window_seconds
    )
    return DataLoader(
        dataset,
        batch_size=32,
        sampler=sampler,
        collate_fn=collate,
        num_workers=n_workers,
        multiprocessing_context=start,
        persistent_workers=n_workers > 0,
    )


def values_of(data: Any) -> torch.Tensor:
    """A window's values; a function of the module, so that it can be sent to a worker."""
    return torch.from_numpy(data.samples.values)


def rate_of(make: Callable[[], Iterable[Any]], n_batches: int, epochs: int = 3) -> float | str:
    """Return the median windows per second of epochs after the first; what was raised where it does not work."""
    try:
        loader = make()
        found = [windows_per_second(loader, n_batches) for _ in range(epochs + 1)]
    except Exception as error:  # whatever a library says where it cannot
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return round(statistics.median(found[1:]), 1)


def windows_per_second(loader: Iterable[Any], n_batches: int) -> float:
    """Return the speed of an epoch after its first batches, which workers have prepared before it is timed."""
    n_windows, begin, number = 0, 0.0, 0
    for number, batch in enumerate(loader):
        values = batch if isinstance(batch, torch.Tensor) else batch.values
        if number == 8:
            begin, n_windows = time.perf_counter(), 0
        n_windows += len(values) if number > 8 else 0
        if number + 1 == n_batches:
            break
    return n_windows / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
