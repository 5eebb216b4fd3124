"""Several targets are decoded at once: each by its own query and readout, in its own units, and none drowns another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture
from neurodata.errors import NeurodataError
from neurodata.models.build import make_network, make_task
from neurodata.models.checkpoints import from_pretrained, save_pretrained
from neurodata.models.train import fit, predict
from neurodata.windows.splits import split_by

STEADY = {"dropped_channels": 0.0, "gain": 0.0, "offset": 0.0, "noise": 0.0}


@pytest.fixture(scope="module")
def data(worms):
    """Worms' states at 3 Hz, their wheel at 6 Hz, and a source of which nothing is decoded."""
    common = {"inputs": "calcium", "channels": "all", "identity": "recording_channel", "scaling": "recording", "split": split_by("recording", test=["made_up/w3"])}  # fmt: skip
    made = Mixture(
        {
            "silent": RecordingDataModule(worms, window_seconds=4.0, rate_hz=2.0, **common),
            "states": RecordingDataModule(worms, target="state", window_seconds=6.0, rate_hz=3.0, **common),
            "wheel": RecordingDataModule(worms, target="wheel", window_seconds=3.0, rate_hz=6.0, **common),
        },
        batch_size=12,
    )
    made.setup()
    return made


def task_of(data, *, network="perceiver", seed=0, **options):
    torch.manual_seed(seed)
    hyperparameters = {"size": "tiny", "dropout": 0.0, "dropped_identity": 0.0} if network == "perceiver" else {}
    settings = data.target_options() | STEADY | options
    return make_task("multitask_decode", make_network(network, data.spec, hyperparameters), settings)


def test_a_class_and_a_continuous_target_are_learned_at_once(data):
    task = task_of(data, learning_rate=1e-2)
    batches = next(iter(data.train_dataloader()))
    before = float(task.eval().loss(batches).detach())
    fit(task, data.train_dataloader(), steps=80, seed=0)
    with torch.no_grad():
        assert float(task.loss(batches).detach()) < 0.5 * before
    silent, states, wheel = task.predict_step(batches, 0)
    assert silent is None
    known = batches[1].target >= 0
    assert float((states.argmax(-1) == batches[1].target)[known].float().mean()) > 0.7
    backing = torch.corrcoef(torch.stack([wheel[..., 0].flatten(), batches[2].target[..., 0].flatten().float()]))
    assert float(backing[0, 1].detach()) > 0.6


def test_predictions_are_probabilities_and_values_in_the_target_s_units(data):
    task, batches = task_of(data).eval(), next(iter(data.train_dataloader()))
    _, states, wheel = task.predict_step(batches, 0)
    torch.testing.assert_close(states, torch.full_like(states, 1 / 3))  # untrained, every class is as likely
    mean, _ = data.sources["wheel"].target_statistics()
    torch.testing.assert_close(wheel[0, 0].double(), torch.as_tensor(mean), rtol=1e-5, atol=1e-5)
    found = predict(task, data.covering_dataloader("test"))
    assert [part if part is None else part.shape[-1] for part in found[0]] == [None, 3, 2]


def test_the_loss_is_the_mean_over_targets(data):
    """The worse of a wheel in other units is as bad as before."""
    task, batches = task_of(data).eval(), next(iter(data.train_dataloader()))
    found = [task._loss(batches[1], 0), task._loss(batches[2], 1)]
    torch.testing.assert_close(task.loss(batches), torch.stack(found).mean())
    assert float(found[0].detach()) == pytest.approx(np.log(3), rel=0.35)
    larger = data.target_options()
    larger = {**larger, "output_mean": [1000 * v for v in larger["output_mean"]], "output_std": [1000 * v for v in larger["output_std"]]}  # fmt: skip
    other = task_of(data, **larger).eval()
    scaled = (*batches[:2], batches[2]._replace(target=1000 * batches[2].target))
    torch.testing.assert_close(other.loss(scaled), task.loss(batches), rtol=1e-4, atol=1e-5)


def test_each_target_has_its_own_query(data):
    task, batches = task_of(data).train(), next(iter(data.train_dataloader()))
    with torch.no_grad():
        for head in task.heads:
            head.weight.normal_()
    task.loss((batches[0], batches[1], batches[2]._replace(target=torch.full_like(batches[2].target, torch.nan)))).backward()  # fmt: skip
    assert task.queries.shape == (2, task.network.width)
    assert task.queries.grad[0].abs().sum() > 0
    assert not task.queries.grad[1].any()
    assert task.network.enter["calcium"].weight.grad.abs().sum() > 0


def test_values_that_were_not_recorded_do_not_count(data):
    task, batches = task_of(data).eval(), next(iter(data.train_dataloader()))
    target = batches[2].target.clone()
    target[:, ::2] = torch.nan
    loss = task._loss(batches[2]._replace(target=target), 1)
    kept = task.predict_target(batches[2], 1)[:, 1::2]
    deviations = torch.as_tensor(data.target_options()["output_std"][3:])
    torch.testing.assert_close(loss, ((kept - target[:, 1::2]) / deviations).square().mean(), rtol=1e-4, atol=1e-5)


def test_channels_are_dropped_in_training_only(data):
    batches = next(iter(data.train_dataloader()))
    for change in ({"dropped_channels": 0.9}, {"noise": 0.3}, {"gain": 0.5}):
        task = task_of(data, **change)
        with torch.no_grad():
            for head in task.heads:
                head.weight.normal_()
            assert torch.equal(task.eval().loss(batches), task.loss(batches))
            assert not torch.equal(task.train().loss(batches), task.loss(batches))


def test_any_network_of_one_source_is_read(spec, continuous_spec, batch_of, network_of):
    for made, n_outputs in ((spec, 3), (continuous_spec, 2)):
        task = make_task("multitask_decode", network_of("gru", made), {}).eval()
        batch = batch_of(made)
        assert task.queries is None
        assert task.predict_step(batch, 0).shape == (3, 18, n_outputs)
        assert bool(task.loss(batch).isfinite())


def test_it_is_saved_and_loaded_with_its_units(data, tmp_path):
    task, batches = task_of(data), next(iter(data.train_dataloader()))
    with torch.no_grad():
        for head in task.heads:
            head.weight.normal_()
    save_pretrained(task.eval(), tmp_path, {})
    again = from_pretrained(tmp_path)
    assert again.network.spec == data.spec
    for one, other in zip(again.predict_step(batches, 0)[1:], task.predict_step(batches, 0)[1:]):
        assert torch.equal(one, other)


def test_what_cannot_be_decoded_is_told(data, spec, network_of):
    bare = replace(spec, target="", target_kind="none", classes=())
    with pytest.raises(
        NeurodataError, match=r"there is nothing to decode: no source of the data was opened with a targ"
    ):
        make_task("multitask_decode", network_of("gru", bare), {})
    for name in ("class_counts", "output_mean", "output_std"):
        with pytest.raises(NeurodataError, match=rf"{name} has 2 entries for 5 outputs of all targets together"):
            task_of(data, **{name: [1.0, 1.0]})
    batches = next(iter(data.train_dataloader()))
    task = task_of(data)
    for wrong in (batches[1], batches[:2]):
        with pytest.raises(NeurodataError, match=r"a batch of each of the 3 sources.*got"):
            task.loss(wrong)
    with pytest.raises(NeurodataError, match=r"a batch of each of the 3 sources.*got"):
        task.predict_step(batches[1], 0)
