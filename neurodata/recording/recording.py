"""One session of one subject on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from xarray.backends.common import BackendArray
from xarray.core import indexing
from xarray.core.indexes import PandasIndex

from neurodata import names
from neurodata.checks import check_option
from neurodata.recording.time_index import TimeIndex, TimesIndex, time_coordinates

T = TypeVar("T")
M = TypeVar("M", xr.DataArray, xr.Dataset)
_DEEPEST = 40


class Members(Mapping[str, T]):
    """Named members of a recording; each access makes a fresh view, so nothing can be edited in place."""

    def __init__(self, what: str, members: Mapping[str, T], view: Callable[[T], T]) -> None:
        self._what, self._members, self._view = what, dict(members), view

    def __getitem__(self, name: str) -> T:
        if name not in self._members:
            check_option(self._what, name, self._members)
        return self._view(self._members[name])

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"{self._what}s: {', '.join(self._members) or 'none'}"


class _PhysicalArray(BackendArray):
    """Integers as physical float32, ``integer * scale_factor + add_offset``, computed where they are read."""

    def __init__(self, integers: xr.Variable, scale: Any, offset: Any) -> None:
        self.integers, self.shape, self.dtype = integers, integers.shape, np.dtype(np.float32)
        self.scale = np.broadcast_to(np.asarray(scale, np.float64), integers.shape[1:])
        self.offset = np.broadcast_to(np.asarray(offset, np.float64), integers.shape[1:])

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        values = np.asarray(self.integers[key].values, np.float64)
        return np.asarray(values * self.scale[key[1:]] + self.offset[key[1:]], dtype=np.float32)


def physical(signal: xr.DataArray) -> xr.DataArray:
    """Return an integer signal in its physical units as (lazy) float32; a float signal is returned as it is."""
    if signal.dtype.kind not in "iu":
        return signal

    def factor(name: str, default: float) -> Any:
        return signal.coords[name].values if name in signal.coords else signal.attrs.get(name, default)

    scale, offset = factor(names.SCALE_FACTOR, 1.0), factor(names.ADD_OFFSET, 0.0)
    lazy = indexing.LazilyIndexedArray(_PhysicalArray(signal.variable, scale, offset))
    decoded = signal.copy(data=lazy)
    for name in (names.SCALE_FACTOR, names.ADD_OFFSET):
        decoded.attrs.pop(name, None)
    return decoded.drop_vars([name for name in (names.SCALE_FACTOR, names.ADD_OFFSET) if name in decoded.coords])


def _view(member: M) -> M:
    """A fresh shallow copy: values are shared (and read-only), attributes are not."""
    copy: Any = member.copy(deep=False)
    copy.attrs = plain_copy(copy.attrs)
    for name in [*getattr(copy, "data_vars", ()), *copy.coords]:
        if name not in copy.xindexes:
            copy[name].attrs = plain_copy(copy[name].attrs)
    kept: M = copy
    return kept


def plain_copy(value: Any, depth: int = 0) -> Any:
    """Copy nested dictionaries and lists, so that editing the copy leaves the original as it is."""
    if depth > _DEEPEST:  # far deeper than the schema allows, perhaps a cycle; validate says so
        return value
    if isinstance(value, Mapping):
        return {key: plain_copy(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain_copy(entry, depth + 1) for entry in value]
    return value


class Recording:
    """One session of one subject on one clock, in memory or opened lazily from a store.

    Time is in seconds from the session's start, float64; every stretch is half-open ``[start, stop)``. Raw values are
    kept: filtering, resampling and scaling happen when windows are made. `neurodata.recording.validate.validate`
    checks the whole schema; the constructor checks nothing, so that every breach can be listed at once.

    Parameters
    ----------
    metadata
        Dataset, recording id, subject, device, licence, sources … (see `neurodata.recording.metadata.Metadata`).
    signals
        Name → ``(time, channel)``; made by `make_signal`. Behaviour and stimuli that are sampled are signals too.
    events
        Name → table with ``time``; made by `make_events`. Spikes are events with a ``unit``.
    intervals
        Name → table with ``start`` and ``stop``; made by `make_intervals`.
    units
        Table that the ``unit`` of events points into; made by `make_units`.
    decode
        Whether ``signals[…]`` gives integers as physical float32 (the default) or as they are stored.
    graphs
        Name → nodes and edges; made by `neurodata.recording.graphs.make_graph`. A connectome may be a recording of its
        own, with graphs and nothing else.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodata.recording.timed import make_signal
    >>> calcium = make_signal(np.zeros((30, 2)), channel_id=["a", "b"], units="dF/F", rate_hz=3.0)
    >>> recording = Recording({"recording_id": "mine/first"}, {"calcium": calcium})
    >>> recording.signals["calcium"].sel(time=slice(1, 2)).sizes["time"]
    3
    """

    decode: bool
    _metadata: dict[str, Any]
    _signals: Members[xr.DataArray]
    _events: Members[xr.Dataset]
    _intervals: Members[xr.Dataset]
    _units: xr.Dataset | None
    _graphs: Members[xr.Dataset]

    def __init__(
        self,
        metadata: Mapping[str, Any],
        signals: Mapping[str, xr.DataArray] | None = None,
        events: Mapping[str, xr.Dataset] | None = None,
        intervals: Mapping[str, xr.Dataset] | None = None,
        units: xr.Dataset | None = None,
        decode: bool = True,
        graphs: Mapping[str, xr.Dataset] | None = None,
    ) -> None:
        def signal_view(signal: xr.DataArray) -> xr.DataArray:
            return _view(physical(signal)) if decode else _view(signal)

        named = {name: _guard(_view(_current(signal).rename(name))) for name, signal in _stored(signals).items()}
        fields = {
            "_metadata": plain_copy(metadata),
            "_signals": Members("signal", named, signal_view),
            "_events": Members("event table", _guarded(events), _view),
            "_intervals": Members("interval table", _guarded(intervals), _view),
            "_units": None if units is None else _guard(_view(units)),
            "decode": decode,
            "_graphs": Members("graph", _guarded(graphs), _view),
        }
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a recording is not edited; make a changed one with recording.replace({name}=…)")

    __delattr__ = __setattr__  # type: ignore[assignment]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What is known besides the samples; a copy, so editing it changes nothing here."""
        return MappingProxyType(plain_copy(self._metadata))

    @property
    def signals(self) -> Members[xr.DataArray]:
        """Name → signal in physical units (as stored with ``decode=False``)."""
        return self._signals

    @property
    def events(self) -> Members[xr.Dataset]:
        """Name → table of events."""
        return self._events

    @property
    def intervals(self) -> Members[xr.Dataset]:
        """Name → table of half-open stretches."""
        return self._intervals

    @property
    def units(self) -> xr.Dataset | None:
        """The table that the ``unit`` of events points into, None where there are no sorted units."""
        return None if self._units is None else _view(self._units)

    @property
    def graphs(self) -> Members[xr.Dataset]:
        """Name → graph: ``label`` of each node; ``pre``, ``post``, ``kind``, ``weight`` and ``source`` of each edge."""
        return self._graphs

    @property
    def signals_stored(self) -> Mapping[str, xr.DataArray]:
        """Signals as they are stored: integers stay integers."""
        return {name: _view(signal) for name, signal in _stored(self._signals).items()}

    @property
    def recording_id(self) -> str:
        """``dataset/recording``."""
        return str(self.metadata["recording_id"])

    @property
    def subject_key(self) -> str:
        """``dataset/subject``: what may not sit on both sides of a split by subject."""
        return f"{self.metadata['dataset']}/{self.metadata['subject']['id']}"

    @property
    def duration_seconds(self) -> float:
        """End of the last signal's last sample, event or interval, in seconds; signals counted in frames are left out."""
        ends = [0.0]
        for signal in self.signals_stored.values():
            index = signal.xindexes.get(names.TIME)
            if isinstance(index, TimeIndex) and index.clock.unit == names.SECONDS:
                ends.append(index.stop)
            elif index is not None and not isinstance(index, TimeIndex) and signal.sizes[names.TIME]:
                ends.append(float(signal[names.TIME][-1]))
        if len(ends) == 1:
            ends += [float(table[names.TIME][-1]) for table in self.events.values() if table.sizes[names.EVENT]]
            ends += [float(table[names.STOP].max()) for table in self.intervals.values() if table.sizes[names.INTERVAL]]
        return max(ends)

    def replace(self, **changes: Any) -> Recording:
        """Return a recording with some fields replaced; this one stays as it is."""
        fields = {
            "metadata": self._metadata,
            "signals": self._signals,
            "events": self._events,
            "intervals": self._intervals,
            "units": self._units,
            "decode": self.decode,
            "graphs": self._graphs,
        }
        for name in changes:
            check_option("field of a recording", name, fields)
        return Recording(**(fields | changes))

    def align(
        self,
        event: str | ArrayLike,
        window: tuple[float, float] = (-1.0, 2.0),
        rate_hz: float | None = None,
        *,
        signal: str | None = None,
        units: ArrayLike | None = None,
        where: Mapping[str, Any] | ArrayLike | None = None,
        edge: str = names.START,
        as_rate: bool = False,
    ) -> xr.DataArray:
        """Return what was recorded around events: epochs of a signal, spike counts for a PSTH.

        Parameters
        ----------
        event
            Name of an event table (its times), of an interval table (its starts, see ``edge``), of another column of
            seconds (``"trials/cue_start_time"``), or times in seconds, shape ``(event,)``. ``"events/…"`` or
            ``"intervals/…"`` tells two tables of one name apart.
        window
            Half-open stretch around each event, seconds.
        rate_hz
            Samples per second of the result; a whole number of them fits each side of the window. Spikes are counted
            in bins ``[k, k + 1) / rate_hz`` after the event. A signal slower than that is interpolated linearly (twice
            its rate or more is advisable only for slow signals, a straight line is no filter); a faster one is
            averaged in such bins, which damps what the new rate cannot hold but does not remove it. None: the
            signal's own samples, untouched, counted from the one nearest to the event.
        signal
            What is aligned: a signal, or an event table (with ``unit``: a channel per unit, else one channel). Where
            not given, the recording's only kind of neural data.
        units
            Units to count: ids, rows of the units table, or a mask, shape ``(unit,)``; None for all.
        where
            Which events: ``{"label": "left"}`` (a value or several per column), or a mask over the table's rows.
        edge
            ``start`` or ``stop`` of intervals.
        as_rate
            Spikes per second instead of counts.

        Returns
        -------
        aligned
            ``(event, time, channel)``. Time is that of the sample, or the start of the bin (attribute ``time_is``), in
            seconds from the event. What was not recorded is NaN, counts too: outside the recording, in gaps, bins that
            were not wholly recorded (spikes) or less than half (averages). Events without a time are left out (attribute
            ``n_dropped``). Coordinates of ``event``: ``event_time``, the table's columns, and with ``rate_hz=None``
            ``sample_offset_seconds``, by how much the nearest sample misses the event. Columns of ``channel`` keep
            their names unless an event column has it: then ``label`` is the event's and ``channel_label`` the
            channel's.

        Raises
        ------
        NeurodataError
            If the event or the signal is not there or not certain, the window is not a whole number of samples, or
            the signal counts frames.

        Examples
        --------
        >>> from neurodata.recording.timed import make_events, make_units
        >>> licks, spikes = make_events([10.0, 20.0]), make_events([10.5, 11.0, 20.5], unit=[0, 0, 0])
        >>> mouse = Recording({}, events={"licks": licks, "spikes": spikes}, units=make_units(["u1"]))
        >>> mouse.align("licks", window=(0, 2), rate_hz=1, where=[True, False]).values.tolist()
        [[[1.0], [1.0]]]

        References
        ----------
        An event within 1 ns before an edge counts as on it, so rounding of times does not move spikes.
        """
        from neurodata.recording.aligned import align  # aligned needs this class

        return align(self, event, window, rate_hz, signal=signal, units=units, where=where, edge=edge, as_rate=as_rate)

    def __reduce__(self) -> tuple[Any, ...]:
        members = (_stored(self._signals), _stored(self._events), _stored(self._intervals))
        return Recording, (self._metadata, *members, self._units, self.decode, _stored(self._graphs))

    def __repr__(self) -> str:
        on_a_clock = self._signals or self._events or self._intervals
        lasting = f" · {self.duration_seconds:.1f} s" if on_a_clock or not self._graphs else ""
        lines = [f"<Recording {self.metadata.get('recording_id')}{lasting}>"]
        for name, signal in self.signals_stored.items():
            rate = signal.attrs.get(names.SAMPLING_RATE)
            clock = "unknown rate" if signal.attrs.get(names.TIME_UNIT) == names.FRAMES else "irregular"
            lines.append(
                f"  signals/{name}: {signal.sizes[names.TIME]} × {signal.sizes[names.CHANNEL]} {signal.dtype}, "
                f"{signal.attrs.get(names.UNITS_ATTRIBUTE)}, {clock if rate is None else f'{rate} Hz'}"
            )
        lines += [f"  events/{name}: {table.sizes[names.EVENT]}" for name, table in self.events.items()]
        lines += [f"  intervals/{name}: {table.sizes[names.INTERVAL]}" for name, table in self.intervals.items()]
        if self.units is not None:
            lines.append(f"  units: {self.units.sizes[names.UNIT]}")
        for name, graph in self.graphs.items():
            kinds = sorted(set(graph[names.KIND].values.tolist())) if names.KIND in graph else []
            size = f"{graph.sizes.get(names.NODE, 0)} nodes, {graph.sizes.get(names.EDGE, 0)} edges"
            lines.append(f"  graphs/{name}: {size}{': ' if kinds else ''}{', '.join(map(str, kinds))}")
        return "\n".join(lines)


