"""How big arrays are cut: an inner chunk is about one training window, a shard is one file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CHUNK_BYTES = 128 * 1024
"""Target size of an inner chunk: reading one costs about as much as the 2-s window inside it (DESIGN §4)."""

SHARD_BYTES = 32 * 1024 * 1024
"""Least size of a full shard, the unit a file holds and a conversion resumes at; an array has at most one file more
than its bytes divided by this."""

MOST_CHANNELS = 4096
"""Channels per inner chunk at the most: a voxel recording is cut along channels too."""

TEXT_CHUNK = 1 << 20
"""Entries per chunk of a text array; text is not sharded."""


@dataclass(frozen=True)
class ChunkPlan:
    """Shapes of inner chunk and shard; ``shard`` is None where the array is one small chunk or text."""

    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None

    @property
    def stored(self) -> tuple[int, ...]:
        """Shape of what one file holds."""
        return self.shard if self.shard is not None else self.chunk


def plan_chunks(shape: tuple[int, ...], itemsize: int, *, text: bool = False) -> ChunkPlan:
    """Return how an array of this shape is cut.

    Parameters
    ----------
    shape
        ``(time, channel)`` or a column's ``(n,)``.
    itemsize
        Bytes per value.
    text
        Whether the values are strings.
    """
    if text:
        return ChunkPlan((max(1, min(shape[0], TEXT_CHUNK)),), None)
    inner = [max(1, min(length, MOST_CHANNELS)) for length in shape[1:]]
    row_bytes = itemsize * math.prod(inner)
    rows = max(1, min(shape[0], max(1, CHUNK_BYTES // row_bytes)))
    across = [math.ceil(max(1, length) / step) * step for length, step in zip(shape[1:], inner)]
    if rows >= shape[0] and across == inner:
        return ChunkPlan((rows, *inner), None)
    chunks_along = math.ceil(SHARD_BYTES / (rows * itemsize * math.prod(across)))  # up, so that files stay few
    along = min(chunks_along, math.ceil(shape[0] / rows)) * rows
    return ChunkPlan((rows, *inner), (along, *across))


def count_chunks(shape: Sequence[int], step: Sequence[int]) -> int:
    """Return how many chunks of shape ``step`` cover an array of ``shape``."""
    return math.prod(-(-length // size) for length, size in zip(shape, step))


def chunk_keys(shape: tuple[int, ...], stored: tuple[int, ...]) -> list[str]:
    """List the file of every stored chunk, relative to the array's folder (``c/0/0`` …)."""
    counts = [math.ceil(length / step) for length, step in zip(shape, stored)]
    keys = ["c"]
    for count in counts:
        keys = [f"{key}/{i}" for key in keys for i in range(count)]
    return keys
