"""The page is whole, loads nothing, says what the predictions say, and refuses a model that stands alone."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError
from neurodata.metrics.balanced_accuracy import balanced_accuracy
from neurodata.predictions import Predictions, write_predictions
from neurodata.report.page import choose_main_model, make_page, write_report
from neurodata.report.provenance import make_provenance_section
from neurodata.report.run_folder import read_run
from neurodata.report.scores import make_scores
from neurodata.report.verdict import make_verdict

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = "<script>alert('x')</script>&\"$\\frac{1}{0}$"


class Outline(HTMLParser):
    """Collects tags, attributes and headings, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] in (["h1"], ["h2"]):
            self.headings.append(data)


def outline_of(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    outline.close()
    assert outline.open == []
    return outline


def test_page_is_well_formed_and_has_every_section(page):
    outline = outline_of(page)
    assert outline.headings == [
        "Motor state of five made-up worms, leave one out", "Scores: state", "True and predicted state over time",
        "Which state is taken for which", "Forecasts", "A recording to look at", "Learning curves", "Data card",
        "Provenance",
    ]  # fmt: skip
    assert outline.tags.count("img") == 6
    assert all(value for name, value in outline.attributes if name == "alt")


def test_page_loads_nothing_and_is_small(page):
    outline = outline_of(page)
    assert not {"script", "link", "iframe", "object", "embed"} & set(outline.tags)
    for name, value in outline.attributes:
        if name in ("src", "href", "srcset", "action", "data"):
            assert value.startswith("data:image/")
    assert not re.search(r"url\(|@import", page)
    assert "default-src 'none'" in page
    assert len(page.encode()) < 3_000_000


def test_page_names_every_worm_and_where_it_came_from(page, made_up_run):
    for worm in made_up_run.list_worms():
        assert worm in page
    for words in ("neurodata demo --seed 0", "torch", "5b1d0003", "GPL-3.0", "Kato et al. 2015", "transformer-fold4"):
        assert words in page


@pytest.mark.parametrize("model", ["transformer", "logistic_lags", "majority", "shuffled_labels"])
def test_table_shows_the_recomputed_scores(page, run, model):
    parts = sorted((p for p in run.predictions if p.info["model"] == model and p.info["kind"] == "class"),
                   key=lambda part: part.info["evaluated_on"])  # fmt: skip
    truths, predictions = ([p.table[name].to_numpy() for p in parts] for name in ("truth", "prediction"))
    values = [balanced_accuracy(truth, prediction) for truth, prediction in zip(truths, predictions)]
    row = re.search(rf'<tr[^>]*><th scope="row">{model}</th>(.*?)</tr>', page)
    cells = re.findall(r'<td class="number">(.*?)</td>', row.group(1))
    assert cells[:6] == [f"{value:.3f}" for value in [*values, np.mean(values)]]


def test_verdict_says_who_is_ahead_and_by_how_much(page, run):
    scores = make_scores(run.predictions)
    gain = scores.differences.query(
        "model == 'transformer' and other == 'logistic_lags' and metric == 'balanced_accuracy'"
    )
    words, forecast = make_verdict(scores, "transformer")
    assert html.escape(words) in page
    assert "It beats every trivial baseline (majority, shuffled_labels)." in words
    assert f"It beats logistic_lags (+{gain['difference'].iloc[0]:.3f}, 95 % CI" in words
    assert forecast.startswith("Forecasting calcium, transformer: at 1 s its skill over copy-last is +0.")


def test_a_negative_result_is_said_as_one(run):
    swapped = {"logistic_lags": "transformer", "transformer": "logistic_lags"}
    parts = []
    for part in run.predictions:
        name = swapped.get(part.info["model"], part.info["model"])
        role = {"transformer": "model", "logistic_lags": "baseline"}.get(name, part.info["role"])
        if part.info["kind"] == "class":
            parts.append(replace(part, info=part.info | {"model": name, "role": role}))
    assert "It is worse than logistic_lags (−0.0" in make_verdict(make_scores(parts), "transformer")[0]


def test_a_model_at_chance_does_not_beat_the_trivial(run):
    shuffled = {p.info["fold"]: p.table for p in run.predictions if p.info["model"] == "shuffled_labels"}
    parts = [p for p in run.predictions if p.info["kind"] == "class" and p.info["model"] != "gru"]
    parts = [replace(p, table=shuffled[p.info["fold"]]) if p.info["model"] == "transformer" else p for p in parts]
    words = make_verdict(make_scores(parts), "transformer")[0]
    assert "does NOT beat every trivial baseline" in words
    assert "cannot be told apart from shuffled_labels on these subjects (+0.000" in words


def test_report_is_written_into_the_run(tmp_path, made_up_run):
    folder = made_up_run.write_made_up_run(tmp_path / "run", forecasts=False, extras=False)
    path = write_report(folder)
    assert path == folder / "report.html"
    headings = outline_of(path.read_text(encoding="utf-8")).headings
    assert not {"Forecasts", "A recording to look at", "Learning curves"} & set(headings)
    assert "Provenance" in headings


@pytest.mark.parametrize("missing", ["majority", "shuffled_labels"])
def test_no_baselines_no_report(tmp_path, made_up_run, missing):
    folder = made_up_run.write_made_up_run(tmp_path, forecasts=False, extras=False, leave_out=(missing,))
    with pytest.raises(NeurodataError, match=f"never shown without its baselines[^£]*'{missing}' is missing"):
        write_report(folder)
    assert not (tmp_path / "report.html").exists()


def test_hostile_names_stay_text(tmp_path, made_up_run):
    folder = made_up_run.write_made_up_run(tmp_path, dataset=HOSTILE)
    page = make_page(read_run(folder))
    assert "script" not in outline_of(page).tags
    assert "<script" not in page
    assert html.escape(f"{HOSTILE}/worm3") in page


def test_several_models_and_none_named_is_an_error(run):
    with pytest.raises(NeurodataError, match="'main_model': expected one of gru, transformer, got None"):
        choose_main_model(replace(run, provenance={}))
    with pytest.raises(NeurodataError, match="expected one of gru, transformer, got 'ridge'"):
        choose_main_model(replace(run, provenance={"main_model": "ridge"}))


def test_a_checkpoint_that_saw_its_test_recording_is_shown(run):
    leaky = {"name": "leaky", "fold": 2, "sha256": "ab" * 32, "trained_on": ["made_up/worm3", "made_up/worm1"]}
    page = make_provenance_section(replace(run, provenance={**run.provenance, "checkpoints": [leaky]}))
    row = re.search(r'<th scope="row">leaky</th>(.*?)</tr>', page).group(1)
    assert re.findall("<td>(.*?)</td>", row)[-2:] == ["made_up/worm1, made_up/worm3", "made_up/worm3"]


def test_continuous_targets_are_shown_as_traces(tmp_path, made_up_run):
    rng = np.random.default_rng(0)
    worms = made_up_run.list_worms()
    for fold, worm in enumerate(worms):
        truth = np.cumsum(rng.normal(size=300))
        for model, role, noise in (("gru", "model", 0.5), ("ridge", "baseline", 2.0), ("mean", "chance", None)):
            prediction = np.full(300, truth.mean()) if noise is None else truth + noise * rng.normal(size=300)
            table = pd.DataFrame({"recording": worm, "subject": worm, "time": np.arange(300.0), "truth": truth})
            info = made_up_run.make_info(model, role, fold, worms)
            info |= {"kind": "continuous", "target": "speed", "classes": None, "units": "m/s"}
            part = Predictions(table.assign(prediction=prediction), info)
            write_predictions(part, tmp_path / "predictions" / f"{model}-{fold}.parquet")
    made_up_run.write_provenance(tmp_path, main_model="gru")
    page = make_page(read_run(tmp_path))
    headings = outline_of(page).headings
    assert {"Scores: speed", "True and predicted speed over time"} <= set(headings)
    assert "gru decodes speed with a R² of 0." in page
