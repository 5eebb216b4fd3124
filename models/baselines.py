"""Simple predictors on the same split: what a score has to be compared with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_squared_error, recall_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodata.errors import NeurodataError
from neurodata.predictions import BASELINE, CHANCE, MAJORITY, SHUFFLED_LABELS

C_GRID = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
ALPHA_GRID = (1e1, 1e2, 1e3, 1e4, 1e5)
SLOPE_SPAN_SECONDS = 1.0


@dataclass(frozen=True)
class Table:
    """One recording as a baseline sees it.

    Parameters
    ----------
    recording_id
        Which.
    values
        Scaled activity, NaN where not recorded, ``(time, channel)``.
    channel_ids
        Who each channel is, ``(channel,)``; ids above 0 are unique.
    target
        Class codes ``(time,)`` (-1: not labelled) or values ``(time, output)``.
    """

    recording_id: str
    values: NDArray[np.float64]
    channel_ids: NDArray[np.int64]
    target: NDArray[np.int64] | NDArray[np.float32]


def shared_ids(tables: Sequence[Table]) -> NDArray[np.int64]:
    """Return the ids of the named channels that every recording has, sorted.

    Raises
    ------
    NeurodataError
        If no channel is in all of them.
    """
    shared = set.intersection(*({int(i) for i in table.channel_ids if i > 0} for table in tables))
    if not shared:
        raise NeurodataError(
            f"no named channel is in all {len(tables)} recordings, so the baselines have nothing to read; "
            "take recordings of one anatomy, or label their channels"
        )
    return np.asarray(sorted(shared), dtype=np.int64)


def make_features(
    table: Table, ids: NDArray[np.int64], rate_hz: float, lags_seconds: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Return value and derivative of the chosen channels, now and at the lags.

    Parameters
    ----------
    table
        One recording.
    ids
        Channels to use, ``(channel,)``.
    rate_hz
        Samples per second.
    lags_seconds
        Lags besides 0; beyond the recording's ends the end itself is repeated.

    Returns
    -------
    features
        ``(time, 2 * channel * (1 + lag))``. The derivative is the central difference over 1 s; missing values are 0,
        the mean.
    """
    column = {int(i): k for k, i in enumerate(table.channel_ids)}
    values = np.nan_to_num(table.values[:, [column[int(i)] for i in ids]])
    reach = max(1, round(SLOPE_SPAN_SECONDS * rate_hz / 2))
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    derivative = (padded[2 * reach :] - padded[: -2 * reach]) / (2 * reach / rate_hz)
    now = np.concatenate([values, derivative], axis=1)
    position = np.arange(len(now))
    shifted = [now[np.clip(position + round(lag * rate_hz), 0, len(now) - 1)] for lag in (0.0, *lags_seconds)]
    return np.concatenate(shifted, axis=1)


@dataclass(frozen=True)
class ClassBaseline:
    """Probabilities of the test recording's samples by one baseline.

    ``probabilities`` has shape ``(time, class)``; ``chosen`` says what was chosen on validation recordings.
    """

    name: str
    role: str
    probabilities: NDArray[np.float64]
    chosen: Mapping[str, float]


