"""The ``zarr.json`` documents of a recording: read, checked for honesty, compared with what was written.

A store may come from anyone, so nothing in a document is believed before it has been checked here: a shape of 10^18
rows, a codec nobody specified or a list nested a million deep ends in a message, not in a crash.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from neurodata import names
from neurodata.checks import is_safe_part
from neurodata.errors import IntegrityError, StoreError
from neurodata.store.chunks import count_chunks
from neurodata.store.files import Files, LocalFiles, files_at
from neurodata.store.manifest import DOCUMENTS_DIGEST, MANIFEST, documents_digest

LARGEST_DOCUMENT = 32 * 1024 * 1024
"""Bytes of one ``zarr.json``; more is neither written nor read."""

_MOST_DOCUMENTS = 100_000
_DEEPEST_NESTING = 64
_LARGEST_CHUNK = 64 * 1024 * 1024
"""Bytes of a decoded inner chunk; ours hold 128 KiB."""

_MOST_FILES = 1_000_000
"""Files of one array, and inner chunks of one shard."""

_CODECS = {"bytes", "vlen-utf8", "blosc", "zstd", "crc32c", "sharding_indexed"}
_ITEM_BYTES = {
    "bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "float32": 4, "float64": 8, "string": 16,
}  # fmt: skip


def recording_name(location: Path | Files) -> str:
    """Name a recording in a message."""
    return f"recording {'/'.join(location.parts[-2:])!r}"


def read_root_attributes(location: Path | Files) -> dict[str, Any]:
    """Return a recording's root attributes: ``neurodata_format``, ``metadata`` and ``manifest``.

    Raises
    ------
    StoreError
        If there is no recording, or its format is newer than this version of neurodata reads.
    """
    return check_root(location, read_root_document(location))


def read_root_document(location: Path | Files) -> dict[str, Any]:
    """Return a recording's root ``zarr.json``; raises StoreError where there is none."""
    try:
        return _read_document(files_at(location), "", recording_name(location))
    except FileNotFoundError:
        raise StoreError(
            f"no recording at {str(location)!r}: expected STORE/DATASET/RECORDING; 'neurodata info STORE' lists a store's "
            "recordings"
        ) from None


def read_documents(location: Path | Files) -> dict[str, dict[str, Any]]:
    """Return every ``zarr.json`` of a recording: path relative to the recording (root: ``""``) → document.

    On this disk each file is read, on a server the root's consolidated copy of them all.

    Raises
    ------
    StoreError
        If there is no recording at ``location``.
    IntegrityError
        If a document cannot be read or describes what no format has.
    """
    files, name, root = files_at(location), recording_name(location), read_root_document(location)
    if not isinstance(files, LocalFiles):
        check_root(location, root)  # a format that is newer, or no recording at all, is told first
        return documents_of(root, name)
    found, waiting = {"": root}, [""]
    while waiting:
        place = waiting.pop()
        has_document, folders = _look_into(f"{files.folder}/{place}")
        if has_document and place:
            found[place] = _read_document(files, place, name)
        if place not in found or found[place]["node_type"] == "group":  # below an array there are chunks only
            waiting += [f"{place}/{folder}" if place else folder for folder in folders]
        if len(found) > _MOST_DOCUMENTS:
            raise IntegrityError(f"{name} has more than {_MOST_DOCUMENTS} groups and arrays")
    return dict(sorted(found.items()))


