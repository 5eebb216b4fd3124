"""Trials of a Neural Latents Benchmark file, laid out one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from xarray.core.indexing import LazilyIndexedArray

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows

from ..hdf5 import open_hdf5

SPLITS = ("train", "valid", "val", "test", "eval")
"""Order in which the trials of a file are laid out."""
_KEY = re.compile(rf"({'|'.join(SPLITS)})_(\w{{1,64}})")
_KNOWN = re.compile(r"(spikes|rates)_held(in|out)(_forward)?|behavior|data|encod_data|recon_data")
"""What one of has to be there with three dimensions."""
_MOST_PER_TRIAL = 64 << 20


@dataclass(frozen=True)
class Block:
    """One array of the file: its place, shape ``(trial, …)`` and type."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Layout:
    """What a file (or a group in it) holds.

    Parameters
    ----------
    path, group
        Where it lies; the group is empty for the file's own datasets.
    samples
        What it is (``spikes_heldin``, ``behavior`` …) → split → array of shape ``(trial, bin, column)``.
    per_trial
        What it is → split → array of shape ``(trial,)`` or ``(trial, column)``.
    not_read
        Names of datasets that are neither.
    """

    path: Path
    group: str
    samples: dict[str, dict[str, Block]] = field(default_factory=dict)
    per_trial: dict[str, dict[str, Block]] = field(default_factory=dict)
    not_read: list[str] = field(default_factory=list)

    @property
    def n_trials(self) -> dict[str, int]:
        """Split → number of trials.

        Raises
        ------
        RawFileError
            If the arrays of a split disagree; names two of them.
        """
        counted: dict[str, Block] = {}
        for blocks in (*self.samples.values(), *self.per_trial.values()):
            for split, block in blocks.items():
                other = counted.setdefault(split, block)
                if block.shape[0] != other.shape[0]:
                    raise RawFileError(
                        f"{self.path}: {block.key!r} has {block.shape[0]} trials and {other.key!r} has "
                        f"{other.shape[0]}; expected the same number in every array of {split!r}"
                    )
        return {split: counted[split].shape[0] for split in SPLITS if split in counted}


def find_layouts(path: Path) -> list[Layout]:
    """Return what an HDF5 file holds of the benchmark: its own datasets, and those of each of its groups."""
    with open_hdf5(path) as file:
        groups: list[tuple[str, Any]] = [("", file)]
        groups += [(name, node) for name, node in _members(file) if isinstance(node, h5py.Group)]
        layouts = [_read_layout(path, name, node) for name, node in groups]
    return [
        layout
        for layout in layouts
        if any(_KNOWN.fullmatch(what) for what in layout.samples) and any(layout.n_trials.values())
    ]


def _members(node: Any) -> Iterator[tuple[str, Any]]:
    for name in node:
        try:
            yield str(name), node[name]
        except (KeyError, OSError, RuntimeError):
            continue


def _read_layout(path: Path, group: str, node: Any) -> Layout:
    layout = Layout(path, group)
    for name, dataset in _members(node):
        if not isinstance(dataset, h5py.Dataset):
            continue
        match = _KEY.fullmatch(name)
        # The only array without a split: nlb_tools makes PSTHs of the trials that are evaluated.
        split, what = (match[1], match[2]) if match else ("eval", name) if name == "psth" else ("", "")
        shape: tuple[int, ...] = dataset.shape or ()
        if not split or dataset.dtype.kind not in "biuf" or not 1 <= len(shape) <= 3 or shape[-1] == 0:
            layout.not_read.append(name)
            continue
        kept = layout.samples if len(shape) == 3 else layout.per_trial
        kept.setdefault(what, {})[split] = Block(f"{group}/{name}" if group else name, shape, dataset.dtype)
    return layout


def read_per_trial(layout: Layout, block: Block) -> NDArray[Any]:
    """Return an array with one row per trial, shape ``(trial, column)``."""
    if np.prod(block.shape, dtype=np.float64) * block.dtype.itemsize > _MOST_PER_TRIAL:
        raise RawFileError(f"{layout.path}: {block.key!r} of shape {block.shape} is larger than any table of trials is")
    values = _read(layout.path, block.key, slice(None))
    return values.reshape(len(values), -1)


