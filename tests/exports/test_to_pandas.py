"""Recordings as pandas tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError
from neurodata.exports.to_pandas import to_pandas
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units


@pytest.fixture(scope="module")
def recording() -> Recording:
    eeg = make_signal(
        np.arange(12, dtype=np.int16).reshape(4, 3),
        channel_id=["c1", "c2", "c3"],
        units="uV",
        rate_hz=2.0,
        columns={"label": ["Fz", "", "Cz"], "type": ["eeg", "eeg", "eeg"]},
        scale_factor=0.5,
    )
    frames = make_signal(np.zeros((3, 1)), channel_id=["a"], units="V")
    return Recording(
        {"dataset": "lab", "recording_id": "lab/one", "subject": {"id": "a", "species": "unknown"}},
        {"eeg": eeg, "frames": frames},
        {"spikes": make_events([0.1, 0.2, 0.2], unit=[1, 0, 1], amp=[1.0, 2.0, 3.0]), "x": make_events([1.0])},
        {"trials": make_intervals([0, 1], [1, 2], label=["l", "r"], attributes={"source": "lab"}),
         "x": make_intervals([1.0], [2.0])},
        make_units(["u0", "u1"], depth=[10.0, 20.0]),
    )  # fmt: skip


def test_a_signal_by_id_label_or_everything(recording):
    table = to_pandas(recording, "eeg")
    np.testing.assert_array_equal(table.to_numpy(), recording.signals["eeg"].values)
    assert table.index.name == "time"
    assert table.index.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert table.columns.tolist() == ["c1", "c2", "c3"]
    assert table.attrs["units"] == "uV"
    assert to_pandas(recording, "signals/eeg", columns="label").columns.tolist() == ["Fz", "c2", "Cz"]
    whole = to_pandas(recording, "eeg", columns="all")
    assert isinstance(whole.columns, pd.MultiIndex)
    assert set(whole.columns.names) == {"channel_id", "label", "type"}
    assert whole.xs("Cz", axis=1, level="label").to_numpy().ravel().tolist() == [1.0, 2.5, 4.0, 5.5]


def test_frames_are_counted(recording):
    table = to_pandas(recording, "frames")
    assert (table.index.name, table.index.tolist()) == ("frame", [0, 1, 2])


def test_events_with_their_units(recording):
    table = to_pandas(recording, "spikes")
    assert table.to_dict("list") == {"time": [0.1, 0.2, 0.2], "unit": [1, 0, 1], "amp": [1.0, 2.0, 3.0]}
    joined = to_pandas(recording, "spikes", join_units=True)
    assert joined["unit_id"].tolist() == ["u1", "u0", "u1"]
    assert joined["unit.depth"].tolist() == [20.0, 10.0, 20.0]
    assert joined["time"].tolist() == table["time"].tolist()
    assert to_pandas(recording, "units")["depth"].tolist() == [10.0, 20.0]


def test_intervals(recording):
    table = to_pandas(recording, "intervals/trials")
    assert table.to_dict("list") == {"start": [0.0, 1.0], "stop": [1.0, 2.0], "label": ["l", "r"]}
    assert table.attrs == {"source": "lab"}


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        pytest.param("eegs", {}, "no member of the recording 'eegs'[.] Known: signals/eeg, ", id="unknown"),
        pytest.param("x", {}, "Known: events/x, intervals/x", id="ambiguous"),
        pytest.param("eeg", {"columns": "lable"}, "no channel column 'lable'; did you mean 'label'", id="column"),
        pytest.param(
            "eeg", {"columns": "type"}, "channels have the same type .'eeg'.*columns='all'", id="same heading"
        ),
        pytest.param("events/x", {"join_units": True}, "events/x do not point at units", id="no units"),
    ],
)
def test_what_is_refused(recording, name, options, text):
    with pytest.raises(NeurodataError, match=text):
        to_pandas(recording, name, **options)
