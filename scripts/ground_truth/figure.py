"""One figure of all pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from .tables import Pieces, interval


def draw(pieces: Pieces, path: Path) -> None:
    """Draw the pieces that there are, one panel each."""
    panels = {"cost": _cost, "sites": _sites, "masked": _masked, "unseen": _unseen, "names": _names, "few_labels": _few}
    there = [name for name in panels if name in pieces]
    n_rows = -(-len(there) // 2)
    figure = Figure(figsize=(13, 3.6 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, name in zip(figure.subplots(n_rows, 2, squeeze=False).flat, there):
        panels[name](axis, pieces[name])
    for axis in figure.axes[len(there) :]:
        axis.remove()
    figure.savefig(path, dpi=110)


def _cost(axis: Any, rows: pd.DataFrame) -> None:
    for what, own in rows.groupby("what", sort=False):
        relative = own["size"] / own["size"].iloc[0]
        for key, line in (("gigaflops", "-"), ("megabytes", "--"), ("cpu_seconds", ":")):
            axis.loglog(relative, own[key] / own[key].iloc[0], line, marker="o", ms=3, label=f"{what}: {key}")
    axis.loglog(relative, relative, color="grey", lw=3, alpha=0.4, label="proportional")
    axis.set(title="cost of a training step", xlabel="times the smallest size", ylabel="times its cost")
    axis.legend(fontsize=7)


def _sites(axis: Any, rows: pd.DataFrame) -> None:
    found = [
        (f"{modality}: {how}", float(roc_auc_score(own["site"], own["said"])), how)
        for (modality, how), own in rows.groupby(["modality", "resizing"], sort=False)
    ]
    _bars(axis, [n for n, _, _ in found], [(v, np.nan, np.nan) for _, v, _ in found], [h for _, _, h in found])
    axis.axvline(0.6, color="grey", ls="--")
    axis.axvline(0.5, color="grey", ls=":")
    axis.set(title="sampling-rate site told from tokens", xlabel="AUC (chance 0.5)", xlim=(0.3, 1))


def _masked(axis: Any, rows: pd.DataFrame) -> None:
    _predictors(axis, rows[rows["pattern"] == "hidden patches"])
    axis.set(title="held-out recordings, hidden patches", xlabel="R² or deviance explained")


def _unseen(axis: Any, rows: pd.DataFrame) -> None:
    _predictors(axis, rows[(rows["pattern"] == "half of the channels") & (rows["predictor"] != "oracle")])
    axis.set(title="unseen worms, half of the channels hidden", xlabel="R²")


def _predictors(axis: Any, rows: pd.DataFrame) -> None:
    found = list(rows.groupby(["modality", "predictor"], sort=False)["value"])
    _bars(axis, [f"{m}: {p}" for (m, p), _ in found], [interval(v) for _, v in found], [m for (m, _), _ in found])
    axis.set_xlim(left=max(axis.get_xlim()[0], -0.6))


def _names(axis: Any, rows: pd.DataFrame) -> None:
    named = [(f"{pattern}: {how}", interval(own[how]), how) for pattern, own in rows.groupby("pattern", sort=False) for how in ("names", "shuffled")]  # fmt: skip
    _bars(axis, [n for n, _, _ in named], [v for _, v, _ in named], [h for _, _, h in named])
    axis.set(title="named neurons of unseen simulated worms", xlabel="R²")


def _few(axis: Any, rows: pd.DataFrame) -> None:
    found = list(rows.groupby(["modality", "way"], sort=False)["value"])
    _bars(axis, [f"{m}: {w}" for (m, w), _ in found], [interval(v) for _, v in found], [m for (m, _), _ in found])
    axis.set(title="5 % of labels", xlabel="balanced accuracy (worms), R² (spikes)")
    axis.set_xlim(left=max(axis.get_xlim()[0], -1.0))


def _bars(axis: Any, labels: list[str], found: list[tuple[float, float, float]], colours: list[str]) -> None:
    """Means with their intervals, one under the other."""
    order = list(dict.fromkeys(colours))
    place = np.arange(len(labels))
    for number, ((mean, low, high), colour) in enumerate(zip(found, colours)):
        axis.barh(number, mean, color=f"C{order.index(colour)}", alpha=0.7)
        if not np.isnan(low):
            axis.plot([low, high], [number, number], color="black", lw=1.5)
    axis.set_yticks(place, labels, fontsize=7)
    axis.invert_yaxis()
