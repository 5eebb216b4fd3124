"""The shape of the project (docs: DESIGN, section 2): who may import whom, and what no file may do.

A value moves down its path only: raw file → loader → Recording → store → windows → batches → model → predictions →
metrics → report. Change the table on purpose, with a note.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from neurodata.catalogue import CATALOGUES

ROOT = Path(__file__).resolve().parents[1]
CODE = ("neurodata", "loaders", "models")

BASE = {"names", "errors", "checks", "catalogue"}
"""Words, errors, checks: everyone's."""

MAY_IMPORT = {
    # part of the package: what of ours it may import beside itself and BASE
    **{name: set() for name in BASE},
    "recording": set(),
    "identity": {"recording"},
    "store": {"recording"},
    "exports": {"recording", "identity"},
    "simulate": {"recording", "identity"},
    "windows": {"recording", "identity", "store"},
    # Batches show a progress bar while recordings are decoded.
    "batches": {"recording", "store", "windows", "terminal"},
    "predictions": set(),
    "metrics": set(),
    "analyses": {"recording", "predictions"},
    "report": {"predictions", "metrics", "recording", "store"},
    "testing": {"recording"},
    "loaders": {"recording", "identity", "store"},
    # A run reads the store, makes windows and batches, trains, and writes predictions; it never scores or reports.
    # Estimators are put together from analyses, which are pure functions.
    "models": {"recording", "identity", "store", "windows", "batches", "predictions", "analyses"},
    "terminal": set(),
    "cache_commands": {"windows", "terminal"},
    # The two faces: they call everything, lazily.
    "cli": {"recording", "identity", "store", "simulate", "windows", "batches", "predictions", "metrics", "analyses",
            "report", "loaders", "models", "exports", "terminal", "cache_commands"},
    "__init__": {"recording", "identity", "store", "simulate", "windows", "batches", "predictions", "metrics",
                 "analyses", "report", "loaders", "models", "exports", "cli"},
}  # fmt: skip

NO_BASE = {"metrics"}
"""Metrics are functions of arrays and know nothing of ours, errors included."""

WITHOUT_TORCH = {*BASE, "recording", "identity", "store", "simulate", "windows", "loaders", "metrics", "predictions", "report", "exports"}  # fmt: skip


