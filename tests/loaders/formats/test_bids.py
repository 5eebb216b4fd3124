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


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_names_in_tables_may_be_written_otherwise(made):
    _, root = made
    folder = root / "sub-02/eeg"
    change(folder / "sub-02_task-walk_channels.tsv", "Fp1\tEEG", "EEG FP1 \tEEG")
    change(folder / "sub-02_task-walk_channels.tsv", "Cz\tEEG", "cz.\tEEG")
    change(folder / "sub-02_electrodes.tsv", "Fp1\t", "FP_1\t")
    eeg = load(root, "sub-02_task-walk_eeg").signals["eeg"]
    assert eeg.channel_id.values.tolist() == ["Fp1", "Cz"]
    assert eeg["bad"].values.tolist() == [False, True]
    assert eeg["low_cutoff"].values.tolist() == [0.1, 0.1]
    np.testing.assert_allclose(eeg["x"].values, [-0.03, np.nan])
    assert eeg["position_source"].values.tolist() == ["electrodes.tsv", ""]


def test_types_are_called_alike_and_those_of_the_table_are_kept(made):
    _, root = made
    change(root / "sub-02/eeg/sub-02_task-walk_channels.tsv", "Trig\tMISC", "Trig\tTRIG")
    recording = load(root, "sub-02_task-walk_eeg")
    found = {
        name: (s["type"].values.tolist(), s["type_stated"].values.tolist()) for name, s in recording.signals.items()
    }
    assert found == {
        "eeg": (["eeg", "eeg"], ["EEG", "EEG"]), "eog": (["eog"], ["VEOG"]), "trigger": (["stim"], ["TRIG"])
    }  # fmt: skip


def test_other_columns_of_electrodes_are_kept(made):
    _, root = made
    (root / "sub-02/eeg/sub-02_electrodes.tsv").write_text(
        "name\tx\ty\tz\timpedance\ttype\nCz\t0\t0\t90\t5.5\tcup\n", "utf-8"
    )
    eeg = load(root, "sub-02_task-walk_eeg").signals["eeg"]
    np.testing.assert_array_equal(eeg["impedance"].values, [np.nan, 5.5])
    assert eeg["electrode_type"].values.tolist() == ["", "cup"]


def test_of_several_spaces_the_one_that_is_described_is_read(made):
    _, root = made
    folder = root / "sub-02/eeg"
    (folder / "sub-02_electrodes.tsv").rename(folder / "sub-02_space-CapTrak_electrodes.tsv")
    (folder / "sub-02_coordsystem.json").rename(folder / "sub-02_space-CapTrak_coordsystem.json")
    (folder / "sub-02_space-MNI152Lin_electrodes.tsv").write_text("name\tx\ty\tz\nFp1\t1\t2\t3\n", "utf-8")
    eeg = load(root, "sub-02_task-walk_eeg").signals["eeg"]
    assert (eeg.attrs["space"], float(eeg["x"][0])) == ("CapTrak", -0.03)
    described = {"EEGCoordinateSystem": "MNI152Lin", "EEGCoordinateUnits": "m"}
    (folder / "sub-02_space-MNI152Lin_coordsystem.json").write_text(json.dumps(described))
    eeg = load(root, "sub-02_task-walk_eeg").signals["eeg"]
    assert (eeg.attrs["space"], float(eeg["x"][0])) == ("MNI152Lin", 1.0)


def test_a_missing_unit_is_told_by_the_size_of_the_head(made):
    _, root = made
    folder = root / "sub-02/eeg"
    (folder / "sub-02_coordsystem.json").unlink()
    assert "x" not in load(root, "sub-02_task-walk_eeg").signals["eeg"].coords
    rows = "Fp1\t-3\t11\t2\nCz\t0\t0\t9\nT7\t-8\t0\t0\nT8\t8\t0\t0\nOz\t0\t-8\t3\n"
    (folder / "sub-02_electrodes.tsv").write_text(f"name\tx\ty\tz\n{rows}", "utf-8")
    with pytest.warns(UserWarning, match="states no unit; by the size of the head it is cm"):
        recording = load(root, "sub-02_task-walk_eeg")
    np.testing.assert_allclose(recording.signals["eeg"]["y"].values, [0.11, 0.0])
    assert "it is cm" in recording.metadata["extra"]["electrodes"]


def test_events_without_onset_or_of_negative_duration(made):
    _, root = made
    path = root / "sub-02/eeg/sub-02_task-walk_events.tsv"
    path.write_text("onset\tduration\ttrial_type\tvalue\nn/a\t1\tn/a\t1\n0.5\t-1\tn/a\t7\n2\tn/a\tn/a\t8\n", "utf-8")
    with pytest.warns(UserWarning, match="events") as told:
        trials = load(root, "sub-02_task-walk_eeg").intervals["trials"]
    texts = [str(entry.message) for entry in told]
    assert any("1 events have no onset; left out" in text for text in texts)
    assert any("1 events of negative duration are instants" in text for text in texts)
    assert trials.start.values.tolist() == trials.stop.values.tolist() == [0.5, 2.0]
    assert trials.label.values.tolist() == ["7", "8"]


