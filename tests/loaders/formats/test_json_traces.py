"""Traces in JSON: WormWideWeb's worms, plain lists, and what is neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.formats import _tables_json
from neurodata.loaders.formats.json_traces import JsonTraces
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate

TRACES = np.random.default_rng(0).normal(0, 1, (4, 50))
TIMES = np.arange(50) / 4


@pytest.fixture
def worm(fake_raw) -> dict[str, Any]:
    return fake_raw("json_traces").make_worm()


@pytest.fixture
def load(tmp_path):
    def load(content: Any, **options) -> Recording:
        path = tmp_path / "a.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        loader = JsonTraces(path, **options)
        recording = loader.load(loader.sessions()[0])
        validate(recording)
        return recording

    return load


def test_a_worm_of_wormwideweb(worm, load):
    recording = load(worm)
    calcium = recording.signals["calcium"]
    np.testing.assert_array_equal(calcium.values, np.array(worm["trace_original"]).T, strict=True)
    np.testing.assert_array_equal(recording.signals["calcium_zscored"].values, np.array(worm["trace_array"]).T)
    assert recording.signals["calcium_zscored"].attrs["units"] == "z-score"
    np.testing.assert_array_equal(calcium.time.values, worm["timestamp_confocal"])
    assert list(calcium.label.values) == ["AVAL", "", "RIMR", "", "", ""]
    assert list(calcium.label_raw.values) == ["AVAL", "", "RIMR", "", "", "ASEL?"]
    assert list(calcium.rating.values) == ["5.0", "", "4.0", "", "", "2.0"]
    assert list(calcium.channel_id.values[:2]) == ["neuron000", "neuron001"]
    assert recording.metadata["subject"] == {"id": "2022-08-02-01", "species": "Caenorhabditis elegans"}
    assert recording.metadata["extra"]["file_says"]["dataset_type"] == ["baseline", "neuropal"]
    assert set(recording.signals) == {"calcium", "calcium_zscored", "velocity", "head_curvature", "pumping"}


def test_behavior_lies_on_the_same_clock(worm, load):
    recording = load(worm)
    velocity = recording.signals["velocity"]
    expected = np.array([np.nan if value is None else value for value in worm["velocity"]])
    np.testing.assert_array_equal(velocity.values[:, 0], expected)
    assert velocity.attrs["role"] == "behavior"
    np.testing.assert_array_equal(velocity.time.values, recording.signals["calcium"].time.values)


@pytest.mark.parametrize("by_columns", [False, True])
def test_reversals_are_half_open(by_columns, worm, load):
    """A reversal in samples 10 … 14 (from 0) is written [10, 15]: from 1, the one before it and the last in it."""
    if by_columns:
        worm["reversal_events"] = np.array(worm["reversal_events"] + [[60, 70]]).T.tolist()
    table = load(worm).intervals["reversals"]
    times = worm["timestamp_confocal"]
    assert table.start.values[:2].tolist() == [times[10], times[40]]
    assert table.stop.values[:2].tolist() == [times[15], times[52]]
    assert table.start_frame.values[:2].tolist() == [10, 40]


def test_the_new_layout(fake_raw, load):
    worm = fake_raw("json_traces").make_new_worm()
    recording = load(worm)
    calcium = recording.signals["calcium"]
    np.testing.assert_array_equal(calcium.values, np.array(worm["gcamp"]["trace_array_original"]).T)
    assert list(calcium.label.values) == ["", "AWCL", "", "", "", ""]
    assert calcium.region.values[1] == "head"
    assert calcium.roi_id.values[1] == "[12]"
    times = worm["timing"]["timestamp_confocal"]
    assert recording.events["events"].time.values.tolist() == [times[44]]
    assert recording.events["events"].label.values.tolist() == ["heat"]
    assert "pumping" not in recording.signals
    assert recording.intervals["reversals"].stop.values[-1] > times[-1]
    assert recording.metadata["session"] == "2023-01-05-02"


@pytest.mark.parametrize(
    ("average", "rate_hz", "said"),
    [(0.01, 1 / 0.6, "0.01 min"), (0.6, 1 / 0.6, "only be seconds"), (100, 100 / 60, "100 samples a minute")],
)
def test_without_times_the_average_step_tells_the_rate(average, rate_hz, said, worm, load):
    del worm["timestamp_confocal"]
    worm["avg_timestep"] = average
    attributes = load(worm).signals["calcium"].attrs
    assert attributes["sampling_rate_hz"] == pytest.approx(rate_hz)
    assert said in attributes["sampling_rate_source"]


def test_a_stated_rate_overrules_the_times(worm, load):
    attributes = load(worm, rate_hz=1.7).signals["velocity"].attrs
    assert attributes["sampling_rate_hz"] == 1.7
    assert attributes["sampling_rate_source"] == "option rate_hz (timestamp_confocal is overruled)"


def test_without_any_rate_time_counts_frames(worm, load):
    del worm["timestamp_confocal"], worm["avg_timestep"]
    recording = load(worm)
    assert recording.signals["calcium"].attrs["time_unit"] == "frame"
    assert not recording.intervals


def test_what_the_file_says_wrongly_is_said(worm, load):
    worm["num_neurons"], worm["timestamp_confocal"][4] = 7, 0.0
    with pytest.warns(UserWarning, match="'num_neurons' is 7, the traces have 6|does not increase over the 90 samples"):
        recording = load(worm)
    assert len(recording.metadata["extra"]["problems"]) == 2
    assert recording.signals["calcium"].attrs["sampling_rate_hz"] == pytest.approx(1 / 0.6)


def test_z_scores_alone(worm, load):
    del worm["trace_original"]
    recording = load(worm)
    assert recording.signals["calcium"].attrs["units"] == "z-score"
    assert "calcium_zscored" not in recording.signals


PLAIN = {
    "cells in rows": {"traces": TRACES.tolist(), "time": TIMES.tolist()},
    "samples in rows": {"dFF": TRACES.T.tolist(), "timestamps": TIMES.tolist()},
    "by name": {"traces": {f"c{i}": row for i, row in enumerate(TRACES.tolist())}, "fps": 4},
    "a record per cell": [{"name": f"c{i}", "trace": row} for i, row in enumerate(TRACES.tolist())],
    "a record per cell inside": {"neurons": [{"label": "a", "dff": row} for row in TRACES.tolist()], "dt": 0.25},
    "a record per sample": [{"time": t, "a": r[0], "b": r[1], "c": r[2], "d": r[3]} for t, r in zip(TIMES, TRACES.T)],
    "columns": {"t": TIMES.tolist(), **{f"c{i}": row for i, row in enumerate(TRACES.tolist())}},
    "one level down": {"data": {"F": TRACES.tolist(), "labels": list("abcd")}, "rate_hz": 4.0},
    "called as a worm's": {"trace_array": TRACES.T.tolist(), "time": TIMES.tolist()},
    "named": {"activity": TRACES.T.tolist(), "neuron_names": ["a", "b", "c", "d"]},
}


@pytest.mark.parametrize("case", PLAIN)
def test_plain_traces(case, load):
    recording = load(PLAIN[case])
    assert set(recording.signals) == {"calcium"}
    np.testing.assert_array_equal(recording.signals["calcium"].values, TRACES.T)
    if case not in ("a record per cell", "named"):
        assert recording.signals["calcium"].attrs["sampling_rate_hz"] == 4.0
    assert recording.metadata["subject"]["species"] == "unknown"


def test_plain_worms_behavior_and_states(load):
    content = {
        "traces": TRACES.tolist(), "time": TIMES.tolist(), "labels": ["AVAL", "RIML", "ASEL", None],
        "velocity": TRACES[0].tolist(), "moving": [True] * 25 + [False] * 25, "stimulus": [0] * 50,
        "state": ["fwd"] * 20 + ["rev"] * 30,
    }  # fmt: skip
    recording = load(content)
    assert recording.metadata["subject"]["species"] == "Caenorhabditis elegans"
    assert list(recording.signals["calcium"].label.values) == ["AVAL", "RIML", "ASEL", ""]
    assert recording.signals["stimulus"].attrs["role"] == "stimulus"
    assert recording.signals["moving"].values[24:26, 0].tolist() == [1.0, 0.0]
    state = recording.intervals["state"]
    assert state.label.values.tolist() == ["fwd", "rev"]
    assert state.stop.values.tolist() == [5.0, 12.5]
    assert load(content, units="dF/F").signals["calcium"].attrs["units"] == "dF/F"


def test_traces_deep_in_a_file(load):
    recording = load({"data": {"neural": {"dff": TRACES.tolist()}, "sampling_rate": 5.0}, "species": "worm"})
    np.testing.assert_array_equal(recording.signals["calcium"].values, TRACES.T)
    assert recording.signals["calcium"].attrs["sampling_rate_hz"] == 5
    assert recording.metadata["subject"]["species"] == "Caenorhabditis elegans"


def test_missing_values(load):
    text = json.dumps({"traces": TRACES.tolist(), "time": TIMES.tolist()}).replace(repr(float(TRACES[0, 0])), "NaN", 1)
    text = text.replace(repr(float(TRACES[1, 3])), "null", 1)
    values = load(text).signals["calcium"].values
    assert np.argwhere(np.isnan(values)).tolist() == [[0, 0], [3, 1]]


NO_TRACES: dict[str, Any] = {
    "a sidecar": {
        "TaskName": "rest",
        "RepetitionTime": 2.0,
        "SliceTiming": list(np.arange(30) / 15.0),
        "name": "x" * 80,
    },
    "a connectome": {"labels": [f"N{i}" for i in range(12)], "data": np.eye(12).tolist()},
    "no evidence": {"data": TRACES.tolist()},
    "too short": {"traces": TRACES[:, :5].tolist(), "time": TIMES[:5].tolist()},
    "text": {"traces": [["a"] * 50] * 4, "time": TIMES.tolist()},
    "ragged": {"traces": [[1.5] * 50, [1.5] * 40], "time": TIMES.tolist(), "name": "x" * 60},
    "a list of people": [{"name": f"person {i}", "id": i, "age": i + 20} for i in range(30)],
    "a notebook": {"cells": [{"cell_type": "code", "id": "a", "source": ["1"] * 30}] * 10, "nbformat": 4},
}


@pytest.mark.parametrize("case", NO_TRACES)
def test_what_has_no_traces_is_not_claimed(case, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(NO_TRACES[case]))
    assert JsonTraces.claim(tmp_path / "a.json") == []


def hostile() -> dict[str, tuple[str, str]]:
    return {
        "a bomb of brackets": ('{"traces": ' + "[" * 200_000 + "]" * 200_000 + "}", "expected JSON that can be parsed"),
        "cut off": ('{"trace_original": [[1.5, 2.5' + " " * 100, "expected JSON that can be parsed"),
        "a number of many digits": ('{"traces": [[' + "9" * 10_000 + "]]}", "expected JSON that can be parsed"),
        "ragged rows": (
            '{"uid": "a", "labeled": {}, "trace_original": [[1.5, 2.5], [1.5]]}' + " " * 100,
            "a list of numbers for each neuron",
        ),
        "not UTF-8": ('{"traces": "\udcff"}' + " " * 100, "expected JSON that can be parsed"),
    }


@pytest.mark.parametrize("case", hostile())
def test_hostile_files_are_refused(case, tmp_path):
    text, message = hostile()[case]
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RawFileError, match=rf"a.json: .*{message}"):
        JsonTraces.claim(tmp_path / "a.json")


def test_labels_of_neurons_that_are_not_there(worm, load):
    worm["labeled"]["99"] = {"label": "AVAR"}
    with pytest.raises(NeurodataError, match="neuron 99 has a label, but there are 6 neurons"):
        load(worm)


def test_too_large_a_file_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(_tables_json, "MOST_BYTES", 1000)
    (tmp_path / "a.json").write_text(json.dumps(PLAIN["columns"]))
    with pytest.raises(RawFileError, match=r"a.json: \d+ bytes of JSON, at most 1000 are read"):
        JsonTraces.claim(tmp_path / "a.json")


def test_a_file_of_too_many_numbers_is_refused_unparsed(tmp_path, monkeypatch):
    monkeypatch.setattr(_tables_json, "_MOST_HELD", 4000)
    (tmp_path / "a.json").write_text('{"traces": [[' + "1," * 100 + "1]]}")
    with pytest.raises(RawFileError, match=r"a.json: 100 values of JSON, at most \d+ of a file of \d+ bytes are read"):
        JsonTraces.claim(tmp_path / "a.json")


def test_an_unpaired_name_is_no_path(tmp_path):
    assert JsonTraces.claim(tmp_path) == []
    assert JsonTraces.claim(Path(__file__)) == []
