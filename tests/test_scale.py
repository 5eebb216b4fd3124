"""Many small recordings: what opening, planning and reading cost may not grow with their number more than it must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts/benchmarks/scale.py"


@pytest.mark.parametrize(
    "n_recordings",
    [pytest.param(40, id="40 recordings"), pytest.param(500, id="500 recordings", marks=pytest.mark.slow)],
)
def test_a_store_of_many_small_recordings(tmp_path, n_recordings):
    command = [sys.executable, str(SCRIPT), "--recordings", str(n_recordings), "--json", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["rows"] == n_recordings
    # Ratios and sizes only: how long anything takes here depends on what else the machine does.
    assert result["open_store_rss_mb"] < 300
    assert result["table_rss_mb"] < 300
    assert result["window_time_ratio"] < 1.4  # twice the bar's 20 %
