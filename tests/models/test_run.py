"""Whole runs on simulated worms: what they write, what they refuse, and that nulls score at chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import neurodata as nd
from neurodata.errors import LeakageError, NeurodataError
from neurodata.models.baselines import Table, class_baselines, make_features, shared_ids
from neurodata.models.decoding import check_pretrained
from neurodata.models.recipe import Recipe, Stage, read_settings
from neurodata.models.ridge_forecast import make_past, ridge_forecast
from neurodata.models.run import join_validation, leave_one_subject_out, train_run
from neurodata.report.run_folder import read_run
from neurodata.report.scores import make_scores
from neurodata.windows.splits import Split, Stretch

TINY = {"n_layers": 1, "token_width": 16, "width": 32, "pooled_width": 32}


def make_store(folder: Path, n_worms: int = 3, seconds: float = 200.0, **switches: bool) -> nd.Store:
    nd.write_kato_layout(nd.simulate_worms(n_worms, seconds, seed=2, **switches), folder / "raw")
    nd.convert("kato_brain_2015", folder / "raw", folder / "store")
    return nd.open_store(folder / "store")


def scores(store: nd.Store, folder: Path, recipe: Recipe) -> pd.Series:
    run = read_run(leave_one_subject_out(store, recipe, folder, command="test", title="test"))
    summary = make_scores(run.predictions).summary
    return summary[summary["metric"] == "balanced_accuracy"].set_index("model")["mean"]


def test_a_run_holds_out_each_worm_and_says_what_it_saw(tmp_path: Path) -> None:
    store = make_store(tmp_path, seconds=100.0)
    short = Stage(steps=2, batch_size=4)
    recipe = Recipe(network_options=TINY, pretrain=short, decode=short, forecast=short, members=2)
    run = read_run(leave_one_subject_out(store, recipe, tmp_path / "run", command="test", title="test"))
    folds = {part.info["fold"] for part in run.predictions}
    assert folds == {"worm1", "worm2", "worm3"}
    for part in run.predictions:
        assert set(part.info["trained_on"]).isdisjoint(part.info["evaluated_on"])
    for checkpoint in run.provenance["checkpoints"]:
        assert f"kato_brain_2015/{checkpoint['fold']}" not in checkpoint["trained_on"]
        assert (tmp_path / "run" / checkpoint["name"] / "model.safetensors").exists()
    assert set(run.curves["phase"]) == {"pretrain", "decode", "forecast"}
    seconds = [part.table["time"].max() for part in run.predictions if part.info["kind"] == "class"]
    assert min(seconds) > 99.0


def test_fewer_than_three_subjects_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, n_worms=2, seconds=60.0)
    with pytest.raises(NeurodataError, match=r"at least 3 subjects .* the store has 2"):
        leave_one_subject_out(store, Recipe(), tmp_path / "run", command="", title="")


def test_a_folder_that_is_no_run_is_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("x")
    with pytest.raises(NeurodataError, match="is not a run folder and not empty"):
        leave_one_subject_out(make_store(tmp_path, seconds=60.0), Recipe(), tmp_path / "run", command="", title="")
    assert (tmp_path / "run/thesis.tex").read_text() == "x"


@pytest.mark.slow
def test_decoders_beat_chance_and_nulls_do_not(tmp_path: Path) -> None:
    recipe = Recipe(network_options=TINY, pretrain=Stage(steps=0), decode=Stage(steps=60), forecast=Stage(steps=0))
    found = {}
    for name, switches in (
        ("real", {}),
        ("null", {"states_drive_activity": False}),
        ("shuffled", {"shuffle_names": True}),
    ):
        store = make_store(tmp_path / name, n_worms=5, seconds=400.0, **switches)
        found[name] = scores(store, tmp_path / name / "run", recipe)
    for model in ("transformer", "logistic", "logistic_lagged"):
        assert found["real"][model] > 0.45, found["real"]
        assert found["null"][model] < 0.2, found["null"]
        assert found["shuffled"][model] < 0.25, found["shuffled"]
    for model in ("majority", "shuffled_labels"):
        assert found["real"][model] < 0.2


def made_table(name: str, ids: list[int], seed: int, n: int = 400) -> Table:
    """Channel id 1 follows the class; all others are noise."""
    rng = np.random.default_rng(seed)
    target = np.repeat(rng.integers(0, 3, n // 20), 20)
    values = rng.normal(size=(n, len(ids)))
    values[:, ids.index(1)] += 2.0 * target
    return Table(name, values, np.asarray(ids), target)


class TestBaselines:
    def test_features_at_lags(self) -> None:
        table = Table("a", np.arange(12.0)[:, None], np.asarray([7]), np.zeros(12, np.int64))
        features = make_features(table, np.asarray([7]), rate_hz=2.0, lags_seconds=(-1.0, 2.0))
        assert features.shape == (12, 6)
        np.testing.assert_array_equal(features[5], [5, 2, 3, 2, 9, 2])  # value and slope now, 1 s ago, 2 s later

    def test_only_channels_all_recordings_have(self) -> None:
        tables = [made_table("a", [1, 2, 5], 0), made_table("b", [5, 1, 0, 0], 1)]
        assert shared_ids(tables).tolist() == [1, 5]
        with pytest.raises(NeurodataError, match="no named channel is in all 2 recordings"):
            shared_ids(
                [made_table("a", [1, 2], 0), Table("b", np.zeros((4, 1)), np.asarray([3]), np.zeros(4, np.int64))]
            )

    def test_logistic_reads_the_signal_and_shuffled_labels_do_not(self) -> None:
        tables = [made_table(name, [1, 2, 3], seed) for seed, name in enumerate("abcd")]
        found = {b.name: b for b in class_baselines(tables[:2], tables[2:3], tables[3], 3.0, 3, 0, (-1.0, 1.0))}
        truth = tables[3].target

        def right(name: str) -> float:
            return float(np.mean(found[name].probabilities.argmax(1) == truth))

        assert right("logistic_lagged") > 0.75
        assert right("logistic") > 0.6
        assert right("shuffled_labels") < 0.5
        np.testing.assert_allclose(found["logistic"].probabilities.sum(1), 1)
        assert {b.role for b in found.values()} == {"baseline", "chance"}

    def test_test_labels_are_never_read(self) -> None:
        tables = [made_table(name, [1, 2, 3], seed) for seed, name in enumerate("abcd")]
        blind = Table("d", tables[3].values, tables[3].channel_ids, np.zeros_like(tables[3].target))
        one, other = (
            class_baselines(tables[:2], tables[2:3], test, 3.0, 3, 0, (-1.0, 1.0)) for test in (tables[3], blind)
        )
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a.probabilities, b.probabilities)


class TestRidgeForecast:
    def test_only_the_past_is_read(self) -> None:
        rng = np.random.default_rng(0)
        values = rng.normal(size=(200, 3))
        changed = values.copy()
        changed[101:] += 1.0
        np.testing.assert_array_equal(make_past(values, 3.0)[:101], make_past(changed, 3.0)[:101])

    def test_it_finds_a_linear_law(self) -> None:
        rng = np.random.default_rng(1)

        def worm(name: str) -> Table:
            values = np.zeros((1500, 2))
            for t in range(1, len(values)):
                values[t] = 0.8 * values[t - 1] + rng.normal(size=2)
            return Table(name, values, np.asarray([1, 2]), np.zeros((1500, 0), np.float32))

        train, validation, test = worm("a"), worm("b"), worm("c")
        origins = np.arange(100, 1400)
        found = ridge_forecast([train], [validation], test, origins, 3, 3.0)
        truth = test.values[origins + 3, 0] - test.values[origins, 0]
        skill = 1 - np.mean((found.change[1] - truth) ** 2) / np.mean(truth**2)
        # AR(1) with coefficient a, h steps: 1 - (1 - a^2h) / (2 (1 - a^h))
        best = 1 - (1 - 0.8**6) / (2 * (1 - 0.8**3))
        assert skill == pytest.approx(best, abs=0.05)


def test_join_validation_keeps_the_test_part() -> None:
    rule = nd.split_by("subject", validation=["b"], test=["c"])
    assert rule.chosen == {"validation": ("b",), "test": ("c",)}
    parts = {name: (Stretch(f"d/{name}", 0, 10),) for name in ("train", "validation", "test")}
    joined = join_validation(Split(parts, "subject"))
    assert [s.recording_id for s in joined.parts["train"]] == ["d/train", "d/validation"]
    assert joined.parts["test"] == parts["test"]


def test_settings_changes_reach_their_place() -> None:
    fields = {"name": "a", "store": "s", "split": {"by": "time", "validation": 0.1, "test": 0.2, "guard_seconds": 30}}
    settings = read_settings(fields, ["recipe.decode.steps=7", "recipe.network=gru"])
    assert (settings.recipe.decode.steps, settings.recipe.network) == (7, "gru")
    with pytest.raises(NeurodataError, match=r"expected key=value, got 'recipe\.seed'"):
        read_settings(fields, ["recipe.seed"])
    with pytest.raises(NeurodataError, match=r"name\.seed: 'name' is 'a' and holds no keys"):
        read_settings(fields, ["name.seed=1"])


def test_blocks_of_time_can_be_trained_on_and_scored(tmp_path: Path) -> None:
    store, short = make_store(tmp_path, seconds=150.0), Stage(steps=2, batch_size=4)
    recipe = Recipe(window_seconds=12.0, network_options=TINY, pretrain=short, decode=short, forecast=short)
    rule = nd.split_by("time", validation=0.2, test=0.3, guard_seconds=12.0)
    run = read_run(train_run(store, rule, recipe, tmp_path / "run", command="test"))
    assert {part.info["kind"] for part in run.predictions} == {"class", "forecast"}
    assert len({part.info["evaluated_on"][0] for part in run.predictions}) == 3
    begin = min(part.table["time"].min() for part in run.predictions)
    assert begin > 0.5 * (150 - 24) + 2 * 12


def test_a_checkpoint_of_another_split_is_refused() -> None:
    stretches = {"train": (Stretch("d/a", 0, 10),), "test": (Stretch("d/a", 20, 30),)}
    by_time = Split(stretches, "time")
    check_pretrained({"trained_on": {"d/a": "x"}, "split_sha256": by_time.digest}, by_time, "it")
    with pytest.raises(LeakageError, match="it was trained on split other, this is split"):
        check_pretrained({"trained_on": {"d/a": "x"}, "split_sha256": "other"}, by_time, "it")
    apart = Split(
        {"train": (Stretch("d/a", 0, 10),), "test": (Stretch("d/b", 0, 10),)}, "subject", {"d/b": "d/x", "d/c": "d/x"}
    )
    with pytest.raises(LeakageError, match="was trained on d/x"):
        check_pretrained({"trained_on": {"d/c": "x"}, "split_sha256": apart.digest}, apart, "it")


def test_settings_that_cannot_work_leave_no_folder(tmp_path: Path) -> None:
    store, rule = make_store(tmp_path, seconds=60.0), nd.split_by("subject", validation=["worm1"], test=["worm2"])
    with pytest.raises(NeurodataError, match="no network 'transfromer'; did you mean 'transformer'"):
        train_run(store, rule, Recipe(network="transfromer"), tmp_path / "run", command="test")
    assert not (tmp_path / "run").exists()


def test_spikes_are_decoded_into_every_coordinate_that_moves(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hand = np.cumsum(rng.normal(size=(2000, 3)), axis=0) * [1.0, 1.0, 0.0]
    counts = rng.poisson(np.exp(0.3 * (hand - hand.mean(0))[:, rng.integers(0, 2, 12)] / hand.std(0).max()))
    k, unit = np.nonzero(counts)
    times = np.repeat((k + 0.5) / 20, counts[k, unit])
    recording = nd.Recording(
        {
            "dataset": "made_up",
            "recording_id": "made_up/monkey",
            "modality": "spikes",
            "subject": {"id": "m", "species": "Macaca mulatta"},
        },
        {"hand": nd.make_signal(hand, channel_id=["x", "y", "z"], units="m", rate_hz=20.0, role="behavior")},
        {"spikes": nd.make_events(times, unit=np.repeat(unit, counts[k, unit]))},
        units=nd.make_units([f"u{i}" for i in range(12)]),
    )
    nd.write_recording(recording, tmp_path / "store")
    recipe = Recipe(
        inputs="spikes",
        target="hand",
        identity="channel_id",
        rate_hz=20.0,
        window_seconds=2.0,
        lags_seconds=(-0.2, -0.1),
        network="gru",
        pretrain=Stage(steps=0),
        decode=Stage(steps=3, batch_size=4),
        forecast=Stage(steps=0),
    )
    rule = nd.split_by("time", validation=0.2, test=0.2, guard_seconds=2.0)
    run = read_run(train_run(nd.open_store(tmp_path / "store"), rule, recipe, tmp_path / "run", command="test"))
    assert {part.info["target"] for part in run.predictions} == {"hand/x", "hand/y"}
    assert {part.info["model"] for part in run.predictions} == {"gru", "mean", "ridge"}
    summary = make_scores(run.predictions).summary.set_index(["metric", "model"])["mean"]
    assert summary["pearson", "ridge"].max() > 0.2
