"""The M1 recording: nothing is lost, and what does not fit is said."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.stevenson_reaching_2011 import StevensonReaching2011


def read_published(real_data):
    folder = real_data("spiking/benjamin2018-m1-s1")
    return folder, scipy.io.loadmat(folder / "m1_stevenson_2011.mat")


def test_published_values_are_kept(real_data):
    folder, expected = read_published(real_data)
    recording = StevensonReaching2011(folder).load("stevenson_reaching_2011/m1")
    for name, variable in (("spike_counts", "spikes"), ("hand_position", "handPos"), ("hand_velocity", "handVel")):
        np.testing.assert_array_equal(recording.signals_stored[name].values, expected[variable].T, strict=True)
    assert np.abs(recording.signals["spike_counts"].time.values - expected["time"][0]).max() < 0.00051


def test_published_times_are_kept_where_asked_for(real_data):
    folder, expected = read_published(real_data)
    recording = StevensonReaching2011(folder, clock="file").load("stevenson_reaching_2011/m1")
    np.testing.assert_array_equal(recording.signals["hand_velocity"].time.values, expected["time"][0])


def test_the_file_alone_is_enough(tmp_path, fake_raw):
    fake_raw("stevenson_reaching_2011").write_raw(tmp_path / "raw")
    path = tmp_path / "raw" / "m1_stevenson_2011.mat"
    assert StevensonReaching2011(path).sessions() == ["stevenson_reaching_2011/m1"]
    assert StevensonReaching2011.claim(path.rename(path.with_name("mine.mat"))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"spikes": np.zeros((6, 199), np.uint8)}, "expected variables of one length", id="a bin short"),
        pytest.param({"time": np.arange(200.0)[None]}, "expected times 50 ms apart", id="other bins"),
        pytest.param({"time": np.full((1, 200), np.nan)}, "expected times 50 ms apart", id="no times"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, fake_raw, change, message):
    path = tmp_path / "m1_stevenson_2011.mat"
    scipy.io.savemat(path, fake_raw("stevenson_reaching_2011").variables() | change)
    with pytest.raises(RawFileError, match=message):
        StevensonReaching2011(path).load("stevenson_reaching_2011/m1")


def test_other_variables_are_not_claimed(tmp_path, fake_raw):
    path = tmp_path / "m1_stevenson_2011.mat"
    scipy.io.savemat(path, fake_raw("stevenson_reaching_2011").variables() | {"more": 1})
    assert StevensonReaching2011.claim(path) == []
    with pytest.raises(RawFileError, match=r"expected m1_stevenson_2011\.mat with the variables handPos"):
        StevensonReaching2011(tmp_path).sessions()
