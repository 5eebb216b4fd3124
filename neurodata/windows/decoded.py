"""Recordings decoded once onto a run's clock and kept in the cache: later windows are slices of memory-mapped files."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.checks import check_option
from neurodata.errors import IntegrityError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import check_seconds
from neurodata.store.chunks import plan_chunks
from neurodata.store.documents import read_root_attributes
from neurodata.store.files import Location
from neurodata.store.manifest import CONTENT_DIGEST, DOCUMENTS_DIGEST, MANIFEST
from neurodata.store.read import open_recording
from neurodata.windows.activity import Activity, Counts, Samples
from neurodata.windows.cache import DecodedCache, Entry, EntryWriter, GrowingEntry, make_key
from neurodata.windows.make_spec import SpecFacts, spec_facts
from neurodata.windows.prepare import (
    NAMED,
    Prepared,
    choose_channels,
    clock_size,
    counts_of,
    input_signal,
    read_samples,
    same_clock,
    sample_blocks,
    target_of,
)
from neurodata.windows.quantize import FLOAT16, INT16, make_encoder
from neurodata.windows.spec import NO_TARGET, DataSpec
from neurodata.windows.views import View

FLOAT32 = "float32"
DTYPES = (FLOAT32, FLOAT16, INT16)
_REQUESTS_AT_ONCE = 8
_DECODING = 1
"""Raised when the same recording and `Decoding` come to give other values, so that older entries are not used."""


class Digests(NamedTuple):
    """What a recording held when a run began: digest of its values and of its documents."""

    content: str
    documents: str


def read_digests(folder: Location) -> Digests:
    """Return the digests of a stored recording."""
    manifest = read_root_attributes(folder)[MANIFEST]
    return Digests(str(manifest.get(CONTENT_DIGEST)), str(manifest.get(DOCUMENTS_DIGEST)))


def check_digests(store: Location, recording_id: str, digests: Digests | None) -> None:
    """Raise where a recording is no longer what it was when a run began.

    Raises
    ------
    IntegrityError
        Names the recording.
    """
    if digests is not None and read_digests(store / recording_id) != digests:
        raise IntegrityError(
            f"recording {recording_id!r} was rewritten since this run began; old and new values are not mixed. "
            "Start the run anew"
        )


@dataclass(frozen=True)
class Decoding:
    """How recordings are decoded; a value, so that it can be sent to workers and hashed into a key.

    Parameters
    ----------
    spec
        Signal, rate, vocabulary, views and target.
    channels
        ``named`` or ``all``.
    causal
        Whether resampling looks at past samples only.
    dtype
        ``float32``, or ``float16`` or ``int16`` for half the disk and a stated error.
    """

    spec: DataSpec
    channels: str = NAMED
    causal: bool = False
    dtype: str = FLOAT32

    def __post_init__(self) -> None:
        check_option("cache dtype", self.dtype, DTYPES)

    def input_key(self, digests: Digests) -> str:
        """Name of a recording's activity in the cache."""
        return make_key(kind="input", channels=self.channels, dtype=self.dtype, **self._shared(digests))

    def target_key(self, digests: Digests) -> str:
        """Name of a recording's target in the cache."""
        spec = self.spec
        target = {"target": spec.target, "target_kind": spec.target_kind, "classes": spec.classes}
        return make_key(kind="target", **target, **self._shared(digests))

    def _shared(self, digests: Digests) -> dict[str, object]:
        spec = self.spec.to_json()
        same = {name: spec[name] for name in ("signal", "rate_hz", "vocabulary", "identity", "views")}
        return same | {"causal": self.causal, "digests": list(digests), "decoding": _DECODING}


def open_decoded(
    store: Location, recording_id: str, decoding: Decoding, cache: DecodedCache, digests: Digests | None = None
) -> Prepared:
    """Return a recording on a run's clock, decoded into the cache where it is not there yet.

    Parameters
    ----------
    store
        The store's folder or address.
    recording_id
        Which recording.
    decoding
        How.
    cache
        Where decoded recordings are kept.
    digests
        What the recording held when the run began; what it holds now where None.

    Raises
    ------
    IntegrityError
        If the recording was rewritten since, or a part of it is damaged.
    NeurodataError
        As `neurodata.windows.prepare.prepare`.
    """
    digests = digests or read_digests(store / recording_id)
    source = _Source(store, recording_id, decoding, digests)
    inputs = cache.open(decoding.input_key(digests)) or _make_inputs(source, cache)
    target = None
    if decoding.spec.target_kind != NO_TARGET:
        key = decoding.target_key(digests)
        entry = cache.open(key) or _make_target(source, cache, key)
        target = entry.arrays["target"]
    ids = np.asarray(inputs.facts["channel_ids"], np.int64)
    return Prepared(recording_id, decoding.spec.rate_hz, _activity(inputs, source), ids, target)


