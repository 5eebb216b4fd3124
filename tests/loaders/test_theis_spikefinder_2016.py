"""Calcium with true spikes: nothing is lost, padding goes, several recordings of a neuron are kept apart."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.theis_spikefinder_2016 import TheisSpikefinder2016

NAME = "CAttached_Theis16_set3_GCaMP6s_V1_cell_{}_mini.mat"


def test_published_values_are_kept(real_data):
    folder = real_data("calcium/cascade-ds15-mouse-v1")
    loader = TheisSpikefinder2016(folder)
    for session in loader.sessions():
        recording = loader.load(session)
        cell = session.rpartition("cell")[2]
        expected = scipy.io.loadmat(folder / NAME.format(cell))["CAttached"][0, 0][0, 0]
        fluorescence = recording.signals["fluorescence"]
        np.testing.assert_array_equal(fluorescence.values[:, 0], expected["fluo_mean"].ravel(), strict=True)
        np.testing.assert_allclose(fluorescence.time.values, expected["fluo_time"].ravel(), rtol=0, atol=1e-9)
        spikes = expected["events_AP"].ravel()
        np.testing.assert_array_equal(recording.events["spikes"]["time"].values, spikes[~np.isnan(spikes)] / 1e4)


def test_recordings_of_a_neuron_are_kept_apart(tmp_path, fake_raw):
    module = fake_raw("theis_spikefinder_2016")
    module.write_raw(tmp_path / "raw")
    loader = TheisSpikefinder2016(tmp_path / "raw")
    assert [session.partition("/")[2] for session in loader.sessions()] == ["cell2", "cell10", "cell10_part2"]
    second = loader.load("theis_spikefinder_2016/cell10_part2")
    np.testing.assert_array_equal(
        second.signals["fluorescence"].values[:, 0], module.recording(2, column=True)["fluo_mean"].ravel()
    )
    assert second.metadata["subject"]["id"] == "cell10"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"fluo_mean": np.zeros((9, 1))}, "9 values of fluorescence for 300 frame times", id="too short"),
        pytest.param({"fluo_time": np.zeros((1, 300))}, "expected frame times that increase", id="no times"),
        pytest.param({"events_AP": np.array([[np.inf]])}, "a spike time is infinite", id="infinite spike"),
        pytest.param({"events_AP": np.array([["a"]])}, "expected real numbers at .*events_AP", id="text"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, fake_raw, change, message):
    module = fake_raw("theis_spikefinder_2016")
    path = tmp_path / NAME.format(1)
    module.write_neuron(path, [module.recording(0, column=True) | change])
    with pytest.raises(RawFileError, match=message):
        TheisSpikefinder2016(path).load("theis_spikefinder_2016/cell1")


def test_missing_fields_are_named(tmp_path, fake_raw):
    module = fake_raw("theis_spikefinder_2016")
    path = tmp_path / NAME.format(1)
    entry = module.recording(0, column=True)
    entry["fluo_means"] = entry.pop("fluo_mean")
    module.write_neuron(path, [entry])
    with pytest.raises(RawFileError, match=r"no variable .*fluo_mean'; did you mean .*fluo_means'"):
        TheisSpikefinder2016(path).load("theis_spikefinder_2016/cell1")
