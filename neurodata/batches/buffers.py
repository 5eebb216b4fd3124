"""Memory of batches that is used again once nobody holds the batch any more."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_MOST_KEPT = 16
"""Pieces of memory kept for use again: two batches that take turns, each of a few tensors, and some to spare."""

_SMALLEST = 1 << 16
"""Bytes below which the allocator is as fast."""

_PAGE = 4096


class Buffers:
    """Tensors whose memory goes round: fresh memory costs a page fault every 4 KiB, several times the copying itself.

    A piece of memory is handed out again only when no tensor, no view of one and no array refers to it any more, so a
    batch may be kept as long as one likes.

    Parameters
    ----------
    pinned
        Whether tensors lie in page-locked memory (torch keeps a pool of its own for that).
    """

    def __init__(self, pinned: bool = False) -> None:
        self.pinned = pinned
        self._kept: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"pinned": self.pinned}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["pinned"])  # type: ignore[misc]

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor of this shape and type, whatever its values."""
        n_bytes = math.prod(shape) * dtype.itemsize
        if self.pinned or n_bytes < _SMALLEST:
            return torch.empty(shape, dtype=dtype, pin_memory=self.pinned)
        with self._lock:
            memory = self._free(n_bytes + _PAGE)
            begin = -memory.ctypes.data % _PAGE  # copies to where a page begins are a tenth faster
            # The tensor holds a slice, and that `memory` itself: so its count of references says who still needs it.
            return torch.from_numpy(memory[begin : begin + n_bytes]).view(dtype).view(shape)

    def _free(self, n_bytes: int) -> NDArray[np.uint8]:
        """Memory of about this size that nobody holds; kept for the next time."""
        for place in reversed(range(len(self._kept))):  # the one used last is still in the processor's cache
            # Two references: the list's own and the one of the call.
            fits = n_bytes <= self._kept[place].size <= 2 * n_bytes
            if fits and sys.getrefcount(self._kept[place]) == 2:
                self._kept.append(self._kept.pop(place))
                return self._kept[-1]
        memory = np.empty(n_bytes, np.uint8)
        self._kept.append(memory)
        if len(self._kept) > _MOST_KEPT:
            del self._kept[0]
        return memory
