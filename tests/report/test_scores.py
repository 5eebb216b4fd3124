"""Scores agree with the metrics, intervals with known answers, and a model never stands alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError
from neurodata.metrics.balanced_accuracy import balanced_accuracy
from neurodata.predictions import Predictions
from neurodata.report.scores import (
    check_baselines,
    make_differences,
    make_interval,
    make_score_table,
    make_scores,
    make_summary,
    write_scores,
)


def change(part: Predictions, **info) -> Predictions:
    return replace(part, info=part.info | info)


def pick(predictions, **info) -> list[Predictions]:
    return [part for part in predictions if all(part.info[key] == value for key, value in info.items())]


def without(predictions, model: str) -> list[Predictions]:
    return [part for part in predictions if part.info["model"] != model]


def make_table(values: dict[str, list[float]], roles: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": "class", "target": "state", "model": model, "role": roles[model], "metric": "macro_f1",
            "horizon_seconds": math.nan, "recording": f"d/r{i}", "subject": f"s{i}", "fold": i, "seed": 0,
            "n_moments": 10, "value": value, "chance": 0.5,
        }
        for model, column in values.items()
        for i, value in enumerate(column)
    )  # fmt: skip


@pytest.fixture(scope="module")
def states(run) -> list[Predictions]:
    return pick(run.predictions, kind="class")


def test_table_holds_the_metrics_of_each_recording(states):
    table = make_score_table(states, ["balanced_accuracy"])
    assert len(table) == len(states)
    for part in states[:7]:
        expected = balanced_accuracy(part.table["truth"].to_numpy(), part.table["prediction"].to_numpy())
        row = table[(table["model"] == part.info["model"]) & (table["fold"] == part.info["fold"])].iloc[0]
        assert row["value"] == pytest.approx(expected)
        assert row["recording"] == part.info["evaluated_on"][0]
        assert row["chance"] == pytest.approx(1 / 8)


def test_all_metrics_of_the_kind_unless_named(run):
    table = make_score_table(run.predictions)
    assert set(table.loc[table["kind"] == "class", "metric"]) == {"balanced_accuracy", "macro_f1"}
    assert set(table.loc[table["kind"] == "forecast", "metric"]) == {"forecast_skill"}


def test_metrics_of_another_kind_are_refused(states):
    with pytest.raises(NeurodataError, match="metric 'r2' scores continuous predictions, got class"):
        make_score_table(states, ["r2"])
    with pytest.raises(NeurodataError, match="did you mean 'pearson'"):
        make_score_table(states, ["pearsn"])


def test_copy_last_is_implied_in_forecasts(run):
    table = make_score_table(pick(run.predictions, kind="forecast"))
    copied = table[table["model"] == "copy_last"]
    assert len(copied) == 5 * 3  # folds and horizons, once each, however many models forecast
    assert (copied["value"] == 0).all()
    assert set(copied["role"]) == {"baseline"}


def test_each_horizon_is_scored_by_itself(run):
    part = pick(run.predictions, model="ridge", fold=0)[0]
    table = make_score_table([part]).query("model == 'ridge'").set_index("horizon_seconds")
    at_2 = part.table[part.table["horizon_seconds"] == 2.0]
    error, error_of_last = (((at_2["truth"] - at_2[name]) ** 2).mean() for name in ("prediction", "last"))
    assert list(table.index) == [1.0, 2.0, 5.0]
    assert table.loc[2.0, "value"] == pytest.approx(1 - error / error_of_last)


def test_the_same_predictions_twice_are_refused(states):
    with pytest.raises(NeurodataError, match=r"'gru' is given twice for recording 'made_up/worm1', fold 0, seed 0"):
        make_score_table([*states, *pick(states, model="gru", fold=0)])


def test_a_metric_that_cannot_be_computed_says_where():
    info = {
        "model": "mean", "kind": "continuous", "target": "speed", "classes": None, "role": "chance", "fold": 0,
        "seed": 0, "split_hash": "a", "trained_on": [], "evaluated_on": ["d/r"], "units": "m/s",
    }  # fmt: skip
    table = pd.DataFrame({"recording": "d/r", "subject": "s", "time": [0.0, 1.0], "truth": 1.0, "prediction": 1.0})
    with pytest.raises(NeurodataError, match=r"pearson of model 'mean', recording 'd/r': truth is constant"):
        make_score_table([Predictions(table, info)])


def test_a_subject_recorded_twice_does_not_weigh_twice():
    table = make_table({"gru": [0.0, 0.0, 0.6]}, {"gru": "model"})
    table.loc[1, "subject"] = "s0"
    summary = make_summary(table).iloc[0]
    assert summary["mean"] == pytest.approx(0.3)
    assert summary["n_subjects"] == 2


def test_interval_of_many_subjects_is_the_textbook_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = make_interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_interval_is_repeatable_and_follows_its_seed():
    values = np.array([0.1, 0.4, 0.35, 0.8, 0.22])
    assert make_interval(values, seed=1) == make_interval(values, seed=1)
    assert make_interval(values, 50, seed=1) != make_interval(values, 50, seed=2)


def test_one_subject_has_no_interval():
    assert all(math.isnan(end) for end in make_interval(np.array([0.5])))


def test_differences_are_paired_by_subject():
    values = {"gru": [0.2, 0.5, 0.9], "logistic": [0.1, 0.4, 0.8], "majority": [0.1, 0.1, 0.1]}
    table = make_table(values, {"gru": "model", "logistic": "baseline", "majority": "chance"})
    rows = make_differences(table).set_index("other")
    assert rows.loc["logistic", ["difference", "low", "high"]].tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert rows["best"].to_dict() == {"logistic": True, "majority": False}
    assert rows["trivial"].to_dict() == {"logistic": False, "majority": True}
    assert rows.loc["logistic", "n_ahead"] == 3


def test_differences_need_the_same_subjects():
    table = make_table({"gru": [0.2, 0.5], "logistic": [0.1, 0.4]}, {"gru": "model", "logistic": "baseline"})
    with pytest.raises(NeurodataError, match="macro_f1: not every model is scored on every subject"):
        make_differences(table.iloc[:-1])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param("majority", "'transformer', state, fold 0: 'majority' is missing", id="majority"),
        pytest.param("shuffled_labels", "fold 4: 'shuffled_labels' is missing", id="shuffled labels"),
        pytest.param("ridge", "'gru', calcium, fold 2: 'ridge' is missing", id="ridge"),
    ],
)
def test_a_model_without_a_baseline_is_refused(run, model, message):
    with pytest.raises(NeurodataError, match=f"^a model is never shown without its baselines[^£]*{message}"):
        check_baselines(without(run.predictions, model))


def test_a_model_without_a_fitted_baseline_is_refused(states):
    rest = without(without(states, "logistic"), "logistic_lags")
    with pytest.raises(NeurodataError, match=r"fold 0: a fitted baseline \(role 'baseline', for example logistic"):
        check_baselines(rest)


def test_a_baseline_missing_in_one_fold_is_noticed(states):
    with pytest.raises(NeurodataError, match="fold 3: 'majority' is missing") as caught:
        check_baselines([p for p in states if (p.info["model"], p.info["fold"]) != ("majority", 3)])
    assert "fold 2" not in str(caught.value)


def test_a_baseline_of_another_split_is_refused(states):
    mixed = [change(p, split_hash="other") if p.info["model"] == "logistic" else p for p in states]
    with pytest.raises(NeurodataError, match="'logistic' is from split 'other', the model from '5b1d0000'"):
        check_baselines(mixed)


def test_a_baseline_for_other_moments_is_refused(states):
    mixed = [replace(p, table=p.table.iloc[30:]) if p.info["model"] == "logistic" else p for p in states]
    with pytest.raises(NeurodataError, match=r"'logistic' predicts other moments \(1050\) than the model \(1080\)"):
        check_baselines(mixed)


def test_baselines_alone_are_no_run(states):
    with pytest.raises(NeurodataError, match="at least one model"):
        check_baselines([part for part in states if part.info["role"] != "model"])


def test_the_order_of_rows_is_no_other_split(states):
    shuffled = [
        replace(p, table=p.table.sample(frac=1, random_state=0)) if p.info["model"] == "logistic" else p for p in states
    ]
    check_baselines(shuffled)


def test_scores_are_written_as_json(tmp_path, states):
    scores = make_scores(states)
    write_scores(scores, tmp_path / "metrics.json")
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["bootstrap"] == {"resamples": 10000, "seed": 0, "over": "subjects", "interval": 0.95}
    assert len(content["scores"]) == len(scores.table)
    assert content["scores"][0]["value"] == pytest.approx(scores.table["value"].iloc[0])
    assert content["scores"][0]["horizon_seconds"] is None
    assert {row["other"] for row in content["differences"]} == {
        "majority",
        "shuffled_labels",
        "logistic",
        "logistic_lags",
    }
