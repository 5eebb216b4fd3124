"""Figures of hidden states: when they were, over behaviour or trials, and how many are worth having.

Each function takes arrays and returns a figure on its own canvas; `neurodata.report.figures.draw` gives it the report's
style and makes it a data URI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from neurodata.errors import NeurodataError
from neurodata.report.colours import INK, OKABE_ITO, make_state_colours
from neurodata.report.figures import WIDTH, draw_states, plain

_Place = Literal["outside upper right", "outside lower right", "outside lower left"]

_MOST_POINTS = 2000
"""Points of a trace; beyond it, its mean in equal bins is shown."""
_LEGEND_PLACES: tuple[_Place, ...] = ("outside upper right", "outside lower right", "outside lower left")


@dataclass(frozen=True)
class Strip:
    """A row of coloured bars: which of some classes each moment belongs to.

    Parameters
    ----------
    name
        Written beside it.
    codes
        Class of each moment, negative where there is none, shape ``(time,)``.
    classes
        Names of the codes 0, 1, …
    """

    name: str
    codes: NDArray[np.integer]
    classes: Sequence[str]


@dataclass(frozen=True)
class Trace:
    """A row with one or more lines over time, averaged to at most 2000 points.

    Parameters
    ----------
    name
        Written beside it, with its units.
    values
        Shape ``(time,)`` or ``(time, line)``.
    lines
        Names of the lines, for a legend; none by default.
    """

    name: str
    values: NDArray[np.floating]
    lines: Sequence[str] = ()


def make_state_time_figure(
    time: ArrayLike, strips: Sequence[Strip], traces: Sequence[Trace] = (), *, title: str = ""
) -> Figure:
    """Draw states of one recording over its behaviour: strips of states on top, traces on the same seconds under them.

    Parameters
    ----------
    time
        Seconds of each moment, increasing, shape ``(time,)``.
    strips
        States, and published labels beside them; strips with the same classes share their legend.
    traces
        Behaviour, or anything else to be seen beside the states.
    title
        Over the figure.

    Raises
    ------
    NeurodataError
        If a strip or trace is not as long as time, a code has no class, or strips have more than three kinds of
        classes, whose legends would lie on each other.
    """
    seconds = np.asarray(time, np.float64)
    _check_rows(seconds, strips, traces)
    legends = _legends(strips)
    if len(legends) > len(_LEGEND_PLACES):
        raise NeurodataError(f"strips have {len(legends)} kinds of classes, a figure holds {len(_LEGEND_PLACES)}; draw two figures")  # fmt: skip
    heights = [0.34] * len(strips) + [1.1] * len(traces)
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.7 + 0.3 * len(legends)), dpi=120, layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, strip in zip(axes, strips):
        draw_states(axis, seconds, strip.codes, legends[tuple(strip.classes)])
        axis.set_yticks([])
        axis.set_ylabel(plain(strip.name), rotation=0, ha="right", va="center")
        axis.spines["left"].set_visible(False)
    for axis, trace in zip(axes[len(strips) :], traces):
        _draw_trace(axis, seconds, trace)
    axes[-1].set(xlabel="time (s)", xlim=(seconds[0], seconds[-1]))
    for where, (classes, colours) in zip(_LEGEND_PLACES, legends.items()):
        handles = [Patch(facecolor=colour, label=plain(name, 20)) for name, colour in zip(classes, colours)]
        if len(legends) > 1:  # which strips they are of
            whose = ", ".join(plain(strip.name, 20) for strip in strips if tuple(strip.classes) == classes)
            handles.insert(0, Patch(alpha=0, label=f"{whose}:"))
        figure.legend(handles=handles, loc=where, ncols=min(len(handles), 10), fontsize=8)
    axes[0].set_title(plain(title, 120))  # under the legend, which may be as wide
    return figure


def make_state_trials_figure(
    time: ArrayLike,
    states: ArrayLike,
    groups: Sequence[str],
    state_names: Sequence[str],
    *,
    events: Sequence[tuple[str, float]] = (),
    title: str = "",
) -> Figure:
    """Draw states of many trials: one row each in blocks of a kind, and how often each state was at each time.

    Parameters
    ----------
    time
        Seconds of each bin from the moment trials are aligned to, shape ``(time,)``.
    states
        State of each bin, negative where a trial has none, shape ``(trial, time)``.
    groups
        Kind of each trial (stimulus, choice …), shape ``(trial,)``; panels in order of first appearance.
    state_names
        Names of the states 0, 1, …
    events
        Names and seconds of vertical lines.
    title
        Over the figure.

    Raises
    ------
    NeurodataError
        If the shapes do not fit each other, or a state has no name.
    """
    seconds, codes = np.asarray(time, np.float64), np.asarray(states)
    if codes.shape != (len(groups), len(seconds)):
        raise NeurodataError(
            f"expected states of shape (trial, time) = {(len(groups), len(seconds))}, as there are kinds of trials "
            f"and times, got {codes.shape}"
        )
    _check_codes("states", codes, state_names)
    kinds = list(dict.fromkeys(groups))
    colours = make_state_colours(state_names)
    figure = Figure(figsize=(WIDTH, 5.0), dpi=120, layout="constrained")
    axes = figure.subplots(2, len(kinds), sharex=True, squeeze=False, gridspec_kw={"height_ratios": [3, 1.3]})
    colour_map = ListedColormap(colours).with_extremes(under="white")
    half = (seconds[1] - seconds[0]) / 2 if len(seconds) > 1 else 0.5
    for column, kind in enumerate(kinds):
        mine = codes[[group == kind for group in groups]]
        raster, share = axes[:, column]
        raster.imshow(
            mine, aspect="auto", interpolation="nearest", cmap=colour_map, vmin=-0.5, vmax=len(colours) - 0.5,
            extent=(seconds[0] - half, seconds[-1] + half, len(mine), 0),
        )  # fmt: skip
        raster.set_title(f"{plain(kind)} ({len(mine)})")
        known = np.maximum((mine >= 0).sum(axis=0), 1)
        for code, colour in enumerate(colours):
            share.plot(seconds, (mine == code).sum(axis=0) / known, color=colour, lw=1.4)
        share.set(ylim=(0, 1), xlabel="time (s)")
        for place, (name, at) in enumerate(events):
            for axis in (raster, share):
                axis.axvline(at, color=INK, lw=0.8, ls="--")
            if column == 0:
                share.annotate(plain(name), (at, 1 - 0.14 * (place % 2)), (3, 0), textcoords="offset points", va="top", fontsize=7)  # fmt: skip
    axes[0, 0].set_ylabel("trial")
    axes[1, 0].set_ylabel("share of trials")
    handles = [Patch(facecolor=colour, label=plain(name, 20)) for name, colour in zip(state_names, colours)]
    figure.legend(handles=handles, loc="outside lower right", ncols=min(len(handles), 10), fontsize=8)
    if title:
        figure.suptitle(plain(title, 120), x=0.01, ha="left", fontsize=10)
    return figure


def make_state_number_figure(
    table: pd.DataFrame, *, chosen: int | None = None, label: str = "log-likelihood per bin and unit (nats)"
) -> Figure:
    """Draw likelihood against the number of states, on training and held-out sequences, with intervals.

    Parameters
    ----------
    table
        One row per point: ``n_states``, ``split`` (``train``, ``held out``), ``value``, and ``low``, ``high`` of its
        interval (NaN where there is none); a column ``model`` draws several models.
    chosen
        Number of states that was taken, drawn as a vertical line.
    label
        Of the axis.

    Raises
    ------
    NeurodataError
        If a column is missing or there is no row.
    """
    missing = {"n_states", "split", "value", "low", "high"} - set(table.columns)
    if missing or table.empty:
        raise NeurodataError(
            f"expected a table with rows and the columns n_states, split, value, low, high; got {len(table)} rows, "
            f"without {', '.join(sorted(missing)) or 'none of them missing'}"
        )
    figure = Figure(figsize=(WIDTH * 0.7, 3.6), dpi=120, layout="constrained")
    axis = figure.subplots()
    models = list(dict.fromkeys(table["model"])) if "model" in table else [""]
    for place, model in enumerate(models):
        of_model = table[table["model"] == model] if "model" in table else table
        for split, rows in of_model.groupby("split", sort=False):
            here = rows.sort_values("n_states")
            colour = OKABE_ITO[place % len(OKABE_ITO)]
            style, fill = ("--", "white") if split == "train" else ("-", colour)
            name = plain(f"{model}, {split}" if model else split)
            axis.plot(here["n_states"], here["value"], style, marker="o", ms=5, mfc=fill, color=colour, lw=1.5, label=name)  # fmt: skip
            axis.fill_between(here["n_states"], here["low"], here["high"], color=colour, alpha=0.15, lw=0)
    if chosen is not None:
        axis.axvline(chosen, color=INK, ls=":", lw=1)
        axis.annotate("chosen", (chosen, 0), (3, 3), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8)  # fmt: skip
    axis.set_xticks(sorted(table["n_states"].unique()))
    axis.set(xlabel="states", ylabel=plain(label))
    axis.grid(axis="y", color="#E5E5E5", lw=0.7)
    axis.set_axisbelow(True)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _check_rows(seconds: NDArray[np.float64], strips: Sequence[Strip], traces: Sequence[Trace]) -> None:
    if not strips or seconds.ndim != 1 or len(seconds) < 2:
        raise NeurodataError(f"expected one or more strips over two or more seconds, got {len(strips)} strips over {seconds.shape}")  # fmt: skip
    rows = [*((strip.name, strip.codes) for strip in strips), *((trace.name, trace.values) for trace in traces)]
    for name, values in rows:
        if len(values) != len(seconds):
            raise NeurodataError(f"{name!r} has {len(values)} moments, time has {len(seconds)}; give both on one clock")  # fmt: skip
    for strip in strips:
        _check_codes(repr(strip.name), np.asarray(strip.codes), strip.classes)


def _check_codes(what: str, codes: NDArray[np.integer], classes: Sequence[str]) -> None:
    if codes.size and codes.max() >= len(classes):
        raise NeurodataError(f"{what} run to {codes.max()}, but {len(classes)} names are given; codes count from 0")


def _legends(strips: Sequence[Strip]) -> dict[tuple[str, ...], list[str]]:
    """Classes → their colours, one entry per legend."""
    return {tuple(strip.classes): make_state_colours(strip.classes) for strip in strips}


def _draw_trace(axis: Axes, seconds: NDArray[np.float64], trace: Trace) -> None:
    values = np.asarray(trace.values, np.float64).reshape(len(seconds), -1)
    width = -(-len(seconds) // _MOST_POINTS)
    firsts = np.arange(0, len(seconds), width)
    size = np.diff(np.r_[firsts, len(seconds)])[:, None]
    shown = np.add.reduceat(values, firsts, axis=0) / size
    colours = [INK, *OKABE_ITO] if shown.shape[1] == 1 else OKABE_ITO
    for column, line in enumerate(shown.T):
        name = plain(trace.lines[column]) if trace.lines else None
        axis.plot(seconds[firsts], line, color=colours[column % len(colours)], lw=0.8, label=name)
    axis.set_ylabel(plain(trace.name))
    if trace.lines:
        axis.legend(loc="upper right", ncols=len(trace.lines), fontsize=7)
