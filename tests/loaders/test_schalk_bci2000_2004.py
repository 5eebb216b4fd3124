"""eegmmidb: T1 and T2 mean what the run says, names are those of the 10-10 system, integers are the file's."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.convert import find_loader
from neurodata.loaders.datasets.schalk_bci2000_2004 import LABELS, RUNS, SchalkBci20002004
from neurodata.loaders.discover import find_recordings

NAME = "schalk_bci2000_2004"


@pytest.fixture
def fake(fake_raw):
    return fake_raw(NAME)


def load(folder, run):
    return SchalkBci20002004(folder).load(f"{NAME}/{run}")


def test_runs_of_the_full_layout(fake, tmp_path):
    fake.write_raw(tmp_path)
    loader = SchalkBci20002004(tmp_path)
    assert loader.sessions() == [f"{NAME}/{run}" for run in ("S001R01", "S001R04", "S002R05")]
    recording = loader.load(f"{NAME}/S001R04")
    task = recording.intervals["task"]
    assert task.label.values.tolist() == ["rest", "left_fist", "rest", "right_fist"]
    assert task.code.values.tolist() == [0, 1, 0, 2]
    assert task.imagined.values.tolist() == [False, True, False, True]
    assert task.annotation.values.tolist() == ["T0", "T1", "T0", "T2"]
    assert task.start.values.tolist() == [0.0, 4.2, 8.3, 10.3]
    assert task.stop.values.tolist() == [4.2, 8.3, 10.3, 12.8]
    assert recording.metadata["session"] == "R04"
    assert recording.metadata["subject"] == {"id": "S001", "species": "Homo sapiens"}
    both = loader.load(f"{NAME}/S002R05").intervals["task"]
    assert both.label.values.tolist() == ["rest", "both_fists", "rest", "both_feet"]
    assert not both.imagined.values.any()
    baseline = loader.load(f"{NAME}/S001R01")
    assert baseline.intervals["task"].label.values.tolist() == ["rest"]
    assert baseline.metadata["task"] == "baseline, eyes open"


def test_integers_and_names(fake, tmp_path):
    integers = fake.write_run(tmp_path / "S007R03.edf", fake.TASK)
    eeg = load(tmp_path, "S007R03").signals_stored["eeg"]
    np.testing.assert_array_equal(eeg.values, integers)
    assert eeg.dtype == np.int16
    assert eeg.label.values[[0, 3, 21, 26, 55, 63]].tolist() == ["FC5", "FCz", "Fp1", "AFz", "PO7", "Iz"]
    assert eeg.channel_id.values.tolist() == eeg.label.values.tolist()
    assert eeg.label_raw.values.tolist() == fake.LABELS


def test_one_code_is_one_label_over_all_runs():
    meant = {name for run in RUNS.values() for name in (run.t1, run.t2) if name}
    assert meant == set(LABELS) - {"rest"}
    assert sorted(RUNS) == list(range(1, 15))
    assert [RUNS[run].imagined for run in (3, 4, 5, 6, 12, 13, 14)] == [False, True, False, True, True, False, True]
    assert {run for run, what in RUNS.items() if what.t1 == "both_fists"} == {5, 6, 9, 10, 13, 14}


@pytest.mark.parametrize(
    ("run", "labels"),
    [
        (3, {"rest", "left_fist", "right_fist"}),
        (8, {"rest", "left_fist", "right_fist"}),
        (14, {"rest", "both_fists", "both_feet"}),
    ],
)
def test_published_runs(real_data, run, labels):
    task = load(real_data("eeg/eegmmidb-s001"), f"S001R{run:02}").intervals["task"]
    assert set(task.label.values.tolist()) == labels
    names, counts = np.unique(task.label.values, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist()))["rest"] == 15
    assert sorted(counts.tolist()) == [7, 8, 15]
    np.testing.assert_array_equal(task.start.values[1:], task.stop.values[:-1])


def test_auto_gives_the_published_folder_to_this_loader(real_data):
    loaders = [find_loader(name) for name in ("edf", NAME)]
    found, skipped = find_recordings(real_data("eeg/eegmmidb-s001"), loaders)
    assert {entry.loader for entry in found} == {SchalkBci20002004}
    assert len(found) == 9
    assert skipped == []


def test_another_rate_is_warned_of_and_kept(fake, tmp_path):
    fake.write_run(tmp_path / "S088R03.edf", fake.TASK, rate_hz=128)
    with pytest.warns(UserWarning, match="S088R03: sampled at 128 Hz, the other subjects at 160 Hz"):
        recording = load(tmp_path, "S088R03")
    assert recording.signals["eeg"].attrs["sampling_rate_hz"] == 128.0
    assert recording.metadata["extra"]["remarks"] == ["sampled at 128 Hz, the other subjects at 160 Hz"]


def test_other_edf_files_are_not_claimed(fake, tmp_path):
    fake.write_run(tmp_path / "a" / "S001R03.edf", fake.TASK, labels=fake.LABELS[:20])
    assert SchalkBci20002004.claim(tmp_path / "a") == []
    with pytest.raises(RawFileError, match=r"S001R03\.edf: expected the 64 channels of eegmmidb"):
        load(tmp_path / "a", "S001R03")
    fake.write_run(tmp_path / "b" / "S001R03.edf", fake.TASK)
    fake.write_run(tmp_path / "b" / "pilot.edf", fake.TASK)
    assert SchalkBci20002004.claim(tmp_path / "b") == []


@pytest.mark.parametrize(
    ("name", "annotations", "message"),
    [
        ("S001R03.edf", (("T3", 0.0, 1.0),), r"expected the annotations T0, T1, T2 in run 3, got 'T3'"),
        ("S001R02.edf", (("T1", 0.0, 1.0),), r"expected the annotations T0 in run 2, got 'T1'"),
        ("S001R03.edf", (), "expected annotations T0 … T2 with a duration, there are none"),
        ("S001R15.edf", (("T0", 0.0, 1.0),), "expected a run from 1 to 14, got 15"),
    ],
)
def test_odd_files_are_explained(fake, tmp_path, name, annotations, message):
    fake.write_run(tmp_path / name, annotations)
    with pytest.raises(RawFileError, match=message):
        load(tmp_path, name.removesuffix(".edf"))


def test_a_run_that_is_there_twice_is_refused(fake, tmp_path):
    for folder in ("", "S001"):
        fake.write_run(tmp_path / folder / "S001R03.edf", fake.TASK)
    with pytest.raises(NeurodataError, match=r"S001R03 is at .* too; keep one of the two"):
        SchalkBci20002004(tmp_path).sessions()
