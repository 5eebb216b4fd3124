"""Time: half-open, exact, and never stored for a regular signal."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.recording.clock import Clock
from neurodata.recording.recording import Recording
from neurodata.recording.time_index import TimeIndex, clock_of
from neurodata.recording.timed import check_seconds, make_signal

RATES = st.one_of(st.floats(1e-3, 1e5), st.sampled_from([3137 / 1080, 1 / 3, 30000.0, 0.1]))


def made(size=100, rate_hz=10.0, **keywords):
    return make_signal(
        np.arange(size * 2.0).reshape(size, 2), channel_id=["a", "b"], units="V", rate_hz=rate_hz, **keywords
    )


@st.composite
def clocks(draw):
    rate, lengths = draw(RATES), draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    starts, now = [], draw(st.floats(-100, 1000))
    for length in lengths:
        starts.append(now)
        now += length / rate + draw(st.floats(1e-3, 50))
    firsts = np.r_[0, np.cumsum(lengths)[:-1]]
    return Clock(rate, sum(lengths), tuple(starts), tuple(int(first) for first in firsts))


@settings(max_examples=200, deadline=None)
@given(clocks(), st.data())
def test_any_clock_cut_anywhere_selects_what_its_times_say(clock, data):
    for _ in range(data.draw(st.integers(0, 3))):
        bounds = st.one_of(st.none(), st.integers(-clock.size - 2, clock.size + 2))
        clock = clock.slice(slice(data.draw(bounds), data.draw(bounds), data.draw(st.integers(1, 3))))
    times = clock.times(np.arange(clock.size))
    on_a_sample = st.sampled_from(times.tolist()) if clock.size else st.nothing()
    edges = st.one_of(on_a_sample, st.floats(-200, 2000))
    start, stop = data.draw(edges), data.draw(edges)
    signal = xr.DataArray(np.arange(clock.size), dims="time")
    from neurodata.recording.time_index import time_coordinates

    signal = signal.assign_coords(time_coordinates(clock))
    chosen = signal.sel(time=slice(start, stop))
    assert chosen.values.tolist() == np.flatnonzero((times >= start) & (times < stop)).tolist()
    np.testing.assert_array_equal(chosen.time.values, times[(times >= start) & (times < stop)])
    if clock.size:
        assert clock.positions(times).tolist() == list(range(clock.size))
        starts, firsts = clock.segments()
        np.testing.assert_array_equal(starts, times[firsts])


@pytest.mark.parametrize("irregular", [False, True], ids=["regular", "irregular"])
@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        pytest.param(slice(1, 2), range(10, 20), id="stop falls on a sample"),
        pytest.param(slice(0.95, 1.05), [10], id="edges between samples"),
        pytest.param(slice(None, 0.2), range(0, 2), id="open start"),
        pytest.param(slice(9.8, None), range(98, 100), id="open stop"),
        pytest.param(slice(5, 5), [], id="empty stretch"),
        pytest.param(slice(7, 3), [], id="stop before start"),
        pytest.param(slice(-5, 0), [], id="before the first sample"),
        pytest.param(slice(50, 60), [], id="after the last sample"),
    ],
)
def test_stretches_are_half_open(irregular, cut, expected):
    signal = made(time=np.arange(100) / 10, rate_hz=None) if irregular else made()
    assert (signal.sel(time=cut).values[:, 0] / 2).tolist() == list(expected)
    # The same after a cut, which must keep the index half-open.
    part = signal.isel(time=slice(5, None))
    assert (part.sel(time=cut).values[:, 0] / 2).tolist() == [i for i in expected if i >= 5]


def test_a_plain_time_coordinate_becomes_half_open_in_a_recording():
    signal = made().drop_vars("time").assign_coords(time=np.arange(100) / 10)
    assert signal.sel(time=slice(1, 2)).sizes["time"] == 11
    recording = Recording({"recording_id": "a/b"}, {"s": signal})
    assert recording.signals["s"].sel(time=slice(1, 2)).sizes["time"] == 10


def test_a_day_at_2_khz_costs_no_memory_and_stays_exact():
    size = 86400 * 2000
    clock = Clock(2000.0, size)
    signal = xr.DataArray(np.broadcast_to(np.float32(0), (size, 1)), dims=("time", "channel"))
    from neurodata.recording.time_index import time_coordinates

    signal = signal.assign_coords(time_coordinates(clock))
    window = signal.sel(time=slice(86000, 86002))
    assert window.sizes["time"] == 4000
    assert float(window.time[0]) == 86000.0
    assert isinstance(signal.xindexes["time"], TimeIndex)
    assert len(ForkingPickler.dumps(signal.xindexes["time"])) < 2000


@pytest.mark.parametrize("rate", [3137 / 1080, 1 / 3, 29999.97, 2000.0], ids=str)
def test_no_drift_over_a_hundred_million_samples(rate):
    clock, i = Clock(rate, 100_000_001, starts=(0.25,)), 100_000_000
    from fractions import Fraction

    exact = Fraction(1, 4) + Fraction(i) / Fraction(rate)
    assert abs(Fraction(clock.time(i)) - exact) <= Fraction(np.spacing(float(exact)))
    part = clock.slice(slice(12_345, None)).slice(slice(50_000_000, None, 5))
    assert part.time(7) == clock.time(12_345 + 50_000_000 + 35)
    assert clock.position(clock.time(i)) == i


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        pytest.param({"rate_hz": 0.0}, "sampling rate must be a positive number, got 0.0", id="rate 0"),
        pytest.param({"rate_hz": float("nan")}, "positive number, got nan", id="rate NaN"),
        pytest.param({"rate_hz": float("inf")}, "positive number, got inf", id="rate infinite"),
        pytest.param({"segments": ([0.0], [0, 5])}, "one finite start in seconds and one first", id="segments unequal"),
        pytest.param({"start_seconds": float("nan")}, "one finite start in seconds", id="start NaN"),
        pytest.param({"time": [1.0]}, r"time has shape \(1,\), expected \(100,\)", id="too few times"),
        pytest.param({"columns": {"x": [1]}}, r"'x' has shape \(1,\), expected \(2,\)", id="too short a column"),
    ],
)
def test_a_signal_that_cannot_be_is_refused(keywords, message):
    with pytest.raises(NeurodataError, match=message):
        made(**keywords)


def test_single_times_must_exist():
    signal = made()
    assert signal.sel(time=1.0).values.tolist() == [20.0, 21.0]
    assert signal.sel(time=[0.1, 9.9]).time.values.tolist() == [0.1, 9.9]
    assert signal.sel(time=1.04, method="nearest").values.tolist() == [20.0, 21.0]
    with pytest.raises(KeyError, match=r"no sample was taken at 1.04"):
        signal.sel(time=1.04)
    with pytest.raises(KeyError, match=r"needs numbers"):
        signal.sel(time=slice(float("nan"), 3))


def test_what_xarray_does_with_time_keeps_its_meaning():
    signal = made()
    np.testing.assert_array_equal(signal.rename(time="t").t.values, signal.time.values)
    assert signal.rename(time="t").sel(t=slice(1, 2)).sizes["t"] == 10
    joined = xr.concat([signal.sel(time=slice(0, 3)), signal.sel(time=slice(3, 10))], "time")
    xr.testing.assert_equal(joined.drop_vars("time"), signal.drop_vars("time"))
    np.testing.assert_array_equal(joined.time.values, signal.time.values)
    assert joined.sel(time=slice(1, 2)).sizes["time"] == 10
    masked = signal[signal.time > 5]
    assert masked.sel(time=slice(6, 7)).sizes["time"] == 10
    assert float(signal.isel(time=5).time) == 0.5
    assert (signal + signal).sel(time=slice(1, 2)).sizes["time"] == 10
    assert signal.identical(ForkingPickler.loads(ForkingPickler.dumps(signal)))
    with pytest.raises(KeyError, match=r"not sorted"):
        joined.isel(time=[5, 3, 4]).sel(time=slice(0, 1))
    with pytest.raises(NeurodataError, match=r"cannot be reversed"):
        signal.isel(time=slice(None, None, -1))
    assert isinstance(signal.to_pandas().index, pd.Index)


def test_unknown_rate_counts_frames_and_refuses_seconds():
    signal = make_signal(np.zeros((5, 1)), channel_id=["a"], units="V")
    assert signal.time.values.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(UnknownRateError, match=r"--set rate_hz="):
        check_seconds(signal.rename("calcium"))
    check_seconds(made())
    assert clock_of(signal).unit == "frame"
