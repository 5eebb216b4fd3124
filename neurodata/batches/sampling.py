"""Which windows an epoch draws, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodata.batches.groups import Groups, all_windows, group_windows
from neurodata.batches.ordering import (
    BLOCKS,
    INSIDE,
    LANES,
    PICK,
    SHUFFLE,
    WindowSampler,
    processes,
    random_words,
    shuffled,
)
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.select import Windows

BLOCK_SAMPLES = 2**14
"""Samples that a block covers about where nothing is said: 4 MB of 64 channels, some requests' worth."""


class DrawnWindows(WindowSampler):
    """Windows drawn at random, with replacement, anew each epoch.

    Windows that begin at every sample need no jitter; strided or event-locked ones get it by `Windows.with_jitter`.
    Each of ``world_size`` processes takes its own draws of one sequence: two processes with batches of 16 see together
    what one with batches of 32 does.

    Parameters
    ----------
    windows
        Windows to draw from, or their number.
    n_drawn
        Windows drawn per epoch, by each process.
    seed
        Of all epochs.
    balance, subjects, labels, proportions, kinds
        How often groups of windows are drawn from; see `neurodata.batches.groups.group_windows`.
    rank, world_size
        See `neurodata.batches.ordering.WindowSampler`.
    """

    def __init__(
        self,
        windows: Windows | int,
        n_drawn: int,
        seed: int,
        *,
        balance: str | None = None,
        subjects: Mapping[str, str] | None = None,
        labels: ArrayLike | None = None,
        proportions: Mapping[str, float] | None = None,
        kinds: Mapping[str, str] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        check_positive("n_drawn", n_drawn)
        super().__init__(windows, seed, int(n_drawn), *processes(rank, world_size))
        self.groups: Groups = all_windows(self.n_windows)
        if balance is not None or proportions is not None:
            if not isinstance(windows, Windows):
                raise NeurodataError("to balance windows, give the windows and not only their number")
            self.groups = group_windows(
                windows, balance=balance, subjects=subjects, labels=labels, proportions=proportions, kinds=kinds
            )

    def indices(self, epoch: int, first: int, after: int) -> NDArray[np.int64]:
        """Return the windows at this process's positions ``[first, after)`` of an epoch."""
        step = self.num_replicas
        words = random_words(self.seed, epoch, PICK, 2 * first * step, 2 * after * step).reshape(-1, 2)
        return self.groups.pick(words[self.rank :: step])

    @property
    def facts(self) -> dict[str, Any]:
        """What the order depends on."""
        return {**self.common_facts(), "n_drawn": self.n_positions, "groups": self.groups.digest}


class ShuffledWindows(WindowSampler):
    """Every window exactly once per epoch, in random order; no list of them is made.

    Windows with jitter (`Windows.with_jitter`) come once each, with a shift drawn anew each epoch. Several processes
    take turns; the last ``len % world_size`` windows of an epoch's order are left out, so that all processes take the
    same number of steps.

    Parameters
    ----------
    windows
        Windows, or their number.
    seed
        Of all epochs.
    rank, world_size
        See `neurodata.batches.ordering.WindowSampler`.
    """

    def __init__(
        self, windows: Windows | int, seed: int, *, rank: int | None = None, world_size: int | None = None
    ) -> None:
        super().__init__(windows, seed, 0, *processes(rank, world_size))
        self.n_unshifted = self.n_windows // self.n_shifts
        self.deal(self.rank, self.num_replicas)

    def deal(self, rank: int | None = None, world_size: int | None = None) -> None:
        """Take a process's share; see `neurodata.batches.ordering.WindowSampler.deal`."""
        super().deal(rank, world_size)
        self.n_positions = self.n_unshifted // self.num_replicas

    def indices(self, epoch: int, first: int, after: int) -> NDArray[np.int64]:
        """Return the windows at this process's positions ``[first, after)`` of an epoch."""
        positions = np.arange(first, after) * self.num_replicas + self.rank
        return self.shift(epoch, positions, shuffled(positions, self.n_unshifted, self.seed, epoch, SHUFFLE))

    @property
    def facts(self) -> dict[str, Any]:
        """What the order depends on."""
        return self.common_facts()


class CoveringWindows(WindowSampler):
    """Every window once, in order, for evaluation; several processes take consecutive shares.

    No window is left out or doubled, so the shares differ by one at most. Processes may then have different numbers of
    batches: whatever they wait for in each batch (``DistributedDataParallel.forward``, a synchronised metric) must
    stand inside ``torch.distributed.algorithms.join.Join``, or the network be called without its wrapper;
    `neurodata.batches.gathering.gather_stitched` brings the predictions together.

    Parameters
    ----------
    windows
        Windows, or their number.
    rank, world_size
        See `neurodata.batches.ordering.WindowSampler`.
    """

    def __init__(self, windows: Windows | int, *, rank: int | None = None, world_size: int | None = None) -> None:
        if isinstance(windows, Windows) and windows.jitter:
            raise NeurodataError("windows with jitter are for drawing; cover the windows they were made from")
        super().__init__(windows, 0, 0, *processes(rank, world_size))
        self.deal(self.rank, self.num_replicas)

    def deal(self, rank: int | None = None, world_size: int | None = None) -> None:
        """Take a process's share; see `neurodata.batches.ordering.WindowSampler.deal`."""
        super().deal(rank, world_size)
        self.begin = self.rank * self.n_windows // self.num_replicas
        self.n_positions = (self.rank + 1) * self.n_windows // self.num_replicas - self.begin

    def indices(self, epoch: int, first: int, after: int) -> NDArray[np.int64]:
        """Return the windows at this process's positions ``[first, after)`` of an epoch."""
        return np.arange(self.begin + first, self.begin + after)

    @property
    def facts(self) -> dict[str, Any]:
        """What the order depends on."""
        return self.common_facts()


@dataclass(frozen=True)
class _Epoch:
    """One process's blocks of one epoch, in their order, and the lanes that they are taken from by turns.

    ``begin`` is each block's first window and ``edge`` the windows of the blocks before it, the end included; lanes
    begin where a block does, after ``lane`` windows, and have ``length`` ones.
    """

    begin: NDArray[np.int64]
    edge: NDArray[np.int64]
    lane: NDArray[np.int64]
    length: NDArray[np.int64]

    def block_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.edge, places, side="right") - 1

    def turns(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Turn of each position, and which one of the turn it is: shorter lanes drop out early."""
        shortest = np.sort(self.length)
        active = len(shortest) - np.arange(len(shortest))
        steps = np.diff(shortest, prepend=0) * active
        phase = np.searchsorted(np.cumsum(steps), positions, side="right")
        turn, place = np.divmod(positions - (np.cumsum(steps) - steps)[phase], active[phase])
        return turn + np.concatenate([[0], shortest])[phase], place


class StreamedWindows(WindowSampler):
    """Every window once per epoch, through a shuffle buffer of blocks, for stores that are far away or cold.

    A block is some consecutive windows of one recording. Blocks come in random order; ``buffer_blocks`` of them are
    open at a time, windows are taken from them in turns and at random inside each, and a block is used up before
    another takes its place: its bytes are fetched once, and the first batch needs few blocks only. Processes take
    different blocks (one that lies on the border is divided); the last ``len % world_size`` windows of an epoch's order
    are left out, so that all take the same number of steps. Windows with jitter come once each, with a shift drawn
    anew each epoch.

    Parameters
    ----------
    windows
        Which windows.
    seed
        Of all epochs.
    block_windows
        Windows per block, about.
    block_samples
        Instead, samples that a block covers, about; 16384, but 8 windows' length at least, where neither is given.
    buffer_blocks
        Blocks that windows are drawn from at a time.
    rank, world_size
        See `neurodata.batches.ordering.WindowSampler`.
    """

    def __init__(
        self,
        windows: Windows,
        seed: int,
        *,
        block_windows: int | None = None,
        block_samples: int | None = None,
        buffer_blocks: int = 4,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(windows, seed, 0, *processes(rank, world_size))
        check_positive("buffer_blocks", buffer_blocks)
        self._asked_blocks = int(buffer_blocks)
        samples = max(BLOCK_SAMPLES, 8 * windows.length) if block_samples is None else block_samples
        check_positive("block_windows", 1 if block_windows is None else block_windows)
        check_positive("block_samples", samples)
        self.block_begin = _blocks(windows, block_windows, samples)
        self.facts_of_blocks = {"block_windows": block_windows, "block_samples": samples, "buffer_blocks": buffer_blocks}  # fmt: skip
        self.deal(self.rank, self.num_replicas)

    def deal(self, rank: int | None = None, world_size: int | None = None) -> None:
        """Take a process's share; see `neurodata.batches.ordering.WindowSampler.deal`."""
        super().deal(rank, world_size)
        self.n_positions = self.n_windows // self.n_shifts // self.num_replicas
        self.buffer_blocks = max(1, min(self._asked_blocks, self.n_positions))
        self._epochs: dict[int, _Epoch] = {}

    @property
    def facts(self) -> dict[str, Any]:
        """What the order depends on."""
        return {**self.common_facts(), **self.facts_of_blocks}

    def indices(self, epoch: int, first: int, after: int) -> NDArray[np.int64]:
        """Return the windows at this process's positions ``[first, after)`` of an epoch."""
        table = self._epoch(epoch)
        places = self._places(table, epoch, first, after)
        block = table.block_at(places)
        found = np.empty(len(places), np.int64)
        order = np.argsort(block, kind="stable")
        numbers, starts = np.unique(block[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:])):
            low, high = table.edge[number : number + 2].tolist()
            begin = int(table.begin[number])
            found[rows] = begin + shuffled(places[rows] - low, high - low, self.seed, epoch, INSIDE, item=begin)
        return self.shift(epoch, np.arange(first, after) * self.num_replicas + self.rank, found)

    def announced(self, epoch: int, first: int, after: int, begun: bool) -> NDArray[np.int64]:
        """Return all windows of the blocks that are opened at positions ``[first, after)``; see `WindowSampler`.

        Where nothing is opened there are none.
        """
        table = self._epoch(epoch)
        blocks = np.unique(table.block_at(self._places(table, epoch, first, after)))
        if begun:
            # Every lane is met within the last whole turn.
            before = self._places(table, epoch, max(0, first - 2 * self.buffer_blocks), first)
            blocks = np.setdiff1d(blocks, table.block_at(before))
        sizes = np.diff(table.edge)[blocks]
        start = np.repeat(table.begin[blocks], sizes)
        found = start + np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        # Shifts reach beyond the block; the outermost two cover what lies between but for gaps longer than a window.
        return found if self.n_shifts == 1 else np.concatenate([found * self.n_shifts, (found + 1) * self.n_shifts - 1])

    def _places(self, table: _Epoch, epoch: int, first: int, after: int) -> NDArray[np.int64]:
        """Places in the row of blocks that stand at positions: one of each lane by turns, in random order."""
        turn, place = table.turns(np.arange(first, after))
        low, high = int(turn[0]), int(turn[-1]) + 1
        lanes = len(table.lane)
        words = random_words(self.seed, epoch, LANES, low * lanes, high * lanes, item=self.rank).reshape(-1, lanes) >> 1
        words[table.length <= np.arange(low, high)[:, None]] = 2**64 - 1  # lanes that are used up stand behind
        lane = np.argsort(words, axis=1, kind="stable")[turn - low, place]
        return table.lane[lane] + turn

    def _epoch(self, epoch: int) -> _Epoch:
        if epoch not in self._epochs:
            n_blocks = len(self.block_begin) - 1
            order = shuffled(np.arange(n_blocks), n_blocks, self.seed, epoch, BLOCKS)
            edge = np.concatenate([[0], np.cumsum(np.diff(self.block_begin)[order])])
            low, high = self.rank * self.n_positions, (self.rank + 1) * self.n_positions
            cut = np.union1d(edge[(edge > low) & (edge < high)], [low, high])
            block = np.searchsorted(edge, cut[:-1], side="right") - 1
            begin, size = self.block_begin[order][block] + cut[:-1] - edge[block], np.diff(cut)
            if low > edge[block[0]]:  # the rest of a divided block comes last: the first batch shall need whole ones
                begin, size = np.roll(begin, -1), np.roll(size, -1)
            own = np.concatenate([[0], np.cumsum(size)])
            even = np.arange(self.buffer_blocks) * self.n_positions // self.buffer_blocks
            lane = np.unique(own[np.searchsorted(own, even, side="right") - 1])
            self._epochs = {epoch: _Epoch(begin, own, lane, np.diff(lane, append=self.n_positions))}
        return self._epochs[epoch]


def _blocks(windows: Windows, block_windows: int | None, block_samples: int) -> NDArray[np.int64]:
    """First window of each block, and the number of windows: recordings cut into nearly equal blocks."""
    first_run = np.flatnonzero(np.diff(windows.recording, prepend=-1))
    before = np.append((windows.after - windows.count)[first_run], int(windows.count.sum()))
    count = np.diff(before)
    if block_windows is None:
        reach = np.maximum.reduceat(windows.last, first_run) + windows.length
        covered = reach - np.minimum.reduceat(windows.begin, first_run)
        n_blocks = np.round(covered / block_samples).astype(np.int64)
    else:
        n_blocks = np.round(count / block_windows).astype(np.int64)
    n_blocks = np.clip(n_blocks, 1, count)
    place = np.arange(int(n_blocks.sum())) - np.repeat(np.cumsum(n_blocks) - n_blocks, n_blocks)
    begin = np.repeat(before[:-1], n_blocks) + place * np.repeat(count, n_blocks) // np.repeat(n_blocks, n_blocks)
    return np.append(begin, before[-1])
