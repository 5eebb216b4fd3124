"""An encoder on a new animal in one call: what each strategy trains, on how much, from what kind of data."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.errors import NeurodataError
from neurodata.models.adapt import STRATEGIES, adapt, encoder_of, learning_curve
from neurodata.models.build import make_network, make_task
from neurodata.models.checkpoints import from_pretrained, save_pretrained
from neurodata.models.layers.lora import LowRank, add_low_rank, merge_low_rank
from neurodata.store.store import open_store
from neurodata.store.write import write_recording
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch, split_by

QUICK = {"steps": 3, "batch_size": 4, "options": {"lagged_readout": False}}
READOUT = {"behaviour", "moments", "tell", "told"}
ENCODER = {"blocks", "read", "pool", "mix", "gain"}


def data_of(store, **options):
    settings = {
        "inputs": "calcium", "target": "state", "window_seconds": 6.0, "rate_hz": 3.0, "scaling": "recording",
        "split": split_by("recording", test=["made_up/w3"], validation=["made_up/w2"]), "channels": "all",
        "identity": "recording_channel",
    }  # fmt: skip
    return RecordingDataModule(store, **settings | options)


@pytest.fixture(scope="module")
def data(worms):
    return data_of(worms)


@pytest.fixture(scope="module")
def pretrained(worms):
    """A task of another two worms; weights away from where they began, and all channels met."""
    module = data_of(worms, target="", split=split_by("recording", test=["made_up/w1"]))
    torch.manual_seed(0)
    task = make_task("pretrain", make_network("perceiver", module.spec, {"size": "tiny"}), {})
    task.train().loss(next(iter(module.train_dataloader())))
    with torch.no_grad():
        for parameter in task.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return task.eval()


@pytest.fixture(scope="module")
def worm(made):
    return made.made_worm("made_up/new", seed=9)


def changed(adapted, model):
    """Parts of the encoder in which a parameter that both have is another one now; tables of channels apart."""
    after, before = (dict(network.named_parameters()) for network in (adapted.network, encoder_of(model)))
    tables = ("identity.name", "identity.group", "identity.region", "identity.own")
    shared = [name for name in after if name in before and not name.startswith(tables)]
    return {name.split(".")[0] for name in shared if not torch.equal(after[name], before[name])}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("identity", READOUT), ("head", READOUT), ("reset", READOUT), ("lora", READOUT | ENCODER), ("full", None),
        ("progressive", None),
    ],
)  # fmt: skip
def test_a_strategy_trains_what_it_says(pretrained, data, strategy, expected):
    before = copy.deepcopy(pretrained.state_dict())
    task = adapt(pretrained, data, strategy=strategy, **QUICK)
    found = changed(task, pretrained)
    assert found == expected if expected else found > READOUT | ENCODER | {"enter", "latents", "identity", "norm"}
    assert task.head.weight.abs().max() > 0
    assert task.network.identity.own.weight[1 : 1 + len(data.spec.vocabulary)].abs().max() > 0
    assert not task.training
    assert all(parameter.requires_grad for parameter in task.parameters())
    assert not any(isinstance(part, LowRank) for part in task.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pretrained.state_dict().items())


@pytest.mark.parametrize("strategy", ["identity", "head"])
def test_without_a_target_only_the_new_channels_vectors_learn(pretrained, worm, strategy):
    task = adapt(pretrained, worm, strategy=strategy, steps=3, batch_size=4)
    assert changed(task, pretrained) == set()
    assert type(task).__name__ == "Pretrain"
    new = task.network.identity.own.weight[1:11]
    assert (new != 0).any(1).all()


def test_a_known_target_s_readout_is_carried_and_identity_leaves_it(pretrained, data, worm):
    decoder = adapt(pretrained, data, strategy="head", **QUICK)
    again = adapt(decoder, worm, strategy="identity", target="state", **QUICK)
    assert torch.equal(again.head.weight, decoder.head.weight)
    assert changed(again, decoder) == set()
    trained = adapt(decoder, worm, strategy="head", target="state", **QUICK)
    assert not torch.equal(trained.head.weight, decoder.head.weight)
    other = adapt(decoder, worm, strategy="head", target="wheel", **QUICK)
    assert other.head.out_features == 2


def test_vectors_of_channels_that_the_data_lack_stay(pretrained, worm):
    """Weight decay pulls at a whole table; what nobody looked at is put back."""
    task = adapt(pretrained, worm, strategy="full", steps=3, batch_size=4)
    before = dict(zip(pretrained.network.spec.vocabulary, pretrained.network.identity.own.weight[1:]))
    after = dict(zip(task.network.spec.vocabulary, task.network.identity.own.weight[1:]))
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(pretrained, data):
    found = []
    for number in (1, 2):
        torch.manual_seed(number)
        found.append(adapt(pretrained, data, strategy="lora", seed=3, **QUICK).state_dict())
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
    other = adapt(pretrained, data, strategy="lora", seed=4, **QUICK).state_dict()
    assert not torch.equal(other["head.weight"], found[0]["head.weight"])


def test_low_rank_changes_are_small_and_merge_into_plain_layers(spec, batch_of, network_of, both):
    network = network_of("perceiver", spec)
    plain, batch = {name: t.clone() for name, t in network.state_dict().items()}, batch_of(spec)
    before = both(network, batch)
    assert add_low_rank(network, tuple(ENCODER), 2, 4.0) == 2 * 5 + 3 + 3
    for one, other in zip(before, both(network, batch)):
        torch.testing.assert_close(other, one)  # at first nothing is added
    added = {name: p for name, p in network.named_parameters() if name.endswith((".up", ".down"))}
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    within = sum(tensor.numel() for name, tensor in plain.items() if name.split(".")[0] in ENCODER)
    assert sum(p.numel() for p in added.values()) < 0.2 * within
    assert not any(name.endswith("linear.weight") for name in learning)
    with torch.no_grad():
        for parameter in added.values():
            parameter.normal_()
    unmerged = both(network, batch)
    merge_low_rank(network)
    for one, other, start in zip(unmerged, both(network, batch), before):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)
        assert (other - start).abs().max() > 0.1
    assert list(network.state_dict()) == list(plain)
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("strategy", ["lora", "full"])
def test_an_adapted_task_is_saved_and_loaded_as_any_other(pretrained, data, tmp_path, strategy):
    task = adapt(pretrained, data, strategy=strategy, **QUICK)
    save_pretrained(task, tmp_path, {})
    again = from_pretrained(tmp_path)
    batch = next(iter(data.val_dataloader()))
    assert torch.equal(again.predict_step(batch, 0), task.predict_step(batch, 0))
    assert again.network.spec == task.network.spec


def test_the_following_copy_of_latents_follows_through_low_rank_layers(pretrained, worm):
    options = {"latent_weight": 0.5, "latent_momentum": 0.5}
    task = adapt(pretrained, worm, strategy="lora", steps=3, batch_size=4, options=options)
    slow, fast = task.following.state_dict(), task.network.state_dict()
    assert list(slow) == list(fast)
    name = "blocks.0.attention.to_query.weight"
    assert not torch.equal(slow[name], encoder_of(pretrained).state_dict()[name])
    assert not any(parameter.requires_grad for parameter in task.following.parameters())


# --- data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["recording", "recordings", "store", "path"])
def test_data_may_be_in_memory_or_in_a_store(pretrained, made, worm, kind, tmp_path):
    other = made.made_worm("made_up/other", seed=4, labels=made.NEURONS[:6])
    for recording in (worm, other):
        write_recording(recording, tmp_path / "store")
    given = {"recording": worm, "recordings": [worm, other], "store": open_store(tmp_path / "store"), "path": str(tmp_path / "store")}  # fmt: skip
    task = adapt(pretrained, given[kind], target="state", **QUICK)
    n_channels = len(task.network.spec.vocabulary) - len(pretrained.network.spec.vocabulary)
    assert n_channels == (10 if kind == "recording" else 16)
    assert (task.network.spec.target_kind, task.network.spec.n_outputs) == ("class", 3)


def test_minutes_are_those_at_the_beginning(pretrained, data):
    """What is not used neither counts in the loss nor in what the loss is weighed by."""
    whole = adapt(pretrained, data, strategy="head", **QUICK)
    short = adapt(pretrained, data, strategy="head", minutes=0.25, **QUICK)
    stretch = [Stretch("made_up/w1", 0.0, 15.0)]
    counts = [float(task.hparams["class_counts"][0]) for task in (whole, short)]
    assert short.hparams["class_counts"] == data.target_counts(stretch).tolist()
    assert counts[0] > counts[1]
    windows = make_windows(stretch, 3.0, 6.0)
    same = adapt(pretrained, data, strategy="head", minutes=0.25, windows=windows, **QUICK)
    assert torch.equal(same.head.weight, short.head.weight)
    assert not torch.equal(whole.head.weight, short.head.weight)


def test_minutes_decide_what_a_continuous_target_is_standardised_by(pretrained, worms):
    data = data_of(worms, target="wheel")
    task = adapt(pretrained, data, strategy="head", minutes=0.25, **QUICK)
    mean, std = data.target_statistics([Stretch("made_up/w1", 0.0, 15.0)])
    assert task.hparams["output_mean"] == mean.tolist()
    assert task.hparams["output_std"] == std.tolist()
    assert task.hparams["output_mean"] != data.target_statistics()[0].tolist()


@pytest.mark.parametrize("target", ["state", "wheel"])
def test_a_learning_curve_has_a_row_for_each_sample_output_and_amount(pretrained, worms, target):
    data = data_of(worms, target=target)
    found = learning_curve(pretrained, data, [0.2, 0.5], strategy="head", **QUICK)
    assert list(found.columns) == ["minutes", "recording", "time", "output", "truth", "prediction"]
    assert found.groupby("minutes").size().nunique() == 1
    assert set(found["recording"]) == {"made_up/w2"}
    assert set(found["output"]) == set(data.spec.classes)
    assert found["time"].between(0, 60).all()
    assert np.isfinite(found[["truth", "prediction"]].values).all()
    if target == "state":
        sums = found.groupby(["minutes", "time"])[["truth", "prediction"]].sum()
        np.testing.assert_allclose(sums, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"strategy": "lorra"}, r"no strategy 'lorra'; did you mean 'lora'\? Known: " + ", ".join(STRATEGIES)),
        ({"minutes": -1.0}, r"minutes must be a positive number, got -1"),
        ({"minutes": 0.05}, r"no stretch holds a window of 6 s; the longest lasts 3 s"),
        ({"steps": 0}, r"steps must be a positive number, got 0"),
        ({"batch_size": 0}, r"batch_size must be a positive number, got 0"),
        ({"options": {"gian": 1.0}}, r"task 'decode' has no gian; it has"),
    ],
)
def test_settings_that_mean_nothing_are_refused(pretrained, data, options, text):
    with pytest.raises(NeurodataError, match=text):
        adapt(pretrained, data, **{"steps": 1} | options)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([], "one or more recordings; got no recording"), ({"a": 1}, "a store or its folder, .* got dict"),
        (3, "got int"), ([3, "a"], "got int, str"), (None, "got NoneType"),
    ],
)  # fmt: skip
def test_data_of_no_kind_are_refused(pretrained, data, text):
    with pytest.raises(NeurodataError, match=text):
        adapt(pretrained, data)


def test_what_cannot_be_adapted_is_told(spec, data, network_of, task_of, pretrained, worms):
    for model in (network_of("gru", spec), task_of("decode", "gru", spec)):
        with pytest.raises(
            NeurodataError, match=r"only a 'perceiver' encoder can be adapted to other channels, got GRU"
        ):
            adapt(model, data)
    with pytest.raises(NeurodataError, match=r"a learning curve needs minutes=\[…\], and data"):
        learning_curve(pretrained, data_of(worms, target=""), [0.5])
    with pytest.raises(NeurodataError, match=r"a learning curve needs minutes=\[…\]"):
        learning_curve(pretrained, data, [])
