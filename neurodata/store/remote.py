"""Files of a store or a recording on a web server or in a bucket, behind the same interface as those on disk."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurodata.errors import IntegrityError
from neurodata.store.files import LARGEST_FILE, Files, RewrittenError
from neurodata.store.openings import Kept, Openings
from neurodata.store.server import MOST_REQUESTS, Server

_PART_BYTES = 8 * 1024 * 1024
"""A longer span is fetched in parts of about this size at the same time."""

_SPARE = 0.2
"""Bytes nobody asked for that may be read beside, to join spans into one request: as a share of those wanted."""


class RemoteFiles(Files):
    """Read-only files below one address. Picklable; connects at the first request.

    What a store's ``openings.parquet`` keeps is answered from there, without a request of its own.

    Parameters
    ----------
    url
        ``https://…``, ``http://…`` or ``s3://BUCKET/PREFIX``: of a store or of one recording.
    storage_options
        obstore's settings: those of its ``S3Store`` for a bucket (``region``, ``endpoint``, ``skip_signature``, keys; what
        is not given comes from ``AWS_…`` variables), ``client_options`` and ``retry_config`` for every server.
    is_store
        Whether the address is a store's, so that ``openings.parquet`` may lie there.
    """

    remote = True

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None, *, is_store: bool = False) -> None:
        self.server, self.path = Server(url, storage_options), ""
        self.openings = Openings(self.server) if is_store else None

    @property
    def url(self) -> str:
        """The address of this folder, without a password."""
        return f"{self.server.shown}/{self.path}".rstrip("/")

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.url.split("/") if part)

    def below(self, path: str) -> RemoteFiles:
        found = object.__new__(RemoteFiles)
        found.server, found.openings = self.server, self.openings
        found.path = "/".join(part for part in (self.path, path) if part)
        return found

    def served(self) -> RemoteFiles:
        """Return the same files as the server has them now, whatever the openings keep of them."""
        found = self.below("")
        found.openings = None
        return found

    def __truediv__(self, path: str) -> RemoteFiles:
        return self.below(path)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"RemoteFiles({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteFiles) and (self._same, self.path) == (other._same, other.path)

    def __hash__(self) -> int:
        return hash((self.server.url, self.path))

    @property
    def _same(self) -> Any:
        return self.server.url, self.server.options

    def read(self, key: str, limit: int) -> bytes:
        kept = self._kept(key)
        if kept is not None and kept.start == 0 and kept.file_bytes == len(kept.data):
            if len(kept.data) > limit:
                raise IntegrityError(f"file {key!r} is larger than {limit} bytes")
            return kept.data
        return bytes(self.server.get(self._full(key), None, limit).data)

    def read_spans(self, key: str, spans: Sequence[tuple[int, int]]) -> list[bytes | memoryview]:
        if any(not 0 <= start <= stop for start, stop in spans):
            raise IntegrityError(f"impossible bytes {list(spans)[:3]} are asked of file {key!r}")
        kept = self._kept(key)
        wanted = [span for span in spans if span[1] > span[0] and not (kept and kept.covers(*span))]
        plan = plan_requests(wanted)
        if sum(request.stop - request.start for request in plan) > LARGEST_FILE:
            raise IntegrityError(f"more than {LARGEST_FILE} bytes are asked of file {key!r} at once")
        fetched = self._fetch(key, plan, kept)
        firsts = [first for first, _ in fetched]
        found: list[bytes | memoryview] = []
        for start, stop in spans:
            if stop == start:
                found.append(b"")
            elif kept and kept.covers(start, stop):
                found.append(kept.cut(start, stop))
            else:
                first, data = fetched[bisect_right(firsts, start) - 1]
                found.append(data[start - first : stop - first])
        return found

    def _fetch(self, key: str, plan: Sequence[Request], kept: Kept | None) -> list[tuple[int, memoryview]]:
        """Fetch what is planned, each request's parts put together; checked against what the openings know."""
        if not plan:
            return []
        parts = [part for request in plan for part in request.parts]
        try:
            pieces = iter(self.server.get_many(self._full(key), parts, LARGEST_FILE))
        except FileNotFoundError:
            raise self._aged(f"file {key!r} is missing", kept) from None
        except RewrittenError:
            raise
        except IntegrityError as error:
            raise self._aged(str(error), kept) from None
        found = []
        for request in plan:
            whole = [next(pieces) for _ in request.parts]
            if kept is not None and whole[0].file_bytes != kept.file_bytes:
                reason = (
                    f"file {key!r} has {whole[0].file_bytes} bytes on the server, {kept.file_bytes} in the openings"
                )
                raise self._aged(reason, kept)
            joined = whole[0].data if len(whole) == 1 else memoryview(b"".join(piece.data for piece in whole))
            found.append((request.start, joined))
        return found

    def read_tail(self, key: str, count: int) -> bytes:
        kept = self._kept(key)
        if kept is not None and count <= kept.file_bytes and kept.covers(kept.file_bytes - count, kept.file_bytes):
            return bytes(kept.cut(kept.file_bytes - count, kept.file_bytes))
        if not 0 < count <= LARGEST_FILE:
            raise IntegrityError(f"more than {LARGEST_FILE} bytes are asked of file {key!r} at once")
        try:
            piece = self.server.get(self._full(key), count, count)
        except FileNotFoundError:
            raise IntegrityError(f"file {key!r} is missing") from None
        if len(piece.data) < count:
            problem = f"file {key!r} ends too early: {piece.file_bytes} bytes where there must be {count}"
            raise IntegrityError(problem if piece.file_bytes else f"file {key!r} is empty")
        return bytes(piece.data)

    def has(self, key: str) -> bool:
        return self._kept(key) is not None or self.server.has(self._full(key))

    def stamp(self, key: str) -> Hashable:
        return None

    def hint(self, key: str) -> str:
        """Return what to do where bytes of this file are damaged and that may come from old openings; else nothing."""
        return f"; {self._advice()}" if self._kept(key) is not None else ""

    def _full(self, key: str) -> str:
        return f"{self.path}/{key}" if self.path else key

    def _kept(self, key: str) -> Kept | None:
        return None if self.openings is None else self.openings.find(self._full(key))

    def _aged(self, reason: str, kept: Kept | None) -> IntegrityError:
        return IntegrityError(f"{reason}; {self._advice()}" if kept else reason)

    def _advice(self) -> str:
        return (
            f"the openings of store {self.server.shown!r} may be stale; run 'neurodata store index STORE' where the store "
            "was written and upload openings.parquet and index.parquet again"
        )


