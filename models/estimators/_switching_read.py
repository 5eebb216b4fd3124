"""What a fitted switching GLM says, in the units of its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neurodata.errors import CheckpointError

from ..networks.switching_glm import SwitchingGlm

PRESENT = 0.15
"""Size above which a weight counts as an edge (spec of our tests, where strengths have a mean of 0.8)."""

RESTARTS = {"prior": str, "seed": int, "n_iter": int, "log_likelihood": float, "kept": bool}
"""Columns of the table of fits."""

OF_FITTING = ("n_restarts", "max_iter", "state_bias", "allow_twins", "allow_one_state", "random_state")
"""Parameters that neither network nor task keeps; plain values of them are saved."""


def describe_fit(estimator: Any) -> dict[str, Any]:
    """Return what a fitted estimator knows besides its task, as JSON values: parameters, restarts, shares of states."""
    parameters = {name: getattr(estimator, name) for name in OF_FITTING}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}
    return {
        "parameters": {name: value for name, value in plain.items() if value is None or isinstance(value, (bool, int))},
        "restarts": estimator.restarts_.to_dict("records"),
        "share": estimator.share_.tolist(),
    }


def take_fit(estimator: Any, fit: Mapping[str, Any]) -> None:
    """Give an opened estimator back what `describe_fit` told; a checkpoint of the task alone holds none of it.

    Raises
    ------
    CheckpointError
        If it is not what `describe_fit` writes.
    """
    if not fit:
        return
    parameters: Any = fit.get("parameters")
    rows, share = fit.get("restarts"), fit.get("share")
    right = (
        isinstance(parameters, dict)
        and all(name in OF_FITTING and (value is None or isinstance(value, int)) for name, value in parameters.items())
        and isinstance(rows, list)
        and all(isinstance(row, dict) and {k: type(v) for k, v in row.items()} == RESTARTS for row in rows)
        and isinstance(share, list)
        and len(share) == estimator.n_states
        and all(isinstance(one, float) for one in share)
    )
    if not right:
        raise CheckpointError(
            f"expected parameters, restarts and shares of states of a fit, got {str(dict(fit))[:200]}"
        )
    estimator.set_params(**parameters)
    estimator.restarts_ = pd.DataFrame(rows, columns=list(RESTARTS))
    estimator.share_ = np.array(share, np.float32)


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
