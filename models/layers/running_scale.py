"""Means and spreads gathered while a network is trained, so that what it reads is centred and of unit size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..losses import share_count

MOST = 1e6
"""Samples after which older ones count half: the sums stay exact in single precision, and follow a slow drift."""


class RunningScale(nn.Module):
    """Mean and standard deviation of some quantities over all training samples seen so far.

    Unlike batch normalisation nothing depends on the rest of a batch. What was never seen is scaled as the others are on
    average; before any training nothing is scaled.

    Parameters
    ----------
    n
        Number of quantities.
    """

    sums: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(n, 3))

    @torch.no_grad()
    def see(self, place: Tensor, values: Tensor, counted: Tensor) -> None:
        """Take samples in.

        Parameters
        ----------
        place
            Which quantity a value is of, ``(…)``.
        values, counted
            The values, and whether they count, ``(…)``.
        """
        kept = torch.where(counted, values.to(self.sums.dtype), self.sums.new_zeros(()))
        parts = torch.stack([kept, kept.square(), counted.to(self.sums.dtype)], -1).reshape(-1, 3)
        found = torch.zeros_like(self.sums).index_add(0, place.expand(values.shape).reshape(-1), parts)
        sums = self.sums + share_count(found)
        self.sums.copy_(torch.where(sums[:, 2:] > MOST, sums / 2, sums))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each quantity, ``(n,)`` both."""
        known = self.sums[:, 2] > 0
        total = torch.where(known[:, None], self.sums, self.sums.sum(0))
        count = total[:, 2].clamp(min=1)
        mean = total[:, 0] / count
        spread = (total[:, 1] / count - mean.square()).clamp(min=0).sqrt()
        return mean, torch.where(spread > SMALLEST, spread, 1.0)


SMALLEST = 1e-3
"""A smaller spread is that of a quantity that does not change, which is centred and not divided."""
