"""Figures of motifs show what they are given, in the order they say."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.report.figures import draw
from neurodata.report.motif_figures import (
    make_block_figure,
    make_course_figure,
    make_loading_figure,
    make_motif_figure,
)

NAMES = ["AVAL", "RIML", "ASKL", "VB1"]
CLASSES = ["inter", "motor", "inter", "motor"]


def motifs(n=2):
    values = np.random.default_rng(0).random((n, 4, 4))
    values = values + values.transpose(0, 2, 1)
    values[:, np.arange(4), np.arange(4)] = np.nan
    return values


def shown(axis):
    return np.ma.filled(axis.images[0].get_array().astype(float), np.nan)


def matrices(figure):
    return [axis for axis in figure.axes if axis.images and axis.get_title()]


def test_neurons_stand_by_class_in_every_matrix():
    given = motifs()
    figure = make_motif_figure(given, NAMES, CLASSES)
    assert [axis.get_title() for axis in matrices(figure)] == ["motif 1", "motif 2"]
    for axis, motif in zip(matrices(figure), given):
        assert [label.get_text() for label in axis.get_yticklabels()] == ["AVAL", "ASKL", "RIML", "VB1"]
        np.testing.assert_array_equal(shown(axis), motif[np.ix_([0, 2, 1, 3], [0, 2, 1, 3])])
        assert len(axis.patches) == 8
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["inter", "motor"]
    plain = make_motif_figure(given, NAMES)
    assert [label.get_text() for label in matrices(plain)[0].get_yticklabels()] == NAMES


def test_communities_stand_together_the_strongest_neurons_first():
    given = motifs(1)
    label = np.array([1, 0, 0, 1])
    [axis] = matrices(make_block_figure(given, NAMES, [label]))
    order = [NAMES.index(text.get_text()) for text in axis.get_yticklabels()]
    assert label[order].tolist() == [0, 0, 1, 1]
    strength = np.nansum(given[0], axis=1)[order]
    assert strength[0] >= strength[1]
    assert strength[2] >= strength[3]
    assert axis.get_title() == "motif 1: 2 communities"
    assert len(axis.lines) == 2


def test_courses_stand_over_the_states_with_gaps_where_nothing_was_recorded():
    courses = np.random.default_rng(1).random((3, 50))
    courses[:, 20:25] = np.nan
    codes = np.repeat([0, 1], 25)
    rows = [("worm1", np.arange(50.0), courses, codes), ("worm2", np.arange(50.0), courses, codes)]
    figure = make_course_figure(rows, ["fwd", "rev"])
    assert [axis.get_title(loc="left") or axis.get_title() for axis in figure.axes] == ["worm1", "worm2"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "motif 3",
        "motif 2",
        "motif 1",
        "state",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fwd", "rev"]
    without = make_course_figure([("all", np.arange(50.0), courses, None)])
    assert not without.legends


def test_loadings_are_bars_as_high_as_the_loadings():
    loadings = np.arange(6.0).reshape(3, 2)
    figure = make_loading_figure(loadings, ["a", "b", "c"])
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0, 2, 4, 1, 3, 5]


def test_all_are_drawn_as_pictures():
    given = motifs(5)
    course = [("worm1", np.arange(9.0), np.ones((5, 9)), None)]
    for make, *arguments in (
        (make_motif_figure, given, NAMES, CLASSES),
        (make_block_figure, given, NAMES, [np.zeros(4, int)] * 5),
        (make_course_figure, course),
        (make_loading_figure, np.ones((20, 5)), [f"animal {i}" for i in range(20)]),
        (make_motif_figure, np.full((1, 4, 4), np.nan), NAMES),
    ):
        uri = draw(make, *arguments, vector=False)
        assert base64.b64decode(uri.partition(",")[2]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        pytest.param(make_motif_figure, (np.ones((2, 4, 3)), NAMES), "4 names, got", id="not square"),
        pytest.param(make_motif_figure, (np.ones((2, 4, 4)), NAMES[:3]), "3 names, got", id="too few names"),
        pytest.param(make_motif_figure, (np.ones((2, 4, 4)), NAMES, CLASSES[:2]), "2 classes for 4", id="classes"),
        pytest.param(make_block_figure, (np.ones((2, 4, 4)), NAMES, []), "of 0 motifs for 2", id="labels"),
        pytest.param(make_loading_figure, (np.ones((2, 4)), ["a"]), r"1 animals .* \(2, 4\)", id="animals"),
    ],
)
def test_what_does_not_fit_is_refused(make, arguments, message):
    with pytest.raises(NeurodataError, match=message):
        make(*arguments)
