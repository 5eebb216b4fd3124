"""The contract of all tasks, and what each promises: what counts, what is hidden, what cannot leak."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch

from neurodata.catalogue import read_entry
from neurodata.errors import NeurodataError
from neurodata.models.build import make_task
from neurodata.models.task import Task, drop_channels, vary
from neurodata.models.tasks.forecast import last_visible


def seeded_loss(task, batch, seed=0):
    torch.manual_seed(seed)
    return task.loss(batch)


def test_a_task_is_built_around_a_network_with_named_hyperparameters(task_name, network_name, spec, network_of):
    entry = read_entry("tasks", task_name)
    assert issubclass(entry, Task)
    first, *others = inspect.signature(entry).parameters.values()
    assert first.name == "network"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in others)
    network = network_of(network_name, spec)
    task = make_task(task_name, network, {"horizons_seconds": [1.0]} if task_name == "forecast" else {})
    assert task.network is network
    assert set(task.hparams) == {p.name for p in others}


def test_the_loss_is_a_finite_scalar_that_training_lowers(task_name, network_name, spec, batch_of, task_of):
    task, batch = task_of(task_name, network_name, spec, stirred=False).train(), batch_of(spec, n_windows=6)
    slow = torch.randn(6, 1, 7, generator=torch.Generator().manual_seed(1))
    values = (slow * torch.linspace(0, 3, 18)[None, :, None]) * batch.recorded
    target = (values[..., 0] > 0).long() + 1
    batch = batch._replace(values=values, target=target)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    losses = []
    for step in range(60):
        losses.append(seeded_loss(task, batch, seed=step % 4))
        assert losses[-1].shape == ()
        assert bool(losses[-1].isfinite())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert torch.stack(losses[-8:]).mean() < 0.8 * torch.stack(losses[:8]).mean()


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_values_that_were_not_recorded_do_not_count(task_name, network_name, spec, batch_of, task_of, value):
    task, batch = task_of(task_name, network_name, spec).train(), batch_of(spec)
    changed = batch._replace(values=torch.where(batch.recorded, batch.values, torch.full_like(batch.values, value)))
    losses = [seeded_loss(task, b) for b in (batch, changed)]
    assert bool(losses[0].isfinite())
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=0)
    losses[1].backward()
    assert all(bool(p.grad.isfinite().all()) for p in task.parameters() if p.grad is not None)


def test_nothing_recorded_gives_a_finite_loss(task_name, network_name, spec, batch_of, task_of):
    task, batch = task_of(task_name, network_name, spec).train(), batch_of(spec)
    empty = batch._replace(recorded=torch.zeros_like(batch.recorded), values=torch.zeros_like(batch.values))
    assert bool(seeded_loss(task, empty).isfinite())


# --- pretrain ---------------------------------------------------------------------------------------------------


def test_pretraining_counts_hidden_and_recorded_values_only(network_name, spec, batch_of, task_of):
    task, batch = task_of("pretrain", network_name, spec).eval(), batch_of(spec)
    torch.manual_seed(4)
    hidden = task.draw_hidden(batch)
    counted = hidden & batch.recorded
    task.draw_hidden = lambda _: hidden
    loss = task.loss(batch)
    elsewhere = torch.where(hidden, batch.values, batch.values + 7)
    for name, values, same in [
        ("an unrecorded truth", torch.where(batch.recorded, batch.values, batch.values + 7), True),
        ("a hidden, recorded truth", torch.where(counted, batch.values + 7, batch.values), False),
        ("what is seen", elsewhere * batch.recorded, False),
    ]:
        assert torch.equal(task.loss(batch._replace(values=values)), loss) is same, name
    # a truth that is seen is not scored: hiding it from the network as well leaves the hidden ones' loss alone
    predictions = task.network.reconstruct
    fixed = torch.zeros_like(batch.values)
    task.network.reconstruct = lambda _: fixed
    seen = torch.where(hidden, batch.values, batch.values + 7) * batch.recorded
    assert torch.equal(task.loss(batch._replace(values=seen)), task.loss(batch))
    task.network.reconstruct = predictions


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        pytest.param((0.3, 0.0, 0.0), 0.3, id="patches"),
        pytest.param((0.0, 0.2, 0.0), 0.2, id="whole neurons"),
        pytest.param((0.0, 0.0, 0.5), 0.5 * 4 / 18, id="futures"),
        pytest.param((0.3, 0.2, 0.0), 1 - 0.7 * 0.8, id="both"),
        pytest.param((0.0, 0.0, 0.0), 0.0, id="nothing"),
        pytest.param((1.0, 0.0, 0.0), 1.0, id="everything"),
    ],
)
def test_as_much_is_hidden_as_was_asked_for(spec, batch_of, network_of, shares, expected):
    options = dict(zip(("hidden_patches", "hidden_channels", "hidden_futures"), shares))
    task = make_task("pretrain", network_of("linear", spec), options)
    torch.manual_seed(0)
    hidden = task.draw_hidden(batch_of(spec, n_windows=400, n_channels=12))
    assert float(hidden.float().mean()) == pytest.approx(expected, abs=0.03)


def test_patches_whole_neurons_and_futures_are_hidden_as_such(spec, batch_of, network_of):
    batch = batch_of(spec, n_windows=40)
    for option in ("hidden_patches", "hidden_channels", "hidden_futures"):
        options = {"hidden_patches": 0.0, "hidden_channels": 0.0, "hidden_futures": 0.0, option: 0.5}
        hidden = make_task("pretrain", network_of("linear", spec), options).draw_hidden(batch)
        if option == "hidden_patches":
            pieces = hidden.view(40, 3, 6, 7)
            assert bool((pieces == pieces[:, :, :1]).all())
        elif option == "hidden_channels":
            assert bool((hidden == hidden[:, :1]).all())
        else:
            assert bool((hidden == hidden[..., :1]).all())
            assert not hidden[:, :14].any()
        assert 0 < float(hidden.float().mean()) < 1


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_impossible_shares_are_refused(spec, network_of, share):
    with pytest.raises(NeurodataError, match=r"hidden_patches must be between 0 and 1, got"):
        make_task("pretrain", network_of("linear", spec), {"hidden_patches": share})


# --- forecast ---------------------------------------------------------------------------------------------------


def test_a_forecast_does_not_know_the_future(network_name, spec, batch_of, task_of):
    task, batch = task_of("forecast", network_name, spec).eval(), batch_of(spec)
    values = batch.values.clone()
    values[:, task.cut :] += 100
    recorded = batch.recorded.clone()
    recorded[:, task.cut :] = ~recorded[:, task.cut :]
    plain, last = task.predict_step(batch, 0)
    assert (task.cut, plain.shape, last.shape) == (12, (3, 2, 7), (3, 7))
    for changed in (batch._replace(values=values), batch._replace(recorded=recorded)):
        other, other_last = task.predict_step(changed, 0)
        torch.testing.assert_close(other, plain, rtol=0, atol=0)
        torch.testing.assert_close(other_last, last, rtol=0, atol=0)


def test_a_forecast_does_depend_on_the_past(network_name, spec, batch_of, task_of):
    task, batch = task_of("forecast", network_name, spec).eval(), batch_of(spec, missing=0)
    values = batch.values.clone()
    values[:, task.cut - 1] += 1
    assert (task.predict_step(batch._replace(values=values), 0)[0] - task.predict_step(batch, 0)[0]).abs().max() > 0.1


def test_a_network_that_says_nothing_copies_the_last_value(network_name, spec, batch_of, task_of):
    task, batch = task_of("forecast", network_name, spec).eval(), batch_of(spec, missing=0.4)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
    future, last = task.predict_step(batch, 0)
    for window in range(3):
        for channel in range(7):
            seen = batch.values[window, :12, channel][batch.recorded[window, :12, channel]]
            expected = float(seen[-1]) if len(seen) else 0.0
            assert float(last[window, channel]) == expected
            assert future[window, :, channel].tolist() == [expected] * 2


def test_the_forecast_loss_leaves_out_channels_never_seen_before(spec, batch_of, task_of):
    task, batch = task_of("forecast", "linear", spec).eval(), batch_of(spec, missing=0)
    recorded = batch.recorded.clone()
    recorded[:, :12, 3] = False
    batch = batch._replace(recorded=recorded)
    values = batch.values.clone()
    values[:, 12:, 3] += 9
    assert torch.equal(task.loss(batch._replace(values=values)), task.loss(batch))
    values[:, 12:, 2] += 9
    assert not torch.equal(task.loss(batch._replace(values=values)), task.loss(batch))


def test_horizons_count_from_the_last_sample_seen(spec, batch_of, task_of):
    task, batch = task_of("forecast", "linear", spec), batch_of(spec)
    future = torch.arange(6.0)[None, :, None].expand(3, 6, 7)
    task.forward = lambda _: (future, future[:, 0])
    assert task.predict_step(batch, 0)[0][0, :, 0].tolist() == [2.0, 5.0]  # 1 s is the 3rd sample, 2 s the 6th


def test_the_last_visible_value():
    values = torch.tensor([[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]])
    visible = torch.tensor([[[True, True, False], [True, False, False], [False, False, False]]])
    assert last_visible(values, visible).tolist() == [[4.0, 2.0, 0.0]]


@pytest.mark.parametrize("horizons", [[6.0], [0.1], [7.0, 1.0], [], [float("nan")], [float("inf")], [-1.0]])
def test_impossible_horizons_are_refused(spec, network_of, horizons):
    with pytest.raises(NeurodataError, match=r"do not fit a window of 6 s|wrong type of horizons_seconds"):
        make_task("forecast", network_of("linear", spec), {"horizons_seconds": horizons})


# --- decode -----------------------------------------------------------------------------------------------------


def test_samples_without_a_label_are_ignored(network_name, spec, batch_of, task_of):
    task, batch = task_of("decode", network_name, spec).eval(), batch_of(spec)
    target = torch.where(batch.target < 0, -1, batch.target)
    more = target.clone()
    more[1] = -1
    alone = batch._replace(**{n: getattr(batch, n)[[0, 2]] for n in batch._fields if n != "seconds"})
    torch.testing.assert_close(task.loss(batch._replace(target=more)), task.loss(alone), rtol=1e-4, atol=1e-5)


def test_continuous_targets_that_were_not_recorded_are_ignored(network_name, continuous_spec, batch_of, task_of):
    task, batch = task_of("decode", network_name, continuous_spec).train(), batch_of(continuous_spec)
    target = batch.target.clone()
    target[0, :, 0], target[1, 3], target[2, 4, 1] = float("nan"), float("nan"), float("inf")
    loss = seeded_loss(task, batch._replace(target=target))
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in task.parameters() if p.grad is not None)
    assert not torch.equal(loss, seeded_loss(task, batch))


def test_class_counts_make_every_class_count_the_same(spec, batch_of, network_of):
    task = make_task("decode", network_of("linear", spec), {"class_counts": [50, 25, 0]})
    assert task.class_weights.tolist() == pytest.approx([0.75, 1.5, 0.0])
    with pytest.raises(NeurodataError, match=r"class_counts has 2 entries for 3 outputs"):
        make_task("decode", network_of("linear", spec), {"class_counts": [50, 25]})


def test_continuous_targets_are_learned_standardised_and_predicted_in_their_units(
    continuous_spec, batch_of, network_of
):
    options = {"output_mean": [10.0, -2.0], "output_std": [4.0, 0.5], "dropped_channels": 0.0}
    task = make_task("decode", network_of("linear", continuous_spec), options).eval()
    batch = batch_of(continuous_spec)
    found = task.predict_step(batch, 0)
    torch.testing.assert_close(found[0, 0], torch.tensor([10.0, -2.0]))  # untrained, it says the mean
    larger = make_task(
        "decode",
        network_of("linear", continuous_spec),
        options | {"output_std": [40.0, 5.0], "output_mean": [100.0, -20.0]},
    ).eval()
    torch.testing.assert_close(larger.loss(batch._replace(target=10 * batch.target)), task.loss(batch))
    with pytest.raises(NeurodataError, match=r"output_std has 1 entries for 2 outputs"):
        make_task("decode", network_of("linear", continuous_spec), {"output_std": [1.0]})


def test_predictions_are_probabilities(network_name, spec, batch_of, task_of):
    found = task_of("decode", network_name, spec).eval().predict_step(batch_of(spec), 0)
    assert found.shape == (3, 18, 3)
    torch.testing.assert_close(found.sum(-1), torch.ones(3, 18))


def test_without_a_target_there_is_nothing_to_decode(spec, network_of):
    plain = replace(spec, target="", target_kind="none", classes=())
    with pytest.raises(NeurodataError, match=r"nothing to decode: the data were opened without a target"):
        make_task("decode", network_of("linear", plain), {})


@pytest.mark.parametrize("lagged", [True, False])
def test_an_easy_target_is_decoded_perfectly(network_name, spec, batch_of, network_of, lagged):
    """The class is the sign of one neuron, wherever among the channels it stands."""
    batch = batch_of(spec, n_windows=12, missing=0)
    ids = batch.channel_ids.clone()
    ids[ids == 1] = 20
    places = torch.arange(12) % 7
    ids[torch.arange(12), places] = 1
    bits = torch.randint(0, 2, (12, 3), generator=torch.Generator().manual_seed(2)).repeat_interleave(6, 1)
    values = 0.3 * batch.values
    values[torch.arange(12), :, places] = bits * 2.0 - 1.0
    batch = batch._replace(values=values, channel_ids=ids, target=bits)
    options = {"lagged_readout": lagged, "readout_penalty": 0.0}
    task = make_task("decode", network_of(network_name, spec, stirred=False), options).train()
    optimizer = torch.optim.Adam(task.parameters(), lr=2e-2)
    for step in range(120):
        loss = seeded_loss(task, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    decoded = task.eval().predict_step(batch, 0).argmax(-1)
    assert float((decoded == bits).float().mean()) > 0.99


# --- drop_channels ----------------------------------------------------------------------------------------------


def test_dropped_channels_are_gone_whole_as_if_never_recorded(spec, batch_of):
    batch = batch_of(spec, n_windows=300, n_channels=15, missing=0.05)
    dropped = drop_channels(batch, 0.6, torch.Generator().manual_seed(0))
    kept = dropped.recorded.any(1)
    assert torch.equal(dropped.recorded, batch.recorded & kept[:, None])
    assert not dropped.values[~dropped.recorded].any()
    assert torch.equal(dropped.values[dropped.recorded], batch.values[dropped.recorded])
    lost = 1 - kept.float().mean(1)
    assert float(lost.mean()) == pytest.approx(0.3, abs=0.03)
    assert float(lost.std()) > 0.12  # the share differs from window to window
    assert drop_channels(batch, 0.0) is batch


def test_varied_channels_differ_by_gain_offset_and_noise_where_recorded(spec, batch_of):
    batch = batch_of(spec, n_windows=400, n_channels=9, missing=0.1)
    spoiled = batch._replace(values=torch.where(batch.recorded, batch.values, torch.full_like(batch.values, torch.nan)))
    torch.manual_seed(0)
    for changes, expected in [((0.0, 0.5, 0.0), 0.5), ((0.0, 0.0, 0.2), 0.2)]:
        varied = vary(spoiled, *changes)
        assert torch.equal(varied.recorded, batch.recorded)
        assert not varied.values[~batch.recorded].any()
        moved = (varied.values - batch.values)[batch.recorded]
        assert float(moved.std()) == pytest.approx(expected, rel=0.05)
        assert abs(float(moved.mean())) < 0.1 * expected
    gained = vary(batch, 0.3, 0.0, 0.0).values / torch.where(batch.recorded, batch.values, 1.0)
    each = torch.where(batch.recorded, gained, gained.amax(1, keepdim=True))
    torch.testing.assert_close(each, each[:, :1].expand_as(each), rtol=1e-3, atol=1e-4)  # one gain a channel
    assert float(each[:, 0].log().std()) == pytest.approx(0.3, rel=0.1)
    assert vary(batch, 0.0, 0.0, 0.0) is batch


def test_channels_are_dropped_and_varied_in_training_only(spec, batch_of, task_of):
    batch, still = batch_of(spec), {"gain": 0.0, "offset": 0.0, "noise": 0.0, "dropped_channels": 0.0}
    for change in ({"dropped_channels": 0.9}, {"gain": 0.3}, {"offset": 0.3}, {"noise": 0.3}):
        task = task_of("decode", "linear", spec, **(still | change))
        assert torch.equal(seeded_loss(task.eval(), batch, 1), seeded_loss(task, batch, 2))
        assert not torch.equal(seeded_loss(task.train(), batch, 1), seeded_loss(task, batch, 2))
