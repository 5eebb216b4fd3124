"""Figures of couplings between units: those of each hidden state, and a learned prior beside the graph it estimates.

As in `neurodata.report.state_figures`, functions take arrays and return a figure on its own canvas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from neurodata.errors import NeurodataError
from neurodata.report.figures import WIDTH, plain

_DIVERGING = "RdBu_r"
"""Red raises, blue lowers, white is none; told apart by colour-blind readers."""
_MOST_NAMES = 40
"""Units whose names still stand apart on an axis."""


def make_state_weights_figure(
    weights: ArrayLike,
    units: Sequence[str] = (),
    *,
    state_names: Sequence[str] = (),
    label: str = "weight (change of the link's input per count in the filtered past)",
) -> Figure:
    """Draw the signed couplings of each state, all on one scale that is symmetric about 0.

    Parameters
    ----------
    weights
        Shape ``(state, target, source)``. The scale ends at the 99th percentile of absolute weights.
    units
        Names of the units; shown where they still stand apart.
    state_names
        Titles; ``state 0`` and so on by default.
    label
        What a weight is, beside the colour bar.

    Raises
    ------
    NeurodataError
        If the weights are not square per state, or names are not as many as units.
    """
    values = np.asarray(weights, np.float64)
    if values.ndim != 3 or values.shape[1] != values.shape[2]:
        raise NeurodataError(f"expected weights of shape (state, target, source), square in units, got {values.shape}")
    if units and len(units) != values.shape[1]:
        raise NeurodataError(f"expected one name for each of {values.shape[1]} units, got {len(units)}")
    limit = _limit(values)
    columns = min(len(values), 5)
    rows = -(-len(values) // columns)
    size = min(WIDTH / columns, 4.0)
    figure = Figure(figsize=(WIDTH, rows * (size - 0.2) + 0.7), dpi=120, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(values) :]:
        axis.set_visible(False)
    for state, (axis, matrix) in enumerate(zip(axes, values)):
        image = axis.imshow(matrix, cmap=_DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest")
        axis.set_title(plain(state_names[state]) if state_names else f"state {state}")
        _name_units(axis, units, left=state % columns == 0)
    figure.colorbar(
        image, ax=list(axes[: len(values)]), label=plain(label, 90), orientation="horizontal", fraction=0.05, aspect=60,
        extend="both",
    )  # fmt: skip
    return figure


def make_prior_graph_figure(
    prior: ArrayLike,
    graph: ArrayLike,
    units: Sequence[str] = (),
    *,
    auc: float,
    correlation: float,
    graph_name: str = "true graph",
) -> Figure:
    """Draw a learned prior beside the graph it should resemble, and its chances where that has an edge or none.

    Parameters
    ----------
    prior
        Chances of an edge to be inhibitory, none, excitatory, shape ``(target, source, 3)``.
    graph
        Signed weights, or 0 and 1 where signs are not known, shape ``(target, source)``; NaN where nothing is known.
    units
        Names of the units; shown where they still stand apart.
    auc, correlation
        How well they agree, as the title says it: area under the ROC curve of ``1 - P(none)`` for the presence of an
        edge, and correlation of the signed chance with the graph. They are given, so that a figure never disagrees
        with a table.
    graph_name
        Title of the graph.

    Raises
    ------
    NeurodataError
        If the shapes do not fit each other.
    """
    chances, truth = np.asarray(prior, np.float64), np.asarray(graph, np.float64)
    if chances.ndim != 3 or chances.shape != (*truth.shape, 3) or truth.shape[0] != truth.shape[1]:
        raise NeurodataError(
            f"expected a prior of shape (target, source, 3) and a graph (target, source), got {chances.shape} and "
            f"{truth.shape}"
        )
    figure = Figure(figsize=(WIDTH, 4.0), dpi=120, layout="constrained")
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1, 0.7]})
    signed = chances[:, :, 2] - chances[:, :, 0]
    limit = _limit(truth)
    for axis, matrix, most, title in ((left, signed, 1.0, "learned prior"), (middle, truth, limit, graph_name)):
        image = axis.imshow(matrix, cmap=_DIVERGING, vmin=-most, vmax=most, interpolation="nearest")
        axis.set_title(plain(title))
        _name_units(axis, units, left=axis is left)
        label = "P(excitatory) − P(inhibitory)" if axis is left else "weight"
        figure.colorbar(image, ax=axis, label=label, orientation="horizontal", fraction=0.05)
    present = 1 - chances[:, :, 1]
    edges = np.linspace(0, 1, 21)
    for mask, name, colour in (((truth == 0), "no edge", "#808080"), ((np.abs(truth) > 0), "edge", "#D55E00")):
        if mask.any():
            weight = np.full(int(mask.sum()), 1 / mask.sum())
            right.hist(present[mask], edges, weights=weight, histtype="step", color=colour, lw=1.6, label=f"{name} ({mask.sum()})")  # fmt: skip
    right.set(xlabel="learned P(edge)", ylabel="share", xlim=(0, 1))
    right.set_title(f"AUC {auc:.3f}, correlation {correlation:.3f}")
    right.legend(loc="upper center")
    return figure


def _limit(values: NDArray[np.float64]) -> float:
    """Largest absolute value but for one in a hundred."""
    known = np.abs(values[np.isfinite(values)])
    return float(np.percentile(known, 99)) or 1.0 if known.size else 1.0


def _name_units(axis: Axes, units: Sequence[str], *, left: bool) -> None:
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_facecolor("#E5E5E5")  # shows through where a value is NaN
    axis.set_xlabel("source unit")
    if left:
        axis.set_ylabel("target unit")
    if units and len(units) <= _MOST_NAMES:
        names = [plain(unit, 12) for unit in units]
        size = 7 if len(units) <= 20 else 5
        axis.set_xticks(range(len(units)), names, rotation=90, fontsize=size)
        axis.set_yticks(range(len(units)), names if left else [""] * len(units), fontsize=size)
