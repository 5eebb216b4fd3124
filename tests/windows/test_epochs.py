"""Epochs are the signal around events; what is left out is counted, with its reason, by thresholds from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal
from neurodata.windows.eeg_views import re_reference
from neurodata.windows.epochs import Epochs, fit_rejection, make_epochs, reject
from neurodata.windows.filters import band_pass
from neurodata.windows.splits import Stretch

RATE = 100.0
CUES = np.array([2.0, 4.0, 6.0, 8.0, 10.0, 12.0])


def made(values=None, *, intervals=None, cues=CUES, **columns):
    values = 1e-6 * np.random.default_rng(0).normal(size=(1400, 3)) if values is None else values
    signal = make_signal(values, channel_id=["a", "b", "c"], units="V", rate_hz=RATE, columns=columns)
    events = {"cue": make_events(cues, label=["l", "r"] * (len(cues) // 2))}
    return Recording(
        {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s"}}, {"eeg": signal}, events, intervals
    )


def artefacts():
    """The second epoch jumps, the fourth is flat in one channel, the fifth touches a bad stretch."""
    values = made().signals["eeg"].values.copy()
    values[420, 1] = 500e-6
    values[750:1000, 2] = 3e-6
    return values, {"notes": make_intervals([0.0, 10.4], [0.5, 11.0], label=["rest", "bad_blink"])}


def test_epochs_are_those_of_mne():
    mne = pytest.importorskip("mne")
    values, intervals = artefacts()
    raw = mne.io.RawArray(values.T.copy(), mne.create_info(3, RATE, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations([10.4], [0.6], ["bad_blink"]))
    events = np.column_stack([(CUES * RATE).astype(int), np.zeros(6, int), np.ones(6, int)])
    options = {"tmin": -0.5, "tmax": 0.99, "baseline": (-0.5, -0.01), "preload": True, "verbose": "error"}
    limits = {"reject": {"eeg": 100e-6}, "flat": {"eeg": 1e-7}}
    expected = mne.Epochs(raw, events, **options, **limits)
    found = make_epochs(
        made(values, intervals=intervals), "cue", (-0.5, 1.0), baseline=(-0.5, 0.0), reject_peak_to_peak=100e-6,
        reject_flat=1e-7,
    )  # fmt: skip
    assert np.flatnonzero(found.kept).tolist() == expected.selection.tolist() == [0, 2, 5]
    np.testing.assert_allclose(found.clean.transpose("event", "channel", "time"), expected.get_data(), atol=1e-18)
    np.testing.assert_allclose(found.values["time"], expected.times, atol=1e-12)


def test_reasons_say_what_was_wrong():
    values, intervals = artefacts()
    values[200, 0] = np.nan
    found = make_epochs(
        made(values, intervals=intervals, cues=np.append(CUES[:5], 13.8)), "cue", (-0.5, 1.0), reject_flat=1e-7,
        reject_peak_to_peak={"a": 1e-4, "b": 2e-4, "c": 1e-4},
    )  # fmt: skip
    assert not found.kept[[0, 1, 3, 4, 5]].any()
    assert found.reasons[0] == "samples missing in 1 channels"
    assert found.reasons[1].startswith("b: peak to peak 0.0005")
    assert found.reasons[1].endswith("above 0.0002")
    assert found.reasons[2] == ""
    assert found.reasons[3] == "c: peak to peak 0 below 1e-07"
    assert found.reasons[4] == "touches 'bad_blink' of notes at 10.4 s"
    assert found.reasons[5] == "samples missing in 3 channels"
    assert (len(found), repr(found)[:22]) == (1, "<Epochs 1 of 6 kept · ")
    assert found.clean["label"].values.tolist() == ["l"]


def test_intervals_are_half_open_and_may_be_ignored():
    beside = {"notes": make_intervals([1.0, 3.0], [1.5, 3.5], label=["BAD", "BAD"])}
    assert make_epochs(made(intervals=beside), "cue", (-0.5, 1.0)).kept.all()
    assert not make_epochs(made(intervals=beside), "cue", (-0.51, 1.0)).kept[:2].any()
    assert make_epochs(made(intervals=beside), "cue", (-0.51, 1.0), reject_intervals=()).kept.all()
    assert make_epochs(made(intervals=beside), "cue", (-0.51, 1.0), reject_intervals=("EDGE",)).kept.all()


def test_a_bad_moment_counts_too():
    noted = made().replace(events={"cue": make_events(CUES), "marks": make_events([4.2], label=["Bad electrode"])})
    assert make_epochs(noted, "cue", (0, 1)).kept.tolist() == [True, False, True, True, True, True]


def test_a_bad_channel_decides_nothing_but_is_there():
    values, _ = artefacts()
    values[:, 0] = np.nan
    for column in ({"bad": [True, True, False]}, {"status": ["bad", "bad", "good"]}, {"good": [False, False, True]}):
        found = make_epochs(made(values, **column), "cue", (-0.5, 1), reject_peak_to_peak=100e-6)
        assert found.kept.all()
        assert found.values.sizes["channel"] == 3
    noted = made(values, status=["bad", "bad", "good"])
    noted = noted.replace(events={"cue": make_events(CUES, status=["x"] * 6)})
    assert make_epochs(noted, "cue", (-0.5, 1), reject_peak_to_peak=100e-6).kept.all()


def test_a_baseline_is_taken_off_each_epoch_and_channel():
    found = make_epochs(made(), "cue", (-0.5, 1), baseline=(None, 0)).values
    np.testing.assert_allclose(found.sel(time=slice(None, 0)).mean("time"), 0, atol=1e-20)
    raw = make_epochs(made(), "cue", (-0.5, 1)).values
    np.testing.assert_allclose((raw - found).std("time"), 0, atol=1e-18)
    assert found.attrs["history"] == ["baseline(None, 0)"]


def test_a_view_and_a_stretch_come_before_the_cutting():
    recording = made()

    def view(eeg):
        return band_pass(re_reference(eeg, "average"), 1, 30, causal=False)

    stretch = Stretch("d/r", 3.0, 9.0)
    found = make_epochs(recording, "cue", (-0.5, 1), view=view, stretch=stretch)
    assert found.kept.tolist() == [False, True, True, True, False, False]
    expected = view(recording.signals["eeg"].sel(time=slice(3, 9))).sel(time=slice(3.5, 5)).values
    np.testing.assert_array_equal(found.values[1], expected)
    assert len(found.values.attrs["history"]) == 2
    # Samples outside the stretch change nothing within it.
    other = recording.signals["eeg"].values.copy()
    other[900:] += 1.0
    other[:300] -= 1.0
    again = make_epochs(made(other), "cue", (-0.5, 1), view=view, stretch=stretch)
    np.testing.assert_array_equal(again.values, found.values)
    with pytest.raises(NeurodataError, match="the stretch is of d/x and the recording is d/r"):
        make_epochs(recording, "cue", (-0.5, 1), stretch=Stretch("d/x", 3.0, 9.0))


def test_thresholds_are_learned_from_training_epochs_and_applied_to_others():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(14_000, 3))
    values[9010, 2] = 60.0
    recording = made(values, cues=np.arange(1.0, 139.0))
    epochs = make_epochs(recording, "cue", (0, 0.5))
    training = make_epochs(recording, "cue", (0, 0.5), stretch=(0.0, 70.0))
    learned = fit_rejection(training)
    amplitudes = np.ptp(training.clean.values, axis=1)
    middle = np.median(amplitudes, axis=0)
    spread = 5 * 1.4826 * np.median(np.abs(amplitudes - middle), axis=0)
    np.testing.assert_allclose(list(learned.peak_to_peak.values()), middle + spread)
    np.testing.assert_allclose(list(learned.flat.values()), np.maximum(middle - spread, 0))
    assert list(learned.flat) == ["a", "b", "c"]
    assert learned.source.startswith("median ± 5 × 1.4826 × MAD of 69 epochs of eeg around events/cue/time")
    applied = reject(epochs, peak_to_peak=learned.peak_to_peak, flat=learned.flat)
    assert np.flatnonzero(~applied.kept).tolist() == [89]
    straight = make_epochs(
        recording, "cue", (0, 0.5), reject_peak_to_peak=learned.peak_to_peak, reject_flat=learned.flat
    )
    np.testing.assert_array_equal(straight.kept, applied.kept)


def test_property_test_epochs_do_not_move_the_thresholds():
    values = np.random.default_rng(1).normal(size=(1400, 3))
    other = values.copy()
    other[700:] *= 100
    learned = [fit_rejection(make_epochs(made(v), "cue", (0, 0.5), stretch=(0.0, 7.0))) for v in (values, other)]
    assert learned[0] == learned[1]


def test_a_dead_channel_has_no_limit():
    values = made().signals["eeg"].values.copy()
    values[:, 1] = np.nan
    learned = fit_rejection(make_epochs(made(values), "cue", (0, 1), reject_missing=False))
    assert (learned.peak_to_peak["b"], learned.flat["b"]) == (np.inf, 0.0)


def test_no_events_make_no_epochs():
    none = make_epochs(made(), [], (-0.5, 1), baseline=(None, 0), reject_peak_to_peak=1.0, reject_flat=1e-9)
    assert (len(none), none.reasons) == (0, ())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: make_epochs(made(), "cues", (0, 1)), "no events or intervals called 'cues'; did you mean 'cue'"),
        (lambda: make_epochs(made(), "cue", (0, 1), signal="egg"), "no signals called 'egg'; did you mean 'eeg'"),
        (lambda: make_epochs(made().replace(signals={}), "cue", (0, 1)), "has 0 neural signals"),
        (lambda: make_epochs(made(), "cue", (0, 1), baseline=(-1, 0)), r"baseline \[-1, 0\) s holds no sample"),
        (lambda: make_epochs(made(), "cue", (0, 1), reject_peak_to_peak={"a": 1.0}), "no threshold for 2 channels: b, c"),
        (lambda: make_epochs(made(), "cue", (0, 1), reject_flat=-1.0), "an amplitude of 0 or more"),
        (lambda: make_epochs(made(), "cue", (0, 1), view=lambda s: s[0]), r"a view is \(time, channel\)"),
        (lambda: fit_rejection(make_epochs(made(), [], (0, 1))), "no training epoch is kept"),
        (lambda: fit_rejection(make_epochs(made(), "cue", (0, 1)), 0), "deviations must be above 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_says_why(call, says):
    with pytest.raises(NeurodataError, match=says):
        call()


def test_epochs_are_not_edited():
    with pytest.raises(AttributeError):
        make_epochs(made(), "cue", (0, 1)).kept = np.zeros(6, bool)
    assert isinstance(make_epochs(made(), "cue", (0, 1)), Epochs)
