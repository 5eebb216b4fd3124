"""A file seen as memory, read-only, without a file descriptor kept."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LIBC = ctypes.CDLL(None, use_errno=True)
_MMAP, _MUNMAP = _LIBC.mmap, _LIBC.munmap
_MMAP.restype, _MUNMAP.restype = ctypes.c_void_p, ctypes.c_int
_MMAP.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t]
_MUNMAP.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_POPULATED = 4 * 2**20
"""Bytes up to which all pages of a mapping are there at once: the first window of each of thousands of small recordings
would else cost a page fault every few pages."""
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)
_FAILED = ctypes.c_void_p(-1).value


class _Mapping:
    """Owner of mapped pages: numpy arrays over them keep it alive, and with the last of them the pages go."""

    def __init__(self, address: int, n_bytes: int) -> None:
        self.__array_interface__: dict[str, Any] = {
            "data": (address, True),  # True: read-only
            "shape": (n_bytes,),
            "typestr": "|u1",
            "version": 3,
        }


def map_file(handle: int, n_bytes: int, gone: Callable[[], None]) -> NDArray[np.uint8]:
    """Return the first ``n_bytes`` of an open file as a read-only array; the handle may be closed at once.

    Python's own ``mmap`` (and with it ``numpy.memmap``) keeps a descriptor per mapping until 3.13; with thousands of
    entries open that is more than a process may have.

    Parameters
    ----------
    handle
        Descriptor of the file.
    n_bytes
        At least one, at most the file's size.
    gone
        Called once no array uses the memory any more, from wherever Python happens to be: it must not lock or write.

    Raises
    ------
    OSError
        If the process may have no more mappings or address space.
    """
    flags = mmap.MAP_SHARED | (_POPULATE if n_bytes <= _POPULATED else 0)
    address = _MMAP(None, n_bytes, mmap.PROT_READ, flags, handle, 0)
    if address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    owner = _Mapping(address, n_bytes)
    weakref.finalize(owner, _unmap, address, n_bytes, gone).atexit = False
    return np.asarray(owner)


def _unmap(address: int, n_bytes: int, gone: Callable[[], None]) -> None:
    _MUNMAP(address, n_bytes)
    gone()
