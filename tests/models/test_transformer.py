"""What only the transformer promises: it looks at recorded tokens only, and time is in seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neurodata.errors import NeurodataError
from neurodata.models.build import make_network
from neurodata.models.layers.attention import Attention, Block, rotate


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Attention(16, 2).eval()


def test_attention_looks_at_attended_tokens_only(layer):
    x, attended = torch.randn(2, 6, 16), torch.tensor([[1, 1, 0, 1, 0, 1], [1, 0, 0, 0, 0, 1]]).bool()
    changed = torch.where(attended[..., None], x, x + 100)
    plain, other = layer(x, attended), layer(changed, attended)
    torch.testing.assert_close(other[attended], plain[attended], rtol=0, atol=0)
    assert (other[~attended] - plain[~attended]).abs().max() > 1e-3  # a token that is not looked at still asks


def test_where_nothing_may_be_looked_at_the_result_is_0(layer):
    x, attended = torch.randn(2, 6, 16, requires_grad=True), torch.tensor([[True] * 6, [False] * 6])
    out = layer(x, attended)
    assert not out[1].any()
    out.sum().backward()
    assert bool(x.grad.isfinite().all())


def test_a_block_does_not_read_tokens_without_anything_recorded():
    torch.manual_seed(0)
    block, x = Block(16, 2, 0.0).eval(), torch.randn(1, 5, 4, 16)
    attended = torch.ones(1, 5, 4, dtype=torch.bool)
    attended[0, 3], attended[0, 1, 2] = False, False
    changed = torch.where(attended[..., None], x, x - 50)
    seconds = torch.arange(4.0)
    plain, other = block(x, attended, seconds), block(changed, attended, seconds)
    torch.testing.assert_close(other[attended], plain[attended], rtol=0, atol=1e-5)


@pytest.mark.parametrize("shift", [0.5, 17.0, 300.0])
def test_only_differences_of_time_count(layer, shift):
    x, attended, seconds = torch.randn(2, 6, 16), torch.ones(2, 6, dtype=torch.bool), torch.rand(6) * 20
    torch.testing.assert_close(layer(x, attended, seconds + shift), layer(x, attended, seconds), rtol=0, atol=1e-4)


def test_time_does_count(layer):
    x, attended, seconds = torch.randn(2, 6, 16), torch.ones(2, 6, dtype=torch.bool), torch.arange(6.0)
    assert (layer(x, attended, seconds * 2) - layer(x, attended, seconds)).abs().max() > 1e-3
    assert (layer(x, attended, seconds) - layer(x, attended)).abs().max() > 1e-3


def test_rotation_keeps_lengths_and_turns_by_seconds():
    x, seconds = torch.randn(3, 5, 8), torch.tensor([0.0, 0.5, 2.0, 10.0, 60.0])
    turned = rotate(x, seconds)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[:, 0], x[:, 0])
    # the shortest period is 2 s, so the first pair is back after 2, 10 and 60 s; a quarter of a turn after 0.5 s
    torch.testing.assert_close(turned[:, 2:, 0], x[:, 2:, 0], rtol=0, atol=1e-4)
    assert (turned[:, 1, 0] - x[:, 1, 0]).abs().max() > 0.1


def test_angles_keep_their_precision_in_half_precision():
    x, seconds = torch.randn(1, 6, 8), torch.linspace(0, 90, 6)
    exact, rough = rotate(x, seconds), rotate(x.bfloat16(), seconds).float()
    assert (rough - exact).abs().max() < 0.05


def test_the_network_shifted_in_time_answers_the_same(spec, batch_of, network_of, both):
    network, batch = network_of("transformer", spec), batch_of(spec)
    for one, other in zip(both(network, batch), both(network, batch._replace(seconds=batch.seconds + 100))):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-4)


def test_tokens_of_a_neuron_never_recorded_are_not_read(spec, batch_of, network_of, both):
    """It may be anyone: renaming it changes no other channel."""
    network, batch = network_of("transformer", spec), batch_of(spec)
    recorded = batch.recorded.clone()
    recorded[..., 4] = False
    ids = batch.channel_ids.clone()
    ids[:, 4] = 0
    silent = batch._replace(recorded=recorded)
    (_, plain), (_, other) = both(network, silent), both(network, silent._replace(channel_ids=ids))
    others = [0, 1, 2, 3, 5, 6]
    torch.testing.assert_close(other[..., others], plain[..., others], rtol=0, atol=1e-5)


def test_a_doubled_rate_has_twice_the_samples_for_the_same_seconds(spec, batch_of, network_of, both):
    fast = replace(spec, rate_hz=6.0, window_samples=36)
    batch = batch_of(fast)
    features, rebuilt = both(network_of("transformer", fast, patch_samples=6), batch)
    assert features.shape[1] == rebuilt.shape[1] == 36
    assert float(batch.seconds[-1]) == pytest.approx(35 / 6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"patch_samples": 5}, r"patch_samples=5 must divide the window of 18 samples", id="patch"),
        pytest.param({"patch_samples": 0}, r"patch_samples=0 must divide", id="no patch"),
        pytest.param({"patch_samples": -3}, r"patch_samples=-3 must divide", id="negative patch"),
        pytest.param({"token_width": 30, "n_heads": 4}, r"2 \* n_heads=8 must divide token_width=30", id="width"),
        pytest.param({"n_heads": 0}, r"2 \* n_heads=0 must divide", id="no heads"),
        pytest.param({"token_width": -16}, r"must divide token_width=-16", id="negative width"),
    ],
)
def test_impossible_patches_and_widths_are_refused(spec, options, text):
    with pytest.raises(NeurodataError, match=text):
        make_network("transformer", spec, {"patch_samples": 3} | options)
