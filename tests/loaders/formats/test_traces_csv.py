"""Tables of traces: exact values, however they are written; and what is no such table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.formats import _tables_text
from neurodata.loaders.formats.traces_csv import TracesCsv
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


def load(path: Path, **options) -> Recording:
    loader = TracesCsv(path, **options)
    recording = loader.load(loader.sessions()[0])
    validate(recording)
    return recording


def values_of(path: Path, **options) -> np.ndarray:
    return load(path, **options).signals["calcium"].values


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (60, 5)) * 10.0 ** np.arange(-6, 4, 2)


def test_published_tables_are_exactly_what_python_reads(real_data):
    for path in sorted(real_data("calcium/tome2024-fear-sessions").glob("mouse*_hc0.csv")):
        expected = np.array([[float(cell) for cell in line.split(",")] for line in path.read_text().splitlines()])
        recording = load(path)
        np.testing.assert_array_equal(recording.signals["calcium"].values, expected, strict=True)
        assert recording.signals["calcium"].attrs["time_unit"] == "frame"
        assert list(recording.signals["calcium"].channel_id.values[:2]) == ["cell000", "cell001"]


WAYS = {
    "commas": {"sep": ","},
    "tabs": {"sep": "\t"},
    "semicolons": {"sep": ";"},
    "blanks": {"sep": " "},
    "decimal commas": {"sep": ";", "decimal": ","},
    "decimal commas and tabs": {"sep": "\t", "decimal": ","},
    "quoted": {"sep": ",", "quoting": 1},
    "Windows": {"sep": ",", "lineterminator": "\r\n"},
    "byte order mark": {"sep": ",", "encoding": "utf-8-sig"},
    "UTF-16": {"sep": ",", "encoding": "utf-16"},
    "Latin-1": {"sep": ",", "encoding": "latin-1"},
}


@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("way", WAYS)
def test_tables_are_read_however_they_are_written(way, header, values, tmp_path):
    names = [f"ROI_{i}_µ" for i in range(5)] if header else None
    pd.DataFrame(values, columns=names).to_csv(tmp_path / "a.csv", index=False, header=header, **WAYS[way])
    signal = load(tmp_path / "a.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, values, strict=True)
    assert list(signal.channel_id.values) == (names or [f"cell00{i}" for i in range(5)])


def test_large_tables_are_parsed_where_they_are_asked_for(values, tmp_path, monkeypatch):
    values = np.tile(values, (30, 1))
    values[700, 2] = np.nan
    frame = pd.DataFrame(values, columns=list("abcde"))
    frame.insert(0, "time", np.arange(1800) / 10)
    frame.to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setattr(_tables_text, "_IN_MEMORY", 0)
    signal = load(tmp_path / "a.csv").signals["calcium"]
    assert signal.attrs["sampling_rate_hz"] == pytest.approx(10)
    for first, after in ((0, 1800), (0, 1), (255, 257), (256, 512), (1799, 1800), (5, 5)):
        np.testing.assert_array_equal(signal[first:after].values, values[first:after])


@pytest.mark.parametrize("word", ["", "NaN", "nan", "NA", "N/A", "null", "None", "-nan", "  "], ids=repr)
def test_missing_values_are_nan(word, values, tmp_path):
    rows = [[repr(float(cell)) for cell in row] for row in values]
    rows[3][1] = rows[30][4] = rows[59][0] = word
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in rows))
    expected = values.copy()
    expected[3, 1] = expected[30, 4] = expected[59, 0] = np.nan
    np.testing.assert_array_equal(values_of(tmp_path / "a.csv"), expected)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("time", 1.0), ("Time (s)", 1.0), ("t", 1.0), ("Time [ms]", 1e3), ("timestamp_ms", 1e3), ("Timestamps", 1.0),
        ("seconds", 1.0), ("time_us", 1e6), ("Time (min)", 1 / 60), ("frame_times_s", 1.0), ("ms", 1e3),
    ],
)  # fmt: skip
def test_times_are_known_by_their_header(name, scale, values, tmp_path):
    frame = pd.DataFrame(values, columns=list("abcde"))
    frame.insert(1, name, (2.0 + np.arange(60) * 0.05) * scale)
    frame.to_csv(tmp_path / "a.csv", index=False)
    signal = load(tmp_path / "a.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, values)
    assert signal.attrs["sampling_rate_hz"] == pytest.approx(20.0)
    assert signal.attrs["start_seconds"] == pytest.approx(2.0)
    assert repr(name)[1:-1] in signal.attrs["sampling_rate_source"]


@pytest.mark.parametrize(("name", "rate_hz"), [("Zeit [s]", 20), ("Temps (ms)", 20000), ("Cell [s] 1", None)])
def test_a_first_header_with_a_unit_of_time_is_time_in_any_language(name, rate_hz, values, tmp_path):
    frame = pd.DataFrame(values, columns=list("abcde"))
    frame.insert(0, name, np.arange(60) / 20)
    frame.to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",")
    signal = load(tmp_path / "a.csv").signals["calcium"]
    assert signal.sizes["channel"] == (5 if rate_hz else 6)
    assert signal.attrs.get("sampling_rate_hz") == (pytest.approx(rate_hz) if rate_hz else None)


def test_irregular_times_stay_as_they_are(values, tmp_path):
    times = np.cumsum(np.random.default_rng(1).uniform(0.03, 0.07, 60))
    frame = pd.DataFrame(values)
    frame.insert(0, "time", times)
    frame.to_csv(tmp_path / "a.csv", index=False)
    signal = load(tmp_path / "a.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.time.values, times)
    np.testing.assert_array_equal(signal.values, values)
    stated = load(tmp_path / "a.csv", rate_hz=20.0).signals["calcium"]
    assert stated.attrs["sampling_rate_hz"] == 20.0
    assert stated.attrs["sampling_rate_source"] == "option rate_hz (column 'time' is overruled)"


def test_a_first_column_that_increases_is_time_or_a_count(values, tmp_path):
    np.savetxt(tmp_path / "time.csv", np.c_[np.arange(60) * 0.1, values], delimiter=",")
    signal = load(tmp_path / "time.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, values)
    assert signal.attrs["sampling_rate_hz"] == pytest.approx(10.0)
    pd.DataFrame(values).to_csv(tmp_path / "count.csv")
    signal = load(tmp_path / "count.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, values)
    assert signal.attrs["time_unit"] == "frame"
    np.testing.assert_array_equal(values_of(tmp_path / "time.csv", time_column="none")[:, 1:], values)


def test_times_of_milliseconds_and_of_the_calendar(values, tmp_path):
    frame = pd.DataFrame(values)
    frame.insert(0, "time", np.arange(60) * 33.0)
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.warns(UserWarning, match="times 33 apart are taken for milliseconds"):
        assert load(tmp_path / "a.csv").signals["calcium"].attrs["sampling_rate_hz"] == pytest.approx(1000 / 33)
    assert load(tmp_path / "a.csv", time_unit="s").signals["calcium"].attrs["sampling_rate_hz"] == pytest.approx(1 / 33)
    frame["time"] = 1_700_000_000.25 + np.arange(60) * 0.5
    frame.to_csv(tmp_path / "b.csv", index=False)
    signal = load(tmp_path / "b.csv").signals["calcium"]
    assert (signal.attrs["sampling_rate_hz"], signal.attrs["start_seconds"]) == (2.0, 0.0)
    assert "from the first sample (1700000000.25 s) on" in signal.attrs["sampling_rate_source"]


def test_missing_frames_become_gaps_where_the_rate_is_stated(values, tmp_path):
    frame = pd.DataFrame(values)
    frame.insert(0, "frame", np.r_[np.arange(20), np.arange(30, 70)])
    frame.to_csv(tmp_path / "a.csv", index=False)
    recording = load(tmp_path / "a.csv", rate_hz=10.0)
    assert recording.intervals["validity"].start.values.tolist() == [0.0, 3.0]
    assert recording.signals["calcium"].time.values[20] == 3.0
    with pytest.warns(UserWarning, match="frame numbers leave some out"):
        assert load(tmp_path / "a.csv").signals["calcium"].attrs["time_unit"] == "frame"


def test_inscopix_exports_have_statuses(tmp_path, fake_raw):
    values = np.random.default_rng(0).normal(0, 1, (50, 4))
    fake_raw("traces_csv").write_inscopix(tmp_path / "a.csv", values)
    signal = load(tmp_path / "a.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, values)
    assert list(signal.channel_id.values) == ["C00", "C01", "C02", "C03"]
    assert list(signal.status.values) == ["accepted", "rejected", "undecided", "accepted"]
    assert signal.attrs["sampling_rate_hz"] == pytest.approx(20.0)


def test_names_of_a_worm_become_labels(values, tmp_path):
    pd.DataFrame(values, columns=["avaL", "RIML", "VB02", "AVA?", "12"]).to_csv(tmp_path / "a.csv", index=False)
    recording = load(tmp_path / "a.csv")
    assert "label" not in recording.signals["calcium"].coords  # two classes of three letters are no evidence
    assert recording.metadata["subject"]["species"] == "unknown"
    signal = load(tmp_path / "a.csv", species="Caenorhabditis elegans").signals["calcium"]
    assert list(signal.label.values) == ["AVAL", "RIML", "VB2", "", ""]
    assert list(signal.label_raw.values) == ["avaL", "RIML", "VB02", "AVA?", "12"]
    pd.DataFrame(values, columns=["avaL", "RIML", "ASEL", "AVA?", "12"]).to_csv(tmp_path / "b.csv", index=False)
    recording = load(tmp_path / "b.csv")
    assert recording.metadata["subject"]["species"] == "Caenorhabditis elegans"
    assert recording.metadata["extra"]["label_problems"]
    mouse = load(tmp_path / "b.csv", species="Mus musculus").signals["calcium"]
    assert "label" not in mouse.coords


def test_a_row_per_cell(values, tmp_path):
    wide = np.tile(values, (5, 1)).T
    names = [f"cell {i}" for i in range(5)]
    pd.DataFrame(wide, index=names).to_csv(tmp_path / "named.csv", header=False)
    signal = load(tmp_path / "named.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, wide.T)
    assert list(signal.channel_id.values) == names
    pd.DataFrame(wide, index=names, columns=np.arange(300) / 4).to_csv(tmp_path / "timed.csv")
    signal = load(tmp_path / "timed.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, wide.T)
    assert signal.attrs["sampling_rate_hz"] == 4.0
    for name, options in (("bare", {"header": False, "index": False}), ("pandas", {})):
        pd.DataFrame(wide).to_csv(tmp_path / f"{name}.csv", **options)
        with pytest.warns(UserWarning, match="5 rows of 30[01] numbers are taken for 5 cells"):
            np.testing.assert_array_equal(values_of(tmp_path / f"{name}.csv"), wide.T)
    np.testing.assert_array_equal(values_of(tmp_path / "bare.csv", orientation="time_rows"), wide)
    np.savetxt(tmp_path / "tall.csv", values, delimiter=",")
    np.testing.assert_array_equal(values_of(tmp_path / "tall.csv", orientation="cell_rows"), values.T)


@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("header_too", [True, False])
def test_rows_that_end_with_a_delimiter(header, header_too, values, tmp_path):
    text = pd.DataFrame(values, columns=list("abcde")).to_csv(index=False, header=header, lineterminator=";\n", sep=";")
    if header and not header_too:
        text = text.replace("e;", "e", 1)
    (tmp_path / "a.csv").write_text(text)
    np.testing.assert_array_equal(values_of(tmp_path / "a.csv"), values)
    (tmp_path / "b.csv").write_text("sep=;\n" + text)
    np.testing.assert_array_equal(values_of(tmp_path / "b.csv"), values)


@pytest.mark.parametrize("time", ["frame", "Time (s)"])
def test_a_row_per_cell_and_sample(time, values, tmp_path):
    clock = np.arange(60) if time == "frame" else np.arange(60) / 5
    long = pd.DataFrame(values, index=clock, columns=[3, 5, 8, 9, 12]).melt(
        ignore_index=False, var_name="unit_id", value_name="C"
    )
    long = long.rename_axis(time).reset_index()[["unit_id", time, "C"]].drop(index=70)
    expected = values.copy()
    expected[10, 1] = np.nan
    long.to_csv(tmp_path / "a.csv", index=False)
    signal = load(tmp_path / "a.csv").signals["calcium"]
    np.testing.assert_array_equal(signal.values, expected)
    assert list(signal.channel_id.values) == ["cell3", "cell5", "cell8", "cell9", "cell12"]
    assert signal.attrs.get("sampling_rate_hz") == (None if time == "frame" else pytest.approx(5.0))
    pd.concat([long, long[:3]]).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(RawFileError, match="a cell has two values at one time"):
        load(tmp_path / "b.csv")


def test_signal_and_units_can_be_named(values, tmp_path):
    np.savetxt(tmp_path / "a.txt", values)
    recording = load(tmp_path / "a.txt", signal="dff", units="dF/F", rate_hz=30.0)
    assert recording.signals["dff"].attrs["units"] == "dF/F"
    assert recording.duration_seconds == 2.0
    with pytest.raises(NeurodataError, match="option 'signal' is a name of letters"):
        TracesCsv(tmp_path / "a.txt", signal="d/f")
    with pytest.raises(NeurodataError, match=r"option 'time_column' is a header or the number .* got 'when'"):
        load(tmp_path / "a.txt", time_column="when")


rng = np.random.default_rng(0)
matrix = pd.DataFrame(rng.random((20, 20)), index=[f"N{i}" for i in range(20)], columns=[f"N{i}" for i in range(20)])
events = pd.DataFrame({"onset": np.arange(20) * 1.5, "duration": 0.5, "value": 1})
NO_TRACES = {
    "connectome with names": matrix.to_csv(),
    "connectome without row names": matrix.to_csv(index=False),
    "connectome as numbers": matrix.to_csv(index=False, header=False),
    "events": events.to_csv(sep="\t", index=False),
    "participants": "participant_id\tage\tsex\n" + "".join(f"sub-{i:02d}\t{20 + i}\tF\n" for i in range(20)),
    "channels": "name\ttype\tunits\n" + "".join(f"C{i}\tEEG\tuV\n" for i in range(20)),
    "edges": pd.DataFrame({"pre": range(20), "post": range(20), "weight": rng.random(20)}).to_csv(index=False),
    "places": pd.DataFrame(rng.random((20, 3)), columns=["x", "y", "z"]).to_csv(index=False),
    "a montage": "Site\tTheta\tPhi\n" + "".join(f"{i}\t{i}.5\t{90 - i}.25\n" for i in range(20)),
    "codes in one line": ",".join(map(str, rng.integers(0, 8, 3000))) + "\n",
    "codes in one column": "\n".join(map(str, rng.integers(0, 8, 3000))) + "\n",
    "whole numbers": "\n".join(",".join(map(str, row)) for row in rng.integers(0, 8, (50, 4))),
    "seconds in one line": ",".join(map(str, np.arange(3000) / 3)) + "\n",
    "a few rows": "1.5,2.5\n3.5,4.5\n",
    "notes": "Mouse 3, day 1\nWeight, 23.5\n" * 10,
    "poses": "scorer,a,a,a\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n" + "1,2.5,3.5,0.9\n" * 20,
    "a README's table": "| file | bytes |\n|---|---|\n" + "| a.csv | 12 |\n" * 20,
    "rows of several lengths": "1.5,2.5\n" * 10 + "1.5,2.5,3.5\n" * 10,
    "nothing": "",
    "empty lines": "\n" * 50,
}


@pytest.mark.parametrize("case", NO_TRACES)
def test_what_is_no_table_of_traces_is_not_claimed(case, tmp_path):
    for suffix in (".csv", ".tsv", ".txt"):
        (tmp_path / f"a{suffix}").write_text(NO_TRACES[case])
        assert TracesCsv.claim(tmp_path / f"a{suffix}") == []


def test_companions_of_bids_data_sets_are_not_claimed(values, tmp_path):
    for name in ("sub-01_task-rest_desc-confounds_timeseries.tsv", "participants.tsv", "bold_moest.txt", "rp_run1.txt"):
        pd.DataFrame(values).to_csv(tmp_path / name, sep="\t", index=False)
        assert TracesCsv.claim(tmp_path / name) == []


DAMAGED = {
    "cut row": (lambda text: text[: len(text) - 40], r"a\.csv: line 61 has \d cells?, expected 5"),
    "a word between the numbers": (lambda text: text.replace("1.", "one.", 5000)[: len(text)], None),
    "a later row is longer": (lambda text: text + "1,2,3,4,5,6\n", r"a\.csv: line 62 has 6 cells, expected 5"),
    "a later word": (lambda text: text + "1,2,x,4,5\n", r"a\.csv: expected numbers from line 2 on"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_tables_say_where(case, values, tmp_path):
    damage, message = DAMAGED[case]
    pd.DataFrame(values, columns=list("abcde")).to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "a.csv").write_text(damage((tmp_path / "a.csv").read_text()))
    with pytest.raises(RawFileError, match=message):
        values_of(tmp_path / "a.csv")


def test_times_that_go_back_are_refused(values, tmp_path):
    frame = pd.DataFrame(values)
    frame.insert(0, "time", np.r_[np.arange(55) / 10, np.arange(5)])
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(RawFileError, match=r"time 0 in row 56 of column 'time' does not come after .*time_column=none"):
        load(tmp_path / "a.csv")
