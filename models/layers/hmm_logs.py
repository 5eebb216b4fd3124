"""Recursions of hidden Markov models in logarithms, one bin after another: exact for any numbers, and slower."""

from __future__ import annotations

import torch
from torch import Tensor


def filter_in_logs(log_emission: Tensor, log_transition: Tensor, log_initial: Tensor) -> Tensor:
    """Return the log of each bin's state together with all data up to it, ``(time, sequence, state)``.

    Parameters
    ----------
    log_emission
        ``(sequence, time, state)``.
    log_transition, log_initial
        ``(state, state)``, rows are the state left, and ``(state,)``; minus infinity where impossible.
    """
    seen = log_emission.transpose(0, 1)
    together = torch.empty(seen.shape, dtype=seen.dtype, device=seen.device)
    together[0] = log_initial + seen[0]
    for before, now, emission in zip(together[:-1], together[1:], seen[1:], strict=True):
        torch.logsumexp(before[:, :, None] + log_transition, 1, out=now)
        now += emission
    return together


def smooth_in_logs(
    log_emission: Tensor, log_transition: Tensor, log_initial: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities ``(sequence, time, state)``, pooled pairs ``(state, state)`` and the log-likelihoods.

    Parameters
    ----------
    log_emission
        ``(sequence, time, state)``; 0 past a sequence's length.
    log_transition, log_initial
        As for `filter_in_logs`.
    lengths
        Bins of each sequence, ``(sequence,)``.

    Returns
    -------
    states, pairs, log_likelihood
        The last is minus infinity where a sequence is impossible; the others are then not numbers.
    """
    together = filter_in_logs(log_emission, log_transition, log_initial)
    log_likelihood = torch.logsumexp(together[-1], -1)
    seen = log_emission.transpose(0, 1)
    after = torch.zeros_like(seen[0])
    log_states = together.clone()
    pairs = torch.zeros_like(log_transition)
    for now in range(len(seen) - 2, -1, -1):
        coming = log_transition + (seen[now + 1] + after)[:, None, :]
        both = (together[now] - log_likelihood[:, None])[:, :, None] + coming
        pairs += (both.exp() * (now < lengths - 1)[:, None, None]).sum(0)
        after = torch.logsumexp(coming, 2)
        log_states[now] += after
    states = (log_states - log_likelihood[:, None]).exp()
    return states.transpose(0, 1), pairs, log_likelihood


def best_path(
    log_emission: Tensor, log_transition: Tensor, log_initial: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the likeliest path ``(sequence, time)``, -1 past the end, and the log of its joint probability.

    Parameters
    ----------
    log_emission, log_transition, log_initial, lengths
        As for `smooth_in_logs`.

    References
    ----------
    Viterbi 1967, IEEE Transactions on Information Theory 13. No back-pointers are kept: going back, each bin's best
    state is found again from the scores, which costs one row of the transitions instead of all.
    """
    seen = log_emission.transpose(0, 1)
    scores = torch.empty(seen.shape, dtype=seen.dtype, device=seen.device)
    scores[0] = log_initial + seen[0]
    for before, now, emission in zip(scores[:-1], scores[1:], seen[1:], strict=True):
        torch.amax(before[:, :, None] + log_transition, 1, out=now)
        now += emission
    sequences = torch.arange(len(lengths), device=seen.device)
    log_joint, last = scores[lengths - 1, sequences].max(-1)
    path = torch.full(seen.shape[:2], -1, dtype=torch.int64, device=seen.device)
    path[-1] = last
    into = log_transition.T.contiguous()
    whole = bool((lengths == len(seen)).all())
    for now in range(len(seen) - 2, -1, -1):
        torch.argmax(scores[now] + into[path[now + 1]], -1, out=path[now])
        if not whole:  # bins past the end carry the last state along, to where it belongs
            path[now] = torch.where(now < lengths - 1, path[now], last)
    past = torch.arange(len(seen), device=seen.device)[:, None] >= lengths
    return path.masked_fill_(past, -1).T.contiguous(), log_joint