@dataclass(frozen=True)
class Request:
    """Bytes [start, stop) of a file that are fetched as one, or as parts at the same time."""

    start: int
    stop: int
    parts: tuple[tuple[int, int], ...]


def plan_requests(spans: Sequence[tuple[int, int]]) -> list[Request]:
    """Join spans that lie close together, and cut what is long.

    The smallest gaps are read along until a fifth more than was wanted would be read.

    Parameters
    ----------
    spans
        ``[start, stop)`` in any order; they may overlap.
    """
    joined: list[list[int]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    spare = _SPARE * sum(stop - start for start, stop in joined)
    closed = set()
    for gap, number in sorted(
        (after[0] - before[1], n) for n, (before, after) in enumerate(itertools.pairwise(joined))
    ):
        if gap > spare:
            break
        spare -= gap
        closed.add(number)
    runs: list[list[int]] = []
    for number, (start, stop) in enumerate(joined):
        if number and number - 1 in closed:
            runs[-1][1] = stop
        else:
            runs.append([start, stop])
    spread = max(1, MOST_REQUESTS // max(1, len(runs)))
    return [Request(start, stop, _cut(start, stop, spread)) for start, stop in runs]


def _cut(start: int, stop: int, most: int) -> tuple[tuple[int, int], ...]:
    """Cut a long span into at most ``most`` equal parts of about `_PART_BYTES` or more."""
    count = max(1, min(most, (stop - start) // _PART_BYTES))
    edges = [start + (stop - start) * n // count for n in range(count + 1)]
    return tuple(itertools.pairwise(edges))
