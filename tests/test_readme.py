"""The README's promises, kept by running them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from neurodata.catalogue import list_entries
from neurodata.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_python_examples_run_as_they_stand(tmp_path):
    """One after the other, as they are read."""
    examples = blocks("python")
    assert len(examples) == 3
    for example in examples:
        assert len([line for line in example.splitlines() if line.strip()]) <= 11, "a ten-line example, and its import"
    code = "\n".join(examples)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "kato_brain_2015/worm3" in done.stdout
    assert "'recording': 3" in done.stdout
    assert "% recorded" in done.stdout
    assert "(2, 8, 8) (8, 8, 3)" in done.stdout
    assert "(3, 3)\n" in done.stdout
    assert done.stdout.endswith("'latent': 512})\n")


def test_every_command_shown_exists_and_none_is_left_out():
    shown = set(re.findall(r"^neurodata (\w+)", "".join(blocks("text")), flags=re.MULTILINE))
    assert shown == set(get_command(app).commands)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:loaders|models|neurodata|tests|scripts|docs)/[\w/.]*)`", README)))
)
def test_every_path_named_exists(path):
    path = path.replace("firstauthor_keyword_year", list_entries("loaders")[0])
    for folder in ("formats", "fake_raw"):
        path = path.replace(f"{folder}/name", f"{folder}/{list_entries('formats')[0]}")
    path = path.replace("networks/name", f"networks/{list_entries('networks')[0]}")
    path = path.replace("analyses/name", f"analyses/{list_entries('analyses')[0]}")
    path = path.replace("metrics/name", f"metrics/{list_entries('metrics')[0]}")
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert (ROOT / target).is_file()
