"""Recordings as `mne.io.Raw`: what comes back through a saved file is what was there."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.exports.to_mne import to_mne
from neurodata.identity.eeg_montage import positions
from neurodata.loaders.formats.mne_raw import MneRaw
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal

METADATA = {
    "dataset": "d",
    "recording_id": "d/r",
    "subject": {"id": "S1", "species": "Homo sapiens", "sex": "F", "description": "left-handed"},
    "modality": "eeg",
    "session_start": "2021-02-03T04:05:06+00:00",
}
LABELS = ["Fz", "Cz", "Pz"]


def make(values=None, *, rate_hz=100.0, metadata=METADATA, **more):
    values = np.random.default_rng(0).normal(scale=20, size=(500, 3)).astype(np.float32) if values is None else values
    place = positions(LABELS)
    columns = {
        "label": LABELS, "type": ["eeg"] * 3, "bad": [False, True, False],
        "x": place[:, 0], "y": place[:, 1], "z": place[:, 2],
    }  # fmt: skip
    eeg = make_signal(
        values, channel_id=["e1", "e2", "e3"], units="uV", rate_hz=rate_hz, columns=columns, space="head",
        highpass_hz=0.5, lowpass_hz=30.0, line_frequency_hz=50.0, **more,
    )  # fmt: skip
    hand = make_signal(np.ones((500, 1)), channel_id=["v"], units="m/s", role="behavior", rate_hz=100.0)
    eye = make_signal(np.ones((500, 1)), channel_id=["EOG1"], units="mV", rate_hz=100.0, columns={"type": ["eog"]})
    events = {
        "annotations": make_events([1.0], label=["blink"]),
        "stim": make_events([2.0], label=["5"], code=[5]),
        "spikes": make_events([0.5], unit=np.zeros(1, int)),
    }
    intervals = {
        "annotations": make_intervals([1.5], [2.5], label=["BAD_move"]),
        "trials": make_intervals([3.0], [4.0]),
    }
    return Recording(metadata, {"eeg": eeg, "hand": hand, "eog": eye}, events, intervals)


def test_values_in_volts_with_all_that_is_known():
    recording = make()
    raw = to_mne(recording)
    assert raw.ch_names == LABELS
    np.testing.assert_allclose(raw.get_data().T, recording.signals["eeg"].values * 1e-6, rtol=1e-6)
    assert raw.info["bads"] == ["Cz"]
    assert (raw.info["highpass"], raw.info["lowpass"], raw.info["line_freq"]) == (0.5, 30.0, 50.0)
    assert raw.info["meas_date"].isoformat() == "2021-02-03T04:05:06+00:00"
    assert (raw.info["subject_info"]["his_id"], raw.info["subject_info"]["sex"], raw.info["subject_info"]["hand"]) == (
        "S1",
        2,
        2,
    )
    places = raw.get_montage().get_positions()["ch_pos"]
    np.testing.assert_allclose([places[name] for name in LABELS], positions(LABELS))
    found = sorted(zip(raw.annotations.onset.tolist(), raw.annotations.duration.tolist(), raw.annotations.description))
    assert found == [(1.0, 0.0, "blink"), (1.5, 1.0, "BAD_move"), (2.0, 0.0, "stim/5"), (3.0, 1.0, "trials")]


def test_several_signals_of_one_clock():
    raw = to_mne(make(), ["eeg", "eog", "hand"])
    assert raw.ch_names == ["e1", "e2", "e3", "EOG1", "v"]
    assert raw.get_channel_types() == ["eeg", "eeg", "eeg", "eog", "misc"]
    assert raw.get_data("EOG1")[0, 0] == pytest.approx(1e-3)
    assert raw.get_data("v")[0, 0] == 1.0


def test_there_and_back_through_a_file(tmp_path):
    recording = make()
    to_mne(recording).save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    loader = MneRaw(tmp_path)
    [session] = loader.sessions()
    back = loader.load(session)
    old, new = recording.signals["eeg"], back.signals["eeg"]
    np.testing.assert_allclose(new.values, old.values * 1e-6, rtol=1e-6)
    assert new.label.values.tolist() == LABELS
    assert new.bad.values.tolist() == [False, True, False]
    np.testing.assert_allclose(np.stack([new.x, new.y, new.z], 1), np.stack([old.x, old.y, old.z], 1), atol=1e-6)
    assert set(new.position_source.values) == {"file"}
    assert (new.attrs["highpass_hz"], new.attrs["lowpass_hz"]) == (0.5, 30.0)
    assert back.metadata["session_start"] == METADATA["session_start"]
    assert back.metadata["subject"]["id"] == "S1"
    assert back.metadata["subject"]["description"] == "left-handed"
    assert back.events["annotations"].label.values.tolist() == ["blink", "stim/5"]
    np.testing.assert_allclose(back.intervals["annotations"].start, [1.5, 3.0])


def test_a_later_start_keeps_its_place():
    raw = to_mne(make(start_seconds=1.0))
    assert raw.first_samp == 100
    np.testing.assert_allclose(raw.annotations.onset - raw.first_time, [0.0, 0.5, 1.0, 2.0])


def test_gaps_are_zeros_that_mne_leaves_out(tmp_path):
    raw = to_mne(make(segments=((0.0, 5.0), (0, 300))))
    assert raw.n_times == 700
    assert not raw.get_data()[:, 300:500].any()
    assert raw.get_data()[:, 500:].any()
    gap = raw.annotations[raw.annotations.description == "BAD_ACQ_SKIP"]
    np.testing.assert_allclose((gap.onset[0], gap.duration[0]), (3.0, 2.0))
    raw.save(tmp_path / "a_raw.fif", buffer_size_sec=1.0, verbose="error")
    loader = MneRaw(tmp_path)
    values = loader.load(loader.sessions()[0]).signals["eeg"].values
    assert np.isnan(values[300:500]).all()
    assert np.isfinite(values[:300]).all()


def test_nan_stays_nan_but_where_nothing_was_recorded():
    values = np.ones((500, 3), np.float32)
    values[50:100] = np.nan
    values[200, 1] = np.nan
    raw = to_mne(make(values))
    assert not raw.get_data()[:, 50:100].any()
    assert np.isnan(raw.get_data()[1, 200])
    assert "BAD_ACQ_SKIP" in raw.annotations.description


def test_integers_come_out_in_volts():
    numbers = np.arange(1500, dtype=np.int16).reshape(500, 3)
    raw = to_mne(make(numbers, scale_factor=0.5))
    np.testing.assert_allclose(raw.get_data(), numbers.T * 0.5e-6, rtol=1e-6)


def test_meg_comes_back_with_its_sensors(tmp_path):
    info = mne.create_info(["M1x", "G1"], 100.0, ["mag", "grad"])
    for channel in info["chs"]:
        channel["loc"][:] = [0.01, 0.02, 0.1, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    mne.io.RawArray(np.full((2, 300), 1e-12), info, verbose="error").save(tmp_path / "a_raw.fif", verbose="error")
    loader = MneRaw(tmp_path)
    raw = to_mne(loader.load(loader.sessions()[0]), ["meg_mag", "meg_grad"])
    assert raw.get_channel_types() == ["mag", "grad"]
    np.testing.assert_allclose(raw.info["chs"][0]["loc"][:3], [0.01, 0.02, 0.1], rtol=1e-6)
    assert raw.info["chs"][0]["coil_type"] == info["chs"][0]["coil_type"]
    np.testing.assert_allclose(raw.get_data(), 1e-12, rtol=1e-6)


def test_real_recording(real_data):
    loader = MneRaw(real_data("eeg/eeglab-sample"))
    raw = to_mne(loader.load(loader.sessions()[0]), ["eeg", "eog"])
    path = real_data("eeg/eeglab-sample") / "eeglab_data.set"
    expected = mne.io.read_raw_eeglab(path, verbose="error").pick([*raw.ch_names[1:30], "EOG1", "EOG2"])
    np.testing.assert_allclose(raw.get_data(expected.ch_names), expected.get_data(), rtol=1e-6)
    np.testing.assert_allclose(raw.annotations.onset, expected.annotations.onset)
    assert raw.get_channel_types().count("eog") == 2


def test_what_mne_cannot_hold_is_said():
    recording = make()
    with pytest.raises(NeurodataError, match=r"no signal 'eeeg'; did you mean 'eeg'\?"):
        to_mne(recording, "eeeg")
    short = make_signal(np.ones((400, 1)), channel_id=["v"], units="V", rate_hz=100.0)
    with pytest.raises(
        NeurodataError, match="'eeg' and 'v' do not share their clock: 500 samples at 100 Hz and 400 at 100 Hz"
    ):
        to_mne(recording.replace(signals={**recording.signals_stored, "v": short}), ["eeg", "v"])
    irregular = make_signal(np.ones((3, 1)), channel_id=["v"], units="V", time=[0.0, 1.0, 5.0])
    with pytest.raises(NeurodataError, match="'v' has samples at irregular times, which MNE cannot hold"):
        to_mne(Recording(METADATA, {"v": irregular}), "v")
    frames = make_signal(np.ones((3, 1)), channel_id=["v"], units="V")
    with pytest.raises(UnknownRateError, match="--set rate_hz=RATE"):
        to_mne(Recording(METADATA, {"v": frames}), "v")
