"""Restarts of a factorisation, and loadings of new data with the other modes fixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from neurodata.errors import NeurodataError

from ..array_task import fit_arrays
from ..layers.cp import factor_match, subspace_match
from ..layers.cp_sweeps import (
    Rows,
    Sums,
    add_rows,
    full_grams,
    hals,
    least_squares,
    mode_equations,
    outer,
    pairs_of,
    rescale,
    row_equations,
)
from ..layers.tensor_rows import TensorBlocks, WholeTensor
from ..layers.threads import few_threads
from ..networks.tensor_factors import TensorFactors
from ..tasks.factorise import Factorise

_MOST_ROUNDS, _ROUNDS_AT_ONCE = 2000, 20
"""Rounds of HALS for loadings whose other modes are fixed: a convex problem, gone on with until nothing moves."""


def device_of(accelerator: str) -> str:
    """Return the trainer's accelerator: with ``auto`` a CUDA device where there is one, else the processor."""
    if accelerator != "auto":
        return accelerator
    return "cuda" if torch.cuda.is_available() else "cpu"  # others lack double precision


def fit_restarts(
    source: WholeTensor | TensorBlocks | Tensor,
    networks: Iterable[tuple[TensorFactors, int]],
    *,
    max_iter: int,
    tol: float,
    accelerator: str,
    folder: str | Path | None,
) -> tuple[Factorise, pd.DataFrame]:
    """Fit from several starts, and return the task with the least error over observed entries and a table of all.

    Parameters
    ----------
    source
        The tensor.
    networks
        Each a network and the seed it is drawn by.
    max_iter, tol, accelerator
        As for `TensorFactorisation`.
    folder
        Where the state of each restart is kept, to resume from.
    """
    streamed = isinstance(source, TensorBlocks)
    tasks = []
    for number, (network, seed) in enumerate(networks):
        network.draw(seed)
        # A pass over blocks is long: each is a step of its own, so that progress and resuming are by passes.
        task = Factorise(network, max_sweeps=max_iter, tolerance=tol, sweeps_per_step=1 if streamed else 10)
        fit_arrays(
            task,
            [source],
            epochs=-(-max_iter // task.sweeps_per_step),
            seed=seed,
            folder=None if folder is None else Path(folder) / f"restart_{number}",
            accelerator=device_of(accelerator),
        )
        tasks.append(task)
    best = min(tasks, key=lambda task: task.errors[-1])
    return best, _table(tasks, best)


def _table(tasks: Sequence[Factorise], best: Factorise) -> pd.DataFrame:
    match = factor_match if best.network.model == "cp" else subspace_match
    chosen = [factor.detach() for factor in best.network.factors]
    rows = [
        {
            "error": task.errors[-1],
            "n_iter": len(task.errors),
            "converged": task.converged,
            "factor_match": match([factor.detach() for factor in task.network.factors], chosen),
            "best": task is best,
        }
        for task in tasks
    ]
    return pd.DataFrame(rows)


def fixed_loadings(data: Tensor, grams: Tensor, *, nonnegative: bool) -> Tensor:
    """Return the loadings ``(component, index)`` that fit best, from their normal equations (as `hals` takes them)."""
    if not nonnegative:
        return least_squares(torch.zeros_like(data), data, grams)
    found = rescale(torch.ones_like(data), data, grams)
    with few_threads(data.numel()):
        for _ in range(_MOST_ROUNDS // _ROUNDS_AT_ONCE):
            before, found = found, hals(found, data, grams, _ROUNDS_AT_ONCE)
            if (found - before).norm() <= 10 * torch.finfo(found.dtype).eps * found.norm():
                break
    return found


def row_loadings(rows: Rows, others: Sequence[Tensor], *, nonnegative: bool) -> Tensor:
    """Return the loadings ``(component, row)`` of rows, the factors ``(component, index)`` of the other modes fixed."""
    data, grams = row_equations(rows, others, outer(others))
    found = fixed_loadings(data, grams, nonnegative=nonnegative)
    return _mark(found, rows.mask.flatten(1).any(1))


def core_loadings(rows: Rows, projection: Tensor) -> Tensor:
    """Return the Tucker loadings ``(component, row)`` of rows, core and other bases given as their product.

    Parameters
    ----------
    rows
        The new data.
    projection
        Core times the bases of the other modes, shape ``(component, size_1 · size_2 · …)``.
    """
    mask = rows.mask.expand(len(rows.mask), *rows.sizes).flatten(1)
    grams = full_grams(pairs_of(projection) @ mask.T, len(projection))
    return _mark(
        least_squares(projection.new_zeros(len(projection), len(rows.values)), projection @ rows.values.T, grams),
        mask.any(1),
    )


def block_loadings(blocks: TensorBlocks, factors: Sequence[Tensor], mode: int, *, nonnegative: bool) -> Tensor:
    """Return the loadings ``(component, index)`` of one mode of a tensor in blocks, the other factors fixed.

    Parameters
    ----------
    blocks
        The new data.
    factors
        ``(component, index)`` of every mode; that of ``mode`` is not looked at.
    mode
        Which one is new.
    nonnegative
        Whether loadings may not be negative.
    """
    others = list(factors[1:])
    if mode == 0:
        found = torch.zeros(len(others[0]), blocks.shape[0], dtype=others[0].dtype)
        for rows in blocks:
            found[:, rows.first : rows.first + len(rows.values)] = row_loadings(rows, others, nonnegative=nonnegative)
        return found
    sums = Sums(torch.zeros(len(factors[0]), *blocks.shape[1:], dtype=factors[0].dtype))
    for rows in blocks:
        add_rows(sums, rows, factors[0][:, rows.first : rows.first + len(rows.values)])
    others[mode - 1] = others[0].new_zeros(len(others[0]), blocks.shape[mode])
    data, grams = mode_equations(sums, others, mode - 1)
    return _mark(fixed_loadings(data, grams, nonnegative=nonnegative), blocks.seen[mode])


def _mark(loadings: Tensor, seen: Tensor) -> Tensor:
    return loadings.masked_fill(~(seen if len(seen) > 1 else seen.expand(loadings.shape[1])), torch.nan)


def place_of(mode: Any, n_modes: int) -> int:
    """Return a mode counted from 0, or raise unless the tensor has it."""
    if not isinstance(mode, Integral) or not -n_modes <= int(mode) < n_modes:
        raise NeurodataError(f"a tensor of {n_modes} modes has none of number {mode}")
    return int(mode) % n_modes


def check_sizes(found: Sequence[int], fitted: Sequence[int], mode: int | None) -> None:
    """Raise unless a new tensor has the sizes of the fitted one, in all modes but ``mode``."""
    wanted = ["any" if m == mode else str(size) for m, size in enumerate(fitted)]
    wrong = len(found) != len(fitted) or any(m != mode and found[m] != fitted[m] for m in range(len(fitted)))
    if wrong:
        raise NeurodataError(f"expected a tensor of shape ({', '.join(wanted)}) as in fit, got {tuple(found)}")


def known_columns(network: TensorFactors) -> list[Tensor]:
    """Return a CP model's factors as ``(component, index)``, weights left out, 0 for indices of which nothing is known."""
    return [factor.detach().T.nan_to_num(nan=0.0).contiguous() for factor in network.factors]


def shared_out(loadings: Tensor, weights: Tensor, n_modes: int) -> np.ndarray[tuple[int, int], np.dtype[np.floating]]:
    """Return loadings of the data ``(component, index)`` as ``(index, rank)``, each mode bearing its share of the weights."""
    others = torch.where(weights > 0, weights.clamp_min(torch.finfo(weights.dtype).tiny) ** (1 / n_modes - 1), 0.0)
    return (loadings * others[:, None]).T.numpy().copy()
