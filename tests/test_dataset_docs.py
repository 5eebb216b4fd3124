"""docs/datasets.md is what the loaders find in the published files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_what_its_script_writes(real_data):
    spec = importlib.util.spec_from_file_location("make_dataset_docs", ROOT / "scripts/make_dataset_docs.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = script.make_page(real_data("celegans").parent)
    assert page == (ROOT / "docs/datasets.md").read_text(encoding="utf-8"), "run scripts/make_dataset_docs.py"
