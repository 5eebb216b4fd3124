"""Attention over tokens of channels and time, with rotary time in seconds and only recorded tokens attended to."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SHORTEST_SECONDS, LONGEST_SECONDS = 2.0, 60.0
"""Periods of the rotary frequencies: from two patches of 1 s to the slowest brain-state cycle of an immobilised worm."""


def rotate(x: Tensor, seconds: Tensor, periods: Tensor | None = None) -> Tensor:
    """Turn pairs of features by angles proportional to time, so that products depend on differences of time only.

    Parameters
    ----------
    x
        ``(…, token, feature)`` with an even number of features.
    seconds
        Time of each token, ``(…, token)``.
    periods
        Seconds for a full turn of each pair, ``(feature / 2,)``; infinite for a pair that time leaves alone. None: from
        `SHORTEST_SECONDS` to `LONGEST_SECONDS`.

    References
    ----------
    Su et al. 2021, RoFormer, section 3.2.2; frequencies here are in cycles per second, not per token.
    """
    half = x.shape[-1] // 2
    if periods is None:
        periods = torch.logspace(math.log10(SHORTEST_SECONDS), math.log10(LONGEST_SECONDS), half, device=x.device)
    # Angles stay in the precision of the seconds: in bfloat16 one of 75 rad would be off by a quarter.
    angle = seconds[..., None] * (2 * math.pi / periods)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


class Attention(nn.Module):
    """Multi-head self-attention along the last but one axis.

    Parameters
    ----------
    width
        Features per token.
    n_heads
        Heads; must divide ``width`` into even parts.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.to_query_key_value = nn.Linear(width, 3 * width)
        self.to_output = nn.Linear(width, width)

    def forward(self, x: Tensor, attended: Tensor, seconds: Tensor | None = None) -> Tensor:
        """Return ``(batch, token, width)``.

        Parameters
        ----------
        x
            ``(batch, token, width)``.
        attended
            Tokens that may be looked at, bool ``(batch, token)``. Where a row has none, its result is 0.
        seconds
            Time of each token, ``(token,)``; None where their order means nothing.
        """
        batch, n_tokens, width = x.shape
        together = self.to_query_key_value(x).view(batch, n_tokens, 3, self.n_heads, width // self.n_heads)
        query, key, value = together.permute(2, 0, 3, 1, 4)
        if seconds is not None:
            query, key = rotate(query, seconds), rotate(key, seconds)
        anyone = attended.any(-1)
        # A row with nothing to attend to would be NaN: it attends to everything and is zeroed.
        mask = (attended | ~anyone[:, None])[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed = mixed.transpose(1, 2).reshape(batch, n_tokens, width)
        out: Tensor = self.to_output(mixed) * anyone[:, None, None]
        return out


class Block(nn.Module):
    """One layer over a grid of (channel, patch) tokens: attention along time, along channels, then a feed-forward.

    Attending along one axis after the other costs (patches + channels) per token instead of their product.

    Parameters
    ----------
    width, n_heads
        As for `Attention`.
    dropout
        On each of the three branches.
    """

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.along_time, self.along_channels = Attention(width, n_heads), Attention(width, n_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, attended: Tensor, seconds: Tensor) -> Tensor:
        """Return ``(batch, channel, patch, width)``.

        Parameters
        ----------
        x
            ``(batch, channel, patch, width)``.
        attended
            Tokens that hold something recorded, ``(batch, channel, patch)``.
        seconds
            Time of each patch, ``(patch,)``.
        """
        batch, n_channels, n_patches, width = x.shape
        rows = self.norms[0](x).flatten(0, 1)
        along = self.along_time(rows, attended.flatten(0, 1), seconds).view_as(x)
        x = x + self.dropout(along)
        columns = self.norms[1](x).transpose(1, 2).flatten(0, 1)
        across = self.along_channels(columns, attended.transpose(1, 2).flatten(0, 1))
        x = x + self.dropout(across.view(batch, n_patches, n_channels, width).transpose(1, 2))
        out: Tensor = x + self.dropout(self.feed_forward(self.norms[2](x)))
        return out
