"""Guo et al. 2017: labels, derived light, and every value of the published file against pynwb."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pynwb
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.convert import find_loader
from neurodata.loaders.datasets.guo_thalamus_2017 import GuoThalamus2017
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.formats.nwb import Nwb

NAME = "guo_thalamus_2017"


@pytest.fixture
def published(real_data):
    return real_data("spiking/guo2017-thalamus-alm-nwb")


def test_labels_and_light_of_made_up_trials(fake_raw, tmp_path):
    made = fake_raw(NAME)
    loader = GuoThalamus2017(made.write_session(tmp_path / "a.nwb", made.NAMES[0]))
    recording = loader.load(loader.sessions()[0])
    trials, light = recording.intervals["trials"], recording.intervals["photostimulation"]
    assert trials["label"].values.tolist() == ["lick_left", "lick_right", "non-performing", "lick_left"]
    assert trials["code"].values.tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(light["start"], [8.5 + 1.9, 25.5 + 1.9])
    np.testing.assert_allclose(light["stop"], [8.5 + 3.2, 25.5 + 3.2])
    assert light["trial"].values.tolist() == [1, 3]


def test_no_name_of_a_person_is_kept(fake_raw, tmp_path):
    made = fake_raw(NAME)
    loader = GuoThalamus2017(made.write_session(tmp_path / "a.nwb", made.NAMES[0]))
    assert "Doe" not in json.dumps(dict(loader.load(loader.sessions()[0]).metadata))


def test_other_files_of_the_format_are_left_to_its_loader(fake_raw, tmp_path):
    made = fake_raw(NAME)
    path = made.write_session(tmp_path / "a.nwb", made.NAMES[0], doi="doi:10.0000/another")
    assert GuoThalamus2017.claim(path) == []
    found, _ = find_recordings(tmp_path, [GuoThalamus2017, Nwb])
    assert [entry.loader for entry in found] == [Nwb]


def test_a_trial_of_another_kind_is_refused(fake_raw, tmp_path):
    made = fake_raw(NAME)
    loader = GuoThalamus2017(made.write_session(tmp_path / "a.nwb", made.NAMES[0], odd_type="catch"))
    with pytest.raises(RawFileError, match=r"a\.nwb: expected trials of type 'lick left'.*got 'catch'"):
        loader.load(loader.sessions()[0])


def test_it_is_preferred_to_the_format(published):
    found, _ = find_recordings(published, [find_loader("nwb"), find_loader(NAME)])
    assert [entry.loader for entry in found] == [GuoThalamus2017]


def test_every_value_of_the_published_file_is_that_of_pynwb(published):
    loader = GuoThalamus2017(published)
    recording = loader.load(loader.sessions()[0])
    [path] = loader.source_files(loader.sessions()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb speaks of the file's age
        io = pynwb.NWBHDF5IO(path, "r", load_namespaces=True)
        nwb = io.read()
    with io:
        trials = recording.intervals["trials"]
        np.testing.assert_array_equal(trials["start"], nwb.trials["start_time"][:], strict=False)
        np.testing.assert_array_equal(trials["stop"], nwb.trials["stop_time"][:], strict=False)
        others = [name for name in nwb.trials.colnames if name not in ("start_time", "stop_time")]
        assert len(others) == 14
        for name in others:
            np.testing.assert_array_equal(trials[name].values, np.array(list(nwb.trials[name][:])))
        spikes = recording.events["spikes"]
        assert spikes.sizes["event"] == 34057
        for unit in range(4):
            mine = spikes["time"].values[spikes["unit"].values == unit]
            np.testing.assert_array_equal(mine, np.sort(nwb.units["spike_times"][unit], kind="stable"))
        for name in ("sampling_rate", "unit_x", "unit_y", "unit_z", "cell_type"):
            np.testing.assert_array_equal(recording.units[name].values, np.array(list(nwb.units[name][:])))
        for name in ("waveform_mean", "waveform_sd"):
            mine = np.array([json.loads(text) for text in recording.units[name].values], np.float32)
            np.testing.assert_array_equal(mine, nwb.units[name][:], strict=True)
        assert recording.units["unit_id"].values.tolist() == [str(i) for i in nwb.units.id[:]]
        electrodes = [json.loads(text) for text in recording.units["electrodes"].values]
        assert electrodes == [[row] for row in nwb.units["electrodes"].target.data[:].tolist()]


def test_light_of_the_published_file(published):
    loader = GuoThalamus2017(published)
    recording = loader.load(loader.sessions()[0])
    light = recording.intervals["photostimulation"]
    assert light.sizes["interval"] == 63  # of 67: four are non-performing, with 0 mW and no times
    assert (light["stop"] - light["start"]).min() >= 1.3 - 1e-9
    labels, counts = np.unique(recording.intervals["trials"]["label"], return_counts=True)
    assert dict(zip(labels.tolist(), counts.tolist())) == {"lick_left": 172, "lick_right": 170, "non-performing": 70}
