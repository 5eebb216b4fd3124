"""The contract of networks and tasks that are fitted to whole arrays."""

from __future__ import annotations

import inspect
import json

import pytest
import torch

from neurodata.catalogue import list_entries, read_entry
from neurodata.errors import CheckpointError, NeurodataError
from neurodata.models.array_task import ArrayNetwork, ArrayTask, ClosedForm, fit_arrays
from neurodata.models.build import make_network, make_task
from neurodata.models.checkpoints import CONFIG, from_pretrained, save_pretrained

NETWORKS = [name for name in list_entries("networks") if issubclass(read_entry("networks", name), ArrayNetwork)]
TASKS = [name for name in list_entries("tasks") if issubclass(read_entry("tasks", name), ArrayTask)]
TASK_OF = {"switching_glm": "switching", "tensor_factors": "factorise"}
"""Which task fits which network."""


class Halve(ArrayTask):
    """Halves a number every sweep, and draws one."""

    def __init__(self):
        network = ArrayNetwork({})
        network.value = torch.nn.Parameter(torch.tensor(1024.0))
        network.drawn = torch.nn.Parameter(torch.tensor(0.0))
        super().__init__(network)

    def training_step(self, batch, batch_index):
        with torch.no_grad():
            self.network.value /= batch
            self.network.drawn.copy_(torch.randn(()))
        self.optimizers().step()
        self.seen = self.global_step


def test_sweeps_are_counted_and_leave_the_caller_s_random_numbers_alone():
    task, state = Halve(), torch.get_rng_state()
    fit_arrays(task, [2.0, 2.0], epochs=3, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert task.network.value == 16.0
    assert task.seen == 6
    assert not task.training
    again = Halve()
    fit_arrays(again, [2.0, 2.0], epochs=3, seed=5)
    assert again.network.drawn == task.network.drawn != 0


def test_a_fit_goes_on_where_it_stopped(tmp_path):
    first = Halve()
    fit_arrays(first, [2.0], epochs=2, seed=0, folder=tmp_path)
    later = Halve()
    fit_arrays(later, [2.0], epochs=5, seed=0, folder=tmp_path)
    assert (first.network.value, later.network.value, later.seen) == (256.0, 32.0, 5)


def test_the_optimizer_changes_nothing():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    ClosedForm([parameter]).step()
    assert torch.equal(parameter, torch.ones(2))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_built_again_from_its_hyperparameters(name):
    parameters = inspect.signature(read_entry("networks", name)).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters)
    network = make_network(name, None, {})
    plain = json.loads(json.dumps(network.hyperparameters))
    assert set(plain) == {p.name for p in parameters}
    again = make_network(name, None, plain)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_built_around_a_network_with_named_hyperparameters(name):
    first, *others = inspect.signature(read_entry("tasks", name)).parameters.values()
    assert first.name == "network"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in others)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_comes_back_bit_by_bit(name, tmp_path):
    task = make_task(TASK_OF[name], make_network(name, None, {}), {})
    with torch.no_grad():
        for parameter in task.parameters():
            parameter += torch.rand_like(parameter)
    save_pretrained(task, tmp_path, {"trained_on": {}, "seed": 1})
    assert json.loads((tmp_path / CONFIG).read_text())["spec"] is None
    found = from_pretrained(tmp_path)
    assert type(found) is type(task)
    assert all(torch.equal(found.state_dict()[key], value) for key, value in task.state_dict().items())


def test_a_spec_where_none_belongs_is_refused(tmp_path, spec, task_of):
    with pytest.raises(NeurodataError, match="network 'gru' needs a data spec"):
        make_network("gru", None, {})
    save_pretrained(task_of("decode", "gru", spec), tmp_path, {})
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"spec": None}))
    with pytest.raises(CheckpointError, match="network 'gru' needs a data spec"):
        from_pretrained(tmp_path)
