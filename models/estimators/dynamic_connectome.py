"""Dynamic functional connectome: motifs of neurons that change together, when they do, and in which animals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neurodata.analyses.affinity import AffinityBlocks, affinity_blocks, bin_times
from neurodata.analyses.communities import Communities, communities
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError

from .. import TensorFactorisation  # by the catalogue's face: entries do not import each other's files
from ._dynamic_inputs import Animals, Traces, match_neurons, read_animals
from ._dynamic_solve import Block, hide_entries, solve_courses, squared_residuals

Floats = NDArray[np.float64]

_BLOCKS = 8
"""A block is this part of the largest array allowed; a sweep holds a few copies of one."""
_HIDDEN = 0.2
"""Share of entries that `DynamicConnectome.score` hides."""


class DynamicConnectome(BaseEstimator):  # type: ignore[misc]
    """Motifs, their time courses, loadings of animals, and communities of neurons within each motif.

    Three steps, each usable by itself: `neurodata.analyses.affinity` (how much two neurons change together, at every
    moment), `TensorFactorisation` (non-negative, missing entries left out) and `neurodata.analyses.communities`.

    Parameters
    ----------
    rank
        Number of motifs. Too many split one motif in time: see `choose_rank` beside `TensorFactorisation`.
    kernel, smooth_seconds, detrend_seconds
        As for `neurodata.analyses.affinity.affinity`.
    bin_frames
        Frames whose affinities are averaged.
    shared_time
        True: a moment is the same one in all animals (the same stimuli at the same times); pairs × time × animals are
        factorised, which is unique under mild conditions. False, for spontaneous activity: animals follow one another
        along time, so that each has its own time courses of common motifs. That is a factorisation of a matrix, which is
        less unique: look at ``factor_match_``.
    n_restarts, max_iter, tol
        As for `TensorFactorisation`.
    community_method
        As ``method`` of `neurodata.analyses.communities.communities`; None looks for none.
    degree_corrected
        As for `neurodata.analyses.communities.communities`.
    whole_mb
        Affinities larger than this many MiB are never made whole: they are made anew, block by block, in every sweep.
    random_state
        Seed.

    Attributes
    ----------
    motifs_
        Affinity within each motif while it is active at its root mean square, symmetric, shape
        ``(motif, neuron, neuron)``; NaN on the diagonal and for pairs that no animal has. Largest motif first.
    time_courses_
        Activity of each motif, root mean square 1, shape ``(motif, bin)``; NaN where nothing was recorded. Without
        shared time a list, one per animal (then the root mean square is over all).
    time_
        Seconds from the first frame to the middle of each bin, shape ``(bin,)``; without shared time a list.
    loadings_
        How strongly each animal has each motif, shape ``(animal, motif)``: root mean square 1 per motif, or, without
        shared time, the mean of the animal's time course.
    communities_
        One `neurodata.analyses.communities.Communities` per motif, or an empty list. A motif of zeros, where ``rank``
        is more than the affinities hold, has none (``n_communities`` 0).
    factor_match_
        Mean similarity (1: the same) of the factors of the other restarts with the best one's; NaN with one restart.
    error_
        Norm of what the motifs leave of the affinities over the norm of the affinities.
    names_, rate_hz_, n_frames_
        The neurons, their rate, and the frames of each animal.
    pairs_
        First and second neuron of the pairs that some animal has, shape ``(2, pair)``.
    factorisation_, task_
        The fitted `TensorFactorisation` and its task, which `neurodata.models.checkpoints.save_pretrained` writes.

    References
    ----------
    Dyballa L et al. 2024, ICLR: affinities of concurrent changes, non-negative tensor factorisation, and weighted block
    models. Kernels, missing entries, blocks and the case without shared time are ours.
    """

    def __init__(
        self,
        rank: int = 5,
        *,
        kernel: str = "geometric",
        smooth_seconds: float = 0.5,
        detrend_seconds: float | None = None,
        bin_frames: int = 2,
        shared_time: bool = True,
        n_restarts: int = 3,
        max_iter: int = 300,
        tol: float = 1e-5,
        community_method: str | None = "sbm",
        degree_corrected: str = "choose",
        whole_mb: float = 512.0,
        random_state: int | None = None,
    ) -> None:
        self.rank = rank
        self.kernel = kernel
        self.smooth_seconds = smooth_seconds
        self.detrend_seconds = detrend_seconds
        self.bin_frames = bin_frames
        self.shared_time = shared_time
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.tol = tol
        self.community_method = community_method
        self.degree_corrected = degree_corrected
        self.whole_mb = whole_mb
        self.random_state = random_state

    def fit(self, traces: Traces, rate_hz: float | None = None, names: Sequence[str] | None = None) -> Self:
        """Find motifs.

        Parameters
        ----------
        traces
            Activity of the same neurons in one or more animals, shape ``(animal, time, neuron)``, any unit, NaN where
            missing; or one array ``(time, neuron)`` per animal; or the dataset of ``nd.homogenise``.
        rate_hz
            Frames per second; a dataset has its own.
        names
            Names of the neurons; a dataset has its own, without they are ``"0"``, ``"1"`` ….

        Raises
        ------
        NeurodataError
            If shapes, rate or names do not fit, or the traces are such that `affinity_blocks` refuses them.
        """
        check_positive("whole_mb", self.whole_mb)
        rank: Any = self.rank
        if not isinstance(rank, Integral):
            raise NeurodataError(f"rank must be a positive whole number, got {rank!r}")
        animals = read_animals(traces, rate_hz, names)
        blocks = self._blocks(animals.traces, animals.rate_hz)
        self.names_, self.rate_hz_ = animals.names, animals.rate_hz
        self.n_frames_ = [len(animal) for animal in animals.traces]
        self.n_features_in_ = len(animals.names)
        self.pairs_, self.bins_ = blocks.pairs, blocks.bins
        self._factorise(blocks)
        self._unfold()
        self.communities_: list[Communities] = []
        if self.community_method is not None:
            self.communities_ = [self._divide(motif, self.community_method) for motif in self.motifs_]
        return self

    def transform(self, traces: Traces, rate_hz: float | None = None, names: Sequence[str] | None = None) -> Floats:
        """Return how strongly new animals have the motifs, which stay as they are.

        Parameters
        ----------
        traces, rate_hz, names
            As for `fit`; neurons are matched by name, in any order, and some may lack. Without names they are those of
            the fit. With shared time the frames are those of the fit.

        Returns
        -------
        loadings
            Shape ``(animal, motif)``, in the units of ``loadings_``.

        Raises
        ------
        NeurodataError
            If a neuron is unknown, the rate is another, or (sharing time) the number of frames is.
        """
        check_is_fitted(self)
        if not self.shared_time:
            return np.stack([np.nanmean(course, axis=1) for course in self.time_courses(traces, rate_hz, names)])
        arrays = self._matched(traces, rate_hz, names)
        blocks = self._blocks(arrays, self.rate_hz_, self.pairs_)
        if {len(array) for array in arrays} != set(self.n_frames_):
            raise NeurodataError(
                f"the motifs' time courses are {self.n_frames_[0]} frames long, these animals have {len(arrays[0])}; give "
                "the same stretch, or use time_courses(), which finds each animal's own"
            )
        blocks = replace(blocks, bins=self.bins_)
        loadings = self.factorisation_.transform_blocks(blocks, blocks.shape, mode=2)
        return np.asarray(loadings / self._animal_scale, np.float64)

    def time_courses(
        self, traces: Traces, rate_hz: float | None = None, names: Sequence[str] | None = None
    ) -> list[Floats]:
        """Return new animals' own time courses of the motifs, which stay as they are.

        Parameters
        ----------
        traces, rate_hz, names
            As for `transform`, but animals may have any number of frames.

        Returns
        -------
        courses
            One array per animal, shape ``(motif, bin)``, in the units of ``time_courses_``; NaN where nothing was
            recorded. `neurodata.analyses.affinity.bin_times` gives the bins' times.
        """
        check_is_fitted(self)
        arrays = self._matched(traces, rate_hz, names)
        return [self._own_courses(array) for array in arrays]

    def score(self, traces: Traces, rate_hz: float | None = None, names: Sequence[str] | None = None) -> float:
        """Return the share of the squares of hidden affinities that the motifs explain.

        A fifth of the entries (a pair at a moment) is hidden, each animal's own time courses are found from the rest,
        and the hidden fifth is compared with what the motifs say of it. The best is 1; motifs that say nothing have 0.

        Parameters
        ----------
        traces, rate_hz, names
            As for `time_courses`.
        """
        check_is_fitted(self)
        parts = [self._hidden_squares(array) for array in self._matched(traces, rate_hz, names)]
        return 1.0 - sum(left for left, _ in parts) / sum(whole for _, whole in parts)

    def _hidden_squares(self, traces: Floats) -> tuple[float, float]:
        """Sums of squares of what motifs leave of an animal's hidden entries, and of the entries."""
        blocks, weights = self._blocks([traces], self.rate_hz_, self.pairs_), self._pair_weights()

        def part(hidden: bool) -> Iterator[Block]:
            return hide_entries(blocks(), _HIDDEN, self._seed(), hidden=hidden)

        courses = solve_courses(lambda: part(False), weights, blocks.shape[1])
        return squared_residuals(part(True), weights, courses)

    def _divide(self, motif: Floats, method: str) -> Communities:
        if np.nansum(motif) > 0:
            return communities(motif, method=method, degree_corrected=self.degree_corrected, seed=self._seed())
        # The motif has died out: there are fewer than asked for, and this one joins nobody.
        labels = np.where(np.isfinite(motif).any(axis=1), 0, -1)
        return Communities(labels, (labels,), 0, 0.0, 0.0, degree_corrected=False, method=method)

    def _seed(self) -> int:
        return 0 if self.random_state is None else self.random_state

    def _blocks(self, traces: list[Floats], rate_hz: float, pairs: NDArray[np.intp] | None = None) -> AffinityBlocks:
        return affinity_blocks(
            traces,
            rate_hz,
            kernel=self.kernel,
            smooth_seconds=self.smooth_seconds,
            detrend_seconds=self.detrend_seconds,
            bin_frames=self.bin_frames,
            shared_time=self.shared_time,
            pairs=pairs,
            block_mb=self.whole_mb / _BLOCKS,
        )

    def _matched(self, traces: Traces, rate_hz: float | None, names: Sequence[str] | None) -> list[Floats]:
        import xarray as xr

        if not isinstance(traces, xr.Dataset):
            rate_hz = self.rate_hz_ if rate_hz is None else rate_hz
            names = self.names_ if names is None else names
        animals: Animals = read_animals(traces, rate_hz, names)
        if not np.isclose(animals.rate_hz, self.rate_hz_):
            raise NeurodataError(
                f"the motifs were found at {self.rate_hz_:g} Hz, these traces have {animals.rate_hz:g} Hz; resample them "
                "(nd.homogenise)"
            )
        return match_neurons(animals, self.names_)

    def _factorise(self, blocks: AffinityBlocks) -> None:
        model = TensorFactorisation(
            self.rank,
            nonnegative=True,
            n_restarts=self.n_restarts,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
        )
        if 4 * np.prod(blocks.shape, dtype=np.float64) <= self.whole_mb * 2**20:
            model.fit(blocks.whole())
        else:
            model.fit_blocks(blocks, blocks.shape)
        self.factorisation_, self.task_ = model, model.task_
        self.error_, self.factor_match_ = float(model.error_), float(model.factor_match_)

    def _unfold(self) -> None:
        """Bring the factors to the scales that are promised, and onto neurons, bins and animals."""
        pairs, times, animals = (np.asarray(factor, np.float64) for factor in self.factorisation_.factors_)
        scales = [np.sqrt(np.mean(factor**2, axis=0)) for factor in (times, animals)]
        times, animals = (factor / np.where(scale > 0, scale, 1.0) for factor, scale in zip((times, animals), scales))
        weights = pairs * scales[0] * scales[1]
        self._animal_scale = np.where(scales[1] > 0, scales[1], 1.0)
        self.motifs_ = np.full((self.rank, len(self.names_), len(self.names_)), np.nan)
        self.motifs_[:, self.pairs_[0], self.pairs_[1]] = self.motifs_[:, self.pairs_[1], self.pairs_[0]] = weights.T
        n_bins = [-(-n_frames // self.bin_frames) for n_frames in self.n_frames_]
        seconds = [bin_times(n_frames, self.rate_hz_, self.bin_frames) for n_frames in self.n_frames_]
        courses = np.full((self.rank, n_bins[0] if self.shared_time else sum(n_bins)), np.nan)
        courses[:, self.bins_] = times.T
        self.time_courses_: Any = courses
        self.time_: Any = seconds[0]
        self.loadings_ = animals
        if not self.shared_time:
            self.time_courses_ = np.split(courses, np.cumsum(n_bins)[:-1], axis=1)
            self.time_ = seconds
            self.loadings_ = np.stack([np.nanmean(course, axis=1) for course in self.time_courses_])

    def _pair_weights(self) -> Floats:
        return np.asarray(self.motifs_[:, self.pairs_[0], self.pairs_[1]])

    def _own_courses(self, traces: Floats) -> Floats:
        blocks = self._blocks([traces], self.rate_hz_, self.pairs_)
        courses = np.full((self.rank, -(-len(traces) // self.bin_frames)), np.nan)
        courses[:, blocks.bins] = solve_courses(blocks, self._pair_weights(), blocks.shape[1])
        return courses
