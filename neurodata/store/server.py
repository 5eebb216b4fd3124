"""One place on a web server or in a bucket: ranges of its files, fetched at the same time, tried again where that helps."""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from neurodata.checks import import_extra
from neurodata.errors import IntegrityError, StoreError, UsageError
from neurodata.store.files import RewrittenError

MOST_REQUESTS = 16
"""Requests under way at the same time, per server and process."""

_TIMES = {"connect_timeout": "10s", "read_timeout": "15s", "timeout": "10m"}
"""To connect; between two pieces of an answer; for all of it."""

_RETRIES = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=45),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 3},
}
_BODY_TRIES = 3
"""obstore goes on where a connection broke only if the server gives ETags; else the range is asked for again."""

_used_in: int | None = None
"""The process whose threads obstore has started; they do not live on in a forked child."""

_known: weakref.WeakValueDictionary[str, Server] = weakref.WeakValueDictionary()
"""Servers of this process by token, so that copies of one server that were pickled apart share what it holds."""

_recent: deque[Server] = deque(maxlen=4)
"""Servers that came pickled and stay, so that a worker that is sent one recording after another keeps its connections."""


class RefusedError(StoreError):
    """The server does not let us read a file (or, a bucket that may not be listed, has no such file)."""


@dataclass(frozen=True)
class Piece:
    """Bytes of a file, where they begin and how large the whole file is on the server."""

    start: int
    data: memoryview
    file_bytes: int


class Server:
    """A folder on a web server or a prefix in a bucket.

    Picklable; connections are made at the first request, and a pickled copy makes its own.

    Parameters
    ----------
    url
        ``https://…``, ``http://…`` or ``s3://BUCKET/PREFIX``.
    options
        obstore's settings of an ``S3Store`` (``region``, ``endpoint``, ``skip_signature`` …), and for every kind of
        server its ``client_options`` (timeouts, headers) and ``retry_config``.

    Attributes
    ----------
    shared
        What readers of this server keep in memory, by name.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, token: str | None = None) -> None:
        self.url, self.options, self.token = _checked_url(url), dict(options or {}), token or uuid.uuid4().hex
        self.shared: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._store: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._tags: dict[str, str] = {}
        _known[self.token] = self

    def __reduce__(self) -> Any:
        return _find_server, (self.url, self.options, self.token)

    @property
    def shown(self) -> str:
        """The address as it may stand in a message: without a password."""
        return _without_password(self.url)

    def get(self, key: str, span: tuple[int, int] | int | None, limit: int) -> Piece:
        """Return a whole file (``span`` None), its bytes [start, stop), or its last ``span`` bytes (all where it has fewer).

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        IntegrityError
            If it ends before ``span`` does, is empty, or has more than ``limit`` bytes to send.
        StoreError
            If the server cannot be reached, refuses, or ignores ranges.
        """
        _check_key(key)
        self._opened()  # with a message of its own where obstore is missing
        from obstore.exceptions import BaseError

        wanted = None if span is None else ({"suffix": span} if isinstance(span, int) else span)
        for left in reversed(range(_BODY_TRIES)):
            try:
                return self._get(key, {} if wanted is None else {"range": wanted}, limit)
            except FileNotFoundError:
                raise FileNotFoundError(f"there is no file {key!r} at {self.shown!r}") from None
            except (BaseError, ValueError) as error:
                if not (left and "body error" in str(error)):
                    raise self._translated(error, key) from None
        raise AssertionError("the last try returns or raises")

    def _get(self, key: str, options: dict[str, Any], limit: int) -> Piece:
        import obstore

        answer = obstore.get(self._opened(), key, options=options or None)  # type: ignore[arg-type]
        (start, stop), file_bytes = answer.range, answer.meta["size"]
        self._check_same(key, answer.meta.get("e_tag"))
        wanted = options.get("range")
        if stop - start > limit:
            raise IntegrityError(f"file {key!r} is larger than {limit} bytes")
        if isinstance(wanted, tuple) and (start, stop) != wanted:
            raise IntegrityError(f"file {key!r} ends too early: {file_bytes} bytes where there must be {wanted[1]}")
        # One piece of all that was announced, and a look whether more follows: an endless answer fills no memory.
        pieces = answer.stream(min_chunk_size=max(1, stop - start))
        data = memoryview(next(pieces, b"") if stop > start else b"")
        if len(data) != stop - start:
            raise IntegrityError(f"file {key!r}: {len(data)} bytes came where {stop - start} were announced")
        return Piece(start, data, file_bytes)

    def _check_same(self, key: str, tag: str | None) -> None:
        """Raise where a file is no longer the one that was read from before: old and new bytes are never mixed."""
        if tag is not None and self._tags.setdefault(key, tag) != tag:
            raise RewrittenError(f"file {key!r} was replaced on the server while it was in use; open the store again")

    def get_many(self, key: str, spans: Sequence[tuple[int, int]], limit: int) -> list[Piece]:
        """Return several spans of one file, asked for at the same time."""
        self._opened()  # threads of a parent process would wait for ever
        if len(spans) == 1:
            return [self.get(key, spans[0], limit)]
        return list(self.threads.map(lambda span: self.get(key, span, limit), spans))

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Threads that wait for answers."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST_REQUESTS, thread_name_prefix="neurodata-remote")
            return self._threads

    def has(self, key: str) -> bool:
        """Say whether there is such a file."""
        return self._try(key, lambda obstore: obstore.head(self._opened(), key)) is not None

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the folders below a prefix; web servers cannot tell."""
        if not self.url.startswith("s3://"):
            raise StoreError(f"a web server lists no files ({self.shown!r})")
        found = self._try(prefix, lambda obstore: obstore.list_with_delimiter(self._opened(), prefix or None))
        return sorted(path.rstrip("/").rsplit("/")[-1] for path in (found or {}).get("common_prefixes", ()))

    def _try(self, key: str, call: Any) -> Any:
        self._opened()
        import obstore
        from obstore.exceptions import BaseError

        try:
            return call(obstore)
        except FileNotFoundError:
            return None
        except (BaseError, ValueError) as error:
            raise self._translated(error, key) from None

    def _opened(self) -> Any:
        """Obstore's own object for this place; made in the process that uses it."""
        global _used_in
        if _used_in not in (None, os.getpid()):
            raise StoreError(
                f"{self.shown!r} is read in a forked process, in which the connections of its parent do not work; start "
                "workers with multiprocessing_context='spawn' or 'forkserver', or read from the store only after forking"
            )
        with self._lock:
            if self._store is None:
                self._store = _open_store(self.url, self.options)
            _used_in = os.getpid()
            return self._store

    def _translated(self, error: Exception, key: str) -> StoreError:
        """Say what was tried and what to do next."""
        where, reason = (
            f"{self.shown}/{key}".rstrip("/"),
            _without_password(re.split(r"\n|: <", str(error).strip())[0].rstrip(" :")),
        )
        kind = type(error).__name__
        if kind == "NotSupportedError":
            return self._without_ranges(key)
        if re.search(r"\b416 [\w ]*Range", reason):  # never a port, or a time that was taken
            return IntegrityError(f"file {key!r} ends too early: the server has fewer bytes than were asked for")
        if kind in ("PermissionDeniedError", "UnauthenticatedError"):
            help = (
                "a bucket answers so for a missing file, too; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and "
                "AWS_REGION), or storage_options={'skip_signature': True} for a public bucket"
                if self.url.startswith("s3://")
                else "give what it asks for with storage_options={'client_options': {'default_headers': {…}}}"
            )
            return RefusedError(f"the server does not let us read {where!r} ({reason}); {help}")
        return StoreError(
            f"cannot read {where!r}: {reason}; check the address and whether the server can be reached, then try again"
        )

    def _without_ranges(self, key: str) -> StoreError:
        found = self._try(key, lambda obstore: obstore.head(self._opened(), key))
        if found is not None and found["size"] == 0:
            return IntegrityError(f"file {key!r} is empty")
        return StoreError(
            f"the server of {self.shown!r} ignores range requests: it answers with whole files ({key!r}), so that reading a "
            "window would fetch all of a shard; serve the store with nginx, Apache, Caddy or from a bucket"
        )


