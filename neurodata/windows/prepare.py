"""A recording as a run looks at it: chosen channels, resampled to one clock, with its target on the same clock.

Nothing here is written back: the store keeps raw values, these are views of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.identity import celegans
from neurodata.recording.recording import Recording
from neurodata.recording.timed import check_seconds, clock_of
from neurodata.windows.align import codes_at, grid, resample
from neurodata.windows.counts import count_events
from neurodata.windows.select import whole_samples
from neurodata.windows.spec import BY_ID, BY_LABEL, BY_ORDER, CLASS, CONTINUOUS, NO_TARGET, DataSpec
from neurodata.windows.splits import Stretch

NAMED, ALL = "named", "all"
WORM = "Caenorhabditis elegans"
NOT_LABELLED = -1
"""Class code of a sample that no interval covers."""


@dataclass(frozen=True)
class Prepared:
    """One recording on a run's clock.

    Parameters
    ----------
    recording_id
        Where it comes from.
    rate_hz
        Sample ``k`` was taken at ``k / rate_hz`` seconds from the session's start.
    values
        Physical values, NaN where nothing was recorded, float32 ``(time, channel)``.
    channel_ids
        Position in the vocabulary plus one, 0 where the channel's identity is unknown, ``(channel,)``.
    target
        Class codes int64 ``(time,)`` (-1: not labelled), or float32 ``(time, output)`` (NaN: not recorded), or None.
    """

    recording_id: str
    rate_hz: float
    values: NDArray[np.float32]
    channel_ids: NDArray[np.int64]
    target: NDArray[np.int64] | NDArray[np.float32] | None

    def samples(self, stretch: Stretch) -> slice:
        """Return the samples taken in ``[start, stop)``."""
        first, last = (int(np.ceil(t * self.rate_hz - 1e-9)) for t in (stretch.start, stretch.stop))
        return slice(max(0, first), min(len(self.values), max(first, last)))


def prepare(recording: Recording, spec: DataSpec, *, channels: str = NAMED, causal: bool = False) -> Prepared:
    """Return a recording on the clock of a `DataSpec`: a signal's samples, or events counted in the clock's bins.

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
    check_option("choice of channels", channels, (NAMED, ALL))
    ids = channel_ids(identities(recording, spec.signal, spec.identity), spec.vocabulary)
    kept = np.flatnonzero(ids > 0) if channels == NAMED else np.arange(ids.size)
    if kept.size == 0:
        raise NeurodataError(
            f"{recording.recording_id}: no channel of {spec.signal!r} has a {spec.identity} of the vocabulary; take "
            "channels='all', or another identity ('label', 'channel_id', 'order')"
        )
    times = grid(0.0, recording.duration_seconds, spec.rate_hz)
    values = _sampled(recording, spec.signal, times, spec.rate_hz, causal, kept)
    return Prepared(recording.recording_id, spec.rate_hz, values, ids[kept], _target(recording, spec, times, causal))


def _sampled(
    recording: Recording, name: str, times: NDArray[np.float64], rate_hz: float, causal: bool, kept: NDArray[np.int64]
) -> NDArray[np.float32]:
    """A signal at the times of a clock, or events counted in its bins, ``(time, channel)``.

    A regular signal of the same rate is taken sample by sample, the nearest one: its values (spike counts, say) are not
    interpolated for the sake of an offset of half a sample.
    """
    if name in recording.events:
        table, n_units = recording.events[name], _units_of(recording, name).size
        spikes, units = np.asarray(table[names.TIME].values), np.asarray(table[names.UNIT].values)
        return count_events(spikes, units, n_units, rate_hz, len(times))[:, kept]
    signal = recording.signals[name]
    check_seconds(signal)
    raw = np.asarray(signal.isel({names.CHANNEL: kept}).values, np.float64)
    clock = clock_of(signal)
    if clock is not None and len(clock.segments()[0]) == 1 and np.isclose(clock.rate_hz, rate_hz, rtol=1e-9, atol=0):
        nearest = np.round((times - clock.segments()[0][0]) * rate_hz).astype(np.int64)
        there = (nearest >= 0) & (nearest < len(raw))
        values = np.full((len(times), kept.size), np.nan, np.float32)
        values[there] = raw[nearest[there]]
        return values
    return resample(raw, np.asarray(signal[names.TIME].values), times, causal=causal).astype(np.float32)


def _units_of(recording: Recording, events: str) -> NDArray[np.str_]:
    """Ids of the units that events point into, ``(unit,)``."""
    if recording.units is None or names.UNIT not in recording.events[events]:
        raise NeurodataError(
            f"{recording.recording_id}: events {events!r} belong to no units, so they have no channels to be counted by"
        )
    return np.asarray(recording.units["unit_id"].values, dtype=np.str_)


