"""What every test of the store starts from."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

_FILE = Path(__file__).parent / "made_recordings.py"


@pytest.fixture(scope="session")
def made():
    """The module of made-up recordings; `made.__file__` runs as a process that writes one."""
    spec = importlib.util.spec_from_file_location("made_recordings", _FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stored(made, tmp_path):
    """Folder of a freshly written recording with a member of every kind."""
    from neurodata.store.write import write_recording

    write_recording(made.full_recording(), tmp_path / "store")
    return tmp_path / "store" / "made_up" / "first"


@pytest.fixture(scope="session")
def file_bytes():
    """Every file below a folder → its bytes."""

    def read(folder):
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}

    return read


@pytest.fixture(scope="session")
def start_writer():
    """Start a process that writes a large recording."""

    def start(store, recording_id="made_up/large", megabytes=40, kill_at=-1):
        arguments = [sys.executable, str(_FILE), str(store), recording_id, str(megabytes), str(kill_at)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
