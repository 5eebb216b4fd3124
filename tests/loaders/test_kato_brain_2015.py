"""The five worms: exact values, exact states, and one clear error for each kind of bad file."""

from __future__ import annotations

import re

import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.datasets.kato_brain_2015 import STATES, KatoBrain2015
from neurodata.loaders.options import parse_options
from neurodata.recording.validate import validate


@pytest.fixture
def fake(fake_raw):
    return fake_raw("kato_brain_2015")


@pytest.fixture
def raw(fake, tmp_path):
    fake.write_raw(tmp_path / "raw")
    return tmp_path / "raw"


def codes_at_samples(recording):
    """Evaluate the half-open intervals at the sample times."""
    times = recording.signals["calcium"]["time"].values
    states = recording.intervals["state"]
    codes = np.full(len(times), -1)
    for start, stop, code in zip(states["start"].values, states["stop"].values, states["code"].values):
        assert (codes[(times >= start) & (times < stop)] == -1).all(), "intervals overlap"
        codes[(times >= start) & (times < stop)] = code
    return codes


def test_values_names_and_states_are_those_of_the_files(fake, raw):
    loader = KatoBrain2015(raw)
    assert loader.sessions() == ["kato_brain_2015/worm1", "kato_brain_2015/worm2"]
    for worm, session in enumerate(loader.sessions()):
        recording = loader.load(session)
        calcium = recording.signals["calcium"]
        assert calcium.dtype == np.float64
        np.testing.assert_array_equal(calcium.values, fake.traces(worm))
        label = {i: str(name) for i, name in enumerate(calcium["label"].values) if name}
        assert label == fake.CANONICAL[worm]
        raw_names = dict(zip(fake.COLUMNS[worm], fake.NAMES[worm]))
        assert [str(name) for name in calcium["label_raw"].values] == [
            raw_names.get(i, "") for i in range(calcium.sizes["channel"])
        ]
        assert set(calcium["label_source"].values[fake.COLUMNS[worm]]) == {"known_neurons.npz"}
        assert str(calcium["channel_id"].values[3]) == f"worm{worm + 1}_n003"
        assert calcium.attrs["sampling_rate_hz"] == fake.N_SAMPLES[worm] / 1080
        assert "1080 s" in calcium.attrs["sampling_rate_source"]
        assert recording.intervals["state"]["stop"].values[-1] == pytest.approx(1080)
        np.testing.assert_array_equal(codes_at_samples(recording), fake.CODES[worm])
        states = recording.intervals["state"]
        assert [STATES[code] for code in states["code"].values] == states["label"].values.tolist()
        assert (np.diff(states["code"].values) != 0).all(), "runs are as long as they can be"


def test_an_uncertain_name_is_kept_raw_and_reported(raw):
    recording = KatoBrain2015(raw).load("kato_brain_2015/worm2")
    assert str(recording.signals["calcium"]["label"].values[6]) == ""
    assert str(recording.signals["calcium"]["label_raw"].values[6]) == "AVA?"
    assert "AVA?" in recording.metadata["extra"]["label_problems"][0]


@pytest.mark.parametrize("number", range(1, 6))
def test_published_worm_is_read_exactly(number, real_data):
    folder = real_data("celegans/kato2015-zimmer")
    recording = KatoBrain2015(folder).load(f"kato_brain_2015/worm{number}")
    with np.load(folder / f"raw_full_data_worm_{number}.npz") as archive:
        np.testing.assert_array_equal(recording.signals["calcium"].values, archive["arr_0"])
    codes = np.loadtxt(folder / f"worm_{number - 1}_y.csv", delimiter=",", dtype=int)
    np.testing.assert_array_equal(codes_at_samples(recording), codes)
    states = recording.intervals["state"]
    np.testing.assert_array_equal(states["start"].values[1:], states["stop"].values[:-1])
    label, label_raw = (recording.signals["calcium"][name].values for name in ("label", "label_raw"))
    assert {"AVAL", "VB2", "RID"} <= set(label.tolist())
    assert "VB02" in label_raw
    assert ((label != "") == (label_raw != "")).all(), "every published name is known"


