"""A patch's embedding does not depend on the rate it was sampled at, and cutting and joining loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurodata.models.layers.patches import (
    FAMILIES,
    PATCHINGS,
    as_like,
    cut_patches,
    family_of,
    from_base,
    join_patches,
    resize_matrix,
    to_base,
)

families = pytest.mark.parametrize("family", FAMILIES)
SIZES = [(1, 4), (2, 4), (3, 16), (5, 32), (8, 4), (17, 16), (63, 32), (40, 16)]
either = pytest.mark.parametrize("bins", [False, True], ids=["moments", "bins"])


class Sines:
    """A signal of five sines below a frequency, known at every moment, or averaged over bins."""

    def __init__(self, rng, highest_hz):
        self.hz, self.phase = rng.uniform(0, highest_hz, (5, 1)), rng.uniform(0, 2 * np.pi, (5, 1))
        self.height = rng.normal(size=(5, 1))

    def at(self, times):
        return (self.height * np.sin(2 * np.pi * self.hz * times + self.phase)).sum(0)

    def sampled(self, n_samples, rate_hz, bins):
        if not bins:
            return self.at(np.arange(n_samples) / rate_hz)
        fine = (np.arange(n_samples * 40) + 0.5) / 40 / rate_hz
        return self.at(fine).reshape(n_samples, 40).mean(1)


def embedded(family, rate_hz, signal, kernels, resize):
    """A token: a signal's first patch, seen through kernels that are made for the base rate."""
    patching, bins = PATCHINGS[family], family == "spikes"
    n_samples = patching.n_samples(rate_hz)
    return kernels @ resize(n_samples, patching.base_samples, bins) @ signal.sampled(n_samples, rate_hz, bins)


def interpolated(n_samples, base_samples, bins):
    """What is not done: kernels are interpolated and then summed over more samples or fewer."""
    return resize_matrix(base_samples, n_samples, bins=bins).T


def compared(family, factors, resize, n_signals=60):
    """Cosines between tokens at two rates, and how much longer the second one is."""
    rng = np.random.default_rng(0)
    base_hz = PATCHINGS[family].base_rate_hz
    kernels = rng.normal(size=(64, PATCHINGS[family].base_samples))
    cosines, ratios = [], []
    for _ in range(n_signals):
        signal = Sines(rng, 0.25 * min(factors) * base_hz / 2)
        one, other = (embedded(family, factor * base_hz, signal, kernels, resize) for factor in factors)
        cosines.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        ratios.append(np.linalg.norm(other) / np.linalg.norm(one))
    return np.array(cosines), float(np.median(ratios))


@families
def test_at_the_base_rate_a_patch_is_embedded_as_it_is(family):
    patching, bins = PATCHINGS[family], family == "spikes"
    n_samples = patching.n_samples(patching.base_rate_hz)
    assert n_samples == patching.base_samples
    assert np.array_equal(to_base(n_samples, patching.base_samples, bins), np.eye(n_samples))
    assert np.array_equal(from_base(n_samples, patching.base_samples, bins), np.eye(n_samples))


@families
def test_a_token_is_nearly_the_same_at_half_the_interval(family):
    for factors in ((1, 2), (2, 4)):
        cosines, ratio = compared(family, factors, to_base)
        assert cosines.min() > 0.95
        assert ratio == pytest.approx(1, abs=0.05)


@families
def test_a_token_is_nearly_the_same_at_twice_the_interval(family):
    """Below the base rate something is missing: a signal that crosses zero there has a small, other token."""
    cosines, ratio = compared(family, (1, 0.5), to_base)
    assert np.median(cosines) > 0.95
    assert ratio == pytest.approx(1, abs=0.05)


@families
def test_interpolating_kernels_instead_would_double_tokens(family):
    assert compared(family, (1, 2), interpolated)[1] == pytest.approx(2, rel=0.05)
    assert compared(family, (1, 0.5), interpolated)[1] == pytest.approx(0.5, rel=0.1)


@either
@pytest.mark.parametrize(("n_samples", "base"), SIZES)
def test_constants_are_kept(n_samples, base, bins):
    np.testing.assert_allclose(from_base(n_samples, base, bins) @ np.ones(base), 1, atol=1e-12)
    there = to_base(n_samples, base, bins) @ np.ones(n_samples)
    if n_samples >= base:
        np.testing.assert_allclose(there, 1, atol=1e-12)
    else:  # the smallest base samples that come to the same: not constant, but a constant comes back
        np.testing.assert_allclose(from_base(n_samples, base, bins) @ there, 1, atol=1e-12)