def documents_of(root: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Return every document of a recording from the consolidated copy in its root, each checked as if read by itself.

    Raises
    ------
    IntegrityError
        If there is no such copy or one of the documents is of no format.
    """
    consolidated = root.get("consolidated_metadata")
    copies = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(copies, dict):
        raise IntegrityError(
            f"{name}: zarr.json holds no consolidated copy of all documents, which remote reading needs"
        )
    if len(copies) > _MOST_DOCUMENTS:
        raise IntegrityError(f"{name} has more than {_MOST_DOCUMENTS} groups and arrays")
    found = {"": root}
    for path, document in copies.items():
        if not all(is_safe_part(part) for part in path.split("/")):
            raise IntegrityError(f"{name}: {path[:200]!r} is no path of a group or array")
        found[path] = _checked(document, f"{name}: {path}/zarr.json")
    return dict(sorted(found.items()))


def _look_into(folder: str) -> tuple[bool, list[str]]:
    """Whether a folder holds a document, and the folders inside."""
    has_document, folders = False, []
    with suppress(NotADirectoryError, FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == "zarr.json":
                has_document = True
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return has_document, folders


def _read_document(files: Files, path: str, name: str) -> dict[str, Any]:
    key = f"{path}/zarr.json" if path else "zarr.json"
    try:
        data = files.read(key, LARGEST_DOCUMENT)
    except FileNotFoundError:
        if path:
            raise IntegrityError(f"{name}: {key} is not a plain file") from None
        raise
    except (IntegrityError, OSError) as error:
        raise IntegrityError(f"{name}: {key} cannot be read: {error}") from error
    return parse_document(data, f"{name}: {key}")


def parse_document(data: bytes, where: str) -> dict[str, Any]:
    """Return a ``zarr.json``, checked.

    Parameters
    ----------
    data
        The file's bytes.
    where
        Its name in a message.
    """
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where} cannot be read: {error}") from error
    return _checked(document, where)


def _checked(document: Any, where: str) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("node_type") not in ("array", "group"):
        raise IntegrityError(f"{where} is not a Zarr v3 document")
    problem = _nesting_problem(document) or _array_problem(document)
    if problem or not isinstance(document.setdefault("attributes", {}), dict):
        raise IntegrityError(f"{where}: {problem or 'attributes are not a dictionary'}")
    return document


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _nesting_problem(document: Any) -> str | None:
    layer, depth = [document], 0
    while layer:
        below = [value for entry in layer for value in (entry.values() if isinstance(entry, dict) else entry)]
        layer, depth = [value for value in below if isinstance(value, (dict, list))], depth + 1
        if depth > _DEEPEST_NESTING:
            return f"nested more than {_DEEPEST_NESTING} deep"
    return None


def _array_problem(document: Mapping[str, Any]) -> str | None:
    """Say what in an array's description is of no format (never anything about its attributes); None for a group."""
    if document["node_type"] == "group":
        return None
    shape, grid, dimensions = document.get("shape"), document.get("chunk_grid"), document.get("dimension_names")
    if not isinstance(document.get("data_type"), str) or document["data_type"] not in _ITEM_BYTES:
        return f"data type {str(document.get('data_type'))[:80]!r} is not one of {', '.join(_ITEM_BYTES)}"
    if not _are_sizes(shape, 0) or len(shape) not in (1, 2):
        return f"shape {str(shape)[:80]} is not one or two sizes"
    if not isinstance(dimensions, list) or not all(isinstance(d, str) for d in dimensions):
        return "there are no dimension names"
    if len(dimensions) != len(shape) or len(set(dimensions)) != len(dimensions):
        return f"dimension names {str(dimensions)[:80]} do not fit the shape {shape}"
    if not isinstance(grid, dict) or grid.get("name") != "regular" or not isinstance(grid.get("configuration"), dict):
        return "the chunk grid is not a regular one"
    stored, encoding = grid["configuration"].get("chunk_shape"), document.get("chunk_key_encoding")
    if encoding not in ({"name": "default"}, {"name": "default", "configuration": {"separator": "/"}}):
        return f"chunk key encoding {str(encoding)[:80]} is not the default one"
    if document.get("storage_transformers"):
        return "storage transformers are not part of a store"
    return _chunk_problem(document, shape, stored)


def _chunk_problem(document: Mapping[str, Any], shape: list[int], stored: Any) -> str | None:
    codecs = document.get("codecs")
    unknown = _unknown_codec(codecs)
    if unknown:
        return unknown
    assert isinstance(codecs, list)
    sharded = codecs[0]["name"] == "sharding_indexed"
    inner = codecs[0].get("configuration", {}).get("chunk_shape") if sharded else stored
    for chunk in (stored, inner):
        if not _are_sizes(chunk, 1) or len(chunk) != len(shape):
            return f"chunk shape {str(chunk)[:80]} does not fit the shape {shape}"
    if any(step % part for step, part in zip(stored, inner)):
        return f"inner chunks of {inner} do not fill shards of {stored}"
    chunk_bytes = math.prod(inner) * _ITEM_BYTES[document["data_type"]]
    if chunk_bytes > _LARGEST_CHUNK:
        return f"chunks of {chunk_bytes} bytes are claimed; at most {_LARGEST_CHUNK} are read"
    if count_chunks(shape, stored) > _MOST_FILES or count_chunks(stored, inner) > _MOST_FILES:
        return f"more than {_MOST_FILES} chunks are claimed for the shape {shape}"
    return None


def _unknown_codec(codecs: Any) -> str | None:
    if not isinstance(codecs, list) or not codecs:
        return "there are no codecs"
    for codec in codecs:
        name = codec.get("name") if isinstance(codec, dict) else codec
        if (
            not isinstance(codec, dict)
            or str(name) not in _CODECS
            or not isinstance(codec.get("configuration", {}), dict)
        ):
            return f"codec {str(name)[:80]!r} is not one of {', '.join(sorted(_CODECS))}"
        if name == "sharding_indexed":
            inside = codec.get("configuration", {})
            problem = _unknown_codec(inside.get("codecs")) or _unknown_codec(inside.get("index_codecs"))
            if problem:
                return problem
    return None


def _are_sizes(value: Any, least: int) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and least <= n < 2**53 for n in value) and bool(value)


