"""Forward-backward in scaled probabilities, as a scan over blocks of time: what `hmm.smooth` does where it is exact.

Time is cut into about ``sqrt(time)`` blocks. The matrices of one bin, ``diag(emission) @ transition``, are multiplied
up within all blocks of all sequences at once; a short scan over blocks then gives the messages at their edges; and with
these all blocks are filled at once, forwards and backwards. That is ``3 sqrt(time)`` steps on large arrays instead of
``2 time`` steps on small ones (the idea: Särkkä and García-Fernández 2021, Temporal parallelization of Bayesian
smoothers, IEEE TAC 66, section III, here with two levels instead of a tree).

Why it is exact. Every emission is divided by its bin's largest, so that is 1, and no transition is smaller than a
floor ``a``. Then from anywhere the next bin's likeliest state is reached with at least ``a``, so whatever is lost to
underflow (``u``, the smallest normal number) while ``k`` bins pass without rescaling weighs at most ``u / a^(k + 2)``
of what is kept: `_bins_without_rescaling` chooses ``k``. Transitions that are truly below the floor are raised to it,
and the expected number of times that the raised part was used is counted: where it is not negligible the sequence is
reported, and `hmm.smooth` does it again in logarithms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .threads import few_threads

FLOOR = 1e-30
"""Smallest transition or first-state probability computed with (float64): 7 bins then pass without rescaling."""

FLOOR_SINGLE = 1e-6
"""Below this float32 cannot hold two bins without rescaling, so the scan is done in float64."""

NEGLIGIBLE = 1e-12
"""Expected uses, per sequence, of the part of a transition that was only there because of `FLOOR`."""

KEPT_RANGE = {torch.float32: 1e-29, torch.float64: 1e-290}
"""How far a number may shrink so that what is lost to underflow stays below 1e-9 (float32) or 1e-17 of it."""

LOST = {torch.float32: 1e-9, torch.float64: 1e-20}
"""Weight, relative to a bin's total, below which an emission is set to 0: numbers near the smallest are slow."""

WORTH_BLOCKS = 20_000
"""Numbers (states squared times sequences) per bin from which a step costs more than its call, so blocks only add work.

Measured by ``scripts/benchmarks/hmm.py`` on 2 cores.
"""


class Scanned(NamedTuple):
    """What the scan returns; see `hmm.Posterior`. ``inexact`` names sequences, ``(sequence,)`` bool, to do again."""

    states: Tensor
    pairs: Tensor
    first: Tensor
    log_likelihood: Tensor
    inexact: Tensor


class _Probabilities(NamedTuple):
    """Transition and first-state probabilities, raised to the floor; ``*_added`` is what was added, None if nothing."""

    transition: Tensor
    initial: Tensor
    transition_added: Tensor | None
    initial_added: Tensor | None
    smallest: float


