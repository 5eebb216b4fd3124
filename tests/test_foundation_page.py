"""The examples of docs/foundation.md run, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/foundation.md"


def test_the_examples_run_from_top_to_bottom(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    script = tmp_path / "examples.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # arrays are small; threads that wait for a busy core cost more
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=one_thread)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "latent" in done.stdout
