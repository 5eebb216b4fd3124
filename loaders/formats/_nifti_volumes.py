"""Volumes of a NIfTI file, read forward once: a compressed file cannot be entered in the middle."""

from __future__ import annotations

import gzip
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ._nifti_header import NiftiHeader

_BLOCK_BYTES = 16 << 20
"""Voxels read at once, in bytes, whatever is made of them."""
_AFTER = 1 << 20


class Volumes:
    """Reads whole volumes as rows of voxels, i fastest.

    Parameters
    ----------
    header
        Of the file; checked against its size.
    """

    def __init__(self, header: NiftiHeader) -> None:
        self.header = header
        self._stream: IO[bytes] | None = None
        self._close: Callable[[], Any] = lambda: None
        self._position = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"header": self.header}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["header"])  # type: ignore[misc]

    def blocks(self, first: int, after: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield volumes ``first … after`` a few at a time, each block with the number of its first volume.

        Yields
        ------
        number, values
            Stored values in the machine's byte order, shape ``(volume, voxel)``.

        Raises
        ------
        RawFileError
            If the file ends early or its compression is damaged.
        """
        size = self.header.n_voxels * self.header.dtype.itemsize
        step = max(1, _BLOCK_BYTES // size)
        for number in range(first, after, step):
            n_volumes = min(step, after - number)
            with self._lock:
                content = self._read(number, n_volumes, size)
            values = np.frombuffer(content, self.header.dtype).reshape(n_volumes, self.header.n_voxels)
            yield number, values.astype(self.header.dtype.newbyteorder("="), copy=False)

    def _read(self, number: int, n_volumes: int, size: int) -> bytes:
        path = self.header.data_path
        try:
            stream = self._at(number, size)
            content = stream.read(n_volumes * size)
            self._position = number + n_volumes
            if self._position == self.header.n_volumes:
                # gzip compares its checksum at the end of the file only.
                while stream.read(_AFTER) and self.header.compressed:
                    pass
                self._finish()
        except (OSError, EOFError, zlib.error, MemoryError) as error:
            self._finish()
            raise RawFileError(f"{path}: volume {number} cannot be read ({error}); fetch the file again") from error
        if len(content) != n_volumes * size:
            self._finish()
            raise RawFileError(
                f"{path}: the file ends within volume {number + len(content) // size} of {self.header.n_volumes}; "
                "fetch it again"
            )
        return content

    def _at(self, number: int, size: int) -> IO[bytes]:
        """The open file at the beginning of a volume."""
        compressed = self.header.compressed
        if self._stream is None or number < self._position:
            self._finish()
            path = self.header.data_path
            stream = cast("IO[bytes]", (gzip.open if compressed else open)(path, "rb"))
            # Called when this reader goes, so that no open file is left to the garbage collector.
            self._close = weakref.finalize(self, stream.close)
            self._stream = stream
        self._stream.seek(self.header.offset + number * size)
        return self._stream

    def _finish(self) -> None:
        self._close()
        self._stream, self._position = None, 0


def physical_values(header: NiftiHeader, stored: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``stored * slope + intercept`` in float64, shape kept."""
    values = np.asarray(stored, np.float64)
    if (header.slope, header.intercept) != (1.0, 0.0):
        values = values * header.slope + header.intercept
    return values


def read_volume(header: NiftiHeader, number: int = 0) -> NDArray[np.float64]:
    """Return one volume in physical values, shape ``(voxel,)``, i fastest."""
    _, stored = next(Volumes(header).blocks(number, number + 1))
    return np.asarray(physical_values(header, stored)[0])
