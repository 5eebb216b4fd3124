"""What is aligned to events is what was recorded around them: every sample, every spike, and NaN for the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.errors import NeurodataError, UnknownRateError
from neurodata.recording import _align_spikes
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units, make_validity

ABOUT = {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s"}}


def spiking(times, unit, *, stop=100.0, n_units=3, events=None, **more):
    """A recording of spikes that lasts until ``stop``."""
    order = np.argsort(times, kind="stable")
    spikes = make_events(np.asarray(times, float)[order], unit=np.asarray(unit, int)[order])
    lasts = make_intervals([0.0], [stop])
    units = make_units([f"u{i}" for i in range(n_units)], region=["M1"] * n_units)
    tables = {"spikes": spikes, **(events or {})}
    return Recording(ABOUT, {}, tables, {"session": lasts, **more}, units)


def ramp(rate_hz=10.0, seconds=10.0, **options):
    """Two channels whose first value is the sample's time."""
    signal = make_signal(
        np.zeros((round(rate_hz * seconds), 2)), channel_id=["a", "b"], units="V", rate_hz=rate_hz,
        columns={"label": ["A", "B"]}, **options,
    )  # fmt: skip
    times = signal["time"].values
    return Recording(ABOUT, {"lfp": signal.copy(data=np.column_stack([times, times**2]))})


