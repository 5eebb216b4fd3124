"""How likely counts or values are, given what drives each unit in each state."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

LINKS = ("softplus", "exp", "sigmoid")
EMISSIONS = ("poisson", "bernoulli", "negative_binomial", "gaussian")

_MAX_EXP = 20.0
"""Largest drive under the exponential link (5e8 events a bin): steps of an optimizer may pass through anything."""


def rate_of(link: str, drive: Tensor) -> Tensor:
    """Return expected events per bin."""
    if link == "softplus":
        return softplus(drive)
    return drive.clamp(max=_MAX_EXP).exp() if link == "exp" else drive.sigmoid()


def drive_of(link: str, rate: Tensor) -> Tensor:
    """Return the drive that gives these rates in events per bin: the inverse of `rate_of`."""
    if link == "softplus":
        return rate + (-torch.expm1(-rate)).log()
    return rate.log() if link == "exp" else (rate / (1 - rate)).log()


def _log_rate(link: str, drive: Tensor, rate: Tensor) -> Tensor:
    if link == "exp":
        return drive.clamp(max=_MAX_EXP)
    if link == "sigmoid":
        return logsigmoid(drive)
    # Far below zero softplus is exp, whose logarithm must not go through a rate that is 0 in float32.
    return torch.where(drive < -15, drive, rate.clamp_min(1e-12).log())


def log_density(emission: str, link: str, drive: Tensor, values: Tensor, spread: Tensor) -> Tensor:
    """Return log probabilities (densities where Gaussian), the shape of ``drive``, without the terms of `log_base`.

    Parameters
    ----------
    emission, link
        Names of `EMISSIONS` and `LINKS`. Bernoulli events under a link other than the sigmoid have probability
        ``1 - exp(-rate)``, that of at least one Poisson event. Gaussian values have ``drive`` as their mean.
    drive
        Shape ``(bin, state, unit)``.
    values
        Shape ``(bin, 1, unit)``.
    spread
        Log variances of Gaussian values, log sizes r of negative-binomial counts (variance = rate + rate² / r), of a
        shape that broadcasts; unused otherwise.
    """
    if emission == "gaussian":
        return -0.5 * ((values - drive) ** 2 * (-spread).exp() + spread + math.log(2 * math.pi))
    if emission == "bernoulli" and link == "sigmoid":
        return values * drive - softplus(drive)
    rate = rate_of(link, drive)
    if emission == "bernoulli":
        return values * (-torch.expm1(-rate)).clamp_min(1e-12).log() - (1 - values) * rate
    log_rate = _log_rate(link, drive, rate)
    if emission == "poisson":
        return values * log_rate - rate
    size = spread.exp()
    shape = torch.lgamma(values + size) - torch.lgamma(size) + size * spread
    return shape + values * log_rate - (values + size) * (size + rate).log()


def log_base(emission: str, values: Tensor) -> Tensor:
    """Return what the log probability of each value holds whatever the model: ``-log x!`` of counts, else 0."""
    if emission in ("poisson", "negative_binomial"):
        return -torch.lgamma(values + 1)
    return torch.zeros_like(values)


def draw(emission: str, link: str, drive: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
    """Return values drawn from the model, the shape of ``drive``."""
    if emission == "gaussian":
        noise = torch.randn(drive.shape, generator=generator, dtype=drive.dtype)
        return drive + noise * (0.5 * spread).exp()
    rate = rate_of(link, drive)
    if emission == "bernoulli":
        chance = rate if link == "sigmoid" else -torch.expm1(-rate)
        return torch.bernoulli(chance, generator=generator)
    if emission == "negative_binomial":  # Poisson counts whose rate is drawn from a gamma distribution
        size = spread.exp().expand(rate.shape)
        rate = torch._standard_gamma(size, generator=generator) * rate / size
    return torch.poisson(rate, generator=generator)
