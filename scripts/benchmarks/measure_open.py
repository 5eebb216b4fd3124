"""Seconds and memory of opening a store and asking its table, in a process that has imported nothing before.

Run: ``python scripts/benchmarks/measure_open.py STORE``; prints one JSON object. `scale.py` runs it on ten thousand recordings.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGIN = time.perf_counter()
CONDITIONS: dict[str, dict[str, Any]] = {
    "two columns": {"species": "Mus musculus", "session": "1"},
    "metadata entry": {"genotype": "wt"},
    "function": {"duration_seconds": lambda seconds: seconds > 20},
    "member": {"signals": "eeg"},
}


def measure_open(folder: Path) -> dict[str, Any]:
    """Import, open, ask the table, select."""
    import neurodata as nd  # here, so that its import is measured

    open_store = nd.open_store
    imported = time.perf_counter()
    store = open_store(folder)
    opened = time.perf_counter()
    if "torch" in sys.modules:
        raise SystemExit("opening a store imported torch")
    resident = resident_mb()
    table = store.table
    told = time.perf_counter()
    selected = {name: timed(lambda wanted=wanted: store.select(**wanted)) for name, wanted in CONDITIONS.items()}
    return {
        "open_store_seconds": opened - BEGIN,
        "of_that_imports_seconds": imported - BEGIN,
        "open_store_rss_mb": resident,
        "table_seconds": told - opened,
        "table_rss_mb": resident_mb(),
        "rows": len(table),
        "select_seconds": selected,
    }


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def resident_mb() -> float:
    """Return the most memory this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    print(json.dumps(measure_open(Path(sys.argv[1]))))
