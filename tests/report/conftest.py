"""A made-up run, written once, and its page."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from neurodata.report.page import make_page
from neurodata.report.run_folder import Run, read_run


@pytest.fixture(scope="session")
def made_up_run() -> ModuleType:
    path = Path(__file__).with_name("made_up_run.py")
    spec = importlib.util.spec_from_file_location("made_up_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run_folder(made_up_run, tmp_path_factory) -> Path:
    """Nobody writes here; a test that needs another folder writes its own."""
    return made_up_run.write_made_up_run(tmp_path_factory.mktemp("runs") / "made_up")


@pytest.fixture(scope="session")
def run(run_folder) -> Run:
    return read_run(run_folder)


@pytest.fixture(scope="session")
def page(run) -> str:
    return make_page(run)
