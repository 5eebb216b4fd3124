"""Figures of motifs: which neurons change together, when, in which animals, and the blocks they form."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from neurodata.errors import NeurodataError
from neurodata.report.colours import GREY, OKABE_ITO, make_state_colours
from neurodata.report.figures import WIDTH, draw_states, plain

_FEW_NEURONS = 36
"""Up to so many neurons three matrices stand in a row, above it two."""
_MOST_NAMES = 80
"""Names of more neurons than this would be too small to read."""

Courses = tuple[str, NDArray[np.floating], NDArray[np.floating], NDArray[np.integer] | None]
"""An animal's name, times in seconds ``(bin,)``, courses ``(motif, bin)``, and states ``(bin,)`` or None."""


def make_motif_figure(
    motifs: NDArray[np.floating], names: Sequence[str], classes: Sequence[str] | None = None
) -> Figure:
    """Draw each motif as a matrix, neurons in one order for all: by class, and as given within a class.

    Parameters
    ----------
    motifs
        Weights, NaN where unknown (grey), shape ``(motif, neuron, neuron)``.
    names
        Neurons' names, shape ``(neuron,)``.
    classes
        What kind of neuron each is, shape ``(neuron,)``; a strip beside each matrix shows it. None keeps the order.

    Raises
    ------
    NeurodataError
        If names or classes are not one per neuron.
    """
    _check_motifs(motifs, names)
    if classes is not None and len(classes) != len(names):
        raise NeurodataError(f"{len(classes)} classes for {len(names)} neurons; expected one each")
    kinds = list(dict.fromkeys(classes)) if classes is not None else []
    order = np.argsort([kinds.index(kind) for kind in classes], kind="stable") if classes is not None else None
    codes = None if classes is None else np.array([kinds.index(kind) for kind in classes])
    figure, axes = _matrix_grid(len(motifs), len(names))
    for place, (axis, motif) in enumerate(zip(axes, motifs)):
        _draw_matrix(figure, axis, motif, names, np.arange(len(names)) if order is None else order)
        axis.set_title(f"motif {place + 1}")
        if codes is not None and order is not None:
            _draw_strip(axis, codes[order], make_state_colours(kinds))
    if kinds:
        handles = [
            Patch(facecolor=colour, label=plain(kind, 20)) for kind, colour in zip(kinds, make_state_colours(kinds))
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 8), fontsize=8)
    return figure


def make_block_figure(
    motifs: NDArray[np.floating], names: Sequence[str], labels: Sequence[NDArray[np.integer]]
) -> Figure:
    """Draw each motif with its neurons ordered by community, a line between communities and one colour for each.

    Parameters
    ----------
    motifs, names
        As for `make_motif_figure`.
    labels
        Community of each neuron in each motif, one array ``(neuron,)`` per motif.
    """
    _check_motifs(motifs, names)
    if len(labels) != len(motifs):
        raise NeurodataError(f"communities of {len(labels)} motifs for {len(motifs)} motifs; expected one each")
    figure, axes = _matrix_grid(len(motifs), len(names))
    for place, (axis, motif, label) in enumerate(zip(axes, motifs, labels)):
        # Within a community the neurons that matter most to the motif come first.
        order = np.lexsort((-np.nansum(motif, axis=1), label))
        _draw_matrix(figure, axis, motif, names, order)
        for edge in np.flatnonzero(np.diff(label[order])) + 0.5:
            axis.axhline(edge, color="white", lw=1.2)
            axis.axvline(edge, color="white", lw=1.2)
        n_blocks = len(np.unique(label))
        _draw_strip(axis, label[order], [OKABE_ITO[i % len(OKABE_ITO)] for i in range(int(label.max()) + 1)])
        axis.set_title(f"motif {place + 1}: {n_blocks if n_blocks > 1 else 'no'} communities")
    return figure


def make_course_figure(rows: Sequence[Courses], states: Sequence[str] = ()) -> Figure:
    """Draw the time courses of all motifs, a panel per animal, with states or stimuli beneath.

    Parameters
    ----------
    rows
        One entry per animal, or a single one for a course common to all; a course is scaled to its largest value.
    states
        Names of the states that the codes stand for.
    """
    n_motifs = max(len(courses) for _, _, courses, _ in rows)
    figure = Figure(figsize=(WIDTH, 0.8 + len(rows) * (0.32 * n_motifs + 0.55)), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (animal, time, courses, codes) in zip(axes, rows):
        for motif, course in enumerate(courses):
            base = n_motifs - motif
            height = course / max(float(np.nanmax(course, initial=0.0)), np.finfo(np.float64).tiny)
            axis.fill_between(time, base, base + 0.92 * height, color=_motif_colour(motif), lw=0)
        if codes is not None:
            draw_states(axis, time, codes, make_state_colours(states))
        axis.set_ylim(0 if codes is not None else 1, n_motifs + 1)
        ticks = [*range(1, n_motifs + 1), *([0] if codes is not None else [])]
        axis.set_yticks(
            np.array(ticks) + 0.45,
            [*(f"motif {n_motifs + 1 - k}" for k in range(1, n_motifs + 1)), *(["state"] if codes is not None else [])],
            fontsize=7,
        )
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_title(plain(animal), fontsize=9, pad=2)
        axis.margins(x=0)
    axes[-1].set_xlabel("time (s)")
    if states:
        handles = [Patch(facecolor=c, label=plain(name, 20)) for name, c in zip(states, make_state_colours(states))]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 10), fontsize=8)
    return figure


