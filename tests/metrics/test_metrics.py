"""Known answers of single metrics."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from neurodata.metrics.balanced_accuracy import balanced_accuracy
from neurodata.metrics.balanced_accuracy import chance as balanced_chance
from neurodata.metrics.forecast_skill import forecast_skill
from neurodata.metrics.macro_f1 import macro_f1
from neurodata.metrics.pearson import pearson
from neurodata.metrics.r2 import r2


def test_always_the_majority_scores_chance():
    truth = np.array([0] * 90 + [1] * 10)
    assert balanced_accuracy(truth, np.zeros(100, int)) == 0.5 == balanced_chance(truth)


def test_classes_absent_from_the_truth_do_not_count():
    truth, prediction = np.array([0, 0, 4, 4]), np.array([0, 2, 4, 4])
    assert balanced_accuracy(truth, prediction) == pytest.approx((0.5 + 1) / 2)
    assert macro_f1(truth, prediction) == pytest.approx((2 / 3 + 1) / 2)
    assert balanced_chance(truth) == 0.5


def test_balanced_accuracy_is_scikit_learns():
    truth, prediction = np.random.default_rng(0).integers(0, 8, (2, 500))
    assert balanced_accuracy(truth, prediction) == pytest.approx(balanced_accuracy_score(truth, prediction))


def test_macro_f1_falls_when_a_rare_class_is_called_too_often():
    truth = np.array([0] * 90 + [1] * 10)
    eager = np.array([0] * 60 + [1] * 40)
    assert balanced_accuracy(truth, eager) > 0.8
    assert macro_f1(truth, eager) < 0.65


@pytest.mark.parametrize("metric", [balanced_accuracy, macro_f1])
def test_codes_must_be_integers(metric):
    with pytest.raises(ValueError, match="prediction must hold integer class codes, got float64"):
        metric(np.array([0, 1]), np.array([0.2, 0.8]))


@pytest.mark.parametrize("metric", [r2, pearson])
def test_constant_truth_has_no_score(metric):
    with pytest.raises(ValueError, match=r"truth is constant \(2.0\) over 3 moments"):
        metric(np.full(3, 2.0), np.arange(3.0))


def test_the_mean_scores_zero():
    truth = np.random.default_rng(0).normal(3, 2, 200)
    mean = np.full(200, truth.mean())
    assert r2(truth, mean) == pytest.approx(0)
    assert pearson(truth, mean) == 0


def test_pearson_forgives_scale_and_offset_where_r2_does_not():
    truth = np.random.default_rng(0).normal(size=200).astype(np.float32)
    assert pearson(truth, 3 * truth + 7) == pytest.approx(1)
    assert pearson(truth, -truth) == pytest.approx(-1)
    assert r2(truth, 3 * truth + 7) < -10


def test_copy_last_has_no_skill_and_half_its_error_three_quarters():
    truth, last = np.array([1.0, 2.0, 4.0]), np.array([0.0, 0.0, 0.0])
    assert forecast_skill(truth, last, last) == 0
    assert forecast_skill(truth, truth / 2, last) == pytest.approx(0.75)


def test_skill_over_a_faultless_copy_is_undefined():
    with pytest.raises(ValueError, match="copying the last value is without error over 3 moments"):
        forecast_skill(np.ones(3), np.zeros(3), np.ones(3))
