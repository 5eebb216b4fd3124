"""Recordings of a store as an ordinary LightningDataModule."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from neurodata import names
from neurodata.batches.collate import collate
from neurodata.batches.dataset import WindowDataset
from neurodata.batches.loader import WindowLoader
from neurodata.batches.sampling import CoveringWindows, DrawnWindows, ShuffledWindows, StreamedWindows
from neurodata.batches.targets import count_classes, describe_outputs
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.store.remote import RemoteFiles
from neurodata.store.store import Store, open_store
from neurodata.terminal import progress
from neurodata.windows.cache import DecodedCache
from neurodata.windows.decoded import decode_all, open_decoded, read_facts
from neurodata.windows.decoding import FLOAT32, Decoding, Digests
from neurodata.windows.make_spec import join_facts
from neurodata.windows.prepare import NAMED, Prepared
from neurodata.windows.scaling import Scaling, fit_per_channel, fit_robust_scaling, fit_scaling
from neurodata.windows.select import Windows, make_windows
from neurodata.windows.spec import BY_LABEL, DataSpec
from neurodata.windows.splits import Split, SplitRule, Stretch, check_leakage
from neurodata.windows.views import View, check_views_leak, is_causal, make_views

TRAINING, OWN, UNSCALED, ROBUST = SCALINGS = ("training", "recording", "none", "robust")
_POOLED = (TRAINING, ROBUST)
DRAWN, SHUFFLED, STREAMED = ORDERS = ("drawn", "shuffled", "streamed")


class RecordingDataModule(lightning.LightningDataModule):
    """Windows of a store, split, scaled and batched.

    The leakage guard runs before anything is read. Each recording is decoded once into a cache on this disk, which all
    runs and processes share (`neurodata.windows.cache`); windows are copies out of it. Training windows start at any
    sample, drawn with replacement; validation, test and prediction windows overlap by half and cover every sample.

    Parameters
    ----------
    store
        A store, its folder, or its address (``https://…``, ``s3://…``).
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
        ``robust``: as ``training``, by median and interquartile range / 1.349, so that artefacts do not decide
        (`neurodata.windows.scaling.fit_robust_scaling`). ``none``.
    channels
        ``named`` or ``all``.
    identity
        What channels are known by: ``label``, ``channel_id`` or ``order``.
    views
        Filters and the like that the input signal passes once, before it is cached; see `neurodata.windows.views`.
    causal
        Whether resampling looks at past samples only.
    lag_seconds
        How far beyond its window the model or its target looks; widens the leakage guard.
    order
        Of training windows. ``drawn``: at random, with replacement, from every sample on; the default for a store on
        this disk. ``shuffled``: windows side by side, each once per epoch, at random. ``streamed``: the same, but
        block by block through a shuffle buffer, so that each byte is fetched once; the default for a store on a server.
    balance, proportions
        What training windows are drawn evenly over (``recording`` or ``subject``), or the share of each modality
        (``{"eeg": 0.5, "fmri": 0.5}``); for ``order="drawn"``.
    cache, cache_dtype
        Folder of decoded recordings (else ``NEURODATA_CACHE``, else the user's cache folder), and the type they are
        kept in: ``float32``, or ``float16`` or ``int16`` for half the disk and a stated error.
    lookahead
        Batches that are fetched ahead of the one handed out; by default 12 for a store on a server, else 0.
    num_workers, multiprocessing_context
        As for ``torch.utils.data.DataLoader``. With a warm cache no worker is usually fastest.
    pin_memory
        Whether batches are gathered into page-locked memory, for a GPU.
    seed
        Of the order of training windows.

    Examples
    --------
    >>> import neurodata as nd
    >>> split = nd.split_by("subject", test=["worm5"])
    >>> dm = nd.RecordingDataModule("store", inputs="calcium", target="state", split=split)  # doctest: +SKIP
    """

    def __init__(
        self,
        store: str | Path | RemoteFiles | Store,
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
        views: Sequence[View | Mapping[str, Any] | str] = (),
        causal: bool = False,
        lag_seconds: float = 0.0,
        order: str | None = None,
        balance: str | None = None,
        proportions: Mapping[str, float] | None = None,
        cache: str | Path | None = None,
        cache_dtype: str = FLOAT32,
        lookahead: int | None = None,
        num_workers: int = 0,
        multiprocessing_context: str | None = None,
        pin_memory: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_option("scaling", scaling, SCALINGS)
        check_positive("batch_size", batch_size)
        check_positive("batches_per_epoch", batches_per_epoch)
        self.store = (store if isinstance(store, Store) else open_store(store)).snapshot()
        remote = not isinstance(self.store.path, Path)
        self.order = order or (STREAMED if remote else DRAWN)
        check_option("order of training windows", self.order, ORDERS)
        self.inputs, self.target, self.window_seconds, self.rate_hz = inputs, target, window_seconds, rate_hz
        self.batch_size, self.batches_per_epoch = batch_size, batches_per_epoch
        self.scaling, self.identity, self.lag_seconds = scaling, identity, lag_seconds
        self.lookahead = lookahead if lookahead is not None else (12 if remote else 0)
        self.num_workers, self.multiprocessing_context = num_workers, multiprocessing_context
        self.balance, self.proportions, self.pin_memory, self.seed = balance, proportions, pin_memory, seed
        self.cache = DecodedCache(Path(cache) if cache is not None else None)
        self.split = split if isinstance(split, Split) else split.apply(self.store)
        check_leakage(self.split, window_seconds, lag_seconds)
        made_views = make_views(views)
        check_views_leak(made_views, self.split)
        if causal and not is_causal(made_views):
            raise NeurodataError(
                f"causal=True, but {', '.join(map(str, made_views))} look at later samples; take causal views"
            )
        table = self.store.table.set_index("recording_id", drop=False).loc[self._recordings()]
        listed = [str(recording_id) for recording_id in table.index]
        self.modalities = dict(zip(listed, map(str, table["modality"])))
        self.subjects = dict(zip(listed, map(str, table["subject"])))
        contents = zip(map(str, table["content_sha256"]), map(str, table["documents_sha256"]))
        self.digests = {recording_id: Digests(*found) for recording_id, found in zip(listed, contents)}
        self.decoding = Decoding(self._make_spec(made_views), channels, causal, cache_dtype)
        self._prepared: dict[str, Prepared] = {}
        self.statistics: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A mapped file is pickled as its values: a process that gets a copy opens recordings itself.
        return self.__dict__ | {"_prepared": {}}

    @property
    def spec(self) -> DataSpec:
        """What a model must know about the data."""
        return self.decoding.spec

    def _recordings(self) -> list[str]:
        return list(dict.fromkeys(r for part in self.split.parts for r in self.split.recordings(part)))

    def _make_spec(self, views: tuple[View, ...]) -> DataSpec:
        """The classes are those of all recordings, so that one unseen in training is still scored."""
        asked = {"inputs": self.inputs, "target": self.target, "identity": self.identity}
        facts = read_facts(self.store.path, self.digests, self.cache, views=views, **asked)
        spec = join_facts(facts, rate_hz=self.rate_hz, window_seconds=self.window_seconds, views=views, **asked)
        return spec if self.scaling == UNSCALED else spec.scaled()

    def prepared(self, recording_id: str) -> Prepared:
        """Return a recording on the windows' clock, unscaled; decoded into the cache once, for all runs."""
        if recording_id not in self._prepared:
            self._prepared[recording_id] = open_decoded(
                self.store.path, recording_id, self.decoding, self.cache, self.digests[recording_id]
            )
        return self._prepared[recording_id]

    def prepare_data(self) -> None:
        """Decode every recording of the split into the cache, with a progress bar; Lightning calls it before a fit.

        Recordings on a server stay there, their windows are fetched when they are asked for.
        """
        if isinstance(self.store.path, Path):
            with progress("decoding") as show:
                decode_all(self.store.path, self._recordings(), self.decoding, self.cache, self.digests, show)

    def setup(self, stage: str | None = None) -> None:
        """Fit the scaling, once."""
        if self.statistics or self.scaling == UNSCALED:
            return
        pooled = self._pooled_scaling if self.scaling in _POOLED else None
        for recording_id in self._recordings():
            prepared = self.prepared(recording_id)
            if pooled is not None:
                self.statistics[recording_id] = (pooled.mean[prepared.channel_ids], pooled.std[prepared.channel_ids])
            else:
                self.statistics[recording_id] = self._own_statistics(prepared)

    def pooled_statistics(self) -> dict[str, list[float]] | None:
        """Return mean and spread per channel id that new recordings must be scaled with; None unless they are pooled."""
        if self.scaling not in _POOLED:
            return None
        pooled = self._pooled_scaling
        return {"mean": pooled.mean.tolist(), "std": pooled.std.tolist()}

    @functools.cached_property
    def _pooled_scaling(self) -> Scaling:
        """Of all training stretches, read once: a checkpoint asks for it again."""
        n_ids, fitted_on = self.spec.n_channel_ids, f"{len(self.split.parts[names.TRAIN])} training stretches"
        if self.scaling == ROBUST:
            return fit_robust_scaling(self._training_pieces, n_ids, fitted_on)
        return fit_scaling(self._training_pieces(), n_ids, fitted_on)

    def _training_pieces(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Values and channel ids of each training stretch; a recording's counts are laid out once for all of its own."""
        for recording_id, stretches in itertools.groupby(self.split.parts[names.TRAIN], lambda s: s.recording_id):
            prepared = self.prepared(recording_id)
            values = prepared.values
            for stretch in stretches:
                yield values[prepared.samples(stretch)], prepared.channel_ids

    def _targets(self, stretches: Sequence[Stretch] | None = None) -> Iterator[NDArray[Any]]:
        """The target in each of some stretches, those of the training part where none are named."""
        for stretch in self.split.parts[names.TRAIN] if stretches is None else stretches:
            prepared = self.prepared(stretch.recording_id)
            yield np.asarray(prepared.target)[prepared.samples(stretch)]

    def _own_statistics(self, prepared: Prepared) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        everywhere = [(part, s) for part, found in self.split.parts.items() for s in found]
        own = [(part, s) for part, s in everywhere if s.recording_id == prepared.recording_id]
        trained = [s for part, s in own if part == names.TRAIN]
        values = np.concatenate([prepared.values[prepared.samples(s)] for s in trained or [s for _, s in own]])
        return fit_per_channel(values, prepared.recording_id)

    def dataset(self, part: str, stride_seconds: float | None = None) -> WindowDataset:
        """Return the windows of a part; ``stride_seconds=None`` is one window per sample."""
        check_option("part of the split", part, self.split.parts)
        return self.windows_dataset(
            make_windows(self.split.parts[part], self.rate_hz, self.window_seconds, stride_seconds)
        )

    def windows_dataset(self, windows: Windows) -> WindowDataset:
        """Return a dataset of any windows, for example of those `neurodata.windows.locked` makes around trials."""
        self.setup()
        return WindowDataset(
            self.store.path,
            windows,
            self.decoding,
            self.statistics,
            cache=self.cache,
            digests={recording_id: self.digests[recording_id] for recording_id in windows.recording_ids},
            pin_memory=self.pin_memory and torch.cuda.is_available(),
        )

    def _loader(self, dataset: WindowDataset, sampler: Sampler[int]) -> WindowLoader:
        return WindowLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=collate,
            lookahead=self.lookahead,
            fetch_threads=12,
            background=True,
            num_workers=self.num_workers,
            multiprocessing_context=self.multiprocessing_context if self.num_workers else None,
            persistent_workers=self.num_workers > 0,
        )

    def train_dataloader(self) -> WindowLoader:
        """Windows over all training stretches, in the chosen order."""
        sampler: Sampler[int]
        if self.order != DRAWN and (self.balance or self.proportions):
            raise NeurodataError(
                f"windows are balanced where they are drawn, so order={self.order!r} cannot be; take order='drawn'"
            )
        if self.order == DRAWN:
            dataset = self.dataset(names.TRAIN)
            sampler = DrawnWindows(
                dataset.windows,
                self.batch_size * self.batches_per_epoch,
                self.seed,
                balance=self.balance,
                subjects=self.subjects,
                proportions=self.proportions,
                kinds=self.modalities,
            )
        else:
            dataset = self.dataset(names.TRAIN, self.window_seconds)
            make = ShuffledWindows if self.order == SHUFFLED else StreamedWindows
            sampler = make(dataset.windows, self.seed)
        return self._loader(dataset, sampler)

    def covering_dataloader(self, part: str, stride_seconds: float | None = None) -> WindowLoader:
        """Windows that cover every sample of a part, in order; they overlap by half unless a stride is given.

        Stretches shorter than a window are in none, and a warning names them.
        """
        check_option("part of the split", part, self.split.parts)
        length = self.spec.window_samples
        short = [s.recording_id for s in self.split.parts[part] if (s.stop - s.start) * self.rate_hz < length - 1e-6]
        if short:
            warnings.warn(
                f"{len(short)} stretches of the {part} part are shorter than a window of {self.window_seconds:g} s and will "
                f"not be scored: {', '.join(short[:5])}{' …' if len(short) > 5 else ''}; take shorter windows to include them",
                stacklevel=2,
            )
        dataset = self.dataset(part, self.window_seconds / 2 if stride_seconds is None else stride_seconds)
        return self._loader(dataset, CoveringWindows(dataset.windows))

    def val_dataloader(self) -> WindowLoader:
        """Windows of the validation part, in order."""
        return self.covering_dataloader(names.VALIDATION)

    def test_dataloader(self) -> WindowLoader:
        """Windows of the test part, in order."""
        return self.covering_dataloader(names.TEST)

    def predict_dataloader(self) -> WindowLoader:
        """Windows of the test part, in order."""
        return self.covering_dataloader(names.TEST)

    def target_counts(self, stretches: Sequence[Stretch] | None = None) -> NDArray[np.int64]:
        """Return how many training samples each class has, shape ``(class,)``; or samples of some stretches.

        Raises
        ------
        NeurodataError
            If the target has no classes.
        """
        if not self.spec.classes or self.spec.target_kind != "class":
            raise NeurodataError(f"target {self.target!r} has no classes to count")
        return count_classes(self._targets(stretches), self.spec.n_outputs)

    def target_statistics(
        self, stretches: Sequence[Stretch] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of a continuous target over training samples, or some stretches, each ``(output,)``.

        The deviation of an output that never changes is 1.

        Raises
        ------
        NeurodataError
            If the target is not continuous, or an output has no training sample.
        """
        if self.spec.target_kind != "continuous":
            raise NeurodataError(f"target {self.target!r} is not continuous, so it has no mean")
        return describe_outputs(self._targets(stretches), self.spec.classes, self.target)
