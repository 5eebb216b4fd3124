"""Windows with different neurons in one batch: padding is never taken for activity."""

from __future__ import annotations

import numpy as np
import torch

from neurodata.batches.collate import Sample, collate


def sample(n_channels, recording=0, first=0, *, target=None, seed=0):
    rng = np.random.default_rng(seed)
    recorded = rng.random((6, n_channels)) > 0.2
    values = (rng.normal(size=(6, n_channels)) * recorded).astype(np.float32)
    return Sample(values, recorded, rng.permutation(50)[:n_channels] + 1, target, recording, first, 3.0)


def test_channels_are_padded_at_the_end_and_keep_their_order():
    samples = [sample(3, 0, 7, seed=1), sample(5, 2, 9, seed=2), sample(1, 1, 11, seed=3)]
    batch = collate(samples)
    assert batch.values.shape == batch.recorded.shape == (3, 6, 5)
    for row, one in enumerate(samples):
        n = one.values.shape[1]
        np.testing.assert_array_equal(batch.values[row, :, :n], one.values)
        np.testing.assert_array_equal(batch.recorded[row, :, :n], one.recorded)
        np.testing.assert_array_equal(batch.channel_ids[row, :n], one.channel_ids)
        assert batch.present[row].tolist() == [True] * n + [False] * (5 - n)
        assert not batch.recorded[row, :, n:].any()
        assert not batch.values[row, :, n:].any()
        assert not batch.channel_ids[row, n:].any()
    assert batch.recording.tolist() == [0, 2, 1]
    assert batch.first.tolist() == [7, 9, 11]


def test_seconds_count_from_the_window_s_first_sample():
    torch.testing.assert_close(collate([sample(2, first=100)]).seconds, torch.arange(6) / 3.0)


def test_kinds_of_target():
    codes = [np.array([0, 1, -1, 2, 2, 0])] * 2
    assert collate([sample(2, target=c) for c in codes]).target.dtype == torch.int64
    wheel = np.array([[0.5], [np.nan], [1], [2], [3], [4]], np.float32)
    found = collate([sample(2, target=wheel)]).target
    assert found.shape == (1, 6, 1)
    assert found.dtype == torch.float32
    assert bool(found[0, 1].isnan())
    assert collate([sample(2), sample(3)]).target.shape == (2, 0)
