"""The datamodule guards, fits on training stretches only, and gives the same batches however it is run."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.errors import IntegrityError, LeakageError, NeurodataError
from neurodata.store.read import open_recording
from neurodata.store.write import write_recording
from neurodata.windows.splits import split_by


def module(store, **options):
    settings = {
        "inputs": "calcium", "target": "state", "window_seconds": 4.0, "rate_hz": 3.0, "batch_size": 5,
        "batches_per_epoch": 4, "split": split_by("subject", test=["w3"], validation=["w2"]),
    }  # fmt: skip
    return RecordingDataModule(store, **(settings | options))


def same_batches(one, other):
    one, other = list(one), list(other)
    assert len(one) == len(other) > 1
    for a, b in zip(one, other):
        for x, y in zip(a, b):
            torch.testing.assert_close(x, y, rtol=0, atol=0)


def test_worms_with_different_neurons_come_in_one_batch(worms):
    data = module(worms, split=split_by("subject", test=["w3"]))
    batch = next(iter(data.train_dataloader()))
    counts = {int(r): int(p.sum()) for r, p in zip(batch.recording, batch.present)}
    assert counts == {0: 10, 1: 9}
    assert batch.values.shape == (5, 12, 10)
    assert not (batch.recorded & ~batch.present[:, None]).any()
    vocabulary = data.spec.vocabulary
    ids = batch.channel_ids[int((batch.recording == 1).nonzero()[0])]
    assert [vocabulary[i - 1] for i in ids.tolist() if i] == [
        "AVAR", "AVBL", "AVBR", "RIML", "RIMR", "SMDVL", "RIVL", "RMEL", "AIBL",
    ]  # fmt: skip


def test_the_guard_runs_before_anything_is_read(worms):
    with pytest.raises(LeakageError, match=r"made_up/w1: train .* windows reach 4 s"):
        module(worms, split=split_by("time", test=0.2, guard_seconds=3.9))
    with pytest.raises(LeakageError, match=r"windows reach 5 s"):
        module(worms, split=split_by("time", test=0.2, guard_seconds=4.0), lag_seconds=1.0)
    module(worms, split=split_by("time", test=0.2, guard_seconds=5.0), lag_seconds=1.0)


@pytest.fixture(scope="module")
def shifted(made, worms, tmp_path_factory):
    """Worm → the store with that worm's activity ten times as large and shifted."""
    stores = {}
    for name in ("w1", "w2", "w3"):
        stores[name] = tmp_path_factory.mktemp(name) / "store"
        shutil.copytree(worms, stores[name])
        worm = open_recording(worms / "made_up" / name)
        signal = worm.signals["calcium"]
        changed = {"calcium": signal.copy(data=signal.values * 10 + 100), "wheel": worm.signals["wheel"]}
        write_recording(worm.replace(signals=changed), stores[name], overwrite=True)
    return stores


@pytest.mark.parametrize("scaling", ["training", "robust"])
@pytest.mark.parametrize(
    ("changed", "same"), [("w1", False), ("w2", True), ("w3", True)], ids=["train", "validation", "test"]
)
def test_scaling_is_fitted_on_training_values_only(worms, shifted, changed, same, scaling):
    plain, other = module(worms, scaling=scaling), module(shifted[changed], scaling=scaling)
    for data in (plain, other):
        data.setup()
    equal = [np.array_equal(plain.statistics[r][k], other.statistics[r][k]) for r in plain.statistics for k in (0, 1)]
    assert all(equal) if same else not any(equal)


@pytest.mark.parametrize("scaling", ["training", "robust"])
def test_scaling_by_time_knows_the_training_block_only(made, tmp_path, scaling):
    split = split_by("time", test=0.5, guard_seconds=10.0)
    for name, factor in (("plain", 1), ("changed", 50)):
        worm = made.made_worm("made_up/w1", rate_hz=3.0)
        values = np.array(worm.signals["calcium"].values)
        values[-60:] *= factor  # the last 20 s of 60; train ends at 25 s, resampling reaches a few seconds
        write_recording(worm.replace(signals={"calcium": worm.signals["calcium"].copy(data=values)}), tmp_path / name)
    options = {"target": "", "split": split, "scaling": scaling}
    plain, changed = (module(tmp_path / name, **options) for name in ("plain", "changed"))
    for data in (plain, changed):
        data.setup()
    np.testing.assert_allclose(plain.statistics["made_up/w1"], changed.statistics["made_up/w1"], rtol=1e-6)


