"""Every task on every network trains through lightning.Trainer, and predictions are put together again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.errors import NeurodataError
from neurodata.models.build import make_network, make_task
from neurodata.models.network import make_inputs
from neurodata.models.tasks.decode import Decode
from neurodata.models.train import decode, fit, predict
from neurodata.windows.splits import split_by


@pytest.fixture(scope="module")
def data(worms):
    module = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=6, batches_per_epoch=4,
        split=split_by("subject", test=["w3"], validation=["w2"]), scaling="recording",
    )  # fmt: skip
    module.setup()
    return module


def small_task(name, network_name, spec, seed=0, **more):
    torch.manual_seed(seed)
    options = (
        {"token_width": 16, "n_heads": 2, "patch_samples": 3, "n_layers": 1} if network_name == "transformer" else {}
    )
    settings = {"horizons_seconds": [1.0, 2.0]} if name == "forecast" else {}
    return make_task(name, make_network(network_name, spec, options), settings | more)


def weights_after(data, task, **options):
    fitted = fit(task, data.train_dataloader(), steps=3, seed=11, **options)
    return fitted, {name: tensor.clone() for name, tensor in fitted.task.state_dict().items()}


def test_the_same_seed_gives_the_same_weights(data, task_name, network_name):
    starts = small_task(task_name, network_name, data.spec).state_dict()
    one, other = (weights_after(data, small_task(task_name, network_name, data.spec))[1] for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], starts[name]) for name in one)


def test_the_curve_holds_both_losses_and_evaluation_mode_is_left_behind(data):
    task = small_task("pretrain", "linear", data.spec)
    fitted, _ = weights_after(data, task, validation=data.val_dataloader(), validate_every=1)
    assert not fitted.task.training
    assert fitted.curve.loc[fitted.curve["split"] == "validation", "step"].tolist() == [1, 2, 3]
    longer = fit(small_task("pretrain", "linear", data.spec), data.train_dataloader(), steps=20, seed=0)
    assert longer.curve.loc[longer.curve["split"] == "train", "step"].tolist() == [10, 20]


def test_a_loss_that_is_no_number_stops_the_run(data):
    task = small_task("decode", "linear", data.spec)
    task.head.bias.data.fill_(float("nan"))
    with pytest.raises(NeurodataError, match=r"the loss became nan at step 0; lower learning_rate"):
        fit(task, data.train_dataloader(), steps=2, seed=0)


def test_training_in_mixed_precision_comes_to_nearly_the_same(data):
    plain, mixed = (
        weights_after(data, small_task("decode", "transformer", data.spec), precision=precision)[1]
        for precision in ("32-true", "bf16-mixed")
    )
    assert torch.equal(plain.pop("network.met"), mixed.pop("network.met"))
    different = torch.cat([(plain[name] - mixed[name]).flatten().abs() for name in plain])
    size = torch.cat([plain[name].flatten().abs() for name in plain])
    assert 0 < different.mean() < 0.02 * size.mean()


def test_a_decoder_learns_states_and_decodes_a_worm_it_has_not_seen(data):
    task = make_task("decode", make_network("gru", data.spec, {}), {"class_counts": data.target_counts().tolist()})
    fit(task, data.train_dataloader(), steps=60, seed=0)
    (found,) = decode(task, data.test_dataloader())
    assert found.recording_id == "made_up/w3"
    known = found.truth >= 0
    assert (found.values.argmax(1) == found.truth)[known].mean() > 0.8


def test_every_sample_of_the_test_part_is_decoded_once_with_its_truth(worms):
    split = split_by("time", test=0.37, guard_seconds=6.0)
    module = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=4, split=split
    )
    task = small_task("decode", "gru", module.spec)
    found = decode(task, module.test_dataloader())
    assert [one.recording_id for one in found] == ["made_up/w1", "made_up/w2", "made_up/w3"]
    for one, stretch in zip(found, module.split.parts["test"]):
        span = module.prepared(one.recording_id).samples(stretch)
        assert one.samples.tolist() == list(range(span.start, span.stop))
        np.testing.assert_array_equal(one.truth, module.prepared(one.recording_id).target[span])
        np.testing.assert_allclose(one.values.sum(1), 1, atol=1e-5)


STEADY = {"dropped_channels": 0.0, "gain": 0.0, "offset": 0.0, "noise": 0.0}
"""Nothing drawn at random: compiled code draws other numbers from the same seed."""

compiling = pytest.mark.filterwarnings(
    # torch 2.13's compiler imports parts of itself that use torch.jit, which it announces the end of.
    "ignore:.torch.jit:DeprecationWarning"
)


class Clock(Decode):
    """Decodes each sample's position on the recording's clock, so that stitching can be checked."""

    def predict_step(self, batch, batch_index):
        return (batch.first[:, None] + torch.arange(batch.values.shape[1])).float()[..., None].expand(-1, -1, 3)


def test_windows_are_put_back_where_they_came_from(data):
    (found,) = decode(Clock(make_network("linear", data.spec, {})), data.covering_dataloader("test", 1.0))
    np.testing.assert_allclose(found.values, np.repeat(found.samples[:, None], 3, 1))


def test_predictions_do_not_depend_on_the_batch(data, worms):
    task = small_task("decode", "transformer", data.spec)
    plain = torch.cat(predict(task, data.test_dataloader()))
    one = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=1, split=data.split,
        scaling="recording",
    )  # fmt: skip
    torch.testing.assert_close(torch.cat(predict(task, one.test_dataloader())), plain, rtol=0, atol=1e-5)


@pytest.mark.slow
@compiling
def test_compiled_networks_give_the_same(network_name, spec, batch_of, network_of):
    if shutil.which("gcc") is None:
        pytest.skip("torch.compile needs gcc")
    network, batch = network_of(network_name, spec), batch_of(spec)
    inputs = make_inputs(batch)
    for answer in (network.features, network.reconstruct):
        with torch.no_grad():
            torch.testing.assert_close(torch.compile(answer)(inputs), answer(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@compiling
def test_a_compiled_task_trains_and_has_the_same_loss_and_gradients(data):
    """Gradients, not weights: Adam divides by their size, so that a rounding error of a tiny one becomes a step."""
    if shutil.which("gcc") is None:
        pytest.skip("torch.compile needs gcc")
    task = _without_dropout(small_task("decode", "transformer", data.spec, **STEADY))
    fitted, _ = weights_after(data, task, compile_network=True)
    compiled, batch = fitted.task.train(), next(iter(data.train_dataloader()))
    plain = _without_dropout(small_task("decode", "transformer", data.spec, **STEADY)).train()
    plain.load_state_dict(compiled.state_dict())
    assert "loss" in vars(compiled), "the loss was not compiled"
    for one in (plain, compiled):
        one.zero_grad()
        one.loss(batch).backward()
    torch.testing.assert_close(compiled.loss(batch), plain.loss(batch), rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters()):
        if one.grad is not None:
            torch.testing.assert_close(
                other.grad, one.grad, rtol=1e-3, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}"
            )


def _without_dropout(task):
    for module in task.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return task


def test_the_moving_average_is_of_weights_and_leaves_ids_alone(data):
    task = small_task("decode", "transformer", data.spec)
    ids = task.network.group_ids.clone()
    fit(task, data.train_dataloader(), steps=12, seed=0, average_decay=0.95)  # of which whole numbers come out one less
    assert torch.equal(task.network.group_ids, ids)