def class_baselines(
    train: Sequence[Table],
    validation: Sequence[Table],
    test: Table,
    rate_hz: float,
    n_classes: int,
    seed: int,
    lags_seconds: Sequence[float],
) -> list[ClassBaseline]:
    """Return majority, shuffled labels, logistic regression and lagged logistic regression for one test recording.

    Logistic regression is class-balanced and reads value and derivative (each standardised) of the named neurons that
    all recordings share; its C is chosen by balanced accuracy on the validation recordings, then it is fitted again on training and
    validation recordings together.

    Parameters
    ----------
    train, validation
        Recordings to fit on and to choose C on.
    test
        Recording to predict.
    rate_hz
        Samples per second.
    n_classes
        Number of classes.
    seed
        Of the shuffled labels.
    lags_seconds
        Lags besides 0 of the lagged regression.
    """
    known = [*train, *validation]
    codes = np.concatenate([table.target[table.target >= 0] for table in known])
    share = np.bincount(codes, minlength=n_classes) / len(codes)
    found = [ClassBaseline(MAJORITY, CHANCE, np.tile(share, (len(test.values), 1)), {})]
    ids = shared_ids([*known, test])
    for name, lags in (("logistic", ()), ("logistic_lagged", lags_seconds)):
        features = {table.recording_id: make_features(table, ids, rate_hz, lags) for table in (*known, test)}
        best = _choose_c(train, validation, features)
        model = _fit_logistic(known, features, best)
        found.append(ClassBaseline(name, BASELINE, _spread(model, features[test.recording_id], n_classes), {"C": best}))
    rng = np.random.default_rng(seed)
    shuffled = [Table(t.recording_id, t.values, t.channel_ids, rng.permutation(t.target)) for t in known]
    model = _fit_logistic(shuffled, features, best)
    found.append(
        ClassBaseline(SHUFFLED_LABELS, CHANCE, _spread(model, features[test.recording_id], n_classes), {"C": best})
    )
    return found


def _stack(
    tables: Sequence[Table], features: Mapping[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    kept = [np.greater_equal(table.target, 0) for table in tables]
    rows = np.concatenate([features[t.recording_id][k] for t, k in zip(tables, kept)])
    return rows, np.concatenate([np.asarray(t.target)[k] for t, k in zip(tables, kept)])


def _fit_logistic(tables: Sequence[Table], features: Mapping[str, NDArray[np.float64]], c: float) -> Pipeline:
    # Every feature is brought to unit spread on the recordings fitted: the derivative's is a fifth of the value's, and
    # left as it is the penalty all but removes it (0.56 instead of 0.67 on validation worms of Kato et al. 2015).
    rows, codes = _stack(tables, features)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=300, tol=1e-3))
    with warnings.catch_warnings():
        # A weakly regularised fit may stop at max_iter; validation decides whether it is chosen all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, codes)
    return model


def _choose_c(
    train: Sequence[Table], validation: Sequence[Table], features: Mapping[str, NDArray[np.float64]]
) -> float:
    rows, codes = _stack(validation, features)
    present = np.unique(codes)  # balanced accuracy: the mean recall of the classes there are

    def score(c: float) -> float:
        found = _fit_logistic(train, features, c).predict(rows)
        return float(recall_score(codes, found, labels=present, average="macro", zero_division=0))

    scores = {c: score(c) for c in C_GRID}
    return max(scores, key=lambda c: scores[c])


def _spread(model: Pipeline, rows: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Probabilities over all classes; one that training never showed has 0."""
    probabilities = np.zeros((len(rows), n_classes))
    probabilities[:, model.classes_] = model.predict_proba(rows)
    return probabilities


def ridge_decoder(
    train: Sequence[Table], validation: Sequence[Table], test: Table, rate_hz: float, lags_seconds: Sequence[float]
) -> tuple[NDArray[np.float64], float]:
    """Return a continuous target decoded by lagged ridge regression, ``(time, output)``, and the chosen alpha."""
    ids = shared_ids([*train, *validation, test])
    features = {t.recording_id: make_features(t, ids, rate_hz, lags_seconds) for t in (*train, *validation, test)}

    def stack(tables: Sequence[Table]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        kept = [np.isfinite(t.target).all(axis=1) for t in tables]
        return (
            np.concatenate([features[t.recording_id][k] for t, k in zip(tables, kept)]),
            np.concatenate([t.target[k] for t, k in zip(tables, kept)]),
        )

    rows, truth = stack(validation)
    scores = {a: mean_squared_error(truth, Ridge(alpha=a).fit(*stack(train)).predict(rows)) for a in ALPHA_GRID}
    best = min(scores, key=lambda a: scores[a])
    fitted = Ridge(alpha=best).fit(*stack([*train, *validation]))
    decoded = np.asarray(fitted.predict(features[test.recording_id]))
    return decoded.reshape(len(decoded), -1), best  # of one output scikit-learn gives a plain column
