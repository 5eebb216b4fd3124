"""What only poyo promises: tokens are events, time is in seconds, sessions without a common unit are one problem."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError
from neurodata.models.build import make_network, make_task
from neurodata.models.layers.attention import rotate
from neurodata.models.layers.events import gather_events
from neurodata.models.layers.timed_attention import TimedAttention, make_periods
from neurodata.models.network import make_inputs
from neurodata.windows.spec import DataSpec

CHANNELS = ("values", "recorded", "channel_ids", "present")


@pytest.fixture(scope="module")
def counts(spec, batch_of):
    """Counts of spikes, most of them zero, some not recorded."""
    batch = batch_of(spec, n_windows=4)
    drawn = torch.poisson(torch.full(batch.values.shape, 0.3), generator=torch.Generator().manual_seed(1))
    return batch._replace(values=drawn * batch.recorded)


# --- events -----------------------------------------------------------------------------------------------------


def test_there_are_as_many_tokens_as_visible_bins_that_are_not_empty(counts):
    hidden = torch.rand(counts.values.shape, generator=torch.Generator().manual_seed(2)) < 0.4
    events = gather_events(make_inputs(counts, hidden))
    happened = counts.recorded & ~hidden & (counts.values > 0)
    assert events.real.sum(1).tolist() == happened.sum((1, 2)).tolist()
    assert events.real.shape == (4, int(happened.sum((1, 2)).max()))  # padded to the fullest window, not to all bins
    assert events.real.shape[1] < counts.values[0].numel() / 4


def test_an_event_says_who_when_and_how_much(counts):
    events = gather_events(make_inputs(counts))
    for window in range(4):
        rows = [column[window][events.real[window]].tolist() for column in (events.seconds, events.channel_ids, events.values)]  # fmt: skip
        sample, channel = counts.values[window].nonzero(as_tuple=True)
        expected = (counts.seconds[sample], counts.channel_ids[window][channel], counts.values[window, sample, channel])
        assert rows == [column.tolist() for column in expected]


def test_more_units_that_are_silent_cost_nothing(counts):
    silent = counts._replace(**{name: functional.pad(getattr(counts, name), (0, 500)) for name in CHANNELS})
    assert gather_events(make_inputs(silent)).real.shape == gather_events(make_inputs(counts)).real.shape


def test_where_nothing_happens_there_are_no_events_and_answers_are_finite(spec, counts, network_of, both):
    silent = counts._replace(values=torch.zeros_like(counts.values))
    assert gather_events(make_inputs(silent)).real.shape == (4, 0)
    assert all(bool(answer.isfinite().all()) for answer in both(network_of("poyo", spec), silent))


# --- the network ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.37, 17.0, -100.0])
def test_a_clock_that_starts_elsewhere_changes_nothing(spec, counts, network_of, both, shift):
    network = network_of("poyo", spec)
    for one, other in zip(both(network, counts), both(network, counts._replace(seconds=counts.seconds + shift))):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-4)


def test_when_within_the_window_does_change_the_answer(spec, counts, network_of, both):
    network = network_of("poyo", spec)
    later = counts._replace(values=counts.values.roll(4, 1), recorded=counts.recorded.roll(4, 1))
    for one, other in zip(both(network, counts), both(network, later)):
        assert (other - one).abs().max() > 1e-2


def test_the_order_of_units_and_padding_do_not_matter(spec, counts, network_of, both):
    network, order = network_of("poyo", spec), torch.randperm(7, generator=torch.Generator().manual_seed(3))
    turned = counts._replace(**{name: getattr(counts, name)[..., order] for name in CHANNELS})
    padded = turned._replace(**{name: functional.pad(getattr(turned, name), (0, 5)) for name in CHANNELS})
    (features, rebuilt), (other_features, other_rebuilt) = both(network, counts), both(network, padded)
    torch.testing.assert_close(other_features, features, rtol=0, atol=1e-5)
    torch.testing.assert_close(other_rebuilt[..., :7], rebuilt[..., order], rtol=0, atol=1e-5)


def test_a_fuller_window_beside_it_does_not_change_a_window(spec, counts, network_of, both):
    network = network_of("poyo", spec)
    fuller = counts._replace(values=torch.cat([counts.values[:1], counts.values[1:] + 3]))
    for one, other in zip(both(network, counts), both(network, fuller)):
        torch.testing.assert_close(other[:1], one[:1], rtol=0, atol=1e-5)
        assert (other[1:] - one[1:]).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("rate_hz", "n_samples", "n_ticks"),
    [
        pytest.param(20.0, 20, 8, id="every 125 ms"),
        pytest.param(3.0, 18, 18, id="no more than samples"),
        pytest.param(10.0, 300, 32, id="a long window"),
        pytest.param(1000.0, 50, 1, id="a very short window"),
    ],
)
def test_latents_stand_on_a_clock(spec, rate_hz, n_samples, n_ticks):
    assert make_network("poyo", replace(spec, rate_hz=rate_hz, window_samples=n_samples), {}).n_ticks == n_ticks


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"width": 30, "n_heads": 4}, r"2 \* n_heads=8 must divide width=30", id="heads"),
        pytest.param({"n_latents": 0}, r"n_latents must be a positive number, got 0", id="no latents"),
        pytest.param({"latent_seconds": -1.0}, r"latent_seconds must be a positive number", id="clock"),
    ],
)
def test_impossible_sizes_are_refused(spec, options, text):
    with pytest.raises(NeurodataError, match=text):
        make_network("poyo", spec, options)


# --- attention --------------------------------------------------------------------------------------------------


def test_attention_to_nothing_is_nothing_and_to_little_is_little():
    torch.manual_seed(0)
    layer, periods = TimedAttention(16, 2), make_periods(8, 0.1, 4.0)
    x, seconds, tokens = torch.randn(1, 3, 16), torch.rand(3), torch.randn(1, 1, 16).expand(1, 50, 16)
    sizes = []
    for n_tokens in (0, 1, 50):
        attended = torch.arange(50)[None] < n_tokens
        found = layer(x, seconds, periods, tokens, torch.zeros(50), attended) - layer.to_output.bias
        sizes.append(float(found.detach().norm()))
    assert sizes[0] < 1e-6
    assert sizes[1] < 0.7 * sizes[2]


def test_values_are_turned_back_to_the_time_of_the_question():
    """A query of zeros looks at all alike, and still tells how long ago the one token was."""
    torch.manual_seed(0)
    layer, periods = TimedAttention(16, 2).requires_grad_(False), make_periods(8, 0.1, 4.0)
    layer.to_query.weight.zero_()
    tokens, one = torch.randn(1, 1, 16), torch.ones(1, 1, dtype=torch.bool)

    def ask(at, when):
        return layer(torch.randn(1, 1, 16), torch.tensor([at]), periods, tokens, torch.tensor([when]), one)

    torch.testing.assert_close(ask(1.3, 1.0), ask(9.3, 9.0), rtol=0, atol=1e-5)
    assert (ask(1.3, 1.0) - ask(1.6, 1.0)).abs().max() > 1e-2


def test_half_of_a_head_is_turned_and_half_is_timeless():
    periods = make_periods(16, 0.1, 4.0)
    assert periods.isfinite().tolist() == [True] * 4 + [False] * 4
    assert periods[[0, 3]].tolist() == pytest.approx([0.1, 4.0])
    x = torch.randn(2, 5, 16)
    turned = rotate(x, torch.rand(2, 5) * 10, periods)
    timeless = [4, 5, 6, 7, 12, 13, 14, 15]
    torch.testing.assert_close(turned[..., timeless], x[..., timeless], rtol=0, atol=0)
    assert (turned - x).abs().max() > 0.1


# --- learning ---------------------------------------------------------------------------------------------------


def reaching(n_windows, seed, n_samples=20, n_units=12):
    """Two sessions of disjoint units, each tuned to a direction of a smooth 2-D velocity; bins of 50 ms, about 12 Hz."""
    generator = torch.Generator().manual_seed(seed)
    session = torch.arange(n_windows) % 2
    angle = (torch.arange(n_units) * torch.tensor([[5], [7]]) + torch.tensor([[0], [3]])) * (2 * torch.pi / n_units)
    preferred = torch.stack([angle.cos(), angle.sin()], 1)[session]
    noise = torch.randn(n_windows, n_samples + 12, 2, generator=generator)
    velocity = functional.avg_pool1d(noise.transpose(1, 2), 13, 1).transpose(1, 2) * 13**0.5
    counts = torch.poisson((velocity @ preferred).exp() * 0.4, generator=generator)
    ids = torch.arange(n_units)[None] + 1 + n_units * session[:, None]
    seen = torch.ones(counts.shape, dtype=torch.bool)
    return Batch(counts, seen, ids, seen[:, 0], torch.arange(n_samples) / 20.0, velocity, session, session)


def test_two_sessions_of_tuned_neurons_are_decoded_by_one_network():
    names = tuple(f"{session}/{unit}" for session in "ab" for unit in range(12))
    spec = DataSpec("spike_counts", 20.0, 20, names, target="velocity", target_kind="continuous", classes=("x", "y"))
    torch.manual_seed(0)
    options = {"lagged_readout": False, "offset": 0.0, "gain": 0.0, "noise": 0.0, "dropped_channels": 0.0}
    network = make_network("poyo", spec, {"width": 32, "n_heads": 1, "n_layers": 1, "n_latents": 2, "dropout": 0.0})
    task = make_task("decode", network, options).train()
    optimizer = torch.optim.Adam(task.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=160)
    for step in range(160):
        loss = task.loss(reaching(16, seed=step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    batch = reaching(100, seed=10**6)
    with torch.no_grad():
        error = (task.eval().predict_step(batch, 0) - batch.target).square()
    for session in (0, 1):
        own = batch.recording == session
        r2 = 1 - error[own].sum() / batch.target[own].square().sum()
        assert r2 > 0.6, f"session {session}: R² {float(r2):.2f}"