def test_own_scaling_takes_each_recording_by_itself(shifted):
    data = module(shifted["w3"], scaling="recording")
    data.setup()
    for name in ("w1", "w2", "w3"):
        values = data.prepared(f"made_up/{name}").values
        np.testing.assert_allclose(data.statistics[f"made_up/{name}"][0], np.nanmean(values, 0), rtol=1e-4)
    assert data.statistics["made_up/w3"][0].min() > 50


def test_robust_scaling_is_that_of_training_values_put_together(worms):
    data = module(worms, scaling="robust", split=split_by("subject", test=["w3"]))
    pooled = data.pooled_statistics()
    data.setup()
    for recording_id in data.split.recordings("train") + data.split.recordings("test"):
        ids = data.prepared(recording_id).channel_ids
        np.testing.assert_array_equal(
            data.statistics[recording_id], [np.array(pooled[k])[ids] for k in ("mean", "std")]
        )
    shared = data.spec.vocabulary.index("AVAR") + 1  # in both training worms
    values = [data.prepared(f"made_up/{worm}") for worm in ("w1", "w2")]
    values = np.concatenate([found.values[:, found.channel_ids == shared].ravel() for found in values])
    low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert pooled["mean"][shared] == middle
    assert pooled["std"][shared] == pytest.approx((high - low) / 1.349, rel=1e-4)
    json.dumps(pooled, allow_nan=False)  # it goes into a checkpoint
    assert module(worms, scaling="recording").pooled_statistics() is None


def test_an_artefact_decides_scaling_by_deviation_but_not_by_quartiles(made, tmp_path):
    found = {}
    for name, artefact in (("plain", 0.0), ("hit", 1e6)):
        for k in (1, 2, 3):
            worm = made.made_worm(f"made_up/w{k}", seed=k, rate_hz=3.0)
            values = np.array(worm.signals["calcium"].values)
            values[10, 0] += artefact * (k == 1)
            write_recording(
                worm.replace(signals={"calcium": worm.signals["calcium"].copy(data=values)}), tmp_path / name
            )
        for scaling in ("training", "robust"):
            data = module(tmp_path / name, target="", scaling=scaling)
            found[name, scaling] = data.dataset("test")[0].values[:, 0]
    assert np.abs(found["hit", "training"]).max() < 0.1 < np.abs(found["plain", "training"]).max()
    np.testing.assert_allclose(found["hit", "robust"], found["plain", "robust"], atol=0.1)


def test_scaling_looks_at_each_training_stretch_and_at_nothing_between(worms):
    data = module(worms, scaling="robust")
    whole = data.split.parts["train"]
    cut = tuple(dataclasses.replace(s, start=k + 0.5, stop=k + 1.5) for s in whole for k in range(0, 40, 4))
    data.split = dataclasses.replace(data.split, parts=dict(data.split.parts) | {"train": cut})
    values = data.prepared("made_up/w1").values
    found = [piece for piece, _ in data._training_pieces()]
    np.testing.assert_array_equal(found, [values[3 * k + 2 : 3 * k + 5] for k in range(0, 40, 4)])
    assert data.pooled_statistics()["mean"] != module(worms, scaling="robust").pooled_statistics()["mean"]


def test_a_running_scale_is_a_causal_view_of_a_run(worms):
    views = [{"running_scale": {"seconds": 8.0}}]
    split = split_by("time", test=0.3, guard_seconds=5.0)
    data = module(worms, views=views, causal=True, scaling="none", split=split)
    assert type(data.spec).from_json(data.spec.to_json()) == data.spec
    values = data.prepared("made_up/w1").values
    assert np.isnan(values[:24]).all()
    assert np.isfinite(values[30:]).all()
    batch = next(iter(data.train_dataloader()))
    assert torch.isfinite(batch.values[batch.recorded]).all()


def test_no_scaling_leaves_values_as_they_are(worms):
    data = module(worms, scaling="none")
    np.testing.assert_array_equal(data.dataset("test")[4].values, data.prepared("made_up/w3").values[4:16])


def test_the_same_seed_gives_the_same_windows(worms):
    same_batches(module(worms).train_dataloader(), module(worms).train_dataloader())
    drawn = [next(iter(module(worms, seed=seed).train_dataloader())).first for seed in (0, 1)]
    assert not torch.equal(*drawn)


def test_other_random_numbers_do_not_change_what_is_drawn(worms):
    one = list(module(worms).train_dataloader())
    torch.rand(100)
    same_batches(one, module(worms).train_dataloader())


