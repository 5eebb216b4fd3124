"""Data drawn from a fitted switching GLM, bin by bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurodata.errors import NeurodataError

from ..layers.emissions import draw
from ..layers.sequences import Bins
from ..networks.switching_glm import SwitchingGlm


@torch.no_grad()
def sample_network(
    network: SwitchingGlm, n_bins: int, n_sequences: int, covariates: Any, seed: int
) -> tuple[Tensor, Tensor]:
    """Return values ``(sequence, time, unit)`` in the units of the data, and states ``(sequence, time)``."""
    extra = _read_covariates(network, n_bins, n_sequences, covariates)
    generator = torch.Generator().manual_seed(seed)
    states = _draw_states(network, n_bins, n_sequences, generator)
    n_lags, n_own = len(network.basis), network.own.shape[1] if network.self_history == "separate" else 0
    values = torch.zeros(n_sequences, n_lags + n_bins, network.n_units)
    edges, rows = network.edges(), torch.arange(n_sequences)
    spread = network.spread().expand(network.n_states, -1)
    nothing, lengths = torch.zeros(n_sequences), torch.ones(n_sequences, dtype=torch.long)
    for at in range(n_bins):
        latest = values[:, at : at + n_lags].flip(1).transpose(1, 2)  # (sequence, unit, lag), one bin ago first
        past = (latest @ network.basis).flatten(1)
        bins = Bins(past, latest[:, :, :n_own], extra[:, at], values[:, 0], None, nothing, lengths)
        drive = network.drive(bins, edges)[rows, states[:, at]]
        values[:, n_lags + at] = draw(network.emission, network.link, drive, spread[states[:, at]], generator)
    return values[:, n_lags:] * network.scale + network.centre, states


def _draw_states(network: SwitchingGlm, n_bins: int, n_sequences: int, generator: torch.Generator) -> Tensor:
    states = torch.empty(n_sequences, n_bins, dtype=torch.int64)
    chance = network.log_initial.exp().expand(n_sequences, -1)
    for at in range(n_bins):
        states[:, at] = torch.multinomial(chance, 1, generator=generator)[:, 0]
        chance = network.log_transition.exp()[states[:, at]]
    return states


def _read_covariates(network: SwitchingGlm, n_bins: int, n_sequences: int, covariates: Any) -> Tensor:
    shape = (n_sequences, n_bins, network.hyperparameters["n_covariates"])
    given = np.zeros((*shape[:2], 0)) if covariates is None else np.asarray(covariates, np.float64)
    if given.shape != shape or not np.isfinite(given).all():
        raise NeurodataError(f"expected finite covariates of shape {shape}, got shape {given.shape}")
    return (torch.from_numpy(given.astype(np.float32)) - network.covariate_centre) / network.covariate_scale
