"""Made-up worms, batches and catalogue entries that the tests of models start from."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurodata.batches.batch import Batch
from neurodata.catalogue import list_entries, read_entry
from neurodata.identity import celegans
from neurodata.models.build import make_network, make_task
from neurodata.models.network import Network, make_inputs
from neurodata.models.task import Task
from neurodata.windows.spec import DataSpec

NETWORKS = [name for name in list_entries("networks") if issubclass(read_entry("networks", name), Network)]
TASKS = [name for name in list_entries("tasks") if issubclass(read_entry("tasks", name), Task)]
"""Those that learn from windows; `test_array_task.py` holds the contract of those that are fitted to whole arrays."""
SMALL = {
    "transformer": {"token_width": 16, "n_heads": 2, "n_layers": 2, "patch_samples": 3, "width": 12, "pooled_width": 8},
    "perceiver": {"size": "tiny", "dropped_identity": 0.0},
    "poyo": {"width": 16, "n_heads": 1, "n_layers": 1},
}
"""Smaller than the defaults, so that the tests are quick; other networks are small already."""


def _stir(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module


@pytest.fixture(params=NETWORKS)
def network_name(request):
    return request.param


@pytest.fixture(params=TASKS)
def task_name(request):
    return request.param


@pytest.fixture(scope="session")
def spec():
    """Two homologues a group, a class target, windows of 6 s at 3 Hz."""
    vocabulary = celegans.NAMES[:20]
    groups = tuple(f"g{i // 2}" for i in range(20))
    return DataSpec("calcium", 3.0, 18, vocabulary, groups, "state", "class", ("a", "b", "c"))


@pytest.fixture(scope="session")
def continuous_spec(spec):
    return replace(spec, target="wheel", target_kind="continuous", classes=("x", "y"))


@pytest.fixture(scope="session")
def batch_of():
    """Make a batch for a spec: some values are not recorded, windows have different channels."""

    def make(spec, *, n_windows=3, n_channels=7, seed=0, missing=0.1):
        generator = torch.Generator().manual_seed(seed)
        shape = (n_windows, spec.window_samples, n_channels)
        recorded = torch.rand(shape, generator=generator) >= missing
        values = torch.randn(shape, generator=generator) * recorded
        ids = torch.stack([torch.randperm(len(spec.vocabulary), generator=generator)[:n_channels] + 1 for _ in range(n_windows)])  # fmt: skip
        if spec.target_kind == "class":
            target = torch.randint(-1, spec.n_outputs, shape[:2], generator=generator)
        elif spec.target_kind == "continuous":
            target = torch.randn((*shape[:2], spec.n_outputs), generator=generator)
        else:
            target = torch.zeros((n_windows, 0), dtype=torch.int64)
        present = torch.ones(n_windows, n_channels, dtype=torch.bool)
        seconds = torch.arange(spec.window_samples) / spec.rate_hz
        numbers = torch.arange(n_windows)
        return Batch(values, recorded, ids, present, seconds, target, numbers, numbers)

    return make


@pytest.fixture(scope="session")
def network_of():
    """Make a small network with every weight away from zero, so that no path is silent, in evaluation mode."""

    def make(name, spec, *, seed=0, stirred=True, **options):
        torch.manual_seed(seed)
        network = make_network(name, spec, SMALL.get(name, {}) | options).eval()
        return _stir(network) if stirred else network

    return make


@pytest.fixture(scope="session")
def task_of(network_of):
    """Make a task around a small network, every weight of both away from zero."""

    def make(name, network_name, spec, *, seed=0, stirred=True, **options):
        network = network_of(network_name, spec, seed=seed, stirred=False)
        settings = {"horizons_seconds": [1.0, 2.0]} if name == "forecast" else {}
        task = make_task(name, network, settings | options)
        return _stir(task) if stirred else task

    return make


@pytest.fixture(scope="session")
def both():
    """Features and reconstruction of a batch, without gradients."""

    def run(network, batch, hidden=None):
        with torch.no_grad():
            inputs = make_inputs(batch, hidden)
            return network.features(inputs), network.reconstruct(inputs)

    return run


def _resident_mb(*what):
    with open("/proc/self/status", encoding="ascii") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith(what)) / 1024


def _grown_mb(run):
    ctypes.CDLL(None).malloc_trim(0)  # what is free already must not hide what is taken
    before = _resident_mb("RssAnon")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
        peak.write("5")
    kept = run()
    grown = _resident_mb("VmHWM") - _resident_mb("RssFile", "RssShmem") - before
    del kept
    return grown


@pytest.fixture
def grown_mb():
    """How much memory (MiB) calling something took at its peak, beyond what was taken before; without files."""
    assert 60 < _grown_mb(lambda: np.ones(2**23)) < 70  # 64 MiB are seen as such
    return _grown_mb
