"""What `mne_raw` reads is what MNE-Python reads, and what MNE leaves to its user is mapped to the schema."""

from __future__ import annotations

import gzip
import shutil
import struct
import warnings

import h5py
import mne
import numpy as np
import pytest
import scipy.io

from neurodata.errors import NeurodataError, RawFileError
from neurodata.identity.eeg_montage import positions
from neurodata.loaders.convert import convert
from neurodata.loaders.formats import _mne_fif
from neurodata.loaders.formats.mne_raw import MneRaw
from neurodata.recording.validate import validate
from neurodata.store.read import open_recording


@pytest.fixture
def fake(fake_raw):
    return fake_raw("mne_raw")


def load(path, **options):
    loader = MneRaw(path, **options)
    [session] = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def check_values(recording, raw):
    """Every channel of the recording is, to 1 ulp of float32, what MNE reads; channels and samples are all there."""
    seen = []
    for signal in recording.signals.values():
        ids = signal.channel_id.values.tolist()
        expected = raw.get_data(ids).T
        assert signal.shape == expected.shape
        assert signal.attrs["sampling_rate_hz"] == raw.info["sfreq"]
        np.testing.assert_array_max_ulp(signal.values.astype(np.float32), expected.astype(np.float32), maxulp=1)
        middle = signal[100:150].values
        np.testing.assert_array_equal(middle, signal.values[100:150])
        seen += ids
    assert sorted(seen) == sorted(raw.ch_names)


def check_marks(recording, raw):
    """Events and intervals are MNE's annotations, relative to the first sample."""
    found = []
    for group, start in (("events", "time"), ("intervals", "start")):
        tables = getattr(recording, group)
        if "annotations" in tables:
            table = tables["annotations"]
            found += list(zip(table[start].values.round(6).tolist(), table["label"].values.tolist()))
    onsets = (raw.annotations.onset - raw.first_time).round(6).tolist()
    assert sorted(found) == sorted(zip(onsets, raw.annotations.description.tolist()))


