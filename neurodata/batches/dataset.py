"""Windows of a store as a torch dataset that holds paths and numbers only."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from neurodata.batches.batch import Batch
from neurodata.batches.buffers import Buffers
from neurodata.batches.collate import Sample
from neurodata.batches.opened import OpenedRecordings
from neurodata.errors import NeurodataError
from neurodata.store.files import Location, as_location, files_at
from neurodata.store.manifest import json_digest
from neurodata.windows.cache import DecodedCache
from neurodata.windows.decoded import open_decoded
from neurodata.windows.decoding import Decoding, Digests, check_digests
from neurodata.windows.prepare import Prepared
from neurodata.windows.select import Windows

Statistics = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Recording id → mean and standard deviation per channel, each ``(channel,)``, in the signal's units."""

_OPENED_AT_ONCE = max(2, os.cpu_count() or 1)
_FETCHED_AT_ONCE = 16


class WindowDataset(Dataset[Sample]):
    """Windows of a store's recordings.

    Holds paths and numbers only, so it can be sent to workers however they start. A recording is decoded into the cache
    by the process that first needs it, once for all; a window is then a copy out of a memory-mapped file.

    Parameters
    ----------
    store
        The store's folder or address.
    windows
        Which windows.
    decoding
        Signal, rate, vocabulary, target, and how they are decoded.
    statistics
        What each recording is scaled with; without it values stay as they are.
    cache
        Where decoded recordings are kept; the user's cache folder where None.
    digests
        What each recording held when the run began: one that was rewritten since is refused.
    pin_memory
        Whether batches lie in page-locked memory, for a GPU.
    """

    def __init__(
        self,
        store: str | Location,
        windows: Windows,
        decoding: Decoding,
        statistics: Statistics | None = None,
        *,
        cache: DecodedCache | None = None,
        digests: Mapping[str, Digests] | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.store, self.windows, self.decoding = as_location(store), windows, decoding
        self.spec = decoding.spec
        self.statistics = dict(statistics or {})
        self.cache = cache or DecodedCache()
        self.digests = dict(digests or {})
        self.recording_ids = list(windows.recording_ids)
        self._buffers = Buffers(pin_memory)
        self._seconds = torch.arange(windows.length, dtype=torch.float32) / decoding.spec.rate_hz
        self._lock = threading.Lock()
        self._stamps: dict[str, Hashable] = {}
        self._opened: OpenedRecordings | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None, "_stamps": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def opened(self) -> OpenedRecordings:
        """The recordings this process has opened."""
        if self._opened is None:
            with self._lock:  # of threads that fetch ahead, all must see the same one
                if self._opened is None:
                    self._opened = OpenedRecordings(len(self.recording_ids), self.windows.length)
        return self._opened

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def fingerprint(self) -> str:
        """Digest of which windows of what content these are, and how they are decoded, for a run that is resumed.

        Of the scaling only whether there is one: its numbers may differ in the last bits on another machine.
        """
        contents = [list(self.digests.get(recording, ("", ""))) for recording in self.recording_ids]
        whatever = Digests("", "")
        decoding = [self.decoding.input_key(whatever), self.decoding.target_key(whatever)]
        return json_digest([self.windows.digest, contents, decoding, bool(self.statistics)])

    def __getitem__(self, index: int) -> Sample:
        """Return one window; ``dataset.__getitems__`` is how batches are made fast."""
        batch = self.__getitems__([index])
        number = int(batch.recording[0])
        return Sample(
            batch.values[0].numpy(),
            batch.recorded[0].numpy(),
            batch.channel_ids[0].numpy(),
            None if self.opened.target[number] is None else batch.target[0].numpy(),
            number,
            int(batch.first[0]),
            self.spec.rate_hz,
        )

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return a batch of windows, copied straight into its tensors.

        Raises
        ------
        NeurodataError
            If a window lies outside its recording, or a recording cannot be decoded.
        """
        numbers, firsts = self.windows.locate_many(np.asarray(indices, np.int64))
        self._make_ready(numbers, firsts)
        opened = self.opened
        widths = opened.width[numbers]
        most = int(widths.max())
        values = self._buffers.empty((len(numbers), self.windows.length, most), torch.float32)
        opened.gather(numbers, firsts, values.numpy())
        present = torch.from_numpy(np.arange(most) < widths[:, None])
        return Batch(
            values,
            self._recorded(values, present, bool(opened.complete[numbers].all())),
            torch.from_numpy(opened.channel_ids[numbers, :most]),
            present,
            self._seconds.clone(),
            self._targets(numbers.tolist(), firsts.tolist()),
            torch.from_numpy(numbers.astype(np.int64)),
            torch.from_numpy(firsts),
        )

    def fetch(self, indices: Sequence[int]) -> None:
        """Decode what windows need, or fetch it from the server, before they are asked for; safe in any thread."""
        self._make_ready(*self.windows.locate_many(np.asarray(indices, np.int64)))

    def check_unchanged(self) -> None:
        """Raise where a recording was rewritten since the run began: what is cached is of the old one, files are not.

        Raises
        ------
        IntegrityError
            Names the recording.
        """
        for recording_id in self.recording_ids:
            stamp = files_at(self.store / recording_id).stamp("zarr.json")
            if self._stamps.setdefault(recording_id, stamp) != stamp:
                check_digests(self.store, recording_id, self.digests.get(recording_id))
                self._stamps[recording_id] = stamp

    def _recorded(self, values: torch.Tensor, present: torch.Tensor, complete: bool) -> torch.Tensor:
        """Which values were recorded; the others become 0."""
        if complete:  # the same for all samples of a window, so nothing is written out
            return present[:, None].clone().expand(values.shape)
        recorded = self._buffers.empty(tuple(values.shape), torch.bool)
        seen, found = recorded.numpy(), values.numpy()
        np.isfinite(found, out=seen)
        if not seen.all():
            np.copyto(found, 0, where=~seen)
        seen &= present.numpy()[:, None]
        return recorded

    def _targets(self, numbers: list[int], firsts: list[int]) -> torch.Tensor:
        sources = [self.opened.target[number] for number in numbers]
        if sources[0] is None:
            return torch.zeros((len(numbers), 0), dtype=torch.int64)
        length, dtype = self.windows.length, torch.int64 if sources[0].dtype == np.int64 else torch.float32
        target = self._buffers.empty((len(numbers), length, *sources[0].shape[1:]), dtype)
        for row, source, first in zip(target.numpy(), sources, firsts):
            assert source is not None
            row[...] = source[first : first + length]
        return target

    def _make_ready(self, numbers: NDArray[np.int64], firsts: NDArray[np.int64]) -> None:
        """Open the recordings of windows, and bring what lies on a server into the cache."""
        opened, length = self.opened, self.windows.length
        sizes = opened.size[numbers]
        if (sizes < 0).any():
            self._open(np.unique(numbers[sizes < 0]).tolist())
            sizes = opened.size[numbers]
        outside = (firsts < 0) | (firsts + length > sizes)
        if outside.any():
            row = int(outside.argmax())
            raise NeurodataError(
                f"{self.recording_ids[numbers[row]]}: the window of {length} samples from sample {firsts[row]} on lies "
                f"outside the recording's {sizes[row]}; cut the split's stretches to the recording"
            )
        growing = opened.growing[numbers]
        if growing.any():
            self._fetch(numbers[growing].tolist(), firsts[growing].tolist())

    def _fetch(self, numbers: list[int], firsts: list[int]) -> None:
        """Bring windows of growing recordings into the cache; where all are there no thread is started."""
        length, spans = self.windows.length, dict[int, list[tuple[int, int]]]()
        for number, first in zip(numbers, firsts):
            spans.setdefault(number, []).append((first, first + length))
        lacking = [(self.opened.growing_of(number), found) for number, found in spans.items()]
        lacking = [(activity, found) for activity, found in lacking if activity.lacks(found)]
        if lacking:
            with ThreadPoolExecutor(_FETCHED_AT_ONCE) as pool:
                list(pool.map(lambda one: one[0].fetch(one[1]), lacking))

    def _open(self, numbers: list[int]) -> None:
        """Open recordings, decoding them first where nobody has, several at a time."""
        with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
            for number, prepared in zip(numbers, pool.map(self._prepared, numbers)):
                statistics = self.statistics.get(self.recording_ids[number], ((), ()))
                mean, std = (np.asarray(part, np.float32) for part in statistics)
                with self._lock:  # threads that fetch ahead open recordings too
                    self.opened.add(number, prepared, mean, std)

    def _prepared(self, number: int) -> Prepared:
        recording_id = self.recording_ids[number]
        return open_decoded(self.store, recording_id, self.decoding, self.cache, self.digests.get(recording_id))
