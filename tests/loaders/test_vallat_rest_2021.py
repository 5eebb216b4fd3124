"""Resting EEG of YASA's notebooks: what is particular to it."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.vallat_rest_2021 import VallatRest2021

SESSION = "vallat_rest_2021/rest"


def test_real_file_is_read_without_loss(real_data):
    folder = real_data("eeg/yasa-rest-fif")
    recording = VallatRest2021(folder).load(SESSION)
    raw = mne.io.read_raw_fif(folder / "data_resting_EO_200Hz_raw.fif", verbose="error")
    eeg = recording.signals["eeg"]
    np.testing.assert_array_max_ulp(eeg.values, raw.get_data().T.astype(np.float32), maxulp=1)
    assert eeg.channel_id.values.tolist() == raw.ch_names
    assert eeg.label.values.tolist() == ["F4-A1", "Cz-A2"]
    assert not {"x", "y", "z"} & set(eeg.coords)
    assert recording.metadata["session_start"] == "2019-02-27T08:18:12+00:00"


def test_other_channels_are_another_recording(fake_raw, tmp_path):
    fake_raw("vallat_rest_2021").write_raw(tmp_path, ("F3-A2", "CZ-A2"))
    assert VallatRest2021.claim(tmp_path) == []
    with pytest.raises(RawFileError, match="expected the derivations F4-A1 and CZ-A2, got F3-A2, CZ-A2"):
        VallatRest2021(tmp_path).load(SESSION)
