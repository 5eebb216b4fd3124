"""The figure of structure and function: how far wiring tells which neurons go together, beside what chance tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurodata.errors import NeurodataError
from neurodata.report.colours import INK
from neurodata.report.figures import WIDTH, plain

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_NULLS = {"labels": ("#9A9A9A", "names shuffled"), "degree": ("#555555", "rewired, same degrees")}
_NEEDED = {"kind", "statistic", "value", "low", "high"}
_GROUPS, _PER_GROUP = 6, 30
"""Most groups of connections by weight, and fewest connections of each where there are several."""


def make_structure_figure(
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    nulls: Mapping[tuple[str, str, str], NDArray[np.float64]],
    *,
    measure: str = "functional value",
) -> Figure:
    """Draw scores beside their nulls, functional values of connected and other pairs, and values by weight.

    Parameters
    ----------
    table, pairs, nulls
        As `neurodata.analyses.structure_function.StructureFunction` holds them.
    measure
        What the functional values are, for the axes.

    Returns
    -------
    figure
        One row of three panels: AUC of each kind of connection with its 95 % interval over animals and 95 % of each null;
        distribution of the functional values of connected and unconnected pairs; mean value by strength of connection.

    Raises
    ------
    NeurodataError
        If the table lacks columns or holds no AUC.
    """
    absent = sorted(_NEEDED - set(table.columns))
    if absent or not (table["statistic"] == "auc").any():
        raise NeurodataError(
            f"the figure needs a table of structure_function with statistic 'auc'; missing: {', '.join(absent) or 'auc'}"
        )
    kinds = list(dict.fromkeys(table["kind"]))
    colours = {kind: _COLOURS[i % len(_COLOURS)] for i, kind in enumerate(kinds)}
    figure = Figure(figsize=(WIDTH, 2.9 + 0.25 * len(kinds)), dpi=120, layout="constrained")
    scores, values, weights = figure.subplots(1, 3, gridspec_kw={"width_ratios": (1.25, 1, 1)})
    _draw_scores(scores, table[table["statistic"] == "auc"], nulls, kinds, colours)
    _draw_values(values, pairs, kinds, colours, plain(measure))
    _draw_weights(weights, pairs, kinds, colours, plain(measure))
    return figure


def _draw_scores(
    axis: Axes,
    table: pd.DataFrame,
    nulls: Mapping[tuple[str, str, str], NDArray[np.float64]],
    kinds: Sequence[str],
    colours: Mapping[str, str],
) -> None:
    for place, kind in enumerate(kinds):
        row = table[table["kind"] == kind].iloc[0]
        for step, (null, (colour, label)) in enumerate(_NULLS.items(), start=1):
            drawn = np.asarray(nulls.get((kind, null, "auc"), []), dtype=float)
            drawn = drawn[np.isfinite(drawn)]
            if drawn.size:
                low, middle, high = np.percentile(drawn, [2.5, 50, 97.5])
                at = place + 0.19 * step
                axis.plot([low, high], [at, at], color=colour, lw=5, alpha=0.6, solid_capstyle="butt",
                          label=label if place == 0 else None)  # fmt: skip
                axis.plot(middle, at, "|", color=INK, ms=6)
        if np.isfinite(row["low"]):
            axis.plot([row["low"], row["high"]], [place, place], color=colours[kind], lw=2.2, solid_capstyle="butt")
        axis.plot(row["value"], place, "D", ms=7, color=colours[kind], mec="white")
    axis.axvline(0.5, color=INK, ls="--", lw=0.9, zorder=0)
    axis.set_yticks(range(len(kinds)), [plain(kind, 24) for kind in kinds])
    axis.set_ylim(len(kinds) - 0.3, -0.5)
    axis.set_xlabel("AUC: connected pairs against the others")
    axis.set_title("score (bar: 95 % CI over animals)")
    if axis.get_legend_handles_labels()[1]:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, fontsize=7)


def _draw_values(
    axis: Axes, pairs: pd.DataFrame, kinds: Sequence[str], colours: Mapping[str, str], measure: str
) -> None:
    """Cumulative share of pairs up to a value: connected ones solid, the others dashed."""
    for kind in kinds:
        part = pairs[pairs["kind"] == kind]
        connected = part["weight"].to_numpy() != 0
        for chosen, style, label in ((connected, "-", plain(kind, 24)), (~connected, (0, (3, 1.5)), None)):
            values = np.sort(part["functional"].to_numpy()[chosen])
            share = np.arange(1, len(values) + 1) / max(1, len(values))
            axis.plot(values, share, color=colours[kind], ls=style, lw=1.4, label=label)
    spread = pairs["functional"].to_numpy()
    if spread.size:
        low, high = np.percentile(spread, [0.1, 99.7])
        axis.set_xlim(low, high if high > low else low + 1)
    axis.set(xlabel=measure, ylabel="share of pairs up to this", ylim=(0, 1))
    axis.set_title("connected (solid), others (dashed)")
    axis.legend(loc="lower right", fontsize=7)


def _draw_weights(
    axis: Axes, pairs: pd.DataFrame, kinds: Sequence[str], colours: Mapping[str, str], measure: str
) -> None:
    """Mean value of connected pairs in groups of rising weight, with twice the standard error; not connected at left."""
    for place, kind in enumerate(kinds):
        part = pairs[pairs["kind"] == kind]
        strength, value = np.abs(part["weight"].to_numpy()), part["functional"].to_numpy()
        there = np.flatnonzero(strength > 0)
        if there.size == 0:
            continue
        order = there[np.argsort(strength[there], kind="stable")]
        groups = np.array_split(order, int(np.clip(order.size // _PER_GROUP, 1, _GROUPS)))
        means = [value[group].mean() for group in groups]
        errors = [2 * value[group].std() / np.sqrt(len(group)) for group in groups]
        axis.errorbar(
            np.arange(1, len(groups) + 1) + 0.08 * place, means, errors, fmt="o-", ms=4, lw=1.2, color=colours[kind]
        )
        none = value[strength == 0]
        axis.errorbar(
            0.08 * place,
            none.mean(),
            2 * none.std() / np.sqrt(max(1, none.size)),
            fmt="s",
            ms=5,
            color=colours[kind],
            mfc="white",
        )
    axis.set_xticks(range(_GROUPS + 1), ["none", *map(str, range(1, _GROUPS + 1))])
    axis.set(xlabel="group of rising weight", ylabel=f"mean {measure}")
    axis.set_title("value by weight (± 2 SE)")
