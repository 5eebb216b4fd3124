"""What every test of the store starts from."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neurodata.store.table import write_index
from neurodata.store.write import write_recording
from neurodata.store.write_openings import write_openings

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


@pytest.fixture(scope="session")
def local_store(made, tmp_path_factory):
    """A store with one recording of every kind and one of several shards; not to be touched."""
    store = tmp_path_factory.mktemp("local") / "store"
    write_recording(made.full_recording(), store)
    write_recording(made.large_recording(megabytes=36), store)
    write_index(store)
    assert write_openings(store)
    return store


@pytest.fixture(scope="session")
def web(web_server, tmp_path_factory):
    """nginx and the folder it serves."""
    root = tmp_path_factory.mktemp("web")
    for folder in (root, root.parent):
        folder.chmod(0o755)
    (root / "forbidden").mkdir()
    with web_server(root) as upstream:
        yield upstream, root


@pytest.fixture
def published(local_store, web, tmp_path_factory):
    """A copy of the store on the web server, to be damaged at will: its folder and its address."""
    (host, port), root = web
    folder = root / tmp_path_factory.mktemp("copy").name
    shutil.copytree(local_store, folder)
    yield folder, f"http://{host}:{port}/{folder.name}"
    shutil.rmtree(folder)


@pytest.fixture
def proxied(published, web, delaying_proxy):
    """The same through a proxy: its address and the proxy."""
    with delaying_proxy(web[0], 0.0) as proxy:
        yield f"{proxy.url}/{published[0].name}", proxy


@pytest.fixture(scope="session")
def bucket(s3, local_store):
    """The same in a bucket: its address and obstore's settings."""
    with s3.run_s3() as (host, port):
        url = f"http://{host}:{port}"
        s3.upload(local_store, url, "lab/store")
        yield "s3://recordings/lab/store", s3.options_for(url)
