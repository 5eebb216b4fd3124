"""The examples of docs/pretrained.md run, one after the other, against a hub on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/pretrained.md"


def test_the_examples_run_from_top_to_bottom(tmp_path, hub_server):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    script = tmp_path / "examples.py"
    script.write_text("\n".join([*blocks, "print(address, difference)"]), encoding="utf-8")
    with hub_server.run_hub() as hub:
        settings = {
            "HF_ENDPOINT": hub.url, "HF_TOKEN": hub_server.WRITE, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1",
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        environment = os.environ | settings
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        commit = hub.repos["lab/worm-states"].branches["main"]
    shape, address, difference = re.fullmatch(r"torch.Size\((.*)\)\n(\S+) (\S+)\n", done.stdout).groups()
    assert re.fullmatch(r"\[\d+, 60, 8\]", shape)  # windows of 20 s at 3 Hz, eight motor states
    assert address == f"{hub.url}/lab/worm-states/commit/{commit}"
    assert float(difference) == 0.0
    assert hub.repos["lab/worm-states"].messages[-1] == "After 40 steps"