def make_loading_figure(loadings: NDArray[np.floating], animals: Sequence[str]) -> Figure:
    """Draw how strongly each animal has each motif.

    Parameters
    ----------
    loadings
        Shape ``(animal, motif)``.
    animals
        Their names, shape ``(animal,)``.
    """
    if loadings.ndim != 2 or len(loadings) != len(animals):
        raise NeurodataError(f"{len(animals)} animals for loadings of shape {loadings.shape}; expected (animal, motif)")
    figure = Figure(figsize=(WIDTH, 2.9), dpi=120, layout="constrained")
    axis = figure.subplots()
    n_animals, n_motifs = loadings.shape
    width = 0.8 / n_animals
    for motif in range(n_motifs):
        places = motif + (np.arange(n_animals) - (n_animals - 1) / 2) * width
        axis.bar(places, loadings[:, motif], width=0.86 * width, color=_motif_colour(motif))
        if n_animals * n_motifs <= 60:
            for place, animal in zip(places, animals):
                axis.annotate(plain(animal, 10), (place, 0), (0, -3), textcoords="offset points", rotation=90, ha="center",
                              va="top", fontsize=6, annotation_clip=False)  # fmt: skip
    axis.set_xticks(range(n_motifs), [f"motif {motif + 1}" for motif in range(n_motifs)])
    axis.tick_params(axis="x", length=0, pad=34 if n_animals * n_motifs <= 60 else 4)
    axis.set_ylabel("loading")
    return figure


def _check_motifs(motifs: NDArray[np.floating], names: Sequence[str]) -> None:
    if motifs.ndim != 3 or motifs.shape[1:] != (len(names), len(names)):
        raise NeurodataError(
            f"expected motifs of shape (motif, neuron, neuron) and {len(names)} names, got {motifs.shape}"
        )


def _matrix_grid(n_motifs: int, n_neurons: int) -> tuple[Figure, list[Axes]]:
    n_columns = min(n_motifs, 3 if n_neurons <= _FEW_NEURONS else 2)
    n_rows = -(-n_motifs // n_columns)
    figure = Figure(figsize=(WIDTH, n_rows * WIDTH / max(n_columns, 2) * 0.95 + 0.4), dpi=120, layout="constrained")
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for axis in axes[n_motifs:]:
        axis.set_visible(False)
    return figure, axes


def _draw_matrix(
    figure: Figure, axis: Axes, motif: NDArray[np.floating], names: Sequence[str], order: NDArray[np.integer]
) -> None:
    shown = motif[np.ix_(order, order)]
    # The few largest pairs would leave all others dark.
    top = float(np.nanpercentile(shown, 99)) if np.isfinite(shown).any() else 1.0
    colour_map = matplotlib.colormaps["viridis"].with_extremes(bad="#E8E8E8")
    image = axis.imshow(shown, cmap=colour_map, vmin=0, vmax=top or 1.0, interpolation="nearest")
    figure.colorbar(image, ax=axis, fraction=0.045, pad=0.02, extend="max").ax.tick_params(labelsize=7)
    labels = [plain(names[i], 8) for i in order] if len(names) <= _MOST_NAMES else []
    size = min(7.0, 230.0 / len(names))
    axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=size)
    axis.set_yticks(range(len(labels)), labels, fontsize=size)
    axis.tick_params(length=0, pad=7)
    axis.spines[:].set_visible(False)


def _draw_strip(axis: Axes, codes: NDArray[np.integer], colours: Sequence[str]) -> None:
    """Colour of each neuron along the left and lower edge of a matrix."""
    n_neurons = len(codes)
    width = 0.018 * n_neurons
    for place, code in enumerate(codes):
        colour = colours[code] if code >= 0 else GREY
        for corner, size in (
            ((-0.7 - width, place - 0.5), (width, 1.0)),
            ((place - 0.5, n_neurons - 0.3), (1.0, width)),
        ):
            axis.add_patch(Rectangle(corner, *size, facecolor=colour, lw=0, clip_on=False))


def _motif_colour(motif: int) -> str:
    return OKABE_ITO[motif % len(OKABE_ITO)]
