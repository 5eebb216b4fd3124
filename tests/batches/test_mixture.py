"""Several sources side by side: one vocabulary, a batch of each per step, and a position that can be taken up again."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture, join_specs, renumber
from neurodata.errors import NeurodataError
from neurodata.windows.spec import BY_RECORDING, Channel, DataSpec
from neurodata.windows.splits import split_by


def source(store, *, split=None, **options):
    settings = {
        "inputs": "calcium", "window_seconds": 6.0, "rate_hz": 3.0, "batch_size": 3, "batches_per_epoch": 4,
        "scaling": "none", "identity": "recording_channel", "channels": "all",
    }  # fmt: skip
    return RecordingDataModule(store, split=split or split_by("recording", test=["made_up/w3"]), **settings | options)


@pytest.fixture
def mixture(worms):
    """The same worms twice: slow windows with a class, fast ones of the wheel, some channels being in both."""
    sources = {
        "slow": source(worms, target="state"),
        "fast": source(worms, rate_hz=6.0, window_seconds=2.0, target="wheel", seed=5, split=split_by("recording", test=["made_up/w1"])),
    }  # fmt: skip
    return Mixture(sources, batch_size=8, proportions={"slow": 3, "fast": 1})


def drawn(batches):
    return [[(one.recording.tolist(), one.first.tolist()) for one in step] for step in batches]


def test_a_step_has_a_batch_of_every_source_with_its_own_clock(mixture):
    batches = list(mixture.train_dataloader())
    assert len(batches) == len(mixture.train_dataloader()) == 4
    for slow, fast in batches:
        assert (slow.values.shape[:2], fast.values.shape[:2]) == ((6, 18), (2, 12))
        assert slow.target.dtype == torch.int64
        assert fast.target.shape == (2, 12, 2)


def test_channels_are_numbered_by_one_vocabulary(mixture, worms):
    names = mixture.spec.vocabulary
    assert len(set(names)) == len(names)
    assert set(names) == {key for one in mixture.sources.values() for key in one.spec.vocabulary}
    for name, batches in zip(mixture.sources, zip(*mixture.train_dataloader())):
        own, plain = mixture.sources[name].spec.vocabulary, list(mixture.sources[name].train_dataloader())
        for batch, before in zip(batches, plain):
            assert torch.equal(batch.values, before.values)
            for found, known in zip(batch.channel_ids.flatten().tolist(), before.channel_ids.flatten().tolist()):
                assert (names[found - 1] if found else "") == (own[known - 1] if known else "")
    padded = [~one.present for step in mixture.train_dataloader() for one in step]
    assert any(bool(mask.any()) for mask in padded)


def test_renumbering_keeps_the_unknown_unknown(mixture):
    slow, _ = next(iter(mixture.train_dataloader()))
    numbers = torch.cat([torch.zeros(1, dtype=torch.long), torch.arange(100, 1000)])
    changed = renumber(slow, numbers)
    assert torch.equal(changed.channel_ids == 0, slow.channel_ids == 0)
    assert changed.values is slow.values


def test_the_mixture_s_spec_keeps_each_source_s_own(mixture):
    assert [part.rate_hz for part in mixture.spec.parts] == [3.0, 6.0]
    assert [part.target for part in mixture.spec.parts] == ["state", "wheel"]
    assert mixture.spec.identity == BY_RECORDING
    assert (mixture.spec.rate_hz, mixture.spec.window_samples) == (3.0, 18)
    assert len(mixture.spec.channels) == len(mixture.spec.groups) == len(mixture.spec.vocabulary)
    assert DataSpec.from_json(mixture.spec.to_json()) == mixture.spec


@pytest.mark.parametrize(
    ("batch_size", "proportions", "sizes"),
    [
        pytest.param(8, None, (4, 4), id="equal"),
        pytest.param(8, {"a": 3, "b": 1}, (6, 2), id="three to one"),
        pytest.param(8, {"a": 0.75, "b": 0.25}, (6, 2), id="shares"),
        pytest.param(8, {"a": 1000, "b": 1}, (8, 1), id="at least one window"),
        pytest.param(None, None, (3, 3), id="as each says"),
    ],
)
def test_windows_of_a_step_are_shared_by_proportions(worms, batch_size, proportions, sizes):
    made = Mixture({"a": source(worms), "b": source(worms)}, batch_size=batch_size, proportions=proportions)
    step = next(iter(made.train_dataloader()))
    assert tuple(len(one.values) for one in step) == sizes


def test_every_epoch_draws_other_windows_and_a_seed_the_same(mixture):
    loader, again = mixture.train_dataloader(), mixture.train_dataloader()
    first, second = drawn(loader), drawn(loader)
    assert first != second
    assert [drawn(again), drawn(again)] == [first, second]
    loader.sampler.set_epoch(0)
    assert drawn(loader) == first


def shuffled(worms):
    """An order without replacement, so that sources have epochs of different lengths."""
    return Mixture({
        "long": source(worms, order="shuffled"),
        "short": source(worms, order="shuffled", split=split_by("recording", test=["made_up/w3", "made_up/w2"])),
    })  # fmt: skip


def test_an_epoch_ends_with_the_shortest_source_and_all_begin_the_next(worms):
    loader = shuffled(worms).train_dataloader()
    lengths = [len(one) for one in loader.loaders.values()]
    assert lengths[0] > lengths[1] == len(loader)
    first, second, third = drawn(loader), drawn(loader), drawn(loader)
    assert len(first) == len(second) == len(third) == lengths[1]
    assert [step[0] for step in first] != [step[0] for step in second] != [step[0] for step in third]
    told = shuffled(worms).train_dataloader()
    for epoch, expected in enumerate((first, second, third)):
        told.set_epoch(epoch)
        assert drawn(told) == expected


@pytest.mark.parametrize("which", ["drawn", "shuffled"])
@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4, 5, 7])
def test_a_state_gives_exactly_the_remaining_batches(mixture, worms, which, taken):
    made = mixture if which == "drawn" else shuffled(worms)
    loader = made.train_dataloader()
    expected = [step for _ in range(3) for step in drawn(loader)]
    before = made.train_dataloader()
    stream, states = _endless(before), []
    for _ in range(taken):
        next(stream)
    states.append(before.state_dict())
    after = made.train_dataloader()
    after.load_state_dict(ForkingPickler.loads(ForkingPickler.dumps(states[0])))
    rest = _endless(after)
    found = [drawn([next(rest)])[0] for _ in range(len(expected) - taken)]
    assert found == expected[taken:]


def _endless(loader):
    while True:
        yield from loader


def test_states_of_other_sources_are_refused(mixture, worms):
    state = mixture.train_dataloader().state_dict()
    other = Mixture({"slow": source(worms), "third": source(worms)}).train_dataloader()
    with pytest.raises(NeurodataError, match=r"of the sources fast, slow, the mixture has slow, third"):
        other.load_state_dict(state)
    renamed = Mixture({"slow": source(worms, window_seconds=2.0), "fast": source(worms)}).train_dataloader()
    with pytest.raises(NeurodataError, match=r"the saved position is of other windows"):
        renamed.load_state_dict(state)


def test_a_mixture_and_its_loader_are_pickled(mixture):
    mixture.setup()
    again = ForkingPickler.loads(ForkingPickler.dumps(mixture))
    assert again.spec == mixture.spec
    assert drawn(again.train_dataloader()) == drawn(mixture.train_dataloader())
    loader = ForkingPickler.loads(ForkingPickler.dumps(mixture.train_dataloader()))
    assert drawn(loader) == drawn(mixture.train_dataloader())


def test_validation_windows_come_in_order_as_long_as_the_shortest_goes(worms):
    split = split_by("time", test=0.2, validation=0.3, guard_seconds=6.0)
    made = Mixture({"a": source(worms, split=split), "b": source(worms, split=split)})
    found = list(made.val_dataloader())
    assert len(found) == len(made.val_dataloader()) > 0
    assert all(torch.equal(a.first, b.first) for a, b in found)


def test_targets_of_all_sources_are_described_in_their_order(mixture):
    found = mixture.target_options()
    slow, fast = mixture.sources.values()
    assert found["class_counts"] == [*map(float, slow.target_counts()), 1.0, 1.0]
    mean, std = fast.target_statistics()
    assert found["output_mean"] == [0.0, 0.0, 0.0, *mean.tolist()]
    assert found["output_std"] == [1.0, 1.0, 1.0, *std.tolist()]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"proportions": {"a": 1, "b": 1}}, r"proportions=… say how a step's windows are shared; give batch_size=… as"),
        ({"batch_size": 4, "proportions": {"a": 1}}, r"a number above 0 for each source \(a, b\); got {'a': 1}"),
        ({"batch_size": 4, "proportions": {"a": 1, "b": 0}}, r"got {'a': 1, 'b': 0}; leave a source out"),
        ({"batch_size": 4, "proportions": {"a": 1, "b": float("nan")}}, r"a number above 0 for each source"),
        ({"batch_size": 4, "proportions": {"a": 1, "b": float("inf")}}, r"a number above 0 for each source"),
        ({"batch_size": 4, "proportions": {"a": 1, "b": "2"}}, r"a number above 0 for each source"),
        ({"batch_size": 0}, r"batch_size must be a positive number, got 0"),
    ],
)
def test_impossible_mixtures_are_refused(worms, options, text):
    with pytest.raises(NeurodataError, match=text):
        Mixture({"a": source(worms), "b": source(worms)}, **options)


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(NeurodataError, match=r"a mixture needs at least one source: {name: RecordingDataModule"):
        Mixture({})


def test_one_key_for_two_channels_is_refused():
    specs = {kind: DataSpec(kind, 1.0, 4, ("0",), channels=(Channel(modality=kind),)) for kind in ("eeg", "fmri")}
    with pytest.raises(
        NeurodataError, match=r"source 'fmri' knows another channel by '0' than a source before it; let"
    ):
        join_specs(specs)
