"""Does pretraining on all recordings together help? One encoder on six decoding rows, beside what never was pretrained.

``python scripts/score_foundation.py FOLDER_OF_DATA OUTPUT`` converts the recordings into OUTPUT/store, writes the splits
down, runs every cell of the grid that is not done yet, and writes OUTPUT/tables.md and OUTPUT/foundation.png. The joint
checkpoints are expected in OUTPUT/pretrained/fold0 … fold4. What came out is in docs/results/foundation.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each cell is one process on one core

from foundation.cells import Setting, read_cells, run_cells
from foundation.figures import write_figure
from foundation.grid import kind_of, list_cells
from foundation.registry import check_splits, digest_splits, freeze_splits
from foundation.rows import ROWS, make_folds
from foundation.scores import score_rows
from foundation.tables import write_tables

import neurodata as nd

COMMITTED = Path(__file__).resolve().parents[1] / "docs/results/foundation_splits.json"
"""The splits that the published numbers are of."""


def read_arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the raw recordings")
    parser.add_argument("output", type=Path, help="folder that everything is written to")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="default: all")
    parser.add_argument("--only", choices=("classical", "networks", "encoder", "tables"), help="part of the cells")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, one seed, all labels")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="multiplies all steps")
    parser.add_argument("--workers", type=int, default=2, help="cells at a time")
    parser.add_argument("--store", type=Path, help="a store that holds the recordings already")
    parser.add_argument("--checkpoints", type=Path, help="default: OUTPUT/pretrained")
    return parser.parse_args()


def open_recordings(data: Path, store: Path) -> nd.Store:
    """Return the store, converted first where it is not there yet."""
    from neurodata.catalogue import read_entry

    names = sorted({recording.partition("/")[0] for row in ROWS.values() for recording in row.recordings})
    for name in names:
        if not (store / name).exists():
            nd.convert(name, data / read_entry("loaders", name).facts.data_folder, store)
    return nd.open_store(store)


def main() -> None:
    """Run the cells and write what they say."""
    asked = read_arguments()
    place = asked.store or asked.output / "store"
    store = open_recordings(asked.data, place)
    folds = [fold for name in asked.rows for fold in make_folds(store, ROWS[name])]
    check_splits(COMMITTED, digest_splits(folds))
    freeze_splits(asked.output / "splits.json", digest_splits(folds))
    scale = asked.steps_scale * (0.1 if asked.quick else 1.0)
    setting = Setting(place, asked.output, asked.checkpoints or asked.output / "pretrained", scale)
    cells = list_cells(folds, quick=asked.quick)
    if asked.only != "tables":
        run_cells(setting, [cell for cell in cells if asked.only in (None, kind_of(cell))], asked.workers)
    scored = score_rows(read_cells(setting, cells))
    write_tables(asked.output / "tables.md", scored, setting.ledger.counts())
    write_figure(asked.output / "foundation.png", scored)


if __name__ == "__main__":
    main()
