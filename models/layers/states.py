"""Names of hidden states, which are arbitrary: a fit may call state 2 what the truth calls state 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from neurodata.errors import NeurodataError


def match_states(states: Sequence[NDArray[np.integer]], reference: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """Return which reference state each state is, so that most bins agree: ``matched[states]`` is comparable.

    Parameters
    ----------
    states
        Sequences of states, each ``(time,)``, or one array.
    reference
        Sequences of the same lengths: the truth, or another fit.

    Returns
    -------
    matched
        Reference state of each state, shape ``(state,)``; -1 for a state that is left over.

    Raises
    ------
    NeurodataError
        If the two have different numbers of bins.

    References
    ----------
    Kuhn 1955, Naval Research Logistics Quarterly 2:83-97: the assignment problem.
    """
    ours, theirs = (np.concatenate([np.ravel(one) for one in given]) for given in (states, reference))
    if ours.shape != theirs.shape:
        raise NeurodataError(f"states of {len(ours)} bins cannot be matched to a reference of {len(theirs)}")
    together = np.zeros((int(ours.max()) + 1, int(theirs.max()) + 1), np.int64)
    known = (ours >= 0) & (theirs >= 0)
    np.add.at(together, (ours[known], theirs[known]), 1)
    rows, columns = linear_sum_assignment(-together)
    matched = np.full(len(together), -1)
    matched[rows] = columns
    return matched