def test_optional_times_make_the_signal_irregular(fake, raw):
    times = np.cumsum(np.random.default_rng(0).uniform(0.1, 0.5, fake.N_SAMPLES[0]))
    (raw / "time_worm_1.csv").write_text(",".join(map(repr, times.tolist())))
    loader = KatoBrain2015(raw)
    recording = loader.load("kato_brain_2015/worm1")
    validate(recording)
    np.testing.assert_array_equal(recording.signals["calcium"]["time"].values, times)
    np.testing.assert_array_equal(codes_at_samples(recording), fake.CODES[0])
    assert "time_worm_1.csv" in [source["name"] for source in recording.metadata["source_files"]]
    assert recording.signals["calcium"].attrs["sampling_rate_source"] == "time_worm_1.csv"


def test_duration_option_sets_the_rate(fake, raw):
    loader = KatoBrain2015(raw, **parse_options(KatoBrain2015, ["duration_seconds=30"]))
    recording = loader.load("kato_brain_2015/worm1")
    assert recording.signals["calcium"].attrs["sampling_rate_hz"] == fake.N_SAMPLES[0] / 30
    assert recording.metadata["loader"]["options"] == {"duration_seconds": 30.0, "duplicates": "refuse"}
    with pytest.raises(NeurodataError, match="'duration_seconds' must be a positive number, got -1"):
        KatoBrain2015(raw, duration_seconds=-1.0)


def test_duplicate_names_are_refused_or_unlabelled(fake, raw):
    fake.write_known(raw, [np.array([1, 3, 4]), np.array([0])], [["VB02", "AVAL", "vb2"], ["RID"]])
    with pytest.raises(
        RawFileError, match=r"worm 1 columns 1 \('VB02'\) and 4 \('vb2'\) are both called VB2.*--set duplicates=unlabel"
    ):
        KatoBrain2015(raw).load("kato_brain_2015/worm1")
    recording = KatoBrain2015(raw, duplicates="unlabel").load("kato_brain_2015/worm1")
    calcium = recording.signals["calcium"]
    assert [str(x) for x in calcium["label"].values[[1, 3, 4]]] == ["", "AVAL", ""]
    assert [str(x) for x in calcium["label_raw"].values[[1, 3, 4]]] == ["VB02", "AVAL", "vb2"]
    assert any("'VB2'" in problem for problem in recording.metadata["extra"]["label_problems"])


def change_traces(change):
    def do(raw, fake):
        values = change(fake.traces(0))
        np.savez(raw / "raw_full_data_worm_1.npz", values)

    return do


def set_value(row, column, value):
    def change(values):
        values[row, column] = value
        return values

    return change


def cut_file(raw, fake):
    path = raw / "raw_full_data_worm_1.npz"
    path.write_bytes(path.read_bytes()[:1000])


def write_codes(text):
    return lambda raw, fake: (raw / "worm_0_y.csv").write_bytes(text)


def write_times(text):
    return lambda raw, fake: (raw / "time_worm_1.csv").write_text(text)


def known(columns, labels):
    return lambda raw, fake: fake.write_known(raw, [np.array(columns), np.array([0])], [labels, ["RID"]])


def one_worm_known(raw, fake):
    np.savez(raw / "known_neurons.npz", fake.object_array([np.array([1]), np.array([1])]), fake.object_array([["RID"]]))


def rename_key(raw, fake):
    np.savez(raw / "raw_full_data_worm_1.npz", traces=fake.traces(0))


