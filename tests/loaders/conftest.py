"""Made-up raw files, found by the loader's name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fake_raw() -> Callable[[str], ModuleType]:
    """Find the module that writes a loader's raw files in their true layout."""

    def find(name: str) -> ModuleType:
        path = Path(__file__).parent / "fake_raw" / f"{name}.py"
        assert path.exists(), f"loader {name!r} has no made-up raw files; write tests/loaders/fake_raw/{name}.py"
        spec = importlib.util.spec_from_file_location(f"fake_raw_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return find
