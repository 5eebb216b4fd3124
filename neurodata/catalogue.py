"""Catalogue folders: the file name is the entry's name, adding a file edits nothing else."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import Any

from neurodata.checks import suggest
from neurodata.errors import NeurodataError

CATALOGUES = {
    "loaders": "neurodata.loaders.datasets",
    "formats": "neurodata.loaders.formats",
    "networks": "neurodata.models.networks",
    "tasks": "neurodata.models.tasks",
    "estimators": "neurodata.models.estimators",
    "metrics": "neurodata.metrics",
    "analyses": "neurodata.analyses",
    "pretrained": "neurodata.models.pretrained",
}
"""Kind of entry → the package whose files are the entries."""


def list_entries(kind: str) -> list[str]:
    """Return the names of all entries of a kind, sorted; nothing is imported but the (empty) package itself."""
    package = CATALOGUES[kind]
    spec = importlib.util.find_spec(package)
    assert spec is not None
    if kind == "pretrained":  # checkpoints are folders, not modules
        folders = [path for place in spec.submodule_search_locations or () for path in Path(place).iterdir()]
        return sorted(path.name for path in folders if (path / "config.json").is_file())
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(info.name for info in found if not info.name.startswith("_"))


def read_entry(kind: str, name: str) -> Any:
    """Return the entry ``name``: the function or class of its file that carries the file's name.

    ``metrics/macro_f1.py`` holds the function ``macro_f1``; ``networks/gru.py`` the class ``GRU``: case and
    underscores aside the two names are the same.

    Raises
    ------
    NeurodataError
        If there is no such file (names the closest one and the file to create), or if it holds no such object.
    """
    if name not in list_entries(kind):
        package = CATALOGUES[kind].removeprefix("neurodata.")
        folder = package.replace(".", "/") if package.startswith(("loaders", "models")) else f"neurodata/{package}"
        raise NeurodataError(
            f"no {kind.removesuffix('s')} {name!r}{suggest(name, list_entries(kind)) or '.'} "
            f"To add one, create {folder}/{name}.py"
        )
    module = importlib.import_module(f"{CATALOGUES[kind]}.{name}")
    wanted = name.replace("_", "").lower()
    # The very name first: an analysis `affinity` may return a dataclass `Affinity`.
    for attribute, value in sorted(vars(module).items(), key=lambda item: item[0] != name):
        if attribute.replace("_", "").lower() == wanted and getattr(value, "__module__", None) == module.__name__:
            return value
    raise NeurodataError(f"{module.__name__} holds no function or class called {name!r} (case and '_' aside)")


def read_summary(kind: str, name: str) -> str:
    """Return the first line of an entry's file, its docstring, without importing it; of a checkpoint, of its card."""
    spec = importlib.util.find_spec(CATALOGUES[kind])
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        path = Path(folder) / (f"{name}/README.md" if kind == "pretrained" else f"{name}.py")
        if path.is_file() and kind == "pretrained":
            return _card_heading(path.read_text(encoding="utf-8"))
        if path.is_file():
            return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return ""


def _card_heading(card: str) -> str:
    """The first line of a card that says something: below its header, without the marks of a heading."""
    text = card.partition("\n---\n")[2] if card.startswith("---\n") else card
    return next((line.lstrip("# ").rstrip() for line in text.splitlines() if line.strip("# ")), "")
