"""Figures of a report as data URIs; every one is drawn on its own canvas and touches no global state but fonts."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from neurodata.report.colours import INK
from neurodata.report.run_folder import HeatMap

WIDTH = 11.0
"""Inches; all figures fill the page's column."""

_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a '$' in a recording's name is a '$'
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "neurodata",
}
_MAX_COLUMNS = 1000


def draw(make_figure: Callable[..., Figure], *args: Any, vector: bool = True, **options: Any) -> str:
    """Return the figure that ``make_figure(*args, **options)`` makes as a data URI: SVG or PNG."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names may be in any script
        figure = make_figure(*args, **options)
        buffer = io.BytesIO()
        if vector:
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
            return _data_uri("image/svg+xml", buffer.getvalue())
        figure.savefig(buffer, format="png", pil_kwargs={"optimize": True})
        return _data_uri("image/png", buffer.getvalue())


def make_heatmap_figure(heatmap: HeatMap, classes: Sequence[str], colours: Sequence[str]) -> Figure:
    """Draw neurons by time, named ones on top with their names, and the states under them.

    Each neuron is z-scored over the whole recording for display, averaged in at most 1000 bins of time; both blocks are
    ordered by the first principal component, so that neurons that go together stand together.
    """
    values, time = _display_values(heatmap)
    order = _order_by_first_component(values)
    named = [i for i in order if heatmap.labels[i]]
    unnamed = [i for i in order if not heatmap.labels[i]]
    blocks = [block for block in (named, unnamed) if block]
    heights = [max(0.125 * len(b), 0.5) if b is named else max(0.035 * len(b), 0.5) for b in blocks] + [0.28]
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.1), dpi=120, layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    colour_map = matplotlib.colormaps["viridis"].with_extremes(bad="white")
    for axis, block in zip(axes, blocks):
        image = axis.imshow(
            values[:, block].T, aspect="auto", interpolation="nearest", cmap=colour_map, vmin=-2, vmax=3,
            extent=(time[0], time[-1], len(block), 0),
        )  # fmt: skip
        if block is named:
            axis.set_yticks(np.arange(len(block)) + 0.5, [plain(heatmap.labels[i]) for i in block], fontsize=7)
            axis.tick_params(axis="y", length=0)
        else:
            axis.set_yticks([])
        axis.set_ylabel(f"{len(block)} {'named' if block is named else 'unnamed'}")
        axis.spines[:].set_visible(False)
        axis.tick_params(axis="x", length=0)
    figure.colorbar(image, ax=list(axes[: len(blocks)]), pad=0.01, fraction=0.02, label="z-score", extend="both")
    draw_states(axes[-1], heatmap.time, heatmap.codes, colours)
    axes[-1].set(yticks=[], xlabel="time (s)", xlim=(time[0], time[-1]))
    axes[-1].spines["left"].set_visible(False)
    axes[-1].set_ylabel("state", rotation=0, ha="right", va="center")
    _add_state_legend(figure, classes, colours)
    return figure


def make_timeline_figure(
    rows: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.floating], NDArray[np.integer]]]]],
    classes: Sequence[str],
    colours: Sequence[str],
) -> Figure:
    """Draw states over time: for each recording one strip per (name, time, codes), on one axis of seconds."""
    n_strips = max(len(strips) for _, strips in rows)
    figure = Figure(figsize=(WIDTH, 0.6 + len(rows) * (0.26 * n_strips + 0.3)), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (recording, strips) in zip(axes, rows):
        for place, (_, time, codes) in enumerate(strips):
            draw_states(axis, time, codes, colours, bottom=len(strips) - 1 - place)
        axis.set_ylim(0, len(strips))
        axis.set_yticks(np.arange(len(strips))[::-1] + 0.45, [plain(name) for name, *_ in strips], fontsize=8)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_title(plain(recording), fontsize=9, pad=2)
        axis.margins(x=0)
    axes[-1].set_xlabel("time (s)")
    _add_state_legend(figure, classes, colours)
    return figure


def make_trace_figure(
    rows: Sequence[tuple[str, NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]], units: str
) -> Figure:
    """Draw a continuous target over time: for each (recording, time, truth, prediction) one panel."""
    figure = Figure(figsize=(WIDTH, 0.7 + 1.2 * len(rows)), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (recording, time, truth, prediction) in zip(axes, rows):
        axis.plot(time, truth, color=INK, lw=0.8, label="true")
        axis.plot(time, prediction, color="#D55E00", lw=0.8, label="predicted")
        axis.set_title(plain(recording), fontsize=9, pad=2)
        axis.set_ylabel(plain(units))
        axis.margins(x=0)
    axes[0].legend(loc="upper right", ncols=2)
    axes[-1].set_xlabel("time (s)")
    return figure


def make_confusion_figure(matrices: Sequence[tuple[str, NDArray[np.integer]]], classes: Sequence[str]) -> Figure:
    """Draw confusion matrices of counts (truth, prediction), each row shown in percent of its true moments."""
    n = len(classes)
    size = max(0.42 * n + 1.2, 3.5)
    figure = Figure(figsize=(WIDTH, min(size, 8)), dpi=120, layout="constrained")
    axes = figure.subplots(1, max(2, len(matrices)), squeeze=False)[0]
    for axis in axes[len(matrices) :]:
        axis.set_visible(False)
    for axis, (name, counts) in zip(axes, matrices):
        totals = counts.sum(axis=1, keepdims=True)
        percent = 100 * counts / np.where(totals == 0, np.nan, totals)
        axis.imshow(percent, cmap="viridis", vmin=0, vmax=100)
        for row, column in np.ndindex(n, n):
            if totals[row] > 0:
                colour = "white" if percent[row, column] < 60 else "black"
                axis.text(
                    column, row, f"{percent[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8
                )
        labels = [plain(label, 14) for label in classes]
        axis.set_xticks(range(n), labels, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(n), [f"{label}  ({total})" for label, total in zip(labels, totals[:, 0])])
        axis.set(xlabel="predicted", ylabel="true (moments)")
        axis.set_title(plain(name))
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    return figure


def make_score_figure(table: pd.DataFrame, summary: pd.DataFrame, models: Sequence[str], label: str) -> Figure:
    """Draw one metric: a dot per subject, the mean with its 95 % CI as a bar, chance as a dashed line."""
    figure = Figure(figsize=(WIDTH, 0.8 + 0.4 * len(models)), dpi=120, layout="constrained")
    axis = figure.subplots()
    for place, model in enumerate(models):
        values = table[table["model"] == model].groupby("subject")["value"].mean()
        mean, low, high = summary.loc[summary["model"] == model, ["mean", "low", "high"]].iloc[0]
        colour = "#0072B2" if (table.loc[table["model"] == model, "role"] == "model").all() else "#808080"
        axis.plot(values, np.full(len(values), place - 0.2), "o", ms=4.5, color=colour, alpha=0.5, mec="none")
        axis.plot([low, high], [place + 0.12] * 2, color=colour, lw=2.2, solid_capstyle="butt")
        axis.plot(mean, place + 0.12, "D", ms=6, color=colour, mec="white")
    axis.axvline(summary["chance"].mean(), color=INK, ls="--", lw=0.9)
    axis.annotate("chance", (summary["chance"].mean(), 1), (3, 0), xycoords=("data", "axes fraction"), va="top",
                  textcoords="offset points", fontsize=8)  # fmt: skip
    axis.set_yticks(range(len(models)), [plain(model) for model in models])
    axis.set_ylim(len(models) - 0.5, -0.5)
    axis.set_xlabel(label)
    axis.grid(axis="x", color="#E5E5E5", lw=0.7)
    axis.set_axisbelow(True)
    return figure


def make_skill_figure(
    table: pd.DataFrame, summary: pd.DataFrame, models: Sequence[str], colours: dict[str, str]
) -> Figure:
    """Draw forecast skill over horizons: a dot per subject, mean and 95 % CI per model."""
    figure = Figure(figsize=(WIDTH, 3.4), dpi=120, layout="constrained")
    axis = figure.subplots()
    horizons = sorted(table["horizon_seconds"].unique())
    for place, model in enumerate(models):
        shift = (place - (len(models) - 1) / 2) * 0.14
        for at, horizon in enumerate(horizons):
            here = (table["model"] == model) & (table["horizon_seconds"] == horizon)
            values = table[here].groupby("subject")["value"].mean()
            row = summary[(summary["model"] == model) & (summary["horizon_seconds"] == horizon)].iloc[0]
            beside = np.full(len(values), at + shift + 0.05)
            axis.plot(beside, values, "o", ms=3.5, color=colours[model], alpha=0.5, mec="none")
            axis.plot([at + shift] * 2, [row["low"], row["high"]], color=colours[model], lw=2.2, solid_capstyle="butt")
            handle = axis.plot(at + shift, row["mean"], "D", ms=6, color=colours[model], mec="white")[0]
        handle.set_label(plain(model))
    axis.axhline(0, color=INK, ls="--", lw=0.9, label="copy-last")
    axis.set_xticks(range(len(horizons)), [f"{horizon:g} s" for horizon in horizons])
    axis.set(xlabel="horizon", ylabel="skill over copy-last", xlim=(-0.5, len(horizons) - 0.5))
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axis.grid(axis="y", color="#E5E5E5", lw=0.7)
    return figure


def make_curve_figure(curves: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw learning curves, one panel a phase: folds thin, their mean thick, training solid, validation dashed."""
    phases = list(dict.fromkeys(curves["phase"]))
    figure = Figure(figsize=(WIDTH, 3.1), dpi=120, layout="constrained")
    axes = figure.subplots(1, max(3, len(phases)), squeeze=False)[0]
    for axis in axes[len(phases) :]:
        axis.set_visible(False)
    for axis, phase in zip(axes, phases):
        here = curves[curves["phase"] == phase]
        for (model, split), lines in here.groupby(["model", "split"], sort=False):
            style = {"color": colours.get(model, INK), "ls": "-" if split == "train" else (0, (3, 1.5))}
            for _, line in lines.groupby("fold"):
                axis.plot(line["step"], line["value"], lw=0.5, alpha=0.35, **style)
            mean = lines.groupby("step")["value"].mean()
            axis.plot(mean.index, mean, lw=1.8, label=plain(f"{model}, {split}"), **style)
        axis.set_title(plain(phase))
        axis.set(xlabel="step", ylabel="loss" if axis is axes[0] else None)
        axis.legend(fontsize=7)
    return figure


