"""Simulated EEG: a hand can be decoded from band power where it should be, and from nothing where not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodata.checks import import_extra
from neurodata.errors import NeurodataError
from neurodata.loaders.formats.edf import Edf
from neurodata.recording.validate import validate
from neurodata.simulate._edf_files import UNIT_PER_BIT, quantise
from neurodata.simulate.eeg import HANDS, LABELS, SimulatedEeg, simulate_eeg, write_raw


def band_power(samples, rate_hz, starts, stops):
    """Log power of mu and beta at the sensorimotor electrodes, one row per trial."""
    chosen = [LABELS.index(label) for label in ("C3", "C4", "CP3", "CP4", "FC3", "FC4")]
    columns = []
    for band in ((8, 13), (16, 26)):
        filtered = sosfiltfilt(butter(3, band, "bandpass", fs=rate_hz, output="sos"), samples[:, chosen], axis=0)
        columns.append([
            np.log((filtered[int((start + 0.5) * rate_hz) : int((stop - 0.5) * rate_hz)] ** 2).mean(axis=0))
            for start, stop in zip(starts, stops)
        ])  # fmt: skip
    return np.concatenate(columns, axis=1)


def decode(samples, rate_hz, starts, stops, hands):
    """Cross-validated accuracy of logistic regression on band power; chance is 0.5."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    return cross_val_score(model, band_power(samples, rate_hz, starts, stops), hands, cv=5).mean()


def scores(**options):
    people = simulate_eeg(4, 200.0, seed=3, **options)
    return np.array([decode(p.samples, p.rate_hz, p.starts, p.stops, p.hands) for p in people])


def test_the_hand_is_decoded_from_band_power():
    assert scores().mean() > 0.8


def test_without_effect_nothing_is_decoded():
    null = scores(effect=0.0)
    assert 0.3 < null.mean() < 0.64, "160 trials of a fair coin: 0.5 ± 0.04"


def test_the_rhythm_weakens_opposite_to_the_hand():
    (person,) = simulate_eeg(1, 200.0, seed=0, effect=0.7, artefacts_per_minute=0.0)
    power = band_power(person.samples, person.rate_hz, person.starts, person.stops)
    right_minus_left = power[person.hands == 1].mean(axis=0) - power[person.hands == 0].mean(axis=0)
    assert right_minus_left[0] < -0.3, "right hand: less mu at C3"
    assert right_minus_left[1] > 0.3, "left hand: less mu at C4"
    middle = int((person.starts[0] + 1.5) * person.rate_hz)
    expected = np.ones(3)
    expected[1 - person.hands[0]] = 1 - person.effect
    np.testing.assert_allclose(person.amplitude[middle], expected)


def test_the_background_falls_with_frequency_and_the_mains_stand_out():
    (person,) = simulate_eeg(1, 100.0, seed=0, effect=0.0, artefacts_per_minute=0.0)
    fine = np.abs(np.fft.rfft(person.samples[:, LABELS.index("F7")])) ** 2  # a hundredth of a hertz each
    power = fine[:8000].reshape(-1, 100).mean(axis=1)
    hz = np.arange(80)
    slope = np.polyfit(np.log(hz[28:49]), np.log(power[28:49]), 1)[0]
    assert -1.4 < slope < -0.6
    assert fine[5000] > 100 * np.median(fine[4700:5300])


def test_artefacts_are_where_they_are_said_to_be():
    with_, without = (simulate_eeg(1, 60.0, seed=1, artefacts_per_minute=n)[0] for n in (20.0, 0.0))
    assert not without.artefacts
    assert len(with_.artefacts) > 8
    changed = np.abs(with_.samples - without.samples).max(axis=1) > 0
    told = np.zeros(len(changed), bool)
    for start, stop, kind in with_.artefacts:
        told[round(start * with_.rate_hz) : round(stop * with_.rate_hz)] = True
        assert kind in ("blink", "muscle")
    assert not changed[~told].any()


def test_the_same_seed_gives_the_same_people_however_many():
    one, many = simulate_eeg(1, 30.0, seed=5), simulate_eeg(2, 30.0, seed=5)
    for field in dataclasses.fields(SimulatedEeg):
        np.testing.assert_array_equal(getattr(one[0], field.name), getattr(many[0], field.name))
    assert not np.array_equal(many[0].samples, many[1].samples)
    null = simulate_eeg(1, 30.0, seed=5, effect=0.0)[0]
    np.testing.assert_array_equal(null.hands, one[0].hands)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 10.0}, "at least 20 s long, got 10"),
        ({"effect": 1.5}, "part of the rhythm that is lost, 0 … 1, got 1.5"),
        ({"rate_hz": 100}, "100 Hz is too slow"),
        ({"n_recordings": 0}, "number of recordings must be a positive number"),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(NeurodataError, match=message):
        simulate_eeg(**({"n_recordings": 1, "seconds": 30.0, "seed": 0} | arguments))


def test_files_hold_what_was_simulated(tmp_path):
    truths = write_raw(tmp_path / "lab", recordings=2, seconds=30.5, seed=7)
    loader = Edf(tmp_path / "lab")
    assert loader.sessions() == ["lab/person1", "lab/person2"]
    for session, truth in zip(loader.sessions(), truths):
        recording = loader.load(session)
        validate(recording)
        eeg = recording.signals_stored["eeg"]
        np.testing.assert_array_equal(eeg.values, quantise(truth.samples))
        np.testing.assert_allclose(recording.signals["eeg"].values, truth.samples, atol=UNIT_PER_BIT / 2 + 1e-3)
        assert tuple(eeg.label.values.tolist()) == LABELS
        table = recording.intervals["annotations"]
        moves = [label in HANDS for label in table.label.values.tolist()]
        np.testing.assert_array_equal(table.start.values[moves], truth.starts)
        assert table.label.values[moves].tolist() == [HANDS[hand] for hand in truth.hands]


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NeurodataError, match="holds files already"):
        write_raw(tmp_path, recordings=1, seconds=30.0, seed=0)


def test_bids_is_read_by_mne_bids(tmp_path):
    (truth,) = write_raw(tmp_path / "data", recordings=1, seconds=30.0, seed=7, layout="bids")
    mne_bids = import_extra("mne_bids", "eeg")
    path = mne_bids.BIDSPath(root=tmp_path / "data", subject="01", task="hands", datatype="eeg", suffix="eeg")
    raw = mne_bids.read_raw_bids(path, verbose="error")
    assert raw.ch_names == list(LABELS)
    np.testing.assert_allclose(raw.get_data().T * 1e6, truth.samples, atol=UNIT_PER_BIT / 2 + 1e-3)
    moves = [(entry["onset"], entry["description"]) for entry in raw.annotations if entry["description"] in HANDS]
    assert moves == [(start, HANDS[hand]) for start, hand in zip(truth.starts, truth.hands)]
    placed = raw.get_montage().get_positions()["ch_pos"]
    assert placed["C3"][0] < 0 < placed["C4"][0]
    sidecar = json.loads((tmp_path / "data/sub-01/eeg/sub-01_task-hands_eeg.json").read_text())
    assert sidecar["EEGChannelCount"] == len(LABELS)
