"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def decoded_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of decoded recordings for this run of the tests; the user's own is left alone."""
    folder = tmp_path_factory.mktemp("decoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURODATA_CACHE", str(folder))
        yield folder


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
