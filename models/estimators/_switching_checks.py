"""Parameters of a switching GLM that cannot be meant, refused before anything is fitted."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError

from ..networks.switching_glm import PRIORS

_LEAST = {"n_restarts": 1, "max_iter": 1, "history_bins": 0, "n_filters": 1}
_SWITCHES = ("state_covariates", "state_variance", "allow_twins", "allow_one_state")


def check_whole(what: str, value: Any, least: int) -> None:
    """Raise unless ``value`` is a whole number of at least ``least``; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise NeurodataError(f"{what} must be a whole number of {least} or more, got {value!r}")


def check_settings(estimator: Any) -> None:
    """Raise unless an estimator's parameters can be meant; the network checks the names that it alone uses.

    Raises
    ------
    NeurodataError
        Names the parameter, what it was, and what it may be.
    """
    check_option("prior", estimator.prior, PRIORS)
    for what in ("prior_scale", "learning_rate"):
        check_positive(what, getattr(estimator, what))
    for what, least in _LEAST.items():
        check_whole(what, getattr(estimator, what), least)
    if estimator.n_states != 1 or isinstance(estimator.n_states, bool):
        check_whole("n_states", estimator.n_states, 2)
    for what in _SWITCHES:
        if not isinstance(getattr(estimator, what), (bool, np.bool_)):
            raise NeurodataError(f"{what} must be True or False, got {getattr(estimator, what)!r}")
    if not (estimator.state_bias is None or isinstance(estimator.state_bias, (bool, np.bool_))):
        raise NeurodataError(f"state_bias must be True, False or None, got {estimator.state_bias!r}")
    pull = estimator.stickiness
    if isinstance(pull, bool) or not isinstance(pull, Real) or not 0 <= float(pull) < math.inf:
        raise NeurodataError(f"stickiness must be a number of 0 or more, got {pull!r}")
    _check_together(estimator)


def _check_together(estimator: Any) -> None:
    """Raise where parameters contradict one another."""
    if estimator.n_states == 1:
        if not estimator.allow_one_state:
            raise NeurodataError(
                "n_states=1 leaves no states to switch between: use 2 or more, or allow_one_state=True for the plain "
                "GLM as a baseline"
            )
        if estimator.prior == "onehot":
            raise NeurodataError("prior='onehot' is what states share; with n_states=1 use another prior")
    if estimator.connectome is not None and estimator.prior != "connectome":
        raise NeurodataError(
            f"a connectome was given, but prior={estimator.prior!r} does not use it; prior='connectome'"
        )
    if estimator.history_bins == 0:
        if estimator.prior in ("onehot", "connectome"):
            raise NeurodataError(
                f"prior={estimator.prior!r} is of couplings, and history_bins=0 leaves none; use prior='none'"
            )
        if estimator.state_bias is not None and not estimator.state_bias:
            raise NeurodataError("without history and without state_bias all states are alike; set one of them")
