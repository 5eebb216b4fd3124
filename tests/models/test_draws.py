"""Random numbers of a window are its own: neither rank, row, padding nor source of the batch changes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurodata.models.checkpoints import make_task
from neurodata.models.draws import window_uniform


def numbered(batch, recording, first):
    return batch._replace(recording=torch.tensor(recording), first=torch.tensor(first))


def rows(batch, kept):
    return batch._replace(**{name: getattr(batch, name)[kept] for name in batch._fields if name != "seconds"})


def padded(batch, n_more):
    def wider(values):
        shape = (*values.shape[:-1], n_more)
        return torch.cat([values, values.new_zeros(shape)], -1)

    names = ("values", "recorded", "channel_ids", "present")
    return batch._replace(**{name: wider(getattr(batch, name)) for name in names})


@pytest.mark.parametrize("each_channel", [False, True])
def test_a_window_draws_the_same_whatever_batch_holds_it(spec, batch_of, each_channel):
    batch = numbered(batch_of(spec, n_windows=4), [0, 1, 1, 2], [7, 7, 8, 300])
    found = window_uniform(batch, 5, 1, 11, each_channel=each_channel)
    assert found.shape == ((4, 11, 7) if each_channel else (4, 11))
    for kept in ([2, 0], [1], [3, 2, 1, 0]):
        assert torch.equal(window_uniform(rows(batch, kept), 5, 1, 11, each_channel=each_channel), found[kept])
    wide = window_uniform(padded(batch, 3), 5, 1, 11, each_channel=each_channel)
    assert torch.equal(wide[..., :7] if each_channel else wide, found)
    longer = window_uniform(batch, 5, 1, 40, each_channel=each_channel)
    assert torch.equal(longer[:, :11], found)


def test_seed_draw_recording_sample_and_channel_all_matter(spec, batch_of):
    batch = numbered(batch_of(spec, n_windows=4), [0, 0, 1, 2], [7, 8, 7, 7])
    draws = [
        window_uniform(batch, seed, what, 5, each_channel=True) for seed, what in ((5, 1), (6, 1), (5, 2), (-1, 1))
    ]
    everything = torch.cat([draw.flatten() for draw in draws])
    assert len(everything.unique()) > 0.99 * len(everything)


def test_draws_are_uniform_and_neighbours_are_independent(spec, batch_of):
    batch = numbered(batch_of(spec, n_windows=200, n_channels=10), [i // 50 for i in range(200)], list(range(200)))
    found = window_uniform(batch, 3, 0, 20, each_channel=True).numpy()
    assert found.min() >= 0
    assert found.max() < 1
    shares = np.histogram(found, 10, (0, 1))[0] / found.size
    np.testing.assert_allclose(shares, 0.1, atol=0.007)  # five standard deviations
    for axis in range(3):
        one, other = (np.take(found, places, axis).ravel() for places in (range(0, 9), range(1, 10)))
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)


def test_what_is_hidden_depends_on_step_and_window_alone(spec, batch_of, network_of):
    task = make_task("pretrain", network_of("linear", spec), {"hidden_futures": 0.5})
    batch = numbered(batch_of(spec, n_windows=6), [0, 1, 1, 2, 0, 0], [7, 7, 8, 300, 1, 2])
    task.step_seed = 12
    hidden = task.draw_hidden(batch)
    assert torch.equal(task.draw_hidden(batch), hidden)
    assert torch.equal(task.draw_hidden(rows(batch, [4, 1])), hidden[[4, 1]])
    assert torch.equal(task.draw_hidden(padded(batch, 2))[..., :7], hidden)
    task.step_seed = 13
    assert not torch.equal(task.draw_hidden(batch), hidden)


def test_without_a_step_what_is_hidden_follows_the_seed_of_torch(spec, batch_of, network_of):
    task, batch = make_task("pretrain", network_of("linear", spec), {}), batch_of(spec, n_windows=6)
    torch.manual_seed(1)
    one, other = task.draw_hidden(batch), task.draw_hidden(batch)
    assert not torch.equal(one, other)
    torch.manual_seed(1)
    assert torch.equal(task.draw_hidden(batch), one)
