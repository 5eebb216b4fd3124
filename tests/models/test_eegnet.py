"""What only EEGNet promises: the paper's sizes at the paper's rate, filters of bounded length, and power decoded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError
from neurodata.models.build import make_network, make_task
from neurodata.models.network import make_inputs
from neurodata.windows.spec import DataSpec

RATE_HZ, N_CHANNELS = 128.0, 8


@pytest.fixture(scope="module")
def eeg_spec():
    """Windows of 2 s at the paper's rate."""
    names = tuple(f"E{i}" for i in range(N_CHANNELS))
    return DataSpec("eeg", RATE_HZ, 256, names, target="rest", target_kind="class", classes=("busy", "resting"))


# --- sizes ------------------------------------------------------------------------------------------------------


def test_sizes_at_128_hz_are_the_paper_s(eeg_spec):
    """Table 2, EEGNet-8,2 with C = 8 channels; the filters have a row more, for the unknown channel."""
    network = make_network("eegnet", eeg_spec, {})
    assert network.temporal.weight.shape == (8, 1, 64)
    assert network.spatial.weight.shape == (N_CHANNELS + 1, 2 * 8)
    assert network.depthwise.weight.shape == (16, 1, 16)
    assert network.pointwise.weight.shape == (16, 16, 1)
    assert (network.first_pool, network.second_pool, network.width) == (4, 8, 16)


@pytest.mark.parametrize(
    ("rate_hz", "n_samples", "kernels", "pools"),
    [
        pytest.param(250.0, 500, (125, 16), (8, 8), id="another EEG rate"),
        pytest.param(128.0, 40, (40, 10), (4, 8), id="a window shorter than the kernel"),
        pytest.param(3.0, 18, (3, 3), (1, 1), id="a worm"),
        pytest.param(0.5, 20, (3, 3), (1, 1), id="fMRI"),
        pytest.param(128.0, 1, (1, 1), (1, 1), id="one sample"),
        pytest.param(128.0, 6, (6, 2), (3, 2), id="shorter than the pools"),
    ],
)
def test_lengths_follow_the_rate_and_fit_the_window(eeg_spec, batch_of, rate_hz, n_samples, kernels, pools):
    spec = replace(eeg_spec, rate_hz=rate_hz, window_samples=n_samples)
    network = make_network("eegnet", spec, {})
    assert (network.temporal.kernel_size[0], network.depthwise.kernel_size[0]) == kernels
    assert (network.first_pool, network.second_pool) == pools
    inputs = make_inputs(batch_of(spec))
    assert network.features(inputs).shape == (3, n_samples, 16)
    assert network.reconstruct(inputs).shape == (3, n_samples, 7)


@pytest.mark.parametrize("option", ["n_temporal", "n_spatial", "n_pointwise", "kernel_seconds", "pool_seconds"])
def test_impossible_sizes_are_refused(eeg_spec, option):
    with pytest.raises(NeurodataError, match=rf"{option} must be a positive number, got 0"):
        make_network("eegnet", eeg_spec, {option: 0})


# --- spatial filters --------------------------------------------------------------------------------------------


def test_no_spatial_filter_is_longer_than_1_and_shorter_ones_are_kept(eeg_spec):
    network = make_network("eegnet", eeg_spec, {})
    with torch.no_grad():
        network.spatial.weight.copy_(torch.randn(N_CHANNELS + 1, 16) * torch.logspace(-3, 3, 16))
        held = network.spatial_filters()
    lengths = network.spatial.weight.norm(dim=0)
    torch.testing.assert_close(held.norm(dim=0), lengths.clamp(max=1))
    short = lengths < 1
    assert 0 < short.sum() < 16
    torch.testing.assert_close(held[:, short], network.spatial.weight[:, short])


def test_the_limit_holds_while_an_optimiser_pushes(eeg_spec, batch_of):
    torch.manual_seed(0)
    network = make_network("eegnet", eeg_spec, {})
    inputs = make_inputs(batch_of(eeg_spec))
    optimizer = torch.optim.SGD(network.parameters(), lr=10.0)
    for _ in range(5):
        network.features(inputs).square().mean().neg().backward()
        optimizer.step()
        assert network.spatial_filters().norm(dim=0).max() < 1 + 1e-5


def test_a_missing_channel_takes_nothing_but_its_own_share(eeg_spec, batch_of, network_of):
    """What is filtered is a sum over channels: without one it is the sum over the others."""
    network, batch = network_of("eegnet", eeg_spec), batch_of(eeg_spec, missing=0)
    parts = []
    for kept in ([0, 1, 2], [3, 4, 5, 6], range(7)):
        recorded = torch.zeros_like(batch.recorded)
        recorded[..., list(kept)] = True
        parts.append(network._filtered(make_inputs(batch._replace(recorded=recorded))).detach())
    nothing = network._filtered(make_inputs(batch._replace(recorded=torch.zeros_like(recorded)))).detach()
    torch.testing.assert_close(parts[0] + parts[1] - nothing, parts[2], rtol=0, atol=1e-5)


# --- time -------------------------------------------------------------------------------------------------------


def test_what_happens_at_a_time_shows_in_the_features_of_that_time(eeg_spec, batch_of, network_of):
    """Kernels reach half a second around, twice, and pooling a quarter of a second."""
    network, batch = network_of("eegnet", eeg_spec), batch_of(eeg_spec, missing=0)
    louder = batch.values.clone()
    louder[:, 120:136] += 5
    with torch.no_grad():
        plain, other = (network.features(make_inputs(b)) for b in (batch, batch._replace(values=louder)))
    moved = (other - plain).norm(dim=-1).mean(0)
    assert 100 < int(moved.argmax()) < 156
    assert float(moved[:16].max()) < 1e-5 < 1e-2 < float(moved.max())
    assert moved.diff().abs().max() < 0.1 * moved.max()  # interpolated, not in steps


# --- learning ---------------------------------------------------------------------------------------------------


def alpha(n_windows, seed):
    """Noise on all channels; at rest a rhythm of 10 Hz with a random phase, as strong as the noise, on two of them."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n_windows, 256, N_CHANNELS, generator=generator)
    seconds, resting = torch.arange(256) / RATE_HZ, torch.arange(n_windows) % 2
    phase = 2 * torch.pi * torch.rand(n_windows, 1, generator=generator)
    rhythm = (2 * torch.pi * 10 * seconds + phase).sin() * 2**0.5
    values[..., 2:4] += (rhythm * resting[:, None])[..., None] * torch.tensor([1.0, -1.0])
    ids = torch.arange(N_CHANNELS).repeat(n_windows, 1) + 1
    target = resting[:, None].expand(-1, 256)
    seen = torch.ones(values.shape, dtype=torch.bool)
    return Batch(values, seen, ids, seen[:, 0], seconds, target, resting, resting)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [pytest.param("eegnet", 0.9, 1.0, id="eegnet"), pytest.param("linear", 0.0, 0.65, id="a linear readout cannot")],
)
def test_power_of_a_rhythm_is_decoded(eeg_spec, name, least, most):
    torch.manual_seed(0)
    options = {"lagged_readout": name == "linear", "gain": 0.0, "offset": 0.0, "noise": 0.0, "dropped_channels": 0.0}
    task = make_task("decode", make_network(name, eeg_spec, {}), options).train()
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for step in range(60):
        loss = task.loss(alpha(16, seed=step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch = alpha(100, seed=10**6)
    with torch.no_grad():
        found = task.eval().predict_step(batch, 0).mean(1).argmax(-1)
    assert least <= float((found == batch.target[:, 0]).float().mean()) <= most
