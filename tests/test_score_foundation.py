"""What keeps `scripts/score_foundation.py` honest: folds apart, splits written down, evaluations counted, leaks refused."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import LeakageError
from neurodata.metrics.balanced_accuracy import balanced_accuracy
from neurodata.metrics.r2 import r2
from neurodata.predictions import Predictions
from neurodata.windows.leakage import check_leakage
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def foundation():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from foundation import data, figures, grid, networks, registry, rows, scores, tables
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return SimpleNamespace(
        rows=rows,
        registry=registry,
        grid=grid,
        data=data,
        networks=networks,
        scores=scores,
        tables=tables,
        figures=figures,
    )


class TableOnly:
    """As much of a store as a split needs: its table."""

    def __init__(self, table):
        self.table = table

    def select(self, recording_id):
        kept = [recording_id] if isinstance(recording_id, str) else recording_id
        return TableOnly(self.table[self.table["recording_id"].isin(kept)])


@pytest.fixture
def store(foundation):
    names = sorted({name for row in foundation.rows.ROWS.values() for name in row.recordings})
    whole = {"haxby": "haxby/sub001", "schal": "schalk/S001"}
    subjects = [whole.get(name[:5], name) for name in names]
    return TableOnly(
        pd.DataFrame(
            {"recording_id": names, "subject": subjects, "duration_seconds": 200.0, "content_sha256": [f"sha of {n}" for n in names]}
        )
    )  # fmt: skip


@pytest.fixture
def folds(foundation, store):
    return [fold for row in foundation.rows.ROWS.values() for fold in foundation.rows.make_folds(store, row)]


def trained_on_the_rest(foundation, store, joint_fold):
    """Manifest of a checkpoint that was trained on all that the joint fold does not leave out."""
    out = {name: (start, stop) for name, start, stop in foundation.rows.held_out(joint_fold, store)}
    kept = [Stretch(name, 0.0, out.get(name, (200.0,))[0]) for name in store.table["recording_id"]]
    contents = dict(zip(store.table["recording_id"], store.table["content_sha256"]))
    split = SimpleNamespace(parts={"train": [s for s in kept if s.stop > s.start]}, contents=contents)
    return foundation.rows.describe_trained(split)


def test_no_fold_trains_on_what_it_is_scored_on(foundation, folds):
    for fold in folds:
        check_leakage(
            fold.split, foundation.rows.ROWS[fold.row].window_seconds, 0.6 if fold.split.by == "time" else 0.0
        )


def test_every_recording_of_a_row_is_held_out_once(foundation, folds):
    for row in foundation.rows.ROWS.values():
        tests = [name for fold in folds if fold.row == row.name for name in fold.split.recordings("test")]
        assert sorted(tests) == sorted(row.recordings)


def test_a_checkpoint_trained_without_what_is_held_out_is_clean_for_its_folds_and_for_no_others(
    foundation, store, folds
):
    for joint_fold in range(foundation.rows.N_JOINT_FOLDS):
        manifest = trained_on_the_rest(foundation, store, joint_fold)
        for fold in folds:
            if fold.joint_fold == joint_fold or fold.split.by == "time":
                foundation.rows.check_clean(manifest, fold)
            elif joint_fold % 3 != fold.joint_fold or not fold.row.startswith("eeg"):
                with pytest.raises(LeakageError, match=f"cannot be scored on {fold.row}/{fold.name}"):
                    foundation.rows.check_clean(manifest, fold)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda m: m | {"stretches": [*m["stretches"], ["stevenson_reaching_2011/m1", 150.0, 162.0]]},
            r"it saw stevenson_reaching_2011/m1 \[150, 162\) s",
            id="a stretch reaches into the test part",
        ),
        pytest.param(
            lambda m: m | {"trained_on": m["trained_on"] | {"renamed": "sha of stevenson_reaching_2011/m1"}, "stretches": [*m["stretches"], ["renamed", 0.0, 9.0]]},
            "renamed holds the same data as stevenson_reaching_2011/m1",
            id="the same data under another name",
        ),
        pytest.param(lambda m: {"trained_on": m["trained_on"]}, "does not say what it saw", id="no stretches"),
        pytest.param(
            lambda m: m | {"stretches": [*m["stretches"], ["unheard_of", 0.0, 9.0]]},
            "unheard_of is in only one of",
            id="a stretch without a digest",
        ),
    ],
)  # fmt: skip
def test_a_checkpoint_that_saw_the_test_part_is_refused(foundation, store, folds, change, message):
    [fold] = [fold for fold in folds if fold.row == "m1_hand"]
    with pytest.raises(LeakageError, match=message):
        foundation.rows.check_clean(change(trained_on_the_rest(foundation, store, 0)), fold)


def test_an_animal_that_is_held_out_may_not_be_in_training_under_another_recording(foundation, store, folds):
    [fold] = [fold for fold in folds if (fold.row, fold.name) == ("worm_state", "worm1")]
    subjects = {**fold.split.subjects, "kato_brain_2015/worm2": fold.split.subjects["kato_brain_2015/worm1"]}
    fold = dataclasses.replace(fold, split=dataclasses.replace(fold.split, subjects=subjects))
    with pytest.raises(LeakageError, match="worm2, an animal that is held out"):
        foundation.rows.check_clean(trained_on_the_rest(foundation, store, 0), fold)


def test_splits_that_changed_are_refused_and_other_rows_are_added(foundation, folds, tmp_path):
    path = tmp_path / "splits.json"
    worms = [fold for fold in folds if fold.row == "worm_state"]
    foundation.registry.freeze_splits(path, foundation.registry.digest_splits(worms))
    foundation.registry.freeze_splits(path, foundation.registry.digest_splits(folds))
    assert set(foundation.registry.check_splits(path, {})) == set(foundation.rows.ROWS)
    moved = foundation.registry.digest_splits(folds)
    moved["m1_hand"]["last_fifth"] = "another"
    with pytest.raises(LeakageError, match=r"m1_hand/last_fifth: .* before, another now"):
        foundation.registry.freeze_splits(path, moved)


def test_the_committed_splits_are_of_all_folds(foundation, folds):
    known = foundation.registry.check_splits(ROOT / "docs/results/foundation_splits.json", {})
    assert {(fold.row, fold.name) for fold in folds} == {(row, name) for row in known for name in known[row]}


def test_the_ledger_counts_every_evaluation(foundation, tmp_path):
    ledger = foundation.registry.Ledger(tmp_path / "ledger.jsonl")
    assert not ledger.counts()
    for fold in ("worm1", "worm2", "worm1"):
        ledger.record("worm_state", fold, "scratch 1 0")
    assert ledger.counts() == {("worm_state", "scratch 1 0"): 3}
    assert foundation.tables.make_counts(ledger.counts()).to_dict("records") == [
        {"row": "worm_state", "predictor": "scratch", "evaluations": 3}
    ]


def test_fewer_labels_lie_in_more_labels_and_every_class_is_there(foundation):
    table = pd.DataFrame({"label": ["a"] * 20 + ["b"] * 8})
    few, more, every = (set(foundation.data.draw_trials(table, share, 2)) for share in (0.05, 0.25, 1.0))
    assert few < more < every == set(range(28))
    assert sorted(table["label"][sorted(few)]) == ["a", "a", "b", "b"]


def test_picked_windows_are_those_that_were_chosen(foundation):
    trials = [Stretch("x/a", 10.0 * k, 10.0 * k + 4) for k in range(5)]
    windows = make_windows(trials, 2.0, 4.0)
    runs = dataclasses.replace(windows, lowest=windows.begin, highest=windows.last)
    picked = foundation.data.pick_windows(runs, np.array([1, 4]))
    assert [picked.locate(k) for k in range(len(picked))] == [("x/a", 20), ("x/a", 80)]


def test_a_trial_is_of_the_class_that_its_samples_say_together(foundation):
    samples = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.999, 0.001], [0.45, 0.55]]])
    found = foundation.networks.mean_log(samples)
    assert found[0] == pytest.approx(np.sqrt([0.54, 0.04]) / np.sqrt([0.54, 0.04]).sum())
    assert found.argmax(1).tolist() == [0, 0]


def test_sums_over_blocks_give_the_metrics_of_the_catalogue(foundation):
    rng = np.random.default_rng(0)
    block, counts = np.arange(60) // 6, np.vstack([np.ones(10, int), rng.multinomial(10, [0.1] * 10, size=5)])
    taken = [np.concatenate([np.flatnonzero(block == b) for b in np.repeat(np.arange(10), count)]) for count in counts]
    truth, values = rng.normal(size=(2, 60))
    found = foundation.scores.sum_r2(truth, truth + values, block, counts)
    assert found == pytest.approx([r2(truth[rows], (truth + values)[rows]) for rows in taken])
    codes, guesses = rng.integers(0, 3, (2, 60))
    found = foundation.scores.sum_balanced_accuracy(codes, guesses, block, counts)
    assert found == pytest.approx([balanced_accuracy(codes[rows], guesses[rows]) for rows in taken])


def made_up(foundation, folds, row, model, role, share, seed, hit):
    """Predictions of every fold of a row of classes, right for a share of the moments."""
    rng = np.random.default_rng(seed)
    found = []
    for fold in [fold for fold in folds if fold.row == row]:
        [recording] = fold.split.recordings("test")
        truth = np.arange(40) % 2
        told = np.where(rng.random(40) < hit, truth, 1 - truth)
        table = pd.DataFrame({"recording": recording, "subject": "s", "time": np.arange(40.0), "truth": truth, "prediction": told})  # fmt: skip
        table = table.assign(probability_0=1.0 - told, probability_1=told.astype(float))
        info = {"model": model, "kind": "class", "target": "task", "classes": ["a", "b"], "role": role, "fold": fold.name, "seed": seed, "split_hash": "x",
                "trained_on": [], "evaluated_on": [recording], "units": "class", "row": row, "share": share}  # fmt: skip
        found.append(Predictions(table, info))
    return found


@pytest.fixture
def scored(foundation, folds):
    cells = []
    for row in ("eeg_fists_feet", "haxby_objects"):
        cells += made_up(foundation, folds, row, "majority", "chance", 1.0, 9, 0.5)
        cells += made_up(foundation, folds, row, "csp_lda", "baseline", 1.0, 8, 0.7)
        cells += made_up(foundation, folds, row, "eegnet", "baseline", 1.0, 7, 0.99)
        for seed in (0, 1):
            cells += made_up(foundation, folds, row, "scratch", "model", 1.0, seed, 0.6)
            cells += made_up(foundation, folds, row, "pretrained_lora", "model", 1.0, seed, 0.9)
    cells += made_up(foundation, folds, "haxby_objects", "scratch", "model", 0.05, 0, 0.6)[:-1]  # a fold is missing
    return foundation.scores.score_rows(cells)


def test_differences_are_to_scratch_and_to_the_best_baseline_that_is_no_network(scored):
    own = scored[scored["row"] == "haxby_objects"].set_index("predictor")
    lora = own.loc["pretrained_lora"]
    assert lora["best_classical"] == "csp_lda"
    assert lora["ahead_scratch"] == pytest.approx(lora["value"] - own.loc["scratch", "value"])
    assert lora["ahead_scratch_low"] > 0.2
    assert lora["low"] < lora["value"] < lora["high"]
    assert (lora["seeds"], lora["folds"]) == (2, 12)


def test_a_predictor_that_lacks_a_fold_is_not_scored(scored):
    assert set(scored["share"]) == {1.0}


def test_tables_and_figure_show_every_predictor(foundation, scored, tmp_path):
    foundation.tables.write_tables(
        tmp_path / "tables.md", scored, foundation.registry.Counter({("m1_hand", "scratch 1 0"): 2})
    )
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    for expected in (
        "## Summary",
        "pretrained, LoRA",
        "CSP + LDA",
        "| m1_hand | scratch | 2 |",
        "EEGNet, as many steps",
    ):
        assert expected in text
    assert "nan" not in text
    foundation.figures.write_figure(tmp_path / "figure.png", scored)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_grid_has_every_strategy_share_and_seed(foundation, folds):
    cells = foundation.grid.list_cells(folds, quick=False)
    assert len({cell.key for cell in cells}) == len(cells)
    encoder = [cell for cell in cells if foundation.grid.kind_of(cell) == "encoder"]
    assert len(encoder) == len(folds) * 4 * 5
    assert {cell.seed for cell in cells if cell.share < 1} == {0}
