"""What may stand in an attribute or a text column: plain JSON and honest Unicode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_TEXT = 1_000_000
"""Longest text, in characters, that an attribute may hold: far above any real one, far below what hurts a reader."""

_MAX_TEXT_COLUMN_BYTES = 1 << 30
"""Largest text column in memory (4 bytes a character, every entry as wide as the longest)."""

_MAX_DEPTH = 32
_MAX_INTEGER = 1 << 63

CF_RESERVED = (
    "coordinates", "_FillValue", "missing_value", "_Unsigned", "dtype", "calendar", "bounds", "grid_mapping",
    "valid_min", "valid_max", "valid_range", "_ARRAY_DIMENSIONS", "_Encoding",
)  # fmt: skip
"""Attributes that make xarray and other CF readers change values or move arrays when they open a store."""


def json_problems(path: str, value: Any, depth: int = 0) -> list[str]:
    """List what in an attribute is not plain JSON: other types, NaN, infinity, lone surrogates, endless text."""
    if depth > _MAX_DEPTH:
        return [f"{path[:60]}…: nested more than {_MAX_DEPTH} deep"]
    if isinstance(value, Mapping):
        problems = []
        for key, entry in value.items():
            if not isinstance(key, str):
                problems.append(f"{path}: key {key!r} is not text")
                continue
            problems += [f"{path}: in a key, {problem}" for problem in _text_problems(key)]
            problems += json_problems(f"{path}/{ascii(key)[1:-1][:80]}", entry, depth + 1)
        return problems
    if isinstance(value, (list, tuple)):
        return [p for i, entry in enumerate(value) for p in json_problems(f"{path}/{i}", entry, depth + 1)]
    if isinstance(value, str):
        return [f"{path}: {problem}" for problem in _text_problems(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{path}: {value} cannot be written as JSON; leave the attribute out where the value is unknown"]
    if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
        return [f"{path}: an integer beyond 64 bits cannot be read back by every JSON reader; use text"]
    if value is None or isinstance(value, (bool, int, float)):
        return []
    return [f"{path}: {type(value).__name__} is not a JSON value; use text, numbers, lists or dictionaries"]


def _text_problems(text: str) -> list[str]:
    if len(text) > _MAX_TEXT:
        return [f"text of {len(text)} characters; at most {_MAX_TEXT} fit into an attribute"]
    try:
        text.encode()
    except UnicodeEncodeError:
        return [f"{text[:80]!a} is not valid Unicode text"]
    return []


def reserved_problems(attributes: Mapping[Any, Any]) -> list[str]:
    """List attributes by which other readers would decode the values into something else."""
    problems = [
        f"attribute {name!r} is reserved: other readers decode values by it; use another name"
        for name in CF_RESERVED
        if name in attributes
    ]
    units = attributes.get("units")
    if isinstance(units, str) and " since " in units:
        problems.append(
            f"attribute 'units' is {units!r}, which other readers turn into dates; use seconds from the start"
        )
    return problems


def text_column_problems(values: NDArray[Any]) -> list[str]:
    """List what in a text column would not survive being written: lone surrogates, and text too long to be held."""
    if values.nbytes > _MAX_TEXT_COLUMN_BYTES:
        longest = values.dtype.itemsize // 4
        return [f"{values.size} entries as wide as the longest ({longest} characters) take more than 1 GiB; shorten it"]
    codes = np.ascontiguousarray(values, values.dtype.newbyteorder("=")).reshape(-1).view(np.uint32)
    if values.size and ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
        return ["holds text that is not valid Unicode (a lone surrogate)"]
    return []
