"""Runs cells, some at a time, and keeps what each of them predicted."""

from __future__ import annotations

import json
import multiprocessing
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import neurodata as nd
from neurodata.errors import NeurodataError
from neurodata.predictions import Predictions, read_predictions, write_predictions, write_whole

from .grid import CLASSICAL, STRATEGIES, Cell
from .registry import Ledger
from .rows import ROWS, make_folds


@dataclass(frozen=True)
class Setting:
    """Where things lie, and how much is trained.

    Parameters
    ----------
    store, output, checkpoints
        Folders: the converted recordings, what is written, and ``fold0`` … of the joint pretraining.
    scale
        Multiplies all steps.
    """

    store: Path
    output: Path
    checkpoints: Path
    scale: float = 1.0

    @property
    def cells(self) -> Path:
        """Folder of the predictions."""
        return self.output / "cells"

    @property
    def ledger(self) -> Ledger:
        """What was evaluated on test parts."""
        return Ledger(self.output / "ledger.jsonl")


def is_done(setting: Setting, cell: Cell) -> bool:
    """Whether a cell's predictions are all there, of as many steps as asked for: its record is written last."""
    path = setting.cells / f"{cell.key}.json"
    return path.exists() and read_record(path)["scale"] in (setting.scale, None)


def read_record(path: Path) -> dict[str, Any]:
    """Return what was written down when a cell was done."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def run_cell(setting: Setting, cell: Cell) -> dict[str, Any]:
    """Train and evaluate one cell, write its predictions, and return its record: the cell, seconds and files."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found, trained = _predict(setting, cell)
    files = []
    for number, part in enumerate(found):
        files.append(f"{cell.key}--{number}.parquet")
        write_predictions(part, setting.cells / files[-1])
    done = time.perf_counter()
    record = {
        **asdict(cell),
        "seconds": round(done - begin, 2),
        "train_seconds": round(trained - begin, 2),
        "cpu_seconds": round(time.process_time() - begin_cpu, 2),
        "scale": None if cell.predictor == CLASSICAL else setting.scale,
        "files": files,
    }
    write_whole((json.dumps(record) + "\n").encode(), setting.cells / f"{cell.key}.json")
    return record


def _predict(setting: Setting, cell: Cell) -> tuple[list[Predictions], float]:
    """Predictions on the test part, and when training had ended."""
    from .classical import predict_classical
    from .networks import predict_network, train_encoder, train_network

    store, row = nd.open_store(setting.store), ROWS[cell.row]
    [fold] = [fold for fold in make_folds(store, row) if fold.name == cell.fold]
    cache, what = setting.output / "cache", f"{cell.predictor} {cell.share:g} {cell.seed}"
    if cell.predictor == CLASSICAL:
        setting.ledger.record(cell.row, cell.fold, what)
        return predict_classical(store, row, fold, cell, cache), time.perf_counter()
    if cell.predictor in STRATEGIES:
        trained = train_encoder(store, row, fold, cell, cache, setting.checkpoints, setting.scale)
    else:
        trained = train_network(store, row, fold, cell, cache, setting.scale)
    after = time.perf_counter()
    setting.ledger.record(cell.row, cell.fold, what)
    return predict_network(store, row, fold, cell, trained), after


def run_cells(setting: Setting, cells: Sequence[Cell], workers: int) -> None:
    """Run the cells that are not done yet in processes of one thread each; those that fail are named at the end.

    Raises
    ------
    NeurodataError
        If cells failed; all others are done then.
    """
    setting.cells.mkdir(parents=True, exist_ok=True)
    waiting = [cell for cell in cells if not is_done(setting, cell)]
    print(f"{len(waiting)} of {len(cells)} cells to run", flush=True)
    failed: list[str] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start) as pool:
        running = {pool.submit(run_cell, setting, cell): cell for cell in waiting}
        for number, done in enumerate(as_completed(running), 1):
            cell, error = running[done], done.exception()
            failed += [f"{cell.key}: {type(error).__name__}: {error}"] if error else []
            told = failed[-1] if error else f"{cell.key}: {done.result()['seconds']:.1f} s"
            print(f"[{number}/{len(waiting)}] {told}", flush=True)
    if failed:
        raise NeurodataError(f"{len(failed)} cells failed, run again to try them anew:\n" + "\n".join(failed))


def _start() -> None:
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.. is deprecated.*")


def read_cells(setting: Setting, cells: Sequence[Cell]) -> list[Predictions]:
    """Return the predictions of all cells that are done."""
    found = []
    for cell in cells:
        if is_done(setting, cell):
            record = read_record(setting.cells / f"{cell.key}.json")
            found += [read_predictions(setting.cells / name) for name in record["files"]]
    return found
