"""Factorise a tensor with missing entries: sweeps of (non-negative) least squares, or of orthogonal iteration."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from neurodata.errors import NeurodataError

from ..array_task import ArrayTask
from ..layers.cp_sweeps import sweep
from ..layers.tensor_rows import TensorBlocks, WholeTensor
from ..layers.threads import few_threads
from ..layers.tucker import tucker_sweep
from ..networks.tensor_factors import TensorFactors


class Factorise(ArrayTask):
    """Fits `TensorFactors` to a tensor by alternating least squares over its observed entries.

    Between sweeps of a CP model the factors are carried on in the direction they moved; where the error then grows, the
    step is taken back. That needs a half to a third of the sweeps.

    Parameters
    ----------
    network
        The factors, drawn.
    max_sweeps
        Most passes over the tensor.
    tolerance
        Sweeps end when the relative error over observed entries falls by less than this share of itself, twice in a row.
    sweeps_per_step
        Sweeps per step of the trainer.

    References
    ----------
    Ang AMS, Cohen JE, Hien LTK, Gillis N 2020, ICASSP, "Extrapolated alternating algorithms for approximate canonical
    polyadic decomposition": the idea; how ``beta`` grows and falls was tried on made-up tensors.
    """

    GROWTH, CEILING_GROWTH, FALL = 1.05, 1.01, 1.5
    SMALL_STEPS = 100
    """Steps of a sweep, about, that work on factors and not on entries."""

    network: TensorFactors

    def __init__(
        self,
        network: TensorFactors,
        *,
        max_sweeps: int = 300,
        tolerance: float = 1e-6,
        sweeps_per_step: int = 10,
    ) -> None:
        super().__init__(network)
        self.save_hyperparameters(ignore="network")
        self.max_sweeps, self.tolerance, self.sweeps_per_step = max_sweeps, tolerance, sweeps_per_step
        self.errors: list[float] = []
        self.converged = False
        self._beta, self._ceiling, self._last_good, self._quiet = 0.5, 1.0, 0.5, 0
        self._before: list[Tensor] = []  # the model one accepted sweep ago; empty where the next sweep starts plainly

    @property
    def finished(self) -> bool:
        """Whether no sweep is left to make."""
        return self.converged or len(self.errors) >= self.max_sweeps

    @torch.no_grad()
    def training_step(self, batch: WholeTensor | TensorBlocks | Tensor, batch_index: int) -> None:
        """Make some sweeps over a tensor's rows (CP) or over the tensor itself (Tucker)."""
        with few_threads(math.prod(batch.shape) // self.SMALL_STEPS):
            for _ in range(self.sweeps_per_step):
                if self.finished:
                    break
                if isinstance(batch, Tensor):
                    self._sweep_tucker(batch)
                else:
                    self._sweep_cp(batch)
        self.optimizers().step()  # type: ignore[union-attr]
        if self.finished:
            self.trainer.should_stop = True

    def _sweep_tucker(self, values: Tensor) -> None:
        factors = [factor.detach() for factor in self.network.factors]
        core, error, squares = tucker_sweep(values, factors, self.network.core.detach())
        for parameter, factor in zip(self.network.factors, factors, strict=True):
            parameter.copy_(factor)
        self.network.core.copy_(core)
        self._note((error / squares) ** 0.5)

    def _sweep_cp(self, tensor: WholeTensor | TensorBlocks) -> None:
        parameters = [self.network.factors[mode] for mode in tensor.order]
        now = [parameter.detach().T.contiguous() for parameter in parameters]
        nonnegative = self.network.hyperparameters["nonnegative"]
        found = list(now)
        if self._before:
            found = [self._carry(one, before, nonnegative) for one, before in zip(now, self._before, strict=True)]
        squared, squares = sweep(tensor.on(self.device), found, nonnegative=nonnegative, first=not self.errors)
        if squares == 0:
            raise NeurodataError("every observed entry is 0, or all are NaN: there is nothing to factorise")
        error = (squared / squares) ** 0.5
        if self.errors and error > self.errors[-1]:
            self._take_back()
            return
        self._before, self._last_good = now if self.errors else [], self._beta
        self._beta = min(self._ceiling, self._beta * self.GROWTH)
        self._ceiling = min(1.0, self._ceiling * self.CEILING_GROWTH)
        for parameter, factor in zip(parameters, found, strict=True):
            parameter.copy_(factor.T)
        self._note(error)

    def _carry(self, now: Tensor, before: Tensor, nonnegative: bool) -> Tensor:
        further = now + self._beta * (now - before)
        return further.clamp_min_(0) if nonnegative else further

    def _take_back(self) -> None:
        """Stay with the last model; a sweep that started plainly can only be worse by rounding errors."""
        self.converged = not self._before
        self._before, self._ceiling, self._beta = [], self._last_good, self._beta / self.FALL
        self.errors.append(self.errors[-1])

    def _note(self, error: float) -> None:
        floor = torch.finfo(self.network.factors[0].dtype).eps ** 0.5
        small = bool(self.errors) and self.errors[-1] - error < self.tolerance * self.errors[-1]
        self._quiet = self._quiet + 1 if small else 0
        self.errors.append(error)
        self.converged = self._quiet >= 2 or error < floor

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the next sweep depends on."""
        checkpoint["factorise"] = {
            "errors": self.errors,
            "converged": self.converged,
            "carry": [self._beta, self._ceiling, self._last_good, self._quiet],
            "before": self._before,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what was kept."""
        kept = checkpoint["factorise"]
        self.errors, self.converged, self._before = list(kept["errors"]), kept["converged"], list(kept["before"])
        self._beta, self._ceiling, self._last_good, self._quiet = kept["carry"]