BAD = {
    "no traces": (
        lambda r, f: (r / "raw_full_data_worm_1.npz").unlink(),
        r"raw_full_data_worm_1.npz: there is no such file",
    ),
    "no states": (
        lambda r, f: (r / "worm_0_y.csv").unlink(),
        r"worm_0_y.csv: there is no such file; expected one line",
    ),
    "no names": (lambda r, f: (r / "known_neurons.npz").unlink(), r"known_neurons.npz: there is no such file"),
    "truncated traces": (cut_file, r"raw_full_data_worm_1.npz: expected a whole .npz archive, .* truncated or damaged"),
    "text for traces": (
        lambda r, f: (r / "raw_full_data_worm_1.npz").write_text("hello"),
        "expected a whole .npz archive",
    ),
    "another key": (rename_key, r"expected an array 'arr_0', the archive holds 'traces'"),
    "fewer states than samples": (
        write_codes(b"1,1,1\n"),
        r"worm_0_y.csv: 3 states for 60 samples of raw_full_data_worm_1.npz",
    ),
    "neuron of NaN only": (change_traces(set_value(slice(None), 5, np.nan)), r"neuron in column 5 has no value at all"),
    "infinite value": (change_traces(set_value(7, 2, np.inf)), r"value of column 2 at sample 7 is infinite"),
    "whole numbers": (change_traces(lambda v: np.ones((60, 9), np.int64)), r"expected float64 traces .*, got int64"),
    "text array": (change_traces(lambda v: v.astype("U8")), r"expected float64 traces .*, got <U"),
    "no samples": (change_traces(lambda v: v[:0]), r"expected traces of shape \(time, neuron\), got \(0, 9\)"),
    "no neurons": (change_traces(lambda v: v[:, :0]), r"got \(60, 0\)"),
    "one dimension": (change_traces(lambda v: v[:, 0]), r"got \(60,\)"),
    "objects for traces": (change_traces(lambda v: v.astype(object)), r"expected plain numbers, found Python objects"),
    "state 8": (write_codes(b"1,1,8,1\n"), r"worm_0_y.csv: expected state codes 0 … 7, got '8' at position 2"),
    "state 1.0": (write_codes(b"1,1.0\n"), r"got '1.0' at position 1"),
    "empty state": (write_codes(b"1,,1\n"), r"got '' at position 1"),
    "two lines of states": (
        write_codes(b"1,1\n1,1\n"),
        r"expected one line of comma-separated state codes, got 2 lines",
    ),
    "empty states": (write_codes(b""), r"expected one line .*, got 0 lines"),
    "binary states": (write_codes(b"\xff\xfe\x00"), r"it is no such text"),
    "column twice": (known([1, 3, 1], ["AVAL", "RID", "AVAR"]), r"lists column 1 more than once, as AVAL, AVAR"),
    "column out of range": (known([1, 9], ["AVAL", "RID"]), r"names column 9, its traces have columns 0 … 8"),
    "negative column": (known([-1], ["AVAL"]), r"names column -1"),
    "more names than columns": (known([1, 2], ["AVAL"]), r"2 columns \(of 2 entries\) and 1 names"),
    "columns that are no whole numbers": (known([1.5], ["AVAL"]), r"0 columns \(of 1 entries\) and 1 names"),
    "a number for a name": (known([1], [7]), r"has the name '7'; expected text"),
    "an endless name": (known([1], ["A" * 1000]), r"has the name 'A{40}'; expected text"),
    "worm without names": (one_worm_known, r"columns of 2 worms but names of 1"),
    "too few times": (write_times("0,1,2"), r"time_worm_1.csv: 3 times for 60 samples"),
    "times that stand still": (
        write_times(",".join(["0"] * 60)),
        r"expected times that increase, got '0' at position 1",
    ),
    "times of text": (write_times(",".join(["x"] * 60)), r"expected seconds \(could not convert"),
    "infinite time": (write_times(",".join([*map(str, range(59)), "inf"])), r"got 'inf' at position 59"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_gives_one_clear_error(case, raw, fake):
    spoil, message = BAD[case]
    spoil(raw, fake)
    loader = KatoBrain2015(raw)
    with pytest.raises(RawFileError, match=message):
        loader.load("kato_brain_2015/worm1")


def test_missing_traces_of_a_listed_worm_are_not_passed_over(raw):
    (raw / "raw_full_data_worm_2.npz").unlink()
    loader = KatoBrain2015(raw)
    assert "kato_brain_2015/worm2" in loader.sessions()
    loader.load("kato_brain_2015/worm1")
    with pytest.raises(RawFileError, match=re.escape("raw_full_data_worm_2.npz: there is no such file")):
        loader.load("kato_brain_2015/worm2")


def test_worm_beyond_the_list_of_names(raw, fake):
    np.savez(raw / "raw_full_data_worm_3.npz", fake.traces(0))
    (raw / "worm_2_y.csv").write_text(",".join(map(str, fake.CODES[0])))
    with pytest.raises(RawFileError, match="no entry for worm 3, it lists 2 worms"):
        KatoBrain2015(raw).load("kato_brain_2015/worm3")


def test_a_file_is_not_a_folder(raw):
    with pytest.raises(RawFileError, match=r"expected a folder with raw_full_data_worm_1.npz …, this is a file"):
        KatoBrain2015(raw / "known_neurons.npz").sessions()


def test_names_of_equal_number_may_be_a_plain_table(raw, fake):
    np.savez(raw / "known_neurons.npz", np.array([[1, 2], [3, 4]]), np.array([["AVAL", "AVAR"], ["RID", "RIML"]]))
    label = KatoBrain2015(raw).load("kato_brain_2015/worm2").signals["calcium"]["label"].values
    assert label[[3, 4]].tolist() == ["RID", "RIML"]
