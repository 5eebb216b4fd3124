"""Decoding whole trials: one label per trial, estimators of scikit-learn, one group of trials held out at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from sklearn.base import clone

from neurodata import names
from neurodata.errors import NeurodataError
from neurodata.predictions import BASELINE, CHANCE, CLASS, MAJORITY, MODEL, SHUFFLED_LABELS, Predictions
from neurodata.recording.recording import Recording
from neurodata.store.manifest import json_digest


@dataclass(frozen=True)
class Trials:
    """Trials of one or more recordings, all of one length and of the same channels.

    Parameters
    ----------
    target
        What the labels are of.
    values
        Shape ``(trial, time, channel)``.
    label
        One per trial, shape ``(trial,)``.
    group
        What is held out together (a run, a block of trials), shape ``(trial,)``.
    recording, subject
        Where each comes from, shape ``(trial,)``.
    time
        When it happened, seconds in its recording, shape ``(trial,)``.
    """

    target: str
    values: NDArray[np.float64]
    label: NDArray[np.str_]
    group: NDArray[np.str_]
    recording: NDArray[np.str_]
    subject: NDArray[np.str_]
    time: NDArray[np.float64]

    def __post_init__(self) -> None:
        lengths = {
            len(column) for column in (self.values, self.label, self.group, self.recording, self.subject, self.time)
        }
        if len(lengths) != 1 or self.values.ndim != 3:
            raise NeurodataError(f"trials of shape {self.values.shape} with columns of lengths {sorted(lengths)}")

    def choose(self, kept: NDArray[np.bool_]) -> Trials:
        """Return some of the trials."""
        return Trials(
            self.target,
            self.values[kept],
            self.label[kept],
            self.group[kept],
            self.recording[kept],
            self.subject[kept],
            self.time[kept],
        )


def stack_trials(
    target: str,
    epochs: Sequence[tuple[Recording, xr.DataArray]],
    labels: Sequence[NDArray[np.str_]],
    groups: Sequence[NDArray[np.str_]],
) -> Trials:
    """Return the epochs of several recordings as trials; those with a missing value are left out.

    Parameters
    ----------
    target
        What the labels are of.
    epochs
        Per recording: it, and its epochs ``(event, time, channel)`` with the coordinate ``event_time``.
    labels, groups
        Per recording: one label and one group per event.

    Raises
    ------
    NeurodataError
        If the recordings' epochs differ in length or channels.
    """
    shapes = {values.shape[1:] for _, values in epochs}
    if len(shapes) != 1:
        raise NeurodataError(f"epochs of different (time, channel) cannot be stacked: {sorted(shapes)}")
    counts = [len(values) for _, values in epochs]
    trials = Trials(
        target,
        np.concatenate([np.asarray(values.values, np.float64) for _, values in epochs]),
        np.concatenate(labels),
        np.concatenate(groups),
        np.repeat([recording.recording_id for recording, _ in epochs], counts),
        np.repeat([recording.subject_key for recording, _ in epochs], counts),
        np.concatenate([np.asarray(values["event_time"].values, np.float64) for _, values in epochs]),
    )
    return trials.choose(np.asarray(np.isfinite(trials.values).all(axis=(1, 2))))


def decode_trials(
    trials: Trials, models: Mapping[str, Any], baselines: Mapping[str, Any], *, seed: int = 0
) -> list[Predictions]:
    """Hold out each group in turn, fit on the others, and predict the held-out trials.

    Every model stands beside ``majority`` and ``shuffled_labels`` (the first model, fitted to permuted labels).

    Parameters
    ----------
    trials
        At least three groups: settings that are searched for are chosen inside the training groups.
    models, baselines
        Name → estimator that fits ``(trial, time, channel)`` and predicts probabilities. One with the parameter
        ``groups`` of ``fit`` (a search) is given the groups of its training trials.
    seed
        Of the permutation.

    Raises
    ------
    NeurodataError
        If there are fewer than three groups, or a training part lacks a class.
    """
    groups = sorted(set(trials.group.tolist()))
    if len(groups) < 3:
        raise NeurodataError(f"holding groups out in turn needs at least 3 of them, got {', '.join(groups) or 'none'}")
    return [part for group in groups for part in _decode_group(trials, group, models, baselines, seed)]


def _decode_group(
    trials: Trials, group: str, models: Mapping[str, Any], baselines: Mapping[str, Any], seed: int
) -> Iterator[Predictions]:
    held = trials.group == group
    train, test = trials.choose(~held), trials.choose(held)
    classes = sorted(set(trials.label.tolist()))
    lacking = sorted(set(classes) - set(train.label.tolist()))
    if lacking:
        raise NeurodataError(f"without group {group!r} no trial is labelled {', '.join(lacking)}")
    share = np.asarray([(train.label == name).mean() for name in classes])
    yield _predictions(trials, train, test, group, MAJORITY, CHANCE, np.tile(share, (len(test.label), 1)), seed)
    first = next(iter(models.values()))
    shuffled = np.random.default_rng(seed).permutation(train.label)
    yield _predictions(trials, train, test, group, SHUFFLED_LABELS, CHANCE, _fit(first, train, shuffled, test), seed)
    for role, estimators in ((MODEL, models), (BASELINE, baselines)):
        for name, estimator in estimators.items():
            yield _predictions(trials, train, test, group, name, role, _fit(estimator, train, train.label, test), seed)


def _fit(estimator: Any, train: Trials, labels: NDArray[np.str_], test: Trials) -> NDArray[np.float64]:
    fitted = clone(estimator)
    more = {"groups": train.group} if hasattr(fitted, "cv") else {}
    fitted.fit(train.values, labels, **more)
    return np.asarray(fitted.predict_proba(test.values))


def _predictions(trials: Trials, train: Trials, test: Trials, group: str, model: str, role: str, probabilities: NDArray[np.float64], seed: int) -> Predictions:  # fmt: skip
    classes = sorted(set(trials.label.tolist()))
    truth = np.searchsorted(classes, test.label)
    table = pd.DataFrame(
        {"recording": test.recording, "subject": test.subject, "time": test.time, "truth": truth, "prediction": probabilities.argmax(1)}
    )  # fmt: skip
    for code in range(len(classes)):
        table[f"probability_{code}"] = probabilities[:, code]
    info = {
        "model": model,
        "kind": CLASS,
        "target": trials.target,
        "classes": classes,
        "role": role,
        "fold": group,
        "seed": seed,
        "split_hash": json_digest(
            {name: sorted(set(trials.group.tolist())) for name in (names.TRAIN,)} | {names.TEST: group}
        ),
        "trained_on": sorted(set(train.recording.tolist())),
        "evaluated_on": sorted(set(test.recording.tolist())),
        "units": "class",
    }
    return Predictions(table, info)
