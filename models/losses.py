"""Losses that count only what was recorded."""

from __future__ import annotations

import torch
import torch.distributed
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def _mean_over_processes(count: Tensor) -> Tensor:
    total = count.detach().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def share_count(count: Tensor) -> Tensor:
    """Return the mean over processes of what each has counted; the count itself where there is one process.

    ``DistributedDataParallel`` averages gradients over processes. A sum divided by this mean therefore has the gradient
    of the mean over all processes' values, however unevenly what counts is spread over them. Every process must call
    it equally often. Outside of training (``no_grad``) processes may have different numbers of batches, so nothing is
    shared there.

    Parameters
    ----------
    count
        Numbers of anything, any shape; no gradient flows through it.
    """
    if torch.is_grad_enabled() and torch.distributed.is_available() and torch.distributed.is_initialized():
        return _mean_over_processes(count)
    return count.detach()


def per_count(total: Tensor, count: Tensor) -> Tensor:
    """Return a sum over this process's values per value counted by all, see `share_count`; 0 where none is counted."""
    shared = share_count(count)
    return total / torch.where(shared > 0, shared, 1)


def masked_mean(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of the counted values; 0 where none is counted.

    Parameters
    ----------
    values, counted
        Same shape; ``counted`` is bool.
    """
    return per_count(torch.where(counted, values, values.new_zeros(())).sum(), counted.sum())


def masked_huber(prediction: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """Return the mean Huber loss (delta 1) over the counted values; quadratic for small errors, linear for outliers."""
    truth = where_counted(truth, prediction, counted)
    return masked_mean(functional.huber_loss(prediction, truth, reduction="none"), counted)


def masked_mse(prediction: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """Return the mean squared error over the counted values."""
    return masked_mean((prediction - where_counted(truth, prediction, counted)).square(), counted)


def where_counted(truth: Tensor, prediction: Tensor, counted: Tensor) -> Tensor:
    """Return the truth, and the prediction itself where nothing is counted: NaN there would make the gradient NaN."""
    return torch.where(counted, truth, prediction.detach().to(truth.dtype))


def poisson_loss(log_rate: Tensor, counts: Tensor) -> Tensor:
    """Return half the Poisson deviance of each count, 0 where the rate is the count (McCullagh & Nelder 1989, 2.3).

    Parameters
    ----------
    log_rate
        Logarithm of the expected count; what is above 8 counts as 8.
    counts
        Same shape.
    """
    log_rate = log_rate.clamp(max=LARGEST_LOG_RATE)
    known: Tensor = torch.special.xlogy(counts, counts) - counts
    return log_rate.exp() - counts * log_rate + known


def negative_binomial_loss(log_rate: Tensor, counts: Tensor, log_dispersion: Tensor) -> Tensor:
    """Return the negative log likelihood of counts of variance ``rate + dispersion * rate**2`` (Hilbe 2011, 8.2).

    Parameters
    ----------
    log_rate, counts
        As for `poisson_loss`.
    log_dispersion
        Logarithm of the dispersion; very negative: Poisson.
    """
    log_rate = log_rate.clamp(max=LARGEST_LOG_RATE)
    size = (-log_dispersion).clamp(-10, 10).exp()
    log_both = torch.logaddexp(log_rate, size.log())
    whole = torch.lgamma(counts + size) - torch.lgamma(size) - torch.lgamma(counts + 1)
    return -(whole + size * (size.log() - log_both) + counts * (log_rate - log_both))


LARGEST_LOG_RATE = 8.0
"""Rates above exp(8) counts per bin are no neuron's; without a bound one wild prediction would be infinite."""


def balanced_cross_entropy(logits: Tensor, codes: Tensor, class_weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the class-weighted cross-entropy per labelled sample.

    Weights are not renormalised by the batch: with weights ``n_samples / (n_classes * count)`` every class counts the
    same over the training set even where a batch lacks some.

    Parameters
    ----------
    logits
        ``(batch, time, class)``.
    codes
        ``(batch, time)``, -1 where not labelled.
    class_weights
        ``(class,)``.
    smoothing
        Label smoothing.
    """
    labelled = codes >= 0
    loss = functional.cross_entropy(
        logits.flatten(0, 1),
        codes.flatten(),
        class_weights,
        ignore_index=-1,
        reduction="sum",
        label_smoothing=smoothing,
    )
    return per_count(loss, labelled.sum())


def class_weights(counts: Tensor) -> Tensor:
    """Return ``n_samples / (n_present_classes * count)`` per class, 0 for a class that never occurs.

    Parameters
    ----------
    counts
        Training samples per class, ``(class,)``.
    """
    present = counts > 0
    weights = counts.sum() / (present.sum().clamp(min=1) * counts.clamp(min=1))
    return torch.where(present, weights, weights.new_zeros(())).float()
