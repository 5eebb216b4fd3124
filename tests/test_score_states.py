"""What `scripts/score_states.py` measures: perfect states score 1, shifted ones chance, and nothing held out is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module")
def measures():
    sys.path.insert(0, str(SCRIPTS))
    try:
        from states import measures
    finally:
        sys.path.remove(str(SCRIPTS))
    return measures


@pytest.fixture
def runs():
    """Ten sequences of three classes that last about 25 bins each."""
    rng = np.random.default_rng(0)
    return [np.repeat(rng.integers(3, size=8), rng.integers(10, 40, 8))[:80] for _ in range(10)]


def test_states_that_are_the_classes_score_one_and_shifted_ones_chance(measures, runs):
    renamed = [2 - part for part in runs]
    by_class = measures.read_out(np.concatenate(renamed), np.concatenate(runs), 3)
    row = measures.score([by_class[part] for part in renamed], runs, measures.balanced, shifted=40, seed=0)
    assert row["value"] == row["low"] == row["high"] == 1.0
    assert row["null"] == pytest.approx(1 / 3, abs=0.05)
    assert row["p"] < 0.01


def test_states_of_another_run_are_within_the_null(measures, runs):
    other = [part[::-1] for part in runs[::-1]]
    row = measures.score(other, runs, measures.shared_information, shifted=40, seed=0)
    assert row["p"] > 0.05
    assert row["null"] < row["null_high"] < 0.2


def test_matching_pairs_states_and_classes_one_to_one(measures):
    states = np.array([0, 0, 1, 1, 2, 2, 3])
    classes = np.array([1, 1, 0, 0, 1, 1, 1])
    matched = measures.match(states, classes, 4)
    assert matched[1] == 0
    assert sorted(matched) == [-1, -1, 0, 1]
    assert measures.accuracy(matched[states], classes) == pytest.approx(4 / 7)
    assert list(measures.read_out(states, classes, 4)) == [1, 0, 1, 1]


def test_rare_classes_count_as_much_when_states_are_read_out(measures):
    states = np.repeat([0, 1, 1], [80, 20, 10])
    classes = np.repeat([0, 0, 1], [80, 20, 10])  # state 1 is class 0 more often than class 1, which is always in it
    assert list(measures.read_out(states, classes, 2)) == [0, 1]


@pytest.mark.parametrize("rule", ["end", "thirds"])
def test_held_out_bins_stay_a_guard_away_from_training_bins(measures, rule):
    parts = (
        measures.hold_out_end(1000, 30, 0.25, 40) if rule == "end" else measures.hold_out_thirds(1000, 60, 10)
    )  # fmt: skip
    train, test = (np.concatenate(part) for part in parts.of(np.arange(1000)))
    assert np.abs(train[:, None] - test[None]).min() > (40 if rule == "end" else 10)
    assert len(np.unique(train)) == len(train)
    assert 0.15 < len(test) / 1000 < 0.3


def test_trailing_means_never_look_ahead(measures):
    values = np.arange(10.0)[:, None]
    [smoothed] = measures.trailing_mean([values], 3)
    assert smoothed[:4, 0] == pytest.approx([0, 0.5, 1, 2])


def test_shifting_units_keeps_each_and_breaks_what_they_share(measures):
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=(200, 1)), 4, axis=1)
    shifted = np.concatenate(measures.shift_each([shared[:100], shared[100:]], rng))
    assert np.allclose(np.sort(shifted, axis=0), np.sort(shared, axis=0))
    assert np.abs(np.corrcoef(shifted.T)[0, 1:]).max() < 0.3


def test_the_fewest_states_within_one_standard_error_are_chosen(measures):
    noise = np.array([0.0, 0.02, -0.02, 0.01])
    per_sequence = {1: np.full(4, -1.0), 2: np.full(4, -0.9), 3: -0.895 + noise}
    table = pd.DataFrame(
        {"n_states": list(per_sequence), "split": "held out", "value": [v.mean() for v in per_sequence.values()]}
    )
    assert measures.choose_fewest(table, per_sequence) == 2
    assert measures.choose_fewest(table, per_sequence | {3: np.full(4, -0.895)}) == 3
