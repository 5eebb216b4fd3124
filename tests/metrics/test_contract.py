"""What every metric promises, tried on every file of the catalogue."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from neurodata.catalogue import list_entries, read_entry

KINDS = ("class", "continuous", "forecast")
Columns = dict[str, np.ndarray]


@pytest.fixture(params=list_entries("metrics"))
def module(request) -> ModuleType:
    return sys.modules[read_entry("metrics", request.param).__module__]


def score(module: ModuleType, columns: Columns) -> float:
    function = getattr(module, module.__name__.rpartition(".")[2])
    return function(**{name: columns[name] for name in module.needs})


def make_columns(kind: str, noise: float, n: int = 3000, seed: int = 0) -> Columns:
    """Make a truth with three unequal classes, or a slow random walk, and a prediction as noisy as asked."""
    rng = np.random.default_rng(seed)
    if kind == "class":
        truth = rng.choice(3, n, p=(0.6, 0.3, 0.1))
        prediction = np.where(rng.random(n) < noise, rng.permutation(truth), truth)
        return {"truth": truth, "prediction": prediction}
    walk = np.cumsum(rng.normal(size=n + 5))
    walk = (walk - walk.mean()) / walk.std()
    truth, last = walk[5:], walk[:-5]
    step = (truth - last).std() if kind == "forecast" else 1.0
    return {"truth": truth, "last": last, "prediction": truth + noise * step * rng.normal(size=n)}


def test_says_what_it_is(module):
    name = module.__name__.rpartition(".")[2]
    text = getattr(module, name).__doc__
    assert module.kind in KINDS
    assert set(module.needs) >= {"truth", "prediction"}
    assert "perfect" in text.splitlines()[0]
    assert "chance" in text.splitlines()[0]


def test_perfect_beats_noisy_beats_noisier_beats_chance(module):
    perfect, noisy, noisier = (score(module, make_columns(module.kind, noise)) for noise in (0.0, 0.3, 0.6))
    assert perfect == pytest.approx(module.PERFECT)
    assert perfect > noisy > noisier > module.chance(make_columns(module.kind, 0.0)["truth"])


def test_shuffled_predictions_come_out_at_chance_or_below(module):
    columns, rng = make_columns(module.kind, 0.0), np.random.default_rng(1)
    scores = [score(module, columns | {"prediction": rng.permutation(columns["truth"])}) for _ in range(40)]
    chance = module.chance(columns["truth"])
    assert np.mean(scores) < chance + 0.01
    if module.kind == "class":
        assert np.mean(scores) == pytest.approx(chance, abs=0.01)


def test_the_order_of_moments_does_not_matter(module):
    columns = make_columns(module.kind, 0.4)
    order = np.random.default_rng(2).permutation(columns["truth"].size)
    assert score(module, {k: v[order] for k, v in columns.items()}) == pytest.approx(score(module, columns))


@pytest.mark.parametrize("column", ["truth", "prediction"])
def test_missing_values_are_counted(module, column):
    columns = make_columns(module.kind, 0.1)
    columns[column] = columns[column].astype(float)
    columns[column][[3, 5, 8]] = np.nan
    with pytest.raises(ValueError, match=rf"^3 of 3000 {column} values are NaN"):
        score(module, columns)


def test_unequal_lengths_are_named(module):
    columns = make_columns(module.kind, 0.1)
    columns["prediction"] = columns["prediction"][:-1]
    with pytest.raises(ValueError, match=r"one length, got shapes .*\(3000,\).*\(2999,\)"):
        score(module, columns)


def test_no_moments_no_score(module):
    with pytest.raises(ValueError, match="truth is empty"):
        score(module, {name: values[:0] for name, values in make_columns(module.kind, 0.1).items()})
