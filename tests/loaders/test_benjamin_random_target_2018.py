"""The S1 recording: nothing is lost, and each file of the folder goes to its own loader."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.benjamin_random_target_2018 import BenjaminRandomTarget2018
from neurodata.loaders.datasets.stevenson_reaching_2011 import StevensonReaching2011
from neurodata.loaders.discover import find_recordings


def test_published_values_are_kept(real_data):
    folder = real_data("spiking/benjamin2018-m1-s1")
    expected = scipy.io.loadmat(folder / "s1_data.mat")
    recording = BenjaminRandomTarget2018(folder).load("benjamin_random_target_2018/s1")
    for name, variable in (("spike_counts", "spikes"), ("hand_position", "pos"), ("hand_velocity", "vel")):
        np.testing.assert_array_equal(recording.signals_stored[name].values, expected[variable], strict=True)


def test_each_file_of_the_folder_has_its_loader(tmp_path, fake_raw):
    for name in ("stevenson_reaching_2011", "benjamin_random_target_2018"):
        fake_raw(name).write_raw(tmp_path / name)
        for path in (tmp_path / name).iterdir():
            path.rename(tmp_path / path.name)
        (tmp_path / name).rmdir()
    found, skipped = find_recordings(tmp_path, [StevensonReaching2011, BenjaminRandomTarget2018])
    assert {entry.claim.path.name: entry.loader for entry in found} == {
        "m1_stevenson_2011.mat": StevensonReaching2011,
        "s1_data.mat": BenjaminRandomTarget2018,
    }
    assert skipped == []


def test_unequal_lengths_are_said(tmp_path, fake_raw):
    path = tmp_path / "s1_data.mat"
    scipy.io.savemat(path, fake_raw("benjamin_random_target_2018").variables() | {"vel": np.zeros((3, 2))})
    with pytest.raises(RawFileError, match=r"expected variables of one length, got .*'vel': 3"):
        BenjaminRandomTarget2018(path).load("benjamin_random_target_2018/s1")
