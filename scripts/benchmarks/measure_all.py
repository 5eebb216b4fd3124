"""Run every benchmark, one after the other, and renew docs/performance.md with what they measured.

Takes a quiet machine some twenty minutes; ten thousand recordings are made once and kept where ``--folder`` says.

    python scripts/benchmarks/measure_all.py [--folder FOLDER] [--only windows disk …] [--recordings 10000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from performance_page import save_result, write_page

HERE = Path(__file__).parent


def main() -> None:
    """Run what is asked for; one that fails is named at the end and leaves its older numbers alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where made-up data are kept; else a temporary folder")
    parser.add_argument("--only", nargs="+", choices=["windows", "disk", "workers", "training", "remote", "scale"])
    parser.add_argument("--recordings", type=int, default=10_000, help="of the benchmark of scale")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark_all_") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        commands = {
            "windows": ["--folder", str(folder)],
            "disk": [],
            "workers": ["--folder", str(folder)],
            "training": ["--folder", str(folder)],
            "remote": ["--folder", str(folder)],
            "scale": [str(folder / f"scale_{options.recordings}"), "--recordings", str(options.recordings)],
        }
        failed = [name for name in options.only or commands if not measure(name, commands[name])]
    write_page()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; their numbers in the page are older ones, or none")


def measure(name: str, arguments: list[str]) -> bool:
    """Run one benchmark in a process of its own and keep its result; tell whether it succeeded."""
    print(f"== {name}", flush=True)
    begin = time.perf_counter()
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(f"   {time.perf_counter() - begin:.0f} s", flush=True)
    if done.returncode:
        return False
    result: dict[str, Any] = json.loads(done.stdout)
    save_result(name, result)
    return True


if __name__ == "__main__":
    main()