def _without_password(text: str) -> str:
    return re.sub(r"://[^/@\s]*@", "://", text)


def _find_server(url: str, options: Mapping[str, Any], token: str) -> Server:
    server = _known.get(token) or Server(url, options, token)
    _recent.append(server)
    return server


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "s3") or not parts.netloc:
        raise StoreError(f"{url!r} is no address of a store; expected https://…, http://… or s3://BUCKET/PREFIX")
    if parts.query or parts.fragment:
        raise StoreError(
            f"the address {parts.scheme}://{parts.hostname}{parts.path} ends in '?' or '#' and more, but files are looked "
            "up below it; give keys as storage_options={'client_options': {'default_headers': {…}}}"
        )
    return url.rstrip("/")


def _check_key(key: str) -> None:
    if not key or any(part in ("", ".", "..") for part in key.split("/")) or not key.isprintable():
        raise IntegrityError(f"{key[:200]!r} is no file inside the store")


def _open_store(url: str, options: Mapping[str, Any]) -> Any:
    stores = import_extra("obstore.store", "cloud")
    settings = dict(options)
    client = _TIMES | {"allow_http": True} | dict(settings.pop("client_options", None) or {})
    retries = _RETRIES | dict(settings.pop("retry_config", None) or {})
    try:
        if url.startswith("s3://"):
            settings = _s3_defaults(settings)
            return stores.S3Store.from_url(url, client_options=client, retry_config=retries, **settings)
        return stores.HTTPStore(url, client_options=client, retry_config=retries, **settings)
    except Exception as error:  # a setting obstore does not know, or a value of a wrong type
        known = "obstore's S3Store" if url.startswith("s3://") else "'client_options' and 'retry_config'"
        raise UsageError(
            f"storage_options {json.dumps(sorted(options))} do not fit {_scheme(url)} addresses, which take {known}: "
            f"{str(error).splitlines()[0]}"
        ) from None


def _scheme(url: str) -> str:
    return url.partition("://")[0] + "://"


def _s3_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """Without credentials a bucket is taken for a public one; obstore would look for a cloud machine's role for minutes."""
    names = {key.lower().removeprefix("aws_") for key in settings} | {
        key.lower().removeprefix("aws_") for key in os.environ if key.upper().startswith("AWS_")
    }
    credentials = {"access_key_id", "web_identity_token_file", "role_arn", "skip_signature", "credential_provider"}
    roles = {"container_credentials_relative_uri", "container_credentials_full_uri"}
    if not names & (credentials | roles):
        settings["skip_signature"] = True
    service = os.environ.get("AWS_ENDPOINT_URL_S3")
    if service and not names & {"endpoint", "endpoint_url"}:
        settings["endpoint"] = service
    return settings