def quiet(read, path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(path, verbose="error", **options)


@pytest.mark.parametrize(
    ("write", "name", "read"),
    [
        ("write_fif", "a_raw.fif", "read_raw_fif"),
        ("write_fif", "a_raw.fif.gz", "read_raw_fif"),
        ("write_brainvision", "a.vhdr", "read_raw_brainvision"),
        ("write_eeglab", "a.set", "read_raw_eeglab"),
        ("write_gdf", "a.gdf", "read_raw_gdf"),
        ("write_cnt", "a.cnt", "read_raw_cnt"),
        ("write_persyst", "a.lay", "read_raw_persyst"),
        ("write_egi", "a.raw", "read_raw_egi"),
    ],
)
def test_values_and_marks_are_those_of_mne(fake, tmp_path, write, name, read):
    getattr(fake, write)(tmp_path / name)
    recording, raw = load(tmp_path), quiet(getattr(mne.io, read), tmp_path / name)
    check_values(recording, raw)
    check_marks(recording, raw)
    text = str(dict(recording.metadata)) + str(recording.signals)
    assert "Doe" not in text
    assert "1990" not in text


@pytest.mark.parametrize("name", ["eeglab-sample", "yasa-rest-fif"])
def test_real_files_are_read_without_loss(real_data, tmp_path, name):
    folder = real_data(f"eeg/{name}")
    convert("mne_raw", folder, tmp_path / "store")
    [path] = [path for path in folder.iterdir() if path.suffix in (".set", ".fif")]
    recording = open_recording(tmp_path / "store" / name / path.stem)
    raw = quiet(mne.io.read_raw_eeglab if path.suffix == ".set" else mne.io.read_raw_fif, path)
    check_values(recording, raw)
    check_marks(recording, raw)


def test_places_of_a_real_file_are_those_of_mne(real_data):
    recording = load(real_data("eeg/eeglab-sample"))
    raw = quiet(mne.io.read_raw_eeglab, real_data("eeg/eeglab-sample") / "eeglab_data.set")
    eeg = recording.signals["eeg"]
    expected = [raw.info["chs"][raw.ch_names.index(name)]["loc"][:3] for name in eeg.channel_id.values]
    np.testing.assert_allclose(np.stack([eeg.x, eeg.y, eeg.z], 1), expected, atol=1e-12)
    assert recording.signals["eog"].channel_id.values.tolist() == ["EOG1", "EOG2"]
    assert "x" not in recording.signals["eog"].coords
    position = recording.events["annotations"].position.values
    is_square = recording.events["annotations"].label.values == "square"
    assert set(position[is_square]) == {1.0, 2.0}
    assert np.isnan(position[~is_square]).all()


def test_derivations_sit_nowhere(real_data):
    eeg = load(real_data("eeg/yasa-rest-fif")).signals["eeg"]
    assert eeg.label.values.tolist() == ["F4-A1", "Cz-A2"]
    assert eeg.label_raw.values.tolist() == ["F4-A1", "CZ-A2"]
    assert "x" not in eeg.coords


def test_kinds_of_channels_become_signals(fake, tmp_path):
    fake.write_fif(tmp_path / "a_raw.fif")
    recording = load(tmp_path)
    described = {name: (signal.attrs["units"], signal.attrs["role"]) for name, signal in recording.signals.items()}
    assert described == {
        "meg_mag": ("T", "neural"), "meg_grad": ("T/m", "neural"), "eeg": ("V", "neural"),
        "eog": ("V", "behavior"), "trigger": ("a.u.", "stimulus"),
    }  # fmt: skip
    eeg, meg = recording.signals["eeg"], recording.signals["meg_mag"]
    assert eeg.label.values.tolist() == ["FC5", "T7", "Cz"]
    assert eeg.bad.values.tolist() == [False, True, False]
    np.testing.assert_array_equal(np.stack([eeg.x, eeg.y, eeg.z], 1), positions(["FC5", "T7", "Cz"]))
    assert set(eeg.position_source.values) == {"standard_1005"}
    assert (eeg.attrs["highpass_hz"], eeg.attrs["line_frequency_hz"], eeg.attrs["space"]) == (0.5, 50.0, "head")
    assert "lowpass_hz" not in eeg.attrs
    assert meg.attrs["space"] == "meg_device"
    np.testing.assert_allclose(np.stack([meg.x, meg.y, meg.normal_z], 1), [[0, 0.02, 1], [0.01, 0.02, 1]], rtol=1e-6)
    assert recording.signals["trigger"].dtype == np.float64
    metadata = recording.metadata
    assert metadata["modality"] == "meg"
    assert metadata["session_start"] == "2020-03-04T05:06:09.500000+00:00"
    assert (metadata["subject"]["id"], metadata["subject"]["sex"]) == ("S07", "F")
    assert metadata["subject"]["description"] == "right-handed"


def test_triggers_are_those_of_mne(fake, tmp_path, monkeypatch):
    raw = fake.write_fif(tmp_path / "a_raw.fif")
    expected = mne.find_events(raw, shortest_event=1, verbose="error")
    for block in (1_000_000, 7):
        monkeypatch.setattr("neurodata.loaders.formats._mne_triggers._BLOCK", block)
        stim = load(tmp_path).events["triggers"]
        np.testing.assert_allclose(stim.time, (expected[:, 0] - raw.first_samp) / raw.info["sfreq"])
        np.testing.assert_array_equal(stim.code, expected[:, 2])
        np.testing.assert_array_equal(stim.previous, expected[:, 1])


def test_a_split_file_is_one_recording(fake, tmp_path):
    info = mne.create_info(20, 1000.0, "eeg")
    whole = mne.io.RawArray(fake.samples(20, 60_000), info, verbose="error")
    whole.save(tmp_path / "long_raw.fif", split_size="2MB", buffer_size_sec=1, verbose="error")
    loader = MneRaw(tmp_path)
    assert list(loader.found) == [f"{tmp_path.name}/long_raw"]
    [session] = loader.sessions()
    assert len(loader.source_files(session)) > 1
    check_values(loader.load(session), mne.io.read_raw_fif(tmp_path / "long_raw.fif", verbose="error"))
    (tmp_path / "long_raw-1.fif").rename(tmp_path / "gone")
    with pytest.raises(
        NeurodataError, match=r"goes on from 'long_raw-1\.fif'.*goes on in 'long_raw-1\.fif', which is not"
    ):
        MneRaw(tmp_path).sessions()


def test_a_part_in_another_folder_is_not_followed(fake, tmp_path):
    info = mne.create_info(20, 1000.0, "eeg")
    whole = mne.io.RawArray(fake.samples(20, 60_000), info, verbose="error")
    (tmp_path / "in").mkdir()
    whole.save(tmp_path / "in" / "ab_raw.fif", split_size="2MB", buffer_size_sec=1, verbose="error")
    content = (tmp_path / "in" / "ab_raw.fif").read_bytes()
    (tmp_path / "in" / "ab_raw.fif").write_bytes(content.replace(b"ab_raw-1.fif", b"../w-1.fif\0\0"))
    (tmp_path / "in" / "ab_raw-1.fif").rename(tmp_path / "w-1.fif")
    with pytest.raises(NeurodataError, match="a path out of its folder, which is not followed"):
        MneRaw(tmp_path / "in" / "ab_raw.fif").sessions()


@pytest.mark.parametrize("fmt", ["short", "int"])
def test_integers_of_fif_stay_integers(fake, tmp_path, fmt):
    info = mne.create_info(["Cz", "Pz"], 100.0, "eeg")
    info["chs"][0]["cal"], info["chs"][1]["cal"] = 1e-7, 3e-7
    values = np.random.default_rng(1).integers(-3000, 3000, (2, 500)) * np.array([[1e-7], [3e-7]])
    mne.io.RawArray(values, info, verbose="error").save(tmp_path / "a_raw.fif", fmt=fmt, verbose="error")
    recording, raw = load(tmp_path), mne.io.read_raw_fif(tmp_path / "a_raw.fif", verbose="error")
    check_values(recording, raw)
    stored = recording.signals_stored["eeg"]
    assert stored.dtype == {"short": np.int16, "int": np.int32}[fmt]
    np.testing.assert_allclose(stored.coords["scale_factor"].values, [1e-7, 3e-7], rtol=1e-6)


def test_what_was_not_recorded_is_nan(tmp_path):
    values = np.random.default_rng(2).normal(size=(2, 1000))
    values[:, 300:500] = 0
    raw = mne.io.RawArray(values, mne.create_info(["Cz", "Pz"], 100.0, "eeg"), first_samp=70, verbose="error")
    raw.set_annotations(mne.Annotations([3.0], [2.0], ["BAD_ACQ_SKIP"]))
    raw.save(tmp_path / "a_raw.fif", buffer_size_sec=1.0, verbose="error")
    recording = load(tmp_path)
    found = recording.signals["eeg"].values
    assert np.isnan(found[300:500]).all()
    np.testing.assert_array_max_ulp(found[:300], values.T[:300].astype(np.float32))
    np.testing.assert_array_max_ulp(found[500:], values.T[500:].astype(np.float32))
    bad = recording.intervals["annotations"]
    assert bad.label.values.tolist() == ["BAD_ACQ_SKIP"]
    np.testing.assert_allclose([bad.start[0], bad.stop[0]], [3.0, 5.0], atol=1e-6)


@pytest.mark.parametrize(("every", "laid"), [(60, "at the times"), (30, "one after the other")])
def test_epochs_become_trials(fake, tmp_path, every, laid):
    epochs = fake.write_epochs(tmp_path / "a-epo.fif", every)
    recording = load(tmp_path)
    values = recording.signals["eeg"].values.reshape(4, 50)
    np.testing.assert_array_max_ulp(values, epochs.get_data("Cz", copy=False)[:, 0].astype(np.float32), maxulp=1)
    trials = recording.intervals["trials"]
    assert trials.label.values.tolist() == ["left", "right", "right", "left"]
    assert trials.code.values.tolist() == [1, 2, 2, 1]
    assert recording.metadata["extra"]["epochs"].startswith(f"laid {laid}")
    for row in range(4):
        piece = recording.signals["eeg"].sel(time=slice(float(trials.start[row]), float(trials.stop[row])))
        np.testing.assert_array_equal(piece.values[:, 0], values[row])
    assert float(trials.start[1]) == (0.6 if every == 60 else 0.5)


@pytest.mark.parametrize("orientation", ["MULTIPLEXED", "VECTORIZED"])
@pytest.mark.parametrize("kind", ["INT_16", "INT_32", "IEEE_FLOAT_32"])
def test_brainvision_in_every_layout(fake, tmp_path, orientation, kind):
    numbers = fake.write_brainvision(tmp_path / "a.vhdr", orientation=orientation, kind=kind)
    recording = load(tmp_path)
    check_values(recording, quiet(mne.io.read_raw_brainvision, tmp_path / "a.vhdr"))
    stored = recording.signals_stored["eeg"]
    assert stored.dtype == {"INT_16": np.int16, "INT_32": np.int32, "IEEE_FLOAT_32": np.float32}[kind]
    if kind != "IEEE_FLOAT_32":
        np.testing.assert_array_equal(stored.values[:, 0], numbers[:, 0])
        assert stored.attrs["scale_factor"] == pytest.approx(5e-7)
    assert recording.signals["misc"].attrs["units"] == "°C"
    assert recording.events["annotations"].label.values.tolist() == ["Stimulus/S  1"]
    assert recording.intervals["annotations"].label.values.tolist() == ["Comment/pause"]


@pytest.mark.parametrize("data", ["old name.eeg", "../secret.eeg", "/etc/passwd", "C:\\data\\x.eeg"])
def test_brainvision_names_lead_nowhere_else(fake, tmp_path, data):
    (tmp_path / "secret.eeg").write_bytes(bytes(6000))
    (tmp_path / "in").mkdir()
    numbers = fake.write_brainvision(tmp_path / "in" / "new.vhdr", data=data)
    recording = load(tmp_path / "in")
    np.testing.assert_array_equal(recording.signals_stored["eeg"].values[:, 0], numbers[:, 0])
    (tmp_path / "in" / "new.eeg").unlink()
    with pytest.raises(NeurodataError, match=r"the samples are expected in '.*' beside the header"):
        MneRaw(tmp_path / "in").sessions()


def test_codes_of_a_trigger_channel_in_eeglab_are_no_microvolts(fake, tmp_path):
    eeg = fake.eeglab_struct()
    eeg["chanlocs"]["labels"][1] = "Status"
    eeg["data"] = np.zeros((3, eeg["pnts"]), np.float32)
    eeg["data"][1, 50:] = 7
    scipy.io.savemat(tmp_path / "a.set", {"EEG": eeg}, appendmat=False)
    recording = load(tmp_path)
    assert recording.signals["trigger"].values[[0, 50], 0].tolist() == [0, 7]
    assert recording.events["triggers"].code.values.tolist() == [7]


AMPLIFIER = """
[Comment]

A m p l i f i e r  S e t u p
============================
Channels
--------
#     Name      Phys. Chn.    Resolution / Unit   Low Cutoff [s]   High Cutoff [Hz]   Notch [Hz]
1     Old         1                0.5 µV             DC              140              Off
"""


@pytest.mark.parametrize(
    ("change", "ids"),
    [
        pytest.param(lambda header: header + AMPLIFIER, ["FP1", "HEOG", "Temp"], id="channels renamed since"),
        pytest.param(lambda header: header.replace("HEOG", "FP1"), ["FP1", "FP1_2", "Temp"], id="one name twice"),
        pytest.param(lambda header: header.replace("HEOG", ""), ["FP1", "channel_2", "Temp"], id="no name"),
    ],
)
def test_brainvision_headers_that_mne_refuses(fake, tmp_path, change, ids):
    numbers = fake.write_brainvision(tmp_path / "a.vhdr")
    (tmp_path / "a.vhdr").write_text(change((tmp_path / "a.vhdr").read_text("utf-8")), "utf-8")
    recording = load(tmp_path)
    found = {
        i: s.sel(channel=s.channel_id == i).values[:, 0]
        for s in recording.signals_stored.values()
        for i in s.channel_id.values.tolist()
    }
    assert sorted(found) == sorted(ids)
    for place, name in enumerate(ids):
        np.testing.assert_array_equal(found[name], numbers[:, place])
    assert recording.events["annotations"].time.values.tolist() == [1.0]


def test_brainvision_in_capitals_with_markers_in_latin1(fake, tmp_path):
    fake.write_brainvision(tmp_path / "a.vhdr")
    expected = {name: signal.values for name, signal in load(tmp_path).signals.items()}
    markers = (tmp_path / "a.vmrk").read_text("utf-8").replace("UTF-8", "ANSI").replace("pause", "Müdigkeit")
    (tmp_path / "a.vmrk").write_bytes(markers.encode("latin-1"))
    for suffix in ("vhdr", "eeg", "vmrk"):
        (tmp_path / f"a.{suffix}").rename(tmp_path / f"A.{suffix.upper()}")
    recording = load(tmp_path)
    assert [file["name"] for file in recording.metadata["source_files"]] == ["A.VHDR", "A.EEG", "A.VMRK"]
    assert recording.intervals["annotations"].label.values.tolist() == ["Comment/Müdigkeit"]
    for name, values in expected.items():
        np.testing.assert_array_equal(recording.signals[name].values, values)


@pytest.mark.parametrize("write", ["write_gdf", "write_persyst", "write_eeglab", "write_cnt"])
def test_suffixes_in_capitals(fake, tmp_path, write):
    suffix = {"write_gdf": "gdf", "write_persyst": "lay", "write_eeglab": "set", "write_cnt": "cnt"}[write]
    getattr(fake, write)(tmp_path / f"a.{suffix}")
    expected = {name: signal.values for name, signal in load(tmp_path).signals.items()}
    for path in sorted(tmp_path.iterdir()):
        path.rename(tmp_path / f"A{path.suffix.upper()}")
    recording = load(tmp_path)
    for name, values in expected.items():
        np.testing.assert_array_equal(recording.signals[name].values, values)


def test_a_path_from_here_is_read_as_one_from_the_root(fake, tmp_path, monkeypatch):
    fake.write_brainvision(tmp_path / "a.vhdr")
    monkeypatch.chdir(tmp_path.parent)
    assert load(f"{tmp_path.name}/a.vhdr").signals["eeg"].shape == load(tmp_path).signals["eeg"].shape


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_eeglab_in_every_layout(fake, tmp_path, inside, flat):
    values = fake.write_eeglab(tmp_path / "a.set", inside=inside, flat=flat)
    recording = load(tmp_path)
    check_values(recording, quiet(mne.io.read_raw_eeglab, tmp_path / "a.set"))
    np.testing.assert_array_max_ulp(
        recording.signals["eog"].values[:, 0], (values[1].astype(float) * 1e-6).astype(np.float32)
    )
    eeg = recording.signals["eeg"]
    assert eeg.attrs["source_units"] == "uV"
    assert eeg.label.values.tolist() == ["F3", "T8"]
    assert eeg.position_source.values.tolist() == ["file", ""]
    assert np.isnan(eeg.x.values[1])
    assert recording.metadata["subject"]["id"] == "S1"
    table = recording.events["annotations"]
    assert table.time.values.tolist() == [0.505, 1.0]
    np.testing.assert_array_equal(table.position, [2.0, np.nan])
    assert recording.intervals["annotations"].stop.values.tolist() == [4.2]


def write_v73(path, values, *, flat):
    """An EEGLAB file of MATLAB v7.3 (HDF5): arrays transposed, text as UTF-16 codes, struct arrays by references."""

    def put(parent, name, value):
        array = np.frombuffer(value.encode("utf-16le"), np.uint16) if isinstance(value, str) else np.asarray(value)
        item = parent.create_dataset(name, data=np.atleast_2d(array).T if array.size else np.zeros(2, np.uint64))
        item.attrs["MATLAB_class"] = np.bytes_("char" if isinstance(value, str) else "double")
        if not array.size:
            item.attrs["MATLAB_empty"] = np.uint8(1)
        return item.ref

    with h5py.File(path, "w", userblock_size=512) as file:
        places, eeg = file.create_group("#refs#"), file if flat else file.create_group("EEG")
        for key, value in {
            "nbchan": 3.0,
            "trials": 1.0,
            "pnts": values.shape[1],
            "srate": 100.0,
            "data": values,
        }.items():
            put(eeg, key, value)
        tables = {
            "chanlocs": {"labels": ["Fz", "VEOG", "Pz"], "X": [0.7, 1.0, -0.7], "Y": [0.0] * 3, "Z": [0.7, 0.1, 0.7]},
            "event": {"type": ["a", "b"], "latency": [11.0, 51.0], "position": [1.0, []]},
        }
        for name, columns in tables.items():
            group = eeg.create_group(name)
            for key, entries in columns.items():
                given = [put(places, f"{name}{key}{i}", entry) for i, entry in enumerate(entries)]
                group.create_dataset(key, data=np.array(given, h5py.ref_dtype)[:, None], dtype=h5py.ref_dtype)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


@pytest.mark.parametrize("flat", [True, False])
def test_eeglab_in_hdf5(fake, tmp_path, flat):
    write_v73(tmp_path / "a.set", fake.samples(3) * 1e6, flat=flat)
    recording = load(tmp_path)
    check_values(recording, quiet(mne.io.read_raw_eeglab, tmp_path / "a.set"))
    assert recording.signals["eeg"].label.values.tolist() == ["Fz", "Pz"]
    np.testing.assert_allclose(recording.signals["eeg"].y, [0.07, -0.07])
    table = recording.events["annotations"]
    assert (table.label.values.tolist(), table.time.values.tolist()) == (["a", "b"], [0.1, 0.5])
    np.testing.assert_array_equal(table.position, [1.0, np.nan])


@pytest.mark.parametrize("inside", [True, False])
def test_eeglab_epochs(fake, tmp_path, inside):
    values = fake.write_eeglab(tmp_path / "a.set", inside=inside, n_epochs=4, n_points=150)
    recording = load(tmp_path)
    np.testing.assert_array_max_ulp(
        recording.signals["eeg"].values[:, 0], (values[0].astype(float) * 1e-6).astype(np.float32)
    )
    trials = recording.intervals["trials"]
    assert trials.start.values.tolist() == [0, 1.5, 3.0, 4.5]
    assert trials.label.values.tolist() == ["square", "", "", ""]


def test_what_eeglab_cut_out_is_a_moment(fake, tmp_path):
    fake.write_eeglab(tmp_path / "a.set")
    eeg = fake.eeglab_struct()
    eeg["event"]["type"][2], eeg["data"] = "boundary", "a.fdt"
    scipy.io.savemat(tmp_path / "a.set", {"EEG": eeg}, appendmat=False)
    recording = load(tmp_path)
    assert recording.events["annotations"].label.values.tolist() == ["square", "rt", "boundary"]
    np.testing.assert_allclose(recording.events["annotations"].removed_seconds, [np.nan, np.nan, 1.2])
    assert "annotations" not in recording.intervals


def test_eeglab_samples_elsewhere_are_not_followed(fake, tmp_path):
    (tmp_path / "in").mkdir()
    fake.write_eeglab(tmp_path / "in" / "a.set")
    content = (tmp_path / "in" / "a.set").read_bytes()
    (tmp_path / "in" / "a.fdt").rename(tmp_path / "b.fdt")
    (tmp_path / "in" / "a.set").write_bytes(content.replace(b"a.fdt", b"../b."))
    with pytest.raises(NeurodataError, match=r"the samples are expected in 'b\.' beside it, which is not there"):
        MneRaw(tmp_path / "in").sessions()


def test_eeglab_samples_of_another_file_are_noticed(fake, tmp_path):
    fake.write_eeglab(tmp_path / "a.set")
    with (tmp_path / "a.fdt").open("ab") as stream:
        stream.write(bytes(12))
    with pytest.raises(RawFileError, match=r"a\.fdt: 7212 bytes, expected 7200 \(600 samples of 3 channels, float32\)"):
        load(tmp_path)


def test_a_set_that_claims_more_than_it_has_never_reaches_scipy(fake, tmp_path):
    fake.write_eeglab(tmp_path / "a.set")
    content = bytearray((tmp_path / "a.set").read_bytes())
    content[132:136] = struct.pack("<I", 2_000_000_000)
    (tmp_path / "a.set").write_bytes(content)
    loader = MneRaw(tmp_path)
    with pytest.raises(RawFileError, match=r"a\.set: expected a whole MATLAB file, but it is truncated or damaged"):
        loader.load(loader.sessions()[0])


def test_a_large_set_is_refused_before_it_is_read(fake, tmp_path, monkeypatch):
    fake.write_eeglab(tmp_path / "a.set", inside=True)
    monkeypatch.setattr("neurodata.loaders.formats._mne_eeglab.MOST_INSIDE", 1000)
    with pytest.raises(NeurodataError, match=r"MiB inside one \.set, which can only be read whole.*save it with"):
        load(tmp_path)


def test_depth_electrodes_are_no_scalp_electrodes(tmp_path):
    names = ["A1", "T3", "O'2", "Fz"]
    raw = mne.io.RawArray(
        np.ones((4, 300)) * 1e-5, mne.create_info(names, 100.0, ["seeg"] * 3 + ["eeg"]), verbose="error"
    )
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    recording = load(tmp_path)
    assert recording.metadata["modality"] == "seeg"
    assert recording.signals["seeg"].label.values.tolist() == names[:3]
    assert "x" not in recording.signals["seeg"].coords
    assert load(tmp_path, eeg_is="seeg").signals["seeg"].label.values.tolist() == names


def test_contacts_that_a_file_calls_eeg_are_told_by_their_numbers(tmp_path):
    names = [f"{stem}{i}" for stem in ("A", "B'", "LH") for i in range(1, 7)]
    info = mne.create_info([*names, "Fz", "ECG1"], 100.0, "eeg")
    mne.io.RawArray(np.ones((20, 300)) * 1e-5, info, verbose="error").save(tmp_path / "a_raw.fif", verbose="error")
    recording = load(tmp_path)
    assert recording.metadata["modality"] == "seeg"
    assert {name: signal.channel_id.values.tolist() for name, signal in recording.signals.items()} == {
        "ecg": ["ECG1"], "eeg": ["Fz"], "seeg": names,
    }  # fmt: skip
    assert "seeg" not in load(tmp_path, eeg_is="eeg").signals


def test_persyst_of_nobody_in_particular(fake, tmp_path):
    numbers = fake.write_persyst(tmp_path / "a.lay", patient="BirthDate=\nSex=Female\n")
    recording = load(tmp_path)
    np.testing.assert_allclose(recording.signals["eeg"].values, numbers * 0.2e-6, rtol=1e-6)
    assert recording.signals["eeg"].label.values.tolist() == ["Fp1", "O2"]
    assert recording.metadata["subject"]["id"] == "P01"
    assert recording.metadata["session_start"] == "2020-01-02T03:04:05+00:00"
    assert recording.events["annotations"].label.values.tolist() == ["seizure"]


def write_kit(path, numbers):
    """KIT of two gradiometers and a trigger line, 16-bit integers, in the layout that MNE's reader expects."""
    n_samples = len(numbers)
    blocks = {
        1: struct.pack("<3i", 2, 4, 34) + b"Made up".ljust(128, b"\0") + b"model".ljust(128, b"\0")
        + struct.pack("<i", 3) + bytes(256) + struct.pack("<2i", 1_500_000_000, 0) + bytes(12) + struct.pack("<i", 0)
        + bytes(12) + struct.pack("<i", 100) + bytes(12) + bytes(4) + bytes(12) + bytes(4) + bytes(4 * 29)
        + struct.pack("<d", 10.0) + struct.pack("<3i", 0, 16, 12),
        4: b"".join(struct.pack("<i5d", 2, 0.1, 0.2, 0.05 * i, 30.0, 40.0).ljust(80, b"\0") for i in range(2))
        + struct.pack("<3i", -1, 1, 0).ljust(80, b"\0"),
        5: struct.pack("<6d", 0, 1e-9, 0, 2e-9, 0, 1),
        7: struct.pack("<i", 0),
        8: struct.pack("<idii", 1, 200.0, 0, n_samples),
        9: numbers.astype("<i2").tobytes(),
    }  # fmt: skip
    directory, body = [(16, 16, 40, 40)], b""
    for i in range(1, 40):
        directory.append((16 * 40 + len(body), 80 if i == 4 else 0, 3, 3 if i == 4 else 0))
        body += blocks.get(i, b"")
    path.write_bytes(b"".join(struct.pack("<4i", *entry) for entry in directory) + body)


def test_kit_and_kit_as_fif(tmp_path):
    numbers = np.random.default_rng(5).integers(-900, 900, (500, 3))
    numbers[:, 2] = 800
    numbers[100:150, 2] = 0
    (tmp_path / "con").mkdir()
    write_kit(tmp_path / "con" / "a.con", numbers)
    raw = quiet(mne.io.read_raw_kit, tmp_path / "con" / "a.con")
    recording = load(tmp_path / "con")
    check_values(recording, raw)
    assert {name: signal.shape[1] for name, signal in recording.signals.items()} == {
        "meg_mag": 2,
        "misc": 1,
        "trigger": 1,
    }
    assert recording.events["triggers"].time.values.tolist() == [0.5]
    (tmp_path / "fif").mkdir()
    raw.save(tmp_path / "fif" / "kit_raw.fif", verbose="error")
    converted = load(tmp_path / "fif")
    check_values(converted, quiet(mne.io.read_raw_fif, tmp_path / "fif" / "kit_raw.fif"))
    assert converted.metadata["modality"] == "meg"
    np.testing.assert_array_equal(converted.signals["meg_mag"].coil_type, recording.signals["meg_mag"].coil_type)


def test_other_fif_files_are_named_for_what_they_are(fake, tmp_path):
    info = mne.create_info(["Cz"], 100.0, "eeg")
    mne.EvokedArray(np.zeros((1, 100)), info).save(tmp_path / "a-ave.fif", verbose="error")
    with pytest.raises(NeurodataError, match=r"a-ave\.fif: a FIF file with averaged responses, no recording"):
        MneRaw(tmp_path).sessions()


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_off_says_so(fake, tmp_path, packed):
    fake.write_fif(tmp_path / "a_raw.fif")
    content = (tmp_path / "a_raw.fif").read_bytes()[:-3000]
    if packed:
        (tmp_path / "a_raw.fif").unlink()
        (tmp_path / "a_raw.fif.gz").write_bytes(gzip.compress(content)[:-20])
    else:
        (tmp_path / "a_raw.fif").write_bytes(content)
    with pytest.raises(NeurodataError, match="the FIF file is cut off or damaged"):
        MneRaw(tmp_path).sessions()


def test_a_chain_of_tags_never_runs_in_circles(tmp_path):
    tag = struct.pack(">4i", 100, 31, 20, 0) + bytes(20)
    (tmp_path / "a.fif").write_bytes(tag + struct.pack(">4i", 108, 0, 0, 16))
    assert _mne_fif.scan(tmp_path / "a.fif").kind == "no samples"


@pytest.mark.parametrize(
    ("write", "old", "new"), [("write_gdf", "a.gdf", "a.bin"), ("write_persyst", "a.lay", "a.txt")]
)
def test_a_name_that_the_reader_does_not_take_is_said(fake, tmp_path, write, old, new):
    getattr(fake, write)(tmp_path / old)
    (tmp_path / old).rename(tmp_path / new)
    with pytest.raises(NeurodataError, match=r"its content asks for a name that ends in \.(gdf|lay).*rename it"):
        MneRaw(tmp_path).sessions()


def test_what_belongs_to_others_is_not_claimed(fake, tmp_path):
    scipy.io.savemat(tmp_path / "other.mat", {"EEG": np.zeros((3, 3)), "srate": 5.0})
    (tmp_path / "x.edf").write_bytes(b"0".ljust(256) + bytes(500))
    (tmp_path / "x.bdf").write_bytes(b"\xffBIOSEMI".ljust(256) + bytes(500))
    assert [MneRaw.claim(path) for path in sorted(tmp_path.iterdir())] == [[], [], []]


def test_a_folder_of_ctf_is_one_recording_or_an_error_that_names_it(tmp_path):
    folder = tmp_path / "a.ds"
    folder.mkdir()
    (folder / "a.res4").write_bytes(b"MEG42RS\0" + bytes(100))
    with pytest.raises(NeurodataError, match=r"a\.ds: a CTF folder holds a \.res4 header and \.meg4 samples"):
        MneRaw(tmp_path).sessions()
    (folder / "a.meg4").write_bytes(b"MEG41CP\0" + bytes(100))
    [claim] = MneRaw.claim(folder)
    assert [file.name for file in claim.files] == ["a.meg4", "a.res4"]
    with pytest.raises(RawFileError, match=r"a\.ds: MNE cannot read it"):
        load(folder)


def test_warnings_of_mne_reach_the_user_and_the_metadata(fake, tmp_path):
    fake.write_brainvision(tmp_path / "a.vhdr")
    markers = (tmp_path / "a.vmrk").read_text()
    (tmp_path / "a.vmrk").write_text(markers.replace("Mk3=Comment,pause,201,150,0", "Mk3=Comment,late,900,1,0"))
    with pytest.warns(UserWarning, match=r"a\.vhdr: Omitted 1 annotation"):
        recording = load(tmp_path)
    assert "Omitted 1 annotation" in recording.metadata["extra"]["reader_notes"][0]


def test_a_missing_package_is_named(fake, tmp_path, monkeypatch):
    fake.write_fif(tmp_path / "a_raw.fif")
    loader = MneRaw(tmp_path)
    [session] = loader.sessions()
    monkeypatch.setitem(__import__("sys").modules, "mne", None)
    with pytest.raises(NeurodataError, match=r'pip install "neurodata\[eeg\]"'):
        loader.load(session)


def test_renamed_eeglab_pair_is_read(fake, tmp_path):
    fake.write_eeglab(tmp_path / "a.set")
    for suffix in (".set", ".fdt"):
        shutil.move(tmp_path / f"a{suffix}", tmp_path / f"sub-01_eeg{suffix}")
    recording = load(tmp_path)
    assert recording.recording_id.endswith("/sub-01_eeg")
    assert [file["name"] for file in recording.metadata["source_files"]] == ["sub-01_eeg.set", "sub-01_eeg.fdt"]
