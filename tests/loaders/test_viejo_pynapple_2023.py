"""pynapple's suite2p folder."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.viejo_pynapple_2023 import ViejoPynapple2023
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.formats.suite2p import Suite2p


def test_published_values_are_those_in_the_files(real_data):
    raw = real_data("calcium/suite2p-pynapple")
    recording = ViejoPynapple2023(raw).load("viejo_pynapple_2023/2022_08_08")
    for signal, name in (("fluorescence", "F"), ("neuropil", "Fneu"), ("deconvolved", "spks")):
        values = np.load(raw / "suite2p" / "plane0" / f"{name}.npy")
        np.testing.assert_array_equal(recording.signals[signal].values, values.T, strict=True)
    iscell = np.load(raw / "suite2p" / "plane0" / "iscell.npy")
    np.testing.assert_array_equal(recording.signals["deconvolved"].is_cell, iscell[:, 0] == 1)
    assert recording.metadata["licence"].startswith("MIT")


def test_the_data_set_has_its_folder_and_leaves_others_to_suite2p(tmp_path, fake_raw):
    fake_raw("viejo_pynapple_2023").write_raw(tmp_path / "raw")
    loaders = [ViejoPynapple2023, Suite2p]
    assert [entry.loader for entry in find_recordings(tmp_path / "raw", loaders)[0]] == [ViejoPynapple2023]
    np.save(tmp_path / "raw" / "suite2p" / "plane0" / "ops.npy", np.array({"fs": 30.0}, dtype=object))
    assert [entry.loader for entry in find_recordings(tmp_path / "raw", loaders)[0]] == [Suite2p]
    with pytest.raises(RawFileError, match=r"expected suite2p/plane0/F\.npy of 219 regions and 2000 frames"):
        ViejoPynapple2023(tmp_path / "raw").sessions()


def test_a_stated_rate_gives_seconds(tmp_path, fake_raw):
    fake_raw("viejo_pynapple_2023").write_raw(tmp_path)
    recording = ViejoPynapple2023(tmp_path, rate_hz=20).load("viejo_pynapple_2023/2022_08_08")
    assert recording.duration_seconds == 100.0
    assert recording.metadata["loader"]["options"] == {"rate_hz": 20}
