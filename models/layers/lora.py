"""Low-rank changes of trained linear layers: few weights learn, the trained ones stay as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LowRank(nn.Module):
    """A frozen linear layer plus a product of two small matrices; at first nothing is added.

    Parameters
    ----------
    linear
        The trained layer.
    rank
        Of the product.
    alpha
        The product counts ``alpha / rank``.

    References
    ----------
    Hu et al. 2022, LoRA, section 4.1.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.down = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.up = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(…, out_features)``."""
        added: Tensor = self.linear(x) + (x @ self.down.T @ self.up.T) * self.scale
        return added

    def merged(self) -> nn.Linear:
        """Return one linear layer that computes the same."""
        with torch.no_grad():
            self.linear.weight += self.scale * self.up @ self.down
        return self.linear.requires_grad_(True)


def add_low_rank(module: nn.Module, within: Sequence[str], rank: int, alpha: float) -> int:
    """Replace the linear layers of some parts of a module by `LowRank` ones; returns how many.

    Parameters
    ----------
    module
        Changed in place.
    within
        Names of its parts: linear layers, or modules that hold some.
    rank, alpha
        As for `LowRank`.
    """
    found = [name for name, part in module.named_modules() if isinstance(part, nn.Linear) and _is_within(name, within)]
    for name in found:
        above, _, last = name.rpartition(".")
        linear = module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(module.get_submodule(above), last, LowRank(linear, rank, alpha))
    return len(found)


def _is_within(name: str, within: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in within)


def merge_low_rank(module: nn.Module) -> None:
    """Put plain linear layers back, with what was learned in them."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LowRank):
                setattr(parent, name, child.merged())