def test_a_damaged_table_of_one_run_spoils_no_other(made):
    _, root = made
    (root / "sub-02/eeg/sub-02_task-walk_events.tsv").write_text("when\n1\n", "utf-8")
    (root / "sub-02/eeg/sub-02_task-walk_events.tsv").write_bytes(b"\0\1")
    assert load(root, "sub-01_ses-b_task-walk_eeg").intervals["trials"].code.values.tolist() == [2, 1]


def test_links_without_content_and_unknown_formats_are_named(made):
    _, root = made
    (root / "sub-03/ieeg/sub-03_task-walk_ieeg.mefd").mkdir(parents=True)
    (root / "sub-04/eeg").mkdir(parents=True)
    (root / "sub-04/eeg/sub-04_task-walk_eeg.edf").symlink_to("../../.git/annex/objects/x.edf")
    with pytest.warns(UserWarning, match=r"1 runs are of formats that are not read \(sub-03_task-walk_ieeg\.mefd\)"):
        sessions = (loader := Bids(root)).sessions()
    assert "lab/sub-04_task-walk_eeg" in sessions
    with pytest.raises(NeurodataError, match=r"a link whose content is not here.*datalad get"):
        loader.load("lab/sub-04_task-walk_eeg")


def test_links_into_an_annex_are_read(made):
    _, root = made
    path = root / "sub-02/eeg/sub-02_task-walk_eeg.edf"
    expected = load(root, "sub-02_task-walk_eeg").signals["eeg"].values
    (root / ".git/annex").mkdir(parents=True)
    path.rename(root / ".git/annex/MD5E-s1--1.edf")
    path.symlink_to("../../.git/annex/MD5E-s1--1.edf")
    np.testing.assert_array_equal(load(root, "sub-02_task-walk_eeg").signals["eeg"].values, expected)


def test_what_a_run_s_own_loader_reads_is_listed_and_its_sidecar_kept_once(made):
    _, root = made
    folder = root / "sub-02/func"
    (folder / "sub-02_task-rest_bold_mcf.par").write_text("0 0 0 0 0 0\n" * 5)
    recording = load(root, "sub-02_task-rest_bold")
    assert "motion" in recording.signals
    assert "sub-02_task-rest_bold_mcf.par" in {entry["name"] for entry in recording.metadata["source_files"]}
    assert recording.metadata["extra"]["sidecar"]["RepetitionTime"] == 2.0
    assert "sidecar" not in recording.metadata["extra"].get("file", {})


def test_descriptions_of_events_and_of_people_are_found(made):
    _, root = made
    (root / "task-walk_events.json").write_text(json.dumps({"trial_type": {"Levels": {"left": "to the left"}}}))
    change(root / "participants.tsv", "participant_id\tage\tsex", "participant_id\tAge\tGender")
    change(root / "participants.tsv", "sub-01", "01")
    metadata = load(root, "sub-01_ses-b_task-walk_eeg").metadata
    assert metadata["extra"]["events_sidecar"]["trial_type"]["Levels"] == {"left": "to the left"}
    assert (metadata["subject"]["age"], metadata["subject"]["sex"]) == ("P29Y", "F")


def test_parts_of_a_run_are_one_recording(made):
    mne = pytest.importorskip("mne")
    _, root = made
    folder = root / "sub-03/meg"
    folder.mkdir(parents=True)
    info = mne.create_info(["MEG 001", "MEG 002", "STI 014"], 200.0, ["mag", "mag", "stim"])
    raw = mne.io.RawArray(np.random.default_rng(0).normal(size=(3, 220_000)) * 1e-12, info, verbose="error")
    raw.save(
        folder / "sub-03_task-rest_meg.fif", split_size="2MB", split_naming="bids", buffer_size_sec=1, verbose="error"
    )
    recording = load(root, "sub-03_task-rest_meg")
    assert recording.signals["meg_mag"].shape == (220_000, 2)
    assert recording.signals["meg_mag"]["type"].values.tolist() == ["mag", "mag"]
    assert len([entry for entry in recording.metadata["source_files"] if "_split-" in entry["name"]]) > 1


@pytest.mark.parametrize(
    "part", ["sub-01", "sub-01/ses-b", "sub-01/ses-b/eeg", "sub-01/ses-b/eeg/sub-01_ses-b_task-walk_eeg.edf"]
)
def test_a_part_of_a_data_set_is_read_as_in_it(made, part):
    _, root = made
    whole = load(root, "sub-01_ses-b_task-walk_eeg")
    loader = Bids(root / part, dataset="lab")
    session = "lab/sub-01_ses-b_task-walk_eeg"
    assert session in loader.sessions()
    recording = loader.load(session)
    assert recording.metadata["subject"] == whole.metadata["subject"]
    assert recording.intervals["trials"].identical(whole.intervals["trials"])
    assert recording.signals["eeg"].attrs == whole.signals["eeg"].attrs


def test_a_data_set_that_one_stands_in_is_read(made, monkeypatch):
    _, root = made
    (root / "sub-02/sub-02_scans.tsv").write_text(
        "filename\tacq_time\neeg/sub-02_task-walk_eeg.edf\t2020-01-02T03:04:05\n", "utf-8"
    )
    for place, name in ((root, "."), (root.parent, "lab"), (root / "sub-02", ".")):
        monkeypatch.chdir(place)
        loader = Bids(name, dataset="lab")
        assert loader.load("lab/sub-02_task-walk_eeg").metadata["session_start"] == "2020-01-02T03:04:05"
