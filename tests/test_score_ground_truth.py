"""What `scripts/score_ground_truth.py` is made of, on tiny data with known answers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def truth():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from ground_truth import cost, figure, prediction, sites, tables
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return SimpleNamespace(cost=cost, figure=figure, prediction=prediction, sites=sites, tables=tables)


def masked_rows():
    rows = [("oracle", 0.9), ("pretrained", 0.5), ("copy-last", 0.2), ("fresh, as many steps", 0.1)]
    return pd.DataFrame(
        [
            {"modality": "worms", "seed": 0, "pattern": pattern, "predictor": name, "recording": f"r{i}", "value": value + 0.01 * i}
            for pattern in ("hidden patches", "half of the channels")
            for name, value in rows
            for i in range(3)
        ]
    )  # fmt: skip


@pytest.fixture
def pieces():
    sizes = [("channels", 50), ("channels", 100), ("seconds", 10), ("seconds", 20)]
    cost = [{"what": w, "size": s, "seconds": s, "cpu_seconds": s, "megabytes": s, "gigaflops": s} for w, s in sizes]
    site = [
        {"modality": "eeg", "seed": 0, "resizing": "resized (pseudo-inverse)", "recording": r, "site": s, "said": float(s)}
        for r in range(4) for s in (0, 1, 0, 1)
    ]  # fmt: skip
    names = [{"seed": 0, "pattern": "hidden patches", "recording": f"r{i}", "names": 0.4, "shuffled": 0.3} for i in range(3)]  # fmt: skip
    few = [
        {"modality": "worms", "seed": 0, "way": way, "recording": f"r{i}", "value": value}
        for way, value in (("pretrained, head", 0.6), ("scratch", 0.4)) for i in range(3)
    ]  # fmt: skip
    made = {"cost": cost, "sites": site, "names": names, "few_labels": few}
    return {name: pd.DataFrame(rows) for name, rows in made.items()} | {"masked": masked_rows(), "unseen": masked_rows()}  # fmt: skip


def test_tables_render_what_was_found(truth, pieces):
    page = truth.tables.render(pieces)
    for line in (
        "| worms | 3 | pretrained | 0.51 [0.50, 0.52] | 0.51 [0.50, 0.52] |",
        "| worms | 3 | pretrained | 0.30 [0.30, 0.30] | 0.30 [0.30, 0.30] |",
        "| eeg | resized (pseudo-inverse) | 1.00 [1.00, 1.00] |",
        "| hidden patches | 0.40 [0.40, 0.40] | 0.30 [0.30, 0.30] | 0.10 [0.10, 0.10] |",
        "| worms | pretrained, head | 0.60 [0.60, 0.60] | 0.20 [0.20, 0.20] |",
        "| channels | 50 | 100 | 2.0 | 2.0 | 2.0 | 2.0 |",
    ):
        assert line in page


def test_tables_leave_out_pieces_that_are_missing(truth, pieces):
    page = truth.tables.render({"names": pieces["names"]})
    assert page.count("###") == 1


def test_one_recording_has_no_interval(truth):
    assert truth.tables.told(truth.tables.interval(pd.Series([0.5]))) == "0.50"


def test_pieces_are_read_as_they_were_written(truth, pieces, tmp_path):
    for name, rows in pieces.items():
        truth.tables.write_piece(tmp_path, name, rows, {"seeds": [0]}, 1.0)
    read = truth.tables.read_pieces(tmp_path)
    assert truth.tables.render(read) == truth.tables.render(pieces)


def test_figure_is_drawn_of_the_pieces_there_are(truth, pieces, tmp_path):
    truth.figure.draw({"cost": pieces["cost"], "unseen": pieces["unseen"]}, tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 10_000


def test_cost_of_a_step_grows_with_its_channels(truth):
    few, many = (truth.cost.measure_step(n, 8, size="tiny") for n in (8, 64))
    assert many["gigaflops"] > few["gigaflops"] > 0
    assert many["megabytes"] > few["megabytes"] > 0


def test_ridge_tells_a_hidden_channel_that_is_a_sum_of_others(truth):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 4))
    values[:, 3] = values[:, 0] - values[:, 1]
    ridge = truth.prediction.Ridge.fit(values[:300], 4, 1e-3)
    late, visible = values[300:], np.ones((100, 4), bool)
    visible[:, 3] = False
    said = ridge.predict(np.where(visible, late, 99.0), visible, 4)
    assert np.corrcoef(said[:, 3], late[:, 3])[0, 1] > 0.99


@pytest.mark.parametrize(("said", "explained"), [pytest.param(1.0, 1.0, id="perfect"), pytest.param(0.0, 0.0, id="the mean")])  # fmt: skip
def test_explained_is_one_for_the_truth_and_zero_for_the_mean(truth, said, explained):
    values = np.random.default_rng(1).normal(size=500)
    wrong, of = map(np.atleast_1d, truth.prediction._errors(values, said * values, np.zeros(500), counts=False))
    assert truth.prediction.Score(wrong, of).explained == pytest.approx(explained)


def test_deviance_is_least_at_the_true_rate(truth):
    counts = np.random.default_rng(2).poisson(2.0, 5000).astype(float)
    right, low, high = (truth.prediction.deviance(counts, np.full(5000, rate)) for rate in (2.0, 1.5, 2.5))
    assert right < min(low, high)


def test_sites_that_say_nothing_are_at_chance(truth):
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"seed": 0, "recording": np.repeat(range(8), 50), "site": np.tile([0, 1], 200), "said": rng.normal(size=400)})  # fmt: skip
    mean, low, high = truth.sites.auc(rows)
    assert 0.4 < mean < 0.6
    assert low < mean < high
