"""Affinities of pairs: what they say of made-up traces, gaps, blocks and bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from neurodata.analyses._affinity_changes import changes
from neurodata.analyses.affinity import KERNELS, affinity, affinity_blocks, bin_times, pair_indices
from neurodata.errors import NeurodataError

RATE = 10.0


def walks(n_frames=300, n_neurons=5, seed=0):
    """Smooth random traces, many per animal where asked."""
    steps = np.random.default_rng(seed).standard_normal((n_frames, n_neurons))
    return gaussian_filter1d(np.cumsum(steps, axis=0), 2.0, axis=0)


def test_changes_are_the_derivative_of_the_smoothed_trace_away_from_the_ends():
    traces = walks()
    inside = slice(25, -25)
    expected = gaussian_filter1d(traces, 5.0, axis=0, order=1)[inside]
    found = changes(traces, RATE, smooth_seconds=0.5)[inside]
    ratio = (found * expected).sum(axis=0) / (expected**2).sum(axis=0)
    np.testing.assert_allclose(found, expected * ratio, atol=2e-3)
    np.testing.assert_allclose(changes(traces, RATE).std(axis=0), 1.0)


def test_the_slope_of_a_line_is_found_beside_gaps_and_at_the_ends():
    time = np.arange(100.0)
    traces = np.stack([time + 10 * (time >= 60), 2 * time - 9 * (time >= 70)], axis=1)
    traces[20:24] = np.nan
    slopes = changes(traces + 1e6, RATE)[:35]
    there = np.isfinite(slopes).all(axis=1)
    assert np.flatnonzero(~there).tolist() == [20, 21, 22, 23]
    np.testing.assert_allclose(slopes[there], np.broadcast_to(slopes[0], (31, 2)), rtol=1e-6)


def test_kernels_do_what_their_formulas_say():
    traces = walks()
    a, b = changes(traces, RATE)[:, [1, 3]].T
    up, down = (np.maximum(sign * np.stack([a, b]), 0) for sign in (1, -1))
    expected = {
        "geometric": np.sqrt(up.prod(0)) + np.sqrt(down.prod(0)),
        "minimum": up.min(0) + down.min(0),
        "rises": np.sqrt(up.prod(0)),
        "absolute": np.sqrt(np.abs(a * b)),
    }
    pair = [both == (1, 3) for both in zip(*pair_indices(5))].index(True)
    for kernel in KERNELS:
        found = affinity(traces, RATE, kernel=kernel)
        assert found.shape == (10, 300)
        assert (found >= 0).all()
        np.testing.assert_allclose(found[pair], expected[kernel], atol=1e-12)


def test_neither_units_nor_levels_nor_the_order_of_neurons_matter():
    traces = walks()
    found = affinity(traces, RATE)
    np.testing.assert_allclose(affinity(1000 * traces - 7, RATE), found, atol=1e-9)
    first, second = pair_indices(5)
    square = np.zeros((5, 5, 300))
    square[first, second] = square[second, first] = found
    turned = affinity(traces[:, ::-1], RATE)
    np.testing.assert_allclose(turned, square[4 - first, 4 - second], atol=1e-12)


def test_opposite_changes_count_only_where_asked():
    time = np.arange(200) / RATE
    traces = np.stack([np.sin(time), -np.sin(time)], axis=1)
    assert affinity(traces, RATE).max() == 0
    assert affinity(traces, RATE, kernel="absolute").mean() > 0.5


def test_what_is_missing_is_nan_and_what_is_there_does_not_change_far_from_it():
    traces = walks()
    gappy = traces.copy()
    gappy[100:120, 2] = np.nan
    gappy[:, 4] = np.nan
    found = affinity(gappy, RATE)
    for pair, (a, b) in enumerate(zip(*pair_indices(5))):
        missing = np.isnan(found[pair])
        if 4 in (a, b):
            assert missing.all()
        elif 2 in (a, b):
            assert np.flatnonzero(missing).tolist() == list(range(100, 120))
        else:
            assert not missing.any()


def test_a_drift_common_to_all_makes_all_akin_unless_it_is_taken_off():
    noise = np.random.default_rng(3).standard_normal((1200, 6))
    drift = 8 * np.sin(2 * np.pi * np.arange(1200) / 600)[:, None]
    quiet = affinity(noise, RATE).mean()
    assert affinity(noise + drift, RATE).mean() > 1.5 * quiet
    assert affinity(noise + drift, RATE, detrend_seconds=10.0).mean() < 1.05 * quiet


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bin_frames", [1, 2, 7])
def test_blocks_are_the_whole(kernel, bin_frames):
    animals = np.stack([walks(seed=seed) for seed in range(3)])
    animals[1, :, 2] = np.nan
    animals[2, 50:53, 0] = np.nan
    blocks = affinity_blocks(animals, RATE, kernel=kernel, bin_frames=bin_frames, block_mb=0.01)
    assert len(list(blocks())) > 3
    assert blocks.whole().shape == blocks.shape == (10, -(-300 // bin_frames), 3)
    assert [row for row, _ in blocks()] == [row for row, _ in blocks()]
    frames = np.arange(300) // bin_frames
    for animal in range(3):
        each = affinity(animals[animal], RATE, kernel=kernel)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a bin of nothing but NaN is NaN
            binned = np.stack([np.nanmean(each[:, frames == k], axis=1) for k in range(blocks.shape[1])], axis=1)
        np.testing.assert_allclose(blocks.whole()[:, :, animal], binned, atol=1e-5)


def test_animals_without_a_common_clock_follow_one_another():
    animals = [walks(300, seed=1), walks(151, seed=2)]
    blocks = affinity_blocks(animals, RATE, bin_frames=2, shared_time=False)
    assert blocks.shape == (10, 150 + 76, 1)
    second = affinity_blocks(animals[1:], RATE, bin_frames=2, shared_time=False)
    np.testing.assert_array_equal(blocks.whole()[:, 150:], second.whole())
    np.testing.assert_allclose(bin_times(151, RATE, 2)[[0, 1, -1]], [0.05, 0.25, 15.0])


def test_pairs_and_bins_that_nobody_recorded_are_left_out():
    animals = np.stack([walks(seed=seed) for seed in range(2)])
    animals[0, :, 0] = animals[1, :, 1] = np.nan
    animals[:, 100:110] = np.nan
    blocks = affinity_blocks(animals, RATE, bin_frames=2)
    assert blocks.shape == (9, 145, 2)
    assert [0, 1] not in blocks.pairs.T.tolist()
    assert not np.isin(np.arange(50, 55), blocks.bins).any()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        pytest.param(lambda x: x[:, :1], {}, "two or more, got 1", id="one neuron"),
        pytest.param(lambda x: x[:, 0], {}, r"shape \(time, neuron\), got \(300,\)", id="one trace"),
        pytest.param(lambda x: x[:30], {}, "30 frames are too short .* takes 41 frames at 10 Hz", id="too short"),
        pytest.param(lambda x: x * 0 + 3.3, {}, "neuron 0, 1, 2, 3, 4 never changes", id="still"),
        pytest.param(lambda x: np.where(x == x[7, 1], np.inf, x), {}, "frame 7 of neuron 1 is infinite", id="infinite"),
        pytest.param(None, {"kernel": "geometrik"}, "did you mean 'geometric'", id="unknown kernel"),
        pytest.param(None, {"smooth_seconds": 0.01}, "give 0.03 s or more", id="too little smoothing"),
        pytest.param(None, {"smooth_seconds": -1}, "smooth_seconds must be a positive number", id="negative smoothing"),
        pytest.param(None, {"detrend_seconds": 0.7}, "more than twice smooth_seconds", id="detrends what it looks for"),
    ],
)
def test_bad_traces_are_refused(change, options, message):
    traces = walks() if change is None else change(walks())
    with pytest.raises(NeurodataError, match=message):
        affinity(traces, RATE, **options)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        pytest.param(lambda x: [x[0], x[1, :200]], {}, r"\[300, 200\] frames, so they share no clock", id="lengths"),
        pytest.param(lambda x: [x[0], x[1, :, :4]], {}, r"animals have \[5, 4\] neurons", id="neurons"),
        pytest.param(lambda x: x[0], {}, "one array of shape .* per animal", id="one animal as an array"),
        pytest.param(lambda x: [], {}, r"per animal, got shapes \[\]", id="no animal"),
        pytest.param(lambda x: np.where(np.arange(5) == 3, np.nan, x), {}, "neuron 3 is missing", id="missing neuron"),
        pytest.param(
            lambda x: np.stack([x[0], np.where(np.arange(5) == 3, x[1], np.nan)]),
            {},
            "animal 1: no two neurons",
            id="one neuron in an animal",
        ),
        pytest.param(lambda x: x, {"bin_frames": 0}, "bin_frames must be a positive", id="empty bins"),
    ],
)
def test_animals_that_do_not_fit_together_are_refused(change, options, message):
    animals = np.stack([walks(seed=seed) for seed in range(2)])
    with pytest.raises(NeurodataError, match=message):
        affinity_blocks(change(animals), RATE, **options)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (np.array([[0], [9]]), "of neurons 0 to 2, got numbers from 0 to 9"),
        (np.array([0, 1]), r"shape \(2, pair\), got int64 \(2,\)"),
        (np.array([[0.0], [1.0]]), "whole numbers of shape"),
    ],
    ids=["unknown neuron", "no pairs", "fractions"],
)
def test_pairs_that_cannot_be_are_refused(pairs, message):
    traces = np.random.default_rng(0).standard_normal((1, 60, 3))
    with pytest.raises(NeurodataError, match=message):
        affinity_blocks(traces, 4.0, pairs=pairs)


def test_at_few_frames_per_second_the_shortest_running_mean_takes_three():
    traces = np.random.default_rng(0).standard_normal((60, 3))
    assert np.isfinite(affinity(traces, 0.65, smooth_seconds=0.5, detrend_seconds=1.2)).all()