@pytest.mark.parametrize(
    "start",
    ["fork", pytest.param("spawn", marks=pytest.mark.slow), pytest.param("forkserver", marks=pytest.mark.slow)],
)
def test_workers_give_the_same_batches_however_they_start(worms, start):
    options = {"num_workers": 2, "multiprocessing_context": start}
    for part in ("train", "test"):
        alone, helped = module(worms), module(worms, **options)
        loaders = [getattr(data, f"{part}_dataloader")() for data in (alone, helped)]
        same_batches(*loaders)


@pytest.mark.parametrize("stride", [None, 1.0, 4.0])
def test_covering_windows_hold_every_sample_of_the_part(worms, stride):
    data = module(worms, split=split_by("time", test=0.37, guard_seconds=4.0))
    loader = data.covering_dataloader("test", stride)
    covered = {(int(r), k) for batch in loader for r, first in zip(batch.recording, batch.first) for k in range(first, first + 12)}  # fmt: skip
    expected = set()
    for number, stretch in enumerate(data.split.parts["test"]):
        span = data.prepared(stretch.recording_id).samples(stretch)
        expected |= {(number, k) for k in range(span.start, span.stop)}
    assert covered == expected


def test_classes_are_counted_over_training_samples(worms):
    data = module(worms)
    target = data.prepared("made_up/w1").target
    assert data.target_counts().tolist() == [int((target == code).sum()) for code in range(3)]
    with pytest.raises(NeurodataError, match=r"target 'wheel' has no classes to count"):
        module(worms, target="wheel").target_counts()


def test_unknown_scaling_and_parts_are_refused(worms):
    with pytest.raises(NeurodataError, match=r"no scaling 'traning'; did you mean 'training'"):
        module(worms, scaling="traning")
    with pytest.raises(NeurodataError, match=r"no part of the split 'validation'"):
        module(worms, split=split_by("subject", test=["w3"])).val_dataloader()


def test_a_continuous_target_comes_as_a_vector_per_sample(worms):
    batch = next(iter(module(worms, target="wheel").test_dataloader()))
    assert batch.target.shape == (5, 12, 2)
    assert module(worms, target="wheel").spec.classes == ("backing", "speed")


