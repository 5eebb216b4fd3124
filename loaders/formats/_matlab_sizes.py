"""Are the sizes in a MATLAB v5 file true? Walked through before anything is allocated on their word."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from neurodata.errors import RawFileError

MOST_BYTES = 4 << 30
"""Largest content that is read whole: v5 files can only be."""

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_WIDTH = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Bytes per value of each data type (MAT-File Format, table 1-1)."""
_DEEPEST = 40

Left: TypeAlias = Callable[[], int]
"""Gives the bytes that are left of what is being walked through."""


def check_sizes(path: Path) -> int:
    """Walk through a v5 file, unpacking it block by block, and return the bytes that it unpacks to.

    Raises
    ------
    RawFileError
        If an element is longer than the file or than what holds it, states more values than its bytes can hold, is
        nested endlessly, or everything unpacks to more than 4 GiB.
    """
    n_bytes = path.stat().st_size
    total = 0
    try:
        with path.open("rb") as stream:
            order = "<" if stream.read(128)[126:128] == b"IM" else ">"
            while stream.tell() < n_bytes:
                tag = stream.read(8)
                if len(tag) < 8 and not tag.strip(b"\0"):
                    break
                kind, length = struct.unpack(order + "II", tag)
                after = stream.tell() + length
                if after > n_bytes:
                    raise ValueError(f"a variable claims {length} bytes, the file ends after {n_bytes}")
                source = _Stream(stream, length, kind == _COMPRESSED, MOST_BYTES - total)
                if kind == _COMPRESSED:
                    kind, length = struct.unpack(order + "II", source.take(8))
                if kind == _MATRIX:
                    _check_matrix(source, length, order, 0)
                source.skip_rest()
                total += source.used
                stream.seek(after)
    except (ValueError, struct.error, zlib.error, OverflowError) as error:
        raise RawFileError(
            f"{path}: expected a whole MATLAB file, but it is truncated or damaged ({error}); fetch it again"
        ) from error
    return total


class _Stream:
    """The bytes of one variable, unpacked as they are asked for."""

    def __init__(self, stream: BinaryIO, length: int, packed: bool, most: int) -> None:
        self._stream, self._left, self._most = stream, length, most
        self._unpack = zlib.decompressobj() if packed else None
        self._ready = b""
        self.used = 0

    def _fill(self, wanted: int) -> None:
        while len(self._ready) < wanted:
            if self._unpack is None:
                block = self._stream.read(min(self._left, max(wanted, 1 << 16)))
                self._left -= len(block)
            else:
                packed = self._unpack.unconsumed_tail
                if not packed:
                    packed = self._stream.read(min(self._left, 1 << 16))
                    self._left -= len(packed)
                block = self._unpack.decompress(packed, 1 << 20)
                if not block and packed and not self._unpack.eof:
                    continue
            if not block:
                return
            self._ready += block

    def take(self, count: int) -> bytes:
        self._fill(count)
        taken, self._ready = self._ready[:count], self._ready[count:]
        if len(taken) < count:
            raise ValueError(f"{count} bytes are claimed where {len(taken)} are left")
        self._count(count)
        return taken

    def _count(self, count: int) -> None:
        self.used += count
        if self.used > self._most:
            raise ValueError(
                f"it unpacks to more than {MOST_BYTES} bytes, which cannot be read at once; save it as -v7.3"
            )

    def skip(self, count: int) -> None:
        while count > 0:
            step = min(count, 1 << 20)
            self.take(step)
            count -= step

    def skip_rest(self) -> None:
        while True:
            self._fill(1)
            if not self._ready:
                return
            self._count(len(self._ready))
            self._ready = b""


def _tag(source: _Stream, order: str) -> tuple[int, int, bytes]:
    """Type and length of the next element; a short one carries its values in the tag itself."""
    raw = source.take(8)
    first, second = struct.unpack(order + "II", raw)
    if first >> 16:
        if first >> 16 > 4:
            raise ValueError(f"a short element of {first >> 16} bytes, at most 4 fit")
        return first & 0xFFFF, first >> 16, raw[4 : 4 + (first >> 16)]
    return first, second, b""


