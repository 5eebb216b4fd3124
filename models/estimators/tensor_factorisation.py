"""Factorise a tensor with missing entries: non-negative or plain CP, or Tucker, with a scikit-learn face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError

from ..layers.cp_sweeps import residual_squares
from ..layers.tensor_rows import TensorBlocks, WholeTensor, make_rows
from ..layers.tucker import expand
from ..networks.tensor_factors import MODELS, TensorFactors
from ._tensor_fit import (
    block_loadings,
    check_sizes,
    core_loadings,
    fit_restarts,
    known_columns,
    place_of,
    row_loadings,
    shared_out,
)
from ._tensor_input import as_tensor, check_ranks
from ._tensor_rank import RankChoice as RankChoice
from ._tensor_rank import choose_rank as choose_rank

Blocks = Callable[[], Iterable[tuple[int, Any]]]
"""Called once per pass; gives ``(first_row, block)``, each block ``(row, size_1, …)``, NaN where missing."""


class TensorFactorisation(BaseEstimator):  # type: ignore[misc]
    """A tensor as few components, each a profile per mode: (unit, time, trial), (pair, time, animal) and the like.

    Missing entries (NaN) are left out of the least squares exactly, never taken for 0. The best of several random starts
    by error over observed entries is kept.

    Parameters
    ----------
    rank
        Number of components. For Tucker the size of the core in every mode, or one number per mode.
    nonnegative
        Whether loadings, and so the data, may not be negative; CP only.
    model
        ``cp`` (PARAFAC: by hierarchical alternating least squares where non-negative, else alternating least squares)
        or ``tucker`` (higher-order orthogonal iteration, missing entries filled in from the model).
    n_restarts
        Random starts. Where they end at different components (``restarts_``), do not trust them.
    max_iter
        Most passes over the tensor per start.
    tol
        A start has converged once the relative error falls by less than this share of itself, twice in a row.
    random_state
        Seed of the starts, as for scikit-learn.
    accelerator
        ``cpu``, ``cuda``, or ``auto``: a CUDA device where there is one.

    Attributes
    ----------
    factors_
        Loadings of every mode, each ``(size, rank)``. CP: an entry of the tensor is the sum over components ``r`` of
        ``factors_[0][i, r] * factors_[1][j, r] * factors_[2][k, r]``; a component's columns have the same norm in every
        mode, and components come by decreasing weight; plain CP: the largest entry of each column is positive in every
        mode but the first. Tucker: orthonormal columns. NaN for an index of which nothing was observed.
    weights_
        Size of each component, the product of its columns' norms, shape ``(rank,)``, in units of the data; CP only.
    core_
        Core tensor, one mode per mode; Tucker only.
    error_
        Norm of the residuals over norm of the data, over observed entries: 0 is perfect, 1 a model of zeros.
    errors_
        That error after each pass of the start that was kept.
    n_iter_
        Its passes.
    restarts_
        One row per start: ``error``, ``n_iter``, ``converged``, ``factor_match`` with the best one (see
        ``models/layers/cp.py``), ``best``.
    factor_match_
        Mean of that match over the other starts; NaN with one start. Well above 0.9: the components are stable.
    task_
        The fitted task, as saved by ``save_pretrained``.

    References
    ----------
    Kolda TG, Bader BW 2009, SIAM Review 51(3):455-500. Williams AH et al. 2018, Neuron 98:1099-1115, on (unit, time,
    trial) tensors.
    """

    def __init__(
        self,
        rank: int | Sequence[int] = 5,
        nonnegative: bool = True,
        model: str = "cp",
        n_restarts: int = 3,
        max_iter: int = 300,
        tol: float = 1e-6,
        random_state: Any = None,
        accelerator: str = "auto",
    ) -> None:
        self.rank = rank
        self.nonnegative = nonnegative
        self.model = model
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.accelerator = accelerator

    def fit(self, X: Any, y: None = None, *, folder: str | Path | None = None) -> Self:
        """Factorise a tensor.

        Parameters
        ----------
        X
            Two or more modes, NaN where missing; float32 is computed in single precision, all else in double.
        y
            Not used.
        folder
            Where the state to resume from is kept; a state found there is taken up.

        Raises
        ------
        NeurodataError
            If the tensor has one mode, no observed entry, infinite entries, negative ones though ``nonnegative``, or
            the rank or an option cannot be.
        """
        self._check_options()
        tensor = as_tensor(X, nonnegative=self.nonnegative)
        source = WholeTensor(tensor)
        self._fit(tensor if self.model == "tucker" else source, source, tensor.dtype, folder)
        return self

    def fit_blocks(
        self, blocks: Blocks, shape: Sequence[int], *, dtype: str = "float32", folder: str | Path | None = None
    ) -> Self:
        """Factorise a tensor that is never in memory at once; equal to `fit` where the first mode is the largest.

        Every start goes over the blocks ``n_iter_`` times, and once more at the end.

        Parameters
        ----------
        blocks
            Called once per pass; gives ``(first_row, block)`` along the first mode in any order, each row once per pass,
            ``block`` of shape ``(row, size_1, …)`` with NaN where missing. Memory is a block, and sums as large as a row
            of the tensor times the rank (with irregularly missing entries times ``rank · (rank + 1) / 2``).
        shape
            Of the whole tensor.
        dtype
            ``float32`` or ``float64``.
        folder
            As for `fit`.

        Raises
        ------
        NeurodataError
            As `fit`; if blocks overlap, leave out rows or are of another shape; for Tucker, which needs all at once.
        """
        self._check_options()
        check_option("dtype", dtype, ("float32", "float64"))
        if self.model != "cp":
            raise NeurodataError(f"model {self.model!r} needs the whole tensor at once; use fit, or model='cp'")
        if len(shape) < 2 or min(shape) < 1:
            raise NeurodataError(f"expected the sizes of two or more modes, none of them empty, got {tuple(shape)}")
        source = TensorBlocks(blocks, shape, dtype=getattr(torch, dtype), nonnegative=self.nonnegative)
        self._fit(source, source, getattr(torch, dtype), folder)
        return self

    def _check_options(self) -> None:
        check_option("model", self.model, MODELS)
        for name in ("n_restarts", "max_iter", "tol"):
            check_positive(name, getattr(self, name))
            if name != "tol" and getattr(self, name) != int(getattr(self, name)):
                raise NeurodataError(f"{name} must be a whole number, got {getattr(self, name)!r}")
        if self.model == "tucker" and self.nonnegative:
            raise NeurodataError(
                "a Tucker model has orthonormal bases, which are not non-negative: pass nonnegative=False"
            )

    def _fit(
        self, given: Any, source: WholeTensor | TensorBlocks, dtype: torch.dtype, folder: str | Path | None
    ) -> None:
        ranks = check_ranks(self.rank, source.shape, self.model)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=int(self.n_restarts))
        signs, double = bool(self.nonnegative), dtype == torch.float64
        networks = (
            (
                TensorFactors(shape=source.shape, ranks=ranks, model=self.model, nonnegative=signs, double=double),
                int(seed),
            )
            for seed in seeds
        )
        self.task_, self.restarts_ = fit_restarts(
            given, networks, max_iter=int(self.max_iter), tol=self.tol, accelerator=self.accelerator, folder=folder
        )
        network = self.task_.network
        network.normalise(source.seen)
        self.errors_, self.n_iter_ = list(self.task_.errors), len(self.task_.errors)
        self.factor_match_ = float(self.restarts_.loc[~self.restarts_["best"], "factor_match"].mean())
        self.factors_ = [factor.detach().numpy().copy() for factor in network.factors]
        if self.model == "cp":
            self.weights_ = network.weights.detach().numpy().copy()
            share = self.weights_ ** (1 / len(self.factors_))
            self.factors_ = [factor * share for factor in self.factors_]
            self.error_ = self._error(source)
        else:
            self.core_ = network.core.detach().numpy().copy()
            self.error_ = self.errors_[-1]

    def _error(self, source: WholeTensor | TensorBlocks) -> float:
        """Relative error over observed entries whose indices are all known."""
        network = self.task_.network
        source.on(torch.device("cpu"))
        factors = network.scaled()
        error, squares = residual_squares(source, [factors[mode] for mode in source.order])
        if squares == 0:
            raise NeurodataError("none of the observed entries, other than 0, is at indices that were observed in fit")
        return float((error / squares) ** 0.5)

    def reconstruct(self) -> NDArray[np.floating]:
        """Return the whole tensor as the model has it, in the data's units; NaN where an index was never observed."""
        check_is_fitted(self)
        with torch.no_grad():
            return np.asarray(self.task_.network().numpy())

    def transform(self, X: Any, mode: int = -1) -> NDArray[np.floating]:
        """Return the loadings of new data along one mode (new trials, a new animal), the other modes fixed.

        Parameters
        ----------
        X
            Like the tensor of `fit`, with any size along ``mode``; or one slice, without that mode. NaN where missing.
        mode
            Which one is new; negative numbers count from the end.

        Returns
        -------
        loadings
            In units of ``factors_[mode]``, shape ``(size, rank)``, or ``(rank,)`` of one slice. NaN where nothing was
            observed.

        Raises
        ------
        NeurodataError
            If the other sizes are not those of `fit`, and as `fit` does.
        """
        check_is_fitted(self)
        network = self.task_.network
        shape = network.hyperparameters["shape"]
        mode = place_of(mode, len(shape))
        double = network.hyperparameters["double"]
        tensor = as_tensor(X, nonnegative=network.hyperparameters["nonnegative"], new=True)
        tensor = tensor.to(torch.float64 if double else torch.float32)
        one = tensor.ndim == len(shape) - 1
        tensor = tensor.unsqueeze(mode) if one else tensor
        check_sizes(tensor.shape, shape, mode)
        rows = make_rows(0, tensor.movedim(mode, 0).contiguous())
        if network.model == "cp":
            others = [factor for m, factor in enumerate(known_columns(network)) if m != mode]
            loadings = row_loadings(rows, others, nonnegative=network.hyperparameters["nonnegative"])
            found = shared_out(loadings, network.weights.detach(), len(shape))
        else:
            factors = [factor.detach().nan_to_num(nan=0.0) for factor in network.factors]
            projection = expand(network.core.detach(), factors, skip=mode).movedim(mode, 0).flatten(1)
            found = core_loadings(rows, projection).T.numpy().copy()
        return found[0] if one else found

    def transform_blocks(self, blocks: Blocks, shape: Sequence[int], mode: int = -1) -> NDArray[np.floating]:
        """Return what `transform` would, of a tensor that comes in blocks along its first mode; one pass.

        Parameters
        ----------
        blocks, shape
            As for `fit_blocks`.
        mode
            Which one is new.
        """
        check_is_fitted(self)
        network = self.task_.network
        fitted = network.hyperparameters
        if network.model != "cp":
            raise NeurodataError(f"model {network.model!r} needs the whole tensor at once; use transform")
        mode = place_of(mode, len(fitted["shape"]))
        check_sizes(tuple(shape), fitted["shape"], mode)
        source = TensorBlocks(blocks, shape, dtype=network.weights.dtype, nonnegative=fitted["nonnegative"])
        loadings = block_loadings(source, known_columns(network), mode, nonnegative=fitted["nonnegative"])
        return shared_out(loadings, network.weights.detach(), len(fitted["shape"]))

    def score(self, X: Any, y: None = None) -> float:
        """Return 1 − relative error over the observed entries of a tensor: 1 is perfect, 0 a model of zeros.

        Give the entries that were held out, all others NaN. Entries at indices that `fit` never saw are left out.

        Parameters
        ----------
        X
            As large as the tensor of `fit`.
        y
            Not used.
        """
        check_is_fitted(self)
        network = self.task_.network
        tensor = as_tensor(X, nonnegative=False).to(network.factors[0].dtype)
        check_sizes(tensor.shape, network.hyperparameters["shape"], None)
        if network.model == "cp":
            return 1 - self._error(WholeTensor(tensor))
        off = tensor.numpy() - self.reconstruct()
        squares = float(np.nansum(np.square(tensor.numpy()[np.isfinite(off)], dtype=np.float64)))
        return 1 - float((np.nansum(np.square(off, dtype=np.float64)) / squares) ** 0.5)

    def score_blocks(self, blocks: Blocks, shape: Sequence[int]) -> float:
        """Return what `score` would, of a tensor that comes in blocks (see `fit_blocks`); one pass."""
        check_is_fitted(self)
        network = self.task_.network
        if network.model != "cp":
            raise NeurodataError(f"model {network.model!r} needs the whole tensor at once; use score")
        check_sizes(tuple(shape), network.hyperparameters["shape"], None)
        return 1 - self._error(TensorBlocks(blocks, shape, dtype=network.weights.dtype, nonnegative=False))
