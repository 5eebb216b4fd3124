"""Everybody who reads the same windows: each is a function from a batch of windows to its values.

A request names windows three ways at once (index in our dataset, recording, first sample), so that nobody pays for
looking them up. Every contender returns float32 ``(batch, time, channel)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import zarr
from made_data import CHUNKED, PLAIN, STORE, TORCH_BRAIN, Work
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

import neurodata as nd
from neurodata.batches.collate import collate
from neurodata.batches.dataset import WindowDataset

Values = Tensor | NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """One batch of windows.

    Parameters
    ----------
    indices
        Windows of our dataset.
    recordings
        Number of each window's recording.
    firsts
        First sample (bin) of each window.
    """

    indices: list[int]
    recordings: list[int]
    firsts: list[int]


Contender = Callable[[Request], Values]


def make_data_module(work: Work, home: Path, **options: Any) -> nd.RecordingDataModule:
    """Return our data module over all of a kind's recordings, training part only."""
    settings: dict[str, Any] = {"batch_size": 32, "scaling": "none", **options}
    return nd.RecordingDataModule(
        home / STORE,
        inputs=work.name,
        target="",
        split=nd.split_by("time"),
        window_seconds=work.window_seconds,
        rate_hz=work.rate_hz,
        **settings,
    )


def draw_requests(dataset: WindowDataset, work: Work, n_batches: int, batch_size: int, seed: int) -> list[Request]:
    """Draw batches of random windows, with replacement."""
    rng = np.random.default_rng(seed)
    number = {f"made/{name}": position for position, name in enumerate(work.names())}
    requests = []
    for indices in rng.integers(0, len(dataset), (n_batches, batch_size)).tolist():
        places = [dataset.windows.locate(index) for index in indices]
        requests.append(Request(indices, [number[name] for name, _ in places], [int(first) for _, first in places]))
    return requests


def ours(dataset: WindowDataset) -> Contender:
    """Our dataset, a batch at a time."""

    def get(request: Request) -> Values:
        found = dataset.__getitems__(request.indices)
        return collate(found).values if isinstance(found, list) else found.values

    return get


def torch_brain_dataset(work: Work, home: Path, *, keep_files_open: bool) -> Contender:
    """torch_brain's Dataset with a transform that returns the window, and its collate."""
    from torch_brain.batching import collate as join
    from torch_brain.datasets import Dataset, DatasetIndex

    dataset = Dataset(home / TORCH_BRAIN, transform=_transform(work), keep_files_open=keep_files_open)
    names = work.names()

    def get(request: Request) -> Values:
        samples = []
        for recording, first in zip(request.recordings, request.firsts, strict=True):
            start = first / work.rate_hz
            samples.append(dataset[DatasetIndex(names[recording], start, start + work.window_seconds)])
        joined: Tensor = join(samples)
        return joined

    return get


def torch_brain_in_memory(work: Work, home: Path) -> Contender:
    """torch_brain's Data, read whole into RAM and sliced directly: its Dataset has no such mode.

    Its Dataset copies the recording's object for each window, which costs nothing while the values are in a file and
    everything once they are in memory.
    """
    from torch_brain.batching import collate as join
    from torch_brain.data import Data

    recordings = [Data.load(home / TORCH_BRAIN / f"{name}.h5", lazy=False) for name in work.names()]
    transform = _transform(work)

    def get(request: Request) -> Values:
        samples = []
        for recording, first in zip(request.recordings, request.firsts, strict=True):
            start = first / work.rate_hz
            samples.append(transform(recordings[recording].slice(start, start + work.window_seconds)))
        joined: Tensor = join(samples)
        return joined

    return get


def _transform(work: Work) -> Callable[[Any], Tensor]:
    """What torch_brain makes of a slice: the window's values as a tensor."""
    from torch_brain.utils.binning import bin_spikes

    if work.name != "spikes":
        return lambda data: torch.from_numpy(data.samples.values)
    bin_seconds = 1 / work.rate_hz

    def count(data: Any) -> Tensor:
        return torch.from_numpy(bin_spikes(data.spikes, work.n_channels, bin_seconds, dtype=np.float32))

    return count


def torch_brain_batches(work: Work, home: Path, seed: int) -> tuple[int, Callable[[int], Iterator[Tensor]]]:
    """Return the windows of an epoch and what iterates over it: torch_brain's Dataset, sampler, collate and DataLoader."""
    from torch_brain.batching import collate as join
    from torch_brain.datasets import Dataset
    from torch_brain.samplers import RandomFixedWindowSampler

    dataset = Dataset(home / TORCH_BRAIN, transform=_transform(work))
    sampler = RandomFixedWindowSampler(
        sampling_intervals=dataset.get_sampling_intervals(),
        window_length=work.window_seconds,
        generator=torch.Generator().manual_seed(seed),
    )
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=32, sampler=sampler, collate_fn=join, num_workers=0)
    return len(sampler), lambda n_batches: islice(iter(loader), n_batches)


