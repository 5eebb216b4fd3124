"""What a fitted switching GLM says, in the units of its data."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..networks.switching_glm import SwitchingGlm

PRESENT = 0.15
"""Size above which a weight counts as an edge (spec of our tests, where strengths have a mean of 0.8)."""


@torch.no_grad()
def kernels_of(network: SwitchingGlm) -> NDArray[np.float64]:
    """Return weights by lag, ``(state, target, source, lag)``."""
    kernels = network.spread_edges(network.edges()) @ network.basis.T
    if network.self_history == "separate":
        units = torch.arange(network.n_units)
        kernels[:, units, units] = network.own
    scaled = kernels * (network.scale[:, None] / network.scale)[:, :, None]
    return scaled.double().numpy()


@torch.no_grad()
def bias_of(
    network: SwitchingGlm, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return biases ``(unit,)``, states' own ``(state, unit)`` and covariates' weights ``(state or 1, unit, covariate)``."""
    scale, centre = network.scale.double().numpy(), network.centre.double().numpy()
    own = network.state_bias
    state_bias = np.zeros((network.n_states, network.n_units)) if own is None else own.double().numpy() * scale
    covariates = network.covariate_weight.double().numpy() * scale[:, None]
    covariates = covariates / network.covariate_scale.double().numpy()
    # The network sees values and covariates around their means; what the means add is in its biases.
    state_bias = state_bias - weights @ centre - covariates @ network.covariate_centre.double().numpy()
    return centre + scale * network.bias.double().numpy(), state_bias, covariates


@torch.no_grad()
def prior_graph_of(network: SwitchingGlm, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return chances of each edge to be inhibitory, absent, excitatory, ``(target, source, 3)``."""
    if network.prior == "onehot":
        return network.log_prior_kinds.double().softmax(-1).numpy()
    low, high = (weights < -PRESENT).mean(0), (weights > PRESENT).mean(0)
    return np.stack([low, 1 - low - high, high], -1)
