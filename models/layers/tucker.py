"""Tucker models: a small core tensor and one orthonormal basis per mode, by higher-order orthogonal iteration."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mode_product(tensor: Tensor, matrix: Tensor, mode: int) -> Tensor:
    """Return a tensor with one mode multiplied by a matrix ``(new, old)``."""
    product: Tensor = torch.tensordot(matrix, tensor, dims=([1], [mode]))
    return product.movedim(0, mode)


def expand(core: Tensor, factors: Sequence[Tensor], skip: int | None = None) -> Tensor:
    """Return the core multiplied by every factor ``(size, rank)`` but that of mode ``skip``."""
    for mode, factor in enumerate(factors):
        if mode != skip:
            core = mode_product(core, factor, mode)
    return core


def tucker_sweep(values: Tensor, factors: list[Tensor], core: Tensor) -> tuple[Tensor, float, float]:
    """Improve all factors in place by one round of higher-order orthogonal iteration.

    Missing entries are filled in with what the model says of them now (expectation–maximisation), at first with the
    mean of the observed ones.

    Parameters
    ----------
    values
        Entries, NaN where missing.
    factors
        Orthonormal basis of each mode, ``(size, rank)``; the list's entries are replaced.
    core
        Core tensor of the present model, all 0 before the first sweep.

    Returns
    -------
    core, error, squares
        The new core, the sum of squared residuals over observed entries, and that of the entries.

    References
    ----------
    Kolda TG, Bader BW 2009, SIAM Review 51(3):455-500, section 4.2: the iteration, after De Lathauwer L et al. 2000,
    SIAM J Matrix Anal Appl 21(4):1324-1342. Filling in: Walczak B, Massart DL 2001, Chemometr Intell Lab Syst 58(1):15-27.
    """
    observed = ~values.isnan()
    known = values.nan_to_num(nan=0.0)
    if not observed.all():
        guess = expand(core, factors) if bool(core.any()) else known.sum() / observed.sum()
        known = torch.where(observed, known, guess)
    for mode, factor in enumerate(factors):
        projected = known
        for other, basis in enumerate(factors):
            if other != mode:
                projected = mode_product(projected, basis.T, other)
        unfolded = projected.movedim(mode, 0).flatten(1)
        factors[mode] = torch.linalg.svd(unfolded, full_matrices=False).U[:, : factor.shape[1]].contiguous()
    core = known
    for mode, factor in enumerate(factors):
        core = mode_product(core, factor.T, mode)
    off = (expand(core, factors) - values).square()
    return core, float(off.nansum(dtype=torch.float64)), float(values.square().nansum(dtype=torch.float64))
