"""Catalogue folders: the file's name is the entry's name, and every entry can be read."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurodata.catalogue import CATALOGUES, list_entries, read_entry, read_summary
from neurodata.cli import app
from neurodata.errors import NeurodataError

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = [(kind, name) for kind in CATALOGUES if kind != "pretrained" for name in list_entries(kind)]


def folder(kind):
    package = CATALOGUES[kind].removeprefix("neurodata.").replace(".", "/")
    return ROOT / package if package.startswith(("loaders", "models")) else ROOT / "neurodata" / package


@pytest.mark.parametrize("kind", CATALOGUES)
def test_entries_are_the_files_of_the_folder(kind):
    if kind == "pretrained":
        expected = sorted(path.parent.name for path in folder(kind).glob("*/config.json"))
    else:
        expected = sorted(path.stem for path in folder(kind).glob("*.py") if not path.name.startswith("_"))
    assert list_entries(kind) == expected


def test_the_issue_s_entries_are_there():
    assert {"linear", "gru", "transformer"} <= set(list_entries("networks"))
    assert {"pretrain", "forecast", "decode"} <= set(list_entries("tasks"))
    assert {"balanced_accuracy", "macro_f1", "r2", "pearson", "forecast_skill"} <= set(list_entries("metrics"))
    assert "kato_brain_2015" in list_entries("loaders")


@pytest.mark.parametrize(("kind", "name"), ENTRIES, ids=[f"{kind}-{name}" for kind, name in ENTRIES])
def test_every_entry_can_be_read_and_says_what_it_is(kind, name):
    entry = read_entry(kind, name)
    assert callable(entry)
    assert entry.__module__ == f"{CATALOGUES[kind]}.{name}"
    assert entry.__name__.replace("_", "").lower() == name.replace("_", "").lower()
    assert read_summary(kind, name).endswith(".")


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUES if kind != "pretrained"])
def test_catalogue_folders_hold_entries_only(kind):
    """Beside them: the package's (empty) file, and helpers of the same folder whose name begins with an underscore."""
    strange = [
        path.name
        for path in folder(kind).iterdir()
        if path.name not in ("__init__.py", "__pycache__") and path.suffix != ".py"
    ]
    assert strange == []
    source = (folder(kind) / "__init__.py").read_text().strip()
    assert source.count("\n") == 0, "a catalogue's __init__.py is a docstring; entries are found by their file"


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (
            "networks",
            "transfomer",
            r"no network 'transfomer'; did you mean 'transformer'.*create models/networks/transf",
        ),
        ("metrics", "zzz", r"no metric 'zzz'.* create neurodata/metrics/zzz.py"),
        ("loaders", "../base", r"no loader '../base'"),
        ("networks", "os.path", r"no network 'os.path'"),
        ("metrics", "_columns", r"no metric '_columns'"),
    ],
)
def test_unknown_entries_are_refused_with_the_file_to_create(kind, name, text):
    with pytest.raises(NeurodataError, match=text):
        read_entry(kind, name)


@pytest.fixture
def made_up_checkpoint(tmp_path, monkeypatch):
    """A checkpoint called ``made-up`` among those that ship."""
    place = importlib.import_module(CATALOGUES["pretrained"]).__spec__
    monkeypatch.setattr(place, "submodule_search_locations", [*place.submodule_search_locations, str(tmp_path)])
    folder = tmp_path / "made-up"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("card", "summary"),
    [
        ("---\nlicense: mit\n---\n# Worms, small\n\nMore.\n", "Worms, small"),
        ("---\nlicense: mit\n---\n\n\n## Worms, small \n", "Worms, small"),
        ("Worms, small\n", "Worms, small"),
        ("---\nlicense: mit\n---\n", ""),
        ("", ""),
        (None, ""),
    ],
    ids=["as written by save_pretrained", "empty lines first", "no header", "a header alone", "empty", "no card"],
)
def test_a_checkpoint_is_listed_with_the_first_line_of_its_card(made_up_checkpoint, card, summary):
    if card is not None:
        (made_up_checkpoint / "README.md").write_text(card)
    assert "made-up" in list_entries("pretrained")
    assert read_summary("pretrained", "made-up") == summary


def test_the_command_line_lists_checkpoints(made_up_checkpoint):
    (made_up_checkpoint / "README.md").write_text("---\nlicense: mit\n---\n# Worms [small]\n")
    done = CliRunner().invoke(app, ["list", "pretrained"])
    assert done.exit_code == 0, done.output
    assert re.search(r"made-up .*Worms \[small\]", done.output)


def test_listing_imports_no_entry():
    code = (
        "import sys; from neurodata.catalogue import CATALOGUES, list_entries\n"
        "for kind in CATALOGUES: list_entries(kind)\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('neurodata.models.networks.')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