class TestSpikes:
    @given(
        spikes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2)), max_size=60),
        licks=st.lists(st.integers(0, 400), min_size=1, max_size=6),
        rate_hz=st.sampled_from([1.0, 4.0, 8.0]),
    )
    def test_property_counts_are_those_of_a_plain_loop(self, spikes, licks, rate_hz):
        # Multiples of 1/16 s are exact in float64, so the loop's edges are not a matter of rounding.
        times, unit = [time / 16 for time, _ in spikes], [unit for _, unit in spikes]
        recording = spiking(times, unit, events={"licks": make_events(sorted(lick / 16 for lick in licks))})
        aligned = recording.align("licks", (-1, 2), rate_hz)
        for i, lick in enumerate(sorted(licks)):
            for j in range(round(3 * rate_hz)):
                start = lick / 16 - 1 + j / rate_hz
                for u in range(3):
                    naive = sum(start <= t < start + 1 / rate_hz and v == u for t, v in zip(times, unit))
                    expected = naive if start >= 0 else np.nan
                    np.testing.assert_equal(float(aligned[i, j, u]), expected)

    @given(
        spikes=st.lists(st.floats(0, 50), max_size=80),
        licks=st.lists(st.floats(5, 45), max_size=8),
        rate_hz=st.sampled_from([3.0, 7.0, 30.0, 100.0]),
    )
    def test_property_every_spike_of_a_window_is_counted_once(self, spikes, licks, rate_hz):
        recording = spiking(spikes, np.arange(len(spikes)) % 3)
        aligned = recording.align(np.array(licks), (-1, 2), rate_hz)
        low = np.array(licks) - 1 - _align_spikes.ON_EDGE_SECONDS
        high = np.array(licks) + 2 - _align_spikes.ON_EDGE_SECONDS
        expected = [sum(a <= t < b for t in spikes) for a, b in zip(low, high)]
        assert aligned.sum(("time", "channel")).values.tolist() == expected

    @pytest.mark.parametrize("start", [0.0, 1e5])
    @pytest.mark.parametrize("rate_hz", [10.0, 30.0, 100.0, 1000.0])
    def test_a_spike_on_an_edge_counts_in_the_later_bin_however_late(self, start, rate_hz):
        lick = start + 0.3
        on_edges = lick + np.arange(10) / rate_hz
        # One rounding error to the left is the same moment written down by other software.
        for times in (on_edges, np.nextafter(on_edges, -np.inf)):
            recording = spiking(times, np.zeros(10, int), stop=start + 100)
            aligned = recording.align([lick], (0, 10 / rate_hz), rate_hz, units=["u0"])
            assert aligned.values.ravel().tolist() == [1] * 10

    def test_time_is_the_start_of_the_bin_and_its_slices_are_half_open(self):
        aligned = spiking([1.0], [0]).align([5.0], (-0.3, 0.3), 10)
        assert aligned["time"].values.tolist() == [k / 10 for k in range(-3, 3)]
        assert aligned.sel(time=slice(0, 0.2)).sizes["time"] == 2
        assert aligned.attrs["time_is"] == "start of bin"
        assert (aligned.attrs["units"], aligned.dtype) == ("count", np.float32)

    def test_rates_and_chosen_units(self):
        recording = spiking([1.0, 1.1, 1.2], [0, 2, 2])
        aligned = recording.align([1.0], (0, 0.5), 2, units=["u2", "u0"], as_rate=True)
        assert aligned.values.tolist() == [[[4.0, 2.0]]]
        assert aligned["unit_id"].values.tolist() == ["u2", "u0"]
        assert aligned["region"].values.tolist() == ["M1", "M1"]
        assert aligned.attrs["units"] == "spikes/s"
        by_row = recording.align([1.0], (0, 0.5), 2, units=[2, 0], as_rate=True)
        by_mask = recording.align([1.0], (0, 0.5), 2, units=[True, False, True], as_rate=True)
        assert by_row.values.tolist() == aligned.values.tolist()
        assert by_mask.values.tolist() == [[[2.0, 4.0]]]

    def test_bins_outside_the_recording_are_missing(self):
        aligned = spiking([0.1, 9.9], [0, 0], stop=10.0, n_units=1).align([0.0, 10.0], (-1, 1), 2)
        np.testing.assert_array_equal(aligned.values[..., 0], [[np.nan, np.nan, 1, 0], [0, 1, np.nan, np.nan]])

    def test_bins_when_nothing_was_watched_are_missing(self):
        for name, columns in (("obs_intervals", {}), ("validity", {"signal": ["spikes", "spikes"]})):
            watched = {name: make_intervals([0.0, 3.0], [2.0, 10.0], **columns)}
            aligned = spiking([1.0], [0], stop=10.0, n_units=1, **watched).align([0.0], (0, 4), 1)
            np.testing.assert_array_equal(aligned.values.ravel(), [0, 1, np.nan, 0])

    def test_units_that_were_watched_apart(self):
        watched = make_intervals([0.0, 1.0, 2.0], [1.0, 2.0, 4.0], unit=[0, 0, 1])
        aligned = spiking([1.0], [0], stop=10.0, obs_intervals=watched).align([0.0], (0, 4), 1)
        n = np.nan
        np.testing.assert_array_equal(aligned.values[0].T, [[0, 1, n, n], [n, n, 0, 0], [0, 0, 0, 0]])

    def test_events_without_units_are_one_channel(self):
        recording = spiking([1.0], [0], events={"licks": make_events([1.0, 1.5])})
        aligned = recording.align([1.0], (0, 1), 1, signal="licks")
        assert (aligned.values.tolist(), aligned["channel_id"].values.tolist()) == ([[[2.0]]], ["licks"])

    def test_a_large_table_is_looked_through_in_blocks(self, monkeypatch):
        rng = np.random.default_rng(0)
        recording = spiking(rng.uniform(0, 100, 10_000), rng.integers(0, 3, 10_000))
        licks = rng.uniform(1, 97, 40)
        whole = recording.align(licks, (-1, 2), 10)
        monkeypatch.setattr(_align_spikes, "_BLOCK_EVENTS", 700)
        np.testing.assert_array_equal(recording.align(licks, (-1, 2), 10), whole)

    def test_units_are_read_where_the_events_are(self):
        asked = []

        def read(first, after):
            asked.append((first, after))
            return np.zeros(after - first, np.int32)

        positions = np.array([[500_000, 500_010], [10, 20], [7, 7], [15, 30]])
        counts = _align_spikes.count_units(read, positions, np.array([0]), 1)
        assert asked == [(10, 30), (500_000, 500_010)]
        assert counts.ravel().tolist() == [10, 10, 0, 15]

    def test_a_million_spikes_around_a_thousand_events(self):
        rng = np.random.default_rng(0)
        times = np.sort(rng.uniform(0, 3600, 1_000_000))
        aligned = spiking(times, rng.integers(0, 20, times.size), stop=3600.0, n_units=20).align(
            rng.uniform(10, 3500, 1000), (-1, 2), 20
        )
        assert aligned.shape == (1000, 60, 20)
        assert aligned.values.mean() == pytest.approx(1e6 / 3600 / 20 / 20, rel=0.01)