def test_a_continuous_target_is_described_by_its_training_samples(worms):
    data = module(worms, target="wheel")
    mean, std = data.target_statistics()
    kept = np.concatenate([data.prepared(name).target for name in data.split.recordings("train")])
    np.testing.assert_allclose(mean, np.nanmean(kept, axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, np.nanstd(kept.astype(np.float64), axis=0), rtol=1e-6)
    with pytest.raises(NeurodataError, match="target 'state' is not continuous, so it has no mean"):
        module(worms).target_statistics()


def test_a_recording_rewritten_under_a_running_training_is_noticed_not_mixed(made, tmp_path):
    store = made.write_worms(tmp_path / "store")
    data = module(store, cache=tmp_path / "cache")
    loader = data.train_dataloader()
    before = [batch.values.clone() for batch in loader]
    batches = iter(loader)
    next(batches)
    worm = open_recording(store / "made_up" / "w1")
    changed = {name: signal.copy(data=signal.values * 10) for name, signal in worm.signals.items()}
    write_recording(worm.replace(signals=changed), store, overwrite=True)
    rest = list(batches)  # of an epoch that was begun: all of it is of the old recording
    assert len(rest) == len(before) - 1
    assert (
        max(float(batch.values.abs().max()) for batch in rest)
        < 10 * max(float(values.abs().max()) for values in before) / 2
    )
    with pytest.raises(IntegrityError, match=r"'made_up/w1' was rewritten since this run began"):
        next(iter(loader))
    late = module(store, cache=tmp_path / "other")
    late.digests = data.digests
    with pytest.raises(IntegrityError, match=r"was rewritten since this run began"):
        late.setup()


def test_windows_may_be_drawn_evenly_and_in_other_orders(worms):
    split = split_by("subject", test=["w3"])
    drawn = module(worms, split=split, balance="recording", batches_per_epoch=200).train_dataloader()
    share = torch.cat([batch.recording for batch in drawn]).float().mean()
    assert 0.4 < share < 0.6
    for order in ("shuffled", "streamed"):
        seen = [(int(r), int(f)) for b in module(worms, split=split, order=order).train_dataloader() for r, f in zip(b.recording, b.first)]  # fmt: skip
        assert len(seen) == len(set(seen)) == 30  # two worms of 60 s in windows of 4 s, each once
        assert seen != sorted(seen)
    with pytest.raises(
        NeurodataError, match="windows are balanced where they are drawn, so order='shuffled' cannot be"
    ):
        module(worms, order="shuffled", balance="subject").train_dataloader()
    with pytest.raises(NeurodataError, match="no order of training windows 'random'"):
        module(worms, order="random")


def test_views_that_look_ahead_are_refused_where_they_would_leak(worms):
    ahead = [{"band_pass": {"low_hz": 0.1, "high_hz": 1.0, "causal": False}}]
    with pytest.raises(LeakageError, match="train and test share"):
        module(worms, split=split_by("time", test=0.3, guard_seconds=5.0), views=ahead)
    with pytest.raises(NeurodataError, match="causal=True, but band_pass"):
        module(worms, views=ahead, causal=True)
    data = module(worms, views=ahead)
    assert data.spec.views[0].name == "band_pass"
    assert type(data.spec).from_json(data.spec.to_json()) == data.spec
    plain = module(worms).prepared("made_up/w3").values
    assert not np.allclose(data.prepared("made_up/w3").values, plain)


def test_prepare_data_decodes_all_recordings_of_the_split(worms, tmp_path):
    data = module(worms, cache=tmp_path / "cache")
    data.prepare_data()
    whats = set(data.cache.list()["what"])
    assert {f"made_up/w{k} calcium 3 Hz float32" for k in (1, 2, 3)} <= whats
    assert {f"made_up/w{k} state 3 Hz" for k in (1, 2, 3)} <= whats


def test_a_pickled_datamodule_holds_no_decoded_values_and_gives_the_same_batches(worms):
    data = module(worms, scaling="recording")
    data.prepare_data()
    data.setup()
    values = sum(data.prepared(recording_id).values.nbytes for recording_id in data.digests)
    sent = pickle.dumps(data)
    assert data.prepared("made_up/w1") is data.prepared("made_up/w1")
    assert len(sent) < 20_000 < values / 0.9
    same_batches(copy.deepcopy(data).train_dataloader(), data.train_dataloader())  # made of what is pickled


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"batch_size": 0}, "batch_size must be a positive number, got 0", id="no window per batch"),
        pytest.param({"batches_per_epoch": -1}, "batches_per_epoch must be a positive number", id="no batch"),
        pytest.param({"channels": "nam"}, "no choice of channels 'nam'; did you mean 'named'", id="no such choice"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_decoded(worms, options, text):
    with pytest.raises(NeurodataError, match=text):
        module(worms, **options)


def test_a_stride_of_zero_is_refused(worms):
    with pytest.raises(NeurodataError, match=r"stride_seconds must be a positive number, got 0"):
        module(worms).covering_dataloader("test", 0.0)


def test_what_is_written_to_recorded_leaves_present_as_it_is(made, tmp_path):
    store = made.write_worms(tmp_path / "store", rate_hz=3.0)
    batch = next(iter(module(store, scaling="none").train_dataloader()))
    assert batch.recorded.stride(1) == 0  # nothing is missing, so the samples of a window share their memory
    batch.recorded[0, 3, 0] = False
    assert batch.present[0, 0]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"views": [{"band_pass": {"low_hz": 0.1, "high_hz": 1.0}}]}, id="another view"),
        pytest.param({"cache_dtype": "int16"}, id="another type"),
        pytest.param({"channels": "all"}, id="other channels"),
        pytest.param({"causal": True}, id="another resampling"),
        pytest.param({"target": "wheel"}, id="another target"),
        pytest.param({"scaling": "none"}, id="not scaled"),
    ],
)
def test_a_run_is_not_resumed_with_batches_that_are_made_in_another_way(worms, options):
    state = module(worms).train_dataloader().state_dict()
    module(worms).train_dataloader().load_state_dict(state)
    with pytest.raises(NeurodataError, match=r"decoded or scaled in another way \(views, channels"):
        module(worms, **options).train_dataloader().load_state_dict(state)


def test_stretches_too_short_to_be_scored_are_named(worms):
    data = module(worms)
    whole = data.split.parts["test"][0]
    parts = dict(data.split.parts) | {"test": (whole, dataclasses.replace(whole, recording_id="made_up/w2", stop=2.0))}
    data.split = dataclasses.replace(data.split, parts=parts)
    with pytest.warns(
        UserWarning, match=r"1 stretches of the test part are shorter than a window of 4 s .*: made_up/w2;"
    ):
        data.test_dataloader()