def _read(path: Path, key: str, rows: slice) -> NDArray[Any]:
    try:
        with open_hdf5(path) as file:
            return np.asarray(file[key][rows])
    except (OSError, RuntimeError, KeyError, ValueError, MemoryError) as error:
        raise RawFileError(f"{path}: {key!r} cannot be read ({error}); fetch the file again") from error


@dataclass(frozen=True, eq=False)
class Laid:
    """One signal: arrays side by side as columns, splits and trials one after the other as rows.

    Parameters
    ----------
    layout
        The file.
    columns
        What each group of columns is → its number of columns.
    n_trials, n_bins
        Split → its trials, and bins per trial; only splits that have any of the arrays.
    """

    layout: Layout
    columns: dict[str, int]
    n_trials: dict[str, int]
    n_bins: dict[str, int]

    @property
    def shape(self) -> tuple[int, int]:
        """``(time, channel)``."""
        n_rows = sum(self.n_trials[split] * bins for split, bins in self.n_bins.items())
        return n_rows, sum(self.columns.values())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Integers where nothing is missing; float32 for neural, the file's type for other values."""
        blocks = [self.layout.samples[what].get(split) for what in self.columns for split in self.n_bins]
        kinds = [block.dtype for block in blocks if block is not None]
        common = np.result_type(*[np.int8 if kind.kind == "b" else kind.newbyteorder("=") for kind in kinds])
        if common.kind in "iu" and None not in blocks:
            return common
        exact = any(what.startswith("behavior") for what in self.columns)
        return np.dtype(np.float64 if exact and common.itemsize > 4 else np.float32)

    def lazy(self) -> LazilyIndexedArray:
        """The values, read where they are asked for; NaN where a split has some of the columns only."""
        return lazy_rows(self.shape, self.dtype, self._rows)

    def _rows(self, first: int, after: int) -> NDArray[Any]:
        values = np.empty((after - first, self.shape[1]), self.dtype)
        begin = 0
        for split, bins in self.n_bins.items():
            end = begin + self.n_trials[split] * bins
            low, high = max(first, begin), min(after, end)
            if low < high:
                self._fill(values[low - first : high - first], split, low - begin, high - begin)
            begin = end
        return values

    def _fill(self, out: NDArray[Any], split: str, low: int, high: int) -> None:
        """Rows ``low`` to ``high`` of a split, of which only the trials that hold them are read."""
        bins = self.n_bins[split]
        trials = slice(low // bins, -(-high // bins))
        column = 0
        for what, width in self.columns.items():
            block = self.layout.samples[what].get(split)
            if block is None:
                out[:, column : column + width] = np.nan
            else:
                read = _read(self.layout.path, block.key, trials).reshape(-1, width)
                out[:, column : column + width] = read[low - trials.start * bins : high - trials.start * bins]
            column += width


def lay_out(layout: Layout, whats: tuple[str, ...]) -> Laid:
    """Put arrays side by side.

    Raises
    ------
    RawFileError
        If they differ in bins within a split, or in columns between splits; names two of them.
    """
    columns: dict[str, int] = {}
    n_bins: dict[str, int] = {}
    first: dict[str, Block] = {}
    for what in whats:
        for split in SPLITS:
            block = layout.samples[what].get(split)
            if block is None:
                continue
            if columns.setdefault(what, block.shape[2]) != block.shape[2]:
                raise RawFileError(
                    f"{layout.path}: {block.key!r} has {block.shape[2]} columns, another split {columns[what]}; "
                    "expected the same neurons in both"
                )
            other = first.setdefault(split, block)
            if block.shape[1] != other.shape[1]:
                raise RawFileError(
                    f"{layout.path}: {block.key!r} has {block.shape[1]} bins per trial and {other.key!r} "
                    f"{other.shape[1]}; expected the same"
                )
            n_bins[split] = block.shape[1]
    counts = layout.n_trials
    ordered = {split: n_bins[split] for split in SPLITS if split in n_bins}
    return Laid(layout, columns, {split: counts[split] for split in ordered}, ordered)
