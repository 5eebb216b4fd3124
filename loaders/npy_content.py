"""What a ``.npy`` file or an archive's member holds: its header read by our own reader, its bytes held to its word."""

from __future__ import annotations

import ast
import io
import math
import mmap
import re
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from .pickles import read_pickled_array

MOST_PICKLE = 16 << 20
"""Largest archive member of Python objects; the published one is 2.4 kB."""
_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 10_000
"""Longest header; numpy's own reader has the same bound, but reads the header whole before it looks."""


class Header(NamedTuple):
    """Shape, order and type of an array, as its header says."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def read_header(where: str, stream: BinaryIO) -> Header:
    """Read the header of an array (``.npy`` format 1.0, 2.0 or 3.0) and leave the stream where its values begin.

    Raises
    ------
    RawFileError
        If there is no such header, or a size in it is negative.
    """
    try:
        start = stream.read(8)
        if start[:6] != _MAGIC or start[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
            raise ValueError(f"it begins with {start!r}")
        length = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
        if length > _MOST_HEADER:
            raise ValueError(f"it is {length} bytes long, at most {_MOST_HEADER} are read")
        raw = stream.read(length)
        if len(raw) != length:
            raise ValueError("it is cut off")
        text = raw.decode("latin-1" if start[6] < 3 else "utf-8")
        stated = ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text).strip())  # Python 2 wrote 10L
        shape, fortran = stated["shape"], stated["fortran_order"]
        if not isinstance(shape, tuple) or not all(type(size) is int for size in shape) or type(fortran) is not bool:
            raise ValueError(f"shape {shape!r:.80}, fortran_order {fortran!r:.80}")
        dtype = np.lib.format.descr_to_dtype(stated["descr"])
    except OSError:
        raise
    except Exception as error:  # literals of strangers raise syntax, memory, recursion, key and type errors
        raise RawFileError(f"{where}: expected the header of a numpy array ({error}); fetch the file again") from error
    if any(size < 0 for size in shape):
        raise RawFileError(f"{where}: the header says shape {shape}; sizes are not negative")
    return Header(shape, fortran, dtype)


def check_plain(where: str, header: Header, present: int) -> None:
    """Raise unless an array is of numbers or text, and ``present`` bytes are what its header says."""
    shape, _, dtype = header
    if dtype.hasobject:
        raise RawFileError(f"{where}: expected plain numbers, found Python objects ({dtype}); refused")
    if dtype.kind not in "biufcUS" or dtype.itemsize == 0:
        raise RawFileError(f"{where}: expected numbers or text, found type {dtype}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != present:
        raise RawFileError(
            f"{where}: the header says shape {shape} of {dtype}, which is {claimed} bytes, but {present} are there; "
            "the file is truncated or damaged, fetch it again"
        )


def read_content(
    where: str, stream: BinaryIO | mmap.mmap, n_bytes: int, *, objects: bool, most_pickle: int = MOST_PICKLE
) -> NDArray[Any]:
    """Read an array, header and values.

    Parameters
    ----------
    where
        What errors name.
    stream
        Where the header begins; it holds ``n_bytes``.
    n_bytes
        Bytes of header and values together.
    objects
        Whether an array of Python objects is admitted.
    most_pickle
        Most bytes of Python objects that are read.

    Returns
    -------
    array
        In the machine's own byte order.
    """
    header = read_header(where, stream)  # type: ignore[arg-type]
    present = n_bytes - stream.tell()
    if header.dtype.hasobject and objects and header.dtype.kind == "O":
        if present > most_pickle:
            raise RawFileError(f"{where}: {present} bytes of Python objects, at most {most_pickle} are read")
        pickled: Any = stream if isinstance(stream, mmap.mmap) else io.BytesIO(stream.read(present))
        array = read_pickled_array(where, pickled, present)
        if array.shape != header.shape:
            raise RawFileError(f"{where}: the header says shape {header.shape}, the objects have shape {array.shape}")
        return array
    check_plain(where, header, present)
    dtype = header.dtype
    values = np.frombuffer(stream.read(present), dtype).astype(dtype.newbyteorder("="), copy=False)
    return values.reshape(header.shape, order="F" if header.fortran else "C")
