"""Tokens of a window: what the encoder takes in, and what each channel's own patches say around a moment."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from neurodata.windows.spec import DataSpec

from ..network import Inputs
from .patches import PATCHINGS


class Tokens(NamedTuple):
    """A window as the encoder takes it in.

    Parameters
    ----------
    content
        Token of each channel and patch, ``(batch, channel, patch, token_width)``.
    entered
        What its values alone make of it, 0 where they are, the same shape.
    attended
        Whether a token holds anything visible, bool ``(batch, channel, patch)``.
    who
        Identity of each channel, ``(batch, channel, token_width)``.
    base
        Each patch at the base rate, 0 where not visible, ``(batch, channel, patch, base_samples)``.
    family, rate_hz, n_samples, length
        Kind of recording, its rate, samples per patch, and of the window.
    is_count
        Whether a channel's values are counts, bool ``(batch, channel)``.
    """

    content: Tensor
    entered: Tensor
    attended: Tensor
    who: Tensor
    base: Tensor
    family: str
    rate_hz: float
    n_samples: int
    length: int
    is_count: Tensor

    @property
    def step_seconds(self) -> float:
        """Length of a patch, the step of the latents' grid."""
        return self.n_samples / self.rate_hz


def n_entering(family: str) -> int:
    """Return the samples of a patch, and the frequencies of an electrical one."""
    n_samples = PATCHINGS[family].base_samples
    return n_samples + n_samples // 2 if family == "electrical" else n_samples


def n_around(family: str) -> int:
    """Return how many features `around_patches` has."""
    return 4 * PATCHINGS[family].base_samples + 2


def around_patches(tokens: Tokens) -> Tensor:
    """Return each channel's last visible patch before and next one after every patch, ``(batch, channel, patch, feature)``.

    Each stands there as it is and divided by how many patches away it is; then whether there is one.
    """
    n_steps = tokens.attended.shape[-1]
    place = torch.arange(n_steps, device=tokens.base.device)
    last = torch.where(tokens.attended, place, -1).cummax(-1).values
    last = functional.pad(last, (1, 0), value=-1)[..., :n_steps]
    after = torch.where(tokens.attended, place, n_steps).flip(-1).cummin(-1).values.flip(-1)
    after = functional.pad(after, (0, 1), value=n_steps)[..., 1:]
    parts = []
    for found, there in ((last, last >= 0), (after, after < n_steps)):
        index = found.clamp(0, n_steps - 1)[..., None].expand_as(tokens.base)
        patch = tokens.base.gather(2, index) * there[..., None]
        distance = (found - place).abs().clamp(min=1).to(patch.dtype)
        parts += [patch, patch / distance[..., None], there[..., None].to(patch.dtype)]
    return torch.cat(parts, -1)


def rate_of(inputs: Inputs, spec: DataSpec) -> float:
    """Return samples per second of a batch, by its own clock."""
    if len(inputs.seconds) < 2:
        return spec.rate_hz
    return (len(inputs.seconds) - 1) / float(inputs.seconds[-1] - inputs.seconds[0])


def step_centres(tokens: Tokens, seconds: Tensor) -> Tensor:
    """Return the time of each step's middle, ``(step,)``."""
    n_steps = tokens.content.shape[2]
    return (torch.arange(n_steps, device=seconds.device, dtype=seconds.dtype) + 0.5) * tokens.step_seconds + seconds[0]
