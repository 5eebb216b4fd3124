"""What every data set's loader keeps to, on made-up raw files always and on the published ones where they are."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurodata.catalogue import list_entries, read_entry
from neurodata.errors import NeurodataError
from neurodata.loaders.base import Facts, Loader, RecordingFacts, describe_sources
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.options import list_options
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate

NAMES = list_entries("loaders")


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def has_member(recording: Recording, path: str) -> bool:
    group, _, name = path.partition("/")
    return name in getattr(recording, group)


def what_is_there(recording: Recording, main: str | None) -> dict[str, object]:
    """What `RecordingFacts` states of a recording."""
    found: dict[str, object] = {
        "subject": recording.metadata["subject"]["id"],
        "duration_seconds": pytest.approx(recording.duration_seconds),
        "n_units": 0 if recording.units is None else recording.units.sizes["unit"],
        "n_spikes": recording.events["spikes"].sizes["event"] if "spikes" in recording.events else 0,
    }
    if main is not None:
        signal = recording.signals_stored[main]
        labels = signal.coords["label"].values if "label" in signal.coords else np.array([""])
        found |= {
            "n_channels": signal.sizes["channel"],
            "n_named": int((labels != "").sum()),
            "n_samples": signal.sizes["time"],
            "rate_hz": signal.attrs.get("sampling_rate_hz"),
        }
    return found


def check_facts(recordings: dict[str, Recording], facts: Facts) -> None:
    """Compare what a loader read with what is known about it; every difference at once."""
    wrong = []
    if set(recordings) != set(facts.recordings):
        wrong.append(f"recordings are {sorted(recordings)}, expected {sorted(facts.recordings)}")
    for name, recording in recordings.items():
        expected = facts.recordings[name]
        found = what_is_there(recording, facts.signal)
        wrong += [
            f"{name}: {key} is {value}, expected {getattr(expected, key)}"
            for key, value in found.items()
            if getattr(expected, key) != value
        ]
        found_modality = recording.metadata["modality"]
        if found_modality != facts.modality:
            wrong.append(f"{name}: modality is {found_modality}, expected {facts.modality}")
        wrong += [f"{name}: there is no {target}" for target in facts.targets if not has_member(recording, target)]
        if recording.metadata["subject"]["species"] != facts.species:
            wrong.append(f"{name}: species is {recording.metadata['subject']['species']}")
    for table, labels in facts.interval_labels.items():
        met = {str(label) for r in recordings.values() for label in r.intervals[table]["label"].values}
        if met != labels:
            wrong.append(f"labels of intervals/{table} are {sorted(met)}, expected {sorted(labels)}")
    assert not wrong, "\n".join(wrong)


def load_all(loader: Loader) -> dict[str, Recording]:
    return {session.split("/")[1]: loader.load(session) for session in loader.sessions()}


@pytest.fixture(params=NAMES)
def made_up(request, tmp_path, fake_raw: Callable[[str], ModuleType]) -> tuple[type[Loader], Path, Facts]:
    facts = fake_raw(request.param).write_raw(tmp_path / "raw")
    return read_entry("loaders", request.param), tmp_path / "raw", facts


def test_there_are_loaders():
    assert "kato_brain_2015" in NAMES


def test_facts_of_made_up_files(made_up):
    loader_class, raw, facts = made_up
    check_facts(load_all(loader_class(raw)), facts)


@pytest.mark.parametrize("name", NAMES)
def test_facts_of_published_files(name, real_data):
    loader_class = read_entry("loaders", name)
    check_facts(load_all(loader_class(real_data(loader_class.facts.data_folder))), loader_class.facts)


def test_a_wrong_fact_is_noticed(made_up):
    loader_class, raw, facts = made_up
    name = next(iter(facts.recordings))
    wrong = RecordingFacts(subject="nobody", duration_seconds=-1.0, n_units=-2)
    changed = dataclasses.replace(facts, recordings={**facts.recordings, name: wrong})
    with pytest.raises(
        AssertionError, match=rf"(?s){name}: subject is .*, expected nobody.*n_units is .*, expected -2"
    ):
        check_facts(load_all(loader_class(raw)), changed)


def test_auto_finds_the_same_recordings(made_up):
    loader_class, raw, facts = made_up
    found, _ = find_recordings(raw, [loader_class])
    assert {entry.claim.part for entry in found} == set(facts.recordings)
    assert loader_class.claim(Path(__file__)) == []
    assert loader_class.claim(Path(__file__).parent) == []


def test_recordings_follow_the_schema_and_name_their_origin(made_up):
    loader_class, raw, _ = made_up
    loader = loader_class(raw)
    for session in loader.sessions():
        recording = loader.load(session)
        validate(recording)
        assert recording.recording_id == session
        assert session.startswith(f"{loader.name}/")
        assert recording.metadata["loader"] == loader.used
        assert recording.metadata["source_files"] == describe_sources(loader.source_files(session))
        assert recording.metadata["licence"] != "unknown"
        assert recording.metadata["citation"] != "unknown"


def test_loading_writes_nothing_and_is_the_same_twice(made_up):
    loader_class, raw, _ = made_up
    before = snapshot(raw)
    first, second = load_all(loader_class(raw)), load_all(loader_class(raw))
    assert snapshot(raw) == before
    for name, recording in first.items():
        assert dict(recording.metadata) == dict(second[name].metadata)
        for signal in recording.signals:
            np.testing.assert_array_equal(recording.signals[signal].values, second[name].signals[signal].values)


@pytest.mark.parametrize("name", NAMES)
def test_the_class_says_what_it_reads(name):
    loader_class = read_entry("loaders", name)
    assert issubclass(loader_class, Loader)
    assert isinstance(loader_class.version, int)
    assert loader_class.version >= 1
    assert len(inspect.getdoc(loader_class) or "") > 300
    assert loader_class.facts.recordings
    for option, parameter in list_options(loader_class).items():
        assert parameter.default is not inspect.Parameter.empty, f"option {option!r} has no default"
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"option {option!r} is not keyword-only"


def test_options_are_kept_for_the_metadata(made_up):
    loader_class, raw, _ = made_up
    assert set(loader_class(raw).options) == set(list_options(loader_class))


def test_bad_folders_are_explained(made_up, tmp_path):
    loader_class, raw, _ = made_up
    with pytest.raises(NeurodataError, match="does not exist"):
        loader_class(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NeurodataError, match="expected"):
        loader_class(tmp_path / "empty").sessions()
    with pytest.raises(NeurodataError, match=r"no session 'nobody/nothing'"):
        loader_class(raw).load("nobody/nothing")
