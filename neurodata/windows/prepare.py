"""A recording as a run looks at it: chosen channels, resampled to one clock, with its target on the same clock.

Nothing here is written back: the store keeps raw values, these are views of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.recording.bins import event_bins
from neurodata.recording.recording import Recording
from neurodata.recording.timed import check_seconds, clock_of
from neurodata.windows.activity import Activity, Counts, Samples, make_counts
from neurodata.windows.align import codes_at, resample
from neurodata.windows.spec import BY_ID, BY_ORDER, BY_RECORDING, BY_SUBJECT, CLASS, CONTINUOUS, DataSpec
from neurodata.windows.splits import Stretch
from neurodata.windows.views import View, apply_views, channels_after

NAMED, ALL = "named", "all"
NOT_LABELLED = -1
"""Class code of a sample that no interval covers."""

BLOCK_VALUES = 1 << 23
"""Values decoded at once where a recording is taken sample by sample: 32 MiB of float32."""


@dataclass(frozen=True)
class Prepared:
    """One recording on a run's clock.

    Parameters
    ----------
    recording_id
        Where it comes from.
    rate_hz
        Sample ``k`` was taken at ``k / rate_hz`` seconds from the session's start.
    activity
        Samples of a signal, or counts of events, ``(time, channel)``.
    channel_ids
        Position in the vocabulary plus one, 0 where the channel's identity is unknown, ``(channel,)``.
    target
        Class codes int64 ``(time,)`` (-1: not labelled), or float32 ``(time, output)`` (NaN: not recorded), or None.
    """

    recording_id: str
    rate_hz: float
    activity: Activity
    channel_ids: NDArray[np.int64]
    target: NDArray[np.int64] | NDArray[np.float32] | None

    def __len__(self) -> int:
        return self.activity.shape[0]

    @property
    def values(self) -> NDArray[np.float32]:
        """Physical values or counts, NaN where nothing was recorded, float32 ``(time, channel)``."""
        return self.activity.dense()

    def samples(self, stretch: Stretch) -> slice:
        """Return the samples taken in ``[start, stop)``."""
        first, last = (int(np.ceil(t * self.rate_hz - 1e-9)) for t in (stretch.start, stretch.stop))
        return slice(max(0, first), min(len(self), max(first, last)))


def prepare(recording: Recording, spec: DataSpec, *, channels: str = NAMED, causal: bool = False) -> Prepared:
    """Return a recording on the clock of a `DataSpec`: a signal's samples, or events counted in the clock's bins.

    All of it lies in memory then; `neurodata.windows.decoded` keeps the same values on disk.

    Parameters
    ----------
    recording
        What to look at.
    spec
        Signal, rate, vocabulary and target.
    channels
        ``named``: channels whose label is in the vocabulary; ``all``: every channel, unknown ones with id 0.
    causal
        Whether resampling may use later samples (see `neurodata.windows.align.resample`).

    Raises
    ------
    NeurodataError
        If the signal or the target is missing, the rate unknown, the target's channels are not those of the spec, or
        no channel is left.
    """
    kept, ids = choose_channels(recording, spec, channels)
    size = clock_size(recording, spec.rate_hz)
    activity: Activity
    if spec.signal in recording.events:
        activity = counts_of(recording, spec.signal, spec.rate_hz, size, kept)
    else:
        blocks = sample_blocks(input_signal(recording, spec), spec.rate_hz, size, causal, kept)
        values = np.concatenate([block for _, block in blocks])
        activity = Samples(values, complete=bool(np.isfinite(values).all()))
    return Prepared(recording.recording_id, spec.rate_hz, activity, ids, target_of(recording, spec, causal))


def input_signal(recording: Recording, spec: DataSpec) -> xr.DataArray:
    """Return the input signal of a spec with its views applied; lazy where there are none."""
    return apply_views(recording.signals[spec.signal], spec.views)


def clock_size(recording: Recording, rate_hz: float) -> int:
    """Return how many samples a recording has on a run's clock."""
    check_positive("rate_hz", rate_hz)
    return max(0, math.ceil(recording.duration_seconds * rate_hz - 1e-9))


