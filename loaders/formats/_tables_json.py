"""JSON of strangers: parsed once it is known to be small enough, its lists of numbers as arrays."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

MOST_BYTES = 256 << 20
"""Largest file that is read: the parser holds all of it, some 800 MB for this."""
_MOST_HELD = 800 << 20
_BYTES_PER_NUMBER = 40
"""A number in a list of Python's, and in an array."""
_NUMBERS = (int, float, type(None))


def mentions(path: Path, words: tuple[bytes, ...]) -> bool:
    """Tell whether a file begins as JSON does and holds one of some words; nothing is parsed."""
    with path.open("rb") as stream:
        head = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        if head[:1] not in (b"{", b"["):
            return False
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(data.find(word) >= 0 for word in words)


def read_json(path: Path) -> Any:
    """Parse a JSON file; ``NaN`` and ``Infinity``, which Python and Julia write, are taken as numbers.

    Raises
    ------
    RawFileError
        If the file is larger than 256 MB, is no JSON, or is nested too deep.
    """
    n_bytes = path.stat().st_size
    if n_bytes > MOST_BYTES:
        raise RawFileError(
            f"{path}: {n_bytes} bytes of JSON, at most {MOST_BYTES} are read, for it has to be held whole; save the "
            "traces as .npz, .h5 or .csv"
        )
    n_numbers = _count_commas(path)
    if n_bytes + n_numbers * _BYTES_PER_NUMBER > _MOST_HELD:
        raise RawFileError(
            f"{path}: {n_numbers} values of JSON, at most {(_MOST_HELD - n_bytes) // _BYTES_PER_NUMBER} of a file of "
            f"{n_bytes} bytes are read, for it has to be held whole; save the traces as .npz, .h5 or .csv"
        )
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise RawFileError(
            f"{path}: expected JSON that can be parsed ({str(error)[:200]}); fetch the file again"
        ) from error


def _count_commas(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(block.count(b",") for block in iter(lambda: stream.read(1 << 20), b""))


def numbers(value: Any) -> NDArray[np.float64] | None:
    """A list of numbers as an array, shape ``(n,)``, NaN for ``null``; None where it is none."""
    if not isinstance(value, list) or not value or not set(map(type, value)) <= set(_NUMBERS):
        return None
    try:
        return np.array(value, np.float64)
    except OverflowError:
        return None


def matrix(value: Any) -> NDArray[np.float64] | None:
    """A list of lists of numbers of one length as an array, shape ``(row, column)``; None where it is none."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        return None
    rows = [numbers(row) for row in value]
    length = len(value[0])
    if length == 0 or any(row is None or len(row) != length for row in rows):
        return None
    return np.array(rows, np.float64)


def texts(value: Any) -> list[str] | None:
    """A list of text (``null`` is empty), None where it is none."""
    if not isinstance(value, list) or not value or not all(item is None or isinstance(item, str) for item in value):
        return None
    return [item or "" for item in value] if any(value) else None


def sections(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key and value of a dictionary and of the dictionaries directly in it, the outer ones first."""
    yield from content.items()
    for value in content.values():
        if isinstance(value, dict):
            yield from value.items()


def levels(content: Any, depth: int = 2) -> Iterator[Any]:
    """A file's content, and each dictionary in it with what stands beside it, the outer ones first."""
    yield content
    if not isinstance(content, dict) or depth == 0:
        return
    beside = {key: value for key, value in content.items() if not isinstance(value, dict)}
    for value in content.values():
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            yield from levels({**beside, **value}, depth - 1)


def printable(text: Any) -> str:
    """Text without control characters, at most 200 of them."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:200]
