"""The contract of all analyses: pure functions that say what they take, give and refuse, with examples that run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

from neurodata.catalogue import CATALOGUES, list_entries, read_entry

SECTIONS = ("Parameters\n", "Returns\n", "Raises\n", "References\n", "Examples\n")


@pytest.fixture(params=list_entries("analyses"))
def analysis(request):
    return request.param


def test_an_analysis_is_a_function_with_types_and_a_docstring_of_all_parts(analysis):
    entry = read_entry("analyses", analysis)
    assert inspect.isfunction(entry)
    text = inspect.getdoc(entry)
    assert [part.strip() for part in SECTIONS if part not in text] == []
    signature = inspect.signature(entry)
    assert all(p.annotation is not p.empty for p in signature.parameters.values())
    assert signature.return_annotation is not signature.empty
    undescribed = [name for name in signature.parameters if f"\n{name}" not in text and f", {name}" not in text]
    assert undescribed == []


def test_its_examples_run(analysis):
    module = importlib.import_module(f"{CATALOGUES['analyses']}.{analysis}")
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_it_changes_nothing_outside_itself(analysis):
    """No writing, printing or drawing from numpy's global generator: same arguments, same answer."""
    module = importlib.import_module(f"{CATALOGUES['analyses']}.{analysis}")
    tree = ast.parse(inspect.getsource(module))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    drawn = [call for call in calls if call.startswith("np.random.") and call != "np.random.default_rng"]
    written = [call for call in calls if call in ("open", "print") or call.endswith((".write_text", ".savefig"))]
    assert drawn + written == []
    assert not any(isinstance(node, ast.Global) for node in ast.walk(tree))


def test_analyses_are_imported_without_torch():
    code = "import sys\n" + "".join(f"import {CATALOGUES['analyses']}.{name}\n" for name in list_entries("analyses"))
    found = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules, 'matplotlib' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "False False\n"
