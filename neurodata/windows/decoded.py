"""Recordings decoded once onto a run's clock and kept in the cache: later windows are slices of memory-mapped files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.recording.timed import check_seconds
from neurodata.store.chunks import plan_chunks
from neurodata.store.files import Location
from neurodata.store.read import open_recording
from neurodata.windows.activity import Activity, Counts, Samples
from neurodata.windows.cache import DecodedCache, Entry, EntryWriter, GrowingEntry, make_key
from neurodata.windows.decoding import DECODING, FLOAT32, Decoding, Digests, Source, read_digests
from neurodata.windows.growing import Growing
from neurodata.windows.make_spec import SpecFacts, spec_facts
from neurodata.windows.prepare import (
    Prepared,
    choose_channels,
    clock_size,
    counts_of,
    same_clock,
    sample_blocks,
    target_of,
)
from neurodata.windows.quantize import make_encoder
from neurodata.windows.spec import NO_TARGET
from neurodata.windows.views import View

_READ_AT_ONCE = 8
"""Recordings opened at once to see what they hold."""

_FACTS = 3
"""Raised when `SpecFacts` come to hold other fields, so that older entries are not used."""


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
    source = Source(store, recording_id, decoding, digests)
    inputs = cache.open(decoding.input_key(digests)) or _make_inputs(source, cache)
    target = None
    if decoding.spec.target_kind != NO_TARGET:
        key = decoding.target_key(digests)
        entry = cache.open(key) or _make_target(source, cache, key)
        target = entry.arrays["target"]
    ids = np.asarray(inputs.facts["channel_ids"], np.int64)
    return Prepared(recording_id, decoding.spec.rate_hz, _activity(inputs, source), ids, target)


def _make_inputs(source: Source, cache: DecodedCache) -> Entry:
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
        source.check_served()

    itemsize = 4 if source.decoding.dtype == FLOAT32 else 2
    return cache.open_or_make(key, what, size * kept.size * itemsize, make)


def _grows(source: Source) -> bool:
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


def _write_samples(writer: EntryWriter, source: Source, size: int, kept: NDArray[np.int64]) -> None:
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


def _make_target(source: Source, cache: DecodedCache, key: str) -> Entry:
    target = target_of(source.recording, source.decoding.spec, source.decoding.causal)
    assert target is not None
    spec = source.decoding.spec

    def make(writer: EntryWriter) -> None:
        writer.create("target", target.shape, target.dtype).write(0, target)
        source.check_served()

    return cache.open_or_make(key, f"{source.recording_id} {spec.target} {spec.rate_hz:g} Hz", target.nbytes, make)


def _activity(entry: Entry, source: Source) -> Activity:
    facts = entry.facts
    if isinstance(entry, GrowingEntry):
        return Growing(entry.arrays["values"], entry=entry, source=source)
    if "cells" in entry.arrays:
        return Counts(entry.arrays["cells"], entry.arrays["counts"], (facts["shape"][0], facts["shape"][1]))
    scale, offset = (np.asarray(facts[name], np.float32) if name in facts else None for name in ("scale", "offset"))
    return Samples(entry.arrays["values"], facts["complete"], scale, offset)


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
    key = make_key(kind="facts", version=_FACTS, recordings=contents, decoding=DECODING, **asked)

    def facts_of(recording_id: str) -> dict[str, Any]:
        return spec_facts(open_recording(store / recording_id), inputs, target, identity, views).to_json()

    def make(writer: EntryWriter) -> None:
        with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
            writer.facts["recordings"] = list(pool.map(facts_of, digests))

    entry = cache.open(key) or cache.open_or_make(key, f"names in {inputs} of {len(digests)} recordings", 0, make)
    return [SpecFacts.from_json(facts) for facts in entry.facts["recordings"]]
