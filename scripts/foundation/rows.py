"""The rows that are scored and the one definition of their folds, which pretraining leaves out and scoring holds out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurodata import names
from neurodata.errors import LeakageError
from neurodata.store.store import Store
from neurodata.windows.leakage import seconds_between
from neurodata.windows.splits import Split, Stretch, split_by

N_JOINT_FOLDS = 5
"""Checkpoints that were pretrained on all data sets together, each without what some folds of the rows are scored on."""

SHARES = (0.05, 0.25, 1.0)
"""Of the labels of a fold's training part."""

GUARD_SECONDS = 3.0
"""Left out before the last fifth of M1 and S1: windows of 2 s and lags of up to 0.6 s."""

MOTOR_BAND: tuple[Mapping[str, Any], ...] = (
    {"re_reference": {"to": "average"}},
    {"band_pass": {"low_hz": 8.0, "high_hz": 30.0, "causal": False}},
)
"""Forwards and backwards, for a run is held out as a whole; the band is that of docs/results/modalities.md."""
NO_LINE: tuple[Mapping[str, Any], ...] = ({"remove_drift": {"method": "linear"}},)


@dataclass(frozen=True)
class Trials:
    """Labelled trials of a row that decodes one class per trial.

    Parameters
    ----------
    intervals
        Table of the trials, which is also the decoded target.
    offset_seconds
        From a trial's start to its window's.
    labels
        Which trials are taken; empty: all.
    fewest
        Labelled trials of each class at the least: of one each no covariance can be told.
    """

    intervals: str
    offset_seconds: float
    labels: tuple[str, ...] = ()
    fewest: int = 1


@dataclass(frozen=True)
class Row:
    """One row of the table: data, target, split and the size of its training.

    Parameters
    ----------
    name, title
        In files, and for a reader.
    recordings
        Recording ids, in the order of their folds.
    kind
        ``subject``, ``recording``: each is held out in turn; ``time``: the last fifth of the only one is.
    inputs, target, rate_hz, window_seconds, views
        As for ``RecordingDataModule``.
    identity, scaling
        For the encoder: every channel stands for itself, and counts are left as they are.
    own_identity, own_scaling
        For the networks and baselines beside it, as the published runs have them.
    metric, blocks
        Score, and what its interval resamples: ``fold`` (the score is the mean over folds), ``time`` or ``moment`` (it
        is of all folds' moments together).
    outputs
        Coordinates of a continuous target that are scored; empty: all.
    trials
        Of a row that decodes trials.
    lags_seconds
        Of lagged baselines, 0 left out.
    readout_lags
        Of the linear readout of activity that the encoder's task has beside it, 0 included; empty: it has none. It is
        fitted in closed form, and the encoder learns what it misses.
    network
        Name of the network that is trained beside the encoder, for as many steps; empty: none.
    steps, batch_size
        Of training with all labels; see `foundation.grid.steps_of`.
    options
        Of the `decode` task, for every network of the row: how windows are varied in training.
    """

    name: str
    title: str
    recordings: tuple[str, ...]
    kind: str
    inputs: str
    target: str
    rate_hz: float
    window_seconds: float
    metric: str
    blocks: str
    identity: str = "recording_channel"
    scaling: str = "recording"
    own_identity: str = "label"
    own_scaling: str = "recording"
    views: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[str, ...] = ()
    trials: Trials | None = None
    lags_seconds: tuple[float, ...] = ()
    readout_lags: tuple[float, ...] = ()
    network: str = ""
    steps: int = 30
    batch_size: int = 16
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """One held-out part of a row.

    Parameters
    ----------
    row, name
        Which.
    joint_fold
        Number of the joint checkpoint that saw nothing of the test part.
    split
        ``train`` and ``test``; whatever is chosen is chosen inside ``train``.
    """

    row: str
    name: str
    joint_fold: int
    split: Split


def _schalk(runs: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"schalk_bci2000_2004/S001R{run:02d}" for run in runs)


