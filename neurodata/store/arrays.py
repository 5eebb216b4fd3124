"""Arrays of a recording, read strictly: damage is noticed, never handed out."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing
from zarr.abc.store import ByteRequest, RangeByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, StorePath, WrapperStore

from neurodata.errors import IntegrityError, StoreError
from neurodata.store.documents import recording_name

LARGEST_FILE = 1 << 30
"""Bytes read at once from one file, and bytes of one text column in memory."""

_TRUSTED_BYTES = 1 << 30
"""A larger array must have its last file before anything believes in its shape."""


class _StrictStore(WrapperStore[LocalStore]):
    """Zarr reads a chunk or shard that is missing or empty as its fill value; here every one was written, so it is lost."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        if key.endswith("zarr.json"):
            return await super().get(key, prototype, byte_range)
        wanted = byte_range.end - byte_range.start if isinstance(byte_range, RangeByteRequest) else None
        self._check(key, wanted, whole=byte_range is None)
        found = await super().get(key, prototype, byte_range)
        if found is not None and wanted not in (None, len(found)):
            raise IntegrityError(f"file {key!r} ends too early: {len(found)} bytes where there must be {wanted}")
        return found

    def _check(self, key: str, wanted: int | None, *, whole: bool) -> None:
        try:
            found = os.stat(self._store.root / key)
        except (FileNotFoundError, NotADirectoryError):
            raise IntegrityError(f"file {key!r} is missing") from None
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device would never end
            raise IntegrityError(f"{key!r} is not a plain file")
        if found.st_size == 0:
            raise IntegrityError(f"file {key!r} is empty")
        if max(wanted or 0, found.st_size if whole else 0) > LARGEST_FILE:
            raise IntegrityError(f"file {key!r} is larger than {LARGEST_FILE} bytes")


def open_array(folder: Path, path: str, document: Mapping[str, Any]) -> zarr.Array[Any]:
    """Return an array of a recording, opened for strict reading from its (checked) document alone.

    Raises
    ------
    IntegrityError
        If the document describes no array that can be read, or far more values than there are files for.
    """
    try:
        store = StorePath(_StrictStore(LocalStore(folder, read_only=True)), path)
        array = zarr.Array.from_dict(store, dict(document))
    except Exception as error:  # a hostile document can fail in any way
        raise IntegrityError(f"{recording_name(folder)}: array {path!r} is not described correctly: {error}") from error
    stored = array.shards if array.shards is not None else array.chunks
    if math.prod(array.shape) * array.dtype.itemsize > _TRUSTED_BYTES:
        last = "/".join(["c", *(str((size - 1) // step) for size, step in zip(array.shape, stored))])
        if not (folder / path / last).is_file():
            raise IntegrityError(
                f"array {path!r} claims the shape {array.shape}, but its last file {last!r} is missing"
            )
    return array


def read_values(folder: Path, path: str, array: zarr.Array[Any], key: Any) -> NDArray[Any]:
    """Return ``array[key]``, or raise naming the array where a chunk is missing or its checksum is wrong."""
    try:
        return np.asarray(array.oindex[key])
    except MemoryError as error:
        raise StoreError(
            f"{recording_name(folder)}: array {path!r} of shape {array.shape} does not fit into memory; read a part of "
            "it with .sel(time=slice(…)) or .isel(…)"
        ) from error
    except Exception as error:  # codecs fail in many ways on damaged bytes
        raise IntegrityError(
            f"{recording_name(folder)}: array {path!r} is damaged: {error}; run 'neurodata verify' and convert it again"
        ) from error


class StoredArray(BackendArray):
    """Lazy values of one stored array; holds paths only until it is read, so it can be pickled and sent to workers."""

    def __init__(self, folder: Path, path: str, document: Mapping[str, Any]) -> None:
        self.folder, self.path, self.document = folder, path, document
        array = open_array(folder, path, document)
        self.shape, self.dtype = array.shape, array.dtype
        self._array: zarr.Array[Any] | None = array

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        if self._array is None:
            self._array = open_array(self.folder, self.path, self.document)
        return read_values(self.folder, self.path, self._array, key)