@dataclass
class _Source:
    """The stored recording, opened when something of it is first needed and held to its digests."""

    store: Location
    recording_id: str
    decoding: Decoding
    digests: Digests
    _recording: Recording | None = None

    @property
    def recording(self) -> Recording:
        if self._recording is None:
            self.check()
            self._recording = open_recording(self.store / self.recording_id)
        return self._recording

    @functools.cached_property
    def signal(self) -> xr.DataArray:
        return input_signal(self.recording, self.decoding.spec)

    def check(self) -> None:
        """Raise where the recording is no longer what it was when the run began."""
        check_digests(self.store, self.recording_id, self.digests)


def _make_inputs(source: _Source, cache: DecodedCache) -> Entry:
    spec, recording = source.decoding.spec, source.recording
    kept, ids = choose_channels(recording, spec, source.decoding.channels)
    size = clock_size(recording, spec.rate_hz)
    what = f"{source.recording_id} {spec.signal} {spec.rate_hz:g} Hz {source.decoding.dtype}"
    facts = {"channel_ids": ids.tolist()}
    key = source.decoding.input_key(source.digests)
    if _grows(source):
        rows = plan_chunks((size, source.signal.sizes["channel"]), 4).chunk[0]
        facts |= {"kept": kept.tolist()}
        return cache.open_growing(
            key, what, shape=(size, kept.size), dtype=np.dtype(np.float32), chunk_rows=rows, facts=facts
        )

    def make(writer: EntryWriter) -> None:
        writer.facts.update(facts)
        if spec.signal in recording.events:
            _write_counts(writer, counts_of(recording, spec.signal, spec.rate_hz, size, kept))
        else:
            _write_samples(writer, source, size, kept)
        source.check()

    itemsize = 4 if source.decoding.dtype == FLOAT32 else 2
    return cache.open_or_make(key, what, size * kept.size * itemsize, make)


def _grows(source: _Source) -> bool:
    """Whether a recording is fetched chunk by chunk as windows ask for it: a plain signal that lies on a server."""
    spec, decoding = source.decoding.spec, source.decoding
    if (
        isinstance(source.store, Path)
        or spec.signal in source.recording.events
        or decoding.dtype != FLOAT32
        or spec.views
    ):
        return False
    check_seconds(source.signal)
    return same_clock(source.signal, spec.rate_hz) is not None


def _write_counts(writer: EntryWriter, counts: Counts) -> None:
    writer.facts["shape"] = list(counts.shape)
    for name, values in (("cells", counts.cells), ("counts", counts.counts)):
        writer.create(name, values.shape, values.dtype).write(0, values)


def _write_samples(writer: EntryWriter, source: _Source, size: int, kept: NDArray[np.int64]) -> None:
    decoding = source.decoding

    def blocks() -> Sequence[tuple[int, NDArray[np.float32]]]:
        return sample_blocks(source.signal, decoding.spec.rate_hz, size, decoding.causal, kept)  # type: ignore[return-value]

    complete = True
    if decoding.dtype == FLOAT32:
        file = writer.create("values", (size, kept.size), np.dtype(np.float32))
        for first, block in blocks():
            complete = complete and bool(np.isfinite(block).all())
            file.write(first, block)
        writer.facts["complete"] = complete
        return
    minimum = maximum = np.full(kept.size, np.nan, np.float32)
    for _, block in blocks():
        minimum = np.fmin(minimum, np.fmin.reduce(block, axis=0, initial=np.nan))
        maximum = np.fmax(maximum, np.fmax.reduce(block, axis=0, initial=np.nan))
    encoder = make_encoder(minimum, maximum, decoding.dtype)
    file = writer.create("values", (size, kept.size), encoder.dtype)
    for first, block in blocks():
        complete = complete and bool(np.isfinite(block).all())
        file.write(first, encoder.encode(block))
    writer.facts.update(complete=complete, **encoder.facts())


def _make_target(source: _Source, cache: DecodedCache, key: str) -> Entry:
    target = target_of(source.recording, source.decoding.spec, source.decoding.causal)
    assert target is not None
    spec = source.decoding.spec

    def make(writer: EntryWriter) -> None:
        writer.create("target", target.shape, target.dtype).write(0, target)
        source.check()

    return cache.open_or_make(key, f"{source.recording_id} {spec.target} {spec.rate_hz:g} Hz", target.nbytes, make)


