"""Pretraining on several modalities: each counts the same, counts as counts, and what latents foresee is watched."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy import stats
from torch.nn import functional

from neurodata.batches.batch import Batch
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture
from neurodata.errors import NeurodataError
from neurodata.models.build import make_task
from neurodata.models.losses import LARGEST_LOG_RATE, negative_binomial_loss, poisson_loss
from neurodata.models.networks.perceiver import Perceiver
from neurodata.models.train import fit
from neurodata.windows.spec import BY_RECORDING, Channel, DataSpec
from neurodata.windows.splits import split_by

RATES, SECONDS = {"calcium": 3.0, "spikes": 20.0, "eeg": 128.0}, {"calcium": 8.0, "spikes": 2.0, "eeg": 1.0}
KINDS = [*["calcium"] * 6, *["spikes"] * 6, *["eeg"] * 6]
CHANNELS = tuple(Channel(f"n{i}", f"r{i % 2}", kind, (), kind == "spikes") for i, kind in enumerate(KINDS))
SPEC = DataSpec(
    "x", 3.0, 24, tuple(f"k{i}" for i in range(18)), channels=CHANNELS, identity=BY_RECORDING,
    parts=tuple(DataSpec(kind, RATES[kind], round(RATES[kind] * SECONDS[kind]), ()) for kind in RATES),
)  # fmt: skip


def task_of(spec=SPEC, *, seed=0, dropout=0.0, **options):
    torch.manual_seed(seed)
    network = Perceiver(spec, size="tiny", dropped_identity=0.0, dropout=dropout)
    return make_task("pretrain", network, {"patch_seconds": 0.0, **options})


def windows_of(kind, n_windows=2, n_channels=4, seed=0):
    """Windows of one modality; channels may come several times, as those of several recordings do."""
    generator, n_samples = torch.Generator().manual_seed(seed), round(RATES[kind] * SECONDS[kind])
    values = torch.randn(n_windows, n_samples, n_channels, generator=generator)
    values = (2 * values.abs()).round() if kind == "spikes" else values
    first = 1 + KINDS.index(kind)
    ids = first + torch.arange(n_channels).expand(n_windows, -1) % 6
    present, numbers = torch.ones(n_windows, n_channels, dtype=torch.bool), torch.arange(n_windows)
    seconds, nothing = torch.arange(n_samples) / RATES[kind], torch.zeros(n_windows, 0, dtype=torch.int64)
    return Batch(values, torch.ones_like(values, dtype=torch.bool), ids, present, seconds, nothing, numbers, numbers)


def loss_of(task, batch, seed=0):
    torch.manual_seed(seed)
    task.step_seed = 3
    with torch.no_grad():
        return task.loss(batch)


# --- what counts ------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_modalities():
    task = task_of().eval()
    one, other, third = (windows_of(kind) for kind in RATES)
    expected = sum(loss_of(task, batch) for batch in (one, other, third)) / 3
    torch.testing.assert_close(loss_of(task, (one, other, third)), expected)


@pytest.mark.parametrize("more", ["windows", "channels"])
def test_a_modality_with_ten_times_as_much_weighs_no_more(more):
    task = task_of().eval()
    small = windows_of("eeg")
    large = windows_of("calcium", 20, 4) if more == "windows" else windows_of("calcium", 2, 40)
    torch.testing.assert_close(loss_of(task, (large, small)), (loss_of(task, large) + loss_of(task, small)) / 2)


def test_two_sources_of_one_modality_are_one():
    """Each of their values counts the same."""
    task = task_of(hidden_patches=1.0).eval()
    one, two, other = windows_of("calcium", 1), windows_of("calcium", 3, seed=1), windows_of("eeg")
    together = loss_of(task, one) / 4 + loss_of(task, two) * 3 / 4
    torch.testing.assert_close(loss_of(task, (one, two, other)), (together + loss_of(task, other)) / 2)


@pytest.mark.parametrize("kind", ["calcium", "spikes"])
@pytest.mark.parametrize("scaled", [False, True], ids=["raw", "scaled"])
def test_counts_have_a_likelihood_of_counts_and_all_else_is_robust(kind, scaled):
    task = task_of(SPEC.scaled() if scaled else SPEC, hidden_patches=1.0).eval()
    batch, network = windows_of(kind), task.network
    with torch.no_grad():
        told = network.predict(network.encode(network.see(batch, torch.ones_like(batch.recorded))))
    if kind == "spikes" and not scaled:
        rate, counts = told.clamp(max=LARGEST_LOG_RATE).exp().double().numpy(), batch.values.numpy()
        expected = np.mean(stats.poisson.logpmf(counts, np.maximum(counts, 1e-12)) - stats.poisson.logpmf(counts, rate))
    else:
        expected = float(functional.huber_loss(told, batch.values))
    assert float(loss_of(task, batch)) == pytest.approx(expected, rel=1e-4)


def test_squared_errors_on_request():
    batch, task = windows_of("calcium"), task_of(hidden_patches=1.0, field_loss="gaussian").eval()
    with torch.no_grad():
        told = task.network.reconstruct(task.network.see(batch, torch.ones_like(batch.recorded)))
    torch.testing.assert_close(loss_of(task, batch), (told - batch.values).square().mean())


# --- likelihoods of counts --------------------------------------------------------------------------------------

COUNTS, LOG_RATE = torch.arange(0.0, 30).double(), torch.tensor(1.5).double()


def test_poisson_is_half_the_deviance():
    rate = float(LOG_RATE.exp())
    counts = COUNTS.numpy()
    found = poisson_loss(LOG_RATE.expand(30), COUNTS)
    expected = stats.poisson.logpmf(counts, counts) - stats.poisson.logpmf(counts, rate)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.min() >= 0
    assert bool(poisson_loss(torch.tensor([1e4]), torch.tensor([0.0])).isfinite())


@pytest.mark.parametrize("dispersion", [2.0, 0.5, 0.01])
def test_the_negative_binomial_is_scipy_s(dispersion):
    found = negative_binomial_loss(LOG_RATE.expand(30), COUNTS, torch.tensor(dispersion).double().log())
    size = 1 / dispersion
    expected = -stats.nbinom.logpmf(COUNTS, size, size / (size + float(LOG_RATE.exp())))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_without_dispersion_it_is_poisson():
    expected = -stats.poisson.logpmf(COUNTS, float(LOG_RATE.exp()))
    apart = [
        np.abs(negative_binomial_loss(LOG_RATE.expand(30), COUNTS, torch.tensor(log).double()).numpy() - expected).max()
        for log in (-2.0, -4.0, -6.0, -8.0, -30.0)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 0.02  # the dispersion is not let below exp(-10)


def test_the_dispersion_is_learned():
    task, batch = task_of(count_loss="negative_binomial", hidden_patches=1.0).train(), windows_of("spikes")
    task.step_seed = 0
    task.loss(batch).backward()
    assert task.dispersion.grad.abs() > 0
    assert float(loss_of(task.eval(), batch)) != float(loss_of(task_of(hidden_patches=1.0).eval(), batch))


# --- what is hidden ---------------------------------------------------------------------------------------------


def test_whole_regions_are_hidden_in_as_many_windows_as_asked_for():
    nothing_else = {"hidden_patches": 0.0, "hidden_channels": 0.0, "hidden_futures": 0.0}
    task, batch = task_of(hidden_regions=0.5, **nothing_else), windows_of("calcium", 400, 6)
    hidden = task.draw_hidden(batch)
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    even, odd = hidden[:, 0, ::2], hidden[:, 0, 1::2]  # regions r0 and r1
    assert torch.equal(even.any(1), even.all(1))
    assert torch.equal(odd.any(1), odd.all(1))
    assert not (even.any(1) & odd.any(1)).any()
    assert float((even.any(1) | odd.any(1)).float().mean()) == pytest.approx(0.5, abs=0.1)
    assert 0.15 < float(even.any(1).float().mean()) < 0.35
    unknown = batch._replace(channel_ids=torch.zeros_like(batch.channel_ids))
    assert not task.draw_hidden(unknown).any()


def test_patches_are_those_of_the_network_and_futures_a_quarter():
    only = {"hidden_patches": 0.0, "hidden_channels": 0.0, "hidden_futures": 0.0}
    for kind, n_samples in (("calcium", 3), ("spikes", 4), ("eeg", 32)):
        batch = windows_of(kind, 20)
        pieces = task_of(**only | {"hidden_patches": 0.5}).draw_hidden(batch).unflatten(1, (-1, n_samples))
        assert torch.equal(pieces, pieces[:, :, :1].expand_as(pieces))
        assert 0.3 < float(pieces.float().mean()) < 0.7
        late = task_of(**only | {"hidden_futures": 1.0}).draw_hidden(batch)
        edge = late.shape[1] - late.shape[1] // 4
        assert late[:, edge:].all()
        assert not late[:, :edge].any()


# --- latents ----------------------------------------------------------------------------------------------------


def mixture_of(worms, **options):
    common = {"inputs": "calcium", "channels": "all", "identity": "recording_channel", "scaling": "recording", "batches_per_epoch": 4, "split": split_by("recording", test=["made_up/w3"])}  # fmt: skip
    sources = {
        "slow": RecordingDataModule(worms, window_seconds=6.0, rate_hz=3.0, **common),
        "fast": RecordingDataModule(worms, window_seconds=3.0, rate_hz=6.0, seed=1, **common),
    }
    return Mixture(sources, batch_size=4, **options)


def test_latents_are_foreseen_and_the_copy_follows_slowly(worms):
    data = mixture_of(worms)
    task = task_of(data.spec, latent_weight=1.0, latent_momentum=0.9)
    begin = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    plain = loss_of(task_of(data.spec).eval(), next(iter(data.train_dataloader())))
    assert loss_of(task.eval(), next(iter(data.train_dataloader()))) > plain
    fit(task, data.train_dataloader(), steps=4, seed=0, average_decay=None)
    name = "blocks.0.feed_forward.0.weight"
    slow, fast = (part.state_dict()[name] - begin[name] for part in (task.following, task.network))
    assert 0 < slow.abs().mean() < 0.5 * fast.abs().mean()
    assert torch.corrcoef(torch.stack([slow.flatten(), fast.flatten()]))[0, 1] > 0.5
    assert torch.equal(task.following.met, task.network.met)
    assert not any(parameter.requires_grad for parameter in task.following.parameters())
    assert task.latent_spread > 0.05


def test_latents_that_are_the_same_for_everything_raise_the_alarm(worms):
    """Each latent begins as another vector, which is no spread."""
    data = mixture_of(worms)
    task = task_of(data.spec, latent_weight=1.0, latent_momentum=0.0, warmup_steps=1, learning_rate=1e-6, dropout=0.1)
    with torch.no_grad():  # nothing of what is read gets through
        for part in (task.network, task.following):
            for layer in (part.read.to_output, part.pool):
                layer.weight.zero_()
    with pytest.raises(NeurodataError, match=r"the latents have collapsed: their features spread 0.0\d\d over windows .* at step \d+; lower latent_weight"):  # fmt: skip
        fit(task, data.train_dataloader(), steps=6, seed=0, average_decay=None)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"count_loss": "binomial"}, r"no count_loss 'binomial'.* Known: poisson, negative_binomial"),
        ({"field_loss": "l1"}, r"no field_loss 'l1'.* Known: huber, gaussian"),
        ({"hidden_regions": 1.5}, r"1\.5"),
        ({"latent_momentum": -0.1}, r"-0\.1"),
        ({"latent_weight": -1.0}, r"latent_weight must be 0 or more, got -1"),
    ],
)
def test_impossible_settings_are_refused(options, text):
    with pytest.raises(NeurodataError, match=text):
        task_of(**options)


def test_a_network_without_latents_cannot_foresee_them(spec, network_of):
    with pytest.raises(
        NeurodataError, match=r"latent_weight=0.5 needs a network with latents, such as 'perceiver'; GRU"
    ):
        make_task("pretrain", network_of("gru", spec), {"latent_weight": 0.5})


# --- predictions ------------------------------------------------------------------------------------------------


def test_of_a_mixture_the_activity_of_each_source_is_told():
    task, batches = task_of().eval(), tuple(windows_of(kind) for kind in RATES)
    with torch.no_grad():
        task.network.back["spikes"].bias.fill_(0.5)
        task.network.back["calcium"].bias.fill_(-0.5)
        found = task.predict_step(batches, 0)
        for told, batch in zip(found, batches):
            assert torch.equal(told, task.predict_step(batch, 0))
    assert len(found) == 3
    torch.testing.assert_close(found[0], torch.full((2, 24, 4), -0.5))  # of the rest of the network nothing is read yet
    torch.testing.assert_close(found[1], torch.full((2, 40, 4), 0.5).exp())  # counts: the rate
    assert not found[2].any()


# --- training ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")  # the copy's folder is another one
def test_a_mixture_s_run_that_was_interrupted_has_the_curve_and_weights_it_would_have_had(worms, tmp_path):
    data = mixture_of(worms)
    data.setup()

    def trained(folder):
        task = task_of(data.spec, dropout=0.1)
        often = ModelCheckpoint(folder / "often", filename="{step}", every_n_train_steps=1, save_top_k=-1)
        found = fit(task, data.train_dataloader(), steps=7, seed=3, callbacks=[often], folder=folder, curve_every=1)
        return found.curve, task.state_dict()

    curve, expected = trained(tmp_path / "whole")
    assert curve["step"].tolist() == list(range(1, 8))
    for step in (3, 4, 5):  # within an epoch, at its end, and after it
        folder = tmp_path / f"from{step}"
        folder.mkdir()
        shutil.copy(tmp_path / "whole" / "often" / f"step={step}.ckpt", folder / "last.ckpt")
        again, found = trained(folder)
        rest = again[again["step"] > step]
        assert rest["value"].tolist() == curve[curve["step"] > step]["value"].tolist()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
