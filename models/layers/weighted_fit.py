"""Least squares of every state at once, each weighted by the chances of its bins."""

from __future__ import annotations

import torch
from torch import Tensor

_RIDGE = 1e-4
"""Precision added to every coefficient: keeps the equations of a state without bins solvable."""

_BINS, _UNITS = 2048, 16
"""How many are worked on at once: bounds memory."""


def solve_states(
    design: Tensor,
    targets: Tensor,
    known: Tensor | None,
    states: Tensor,
    precision: Tensor,
    centre: Tensor,
    noise: Tensor,
) -> Tensor:
    """Return the coefficients most likely a posteriori of each state and unit, ``(state, unit, feature)``.

    They minimise ``Σ_bins states · (targets - design · w)² / noise + Σ_features precision · (w - centre)²``.

    Parameters
    ----------
    design
        Shape ``(bin, feature)``.
    targets
        Shape ``(bin, unit)``.
    known
        1 where a target is known, else 0, shape ``(bin, unit)``; None where all are.
    states
        Chances of the states, shape ``(bin, state)``.
    precision, centre
        Of the Gaussian prior, shape ``(unit, feature)`` each.
    noise
        Variances, shape ``(state, unit)``.
    """
    sizes = (states.shape[1], targets.shape[1], design.shape[1])
    found = torch.empty(sizes, dtype=torch.float64, device=design.device)
    together = None if known is not None else _moments(design, targets, states)
    for start in range(0, sizes[1], _UNITS):
        units = slice(start, start + _UNITS)
        if together is not None:
            square, cross = together[0][:, None], together[1][:, units]
        else:
            square, cross = _own_moments(design, targets[:, units], known[:, units], states)  # type: ignore[index]
        pull = noise[:, units, None].double() * precision[units].double()
        left = square + torch.diag_embed(pull + _RIDGE)
        right = cross + pull * centre[units].double()
        found[:, units] = torch.linalg.solve(left, right[..., None])[..., 0]
    return found.to(design.dtype)


def _moments(design: Tensor, targets: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted squares ``(state, feature, feature)`` and products with the targets ``(state, unit, feature)``."""
    n_states, n_units, n_features = states.shape[1], targets.shape[1], design.shape[1]
    square = torch.zeros(n_states, n_features, n_features, dtype=torch.float64, device=design.device)
    cross = torch.zeros(n_states, n_units, n_features, dtype=torch.float64, device=design.device)
    for start in range(0, len(design), _BINS):
        part = slice(start, start + _BINS)
        weighted = states[part].T[:, :, None] * design[part]
        square += weighted.transpose(1, 2) @ design[part]
        cross += targets[part].T @ weighted
    return square, cross


def _own_moments(design: Tensor, targets: Tensor, known: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """As `_moments` where units lack different bins: squares are each unit's own, ``(state, unit, feature, feature)``."""
    square, cross = zip(*(_moments(design, targets[:, [n]], states * known[:, [n]]) for n in range(targets.shape[1])))
    return torch.stack(square, 1), torch.cat(cross, 1)