@functools.cache
def tracked(*folders):
    """Python files of the project, tracked by git or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *folders], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        names = listed.stdout.split("\n")
    else:  # a copy without its history
        names = [str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*")]
    return tuple(sorted(name for name in set(names) if name.endswith(".py") and (ROOT / name).is_file()))


@functools.cache
def parsed(name):
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def module_of(name):
    """Dotted name of a file as it is imported."""
    parts = list(Path(name).with_suffix("").parts)
    parts = parts if parts[0] == "neurodata" else ["neurodata", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def part_of(module):
    """Which row of the table a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(name, *, tree=None):
    """Every module a file imports, at its top, in a function or behind a condition, as absolute names."""
    module, is_package = module_of(name), name.endswith("__init__.py")
    found = []
    for node in ast.walk(tree or parsed(name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + (1 if is_package else 0)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def breaches(name, *, tree=None):
    """What a file imports that its row of the table does not allow."""
    own = part_of(module_of(name))
    assert own in MAY_IMPORT, f"{name}: {own!r} has no row in the table of who may import whom"
    allowed = MAY_IMPORT[own] | {own} | (set() if own in NO_BASE else BASE)
    problems = []
    for imported in imports_of(name, tree=tree):
        top, _, _ = imported.partition(".")
        if top in ("loaders", "models"):
            problems.append(f"{name} imports {imported}: say neurodata.{top} (or relative)")
        elif top == "neurodata" and part_of(imported) not in allowed:
            problems.append(f"{name} ({own}) imports {imported}")
        elif top == "torch" and own in WITHOUT_TORCH:
            problems.append(f"{name} ({own}) imports torch")
        elif top in ("lightning", "torchmetrics") and own in WITHOUT_TORCH - {"metrics"}:
            problems.append(f"{name} ({own}) imports {top}, which imports torch")
    return problems


def test_imports_go_down_the_data_s_path():
    problems = [problem for name in tracked(*CODE) for problem in breaches(name)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("neurodata/recording/x.py", "from neurodata.store.store import Store", id="upwards"),
        pytest.param("neurodata/windows/x.py", "def f():\n    import torch.nn", id="torch in a function"),
        pytest.param("neurodata/windows/x.py", "from neurodata import models", id="a package by name"),
        pytest.param("loaders/datasets/x.py", "from ...models.network import Network", id="relative, to the models"),
        pytest.param("models/x.py", "from neurodata.loaders.base import Loader", id="models to loaders"),
        pytest.param("models/x.py", "import loaders.base", id="by the folder's name"),
        pytest.param(
            "neurodata/metrics/x.py", "from neurodata.errors import NeurodataError", id="metrics know nothing"
        ),
        pytest.param("neurodata/batches/x.py", "if True:\n    from neurodata.models import task", id="conditional"),
    ],
)
def test_the_check_sees_what_it_should(name, line):
    assert breaches(name, tree=ast.parse(line))


def test_metrics_import_only_helpers_of_their_folder():
    for name in tracked("neurodata/metrics"):
        for imported in imports_of(name):
            if imported.startswith("neurodata"):
                assert imported.startswith("neurodata.metrics._"), f"{name} imports {imported}"


def test_inside_loaders_and_models_their_own_imports_are_relative():
    for folder in ("loaders", "models"):
        for name in tracked(folder):
            absolute = [
                node.module
                for node in ast.walk(parsed(name))
                if isinstance(node, ast.ImportFrom)
                and not node.level
                and (node.module or "").startswith(f"neurodata.{folder}")
            ]
            assert not absolute, f"{name} imports {absolute}; inside {folder}/ imports are relative"


@pytest.mark.parametrize(
    "kind", [kind for kind in CATALOGUES if kind not in ("pretrained", "loaders", "formats", "metrics", "analyses")]
)
def test_entries_of_a_catalogue_do_not_import_each_other(kind):
    package = CATALOGUES[kind]
    for name in tracked(package.removeprefix("neurodata.").replace(".", "/")):
        siblings = [i for i in imports_of(name) if i.startswith(f"{package}.") and not i.startswith(f"{package}._")]
        assert not siblings, f"{name} imports {siblings}"


def test_files_and_functions_stay_short():
    problems = []
    for name in tracked(*CODE, "scripts"):
        n_lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        if n_lines > 400:
            problems.append(f"{name} has {n_lines} lines, more than 400; there is a second idea in it")
        for node in ast.walk(parsed(name)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = _lines_of_code(node)
                if body > 60:
                    problems.append(f"{name}:{node.lineno} {node.name} has {body} lines, more than 60")
    assert not problems, "\n".join(problems)


def _lines_of_code(function):
    """Lines of a function without its docstring, which may be as long as it is useful."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


UNSAFE = re.compile(r"pickle\.loads?|allow_pickle=True|torch\.load\(")
MAY_UNPICKLE = (
    "loaders/restricted.py",
    "tests/loaders/test_restricted.py",
    "tests/loaders/",
    "tests/test_architecture.py",
)
"""The reader that admits arrays, text and numbers only, the tests that attack it, and this file's own pattern."""


def test_nothing_is_unpickled_but_by_the_restricted_reader():
    found = []
    for name in tracked(*CODE, "scripts", "tests", "docs"):
        if not name.startswith(MAY_UNPICKLE):
            text = (ROOT / name).read_text(encoding="utf-8").splitlines()
            found += [f"{name}:{i}: {line.strip()}" for i, line in enumerate(text, 1) if UNSAFE.search(line)]
    assert not found, "\n".join(found)


def test_nothing_evaluates_text():
    for name in tracked(*CODE, "scripts"):
        calls = [n.func.id for n in ast.walk(parsed(name)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        assert not {"eval", "exec", "__import__"} & set(calls), name


def test_every_package_folder_is_listed_for_installation():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {module_of(name) for name in tracked(*CODE) if name.endswith("__init__.py")}
    folders = {"neurodata" if module == "neurodata.__init__" else module for module in folders}
    assert set(settings["packages"]) == folders
    homeless = {
        str(Path(name).parent) for name in tracked(*CODE) if not (ROOT / name).with_name("__init__.py").exists()
    }
    assert not homeless, f"no __init__.py in {homeless}"
    assert settings["package-dir"] == {
        "neurodata": "neurodata", "neurodata.loaders": "loaders", "neurodata.models": "models",
    }  # fmt: skip


def test_there_is_no_init_file_in_tests():
    assert not [name for name in tracked("tests") if name.endswith("__init__.py")]


@pytest.mark.parametrize(
    "statement",
    [
        "import neurodata, neurodata.store.store, neurodata.loaders.convert, neurodata.windows.prepare, neurodata.cli",
        "import neurodata as nd; nd.open_store; nd.homogenise; nd.split_by",
    ],
)
def test_torch_is_not_imported_by(statement):
    code = f"import sys; {statement}; print([m for m in ('torch', 'lightning', 'torchmetrics') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