def scan(log_emission: Tensor, transition: Tensor, initial: Tensor, lengths: Tensor | None) -> Scanned:
    """Return the posterior of every sequence, by blocks of time.

    Parameters
    ----------
    log_emission
        ``(sequence, time, state)``; 0 past a sequence's length, no NaN, each bin with a finite state.
    transition, initial
        Probabilities ``(state, state)``, rows are the state left and sum to 1, and ``(state,)``; float64 where there is
        such a thing.
    lengths
        Bins of each sequence, ``(sequence,)``, or None where all are whole.
    """
    chain, dtype = _in_dtype(_floored(transition, initial), log_emission.dtype)
    n_sequences, n_bins, n_states = log_emission.shape
    block = choose_block(n_bins, n_sequences, n_states)
    with few_threads(log_emission.numel() // block * n_states):
        return _scan_blocks(log_emission.to(dtype), transition, chain, lengths, block)


def _scan_blocks(
    log_emission: Tensor, transition: Tensor, chain: _Probabilities, lengths: Tensor | None, block: int
) -> Scanned:
    n_sequences, n_bins, n_states = log_emission.shape
    dtype = log_emission.dtype
    emission, peaks = _emissions(log_emission, block, chain.smallest)
    every = _bins_without_rescaling(chain.smallest, dtype)
    forward, backward = _edges(emission, chain, n_sequences, every)
    filtered, log_blocks = _fill_forward(emission, chain.transition, forward, every)
    coming, ahead = _fill_backward(emission, chain.transition, backward, every)
    states = ahead.mul_(filtered)
    scale = states.sum(1, keepdim=True).reciprocal_()
    states *= scale
    ended = _last_bins(emission, n_sequences, n_bins, lengths)
    left = filtered.mul_(scale.masked_fill_(ended.reshape(block, 1, -1), 0))
    first = states[0].view(n_states, n_sequences, -1)[:, :, 0].T
    inexact = _uses_of_floor(chain, left, coming[1:], first) > NEGLIGIBLE
    if inexact.any():
        left.view(block, n_states, n_sequences, -1)[:, :, inexact] = 0
    # With what was added left out, whatever cannot be is exactly 0 here.
    pairs = transition.to(dtype) * torch.bmm(left, coming[1:].transpose(1, 2)).sum(0)
    log_likelihood = log_blocks.view(n_sequences, -1).sum(1) + peaks.view(block, n_sequences, -1).sum((0, 2))
    return Scanned(_in_order(states, n_sequences, n_bins), pairs, first, log_likelihood, inexact)


def scan_forward(log_emission: Tensor, transition: Tensor, initial: Tensor) -> Tensor | None:
    """Return each bin's states given the data up to it, ``(sequence, time, state)``; None where it would not be exact.

    Parameters
    ----------
    log_emission, transition, initial
        As for `scan`.
    """
    chain, dtype = _in_dtype(_floored(transition, initial), log_emission.dtype)
    if chain.transition_added is not None:
        return None
    n_sequences, n_bins, n_states = log_emission.shape
    block = choose_block(n_bins, n_sequences, n_states)
    with few_threads(log_emission.numel() // block * n_states):
        emission, _ = _emissions(log_emission.to(dtype), block, chain.smallest)
        every = _bins_without_rescaling(chain.smallest, dtype)
        forward, _ = _edges(emission, chain, n_sequences, every)
        filtered, _ = _fill_forward(emission, chain.transition, forward, every)
        return _in_order(filtered.div_(filtered.sum(1, keepdim=True)), n_sequences, n_bins)


def choose_block(n_bins: int, n_sequences: int, n_states: int) -> int:
    """Return how many bins go into a block: about the square root, or all where blocks would not pay."""
    if n_sequences * n_states**2 >= WORTH_BLOCKS:
        return n_bins
    n_blocks = max(1, round(math.sqrt(n_bins)))
    return math.ceil(n_bins / n_blocks)


def _floored(transition: Tensor, initial: Tensor) -> _Probabilities:
    """Raise what is below the floor, and keep what was added."""
    # Where the device has no float64 the floor must be one that float32 can hold.
    floor = FLOOR if transition.dtype == torch.float64 else FLOOR_SINGLE
    smallest = min(float(transition.min()), float(initial.min()))
    if smallest >= floor:
        return _Probabilities(transition, initial, None, None, smallest)
    raised, raised_initial = transition.clamp(min=floor), initial.clamp(min=floor)
    return _Probabilities(raised, raised_initial, raised - transition, raised_initial - initial, floor)


def _in_dtype(chain: _Probabilities, wanted: torch.dtype) -> tuple[_Probabilities, torch.dtype]:
    """Return the probabilities in the precision wanted, or in their own where that would be too coarse."""
    dtype = wanted if chain.smallest >= FLOOR_SINGLE else chain.transition.dtype
    transition, initial, *added, smallest = chain
    added_transition, added_initial = (None if value is None else value.to(dtype) for value in added)
    return _Probabilities(transition.to(dtype), initial.to(dtype), added_transition, added_initial, smallest), dtype


def _in_order(blocks: Tensor, n_sequences: int, n_bins: int) -> Tensor:
    """Return ``(bin in block, state, sequence * block)`` as ``(sequence, time, state)``, without what filled it up."""
    block, n_states, n_columns = blocks.shape
    flat = blocks.view(block * n_states, n_columns).T.contiguous()
    return flat.view(n_sequences, -1, n_states)[:, :n_bins].contiguous()


def _bins_without_rescaling(smallest: float, dtype: torch.dtype) -> int:
    """Return after how many bins numbers must be rescaled; see the module's text."""
    if smallest >= 1:
        return 1_000_000
    return max(1, int(math.log(KEPT_RANGE[dtype]) / math.log(smallest)) - 2)


def _emissions(log_emission: Tensor, block: int, smallest: float) -> tuple[Tensor, Tensor]:
    """Return emissions over each bin's largest, ``(bin in block, state, sequence * block)``, and the largest's log.

    What is added at the end to fill the last block says nothing about the states.
    """
    n_bins, n_states = log_emission.shape[1:]
    missing = -n_bins % block
    if missing:
        log_emission = functional.pad(log_emission, (0, 0, 0, missing))
    # One plain transpose, which torch does by tiles: the steps' axis comes first, so every step reads one stretch.
    flat = log_emission.reshape(-1, block * n_states).T.contiguous()
    emission = flat.view(block, n_states, -1)
    peaks = emission.amax(1)
    emission = (emission - peaks[:, None]).exp_()  # a new array: of a single bin, the transpose is the argument itself
    torch.threshold_(emission, LOST[emission.dtype] * smallest**2, 0.0)
    return emission, peaks.to(_precise(peaks))


def _edges(emission: Tensor, chain: _Probabilities, n_sequences: int, every: int) -> tuple[Tensor, Tensor]:
    """Return the predicted states at each block's first bin, and the messages from the bins after its last.

    Both ``(state, sequence * block)``, at any scale for the second, summing to 1 for the first.
    """
    n_states = emission.shape[1]
    n_blocks = emission.shape[2] // n_sequences
    messages = emission.new_ones(n_blocks, 2, n_sequences, n_states)
    messages[0, 0] = chain.initial
    if n_blocks > 1:
        products = _block_products(emission, chain.transition, every)  # (to, from, sequence * block)
        apart = products.view(n_states, n_states, n_sequences, n_blocks)
        onwards = apart.permute(3, 2, 0, 1)[:-1]
        back = apart.permute(3, 2, 1, 0)[1:].flip(0)
        # Both directions walk in one loop: the k-th step goes from block k to the next, and from the k-th last back.
        steps = torch.stack([onwards, back], 1).view(n_blocks - 1, 2 * n_sequences, n_states, n_states)
        flat = messages.view(n_blocks, 2 * n_sequences, n_states, 1)
        for now, after, step in zip(flat[:-1], flat[1:], steps, strict=False):
            torch.bmm(step, now, out=after)
            after /= after.sum(1, keepdim=True)
    forward = messages[:, 0].permute(2, 1, 0).reshape(n_states, -1)
    backward = messages[:, 1].flip(0).permute(2, 1, 0).reshape(n_states, -1)
    return forward, backward


def _block_products(emission: Tensor, transition: Tensor, every: int) -> Tensor:
    """Return every block's ``diag(e_0) A diag(e_1) A …`` at any scale, ``(to, from, sequence * block)``."""
    block, n_states, n_columns = emission.shape
    product = (transition.T[:, :, None] * emission[0]).contiguous()
    weighted = torch.empty_like(product)
    flat_product, flat_weighted, onwards = product.view(n_states, -1), weighted.view(n_states, -1), transition.T
    for bin_in_block in range(1, block):
        torch.mul(product, emission[bin_in_block][:, None], out=weighted)
        torch.mm(onwards, flat_weighted, out=flat_product)
        if bin_in_block % every == 0 or bin_in_block == block - 1:
            product /= product.amax((0, 1))
    return product.view(n_states, n_states, n_columns)


def _fill_forward(emission: Tensor, transition: Tensor, first: Tensor, every: int) -> tuple[Tensor, Tensor]:
    """Return the filtered states, at any scale, and the log-likelihood of each block (without its peaks)."""
    filtered = torch.empty_like(emission)
    predicted, onwards = first.clone(), transition.T
    log_scale = torch.zeros(emission.shape[2], dtype=_precise(emission), device=emission.device)
    last = len(emission) - 1
    for bin_in_block, (now, seen) in enumerate(zip(filtered, emission, strict=True)):
        torch.mul(predicted, seen, out=now)
        if (bin_in_block + 1) % every == 0 or bin_in_block == last:
            scale = now.sum(0)
            now /= scale
            log_scale += scale.log()
        torch.mm(onwards, now, out=predicted)
    return filtered, log_scale


def _fill_backward(emission: Tensor, transition: Tensor, after: Tensor, every: int) -> tuple[Tensor, Tensor]:
    """Return messages that hold a bin and all after it, ``(bin in block + 1, …)``, and those that hold all after it."""
    block, n_states, n_columns = emission.shape
    coming = emission.new_empty(block + 1, n_states, n_columns)
    coming[block] = after
    ahead = torch.empty_like(emission)
    for bin_in_block in range(block - 1, -1, -1):
        torch.mm(transition, coming[bin_in_block + 1], out=ahead[bin_in_block])
        torch.mul(ahead[bin_in_block], emission[bin_in_block], out=coming[bin_in_block])
        if bin_in_block % every == 0:
            coming[bin_in_block] /= coming[bin_in_block].amax(0)
    return coming, ahead


def _last_bins(emission: Tensor, n_sequences: int, n_bins: int, lengths: Tensor | None) -> Tensor:
    """Tell which bins have none after them, bool ``(bin in block, sequence, block)``."""
    block = len(emission)
    n_blocks = emission.shape[2] // n_sequences
    steps = torch.arange(block * n_blocks, device=emission.device).view(n_blocks, block).T
    if lengths is None:
        return (steps >= n_bins - 1)[:, None, :].expand(-1, n_sequences, -1)
    return steps[:, None, :] >= (lengths - 1)[:, None]


def _uses_of_floor(chain: _Probabilities, left: Tensor, coming: Tensor, first: Tensor) -> Tensor:
    """Return the expected uses, per sequence, of what raising to the floor added."""
    uses = first.new_zeros(len(first))
    if chain.transition_added is not None and chain.initial_added is not None:
        raised = (left * torch.matmul(chain.transition_added, coming)).sum((0, 1))
        uses = raised.view(len(first), -1).sum(1) + (first * (chain.initial_added / chain.initial)).sum(1)
    return uses


def _precise(like: Tensor) -> torch.dtype:
    """Return float64, or float32 on the one kind of device that has nothing finer."""
    return torch.float32 if like.device.type == "mps" else torch.float64
