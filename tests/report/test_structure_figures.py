"""The figure of structure and function: what it shows, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError
from neurodata.report.figures import draw
from neurodata.report.structure_figures import make_structure_figure


@pytest.fixture
def compared():
    """Two kinds of connection among 300 pairs; connected pairs of the first have larger values."""
    rng = np.random.default_rng(0)
    table, pairs, nulls = [], [], {}
    for kind, shift in (("chemical", 0.5), ("gap_$junction$", 0.0)):
        weight = np.where(rng.random(300) < 0.3, rng.integers(1, 9, 300), 0)
        value = np.abs(rng.normal(0, 0.3, 300) + shift * (weight > 0))
        pairs.append(pd.DataFrame({"kind": kind, "functional": value, "weight": weight}))
        table.append({"kind": kind, "statistic": "auc", "value": 0.5 + shift / 2, "low": 0.45, "high": 0.8})
        for null in ("labels", "degree"):
            nulls[kind, null, "auc"] = rng.normal(0.5, 0.02, 50)
    return pd.DataFrame(table), pd.concat(pairs), nulls


def test_each_kind_stands_beside_its_nulls(compared):
    figure = make_structure_figure(*compared, measure="|correlation|")
    scores, values, weights = figure.axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["chemical", "gap_$junction$"]
    drawn = [line.get_xdata() for line in scores.lines]
    assert any(np.allclose(x, 0.75) for x in drawn), "the score"
    assert any(np.allclose(x, (0.45, 0.8)) for x in drawn if len(x) == 2), "its interval"
    assert {text.get_text() for text in scores.get_legend().get_texts()} == {"names shuffled", "rewired, same degrees"}
    connected, others = values.lines[:2]
    assert np.median(connected.get_xdata()) > np.median(others.get_xdata())
    assert values.get_xlabel() == "|correlation|"
    assert weights.get_xticklabels()[0].get_text() == "none"


def test_it_is_drawn_without_intervals_and_nulls_too(compared):
    table, pairs, _ = compared
    table[["low", "high"]] = np.nan
    assert draw(make_structure_figure, table, pairs, {}).startswith("data:image/svg+xml;base64,")


def test_a_table_without_scores_is_refused(compared):
    table, pairs, nulls = compared
    with pytest.raises(NeurodataError, match=r"needs a table of structure_function .* missing: high, low"):
        make_structure_figure(table.drop(columns=["low", "high"]), pairs, nulls)
    with pytest.raises(NeurodataError, match=r"missing: auc"):
        make_structure_figure(table.assign(statistic="pearson"), pairs, nulls)
