"""Scores against the share of labels, one panel per row."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurodata.predictions import BASELINE, CHANCE, MODEL
from neurodata.report.figures import draw

from .grid import STRATEGIES
from .rows import ROWS, SHARES
from .tables import NAMES

_COLOURS = dict(zip(STRATEGIES, ("#7f7f7f", "#88ccee", "#4477aa", "#aa3377")))
_NETWORK, _CLASSICAL, _CHANCE = "#228833", "#222222", "#bbbbbb"
_NETWORKS = ("gru", "eegnet")
_LOWEST_R2 = -0.1
"""R² has no lower end; what lies below is written at the panel's foot."""


def write_figure(path: Path, scored: pd.DataFrame) -> None:
    """Write the figure as PNG."""
    uri = draw(make_figure, scored, vector=False)
    path.write_bytes(base64.b64decode(uri.partition(",")[2]))


def make_figure(scored: pd.DataFrame) -> Figure:
    """Draw points with intervals for the encoder, lines for what stands beside it."""
    figure = Figure(figsize=(11, 7.2), dpi=130, layout="constrained")
    axes = figure.subplots(2, 4).ravel()
    for axis, name in zip(axes, ROWS):
        _draw_row(axis, scored[scored["row"] == name], name)
    for axis in axes[len(ROWS) :]:
        axis.set_axis_off()
    shown: dict[str, object] = {}
    for axis in axes[: len(ROWS)]:
        handles, labels = axis.get_legend_handles_labels()
        shown |= dict(zip(labels, handles))
    axes[-1].legend(list(shown.values()), list(shown), loc="center left", fontsize=8)
    return figure


def _draw_row(axis: Axes, own: pd.DataFrame, name: str) -> None:
    row = ROWS[name]
    axis.set_title(row.title, fontsize=9)
    axis.set_ylabel({"r2": "R²", "balanced_accuracy": "balanced accuracy", "pearson": "correlation"}[row.metric])
    axis.set_xticks(range(len(SHARES)), [f"{share:.0%}" for share in SHARES])
    axis.set_xlabel("labels used")
    axis.set_xlim(-0.5, len(SHARES) - 0.5)
    _draw_line(axis, own[own["role"] == CHANCE], _CHANCE, "chance (the best of it)", ":")
    is_network = own["predictor"].isin(_NETWORKS)
    classical = own[(own["role"] == BASELINE) & ~is_network & (own["predictor"] != "gru_published")]
    _draw_line(axis, classical, _CLASSICAL, "best classical baseline", "-")
    _draw_line(axis, own[is_network], _NETWORK, "GRU or EEGNet, as many steps", "--")
    published = own[own["predictor"] == "gru_published"]
    if len(published):
        axis.plot([len(SHARES) - 1], published["value"], "*", color=_NETWORK, label="GRU, published recipe")
    if row.metric == "r2":
        _cut_off(axis, own)
    for place, predictor in enumerate(STRATEGIES):
        _draw_points(axis, own[(own["predictor"] == predictor) & (own["role"] == MODEL)], predictor, place)


def _cut_off(axis: Axes, own: pd.DataFrame) -> None:
    axis.set_ylim(bottom=_LOWEST_R2 - 0.05)
    for share, lines in own[own["value"] < _LOWEST_R2].groupby("share"):
        told = "\n".join(f"{NAMES[str(line.predictor)]} {line.value:.1f}" for line in lines.itertuples())
        place = (SHARES.index(float(str(share))) + 0.12, _LOWEST_R2 - 0.04)
        axis.annotate(told, place, ha="left", va="bottom", fontsize=6.5, color="dimgray")


def _draw_line(axis: Axes, own: pd.DataFrame, colour: str, label: str, style: str) -> None:
    if len(own):
        best = own.groupby("share")["value"].max()
        at = [SHARES.index(share) for share in best.index]
        axis.plot(at, best.to_numpy(), style, color=colour, label=label, marker="_", markersize=14, zorder=1)


def _draw_points(axis: Axes, own: pd.DataFrame, predictor: str, place: int) -> None:
    if not len(own):
        return
    at = np.array([SHARES.index(share) for share in own["share"]]) + (place - 1.5) * 0.13
    value = own["value"].to_numpy()
    reach = np.maximum(np.stack([value - own["low"].to_numpy(), own["high"].to_numpy() - value]), 0)
    axis.errorbar(at, value, reach, fmt="o", color=_COLOURS[predictor], label=NAMES[predictor], markersize=4, lw=1)
