"""What every format's loader keeps to, on made-up raw files in the format's true layout.

``fake_raw/NAME.py`` has ``write_raw(folder)``, which writes such files and returns the names of the recordings in them.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest

from neurodata.catalogue import list_entries, read_entry
from neurodata.errors import NeurodataError
from neurodata.loaders.base import describe_sources
from neurodata.loaders.convert import convert, find_loader
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.format_loader import FormatLoader
from neurodata.loaders.options import list_options
from neurodata.recording.validate import validate
from neurodata.store.read import open_recording
from neurodata.store.store import open_store

NAMES = list_entries("formats")
ALL = [find_loader(name) for kind in ("loaders", "formats") for name in list_entries(kind)]


@pytest.fixture(params=NAMES)
def made_up(request, tmp_path, fake_raw) -> tuple[type[FormatLoader], Path, set[str]]:
    names = fake_raw(request.param).write_raw(tmp_path / "lab")
    assert names, "write_raw returns the names of the recordings"
    return read_entry("formats", request.param), tmp_path / "lab", set(names)


def test_recordings_follow_the_schema_and_name_their_origin(made_up):
    loader_class, raw, names = made_up
    loader = loader_class(raw)
    assert set(loader.sessions()) == {f"lab/{name}" for name in names}
    for session in loader.sessions():
        recording = loader.load(session)
        validate(recording)
        assert recording.recording_id == session
        assert recording.metadata["loader"] == loader.used
        assert recording.metadata["source_files"] == describe_sources(loader.source_files(session))


def test_auto_gives_the_files_to_this_loader(made_up):
    loader_class, raw, names = made_up
    found, _ = find_recordings(raw, ALL)
    assert {entry.loader for entry in found} == {loader_class}
    assert {entry.name for entry in found} == names


def test_what_is_stored_is_what_was_loaded(made_up, tmp_path):
    loader_class, raw, names = made_up
    name = loader_class.__module__.rpartition(".")[2]
    convert("auto", raw, tmp_path / "store")
    assert set(open_store(tmp_path / "store").recording_ids) == {f"lab/{entry}" for entry in names}
    loader = loader_class(raw)
    for session in loader.sessions():
        loaded, stored = loader.load(session), open_recording(tmp_path / "store" / session)
        assert stored.metadata["loader"]["name"] == name
        for member in loaded.signals_stored:
            np.testing.assert_array_equal(
                stored.signals_stored[member].values, loaded.signals_stored[member].values, strict=True
            )
            np.testing.assert_array_equal(stored.signals[member].time.values, loaded.signals[member].time.values)
        for group in ("events", "intervals"):
            for member, table in getattr(loaded, group).items():
                assert table.identical(getattr(stored, group)[member].load()), f"{group}/{member}"
        assert set(loaded.graphs) == set(stored.graphs)
        for member, graph in loaded.graphs.items():
            assert graph.identical(stored.graphs[member].load()), f"graphs/{member}"
        assert (loaded.units is None) == (stored.units is None)
        if loaded.units is not None:
            assert loaded.units.identical(stored.units.load())


def test_loading_writes_nothing(made_up):
    loader_class, raw, _ = made_up
    before = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in raw.rglob("*")}
    loader = loader_class(raw)
    for session in loader.sessions():
        for signal in loader.load(session).signals_stored.values():
            signal.values  # noqa: B018 (read it)
    assert {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in raw.rglob("*")} == before


def damaged(raw: Path, seed: int) -> None:
    """Cut, empty or overwrite one of the files in place."""
    rng = np.random.default_rng(seed)
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    content = bytearray(path.read_bytes())
    kind = rng.integers(3)
    if kind == 0:
        content = content[: int(len(content) * rng.random())]
    elif kind == 1:
        for position in rng.integers(0, max(1, len(content)), 20):
            content[position : position + 1] = bytes(rng.integers(0, 256, 1).astype(np.uint8))
    else:
        at = int(rng.integers(0, max(1, min(len(content), 4096))))
        content[at : at + 8] = bytes(rng.integers(0, 256, 8).astype(np.uint8))
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_end_in_one_clear_error_or_in_a_recording_that_follows_the_schema(made_up, seed):
    loader_class, raw, _ = made_up
    damaged(raw, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of what is wrong with a damaged file are welcome
        try:
            loader = loader_class(raw)
            for session in loader.sessions():
                recording = loader.load(session)
                for signal in recording.signals_stored.values():
                    signal.values  # noqa: B018 (read it)
        except NeurodataError as error:
            assert str(raw) in str(error) or "lab/" in str(error)  # noqa: PT017


def test_other_files_are_not_claimed(made_up, tmp_path):
    loader_class, _, _ = made_up
    junk = tmp_path / "junk"
    junk.mkdir()
    (junk / "empty").touch()
    (junk / "notes.txt").write_text("nothing to see here\n")
    (junk / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5000))
    for suffix in ("edf", "nwb", "mat", "npz", "npy", "fif", "set", "nii", "nii.gz", "csv", "json", "vhdr", "h5"):
        (junk / f"noise.{suffix}").write_bytes(np.random.default_rng(1).bytes(3000))
    with pytest.raises(NeurodataError, match=rf"{junk}: expected '.*' data, found none here"):
        loader_class(junk).sessions()


@pytest.mark.parametrize("name", NAMES)
def test_the_class_says_what_it_reads(name):
    loader_class = read_entry("formats", name)
    assert issubclass(loader_class, FormatLoader)
    assert loader_class.version >= 1
    assert 1 <= loader_class.specificity <= 5
    assert len(inspect.getdoc(loader_class) or "") > 300
    for option, parameter in list_options(loader_class).items():
        assert parameter.default is not inspect.Parameter.empty, f"option {option!r} has no default"


def test_options_are_kept_for_the_metadata(made_up):
    loader_class, raw, _ = made_up
    assert set(loader_class(raw).options) == set(list_options(loader_class))
