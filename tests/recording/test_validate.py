"""The schema: every breach is listed, at once, under its path."""

import numpy as np
import pytest
import xarray as xr

from neurodata.errors import SchemaError
from neurodata.recording.clock import Clock
from neurodata.recording.recording import Recording
from neurodata.recording.time_index import time_coordinates
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units
from neurodata.recording.validate import list_problems, validate


def metadata(**changes):
    subject = {"id": "w1", "species": "Caenorhabditis elegans"}
    return {"dataset": "d", "recording_id": "d/r", "subject": subject, "modality": "calcium", **changes}


def signal(n_channels=2, rate_hz=1.0, **keywords):
    keywords = {"channel_id": [f"c{i}" for i in range(n_channels)], "units": "V", **keywords}
    return make_signal(np.zeros((10, n_channels)), rate_hz=rate_hz, **keywords)


def test_every_breach_is_listed_at_once_with_its_path():
    broken = metadata(
        dataset="other", subject={"id": "", "species": "mouse", "sex": "male", "age": "3 months", "name": "Jerry"},
        modality="smell", session_start="yesterday", extra={"x": float("nan"), "y": [1, {2: b"raw"}]},
    )  # fmt: skip
    no_units, bad_role = signal(), signal(role="machine", channel_id=["a", "a"])
    del no_units.attrs["units"]
    signals = {
        "no_units": no_units,
        "bad_role": bad_role,
        "../up": signal(time=[0, 1, 2, 2, *range(3, 9)], rate_hz=None),
    }
    events = {"spikes": make_events([2.0, 1.0], unit=[0, 12]), "taps": make_events([np.nan])}
    intervals = {"trials": make_intervals([5.0], [4.0], object=xr.DataArray([1 + 2j], dims="x").values)}
    recording = Recording(broken, signals, events, intervals, make_units(["u", "u"]))
    expected = [
        "metadata/subject/id: String should have at least 1 character",
        "metadata/subject/species: expected a Latin binomial such as 'Caenorhabditis elegans', or 'unknown', got 'mouse'",
        "metadata/subject/sex: Input should be 'M', 'F', 'O', 'U', 'XX' or 'XO'",
        "metadata/subject/age: expected an ISO 8601 duration such as 'P90D', got '3 months'; a stage goes into 'stage'",
        "metadata/subject/name: Extra inputs are not permitted",
        "metadata/modality: Input should be 'calcium', 'spikes', 'eeg', 'seeg', 'ecog', 'meg', 'fmri', 'lfp', 'behavior' or 'other'",
        "metadata/session_start: expected an ISO 8601 date or date and time, got 'yesterday'",
        "metadata/dataset: 'other' is not the first part of the recording id 'd/r'",
        "metadata/extra/x: nan cannot be written as JSON; leave the attribute out where the value is unknown",
        "metadata/extra/y/1: key 2 is not text",
        "signals/no_units: attribute 'units' is missing; use 'a.u.' where the scale is unknown",
        "signals/bad_role: attribute 'role' is 'machine', expected one of neural, behavior, stimulus",
        "signals/bad_role: channel_id is not unique: 'a' come more than once",
        "signals/'../up': a name is made of letters, digits and _ . + = - and does not begin with a dot",
        "signals/'../up': time does not increase at sample 3",
        "events/spikes: time is not sorted at event 1",
        "events/spikes: 'unit' runs from 0 to 12 but n_units is 2; units count from 0",
        "events/taps: time is not finite at event 0",
        "intervals/trials: column 'object' has type complex128; text, numbers and booleans can be stored",
        "intervals/trials: interval 0 stops at 4.0 s, before it starts at 5.0 s",
        "units: unit_id is not unique",
    ]
    assert list_problems(recording) == expected
    with pytest.raises(
        SchemaError, match=r"recording 'd/r' breaks the schema in 21 places:\n  - metadata/subject/id"
    ) as error:
        validate(recording)
    assert error.value.problems == tuple(expected)


CYCLE = {}
CYCLE["again"] = CYCLE
HOSTILE = {
    "NaN": (float("nan"), "signals/s: attributes/evil: nan cannot be written as JSON"),
    "infinity": (float("inf"), "evil: inf cannot be written as JSON"),
    "an object": (object(), "evil: object is not a JSON value"),
    "bytes": (b"raw", "evil: bytes is not a JSON value"),
    "a numpy array": (np.zeros(2), "evil: ndarray is not a JSON value"),
    "a numpy integer": (np.int64(1), "evil: int64 is not a JSON value"),
    "a set": ({1}, "evil: set is not a JSON value"),
    "a function": (print, "evil: builtin_function_or_method is not a JSON value"),
    "a lone surrogate": ("\ud800", r"evil: '\\ud800' is not valid Unicode text"),
    "a lone surrogate in a key": ({"\ud800": 1}, r"evil: in a key, '\\ud800' is not valid Unicode text"),
    "2 MB of text": ("x" * 2_000_000, "evil: text of 2000000 characters; at most 1000000"),
    "a key that is not text": ({1: 2}, "evil: key 1 is not text"),
    "deep in a list": ([[{"x": [float("-inf")]}]], "evil/0/0/x/0: -inf cannot be written"),
    "an integer beyond 64 bits": (10**30, "evil: an integer beyond 64 bits"),
    "a cycle": (CYCLE, "nested more than 32 deep"),
}