def _stored(members: Mapping[str, T] | None) -> dict[str, T]:
    return dict(members._members) if isinstance(members, Members) else dict(members or {})


def _guarded(tables: Mapping[str, xr.Dataset] | None) -> dict[str, xr.Dataset]:
    return {name: _guard(_view(table)) for name, table in _stored(tables).items()}


def _guard(member: M) -> M:
    """Make the values in memory read-only, without copying them and without touching what the caller holds."""
    variables = (
        member.variables if isinstance(member, xr.Dataset) else {None: member.variable, **member.coords.variables}
    )
    for variable in variables.values():
        if isinstance(variable._data, np.ndarray) and variable._data.flags.writeable:
            variable.data = variable._data.view()
            variable._data.flags.writeable = False
    return member


def _current(signal: xr.DataArray) -> xr.DataArray:
    """The signal with half-open time, and rate and start restated from it: after a cut they are not the whole's."""
    index = signal.xindexes.get(names.TIME)
    signal = signal.copy(deep=False)
    if isinstance(index, PandasIndex) and not isinstance(index, TimesIndex) and index.index.dtype == np.float64:
        signal = signal.drop_vars(names.TIME).assign_coords(time_coordinates(None, index.index.to_numpy()))
    signal.attrs.pop(names.SAMPLING_RATE, None)
    signal.attrs.pop(names.START_SECONDS, None)
    if isinstance(index, TimeIndex) and index.clock.unit == names.SECONDS:
        signal.attrs[names.SAMPLING_RATE] = index.clock.sampling_rate_hz
        signal.attrs[names.START_SECONDS] = index.start
    return signal
