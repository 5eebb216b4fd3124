"""Pictures of hidden states: what is drawn is what was given, on the right axes, in the right places."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors

from neurodata.errors import NeurodataError
from neurodata.report.colours import make_state_colours
from neurodata.report.coupling_figures import make_prior_graph_figure, make_state_weights_figure
from neurodata.report.figures import draw
from neurodata.report.state_figures import (
    Strip,
    Trace,
    make_state_number_figure,
    make_state_time_figure,
    make_state_trials_figure,
)

TIME = np.arange(8) * 0.5
NAMES = ["state 0", "state 1"]


def legends(figure) -> list[list[str]]:
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def numbers(n_models: int = 1) -> pd.DataFrame:
    rows = [
        {"model": f"m{model}", "n_states": n, "split": split, "value": -1 + 0.1 * n, "low": -1.1, "high": -0.5}
        for model in range(n_models) for split in ("train", "held out") for n in (3, 1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_states_stand_over_behaviour_on_the_same_seconds():
    strip = Strip("fitted", np.array([0, 0, 1, 1, 1, -1, -1, 0]), NAMES)
    figure = make_state_time_figure(TIME, [strip], [Trace("speed (cm/s)", TIME**2)], title="a recording")
    states, speed = figure.axes
    colours = make_state_colours(NAMES)
    spans = {
        colors.to_hex(bars.get_facecolor()[0], keep_alpha=False).upper(): [
            (path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()
        ]
        for bars in states.collections
    }
    assert spans == {colours[0]: [(-0.25, 0.75), (3.25, 3.75)], colours[1]: [(0.75, 2.25)]}
    assert states.get_xlim() == speed.get_xlim() == (0.0, 3.5)
    assert speed.get_ylabel() == "speed (cm/s)"
    assert np.array_equal(speed.lines[0].get_ydata(), TIME**2)
    assert legends(figure) == [NAMES]


def test_published_labels_have_a_legend_of_their_own():
    authors = Strip("authors", np.zeros(8, int), ["fwd", "slow"])
    fitted = [Strip(name, np.zeros(8, int), NAMES) for name in ("fitted", "smoothed")]
    found = legends(make_state_time_figure(TIME, [*fitted, authors]))
    assert found == [["fitted, smoothed:", *NAMES], ["authors:", "fwd", "slow"]]


def test_long_traces_are_averaged_in_bins():
    time = np.arange(5001) * 0.1
    wave = np.column_stack([np.sin(time), time])
    figure = make_state_time_figure(
        time, [Strip("s", np.zeros(5001, int), NAMES)], [Trace("w", wave, ["sine", "time"])]
    )
    _, line = figure.axes[1].lines
    assert len(line.get_ydata()) == 1667
    assert line.get_ydata()[1] == pytest.approx(time[3:6].mean())
    assert line.get_ydata()[-1] == pytest.approx(time[4998:].mean())


def test_trials_stand_in_blocks_of_their_kind_with_the_share_of_each_state():
    states = np.array([[0, 0, 1], [1, 1, 1], [0, 1, -1]])
    figure = make_state_trials_figure([0.0, 1.0, 2.0], states, ["left", "right", "left"], NAMES, events=[("cue", 1.0)])
    left, right, of_left, of_right = figure.axes
    assert (left.get_title(), right.get_title()) == ("left (2)", "right (1)")
    assert np.array_equal(left.images[0].get_array(), states[[0, 2]])
    assert left.images[0].get_extent() == [-0.5, 2.5, 2, 0]
    assert np.allclose(of_left.lines[0].get_ydata(), [1.0, 0.5, 0.0])  # of the trials that have a state there
    assert np.allclose(of_left.lines[1].get_ydata(), [0.0, 0.5, 1.0])
    assert np.allclose(of_right.lines[1].get_ydata(), 1.0)
    assert all(axis.lines[-1].get_xdata()[0] == 1.0 for axis in figure.axes)
    assert [text.get_text() for text in of_left.texts] == ["cue"]


def test_weights_of_all_states_share_one_scale_about_zero():
    weights = np.zeros((2, 20, 20))
    weights[0, 0, 1], weights[1] = -2.0, 0.5
    figure = make_state_weights_figure(weights, [f"u{i}" for i in range(20)])
    first, second = figure.axes[:2]
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-0.5, 0.5)
    assert first.images[0].get_array()[0, 1] == -2.0
    assert (first.get_xlabel(), first.get_ylabel()) == ("source unit", "target unit")
    assert [tick.get_text() for tick in first.get_yticklabels()][:2] == ["u0", "u1"]
    assert [first.get_title(), second.get_title()] == ["state 0", "state 1"]


def test_weights_of_nothing_but_zeros_are_drawn():
    assert draw(make_state_weights_figure, np.zeros((7, 3, 3)), vector=False).startswith("data:image/png;base64,")


def test_a_prior_stands_beside_its_graph_with_the_numbers_given():
    graph = np.array([[0.0, 1.0, -1.0], [0.0, 0.0, np.nan], [2.0, 0.0, 0.0]])
    prior = np.full((3, 3, 3), 1 / 3)
    prior[0, 1], prior[1, 0] = [0.0, 0.1, 0.9], [0.0, 1.0, 0.0]
    figure = make_prior_graph_figure(prior, graph, auc=0.9, correlation=0.8, graph_name="wiring")
    by_title = {axis.get_title(): axis for axis in figure.axes}
    shown = by_title["learned prior"].images[0].get_array()
    assert shown[0, 1] == pytest.approx(0.9)
    assert shown[2, 2] == pytest.approx(0.0)
    assert by_title["wiring"].images[0].get_clim()[0] == -by_title["wiring"].images[0].get_clim()[1]
    names = [text.get_text() for text in by_title["AUC 0.900, correlation 0.800"].get_legend().get_texts()]
    assert names == ["no edge (5)", "edge (3)"]  # what is not known is neither


def test_likelihoods_stand_over_numbers_of_states_in_order():
    figure = make_state_number_figure(numbers(2), chosen=2)
    [axis] = figure.axes
    train, held_out = axis.lines[:2]
    assert train.get_label() == "m0, train"
    assert list(train.get_xdata()) == [1, 2, 3]
    assert train.get_ydata() == pytest.approx([-0.9, -0.8, -0.7])
    assert (train.get_linestyle(), held_out.get_linestyle()) == ("--", "-")
    assert axis.lines[4].get_xdata()[0] == 2
    assert len(axis.collections) == 4


def test_all_figures_become_pictures():
    strip = Strip("fitted", np.zeros(8, int), NAMES)
    for make, args, options in (
        (make_state_time_figure, (TIME, [strip], [Trace("$v", TIME)]), {}),
        (make_state_trials_figure, (TIME, np.zeros((3, 8), int), ["a", "b", "b"], NAMES), {}),
        (make_state_weights_figure, (np.eye(3)[None],), {}),
        (make_prior_graph_figure, (np.ones((2, 2, 3)) / 3, np.eye(2)), {"auc": 0.5, "correlation": 0.0}),
        (make_state_number_figure, (numbers(),), {}),
    ):
        assert draw(make, *args, **options).startswith("data:image/svg+xml;base64,")


LONG = Strip("fitted", np.zeros(9, int), NAMES)
OTHER = Strip("fitted", np.full(8, 2), NAMES)
KINDS = [Strip(str(n), np.zeros(8, int), [str(n)]) for n in range(4)]


@pytest.mark.parametrize(
    ("make", "args", "message"),
    [
        pytest.param(make_state_time_figure, (TIME, [LONG]), "'fitted' has 9 moments, time has 8", id="strip"),
        pytest.param(
            make_state_time_figure, (TIME, [Strip("a", np.zeros(8, int), NAMES)], [Trace("v", np.zeros(3))]),
            "'v' has 3 moments, time has 8", id="trace",
        ),
        pytest.param(make_state_time_figure, (TIME, []), "one or more strips.*got 0 strips", id="no strip"),
        pytest.param(make_state_time_figure, (TIME, [OTHER]), "'fitted' run to 2, but 2 names", id="code"),
        pytest.param(make_state_time_figure, (TIME, KINDS), "4 kinds of classes, a figure holds 3", id="legends"),
        pytest.param(
            make_state_trials_figure, (TIME, np.zeros((2, 8), int), ["a"], NAMES),
            r"\(trial, time\) = \(1, 8\).*got \(2, 8\)", id="trials",
        ),
        pytest.param(make_state_weights_figure, (np.zeros((2, 3)),), r"square in units, got \(2, 3\)", id="weights"),
        pytest.param(make_state_weights_figure, (np.zeros((1, 3, 3)), ["a"]), "each of 3 units, got 1", id="names"),
        pytest.param(
            make_state_number_figure, (numbers().drop(columns="low"),), "6 rows, without low", id="numbers",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, args, message):
    with pytest.raises(NeurodataError, match=message):
        make(*args)


def test_a_prior_of_another_size_is_refused():
    with pytest.raises(NeurodataError, match=r"got \(2, 2, 3\) and \(3, 3\)"):
        make_prior_graph_figure(np.zeros((2, 2, 3)), np.zeros((3, 3)), auc=0.5, correlation=0.0)
