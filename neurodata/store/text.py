"""Text arrays, read whole without zarr: labels are few, but every recording that is opened has some."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import google_crc32c
import numcodecs.vlen  # type: ignore[import-untyped]
import numcodecs.zstd  # type: ignore[import-untyped]
import numpy as np

from neurodata.errors import IntegrityError
from neurodata.store.arrays import open_array, read_values
from neurodata.store.files import LARGEST_FILE, Files, Location, files_at
from neurodata.store.shard_layout import CHECKSUM
from neurodata.store.shards import damage_error

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CODECS = ("vlen-utf8", "zstd", "crc32c")


def read_text(location: Location, path: str, document: Mapping[str, Any]) -> list[str]:
    """Return every entry of a text array, in C order.

    Parameters
    ----------
    location
        The recording's folder or files.
    path
        The array's path inside the recording.
    document
        The array's ``zarr.json``, checked by `neurodata.store.documents`.

    Raises
    ------
    IntegrityError
        If a file is missing or damaged, or unpacks to more than is ever written.
    """
    files = files_at(location)
    if not _is_ours(document):
        array = open_array(files, path, document)
        entries = read_values(files, path, array, (slice(None),) * len(array.shape))
        return [str(entry) for entry in entries.ravel()]
    n_entries, step = document["shape"][0], document["chunk_grid"]["configuration"]["chunk_shape"][0]
    found: list[str] = []
    try:
        for number in range(math.ceil(n_entries / step)):
            found += _read_chunk(files, f"{path}/c/{number}", step)[: n_entries - len(found)]
    except Exception as error:  # codecs fail in many ways on damaged bytes
        raise damage_error(files, path, error) from error
    return found


def _is_ours(document: Mapping[str, Any]) -> bool:
    """Whether text is stored as format 1 stores it: entries, zstd, a checksum, no shards."""
    codecs = document["codecs"]
    names = tuple(codec.get("name") if isinstance(codec, dict) else None for codec in codecs)
    return document["data_type"] == "string" and len(document["shape"]) == 1 and names == _CODECS


def _read_chunk(files: Files, key: str, n_entries: int) -> list[str]:
    try:
        content = np.frombuffer(files.read(key, LARGEST_FILE), np.uint8)
    except FileNotFoundError:
        raise IntegrityError(f"file {key!r} is missing") from None
    if not len(content):
        raise IntegrityError(f"file {key!r} is empty")
    packed, stated = content[:-CHECKSUM], int.from_bytes(content[-CHECKSUM:].tobytes(), "little")
    if len(content) <= CHECKSUM or google_crc32c.value(packed) != stated:
        raise IntegrityError(f"file {key!r} does not fit its checksum")
    size = _unpacked_bytes(packed[:18].tobytes())
    if size is None or size > LARGEST_FILE:
        raise IntegrityError(f"file {key!r} unpacks to {size} bytes, at most {LARGEST_FILE} are read")
    text = numcodecs.zstd.decompress(packed)
    if (stated := int.from_bytes(text[:4], "little")) != n_entries:
        raise IntegrityError(f"file {key!r} holds {stated} entries where there must be {n_entries}")
    entries: list[str] = numcodecs.vlen.VLenUTF8().decode(text).tolist()
    return entries


def _unpacked_bytes(head: bytes) -> int | None:
    """How long a zstd frame says it gets (RFC 8878, section 3.1.1.1); None where it does not say."""
    if head[:4] != _ZSTD_MAGIC or len(head) < 5:
        return None
    descriptor = head[4]
    single, dictionary = descriptor >> 5 & 1, (0, 1, 2, 4)[descriptor & 3]
    n_bytes = (single, 2, 4, 8)[descriptor >> 6]
    begin = 5 + (1 - single) + dictionary
    stated = int.from_bytes(head[begin : begin + n_bytes], "little")
    return (stated + (256 if n_bytes == 2 else 0)) if n_bytes else None
