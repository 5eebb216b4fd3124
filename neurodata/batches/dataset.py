"""Windows of a store as a torch dataset that holds paths and numbers only."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from neurodata.batches.batch import Batch
from neurodata.batches.buffers import Buffers
from neurodata.batches.collate import Sample
from neurodata.errors import NeurodataError
from neurodata.store.files import Location, as_location, files_at
from neurodata.store.manifest import json_digest
from neurodata.windows.activity import gather
from neurodata.windows.cache import DecodedCache
from neurodata.windows.decoded import Decoding, Digests, Growing, check_digests, open_decoded
from neurodata.windows.prepare import Prepared
from neurodata.windows.select import Windows

Statistics = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Recording id → mean and standard deviation per channel, each ``(channel,)``, in the signal's units."""

_OPENED_AT_ONCE = max(2, os.cpu_count() or 1)
_FETCHED_AT_ONCE = 16


@dataclass(frozen=True)
class _Opened:
    """A decoded recording as batches need it; ``mean`` and ``std`` are None where values stay as they are."""

    prepared: Prepared
    mean: NDArray[np.float32] | None
    std: NDArray[np.float32] | None
    complete: bool


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
        self._stamps: dict[str, Hashable] = {}
        self._opened: dict[int, _Opened] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": {}, "_stamps": {}}

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def fingerprint(self) -> str:
        """Digest of which windows of what content these are, for a run that is resumed."""
        contents = [list(self.digests.get(recording, ("", ""))) for recording in self.recording_ids]
        return json_digest([self.windows.digest, contents])

    def __getitem__(self, index: int) -> Sample:
        """Return one window; ``dataset.__getitems__`` is how batches are made fast."""
        number, first = (int(found[0]) for found in self.windows.locate_many(np.asarray([index])))
        batch = self._batch([number], [first])
        return Sample(
            batch.values[0].numpy(),
            batch.recorded[0].numpy(),
            batch.channel_ids[0].numpy(),
            None if self._opened[number].prepared.target is None else batch.target[0].numpy(),
            number,
            first,
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
        return self._batch(numbers.tolist(), firsts.tolist())

    def fetch(self, indices: Sequence[int]) -> None:
        """Decode what windows need, or fetch it from the server, before they are asked for; safe in any thread."""
        numbers, firsts = self.windows.locate_many(np.asarray(indices, np.int64))
        self._fetch(numbers.tolist(), firsts.tolist())

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

    def _batch(self, numbers: list[int], firsts: list[int]) -> Batch:
        self._fetch(numbers, firsts)
        opened = [self._opened[number] for number in numbers]
        length, most = self.windows.length, max(one.prepared.activity.shape[1] for one in opened)
        values = self._buffers.empty((len(opened), length, most), torch.float32)
        gather([one.prepared.activity for one in opened], firsts, values.numpy())
        present, channel_ids = self._channels(opened, most)
        _scale(values, opened)
        return Batch(
            values,
            self._recorded(values, opened, present),
            channel_ids,
            present,
            torch.arange(length, dtype=torch.float32) / self.spec.rate_hz,
            self._targets(opened, firsts),
            torch.tensor(numbers),
            torch.tensor(firsts),
        )

    def _channels(self, opened: Sequence[_Opened], most: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Which channels exist, and who they are."""
        present = torch.zeros((len(opened), most), dtype=torch.bool, pin_memory=self._buffers.pinned)
        channel_ids = torch.zeros((len(opened), most), dtype=torch.int64, pin_memory=self._buffers.pinned)
        for there, found, one in zip(present.numpy(), channel_ids.numpy(), opened):
            ids = one.prepared.channel_ids
            there[: ids.size] = True
            found[: ids.size] = ids
        return present, channel_ids

    def _recorded(self, values: torch.Tensor, opened: Sequence[_Opened], present: torch.Tensor) -> torch.Tensor:
        """Which values were recorded; the others become 0."""
        recorded = self._buffers.empty(tuple(values.shape), torch.bool)
        seen, found = recorded.numpy(), values.numpy()
        if all(one.complete for one in opened):
            seen[...] = True
        else:
            np.isfinite(found, out=seen)
            found[~seen] = 0
        for row, one in zip(seen, opened):
            row[:, one.prepared.activity.shape[1] :] = False
        return recorded

    def _targets(self, opened: Sequence[_Opened], firsts: Sequence[int]) -> torch.Tensor:
        sources = [one.prepared.target for one in opened]
        if sources[0] is None:
            return torch.zeros((len(opened), 0), dtype=torch.int64)
        length, dtype = self.windows.length, torch.int64 if sources[0].dtype == np.int64 else torch.float32
        target = self._buffers.empty((len(opened), length, *sources[0].shape[1:]), dtype)
        for row, source, first in zip(target.numpy(), sources, firsts):
            assert source is not None
            row[...] = source[first : first + length]
        return target

    def _fetch(self, numbers: Sequence[int], firsts: Sequence[int]) -> None:
        """Open the recordings of windows, and bring what lies on a server into the cache."""
        closed = [number for number in dict.fromkeys(numbers) if number not in self._opened]
        if len(closed) > 1:
            with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
                list(pool.map(self._open, closed))
        elif closed:
            self._open(closed[0])
        length = self.windows.length
        spans: dict[int, list[tuple[int, int]]] = {}
        for number, first in zip(numbers, firsts):
            activity = self._opened[number].prepared.activity
            if first < 0 or first + length > activity.shape[0]:
                raise NeurodataError(
                    f"{self.recording_ids[number]}: the window of {length} samples from sample {first} on lies outside "
                    f"the recording's {activity.shape[0]}; cut the split's stretches to the recording"
                )
            if isinstance(activity, Growing):
                spans.setdefault(number, []).append((first, first + length))
        if spans:
            with ThreadPoolExecutor(_FETCHED_AT_ONCE) as pool:
                list(pool.map(lambda number: self._growing(number).fetch(spans[number]), spans))

    def _growing(self, number: int) -> Growing:
        activity = self._opened[number].prepared.activity
        assert isinstance(activity, Growing)
        return activity

    def _open(self, number: int) -> None:
        recording_id = self.recording_ids[number]
        digests = self.digests.get(recording_id)
        prepared = open_decoded(self.store, recording_id, self.decoding, self.cache, digests)
        mean, std = (np.asarray(part, np.float32) for part in self.statistics.get(recording_id, ((), ())))
        scaled = mean.size > 0 and bool((mean != 0).any() or (std != 1).any())
        complete = prepared.activity.complete and (not scaled or bool((std > 0).all()))
        self._opened[number] = _Opened(prepared, mean if scaled else None, std if scaled else None, complete)


def _scale(values: torch.Tensor, opened: Sequence[_Opened]) -> None:
    """``(value - mean) / std`` in place, in float32; padding is left as it is."""
    # numpy, not torch: torch's own threads stand in each other's way when several processes load.
    for window, one in zip(values.numpy(), opened):
        if one.mean is not None and one.std is not None:
            channels = window[:, : one.mean.size]
            np.subtract(channels, one.mean, out=channels)
            np.divide(channels, one.std, out=channels)
