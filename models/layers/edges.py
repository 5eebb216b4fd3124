"""Connections of which only some exist: one-hot signs with a shared prior."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softmax

INHIBITORY, ABSENT, EXCITATORY = 0, 1, 2
"""Order of an edge's three kinds."""

MIN_LOG = -20.0
"""Log probabilities of kinds are held above this, else an edge that is sure of itself drives the density to infinity
(Li et al. 2024, released code)."""


def sign_of(kinds: Tensor) -> Tensor:
    """Return excitatory minus inhibitory of probabilities ``(…, 3)``, between -1 and 1."""
    return kinds[..., EXCITATORY] - kinds[..., INHIBITORY]


def draw_kinds(logits: Tensor, temperature: float) -> Tensor:
    """Return a differentiable draw of every edge's kind on the simplex (Gumbel-softmax), shape as ``logits``.

    References
    ----------
    Jang et al. 2017, ICLR, "Categorical reparameterization with Gumbel-softmax", equation 2.
    """
    uniform = torch.rand_like(logits).clamp_(1e-10, 1 - 1e-7)
    return softmax((logits.clamp_min(MIN_LOG) - (-uniform.log()).log()) / temperature, -1)


def divergence(logits: Tensor, log_prior: Tensor) -> Tensor:
    """Return how far the edges' kinds are from their prior, summed over edges and states, nats.

    Parameters
    ----------
    logits
        Of each state's edges, shape ``(state, target, source, 3)``.
    log_prior
        Log probabilities shared by the states, shape ``(target, source, 3)``.
    """
    log_kinds = logits.log_softmax(-1).clamp_min(MIN_LOG)
    return (log_kinds.exp() * (log_kinds - log_prior.clamp_min(MIN_LOG))).sum()


def fit_prior(kinds: Tensor, pseudo_count: float) -> Tensor:
    """Return the prior that fits the states' edges best, log probabilities ``(target, source, 3)``.

    Parameters
    ----------
    kinds
        Probabilities, shape ``(state, target, source, 3)``.
    pseudo_count
        How many states the network's overall shares of the three kinds count for at each edge: with a handful of
        states an edge's own share says little.
    """
    common = kinds.mean((0, 1, 2))
    share = (kinds.sum(0) + pseudo_count * common) / (len(kinds) + pseudo_count)
    return share.log().clamp_min(MIN_LOG)
