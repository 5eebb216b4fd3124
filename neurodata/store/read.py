"""Reading a recording lazily; damage is noticed, never handed out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.core import indexing

from neurodata.errors import IntegrityError, StoreError
from neurodata.recording.recording import Recording
from neurodata.store.arrays import StoredArray
from neurodata.store.documents import check_root, document_problem, read_documents, recording_name
from neurodata.store.files import REMOTE_SCHEMES, Files, files_at
from neurodata.store.layout import EVENT_INDEX, StoredRecording, assemble_recording
from neurodata.store.texts import read_text


def open_recording(
    path: str | Path | Files, *, decode: bool = True, storage_options: Mapping[str, Any] | None = None
) -> Recording:
    """Open a stored recording lazily.

    Every attribute is checked against the recording's digest on opening, every value against its checksum when it is
    read: what was changed or lost on disk raises, it is never returned.

    Parameters
    ----------
    path
        ``STORE/DATASET/RECORDING``: a folder, or its address (``https://…``, ``http://…``, ``s3://…``).
    decode
        Whether ``signals[…]`` gives integers as physical float32 or as they are stored.
    storage_options
        For an address: obstore's settings, such as ``{"region": "eu-west-1"}`` (docs/remote.md).

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
    folder = _located(path, storage_options)
    documents = read_documents(folder)
    attributes = check_root(folder, documents[""])
    problem = document_problem(documents)
    if problem:
        raise IntegrityError(f"{recording_name(folder)}: {problem}; run 'neurodata verify' and convert it again")
    groups = {path: document["attributes"] for path, document in documents.items() if document["node_type"] == "group"}
    try:
        arrays = _variables(folder, documents)
        return assemble_recording(StoredRecording(groups, arrays), attributes["metadata"], decode=decode)
    except StoreError as error:
        where = recording_name(folder)
        raise error if str(error).startswith(where) else IntegrityError(f"{where}: {error}") from error
    except Exception as error:  # documents that fit their digest but not the format: made by hand, perhaps to harm
        raise IntegrityError(f"{recording_name(folder)} is not laid out as its store format says: {error}") from error


def _located(path: str | Path | Files, storage_options: Mapping[str, Any] | None) -> Path | Files:
    if isinstance(path, str) and path.startswith(REMOTE_SCHEMES):
        from neurodata.store.remote import RemoteFiles

        return RemoteFiles(path, storage_options)
    return Path(path) if isinstance(path, str) else path


def _variables(folder: Path | Files, documents: Mapping[str, dict[str, Any]]) -> dict[str, xr.Variable]:
    """Every array's variable; on a server, where each text costs a way there and back, several at a time."""
    wanted = [
        path
        for path, document in documents.items()
        if document["node_type"] == "array" and path.rsplit("/")[-1] != EVENT_INDEX
    ]
    if isinstance(folder, Path) or not folder.remote:
        return {path: _variable(folder, path, documents[path]) for path in wanted}
    with ThreadPoolExecutor(8) as threads:
        return dict(zip(wanted, threads.map(lambda path: _variable(folder, path, documents[path]), wanted)))


def _variable(folder: Path | Files, path: str, document: Mapping[str, Any]) -> xr.Variable:
    """A lazy variable; text is read at once (its width is not known before, and labels are few)."""
    dimensions, attributes = document["dimension_names"], document["attributes"]
    if document["data_type"] != "string":
        lazy = indexing.LazilyIndexedArray(StoredArray(folder, path, document))
        return xr.Variable(dimensions, lazy, attributes)
    values = read_text(files_at(folder), path, document)
    values.flags.writeable = False
    return xr.Variable(dimensions, values, attributes)
