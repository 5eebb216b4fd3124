"""The encoder of any recording: padding, order, rate and length change nothing that they should not."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from neurodata.errors import NeurodataError
from neurodata.models.layers import latents as latents_module
from neurodata.models.layers import running_scale as running_scale_module
from neurodata.models.layers.channel_identity import SHARED
from neurodata.models.layers.latents import LatentBlock
from neurodata.models.layers.running_scale import RunningScale
from neurodata.models.network import Inputs
from neurodata.models.networks.perceiver import SIZES, Perceiver
from neurodata.windows.spec import BY_LABEL, BY_RECORDING, BY_SUBJECT, Channel, DataSpec

RATES = {"calcium": 16.0, "spikes": 20.0, "eeg": 128.0, "fmri": 0.4, "sweat": 16.0}
"""Base rate of each modality's family."""


def channels_of(modality, n=6, counts=False):
    unit = {"calcium": 1e-5, "spikes": 1e-4, "eeg": 0.02, "fmri": 0.02, "sweat": 1e-3}[modality]
    return tuple(Channel(f"n{i}", f"r{i % 2}", modality, (i * unit, 0.0, -unit), counts) for i in range(n))


def spec_of(modality="calcium", *, seconds=None, counts=False, identity=BY_RECORDING):
    rate_hz, channels = RATES[modality], channels_of(modality, counts=counts)
    keys = tuple(f"a/{i}" for i in range(len(channels)))
    n_samples = round(rate_hz * (seconds or (100 if modality == "fmri" else 4)))
    return DataSpec(modality, rate_hz, n_samples, keys, channels=channels, identity=identity)


def network_of(spec, *, stirred=True, **options):
    torch.manual_seed(0)
    network = Perceiver(spec, **{"size": "tiny", "dropped_identity": 0.0, **options}).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * stirred * torch.randn_like(parameter)
    return network


def inputs_of(values, rate_hz, *, ids=None, visible=None, start=0.0, dtype=torch.float32):
    """Windows of which everything, or what is said, is visible."""
    values = values.to(dtype)
    n_windows, n_samples, n_channels = values.shape
    ids = torch.arange(1, n_channels + 1).expand(n_windows, -1) if ids is None else ids
    visible = torch.ones_like(values, dtype=torch.bool) if visible is None else visible
    seconds = torch.arange(n_samples, dtype=dtype) / rate_hz + start
    return Inputs(values * visible, visible, ids, torch.ones(n_windows, n_channels, dtype=torch.bool), seconds)


def noise(n_samples, n_channels=6, n_windows=2, seed=0):
    return torch.randn(n_windows, n_samples, n_channels, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def both(network, inputs):
    return network.features(inputs), network.reconstruct(inputs)


modalities = pytest.mark.parametrize("modality", list(RATES))


@pytest.mark.parametrize(("size", "millions"), [("tiny", 0.05), ("nano", 1.1), ("small", 5.8), ("base", 41.7)])
def test_sizes(size, millions):
    with torch.device("meta"):  # shapes are enough
        network = Perceiver(spec_of(), size=size)
    found = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("identity."))
    assert found / 1e6 == pytest.approx(millions, rel=0.15)
    assert network.width == SIZES[size].width


@modalities
def test_channels_and_time_that_are_not_there_change_nothing(modality):
    """Also where the window does not end with a patch."""
    spec = spec_of(modality)
    n_samples = spec.window_samples - 1
    check_padding(spec, n_samples, [(0, 3), (1, 0), (7, 0), (3 * n_samples, 2)])


@pytest.mark.parametrize(
    ("n_steps", "more_steps"),
    [
        pytest.param(60, 10, id="padding makes a window longer than a chunk"),
        pytest.param(65, 1, id="a step more than a chunk"),
        pytest.param(100, 28, id="padding fills the last chunk"),
        pytest.param(100, 100, id="padding adds chunks"),
    ],
)
def test_padding_changes_nothing_in_windows_of_several_chunks(n_steps, more_steps):
    check_padding(spec_of(), 16 * n_steps - 5, [(16 * more_steps, 0)])