def identities(recording: Recording, name: str, identity: str) -> NDArray[np.str_]:
    """Return what each channel of a signal (or unit of events) is known by, ``""`` where unknown, ``(channel,)``.

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
        signal = recording.signals[name]
        ids = np.asarray(signal.coords[names.CHANNEL_ID].values, dtype=np.str_)
        labels = signal.coords.get(names.LABEL)
    if identity == BY_ORDER:
        return np.asarray([str(position) for position in range(ids.size)])
    if identity == BY_ID:
        return ids
    return np.full(ids.size, "", np.str_) if labels is None else np.asarray(labels.values, dtype=np.str_)


def channel_ids(labels: NDArray[np.str_], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """Return position in the vocabulary plus one per label, 0 for labels it does not hold."""
    position = {name: i + 1 for i, name in enumerate(vocabulary)}
    return np.asarray([position.get(label, 0) for label in labels.tolist()], dtype=np.int64)


def _target(
    recording: Recording, spec: DataSpec, times: NDArray[np.float64], causal: bool
) -> NDArray[np.int64] | NDArray[np.float32] | None:
    if spec.target_kind == CLASS:
        found = _classes_of(recording, spec.target)
        position = {name: i for i, name in enumerate(spec.classes)}
        codes = codes_at(recording.intervals[spec.target], times)
        target = np.full(codes.shape, NOT_LABELLED, dtype=np.int64)
        for code, name in found.items():
            target[codes == code] = position.get(name, NOT_LABELLED)
        return target
    if spec.target_kind == CONTINUOUS:
        outputs = _outputs(recording, spec.target, spec.identity)
        _check_outputs(spec.classes, tuple(outputs.tolist()), recording.recording_id)
        return _sampled(recording, spec.target, times, spec.rate_hz, causal, np.arange(outputs.size))
    return None


def make_spec(
    recordings: Iterable[Recording],
    *,
    inputs: str,
    rate_hz: float,
    window_seconds: float,
    target: str = "",
    identity: str = BY_LABEL,
) -> DataSpec:
    """Return the `DataSpec` of a set of recordings.

    The vocabulary is the table of all 302 neurons where every recording is of *C. elegans* and channels are known by
    their labels, so that models of different worms share it; else the labels, ids or positions that occur, sorted.

    Parameters
    ----------
    recordings
        Recordings a model will be trained on.
    inputs
        Name of the input signal, or of events whose units are counted in the clock's bins.
    rate_hz
        Rate of the windows' clock.
    window_seconds
        Length of a window; must be a whole number of samples.
    target
        Name of an interval table (a class per sample), or of a signal or events of units (continuous), ``""`` for none.
    identity
        What makes two channels the same one; see `DataSpec`.

    Raises
    ------
    NeurodataError
        If a signal or target is missing somewhere, recordings disagree about the target's kind, classes or channels,
        or the window is not a whole number of samples.
    """
    check_positive("rate_hz", rate_hz)
    samples = whole_samples(window_seconds, rate_hz)
    labels: set[str] = set()
    classes: dict[int, str] = {}
    kinds: set[str] = set()
    outputs: tuple[str, ...] | None = None
    worms = identity == BY_LABEL
    for recording in recordings:
        labels |= set(identities(recording, inputs, identity).tolist()) - {""}
        worms &= recording.metadata["subject"]["species"] == WORM
        kind, found = _target_of(recording, target, identity)
        kinds.add(kind)
        if kind == CLASS:
            _merge_classes(classes, found, recording.recording_id)
        elif kind == CONTINUOUS:
            outputs = tuple(found.values()) if outputs is None else outputs
            _check_outputs(outputs, tuple(found.values()), recording.recording_id)
    if len(kinds) != 1:
        raise NeurodataError(
            f"recordings disagree about the target {target!r}: {', '.join(sorted(kinds)) or 'there are none'}"
        )
    vocabulary = celegans.NAMES if worms else tuple(sorted(labels))
    groups = _worm_pairs() if worms else ()
    # Two codes may mean the same; the class is its name.
    named = tuple(dict.fromkeys(classes[code] for code in sorted(classes))) or outputs or ()
    return DataSpec(inputs, float(rate_hz), samples, vocabulary, groups, target, kinds.pop(), named, identity)


def _worm_pairs() -> tuple[str, ...]:
    """Name of the left-right pair of each worm neuron; an unpaired neuron is its own."""
    neurons = celegans.table()
    return tuple(
        min(name, partner) if partner else name for name, partner in zip(neurons["name"], neurons["left_right"])
    )


def _outputs(recording: Recording, target: str, identity: str) -> NDArray[np.str_]:
    """Names of a continuous target's channels; labels need not be unique, so ids stand for them."""
    return identities(recording, target, BY_ORDER if identity == BY_ORDER else BY_ID)


def _target_of(recording: Recording, target: str, identity: str) -> tuple[str, dict[int, str]]:
    """Kind of the target, and its classes by code or its channels by position."""
    if not target:
        return NO_TARGET, {}
    if target in recording.intervals:
        return CLASS, _classes_of(recording, target)
    if target in recording.signals or target in recording.events:
        return CONTINUOUS, dict(enumerate(_outputs(recording, target, identity).tolist()))
    raise NeurodataError(
        f"{recording.recording_id} has no target {target!r}; it has intervals {', '.join(recording.intervals) or 'none'}, "
        f"signals {', '.join(recording.signals) or 'none'} and events {', '.join(recording.events) or 'none'}"
    )


def _classes_of(recording: Recording, target: str) -> dict[int, str]:
    """Name of each code of an interval table."""
    table = recording.intervals[target]
    if names.CODE not in table or names.LABEL not in table:
        raise NeurodataError(f"{recording.recording_id}: intervals {target!r} need the columns 'code' and 'label'")
    return dict(zip(table[names.CODE].values.tolist(), table[names.LABEL].values.tolist()))


def _check_outputs(expected: tuple[str, ...], found: tuple[str, ...], recording_id: str) -> None:
    if expected != found:
        raise NeurodataError(
            f"{recording_id}: the target's channels are {', '.join(found)}; expected {', '.join(expected)}"
        )


def _merge_classes(classes: dict[int, str], found: dict[int, str], recording_id: str) -> None:
    for code, name in found.items():
        if classes.setdefault(code, name) != name:
            raise NeurodataError(
                f"{recording_id}: code {code} means {name!r}, but {classes[code]!r} in other recordings"
            )
