"""Recordings of a store as an ordinary LightningDataModule."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from neurodata import names
from neurodata.batches.collate import Sample, collate
from neurodata.batches.dataset import WindowDataset
from neurodata.batches.sampling import DrawnWindows
from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.store.store import Store, open_store
from neurodata.windows.prepare import NAMED, Prepared, make_spec, prepare
from neurodata.windows.scaling import Scaling, fit_per_channel, fit_scaling
from neurodata.windows.select import make_windows
from neurodata.windows.spec import BY_LABEL, DataSpec
from neurodata.windows.splits import Split, SplitRule, check_leakage

TRAINING, OWN, UNSCALED = "training", "recording", "none"
SCALINGS = (TRAINING, OWN, UNSCALED)


class RecordingDataModule(lightning.LightningDataModule):
    """Windows of a store, split, scaled and batched.

    The leakage guard runs before anything is read. Training windows start at any sample, drawn with replacement;
    validation, test and prediction windows overlap by half and cover every sample.

    Parameters
    ----------
    store
        A store or its folder.
    inputs
        Name of the input signal, or of events (spikes), which are counted in bins of the clock.
    target
        Name of an interval table (classes), or of a signal or events (continuous); ``""`` for none.
    window_seconds
        Length of a window.
    rate_hz
        Rate of the windows' clock.
    split
        From `split_by`, or a `Split` made before.
    batch_size, batches_per_epoch
        Windows per batch, and training batches drawn per epoch.
    scaling
        ``training``: mean and spread per channel identity, pooled over training stretches.
        ``recording``: each recording by its own, label-free: from its training stretches where it has some, else from
        the stretches it is scored on (say so when you report the score; never for forecasts).
        ``none``.
    channels
        ``named`` or ``all``.
    identity
        What channels are known by: ``label``, ``channel_id`` or ``order``.
    causal
        Whether resampling looks at past samples only.
    lag_seconds
        How far beyond its window the model or its target looks; widens the leakage guard.
    num_workers, multiprocessing_context
        As for ``torch.utils.data.DataLoader``.
    seed
        Of the drawn training windows.

    Examples
    --------
    >>> import neurodata as nd
    >>> split = nd.split_by("subject", test=["worm5"])
    >>> dm = nd.RecordingDataModule("store", inputs="calcium", target="state", split=split)  # doctest: +SKIP
    """

    def __init__(
        self,
        store: str | Path | Store,
        *,
        inputs: str,
        split: SplitRule | Split,
        target: str = "",
        window_seconds: float = 20.0,
        rate_hz: float = 3.0,
        batch_size: int = 32,
        batches_per_epoch: int = 50,
        scaling: str = TRAINING,
        channels: str = NAMED,
        identity: str = BY_LABEL,
        causal: bool = False,
        lag_seconds: float = 0.0,
        num_workers: int = 0,
        multiprocessing_context: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_option("scaling", scaling, SCALINGS)
        self.store = store if isinstance(store, Store) else open_store(store)
        self.inputs, self.target, self.window_seconds, self.rate_hz = inputs, target, window_seconds, rate_hz
        self.batch_size, self.batches_per_epoch = batch_size, batches_per_epoch
        self.scaling, self.channels, self.identity = scaling, channels, identity
        self.causal, self.lag_seconds = causal, lag_seconds
        self.num_workers, self.multiprocessing_context, self.seed = num_workers, multiprocessing_context, seed
        self.split = split if isinstance(split, Split) else split.apply(self.store)
        check_leakage(self.split, window_seconds, lag_seconds)
        self._prepared: dict[str, Prepared] = {}
        self.spec = self._make_spec()
        self.statistics: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def _make_spec(self) -> DataSpec:
        """From training recordings; the classes from all, so that a class unseen in training is still scored."""
        ids = [r for part in self.split.parts for r in self.split.recordings(part)]
        return make_spec(
            (self.store[recording_id] for recording_id in dict.fromkeys(ids)),
            inputs=self.inputs,
            rate_hz=self.rate_hz,
            window_seconds=self.window_seconds,
            target=self.target,
            identity=self.identity,
        )

    def prepared(self, recording_id: str) -> Prepared:
        """Return a recording on the windows' clock, unscaled (made once)."""
        if recording_id not in self._prepared:
            self._prepared[recording_id] = prepare(
                self.store[recording_id], self.spec, channels=self.channels, causal=self.causal
            )
        return self._prepared[recording_id]

    def setup(self, stage: str | None = None) -> None:
        """Fit the scaling, once."""
        if self.statistics:
            return
        pooled = self._pooled_scaling() if self.scaling == TRAINING else None
        for recording_id in dict.fromkeys(r for part in self.split.parts for r in self.split.recordings(part)):
            prepared = self.prepared(recording_id)
            if pooled is not None:
                self.statistics[recording_id] = (pooled.mean[prepared.channel_ids], pooled.std[prepared.channel_ids])
            elif self.scaling == OWN:
                self.statistics[recording_id] = self._own_statistics(prepared)
            else:
                n_channels = prepared.channel_ids.size
                self.statistics[recording_id] = (np.zeros(n_channels), np.ones(n_channels))

    def pooled_statistics(self) -> dict[str, list[float]] | None:
        """Return mean and spread per channel id that new recordings must be scaled with; None unless ``training``."""
        if self.scaling != TRAINING:
            return None
        pooled = self._pooled_scaling()
        return {"mean": pooled.mean.tolist(), "std": pooled.std.tolist()}

    def _pooled_scaling(self) -> Scaling:
        pieces = (
            (self.prepared(s.recording_id).values[self.prepared(s.recording_id).samples(s)], self.prepared(s.recording_id).channel_ids)
            for s in self.split.parts[names.TRAIN]
        )  # fmt: skip
        return fit_scaling(pieces, self.spec.n_channel_ids, f"{len(self.split.parts[names.TRAIN])} training stretches")

    def _own_statistics(self, prepared: Prepared) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        everywhere = [(part, s) for part, found in self.split.parts.items() for s in found]
        own = [(part, s) for part, s in everywhere if s.recording_id == prepared.recording_id]
        trained = [s for part, s in own if part == names.TRAIN]
        values = np.concatenate([prepared.values[prepared.samples(s)] for s in trained or [s for _, s in own]])
        return fit_per_channel(values, prepared.recording_id)

    def dataset(self, part: str, stride_seconds: float | None = None) -> WindowDataset:
        """Return the windows of a part; ``stride_seconds=None`` is one window per sample."""
        check_option("part of the split", part, self.split.parts)
        self.setup()
        windows = make_windows(self.split.parts[part], self.rate_hz, self.window_seconds, stride_seconds)
        return WindowDataset(
            self.store.path, windows, self.spec, self.statistics, channels=self.channels, causal=self.causal
        )

    def _loader(self, dataset: WindowDataset, sampler: DrawnWindows | None) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            shuffle=False if sampler is None else None,
            collate_fn=collate,
            num_workers=self.num_workers,
            multiprocessing_context=self.multiprocessing_context if self.num_workers else None,
            persistent_workers=self.num_workers > 0,
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Windows drawn at random over all training stretches."""
        dataset = self.dataset(names.TRAIN)
        return self._loader(dataset, DrawnWindows(len(dataset), self.batch_size * self.batches_per_epoch, self.seed))

    def covering_dataloader(self, part: str, stride_seconds: float | None = None) -> DataLoader[Sample]:
        """Windows that cover every sample of a part, in order; they overlap by half unless a stride is given."""
        return self._loader(self.dataset(part, stride_seconds or self.window_seconds / 2), None)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Windows of the validation part, in order."""
        return self.covering_dataloader(names.VALIDATION)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Windows of the test part, in order."""
        return self.covering_dataloader(names.TEST)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Windows of the test part, in order."""
        return self.covering_dataloader(names.TEST)

    def target_counts(self) -> NDArray[np.int64]:
        """Return how many training samples each class has, shape ``(class,)``.

        Raises
        ------
        NeurodataError
            If the target has no classes.
        """
        if not self.spec.classes or self.spec.target_kind != "class":
            raise NeurodataError(f"target {self.target!r} has no classes to count")
        counts = np.zeros(self.spec.n_outputs, np.int64)
        for stretch in self.split.parts[names.TRAIN]:
            prepared = self.prepared(stretch.recording_id)
            codes = np.asarray(prepared.target)[prepared.samples(stretch)]
            counts += np.bincount(codes[codes >= 0], minlength=self.spec.n_outputs)
        return counts

    def target_statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of a continuous target over training samples, each ``(output,)``.

        The deviation of an output that never changes is 1.

        Raises
        ------
        NeurodataError
            If the target is not continuous, or an output has no training sample.
        """
        if self.spec.target_kind != "continuous":
            raise NeurodataError(f"target {self.target!r} is not continuous, so it has no mean")
        pieces = []
        for stretch in self.split.parts[names.TRAIN]:
            prepared = self.prepared(stretch.recording_id)
            pieces.append(np.asarray(prepared.target, np.float64)[prepared.samples(stretch)])
        values = np.concatenate(pieces)
        lacking = [
            name for name, known in zip(self.spec.classes, np.asarray(np.isfinite(values).any(axis=0))) if not known
        ]
        if lacking:
            raise NeurodataError(f"target {self.target!r}: {', '.join(lacking)} has no value in the training part")
        std = np.nanstd(values, axis=0)
        return np.nanmean(values, axis=0), np.where(std > 0, std, 1.0)