class TestSamples:
    def test_a_signal_s_own_samples_are_untouched(self):
        recording = ramp()
        aligned = recording.align([5.0, 5.04, 5.06], (-0.2, 0.3))
        assert aligned["time"].values.tolist() == [-0.2, -0.1, 0.0, 0.1, 0.2]
        samples = recording.signals["lfp"].values
        for row, nearest in enumerate([50, 50, 51]):
            np.testing.assert_array_equal(aligned.values[row], samples[nearest - 2 : nearest + 3])
        np.testing.assert_allclose(aligned["sample_offset_seconds"], [0, -0.04, 0.04], atol=1e-12)
        assert aligned.attrs["time_is"] == "sample"
        assert aligned.dtype == np.float64

    def test_outside_the_recording_is_missing(self):
        aligned = ramp().align([0.0, 9.9, 30.0], (-0.2, 0.2))
        np.testing.assert_array_equal(np.isnan(aligned.values[..., 0]), [[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]])
        np.testing.assert_array_equal(np.isnan(aligned["sample_offset_seconds"]), [0, 0, 1])

    @given(
        event=st.floats(-1, 8),
        rate_hz=st.sampled_from([10.0, 8.0, 3.0]),
        gap=st.floats(0.02, 2),
        first=st.integers(1, 29),
    )
    def test_property_a_gap_is_missing_and_the_rest_is_where_it_should_be(self, event, rate_hz, gap, first):
        pieces = ((0.0, first / rate_hz + gap), (0, first))
        signal = make_signal(np.zeros((30, 1)), channel_id=["a"], units="V", rate_hz=rate_hz, segments=pieces)
        times = signal["time"].values
        recording = Recording(ABOUT, {"lfp": signal.copy(data=times[:, None])})
        aligned = recording.align([event], (-2, 2), signal="lfp")
        for step, value in zip(aligned["time"].values, aligned.values.ravel()):
            away = np.abs(times - (event + step)).min()
            if np.isnan(value):
                assert away >= 0.5 / rate_hz - 1e-5
            else:
                assert abs(value - (event + step)) <= 0.5 / rate_hz + 1e-5

    def test_interpolation_lies_on_the_line_and_on_the_samples(self):
        recording = ramp()
        aligned = recording.align([5.0, 5.025], (0, 0.2), 20)
        np.testing.assert_allclose(aligned.values[:, :, 0], [[5, 5.05, 5.1, 5.15], [5.025, 5.075, 5.125, 5.175]])
        np.testing.assert_array_equal(aligned.values[0, ::2], recording.signals["lfp"].values[50:52])
        assert aligned.attrs["time_is"] == "sample"
        assert aligned.attrs["sampling_rate_hz"] == 20

    def test_interpolation_does_not_bridge_gaps_ends_or_missing_samples(self):
        signal = make_signal(
            np.arange(8.0)[:, None], channel_id=["a"], units="V", rate_hz=1.0, segments=((0.0, 10.0), (0, 4))
        )
        values = signal.values.copy()
        values[6] = np.nan
        recording = Recording(ABOUT, {"lfp": signal.copy(data=values)})
        aligned = recording.align([2.0, 10.0], (0, 5), 2).values[..., 0]
        n = np.nan
        np.testing.assert_array_equal(aligned[0], [2, 2.5, 3, n, n, n, n, n, n, n])
        np.testing.assert_array_equal(aligned[1], [4, 4.5, 5, n, n, n, 7, n, n, n])

    def test_averages_of_a_faster_signal(self):
        aligned = ramp(rate_hz=100.0).align([5.0, 5.004], (-0.1, 0.2), 10)
        # The bin [t, t + 0.1) holds the ten samples on or after t.
        np.testing.assert_allclose(aligned.values[0, :, 0], [4.945, 5.045, 5.145])
        np.testing.assert_allclose(aligned.values[1, :, 0], [4.955, 5.055, 5.155])
        assert aligned.attrs["time_is"] == "start of bin"

    def test_averages_need_half_a_bin(self):
        values = np.ones((100, 1))
        values[:5], values[10:16] = np.nan, np.nan
        signal = make_signal(values, channel_id=["a"], units="V", rate_hz=10.0, segments=((0.0, 20.0), (0, 34)))
        aligned = Recording(ABOUT, {"lfp": signal}).align([0.0], (-1, 6), 1).values.ravel()
        np.testing.assert_array_equal(aligned, [np.nan, 1, np.nan, 1, np.nan, np.nan, np.nan])

    @given(event=st.integers(0, 60), rate_hz=st.sampled_from([1.0, 2.0]), late=st.sampled_from([0.0, 1e5]))
    def test_property_averages_are_those_of_a_plain_loop(self, event, rate_hz, late):
        signal = make_signal(np.zeros((64, 1)), channel_id=["a"], units="V", rate_hz=8.0, start_seconds=late)
        values = np.random.default_rng(event).normal(size=(64, 1))
        times = signal["time"].values
        moment = late + event / 8
        aligned = Recording(ABOUT, {"lfp": signal.copy(data=values)}).align([moment], (-2, 2), rate_hz)
        for step, found in zip(aligned["time"].values, aligned.values.ravel()):
            inside = (times >= moment + step) & (times < moment + step + 1 / rate_hz)
            expected = values[inside].mean() if inside.sum() >= 4 / rate_hz else np.nan
            np.testing.assert_allclose(found, expected)

    def test_large_times_keep_their_samples(self):
        recording = ramp(rate_hz=1000.0, start_seconds=1e5)
        aligned = recording.align([1e5 + 3.0], (-0.1, 0.1))
        np.testing.assert_array_equal(aligned.values[0], recording.signals["lfp"].values[2900:3100])
        same = recording.align([1e5 + 3.0], (-0.1, 0.1), 1000)
        np.testing.assert_array_equal(same.values, aligned.values)

    def test_an_irregular_signal(self):
        times = np.array([0.0, 1.1, 1.9, 3.0, 9.0, 10.0])
        recording = Recording(
            ABOUT, {"pupil": make_signal(times[:, None], channel_id=["a"], units="mm", time=times, role="behavior")}
        )
        aligned = recording.align([0.0], (0, 12), 2, signal="pupil").values.ravel()
        expected = np.arange(24) / 2
        expected[(expected > 3.75) & (expected < 8.25) | (expected > 10)] = np.nan
        np.testing.assert_allclose(aligned, expected)
        slow = recording.align([0.0], (0, 4), 0.5, signal="pupil").values.ravel()
        np.testing.assert_allclose(slow, [(0 + 1.1 + 1.9) / 3, 3.0])
        with pytest.raises(NeurodataError, match=r"'pupil' is irregular.*give rate_hz"):
            recording.align([0.0], signal="pupil")

    def test_integers_come_in_physical_units(self):
        counts = make_signal(
            np.arange(20, dtype=np.int16)[:, None], channel_id=["a"], units="uV", rate_hz=1.0, scale_factor=0.5
        )
        for decode in (True, False):
            aligned = Recording(ABOUT, {"eeg": counts}, decode=decode).align([19.0], (-1, 2))
            np.testing.assert_array_equal(aligned.values.ravel(), [9.0, 9.5, np.nan])
            assert aligned.dtype == np.float32
            assert "scale_factor" not in aligned.attrs

    @pytest.mark.parametrize("rate_hz", [None, 1000.0, 20.0])
    def test_only_the_rows_around_the_events_are_read(self, rate_hz):
        asked = []

        def read(first, after):
            asked.append((first, after))
            return np.full((after - first, 2), first, np.float32)

        lazy = make_signal(lazy_rows((1_000_000, 2), np.float32, read), channel_id=["a", "b"], units="V", rate_hz=100.0)
        recording = Recording(ABOUT, {"lfp": lazy})
        recording.align([5_000.0, 10.0, 11.0], (-1, 2), rate_hz)
        assert len(asked) == 2
        assert [abs(first - start) <= 1 for (first, _), start in zip(asked, [900, 499_900])] == [True, True]
        assert sum(after - first for first, after in asked) <= 400 + 300 + 2


