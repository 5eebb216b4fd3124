#!/usr/bin/env python3
"""A TCP proxy in front of a file server that behaves like a far or a bad one.

Each response waits before its first byte; every n-th one may break off in the middle, fail with 503, never come, or
ignore the range that was asked for. Bodies are spliced from socket to socket, so that the proxy costs little beside
the readers it is there to test. Imported by the tests, run as a process of its own by the benchmarks::

    python scripts/benchmarks/delaying_proxy.py 127.0.0.1:8080 --delay-ms 50
    curl http://127.0.0.1:PORT/__proxy__        # {"requests": 12, "bytes": 3456, …} since the last time it was asked
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

_HEADER_BYTES = 64 * 1024
_BLOCK = 1 << 20


@dataclass
class Faults:
    """What goes wrong; 0 means never, 1 every time, n every n-th request."""

    drop_every: int = 0
    """Close the connection half-way through the body."""
    fail_every: int = 0
    """Answer ``fail_status`` without asking the server."""
    fail_status: int = 503
    hang_every: int = 0
    """Say nothing at all until the client gives up."""
    ignore_range: bool = False
    """Ask the server for the whole file, whatever the client wanted."""
    hide_tags: bool = False
    """Leave out the ETag, by which a client knows that a file is still the same."""


class DelayingProxy:
    """Serve on 127.0.0.1 what another server serves, later and, where wanted, worse.

    Parameters
    ----------
    upstream
        Host and port of the server.
    delay_seconds
        Time from a request's last byte to the first byte of its response, beside what the server takes.

    Examples
    --------
    >>> with DelayingProxy(("127.0.0.1", 8080), 0.05) as proxy:  # doctest: +SKIP
    ...     print(proxy.url, proxy.requests, proxy.bytes)
    """

    def __init__(self, upstream: tuple[str, int], delay_seconds: float = 0.05) -> None:
        self.upstream, self.delay_seconds, self.faults = upstream, delay_seconds, Faults()
        self.lines: list[str] = []
        self.requests = self.bytes = 0
        self._lock = threading.Lock()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> DelayingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def reset(self, **faults: int | bool) -> None:
        """Count from zero again, with these faults (`Faults`) and no others."""
        with self._lock:
            self.faults = Faults(**faults)  # type: ignore[arg-type]
            self.requests = self.bytes = 0
            self.lines = []

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Answer one client's requests, one after the other, until either side hangs up."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = None
        pipe = _open_pipe()
        try:
            while not self._closing:
                head, rest = _read_head(client)
                if not head:
                    return
                if head.startswith(b"GET /__proxy__"):
                    self._answer_counts(client)
                    continue
                number = self._count(head)
                if self._fail(client, number):
                    return
                if server is None:
                    server = socket.create_connection(self.upstream)
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not self._forward(client, server, pipe, head, rest, number):
                    return
        except OSError:
            return
        finally:
            for end in (client, server):
                if end is not None:
                    end.close()
            for handle in pipe or ():
                os.close(handle)

    def _count(self, head: bytes) -> int:
        with self._lock:
            self.requests += 1
            wanted = _field(head, b"range")
            self.lines.append(f"{head.split(b' HTTP', 1)[0].decode('latin-1')} {wanted or ''}".rstrip())
            return self.requests

    def _answer_counts(self, client: socket.socket) -> None:
        with self._lock:
            body = json.dumps({"requests": self.requests, "bytes": self.bytes}).encode()
            self.requests = self.bytes = 0
            self.lines = []
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _fail(self, client: socket.socket, number: int) -> bool:
        """Whether this request is one that the server never hears of."""
        faults = self.faults
        if faults.hang_every and number % faults.hang_every == 0:
            with suppress(OSError):
                while client.recv(_BLOCK) and not self._closing:
                    pass
            return True
        if faults.fail_every and number % faults.fail_every == 0:
            time.sleep(self.delay_seconds)
            status = b"HTTP/1.1 %d Made To Fail\r\n" % faults.fail_status
            client.sendall(status + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            return True
        return False

    def _forward(
        self,
        client: socket.socket,
        server: socket.socket,
        pipe: tuple[int, int] | None,
        head: bytes,
        rest: bytes,
        number: int,
    ) -> bool:
        """Pass one request on and its response back; False where the connection cannot be used again."""
        faults = self.faults
        sent = _without(head, b"range") if faults.ignore_range else head
        server.sendall(sent + rest)
        _pass(client, server, pipe, max(0, _length(head) - len(rest)))
        time.sleep(self.delay_seconds)
        answer, body = _read_head(server)
        if not answer:
            return False
        if faults.hide_tags:
            answer = _without(answer, b"etag")
        status = int(answer.split(b" ", 2)[1])
        empty = head.startswith(b"HEAD ") or status in (204, 304)
        length = 0 if empty else _length(answer, -1)
        dropped = faults.drop_every and number % faults.drop_every == 0 and length > 1
        client.sendall(answer + (body[: length // 2] if dropped else body))
        left = length - len(body) if length >= 0 else -1
        passed = _pass(server, client, pipe, max(0, length // 2 - len(body)) if dropped else left)
        with self._lock:
            self.bytes += len(body) + passed
        closed = (_field(answer, b"connection") or "").lower() == "close" or answer.startswith(b"HTTP/1.0")
        return length >= 0 and not dropped and not closed


def _open_pipe() -> tuple[int, int] | None:
    """A pipe to splice through, where the system has such a thing."""
    if not hasattr(os, "splice"):
        return None
    ends = os.pipe()
    import fcntl

    with suppress(OSError, AttributeError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _BLOCK)
    return ends


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A message's head up to its empty line, and what of the body came with it; nothing where the other side left."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_HEADER_BYTES)
        data += piece
        if not piece or len(data) > 4 * _HEADER_BYTES:
            return b"", b""
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _field(head: bytes, name: bytes) -> str | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().decode("latin-1")
    return None


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line.partition(b":")[0].strip().lower() != name)


def _length(head: bytes, missing: int = 0) -> int:
    return int(_field(head, b"content-length") or missing)


def _pass(source: socket.socket, target: socket.socket, pipe: tuple[int, int] | None, count: int) -> int:
    """Pass ``count`` bytes on (all there are where it is negative); return how many there were."""
    passed = 0
    buffer = None if pipe else memoryview(bytearray(_BLOCK))
    while count < 0 or passed < count:
        block = _BLOCK if count < 0 else min(_BLOCK, count - passed)
        if pipe:
            got = os.splice(source.fileno(), pipe[1], block)  # type: ignore[attr-defined,unused-ignore]
            moved = 0
            while moved < got:
                moved += os.splice(pipe[0], target.fileno(), got - moved)  # type: ignore[attr-defined,unused-ignore]
        else:
            assert buffer is not None
            got = source.recv_into(buffer[:block])
            target.sendall(buffer[:got])
        if not got:
            break
        passed += got
    return passed


def main() -> None:
    """Run a proxy until it is told to stop; its address is the first line it prints."""
    parser = argparse.ArgumentParser(description="A delaying proxy in front of a file server.")
    parser.add_argument("upstream", help="host:port of the server")
    parser.add_argument("--delay-ms", type=float, default=50.0)
    arguments = parser.parse_args()
    host, _, port = arguments.upstream.rpartition(":")
    with DelayingProxy((host, int(port)), arguments.delay_ms / 1000) as proxy:
        print(proxy.url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
