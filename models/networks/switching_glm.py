"""Hidden Markov chain whose states each predict all units from their recent past: a GLM that switches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softmax, softplus

from neurodata.checks import check_option
from neurodata.errors import NeurodataError

from ..array_task import ArrayNetwork
from ..layers.edges import ABSENT, divergence, draw_kinds, sign_of
from ..layers.emissions import EMISSIONS, LINKS, log_base, log_density
from ..layers.history import filter_past, make_basis
from ..layers.sequences import Bins, Sequences, present

PRIORS = ("none", "gaussian", "onehot", "connectome")
SELF_HISTORIES = ("edge", "separate", "none")

STAY = 0.98
"""Chance to stay in a state from one bin to the next, before fitting (Li et al. 2024, released code)."""

TEMPERATURE = 0.5
"""Of drawn edges: at 0.2, the published demo's, gradients are noisier, and its comments call 0.5 safer."""

STRENGTH_SPREAD = 1.0
"""Standard deviation of the logarithm of the strengths of one-hot edges."""

EDGE_COST = 3.0
"""Nats that a one-hot edge costs besides its kind. Strengths are fitted, not averaged over, so without a cost an edge of
either sign and no strength fits as well as none, and the kinds say nothing (the flat direction of the published model).
Of 0, 1, 2, 3 and 4 on simulations with 4 training sequences, 2 to 4 did alike and recovered weights and shares of kinds best."""

OUTSIDE = 0.1
"""Spread of a weight outside the given connectome, as a share of ``prior_scale``."""

_FORBIDDEN = 1e-4
"""Spread of a weight that may not be: small enough to hold it at zero."""