@pytest.mark.parametrize(("value", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_attributes_are_refused(value, message):
    with pytest.raises(SchemaError, match=message):
        validate(Recording(metadata(), {"s": signal(evil=value)}))
    with pytest.raises(SchemaError, match=r"metadata/extra/evil"):
        validate(Recording(metadata(extra={"evil": value}), {"s": signal()}))
    with pytest.raises(SchemaError, match=r"events/e: attributes"):
        validate(Recording(metadata(), events={"e": make_events([1.0], attributes={"evil": value})}))


@pytest.mark.parametrize(
    "name",
    ["..", "../up", "a/b", "/root", "nul\0", "", ".hidden", "zarr.json", "\ud800", "a b", 3, "x" * 200, "a\n"],
    ids=ascii,
)
def test_names_that_could_leave_their_folder_are_refused(name):
    for group in ("signals", "events", "intervals"):
        member = {"signals": signal(), "events": make_events([1.0]), "intervals": make_intervals([0.0], [1.0])}[group]
        with pytest.raises(SchemaError, match=f"{group}/.*: a name is made of letters, digits"):
            validate(Recording(metadata(), **{group: {name: member}}))
    column = signal().assign_coords({name: ("channel", [1, 2])})
    with pytest.raises(SchemaError, match=r"signals/s: column .* cannot be stored under that name"):
        validate(Recording(metadata(), {"s": column}))


@pytest.mark.parametrize("recording_id", ["../x", "a", "a/b/c", "a/..", "/a", "a/\0", "", 3, None], ids=ascii)
def test_recording_ids_that_could_leave_the_store_are_refused(recording_id):
    with pytest.raises(SchemaError, match=r"metadata/recording_id: "):
        validate(Recording(metadata(recording_id=recording_id), {"s": signal()}))


def with_clock(clock):
    return signal().drop_vars("time").assign_coords(time_coordinates(clock))


BREACHES = {
    "signals/s: dimensions are ('channel', 'time'), expected ('time', 'channel')": lambda: {"s": signal().T},
    "signals/s: type complex128 cannot be stored; use float32, float64 or integers": lambda: {
        "s": signal().astype(complex)
    },
    "signals/s: type float16 cannot be stored; use float32, float64 or integers": lambda: {
        "s": signal().astype("float16")
    },
    "signals/s: there is no time; make signals with neurodata.recording.timed.make_signal": lambda: {
        "s": signal().drop_vars("time")
    },
    "signals/s: time has type int64, expected float64 seconds": lambda: {
        "s": signal().assign_coords(time=np.arange(10))
    },
    "signals/s: two segments overlap in time": lambda: {"s": signal(segments=([0.0, 4.0], [0, 5]))},
    "signals/s: the first samples of segments do not increase": lambda: {"s": signal(segments=([0.0, 9.0], [0, 0]))},
    "signals/s: the first segment begins at sample 5, expected 0; the samples before it have no time": lambda: {
        "s": with_clock(Clock(1.0, 10, (5.0,), (5,)))
    },
    "signals/s: channel column 'channel_id' is missing": lambda: {"s": signal().drop_vars("channel_id")},
    "signals/s: channel_id is empty for a channel; every channel needs a name": lambda: {
        "s": signal(channel_id=["", "a"])
    },
    "signals/s: label_confidence lies outside 0 … 1": lambda: {"s": signal(columns={"label_confidence": [0.5, 1.5]})},
    "signals/s: scale_factor is not a finite number other than 0": lambda: {
        "s": signal(scale_factor="ten").astype(int)
    },
    "signals/s: add_offset belongs to integer signals; a float signal is in its physical unit already": lambda: {
        "s": signal(add_offset=1.0)
    },
    "signals/s: attribute 'coordinates' is reserved: other readers decode values by it; use another name": lambda: {
        "s": signal(coordinates="x")
    },
    "signals/s: attribute 'units' is 'days since 2000-01-01', which other readers turn into dates; use seconds from the "
    "start": lambda: {"s": signal(units="days since 2000-01-01")},
    "signals/s: column 'x' holds text that is not valid Unicode (a lone surrogate)": lambda: {
        "s": signal(columns={"x": ["\ud800", "a"]})
    },
    "signals/s: column 'when' has type datetime64[s]; text, numbers and booleans can be stored": lambda: {
        "s": signal(columns={"when": np.array(["2000-01-01", "2001-01-01"], "datetime64[s]")})
    },
    "signals/time: the store keeps that name for itself; choose another": lambda: {"time": signal()},
}


@pytest.mark.parametrize(("message", "make"), BREACHES.items(), ids=[m[9:60] for m in BREACHES])
def test_a_breach_of_a_signal_is_named(message, make):
    assert list_problems(Recording(metadata(), make(), decode=False)) == [message]


def test_tables_of_the_wrong_shape_are_named_not_stumbled_over():
    events = xr.Dataset({"time": (("event", "x"), np.zeros((2, 2)))})
    intervals = xr.Dataset({"start": ("a", np.zeros(2)), "stop": ("b", np.zeros(3))})
    empty = xr.Dataset()
    problems = list_problems(Recording(metadata(), {}, {"e": events, "n": empty}, {"i": intervals, "n": empty}, empty))
    assert "events/e: time has 2 dimensions, expected one" in problems
    assert "events/n: column 'time' is missing" in problems
    assert "intervals/i: start and stop have shapes (2,) and (3,), expected one of each per interval" in problems
    assert "intervals/n: column 'start' and 'stop' is missing" in problems
    assert "units: column 'unit_id' is missing" in problems


def test_an_empty_recording_is_refused_and_a_whole_one_passes():
    assert list_problems(Recording(metadata())) == [
        "the recording is empty: it has no signal, event, interval or graph"
    ]
    assert list_problems(Recording(metadata(), {"s": signal()})) == []
