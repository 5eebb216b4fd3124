"""BIDS: sidecars inherited, tables kept whole, one recording per run, values those of the file."""

from __future__ import annotations

import json

import edfio
import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.loaders.formats.bids import Bids
from neurodata.recording.validate import validate


@pytest.fixture
def made(tmp_path, fake_raw):
    module = fake_raw("bids")
    module.write_raw(tmp_path / "lab")
    return module, tmp_path / "lab"


def load(root, name, **options):
    recording = Bids(root, **options).load(f"lab/{name}")
    validate(recording)
    return recording


def test_channels_are_parted_by_the_type_stated_and_keep_the_file_s_integers(made):
    _, root = made
    recording = load(root, "sub-01_ses-a_task-walk_eeg")
    assert set(recording.signals) >= {"eeg", "eog", "misc"}
    eeg = recording.signals_stored["eeg"]
    assert eeg.channel_id.values.tolist() == ["Fp1", "Cz"]
    assert eeg["bad"].values.tolist() == [False, True]
    assert eeg["low_cutoff"].values.tolist() == [0.1, 0.1]
    file = edfio.read_edf(root / "sub-01/ses-a/eeg/sub-01_ses-a_task-walk_eeg.edf")
    for name, channels in (("eeg", (0, 1)), ("eog", (2,)), ("misc", (3,))):
        expected = np.stack([file.signals[i].digital for i in channels], axis=1)
        np.testing.assert_array_equal(recording.signals_stored[name].values, expected)


def test_the_sidecar_nearest_to_the_file_overrules(made):
    _, root = made
    near, far = load(root, "sub-01_ses-a_task-walk_eeg"), load(root, "sub-01_ses-b_task-walk_eeg")
    assert (near.signals["eeg"].attrs["line_frequency_hz"], far.signals["eeg"].attrs["line_frequency_hz"]) == (60, 50)
    assert near.signals["eeg"].attrs["reference"] == "Cz"
    assert near.metadata["task"] == "walk"
    assert near.metadata["session"] == "ses-a"


def test_trials_keep_every_column_and_a_code_means_the_same_in_every_run(made):
    _, root = made
    one = load(root, "sub-01_ses-a_task-walk_eeg").intervals["trials"]
    other = load(root, "sub-01_ses-b_task-walk_eeg").intervals["trials"]
    assert one.label.values.tolist() == ["right", "centre"]
    assert other.label.values.tolist() == ["right", "left"]
    assert one.code.values.tolist() == [2, 0]
    assert other.code.values.tolist() == [2, 1]
    np.testing.assert_array_equal(one.response_time.values, [np.nan, 0.31])
    np.testing.assert_array_equal(one.stop.values, [1.5, 2.5])


def test_positions_are_in_metres_of_the_stated_system(made):
    _, root = made
    eeg = load(root, "sub-02_task-walk_eeg").signals["eeg"]
    np.testing.assert_allclose(eeg["x"].values, [-0.03, np.nan])
    assert (eeg.attrs["space"], eeg.attrs["position_units"]) == ("CapTrak", "m")
    assert "x" not in load(root, "sub-01_ses-a_task-walk_eeg").signals["eog"].coords


def test_people_and_licence_come_from_the_data_set_s_tables(made):
    _, root = made
    metadata = load(root, "sub-01_ses-b_task-walk_eeg").metadata
    assert metadata["subject"] == {"id": "01", "species": "Homo sapiens", "sex": "F", "age": "P29Y"}
    assert metadata["licence"] == "CC0"
    assert "A. Nobody" in metadata["citation"]
    assert metadata["extra"]["participant"]["handedness"] == "R"
    assert {entry["name"] for entry in metadata["source_files"]} >= {"participants.tsv", "task-walk_eeg.json"}


def test_a_bold_run_finds_its_repetition_time_in_the_folder_above(made):
    _, root = made
    recording = load(root, "sub-02_task-rest_bold")
    assert recording.signals["bold"].attrs["sampling_rate_hz"] == 0.5
    assert recording.metadata["modality"] == "fmri"
    assert recording.metadata["subject"]["id"] == load(root, "sub-02_task-walk_eeg").metadata["subject"]["id"]


def test_one_kind_can_be_chosen(made):
    _, root = made
    assert Bids(root, only="bold").sessions() == ["lab/sub-02_task-rest_bold"]
    with pytest.raises(NeurodataError, match="there is no 'meg' run in this BIDS data set"):
        Bids(root, only="meg").sessions()


def test_what_is_no_data_set_or_has_no_run_is_refused(made, tmp_path):
    empty = tmp_path / "empty"
    (empty / "sub-01/anat").mkdir(parents=True)
    (empty / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.8.0"}))
    with pytest.raises(NeurodataError, match="a BIDS data set without EEG, iEEG, MEG or BOLD runs"):
        Bids(empty).sessions()


def test_a_damaged_table_is_named(made):
    _, root = made
    path = root / "sub-02/eeg/sub-02_task-walk_events.tsv"
    path.write_text("onset\tduration\nsoon\t1\n")
    with pytest.raises(NeurodataError, match=r"sub-02_task-walk_events\.tsv"):
        load(root, "sub-02_task-walk_eeg")
