"""Fit a switching GLM by generalised expectation maximisation over all sequences at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..array_task import ArrayTask
from ..layers.edges import fit_prior
from ..layers.hmm import Posterior, smooth
from ..layers.sequences import Bins, present
from ..layers.weighted_fit import solve_states
from ..networks.switching_glm import SwitchingGlm

CHUNK = 8192
"""Bins whose emissions are computed at once: bounds memory at (bins · states · units) floats."""

OTHER_TRANSITIONS = 0.1
"""Pseudo-count of every transition, so that none is ever impossible."""

EDGE_PSEUDO_COUNT = 2.0
"""States the common shares of inhibitory, absent and excitatory edges count for at each edge; the sum of the Dirichlet
parameters from which Li et al. 2024 draw them (demo)."""

N_START = 3
"""Sweeps that take the first guess of the states as it is."""

_MIN_LOG_VARIANCE = -9.0
"""Of scaled values (variance 1e-4): a state that explains a few bins perfectly must not become infinitely sure."""


class Switching(ArrayTask):
    """Each sweep: states of all bins given the weights, then transitions in closed form and weights by gradients.

    Transitions pool all sequences (the published code takes those of one sequence at a time, which can kill states).
    Weights and biases follow Adam on mini-batches of bins; of Gaussian values with plain priors they are solved
    exactly. Once the training likelihood no longer rises, steps shrink, and then the fit ends.

    Parameters
    ----------
    network
        What is fitted.
    learning_rate
        Of Adam. 0.02 with 20 steps a sweep recovers the published simulation.
    n_steps
        Mini-batches, of equal size, that each sweep goes through.
    stickiness
        Pseudo-count of staying in a state.
    tolerance
        Rise of the log likelihood per bin and unit below which steps shrink.
    """

    log_likelihood: Tensor
    objective: Tensor
    n_sweeps: Tensor
    best: Tensor
    stale: Tensor

    def __init__(
        self,
        network: SwitchingGlm,
        *,
        learning_rate: float = 0.02,
        n_steps: int = 20,
        stickiness: float = 10.0,
        tolerance: float = 2e-5,
    ) -> None:
        super().__init__(network)
        self.save_hyperparameters(ignore=["network"])
        self.network: SwitchingGlm = network
        self.n_steps, self.stickiness, self.tolerance = n_steps, stickiness, tolerance
        self.learning_rate = learning_rate
        self.start: Tensor | None = None
        """First guess of the states of all bins, ``(bin, state)``, taken for the first `N_START` sweeps; may be set."""
        self.register_buffer("log_likelihood", torch.tensor(float("-inf")))  # per bin and unit
        self.register_buffer("objective", torch.tensor(float("-inf")))  # likewise, the log prior added
        self.register_buffer("n_sweeps", torch.tensor(0))
        self.register_buffer("best", torch.tensor(float("-inf")))
        self.register_buffer("stale", torch.tensor(0))

    def configure_optimizers(self) -> Any:
        """Return Adam over all that is not set in closed form."""
        return torch.optim.Adam(self.network.parameters(), self.learning_rate, fused=True)

    def training_step(self, batch: Bins, batch_index: int) -> None:
        """Make one sweep over all bins."""
        optimizer = self.optimizers()
        if self.start is not None and self.n_sweeps < N_START:
            self.maximise(batch, self.start.to(batch.values.device), optimizer)
            self.n_sweeps += 1
            return
        states = self.expect(batch)
        self._anneal(optimizer)
        self.maximise(batch, states, optimizer)
        self.n_sweeps += 1

    def expect(self, bins: Bins) -> Tensor:
        """Set the chain from the present weights, and how likely they were; returns states of the bins, ``(bin, state)``."""
        found = self.evaluate(bins)
        self.set_transitions(found.pairs, found.first)
        return found.states[present(bins.lengths)]

    @torch.no_grad()
    def evaluate(self, bins: Bins) -> Posterior:
        """Return what is known of the states, and set ``log_likelihood`` and ``objective`` (with the log prior)."""
        found = self.posterior(bins)
        total = float(found.log_likelihood.double().sum() + bins.base.double().sum())
        self.log_likelihood.fill_(total / bins.n_known)
        self.objective.fill_((total + float(self.network.log_prior(self.network.edges()))) / bins.n_known)
        return found

    def posterior(self, bins: Bins) -> Posterior:
        """Return what is known of the states; ``log_likelihood`` is without ``bins.base``."""
        net = self.network
        return smooth(bins.pad(emissions(net, bins)), net.log_transition, net.log_initial, bins.lengths)

    def set_transitions(self, pairs: Tensor, first: Tensor) -> None:
        """Set the chain in closed form from expected transitions ``(from, to)`` and first states ``(state,)``."""
        counts = pairs + OTHER_TRANSITIONS
        counts = counts + self.stickiness * torch.eye(len(pairs), device=pairs.device, dtype=pairs.dtype)
        self.network.log_transition.copy_((counts / counts.sum(1, keepdim=True)).log())
        first = first + 1.0
        self.network.log_initial.copy_((first / first.sum()).log())

    def _anneal(self, optimizer: Any) -> None:
        """Shrink steps once the likelihood has stopped rising, and end the fit when they are small."""
        if self.objective > self.best + self.tolerance * (0.1 if self.closed_form else 1.0):  # no noise hides it there
            self.best.copy_(self.objective)
            self.stale.zero_()
            return
        self.stale += 1
        if self.stale < 2:
            return
        self.stale.zero_()
        for group in optimizer.param_groups:
            group["lr"] *= 0.3
            if group["lr"] < 0.02 * self.learning_rate or self.closed_form:
                self.trainer.should_stop = True

    @property
    def closed_form(self) -> bool:
        """Whether the weights that fit best given the states can be solved for."""
        net, sizes = self.network, self.network.hyperparameters
        return (
            net.emission == "gaussian"
            and net.prior != "onehot"
            and net.state_bias is not None
            and net.self_history != "separate"
            and not net.learned
            and not net.signed_graph
            and (sizes["state_covariates"] or not sizes["n_covariates"])
        )

    def maximise(self, bins: Bins, states: Tensor, optimizer: Any) -> None:
        """Fit weights, biases and what else shapes emissions to bins whose states are known to these chances."""
        if self.closed_form:
            self._solve(bins, states)
            optimizer.step()  # nothing has a gradient: it counts the sweep
        else:
            for chosen in torch.randperm(len(states), device=states.device).chunk(self.n_steps):
                self._step(bins.take(chosen), states[chosen], len(states), optimizer)
        if self.network.prior == "onehot":
            kinds = torch.softmax(self.network.kinds.detach(), -1)
            self.network.log_prior_kinds.copy_(fit_prior(kinds, EDGE_PSEUDO_COUNT))
        if self.network.emission == "gaussian":
            self._set_variance(bins, states)

    @torch.no_grad()
    def _solve(self, bins: Bins, states: Tensor) -> None:
        """Set weights, state biases and covariates' weights to the most likely ones."""
        net = self.network
        assert net.state_bias is not None
        n_states, n_units, n_past = net.n_states, net.n_units, bins.past.shape[1]
        design = torch.cat([bins.past, bins.covariates, bins.past.new_ones(len(states), 1)], 1)
        precision, centre = torch.zeros(2, n_units, design.shape[1], device=design.device)
        precision[:, :n_past] = net.weight_spread().repeat_interleave(net.basis.shape[1], 1) ** -2
        centre[:, :n_past] = net.weight_centre().flatten(1)
        noise = net.log_variance.exp().expand(n_states, -1)
        found = solve_states(design, bins.values - net.bias, bins.weight, states, precision, centre, noise)
        net.weight.copy_(found[:, :, :n_past].reshape(net.weight.shape))
        net.covariate_weight.copy_(found[:, :, n_past:-1])
        net.state_bias.copy_(found[:, :, -1])

    def _step(self, bins: Bins, states: Tensor, n_bins: int, optimizer: Any) -> None:
        weights = self.network.edges(drawn=True)
        fit = (states * self.network.log_emission(bins, weights)).sum() / len(states)
        loss = -(fit + self.network.log_prior(weights) / n_bins)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    @torch.no_grad()
    def _set_variance(self, bins: Bins, states: Tensor) -> None:
        """Set variances to the mean squared errors."""
        network, weights = self.network, self.network.edges()
        squares = torch.zeros(network.n_states, network.n_units, device=states.device)
        known = torch.zeros_like(squares)
        for start in range(0, len(states), CHUNK):
            part, chance = bins.take(slice(start, start + CHUNK)), states[start : start + CHUNK]
            seen = torch.ones_like(part.values) if part.weight is None else part.weight
            error = (part.values[:, None] - network.drive(part, weights)).square() * seen[:, None]
            squares += (error * chance[:, :, None]).sum(0)
            known += chance.T @ seen
        if len(network.log_variance) == 1:
            squares, known = squares.sum(0, keepdim=True), known.sum(0, keepdim=True)
        network.log_variance.copy_(((squares + 1e-3) / (known + 1e-3)).log().clamp_min(_MIN_LOG_VARIANCE))


@torch.no_grad()
def emissions(network: SwitchingGlm, bins: Bins) -> Tensor:
    """Return each bin's log probability in every state without ``bins.base``, ``(bin, state)``, some bins at a time."""
    weights, n_bins = network.edges(), len(bins.values)
    return torch.cat(
        [network.log_emission(bins.take(slice(at, at + CHUNK)), weights) for at in range(0, n_bins, CHUNK)]
    )
