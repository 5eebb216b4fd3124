"""What every test of batches and models starts from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made():
    """The module of made-up worms."""
    path = Path(__file__).parents[1] / "batches" / "made_store.py"
    spec = importlib.util.spec_from_file_location("made_store", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def worms(made, tmp_path_factory):
    """A store of three worms; nobody writes here."""
    return made.write_worms(tmp_path_factory.mktemp("worms"))
