"""MATLAB files: what scipy and h5py read is what comes out; maps; odd and hostile files."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.formats._matlab_sizes import check_sizes
from neurodata.loaders.formats.matlab import Matlab
from neurodata.loaders.options import OptionError
from neurodata.recording.validate import validate


@pytest.fixture
def fake(fake_raw):
    return fake_raw("matlab")


def load(path, **options):
    loader = Matlab(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def save(path, variables, **options):
    scipy.io.savemat(path, variables, **options)
    return path


def struct_array(entries):
    made = np.empty((1, len(entries)), [(name, object) for name in entries[0]])
    for i, entry in enumerate(entries):
        for name, value in entry.items():
            made[0, i][name] = value
    return made


# what is recognised


def test_times_that_run_on_after_the_signals_stay_seconds(tmp_path):
    times = np.linspace(0.5, 98.9, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late = load(
            save(
                tmp_path / "a.mat",
                {"dff": np.random.default_rng(0).normal(size=(300, 4)), "fs": 20.0, "lick_times": times},
            )
        )
    np.testing.assert_array_equal(late.events["lick_times"]["time"].values, times)
    with pytest.warns(UserWarning, match="lick_times is taken for milliseconds"):
        early = load(
            save(tmp_path / "b.mat", {"dff": np.zeros((300, 4)), "fs": 20.0, "lick_times": times * 100 + 0.25})
        )
    np.testing.assert_allclose(early.events["lick_times"]["time"].values, times / 10 + 0.00025)


def test_names_of_a_worms_neurons_become_labels(tmp_path):
    names = ["AVAL", "avar", "---", "RIML", "SMDVL", "Q"]
    cells = np.empty((1, 6), object)
    cells[0, :] = names
    traces = np.random.default_rng(0).normal(size=(90, 6))
    recording = load(save(tmp_path / "a.mat", {"deltaFOverF": traces, "tv": np.arange(90) / 3, "NeuronIds": cells}))
    columns = recording.signals["deltaFOverF"].coords
    assert columns["label"].values.tolist() == ["AVAL", "AVAR", "", "RIML", "SMDVL", ""]
    assert columns["label_raw"].values.tolist() == names
    assert recording.metadata["subject"]["species"] == "Caenorhabditis elegans"


def test_codes_beside_times_are_columns_of_the_events(tmp_path):
    codes = np.array([1, 2, 1])
    variables = {
        "lfp": np.ones((300, 4), "i2"),
        "fs": 1000.0,
        "event_times": np.array([0.01, 0.05, 0.2]),
        "event_codes": codes,
    }
    recording = load(save(tmp_path / "a.mat", {**variables, "subject": "m17", "fs_note": "x"}))
    np.testing.assert_array_equal(recording.events["event_times"]["event_codes"].values, codes)
    assert recording.metadata["subject"]["id"] == "m17"
    named = load(save(tmp_path / "b.mat", {**variables, "subject": "Jane Doe"}))
    assert named.metadata["subject"]["id"] == "b"


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_nested_structs_keep_each_signal_on_its_own_clock(tmp_path, fake, version):
    variables = fake.nested()
    if version == "5":
        save(tmp_path / "a.mat", variables)
    else:
        fake.write_v73(tmp_path / "a.mat", variables)
    recording = load(tmp_path / "a.mat")
    data = variables["data"]
    dff, speed = recording.signals["data.imaging.dff"], recording.signals["data.behavior.speed"]
    np.testing.assert_array_equal(dff.values, data["imaging"]["dff"].T, strict=True)
    np.testing.assert_allclose(dff.time.values, data["imaging"]["frame_times"], rtol=0, atol=1e-12)
    assert dff.attrs["sampling_rate_hz"] == 10
    assert dff.coords["label"].values.tolist() == [f"roi {i}" for i in range(5)]
    np.testing.assert_array_equal(dff.coords["snr"].values, data["imaging"]["snr"])
    np.testing.assert_array_equal(speed.values, data["behavior"]["speed"])
    assert speed.attrs["sampling_rate_hz"] == 50
    assert speed.attrs["role"] == "behavior"
    np.testing.assert_array_equal(recording.events["data.licks"]["time"].values, data["licks"])
    assert recording.metadata["subject"]["id"] == "m12"
    assert recording.metadata["modality"] == "calcium"
    assert "not_read" not in recording.metadata["extra"]


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_cells_of_spike_times_are_units(tmp_path, fake, version):
    variables = fake.spikes()
    if version == "5":
        save(tmp_path / "a.mat", variables)
    else:
        fake.write_v73(tmp_path / "a.mat", variables)
    recording = load(tmp_path / "a.mat")
    spikes = recording.events["spikes"]
    for unit, times in enumerate(variables["spike_times"].ravel()):
        np.testing.assert_array_equal(spikes["time"].values[spikes["unit"].values == unit], times.ravel())
    assert recording.units.sizes["unit"] == 3
    trial = recording.intervals["trial"]
    np.testing.assert_array_equal(trial["stop"].values, variables["trial_end"].ravel())
    np.testing.assert_array_equal(trial["direction"].values, np.arange(5))


def test_trials_are_pieces_with_gaps(tmp_path, fake):
    variables = fake.trials()
    recording = load(save(tmp_path / "a.mat", variables))
    lfp, trials = recording.signals_stored["lfp"], recording.intervals["trials"]
    np.testing.assert_array_equal(lfp.values.reshape(6, 64, 3), variables["lfp"].transpose(2, 1, 0), strict=True)
    times = recording.signals["lfp"].time.values.reshape(6, 64) - trials["zero_seconds"].values[:, None]
    np.testing.assert_allclose(times, np.tile(variables["t"], (6, 1)), atol=1e-9)
    assert trials["condition"].values.tolist() == [1, 2, 1, 2, 1, 2]
    assert (trials["start"].values[1:] > trials["stop"].values[:-1]).all()


def test_lazy_rows_are_those_of_the_whole(tmp_path, fake):
    variables = fake.trials()
    lfp = load(save(tmp_path / "a.mat", variables)).signals_stored["lfp"]
    whole = lfp.values
    for first, after in ((0, 1), (10, 64), (60, 70), (63, 200), (383, 384)):
        np.testing.assert_array_equal(lfp.isel(time=slice(first, after)).values, whole[first:after])


def test_fieldtrip_trials_lie_where_its_sample_numbers_put_them(tmp_path, fake):
    rng = np.random.default_rng(0)
    lengths = (100, 120, 100)
    data = {
        "label": fake.cells(["Fz", "Cz"]).T,
        "fsample": 250.0,
        "trial": fake.cells([rng.normal(size=(2, n)) for n in lengths]),
        "time": fake.cells([np.arange(n) / 250 - 0.2 for n in lengths]),
        "sampleinfo": np.array([[1, 100], [301, 420], [601, 700]]),
        "trialinfo": np.array([[1], [2], [1]]),
    }
    recording = load(save(tmp_path / "a.mat", {"data": data}))
    signal, trials = recording.signals["data.trial"], recording.intervals["trials"]
    np.testing.assert_array_equal(signal.values, np.concatenate([item.T for item in data["trial"][0]]))
    np.testing.assert_array_equal(signal.isel(time=slice(90, 230)).values, signal.values[90:230])
    assert trials["start"].values.tolist() == [0, 1.2, 2.4]
    np.testing.assert_allclose(trials["zero_seconds"].values, [0.2, 1.4, 2.6])
    assert trials["trialinfo"].values.tolist() == [1, 2, 1]
    assert signal.coords["label"].values.tolist() == ["Fz", "Cz"]


def test_an_array_of_sessions_is_one_recording_each(tmp_path):
    rng = np.random.default_rng(0)
    entries = [
        {"dff": rng.normal(size=(5, n)), "t": np.arange(n) / 4, "names": np.array(["AVA"] * 5, object)}
        for n in (50, 60)
    ]
    save(tmp_path / "worms.mat", {"worms": struct_array(entries), "note": "both"})
    loader = Matlab(tmp_path, dataset="lab")
    assert loader.sessions() == ["lab/worms-1", "lab/worms-2"]
    for session, entry in zip(loader.sessions(), entries):
        signal = loader.load(session).signals["worms.dff"]
        np.testing.assert_array_equal(signal.values, entry["dff"].T)
        assert signal.coords["label"].values.tolist() == ["AVA"] * 5


def test_an_array_of_units_is_one_table(tmp_path):
    rng = np.random.default_rng(0)
    entries = [{"ts": np.sort(rng.uniform(0, 9, n)), "depth": 100.0 * n, "quality": "good"} for n in (5, 7)]
    recording = load(save(tmp_path / "a.mat", {"units": struct_array(entries)}))
    assert recording.events["spikes"].sizes["event"] == 12
    assert recording.units["depth"].values.tolist() == [500, 700]
    assert recording.units["quality"].values.tolist() == ["good", "good"]


@pytest.mark.parametrize(
    ("variables", "name", "shape", "rate_hz"),
    [
        pytest.param({"x": np.zeros((4, 90)), "fs": 20}, "x", (90, 4), 20, id="longest dimension"),
        pytest.param({"x": np.zeros((90, 40)), "run": np.zeros(40), "dt": 0.1}, "x", (40, 90), 10, id="shared with run"),
        pytest.param({"bold": np.zeros((30, 50)), "TR": 2000}, "bold", (50, 30), 0.5, id="TR in ms"),
        pytest.param({"lfp": np.sin(np.arange(300)), "Fs": 1250}, "lfp", (300, 1), 1250, id="one trace"),
        pytest.param({"x": np.zeros((9, 40)), "t": np.arange(9) / 5}, "x", (9, 40), 5, id="as long as the times"),
        pytest.param({"eeg": np.zeros((3, 90)), "srate": 500, "times": np.arange(90) * 2.0}, "eeg", (90, 3), 500, id="ms"),
        pytest.param({"x": np.zeros((3, 90)), "frames_t": np.arange(1, 91)}, "x", (90, 3), None, id="frame numbers"),
        pytest.param({"z": {"dff": np.zeros((3, 90)), "fps": 7.0}, "fs": 99.0}, "z.dff", (90, 3), 7, id="inner rate"),
    ],
)  # fmt: skip
def test_orientation_and_rate(tmp_path, variables, name, shape, rate_hz):
    path = save(tmp_path / "a.mat", variables)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = load(path).signals_stored[name]
    assert signal.shape == shape
    assert signal.attrs.get("sampling_rate_hz") == rate_hz


def test_orientation_and_rate_are_options(tmp_path):
    path = save(tmp_path / "a.mat", {"dff": np.arange(200.0).reshape(20, 10) % 7})
    signal = load(path, orientation="channel_first", rate_hz=4.0).signals["dff"]
    assert signal.shape == (10, 20)
    assert signal.attrs["sampling_rate_hz"] == 4


def test_assumed_units_of_time_are_said(tmp_path, fake):
    variables = {
        "speed": np.sin(np.arange(6000)), "speed_t": np.arange(6000) / 100,
        "spikes": fake.cells([np.array([100, 2000, 59000])]*2),
    }  # fmt: skip
    path = save(tmp_path / "a.mat", variables)
    with pytest.warns(UserWarning, match="spikes is taken for milliseconds: it runs to 59000, the recording to 60 s"):
        recording = load(path)
    assert recording.events["spikes"]["time"].values.tolist() == [0.1, 0.1, 2, 2, 59, 59]
    assert "taken for milliseconds" in recording.metadata["extra"]["assumed"][0]


def test_published_files_of_other_loaders_read_without_loss(real_data):
    folder = real_data("spiking/benjamin2018-m1-s1")
    expected = scipy.io.loadmat(folder / "m1_stevenson_2011.mat")
    recording = load(folder / "m1_stevenson_2011.mat")
    for name in ("spikes", "handVel", "handPos"):
        np.testing.assert_array_equal(recording.signals_stored[name].values, expected[name].T, strict=True)
        np.testing.assert_array_equal(recording.signals[name].time.values, expected["time"][0])
    folder = real_data("calcium/cascade-ds15-mouse-v1")
    for path in sorted(folder.glob("*.mat")):
        expected = scipy.io.loadmat(path)["CAttached"][0, 0][0, 0]
        with pytest.warns(UserWarning, match="ten-thousandths of a second"):
            recording = load(path)
        signal = recording.signals["CAttached.fluo_mean"]
        np.testing.assert_array_equal(signal.values[:, 0], expected["fluo_mean"].ravel())
        np.testing.assert_allclose(signal.time.values, expected["fluo_time"].ravel(), rtol=0, atol=1e-9)
        times = expected["events_AP"][~np.isnan(expected["events_AP"])] * 1e-4
        np.testing.assert_array_equal(recording.events["spikes"]["time"].values, times)


def test_files_that_scipy_tests_itself_with_are_read_or_refused_as_scipy_does(tmp_path):
    folder = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
    files = sorted(folder.glob("*.mat"))
    if not files:
        pytest.skip("scipy is installed without its tests")
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                names = {name for name in scipy.io.loadmat(path) if not name.startswith("__")}
            except NotImplementedError:  # version 7.3
                names = {"testdouble"}
            except Exception:
                with pytest.raises(RawFileError):
                    Matlab.open_tree(path)
                continue
        assert Matlab.is_mine(path) or not names, path.name
        assert set(Matlab.open_tree(path).root.fields) == names, path.name


# maps


def write_map(tmp_path, text):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    return str(path)


def test_a_map_says_what_is_what(tmp_path, fake):
    rng = np.random.default_rng(0)
    session = {
        "dff": rng.normal(size=(4, 4)), "fps": 30.0, "cell_ids": fake.cells(list("abcd")).T,
        "wheel": {"speed": rng.normal(size=(6, 1)), "t": np.array([0, 10, 21, 30, 40, 55])},
        "licks": np.array([0.3, np.nan, 0.1]), "strength": np.array([3, 0, 1]),
        "trials": {"on": np.array([0.0, 1]), "off": np.array([0.5, 2]), "side": fake.cells(["left", "right"])},
    }  # fmt: skip
    save(tmp_path / "a.mat", {"session": session})
    text = """
        signals:
          calcium: {variable: session.dff, orientation: channel_first, units: dF/F, rate_hz: session.fps,
                    channel_id: session.cell_ids}
          wheel: {variable: session.wheel.speed, units: cm/s, role: behavior, time: session.wheel.t, time_unit: ms}
        events: {licks: {variable: session.licks, columns: {strength: session.strength}}}
        intervals: {trials: {start: session.trials.on, stop: session.trials.off, label: session.trials.side}}
        metadata: {subject: {id: m12, sex: F}, species: Mus musculus, modality: calcium, licence: CC0}
    """
    recording = load(tmp_path / "a.mat", map=write_map(tmp_path, text))
    np.testing.assert_array_equal(recording.signals["calcium"].values, session["dff"].T)
    assert recording.signals["calcium"].channel_id.values.tolist() == list("abcd")
    np.testing.assert_allclose(recording.signals["wheel"].time.values, np.array([0, 10, 21, 30, 40, 55]) / 1000)
    licks = recording.events["licks"]
    assert (licks["time"].values.tolist(), licks["strength"].values.tolist()) == ([0.1, 0.3], [1, 3])
    assert recording.intervals["trials"]["label"].values.tolist() == ["left", "right"]
    assert recording.metadata["subject"] == {"id": "m12", "species": "Mus musculus", "sex": "F"}
    assert [entry["name"] for entry in recording.metadata["source_files"]] == ["a.mat", "map.yaml"]
    assert recording.metadata["licence"] == "CC0"


def test_a_map_makes_one_recording_per_element(tmp_path, fake):
    rng = np.random.default_rng(0)
    entries = [
        {
            "name": name,
            "units": fake.cells([np.array([30, 60.0]), np.array([45.0])]),
            "lfp": rng.integers(-9, 9, (7, 2)).astype(np.int16),
            "stim": np.array([[0, 1.0], [2, 3]]),
        }
        for name in ("may 1", "may 2")
    ]
    save(tmp_path / "a.mat", {"fs": 30.0, "sessions": struct_array(entries)})
    text = """
        recordings: {each: sessions, name: name}
        signals: {lfp: {variable: lfp, orientation: time_first, units: uV, scale: 0.195, rate_hz: 1000}}
        events: {spikes: {variable: units, unit: samples@fs, unit_of: cells}}
        intervals: {stimulus: {variable: stim}}
        metadata: {modality: spikes}
    """
    loader = Matlab(tmp_path, dataset="lab", map=write_map(tmp_path, text))
    assert loader.sessions() == ["lab/a-may_1", "lab/a-may_2"]
    recording = loader.load("lab/a-may_2")
    validate(recording)
    np.testing.assert_array_equal(recording.signals_stored["lfp"].values, entries[1]["lfp"], strict=True)
    np.testing.assert_allclose(recording.signals["lfp"].values, entries[1]["lfp"] * 0.195, rtol=1e-6)
    assert recording.events["spikes"]["time"].values.tolist() == [1.0, 1.5, 2.0]
    assert recording.events["spikes"]["unit"].values.tolist() == [0, 1, 0]
    assert recording.intervals["stimulus"]["stop"].values.tolist() == [1, 3]


def test_a_map_names_trials_and_labels_of_spikes(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    variables = {"x": values, "t": np.array([1, 2, 3]), "u": np.array([7, 5, 7])}
    save(tmp_path / "a.mat", variables)
    text = """
        signals: {x: {variable: x, orientation: 'time, trial, channel', rate_hz: 2, scale: 10.0}}
        events: {spikes: {variable: t, unit: 1e-1 s, unit_of: u}}
    """
    recording = load(tmp_path / "a.mat", map=write_map(tmp_path, text))
    np.testing.assert_array_equal(recording.signals["x"].values.reshape(3, 2, 4), values.transpose(1, 0, 2) * 10)
    assert recording.intervals["trials"].sizes["interval"] == 3
    assert recording.units["unit_id"].values.tolist() == ["5", "7"]
    np.testing.assert_allclose(recording.events["spikes"]["time"].values, [0.1, 0.2, 0.3])
    assert recording.events["spikes"]["unit"].values.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("signals: {a: {variable: data.imaging.df}}", r"no variable 'data\.imaging\.df'; did you mean 'data\.imaging\.dff'.*data\.imaging\.frame_times \(float64, 1 x 120\)", id="unknown variable"),
        pytest.param("signals: {a: {variable: data.mouse}}", r"expected real numbers at 'data\.mouse', found data\.mouse \(char, 1\)", id="text"),
        pytest.param("signals: {a: {variable: data.imaging.dff, orient: x}}", "signals/a/orient: Extra inputs", id="unknown word"),
        pytest.param("signals: {a: {variable: x, orientation: sideways}}", "expected channel_first, time_first or a list", id="orientation"),
        pytest.param("signals: {a: {variable: x, rate_hz: 2, time: t}}", "give 'time' or 'rate_hz', not both", id="two clocks"),
        pytest.param("events: {a: {variable: x, unit: parsec}}", "expected a unit of time such as s, ms", id="unit"),
        pytest.param("metadata: {modality: eeg}", "it names no signal, event or interval", id="nothing named"),
        pytest.param("signals: {a: {variable: x}}\nmetadata: {birthday: x}", "metadata has no 'birthday'; known: subject", id="metadata"),
        pytest.param("intervals: {a: {start: x}}", "give 'start' and 'stop', or 'variable'", id="no stop"),
        pytest.param("- a\n- b", "expected a map with 'signals'", id="a list"),
        pytest.param("signals: {a: !!python/object/apply:os.system [ls]}", "expected a map in YAML", id="hostile YAML"),
        pytest.param("signals: {a: {variable: data.imaging.dff, time: data.licks}}", "signal 'a' has 120 samples along time, data.licks has 7 times", id="lengths"),
        pytest.param("signals: {a: {variable: data.imaging.dff, labels: [a]}}", "1 entries of labels for 5 channels", id="labels"),
        pytest.param("recordings: {each: dat}\nsignals: {a: {variable: x}}", r"no variable 'dat'", id="no array"),
    ],
)  # fmt: skip
def test_wrong_maps_are_explained(tmp_path, fake, text, message):
    path = save(tmp_path / "a.mat", fake.nested())
    with pytest.raises(NeurodataError, match=f"(?s){message}"):
        load(path, map=write_map(tmp_path, text))


def test_a_missing_map_and_wrong_options_are_explained(tmp_path, fake):
    path = save(tmp_path / "a.mat", fake.nested())
    with pytest.raises(NeurodataError, match=r"option 'map' .* does not exist"):
        Matlab(path, map=str(tmp_path / "no.yaml"))
    with pytest.raises(NeurodataError, match="no modality 'calcum'; did you mean 'calcium'"):
        Matlab(path, modality="calcum")
    with pytest.raises(OptionError, match="the rate stands in the map"):
        Matlab(path, map=str(path), rate_hz=3.0)


# what is not read


def test_a_file_without_a_recording_gets_a_map_to_start_from(tmp_path):
    path = save(tmp_path / "a.mat", {"p": {"gain": 3}, "sc": np.eye(5), "note": "x"})
    with pytest.raises(RawFileError, match=r"(?s)none of the variables looks like a recording.*p\.gain.*variable: sc"):
        Matlab(path).sessions()


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"EEG": {"nbchan": 3, "srate": 100, "data": np.zeros((3, 50))}}, id="struct"),
        pytest.param({"nbchan": 3, "srate": 100, "data": np.zeros((3, 50))}, id="fields at the top"),
    ],
)
def test_eeglab_files_are_for_another_loader(tmp_path, variables):
    assert Matlab.claim(save(tmp_path / "a.mat", variables)) == []


def test_what_is_not_used_is_listed(tmp_path):
    variables = {"dff": np.zeros((3, 90)), "fs": 3, "z": np.array([1 + 2j]), "img": np.ones((40, 60)), "f": "text"}
    listed = load(save(tmp_path / "a.mat", variables)).metadata["extra"]["not_read"]
    assert sorted(listed) == ["f (char, 1)", "img (float64, 40 x 60)", "z (complex128, 1 x 1)"]


def test_hdf5_kinds_of_7_3_are_read(tmp_path, fake):
    path = tmp_path / "a.mat"
    values = {"x": np.arange(80, dtype=np.int16).reshape(4, 20), "ok": np.ones((1, 20), bool), "e": np.zeros((0, 3)),
              "cell": fake.cells(["ab", 2.0, np.zeros((0, 0))]), "s": {"deep": {"er": "text"}},
              "trials": [{"n": 1.0}, {"n": 2.0}]}  # fmt: skip
    fake.write_v73(path, values)
    with h5py.File(path, "r+") as file:
        made = file.create_dataset("c", data=np.zeros((20, 4), [("real", "f8"), ("imag", "f8")]))
        made.attrs["MATLAB_class"] = np.bytes_("double")
        made = file.create_dataset("fh", data=np.zeros((1, 4), np.uint32))
        made.attrs["MATLAB_class"] = np.bytes_("function_handle")
        sparse = file.create_group("sp")
        sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(4)
        for name, content in (("data", [5.0, 6.0]), ("ir", [1, 3]), ("jc", [0, 1, 1, 2])):
            sparse.create_dataset(name, data=content)
    tree = Matlab.open_tree(path)
    fields = tree.root.fields
    np.testing.assert_array_equal(fields["x"].values(), values["x"], strict=True)
    np.testing.assert_array_equal(fields["x"].read((slice(1, 3), slice(5, 6))), values["x"][1:3, 5:6])
    assert (fields["ok"].kind, fields["ok"].shape) == ("logical", (1, 20))
    assert fields["e"].shape == (0, 3)
    assert fields["cell"].items[0].rows == ("ab",)
    assert fields["s"].fields["deep"].fields["er"].rows == ("text",)
    assert [item.fields["n"].vector()[0] for item in fields["trials"].items] == [1, 2]
    np.testing.assert_array_equal(fields["sp"].values(), [[0, 0, 0], [5, 0, 0], [0, 0, 0], [0, 0, 6]])
    assert (fields["c"].kind, fields["c"].shape) == ("complex", (4, 20))
    assert fields["fh"].kind == "function_handle"


def test_large_variables_of_7_3_stay_in_the_file(tmp_path, fake):
    values = np.random.default_rng(0).integers(-99, 99, (3, 90_000)).astype(np.int16)
    fake.write_v73(tmp_path / "a.mat", {"lfp": values, "fs": np.array(1000.0)})
    signal = load(tmp_path / "a.mat").signals_stored["lfp"]
    np.testing.assert_array_equal(signal.isel(time=slice(70_000, 70_010)).values, values[:, 70_000:70_010].T)
    np.testing.assert_array_equal(signal.values, values.T, strict=True)


def test_cells_that_hold_themselves_are_refused(tmp_path, fake):
    fake.write_v73(tmp_path / "a.mat", {"c": fake.cells([1.0, "a"])})
    with h5py.File(tmp_path / "a.mat", "r+") as file:
        file["c"][0, 0] = file["c"].ref
    with pytest.raises(RawFileError, match="nested more than 40 deep"):
        Matlab.open_tree(tmp_path / "a.mat")


def test_links_to_other_files_are_refused(tmp_path, fake):
    fake.write_v73(tmp_path / "a.mat", {"x": np.zeros((3, 40))})
    with h5py.File(tmp_path / "a.mat", "r+") as file:
        file["y"] = h5py.ExternalLink("other.mat", "/y")
    with pytest.raises(RawFileError, match="lies in another file"):
        Matlab(tmp_path / "a.mat").sessions()


# sizes that are not true


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(dims, cls, content, name=b"x"):
    head = element(6, struct.pack("<II", cls, 0)) + element(5, struct.pack(f"<{len(dims)}i", *dims)) + element(1, name)
    return element(14, head + content)


def write_v5(path, *elements):
    path.write_bytes(b"MATLAB 5.0 MAT-file, made up".ljust(116) + b"\0" * 8 + b"\x00\x01IM" + b"".join(elements))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(matrix((1 << 20, 1 << 10), 6, element(9, bytes(80))), r"a variable of shape \(1048576, 1024\) holds 10 values", id="numbers"),
        pytest.param(matrix((1 << 30, 4), 1, b""), "4294967296 elements are claimed where 0 bytes are left", id="cells"),
        pytest.param(matrix((1, 1 << 28), 2, element(5, struct.pack("<i", 8)) + element(1, b"a\0\0\0\0\0\0\0")), "elements are claimed where", id="structs"),
        pytest.param(struct.pack("<II", 14, 1 << 31), "claims 2147483648 bytes, the file ends after", id="longer than the file"),
        pytest.param(matrix((1, 1), 6, element(10, bytes(8))), "values of type 10, which MATLAB does not have", id="type that crashes scipy"),
        pytest.param(matrix((1, 1), 99, element(9, bytes(8))), "a variable of class 99", id="class"),
        pytest.param(struct.pack("<II", 15, 20) + bytes(20), "unknown compression method", id="no deflate stream"),
    ],
)  # fmt: skip
def test_sizes_are_held_against_the_bytes(tmp_path, content, message):
    path = write_v5(tmp_path / "a.mat", content)
    with pytest.raises(RawFileError, match=message):
        check_sizes(path)
    with pytest.raises(RawFileError, match=re.escape(str(path))):
        Matlab.open_tree(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("neurodata.loaders.formats._matlab_sizes.MOST_BYTES", 1 << 20)
    content = zlib.compress(matrix((4 << 20, 1), 9, element(2, bytes(4 << 20))))
    path = write_v5(tmp_path / "a.mat", struct.pack("<II", 15, len(content)) + content)
    with pytest.raises(RawFileError, match="it unpacks to more than 1048576 bytes"):
        check_sizes(path)


def test_true_sizes_pass(tmp_path, fake):
    path = save(tmp_path / "a.mat", fake.nested() | {"c": fake.cells([1, "a", np.zeros((0, 3)), {"b": 2}])})
    assert check_sizes(path) > 0
    path = save(tmp_path / "b.mat", {"x": np.zeros((300, 300))}, do_compression=True)
    assert 720_000 < check_sizes(path) < 721_000
