"""Checkpoints come back bit by bit, and nothing a file says is believed before it is checked."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from neurodata.errors import CheckpointError, NeurodataError
from neurodata.models.checkpoints import CARD, CONFIG, WEIGHTS, from_pretrained, read_config, save_pretrained, transfer

MANIFEST = {
    "trained_on": {"made_up/w1": "ab" * 32, "made_up/w2": "cd" * 32},
    "split_sha256": "ef" * 32,
    "seed": 3,
    "metrics": {"balanced_accuracy": {"value": 0.71, "low": 0.6, "high": 0.8}},
    "baselines": {"majority": 0.33},
    "licence": "CC-BY-4.0",
}


@pytest.fixture
def saved(tmp_path, spec, task_of):
    """A checkpoint of a GRU that decodes, and the task."""
    task = task_of("decode", "gru", spec).eval()
    save_pretrained(task, tmp_path / "saved", MANIFEST)
    return tmp_path / "saved", task


def edit(folder, change):
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def test_every_network_with_every_task_comes_back_bit_by_bit(
    tmp_path, task_name, network_name, spec, batch_of, task_of
):
    task, batch = task_of(task_name, network_name, spec).eval(), batch_of(spec)
    save_pretrained(task, tmp_path, MANIFEST)
    state = torch.get_rng_state()
    found = from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(found) is type(task)
    assert found.network.spec == spec
    assert not found.training
    for name, tensor in task.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
    for hparam, value in task.hparams.items():
        assert (
            list(found.hparams[hparam]) == list(value) if isinstance(value, tuple) else found.hparams[hparam] == value
        )
    losses = []
    for one in (task, found):
        torch.manual_seed(0)
        losses.append(one.loss(batch))
    assert torch.equal(*losses)
    if task_name != "pretrain":
        answers = (one.predict_step(batch, 0) for one in (task, found))
        for answer, other in zip(*(a if isinstance(a, tuple) else (a,) for a in answers)):
            assert torch.equal(answer, other)


def test_class_weights_and_a_continuous_target_come_back(tmp_path, spec, continuous_spec, batch_of, task_of):
    task = task_of("decode", "linear", spec, class_counts=[50, 25, 0])
    save_pretrained(task, tmp_path / "classes", MANIFEST)
    assert torch.equal(from_pretrained(tmp_path / "classes").class_weights, task.class_weights)
    task = task_of("decode", "linear", continuous_spec).eval()
    save_pretrained(task, tmp_path / "values", MANIFEST)
    batch = batch_of(continuous_spec)
    assert torch.equal(from_pretrained(tmp_path / "values").predict_step(batch, 0), task.predict_step(batch, 0))


def test_saving_twice_gives_the_same_bytes(tmp_path, spec, task_of):
    for name in ("one", "two"):
        save_pretrained(task_of("decode", "transformer", spec), tmp_path / name, MANIFEST)
    for file in (WEIGHTS, CONFIG, CARD):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_card_says_what_it_was_trained_on(saved):
    folder, task = saved
    card = (folder / CARD).read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\nlibrary_name: neurodata\n---\n# gru, task decode\n")
    assert "Trained on: made_up/w1, made_up/w2. A score on any of these recordings" in card
    assert f"- `made_up/w2`: `{'cd' * 32}`" in card
    assert f"{sum(w.numel() for w in task.state_dict().values()):,} parameters, stored as float32" in card
    for fact in ("split_sha256", "| seed | `3` |", "balanced_accuracy", "baselines", "at 3 Hz", "windows of 6 s"):
        assert fact in card
    assert read_config(folder)["manifest"] == MANIFEST


def test_recordings_without_digests_are_refused_and_nothing_written(tmp_path, spec, task_of):
    with pytest.raises(
        CheckpointError, match=r"trained_on: expected recording ids with their content digests, got \['w1'\]"
    ):
        save_pretrained(task_of("decode", "linear", spec), tmp_path / "new", {"trained_on": ["w1"]})
    assert not (tmp_path / "new").exists()


def test_a_title_is_the_card_s_heading(tmp_path, spec, task_of):
    save_pretrained(task_of("decode", "linear", spec), tmp_path, {"title": "Motor states of\nfive worms"})
    assert "\n# Motor states of five worms\n" in (tmp_path / CARD).read_text()


@pytest.mark.parametrize("manifest", [{"score": float("nan")}, {"score": {1, 2}}], ids=["NaN", "a set"])
def test_a_manifest_that_is_not_json_is_refused_and_nothing_written(tmp_path, spec, task_of, manifest):
    with pytest.raises(CheckpointError, match=r"manifest or hyperparameters are not JSON"):
        save_pretrained(task_of("decode", "linear", spec), tmp_path / "new", manifest)
    assert not (tmp_path / "new").exists()


def test_files_of_other_names_are_ignored(saved):
    folder, task = saved
    for name in ("golden.safetensors", "model.pkl", "evil.py", "notes.yaml"):
        (folder / name).write_bytes(b"\x80\x04 nobody reads this")
    assert torch.equal(from_pretrained(folder).head.weight, task.head.weight)


# --- half precision ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_weights_in_half_precision_come_back_as_float32(tmp_path, dtype, error, task_name, network_name, spec, task_of):
    task = task_of(task_name, network_name, spec)
    for name, kept in (("whole", "float32"), ("half", dtype)):
        save_pretrained(task, tmp_path / name, MANIFEST, dtype=kept)
        assert read_config(tmp_path / name)["dtype"] == kept
        assert f"stored as {kept}." in (tmp_path / name / CARD).read_text()
    stored, learned = load_file(tmp_path / "half" / WEIGHTS), dict(task.named_parameters())
    for name, value in task.state_dict().items():
        assert stored[name].dtype == (getattr(torch, dtype) if name in learned else value.dtype)
    whole, half = (sum(w.nbytes for w in load_file(tmp_path / name / WEIGHTS).values()) for name in ("whole", "half"))
    assert half < 0.6 * whole
    found = from_pretrained(tmp_path / "half").state_dict()
    for name, value in task.state_dict().items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value, rtol=error, atol=1e-7)


def test_statistics_are_never_rounded(tmp_path, continuous_spec, task_of):
    task = task_of("decode", "linear", continuous_spec, output_mean=[1e-7, 123.456789], output_std=[3e-8, 1e6])
    save_pretrained(task, tmp_path, MANIFEST, dtype="float16")
    found = from_pretrained(tmp_path)
    buffers = dict(task.named_buffers())
    assert [name for name, value in buffers.items() if value.is_floating_point()]
    for name, value in buffers.items():
        assert torch.equal(found.get_buffer(name), value)


def test_weights_too_large_for_float16_are_refused_and_nothing_written(tmp_path, spec, task_of):
    task = task_of("decode", "linear", spec)
    task.head.weight.data[0, 0] = 1e5
    text = (
        r"^head.weight: weights beyond 65504, the largest number that float16 holds; store the model as float32 or bfl"
    )
    with pytest.raises(CheckpointError, match=text):
        save_pretrained(task, tmp_path / "new", MANIFEST, dtype="float16")
    assert not (tmp_path / "new").exists()
    save_pretrained(task, tmp_path / "new", MANIFEST, dtype="bfloat16")


def test_an_unknown_precision_is_refused_by_name(tmp_path, spec, task_of):
    with pytest.raises(NeurodataError, match=r"no dtype of stored weights 'half'.* Known: float32, float16, bfloat16"):
        save_pretrained(task_of("decode", "linear", spec), tmp_path, MANIFEST, dtype="half")


def test_half_precision_is_as_strict(tmp_path, spec, task_of):
    save_pretrained(task_of("decode", "gru", spec), tmp_path, MANIFEST, dtype="float16")
    rewrite(tmp_path, lambda weights: weights.pop("network.enter.weight"))
    with pytest.raises(CheckpointError, match=r"% of the weights of .* not matched: network.enter.weight"):
        from_pretrained(tmp_path)


# --- weights that do not fit ------------------------------------------------------------------------------------


def rewrite(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def test_a_missing_weight_is_refused_with_the_share_that_matches(saved, batch_of, spec):
    folder, task = saved
    rewrite(folder, lambda weights: weights.pop("network.enter.weight"))
    total = sum(w.numel() for w in task.state_dict().values())
    share = 1 - task.network.enter.weight.numel() / total
    text = rf"{share:.1%} of the weights of .* match its model; not matched: network.enter.weight. Pass strict=False"
    with pytest.raises(CheckpointError, match=text):
        from_pretrained(folder)
    loose = from_pretrained(folder, strict=False)
    assert torch.equal(loose.head.weight, task.head.weight)
    assert not torch.equal(loose.network.enter.weight, task.network.enter.weight)


def test_a_weight_too_many_is_refused(saved):
    folder, _ = saved
    rewrite(folder, lambda weights: weights.update({"network.more": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"100.0% of the weights .* not matched: network.more"):
        from_pretrained(folder)
    from_pretrained(folder, strict=False)


def test_a_wrong_shape_is_refused(saved):
    folder, _ = saved
    rewrite(folder, lambda weights: weights.update({"head.bias": torch.zeros(4)}))
    with pytest.raises(CheckpointError, match=r"not matched: head.bias"):
        from_pretrained(folder)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda b: b[: len(b) // 2], id="cut in half"),
        pytest.param(lambda b: b"", id="empty"),
        pytest.param(lambda b: b"\xff" * 8 + b[8:], id="a header of 2 ** 64 bytes"),
        pytest.param(lambda b: b[:8] + b"x" + b[9:], id="a header that is no JSON"),
        pytest.param(lambda b: b"PK\x03\x04 a pickle in a zip", id="a torch file"),
    ],
)
def test_damaged_weights_are_refused(saved, damage):
    folder, _ = saved
    (folder / WEIGHTS).write_bytes(damage((folder / WEIGHTS).read_bytes()))
    with pytest.raises(CheckpointError, match=r"model.safetensors' cannot be read"):
        from_pretrained(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_a_missing_file_is_named(saved, name):
    folder, _ = saved
    (folder / name).unlink()
    with pytest.raises(
        CheckpointError, match=name if name == WEIGHTS else r"expected a folder with model.safetensors and"
    ):
        from_pretrained(folder)


# --- hostile configurations -------------------------------------------------------------------------------------


def network(**changes):
    return lambda config: config["network"].update(changes)


def hyper(part, **changes):
    return lambda config: config[part]["hyperparameters"].update(changes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(network(name="../../x"), r"no network '../../x'", id="a path for a name"),
        pytest.param(network(name="os"), r"no network 'os'", id="a module for a name"),
        pytest.param(network(name="__init__"), r"no network '__init__'", id="the package"),
        pytest.param(network(name=["gru"]), r"a network is a name", id="a list for a name"),
        pytest.param(network(name=None), r"a network is a name", id="null for a name"),
        pytest.param(network(hyperparameters=[1]), r"a network is a name", id="a list of hyperparameters"),
        pytest.param(lambda c: c["network"].pop("name"), r"does not describe a model: 'name'", id="no name"),
        pytest.param(hyper("network", layers=3), r"network 'gru' has no layers; it has width, dropout", id="unknown"),
        pytest.param(hyper("network", spec=3), r"network 'gru' has no spec", id="the spec as hyperparameter"),
        pytest.param(hyper("network", width="48"), r"wrong type of width='48'", id="text for a number"),
        pytest.param(hyper("network", width=True), r"wrong type of width=True", id="true for a number"),
        pytest.param(hyper("network", width=-4), r"does not describe a model", id="negative width"),
        pytest.param(hyper("network", dropout=7.0), r"does not describe a model: dropout", id="impossible dropout"),
        pytest.param(hyper("network", width=10**30), r"does not describe a model", id="width beyond any integer"),
        pytest.param(hyper("task", class_counts={"a": 1}), r"wrong type of class_counts", id="object for a list"),
        pytest.param(hyper("task", class_counts=[1, 2]), r"2 entries for 3 outputs", id="too few counts"),
        pytest.param(hyper("task", network=3), r"task 'decode' has no network", id="the network as hyperparameter"),
        pytest.param(lambda c: c["task"].update(name="Decode"), r"no task 'Decode'", id="unknown task"),
        pytest.param(lambda c: c["spec"].update(rate_hz="3"), r"wrong: rate_hz", id="a wrong spec"),
        pytest.param(lambda c: c.update(spec=[]), r"expected the parts task, network, spec", id="a list for a part"),
        pytest.param(lambda c: c.pop("manifest"), r"expected the parts", id="no manifest"),
        pytest.param(lambda c: c.update(neurodata_checkpoint=2), r"of checkpoint format 2, this version reads 1", id="2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strict", [True, False])
def test_hostile_configurations_are_refused(saved, change, text, strict):
    folder, _ = saved
    edit(folder, change)
    with pytest.raises(CheckpointError, match=text):
        from_pretrained(folder, strict=strict)


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", "null", '{"task": NaN}', "[" * 100_000, "\udcff"], ids=["cut", "list", "number", "null", "NaN", "deep", "no UTF-8"]
)  # fmt: skip
def test_a_configuration_that_is_not_json_is_refused(saved, text):
    folder, _ = saved
    (folder / CONFIG).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError, match=r"cannot be read|is not a neurodata checkpoint"):
        from_pretrained(folder)


def test_nan_in_a_configuration_is_refused(saved):
    folder, _ = saved
    edit(folder, hyper("task", learning_rate=float("nan")))  # Python's json writes it as NaN
    with pytest.raises(CheckpointError, match=r"NaN is not JSON"):
        from_pretrained(folder)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("network_name", "sizes"),
    [
        pytest.param("transformer", {"token_width": 16 * 10**6}, id="gigantic tokens"),
        pytest.param("transformer", {"pooled_width": 10**9}, id="gigantic pools"),
        pytest.param("transformer", {"n_layers": 10**9}, id="endless layers"),
        pytest.param("linear", {"width": 10**10}, id="gigantic features"),
        pytest.param("gru", {"width": 10**7}, id="gigantic state"),
    ],
)
def test_a_gigantic_model_is_not_even_allocated(tmp_path, spec, task_of, network_name, sizes, strict):
    save_pretrained(task_of("pretrain", network_name, spec), tmp_path, MANIFEST)
    edit(tmp_path, hyper("network", **sizes))
    tracemalloc.start()
    began, before = time.monotonic(), resident_bytes()
    with pytest.raises(CheckpointError, match=r"of the weights|far more layers|of which it holds|does not describe"):
        from_pretrained(tmp_path, strict=strict)
    assert time.monotonic() - began < 20
    assert resident_bytes() - before < 200e6
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- finding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nowhere", "./a/b", "../x/y", "/no/such", "a/b/c", "a\0b", "x" * 5000, ""])
def test_names_that_lead_nowhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"no checkpoint at .*expected a folder with model.safetensors and config"
    ):
        from_pretrained(name)


# --- transfer ---------------------------------------------------------------------------------------------------


def test_a_network_s_weights_go_to_another_task(network_name, spec, batch_of, network_of, both):
    source, target = network_of(network_name, spec), network_of(network_name, spec, seed=1)
    assert transfer(source, target) == 1.0
    batch = batch_of(spec)
    for one, other in zip(both(source, batch), both(target, batch)):
        assert torch.equal(one, other)


@pytest.mark.parametrize("what", ["vocabulary", "groups"])
def test_transfer_between_vocabularies_is_refused(network_name, spec, network_of, what):
    other = replace(spec, **{what: getattr(spec, what)[2:] + getattr(spec, what)[:1] + getattr(spec, what)[1:2]})
    if what == "groups":
        other = replace(spec, groups=tuple(f"g{i % 10}" for i in range(20)))
    with pytest.raises(CheckpointError, match=r"different vocabularies; their identity vectors would be mixed up"):
        transfer(network_of(network_name, spec), network_of(network_name, other))


def test_transfer_between_sizes_is_refused(spec, network_of):
    with pytest.raises(CheckpointError, match=r"of the weights match; not matched: back.weight, enter.weight"):
        transfer(network_of("gru", spec, width=8), network_of("gru", spec, width=16))
