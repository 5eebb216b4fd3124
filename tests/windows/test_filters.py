"""A filter does what its band says, looks at no later sample, and stays inside its run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as scipy_signal

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.recording.timed import make_signal
from neurodata.windows.filters import band_pass, notch
from neurodata.windows.splits import Stretch

RATE = 200.0


def made(values, **options):
    values = np.asarray(values)
    values = values[:, None] if values.ndim == 1 else values
    ids = [f"c{i}" for i in range(values.shape[1])]
    return make_signal(values, channel_id=ids, units="V", **{"rate_hz": RATE, **options}).rename("eeg")


def noise(n=1000, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, channels))


FILTERS = {
    "band": lambda s, **o: band_pass(s, 4, 30, **o),
    "high": lambda s, **o: band_pass(s, 1, None, **o),
    "low": lambda s, **o: band_pass(s, None, 40, order=2, **o),
    "notch": lambda s, **o: notch(s, 50, 1, **o),
}
ALL = pytest.mark.parametrize("apply", FILTERS.values(), ids=FILTERS)


@ALL
@settings(max_examples=15)
@given(at=st.integers(1, 299), seed=st.integers(0, 99), missing=st.booleans())
def test_property_the_future_changes_nothing_before_it(apply, at, seed, missing):
    values = noise(300, 2, seed)
    other = values.copy()
    other[at:] = np.nan if missing else noise(300, 2, seed + 100)[at:]
    before, after = apply(made(values)).values[:at], apply(made(other)).values[:at]
    np.testing.assert_array_equal(before, after)


@ALL
@pytest.mark.parametrize("causal", [True, False])
def test_property_a_missing_sample_parts_two_runs(apply, causal):
    values = noise()
    values[400:410, 1] = np.nan
    values[700, :] = np.inf
    found = apply(made(values), causal=causal).values
    np.testing.assert_array_equal(np.isnan(found), ~np.isfinite(values))
    for channel, runs in ((0, ((0, 700), (701, 1000))), (1, ((0, 400), (410, 700), (701, 1000)))):
        for begin, end in runs:
            alone = apply(made(values[begin:end, channel]), causal=causal).values[:, 0]
            np.testing.assert_array_equal(found[begin:end, channel], alone)


@ALL
@pytest.mark.parametrize("causal", [True, False])
def test_nothing_is_read_across_a_gap(apply, causal):
    values = noise()
    found = apply(made(values, segments=((0.0, 10.0), (0, 300))), causal=causal)
    for rows in (slice(0, 300), slice(300, None)):
        np.testing.assert_array_equal(found.values[rows], apply(made(values[rows]), causal=causal).values)
    assert found.sel(time=slice(10, 11)).sizes["time"] == 200


@ALL
@pytest.mark.parametrize("causal", [True, False])
def test_nothing_outside_the_stretch_is_read(apply, causal):
    values = noise()
    within = slice(200, 600)
    for stretch in (Stretch("d/r", 1.0, 3.0), (1.0, 3.0)):
        found = apply(made(values), causal=causal, stretch=stretch)
        np.testing.assert_array_equal(found.values, apply(made(values[within]), causal=causal).values)
        assert found["time"].values[[0, -1]].tolist() == [1.0, 2.995]
        assert found.attrs["history"][0].endswith("stretch=(1, 3))")


@pytest.mark.parametrize("causal", [True, False])
def test_the_gain_is_that_of_the_design(causal):
    """An impulse far from the ends shows the whole response; the gain is squared where the filter runs twice."""
    values = np.zeros(8000)
    values[4000] = 1.0
    found = np.abs(np.fft.rfft(band_pass(made(values), 5, 40, causal=causal).values[:, 0]))
    frequencies = np.fft.rfftfreq(8000, 1 / RATE)
    sections = scipy_signal.butter(4, [5, 40], "bandpass", fs=RATE, output="sos")
    _, expected = scipy_signal.freqz_sos(sections, frequencies, fs=RATE)
    np.testing.assert_allclose(found, np.abs(expected) ** (1 if causal else 2), atol=1e-9)
    edges = found[np.searchsorted(frequencies, [5, 40])]
    np.testing.assert_allclose(20 * np.log10(edges), -3.01 if causal else -6.02, atol=0.01)


def test_zero_phase_is_that_of_mne():
    mne = pytest.importorskip("mne")
    values = noise(4000)
    expected = mne.filter.filter_data(
        values.T, RATE, 5, 40, method="iir", iir_params={"order": 4, "ftype": "butter"}, verbose="error"
    )
    found = band_pass(made(values), 5, 40, causal=False).values.T
    # The ends differ: mne pads by more.
    np.testing.assert_allclose(found[:, 500:-500], expected[:, 500:-500], atol=1e-6)


def test_forward_filter_is_that_of_scipy():
    values = noise()
    sections = scipy_signal.butter(4, [4, 30], "bandpass", fs=RATE, output="sos")
    state = scipy_signal.sosfilt_zi(sections)[:, :, None] * values[0]
    expected, _ = scipy_signal.sosfilt(sections, values, axis=0, zi=state)
    np.testing.assert_array_equal(band_pass(made(values), 4, 30).values, expected)


@pytest.mark.parametrize("causal", [True, False])
def test_a_notch_takes_the_line_and_leaves_the_rest(causal):
    time = np.arange(4000) / RATE
    line, rest = np.sin(2 * np.pi * 50 * time), np.sin(2 * np.pi * 20 * time)
    found = notch(made(np.column_stack([line, rest, line + rest])), 50, causal=causal).values[1000:-1000]
    assert np.abs(found[:, 0]).max() < 1e-3
    np.testing.assert_allclose(np.std(found[:, 1]) * np.sqrt(2), 1, atol=0.01)


def test_harmonics_are_those_below_half_the_rate():
    assert "harmonics=3" in notch(made(noise(), rate_hz=400.0), 50).attrs["history"][0]
    assert "harmonics=4" in notch(made(noise(), rate_hz=401.0), 50).attrs["history"][0]
    time = np.arange(4000) / 400
    found = notch(made(np.sin(2 * np.pi * 100 * time), rate_hz=400.0), 50, 1).values[1000:]
    assert np.abs(found).max() > 0.9
    found = notch(made(np.sin(2 * np.pi * 100 * time), rate_hz=400.0), 50, 2).values[1000:]
    assert np.abs(found).max() < 1e-3


@ALL
def test_a_constant_makes_no_transient_and_short_runs_pass(apply):
    for causal in (True, False):
        found = apply(made(np.full(50, 3.0)), causal=causal).values
        assert np.ptp(found) < 1e-9
        for n in (1, 2, 5):
            assert np.isfinite(apply(made(np.arange(n, dtype=float)), causal=causal).values).all()
        assert apply(made(np.zeros((0, 1))), causal=causal).shape == (0, 1)


def test_views_leave_the_signal_alone_and_tell_their_history():
    raw = made(noise())
    kept = raw.values.copy()
    view = notch(band_pass(raw, 1, None), 50, 1, causal=False)
    np.testing.assert_array_equal(raw.values, kept)
    assert "history" not in raw.attrs
    assert view.attrs["history"] == [
        "band_pass(low_hz=1, high_hz=None, order=4, causal=True)",
        "notch(line_hz=50, harmonics=1, width_hz=2.0, causal=False)",
    ]
    assert (view.attrs["units"], view.name) == ("V", "eeg")
    assert view["channel_id"].values.tolist() == ["c0", "c1", "c2"]


def test_types():
    assert band_pass(made(noise()), 1, 40).dtype == np.float64
    assert band_pass(made(noise().astype(np.float32)), 1, 40).dtype == np.float32
    integers = np.round(1000 * noise()).astype(np.int16)
    found = band_pass(made(integers, scale_factor=0.5), 1, 40)
    assert found.dtype == np.float32
    assert "scale_factor" not in found.attrs
    np.testing.assert_allclose(found, band_pass(made(integers * 0.5), 1, 40), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (lambda: band_pass(made(noise()), 1, 100), "sampled at 200 Hz and holds nothing from 100 Hz on, so 100 Hz"),
        (lambda: band_pass(made(noise()), 150, None), "150 Hz is too high"),
        (lambda: band_pass(made(noise()), 40, 1), "its lower edge below its upper; got 40 to 1 Hz"),
        (lambda: band_pass(made(noise()), None, None), "a band needs an edge"),
        (lambda: band_pass(made(noise()), 0, 1), "an edge of the band must be a positive number"),
        (lambda: band_pass(made(noise()), 1, 4, order=0), "the order of a filter"),
        (lambda: band_pass(made(noise()), 1, 4, stretch=(3, 3)), r"got \[3, 3\) s"),
        (lambda: notch(made(noise()), 60, 2), "120 Hz is too high"),
        (lambda: notch(made(noise()), 50, 0), "harmonics counts the line itself"),
        (lambda: notch(made(noise(), rate_hz=80.0), 50), "50 Hz is too high"),
        (lambda: band_pass(made(noise(3), rate_hz=None, time=[0.0, 1.0, 3.0]), 0.1, None), "irregular"),
    ],
)
def test_what_cannot_be_filtered_says_why(view, says):
    with pytest.raises(NeurodataError, match=says):
        view()


def test_frames_are_not_seconds():
    with pytest.raises(UnknownRateError, match="counts frames"):
        band_pass(made(noise(), rate_hz=None), 1, 4)
