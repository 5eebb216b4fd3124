"""A network is shown only neurons that were in training: what belongs to others is as random as at the start."""

from __future__ import annotations

import pytest
import torch

from neurodata.models.checkpoints import from_pretrained, save_pretrained


def trained(task, batch):
    """The task after one look at a batch in training mode."""
    task.train().loss(batch)
    return task.eval()


def only(batch, n_channels):
    """The batch with its first channels alone recorded."""
    recorded = batch.recorded.clone()
    recorded[:, :, n_channels:] = False
    return batch._replace(recorded=recorded)


def test_neurons_never_met_change_nothing(network_name, spec, batch_of, task_of):
    batch = batch_of(spec)._replace()
    task = trained(task_of("decode", network_name, spec, dropped_channels=0.0), only(batch, 3))
    met = task.network.knows(batch)
    assert met.any()
    assert not met.all()
    unmet = ~met[:, None] & batch.recorded
    changed = batch._replace(values=torch.where(unmet, batch.values + 5.0, batch.values))
    assert torch.equal(task.predict_step(batch, 0), task.predict_step(changed, 0))
    shown = batch._replace(values=torch.where(unmet, batch.values, batch.values + 5.0 * batch.recorded))
    assert not torch.equal(task.predict_step(batch, 0), task.predict_step(shown, 0))


def test_a_neuron_never_met_keeps_its_last_value_in_a_forecast(network_name, spec, batch_of, task_of):
    batch = batch_of(spec, missing=0.0)
    task = trained(
        task_of("forecast", network_name, spec, dropped_channels=0.0, horizons_seconds=(1.0,)), only(batch, 3)
    )
    unmet = ~task.network.knows(batch)
    future, last = task(batch)
    kept = (future == last[:, None]).all(1)
    assert unmet.any()
    assert kept[unmet].all()
    assert not kept[~unmet & batch.present].all()


def test_before_any_training_all_are_shown(network_name, spec, batch_of, network_of):
    batch, network = batch_of(spec), network_of(network_name, spec).eval()
    assert network.knows(batch).all()
    assert torch.equal(network.see(batch).visible, batch.recorded)


def test_neurons_missing_from_the_recording_are_not_met(spec, batch_of, network_of):
    batch, network = batch_of(spec), network_of("gru", spec).train()
    network.see(batch._replace(recorded=torch.zeros_like(batch.recorded)))
    assert not network.met.any()


@pytest.mark.parametrize("network", ["gru"])
def test_who_was_met_is_saved_with_the_weights(network, spec, batch_of, task_of, tmp_path):
    task = trained(task_of("decode", network, spec), only(batch_of(spec), 3))
    save_pretrained(task, tmp_path, {})
    assert torch.equal(from_pretrained(tmp_path).network.met, task.network.met)
