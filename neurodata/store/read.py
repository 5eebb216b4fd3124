"""Reading a recording lazily; damage is noticed, never handed out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, StorePath, WrapperStore

from neurodata import names
from neurodata.errors import IntegrityError, NeurodataError, StoreError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import text_array
from neurodata.store.layout import EVENT_INDEX, StoredRecording, assemble_recording
from neurodata.store.manifest import DOCUMENTS_DIGEST, MANIFEST, documents_digest

_LARGEST_DOCUMENT = 64 * 1024 * 1024
_LARGEST_CHUNK = 1 << 31
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
    attributes = _checked_root(folder, documents)
    arrays = {
        path: _variable(folder, path, document)
        for path, document in documents.items()
        if document["node_type"] == "array" and not path.endswith(EVENT_INDEX)
    }
    groups = {
        path: document.get("attributes", {}) for path, document in documents.items() if document["node_type"] == "group"
    }
    try:
        return assemble_recording(StoredRecording(groups, arrays), attributes["metadata"], decode=decode)
    except IntegrityError as error:
        raise IntegrityError(f"{_name(folder)}: {error}") from error


def read_root_attributes(folder: Path) -> dict[str, Any]:
    """Return a recording's root attributes: ``neurodata_format``, ``metadata`` and ``manifest``.

    Raises
    ------
    StoreError
        If there is no recording in ``folder``, or its format is newer than this version of neurodata reads.
    """
    if not (folder / "zarr.json").is_file():
        raise StoreError(
            f"no recording at {str(folder)!r}: expected STORE/DATASET/RECORDING; 'neurodata info STORE' lists a store's recordings"
        )
    return _check_root(folder, _read_document(folder / "zarr.json", _name(folder)))


def _check_root(folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    attributes = document.get("attributes")
    number = attributes.get("neurodata_format") if isinstance(attributes, dict) else None
    if isinstance(number, int) and number > names.FORMAT_NUMBER:
        raise StoreError(
            f"{_name(folder)} is of store format {number}, this version reads up to {names.FORMAT_NUMBER}; upgrade neurodata"
        )
    if not isinstance(attributes, dict) or number != names.FORMAT_NUMBER:
        raise StoreError(f"{_name(folder)} is a Zarr group but not a neurodata recording: it has no 'neurodata_format'")
    if not isinstance(attributes.get("metadata"), dict) or not isinstance(attributes.get(MANIFEST), dict):
        raise IntegrityError(f"{_name(folder)}: the root attributes lack 'metadata' or 'manifest'")
    return attributes


def _name(folder: Path) -> str:
    return f"recording {'/'.join(folder.parts[-2:])!r}"


def _read_document(path: Path, where: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_DOCUMENT:
            raise IntegrityError(f"{where}: {path.name} is larger than {_LARGEST_DOCUMENT} bytes")
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, OSError, RecursionError) as error:
        raise IntegrityError(f"{where}: {path.parent.name}/zarr.json cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("node_type") not in ("array", "group"):
        raise IntegrityError(f"{where}: {path.parent.name}/zarr.json is not a Zarr v3 document")
    return document


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def read_documents(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every ``zarr.json`` of a recording: path relative to the recording (root: ``""``) → document."""
    if not (folder / "zarr.json").is_file():
        read_root_attributes(folder)
    found = {}
    for place, _, files in os.walk(folder, followlinks=False):
        if "zarr.json" in files:
            path = "" if Path(place) == folder else Path(place).relative_to(folder).as_posix()
            found[path] = _read_document(Path(place) / "zarr.json", _name(folder))
    return dict(sorted(found.items()))


def _checked_root(folder: Path, documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Root attributes, after every document has been compared with the digest kept in them."""
    attributes = _check_root(folder, documents[""])
    problem = document_problem(documents)
    if problem:
        raise IntegrityError(f"{_name(folder)}: {problem}; run 'neurodata verify' and convert it again")
    return attributes


def document_problem(documents: Mapping[str, dict[str, Any]]) -> str | None:
    """Say which attribute or array description differs from what was written; None where all agree."""
    consolidated = documents[""].get("consolidated_metadata")
    copies = consolidated.get("metadata", {}) if isinstance(consolidated, dict) else {}
    for path, document in documents.items():
        if path and path in copies and _plain(copies[path]) != _plain(document):
            return f"{path}/zarr.json is not what was written (an attribute was changed or damaged)"
    missing = sorted(set(copies) - set(documents))
    if missing:
        return f"array or group {missing[0]!r} is missing"
    manifest = documents[""]["attributes"][MANIFEST]
    if documents_digest(documents) != manifest.get(DOCUMENTS_DIGEST):
        return "an attribute is not what was written: the documents' digest differs from the manifest"
    return None


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


class _StrictStore(WrapperStore[LocalStore]):
    """Zarr reads a chunk that is not there as its fill value; here every chunk was written, so a missing one is lost."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if found is None and not key.endswith("zarr.json"):
            raise IntegrityError(f"file {key!r} is missing")
        return found


def open_array(folder: Path, path: str, document: Mapping[str, Any]) -> zarr.Array[Any]:
    """Return an array of a recording, opened for strict reading from its document alone.

    Raises
    ------
    IntegrityError
        If the document describes no array that can be read, or chunks too large to be honest.
    """
    try:
        store = StorePath(_StrictStore(LocalStore(folder, read_only=True)), path)
        array = zarr.Array.from_dict(store, dict(document))
        chunk_bytes = math.prod(array.chunks) * max(1, getattr(array.dtype, "itemsize", 1))
    except Exception as error:  # a hostile document can fail in any way
        raise IntegrityError(f"{_name(folder)}: array {path!r} is not described correctly: {error}") from error
    if chunk_bytes > _LARGEST_CHUNK:
        raise IntegrityError(
            f"{_name(folder)}: array {path!r} claims chunks of {chunk_bytes} bytes; at most {_LARGEST_CHUNK} are read"
        )
    return array


def read_values(folder: Path, path: str, array: zarr.Array[Any], key: Any) -> NDArray[Any]:
    """Return ``array[key]``, or raise naming the array where a chunk is missing or its checksum is wrong."""
    try:
        return np.asarray(array.oindex[key])
    except NeurodataError as error:
        raise IntegrityError(f"{_name(folder)}: array {path!r} is damaged: {error}; run 'neurodata verify'") from error
    except MemoryError:
        raise
    except Exception as error:  # codecs fail in many ways on damaged bytes
        raise IntegrityError(
            f"{_name(folder)}: array {path!r} is damaged: {error}; run 'neurodata verify' and convert it again"
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
    dimensions, attributes = document.get("dimension_names"), document.get("attributes", {})
    if not isinstance(dimensions, list) or not all(isinstance(d, str) for d in dimensions):
        raise IntegrityError(f"{_name(folder)}: array {path!r} has no dimension names")
    if document.get("data_type") == "string":
        array = open_array(folder, path, document)
        if math.prod(array.shape) > _LARGEST_TEXT:
            raise IntegrityError(f"{_name(folder)}: text array {path!r} claims {math.prod(array.shape)} entries")
        values = text_array(read_values(folder, path, array, (slice(None),) * len(array.shape)))
        values.flags.writeable = False
        return xr.Variable(dimensions, values, attributes)
    lazy = indexing.LazilyIndexedArray(StoredArray(folder, path, document))
    return xr.Variable(dimensions, lazy, attributes)
