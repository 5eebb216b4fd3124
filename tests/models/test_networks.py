"""The contract of all networks: who and when matters, the order of channels, padding and hidden values do not."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from torch.nn import functional

from neurodata.catalogue import read_entry
from neurodata.errors import NeurodataError
from neurodata.models.build import make_network
from neurodata.models.network import Network, make_inputs

SILENT = {
    # Rows that no batch of known channels reads need no gradient; these whole parameters need none for one answer.
    "features": ("back", "offset", "rebuild", "rebuilt", "gain_back", "around", "straight"),
    "reconstruct": (
        "pools",
        "gates",
        "to_hidden",
        "hidden_norm",
        "smooth",
        "to_samples",
        "behaviour",
        "moments",
        "tell",
        "told",
    ),
}


def test_a_network_is_built_from_a_spec_and_named_hyperparameters(network_name, spec):
    entry = read_entry("networks", network_name)
    assert issubclass(entry, Network)
    first, *others = inspect.signature(entry).parameters.values()
    assert first.name == "spec"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in others)
    network = make_network(network_name, spec, {})
    assert network.hyperparameters == {p.name: p.default for p in others}
    again = make_network(network_name, spec, json.loads(json.dumps(network.hyperparameters)))
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    assert network.spec == spec


def test_shapes(network_name, spec, batch_of, network_of, both):
    network = network_of(network_name, spec)
    features, rebuilt = both(network, batch_of(spec))
    assert features.shape == (3, 18, network.width)
    assert rebuilt.shape == (3, 18, 7)
    assert features.std() > 1e-3
    assert rebuilt.std() > 1e-3


def test_padding_changes_nothing(network_name, spec, batch_of, network_of, both):
    network, batch = network_of(network_name, spec), batch_of(spec)
    padded = batch._replace(**{name: functional.pad(getattr(batch, name), (0, 4)) for name in ("values", "recorded", "channel_ids", "present")})  # fmt: skip
    (features, rebuilt), (more_features, more_rebuilt) = both(network, batch), both(network, padded)
    torch.testing.assert_close(more_features, features, rtol=0, atol=1e-5)
    torch.testing.assert_close(more_rebuilt[..., :7], rebuilt, rtol=0, atol=1e-5)


def test_the_order_of_channels_does_not_matter(network_name, spec, batch_of, network_of, both):
    network, batch = network_of(network_name, spec), batch_of(spec)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    turned = batch._replace(**{name: getattr(batch, name)[..., order] for name in ("values", "recorded", "channel_ids", "present")})  # fmt: skip
    (features, rebuilt), (other_features, other_rebuilt) = both(network, batch), both(network, turned)
    torch.testing.assert_close(other_features, features, rtol=0, atol=1e-4)
    torch.testing.assert_close(other_rebuilt, rebuilt[..., order], rtol=0, atol=1e-4)


def test_windows_do_not_see_each_other(network_name, spec, batch_of, network_of, both):
    network, batch = network_of(network_name, spec), batch_of(spec)
    alone = batch._replace(**{name: getattr(batch, name)[1:2] for name in batch._fields if name != "seconds"})
    for together, single in zip(both(network, batch), both(network, alone)):
        torch.testing.assert_close(together[1:2], single, rtol=0, atol=1e-5)


@pytest.mark.parametrize("what", ["hidden", "not recorded"])
@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_hidden_values_have_no_influence(network_name, spec, batch_of, network_of, both, what, value):
    network, batch = network_of(network_name, spec), batch_of(spec)
    hidden = torch.rand(batch.values.shape, generator=torch.Generator().manual_seed(3)) < 0.4
    hidden[:, 12:] = True  # the slope at sample 11 would look there
    secret = hidden if what == "hidden" else ~batch.recorded
    changed = batch._replace(values=torch.where(secret, torch.full_like(batch.values, value), batch.values))
    for plain, other in zip(both(network, batch, hidden), both(network, changed, hidden)):
        torch.testing.assert_close(other, plain, rtol=0, atol=0)


def test_visible_values_and_identities_do_have_influence(network_name, spec, batch_of, network_of, both):
    network, batch = network_of(network_name, spec), batch_of(spec, missing=0)
    values = batch.values.clone()
    values[:, 9, 2] += 1
    renamed = batch._replace(channel_ids=batch.channel_ids % len(spec.vocabulary) + 1)
    for plain, moved, other in zip(
        both(network, batch), both(network, batch._replace(values=values)), both(network, renamed)
    ):
        assert (moved - plain).abs().max() > 1e-4
        assert (other - plain).abs().max() > 1e-4


def test_nothing_recorded_gives_finite_answers_and_gradients(network_name, spec, batch_of, network_of):
    network, batch = network_of(network_name, spec), batch_of(spec)
    recorded = batch.recorded.clone()
    recorded[1] = False
    inputs = make_inputs(batch._replace(recorded=recorded))
    answers = network.features(inputs), network.reconstruct(inputs)
    assert all(bool(answer.isfinite().all()) for answer in answers)
    sum(answer.square().mean() for answer in answers).backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("which", ["one unknown", "all unknown"])
def test_unknown_channels_give_finite_answers(network_name, spec, batch_of, network_of, both, which):
    network, batch = network_of(network_name, spec), batch_of(spec)
    ids = batch.channel_ids.clone()
    ids[:, : (1 if which == "one unknown" else None)] = 0
    for answer in both(network, batch._replace(channel_ids=ids)):
        assert bool(answer.isfinite().all())


@pytest.mark.parametrize("answer", ["features", "reconstruct"])
def test_gradients_reach_every_parameter_that_has_a_say(network_name, spec, batch_of, network_of, answer):
    network = network_of(network_name, spec)
    getattr(network, answer)(make_inputs(batch_of(spec, n_windows=4))).square().mean().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
    expected = {name for name, _ in network.named_parameters() if name.split(".")[0] not in SILENT[answer]}
    if network_name == "linear":
        assert reached == ({"read.weight", "read.bias"} if answer == "features" else expected)
    else:
        # features pool the tokens before the last block's output is turned into samples
        assert reached == expected


def test_a_small_problem_is_learned(network_name, spec, batch_of, network_of):
    """Homologues do the same: a hidden neuron is told from its partner."""
    network, batch = network_of(network_name, spec, stirred=False).train(), batch_of(spec, n_windows=8, n_channels=8)
    ids = torch.arange(8).repeat(8, 1) + 1
    drive = torch.randn(8, spec.window_samples, 4, generator=torch.Generator().manual_seed(5)).cumsum(1) / 2
    batch = batch._replace(values=drive.repeat_interleave(2, -1) * batch.recorded, channel_ids=ids)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    losses = []
    for step in range(80):
        hidden = torch.zeros_like(batch.recorded)
        hidden[..., step % 2 :: 2] = True  # one of each pair
        error = (network.reconstruct(make_inputs(batch, hidden)) - batch.values)[hidden & batch.recorded]
        losses.append(error.square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert torch.stack(losses[-6:]).mean() < 0.5 * torch.stack(losses[:2]).mean()


def test_mixed_precision_gives_nearly_the_same(network_name, spec, batch_of, network_of, both):
    network, batch = network_of(network_name, spec), batch_of(spec)
    plain = both(network, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = both(network, batch)
    for one, other in zip(plain, mixed):
        assert bool(other.isfinite().all())
        assert (other.float() - one).square().mean() < 1e-3 * one.square().mean()


def test_double_precision_gives_the_same(network_name, spec, batch_of, network_of, both):
    network, batch = network_of(network_name, spec), batch_of(spec)
    plain = both(network, batch)
    exact = both(network.double(), batch._replace(values=batch.values.double(), seconds=batch.seconds.double()))
    for one, other in zip(plain, exact):
        assert other.dtype == torch.float64
        torch.testing.assert_close(other.float(), one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("grru", {}, r"no network 'grru'; did you mean 'gru'.*models/networks/grru.py"),
        ("gru", {"widht": 3}, r"network 'gru' has no widht; it has width, dropout"),
        ("gru", {"width": "3"}, r"network 'gru': wrong type of width='3' \(default 48\)"),
        ("gru", {"width": 3.5}, r"wrong type of width=3.5"),
        ("gru", {"dropout": float("nan")}, r"wrong type of dropout=nan"),
    ],
)
def test_what_no_network_has_is_refused(spec, name, options, text):
    with pytest.raises(NeurodataError, match=text):
        make_network(name, spec, options)
