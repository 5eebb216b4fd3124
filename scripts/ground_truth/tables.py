"""Pieces as files, and the tables of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .cost import doublings
from .sites import auc

N_RESAMPLES = 2000

Pieces = dict[str, pd.DataFrame]


def write_piece(folder: Path, piece: str, rows: pd.DataFrame, settings: dict[str, Any], cpu_seconds: float) -> None:
    """Write a piece's rows with how they came about."""
    content = {"settings": settings, "cpu_seconds": round(cpu_seconds, 1), "rows": rows.to_dict("records")}
    (folder / f"{piece}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_pieces(folder: Path) -> Pieces:
    """Return the rows of all pieces that are there."""
    return {path.stem: pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))["rows"]) for path in sorted(folder.glob("*.json"))}  # fmt: skip


def interval(values: pd.Series, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean over recordings and its 95 % interval (bootstrap); NaN where there is one recording only."""
    found = values.to_numpy(np.float64)
    if len(found) < 2:
        return float(found.mean()), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = found[rng.integers(len(found), size=(N_RESAMPLES, len(found)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(found.mean()), float(low), float(high)


def told(found: tuple[float, float, float]) -> str:
    """Return a mean and its interval as text."""
    mean, low, high = found
    return f"{mean:.2f}" if np.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def markdown(table: pd.DataFrame) -> str:
    """Return a table as markdown."""
    lines = [list(map(str, table.columns)), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def by_predictor(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per modality and predictor, one column per pattern of hiding."""
    made = [
        {"modality": modality, "n": own["recording"].nunique() * own["seed"].nunique(), "predictor": predictor}
        | {pattern: told(interval(part["value"])) for pattern, part in own.groupby("pattern", sort=False)}
        for (modality, predictor), own in rows.groupby(["modality", "predictor"], sort=False)
    ]
    return pd.DataFrame(made)


def gains(rows: pd.DataFrame, over: str) -> pd.DataFrame:
    """Return what each predictor has over another one on the same recordings, per pattern."""
    keys = ["modality", "seed", "pattern", "recording"]
    base = rows[rows["predictor"] == over].set_index(keys)["value"]
    other = rows[rows["predictor"] != over]
    return by_predictor(other.assign(value=other["value"].to_numpy() - base.loc[pd.MultiIndex.from_frame(other[keys])].to_numpy()))  # fmt: skip


def by_site(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how well sites are told apart, per modality and way of resizing."""
    groups = rows.groupby(["modality", "resizing"], sort=False)
    return pd.DataFrame([{"modality": m, "resizing": r, "AUC": told(auc(own))} for (m, r), own in groups])


def by_name(rows: pd.DataFrame) -> pd.DataFrame:
    """Return R² with names, with shuffled ones, and what shuffling costs."""
    made = []
    for pattern, own in rows.groupby("pattern", sort=False):
        values = {"names": own["names"], "shuffled": own["shuffled"], "loss by shuffling": own["names"] - own["shuffled"]}  # fmt: skip
        made.append({"pattern": pattern} | {name: told(interval(value)) for name, value in values.items()})
    return pd.DataFrame(made)


def by_way(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what is decoded after each way of adapting, and what it has over learning from scratch."""
    made = []
    for modality, own in rows.groupby("modality", sort=False):
        wide = own.pivot(index=["seed", "recording"], columns="way", values="value")
        for way in own["way"].unique():
            gain = told(interval(wide[way] - wide["scratch"])) if way != "scratch" else ""
            made.append({"modality": modality, "way": way, "value": told(interval(wide[way])), "over scratch": gain})
    return pd.DataFrame(made)


def by_doubling(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ratios of cost per doubling."""
    table = doublings(rows)
    names = {"seconds": "wall time", "cpu_seconds": "CPU time", "megabytes": "peak memory", "gigaflops": "FLOPs"}
    return table.round(2).rename(columns=names)


def render(pieces: Pieces) -> str:
    """Return all tables of the pieces that there are as markdown."""
    made: list[tuple[str, str, Any]] = [
        ("cost", "Cost of a training step", lambda rows: rows.round(3)),
        ("cost", "Ratio of cost per doubling", by_doubling),
        ("sites", "Sites told apart by tokens", by_site),
        ("masked", "Masked prediction of held-out recordings", by_predictor),
        ("unseen", "Unseen worms", by_predictor),
        ("unseen", "Unseen worms: gain over copy-last", lambda rows: gains(rows, "copy-last")),
        ("unseen", "Unseen worms: gain over fresh", lambda rows: gains(rows, "fresh, as many steps")),
        ("names", "Names shuffled", by_name),
        ("few_labels", "Few labels", by_way),
    ]
    parts = [f"### {title}\n\n{markdown(table(pieces[piece]))}" for piece, title, table in made if piece in pieces]
    return "\n".join(parts)
