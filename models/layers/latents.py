"""Latent vectors on a grid of time: what they read from tokens, how they speak with each other, how they are read."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import rotate
from .patches import split_last

SHORTEST_SECONDS, LONGEST_SECONDS = 0.05, 300.0
"""Periods of the rotary frequencies: from two bins of spikes to the slowest fluctuation a window of fMRI can hold."""

CHUNK_STEPS = 64
"""Grid steps that attend to each other wholly; longer windows are attended to chunk by chunk, so that cost is linear."""


def _turned(x: Tensor, seconds: Tensor) -> Tensor:
    ends = math.log10(SHORTEST_SECONDS), math.log10(LONGEST_SECONDS)
    periods = torch.logspace(*ends, x.shape[-1] // 2, device=x.device, dtype=seconds.dtype)
    return rotate(x, seconds, periods)


class CrossAttention(nn.Module):
    """Queries look at keys of another kind; keys are projected apart, so that many groups of queries can share them.

    Parameters
    ----------
    query_width, key_width
        Features of a query, and of what it looks at.
    width, n_heads
        Features attended with, and the heads they are divided into.
    """

    def __init__(self, query_width: int, key_width: int, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.to_query = nn.Linear(query_width, width)
        self.to_key_value = nn.Linear(key_width, 2 * width)
        self.to_output = nn.Linear(width, query_width)

    def forward(self, query: Tensor, key_value: Tensor, attended: Tensor, seconds: tuple[Tensor, Tensor] | None = None) -> Tensor:  # fmt: skip
        """Return ``(group, query, query_width)``; 0 where a group has nothing to attend to.

        Parameters
        ----------
        query
            ``(group, query, query_width)``.
        key_value
            Of ``to_key_value``, ``(group, key, 2 * width)``.
        attended
            Keys that may be looked at, bool ``(group, key)``.
        seconds
            Time of queries and of keys, ``(query,)`` and ``(key,)``; None where they are of one moment.
        """
        keys, values = (self._heads(part) for part in key_value.chunk(2, -1))
        asked = self._heads(self.to_query(query))
        if seconds is not None:
            asked, keys = _turned(asked, seconds[0]), _turned(keys, seconds[1])
        anyone = attended.any(-1)
        mask = (attended | ~anyone[:, None])[:, None, None, :]
        found = functional.scaled_dot_product_attention(asked, keys, values, attn_mask=mask)
        out: Tensor = self.to_output(found.transpose(1, 2).flatten(2)) * anyone[:, None, None]
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return split_last(x, x.shape[-1] // self.n_heads).transpose(1, 2)


class LatentBlock(nn.Module):
    """One layer: latents attend to each other along time, then a feed-forward.

    Parameters
    ----------
    width, n_heads
        Features of a latent, and the heads they are divided into.
    dropout
        On both branches.
    """

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.ahead = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, width, width, n_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, attended: Tensor, seconds: Tensor) -> Tensor:
        """Return ``(batch, step, latent, width)``.

        Parameters
        ----------
        x
            ``(batch, step, latent, width)``.
        attended
            Steps whose latents have read something, bool ``(batch, step)``.
        seconds
            Time of each step, ``(step,)``.
        """
        heard: Tensor = x + self.dropout(self._attend(self.norm(x), attended, seconds))
        thought: Tensor = heard + self.dropout(self.feed_forward(self.ahead(heard)))
        return thought

    def _attend(self, x: Tensor, attended: Tensor, seconds: Tensor) -> Tensor:
        """Within the window, or each chunk of a longer one with the chunks before and after it."""
        n_steps, n_latents = x.shape[1:3]
        projected = self.attention.to_key_value(x)
        attended, times = attended.repeat_interleave(n_latents, 1), seconds.repeat_interleave(n_latents)
        if n_steps <= CHUNK_STEPS:
            found: Tensor = self.attention(x.flatten(1, 2), projected.flatten(1, 2), attended, (times, times))
            return found.view_as(x)
        size = CHUNK_STEPS * n_latents
        lacking = -n_steps % CHUNK_STEPS * n_latents
        queries = functional.pad(x.flatten(1, 2), (0, 0, 0, lacking)).view(len(x), -1, size, x.shape[-1])
        keys = functional.pad(projected.flatten(1, 2), (0, 0, size, size + lacking)).unfold(1, 3 * size, size)
        masks = functional.pad(attended, (size, size + lacking)).unfold(1, 3 * size, size)
        step = (seconds[1] - seconds[0]).clone()
        own = torch.arange(3 * CHUNK_STEPS, device=x.device).repeat_interleave(n_latents) * step
        own_times = (own[size : 2 * size], own)  # only differences of time count, so every chunk may have the same
        found = self.attention(
            queries.flatten(0, 1), keys.transpose(2, 3).flatten(0, 1), masks.flatten(0, 1), own_times
        )
        return found.reshape(len(x), -1, x.shape[-1])[:, : n_steps * n_latents].reshape(x.shape)


def neighbours(x: Tensor, reach: int) -> Tensor:
    """Return each step's latents beside those of ``reach`` steps before and after, zero beyond the ends.

    Parameters
    ----------
    x
        ``(batch, step, …)``; returned is ``(batch, step, 2 * reach + 1, …)``.
    reach
        Steps to either side.
    """
    n_steps = x.shape[1]
    padded = functional.pad(x, (0, 0) * (x.ndim - 2) + (reach, reach))
    return torch.stack([padded[:, first : first + n_steps] for first in range(2 * reach + 1)], 2)
