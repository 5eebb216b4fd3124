"""Fits of a switching GLM from several first guesses, of which the likeliest is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from neurodata.errors import NeurodataError

from ..array_task import fit_arrays
from ..layers.emissions import drive_of
from ..layers.sequences import Bins, Sequences, present
from ..networks.switching_glm import SwitchingGlm
from ..tasks.switching import Switching
from ._switching_read import RESTARTS
from ._switching_start import WINDOWS, guess_states, start_from, start_onehot

_SINGLE_SWEEPS = 10
"""Sweeps of the one-state model that first guesses start from; alone, it is fitted to the end."""


def make_network(estimator: Any, sequences: Sequences) -> SwitchingGlm:
    """Return the network an estimator's parameters and data ask for, which knows means and scales."""
    state_bias = estimator.state_bias
    if state_bias is None:
        state_bias = estimator.emission == "gaussian" or estimator.history_bins == 0
    names = "emission link history self_history state_covariates state_variance prior"
    network = SwitchingGlm(
        n_units=sequences.values.shape[2],
        n_covariates=sequences.covariates.shape[2],
        state_bias=bool(state_bias),
        prior_scale=float(estimator.prior_scale),
        **{name: getattr(estimator, name) for name in names.split()},
        n_states=int(estimator.n_states),
        history_bins=int(estimator.history_bins),
        n_filters=int(estimator.n_filters),
    )
    _set_scales(network, sequences)
    return network


@torch.no_grad()
def _set_scales(network: SwitchingGlm, sequences: Sequences) -> None:
    """Centre and scale covariates, and values where Gaussian; start biases from the mean rates otherwise."""
    within = present(sequences.lengths)
    centre, scale = _moments(sequences.covariates[within], torch.ones_like(sequences.covariates[within]))
    network.covariate_centre.copy_(centre)
    network.covariate_scale.copy_(scale.where(scale > 0, 1.0))
    centre, scale = _moments(sequences.values[within], sequences.observed[within].float())
    if network.emission != "gaussian":
        if not centre.any():
            raise NeurodataError("counts hold no event in any unit; there is nothing to fit")
        network.bias.copy_(drive_of(network.link, centre.clamp(1e-3, 0.99 if network.link == "sigmoid" else None)))
        return
    still = torch.nonzero(scale == 0)[:, 0].tolist()
    if still:
        raise NeurodataError(f"units {', '.join(map(str, still[:5]))} never change; leave them out")
    network.centre.copy_(centre)
    network.scale.copy_(scale)


def _moments(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column's known values; in double precision, for traces far from zero."""
    values, known = values.double(), known.double()
    count = known.sum(0).clamp_min(1)
    mean = (values * known).sum(0) / count
    scale = (((values - mean) * known).square().sum(0) / count).sqrt()
    return mean.float(), scale.where(scale > 1e-6 * mean.abs(), 0.0).float()


def fit_all(estimator: Any, network: SwitchingGlm, bins: Bins, seed: int) -> tuple[Switching, pd.DataFrame]:
    """Return the fit with the highest training likelihood, and a row about each."""
    single = _derive(network, n_states=1, prior=network.prior if network.n_states == 1 else "none")
    if network.n_states == 1:
        task = _fit(estimator, single, bins, seed, estimator.max_iter)
        return task, _table([(network.prior, seed, task)], task)
    fit_task = _fit(estimator, single, bins, seed, min(_SINGLE_SWEEPS, estimator.max_iter))
    plain = _derive(network, prior="gaussian" if network.prior == "onehot" else network.prior)
    fits = []
    for restart, own in enumerate(np.random.default_rng(seed).integers(2**31, size=estimator.n_restarts).tolist()):
        start = guess_states(fit_task.network, bins, network.n_states, WINDOWS[restart % len(WINDOWS)], own)
        candidate = _derive(plain)
        start_from(candidate, fit_task.network, bins, own)
        fits.append((plain.prior, own, _fit(estimator, candidate, bins, own, estimator.max_iter, start)))
    best = max((task for _, _, task in fits), key=lambda task: float(task.log_likelihood))
    if network.prior == "onehot":
        start_onehot(network, best.network)
        best = _fit(estimator, network, bins, seed, estimator.max_iter)
        fits.append(("onehot", seed, best))
    return best, _table(fits, best)


def _derive(network: SwitchingGlm, **changes: Any) -> SwitchingGlm:
    """Return a network of other sizes or another prior, with the same scales and biases."""
    other = SwitchingGlm(**(network.hyperparameters | changes))
    with torch.no_grad():
        for name in ("graph", "centre", "scale", "covariate_centre", "covariate_scale", "bias"):
            getattr(other, name).copy_(getattr(network, name))
    return other


def _fit(
    estimator: Any, network: SwitchingGlm, bins: Bins, seed: int, sweeps: int, start: Tensor | None = None
) -> Switching:
    task = Switching(network, learning_rate=float(estimator.learning_rate), stickiness=float(estimator.stickiness))
    task.start = start
    fit_arrays(task, [bins], epochs=sweeps, seed=seed, accelerator=estimator.accelerator)
    task.start = None
    task.expect(bins)
    task.evaluate(bins)
    return task


def _table(fits: list[tuple[str, int, Switching]], kept: Switching) -> pd.DataFrame:
    """One row per fit; the log likelihood is of the training data, nats per bin and unit."""
    rows = [(prior, seed, int(task.n_sweeps), float(task.log_likelihood), task is kept) for prior, seed, task in fits]
    return pd.DataFrame(rows, columns=list(RESTARTS))
