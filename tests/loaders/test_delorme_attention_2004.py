"""EEGLAB's tutorial recording: what is particular to it."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.delorme_attention_2004 import DelormeAttention2004

SESSION = "delorme_attention_2004/attention"


def test_real_file_is_read_without_loss(real_data):
    folder = real_data("eeg/eeglab-sample")
    recording = DelormeAttention2004(folder).load(SESSION)
    raw = mne.io.read_raw_eeglab(folder / "eeglab_data.set", verbose="error")
    for name, n_channels in (("eeg", 30), ("eog", 2)):
        signal = recording.signals[name]
        expected = raw.get_data(signal.channel_id.values.tolist()).T.astype(np.float32)
        assert signal.shape == (30504, n_channels)
        np.testing.assert_array_max_ulp(signal.values, expected, maxulp=1)
    events = recording.events["annotations"]
    np.testing.assert_allclose(events.time, raw.annotations.onset, rtol=0, atol=1e-6)  # MNE rounds to microseconds
    assert events.label.values.tolist() == raw.annotations.description.tolist()
    assert (events.label.values == "square").sum() == 80
    assert set(events.position.values[events.label.values == "square"]) == {1.0, 2.0}


def test_made_up_answers(fake_raw, tmp_path):
    fake = fake_raw("delorme_attention_2004")
    fake.write_raw(tmp_path)
    recording = DelormeAttention2004(tmp_path).load(SESSION)
    expected = (fake.microvolts().T.astype(float) * 1e-6).astype(np.float32)
    np.testing.assert_array_equal(recording.signals["eog"].values, expected[:, [1, 5]])
    np.testing.assert_allclose(
        recording.events["annotations"].time, [128.00875 / 128, 217.00875 / 128, 266.54813625 / 128]
    )
    assert recording.signals["eeg"].attrs["source_units"] == "uV"
    assert set(recording.signals["eeg"].position_source.values) == {"file"}
    assert [file["name"] for file in recording.metadata["source_files"]] == [
        "eeglab_data.set", "eeglab_data.fdt", "eeglab_chan32.locs",
    ]  # fmt: skip


def test_other_labs_recordings_of_that_name_are_not_claimed(fake_raw, tmp_path):
    fake = fake_raw("delorme_attention_2004")
    fake.write_raw(tmp_path, ("EOG3", *fake.NAMES[1:]))
    with pytest.raises(RawFileError, match="expected 30 channels of EEG and 2 of EOG, got 3 eog, 29 eeg"):
        DelormeAttention2004(tmp_path).load(SESSION)
    content = (tmp_path / "eeglab_data.set").read_bytes().replace(b"square", b"circle")
    (tmp_path / "eeglab_data.set").write_bytes(content)
    assert DelormeAttention2004.claim(tmp_path) == []
