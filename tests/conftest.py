"""Fixtures every test may use."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def decoded_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of decoded recordings for this run of the tests; the user's own is left alone."""
    folder = tmp_path_factory.mktemp("decoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURODATA_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """The module of made-up worms."""
    return load_file("tests/batches/made_store.py")


@pytest.fixture(scope="session")
def worms(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three worms; nobody writes here."""
    return made.write_worms(tmp_path_factory.mktemp("worms"))


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Find a folder of real recordings, or skip the test where there is none."""

    def find(folder: str) -> Path:
        base = Path(os.environ.get("NEURODATA_TEST_DATA", ROOT.parent / "shared" / "data"))
        if not (base / folder).is_dir():
            pytest.skip(f"no real recordings at {folder}; set NEURODATA_TEST_DATA")
        return base / folder

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for real recordings."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs_data)


def load_file(path: str) -> ModuleType:
    """Import a file of this repository by its path; tests are no package."""
    name = f"_loaded_{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def web_server():
    """Serve a folder with nginx: a context manager that gives host and port."""
    return load_file("tests/servers/nginx_server.py").run_nginx


@pytest.fixture(scope="session")
def s3():
    """The module that runs an S3 server and uploads to it."""
    return load_file("tests/servers/s3_server.py")


@pytest.fixture(scope="session")
def hub_server():
    """The module that runs a hub for checkpoints: `run_hub()`."""
    return load_file("tests/servers/hub_server.py")


@pytest.fixture(scope="session")
def delaying_proxy():
    """`DelayingProxy(upstream, delay_seconds)`: a far or a bad server."""
    return load_file("scripts/benchmarks/delaying_proxy.py").DelayingProxy
