"""A trained encoder made ready for other channels keeps what it knows, by name; new channels begin where they belong."""

from __future__ import annotations

import copy

import pytest
import torch

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError
from neurodata.models import carry_over as carry_over_module
from neurodata.models.carry_over import carry_over, start_vectors
from neurodata.models.layers.channel_identity import OWN_SPREAD
from neurodata.models.network import make_inputs
from neurodata.models.networks.perceiver import Perceiver
from neurodata.windows.spec import BY_RECORDING, Channel, DataSpec

SKULL = 0.1
"""Unit of places of electrical recordings, metres."""


def channel(name, modality="eeg", position=(), region=""):
    return Channel(name, region, modality, position)


KNOWN = {
    "a/Cz": channel("Cz", position=(0.0, 0.0, 0.1)),
    "a/C3": channel("C3", position=(-0.05, 0.0, 0.09), region="left"),
    "b/Cz": channel("Cz", position=(0.0, 0.0, 0.11)),
    "a/AVAL": channel("AVAL", "calcium"),
    "b/far": channel("Oz", position=(0.0, -0.1, 0.0)),
}
NEW = {
    "new/Cz": channel("Cz", position=(0.0, 0.0, 0.1)),
    "new/close": channel("X", position=(-0.05, 0.0, 0.085)),
    "new/nowhere": channel(""),
    "new/cell": channel("", "calcium"),
    "new/bold": channel("", "fmri"),
}


def spec_of(channels, **options):
    return DataSpec("x", 128.0, 256, tuple(channels), channels=tuple(channels.values()), identity=BY_RECORDING, **options)  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """An encoder that has met all of its channels, each with a vector of its own that is known."""
    torch.manual_seed(0)
    network = Perceiver(spec_of(KNOWN), size="tiny", n_latents=3)
    network.met[:] = True
    for what in ("own", "name", "group", "region"):
        network.identity.get_buffer(f"{what}_met")[:] = True
    with torch.no_grad():
        network.identity.own.weight[:] = torch.randn(6, 16)
    return network.eval()


def test_every_weight_that_is_no_table_is_the_same(trained):
    made = carry_over(trained, spec_of(NEW))
    assert made.hyperparameters == trained.hyperparameters
    before, after = (dict(network.named_parameters()) for network in (trained, made))
    tables = ("identity.own", "identity.name", "identity.group", "identity.region")
    kept = [name for name in before if not name.startswith(tables)]
    assert len(kept) > 60
    assert all(torch.equal(after[name], before[name]) for name in kept)
    assert set(trained.state_dict()) <= set(made.state_dict())


def test_the_new_channels_come_first_and_the_known_ones_stay_known(trained):
    made = carry_over(trained, spec_of({"b/Cz": KNOWN["b/Cz"], **NEW}))
    assert made.spec.vocabulary == ("b/Cz", *NEW, "a/Cz", "a/C3", "a/AVAL", "b/far")
    places = {key: number + 1 for number, key in enumerate(made.spec.vocabulary)}
    for number, key in enumerate(KNOWN, start=1):
        assert torch.equal(made.identity.own.weight[places[key]], trained.identity.own.weight[number])
        assert made.met[places[key]]
        assert made.identity.own_met[places[key]]
    assert not any(made.met[places[key]] or made.identity.own_met[places[key]] for key in NEW)


@pytest.mark.parametrize("what", ["name", "region"])
def test_what_is_shared_keeps_its_vector_under_its_name(trained, what):
    extra = {"new/A1": channel("A1", region="aaa")}  # sorts before all others, so that every row moves
    made = carry_over(trained, spec_of({**extra, **NEW}))
    before, after = (network.identity.keys[what] for network in (trained, made))
    assert set(before) < set(after)
    table, old = made.identity.get_submodule(what).weight, trained.identity.get_submodule(what).weight
    assert torch.equal(table[0], old[0])
    for row, key in enumerate(before, start=1):
        assert torch.equal(table[1 + after.index(key)], old[row])
        assert made.identity.get_buffer(f"{what}_met")[1 + after.index(key)]