def check_root(location: Path | Files, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a root document's attributes, or raise where it is no recording of a format that is read here."""
    attributes: dict[str, Any] = document["attributes"]
    number = attributes.get("neurodata_format")
    if type(number) is int and number > names.FORMAT_NUMBER:
        raise StoreError(
            f"{recording_name(location)} is of store format {number}, this version reads up to {names.FORMAT_NUMBER}; "
            "upgrade neurodata"
        )
    if type(number) is not int or number < names.FIRST_FORMAT or document["node_type"] != "group":
        raise StoreError(
            f"{recording_name(location)} is not a neurodata recording: expected a Zarr group whose attribute "
            f"'neurodata_format' is {names.FIRST_FORMAT} to {names.FORMAT_NUMBER}, got {document['node_type']} with {str(number)[:40]!r}"
        )
    if not isinstance(attributes.get("metadata"), dict) or not isinstance(attributes.get(MANIFEST), dict):
        raise IntegrityError(f"{recording_name(location)}: the root attributes lack 'metadata' or 'manifest'")
    return attributes


def document_problem(documents: Mapping[str, dict[str, Any]]) -> str | None:
    """Say which attribute or array description differs from what was written; None where all agree."""
    root = documents[""]["attributes"]
    if root.get("neurodata_format") == names.FIRST_FORMAT and any(
        path.split("/")[0] == names.GRAPHS for path in documents
    ):
        return f"{names.GRAPHS}: zarr.json says this is store format {names.FIRST_FORMAT}, which has no graphs"
    consolidated = documents[""].get("consolidated_metadata")
    if consolidated is not None:
        copies = consolidated.get("metadata") if isinstance(consolidated, dict) else None
        if not isinstance(copies, dict):
            return "zarr.json: the consolidated copy of all documents is damaged"
        for path in sorted((set(documents) | set(copies)) - {""}):
            if path not in documents:
                return f"{path}/zarr.json: this array or group is missing"
            if path not in copies:
                return f"{path}/zarr.json: this array or group is not in the consolidated copy"
            if not isinstance(copies[path], dict) or _plain(copies[path]) != _plain(documents[path]):
                return f"{path}/zarr.json is not what was written (an attribute was changed or damaged)"
    try:
        digest = documents_digest(documents)
    except ValueError as error:  # lone surrogates, which JSON can spell and UTF-8 cannot
        return f"zarr.json: an attribute cannot be encoded: {error}"
    if digest != documents[""]["attributes"][MANIFEST].get(DOCUMENTS_DIGEST):
        return "zarr.json: an attribute is not what was written: the documents' digest differs from the manifest"
    return None


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}
