"""Neural Latents Benchmark: binned spikes of trials in HDF5, as nlb_tools writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.checks import check_positive
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal, make_validity

from ..base import Claim
from ..format_loader import FormatLoader
from ..hdf5 import is_hdf5
from ..options import OptionError
from ._spikes_nlb import SPLITS, Laid, Layout, find_layouts, lay_out, read_per_trial
from ._spikes_tables import flat_columns, safe_columns

_BIN_MS = 5.0
"""nlb_tools, make_tensors.make_eval_target_tensors: a group without a number behind its name has bins of 5 ms."""
_SUFFIX = re.compile(r"_(\d{1,3})$")
_DATASETS = re.compile(r"(mc_maze(_small|_medium|_large)?|mc_rtt|area2_bump|dmfc_rsg)(_\d+)?")
_CITATION = "Pei F et al. 2021, Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks, arXiv:2109.04463"


class NlbH5(FormatLoader):
    """HDF5 files of the Neural Latents Benchmark: train and eval input, targets, and submissions of rates.

    A file holds arrays of shape ``(trial, bin, neuron)`` called ``train_spikes_heldin``, ``eval_spikes_heldout``,
    ``train_behavior`` …, by themselves or in one group per data set (``mc_maze``, ``mc_rtt_20``); each group is a
    recording. Trials are laid out one after the other, those of ``train`` first:

    - ``signals/spike_counts``: spikes per bin of held-in and held-out neurons (channel column ``group``), integers
      where the file has integers for all of them. Held-out neurons of a split that lacks them are NaN, as is the
      padding of trials of unequal length. ``signals/spike_counts_forward``: the bins right after each trial.
    - ``signals/rates``, ``rates_forward``, ``psth``: of submissions and targets. ``signals/behavior``: the columns of
      ``*_behavior``, unit and name unknown to the file. Other ``(trial, bin, column)`` arrays under their own name.
    - ``intervals/trials``: ``split`` as in the file, ``trial`` (number within its split), and every array with one row
      per trial as columns (``behavior_0`` …, ``decode_mask_0`` …).

    Odd: files know neither when trials took place nor in which order, so they are put a stated gap apart
    (``gap_seconds`` after the longest trial with its forward bins); only times within a trial mean something.
    nlb_tools shifts behaviour against spikes by a lag of its own (80 ms in ``mc_maze``): a bin of behaviour is the one
    that is decoded from that bin of spikes, as in the file. The bin width is the number behind a group's name in ms,
    ``--set bin_ms=`` where given, and 5 ms otherwise (what nlb_tools means by a name without number). A neuron has the
    same ``channel_id`` in counts, forward bins and rates; files of one data set may be other selections of trials.

    Not read: arrays that are no numbers, which are listed in ``metadata["extra"]["not_read"]``.

    Parameters
    ----------
    raw
        A file, or a folder that is searched for them.
    bin_ms
        Width of a bin in milliseconds.
    gap_seconds
        Time between the end of the longest trial and the next one.

    References
    ----------
    Pei F et al. 2021, arXiv:2109.04463; nlb_tools/make_tensors.py (github.com/neurallatents/nlb_tools).
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(
        self, raw: str | Path, *, bin_ms: float | None = None, gap_seconds: float = 1.0, **common: str | None
    ) -> None:
        super().__init__(raw, bin_ms=bin_ms, gap_seconds=gap_seconds, **common)
        if bin_ms is not None:
            check_positive("option 'bin_ms'", bin_ms)
        if not 0 <= gap_seconds < 1e6:
            raise OptionError(f"option 'gap_seconds' is 0 or more seconds, got {gap_seconds}")
        self.bin_ms, self.gap_seconds = bin_ms, gap_seconds

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return one recording per group of an HDF5 file that holds the benchmark's arrays."""
        if not is_hdf5(path):
            return []
        return [Claim(path, (path,), layout.group) for layout in find_layouts(path)]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return the trials of one file or group.

        Raises
        ------
        RawFileError
            If arrays of one split differ in trials or bins, or splits in neurons.
        """
        layout = next((entry for entry in find_layouts(claim.path) if entry.group == claim.part), None)
        if layout is None:
            raise RawFileError(f"{claim.path}: group {claim.part!r} is no longer there; was the file replaced?")
        bin_ms, source = self._bin_width(layout)
        laid = {name: lay_out(layout, whats) for name, whats in _group(layout).items()}
        clock = _Clock.of(laid, layout.n_trials, bin_ms / 1000, self.gap_seconds)
        signals = {name: _signal(name, signal, clock, source) for name, signal in laid.items()}
        extra: dict[str, Any] = {
            "time": f"trials are laid out {self.gap_seconds:g} s apart; when they took place is not in the file",
        }
        if layout.not_read:
            extra["not_read"] = layout.not_read[:100]
        known = _DATASETS.fullmatch(layout.group)
        metadata = self.describe(
            session,
            modality="spikes",
            # All animals of these data sets are rhesus macaques (Pei et al. 2021, appendix on data sets).
            subject={"species": "Macaca mulatta"} if known else None,
            task=known[1] if known else None,
            citation=_CITATION if known else None,
            extra=extra,
        )
        intervals = {"trials": _trials(layout, clock), **make_validity(signals)}
        return Recording(metadata, signals, intervals=intervals)

    def _bin_width(self, layout: Layout) -> tuple[float, str]:
        """Milliseconds per bin, and who says so."""
        match = _SUFFIX.search(layout.group)
        if self.bin_ms is not None:
            return self.bin_ms, "option bin_ms"
        if match and int(match[1]):
            return float(match[1]), f"name of the group {layout.group!r}"
        return _BIN_MS, "5 ms, nlb_tools' bin width where no other is named"


class _Clock:
    """When the trials of each split begin."""

    def __init__(self, bin_seconds: float, n_trials: dict[str, int], lengths: dict[str, int], stride: int) -> None:
        self.bin_seconds, self.n_trials, self.lengths, self.stride = bin_seconds, n_trials, lengths, stride

    @classmethod
    def of(cls, laid: dict[str, Laid], n_trials: dict[str, int], bin_seconds: float, gap_seconds: float) -> _Clock:
        def longest(forward: bool) -> dict[str, int]:
            found = dict.fromkeys(n_trials, 0)
            for name, signal in laid.items():
                if name.endswith("_forward") == forward:
                    found |= {split: max(found[split], bins) for split, bins in signal.n_bins.items()}
            return found

        lengths, ahead = longest(False), longest(True)
        gap = round(gap_seconds / bin_seconds)
        stride = max(lengths[split] + ahead[split] for split in n_trials) + gap
        return cls(bin_seconds, n_trials, lengths, stride)

    def starts(self, split: str) -> NDArray[np.float64]:
        """Start of each trial of a split in seconds."""
        before = sum(count for other, count in self.n_trials.items() if SPLITS.index(other) < SPLITS.index(split))
        trials = before + np.arange(self.n_trials[split], dtype=np.float64)
        return trials * (self.stride * self.bin_seconds)


def _group(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Which arrays make which signal, side by side."""
    groups: dict[str, tuple[str, ...]] = {}
    for name, stem in (("spike_counts", "spikes"), ("rates", "rates")):
        for ending in ("", "_forward"):
            whats = [what for what in (f"{stem}_heldin{ending}", f"{stem}_heldout{ending}") if what in layout.samples]
            if whats:
                groups[name + ending] = tuple(whats)
    used = {what for whats in groups.values() for what in whats}
    others = {what: np.zeros(0) for what in layout.samples if what not in used}
    return groups | {safe: (what,) for safe, what in zip(safe_columns(others, {*groups, "channel"}), others)}


