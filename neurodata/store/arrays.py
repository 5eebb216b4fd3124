"""Arrays of a recording, read strictly: damage is noticed, never handed out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import StorePath

from neurodata.errors import IntegrityError
from neurodata.store.documents import recording_name
from neurodata.store.files import LARGEST_FILE as LARGEST_FILE
from neurodata.store.files import Files, Location, files_at
from neurodata.store.shards import ChunkReader, damage_error, too_large_error

_TRUSTED_BYTES = 1 << 30
"""A larger array must have its last file before anything believes in its shape."""

_BLOCK_BYTES = 16 << 20
"""Rows read at once where only some of their columns are wanted."""


class _StrictStore(Store):
    """Zarr reads a chunk or shard that is missing or empty as its fill value; here every one was written, so it is lost."""

    supports_writes = supports_deletes = supports_listing = False

    def __init__(self, files: Files) -> None:
        super().__init__(read_only=True)
        self.files = files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StrictStore) and self.files == other.files

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        content = await asyncio.to_thread(self._read, key, byte_range)
        return prototype.buffer.from_bytes(bytes(content))

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | memoryview:
        if isinstance(byte_range, RangeByteRequest):
            return self.files.read_spans(key, [(byte_range.start, byte_range.end)])[0]
        if isinstance(byte_range, SuffixByteRequest):
            return self.files.read_tail(key, byte_range.suffix)
        try:
            content = self.files.read(key, LARGEST_FILE)
        except FileNotFoundError:
            raise IntegrityError(f"file {key!r} is missing") from None
        if not content:
            raise IntegrityError(f"file {key!r} is empty")
        return content[byte_range.offset :] if isinstance(byte_range, OffsetByteRequest) else content

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self.files.has, key)

    async def set(self, key: str, value: Buffer) -> None:
        raise _read_only(key)

    async def delete(self, key: str) -> None:
        raise _read_only(key)

    def list(self) -> AsyncIterator[str]:
        raise _read_only("")

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise _read_only(prefix)

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise _read_only(prefix)


def _read_only(key: str) -> NotImplementedError:
    return NotImplementedError(f"a recording's files are read by name only; {key!r} cannot be listed, set or deleted")


def open_array(location: Location, path: str, document: Mapping[str, Any]) -> zarr.Array[Any]:
    """Return an array of a recording, opened for strict reading from its (checked) document alone.

    Raises
    ------
    IntegrityError
        If the document describes no array that can be read, or far more values than there are files for.
    """
    files = files_at(location)
    try:
        array = zarr.Array.from_dict(StorePath(_StrictStore(files), path), dict(document))
    except Exception as error:  # a hostile document can fail in any way
        raise IntegrityError(f"{recording_name(files)}: array {path!r} is not described correctly: {error}") from error
    stored = array.shards if array.shards is not None else array.chunks
    _check_shape(files, path, array.shape, stored, array.dtype)
    return array


def _check_shape(files: Files, path: str, shape: Sequence[int], stored: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Raise where an array claims to be huge and there is no file for its end."""
    if math.prod(shape) * dtype.itemsize <= _TRUSTED_BYTES:
        return
    last = "/".join(["c", *(str((size - 1) // step) for size, step in zip(shape, stored, strict=False))])
    if not files.has(f"{path}/{last}"):
        raise IntegrityError(
            f"{recording_name(files)}: array {path!r} claims the shape {tuple(shape)}, but its last file {last!r} is missing"
        )


def read_values(location: Location, path: str, array: zarr.Array[Any], key: Any) -> NDArray[Any]:
    """Return ``array[key]``, or raise naming the array where a chunk is missing or its checksum is wrong."""
    try:
        return np.asarray(array.oindex[key])
    except MemoryError as error:
        raise too_large_error(files_at(location), path, array.shape) from error
    except Exception as error:  # codecs fail in many ways on damaged bytes
        raise damage_error(files_at(location), path, error) from error


class StoredArray(BackendArray):
    """Lazy values of one stored array; holds paths only until it is read, so it can be pickled and sent to workers.

    Runs of rows are decoded straight from the files; whatever else is asked for, and whatever else is stored, is left
    to zarr.
    """

    def __init__(self, location: Location, path: str, document: Mapping[str, Any]) -> None:
        self.files, self.path, self.document = files_at(location), path, document
        self.reader = ChunkReader(self.files, path, document) if ChunkReader.can_read(document) else None
        self._array: zarr.Array[Any] | None = None
        described = self.reader if self.reader is not None else self._opened()
        self.shape, self.dtype = described.shape, described.dtype
        self._believed = self.reader is None
        if not self.files.remote:  # on a server that would cost a request, so there it waits for the first values
            self._check()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _opened(self) -> zarr.Array[Any]:
        if self._array is None:
            self._array = open_array(self.files, self.path, self.document)
        return self._array

    def _check(self) -> None:
        if self.reader is not None and not self._believed:
            stored = self.reader.layout.stored
            _check_shape(self.files, self.path, self.shape, stored, self.dtype)
        self._believed = True

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        self._check()
        rows, columns = key[0], key[1:]
        whole = all(
            isinstance(part, slice) and part.indices(size) == (0, size, 1)
            for part, size in zip(columns, self.shape[1:], strict=True)
        )
        reader = self.reader
        if reader is None or (reader.n_chunk_columns > 1 and not whole):
            return read_values(self.files, self.path, self._opened(), key)
        if isinstance(rows, (int, np.integer)):
            row = range(self.shape[0])[rows]
            return np.asarray(reader.read(row, row + 1)[(0, *columns)])
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            return read_values(self.files, self.path, self._opened(), key)
        first, after, _ = rows.indices(self.shape[0])
        after = max(first, after)
        return reader.read(first, after) if whole else self._read_columns(reader, first, after, columns[0])

    def _read_columns(self, reader: ChunkReader, first: int, after: int, columns: Any) -> NDArray[Any]:
        """Some columns of rows, block by block: a few channels of a long recording fit where the whole would not."""
        row_bytes = max(1, self.dtype.itemsize * math.prod(self.shape[1:]))
        step = -(-max(1, _BLOCK_BYTES // row_bytes) // reader.chunk_rows) * reader.chunk_rows
        chosen = np.arange(self.shape[1])[columns]
        try:
            out = np.empty((after - first, *chosen.shape), self.dtype)
        except MemoryError as error:
            raise too_large_error(self.files, self.path, self.shape) from error
        begin = first
        while begin < after:
            end = min(after, (begin // step + 1) * step)
            out[begin - first : end - first] = reader.read(begin, end)[:, columns]
            begin = end
        return out
