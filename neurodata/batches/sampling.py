"""Which windows an epoch draws."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class DrawnWindows(Sampler[int]):
    """Windows drawn at random, with replacement, anew each epoch.

    What an epoch draws depends on seed and epoch only: the same whatever the number of workers, and the same when a
    run is resumed there.

    Parameters
    ----------
    n_windows
        Windows to draw from.
    n_drawn
        Windows drawn per epoch.
    seed
        Of all epochs.
    """

    def __init__(self, n_windows: int, n_drawn: int, seed: int) -> None:
        self.n_windows, self.n_drawn, self.seed, self.epoch = n_windows, n_drawn, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        # Two numbers into one seed without collisions for any plausible number of epochs.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        yield from torch.randint(self.n_windows, (self.n_drawn,), generator=generator).tolist()

    def __len__(self) -> int:
        return self.n_drawn
