"""Random numbers that belong to a window: the same ones whichever process, batch row or device holds it."""

from __future__ import annotations

import torch
from torch import Tensor

from neurodata.batches.batch import Batch

# Constants of splitmix64 (Steele, Lea & Flood 2014, OOPSLA, figure 17), as signed 64-bit numbers.
_STEP = 0x9E3779B97F4A7C15 - 2**64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def window_uniform(batch: Batch, seed: int, what: int, n: int, *, each_channel: bool = False) -> Tensor:
    """Return numbers between 0 (included) and 1 for every window of a batch.

    They are a function of the seed, of ``what`` and of the window (its recording and first sample). What a task hides
    of a window is then the same however many processes share a batch, and however many channels it is padded to.

    Parameters
    ----------
    batch
        Windows.
    seed
        Of the step.
    what
        Which of a step's independent draws this is; two with the same number are equal.
    n
        Numbers per window, or per channel.
    each_channel
        Whether every channel has its own.

    Returns
    -------
    numbers
        float32 ``(batch, n)``, or ``(batch, n, channel)``.
    """
    device = batch.values.device
    words = _mixed(torch.tensor([_signed(seed), what], device=device))
    words = _mixed(_mixed(words[0] + words[1] + batch.recording.long()) + batch.first.long())[:, None]
    if each_channel:
        words = _mixed(words + _STEP * (1 + torch.arange(batch.values.shape[2], device=device)))[:, None]
    count = torch.arange(n, device=device)
    words = _mixed(words + _STEP * (1 + (count[:, None] if each_channel else count)))
    return _shifted(words, 40).float() * 2.0**-24


def _signed(seed: int) -> int:
    return (seed + 2**63) % 2**64 - 2**63


def _shifted(words: Tensor, places: int) -> Tensor:
    """Shift as unsigned numbers are: zeros come in from above."""
    return torch.bitwise_and(words >> places, 2 ** (64 - places) - 1)


def _mixed(words: Tensor) -> Tensor:
    words = (words ^ _shifted(words, 30)) * _FIRST
    words = (words ^ _shifted(words, 27)) * _SECOND
    return words ^ _shifted(words, 31)
