"""Where each chunk of a stored array lies: what of an array's document it takes to read it without zarr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import numpy as np

BLOSC_HEADER = 16
"""Bytes before a blosc block; also what blosc adds at the most (github.com/Blosc/c-blosc, BLOSC_MAX_OVERHEAD)."""

CHECKSUM = 4
"""Bytes of a crc32c."""

Place: TypeAlias = tuple[int, int]
"""Row and column of a chunk among all chunks, or of a file among all files."""

_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
)  # fmt: skip
_MEMBERS = {
    "zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "codecs", "fill_value",
    "attributes", "dimension_names", "storage_transformers",
}  # fmt: skip


@dataclass(frozen=True)
class ShardLayout:
    """An array of one or two dimensions, cut into files and these into chunks, all as (row, column)."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored: Place
    """Rows and columns of a file."""
    inner: Place
    """Rows and columns of a chunk."""
    sharded: bool
    """Whether a file is a shard with an index at its end, or one bare chunk."""

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def columns(self) -> int:
        return self.shape[1] if len(self.shape) == 2 else 1

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk; the last one is stored whole too."""
        return self.inner[0] * self.inner[1] * self.dtype.itemsize

    @property
    def most_encoded(self) -> int:
        """Bytes an encoded chunk has at the most: blosc copies what it cannot make smaller."""
        return self.chunk_bytes + BLOSC_HEADER + CHECKSUM

    @property
    def chunks_per_file(self) -> int:
        return (self.stored[0] // self.inner[0]) * (self.stored[1] // self.inner[1])

    def list_chunks(self, first: int, after: int) -> Iterator[Place]:
        """Every chunk that holds some of the rows ``[first, after)``."""
        if first == after:
            return
        for row in range(first // self.inner[0], -(-after // self.inner[0])):
            for column in range(-(-self.columns // self.inner[1])):
                yield row, column

    def begin_of(self, chunk: Place) -> Place:
        """First row and column of a chunk."""
        return chunk[0] * self.inner[0], chunk[1] * self.inner[1]

    def file_of(self, chunk: Place) -> Place:
        row, column = self.begin_of(chunk)
        return row // self.stored[0], column // self.stored[1]

    def number_of(self, chunk: Place) -> int:
        """Number of a chunk in its file's index."""
        down, across = self.stored[0] // self.inner[0], self.stored[1] // self.inner[1]
        return (chunk[0] % down) * across + chunk[1] % across

    def key(self, path: str, file: Place) -> str:
        return f"{path}/c/{file[0]}" if len(self.shape) == 1 else f"{path}/c/{file[0]}/{file[1]}"


def find_layout(document: Mapping[str, Any]) -> ShardLayout | None:
    """Return how an array is stored; None where it is in any way not what format 1 writes for numbers."""
    shape, grid, name = document.get("shape"), document.get("chunk_grid"), document.get("data_type")
    if document.get("zarr_format") != 3 or name not in _DTYPES or not set(document) <= _MEMBERS:
        return None
    if not _are_sizes(shape) or document.get("storage_transformers"):
        return None
    if document.get("chunk_key_encoding") not in (
        {"name": "default"},
        {"name": "default", "configuration": {"separator": "/"}},
    ):
        return None
    if not isinstance(grid, dict) or grid.get("name") != "regular" or not isinstance(grid.get("configuration"), dict):
        return None
    stored, codecs = grid["configuration"].get("chunk_shape"), document.get("codecs")
    dtype = np.dtype(name).newbyteorder("<")
    inside = _inside_shards(codecs)
    inner, chain = inside if inside is not None else (stored, codecs)
    if not _is_chain(chain, dtype.itemsize) or not _are_sizes(stored) or not _are_sizes(inner):
        return None
    if not len(shape) == len(stored) == len(inner) or 0 in stored or 0 in inner:
        return None
    if any(step % part for step, part in zip(stored, inner)):
        return None
    return ShardLayout(tuple(shape), dtype, _as_place(stored), _as_place(inner), inside is not None)


def _inside_shards(codecs: Any) -> tuple[Any, Any] | None:
    """Chunk shape and codecs inside shards with an index as ours; None where there are none."""
    match codecs:
        case [{"name": "sharding_indexed", "configuration": {"chunk_shape": inner, "codecs": chain} as settings}]:
            ours = set(settings) <= {"chunk_shape", "codecs", "index_codecs", "index_location"}
            if ours and settings.get("index_location") == "end" and _is_index_chain(settings.get("index_codecs")):
                return inner, chain
    return None


def _is_index_chain(codecs: Any) -> bool:
    return isinstance(codecs, list) and len(codecs) == 2 and _is_bytes(codecs[0], 8) and _is_crc(codecs[1])


def _is_chain(codecs: Any, itemsize: int) -> bool:
    if not isinstance(codecs, list) or len(codecs) != 3:
        return False
    blosc = codecs[1]
    return (
        _is_bytes(codecs[0], itemsize)
        and isinstance(blosc, dict)
        and (blosc.get("name"), set(blosc)) == ("blosc", {"name", "configuration"})  # its blocks say all else
        and _is_crc(codecs[2])
    )


def _is_bytes(codec: Any, itemsize: int) -> bool:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    return codec == little or (itemsize == 1 and codec in ({"name": "bytes"}, {"name": "bytes", "configuration": {}}))


def _is_crc(codec: Any) -> bool:
    return codec in ({"name": "crc32c"}, {"name": "crc32c", "configuration": {}})


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) in (1, 2) and all(type(n) is int and 0 <= n < 2**53 for n in value)


def _as_place(sizes: list[int]) -> Place:
    return sizes[0], sizes[1] if len(sizes) == 2 else 1