_STATE_LAGS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
_HAND_LAGS = (-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3)
_SPIKE_LAGS = (-0.4, -0.2, -0.08, 0.08, 0.16, 0.24, 0.32, 0.48, 0.64, 0.8, 1.0)
_HAND: dict[str, Any] = {
    "kind": "time", "inputs": "spike_counts", "target": "hand_velocity", "rate_hz": 20.0, "window_seconds": 2.0,
    "metric": "r2", "blocks": "time", "scaling": "none", "own_identity": "channel_id", "own_scaling": "training",
    "outputs": ("x", "y"), "steps": 300, "lags_seconds": _HAND_LAGS,
    "network": "gru",
    "options": {"dropped_channels": 0.0, "gain": 0.0, "offset": 0.0, "noise": 0.0},
}  # fmt: skip
_EEG: dict[str, Any] = {
    "kind": "recording", "inputs": "eeg", "target": "task", "rate_hz": 128.0, "window_seconds": 3.0,
    "metric": "balanced_accuracy", "blocks": "moment", "identity": "subject_channel", "views": MOTOR_BAND,
    "network": "eegnet", "steps": 40, "options": {"dropped_channels": 0.2, "gain": 0.1, "offset": 0.0, "noise": 0.05},
}  # fmt: skip

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            "worm_state", "Worms: motor state of an unseen worm", tuple(f"kato_brain_2015/worm{k}" for k in range(1, 6)),
            "subject", "calcium", "state", 3.0, 24.0, "balanced_accuracy", "fold",
            lags_seconds=_STATE_LAGS, readout_lags=(0.0, *_STATE_LAGS), steps=30,
            options={"dropped_channels": 0.4, "gain": 0.1, "offset": 0.1, "noise": 0.05},
        ),
        Row("m1_hand", "M1: hand velocity", ("stevenson_reaching_2011/m1",), **_HAND),
        Row("s1_hand", "S1: hand velocity", ("benjamin_random_target_2018/s1",), **_HAND),
        Row(
            "eeg_fists_feet", "EEG: imagined fists against feet", _schalk((6, 10, 14)), **_EEG,
            trials=Trials("task", 0.5, ("both_fists", "both_feet"), fewest=2),
        ),
        Row(
            "eeg_left_right", "EEG: left against right fist, executed", _schalk((3, 7, 11)), **_EEG,
            trials=Trials("task", 0.5, ("left_fist", "right_fist"), fewest=2),
        ),
        Row(
            "haxby_objects", "fMRI: eight kinds of objects, one slice",
            tuple(f"haxby_objects_2001/run{k:03d}" for k in range(1, 13)), "recording", "bold", "stimulus", 0.4, 20.0,
            "balanced_accuracy", "fold", identity="subject_channel", own_identity="channel_id", views=NO_LINE,
            trials=Trials("stimulus", 5.0), readout_lags=(0.0,), steps=25, options={"dropped_channels": 0.2, "gain": 0.0, "offset": 0.0, "noise": 0.1},
        ),
        Row(
            "theis_spikes", "Calcium → spikes of an unseen neuron",
            tuple(sorted(f"theis_spikefinder_2016/cell{k}" for k in (1, 2, 3, 4, 7, 8, 9, 10, 11))), "subject",
            "fluorescence", "spikes", 25.0, 4.0, "pearson", "fold", identity="order", own_identity="order",
            lags_seconds=_SPIKE_LAGS, readout_lags=(0.0, *_SPIKE_LAGS), steps=40, options={"dropped_channels": 0.0, "gain": 0.3, "offset": 0.2, "noise": 0.05},
        ),
    )
}  # fmt: skip


def make_folds(store: Store, row: Row) -> list[Fold]:
    """Return the folds of a row, in the order of its recordings.

    Fold ``k`` of a row with several recordings holds out recording ``k`` and goes with joint checkpoint
    ``k % N_JOINT_FOLDS``; every joint checkpoint left out the last fifth of M1 and of S1.
    """
    chosen = store.select(recording_id=list(row.recordings))
    if row.kind == "time":
        split = split_by("time", test=0.2, guard_seconds=GUARD_SECONDS).apply(chosen)
        return [Fold(row.name, "last_fifth", 0, split)]
    folds = []
    for number, recording_id in enumerate(row.recordings):
        split = split_by(row.kind, test=[recording_id]).apply(chosen)
        folds.append(Fold(row.name, recording_id.rpartition("/")[2], number % N_JOINT_FOLDS, split))
    return folds


