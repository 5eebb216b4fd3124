"""Several sources at once: recordings of different modalities, rates and windows, for one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.loader import WindowLoader
from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.spec import BY_RECORDING, CLASS, CONTINUOUS, Channel, DataSpec


class MixtureLoader:
    """Batches of several loaders side by side: a tuple with one `Batch` of each, channels numbered by one vocabulary.

    An epoch ends with the shortest loader's. Its state is that of all loaders.

    Parameters
    ----------
    loaders
        Source → its loader.
    numbers
        Source → the mixture's number of each of its channel ids, int64 ``(channel id,)``.
    """

    batch_sampler = None
    """Lightning asks whether batches are shuffled; the loaders' own orders know."""

    def __init__(self, loaders: Mapping[str, WindowLoader], numbers: Mapping[str, Tensor]) -> None:
        self.loaders, self.numbers = dict(loaders), dict(numbers)

    def __len__(self) -> int:
        return min(len(loader) for loader in self.loaders.values())

    def __iter__(self) -> Iterator[tuple[Batch, ...]]:
        epochs = [order.epoch for order in self._orders()]
        sources = [iter(loader) for loader in self.loaders.values()]
        for batches in zip(*sources):
            yield tuple(renumber(batch, numbers) for batch, numbers in zip(batches, self.numbers.values()))
        for source in sources:
            source.close()  # type: ignore[attr-defined]  # a loader's iterator is a generator
        # The first to end stops the others, which did not see their own end.
        for order, epoch in zip(self._orders(), epochs):
            if order.epoch == epoch:
                order.set_epoch(epoch + 1)

    def _orders(self) -> list[Any]:
        return [loader.sampler for loader in self.loaders.values() if hasattr(loader.sampler, "set_epoch")]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        for order in self._orders():
            order.set_epoch(epoch)

    @property
    def sampler(self) -> MixtureLoader:
        """Where Lightning looks for ``set_epoch``."""
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return each loader's state; plain values."""
        return {name: loader.state_dict() for name, loader in self.loaders.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a saved state stands.

        Raises
        ------
        NeurodataError
            If the state is of other sources, or a loader's of other windows.
        """
        if set(state) != set(self.loaders):
            raise NeurodataError(
                f"the saved position is of the sources {', '.join(sorted(state))}, the mixture has {', '.join(sorted(self.loaders))}"
            )
        for name, loader in self.loaders.items():
            loader.load_state_dict(state[name])
        # Where the shortest source's epoch was over, so was that of all.
        latest = max((order.epoch for order in self._orders()), default=0)
        for order in self._orders():
            if order.epoch < latest:
                order.set_epoch(latest)


def renumber(batch: Batch, numbers: Tensor) -> Batch:
    """Return a source's batch with its channels numbered as the mixture numbers them."""
    return batch._replace(channel_ids=numbers.to(batch.channel_ids.device)[batch.channel_ids])


class Mixture(lightning.LightningDataModule):
    """Recordings of several modalities for one model, each source with its own rate, windows, scaling and split.

    A step sees a batch of every source, so that no modality waits for another; how many windows of each is said by the
    proportions.

    Parameters
    ----------
    sources
        Name → windows of one modality. Channels that are to stand for themselves are known by
        ``identity="recording_channel"`` or ``"subject_channel"``.
    batch_size
        Windows per step, all sources together; None: what each source says.
    proportions
        Name → share of those windows, relative to the others; None: equal. Each source has at least one window.

    Raises
    ------
    NeurodataError
        If there is no source, proportions name others than there are, or two sources know different channels by one key.
    """

    def __init__(
        self,
        sources: Mapping[str, RecordingDataModule],
        *,
        batch_size: int | None = None,
        proportions: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not sources:
            raise NeurodataError("a mixture needs at least one source: {name: RecordingDataModule(…)}")
        self.sources = dict(sources)
        if batch_size is not None:
            for name, size in _sizes(self.sources, batch_size, proportions).items():
                self.sources[name].batch_size = size
        elif proportions is not None:
            raise NeurodataError("proportions=… say how a step's windows are shared; give batch_size=… as well")
        self.spec, self.numbers = join_specs({name: source.spec for name, source in self.sources.items()})

    def prepare_data(self) -> None:
        """Decode every recording of all sources."""
        for source in self.sources.values():
            source.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Fit the scaling of every source."""
        for source in self.sources.values():
            source.setup(stage)

    def train_dataloader(self) -> MixtureLoader:
        """Training windows of every source."""
        return MixtureLoader({name: s.train_dataloader() for name, s in self.sources.items()}, self.numbers)

    def covering_dataloader(self, part: str, stride_seconds: float | None = None) -> MixtureLoader:
        """Windows that cover a part of every source, as long as the shortest goes; see `RecordingDataModule`."""
        loaders = {name: s.covering_dataloader(part, stride_seconds) for name, s in self.sources.items()}
        return MixtureLoader(loaders, self.numbers)

    def val_dataloader(self) -> MixtureLoader:
        """Windows of the validation part."""
        return self.covering_dataloader("validation")

    def target_options(self) -> dict[str, list[float]]:
        """Return what the task `multitask_decode` is to know of the targets, over all sources' outputs in their order.

        Counts of classes are 1 for a continuous output, mean and deviation 0 and 1 for a class.
        """
        counts: list[float] = []
        means: list[float] = []
        deviations: list[float] = []
        for source in self.sources.values():
            n_outputs = source.spec.n_outputs
            known = source.target_statistics() if source.spec.target_kind == CONTINUOUS else None
            counts += map(float, source.target_counts()) if source.spec.target_kind == CLASS else [1.0] * n_outputs
            means += map(float, known[0]) if known else [0.0] * n_outputs
            deviations += map(float, known[1]) if known else [1.0] * n_outputs
        return {"class_counts": counts, "output_mean": means, "output_std": deviations}


def join_specs(specs: Mapping[str, DataSpec]) -> tuple[DataSpec, dict[str, Tensor]]:
    """Return the spec of a mixture, and for each source the mixture's number of each of its channel ids.

    Clock and window are those of the first source: networks that take any rate go by each batch's own.
    """
    channels: dict[str, Channel] = {}
    groups: dict[str, str] = {}
    numbers: dict[str, Tensor] = {}
    for name, spec in specs.items():
        found = spec.channels or (Channel(),) * len(spec.vocabulary)
        for key, group, channel in zip(spec.vocabulary, spec.groups or spec.vocabulary, found):
            if channels.setdefault(key, channel) != channel:
                raise NeurodataError(
                    f"source {name!r} knows another channel by {key!r} than a source before it; let every channel stand "
                    "for itself by identity='recording_channel'"
                )
            groups.setdefault(key, group)
        place = {key: number for number, key in enumerate(channels, start=1)}
        numbers[name] = torch.tensor([0, *(place[key] for key in spec.vocabulary)])
    first = next(iter(specs.values()))
    parts = tuple(_without_channels(spec) for spec in specs.values())
    joined = DataSpec(
        "+".join(dict.fromkeys(spec.signal for spec in specs.values())), first.rate_hz, first.window_samples,
        tuple(channels), tuple(groups.values()), identity=BY_RECORDING, channels=tuple(channels.values()), parts=parts,
    )  # fmt: skip
    return joined, numbers


def _without_channels(spec: DataSpec) -> DataSpec:
    fields = {name: getattr(spec, name) for name in ("signal", "rate_hz", "window_samples", "target", "target_kind", "classes", "identity", "views")}  # fmt: skip
    return DataSpec(vocabulary=(), **fields)


def _sizes(sources: Mapping[str, Any], batch_size: int, proportions: Mapping[str, float] | None) -> dict[str, int]:
    """Windows per step of each source."""
    check_positive("batch_size", batch_size)
    shares = dict(proportions) if proportions is not None else dict.fromkeys(sources, 1.0)
    if set(shares) != set(sources) or not all(map(_is_share, shares.values())):
        raise NeurodataError(
            f"proportions are a number above 0 for each source ({', '.join(sources)}); got {shares}; leave a source out "
            "of the mixture that is never to be drawn from"
        )
    total = sum(shares.values())
    return {name: max(1, round(batch_size * shares[name] / total)) for name in sources}


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value < float("inf")
