"""A recording can be looked at from all sides and changed from none."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units, run_lengths


@pytest.fixture
def recording():
    values = np.arange(12, dtype="int16").reshape(6, 2)
    eeg = make_signal(
        values, channel_id=["a", "b"], units="uV", rate_hz=2.0, scale_factor=0.5, add_offset=1.0, filters={"order": [1]},
        columns={"x": [1.0, 2.0]},
    )  # fmt: skip
    return Recording(
        {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s"}, "history": ["made"]},
        {"eeg": eeg},
        {"spikes": make_events([1.0, 2.0], unit=[0, 0])},
        {"state": make_intervals([0.0], [1.0], label=["rest"])},
        make_units(["u1"], snr=[2.0]),
    )


def described(recording):
    """All that can be seen of a recording, for comparing."""
    members = [*recording.signals_stored.values(), *recording.events.values(), *recording.intervals.values()]
    columns = [repr((name, v.values.tolist(), v.attrs)) for m in members for name, v in m.coords.items()]
    tables = [m.to_dict() for m in members]
    return repr((dict(recording.metadata), columns, tables, recording.units.to_dict()))


EDITS = {
    "metadata": lambda r: r.metadata["subject"].update(id="t"),
    "a list in metadata": lambda r: r.metadata["history"].append("edited"),
    "attributes": lambda r: r.signals["eeg"].attrs.update(units="V"),
    "a list in attributes": lambda r: r.signals_stored["eeg"].attrs["filters"]["order"].append(2),
    "a list in decoded attributes": lambda r: r.signals["eeg"].attrs["filters"]["order"].append(2),
    "attributes of a column": lambda r: r.signals["eeg"].coords["x"].attrs.update(space="MNI"),
    "a new column": lambda r: r.signals["eeg"].coords.update({"y": ("channel", [1, 2])}),
    "a new table column": lambda r: r.events["spikes"].update({"y": ("event", [1, 2])}),
    "attributes of a table column": lambda r: r.intervals["state"]["start"].attrs.update(units="s"),
    "a new unit column": lambda r: r.units.update({"y": ("unit", [1])}),
    "the caller's own table": lambda r: r.made_from.update({"y": ("unit", [1])}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_what_was_handed_out_does_not_reach_the_recording(recording, edit):
    before = described(recording)
    table = make_units(["u1"], snr=[2.0])
    recording = recording.replace(units=table)
    recording.__dict__["made_from"] = table
    edit(recording)
    assert described(recording) == before


REFUSED = {
    "samples": lambda r: r.signals_stored["eeg"].values.__setitem__((0, 0), 5),
    "samples by xarray": lambda r: r.signals_stored["eeg"].__setitem__((0, 0), 5),
    "times of events": lambda r: r.events["spikes"]["time"].values.__setitem__(0, 5),
    "units": lambda r: r.units["snr"].values.__setitem__(0, 5),
    "a field": lambda r: setattr(r, "units", None),
    "a member": lambda r: r.signals.__setitem__("x", None),
    "top of metadata": lambda r: r.metadata.__setitem__("dataset", "x"),
}


@pytest.mark.parametrize("edit", REFUSED.values(), ids=REFUSED)
def test_an_edit_in_place_is_refused(recording, edit):
    before = described(recording)
    with pytest.raises(
        (ValueError, TypeError, AttributeError),
        match=r"read-only|not edited|does not support item|is a view|__setitem__",
    ):
        edit(recording)
    assert described(recording) == before


def test_arrays_the_caller_built_by_hand_are_guarded_without_touching_the_caller():
    values = np.zeros((3, 1))
    signal = xr.DataArray(values, dims=("time", "channel"))
    recording = Recording({"recording_id": "a/b"}, {"s": signal})
    with pytest.raises(ValueError, match=r"read-only"):
        recording.signals["s"].values[0] = 1
    values[0] = 1
    signal.values[1] = 1
    assert signal.values.ravel().tolist() == [1, 1, 0]


def test_replace_makes_a_changed_copy(recording):
    changed = recording.replace(metadata={**recording.metadata, "dataset": "e"}, units=None)
    assert changed.metadata["dataset"] == "e"
    assert changed.units is None
    assert recording.units is not None
    assert changed.signals_stored["eeg"].dtype == np.int16
    with pytest.raises(NeurodataError, match=r"no field of a recording 'signal'.*did you mean 'signals'"):
        recording.replace(signal={})


def test_pickling_keeps_everything(recording):
    again = ForkingPickler.loads(ForkingPickler.dumps(recording))
    assert described(again) == described(recording)
    assert again.signals["eeg"].sel(time=slice(1, 2)).values.tolist() == [[3.0, 3.5], [4.0, 4.5]]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays("int16", st.tuples(st.integers(1, 20), st.integers(1, 4))), st.data())
def test_integers_are_handed_out_in_physical_units(values, data):
    n = values.shape[1]
    numbers = st.floats(0.001, 100)
    scale, offset = data.draw(st.lists(numbers, min_size=n, max_size=n)), data.draw(numbers)
    ids = [str(i) for i in range(n)]
    signal = make_signal(
        values, channel_id=ids, units="V", rate_hz=1.0, add_offset=offset, columns={"scale_factor": scale}
    )
    recording = Recording({"recording_id": "a/b"}, {"s": signal})
    expected = (values * np.asarray(scale) + offset).astype("float32")
    got = recording.signals["s"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.values, expected)
    assert "scale_factor" not in got.coords
    assert "add_offset" not in got.attrs
    row, column = data.draw(st.integers(0, len(values) - 1)), data.draw(st.lists(st.integers(0, n - 1), max_size=3))
    np.testing.assert_array_equal(got.isel(time=row, channel=column).values, expected[row, column])
    np.testing.assert_array_equal(recording.replace(decode=False).signals["s"].values, values)


def test_a_member_that_is_not_there_names_the_closest(recording):
    with pytest.raises(NeurodataError, match=r"no signal 'egg'.*did you mean 'eeg'"):
        recording.signals["egg"]
    assert "eeg" in recording.signals
    assert repr(recording.signals) == "signals: eeg"
    assert "signals/eeg: 6 × 2 int16, uV, 2.0 Hz" in repr(recording)
    assert recording.subject_key == "d/s"
    assert recording.duration_seconds == 3.0


def test_a_cut_signal_states_its_own_rate_and_start(recording):
    part = recording.replace(signals={"eeg": recording.signals_stored["eeg"].isel(time=slice(1, None, 2))})
    assert part.signals["eeg"].attrs["sampling_rate_hz"] == 1.0
    assert part.signals["eeg"].attrs["start_seconds"] == 0.5


@given(hnp.arrays("int8", st.integers(0, 30), elements=st.integers(0, 2)))
def test_run_lengths_rebuild_the_samples(codes):
    first, after, value = run_lengths(codes)
    np.testing.assert_array_equal(np.repeat(value, after - first), codes)
    assert (value[1:] != value[:-1]).all()