@either
@pytest.mark.parametrize(("n_samples", "base"), SIZES)
def test_there_and_back_loses_only_what_the_fewer_samples_cannot_hold(n_samples, base, bins):
    there, back = to_base(n_samples, base, bins), from_base(n_samples, base, bins)
    assert (there.shape, back.shape) == ((base, n_samples), (n_samples, base))
    both = back @ there if n_samples <= base else there @ back
    np.testing.assert_allclose(both, np.eye(min(n_samples, base)), atol=1e-12)


@either
@pytest.mark.parametrize(("n_from", "n_to"), [(32, 8), (16, 3), (8, 32), (5, 7)])
def test_resizing_follows_a_slow_signal(n_from, n_to, bins):
    """The same sine at other moments; at the edges the kernel has one side only."""
    shift = 0.5 if bins else 0.0
    before, after = (np.cos(np.pi * (np.arange(n) + shift) / n) for n in (n_from, n_to))
    found = resize_matrix(n_from, n_to, bins=bins) @ before
    inner = slice(1, -1) if n_to > 3 else slice(1, 2)
    np.testing.assert_allclose(found[inner], after[inner], atol=0.12)
    assert np.corrcoef(found, after)[0, 1] > 0.99


def test_bins_are_averaged_over_the_stretch_they_cover():
    """Two bins into one, each in its own half: the later half's events do not move to the earlier."""
    found = resize_matrix(8, 4, bins=True) @ np.array([2.0, 2, 4, 4, 6, 6, 8, 8])
    np.testing.assert_allclose(found, [2, 4, 6, 8], atol=0.35)
    assert abs(found.mean() - 5) < 1e-9
    assert (resize_matrix(8, 4, bins=False) @ np.array([2.0, 2, 4, 4, 6, 6, 8, 8])).mean() < 4.9


@pytest.mark.parametrize("length", [1, 5, 6, 7, 18])
@pytest.mark.parametrize("n_samples", [1, 2, 3, 7])
def test_cutting_and_joining_is_a_round_trip(length, n_samples):
    values = torch.arange(2 * length * 3, dtype=torch.float32).view(2, length, 3)
    patches = cut_patches(values, n_samples)
    assert patches.shape == (2, 3, -(-length // n_samples), n_samples)
    assert torch.equal(join_patches(patches, length), values)
    assert not patches.flatten(2)[..., length:].any()  # what fills the last patch
    assert torch.equal(patches[1, 2, 0], values[1, :n_samples, 2][: patches.shape[-1]]) or length < n_samples


@pytest.mark.parametrize(
    ("family", "rate_hz", "expected"),
    [
        ("calcium", 3.0, 3), ("calcium", 0.2, 1), ("fmri", 0.5, 5), ("fmri", 1 / 0.72, 14), ("fmri", 0.05, 1),
        ("electrical", 128.0, 32), ("electrical", 250.0, 62), ("spikes", 20.0, 4),
    ],
)  # fmt: skip
def test_a_patch_has_as_many_samples_as_come_closest(family, rate_hz, expected):
    assert PATCHINGS[family].n_samples(rate_hz) == expected


@pytest.mark.parametrize(("family", "rate_hz"), [("electrical", 250.0), ("electrical", 50.0), ("calcium", 2.5)])
def test_the_last_bits_of_a_clock_do_not_change_the_patch(family, rate_hz):
    """62.5 samples a patch: windows of other lengths, whose clocks are rounded otherwise, are cut alike."""
    found = set()
    for n_samples in range(20, 3000, 7):
        seconds = torch.arange(n_samples) / rate_hz
        found.add(PATCHINGS[family].n_samples((n_samples - 1) / float(seconds[-1] - seconds[0])))
    assert len(found) == 1


def test_kinds_of_recordings():
    assert [family_of(kind) for kind in ("eeg", "spikes", "fmri", "calcium", "meg")] == ["electrical", "spikes", "fmri", "calcium", "electrical"]  # fmt: skip
    assert family_of("") == family_of("whatever") == "other"


def test_matrices_take_type_and_device_of_what_they_are_for():
    like = torch.zeros(2, dtype=torch.float64)
    assert as_like(to_base(3, 4, False), like).dtype == torch.float64
