"""Windows of a fold: all activity of the training part, but labels of a share of it only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.targets import count_classes, describe_outputs
from neurodata.store.store import Store
from neurodata.windows.locked import LockedWindows, make_trial_windows
from neurodata.windows.select import Windows, make_windows
from neurodata.windows.spec import CLASS
from neurodata.windows.splits import Stretch

from .rows import Fold, Row

TRIAL_SEED = 0
"""Of the draw of trials whose labels are known; the same for every predictor."""


@dataclass(frozen=True)
class Labelled:
    """What of a training part is labelled.

    Parameters
    ----------
    windows
        Windows to train on; they touch labelled stretches only.
    stretches
        The labelled stretches.
    """

    windows: Windows
    stretches: tuple[Stretch, ...]


def open_data(store: Store, row: Row, fold: Fold, cache: Path, *, own: bool, steps: int = 1) -> RecordingDataModule:
    """Return the windows of a fold, for the encoder or (``own``) for what stands beside it.

    Scaling is fitted on all activity of the training part, whatever share of it is labelled: it needs no label.
    """
    data = RecordingDataModule(
        store.select(recording_id=list(row.recordings)),
        inputs=row.inputs,
        target=row.target,
        split=fold.split,
        window_seconds=row.window_seconds,
        rate_hz=row.rate_hz,
        batch_size=row.batch_size,
        batches_per_epoch=steps,
        scaling=row.own_scaling if own else row.scaling,
        channels="named" if own else "all",
        identity=row.own_identity if own else row.identity,
        views=row.views,
        cache=cache,
    )
    data.setup()
    return data


def label(store: Store, row: Row, fold: Fold, share: float) -> Labelled:
    """Return a share of the training labels: the beginning of each recording, or some trials of each class."""
    train = fold.split.parts[names.TRAIN]
    if row.trials is None:
        kept = tuple(Stretch(s.recording_id, s.start, s.start + share * (s.stop - s.start)) for s in train)
        return Labelled(make_windows(kept, row.rate_hz, row.window_seconds), kept)
    trials = trial_windows(store, row, train)
    windows = pick_windows(trials.windows, draw_trials(trials.table, share, row.trials.fewest))
    return Labelled(windows, _stretches(windows, row.rate_hz))


def trial_windows(store: Store, row: Row, stretches: tuple[Stretch, ...]) -> LockedWindows:
    """Return one window per trial of the row's labels."""
    assert row.trials is not None
    where: dict[str, Any] = {names.LABEL: list(row.trials.labels)} if row.trials.labels else {}
    return make_trial_windows(
        store,
        stretches,
        intervals=row.trials.intervals,
        rate_hz=row.rate_hz,
        window_seconds=row.window_seconds,
        offset_seconds=row.trials.offset_seconds,
        where=where,
    )


def draw_trials(table: pd.DataFrame, share: float, fewest: int) -> NDArray[np.int64]:
    """Return the rows of the labelled trials: of each class its share, so many at least; smaller draws lie in larger ones."""
    rng = np.random.default_rng(TRIAL_SEED)
    chosen = []
    for _, rows in table.groupby(names.LABEL, sort=True):
        order = rng.permutation(rows.index.to_numpy())
        chosen.append(order[: max(fewest, round(share * len(order)))])
    return np.sort(np.concatenate(chosen))


def pick_windows(windows: Windows, chosen: NDArray[np.int64]) -> Windows:
    """Return some of the windows of which every run holds one."""
    fields = ("recording", "begin", "count", "stride", "last", "lowest", "highest")
    return replace(windows, **{name: getattr(windows, name)[chosen] for name in fields})


def _stretches(windows: Windows, rate_hz: float) -> tuple[Stretch, ...]:
    recording, first = windows.locate_many(np.arange(len(windows)))
    return tuple(
        Stretch(windows.recording_ids[number], begin / rate_hz, (begin + windows.length) / rate_hz)
        for number, begin in zip(recording.tolist(), first.tolist())
    )


def label_options(data: RecordingDataModule, labelled: Labelled) -> dict[str, list[float]]:
    """Return what the `decode` task must know of the labels, from the labelled stretches alone."""
    pieces = []
    for stretch in labelled.stretches:
        prepared = data.prepared(stretch.recording_id)
        pieces.append(np.asarray(prepared.target)[prepared.samples(stretch)])
    if data.spec.target_kind == CLASS:
        return {"class_counts": count_classes(pieces, data.spec.n_outputs).tolist()}
    mean, std = describe_outputs(pieces, data.spec.classes, data.target)
    return {"output_mean": mean.tolist(), "output_std": std.tolist()}
