"""How many threads a loop of small steps is worth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

WORTH_THREADS = 100_000
"""Numbers per step from which threads are worth waiting for. On 2 cores they bring nothing below, and where other
processes want the cores too each of the hundreds of steps waits for the slower one: 10 to 50 times as long in all."""


@contextlib.contextmanager
def few_threads(numbers_per_step: int) -> Iterator[None]:
    """Let torch use one thread where more only wait for one another, and as many as before afterwards.

    Parameters
    ----------
    numbers_per_step
        Numbers that each step of the loop within works on.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1 or numbers_per_step >= WORTH_THREADS:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
