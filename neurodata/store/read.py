"""Reading a recording lazily; damage is noticed, never handed out."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing
from zarr.abc.store import ByteRequest, RangeByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, StorePath, WrapperStore

from neurodata.errors import IntegrityError, StoreError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import text_array
from neurodata.store.documents import check_root, document_problem, read_documents, recording_name
from neurodata.store.layout import EVENT_INDEX, StoredRecording, assemble_recording

_LARGEST_FILE = 1 << 30
"""Bytes read at once from one file, and bytes of one text column in memory."""

_TRUSTED_BYTES = 1 << 30
"""A larger array must have its last file before anything believes in its shape."""

_LARGEST_TEXT = 50_000_000


def open_recording(path: str | Path, *, decode: bool = True) -> Recording:
    """Open a stored recording lazily.

    Every attribute is checked against the recording's digest on opening, every value against its checksum when it is
    read: what was changed or lost on disk raises, it is never returned.

    Parameters
    ----------
    path
        ``STORE/DATASET/RECORDING``.
    decode
        Whether ``signals[…]`` gives integers as physical float32 or as they are stored.

    Raises
    ------
    StoreError
        If there is no recording at ``path`` or it is of a newer format.
    IntegrityError
        If an attribute was changed or an array is missing or damaged.

    Examples
    --------
    >>> import neurodata as nd
    >>> recording = nd.open_recording("store/kato_brain_2015/worm1")  # doctest: +SKIP
    >>> recording.signals["calcium"].sel(time=slice(10, 20))  # doctest: +SKIP
    """
    folder = Path(path)
    documents = read_documents(folder)
    attributes = check_root(folder, documents[""])
    problem = document_problem(documents)
    if problem:
        raise IntegrityError(f"{recording_name(folder)}: {problem}; run 'neurodata verify' and convert it again")
    groups = {path: document["attributes"] for path, document in documents.items() if document["node_type"] == "group"}
    try:
        arrays = {
            path: _variable(folder, path, document)
            for path, document in documents.items()
            if document["node_type"] == "array" and path.rsplit("/")[-1] != EVENT_INDEX
        }
        return assemble_recording(StoredRecording(groups, arrays), attributes["metadata"], decode=decode)
    except StoreError as error:
        where = recording_name(folder)
        raise error if str(error).startswith(where) else IntegrityError(f"{where}: {error}") from error
    except Exception as error:  # documents that fit their digest but not the format: made by hand, perhaps to harm
        raise IntegrityError(f"{recording_name(folder)} is not laid out as store format 1 says: {error}") from error


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
        if max(wanted or 0, found.st_size if whole else 0) > _LARGEST_FILE:
            raise IntegrityError(f"file {key!r} is larger than {_LARGEST_FILE} bytes")


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


def _variable(folder: Path, path: str, document: Mapping[str, Any]) -> xr.Variable:
    """A lazy variable; text is read at once (its width is not known before, and labels are few)."""
    dimensions, attributes = document["dimension_names"], document["attributes"]
    if document["data_type"] != "string":
        lazy = indexing.LazilyIndexedArray(StoredArray(folder, path, document))
        return xr.Variable(dimensions, lazy, attributes)
    array = open_array(folder, path, document)
    if math.prod(array.shape) > _LARGEST_TEXT:
        raise IntegrityError(f"text array {path!r} claims {math.prod(array.shape)} entries")
    entries = read_values(folder, path, array, (slice(None),) * len(array.shape)).ravel().tolist()
    width = max(map(len, entries), default=0)
    if width * len(entries) * 4 > _LARGEST_FILE:
        raise IntegrityError(f"text array {path!r} of {len(entries)} entries holds one of {width} characters")
    values = text_array(entries).reshape(array.shape)
    values.flags.writeable = False
    return xr.Variable(dimensions, values, attributes)
