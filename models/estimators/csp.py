"""Common spatial patterns: the combinations of channels whose power differs most between two kinds of trials."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError


class Csp(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Log power of trials along common spatial patterns, one set of patterns per class against the others.

    Parameters
    ----------
    n_patterns
        Patterns per class: half with the most power in the class, half with the least.
    shrinkage
        Share of the mean channel power mixed into each covariance, so that few trials of many channels will do.

    Attributes
    ----------
    filters_
        Weights of the channels, shape ``(pattern, channel)``.
    classes_
        Labels met in training, shape ``(class,)``.

    References
    ----------
    Blankertz B et al. 2008, IEEE Signal Process Mag 25(1):41-56, "Optimizing spatial filters for robust EEG
    single-trial analysis", equations 4 to 6: filters are the generalised eigenvectors of the classes' covariances,
    features the log variance of the filtered trial.
    """

    def __init__(self, n_patterns: int = 4, shrinkage: float = 0.1) -> None:
        self.n_patterns = n_patterns
        self.shrinkage = shrinkage

    def fit(self, X: NDArray[np.floating], y: NDArray[Any]) -> Self:
        """Find the patterns.

        Parameters
        ----------
        X
            Trials, band-passed, shape ``(trial, time, channel)``.
        y
            Labels, shape ``(trial,)``.

        Raises
        ------
        NeurodataError
            If the trials have another shape, hold NaN, or there is one class only.
        """
        check_positive("n_patterns", self.n_patterns)
        trials, labels = _checked(X), np.asarray(y)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise NeurodataError(f"patterns tell classes apart, got trials of {self.classes_.tolist()} only")
        covariances = np.stack([self._covariance(trials[labels == name]) for name in self.classes_])
        # Two classes share their patterns: those of one with the least power are those of the other with the most.
        shown = covariances[:1] if len(self.classes_) == 2 else covariances
        self.filters_ = np.concatenate([self._filters(one, covariances.sum(0)) for one in shown])
        self.n_features_in_ = trials.shape[2]
        return self

    def _covariance(self, trials: NDArray[np.float64]) -> NDArray[np.float64]:
        centred = trials - trials.mean(axis=1, keepdims=True)
        each = np.einsum("ntc,ntd->ncd", centred, centred)
        found = (each / np.trace(each, axis1=1, axis2=2)[:, None, None]).mean(axis=0)
        n_channels = found.shape[0]
        return np.asarray(
            (1 - self.shrinkage) * found + self.shrinkage * np.trace(found) / n_channels * np.eye(n_channels)
        )

    def _filters(self, one: NDArray[np.float64], together: NDArray[np.float64]) -> NDArray[np.float64]:
        vectors = eigh(one, together)[1].T
        low = min(self.n_patterns // 2, len(vectors) // 2)
        return np.concatenate([vectors[:low], vectors[len(vectors) - (self.n_patterns - low) :]])

    def transform(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the log variance of each trial along each pattern, shape ``(trial, pattern)``."""
        check_is_fitted(self)
        trials = _checked(X)
        if trials.shape[2] != self.n_features_in_:
            raise NeurodataError(f"the patterns are of {self.n_features_in_} channels, got trials of {trials.shape[2]}")
        return np.asarray(np.log(np.var(trials @ self.filters_.T, axis=1)))


def _checked(trials: Any) -> NDArray[np.float64]:
    values = np.asarray(trials, np.float64)
    if values.ndim != 3 or 0 in values.shape:
        raise NeurodataError(f"expected trials of shape (trial, time, channel), got {values.shape}")
    if not np.isfinite(values).all():
        raise NeurodataError(
            f"{int((~np.isfinite(values)).any((1, 2)).sum())} trials hold NaN or infinity; leave them out"
        )
    return values
