"""A running scale knows the samples before, all of them that were recorded, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.recording.timed import make_signal
from neurodata.windows import running_scale as module
from neurodata.windows.running_scale import running_scale
from neurodata.windows.splits import Split, Stretch
from neurodata.windows.views import apply_views, channels_after, check_views_leak, is_causal, make_views

RATE = 10.0


def made(values, **options):
    values = np.asarray(values)
    values = values[:, None] if values.ndim == 1 else values
    ids = [f"c{i}" for i in range(values.shape[1])]
    return make_signal(values, channel_id=ids, units="V", **{"rate_hz": RATE, **options}).rename("eeg")


def noise(n=400, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, channels))


def by_hand(values, seconds, n_before):
    """Each sample by the weighted mean and spread of the recorded ones before it, anew from the definition."""
    values, scaled = np.asarray(values, np.float64), np.full(len(values), np.nan)
    recorded = np.flatnonzero(np.isfinite(values))
    for place, k in enumerate(recorded):
        if place < n_before:
            continue
        before = values[recorded[:place]]
        weights = np.exp(-np.arange(place, 0, -1) / (seconds * RATE))
        weights /= weights.sum()
        mean = weights @ before
        spread = np.sqrt(weights @ (before - mean) ** 2 / (1 - weights @ weights))
        scaled[k] = (values[k] - mean) / (spread if spread > 0 else 1.0)
    return scaled


@settings(max_examples=30)
@given(seed=st.integers(0, 99), seconds=st.floats(0.3, 50), warm_up=st.floats(0, 3), gaps=st.booleans())
def test_property_samples_are_scaled_by_those_before_them(seed, seconds, warm_up, gaps):
    values = 5 + 3 * noise(80, 2, seed)
    if gaps:
        values[np.random.default_rng(seed).random(values.shape) < 0.3] = np.nan
    found = running_scale(made(values), seconds, warm_up_seconds=warm_up).values
    n_before = max(2, int(np.ceil(warm_up * RATE - 1e-9)))
    for channel in range(2):
        np.testing.assert_allclose(found[:, channel], by_hand(values[:, channel], seconds, n_before), rtol=1e-7)


@settings(max_examples=30)
@given(at=st.integers(0, 399), seed=st.integers(0, 99), later=st.sampled_from(["other", "missing", "huge", "cut off"]))
def test_property_the_future_changes_nothing_before_it(at, seed, later):
    values = noise(seed=seed)
    values[100:120, 0] = np.nan
    other = values.copy()
    other[at:] = {"missing": np.nan, "huge": 1e30}.get(later, noise(seed=seed + 100)[at:])
    signal = made(other).isel(time=slice(0, at)) if later == "cut off" else made(other)
    before, after = (running_scale(s, 3.0, warm_up_seconds=1.0).values[:at] for s in (made(values), signal))
    np.testing.assert_array_equal(before, after)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("missing", [np.nan, np.inf], ids=["missing", "clipped"])
def test_a_gap_stays_missing_and_the_state_goes_on_behind_it(missing):
    values = noise(channels=1)
    holed = np.insert(values, np.full(50, 200), missing, axis=0)
    found = running_scale(made(holed), 3.0).values
    np.testing.assert_array_equal(np.isnan(found[200:250]), True)
    np.testing.assert_array_equal(np.delete(found, np.s_[200:250], axis=0), running_scale(made(values), 3.0).values)


def test_a_gap_between_two_pieces_is_like_missing_samples():
    values = noise()
    parted = running_scale(made(values, segments=((0.0, 100.0), (0, 150))), 3.0)
    np.testing.assert_array_equal(parted.values, running_scale(made(values), 3.0).values)
    assert parted.sel(time=slice(100, 101)).sizes["time"] == 10


def test_the_first_samples_are_missing_until_there_is_a_spread():
    values = noise(100, 2)
    values[:15, 1] = np.nan
    for options, n_missing in (({}, 30), ({"warm_up_seconds": 1.2}, 12), ({"warm_up_seconds": 0}, 2)):
        found = np.isnan(running_scale(made(values), 3.0, **options).values)
        assert found[:, 0].tolist() == [True] * n_missing + [False] * (100 - n_missing)
        assert found[:, 1].tolist() == [True] * (15 + n_missing) + [False] * (85 - n_missing)


def test_drift_and_gain_are_gone_after_some_time_constants():
    values = np.concatenate([noise(3000, 1), 50 + 20 * noise(3000, 1, 1)])
    found = running_scale(made(values), 20.0).values
    for rows in (slice(1000, 3000), slice(5000, 6000)):
        assert abs(found[rows].mean()) < 0.15
        assert found[rows].std() == pytest.approx(1, abs=0.1)
    assert found[3000, 0] > 20  # a sample is no part of what it is scaled by


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3e8])
def test_a_constant_is_0_and_what_follows_it_is_finite(constant):
    values = np.full((200, 1), constant)
    values[150:] += 2.0
    found = running_scale(made(values), 2.0).values[20:]
    np.testing.assert_array_equal(found[:130], 0)
    assert found[130, 0] == 2.0  # centred, and not divided
    assert np.isfinite(found).all()


def test_noise_on_a_large_offset_keeps_its_spread():
    found = running_scale(made(1e6 + 1e-3 * noise(5000, 1)), 10.0).values
    assert np.nanstd(found) == pytest.approx(1, abs=0.03)


def test_channels_are_computed_some_at_a_time(monkeypatch):
    signal = made(noise(300, 7))
    whole = running_scale(signal, 3.0)
    monkeypatch.setattr(module, "_BLOCK", 700)
    xr.testing.assert_identical(running_scale(signal, 3.0), whole)


def test_a_view_by_name_is_causal_and_leaks_nothing():
    views = make_views([{"running_scale": {"seconds": 3}}])
    assert views[0].to_json() == {"name": "running_scale", "options": {"seconds": 3.0, "warm_up_seconds": None}}
    assert is_causal(views)
    signal = made(noise())
    assert channels_after(signal, views) is signal
    xr.testing.assert_identical(apply_views(signal, views), running_scale(signal, 3.0))
    check_views_leak(views, Split({"train": (Stretch("d/a", 0, 10),), "test": (Stretch("d/a", 20, 30),)}, "time"))


def test_types_units_and_history():
    raw = made(noise())
    kept = raw.values.copy()
    found = running_scale(raw, 3.0)
    np.testing.assert_array_equal(raw.values, kept)
    assert found.attrs["history"] == ["running_scale(seconds=3.0, warm_up_seconds=3.0)"]
    assert (found.attrs["units"], found.name, found.dtype) == ("running standard deviations", "eeg", np.float64)
    assert running_scale(made(noise().astype(np.float32)), 3.0).dtype == np.float32
    integers = np.round(1000 * noise()).astype(np.int16)
    scaled = running_scale(made(integers, scale_factor=0.5), 3.0)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, running_scale(made(integers), 3.0), rtol=1e-5)  # a gain is divided out
    for shape in ((0, 2), (50, 0)):
        assert running_scale(made(np.zeros(shape)), 3.0).shape == shape


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (lambda: running_scale(made(noise()), 0), "seconds must be a positive number, got 0"),
        (lambda: running_scale(made(noise()), 0.1), r"'eeg' is sampled at 10 Hz, .* 0.1 s is 1 samples; take 0.2 s"),
        (lambda: running_scale(made(noise()), 3, warm_up_seconds=-1), "warm_up_seconds is 0 or more, .*; got -1"),
        (lambda: running_scale(made(noise(3), rate_hz=None, time=[0.0, 1.0, 3.0]), 3), "irregular.*resample it first"),
        (lambda: make_views(["running_scale"]), "'running_scale' needs the option 'seconds': a number"),
        (lambda: make_views([{"running_scale": {"seconds": 0}}]), "'seconds' of view 'running_scale' is from 1e-06"),
    ],
    ids=["no time constant", "too short", "negative warm-up", "irregular", "not given", "out of bounds"],
)  # fmt: skip
def test_what_cannot_be_scaled_says_why(view, says):
    with pytest.raises(NeurodataError, match=says):
        view()


def test_frames_are_not_seconds():
    with pytest.raises(UnknownRateError, match="counts frames"):
        running_scale(made(noise(), rate_hz=None), 3.0)


def test_a_signal_of_which_nothing_would_be_left_is_named():
    with pytest.warns(
        UserWarning, match=r"'eeg' lasts 2 s, and the first 3 s .* take a shorter time constant or warm_up"
    ):
        found = running_scale(made(noise(20)), 3.0)
    assert np.isnan(found.values).all()
