"""Forecast the next seconds of every recorded neuron."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.checks import check_between
from neurodata.errors import NeurodataError

from ..layers.past import LinearPast
from ..losses import share_count
from ..network import Network, make_inputs
from ..task import Task, drop_channels


class Forecast(Task):
    """Hide the end of each window and predict it, as a change from the last value seen.

    A network that says nothing (zero) therefore copies the last value, the baseline a forecast is measured against.
    The loss is one minus the skill over that baseline, averaged over all steps ahead, so that far and near ones count
    alike though far changes are larger.

    Parameters
    ----------
    network
        The network that learns.
    horizons_seconds
        Horizons scored; the longest is what is hidden.
    linear_past
        Whether a linear forecast from the past (`LinearPast`) is added to the network's; it holds what ridge regression
        would find, so the network only has to learn what that misses.
    dropped_channels
        Up to this share of a window's channels is taken away in training.
    learning_rate, weight_decay, warmup_steps
        As for `Task`.

    Raises
    ------
    NeurodataError
        If the longest horizon is not shorter than the window, or the share is not between 0 and 1.
    """

    def __init__(
        self,
        network: Network,
        *,
        horizons_seconds: Sequence[float] = (1.0, 2.0, 5.0),
        linear_past: bool = True,
        dropped_channels: float = 0.2,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warmup_steps: int = 20,
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, weight_decay=weight_decay, warmup_steps=warmup_steps)
        self.save_hyperparameters(ignore=["network"])
        check_between("dropped_channels", dropped_channels, 0, 1)
        spec = network.spec
        self.horizons_seconds = tuple(map(float, horizons_seconds))
        possible = bool(horizons_seconds) and all(0 < h < spec.window_seconds for h in self.horizons_seconds)
        self.steps = [round(horizon * spec.rate_hz) for horizon in self.horizons_seconds] if possible else [0]
        self.cut = spec.window_samples - max(self.steps)
        self.dropped_channels = dropped_channels
        if self.cut < 1 or min(self.steps) < 1:
            raise NeurodataError(
                f"horizons of {', '.join(f'{h:g}' for h in horizons_seconds) or 'no'} s do not fit a window of "
                f"{spec.window_seconds:g} s; the longest must be shorter than the window, the shortest at least a sample"
            )
        self.linear_past = LinearPast(spec, max(self.steps)) if linear_past else None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the future and the last value known.

        Returns
        -------
        future
            ``(batch, step, channel)``, from the first hidden sample on.
        last
            Last value seen of each channel (0, the mean, where none was), ``(batch, channel)``.
        """
        hidden = torch.zeros_like(batch.recorded)
        hidden[:, self.cut :] = True
        shown = make_inputs(batch, hidden)
        last = last_visible(shown.values, shown.visible)
        inputs = self.network.see(batch, hidden)
        change = self.network.reconstruct(inputs)[:, self.cut :]
        if self.linear_past is not None:
            change = change + self.linear_past(inputs.values[:, : self.cut], inputs.channel_ids)
        if not self.training:  # a neuron never met in training keeps its last value
            change = change * self.network.knows(batch)[:, None]
        return last[:, None] + change, last

    def loss(self, batch: Batch) -> Tensor:
        """Return squared error over copy-last's, per step and then averaged; counts recorded values of channels seen."""
        if self.training:
            batch = drop_channels(batch, self.dropped_channels)
        future, last = self(batch)
        counted = batch.recorded[:, self.cut :] & batch.recorded[:, : self.cut].any(1, keepdim=True)
        truth = torch.where(counted, batch.values[:, self.cut :], 0.0)  # NaN there would make the gradient NaN
        error = torch.where(counted, (future - truth).square(), 0.0).sum((0, 2))
        copied = share_count(torch.where(counted, (last[:, None] - truth).square(), 0.0).sum((0, 2)))
        known = copied > 0
        return torch.where(known, error, 0.0).div(torch.where(known, copied, 1.0)).sum() / known.sum().clamp(min=1)

    def predict_step(self, batch: Batch, batch_index: int) -> tuple[Tensor, Tensor]:
        """Return forecasts at the horizons, ``(batch, horizon, channel)``, and the last values, ``(batch, channel)``."""
        future, last = self(batch)
        return future[:, [step - 1 for step in self.steps]], last


def last_visible(values: Tensor, visible: Tensor) -> Tensor:
    """Return each channel's last visible value, 0 where it has none.

    Parameters
    ----------
    values, visible
        ``(batch, time, channel)``.
    """
    position = torch.arange(1, values.shape[1] + 1, device=values.device)[None, :, None]
    latest = (position * visible).amax(1)
    found = values.gather(1, (latest - 1).clamp(min=0)[:, None]).squeeze(1)
    return found * (latest > 0)
