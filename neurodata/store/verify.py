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
from neurodata.store.manifest import ARRAYS, CONTENT_DIGEST, MANIFEST, ContentDigest, make_manifest
from neurodata.store.read import open_recording


def verify_recording(folder: str | Path) -> list[str]:
    """Compare a stored recording with its manifest: every file, every attribute, every value.

    Parameters
    ----------
    folder
        ``STORE/DATASET/RECORDING``.

    Returns
    -------
    problems
        One line each, beginning with the path of the array or document; an empty list means that all is as written.
    """
    folder = Path(folder)
    try:
        manifest = read_root_attributes(folder)[MANIFEST]
        documents = read_documents(folder)
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
    expected = {folder / path / "zarr.json" for path in documents}
    for path, document in arrays.items():
        problems += _array_problems(folder, path, document, digests.get(path), expected)
    problems += [
        f"{path.relative_to(folder).as_posix()}: nobody wrote this file" for path in _strangers(folder, expected)
    ]
    return problems


def _strangers(folder: Path, expected: set[Path]) -> list[Path]:
    """Files and links that belong to no array."""
    found = set()
    for place, folders, files in os.walk(folder, followlinks=False):
        found |= {Path(place) / name for name in files}
        found |= {Path(place) / name for name in folders if os.path.islink(os.path.join(place, name))}
    return sorted(found - expected)


def _array_problems(
    folder: Path, path: str, document: dict[str, Any], digest: str | None, expected: set[Path]
) -> Iterator[str]:
    try:
        array = open_array(folder, path, document)
    except NeurodataError as error:
        yield f"{path}: {error}"
        return
    stored = array.shards if array.shards is not None else array.chunks
    files = [folder / path / key for key in chunk_keys(array.shape, stored)]
    expected.update(files)
    missing = [file.relative_to(folder / path).as_posix() for file in files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        yield f"{path}: {', '.join(missing[:3])}{more} of {len(files)} files missing"
        return
    try:
        actual = _digest(folder, path, array)
    except NeurodataError as error:
        yield f"{path}: {error}"
        return
    if digest is not None and actual != digest:
        yield f"{path}: the values are not those that were written (their digest differs from the manifest)"


def _digest(folder: Path, path: str, array: zarr.Array[Any]) -> str:
    text = array.metadata.to_dict()["data_type"] == "string"
    digest = ContentDigest("string" if text else str(array.dtype.newbyteorder("=")), array.shape)
    rows = (array.shards if array.shards is not None else array.chunks)[0]
    for first in range(0, array.shape[0] if math.prod(array.shape) else 0, rows):
        key = (slice(first, first + rows), *[slice(None)] * (len(array.shape) - 1))
        digest.update(read_values(folder, path, array, key))
    return digest.hexdigest()


def schema_problems(folder: str | Path) -> list[str]:
    """List what in a stored recording breaks the schema, or what keeps it from being opened."""
    try:
        return list_problems(open_recording(folder))
    except NeurodataError as error:
        return [str(error)]
