"""Many sequences, of one length or several, as one list of bins that knows where each bin belongs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sequences(NamedTuple):
    """Sequences padded to one length.

    Attributes
    ----------
    values
        Counts or values, shape ``(sequence, time, unit)``; 0 where missing and past the end.
    observed
        Where they are known, shape ``(sequence, time, unit)``; False past the end.
    covariates
        Shape ``(sequence, time, covariate)``, 0 past the end; there may be none.
    lengths
        Bins of each sequence, shape ``(sequence,)``.
    """

    values: Tensor
    observed: Tensor
    covariates: Tensor
    lengths: Tensor


class Bins(NamedTuple):
    """Bins of all sequences one after another, with what each is predicted from.

    Attributes
    ----------
    past
        Every unit's past through every filter, shape ``(bin, unit · filter)``.
    own
        Every unit's own last values, shape ``(bin, unit, lag)``; no lags where a model does not use them.
    covariates
        Shape ``(bin, covariate)``.
    values
        What is predicted, shape ``(bin, unit)``.
    weight
        1 where a value is known, else 0, shape ``(bin, unit)``; None where all are.
    base
        Log probability that does not depend on the model, shape ``(bin,)``.
    lengths
        Bins of each sequence, shape ``(sequence,)``.
    """

    past: Tensor
    own: Tensor
    covariates: Tensor
    values: Tensor
    weight: Tensor | None
    base: Tensor
    lengths: Tensor

    def take(self, index: Tensor | slice) -> Bins:
        """Return some of the bins; ``lengths`` stay those of all."""
        weight = None if self.weight is None else self.weight[index]
        parts = (self.past[index], self.own[index], self.covariates[index], self.values[index])
        return Bins(*parts, weight, self.base[index], self.lengths)

    def pad(self, found: Tensor) -> Tensor:
        """Return something found for each bin, ``(bin, …)``, as ``(sequence, time, …)``, 0 past the end."""
        padded = found.new_zeros((len(self.lengths), int(self.lengths.max()), *found.shape[1:]))
        padded[present(self.lengths)] = found
        return padded

    @property
    def n_known(self) -> int:
        """Values that are known, over bins and units."""
        return self.values.numel() if self.weight is None else int(self.weight.sum())


def present(lengths: Tensor) -> Tensor:
    """Return which bins lie within their sequence, shape ``(sequence, time)``."""
    return torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