def check_padding(spec, n_samples, added):
    """Compare a window with the same that has more samples and channels that were not recorded.

    In double precision, where nothing but the last bits may differ.
    """
    network, values = network_of(spec).double(), noise(n_samples)
    plain = both(network, inputs_of(values, spec.rate_hz, dtype=torch.float64))
    for more_time, more_channels in added:
        padded = functional.pad(values, (0, more_channels, 0, more_time))
        inputs = inputs_of(padded, spec.rate_hz, dtype=torch.float64)
        visible = torch.zeros_like(inputs.visible)
        visible[:, :n_samples, :6] = True
        ids = functional.pad(torch.arange(1, 7).expand(2, -1), (0, more_channels))
        features, rebuilt = both(network, inputs._replace(visible=visible, channel_ids=ids, present=ids > 0))
        torch.testing.assert_close(features[:, :n_samples], plain[0], rtol=0, atol=1e-8)
        torch.testing.assert_close(rebuilt[:, :n_samples, :6], plain[1], rtol=0, atol=1e-8)


@modalities
def test_the_order_of_channels_does_not_matter(modality):
    network, rate_hz = network_of(spec_of(modality)), RATES[modality]
    values, order = noise(network.spec.window_samples), torch.tensor([3, 0, 5, 1, 4, 2])
    features, rebuilt = both(network, inputs_of(values, rate_hz))
    turned = inputs_of(values[..., order], rate_hz, ids=(order + 1).expand(2, -1))
    other_features, other_rebuilt = both(network, turned)
    torch.testing.assert_close(other_features, features, rtol=0, atol=1e-5)
    torch.testing.assert_close(other_rebuilt, rebuilt[..., order], rtol=0, atol=1e-5)


def test_only_differences_of_time_count():
    network, values = network_of(spec_of()), noise(64)
    plain = both(network, inputs_of(values, 16.0))
    for start in (-3.0, 10.0, 100.0):
        for one, other in zip(plain, both(network, inputs_of(values, 16.0, start=start))):
            torch.testing.assert_close(other, one, rtol=0, atol=1e-4)


