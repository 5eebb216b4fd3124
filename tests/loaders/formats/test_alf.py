"""Sessions with ALF names."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.formats.alf import Alf
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


@pytest.fixture
def fake(fake_raw) -> ModuleType:
    return fake_raw("alf")


@pytest.fixture
def ibl(fake, tmp_path) -> Path:
    session = tmp_path / "cortexlab" / "Subjects" / "KS_014" / "2019-12-03" / "001"
    fake.write_ibl(session)
    return session


@pytest.fixture
def steinmetz(fake, tmp_path) -> Path:
    fake.write_steinmetz(tmp_path / "Cori_2016-12-14")
    return tmp_path / "Cori_2016-12-14"


def load(path: Path, **options) -> Recording:
    loader = Alf(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def test_spikes_of_two_probes_and_the_newest_sorting_of_each(ibl):
    recording = load(ibl)
    spikes, units = recording.events["spikes"], recording.units
    probes = [ibl / "alf/probe00/pykilosort", ibl / "alf/probe01/pykilosort/#2024-05-06#"]
    assert units["unit_id"].values.tolist() == [f"probe0{p}_{i}" for p in (0, 1) for i in range(5)]
    for number, folder in enumerate(probes):
        own = units["probe"].values[spikes["unit"].values] == f"probe0{number}"
        np.testing.assert_array_equal(spikes["time"].values[own], np.load(folder / "spikes.times.npy"))
        np.testing.assert_array_equal(spikes["amps"].values[own], np.load(folder / "spikes.amps.npy"))
        np.testing.assert_array_equal(spikes["unit"].values[own] - 5 * number, np.load(folder / "spikes.clusters.npy"))
    assert spikes["depths"].dtype == np.float32
    assert "probe00/spikes" in recording.metadata["extra"]["not_read"]
    assert "clusters.waveforms.npy" in recording.metadata["extra"]["not_read"]
    older = load(ibl, skip="trials", sorter=None)
    assert "trials" not in older.intervals


def test_the_sorting_asked_for(ibl):
    with pytest.raises(RawFileError, match="'probe01' was not sorted by ''; there is 'pykilosort'"):
        load(ibl, sorter="")
    for path in sorted((ibl / "alf/probe01").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    recording = load(ibl, sorter="")
    assert recording.events["spikes"].sizes["event"] == 10
    assert recording.units["unit_id"].values.tolist() == ["0", "1", "2", "3", "4"]


def test_units_have_the_columns_of_clusters_metrics_and_channels(ibl):
    units = load(ibl).units
    folder = ibl / "alf/probe00/pykilosort"
    channel = np.load(folder / "clusters.channels.npy")
    np.testing.assert_array_equal(units["channels"].values[:5], channel)
    np.testing.assert_array_equal(units["region_id"].values[:5], 100 + channel)
    np.testing.assert_array_equal(units["probe_y"].values[:5], 20.0 * channel)
    np.testing.assert_array_equal(units["z"].values[:5], np.load(folder / "channels.mlapdv.npy")[channel, 2])
    np.testing.assert_array_equal(units["label"].values[:5], [1.0, np.nan, 0.5, 0.0, np.nan])
    assert units["ks2_label"].values[:5].tolist() == ["good", "", "mua", "good", ""]
    assert units["uuids"].values[[0, 5]].tolist() == ["u10", "u30"]


def test_trials_have_every_column(ibl):
    trials = load(ibl).intervals["trials"]
    table = pd.read_parquet(next((ibl / "alf").glob("_ibl_trials.table.*.pqt")))
    np.testing.assert_array_equal(trials["start"], table["intervals_0"])
    np.testing.assert_array_equal(trials["stop"], table["intervals_1"])
    np.testing.assert_array_equal(trials["contrastLeft"], table["contrastLeft"])
    np.testing.assert_array_equal(trials["goCueTrigger_times"], np.load(ibl / "alf/_ibl_trials.goCueTrigger_times.npy"))
    assert {"intervals_bpod_0", "intervals_bpod_1", "choice", "stimOn_times"} < set(trials.data_vars)


def test_signals_events_and_other_intervals(ibl, fake):
    recording = load(ibl)
    wheel = recording.signals["wheel_position"]
    np.testing.assert_array_equal(wheel.values[:, 0], np.load(ibl / "alf/_ibl_wheel.position.npy"))
    np.testing.assert_array_equal(wheel.time.values, np.load(ibl / "alf/_ibl_wheel.timestamps.npy"))
    assert (wheel.attrs["units"], wheel.attrs["role"]) == ("rad", "behavior")
    dlc = recording.signals["leftCamera_dlc"]
    assert dlc.coords["channel_id"].values.tolist() == ["nose_tip_x", "nose_tip_y", "nose_tip_likelihood"]
    np.testing.assert_array_equal(dlc.values, pd.read_parquet(ibl / "alf/_ibl_leftCamera.dlc.pqt").to_numpy())
    assert recording.signals["leftCamera_ROIMotionEnergy"].shape == (fake.N_FRAMES, 1)
    np.testing.assert_array_equal(recording.events["licks"]["time"], np.load(ibl / "alf/licks.times.npy"))
    assert recording.intervals["wheelMoves"]["peakAmplitude"].values.tolist() == [0.1, 0.2]
    stims = recording.intervals["passiveStims"]
    assert stims["label"].values.tolist() == ["valve", "tone", "valve", "tone"]
    assert stims["start"].values.tolist() == [80.0, 81.0, 82.0, 83.0]


def test_passive_periods_are_those_that_took_place(ibl):
    periods = load(ibl).intervals["passivePeriods"]
    assert periods["stop"].values.tolist() == [90.0, 60.0, 90.0]
    assert periods["label"].values.tolist() == ["passiveProtocol", "spontaneousActivity", "RFM"]


def test_subject_and_date_come_from_the_path(ibl, steinmetz):
    metadata = load(ibl).metadata
    assert metadata["subject"]["id"] == "KS_014"
    assert (metadata["session_start"], metadata["session"]) == ("2019-12-03", "2019-12-03/001")
    assert metadata["extra"]["lab"] == "cortexlab"
    other = load(steinmetz, species="Mus musculus").metadata
    assert (other["subject"]["id"], other["session_start"]) == ("Cori", "2016-12-14")
    assert other["subject"]["species"] == "Mus musculus"
    assert load(ibl / "alf").metadata["subject"]["id"] == "KS_014"


def test_matlab_columns_and_channels_counted_from_one(steinmetz):
    recording = load(steinmetz)
    units = recording.units
    assert units["region"].values.tolist() == ["VISp", "root", "VISp"]
    assert units["probe_x"].values.tolist() == [43.0, 27.0, 11.0]
    assert units["phy_annotation"].values.tolist() == [2, 3, 1]
    assert units["unit_id"].values.tolist() == ["0", "1", "2"]
    assert recording.intervals["trials"]["response_choice"].values.tolist() == [1.0, -1.0]
    assert recording.events["passiveBeeps"]["time"].values.tolist() == [94.0, 95.0]
    assert recording.events["sparseNoise"]["positions_1"].values.tolist() == [2.0, 4.0]
    assert recording.intervals["spontaneous"].sizes["interval"] == 1


def test_timestamps_in_two_columns_are_interpolated(steinmetz):
    recording = load(steinmetz)
    wheel = recording.signals_stored["wheel_position"]
    assert wheel.attrs["sampling_rate_hz"] == pytest.approx(5.0)
    assert wheel.attrs["start_seconds"] == pytest.approx(2.0)
    assert wheel.dtype == np.float32
    face = recording.signals["face_motionEnergy"].time.values
    np.testing.assert_allclose(face[[0, 15, 30, 40, 50, 59]], [1.0, 1.5, 2.0, 3.0, 4.0, 4.9])
    eye = recording.signals["eye_xyPos"]  # counted from 1
    assert eye.attrs["start_seconds"] == pytest.approx(1.0)
    assert eye.time.values[-1] == pytest.approx(2.0)


def test_imaging_is_neural(fake, tmp_path):
    session = tmp_path / "SP001" / "2023-01-01" / "002"
    frames = np.arange(30) / 5.0
    for fov in (0, 1):
        fake.save(session / f"alf/FOV_0{fov}", mpci__times=frames + 0.01 * fov, mpci__ROIActivityF=np.ones((30, 12), np.float32),
                  mpciROIs__stackPos=np.ones((12, 3), int), mpciROIs__mpciROITypes=np.arange(12))  # fmt: skip
    recording = load(session)
    signal = recording.signals["FOV_01_mpci_ROIActivityF"]
    assert (signal.shape, signal.attrs["role"]) == ((30, 12), "neural")
    assert signal.coords["channel_id"].values[0] == "FOV_01_roi00000"
    assert signal.coords["mpciROITypes"].values.tolist() == list(range(12))
    assert recording.metadata["modality"] == "calcium"


def test_samples_without_a_time_are_left_out_with_a_warning(ibl, fake):
    times = np.load(ibl / "alf/_ibl_leftCamera.times.npy")
    times[:3] = np.nan
    times[10] = times[9]
    np.save(ibl / "alf/_ibl_leftCamera.times.npy", times)
    with (
        pytest.warns(UserWarning, match="leftCamera.times.npy: 3 samples without a time are left out"),
        pytest.warns(UserWarning, match="leftCamera.times.npy: 1 samples have the time of the one before"),
    ):
        signal = load(ibl).signals["leftCamera_ROIMotionEnergy"]
    np.testing.assert_array_equal(signal.values[:, 0], np.load(ibl / "alf/leftCamera.ROIMotionEnergy.npy")[3:])
    np.testing.assert_allclose(signal.time.values, times[3:], atol=1e-12)


def test_parts_are_put_together_in_order(steinmetz, fake):
    fake.save(steinmetz, lickPiezo__raw__2=np.arange(4.0), lickPiezo__raw__1=np.arange(4.0) - 4,
              lickPiezo__timestamps=np.array([[0, 0.0], [7, 7.0]]))  # fmt: skip
    assert load(steinmetz).signals["lickPiezo_raw"].values[:, 0].tolist() == list(range(-4, 4))


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        pytest.param("alf/_ibl_trials.goCueTrigger_times", np.zeros(5), r"'trials' differ in their number of rows: .*goCueTrigger_times.npy has 5.*--set skip=trials", id="trials"),
        pytest.param("alf/_ibl_wheel.timestamps", np.arange(39.0), r"'wheel' differ .*_ibl_wheel.timestamps.npy has 39, _ibl_wheel.position.npy has 40", id="wheel"),
        pytest.param("alf/leftCamera.ROIMotionEnergy", np.zeros(49), r"'leftCamera' differ .*ROIMotionEnergy.npy has 49", id="camera"),
        pytest.param("alf/probe00/pykilosort/spikes.clusters", np.zeros(7, int), r"spikes.clusters.npy: has shape \(7,\), but spikes.times.npy has 200", id="spikes"),
        pytest.param("alf/probe00/pykilosort/spikes.clusters", np.full(200, 5), r"clusters run from 5 to 5, but clusters.* have 5 rows", id="cluster"),
        pytest.param("alf/probe00/pykilosort/spikes.times", np.full(200, np.nan), "expected one finite time per spike", id="nan"),
        pytest.param("alf/_ibl_wheel.timestamps", -np.arange(40.0), "times run backwards at sample 1 .*--set skip=wheel", id="backwards"),
        pytest.param("alf/_ibl_wheel.timestamps", np.array([[5, 1.0], [5, 2.0]]), "expected increasing sample numbers", id="sync points"),
        pytest.param("alf/licks.times", np.array(["a"]), "times of the object 'licks' are <U1, expected seconds", id="text"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(ibl, name, values, text):
    np.save(ibl / f"{name}.npy", values)
    with pytest.raises(RawFileError, match=text):
        load(ibl)
    if "wheel" in name:
        assert "wheel_position" not in load(ibl, skip="wheel").signals


def test_two_copies_of_a_file_are_refused(ibl, fake):
    np.save(ibl / f"alf/licks.times.{fake.UUID}.npy", np.zeros(3))
    with pytest.raises(
        NeurodataError, match=r"licks\.times\.npy.* beside it is the same attribute; keep the one that is meant"
    ):
        load(ibl)


def test_more_continuous_objects(ibl, fake):
    fake.save(ibl / "alf", pupil__times=np.arange(9.0), pupil__area=np.ones(9))
    assert "area" in load(ibl).events["pupil"]
    assert load(ibl, continuous="pupil").signals["pupil_area"].shape == (9, 1)


def test_other_folders_are_not_claimed(tmp_path, ibl):
    assert Alf.claim(ibl.parent) == []
    assert Alf.claim(ibl.parents[3]) == []
    np.save(tmp_path / "spike_times.npy", np.zeros(3))
    np.save(tmp_path / "results.final.npy", np.zeros(3))
    assert Alf.claim(tmp_path) == []
    assert Alf.claim(tmp_path / "results.final.npy") == []