def choose_channels(recording: Recording, spec: DataSpec, channels: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the channels that are taken, and their ids in the vocabulary, each ``(channel,)``."""
    check_option("choice of channels", channels, (NAMED, ALL))
    ids = channel_ids(identities(recording, spec.signal, spec.identity, spec.views), spec.vocabulary)
    kept = np.flatnonzero(ids > 0) if channels == NAMED else np.arange(ids.size)
    if kept.size == 0:
        raise NeurodataError(
            f"{recording.recording_id}: no channel of {spec.signal!r} has a {spec.identity} of the vocabulary; take "
            "channels='all', or another identity ('label', 'channel_id', 'order')"
        )
    return kept, ids[kept]


def counts_of(recording: Recording, events: str, rate_hz: float, size: int, kept: NDArray[np.int64]) -> Counts:
    """Return the events of the kept units, counted in the first ``size`` bins of a clock."""
    table, n_units = recording.events[events], _units_of(recording, events).size
    place = np.full(n_units, -1, np.int64)
    place[kept] = np.arange(kept.size)
    units = np.asarray(table[names.UNIT].values, np.int64)
    if units.size and not 0 <= units.min() <= units.max() < n_units:
        raise NeurodataError(
            f"{recording.recording_id}: 'unit' of events {events!r} runs from {units.min()} to {units.max()}, but there "
            f"are {n_units} units, counted from 0"
        )
    bins = event_bins(np.asarray(table[names.TIME].values), rate_hz, size)
    return make_counts(bins, place[units], (size, kept.size))


def sample_blocks(
    signal: xr.DataArray, rate_hz: float, size: int, causal: bool, kept: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the kept channels of a signal at the first ``size`` samples of a clock, as (first sample, block).

    A regular signal of the same rate is taken sample by sample, the nearest one, and only a block of it lies in memory:
    its values (spike counts, say) are not interpolated for the sake of an offset of half a sample. Any other signal is
    resampled as a whole.
    """
    check_seconds(signal)
    shift = same_clock(signal, rate_hz)
    if shift is None:
        raw, taken = np.asarray(signal.isel({names.CHANNEL: kept}).values), np.asarray(signal[names.TIME].values)
        times = np.arange(size) / rate_hz
        yield 0, resample(raw, taken, times, causal=causal).astype(np.float32)
        return
    rows = max(1, BLOCK_VALUES // max(1, kept.size))
    for first in range(0, size, rows):
        yield first, read_samples(signal, shift, kept, first, min(first + rows, size))
    if size == 0:
        yield 0, np.empty((0, kept.size), np.float32)


def same_clock(signal: xr.DataArray, rate_hz: float) -> int | None:
    """Return which sample of a run's clock a regular signal's first one falls on; None where it must be resampled."""
    clock = clock_of(signal)
    if clock is None or len(clock.segments()[0]) != 1 or not np.isclose(clock.rate_hz, rate_hz, rtol=1e-9, atol=0):
        return None
    # Half a sample late goes to the later one; rounding to even would take every second sample twice.
    return int(np.ceil(clock.segments()[0][0] * rate_hz - 0.5))


def read_samples(
    signal: xr.DataArray, shift: int, kept: NDArray[np.int64], first: int, after: int
) -> NDArray[np.float32]:
    """Return samples ``[first, after)`` of a run's clock, NaN where the signal has none, ``(time, kept)``."""
    begin, end = max(first, shift), min(after, shift + signal.sizes[names.TIME])
    whole = kept.size == signal.sizes[names.CHANNEL]  # kept is increasing
    chosen = slice(None) if whole else kept
    if begin >= end:
        return np.full((after - first, kept.size), np.nan, np.float32)
    found = signal.isel({names.TIME: slice(begin - shift, end - shift), names.CHANNEL: chosen}).values
    if (begin, end) == (first, after):
        return np.asarray(found, np.float32)
    values = np.full((after - first, kept.size), np.nan, np.float32)
    values[begin - first : end - first] = found
    return values


def _units_of(recording: Recording, events: str) -> NDArray[np.str_]:
    """Ids of the units that events point into, ``(unit,)``."""
    if recording.units is None or names.UNIT not in recording.events[events]:
        raise NeurodataError(
            f"{recording.recording_id}: events {events!r} belong to no units, so they have no channels to be counted by"
        )
    return np.asarray(recording.units["unit_id"].values, dtype=np.str_)


def identities(recording: Recording, name: str, identity: str, views: Sequence[View] = ()) -> NDArray[np.str_]:
    """Return what each channel of a viewed signal (or unit of events) is known by, ``""`` where unknown, ``(channel,)``.

    Raises
    ------
    NeurodataError
        If there is no such signal or table of events with units.
    """
    if name in recording.events:
        ids = _units_of(recording, name)
        assert recording.units is not None
        labels = recording.units.get(names.LABEL)
    else:
        signal = channels_after(recording.signals[name], views)
        ids = np.asarray(signal.coords[names.CHANNEL_ID].values, dtype=np.str_)
        labels = signal.coords.get(names.LABEL)
    if identity == BY_ORDER:
        return np.asarray([str(position) for position in range(ids.size)])
    if identity == BY_ID:
        return ids
    if identity in (BY_RECORDING, BY_SUBJECT):
        whose = recording.recording_id if identity == BY_RECORDING else recording.subject_key
        return np.asarray([f"{whose}#{channel_id}" for channel_id in ids.tolist()], np.str_)
    return np.full(ids.size, "", np.str_) if labels is None else np.asarray(labels.values, dtype=np.str_)


def channel_ids(labels: NDArray[np.str_], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """Return position in the vocabulary plus one per label, 0 for labels it does not hold."""
    position = {name: i + 1 for i, name in enumerate(vocabulary)}
    return np.asarray([position.get(label, 0) for label in labels.tolist()], dtype=np.int64)


def target_of(recording: Recording, spec: DataSpec, causal: bool) -> NDArray[np.int64] | NDArray[np.float32] | None:
    """Return the target on the clock of a spec; see `Prepared`."""
    size = clock_size(recording, spec.rate_hz)
    if spec.target_kind == CLASS:
        found = classes_of(recording, spec.target)
        position = {name: i for i, name in enumerate(spec.classes)}
        codes = codes_at(recording.intervals[spec.target], np.arange(size) / spec.rate_hz)
        target = np.full(codes.shape, NOT_LABELLED, dtype=np.int64)
        for code, name in found.items():
            target[codes == code] = position.get(name, NOT_LABELLED)
        return target
    if spec.target_kind == CONTINUOUS:
        outputs = outputs_of(recording, spec.target, spec.identity)
        check_outputs(spec.classes, tuple(outputs.tolist()), recording.recording_id)
        every = np.arange(outputs.size)
        if spec.target in recording.events:
            return counts_of(recording, spec.target, spec.rate_hz, size, every).dense()
        blocks = sample_blocks(recording.signals[spec.target], spec.rate_hz, size, causal, every)
        return np.concatenate([block for _, block in blocks])
    return None


def outputs_of(recording: Recording, target: str, identity: str) -> NDArray[np.str_]:
    """Names of a continuous target's channels; labels need not be unique, so ids stand for them."""
    return identities(recording, target, BY_ORDER if identity == BY_ORDER else BY_ID)


def classes_of(recording: Recording, target: str) -> dict[int, str]:
    """Name of each code of an interval table."""
    table = recording.intervals[target]
    if names.CODE not in table or names.LABEL not in table:
        raise NeurodataError(f"{recording.recording_id}: intervals {target!r} need the columns 'code' and 'label'")
    return dict(zip(table[names.CODE].values.tolist(), table[names.LABEL].values.tolist()))


def check_outputs(expected: tuple[str, ...], found: tuple[str, ...], recording_id: str) -> None:
    if expected != found:
        raise NeurodataError(
            f"{recording_id}: the target's channels are {', '.join(found)}; expected {', '.join(expected)}"
        )