def test_two_rates_of_one_signal_have_nearly_the_same_latents():
    """A slow signal of a family's base rate and twice that: latents, and features at the same moments, are alike."""
    network, generator = network_of(spec_of()), torch.Generator().manual_seed(0)
    hz, phase = torch.rand(3, 1, 6, generator=generator), 6 * torch.rand(3, 1, 6, generator=generator)
    signals = {rate: (2 * math.pi * hz * torch.arange(rate * 8)[:, None] / rate + phase).sin() for rate in (16, 32, 64)}
    with torch.no_grad():
        latents = {rate: network.encode(inputs_of(signal, float(rate))).values for rate, signal in signals.items()}
        features = {rate: network.features(inputs_of(signal, float(rate))) for rate, signal in signals.items()}
    for rate in (32, 64):
        assert functional.cosine_similarity(latents[rate], latents[16], dim=-1).mean() > 0.98
        assert _alike(features[rate][:, :: rate // 16], features[16]) > 0.98
    others = latents[16].roll(1, 0)
    assert _alike(others, latents[16]) < _alike(latents[32], latents[16])


def _alike(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


# --- length -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [65, 100, 128])
def test_attending_chunk_by_chunk_is_attending_to_all_within_reach(n_steps, monkeypatch):
    torch.manual_seed(0)
    block, x = LatentBlock(32, 2, 0.0).eval(), torch.randn(2, n_steps, 3, 32)
    attended, seconds = torch.rand(2, n_steps) < 0.7, torch.arange(n_steps) * 0.25
    with torch.no_grad():
        chunked = block(x, attended, seconds)
        monkeypatch.setattr(latents_module, "CHUNK_STEPS", n_steps)
        torch.testing.assert_close(chunked, block(x, attended, seconds), rtol=0, atol=1e-5)


def test_steps_beyond_reach_are_not_attended_to_and_all_within_are():
    torch.manual_seed(0)
    block, x = LatentBlock(32, 2, 0.0).eval(), torch.randn(1, 320, 2, 32)
    attended, seconds = torch.ones(1, 320, dtype=torch.bool), torch.arange(320) * 0.25
    moved = x.clone()
    moved[:, 130, :, :16] += 1  # not all features: layer norm takes away what they have in common
    with torch.no_grad():
        felt = (block(moved, attended, seconds) - block(x, attended, seconds)).abs().amax((0, 2, 3)) > 1e-6
    assert felt.nonzero().flatten().tolist() == list(range(64, 256))  # its chunk, and those before and after it


def test_a_long_window_with_nothing_visible_in_between_is_finite():
    network, values = network_of(spec_of(seconds=300)), noise(300 * 16, n_windows=1)
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[:, 50 * 16 : 290 * 16] = False
    for answer in both(network, inputs_of(values, 16.0, visible=visible)):
        assert bool(answer.isfinite().all())


@pytest.mark.parametrize("answer", ["features", "reconstruct"])
def test_cost_grows_with_channels_times_time(answer):
    network = network_of(spec_of()).requires_grad_(False)

    def operations(seconds, n_channels):
        values = torch.zeros(1, seconds * 16, n_channels)
        with FlopCounterMode(display=False) as counter:
            getattr(network, answer)(inputs_of(values, 16.0, ids=torch.ones(1, n_channels, dtype=torch.long)))
        return counter.get_total_flops()

    assert 1.8 < operations(256, 2) / operations(128, 2) <= 2.2
    assert 1.2 < operations(16, 64) / operations(16, 32) <= 2.2


def test_memory_grows_with_time(grown_mb):
    network = network_of(spec_of())

    def run(seconds):
        with torch.no_grad():
            return network.features(inputs_of(torch.zeros(1, seconds * 16, 6), 16.0))

    run(100)
    shorter, longer = (grown_mb(lambda seconds=seconds: run(seconds)) for seconds in (600, 1200))
    assert longer < 2.5 * max(shorter, 8)


# --- what is not known ------------------------------------------------------------------------------------------


@modalities
@pytest.mark.parametrize("which", ["one", "all"])
def test_unknown_channels_never_raise(modality, which):
    network = network_of(spec_of(modality))
    ids = torch.arange(1, 7).repeat(2, 1)
    ids[:, : 1 if which == "one" else 6] = 0
    for answer in both(network, inputs_of(noise(network.spec.window_samples), RATES[modality], ids=ids)):
        assert bool(answer.isfinite().all())


@pytest.mark.parametrize(
    "channels",
    [
        pytest.param((), id="nothing said"),
        pytest.param((Channel(),) * 2, id="nothing known"),
        pytest.param((Channel("x", "", "no such modality"), Channel()), id="a modality nobody knows"),
        pytest.param((Channel(position=(1e9, -1e9, 0.0)), Channel(position=(0.0, 0.0, 0.0))), id="far out"),
    ],
)
def test_whatever_is_known_of_channels_gives_finite_answers(channels):
    network = network_of(DataSpec("x", 16.0, 64, ("a", "b"), channels=channels))
    for answer in both(network, inputs_of(noise(64, 2), 16.0)):
        assert bool(answer.isfinite().all())


def test_a_kind_of_recording_it_was_not_built_for_is_told():
    network, channels = network_of(spec_of()), channels_of("eeg")
    wide = DataSpec("x", 16.0, 64, tuple("abcdef"), channels=channels, identity=BY_RECORDING)
    network.identity = network_of(wide).identity
    with pytest.raises(NeurodataError, match=r"built for calcium recordings, the batch is of the family 'electrical'; adapt"):  # fmt: skip
        network.features(inputs_of(noise(64), 16.0))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": "huge"}, r"no size 'huge'.* Known: tiny, nano, small, base"),
        ({"n_latents": 0}, r"n_latents is 1 or more, .*; got n_latents=0, "),
        ({"patch_seconds": -1.0}, r"patch_seconds 0 or more, .* patch_seconds=-1"),
        (
            {"patch_seconds": 5.0},
            r"patch_seconds=5 is longer than the window of 4 s; take shorter patches or longer win",
        ),
        ({"dropout": 1.0}, r"lie in \[0, 1\); got .*dropout=1, "),
        ({"dropped_identity": -0.1}, r"dropped_identity=-0.1"),
    ],
)
def test_impossible_settings_are_refused(options, text):
    with pytest.raises(NeurodataError, match=text):
        Perceiver(spec_of(), **options)


# --- counts -----------------------------------------------------------------------------------------------------


def test_rates_per_bin_follow_the_width_of_bins():
    """Four events in 50 ms are two in 25 ms: the same is seen, and half as many a bin are told."""
    network = network_of(spec_of("spikes", counts=True))
    with torch.no_grad():
        wide = network.reconstruct(inputs_of(torch.full((1, 40, 6), 4.0), 20.0))
        narrow = network.reconstruct(inputs_of(torch.full((1, 80, 6), 2.0), 40.0))
    inner = wide[:, 4:-4].repeat_interleave(2, 1), narrow[:, 8:-8]
    assert (wide > 0).all()
    assert float((inner[0].log() - inner[1].log()).mean()) == pytest.approx(math.log(2), abs=0.05)
    assert inner[0].log().std() < 3  # rates, and not overflow


def test_the_same_log_rate_is_told_per_bin():
    """A network that tells 3 events per bin of the base rate, 50 ms, tells half as many per bin of 25 ms."""
    network = network_of(spec_of("spikes", counts=True), stirred=False)
    with torch.no_grad():
        network.back["spikes"].bias.fill_(math.log(3))
        for rate_hz, expected in ((20.0, 3.0), (40.0, 1.5), (10.0, 6.0)):
            latents = network.encode(inputs_of(torch.ones(1, 80, 6), rate_hz))
            torch.testing.assert_close(network.predict(latents), torch.full((1, 80, 6), math.log(expected)))
            told = network.reconstruct(inputs_of(torch.ones(1, 80, 6), rate_hz))
            torch.testing.assert_close(told, torch.full((1, 80, 6), expected))


def test_counts_in_tell_rates_and_values_tell_values():
    spec, values = spec_of("spikes", counts=True), noise(80).abs().round()
    rates, told = (both(network_of(made), inputs_of(values, 20.0))[1] for made in (spec, spec.scaled()))
    assert (rates > 0).all()
    assert (told < 0).any()


# --- running scale ----------------------------------------------------------------------------------------------


def test_before_training_nothing_is_scaled():
    mean, spread = RunningScale(3).statistics()
    assert (mean.tolist(), spread.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_mean_and_spread_are_those_of_all_samples_so_far():
    """The first quantity in two rounds, the second never changing, the third never seen."""
    scale, place = RunningScale(3), torch.tensor([0, 0, 1, 0])
    scale.see(place, torch.tensor([2.0, 4.0, 5.0, math.nan]), torch.tensor([True, True, True, False]))
    scale.see(place, torch.tensor([6.0, 100.0, 5.0, 8.0]), torch.tensor([True, False, True, True]))
    mean, spread = scale.statistics()
    everything = torch.tensor([2.0, 4, 6, 8, 5, 5])
    torch.testing.assert_close(mean, torch.tensor([5.0, 5.0, float(everything.mean())]))
    torch.testing.assert_close(spread, torch.tensor([math.sqrt(5), 1.0, float(everything.std(correction=0))]))


def test_older_samples_count_less_once_there_are_many(monkeypatch):
    monkeypatch.setattr(running_scale_module, "MOST", 100)
    scale, everything = RunningScale(1), torch.ones(120, dtype=torch.bool)
    for value, expected in ((0.0, 0.0), (9.0, 9 * 120 / 180)):  # 120 zeros count as 60, then 120 nines beside them
        scale.see(torch.zeros(120, dtype=torch.long), torch.full((120,), value), everything)
        assert float(scale.statistics()[0][0]) == pytest.approx(expected)


def test_only_training_gathers_statistics():
    """Square roots of counts by channel: of 4 and 16 events a bin, 2 and 4."""
    network = network_of(spec_of("spikes", counts=True))
    inputs = inputs_of(torch.cat([torch.full((1, 40, 6), 4.0), torch.full((1, 40, 6), 16.0)]), 20.0)
    with torch.no_grad():
        network.tokenise(inputs)
        assert not network.count_scale.sums.any()
        network.train().tokenise(inputs)
        mean, spread = network.count_scale.statistics()
        torch.testing.assert_close(mean[1:], torch.full((6,), 3.0))
        torch.testing.assert_close(spread[1:], torch.ones(6))
        scaled = network.eval().tokenise(inputs).base
    torch.testing.assert_close(scaled[0], torch.full_like(scaled[0], -1.0))
    torch.testing.assert_close(scaled[1], torch.full_like(scaled[1], 1.0))


# --- who --------------------------------------------------------------------------------------------------------


def test_identity_is_dropped_in_training_only():
    network, ids = network_of(spec_of(), dropped_identity=0.5), torch.arange(1, 7).expand(50, -1)
    assert torch.equal(network.identity(ids)[0], network.identity(ids)[1])
    network.train()
    told = network.identity(ids)
    assert len({tuple(row) for row in told[:, 0].tolist()}) > 3
    assert not torch.equal(network.identity(ids), told)
    sure = network_of(spec_of(), dropped_identity=0.0).train()
    assert torch.equal(sure.identity(ids)[0], sure.identity(ids)[1])


@pytest.mark.parametrize(("identity", "shown"), [(BY_LABEL, False), (BY_RECORDING, True), (BY_SUBJECT, True)])
def test_channels_never_met_are_shown_where_channels_stand_for_themselves(identity, shown, batch_of):
    spec = spec_of(identity=identity)
    network, batch = network_of(spec), batch_of(spec, n_windows=2, n_channels=6, missing=0)
    assert network.knows(batch).all()
    known = batch.channel_ids <= 2
    network.train().see(batch._replace(recorded=batch.recorded & known[:, None]))
    network.eval()
    assert torch.equal(network.knows(batch), torch.ones_like(known) if shown else known)
    assert network.identity.own_met.tolist() == [False, True, True, False, False, False, False]
    assert network.identity.get_buffer("region_met").tolist() == [False, True, True]


def test_what_was_in_no_training_is_unknown_and_what_is_shared_is_not(batch_of):
    """Of a channel never met, the region that it shares with one that was is told; its name and own vector are not."""
    spec = spec_of()
    network, batch = network_of(spec), batch_of(spec, n_windows=2, n_channels=6, missing=0)
    network.train().see(batch._replace(recorded=batch.recorded & (batch.channel_ids == 1)[:, None]))
    network.eval()
    ids = torch.tensor([[1, 2, 3]])
    before = network.identity(ids)[0]
    for table, moved in (
        ("name", [True, False, False]),
        ("own", [True, False, False]),
        ("region", [True, False, True]),
    ):
        with torch.no_grad():
            network.identity.get_submodule(table).weight[1:] += 1
        after = network.identity(ids)[0]
        assert [not torch.equal(a, b) for a, b in zip(after, before)] == moved, table
        before = after
    assert set(SHARED) == {"name", "group", "region"}
