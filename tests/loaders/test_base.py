"""Options from text, checked against a loader's signature."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import pytest

from neurodata.errors import NeurodataError
from neurodata.loaders.base import Loader, describe_sources
from neurodata.loaders.options import OptionError, parse_options


class Fancy(Loader):
    """Has an option of each type."""

    def __init__(
        self,
        raw: str | Path,
        *,
        rate_hz: float | None = None,
        count: int = 3,
        keep: bool = False,
        kind: Literal["a", "b"] = "a",
        text: str = "x",
    ) -> None:
        super().__init__(raw, rate_hz=rate_hz, count=count, keep=keep, kind=kind, text=text)

    def sessions(self):
        return []

    def source_files(self, session):
        return []

    def load(self, session):
        raise AssertionError


def test_values_take_the_type_of_the_signature():
    settings = ["rate_hz=2.5", "count=4", "keep=TRUE", "kind=b", "text=a=b"]
    assert parse_options(Fancy, settings) == {"rate_hz": 2.5, "count": 4, "keep": True, "kind": "b", "text": "a=b"}
    assert parse_options(Fancy, ["rate_hz=none"]) == {"rate_hz": None}
    assert parse_options(Fancy, []) == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            ["rate=3"], r"no option 'rate'; did you mean 'rate_hz'\? .*: rate_hz=None, count=3,", id="unknown"
        ),
        pytest.param(["zzz=3"], r"no option 'zzz' Options and their defaults: rate_hz=None", id="unknown, none close"),
        pytest.param(["count"], r"'count' is not key=value", id="no equals sign"),
        pytest.param(["count=1.5"], r"'count' is a whole number, got '1.5'", id="fraction"),
        pytest.param(["rate_hz=fast"], r"'rate_hz' is a number, got 'fast'", id="text for a number"),
        pytest.param(["keep=maybe"], r"'keep' is true or false, got 'maybe'", id="neither true nor false"),
        pytest.param(["kind=c"], r"'kind' is one of a, b, got 'c'", id="not one of the choices"),
        pytest.param(["count=1", "count=2"], r"'count' is given twice", id="twice"),
        pytest.param(["raw=x"], r"no option 'raw'", id="the folder is no option"),
    ],
)
def test_wrong_settings_are_explained(settings, message):
    with pytest.raises(OptionError, match=message):
        parse_options(Fancy, settings)


def test_sources_are_described_by_name_size_and_digest(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"hello")
    expected = {"name": "a.bin", "n_bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    assert describe_sources([tmp_path / "a.bin"]) == [expected]
    with pytest.raises(NeurodataError, match="missing or cannot be read"):
        describe_sources([tmp_path / "b.bin"])
