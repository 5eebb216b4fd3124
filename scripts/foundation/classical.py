"""Baselines of scikit-learn and chance on the same labels and the same held-out moments."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from neurodata import names
from neurodata.batches.collate import collate
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.baselines import Table, class_baselines, ridge_decoder
from neurodata.models.estimators.csp import Csp
from neurodata.models.fold import make_table
from neurodata.predictions import BASELINE, CHANCE, MAJORITY, MEAN, RIDGE, SHUFFLED_LABELS, Predictions
from neurodata.store.store import Store
from neurodata.windows.select import Windows
from neurodata.windows.spec import CLASS

from .data import Labelled, label, open_data, trial_windows
from .grid import Cell
from .outcomes import Source, sample_predictions, trial_predictions
from .rows import Fold, Row

PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
VALIDATION_SHARE = 0.2
"""Of the end of a single recording's labelled part, on which ridge chooses its penalty."""


def predict_classical(store: Store, row: Row, fold: Fold, cell: Cell, cache: Path) -> list[Predictions]:
    """Return the predictions of all baselines and of chance."""
    data = open_data(store, row, fold, cache, own=True)
    labelled = label(store, row, fold, cell.share)
    if row.trials is not None:
        return list(_predict_trials(store, row, fold, cell, data, labelled))
    return list(_predict_samples(row, fold, cell, data, labelled))


def _predict_samples(
    row: Row, fold: Fold, cell: Cell, data: RecordingDataModule, labelled: Labelled
) -> Iterator[Predictions]:
    train, validation = _halves(_labelled_tables(data, labelled))
    for recording_id in fold.split.recordings(names.TEST):
        test = make_table(data, recording_id)
        if data.spec.target_kind == CLASS:
            found = class_baselines(
                train, validation, test, row.rate_hz, data.spec.n_outputs, cell.seed, row.lags_seconds
            )
            for one in found:
                source = Source(cell, one.name, one.role, dict(one.chosen))
                yield from sample_predictions(source, data, row, fold, recording_id, one.probabilities)
            continue
        decoded, alpha = ridge_decoder(train, validation, test, row.rate_hz, row.lags_seconds)
        known = np.concatenate([np.asarray(table.target, np.float64) for table in (*train, *validation)])
        mean = np.tile(np.nanmean(known, axis=0), (len(test.values), 1))
        for name, role, values, chosen in ((RIDGE, BASELINE, decoded, {"alpha": alpha}), (MEAN, CHANCE, mean, {})):
            yield from sample_predictions(Source(cell, name, role, chosen), data, row, fold, recording_id, values)


def _labelled_tables(data: RecordingDataModule, labelled: Labelled) -> list[Table]:
    tables = []
    for stretch in labelled.stretches:
        whole, span = make_table(data, stretch.recording_id), data.prepared(stretch.recording_id).samples(stretch)
        tables.append(Table(stretch.recording_id, whole.values[span], whole.channel_ids, whole.target[span]))
    return tables


def _halves(tables: list[Table]) -> tuple[list[Table], list[Table]]:
    """What is fitted and what penalties are chosen on: the last recording, or the end of the only one."""
    if len(tables) > 1:
        return tables[:-1], tables[-1:]
    [whole] = tables
    first = round((1 - VALIDATION_SHARE) * len(whole.values))
    begin, end = (Table(f"{whole.recording_id}@{place.start}", whole.values[place], whole.channel_ids, whole.target[place])
                  for place in (slice(0, first), slice(first, len(whole.values))))  # fmt: skip
    return [begin], [end]


