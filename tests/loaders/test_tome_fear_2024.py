"""Contextual fear sessions of Tome et al. 2024."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.tome_fear_2024 import SESSIONS, TomeFear2024
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.formats.traces_csv import TracesCsv


def test_published_values_are_exactly_those_in_the_files(real_data):
    raw = real_data("calcium/tome2024-fear-sessions")
    loader = TomeFear2024(raw)
    assert len(loader.sessions()) == 16
    for session in ("mouse3_hc0", "mouse4_training2"):
        lines = (raw / f"{session}.csv").read_text().splitlines()
        expected = np.array([[float(cell) for cell in line.split(",")] for line in lines])
        found = loader.load(f"tome_fear_2024/{session}").signals["calcium"]
        np.testing.assert_array_equal(found.values, expected, strict=True)


def test_a_cell_has_the_same_id_in_every_session(tmp_path, fake_raw):
    fake_raw("tome_fear_2024").write_raw(tmp_path / "raw")
    loader = TomeFear2024(tmp_path / "raw")
    recordings = [loader.load(f"tome_fear_2024/mouse3_{session}") for session in SESSIONS]
    assert {tuple(r.signals["calcium"].channel_id.values) for r in recordings} == {
        ("mouse3_cell000", "mouse3_cell001", "mouse3_cell002", "mouse3_cell003")
    }
    assert [r.metadata["session"] for r in recordings] == list(SESSIONS)
    assert [r.metadata["extra"]["session_number"] for r in recordings] == list(range(8))
    assert loader.sessions()[:2] == ["tome_fear_2024/mouse3_hc0", "tome_fear_2024/mouse3_cfc"]


def test_a_stated_rate_gives_the_context_as_an_interval(tmp_path, fake_raw):
    fake_raw("tome_fear_2024").write_raw(tmp_path)
    recording = TomeFear2024(tmp_path, rate_hz=10.0).load("tome_fear_2024/mouse4_neutral1")
    context = recording.intervals["context"]
    assert (context.start.item(), context.stop.item(), context.label.item()) == (0.0, 4.3, "neutral context")


def test_the_data_set_has_its_folder(tmp_path, fake_raw):
    fake_raw("tome_fear_2024").write_raw(tmp_path / "raw")
    found, _ = find_recordings(tmp_path / "raw", [TomeFear2024, TracesCsv])
    assert {entry.loader for entry in found} == {TomeFear2024}
    (tmp_path / "raw" / "mouse3_hc2.csv").unlink()
    (tmp_path / "raw" / "mouse4_hc2.csv").unlink()
    found, _ = find_recordings(tmp_path / "raw", [TomeFear2024, TracesCsv])
    assert {entry.loader for entry in found} == {TracesCsv}


def test_a_cut_row_is_noticed(tmp_path, fake_raw):
    fake_raw("tome_fear_2024").write_raw(tmp_path)
    path = tmp_path / "mouse3_cfc.csv"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(RawFileError, match=r"mouse3_cfc\.csv: line 41 has \d cells, expected 4"):
        TomeFear2024(tmp_path).load("tome_fear_2024/mouse3_cfc").signals["calcium"].values  # noqa: B018
    path.write_text("no table\n")
    with pytest.raises(RawFileError, match=r"mouse3_cfc\.csv: expected rows of comma-separated numbers"):
        TomeFear2024(tmp_path).load("tome_fear_2024/mouse3_cfc")