def held_out(joint_fold: int, store: Store) -> list[tuple[str, float, float]]:
    """Return what a joint checkpoint must not be pretrained on: ``(recording_id, start, stop)`` in seconds.

    Everything that the folds of this number hold out; of the three EEG runs of a task also the one of number
    ``joint_fold % 3``; of M1 and S1 the last fifth with the guard before it, whatever the number.
    """
    left_out: list[tuple[str, float, float]] = []
    for row in ROWS.values():
        folds = make_folds(store, row)
        for number, fold in enumerate(folds):
            if row.kind == "time" or number == joint_fold % len(folds) or fold.joint_fold == joint_fold:
                left_out += _not_trained(fold)
    return sorted(left_out)


def _not_trained(fold: Fold) -> list[tuple[str, float, float]]:
    """The test stretches, each from the end of what the same recording is trained on: the guard is left out too."""
    trained = {stretch.recording_id: stretch.stop for stretch in fold.split.parts[names.TRAIN]}
    return [(s.recording_id, trained.get(s.recording_id, s.start), s.stop) for s in fold.split.parts[names.TEST]]


def describe_trained(split: Split) -> dict[str, Any]:
    """Return what a checkpoint's manifest says of the training part of a split, for `check_clean`."""
    stretches = sorted(split.parts[names.TRAIN])
    return {
        "trained_on": {stretch.recording_id: split.contents[stretch.recording_id] for stretch in stretches},
        "stretches": [[stretch.recording_id, stretch.start, stretch.stop] for stretch in stretches],
    }


def check_clean(manifest: Mapping[str, Any], fold: Fold) -> None:
    """Raise unless a checkpoint's manifest shows that it saw nothing of what a fold is scored on.

    Parameters
    ----------
    manifest
        ``trained_on``: recording id → content digest; ``stretches``: ``[recording_id, start, stop]`` of all that was
        trained on. See `describe_trained`.
    fold
        Whose test part is to be scored.

    Raises
    ------
    LeakageError
        If the manifest does not say what it was trained on, or any of it is of the test part: the same time, the same
        animal where animals are held out, or the same data under another name.
    """
    if not manifest.get("trained_on") or not manifest.get("stretches"):
        raise LeakageError(
            f"the checkpoint for {fold.row}/{fold.name} does not say what it saw; its manifest needs 'trained_on' and "
            "'stretches' (foundation.rows.describe_trained)"
        )
    trained = [Stretch(str(name), float(start), float(stop)) for name, start, stop in manifest["stretches"]]
    digests: dict[str, str] = dict(manifest["trained_on"])
    odd = sorted({stretch.recording_id for stretch in trained} ^ set(digests))
    problems = [f"{name} is in only one of 'trained_on' and 'stretches'" for name in odd]
    for test in fold.split.parts[names.TEST]:
        problems += [found for one in trained if (found := _overlap(one, test, fold))]
        content = fold.split.contents.get(test.recording_id)
        copies = [name for name, digest in digests.items() if digest == content and name != test.recording_id]
        problems += [f"{name} holds the same data as {test.recording_id}" for name in copies]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise LeakageError(f"the checkpoint cannot be scored on {fold.row}/{fold.name}:\n{listed}")


def _overlap(trained: Stretch, test: Stretch, fold: Fold) -> str:
    """What a trained stretch has in common with a test stretch, in words; empty where nothing."""
    subjects = fold.split.subjects
    if trained.recording_id == test.recording_id and seconds_between(trained, test) < 0:
        return f"it saw {trained.recording_id} [{trained.start:g}, {trained.stop:g}) s, scored are [{test.start:g}, {test.stop:g}) s"
    same_animal = subjects.get(trained.recording_id, trained.recording_id) == subjects.get(test.recording_id)
    if fold.split.by == "subject" and same_animal:
        return f"it saw {trained.recording_id}, an animal that is held out"
    return ""
