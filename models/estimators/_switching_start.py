"""First guesses of a switching GLM's states: stretches of time in which one GLM for all errs alike."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import Tensor

from ..layers.emissions import log_density
from ..layers.sequences import Bins
from ..networks.switching_glm import SwitchingGlm

WINDOWS = (50, 25, 100)
"""Lengths in bins of the stretches, one after another by restart: about how long states last is not known before."""

NOISE = 0.1
"""Standard deviation of what is added to the weights of each state; without it states that start alike stay alike
(Li et al. 2024: all weights zero is a symmetric saddle of the likelihood)."""

_SURE = 0.9
"""Chance given to the guessed state."""

_MOST = 40
"""Units and sources are mixed down to this many before errors are compared: their products grow with the square."""


def guess_states(single: SwitchingGlm, bins: Bins, n_states: int, window: int, seed: int) -> Tensor:
    """Return a first guess of the states, chances of shape ``(bin, state)``.

    The gradient of the one-state model's likelihood, with respect to its weights, is zero over all bins but not over
    the bins of one state: it points to where that state's weights lie. Stretches are grouped by it.

    Parameters
    ----------
    single
        Fitted with one state.
    bins
        What is to be explained.
    n_states
        Groups sought.
    window
        Bins of a stretch.
    seed
        Of mixing and grouping.
    """
    windows = _number_windows(bins.lengths, window)
    n_windows = int(windows.max()) + 1
    chances = torch.full((len(windows), n_states), (1 - _SURE) / max(1, n_states - 1))
    if n_windows <= n_states:
        groups = np.arange(n_windows) % n_states
    else:
        groups = _group(_gradients(single, bins, windows, seed), n_states, seed)
    chances[torch.arange(len(windows)), torch.as_tensor(groups)[windows]] = _SURE if n_states > 1 else 1.0
    return chances


def _number_windows(lengths: Tensor, window: int) -> Tensor:
    """Which stretch each bin belongs to; none holds bins of two sequences."""
    numbers, first = [], 0
    for length in lengths.tolist():
        n_windows = max(1, round(length / window))
        numbers.append(first + torch.arange(length) * n_windows // length)
        first += n_windows
    return torch.cat(numbers)


def _gradients(single: SwitchingGlm, bins: Bins, windows: Tensor, seed: int) -> NDArray[np.float32]:
    """Mean gradient of each stretch, ``(stretch, target · (source + 1))``."""
    with torch.enable_grad():
        drive = single.drive(bins, single.edges()).detach().requires_grad_()
        density = log_density(single.emission, single.link, drive, bins.values[:, None], single.spread().detach())
        (slope,) = torch.autograd.grad(density.sum(), drive)
    generator = torch.Generator().manual_seed(seed)
    error = slope[:, 0] if bins.weight is None else slope[:, 0] * bins.weight
    error, design = _mix(error, generator), torch.ones(len(error), 1)
    if bins.past.shape[1]:
        past = _mix(bins.past.view(len(error), -1, single.basis.shape[1]).sum(2), generator)
        past = past - past.mean(0)
        design = torch.cat([past / past.std().clamp_min(1e-6), design], 1)
    sums = torch.zeros(int(windows.max()) + 1, error.shape[1] * design.shape[1])
    for at in range(0, len(error), 4096):
        part = slice(at, at + 4096)
        sums.index_add_(0, windows[part], (error[part, :, None] * design[part, None]).flatten(1))
    return (sums / windows.bincount()[:, None].sqrt()).numpy()


def _mix(values: Tensor, generator: torch.Generator) -> Tensor:
    n_units = values.shape[1]
    if n_units <= _MOST:
        return values
    mixed: Tensor = values @ (torch.randn(n_units, _MOST, generator=generator) / n_units**0.5)
    return mixed


def _group(gradients: NDArray[np.float32], n_states: int, seed: int) -> NDArray[np.int64]:
    if len(np.unique(gradients, axis=0)) < n_states:  # stretches that repeat one another: any groups will do
        return np.arange(len(gradients)) % n_states
    n_axes = min(n_states, *gradients.shape)
    axes = PCA(n_axes, svd_solver="randomized", random_state=seed).fit_transform(gradients)
    groups = KMeans(n_states, n_init=5, random_state=seed).fit_predict(axes)
    return np.asarray(groups, np.int64)


@torch.no_grad()
def start_from(network: SwitchingGlm, single: SwitchingGlm, bins: Bins, seed: int) -> None:
    """Give every state the weights of the one-state model, with noise."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        parameter.copy_(single.get_parameter(name).expand(parameter.shape))
    for noisy in (network.weight, network.state_bias):
        if noisy is not None:
            noisy.add_(NOISE * torch.randn(noisy.shape, generator=generator))
    for name, buffer in network.named_buffers():
        if name not in ("log_transition", "log_initial"):
            buffer.copy_(single.get_buffer(name).expand(buffer.shape))


@torch.no_grad()
def start_onehot(network: SwitchingGlm, fitted: SwitchingGlm) -> None:
    """Give one-hot edges the signs and strengths of a model fitted with a Gaussian prior, and all else of it."""
    for name, parameter in network.named_parameters():
        if name not in ("kinds", "strength"):
            parameter.copy_(fitted.get_parameter(name))
    for name, buffer in network.named_buffers():
        buffer.copy_(fitted.get_buffer(name))
    weights = fitted.weight.sum(-1)
    size = weights.abs().clamp_min(0.3)
    sign = (3 * weights / size).clamp(-3, 3)
    network.kinds.copy_(torch.stack([-sign, 1.5 - sign.abs(), sign], -1))
    strength = fitted.weight.abs().clamp_min(0.1)
    network.strength.copy_(strength.expm1().log())
