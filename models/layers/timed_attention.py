"""Attention of some tokens to others, each with its own time in seconds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import rotate


def make_periods(head_width: int, shortest_seconds: float, longest_seconds: float) -> Tensor:
    """Return periods of rotation, ``(head_width / 2,)``: half of the pairs evenly in logarithm, half infinite.

    Parameters
    ----------
    head_width
        Features of a head, an even number.
    shortest_seconds, longest_seconds
        First and last of the finite periods.

    References
    ----------
    Azabou et al. 2023 (POYO), released code: half of each head is turned by time, half carries what is timeless.
    """
    n_pairs = head_width // 2
    n_turned = (n_pairs + 1) // 2
    turned = torch.logspace(math.log10(shortest_seconds), math.log10(longest_seconds), n_turned)
    return torch.cat([turned, torch.full((n_pairs - n_turned,), math.inf)])


class TimedAttention(nn.Module):
    """Multi-head attention that knows differences of time only, and may rest.

    Queries, keys and values are turned by their times and the result is turned back by the query's, so that what is
    read holds how long ago it was. Beside all tokens lies a key of zeros with a value of zeros: with nothing to look at the
    result is 0, and how much there was is not lost in a mean.

    Parameters
    ----------
    width
        Features per token.
    n_heads
        Heads; must divide ``width`` into even parts.

    References
    ----------
    Azabou et al. 2023 (POYO), section 2.2: rotary time of values. The resting place is ``add_zero_attn`` of
    ``torch.nn.MultiheadAttention``.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.to_query, self.to_key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.to_output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, seconds: Tensor, periods: Tensor, seen: Tensor, seen_seconds: Tensor, attended: Tensor | None
    ) -> Tensor:
        """Return ``(batch, token, width)``.

        Parameters
        ----------
        x, seconds
            Tokens that ask, ``(batch, token, width)``, and their times, ``(token,)`` or ``(batch, token)``.
        periods
            Of rotation, ``(width / n_heads / 2,)``.
        seen, seen_seconds
            Tokens that are looked at, ``(batch, seen, width)``, and their times, ``(seen,)`` or ``(batch, seen)``.
        attended
            Those that may be looked at, bool ``(batch, seen)``; None: all.
        """
        heads = (self.n_heads, -1)
        query = self.to_query(x).unflatten(-1, heads).transpose(1, 2)
        key_value = self.to_key_value(seen).unflatten(-1, (2, *heads)).permute(2, 0, 3, 1, 4)
        seconds, seen_seconds = seconds.unsqueeze(-2), seen_seconds.unsqueeze(-2)  # the same for all heads
        key, value = functional.pad(rotate(key_value, seen_seconds, periods), (0, 0, 0, 1))
        mask = None if attended is None else functional.pad(attended, (0, 1), value=True)[:, None, None]
        query = rotate(query, seconds, periods)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.to_output(rotate(mixed, -seconds, periods).transpose(1, 2).flatten(2))
        return out


class TimedBlock(nn.Module):
    """One layer: attention to other tokens, or of tokens to each other, then a feed-forward.

    Parameters
    ----------
    width, n_heads
        As for `TimedAttention`.
    dropout
        On both branches.
    """

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = TimedAttention(width, n_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        seconds: Tensor,
        periods: Tensor,
        seen: Tensor | None = None,
        seen_seconds: Tensor | None = None,
        attended: Tensor | None = None,
    ) -> Tensor:
        """Return ``(batch, token, width)``; as `TimedAttention`, and where nothing is ``seen``, ``x`` sees itself."""
        asking = self.norms[0](x)
        if seen is None or seen_seconds is None:
            seen, seen_seconds = asking, seconds
        x = x + self.dropout(self.attention(asking, seconds, periods, seen, seen_seconds, attended))
        out: Tensor = x + self.dropout(self.feed_forward(self.norms[1](x)))
        return out
