"""What may stand in an attribute or a column: plain JSON, honest Unicode, numbers that every reader knows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import is_safe_part

_MAX_TEXT = 1_000_000
"""Longest text, in characters, that an attribute may hold: far above any real one, far below what hurts a reader."""

_MAX_TEXT_COLUMN_BYTES = 1 << 30
"""Largest text column in memory (4 bytes a character, every entry as wide as the longest)."""

_MAX_DEPTH = 32
_MAX_INTEGER = 1 << 63

OWN_ARRAYS = frozenset({names.TIME, "segment_start", "segment_first", "second_first_event"})
"""Arrays of the store's own beside a member's columns."""

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


def attribute_problems(attributes: Mapping[Any, Any]) -> Iterator[str]:
    """List what in the attributes of a member or column cannot be written, or would make others decode its values."""
    yield from json_problems("attributes", attributes)
    yield from reserved_problems(attributes)


def column_problems(columns: Mapping[Any, Any], dimension: str, taken: Set[str]) -> Iterator[str]:
    """List what keeps columns from being stored.

    Parameters
    ----------
    columns
        Name → `xarray.Variable` or `xarray.DataArray`.
    dimension
        The one dimension that each of them has.
    taken
        Names that the store keeps for itself.
    """
    for column, values in columns.items():
        if not isinstance(column, str) or not is_safe_part(column) or column in taken or column == dimension:
            yield f"column {column!a} cannot be stored under that name"
        if values.dims != (dimension,):
            yield f"column {column!a} has dimensions {values.dims}, expected ({dimension!r},)"
        if values.dtype.kind not in "biufU" or (values.dtype.itemsize not in (1, 2, 4, 8) and values.dtype.kind != "U"):
            yield f"column {column!a} has type {values.dtype}; text, numbers and booleans can be stored"
        elif values.dtype == np.float16:
            yield f"column {column!a} has type float16, which not every reader knows; use float32"
        elif values.dtype.kind == "U":
            yield from (f"column {column!a} {problem}" for problem in text_column_problems(values.values))
        yield from (f"column {column!a}: {problem}" for problem in attribute_problems(dict(values.attrs)))
        for attribute in (names.SCALE_FACTOR, names.ADD_OFFSET):
            if attribute in values.attrs:
                yield f"column {column!a}: attribute {attribute!r} belongs to signals; store the physical values"
