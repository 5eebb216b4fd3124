"""The linear readout of lagged activity, fitted in closed form before a network learns what it misses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.batches.collate import collate
from neurodata.batches.dataset import WindowDataset
from neurodata.batches.loader import WindowLoader
from neurodata.windows.spec import CLASS

from .network import Inputs, make_inputs
from .tasks.decode import Decode

ALPHAS = (1e1, 1e2, 1e3, 1e4, 1e5)
CS = (1e-4, 1e-3, 1e-2)
"""Penalties tried: of the baselines' (`neurodata.models.baselines`) those that are ever chosen."""

MOST_ROWS = 8_000
"""Samples fitted on; more of them are thinned evenly."""


@dataclass(frozen=True)
class LinearReadout:
    """A lagged readout found by regression.

    Parameters
    ----------
    groups
        Groups of channels that it reads; the others weigh nothing, ``(group,)``.
    weight
        ``(group, feature, output)``.
    bias
        ``(output,)``.
    penalty
        The ridge's alpha or the logistic regression's C that was chosen.
    n_samples
        Samples it was fitted on.
    """

    groups: NDArray[np.int64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    penalty: float
    n_samples: int

    def apply(self, task: Decode) -> None:
        """Write it into a task, and leave it so while the rest of the task learns."""
        assert task.lagged is not None
        with torch.no_grad():
            task.lagged.weight.zero_()
            task.lagged.weight[torch.from_numpy(self.groups)] = torch.from_numpy(self.weight).to(task.lagged.weight)
            task.lagged.bias.copy_(torch.from_numpy(self.bias))
        task.lagged.requires_grad_(False)


def fit_readout(task: Decode, dataset: Any, *, seed: int = 0) -> LinearReadout:
    """Return a task's lagged readout as ridge or logistic regression finds it.

    Without it some hundred steps are spent on finding what regression finds at once. The penalty is chosen on a part of
    the same windows: those of the last recording, or of the last fifth of the only one.

    Parameters
    ----------
    task
        With a lagged readout; left as it is.
    dataset
        Labelled windows, a `neurodata.batches.dataset.WindowDataset`.
    seed
        Of which windows are looked at where there are more than enough.
    """
    assert task.lagged is not None
    batches = list(WindowLoader(dataset, 32, collate_fn=collate, sampler=_some(dataset, seed)))
    columns = _columns(task, batches, len(dataset.recording_ids))
    rows, truth, recording, time = _table(task, batches, columns)
    fitting = _classes if task.kind == CLASS else _values
    held = _held(recording, time)
    penalty, weight, bias = fitting(rows, truth, held, task)
    return LinearReadout(columns, weight.reshape(len(columns), -1, weight.shape[1]), bias, penalty, len(rows))


def _some(dataset: WindowDataset, seed: int) -> Any:
    """Windows enough for `MOST_ROWS` samples, evenly spread; all of them where there are fewer."""
    wanted = max(1, MOST_ROWS * 2 // dataset.windows.length)
    n_windows = len(dataset)
    if n_windows <= wanted:
        return range(n_windows)
    step = n_windows / wanted
    shift = np.random.default_rng(seed).random() * step
    return np.minimum((np.arange(wanted) * step + shift).astype(np.int64), n_windows - 1).tolist()


def _columns(task: Decode, batches: Sequence[Batch], n_recordings: int) -> NDArray[np.int64]:
    """Groups of channels that most recordings have: what only one has says nothing of another, ``(group,)``."""
    assert task.lagged is not None
    seen: dict[int, set[int]] = {}
    for batch in batches:
        groups = task.lagged.group_ids[batch.channel_ids]
        for row, number in enumerate(batch.recording.tolist()):
            for group in set(groups[row][batch.recorded[row].any(0)].tolist()):
                seen.setdefault(group, set()).add(number)
    present = len({number for batch in batches for number in batch.recording.tolist()})
    return np.array(
        sorted(g for g, where in seen.items() if g > 0 and 2 * len(where) > min(present, n_recordings)), np.int64
    )


def _table(task: Decode, batches: Sequence[Batch], columns: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Features and targets of the labelled samples in the middle of windows, their recording and their time."""
    assert task.lagged is not None
    place = torch.zeros(int(task.lagged.group_ids.max()) + 1, dtype=torch.long)
    place[torch.from_numpy(columns)] = torch.arange(1, len(columns) + 1)
    parts: list[tuple[NDArray[Any], ...]] = []
    for batch in batches:
        length = batch.values.shape[1]
        middle = slice(length // 4, max(length // 4 + 1, length - length // 4)) if length > 8 else slice(None)
        found = features(task, make_inputs(batch), place, len(columns))[:, middle]
        target = batch.target[:, middle]
        known = target >= 0 if task.kind == CLASS else torch.isfinite(target).all(-1)
        where = batch.recording[:, None].expand(known.shape)
        when = (batch.first[:, None] + torch.arange(length)[middle]).expand(known.shape)
        parts.append(tuple(part[known].numpy() for part in (found, target, where, when)))
    rows, truth, recording, time = (np.concatenate(column) for column in zip(*parts))
    kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.int64))
    return rows[kept], truth[kept], recording[kept], time[kept]


def features(task: Decode, inputs: Inputs, place: Tensor, n_columns: int) -> Tensor:
    """Return what the readout weighs, summed by group, ``(batch, time, group * feature)``.

    Parameters
    ----------
    task
        With a lagged readout.
    inputs
        Windows.
    place
        Position of each group among the columns plus one, 0 for those left out, ``(group,)``.
    n_columns
        Groups taken.
    """
    assert task.lagged is not None
    lagged, share, groups = task.lagged.terms(inputs)
    into = torch.nn.functional.one_hot(place[groups], n_columns + 1)[..., 1:].to(lagged) * share[..., None]
    return torch.einsum("btcf,bcg->btgf", lagged, into).flatten(2)


def _held(recording: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Samples on which the penalty is chosen: those of the last recording, or of the last fifth of the only one."""
    numbers = np.unique(recording)
    if len(numbers) > 1:
        return np.asarray(recording == numbers[-1])
    return np.asarray(time >= np.quantile(time, 0.8))


def _values(rows: NDArray[Any], truth: NDArray[Any], held: NDArray[np.bool_], task: Decode) -> tuple[float, NDArray[Any], NDArray[Any]]:  # fmt: skip
    mean, std = task.output_mean.numpy(), task.output_std.numpy()
    wanted = (truth - mean) / std
    scaler = StandardScaler().fit(rows)
    scaled = scaler.transform(rows).astype(np.float64)
    among, with_wanted = _products(scaled[~held], wanted[~held])
    tried = {alpha: _solve(among, with_wanted, alpha) for alpha in ALPHAS}
    errors = {alpha: float(np.square(scaled[held] @ weight + shift - wanted[held]).mean()) for alpha, (weight, shift) in tried.items()}  # fmt: skip
    best = min(errors, key=lambda alpha: errors[alpha])
    more_among, more_wanted = _products(scaled[held], wanted[held])
    weight, shift = _solve(among + more_among, with_wanted + more_wanted, best)
    return best, *_unscaled(weight.T, shift, scaler)


def _products(rows: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Products of features, with a constant one behind them, among each other and with what is wanted."""
    more = np.concatenate([rows, np.ones((len(rows), 1))], 1)
    return more.T @ more, more.T @ wanted


def _solve(among: NDArray[Any], wanted: NDArray[Any], alpha: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights and shift of ridge regression; the constant is not penalised."""
    penalty = np.full(len(among), alpha)
    penalty[-1] = 0.0
    found = solve(among + np.diag(penalty), wanted, assume_a="pos")
    return found[:-1], found[-1]


def _classes(rows: NDArray[Any], truth: NDArray[Any], held: NDArray[np.bool_], task: Decode) -> tuple[float, NDArray[Any], NDArray[Any]]:  # fmt: skip
    scaler = StandardScaler().fit(rows)
    scaled = scaler.transform(rows).astype(np.float64)
    tried = {c: _recall(_logistic(scaled[~held], truth[~held], c), scaled[held], truth[held]) for c in CS}
    best = max(tried, key=lambda c: tried[c])
    fitted = _logistic(scaled, truth, best)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # one row says how much the second is likelier than the first
        coefficients, intercepts = np.concatenate([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts / 2
    n_classes = task.network.spec.n_outputs
    weight, bias = np.zeros((n_classes, rows.shape[1])), np.full(n_classes, -_NEVER)
    weight[fitted.classes_], bias[fitted.classes_] = coefficients, intercepts
    return best, *_unscaled(weight, bias, scaler)


_NEVER = 8.0
"""Log odds against a class that no labelled sample has."""


def _logistic(rows: NDArray[Any], truth: NDArray[Any], c: float) -> LogisticRegression:
    with warnings.catch_warnings():
        # A weakly penalised fit may stop at max_iter; the held part decides whether it is chosen all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=c, class_weight="balanced", max_iter=100, tol=1e-3).fit(rows, truth)


def _recall(fitted: LogisticRegression, rows: NDArray[Any], truth: NDArray[Any]) -> float:
    found = fitted.predict(rows)
    return float(np.mean([(found[truth == code] == code).mean() for code in np.unique(truth)]))


def _unscaled(coefficients: NDArray[Any], intercepts: NDArray[Any], scaler: StandardScaler) -> tuple[NDArray[Any], NDArray[Any]]:  # fmt: skip
    """Weights ``(feature, output)`` and bias of features that are not standardised."""
    weight = coefficients / scaler.scale_
    return weight.T, intercepts - weight @ scaler.mean_
