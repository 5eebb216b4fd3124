"""What a pickle of arrays is made of while it is read, and what becomes of it: arrays, lists, dictionaries, text."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DEEPEST = 6
"""Deepest nesting of lists and dictionaries in an object array."""
_MOST_KEY = 1 << 31
"""Numbers that are keys lie below this: larger ones can be chosen so that their hashes collide."""
_MOST_DIMENSIONS = 32

_DTYPE = re.compile(r"[biufUS][1-9]\d{0,5}")


class Function:
    """Stands in for one of numpy's own functions: a pickle can call it, and do nothing else with it.

    numpy's real ``dtype`` and ``ndarray`` accept states that read raw bytes as pointers, so none is ever used.
    """

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def build(self, state: Any) -> None:
        """Refuse: a function has no state."""
        raise ValueError("it changes a function")


class Type:
    """A dtype under construction."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        if code in ("O", "O8"):
            self.dtype: np.dtype[Any] = np.dtype(object)
        elif isinstance(code, str) and _DTYPE.fullmatch(code):
            self.dtype = np.dtype(code)
        else:
            raise ValueError(f"it makes the type {code!r:.80}; numbers and text are admitted")

    def build(self, state: Any) -> None:
        """Take the byte order; fields are refused."""
        _, order, *structure = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure[:3]):
            raise ValueError("it makes a structured type; numbers and text are admitted")
        self.dtype = self.dtype.newbyteorder(order)


class Array:
    """An array under construction; its numbers come from bytes that are there, its objects from a list."""

    __slots__ = ("fortran", "items", "shape")

    def __init__(self, *_: Any) -> None:
        self.items: NDArray[Any] | list[Any] | None = None

    def build(self, state: Any) -> None:
        """Take shape, type, order and content."""
        _, self.shape, kind, self.fortran, content = state
        sizes = self.shape if isinstance(self.shape, tuple) and len(self.shape) <= _MOST_DIMENSIONS else (-1,)
        if not isinstance(kind, Type) or not all(type(size) is int and 0 <= size < 1 << 48 for size in sizes):
            raise ValueError("it makes an array without a type or with an odd shape")
        if kind.dtype.kind == "O":
            if not isinstance(content, list):
                raise ValueError("it makes an array of objects from something that is no list")
            self.items = content
        else:
            self.items = _from_bytes(kind, content)
        if len(self.items) != math.prod(self.shape):
            raise ValueError(f"it gives {len(self.items)} elements to an array of shape {tuple(self.shape)}")


class Pairs:
    """A dictionary under construction, not yet hashed."""

    __slots__ = ("items",)

    def __init__(self, *content: Any) -> None:
        if content:
            raise ValueError("it makes a dictionary from something that is not pairs")
        self.items: list[tuple[Any, Any]] = []

    def extend(self, flat: list[Any]) -> None:
        """Take keys and values in turn."""
        if len(flat) % 2:
            raise ValueError("a dictionary's last key has no value")
        self.items += zip(flat[::2], flat[1::2])


def _from_bytes(kind: Any, content: Any) -> NDArray[Any]:
    if not isinstance(kind, Type) or kind.dtype.kind == "O" or not isinstance(content, bytes):
        raise ValueError("it makes numbers from something that is not bytes of a known type")
    return np.frombuffer(content, kind.dtype)


def _scalar(kind: Any, content: Any) -> Any:
    values = _from_bytes(kind, content)
    if len(values) != 1:
        raise ValueError(f"it makes one number from {len(values)}")
    return values.astype(kind.dtype.newbyteorder("="), copy=False)[0]


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes as protocols below 3 write them."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise ValueError("it makes bytes from something that is not text")
    return text.encode("latin-1")


def _date(content: Any, *_: Any) -> str:
    """ISO 8601 text of a date and time, whose state is ten bytes: year (two), month … second, microsecond (three)."""
    raw = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(raw, bytes) or len(raw) != 10:
        raise ValueError("it makes a date from something that is not ten bytes")
    year, month, day, hour, minute, second = struct.unpack(">H5B", raw[:7])
    return f"{year:04d}-{month & 127:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def _path(*parts: Any) -> str:
    """Text of a path; nobody follows it."""
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("it makes a path from something that is not text")
    return "/".join(parts).replace("//", "/")


_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")
FUNCTIONS = {
    ("numpy", "ndarray"): Function(Array),
    ("numpy", "dtype"): Function(Type),
    **{(core, "_reconstruct"): Function(Array) for core in _CORES},
    **{(core, "scalar"): Function(_scalar) for core in _CORES},
    ("_codecs", "encode"): Function(_encoded),
    ("collections", "OrderedDict"): Function(Pairs),
    ("datetime", "datetime"): Function(_date),
    **{
        (module, name): Function(_path)
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath", "Path")
    },
}


class Budget:
    """Bytes that may be copied: what a pickle holds once, it may not have copied a thousand times."""

    def __init__(self, n_bytes: int) -> None:
        self._left = 4 * n_bytes + 4096

    def spend(self, n_bytes: int) -> None:
        """Take some; raise where too little is left."""
        self._left -= n_bytes
        if self._left < 0:
            raise ValueError("it makes many copies of the same bytes")


class Finisher:
    """Turns what was under construction into what it stands for, each thing once however often it is shared."""

    def __init__(self, n_bytes: int) -> None:
        self._made: dict[int, Any] = {}
        self._budget = Budget(n_bytes)

    def finish(self, made: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"lists nested deeper than {_DEEPEST}")
        if isinstance(made, (list, tuple, Array, Pairs)):
            # Finished once each, so that lists which share parts cannot make this endless.
            if id(made) not in self._made:
                self._made[id(made)] = self._finish_items(made, depth)
            return self._made[id(made)]
        if isinstance(made, int) and made.bit_length() > 64:
            raise ValueError(f"it holds a whole number of {made.bit_length()} bits, at most 64 are read")
        if isinstance(made, Type):
            return str(made.dtype)
        if made is None or isinstance(made, (str, bytes, bool, int, float, np.generic)):
            return made
        raise ValueError(f"it holds {type(made).__name__}")

    def _finish_items(self, made: Any, depth: int) -> Any:
        if isinstance(made, Pairs):
            return {_key(key): self.finish(value, depth + 1) for key, value in made.items}
        items = made.items if isinstance(made, Array) else made
        if items is None:
            raise ValueError("an array was begun and never filled")
        if isinstance(items, (list, tuple)):
            items = [self.finish(item, depth + 1) for item in items]
        if not isinstance(made, Array):
            return items
        if isinstance(items, list):
            filled = np.empty(len(items), object)
            for position, item in enumerate(items):  # one by one: numpy would unpack lists of equal length
                filled[position] = item
            items = filled
        elif not items.dtype.isnative:
            self._budget.spend(items.nbytes)
            items = items.astype(items.dtype.newbyteorder("="))
        return items.reshape(tuple(made.shape), order="F" if made.fortran else "C")


def _key(key: Any) -> str | int:
    key = key.item() if isinstance(key, np.generic) else key
    if isinstance(key, str) or (isinstance(key, int) and abs(key) < _MOST_KEY):
        return key
    raise ValueError(
        f"a dictionary has the key {key!r:.40} ({type(key).__name__}); text and whole numbers are admitted"
    )
