"""Fits of states, baselines, and the tables they go into."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodata.models import SwitchingGLM
from neurodata.report.figures import draw

from .measures import Arrays, choose_fewest, interval, shown

SEED = 0
HISTORY = 5
"""Bins that the model looks back; baselines that smooth do so over as many."""

COUNTS = {"prior": "gaussian", "link": "softplus", "emission": "poisson", "state_bias": True}
"""States may differ in rates as well as in couplings: nobody knows beforehand which."""
NO_HISTORY = {"history_bins": 0, "prior": "none"}
"""A plain hidden Markov model: states differ in rates, or means, only."""

CANDIDATES = (1, 2, 3, 4, 5, 6, 8)


def fit(sequences: Arrays, n_states: int, **options: Any) -> SwitchingGLM:
    """Fit on training sequences; one state is the plain GLM, a baseline."""
    model = SwitchingGLM(n_states=n_states, allow_one_state=n_states == 1, random_state=SEED, **options)
    return model.fit(sequences)


def likelihoods(model: SwitchingGLM, sequences: Arrays) -> NDArray[np.float64]:
    """Log-likelihood per bin and unit of each sequence."""
    return np.array([model.score([values]) for values in sequences])


def choose_states(train: Arrays, options: dict[str, Any]) -> tuple[int, pd.DataFrame]:
    """Number of states by the likelihood of every fourth training sequence, and the curve: rates drift."""
    inner = [values for place, values in enumerate(train) if place % 4 != 3]
    held_out = train[3::4]
    rows, per_sequence = [], {}
    for n_states in CANDIDATES:
        model = fit(inner, n_states, **options)
        for split, parts in (("train", inner), ("held out", held_out)):
            found = likelihoods(model, parts)
            value, low, high = interval(found)
            rows.append({"n_states": n_states, "split": split, "value": value, "low": low, "high": high})
            per_sequence[n_states] = found
    table = pd.DataFrame(rows)
    return choose_fewest(table, per_sequence), table


def compare_likelihoods(
    train: Arrays,
    test: Arrays,
    models: dict[str, SwitchingGLM],
    reference: str,
    others: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Held-out likelihoods, and how far they are ahead of a reference, paired by sequence; others come as numbers."""
    found = {name: likelihoods(model, test) for name, model in models.items()} | dict(others)
    mean = np.concatenate(train).mean(axis=0)
    found["constant rates"] = np.array([_poisson(values, mean) for values in test])
    rows = []
    for name in sorted(found, key=lambda name: -found[name].mean()):
        ahead = "" if name == reference else shown(interval(found[name] - found[reference]), 4, "+")
        rows.append({"model": name, "log-likelihood per bin and unit": shown(interval(found[name]), 4),
                     f"ahead of {reference}": ahead})  # fmt: skip
    return pd.DataFrame(rows)


def _poisson(values: NDArray, mean: NDArray) -> float:
    rate = np.maximum(mean, 1e-6)
    return float((xlogy(values, rate) - rate - gammaln(values + 1)).mean())


def cluster(train: Arrays, test: Arrays, n_clusters: int, *, scale: bool = True) -> tuple[Arrays, Arrays]:
    """k-means fitted on training sequences; on principal components without scaling, which would raise the smallest."""
    means = KMeans(n_clusters, n_init=10, random_state=SEED)
    model = make_pipeline(StandardScaler() if scale else "passthrough", means)
    model.fit(np.concatenate(train))
    return [model.predict(values) for values in train], [model.predict(values) for values in test]


def decode(train: Arrays, classes: Arrays, test: Arrays) -> Arrays:
    """Logistic regression told the classes in training: what the same values hold."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
    model.fit(np.concatenate(train), np.concatenate(classes))
    return [model.predict(values) for values in test]


def measured(name: str, row: dict[str, float]) -> dict[str, str]:
    """One line of a table of agreement."""
    return {"states from": name, "held out": shown(row), "shifted states: mean, 95th percentile":
            f"{row['null']:.3f}, {row['null_high']:.3f}", "p": f"{row['p']:.3f}"}  # fmt: skip


def curve_table(curve: pd.DataFrame) -> pd.DataFrame:
    """Likelihoods against the number of states, for a document."""
    rows = []
    for n_states, lines in curve.groupby("n_states"):
        by_split = {str(row.split): shown((row.value, row.low, row.high), 4) for row in lines.itertuples()}
        rows.append(
            {"states": n_states, "fitted sequences": by_split["train"], "held-out sequences": by_split["held out"]}
        )
    return pd.DataFrame(rows)


def write_png(path: Path, make_figure: Callable[..., Figure], *args: Any, **options: Any) -> None:
    """Write a figure in the report's style."""
    uri = draw(make_figure, *args, vector=False, **options)
    path.write_bytes(base64.b64decode(uri.partition(",")[2]))