def _element(source: _Stream, order: str, most: int, *, keep: bool) -> tuple[int, int, bytes]:
    kind, length, values = _tag(source, order)
    if length > most:
        raise ValueError(f"an element claims {length} bytes inside one of {most}")
    if values:
        return kind, length, values
    padded = length + -length % 8
    if keep:
        return kind, length, source.take(padded)[:length]
    source.skip(padded)
    return kind, length, b""


def _check_matrix(source: _Stream, length: int, order: str, depth: int) -> None:
    """One matrix of ``length`` bytes, its tag already read; nothing may reach beyond them."""
    begun = source.used
    if depth > _DEEPEST:
        raise ValueError(f"cells and structs nested more than {_DEEPEST} deep")
    if length == 0:
        return

    def left() -> int:
        return length - (source.used - begun)

    _, n, flags = _element(source, order, min(left(), 64), keep=True)
    if n < 8:
        raise ValueError("a variable without flags")
    word = struct.unpack(order + "I", flags[:4])[0]
    cls, is_complex = word & 0xFF, bool(word >> 11 & 1)
    if not 1 <= cls <= _OPAQUE:
        raise ValueError(f"a variable of class {cls}")
    if cls == _OPAQUE:
        for _ in range(3):
            _element(source, order, min(left(), 1 << 16), keep=False)
        _check_inner(source, left, order, depth)
        source.skip(left())
        return
    _, n, raw = _element(source, order, min(left(), 8 * 32), keep=True)
    dims = struct.unpack(f"{order}{n // 4}i", raw[: n // 4 * 4])
    if any(size < 0 for size in dims):
        raise ValueError(f"a variable of shape {dims}")
    _element(source, order, min(left(), 1 << 16), keep=False)
    count = math.prod(dims)
    if cls in (_CELL, _STRUCT, _OBJECT):
        _check_items(source, cls, count, left, order, depth)
    elif cls == _FUNCTION:
        _check_inner(source, left, order, depth)
    else:
        for part in range((3 if cls == _SPARSE else 1) + is_complex):
            _check_numbers(source, left, order, count if cls not in (_SPARSE, _CHAR) and not part else 0, dims)
    if left() < 0:
        raise ValueError("an element reaches beyond what holds it")
    source.skip(left())


def _check_numbers(source: _Stream, left: Left, order: str, count: int, dims: tuple[int, ...]) -> None:
    kind, n, _ = _element(source, order, left(), keep=False)
    if kind not in _WIDTH:  # scipy takes the type for an index into a table, and crashes
        raise ValueError(f"values of type {kind}, which MATLAB does not have")
    if n // _WIDTH[kind] < count:
        raise ValueError(f"a variable of shape {dims} holds {n // _WIDTH[kind]} values")


def _check_inner(source: _Stream, left: Left, order: str, depth: int) -> None:
    kind, n, _ = _tag(source, order)
    if kind != _MATRIX or n > left():
        raise ValueError(f"an element of type {kind} and {n} bytes where a variable of at most {left()} is expected")
    _check_matrix(source, n, order, depth + 1)


def _check_items(source: _Stream, cls: int, count: int, left: Left, order: str, depth: int) -> None:
    if cls == _OBJECT:
        _element(source, order, min(left(), 1 << 16), keep=True)
    if cls != _CELL:
        _, _, raw = _element(source, order, min(left(), 8), keep=True)
        width = struct.unpack(order + "i", raw[:4])[0]
        _, n, _ = _element(source, order, left(), keep=False)
        if width <= 0:
            raise ValueError(f"field names {width} bytes long")
        count *= n // width
    if count * 8 > left():
        raise ValueError(f"{count} elements are claimed where {left()} bytes are left")
    for _ in range(count):
        _check_inner(source, left, order, depth)
