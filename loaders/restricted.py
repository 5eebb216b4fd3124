"""Arrays from ``.npz`` archives of unknown origin: nothing is executed and nothing is allocated on a header's word."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from .npy_content import read_content, read_header

_MOST_BYTES = 8 << 30
"""Largest member that is read; an 18-minute recording of 135 neurons is 3.4 MB."""
_MOST_EXPANSION = 1200
"""Most bytes a member may give per compressed byte; deflate itself cannot exceed 1032."""
_FREE_EXPANSION = 256 << 20
"""Members up to this size may expand as they like: an all-zero array compresses a thousandfold."""
_MOST_MEMBERS = 10_000

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, OSError, ValueError, NotImplementedError, RuntimeError, IndexError, OverflowError,
)  # fmt: skip
"""What the zip reader raises on damaged, encrypted or exotic archives."""


def read_array(path: Path, key: str, *, objects: bool = False) -> NDArray[Any]:
    """Read one array of an ``.npz`` archive.

    Parameters
    ----------
    path
        The archive.
    key
        Name of the array, for example ``arr_0``.
    objects
        Whether an array of Python objects is admitted. Its pickle is read by a reader that knows numpy arrays, text,
        numbers, lists and dictionaries, calls nothing else, and builds the arrays itself.

    Returns
    -------
    array
        Of the file's own dtype (native byte order) and shape. Elements of an object array are arrays, lists,
        dictionaries, text and numbers.

    Raises
    ------
    RawFileError
        If the file is missing, truncated or damaged, lacks the array, states a shape that its bytes do not hold,
        holds a type that is neither number nor text, or pickles anything that is not admitted; the message names it.
    """
    with _open_archive(path) as archive:
        member = _find_member(path, archive, key)
        with archive.open(member) as stream:
            return read_content(f"{path}, array {key!r}", stream, member.file_size, objects=objects)  # type: ignore[arg-type]


def list_arrays(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """List the arrays of an ``.npz`` archive; only their headers are read.

    Parameters
    ----------
    path
        The archive.

    Returns
    -------
    arrays
        Name → shape and type as its header says, in the archive's order. What the header says is not yet held against
        the bytes: `read_array` does that.

    Raises
    ------
    RawFileError
        If the file is missing or no whole archive, a header is damaged, or there are more than 10000 members.
    """
    found = {}
    with _open_archive(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if len(members) > _MOST_MEMBERS:
            raise RawFileError(f"{path}: {len(members)} arrays, at most {_MOST_MEMBERS} are listed")
        for member in members:
            key = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                header = read_header(f"{path}, array {key!r}", stream)  # type: ignore[arg-type]
            found[key] = (header.shape, header.dtype)
    return found


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise RawFileError(f"{path}: there is no such file; the folder may be an incomplete download")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except PermissionError as error:
        raise RawFileError(f"{path}: may not be read ({error.strerror}); ask for read access") from error
    except _DAMAGE as error:
        raise RawFileError(
            f"{path}: expected a whole .npz archive, but it is truncated or damaged ({error}); fetch the file again"
        ) from error


def _find_member(path: Path, archive: zipfile.ZipFile, key: str) -> zipfile.ZipInfo:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if key not in names:
        shown = ", ".join(map(repr, names[:5])) or "nothing"
        raise RawFileError(
            f"{path}: expected an array {key!r}, the archive holds {shown}; is it another data set's file?"
        )
    member = archive.infolist()[names.index(key)]
    expansion = member.file_size / max(1, member.compress_size)
    if member.file_size > _MOST_BYTES or (member.file_size > _FREE_EXPANSION and expansion > _MOST_EXPANSION):
        raise RawFileError(
            f"{path}: array {key!r} claims to unpack {member.compress_size} bytes into {member.file_size}, "
            f"at most {_MOST_BYTES} and {_MOST_EXPANSION} times its size are read; the file is not a recording"
        )
    return member