def _predict_trials(
    store: Store, row: Row, fold: Fold, cell: Cell, data: RecordingDataModule, labelled: Labelled
) -> Iterator[Predictions]:
    known = trial_windows(store, row, fold.split.parts[names.TRAIN])
    wanted = {labelled.windows.locate(k) for k in range(len(labelled.windows))}
    kept = np.array([known.windows.locate(k) in wanted for k in range(len(known))])
    test = trial_windows(store, row, fold.split.parts[names.TEST])
    values, labels = read_windows(data, labelled.windows), known.labels[kept]
    groups = known.table["recording_id"].to_numpy(dtype=np.str_)[kept]
    held_out, classes = read_windows(data, test.windows), sorted(set(known.labels.tolist()))
    share = np.array([(labels == name).mean() for name in classes])
    fitted: list[tuple[str, str, NDArray[np.float64]]] = [(MAJORITY, CHANCE, np.tile(share, (len(test), 1)))]
    estimators = _estimators(row)
    for name, estimator in estimators.items():
        fitted.append((name, BASELINE, _fit(estimator, values, labels, groups, held_out, classes)))
    mixed = np.random.default_rng(cell.seed).permutation(labels)
    first = next(iter(estimators.values()))
    fitted.append((SHUFFLED_LABELS, CHANCE, _fit(first, values, mixed, groups, held_out, classes)))
    for name, role, probabilities in fitted:
        yield from trial_predictions(Source(cell, name, role, {}), row, fold, test.table, probabilities, classes)


def read_windows(data: RecordingDataModule, windows: Windows) -> NDArray[np.float64]:
    """Return scaled windows, ``(trial, time, channel)``; all of the same channels in one order."""
    dataset = data.windows_dataset(windows)
    batch = collate(dataset.__getitems__(list(range(len(windows)))))
    assert bool((batch.channel_ids == batch.channel_ids[0]).all())
    return np.asarray(batch.values.numpy(), np.float64).copy()


def _estimators(row: Row) -> dict[str, tuple[Any, dict[str, list[Any]]]]:
    """Name → pipeline and the settings it chooses from, the most cautious first; the first is fitted to shuffled labels."""
    if row.inputs == "eeg":
        csp = make_pipeline(Csp(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
        power = make_pipeline(FunctionTransformer(_log_variance), StandardScaler(), LogisticRegression(max_iter=2000))
        return {
            "csp_lda": (csp, {"csp__n_patterns": [2, 4, 6]}),
            "log_power_logistic": (power, {"logisticregression__C": PENALTIES}),
        }
    svm = make_pipeline(
        FunctionTransformer(_mean), VarianceThreshold(), StandardScaler(), LinearSVC(dual=True, max_iter=20000)
    )
    logistic = make_pipeline(
        FunctionTransformer(_mean), VarianceThreshold(), StandardScaler(), LogisticRegression(max_iter=2000)
    )
    return {
        "linear_svm": (svm, {"linearsvc__C": PENALTIES}),
        "logistic": (logistic, {"logisticregression__C": PENALTIES}),
    }


def _fit(
    estimator: tuple[Any, dict[str, list[Any]]],
    values: NDArray[np.float64],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    test: NDArray[np.float64],
    classes: list[str],
) -> NDArray[np.float64]:
    """Fit, choosing settings over training groups where each leaves two trials of all classes to the others, and predict.

    With fewer trials than that nothing can be chosen, and the first, most cautious setting is taken.
    """
    pipeline, grid = clone(estimator[0]), estimator[1]
    left = [Counter(labels[groups != group].tolist()) for group in set(groups)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a weak penalty may not settle; the search decides on it
        if len(left) > 1 and all(count[name] > 1 for count in left for name in classes):
            search = GridSearchCV(pipeline, grid, cv=LeaveOneGroupOut(), scoring="accuracy")
            fitted = search.fit(values, labels, groups=groups).best_estimator_
        else:
            fitted = pipeline.set_params(**{name: options[0] for name, options in grid.items()}).fit(values, labels)
    return _probabilities(fitted, test, classes)


def _probabilities(fitted: Any, test: NDArray[np.float64], classes: list[str]) -> NDArray[np.float64]:
    """Of all classes; those of margins are their softmax, which keeps the order."""
    if hasattr(fitted, "predict_proba"):
        found = fitted.predict_proba(test)
    else:
        margins = fitted.decision_function(test)
        margins = margins if margins.ndim == 2 else np.column_stack([-margins, margins])
        found = np.exp(margins - margins.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
    spread = np.zeros((len(test), len(classes)))
    spread[:, np.searchsorted(classes, fitted.classes_)] = found
    return spread


def _log_variance(trials: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(trials.var(axis=1))


def _mean(trials: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(trials.mean(axis=1))
