"""Decode a target at every sample: a class (motor state) or a continuous vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurodata.batches.batch import Batch
from neurodata.checks import check_between
from neurodata.errors import NeurodataError
from neurodata.windows.spec import CLASS, NO_TARGET

from ..layers.lagged import LaggedReadout
from ..losses import balanced_cross_entropy, class_weights, masked_mse
from ..network import Inputs, Network
from ..task import Task, drop_channels, vary


class Decode(Task):
    """Read a target from a network's features, at every sample of the window.

    Parameters
    ----------
    network
        The network that learns; its features are read by one linear layer.
    class_counts
        Training samples per class; every class then counts the same. None: every sample counts the same.
    output_mean, output_std
        Of a continuous target over training samples, one per output: the network learns the standardised target and
        predicts in the target's own units. None: 0 and 1.
    lagged_readout
        Whether a linear readout of the activity at several lags is added to the network's; it holds what lagged
        regression would find, so the network only has to learn what that misses.
    lags_seconds
        The lags it sees, 0 included; positive ones are later samples.
    readout_penalty
        Weight of the squared weights of that readout.
    label_smoothing
        Share of the target spread over all classes.
    dropped_channels
        Up to this share of a window's channels is taken away in training.
    gain, offset, noise
        How much channels are varied in training; see `neurodata.models.task.vary`.
    learning_rate, weight_decay, warmup_steps
        As for `Task`.

    Raises
    ------
    NeurodataError
        If the data have no target, ``class_counts`` are not one per class, or a share or size is impossible.
    """

    class_weights: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(
        self,
        network: Network,
        *,
        class_counts: Sequence[int] | None = None,
        output_mean: Sequence[float] | None = None,
        output_std: Sequence[float] | None = None,
        lagged_readout: bool = True,
        lags_seconds: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3),
        readout_penalty: float = 0.05,
        label_smoothing: float = 0.0,
        dropped_channels: float = 0.4,
        gain: float = 0.1,
        offset: float = 0.1,
        noise: float = 0.05,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warmup_steps: int = 20,
    ) -> None:
        super().__init__(network, learning_rate=learning_rate, weight_decay=weight_decay, warmup_steps=warmup_steps)
        self.save_hyperparameters(ignore=["network"])
        spec = network.spec
        if spec.target_kind == NO_TARGET:
            raise NeurodataError("there is nothing to decode: the data were opened without a target")
        for share, value in (("label_smoothing", label_smoothing), ("dropped_channels", dropped_channels)):
            check_between(share, value, 0, 1)
        for size, value in (("gain", gain), ("offset", offset), ("noise", noise), ("readout_penalty", readout_penalty)):
            check_between(size, value, 0)
        self.kind, self.readout_penalty = spec.target_kind, readout_penalty
        self.label_smoothing, self.dropped_channels = label_smoothing, dropped_channels
        self.variation = (gain, offset, noise)
        self.head = nn.Linear(network.width, spec.n_outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.lagged = LaggedReadout(spec, spec.n_outputs, lags_seconds) if lagged_readout else None
        for name, given in (("class_counts", class_counts), ("output_mean", output_mean), ("output_std", output_std)):
            if given is not None and len(given) != spec.n_outputs:
                raise NeurodataError(f"{name} has {len(given)} entries for {spec.n_outputs} outputs")
        counts = torch.ones(spec.n_outputs) if class_counts is None else torch.as_tensor(class_counts)
        self.register_buffer("class_weights", class_weights(counts), persistent=False)
        for name, given, default in (("output_mean", output_mean, 0.0), ("output_std", output_std, 1.0)):
            values = torch.full((spec.n_outputs,), default) if given is None else torch.as_tensor(given)
            self.register_buffer(name, values.to(torch.get_default_dtype()), persistent=False)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits, or values in the target's units, ``(batch, time, output)``."""
        decoded: Tensor = self.head(self.network.features(inputs))
        decoded = decoded if self.lagged is None else decoded + self.lagged(inputs)
        return decoded if self.kind == CLASS else decoded * self.output_std + self.output_mean

    def loss(self, batch: Batch) -> Tensor:
        """Return the class-balanced cross-entropy, or the mean squared error of what was recorded."""
        if self.training:
            batch = vary(drop_channels(batch, self.dropped_channels), *self.variation)
        decoded = self(self.network.see(batch))
        if self.kind == CLASS:
            smoothing = self.label_smoothing if self.training else 0.0
            loss = balanced_cross_entropy(decoded, batch.target, self.class_weights, smoothing)
        else:
            known = torch.isfinite(batch.target)
            loss = masked_mse(decoded / self.output_std, batch.target / self.output_std, known)
        if self.lagged is not None and self.training:
            loss = loss + self.readout_penalty * self.lagged.penalty()
        return loss

    def predict_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return class probabilities or values, ``(batch, time, output)``."""
        decoded: Tensor = self(self.network.see(batch))
        return decoded.softmax(-1) if self.kind == CLASS else decoded