def draw_states(
    axis: Axes,
    time: NDArray[np.floating],
    codes: NDArray[np.integer],
    colours: Sequence[str],
    bottom: float = 0.0,
) -> None:
    """Draw runs of equal codes as coloured bars of height 0.9; nothing where time has a gap or the code is negative."""
    if time.size == 0:
        return
    step = float(np.median(np.diff(time))) if time.size > 1 else 1.0
    breaks = np.flatnonzero((np.diff(codes) != 0) | (np.diff(time) > 1.5 * step)) + 1
    firsts, lasts = np.r_[0, breaks], np.r_[breaks, time.size] - 1
    for code in np.unique(codes[codes >= 0]):
        mine = codes[firsts] == code
        spans = [(a, b - a + step / 2) for a, b in zip(time[firsts[mine]] - step / 2, time[lasts[mine]])]
        axis.broken_barh(spans, (bottom, 0.9), facecolors=colours[code], antialiased=False, linewidth=0)
    axis.set_ylim(0, max(bottom + 0.9, axis.get_ylim()[1]))


def plain(text: object, limit: int = 48) -> str:
    """Return text that a figure can hold: printable characters only, not too long, no leading ``_`` (hides a label)."""
    shown = "".join(c if c.isprintable() else "?" for c in str(text)).lstrip("_")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _add_state_legend(figure: Figure, classes: Sequence[str], colours: Sequence[str]) -> None:
    handles = [Patch(facecolor=colour, label=plain(name, 20)) for name, colour in zip(classes, colours)]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 10), fontsize=8)


def _display_values(heatmap: HeatMap) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return z-scored values averaged in at most 1000 bins, shape ``(bin, channel)``, and the bins' times."""
    values = heatmap.values.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a neuron or bin of nothing but NaN stays NaN
        spread = np.nanstd(values, axis=0)
        values = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1.0)
        width = -(-len(values) // _MAX_COLUMNS)
        firsts = np.arange(0, len(values), width)
        binned = np.stack([np.nanmean(values[first : first + width], axis=0) for first in firsts])
    return binned, heatmap.time[firsts]


def _order_by_first_component(values: NDArray[np.floating]) -> NDArray[np.integer]:
    filled = np.nan_to_num(values - np.nan_to_num(values).mean(axis=0))
    _, _, loadings = np.linalg.svd(filled, full_matrices=False)
    return np.argsort(-loadings[0] * np.sign(loadings[0].sum() or 1.0), kind="stable")
