"""Affinity of pairs of neurons: at every moment, how much the two change together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.analyses._affinity_changes import changes
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError

KERNELS = ("geometric", "minimum", "rises", "absolute")
"""``geometric``: √(a⁺b⁺) + √(a⁻b⁻) of two changes a, b; ``minimum``: min(a⁺, b⁺) + min(a⁻, b⁻); ``rises``: √(a⁺b⁺);
``absolute``: √|ab|, opposite changes too. x⁺ is max(x, 0), x⁻ is max(−x, 0)."""

Traces = NDArray[np.floating] | Sequence[NDArray[np.floating]]
_MEGABYTE = 1 << 20


def affinity(
    traces: NDArray[np.floating],
    rate_hz: float,
    *,
    kernel: str = "geometric",
    smooth_seconds: float = 0.5,
    detrend_seconds: float | None = None,
) -> NDArray[np.float64]:
    """Return how much the neurons of every pair change together, at every frame.

    Traces are smoothed, differentiated and brought to unit spread per neuron; two neurons are akin where both rise or
    both fall. Levels do not count, nor (but in ``absolute``) opposite changes.

    Parameters
    ----------
    traces
        One animal's activity, any unit, NaN where missing, shape ``(time, neuron)``.
    rate_hz
        Frames per second.
    kernel
        One of `KERNELS`.
    smooth_seconds
        Standard deviation of the Gaussian the slopes are smoothed by.
    detrend_seconds
        Width of the running mean taken off the slopes. Without it a drift common to all makes all pairs akin.

    Returns
    -------
    affinity
        Not negative, in units of the neurons' spread of change, shape ``(pair, time)``, pairs as `pair_indices`. NaN
        where either neuron is missing.

    Raises
    ------
    NeurodataError
        If there is no such kernel, fewer than two neurons, too few frames for the smoothing, an infinite value, or a
        recorded neuron that never changes.

    References
    ----------
    Dyballa L et al. 2024, ICLR: motifs from "local differential affinities" of smoothed, differentiated traces. Their
    formula is not public; this family of kernels is ours.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.arange(200) / 10
    >>> traces = np.stack([np.sin(time), np.sin(time), -np.sin(time)], axis=1)
    >>> affinity(traces, 10.0).mean(axis=1).round(2)  # pairs 0-1, 0-2, 1-2
    array([0.91, 0.  , 0.  ])
    """
    check_option("kernel", kernel, KERNELS)
    slopes = changes(traces, rate_hz, smooth_seconds=smooth_seconds, detrend_seconds=detrend_seconds)
    prepared = _prepare(slopes, kernel).T
    first, second = pair_indices(prepared.shape[0])
    return _combine(prepared[first], prepared[second], kernel)


def pair_indices(n_neurons: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the second neuron of every pair, first below second, ordered by first, then second."""
    if n_neurons < 2:
        raise NeurodataError(f"pairs need two neurons or more, got {n_neurons}")
    first, second = np.triu_indices(n_neurons, 1)
    return first, second


@dataclass(frozen=True, eq=False)
class AffinityBlocks:
    """Affinities of several animals, made block by block whenever they are asked for.

    Calling it yields ``(first_row, block)``: the place of the block's first pair in ``pairs``, and affinities of shape
    ``(row, bin, animal)``, float32, NaN where missing. The whole array is never held.

    Parameters
    ----------
    prepared
        What the kernel multiplies, shape ``(neuron, frame, animal)``; frames are a whole number of bins.
    kernel
        One of `KERNELS`.
    pairs
        First and second neuron of each pair, shape ``(2, pair)``.
    bins
        Which bins hold at least one pair, shape ``(bin,)``; only those are given.
    bin_frames
        Frames per bin.
    block_mb
        Size of a block in MiB, before binning.
    """

    prepared: NDArray[np.float32]
    kernel: str
    pairs: NDArray[np.intp]
    bins: NDArray[np.intp]
    bin_frames: int
    block_mb: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pairs, bins and animals of the whole array."""
        return self.pairs.shape[1], len(self.bins), self.prepared.shape[2]

    def __call__(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the first row and the affinities of one block after the other."""
        row_bytes = 4 * self.prepared.shape[1] * self.prepared.shape[2]
        n_rows = max(1, int(self.block_mb * _MEGABYTE / row_bytes))
        for first_row in range(0, self.pairs.shape[1], n_rows):
            first, second = self.pairs[:, first_row : first_row + n_rows]
            block = _combine(self.prepared[first], self.prepared[second], self.kernel)
            block = _binned(block, self.bin_frames)
            yield first_row, block if len(self.bins) == block.shape[1] else block[:, self.bins]

    def whole(self) -> NDArray[np.float32]:
        """Return all blocks as one array; only for what fits into memory."""
        return np.concatenate([block for _, block in self()])


