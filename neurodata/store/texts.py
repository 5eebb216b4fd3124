"""Columns of text, decoded straight from their files: a recording has a dozen, and opening it reads them all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np
from numcodecs.vlen import VLenUTF8  # type: ignore[import-untyped]
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]
from numpy.typing import NDArray

from neurodata.errors import IntegrityError
from neurodata.store.chunks import chunk_keys
from neurodata.store.files import LARGEST_FILE, Files
from neurodata.store.shards import damage_error

_LARGEST_TEXT = 50_000_000
"""Entries of one text array."""

_FRAME_START = b"\x28\xb5\x2f\xfd"


def read_text(files: Files, path: str, document: Mapping[str, Any]) -> NDArray[np.str_]:
    """Return a text array of a recording as fixed-width text, shape as stored.

    Parameters
    ----------
    files
        The recording's files.
    path
        The array's path inside the recording.
    document
        The array's ``zarr.json``, checked by `neurodata.store.documents`.

    Raises
    ------
    IntegrityError
        If a file is missing or damaged, or the text would take more memory than any column has.
    """
    shape, stored = tuple(document["shape"]), tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    if math.prod(shape) > _LARGEST_TEXT or math.prod(stored) > _LARGEST_TEXT:
        raise IntegrityError(f"text array {path!r} claims {math.prod(shape)} entries")
    try:
        _check_codecs(document["codecs"], shape)
        entries: list[str] = []
        for key in chunk_keys(shape, stored):
            entries += _decode(_read(files, f"{path}/{key}"), stored[0])
    except Exception as error:  # codecs fail in many ways on damaged bytes
        raise damage_error(files, path, error) from error
    entries = entries[: shape[0]]
    width = max(map(len, entries), default=0)
    if width * len(entries) * 4 > LARGEST_FILE:
        raise IntegrityError(f"text array {path!r} of {len(entries)} entries holds one of {width} characters")
    return np.asarray(entries, np.str_)  # text also where there is none to tell the type by


def _check_codecs(codecs: Any, shape: tuple[int, ...]) -> None:
    found = [codec.get("name") for codec in codecs]
    if found != ["vlen-utf8", "zstd", "crc32c"] or len(shape) != 1:
        raise IntegrityError(
            f"a store holds text in one dimension as vlen-utf8, zstd and crc32c, not {shape} as {found}"
        )


def _read(files: Files, key: str) -> bytes:
    try:
        content = files.read(key, LARGEST_FILE)
    except FileNotFoundError:
        raise IntegrityError(f"file {key!r} is missing") from None
    if not content:
        raise IntegrityError(f"file {key!r} is empty")
    if len(content) < 8 or google_crc32c.value(content[:-4]) != int.from_bytes(content[-4:], "little"):
        raise IntegrityError(f"file {key!r} does not fit its checksum")
    return content[:-4]


def _decode(content: bytes, count: int) -> list[str]:
    """Unpack one chunk; what it claims to unfold to is compared with the limit before any of it is made."""
    size = _unpacked_bytes(content)
    if size > LARGEST_FILE:
        raise IntegrityError(f"a chunk of text claims to unfold to {size} bytes")
    unpacked = bytes(Zstd().decode(content))
    if int.from_bytes(unpacked[:4], "little") != count:
        raise IntegrityError(f"a chunk of text holds {int.from_bytes(unpacked[:4], 'little')} entries, not {count}")
    texts: list[str] = VLenUTF8().decode(unpacked).tolist()
    return texts


def _unpacked_bytes(frame: bytes) -> int:
    """Size that the header of a Zstandard frame states (RFC 8878, 3.1.1.1)."""
    if frame[:4] != _FRAME_START or len(frame) < 6:
        raise IntegrityError("a chunk of text is no Zstandard frame")
    descriptor = frame[4]
    single, flag = bool(descriptor & 0x20), descriptor >> 6
    if not single and flag == 0:
        raise IntegrityError("a chunk of text does not state its size")
    n_bytes = (1, 2, 4, 8)[flag]
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    return int.from_bytes(frame[start : start + n_bytes], "little") + (256 if flag == 1 else 0)