class SwitchingGlm(ArrayNetwork):
    """In state s, unit n is driven by ``bias[n] + state_bias[s, n] + Σ weights[s, n, m] · past of m + covariates``.

    In: a list of bins with their past (`lay_out`). Out: each bin's log probability in every state, ``(bin, state)``,
    for the forward-backward pass. See the estimator ``SwitchingGLM`` for what the parameters mean.

    Parameters
    ----------
    n_units, n_states, n_covariates
        Sizes.
    emission, link
        See `layers.emissions`; the link is unused where Gaussian.
    history, history_bins, n_filters
        See `layers.history`; ``history_bins=0`` leaves a hidden Markov model without past.
    self_history
        A unit's own past is an ``edge`` like all others, or enters by a ``separate`` free filter shared by the states,
        or not at all (``none``).
    state_bias, state_covariates, state_variance
        Whether biases, weights of covariates and Gaussian variances are each state's own.
    prior, prior_scale
        Of the weights: ``gaussian`` with this standard deviation around their mean over states; ``onehot`` kinds of
        edges times strengths; ``connectome`` with this deviation inside a given graph and `OUTSIDE` of it elsewhere.

    References
    ----------
    Li, Kim, Rodgers, Choi & Wu 2024, ICLR, "One-hot generalized linear model for switching brain state discovery".
    """

    basis: Tensor
    log_transition: Tensor
    log_initial: Tensor
    log_prior_kinds: Tensor
    graph: Tensor
    centre: Tensor
    scale: Tensor
    covariate_centre: Tensor
    covariate_scale: Tensor
    log_variance: Tensor

    def __init__(
        self,
        *,
        n_units: int = 2,
        n_states: int = 2,
        n_covariates: int = 0,
        emission: str = "poisson",
        link: str = "softplus",
        history: str = "exponential",
        history_bins: int = 5,
        n_filters: int = 4,
        self_history: str = "edge",
        state_bias: bool = False,
        state_covariates: bool = True,
        state_variance: bool = False,
        prior: str = "none",
        prior_scale: float = 1 / 3,
    ) -> None:
        super().__init__({key: value for key, value in locals().items() if key not in ("self", "__class__")})
        check_option("emission", emission, EMISSIONS)
        check_option("link", link, LINKS)
        check_option("self_history", self_history, SELF_HISTORIES)
        check_option("prior", prior, PRIORS)
        if min(n_units, n_states) < 1 or min(n_covariates, history_bins) < 0 or not prior_scale > 0:
            raise NeurodataError(f"sizes of a switching GLM must be positive, got {self.hyperparameters}")
        self.emission, self.link, self.prior, self.prior_scale = emission, link, prior, float(prior_scale)
        self.n_states, self.n_units, self.self_history = n_states, n_units, self_history
        self.learned = history == "learned" and history_bins > 0
        basis = make_basis(history, history_bins, n_filters)
        n_weights = 1 if self.learned else basis.shape[1]
        edges = (n_states, n_units, n_units)
        self.bias = nn.Parameter(torch.zeros(n_units))
        self.state_bias = nn.Parameter(torch.zeros(n_states, n_units)) if state_bias else None
        self.covariate_weight = nn.Parameter(torch.zeros(n_states if state_covariates else 1, n_units, n_covariates))
        if prior == "onehot":
            self.kinds = nn.Parameter(torch.zeros(*edges, 3))
            self.strength = nn.Parameter(torch.zeros(*edges, n_weights))
        else:
            self.weight = nn.Parameter(torch.zeros(*edges, n_weights))
        if self.learned:
            self.kernel = nn.Parameter(torch.zeros(n_units, n_units, history_bins))
        if self_history == "separate":
            self.own = nn.Parameter(torch.zeros(n_units, history_bins))
        if emission == "negative_binomial":
            self.log_size = nn.Parameter(torch.zeros(n_units))
        # What is set in closed form, or given, is no parameter of an optimizer.
        self.register_buffer("basis", basis)
        self.register_buffer("log_transition", sticky(n_states).log())
        self.register_buffer("log_initial", torch.full((n_states,), -math.log(n_states)))
        self.register_buffer("log_prior_kinds", torch.full((n_units, n_units, 3), -math.log(3)))
        self.register_buffer("graph", torch.ones(n_units, n_units))
        self.register_buffer("centre", torch.zeros(n_units))
        self.register_buffer("scale", torch.ones(n_units))
        self.register_buffer("covariate_centre", torch.zeros(n_covariates))
        self.register_buffer("covariate_scale", torch.ones(n_covariates))
        self.register_buffer("log_variance", torch.zeros(n_states if state_variance else 1, n_units))

    def lay_out(self, sequences: Sequences) -> Bins:
        """Return all bins with what each is predicted from; what lies before a sequence counts as zero."""
        within = present(sequences.lengths)
        # 0 is "no events" for counts and "the mean" for scaled values: what is missing enters the past as such.
        values = ((sequences.values - self.centre) / self.scale).where(sequences.observed, 0.0)
        covariates = ((sequences.covariates - self.covariate_centre) / self.covariate_scale)[within]
        seen = sequences.observed[within]
        weight = None if bool(seen.all()) else seen.to(values.dtype)
        own = values.new_zeros(len(covariates), self.n_units, 0)
        if self.self_history == "separate":
            lags = torch.eye(self.own.shape[1], device=values.device, dtype=values.dtype)
            own = filter_past(values, lags)[within]
        base = log_base(self.emission, values[within]) - self.scale.log()
        base = base.sum(1) if weight is None else (base * weight).sum(1)
        past = filter_past(values, self.basis)[within].flatten(1)
        return Bins(past, own, covariates, values[within], weight, base, sequences.lengths)

    def edges(self, *, drawn: bool = False) -> Tensor:
        """Return the weights, ``(state, target, source, filter)``; of one-hot edges their mean, or one draw."""
        if self.prior == "onehot":
            kinds = draw_kinds(self.kinds, TEMPERATURE) if drawn else softmax(self.kinds, -1)
            weights = sign_of(kinds)[..., None] * softplus(self.strength)
        else:
            weights = self.weight
        if self.self_history != "edge":
            weights = weights * (1 - torch.eye(self.n_units, device=weights.device))[:, :, None]
        return weights

    def spread_edges(self, weights: Tensor) -> Tensor:
        """Return weights of the filters of `basis`, from those of `edges`, ``(state, target, source, filter)``."""
        return weights * softmax(self.kernel, -1) if self.learned else weights

    def drive(self, bins: Bins, weights: Tensor) -> Tensor:
        """Return what drives each unit, ``(bin, state, unit)``, given weights as `edges` returns them."""
        matrix = self.spread_edges(weights).flatten(2)
        offset = self.bias.expand(self.n_states, -1)
        if self.state_bias is not None:
            offset = offset + self.state_bias
        flat = torch.addmm(offset.flatten(), bins.past, matrix.flatten(0, 1).T)
        drive = flat.view(-1, self.n_states, self.n_units)
        if bins.covariates.shape[1]:
            drive = drive + torch.einsum("bc,snc->bsn", bins.covariates, self.covariate_weight)
        if bins.own.shape[2]:
            drive = drive + torch.einsum("bnk,nk->bn", bins.own, self.own)[:, None]
        return drive

    def spread(self) -> Tensor:
        """Return what else shapes the emissions: log variances or log sizes, ``(state or 1, unit)``."""
        return self.log_size[None] if self.emission == "negative_binomial" else self.log_variance

    def log_emission(self, bins: Bins, weights: Tensor | None = None) -> Tensor:
        """Return each bin's log probability in every state, without ``bins.base``, shape ``(bin, state)``."""
        drive = self.drive(bins, self.edges() if weights is None else weights)
        found = log_density(self.emission, self.link, drive, bins.values[:, None], self.spread())
        return found.sum(2) if bins.weight is None else (found * bins.weight[:, None]).sum(2)

    def weight_spread(self) -> Tensor:
        """Return the prior's standard deviation of each weight, ``(target, source)``; infinite without a prior."""
        spread = torch.full_like(self.graph, self.prior_scale if self.prior != "none" else math.inf)
        if self.prior == "connectome":
            strength = self.graph.abs()
            usual = strength[strength > 0].nanmedian() if bool((strength > 0).any()) else 1.0
            inside = (strength / usual).clamp(max=1).sqrt().nan_to_num(1.0)  # what is not known may well be there
            spread = spread * (OUTSIDE + (1 - OUTSIDE) * inside)
        if self.self_history != "edge":
            spread = spread.clone().fill_diagonal_(_FORBIDDEN)
        return spread

    def weight_centre(self) -> Tensor:
        """Return the prior's mean of each weight, ``(target, source, filter)``; 0 outside a given graph.

        The states' mean, shrunk as if one more state, of zero weights, took part: so it is the likeliest mean where the
        mean itself is spread around zero like the states are around it. The published model takes the plain mean; on
        five simulations with 4 training sequences the shrunk one predicted better each time.
        """
        mean = self.edges().detach().sum(0) / (self.n_states + 1)
        return mean * (self.graph != 0)[:, :, None] if self.prior == "connectome" else mean

    def log_prior(self, weights: Tensor) -> Tensor:
        """Return the log prior of weights as `edges` returns them, up to a constant, nats."""
        if self.prior == "onehot":
            return -divergence(self.kinds, self.log_prior_kinds) - self._edge_cost()
        if self.prior == "none":
            return weights.new_zeros(())
        spread = self.weight_spread()[:, :, None]
        penalty = ((weights - self.weight_centre()) / spread).square().sum()
        if self.signed_graph:
            wrong = (-weights * self.graph.sign().nan_to_num(0.0)[:, :, None]).clamp_min(0)
            penalty = penalty + (wrong / (OUTSIDE * self.prior_scale)).square().sum()
        return -0.5 * penalty

    def _edge_cost(self) -> Tensor:
        """Cost of each edge that is there: strengths are log-normal around the network's usual one, and fitted."""
        there = 1 - softmax(self.kinds, -1)[..., ABSENT]
        size = softplus(self.strength).sum(-1).clamp_min(1e-6).log()
        usual = ((there * size).sum() / there.sum()).detach()
        return (there * (0.5 * ((size - usual) / STRENGTH_SPREAD) ** 2 + EDGE_COST)).sum()

    @property
    def signed_graph(self) -> bool:
        """Whether the given connectome tells inhibitory from excitatory: it holds negative entries."""
        return self.prior == "connectome" and bool((self.graph < 0).any())


def sticky(n_states: int, stay: float = STAY) -> Tensor:
    """Return a transition matrix that stays with one chance and goes anywhere else alike, ``(state, state)``."""
    if n_states == 1:
        return torch.ones(1, 1)
    other = (1 - stay) / (n_states - 1)
    return torch.full((n_states, n_states), other).fill_diagonal_(stay)
