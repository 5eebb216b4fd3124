"""How many states: likelihood of sequences that a switching GLM was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import KFold

from neurodata.errors import NeurodataError

from ._switching_checks import check_whole


def score_n_states(
    estimator: Any, counts: Any, candidates: Sequence[int], covariates: Any, mask: Any, n_folds: int, seed: int
) -> pd.DataFrame:
    """Return one row per number of states and fold: ``n_states, fold, train, held_out``.

    Parameters
    ----------
    estimator
        Copied for every fit, so that it stays as it is.
    counts, covariates, mask
        As for its ``fit``; whole sequences are held out, each in one fold.
    candidates
        Numbers of states.
    n_folds
        At most as many as there are sequences.
    seed
        Of the folds.

    Raises
    ------
    NeurodataError
        If there are too few sequences.
    """
    check_whole("n_folds", n_folds, 2)
    if n_folds > len(counts):
        raise NeurodataError(
            f"expected 2 folds or more and as many sequences, got {n_folds} folds of {len(counts)} sequences; "
            "cut long sequences into pieces"
        )
    if isinstance(candidates, (int, str)) or not len(candidates):
        raise NeurodataError(f"expected candidates, one or more numbers of states, got {candidates!r}")
    for n_states in candidates:
        check_whole("each of candidates", n_states, 1)
    folds = list(KFold(n_folds, shuffle=True, random_state=seed).split(np.arange(len(counts))))
    rows = []
    for n_states in candidates:
        for number, (train, held_out) in enumerate(folds):
            model = clone(estimator).set_params(n_states=n_states)
            if n_states == 1:  # asked for by name; what states share says nothing of one
                prior = "gaussian" if model.prior == "onehot" else model.prior
                model.set_params(allow_one_state=True, prior=prior)
            model.fit(*(_take(part, train) for part in (counts, covariates)), mask=_take(mask, train))
            given = [_take(part, held_out) for part in (counts, covariates, mask)]
            rows.append((n_states, number, model.log_likelihood_, model.score(given[0], given[1], mask=given[2])))
    return pd.DataFrame(rows, columns=["n_states", "fold", "train", "held_out"])


def _take(given: Any, which: Any) -> Any:
    return None if given is None else [given[number] for number in which]


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per number of states, with an interval over folds.

    Columns ``n_states``, ``split`` (``train``, ``held out``), ``value`` (mean over folds), ``low`` and ``high``
    (two standard errors around it), in log likelihood per bin and unit.
    """
    rows = []
    for n_states, part in scores.groupby("n_states", sort=True):
        for split, column in (("train", "train"), ("held out", "held_out")):
            mean, error = part[column].mean(), part[column].std() / len(part) ** 0.5
            rows.append((n_states, split, mean, mean - 2 * error, mean + 2 * error))
    return pd.DataFrame(rows, columns=["n_states", "split", "value", "low", "high"])