def affinity_blocks(
    traces: Traces,
    rate_hz: float,
    *,
    kernel: str = "geometric",
    smooth_seconds: float = 0.5,
    detrend_seconds: float | None = None,
    bin_frames: int = 1,
    shared_time: bool = True,
    pairs: NDArray[np.integer] | None = None,
    block_mb: float = 64.0,
) -> AffinityBlocks:
    """Return the affinities of several animals as blocks of pairs, averaged in bins of time.

    Parameters
    ----------
    traces
        One array of shape ``(time, neuron)`` per animal, the same neurons in the same order, NaN where missing.
    rate_hz, kernel, smooth_seconds, detrend_seconds
        As for `affinity`.
    bin_frames
        Frames averaged into one bin (those that are there); the last bin holds what is left.
    shared_time
        True: frame k is the same moment in all animals (stimuli), animals are the third axis. False: animals follow
        one another along time, each in bins of its own, and the third axis is one long.
    pairs
        First and second neuron of the pairs wanted, recorded or not, shape ``(2, pair)``; None for all that some animal
        has.
    block_mb
        Size of a block in MiB, before binning.

    Raises
    ------
    NeurodataError
        As `affinity` does; if animals differ in neurons or (sharing time) in frames, no neuron or too few were
        recorded, or a neuron is missing from every animal.
    """
    check_option("kernel", kernel, KERNELS)
    _check_whole("bin_frames", bin_frames)
    check_positive("block_mb", block_mb)
    animals = _same_neurons(traces, shared_time)
    lengths = [-(-len(animal) // bin_frames) * bin_frames for animal in animals]
    n_frames, depth = (lengths[0], len(animals)) if shared_time else (sum(lengths), 1)
    prepared = np.full((animals[0].shape[1], n_frames, depth), np.nan, np.float32)
    start = 0
    for place, (animal, length) in enumerate(zip(animals, lengths)):
        slopes = changes(animal, rate_hz, smooth_seconds=smooth_seconds, detrend_seconds=detrend_seconds,
                         what=f"animal {place}")  # fmt: skip
        prepared[:, start : start + len(animal), place if shared_time else 0] = _prepare(slopes, kernel).T
        start += 0 if shared_time else length
    recorded = _recorded_pairs(prepared, every_neuron=pairs is None)
    wanted = recorded if pairs is None else _checked_pairs(pairs, len(prepared))
    return AffinityBlocks(prepared, kernel, wanted, _recorded_bins(prepared, bin_frames), int(bin_frames), block_mb)


def bin_times(n_frames: int, rate_hz: float, bin_frames: int) -> NDArray[np.float64]:
    """Return the mean time of the frames in each bin, seconds from the first frame, shape ``(bin,)``."""
    firsts = np.arange(0, n_frames, bin_frames)
    lasts = np.minimum(firsts + bin_frames, n_frames) - 1
    return np.asarray((firsts + lasts) / (2 * rate_hz))


def _prepare(slopes: NDArray[np.float64], kernel: str) -> NDArray[np.float64]:
    """What two neurons' kernel is made of: signed roots, so that a product is the geometric mean of the changes."""
    if kernel == "minimum":
        return slopes
    if kernel == "rises":
        slopes = np.maximum(slopes, 0.0)
    return np.asarray(np.sign(slopes) * np.sqrt(np.abs(slopes)))


def _combine(a: NDArray[Any], b: NDArray[Any], kernel: str) -> NDArray[Any]:
    """Kernel of two prepared arrays; overwrites the first."""
    if kernel == "minimum":
        falls = np.minimum(np.maximum(a, b), 0.0)
        np.minimum(a, b, out=a)
        np.maximum(a, 0.0, out=a)
        a -= falls
        return a
    a *= b
    if kernel == "absolute":
        np.abs(a, out=a)
    else:
        np.maximum(a, 0.0, out=a)
    return a


def _binned(block: NDArray[np.float32], bin_frames: int) -> NDArray[np.float32]:
    if bin_frames == 1:
        return block
    parts = block.reshape(block.shape[0], -1, bin_frames, block.shape[2])
    means = parts.mean(axis=2)
    partly = np.isnan(means)  # only what has a gap is averaged anew, over the frames that are there
    if partly.any():
        gappy = np.moveaxis(parts, 2, 3)[partly]
        there = np.isfinite(gappy)
        number = there.sum(axis=1)
        found = np.where(there, gappy, 0).sum(axis=1) / np.maximum(number, 1)
        means[partly] = np.where(number > 0, found, np.nan)
    return np.asarray(means, np.float32)


def _check_whole(what: str, number: Any) -> None:
    if not isinstance(number, Integral) or int(number) < 1:
        raise NeurodataError(f"{what} must be a positive whole number, got {number!r}")


def _same_neurons(traces: Traces, shared_time: bool) -> list[NDArray[np.floating]]:
    animals = [np.asarray(animal) for animal in traces]
    shapes = [animal.shape for animal in animals]
    if not animals or any(len(shape) != 2 for shape in shapes):
        raise NeurodataError(f"expected one array of shape (time, neuron) per animal, got shapes {shapes[:5]}")
    if len({shape[1] for shape in shapes}) > 1:
        raise NeurodataError(
            f"animals have {[shape[1] for shape in shapes]} neurons; give the same neurons to all, NaN where one was not "
            "recorded (nd.homogenise does)"
        )
    if shared_time and len({shape[0] for shape in shapes}) > 1:
        raise NeurodataError(
            f"animals have {[shape[0] for shape in shapes]} frames, so they share no clock; cut them alike, or pass "
            "shared_time=False where time means nothing across animals (spontaneous activity)"
        )
    return animals


def _recorded_pairs(prepared: NDArray[np.float32], every_neuron: bool) -> NDArray[np.intp]:
    """Pairs that were recorded together in at least one frame, shape ``(2, pair)``."""
    n_neurons, _, depth = prepared.shape
    never = np.flatnonzero(~np.isfinite(prepared).any(axis=(1, 2)))
    if len(never) and every_neuron:
        raise NeurodataError(
            f"neuron {', '.join(map(str, never[:10]))} is missing (NaN) in every animal; leave it out of the traces"
        )
    first, second = pair_indices(n_neurons)
    together = np.zeros(len(first), np.bool_)
    for animal in range(depth):  # one at a time: a mask of all is as large as the data
        there = np.isfinite(prepared[:, :, animal]).astype(np.float32)
        now = (there @ there.T)[first, second] > 0
        if not now.any():
            raise NeurodataError(f"animal {animal}: no two neurons are recorded at the same time; leave the animal out")
        together |= now
    return np.stack([first[together], second[together]])


def _checked_pairs(pairs: NDArray[np.integer], n_neurons: int) -> NDArray[np.intp]:
    wanted = np.asarray(pairs)
    if wanted.ndim != 2 or len(wanted) != 2 or wanted.dtype.kind not in "iu" or wanted.size == 0:
        raise NeurodataError(f"expected pairs as whole numbers of shape (2, pair), got {wanted.dtype} {wanted.shape}")
    if wanted.min() < 0 or wanted.max() >= n_neurons:
        raise NeurodataError(
            f"pairs are of neurons 0 to {n_neurons - 1}, got numbers from {wanted.min()} to {wanted.max()}"
        )
    return wanted.astype(np.intp)


def _recorded_bins(prepared: NDArray[np.float32], bin_frames: int) -> NDArray[np.intp]:
    """Bins in which some pair was recorded in some animal."""
    some_pair = (np.isfinite(prepared).sum(axis=0) >= 2).any(axis=1)
    return np.flatnonzero(some_pair.reshape(-1, bin_frames).any(axis=1))
