"""Factors of a tensor: a CP (PARAFAC) or a Tucker model, any number of modes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurodata.checks import check_option
from neurodata.errors import NeurodataError

from ..array_task import ArrayNetwork
from ..layers.cp_sweeps import outer
from ..layers.tucker import expand

MODELS = ("cp", "tucker")


class TensorFactors(ArrayNetwork):
    """A tensor as a sum of few outer products (CP), or as a small core seen through one basis per mode (Tucker).

    Parameters
    ----------
    shape
        Sizes of the tensor's modes, two or more.
    ranks
        Number of components; for Tucker one per mode.
    model
        ``cp``: entry ``(i, j, k)`` is the sum over components ``r`` of ``weights[r] · A[i, r] · B[j, r] · C[k, r]``.
        ``tucker``: the sum over ``p, q, r`` of ``core[p, q, r] · A[i, p] · B[j, q] · C[k, r]``.
    nonnegative
        Whether `draw` gives loadings that are not negative.
    double
        Double precision.

    Attributes
    ----------
    factors
        Loadings of every mode, each ``(size, rank)``; NaN for an index of which nothing was observed.
    weights
        Size of each component, shape ``(rank,)``; CP only.
    core
        Shape ``ranks``; Tucker only.

    References
    ----------
    Kolda TG, Bader BW 2009, SIAM Review 51(3):455-500, "Tensor decompositions and applications", sections 3 and 4.
    """

    def __init__(
        self,
        *,
        shape: Sequence[int] = (2, 2, 2),
        ranks: Sequence[int] = (1,),
        model: str = "cp",
        nonnegative: bool = True,
        double: bool = False,
    ) -> None:
        shape, ranks = [int(size) for size in shape], [int(rank) for rank in ranks]
        super().__init__({"shape": shape, "ranks": ranks, "model": model, "nonnegative": nonnegative, "double": double})
        check_option("model", model, MODELS)
        n_ranks = 1 if model == "cp" else len(shape)
        if len(shape) < 2 or min(shape) < 1 or len(ranks) != n_ranks or min(ranks) < 1:
            raise NeurodataError(
                f"factors need two or more sizes and {n_ranks} rank(s), all positive; got shape {shape}, ranks {ranks}"
            )
        dtype = torch.float64 if double else torch.float32
        each = ranks * len(shape) if model == "cp" else ranks
        self.model = model
        self.factors = nn.ParameterList(torch.zeros(n, r, dtype=dtype) for n, r in zip(shape, each, strict=True))
        if model == "cp":
            self.weights = nn.Parameter(torch.ones(ranks[0], dtype=dtype))
        else:
            self.core = nn.Parameter(torch.zeros(*ranks, dtype=dtype))

    @torch.no_grad()
    def draw(self, seed: int) -> None:
        """Set random loadings to begin a fit from, the same ones in either precision.

        Uniform in [0, 1) where they may not be negative, else normal; orthonormal and with core 0 for Tucker.
        """
        generator = torch.Generator().manual_seed(seed)
        make = torch.rand if self.hyperparameters["nonnegative"] and self.model == "cp" else torch.randn
        for factor in self.factors:
            drawn = make(factor.shape, generator=generator, dtype=torch.float64)
            factor.copy_(drawn if self.model == "cp" else torch.linalg.qr(drawn).Q)
        if self.model == "cp":
            self.weights.fill_(1.0)
        else:
            self.core.zero_()

    @torch.no_grad()
    def normalise(self, seen: Sequence[Tensor]) -> None:
        """Bring a CP model to columns of norm 1, weights decreasing; indices never seen become NaN.

        Where loadings may be negative, the largest entry of each column is positive in every mode but the first.

        Parameters
        ----------
        seen
            Per mode, which indices have an observed entry, shape ``(size,)``.
        """
        if self.model == "cp":
            found = [factor.masked_fill(~known[:, None], 0.0) for factor, known in zip(self.factors, seen, strict=True)]
            norms = torch.stack([factor.norm(dim=0) for factor in found])
            weights = self.weights * norms.prod(0)
            found = [f / torch.where(norm > 0, norm, 1.0) for f, norm in zip(found, norms, strict=True)]
            signs = [f.gather(0, f.abs().argmax(0, keepdim=True)).sign() for f in found[1:]]
            signs = [torch.where(sign == 0, 1.0, sign) for sign in signs]
            whole = torch.stack(signs).prod(0) * torch.where(weights < 0, -1.0, 1.0)
            order = weights.abs().argsort(descending=True, stable=True)
            self.weights.copy_(weights.abs()[order])
            for factor, column, sign in zip(self.factors, found, [whole, *signs], strict=True):
                factor.copy_((column * sign)[:, order])
        for factor, known in zip(self.factors, seen, strict=True):
            factor[~known] = torch.nan

    def scaled(self) -> list[Tensor]:
        """Return a CP model's factors as ``(component, index)``, the weights in the first."""
        first, *others = [factor.detach().T.contiguous() for factor in self.factors]
        return [first * self.weights.detach()[:, None], *others]

    def forward(self) -> Tensor:
        """Return the whole tensor the factors stand for, NaN where a loading is NaN."""
        if self.model == "tucker":
            return expand(self.core, list(self.factors))
        first, *others = [factor.T for factor in self.factors]
        whole: Tensor = (first.T * self.weights) @ outer(others)
        shape: list[int] = self.hyperparameters["shape"]
        return whole.view(shape)
