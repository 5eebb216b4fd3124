"""Recordings on a server, whose samples come into the cache as windows ask for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurodata.windows.activity import Samples
from neurodata.windows.cache import GrowingEntry
from neurodata.windows.decoding import Source
from neurodata.windows.prepare import read_samples, same_clock

_REQUESTS_AT_ONCE = 8


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
    source: Source = field(kw_only=True)
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _under_way: set[int] = field(default_factory=set)
    _checked: threading.Event = field(default_factory=threading.Event)
    _checking: threading.Lock = field(default_factory=threading.Lock)

    def lacks(self, spans: Sequence[tuple[int, int]]) -> bool:
        """Tell whether any of these rows is not in the cache yet."""
        return any(self.entry.missing(first, after) for first, after in spans)

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
            block = read_samples(signal, shift, kept, *span)
            if asked is not None:
                asked.result()
            self.entry.fill(span[0], block)

        asked: Future[None] | None = None
        if len(spans) == 1 and self._checked.is_set():
            bring(spans[0])
            return
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            asked = pool.submit(self._check_once)
            list(pool.map(bring, spans))

    def _check_once(self) -> None:
        """Ask the server whether it is the recording still, as values come: a file replaced later has another ETag."""
        if self._checked.is_set():
            return
        with self._checking:
            if not self._checked.is_set():
                self.source.check_served()
                self._checked.set()

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
