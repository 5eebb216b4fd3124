"""suite2p folders: equal to what numpy reads, without settings, with wrong ones, and with hostile ones."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.formats.suite2p import Suite2p
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


@pytest.fixture
def plane(tmp_path, fake_raw) -> Path:
    folder = tmp_path / "lab" / "suite2p" / "plane0"
    fake_raw("suite2p").write_plane(folder)
    return folder


def load(folder: Path, **options) -> Recording:
    loader = Suite2p(folder, **options)
    recording = loader.load(loader.sessions()[0])
    validate(recording)
    return recording


def change_ops(plane: Path, **changes) -> None:
    ops = np.load(plane / "ops.npy", allow_pickle=True).item() | changes
    np.save(plane / "ops.npy", np.array(ops, dtype=object))


SIGNALS = {"fluorescence": "F", "neuropil": "Fneu", "deconvolved": "spks"}


def check_values(recording: Recording, plane: Path) -> None:
    for signal, name in SIGNALS.items():
        np.testing.assert_array_equal(
            recording.signals[signal].values, np.load(plane / f"{name}.npy").T, strict=True, err_msg=signal
        )
    stat = np.load(plane / "stat.npy", allow_pickle=True)
    found = recording.signals["fluorescence"]
    iscell = np.load(plane / "iscell.npy")
    np.testing.assert_array_equal(found.is_cell, iscell[:, 0] == 1)
    np.testing.assert_array_equal(found.cell_probability, iscell[:, 1])
    np.testing.assert_array_equal(np.stack([found.y, found.x], 1), np.array([roi["med"] for roi in stat], float))
    for key in ("npix", "radius", "skew", "compact", "std", "aspect_ratio", "footprint", "npix_soma"):
        np.testing.assert_array_equal(found[key].values, np.array([roi[key] for roi in stat]), strict=True)


def test_made_up_planes_are_what_numpy_reads(plane):
    recording = load(plane)
    check_values(recording, plane)
    fluorescence = recording.signals["fluorescence"]
    assert fluorescence.attrs["sampling_rate_hz"] == 30.0
    assert fluorescence.attrs["sampling_rate_source"] == "fs in ops.npy"
    assert fluorescence.attrs["units"] == "a.u."
    assert fluorescence.attrs["space"] == "pixels"
    assert set(fluorescence.plane.values) == {0}
    kept = recording.metadata["extra"]["suite2p"]
    assert kept["neucoeff"] == 0.7
    assert kept["date_proc"] == "2024-01-02T03:04:05"
    assert "somebody" not in str(dict(recording.metadata))
    assert recording.intervals["bad"].start.values.tolist() == [59 / 30]


def test_published_folder_is_what_numpy_reads(real_data):
    plane = real_data("calcium/suite2p-pynapple") / "suite2p" / "plane0"
    recording = load(plane)
    check_values(recording, plane)
    assert recording.signals["fluorescence"].shape == (2000, 219)
    assert recording.signals["fluorescence"].attrs["time_unit"] == "frame"
    assert "sampling_rate_hz" not in recording.signals["fluorescence"].attrs


def test_stated_rate_overrules_the_file_and_both_are_kept(plane):
    recording = load(plane, rate_hz=15.5)
    assert recording.signals["fluorescence"].attrs["sampling_rate_hz"] == 15.5
    assert (
        recording.signals["fluorescence"].attrs["sampling_rate_source"] == "option rate_hz (fs in ops.npy says 30 Hz)"
    )
    assert recording.metadata["extra"]["suite2p"]["fs"] == 30.0
    assert recording.metadata["loader"]["options"]["rate_hz"] == 15.5
    with pytest.raises(NeurodataError, match="option 'rate_hz' must be a positive number, got 0"):
        Suite2p(plane, rate_hz=0)


def test_the_default_rate_is_pointed_out(plane):
    change_ops(plane, fs=10.0)
    source = load(plane).signals["fluorescence"].attrs["sampling_rate_source"]
    assert source == "fs in ops.npy, the default of the program that wrote it: check that it is true"


@pytest.mark.parametrize("fs", [0, -30.0, float("nan"), float("inf"), "30", None, [30.0]], ids=repr)
def test_a_rate_that_is_none_leaves_it_unknown(fs, plane):
    change_ops(plane, fs=fs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = load(plane)
    assert [str(w.message) for w in caught if "no sampling rate" not in str(w.message)] == []
    assert bool(caught) == (fs is not None)
    assert recording.signals["fluorescence"].attrs["time_unit"] == "frame"
    assert load_quietly(plane, rate_hz=7.0).signals["fluorescence"].attrs["sampling_rate_hz"] == 7.0


def load_quietly(plane: Path, **options) -> Recording:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(plane, **options)


class Call:
    def __init__(self, function, *arguments):
        self.parts = (function, arguments)

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize("name", ["ops.npy", "stat.npy"])
def test_hostile_pickles_are_left_out_and_the_traces_read(name, plane, tmp_path):
    shape = () if name == "ops.npy" else (5,)
    hostile = np.empty(shape, object)
    hostile[...] = Call(os.system, f"touch {tmp_path / 'executed'}")
    with (plane / name).open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": shape})
        pickle.dump(hostile, stream, protocol=3)
    with pytest.warns(UserWarning, match=rf"{name}: refused, reading it would call posix.system.*traces beside it"):
        recording = load(plane)
    assert not (tmp_path / "executed").exists()
    np.testing.assert_array_equal(recording.signals["fluorescence"].values, np.load(plane / "F.npy").T)
    assert "posix.system" in recording.metadata["extra"]["unread"][name]


def test_combined_planes_are_passed_over_where_the_planes_are(tmp_path, fake_raw):
    write = fake_raw("suite2p").write_plane
    write(tmp_path / "s" / "plane0")
    write(tmp_path / "s" / "combined")
    found, skipped = find_recordings(tmp_path / "s", [Suite2p])
    assert [entry.name for entry in found] == ["plane0"]
    assert any("these are the regions of plane0 once more" in entry.reason for entry in skipped)
    write(tmp_path / "only" / "combined")
    assert [entry.name for entry in find_recordings(tmp_path / "only", [Suite2p])[0]] == ["combined"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [">f4", "<f8", "<f2", "<i2"])
def test_other_types_and_orders(kind, order, plane):
    values = np.asarray(np.load(plane / "F.npy"), dtype=kind, order=order)
    np.save(plane / "F.npy", values)
    found = load(plane).signals_stored["fluorescence"]
    np.testing.assert_array_equal(found.values, values.T)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found[7:11, 2:4].values, values.T[7:11, 2:4])


def test_old_and_partial_folders(plane):
    for name in ("Fneu.npy", "spks.npy", "stat.npy", "ops.npy"):
        (plane / name).unlink()
    np.save(plane / "iscell.npy", np.array([1.0, 0, 1, 0, 0]))
    recording = load(plane)
    assert set(recording.signals) == {"fluorescence"}
    assert recording.signals["fluorescence"].is_cell.values.tolist() == [True, False, True, False, False]


def test_statistics_that_some_regions_lack(plane):
    stat = np.load(plane / "stat.npy", allow_pickle=True)
    del stat[1]["skew"], stat[2]["med"]
    stat[3]["new key"] = 1
    stat[3]["label"] = 2
    np.save(plane / "stat.npy", stat)
    found = load(plane).signals["fluorescence"]
    assert np.isnan(found.skew.values).tolist() == [False, True, False, False, False]
    assert np.isnan(found.x.values).tolist() == [False, False, True, False, False]


def test_settings_of_newer_versions(plane):
    (plane / "ops.npy").unlink()
    np.save(plane / "settings.npy", np.array({"fs": 12.5, "run": {"do_registration": 1}}, dtype=object))
    assert load(plane).signals["fluorescence"].attrs["sampling_rate_hz"] == 12.5


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        pytest.param("spks", np.zeros((5, 59), "f4"), r"spks.npy: shape \(ROI, frame\) is \(5, 59\)", id="frames"),
        pytest.param("F", np.zeros((2, 3, 4)), r"F.npy: expected traces of shape \(ROI, frame\)", id="dimensions"),
        pytest.param("stat", np.array([{}] * 4), r"stat.npy: expected a dictionary for each of the 5", id="statistics"),
    ],
)
def test_files_of_another_run_are_refused(name, values, message, plane):
    np.save(plane / f"{name}.npy", values)
    with pytest.raises(RawFileError, match=message):
        load(plane)


@pytest.mark.parametrize("name", ["iscell", "redcell"])
def test_flags_of_other_regions_are_left_out_and_the_traces_read(name, plane):
    np.save(plane / f"{name}.npy", np.zeros((4, 2)))
    with pytest.warns(UserWarning, match=rf"{name}.npy: expected one row for each of the 5 ROIs"):
        recording = load(plane)
    fluorescence = recording.signals["fluorescence"]
    np.testing.assert_array_equal(fluorescence.values, np.load(plane / "F.npy").T)
    assert ("is_cell" in fluorescence.coords) == (name == "redcell")
    assert "of shape (4, 2)" in recording.metadata["extra"]["unread"][f"{name}.npy"]


def test_a_rate_in_a_matrix_of_one_is_a_rate(plane):
    change_ops(plane, fs=np.array([[7.5]]))
    assert load(plane).signals["fluorescence"].attrs["sampling_rate_hz"] == 7.5


def test_a_plane_without_regions_is_named(plane):
    for name in ("F", "Fneu", "spks"):
        np.save(plane / f"{name}.npy", np.zeros((0, 60), "f4"))
    np.save(plane / "iscell.npy", np.zeros((0, 2)))
    with pytest.raises(RawFileError, match=r"plane0: F.npy has 0 regions and 60 frames"):
        Suite2p(plane).sessions()


def test_a_truncated_file_is_refused(plane):
    content = (plane / "F.npy").read_bytes()
    (plane / "F.npy").write_bytes(content[:-100])
    with pytest.raises(RawFileError, match=r"F.npy: the header says shape \(5, 60\) of float32, which is 1200 bytes"):
        load(plane)


def test_other_folders_are_not_claimed(tmp_path):
    np.save(tmp_path / "F.npy", np.zeros((3, 4)))
    assert Suite2p.claim(tmp_path) == []
    assert Suite2p.claim(tmp_path / "F.npy") == []
