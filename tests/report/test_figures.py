"""What the pictures are made of: colours that hold, strips that keep their gaps, names that stay names."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from neurodata.report.colours import GREY, make_model_colours, make_state_colours
from neurodata.report.figures import draw, draw_states, make_confusion_figure, make_heatmap_figure, plain
from neurodata.report.run_folder import HeatMap

KATO = ["dt", "fwd", "nostate", "rev1", "rev2", "revsus", "slow", "vt"]


def draw_spans(time, codes) -> dict[str, list[tuple[float, float]]]:
    """Return colour → [start, stop) of the bars drawn."""
    axis = Figure().subplots()
    draw_states(axis, np.asarray(time, float), np.asarray(codes), ["#ff0000", "#00ff00"])
    return {
        colors.to_hex(bars.get_facecolor()[0]): [
            (path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()
        ]
        for bars in axis.collections
    }


def test_eight_states_have_eight_colours_and_no_state_is_grey():
    colours = make_state_colours(KATO)
    assert len(set(colours)) == 8
    assert colours[2] == GREY


def test_a_state_keeps_its_colour_among_others():
    assert make_state_colours(["vt", "other", "fwd"])[2] == make_state_colours(KATO)[1]
    assert len(set(make_state_colours(["a", "b", "fwd", "c"]))) == 4


def test_models_and_baselines_have_colours_of_their_own():
    colours = make_model_colours(["a", "b", "ridge", "mean"], ["model", "model", "baseline", "chance"])
    assert len(set(colours.values())) == 4


def test_runs_of_a_state_become_one_bar_each():
    spans = draw_spans([0, 1, 2, 3, 4], [0, 0, 1, 0, 0])
    assert spans["#ff0000"] == [(-0.5, 1.5), (2.5, 4.5)]
    assert spans["#00ff00"] == [(1.5, 2.5)]


def test_gaps_in_time_stay_empty():
    assert draw_spans([0, 1, 2, 50, 51], [0] * 5)["#ff0000"] == [(-0.5, 2.5), (49.5, 51.5)]


def test_moments_without_a_state_stay_empty():
    assert draw_spans([0, 1, 2], [-1, 1, -1]) == {"#00ff00": [(0.5, 1.5)]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\x00b\nc", "a?b?c", id="control characters"),
        pytest.param("__hidden", "hidden", id="leading underscores"),
        pytest.param("x" * 60, "x" * 47 + "…", id="long"),
    ],
)
def test_names_are_made_fit_for_a_figure(text, shown):
    assert plain(text) == shown


def test_odd_names_do_not_stop_a_figure():
    uri = draw(make_confusion_figure, [("$\\frac{1}{0}$ <b> 線虫", np.eye(2, dtype=int))], ["$a", "虫&<"])
    svg = base64.b64decode(uri.partition(",")[2]).decode()
    assert uri.startswith("data:image/svg+xml;base64,")
    assert "<b>" not in svg


def test_a_class_that_never_was_leaves_its_row_empty():
    figure = make_confusion_figure([("gru", np.array([[3, 1], [0, 0]]))], ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["75", "25"]


@pytest.mark.parametrize("named", [0, 1, 6])
def test_heat_maps_of_few_or_silent_neurons_are_drawn(named):
    values = np.random.default_rng(0).normal(size=(50, 6))
    values[:, 2], values[:, 3], values[10:20] = np.nan, 1.0, np.nan
    labels = np.array(["AVAL"] * named + [""] * (6 - named))
    heatmap = HeatMap(values, np.arange(50.0), labels, np.full(50, -1))
    assert draw(make_heatmap_figure, heatmap, ["a"], ["#000000"], vector=False).startswith("data:image/png;base64,")