def plain_h5py(work: Work, home: Path) -> Contender:
    """h5py on chunked, compressed files (a window per chunk), one read per window; spikes found with binary search."""
    files = [h5py.File(home / CHUNKED / f"{name}.h5") for name in work.names()]
    if work.name == "spikes":
        times = [file["times"][:] for file in files]  # the search needs them; units are read window by window

        def units_of(recording: int, begin: int, end: int) -> NDArray[np.int32]:
            return np.asarray(files[recording]["units"][begin:end])

        return _counter(work, times, units_of)
    sets = [file["values"] for file in files]
    return _stacker(work, lambda recording, first, after: sets[recording][first:after])


def zarr_python(work: Work, home: Path) -> Contender:
    """zarr-python on our store, one read per window."""
    groups = [zarr.open_group(home / STORE / "made" / name, mode="r") for name in work.names()]
    if work.name == "spikes":
        times = [np.asarray(group["events/spikes/time"][:]) for group in groups]
        found = [group["events/spikes/unit"] for group in groups]
        return _counter(work, times, lambda recording, begin, end: np.asarray(found[recording][begin:end]))
    arrays = [group[f"signals/{work.name}/{work.name}"] for group in groups]
    return _stacker(work, lambda recording, first, after: arrays[recording][first:after])


def ram_copy(work: Work, home: Path) -> Contender:
    """The limit: numpy copies the windows from RAM into an array that is there already."""
    out = np.empty((32, work.window_samples, work.n_channels), np.float32)
    if work.name == "spikes":
        files = [np.load(home / PLAIN / f"{name}.npz") for name in work.names()]
        times, units = [file["times"] for file in files], [file["units"] for file in files]
        return _counter(work, times, lambda recording, begin, end: units[recording][begin:end])
    recordings = [np.load(home / PLAIN / f"{name}.npy") for name in work.names()]
    length = work.window_samples

    def get(request: Request) -> Values:
        for row, (recording, first) in enumerate(zip(request.recordings, request.firsts, strict=True)):
            out[row] = recordings[recording][first : first + length]
        return out[: len(request.firsts)]

    return get


def _stacker(work: Work, read: Callable[[int, int, int], Any]) -> Contender:
    """Windows read one by one into an array that is there already."""
    out = np.empty((32, work.window_samples, work.n_channels), np.float32)
    length = work.window_samples

    def get(request: Request) -> Values:
        for row, (recording, first) in enumerate(zip(request.recordings, request.firsts, strict=True)):
            out[row] = read(recording, first, first + length)
        return out[: len(request.firsts)]

    return get


def _counter(
    work: Work, times: Sequence[NDArray[np.float64]], units_of: Callable[[int, int, int], NDArray[np.int32]]
) -> Contender:
    """Spikes of each window found by binary search and counted with one ``bincount`` per window."""
    out = np.empty((32, work.window_samples, work.n_channels), np.float32)
    n_cells = work.window_samples * work.n_channels

    def get(request: Request) -> Values:
        for row, (recording, first) in enumerate(zip(request.recordings, request.firsts, strict=True)):
            edges = np.arange(first, first + work.window_samples + 1) / work.rate_hz
            begin, end = np.searchsorted(times[recording], edges[[0, -1]])
            bins = np.searchsorted(edges, times[recording][begin:end], side="right") - 1
            cells = bins * work.n_channels + units_of(recording, int(begin), int(end))
            out[row] = np.bincount(cells, minlength=n_cells).reshape(work.window_samples, work.n_channels)
        return out[: len(request.firsts)]

    return get


def check_equal(work: Work, contenders: dict[str, Contender], request: Request, reference: str) -> None:
    """Raise where a contender returns other values than the reference does.

    Raises
    ------
    ValueError
        If shapes or any value differ; says whose, and how many.
    """
    wanted = np.array(contenders[reference](request))
    for name, get in contenders.items():
        found = np.array(get(request))
        if found.shape != wanted.shape or not np.array_equal(found, wanted):
            differing = "shapes" if found.shape != wanted.shape else f"{int((found != wanted).sum())} values"
            raise ValueError(f"{work.name}: {name} and {reference} differ in {differing}; nothing was timed")
