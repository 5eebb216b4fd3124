"""Simulated groups of neurons that act together for a while."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.simulate.dynamic_communities import simulate_dynamic_communities


def rises(traces):
    """Jumps of noiseless calcium."""
    return np.diff(traces, axis=1) > 0.5


def test_groups_act_in_their_stretch_in_their_animals_only():
    made = simulate_dynamic_communities(n_animals=40, noise_sd=0.0)
    assert made.traces.shape == (40, 480, 30)
    assert made.members.sum(axis=1).tolist() == [8, 8, 8]
    assert [(np.flatnonzero(row)[0], np.flatnonzero(row)[-1] + 1) for row in made.active] == [
        (40, 160),
        (200, 320),
        (330, 450),
    ]
    assert made.animals.sum(axis=1).tolist() == [40, 40, 20]
    events = rises(made.traces)
    for group in range(3):
        inside = events[made.animals[group]][:, made.active[group][1:]][:, :, made.members[group]].mean()
        outside = events[made.animals[group]][:, ~made.active[group][1:]][:, :, made.members[group]].mean()
        assert abs(inside - (0.06 * 0.85 + 0.01)) < 0.01
        assert abs(outside - 0.01) < 0.003
    assert abs(events[:, :, 24:].mean() - 0.01) < 0.002


def test_calcium_decays_with_three_seconds():
    made = simulate_dynamic_communities(noise_sd=0.0, n_animals=1)
    trace = made.traces[0, :, 29]
    quiet = trace[1:] < trace[:-1]
    np.testing.assert_allclose(trace[1:][quiet], trace[:-1][quiet] * np.exp(-1 / 12))


def test_noise_drift_and_missing_neurons_change_nothing_else():
    plain = simulate_dynamic_communities(noise_sd=0.0)
    noisy = simulate_dynamic_communities(noise_sd=0.3, missing=0.3, drift=2.0)
    lost = np.isnan(noisy.traces)
    assert 0.1 < lost.mean() < 0.5
    assert (lost.all(axis=1) == lost.any(axis=1)).all()
    slow = 2 * np.sin(2 * np.pi * np.arange(480) / 160)[:, None]
    rest = (noisy.traces - plain.traces - slow)[~lost]
    assert abs(rest.std() - 0.3) < 0.01
    np.testing.assert_array_equal(
        simulate_dynamic_communities(seed=3).traces, simulate_dynamic_communities(seed=3).traces
    )
    assert not np.array_equal(simulate_dynamic_communities(seed=3).traces, simulate_dynamic_communities(seed=4).traces)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"n_neurons": 20}, "3 groups of 8 need 24 neurons or more, got 20", id="too few neurons"),
        pytest.param({"n_animals": 0}, "n_animals must be a positive number", id="no animal"),
        pytest.param({"missing": 1.0}, "share from 0 to below 1", id="all missing"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises(NeurodataError, match=message):
        simulate_dynamic_communities(**options)