def _signal(name: str, laid: Laid, clock: _Clock, source: str) -> xr.DataArray:
    starts, firsts, position = [], [], 0
    for split, bins in laid.n_bins.items():
        ahead = clock.lengths[split] if name.endswith("_forward") else 0
        begin = clock.starts(split) + ahead * clock.bin_seconds
        starts += begin.tolist()
        firsts += (position + bins * np.arange(len(begin))).tolist()
        position += bins * len(begin)
    ids, groups = _channels(laid)
    behavior = name.startswith("behavior")
    note: dict[str, Any] = {"time_note": "shifted against spikes by nlb_tools' lag of the data set"} if behavior else {}
    counts = name.startswith("spike_counts")
    return make_signal(
        laid.lazy(),
        channel_id=ids,
        units="spikes/bin" if counts else "a.u.",
        role="behavior" if behavior else "neural",
        rate_hz=1 / clock.bin_seconds,
        segments=(starts, firsts),
        columns={"group": groups} if not behavior else None,
        sampling_rate_source=source,
        **note,
    )


def _channels(laid: Laid) -> tuple[list[str], list[str]]:
    """Names of the columns, the same for the same neuron, and which group each is of."""
    ids, groups = [], []
    for what, width in laid.columns.items():
        group = "heldin" if "heldin" in what else "heldout" if "heldout" in what else what
        ids += [f"{group}{column:03d}" for column in range(width)]
        groups += [group] * width
    return ids, groups


def _trials(layout: Layout, clock: _Clock) -> xr.Dataset:
    splits = list(clock.n_trials)
    start = np.concatenate([clock.starts(split) for split in splits])
    counts = [clock.n_trials[split] for split in splits]
    columns: dict[str, Any] = {
        "split": np.repeat(splits, counts),
        "trial": np.concatenate([np.arange(count) for count in counts]),
    }
    more: dict[str, NDArray[Any]] = {}
    for what, blocks in layout.per_trial.items():
        read = {split: read_per_trial(layout, block) for split, block in blocks.items()}
        width = max(values.shape[1] for values in read.values())
        rows = [read.get(split, np.full((clock.n_trials[split], width), np.nan)) for split in splits]
        if all(values.shape[1] == width for values in rows):
            kept = np.concatenate(rows)
            more |= flat_columns(what, kept, most=64)
    stop = start + np.repeat([clock.lengths[split] * clock.bin_seconds for split in splits], counts)
    return make_intervals(start, stop, **columns, **safe_columns(more, {*columns, "start", "stop", "interval"}))
