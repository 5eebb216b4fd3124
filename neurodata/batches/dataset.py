"""Windows of a store as a torch dataset that holds paths only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from neurodata.batches.collate import Sample
from neurodata.errors import NeurodataError
from neurodata.store.read import open_recording
from neurodata.windows.prepare import NAMED, Prepared, prepare
from neurodata.windows.select import Windows
from neurodata.windows.spec import DataSpec

Statistics = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Recording id → mean and standard deviation per channel, each ``(channel,)``, in the signal's units."""


class WindowDataset(Dataset[Sample]):
    """Windows of a store's recordings.

    Holds paths and numbers only, so it can be sent to workers however they start; a recording is opened, resampled and
    scaled in the process that first needs it, once.

    Parameters
    ----------
    store
        The store's folder.
    windows
        Which windows.
    spec
        Signal, rate, vocabulary and target.
    statistics
        What each recording is scaled with.
    channels
        ``named`` or ``all``.
    causal
        Whether resampling looks at past samples only.
    """

    def __init__(
        self,
        store: str | Path,
        windows: Windows,
        spec: DataSpec,
        statistics: Statistics,
        *,
        channels: str = NAMED,
        causal: bool = False,
    ) -> None:
        self.store, self.windows, self.spec = Path(store), windows, spec
        self.statistics, self.channels, self.causal = dict(statistics), channels, causal
        self.recording_ids = list(dict.fromkeys(stretch.recording_id for stretch in windows.stretches))
        self._opened: dict[str, tuple[Prepared, NDArray[np.float32], NDArray[np.bool_]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": {}}

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Return a batch of windows at once."""
        return [self._sample(*self.windows.locate(int(index))) for index in indices]

    def _sample(self, recording_id: str, first: int) -> Sample:
        prepared, values, recorded = self._open(recording_id)
        if first < 0 or first + self.windows.length > len(values):
            raise NeurodataError(
                f"{recording_id}: the window of {self.windows.length} samples from sample {first} on lies outside the "
                f"recording's {len(values)}; cut the split's stretches to the recording"
            )
        span = slice(first, first + self.windows.length)
        return Sample(
            values[span],
            recorded[span],
            prepared.channel_ids,
            None if prepared.target is None else prepared.target[span],
            self.recording_ids.index(recording_id),
            first,
            prepared.rate_hz,
        )

    def _open(self, recording_id: str) -> tuple[Prepared, NDArray[np.float32], NDArray[np.bool_]]:
        if recording_id not in self._opened:
            recording = open_recording(self.store / recording_id)
            prepared = prepare(recording, self.spec, channels=self.channels, causal=self.causal)
            mean, std = self.statistics[recording_id]
            scaled = ((prepared.values - mean) / std).astype(np.float32)
            recorded = np.isfinite(scaled)
            self._opened[recording_id] = (prepared, np.where(recorded, scaled, np.float32(0)), recorded)
        return self._opened[recording_id]
