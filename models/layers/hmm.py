"""Hidden Markov models: smoothing, filtering and likeliest paths of many sequences at once, emissions given.

What the data look like in a state is no business of this module: it takes the log-likelihood of every bin under every
state. A bin that was not observed is 0 for all states, a state that is impossible in a bin is minus infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neurodata.errors import NeurodataError

from .hmm_logs import best_path, filter_in_logs, smooth_in_logs
from .hmm_scan import scan, scan_forward
from .threads import few_threads

TOLERANCE = 1e-4
"""How far a sum of probabilities may be from 1; what is within is scaled to 1 (float32 softmax is off by 1e-7)."""


class Posterior(NamedTuple):
    """What is known of the states once all data are seen.

    Parameters
    ----------
    states
        Probability of each state, ``(sequence, time, state)``; 0 past a sequence's length. What is below 1e-9
        (float32) or 1e-20 (float64) may come as 0.
    pairs
        Expected transitions from row to column, ``(state, state)``, summed over all sequences.
    first
        Expected first states, ``(state,)``, summed over all sequences.
    log_likelihood
        Of each sequence, ``(sequence,)``, in nats; float64, whatever the others are.
    """

    states: Tensor
    pairs: Tensor
    first: Tensor
    log_likelihood: Tensor


class _Checked(NamedTuple):
    """Arguments as the recursions want them: emissions 0 past the end, log-probabilities float64 and summing to 1."""

    log_emission: Tensor
    log_transition: Tensor
    log_initial: Tensor
    lengths: Tensor
    ragged: bool

    @property
    def precise(self) -> Tensor:
        """Emissions in the precision of the log-probabilities."""
        return self.log_emission.to(self.log_transition.dtype)

    @property
    def per_step(self) -> int:
        """Numbers that a step over all sequences works on."""
        return len(self.log_emission) * self.log_transition.numel()


@torch.no_grad()
def smooth(
    log_emission: Tensor,
    log_transition: Tensor,
    log_initial: Tensor,
    lengths: Tensor | Sequence[int] | None = None,
) -> Posterior:
    """Return what is known of the states of every sequence given all of its data (forward-backward).

    Works in the precision of ``log_emission`` wherever that is exact, else finer: transitions may be 0, and emissions
    differ by any number of nats. Time and memory are linear in bins and sequences. Nothing is differentiated.

    Parameters
    ----------
    log_emission
        Log-likelihood of each bin under each state, ``(sequence, time, state)``, float32 or float64, in nats. Minus
        infinity where a state cannot be; 0 for all states in bins that were not observed.
    log_transition
        ``(state, state)``, from row to column; rows sum to 1 once exponentiated.
    log_initial
        Of the first state, ``(state,)``.
    lengths
        Bins of each sequence, ``(sequence,)``, from 1 to ``time``; None where all have the same. What stands past a
        sequence's length is not looked at.

    Raises
    ------
    NeurodataError
        If shapes do not fit, a number is missing, probabilities do not sum to 1, or a sequence is impossible.

    References
    ----------
    Rabiner 1989, A tutorial on hidden Markov models, Proceedings of the IEEE 77, section III.A and equations 27, 37.
    """
    given = _check(log_emission, log_transition, log_initial, lengths)
    fast = scan(
        given.log_emission,
        given.log_transition.exp(),
        given.log_initial.exp(),
        given.lengths if given.ragged else None,
    )
    dtype = log_emission.dtype
    states, pairs, first = fast.states.to(dtype), fast.pairs, fast.first
    if fast.inexact.any():
        which = fast.inexact.nonzero()[:, 0]
        with few_threads(given.per_step):
            exact = smooth_in_logs(given.precise[which], given.log_transition, given.log_initial, given.lengths[which])
        _refuse_impossible(exact[2], which)
        states[which] = exact[0].to(dtype)
        pairs = pairs + exact[1]
        first[which] = exact[0][:, 0].to(first.dtype)
        fast.log_likelihood[which] = exact[2]
    states = _zero_past_the_end(states, given)
    return Posterior(states, pairs.to(dtype), first.sum(0).to(dtype), fast.log_likelihood)


@torch.no_grad()
def filter_states(
    log_emission: Tensor,
    log_transition: Tensor,
    log_initial: Tensor,
    lengths: Tensor | Sequence[int] | None = None,
) -> Tensor:
    """Return the probability of each state given the data up to and with its own bin, ``(sequence, time, state)``.

    Parameters
    ----------
    log_emission, log_transition, log_initial, lengths
        As for `smooth`; raises what it raises.
    """
    given = _check(log_emission, log_transition, log_initial, lengths)
    states = scan_forward(given.log_emission, given.log_transition.exp(), given.log_initial.exp())
    if states is None:
        with few_threads(given.per_step):
            together = filter_in_logs(given.precise, given.log_transition, given.log_initial)
        _refuse_impossible(torch.logsumexp(together[-1], -1), torch.arange(len(log_emission)))
        states = torch.softmax(together, -1).transpose(0, 1)
    return _zero_past_the_end(states.to(log_emission.dtype), given)


@torch.no_grad()
def viterbi(
    log_emission: Tensor,
    log_transition: Tensor,
    log_initial: Tensor,
    lengths: Tensor | Sequence[int] | None = None,
) -> Tensor:
    """Return the likeliest path of states of each sequence, int64 ``(sequence, time)``, -1 past its end.

    Of paths that are equally likely, the one with lower numbers towards its end.

    Parameters
    ----------
    log_emission, log_transition, log_initial, lengths
        As for `smooth`; raises what it raises.
    """
    given = _check(log_emission, log_transition, log_initial, lengths)
    with few_threads(given.per_step):
        path, log_joint = best_path(given.precise, given.log_transition, given.log_initial, given.lengths)
    _refuse_impossible(log_joint, torch.arange(len(path)))
    return path


def _zero_past_the_end(states: Tensor, given: _Checked) -> Tensor:
    if not given.ragged:
        return states
    past = torch.arange(states.shape[1], device=states.device) >= given.lengths[:, None]
    return states.masked_fill(past[..., None], 0)


def _check(
    log_emission: Tensor, log_transition: Tensor, log_initial: Tensor, lengths: Tensor | Sequence[int] | None
) -> _Checked:
    """Check everything that does not need the recursions, and put it in their form."""
    _check_shapes(log_emission, log_transition, log_initial)
    n_sequences, n_bins, _ = log_emission.shape
    device = log_emission.device
    # Probabilities are few and used in every bin: they are kept as fine as the device can.
    precise = torch.float32 if device.type == "mps" else torch.float64
    ragged = lengths is not None
    sizes = _check_lengths(lengths, n_sequences, n_bins).to(device)
    if ragged:
        past = torch.arange(n_bins, device=device) >= sizes[:, None]
        log_emission = log_emission.masked_fill(past[..., None], 0)
    _check_emission(log_emission)
    return _Checked(
        log_emission,
        _check_probabilities("row {} of log_transition", log_transition.to(device, precise)),
        _check_probabilities("log_initial", log_initial.to(device, precise)[None])[0],
        sizes,
        ragged,
    )


def _check_shapes(log_emission: Tensor, log_transition: Tensor, log_initial: Tensor) -> None:
    if log_emission.ndim != 3 or 0 in log_emission.shape:
        raise NeurodataError(
            f"log_emission must be (sequence, time, state) with at least one of each, got {tuple(log_emission.shape)}; "
            "one sequence is log_emission[None]"
        )
    if log_emission.dtype not in (torch.float32, torch.float64):
        raise NeurodataError(f"log_emission must be float32 or float64, got {log_emission.dtype}; convert it first")
    n_states = log_emission.shape[2]
    for name, value, expected in (
        ("log_transition", log_transition, (n_states, n_states)),
        ("log_initial", log_initial, (n_states,)),
    ):
        if tuple(value.shape) != expected:
            raise NeurodataError(
                f"{name} must be {expected} for the {n_states} states of log_emission, got {tuple(value.shape)}"
            )


def _check_lengths(lengths: Tensor | Sequence[int] | None, n_sequences: int, n_bins: int) -> Tensor:
    if lengths is None:
        return torch.full((n_sequences,), n_bins)
    sizes = torch.as_tensor(lengths)
    if sizes.is_floating_point() or sizes.shape != (n_sequences,):
        raise NeurodataError(
            f"lengths must be one whole number per sequence, {n_sequences} in all, "
            f"got {sizes.dtype} of shape {tuple(sizes.shape)}"
        )
    wrong = ((sizes < 1) | (sizes > n_bins)).nonzero()[:, 0].tolist()
    if wrong:
        raise NeurodataError(
            f"lengths must be from 1 to the {n_bins} bins of log_emission, got {int(sizes[wrong[0]])} for sequence "
            f"{wrong[0]}; leave empty sequences out"
        )
    return sizes.to(torch.int64)


def _check_emission(log_emission: Tensor) -> None:
    if torch.isfinite(log_emission.sum()):  # the usual case, in one pass
        return
    wrong = (log_emission.isnan() | log_emission.isposinf()).nonzero()
    if len(wrong):
        sequence, time, state = wrong[0].tolist()
        raise NeurodataError(
            f"log_emission must hold numbers or -inf, got {float(log_emission[sequence, time, state])} at sequence "
            f"{sequence}, bin {time}, state {state} ({len(wrong)} such); bins that were not observed are 0 in all states"
        )
    nowhere = log_emission.isneginf().all(-1).nonzero()
    if len(nowhere):
        sequence, time = nowhere[0].tolist()
        raise NeurodataError(
            f"sequence {sequence} is impossible: at bin {time} log_emission is -inf in every state; "
            "bins that were not observed are 0 in all states"
        )


def _check_probabilities(name: str, log_probability: Tensor) -> Tensor:
    """Return rows that sum to 1 exactly, once exponentiated."""
    total = torch.logsumexp(log_probability, -1, keepdim=True)
    # Written so that NaN, which is nothing's neighbour, is caught too.
    wrong = (~(total.expm1().abs() <= TOLERANCE)).nonzero()
    if len(wrong):
        row = int(wrong[0, 0])
        raise NeurodataError(
            f"{name.format(row)} must sum to 1 once exponentiated, got {float(total[row].exp()):.6g}; "
            "subtract its logsumexp"
        )
    return log_probability - total


def _refuse_impossible(log_probability: Tensor, sequences: Tensor) -> None:
    wrong = log_probability.isneginf().nonzero()[:, 0].tolist()
    if wrong:
        raise NeurodataError(
            f"sequence {int(sequences[wrong[0]])} is impossible: no path of states has a probability above 0; "
            "look for zero transitions, or for states that are -inf where they are needed"
        )
