"""Simulated sEEG: motifs come where and when the truth says, and not at all where their size is 0."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from neurodata.checks import import_extra
from neurodata.errors import NeurodataError
from neurodata.loaders.formats.edf import Edf
from neurodata.recording.validate import validate
from neurodata.simulate._edf_files import UNIT_PER_BIT, quantise
from neurodata.simulate.seeg import LABELS, SimulatedSeeg, simulate_seeg, write_raw


def correlations(truth, weights):
    """Correlation of each event with its motif, at the contact where that motif is largest."""
    length = truth.waveforms.shape[1]
    found = []
    for time, motif in zip(truth.times, truth.motifs):
        first = truth.sample_of(time)
        channel = int(np.argmax(weights[motif]))
        found.append(np.corrcoef(truth.samples[first : first + length, channel], truth.waveforms[motif])[0, 1])
    return np.array(found)


def test_motifs_come_at_their_times_and_contacts():
    for truth in simulate_seeg(3, 90.0, seed=0):
        assert np.median(correlations(truth, truth.weights)) > 0.8
        elsewhere = np.roll(truth.weights, len(LABELS) // 3, axis=1)
        assert abs(np.median(correlations(truth, elsewhere))) < 0.3


def test_without_effect_there_are_none():
    shown, null = simulate_seeg(1, 90.0, seed=0)[0], simulate_seeg(1, 90.0, seed=0, effect=0.0)[0]
    np.testing.assert_array_equal(null.times, shown.times)
    assert abs(correlations(null, shown.weights).mean()) < 0.2


def test_motifs_recur_in_several_places():
    (truth,) = simulate_seeg(1, 300.0, seed=4)
    assert truth.waveforms.shape[0] == truth.weights.shape[0] == 3
    counts = np.bincount(truth.motifs, minlength=3)
    assert counts.min() >= 15
    assert (np.diff(truth.times) >= 0.6 - 1e-2).all()
    for weights in truth.weights:
        shaft = np.flatnonzero(weights > 1) // 8
        assert len(set(shaft.tolist())) == 1, "a motif keeps to one shaft"
        assert 120 <= weights.max() <= 240


def test_gaps_are_left_out_of_samples_and_events():
    (truth,) = simulate_seeg(1, 60.0, seed=2, n_gaps=3)
    assert len(truth.samples) == len(truth.record_starts) * truth.rate_hz
    assert np.diff(truth.record_starts).max() > 1
    seconds = np.floor(np.c_[truth.times, truth.times + truth.waveforms.shape[1] / truth.rate_hz - 1e-9])
    assert set(seconds.ravel().tolist()) <= set(truth.record_starts.tolist())
    (whole,) = simulate_seeg(1, 60.0, seed=2, n_gaps=0)
    np.testing.assert_array_equal(whole.record_starts, np.arange(60.0))


def test_the_same_seed_gives_the_same_recordings_however_many():
    one, many = simulate_seeg(1, 30.0, seed=5), simulate_seeg(2, 30.0, seed=5)
    for field in dataclasses.fields(SimulatedSeeg):
        np.testing.assert_array_equal(getattr(one[0], field.name), getattr(many[0], field.name))
    assert not np.array_equal(many[0].times, many[1].times)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 5.0}, "at least 20 s long, got 5"),
        ({"effect": -1.0}, "are not negative, got -1.0 and 2"),
        ({"motifs_per_second": 0.0}, "motifs per second must be a positive number"),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(NeurodataError, match=message):
        simulate_seeg(**({"n_recordings": 1, "seconds": 30.0, "seed": 0} | arguments))


def test_files_hold_what_was_simulated(tmp_path):
    truths = write_raw(tmp_path / "lab", recordings=2, seconds=40.0, seed=7)
    loader = Edf(tmp_path / "lab")
    assert loader.sessions() == ["lab/patient1", "lab/patient2"]
    for session, truth in zip(loader.sessions(), truths):
        recording = loader.load(session)
        validate(recording)
        assert recording.metadata["modality"] == "seeg"
        assert recording.metadata["extra"]["format"] == "EDF+D"
        seeg = recording.signals_stored["seeg"]
        np.testing.assert_array_equal(seeg.values, quantise(truth.samples))
        np.testing.assert_array_equal(seeg.time.values[:: truth.rate_hz], truth.record_starts)
        assert tuple(seeg.label.values.tolist()) == LABELS
        events = recording.events["annotations"]
        np.testing.assert_array_equal(events.time.values, truth.times)
        assert events.label.values.tolist() == [f"motif_{motif + 1}" for motif in truth.motifs]
        assert len(recording.intervals["validity"].start) == 1 + (np.diff(truth.record_starts) > 1).sum()


def test_bids_is_read_by_mne_bids(tmp_path):
    (truth,) = write_raw(tmp_path / "data", recordings=1, seconds=30.0, seed=7, layout="bids")
    mne_bids = import_extra("mne_bids", "eeg")
    path = mne_bids.BIDSPath(root=tmp_path / "data", subject="01", task="rest", datatype="ieeg", suffix="ieeg")
    raw = mne_bids.read_raw_bids(path, verbose="error")
    assert raw.ch_names == list(LABELS)
    assert set(raw.get_channel_types()) == {"seeg"}
    np.testing.assert_allclose(raw.get_data().T * 1e6, truth.samples, atol=UNIT_PER_BIT / 2 + 1e-3)
    np.testing.assert_allclose(raw.annotations.onset, truth.times, atol=1e-6)  # MNE keeps microseconds
