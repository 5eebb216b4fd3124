"""How many components a tensor has: error on held-out entries, core consistency, agreement of restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError

from ..layers.cp import core_consistency
from ._tensor_fit import place_of
from ._tensor_input import as_tensor


@dataclass(frozen=True)
class RankChoice:
    """A rank, and the table it was chosen by.

    Parameters
    ----------
    rank
        The smallest rank whose held-out error is within one standard error of the least.
    table
        One row per rank: ``rank``, ``error`` (fitted to all entries), ``held_out_error`` (mean over splits) and
        ``held_out_sem``, ``core_consistency`` (%; NaN for Tucker), ``factor_match`` (mean over restarts).
    """

    rank: Any
    table: pd.DataFrame


def choose_rank(
    model: BaseEstimator,
    tensor: Any,
    ranks: Sequence[Any],
    *,
    held_out: float = 0.1,
    along: int | None = None,
    n_splits: int = 4,
    seed: int = 0,
) -> RankChoice:
    """Fit each rank with some entries held out, several times, and choose the rank that foretells them.

    The choice is a suggestion: look at the table. A rank is well founded where core consistency is high and restarts
    agree (factor match near 1) too.

    Parameters
    ----------
    model
        A `TensorFactorisation` with every setting but the rank.
    tensor
        The data, NaN where missing.
    ranks
        What is tried; the order does not matter.
    held_out
        Share of the observed entries that is held out.
    along
        Hold out whole fibres along this mode, not single entries: the mode of time where neighbouring samples are
        alike, since single samples between known ones are foretold too easily.
    n_splits
        Times that another share is held out.
    seed
        Of what is held out; the same for every rank.

    Raises
    ------
    NeurodataError
        If no rank or no share is given, or as ``fit`` does.

    References
    ----------
    Breiman L et al. 1984, "Classification and regression trees", section 3.4.3: the rule of one standard error.
    Williams AH et al. 2018, Neuron 98:1099-1115: entries held out at random, agreement of restarts.
    """
    check_positive("n_splits", n_splits)
    ranks = list(ranks)
    if not ranks or not 0 < held_out < 1:
        raise NeurodataError(f"give one rank or more and a share between 0 and 1; got {ranks} and {held_out}")
    values = as_tensor(tensor, nonnegative=model.nonnegative).numpy()
    random = np.random.default_rng(seed)
    splits = [_hold_out(values, held_out, along, random) for _ in range(n_splits)]
    rows = [_try_rank(clone(model).set_params(rank=rank), values, splits) for rank in ranks]
    table = pd.DataFrame(rows)
    table.insert(0, "rank", ranks)
    least = int(table["held_out_error"].argmin())
    bound = table["held_out_error"][least] + table["held_out_sem"][least]
    good = [rank for rank, error in zip(ranks, table["held_out_error"]) if error <= bound]
    return RankChoice(min(good, key=np.sum), table)


def _hold_out(
    values: NDArray[np.floating], share: float, along: int | None, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which entries are held out, shape of the tensor."""
    shape = list(values.shape)
    if along is not None:
        shape[place_of(along, values.ndim)] = 1
    chosen = np.broadcast_to(random.random(shape) < share, values.shape) & np.isfinite(values)
    if not np.nan_to_num(values)[chosen].any() or not np.nan_to_num(values)[~chosen].any():
        raise NeurodataError(
            f"holding out {share:g} of {int(np.isfinite(values).sum())} observed entries leaves nothing but zeros on one side; "
            "change held_out"
        )
    return np.asarray(chosen)


def _try_rank(model: Any, values: NDArray[np.floating], splits: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    model.fit(values)
    consistency = core_consistency(values, model.factors_) if model.model == "cp" else float("nan")
    row = {"error": model.error_, "core_consistency": consistency, "factor_match": model.factor_match_}
    errors = []
    for chosen in splits:
        model.fit(np.where(chosen, values.dtype.type(np.nan), values))
        errors.append(1 - model.score(np.where(chosen, values, values.dtype.type(np.nan))))
    spread = float(np.std(errors, ddof=1) / len(errors) ** 0.5) if len(errors) > 1 else 0.0
    return row | {"held_out_error": float(np.mean(errors)), "held_out_sem": spread}