def _activity(entry: Entry, source: _Source) -> Activity:
    facts = entry.facts
    if isinstance(entry, GrowingEntry):
        return Growing(entry.arrays["values"], entry=entry, source=source)
    if "cells" in entry.arrays:
        return Counts(entry.arrays["cells"], entry.arrays["counts"], (facts["shape"][0], facts["shape"][1]))
    scale, offset = (np.asarray(facts[name], np.float32) if name in facts else None for name in ("scale", "offset"))
    return Samples(entry.arrays["values"], facts["complete"], scale, offset)


@dataclass(frozen=True)
class Growing(Samples):
    """Samples of a recording on a server, fetched into the cache as they are asked for.

    Parameters
    ----------
    entry
        Where they are kept.
    source
        Where they come from.
    """

    entry: GrowingEntry = field(kw_only=True)
    source: _Source = field(kw_only=True)
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _under_way: set[int] = field(default_factory=set)

    def fetch(self, spans: Sequence[tuple[int, int]]) -> None:
        """Bring rows ``[first, after)`` into the cache that are not there yet, several requests at a time.

        Chunks that another thread is bringing are waited for, not asked for again.
        """
        wanted = _united(spans)
        while missing := [m for first, after in wanted for m in self.entry.missing(first, after)]:
            with self._turn:
                own = [m for m in missing if self._under_way.isdisjoint(self._chunks(m))]
                if not own:
                    self._turn.wait()  # then look again: the other thread may have failed
                    continue
                taken = {chunk for span in own for chunk in self._chunks(span)}
                self._under_way.update(taken)
            try:
                self._bring(own)
            finally:
                with self._turn:
                    self._under_way.difference_update(taken)
                    self._turn.notify_all()

    def _chunks(self, span: tuple[int, int]) -> range:
        return range(span[0] // self.entry.chunk_rows, -(-span[1] // self.entry.chunk_rows))

    def _bring(self, spans: list[tuple[int, int]]) -> None:
        signal, kept = self.source.signal, np.asarray(self.entry.facts["kept"], np.int64)
        shift = same_clock(signal, self.source.decoding.spec.rate_hz)
        assert shift is not None

        def bring(span: tuple[int, int]) -> None:
            self.entry.fill(span[0], read_samples(signal, shift, kept, *span))

        if len(spans) == 1:
            bring(spans[0])
            return
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            list(pool.map(bring, spans))

    def dense(self) -> NDArray[np.float32]:
        """Return all values; fetches what is not there yet."""
        self.fetch([(0, self.shape[0])])
        return super().dense()


def _united(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch or overlap, as one."""
    united: list[tuple[int, int]] = []
    for first, after in sorted(spans):
        if united and first <= united[-1][1]:
            united[-1] = (united[-1][0], max(after, united[-1][1]))
        else:
            united.append((first, after))
    return united


def decode_all(
    store: Location,
    recording_ids: Sequence[str],
    decoding: Decoding,
    cache: DecodedCache,
    digests: Mapping[str, Digests],
    progress: Callable[[int, int, str], None],
) -> None:
    """Decode recordings into the cache, several at a time; what is there already is passed over.

    Parameters
    ----------
    store, decoding, cache
        As for `open_decoded`.
    recording_ids
        Which recordings.
    digests
        What each of them holds.
    progress
        Called with recordings done, recordings in all and the one that was finished.
    """
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        waiting = {
            pool.submit(open_decoded, store, recording_id, decoding, cache, digests[recording_id]): recording_id
            for recording_id in recording_ids
        }
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                progress(done, len(waiting), waiting[future])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_facts(
    store: Location,
    digests: Mapping[str, Digests],
    cache: DecodedCache,
    *,
    inputs: str,
    target: str,
    identity: str,
    views: Sequence[View] = (),
) -> list[SpecFacts]:
    """Return what recordings have to say about a `DataSpec`; kept in the cache, so that they are opened once only.

    Parameters
    ----------
    store, cache
        As for `open_decoded`.
    digests
        Recording id → what it holds.
    inputs, target, identity, views
        As for `neurodata.windows.make_spec.make_spec`.
    """
    asked = {"inputs": inputs, "target": target, "identity": identity, "views": [view.to_json() for view in views]}
    contents = {recording_id: list(found) for recording_id, found in digests.items()}
    key = make_key(kind="facts", recordings=contents, decoding=_DECODING, **asked)

    def facts_of(recording_id: str) -> dict[str, Any]:
        return spec_facts(open_recording(store / recording_id), inputs, target, identity, views).to_json()

    def make(writer: EntryWriter) -> None:
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            writer.facts["recordings"] = list(pool.map(facts_of, digests))

    entry = cache.open(key) or cache.open_or_make(key, f"names in {inputs} of {len(digests)} recordings", 0, make)
    return [SpecFacts.from_json(facts) for facts in entry.facts["recordings"]]
