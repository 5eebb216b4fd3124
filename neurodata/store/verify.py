"""Is what is stored still what was written?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zarr

from neurodata.errors import NeurodataError
from neurodata.recording.validate import list_problems
from neurodata.store.arrays import open_array, read_values
from neurodata.store.chunks import chunk_keys
from neurodata.store.documents import document_problem, read_documents, read_root_attributes
from neurodata.store.files import Files, LocalFiles, files_at
from neurodata.store.manifest import ARRAYS, CONTENT_DIGEST, MANIFEST, ContentDigest, make_manifest
from neurodata.store.read import open_recording


def verify_recording(folder: str | Path | Files) -> list[str]:
    """Compare a stored recording with its manifest: every file, every attribute, every value.

    Parameters
    ----------
    folder
        ``STORE/DATASET/RECORDING``; where it is on a server, files that nobody wrote are not looked for.

    Returns
    -------
    problems
        One line each, beginning with the path of the array or document; an empty list means that all is as written.
    """
    files = files_at(folder)
    try:
        manifest = read_root_attributes(files)[MANIFEST]
        documents = read_documents(files)
    except NeurodataError as error:
        return [str(error)]
    problem = document_problem(documents)
    problems = [problem] if problem else []
    arrays = {path: document for path, document in documents.items() if document["node_type"] == "array"}
    digests = manifest.get(ARRAYS) if isinstance(manifest.get(ARRAYS), dict) else {}
    problems += [f"{path}: the array is missing" for path in sorted(set(digests) - set(arrays))]
    problems += [f"{path}: the array is not in the manifest" for path in sorted(set(arrays) - set(digests))]
    if make_manifest(digests)[CONTENT_DIGEST] != manifest.get(CONTENT_DIGEST):
        problems.append("manifest: the digest over all arrays does not fit the arrays' digests")
    expected = {f"{path}/zarr.json".lstrip("/") for path in documents}
    for path, document in arrays.items():
        problems += _array_problems(files, path, document, digests.get(path), expected)
    if isinstance(files, LocalFiles):
        problems += [f"{name}: nobody wrote this file" for name in _strangers(files.folder, expected)]
    return problems


def _strangers(folder: Path, expected: set[str]) -> list[str]:
    """Files and links that belong to no array."""
    found = set()
    for place, folders, files in os.walk(folder, followlinks=False):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found |= {(Path(place) / name).relative_to(folder).as_posix() for name in (*files, *links)}
    return sorted(found - expected)


def _array_problems(
    files: Files, path: str, document: dict[str, Any], digest: str | None, expected: set[str]
) -> Iterator[str]:
    try:
        array = open_array(files, path, document)
    except NeurodataError as error:
        yield f"{path}: {error}"
        return
    stored = array.shards if array.shards is not None else array.chunks
    keys = chunk_keys(array.shape, stored)
    expected.update(f"{path}/{key}" for key in keys)
    missing = [key for key in keys if not files.has(f"{path}/{key}")]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        yield f"{path}: {', '.join(missing[:3])}{more} of {len(keys)} files missing"
        return
    try:
        actual = _digest(files, path, array)
    except NeurodataError as error:
        yield f"{path}: {error}"
        return
    if digest is not None and actual != digest:
        yield f"{path}: the values are not those that were written (their digest differs from the manifest)"


def _digest(files: Files, path: str, array: zarr.Array[Any]) -> str:
    text = array.metadata.to_dict()["data_type"] == "string"
    digest = ContentDigest("string" if text else str(array.dtype.newbyteorder("=")), array.shape)
    rows = (array.shards if array.shards is not None else array.chunks)[0]
    for first in range(0, array.shape[0] if math.prod(array.shape) else 0, rows):
        key = (slice(first, first + rows), *[slice(None)] * (len(array.shape) - 1))
        digest.update(read_values(files, path, array, key))
    return digest.hexdigest()


def schema_problems(folder: str | Path | Files) -> list[str]:
    """List what in a stored recording breaks the schema, or what keeps it from being opened."""
    try:
        return list_problems(open_recording(folder))
    except NeurodataError as error:
        return [str(error)]
