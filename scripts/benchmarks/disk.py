"""Bytes and files on disk: real EEG as a store beside its EDF files, made-up field data beside npy.

    python scripts/benchmarks/disk.py [--json] [--write-docs] [--data FOLDER]

The EDF files hold int16 with every sample once; the store holds the same integers, compressed, and the annotations.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from made_data import PLAIN, STORE, bytes_below, list_work, make_data
from measuring import describe_machine, list_versions
from performance_page import ROOT, save_result, write_page
from rich.console import Console

from neurodata.loaders.convert import convert
from neurodata.store.store import open_store

EEG = "eeg/eegmmidb-s001"


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--write-docs", action="store_true", help="refresh docs/performance.md")
    parser.add_argument("--data", type=Path, help="folder of real recordings; NEURODATA_TEST_DATA else")
    options = parser.parse_args()
    default = os.environ.get("NEURODATA_TEST_DATA", ROOT.parent / "shared" / "data")
    with tempfile.TemporaryDirectory(prefix="benchmark_disk_") as folder:
        result = measure(Path(options.data or default) / EEG, Path(folder))
    if options.json:
        print(json.dumps(result))
    else:
        Console().print(result)
    if options.write_docs:
        save_result("disk", result)
        write_page()


def measure(eeg: Path, folder: Path) -> dict[str, Any]:
    """Return bytes, files and their ratios."""
    result: dict[str, Any] = {"machine": describe_machine(), "versions": list_versions()}
    if eeg.is_dir():
        convert("schalk_bci2000_2004", eeg, folder / "eeg")
        edf = sum(path.stat().st_size for path in eeg.glob("*.edf"))
        result |= {"edf_bytes": edf, "store_bytes": bytes_below(folder / "eeg")}
        result |= {"bytes_ratio": round(result["store_bytes"] / edf, 4), "most_files": most_files(folder / "eeg")}
        result["recordings"] = len(open_store(folder / "eeg"))
    field = list_work(quick=True)[0]
    home = make_data(field, folder)
    npy, store = bytes_below(home / PLAIN), bytes_below(home / STORE)
    values = np.load(home / PLAIN / "r00.npy", mmap_mode="r")
    return result | {
        "float32": {
            "npy_bytes": npy,
            "store_bytes": store,
            "bytes_ratio": round(store / npy, 4),
            "most_files": most_files(home / STORE),
            "shape": list(values.shape),
        }
    }


def most_files(store: Path) -> int:
    """Return the files of the recording that has most of them."""
    recordings = [store / recording_id for recording_id in open_store(store).recording_ids]
    return max(sum(path.is_file() for path in recording.rglob("*")) for recording in recordings)


if __name__ == "__main__":
    main()
