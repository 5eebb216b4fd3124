"""What every order of windows has in common.

Every order is a function of seed, epoch and position: the same whatever the number of workers, and any position can be
gone to at once, so a run resumes in the middle of an epoch. Numbers come from Philox, a counter-based generator whose
raw words numpy keeps the same between versions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch.distributed
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.select import Windows

AT_ONCE = 4096
"""Positions that are worked out together."""

LISTED = 2**16
"""Up to so many things are shuffled by sorting random words; more by a cipher, which needs no list of them."""

PICK, SHIFT, SHUFFLE, BLOCKS, INSIDE, LANES = range(6)
"""Independent streams of words, by what they decide."""


def random_words(seed: int, epoch: int, stream: int, first: int, after: int, item: int = 0) -> NDArray[np.uint64]:
    """Return the words ``[first, after)`` of a stream of random 64-bit words."""
    # One step of the counter gives four words; its upper parts keep streams apart.
    counter, key = ([first // 4, 0, item, stream], [seed % 2**64, epoch % 2**64])
    generator = np.random.Philox(counter=np.array(counter, np.uint64), key=np.array(key, np.uint64))
    return np.asarray(generator.random_raw(after - first // 4 * 4)[first % 4 :], np.uint64)


def shuffled(
    positions: NDArray[np.int64], n: int, seed: int, epoch: int, stream: int, item: int = 0
) -> NDArray[np.int64]:
    """Return where a random permutation of ``n`` things puts positions, without making a list of them where many."""
    if n <= LISTED:
        return np.argsort(random_words(seed, epoch, stream, 0, n, item), kind="stable")[positions]
    # A Feistel cipher on pairs below ``side``; what lands beyond n is sent on until it does not ("cycle walking",
    # Black & Rogaway 2002, CT-RSA, section 3), at most a few in a thousand here.
    side = np.uint64(int(np.ceil(np.sqrt(n))))
    keys = random_words(seed, epoch, stream, 0, 8, item)
    found = _cipher(positions.astype(np.uint64), side, keys)
    beyond = np.flatnonzero(found >= n)
    while beyond.size:
        found[beyond] = _cipher(found[beyond], side, keys)
        beyond = beyond[found[beyond] >= n]
    return found.astype(np.int64)


def _cipher(values: NDArray[np.uint64], side: np.uint64, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    left, right = np.divmod(values, side)
    for key in keys:
        # The mixing steps of splitmix64 (Steele, Lea & Flood 2014, OOPSLA, figure 17).
        mixed = right + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        left, right = right, (left + (mixed ^ (mixed >> np.uint64(31))) % side) % side
    return np.asarray(left * side + right, np.uint64)


class WindowSampler(DistributedSampler[int]):
    """What every order of windows has in common; an order only says which windows stand at which positions.

    It is a ``DistributedSampler`` by type, so that Lightning leaves it as it is: an order knows its process's share.

    Parameters
    ----------
    windows
        Windows, or their number.
    seed
        Of all epochs.
    n_positions
        Windows this process gets per epoch.
    rank, world_size
        Which process of how many; as ``torch.distributed`` says where it is initialised, else the only one.
    """

    def __init__(self, windows: Windows | int, seed: int, n_positions: int, rank: int, world_size: int) -> None:
        self.n_windows = count_windows(windows)
        self.digest = windows.digest if isinstance(windows, Windows) else ""
        self.n_shifts = windows.n_shifts if isinstance(windows, Windows) else 1
        self.seed, self.rank, self.num_replicas = int(seed), rank, world_size
        self.n_positions, self.epoch, self.position = n_positions, 0, 0
        self.on_position: Callable[[int], None] | None = None
        """Called with a position before its window is given; see `neurodata.batches.loader.WindowLoader`."""

    @abstractmethod
    def indices(self, epoch: int, first: int, after: int) -> NDArray[np.int64]:
        """Return the windows at this process's positions ``[first, after)`` of an epoch."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the order depends on, beside epoch and position; plain values."""

    def deal(self, rank: int | None = None, world_size: int | None = None) -> None:
        """Take a process's share: by default of the process that this has become, where the order was made before."""
        self.rank, self.num_replicas = processes(rank, world_size)

    def announced(self, epoch: int, first: int, after: int, begun: bool) -> NDArray[np.int64]:
        """Return windows to be fetched before those at positions ``[first, after)`` are used.

        Parameters
        ----------
        epoch, first, after
            As for `indices`.
        begun
            Whether what stands before ``first`` was announced already.
        """
        return self.indices(epoch, first, after)

    def common_facts(self) -> dict[str, Any]:
        """Return what every order depends on."""
        return {
            "kind": type(self).__name__,
            "seed": self.seed,
            "windows": self.n_windows,
            "digest of the windows": self.digest,
            "world_size": self.num_replicas,
        }

    def shift(self, epoch: int, positions: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of windows with a shift each, drawn by position in the whole epoch's order."""
        if self.n_shifts == 1:
            return found
        low = int(positions[0])
        words = random_words(self.seed, epoch, SHIFT, low, int(positions[-1]) + 1)[positions - low]
        return found * self.n_shifts + (words % np.uint64(self.n_shifts)).astype(np.int64)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does. A position taken up from a state is of its own epoch."""
        if epoch != self.epoch:
            self.epoch, self.position = int(epoch), 0

    def __len__(self) -> int:
        return self.n_positions

    def __iter__(self) -> Iterator[int]:
        epoch, start = self.epoch, self.position
        self.position = 0  # the next pass begins at the beginning
        for first in range(start, self.n_positions, AT_ONCE):
            found = self.indices(epoch, first, min(first + AT_ONCE, self.n_positions)).tolist()
            for position, index in enumerate(found, first):
                if self.on_position is not None:
                    self.on_position(position)
                yield index

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and the position that the next pass begins with, and what the order depends on.

        A loader asks for windows before they are used, so only the loader knows how far training is: save its state
        (`neurodata.batches.loader.WindowLoader`), or set the position.
        """
        return {"epoch": self.epoch, "position": self.position, "order": self.facts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a saved epoch and position; at the next epoch's beginning where that one was over.

        Raises
        ------
        NeurodataError
            If the state is of another order; lists what is different.
        """
        theirs, ours = dict(state["order"]), self.facts
        other = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
        if other:
            lines = "".join(f"\n  - {key}: {theirs.get(key)!r} then, {ours.get(key)!r} now" for key in sorted(other))
            raise NeurodataError(f"the saved position is of another order of windows, so it cannot be resumed:{lines}")
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        if self.position >= self.n_positions:
            self.epoch, self.position = self.epoch + 1, 0


def count_windows(windows: Windows | int) -> int:
    """Return the number of windows; raise where there is none."""
    n_windows = len(windows) if isinstance(windows, Windows) else int(windows)
    check_positive("number of windows", n_windows)
    return n_windows


def processes(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Return this process's number and how many there are."""
    if world_size is None:
        there = torch.distributed.is_available() and torch.distributed.is_initialized()
        world_size = torch.distributed.get_world_size() if there else 1
        rank = torch.distributed.get_rank() if there and rank is None else rank
    rank = 0 if rank is None else rank
    if not 0 <= rank < world_size:
        raise NeurodataError(f"processes are numbered from 0 to {world_size - 1}, got rank {rank}")
    return int(rank), int(world_size)
