"""What every test of the store starts from."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neurodata.store.write import write_recording

_FILE = Path(__file__).parent / "made_recordings.py"


@pytest.fixture(scope="session")
def made():
    """The module of made-up recordings; `made.__file__` runs as a process that writes one."""
    spec = importlib.util.spec_from_file_location("made_recordings", _FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def written_once(made, tmp_path_factory):
    """A store with one recording that has a member of every kind; not to be touched."""
    store = tmp_path_factory.mktemp("written") / "store"
    write_recording(made.full_recording(), store)
    return store


@pytest.fixture
def stored(written_once, tmp_path):
    """Folder of a stored recording with a member of every kind, to be damaged at will."""
    shutil.copytree(written_once, tmp_path / "store")
    return tmp_path / "store" / "made_up" / "first"


@pytest.fixture(scope="session")
def file_bytes():
    """Every file below a folder → its bytes."""

    def read(folder):
        return {
            p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()
        }

    return read


@pytest.fixture(scope="session")
def start_writer():
    """Start a process that writes a large recording."""

    def start(store, recording_id="made_up/large", megabytes=40, kill_at=-1):
        arguments = [sys.executable, str(_FILE), str(store), recording_id, str(megabytes), str(kill_at)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
