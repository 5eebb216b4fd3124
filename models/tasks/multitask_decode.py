"""Decode several targets at once: one query and one readout for each source of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError
from neurodata.windows.spec import CLASS, NO_TARGET, DataSpec

from ..losses import balanced_cross_entropy, class_weights, masked_mse
from ..network import Network
from ..task import Batches, Task, drop_channels, vary


class MultitaskDecode(Task):
    """Read the target of every source from one network; sources without a target are passed over.

    A batch is a tuple with one `Batch` of each source, in the mixture's order (`neurodata.batches.mixture.Mixture`),
    or a plain `Batch` where the network was built for one source. Networks that can be asked (`Perceiver.ask`) have a
    query for each target; of others the same features are read. The loss is the mean over targets: cross-entropy over
    classes, squared error of standardised values.

    Parameters
    ----------
    network
        The network that learns.
    class_counts, output_mean, output_std
        Over the outputs of all targets in their order, as `Mixture.target_options` returns them. Empty: every class
        counts the same, and 0 and 1.
    dropped_channels, gain, offset, noise
        As for `Decode`.
    learning_rate, weight_decay, warmup_steps
        As for `Task`.

    Raises
    ------
    NeurodataError
        If no source has a target, or the numbers are not one per output.
    """

    def __init__(
        self,
        network: Network,
        *,
        class_counts: Sequence[float] | None = None,
        output_mean: Sequence[float] | None = None,
        output_std: Sequence[float] | None = None,
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
        self.parts = network.spec.parts or (network.spec,)
        sizes = [part.n_outputs if part.target_kind != NO_TARGET else 0 for part in self.parts]
        if not any(sizes):
            raise NeurodataError("there is nothing to decode: no source of the data was opened with a target")
        self.dropped_channels, self.variation = dropped_channels, (gain, offset, noise)
        self.heads = nn.ModuleList([nn.Linear(network.width, size) for size in sizes if size])
        for head in self.heads:
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]
        self.targets = [number for number, size in enumerate(sizes) if size]
        asks = hasattr(network, "ask")
        self.queries = nn.Parameter(torch.randn(len(self.targets), network.width) * 0.3) if asks else None
        for name, given, default in (("class_counts", class_counts, 1.0), ("output_mean", output_mean, 0.0), ("output_std", output_std, 1.0)):  # fmt: skip
            self._split(name, given, default, sizes)

    def _split(self, name: str, given: Sequence[float] | None, default: float, sizes: Sequence[int]) -> None:
        """Keep one tensor per target of numbers given for all outputs."""
        if given is not None and len(given) != sum(sizes):
            raise NeurodataError(f"{name} has {len(given)} entries for {sum(sizes)} outputs of all targets together")
        values = torch.full((sum(sizes),), default) if given is None else torch.as_tensor(given)
        values = values.to(torch.get_default_dtype())
        for place, number in enumerate(self.targets):
            before = sum(sizes[:number])
            self.register_buffer(f"{name}_{place}", values[before : before + sizes[number]].clone(), persistent=False)

    def _decoded(self, batch: Batch, place: int) -> Tensor:
        """Logits, or standardised values, of one target, ``(batch, time, output)``."""
        inputs, network = self.network.see(batch), self.network
        if self.queries is None:
            features = network.features(inputs)
        else:
            asked: Any = network
            features = asked.ask(asked.encode(inputs), self.queries[place])
        decoded: Tensor = self.heads[place](features)
        return decoded

    def loss(self, batch: Batches) -> Tensor:
        """Return the mean over targets of each one's loss."""
        batches = self._of_each_source(batch)
        return torch.stack([self._loss(batches[number], place) for place, number in enumerate(self.targets)]).mean()

    def _loss(self, batch: Batch, place: int) -> Tensor:
        if self.training:
            batch = vary(drop_channels(batch, self.dropped_channels), *self.variation)
        decoded = self._decoded(batch, place)
        if self._part(place).target_kind == CLASS:
            return balanced_cross_entropy(
                decoded,
                batch.target,
                class_weights(self.get_buffer(f"class_counts_{place}")).to(self.heads[place].get_parameter("weight")),
            )
        mean, std = (self.get_buffer(f"output_{what}_{place}") for what in ("mean", "std"))
        return masked_mse(decoded, (batch.target - mean) / std, torch.isfinite(batch.target))

    def _part(self, place: int) -> DataSpec:
        return self.parts[self.targets[place]]

    def predict_step(self, batch: Batches, batch_index: int) -> Tensor | tuple[Tensor | None, ...]:
        """Return class probabilities or values in the target's units, ``(batch, time, output)``; of a mixture for each source."""
        batches = self._of_each_source(batch)
        if isinstance(batch, Batch):
            return self.predict_target(batch, 0)
        places = {number: place for place, number in enumerate(self.targets)}
        return tuple(self.predict_target(one, places[number]) if number in places else None for number, one in enumerate(batches))  # fmt: skip

    def _of_each_source(self, batch: Batches) -> tuple[Batch, ...]:
        batches = (batch,) if isinstance(batch, Batch) else batch
        if len(batches) != len(self.parts):
            raise NeurodataError(
                f"a batch of each of the {len(self.parts)} sources is decoded, in the mixture's order; got {len(batches)} "
                "(of a single source decode by predict_target)"
            )
        return batches

    def predict_target(self, batch: Batch, place: int) -> Tensor:
        """Return what `predict_step` does, of one source's batch and the target at a place among the targets."""
        decoded = self._decoded(batch, place)
        if self._part(place).target_kind == CLASS:
            return decoded.softmax(-1)
        return decoded * self.get_buffer(f"output_std_{place}") + self.get_buffer(f"output_mean_{place}")
