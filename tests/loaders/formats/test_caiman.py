"""CaImAn's results: the numbers of the file, footprints' centres, and what may be missing or wrong."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.formats.caiman import Caiman
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


@pytest.fixture
def raw(tmp_path, fake_raw) -> Path:
    fake_raw("caiman").write_raw(tmp_path / "lab")
    return tmp_path / "lab" / "analysis_results.hdf5"


def load(path: Path, **options) -> Recording:
    loader = Caiman(path, **options)
    recording = loader.load(loader.sessions()[0])
    validate(recording)
    return recording


def test_values_are_those_of_the_file(raw, fake_raw):
    expected = fake_raw("caiman").make_results()
    recording = load(raw)
    for key, name in (("C", "calcium"), ("F_dff", "dff"), ("S", "deconvolved"), ("YrA", "residual")):
        signal = recording.signals[name]
        np.testing.assert_array_equal(signal.values, expected[key].T, strict=True)
        np.testing.assert_array_equal(signal[20:30, 1:3].values, expected[key].T[20:30, 1:3])
        assert list(signal.accepted.values) == [True, False, True, True, False]
        assert signal.attrs["sampling_rate_hz"] == 15.0
    calcium = recording.signals["calcium"]
    np.testing.assert_array_equal(calcium.snr, expected["SNR_comp"])
    np.testing.assert_array_equal(calcium.r_value, expected["r_values"])
    assert "cnn_prediction" not in calcium.coords
    assert recording.signals["dff"].attrs["units"] == "dF/F"
    assert recording.metadata["extra"]["caiman"] == {"fr": 15.0, "decay_time": 0.4, "dxy": [1.0, 1.0]}


def test_places_are_the_footprints_centres_of_mass(raw, fake_raw):
    footprints = fake_raw("caiman").make_results()["A"].toarray()
    calcium = load(raw).signals["calcium"]
    for cell in range(4):
        image = footprints[:, cell].reshape(8, 6, order="F")
        y, x = np.mgrid[:8, :6]
        assert calcium.y.values[cell] == pytest.approx((image * y).sum() / image.sum())
        assert calcium.x.values[cell] == pytest.approx((image * x).sum() / image.sum())
    assert np.isnan(calcium.x.values[4])
    assert calcium.attrs["space"] == "pixels"


def test_everything_at_the_top_level(raw, fake_raw):
    recording = load(raw.with_name("flat.h5"))
    np.testing.assert_array_equal(recording.signals["calcium"].values, fake_raw("caiman").make_results(1)["C"].T)
    assert set(recording.signals) == {"calcium", "deconvolved", "residual"}
    assert "accepted" not in recording.signals["calcium"].coords
    assert recording.signals["calcium"].attrs["sampling_rate_hz"] == 20.0


def test_stated_rate_overrules_the_file(raw):
    attributes = load(raw, rate_hz=7.5).signals["calcium"].attrs
    assert attributes["sampling_rate_hz"] == 7.5
    assert attributes["sampling_rate_source"] == "option rate_hz (fr in params says 15 Hz)"


def test_without_a_rate_time_counts_frames(raw):
    with h5py.File(raw, "a") as file:
        del file["params"]
    assert load(raw).signals["calcium"].attrs["time_unit"] == "frame"


def test_the_default_rate_is_pointed_out(raw):
    with h5py.File(raw, "a") as file:
        file["params/data/fr"][()] = 30.0
    assert "check that it is true" in load(raw).signals["calcium"].attrs["sampling_rate_source"]


def test_a_trace_of_another_shape_is_left_out(raw):
    with h5py.File(raw, "a") as file:
        del file["estimates/F_dff"]
        file["estimates/F_dff"] = np.zeros((3, 70))
    with pytest.warns(UserWarning, match=r"F_dff is float64 of shape \(3, 70\), C has \(5, 70\); it is left out"):
        recording = load(raw)
    assert "dff" not in recording.signals
    assert "F_dff" in recording.metadata["extra"]["left_out"]


def test_dense_footprints_and_other_dims(raw, fake_raw):
    dense = fake_raw("caiman").make_results()["A"].toarray()
    before = load(raw).signals["calcium"]
    with h5py.File(raw, "a") as file:
        del file["estimates/A"]
        file["estimates/A"] = dense
    after = load(raw).signals["calcium"]
    np.testing.assert_allclose(after.x.values, before.x.values)
    with h5py.File(raw, "a") as file:
        file["estimates/dims"][()] = [8, 7]
    assert "x" not in load(raw).signals["calcium"].coords


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"estimates/idx_components": [0, 9]}, r"idx_components lists component 9, there are 5", id="component"
        ),
        pytest.param({"estimates/A/indptr": [0, 1, 2, 3, 4, 99]}, r"no sparse matrix of shape", id="ends"),
        pytest.param({"estimates/A/indices": np.full(16, 48)}, r"no sparse matrix of shape", id="pixels"),
    ],
)
def test_what_does_not_fit_is_refused(change, message, raw):
    with h5py.File(raw, "a") as file:
        for key, value in change.items():
            del file[key]
            file[key] = np.asarray(value)
    with pytest.raises(RawFileError, match=rf"analysis_results.hdf5: .*{message}"):
        load(raw)


def test_other_hdf5_is_not_claimed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["C"] = np.zeros((3, 4))
        file["data"] = np.zeros(3)
    assert Caiman.claim(tmp_path / "a.h5") == []
    assert Caiman.claim(tmp_path) == []


def test_a_truncated_file_is_refused(raw):
    raw.write_bytes(raw.read_bytes()[:5000])
    with pytest.raises(RawFileError, match="truncated or damaged"):
        load(raw)