def test_known_channels_are_told_the_same(trained):
    """The whole network says the same of the recordings it was trained on, whatever was added."""
    made = carry_over(trained, spec_of(NEW)).eval()
    places = {key: number + 1 for number, key in enumerate(made.spec.vocabulary)}
    values = torch.randn(2, 256, 5, generator=torch.Generator().manual_seed(1))
    recorded, present = torch.ones_like(values, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    ids = torch.arange(1, 6).expand(2, -1)
    moved = torch.tensor([places[key] for key in KNOWN]).expand(2, -1)
    seconds = torch.arange(256) / 128.0
    with torch.no_grad():
        plain, other = (network.reconstruct(_inputs(values, recorded, which, present, seconds)) for network, which in ((trained, ids), (made, moved)))  # fmt: skip
    torch.testing.assert_close(other, plain, rtol=0, atol=1e-6)


def _inputs(values, recorded, ids, present, seconds):
    nothing = torch.zeros(2, 0, dtype=torch.int64)
    return make_inputs(Batch(values, recorded, ids, present, seconds, nothing, ids[:, 0], ids[:, 0]))


def test_new_channels_begin_as_the_same_name_then_near_then_kind_then_nothing(trained, monkeypatch):
    monkeypatch.setattr(carry_over_module, "OWN_SPREAD", 0.0)
    own = trained.identity.own.weight.detach()[1:]
    found = start_vectors(trained, list(NEW.values()))
    torch.testing.assert_close(found[0], (own[0] + own[2]) / 2)  # both known Cz, wherever they lie
    near = torch.exp(-torch.tensor([_apart(KNOWN[key], NEW["new/close"]) for key in KNOWN]) / (2 * (0.3 * SKULL) ** 2))
    near[3] = 0  # another kind
    torch.testing.assert_close(found[1], (near[:, None] * own).sum(0) / near.sum())
    assert near.argmax() == 1
    torch.testing.assert_close(found[2], own[[0, 1, 2, 4]].mean(0))
    torch.testing.assert_close(found[3], own[3])
    assert not found[4].any()


def test_new_channels_of_neither_name_nor_place_begin_apart_around_their_kind(trained):
    """By torch's generator alone; what is known of others tells them apart already."""
    own = trained.identity.own.weight.detach()[1:]
    torch.manual_seed(1)
    found = start_vectors(trained, [channel("", "calcium")] * 400)
    torch.testing.assert_close(found.mean(0), own[3], rtol=0, atol=0.1)
    assert float(found.std(0).mean()) == pytest.approx(OWN_SPREAD, rel=0.1)
    again = start_vectors(trained, [channel("", "calcium")] * 400)
    assert not torch.equal(again, found)
    torch.manual_seed(1)
    assert torch.equal(start_vectors(trained, [channel("", "calcium")] * 400), found)
    for known in (channel("RIML", "calcium"), channel("", "eeg", (0.0, 0.0, 0.1))):
        one, other = start_vectors(trained, [known] * 2)
        assert torch.equal(one, other)
    assert start_vectors(trained, []).shape == (0, 16)


def _apart(one, other):
    return sum((a - b) ** 2 for a, b in zip(one.position, other.position)) if one.position else 1e9


def test_channels_that_were_in_no_training_say_nothing_of_new_ones(trained):
    untrained = Perceiver(spec_of(KNOWN), size="tiny")
    told = start_vectors(untrained, [NEW["new/Cz"], NEW["new/close"], channel("AVAL", "calcium")])
    assert not told.any()


def test_the_trained_network_is_left_as_it_is(trained):
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    made = carry_over(trained, spec_of(NEW))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())


def test_another_kind_of_recording_gets_what_it_needs(trained):
    """Kernels for its patches are new, all else is known."""
    made = carry_over(trained, spec_of({"new/bold": NEW["new/bold"]}))
    assert set(made.families) == {"calcium", "electrical", "fmri"}
    assert torch.equal(made.enter["electrical"].weight, trained.enter["electrical"].weight)


def test_precision_is_kept(trained):
    made = carry_over(copy.deepcopy(trained).double(), spec_of(NEW))
    assert {p.dtype for p in made.parameters()} == {torch.float64}


def test_what_cannot_be_carried_is_told(trained):
    with pytest.raises(NeurodataError, match=r"the spec says nothing of its channels; make it by RecordingDataModule"):
        carry_over(trained, DataSpec("x", 128.0, 256, ("a", "b")))
    long = Perceiver(spec_of(KNOWN), size="tiny", patch_seconds=1.5)
    short = DataSpec("x", 128.0, 128, ("a",), channels=(channel("Cz"),))
    with pytest.raises(NeurodataError, match=r"patches of 1.5 s are longer than the windows of 1 s; take longer"):
        carry_over(long, short)