class TestEvents:
    @pytest.fixture
    def mouse(self):
        trials = make_intervals(
            [1.0, 3.0, 5.0], [2.0, 4.0, 6.0], label=["left", "right", "left"], cue_start_time=[1.5, np.nan, 5.5],
            events=[1, 2, 3],
        )  # fmt: skip
        licks = make_events([1.0, 2.0], label=["l", "r"])
        return ramp().replace(intervals={"trials": trials}, events={"licks": licks})

    @pytest.mark.parametrize(
        ("event", "options", "times"),
        [
            pytest.param("licks", {}, [1, 2], id="events"),
            pytest.param("trials", {}, [1, 3, 5], id="starts of intervals"),
            pytest.param("trials", {"edge": "stop"}, [2, 4, 6], id="stops of intervals"),
            pytest.param("trials/cue_start_time", {}, [1.5, 5.5], id="a column"),
            pytest.param("intervals/trials/cue_start_time", {}, [1.5, 5.5], id="a column of a table of a group"),
            pytest.param("trials", {"where": {"label": "left"}}, [1, 5], id="one label"),
            pytest.param("trials", {"where": {"label": ["left", "right"], "events": [2, 3]}}, [3, 5], id="two columns"),
            pytest.param("trials", {"where": np.array([False, True, False])}, [3], id="a mask"),
            pytest.param([4.0, np.nan, 2.0], {}, [4, 2], id="times in their own order"),
        ],
    )
    def test_what_is_aligned_to(self, mouse, event, options, times):
        aligned = mouse.align(event, (-0.1, 0.1), **options)
        assert aligned["event_time"].values.tolist() == times
        np.testing.assert_allclose(aligned.values[:, 1, 0], times)

    def test_columns_of_the_events_and_of_the_channels(self, mouse):
        aligned = mouse.align("trials", (0, 0.1))
        assert aligned["label"].dims == ("event",)
        assert aligned["channel_label"].values.tolist() == ["A", "B"]
        assert aligned["events"].values.tolist() == [1, 2, 3]
        assert aligned["stop"].values.tolist() == [2, 4, 6]
        assert aligned[{"event": (aligned.label == "left").values}].sizes["event"] == 2
        assert mouse.align([1.0], (0, 0.1))["label"].dims == ("channel",)

    def test_events_without_a_time_are_counted(self, mouse):
        assert mouse.align("trials/cue_start_time", (0, 0.1)).attrs["n_dropped"] == 1
        assert mouse.align("trials", (0, 0.1)).attrs["n_dropped"] == 0

    def test_no_events(self, mouse):
        for rate_hz in (None, 5, 10, 20):
            assert mouse.align([], (-1, 1), rate_hz).sizes["event"] == 0
        assert spiking([1.0], [0]).align([], (-1, 1), 2).shape == (0, 4, 3)

    @pytest.mark.parametrize(
        ("change", "arguments", "options", "says"),
        [
            ({}, ("lick",), {}, "no events or intervals called 'lick'; did you mean 'licks'"),
            ({}, ("trials/labl",), {}, "no column of intervals/trials 'labl'; did you mean 'label'"),
            ({}, ("trials/label",), {}, "holds <U5, not seconds"),
            ({}, ("licks",), {"edge": "stop"}, "have no stop"),
            ({}, ("licks",), {"edge": "end"}, "no edge of an interval 'end'"),
            ({}, ("trials",), {"where": {"label": "up"}}, "left with label = 'up'; it holds left, right"),
            ({}, ("trials",), {"where": {"lab": "up"}}, "no column of intervals/trials 'lab'"),
            ({}, ("trials",), {"where": [1, 2]}, "one True or False per row"),
            ({}, ("trials", (1, 1)), {}, "a window is two numbers"),
            ({}, ("trials", (-0.25, 1), 10), {}, r"is \(-2.5, 10\) samples"),
            ({}, ("trials", (0.01, 0.02)), {}, "no sample of 'lfp'"),
            ({}, ("trials", (-1, 1), -5), {}, "rate_hz must be a positive number"),
            ({}, ("trials",), {"units": [0]}, "units and as_rate are for spikes"),
            ({}, ("trials",), {"signal": "licks"}, "give rate_hz"),
            ({}, ("trials", (0, 1), 1), {"signal": "licks", "units": [0]}, "have no unit"),
            ({}, ([[1.0]],), {}, r"shape \(event,\), got \(1, 1\)"),
            ({"signals": {}}, ("trials",), {}, "has no neural data; it has licks; say which"),
            ({"intervals": {"licks": make_intervals([0.0], [1.0])}}, ("licks",), {},
             "say events/licks or intervals/licks"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_aligned_says_why(self, mouse, change, arguments, options, says):
        with pytest.raises(NeurodataError, match=says):
            mouse.replace(**change).align(*arguments, **options)

    def test_two_kinds_of_neural_data_must_be_told_apart(self):
        both = spiking([1.0], [0]).replace(signals=dict(ramp().signals))
        with pytest.raises(NeurodataError, match=r"several kinds of neural data \(events/spikes, signals/lfp\)"):
            both.align([1.0], (0, 1), 1)
        assert both.align([1.0], (0, 1), 1, signal="spikes").sizes["channel"] == 3

    @pytest.mark.parametrize(
        ("units", "says"),
        [
            (["u9"], "no unit 'u9'"),
            ([3], "from 0 to 2"),
            ([True], "one True or False for each of the 3"),
            ([0, 0], "one unit twice"),
        ],
    )
    def test_units_that_are_not_there(self, units, says):
        with pytest.raises(NeurodataError, match=says):
            spiking([1.0], [0]).align([1.0], (0, 1), 1, units=units)

    def test_frames_are_not_seconds(self):
        frames = Recording(ABOUT, {"calcium": make_signal(np.zeros((5, 1)), channel_id=["a"], units="a.u.")})
        with pytest.raises(UnknownRateError, match="rate_hz=RATE"):
            frames.align([1.0])


def test_a_signal_with_gaps_does_not_hide_spikes():
    signal = make_signal(np.zeros((8, 1)), channel_id=["a"], units="V", rate_hz=1.0, segments=((0.0, 6.0), (0, 4)))
    recording = spiking([5.0], [0], n_units=1, stop=10.0, **make_validity({"lfp": signal})).replace(
        signals={"lfp": signal}
    )
    assert recording.align([4.0], (0, 2), 1, signal="spikes").values.ravel().tolist() == [0, 1]
