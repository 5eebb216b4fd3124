"""Whole trials: patterns that separate them, groups held out, chance and baselines beside every model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from neurodata.errors import NeurodataError
from neurodata.models.estimators.csp import Csp
from neurodata.models.trials import Trials, decode_trials
from neurodata.report.blocks import make_block_scores


def trials(effect: float = 1.0, n: int = 64, seed: int = 0) -> Trials:
    """Two classes whose sources 0 and 1 differ in power, seen through a random mixture in 6 channels; 4 groups."""
    rng = np.random.default_rng(seed)
    label = np.array(["left", "right"] * (n // 2))
    sources = rng.normal(size=(n, 80, 6))
    sources[label == "left", :, 0] *= 1 + effect
    sources[label == "right", :, 1] *= 1 + effect
    values = sources @ np.random.default_rng(99).normal(size=(6, 6))
    group = np.array([f"run{k * 4 // n}" for k in range(n)])
    return Trials("hand", values, label, group, np.char.add("d/", group), np.full(n, "d/s"), np.arange(n) * 4.0)


def decoder():
    return make_pipeline(Csp(2), LinearDiscriminantAnalysis())


def power():
    return make_pipeline(FunctionTransformer(lambda x: np.log(x.var(1))), LogisticRegression())


def test_patterns_find_the_sources_and_the_held_out_groups_are_scored():
    found = decode_trials(trials(), {"csp": decoder()}, {"power": power()})
    assert {part.info["fold"] for part in found} == {"run0", "run1", "run2", "run3"}
    for part in found:
        assert set(part.info["trained_on"]).isdisjoint(part.info["evaluated_on"])
    scores = make_block_scores(found, "balanced_accuracy", by="moment").set_index("model")
    assert scores.loc["csp", "value"] > 0.9
    assert scores.loc["csp", "low"] <= scores.loc["csp", "value"] <= scores.loc["csp", "high"]
    assert abs(scores.loc["majority", "value"] - 0.5) < 0.01
    assert scores.loc["csp", "best_other"] == "power"


def test_without_an_effect_all_is_chance():
    found = decode_trials(trials(effect=0.0, n=200), {"csp": decoder()}, {"power": power()})
    scores = make_block_scores(found, "balanced_accuracy", by="time", n_blocks=20).set_index("model")
    assert (scores["n_blocks"] == 20).all()
    for model in ("csp", "power", "shuffled_labels"):
        assert scores.loc[model, "low"] < 0.5 < scores.loc[model, "high"] + 0.03


def test_patterns_are_orthogonal_in_the_pooled_covariance_and_do_not_depend_on_scale():
    data = trials()
    one, scaled = Csp(4).fit(data.values, data.label), Csp(4).fit(data.values * 1e-6, data.label)
    np.testing.assert_allclose(np.abs(one.filters_), np.abs(scaled.filters_), rtol=1e-6)
    difference = one.transform(data.values) - scaled.transform(data.values * 1e-6)
    np.testing.assert_allclose(difference, difference[0, 0], rtol=1e-6)


def test_a_search_is_given_the_groups_of_its_training_trials():
    search = GridSearchCV(decoder(), {"csp__n_patterns": [2, 4]}, cv=LeaveOneGroupOut())
    assert len(decode_trials(trials(), {"csp": search}, {"power": power()})) == 4 * 4


def test_csp_is_an_estimator():
    assert Csp(n_patterns=6).get_params() == {"n_patterns": 6, "shrinkage": 0.1}
    assert clone(Csp(6, 0.2)).shrinkage == 0.2
    assert repr(Csp(6)) == "Csp(n_patterns=6)"
    assert Csp().set_params(shrinkage=0.5).shrinkage == 0.5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(
            lambda d: (d.values[:, :, 0], d.label), r"shape \(trial, time, channel\), got \(64, 80\)", id="2-D"
        ),
        pytest.param(lambda d: (d.values[:2:2], d.label[:2:2]), r"got trials of \['left'\] only", id="one class"),
        pytest.param(lambda d: (np.where(d.values > 5, np.nan, d.values), d.label), "trials hold NaN", id="NaN"),
    ],
)
def test_what_has_no_patterns_is_refused(change, text):
    with pytest.raises(NeurodataError, match=text):
        Csp().fit(*change(trials()))


def test_other_channels_are_refused():
    data = trials()
    with pytest.raises(NeurodataError, match="patterns are of 6 channels, got trials of 5"):
        Csp().fit(data.values, data.label).transform(data.values[:, :, :5])


def test_two_groups_and_a_missing_class_are_refused():
    data = trials()
    with pytest.raises(NeurodataError, match="needs at least 3 of them, got run0, run1"):
        decode_trials(data.choose(np.isin(data.group, ["run0", "run1"])), {"csp": decoder()}, {})
    odd = dataclasses.replace(data, label=np.where(data.group == "run0", "left", "right"))
    with pytest.raises(NeurodataError, match="without group 'run0' no trial is labelled left"):
        decode_trials(odd, {"csp": decoder()}, {})


def test_a_model_alone_is_not_scored():
    found = decode_trials(trials(), {"csp": decoder()}, {})
    with pytest.raises(NeurodataError, match=r"a fitted baseline .* is missing"):
        make_block_scores(found, "balanced_accuracy", by="moment")
