"""What a model must know about the data it is built for: a small value passed forward."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.views import View, make_views

CLASS, CONTINUOUS, NO_TARGET = "class", "continuous", "none"
BY_LABEL, BY_ID, BY_ORDER, BY_RECORDING, BY_SUBJECT = IDENTITIES = (
    "label", "channel_id", "order", "recording_channel", "subject_channel",
)  # fmt: skip
"""What makes two channels of different recordings the same one."""


@dataclass(frozen=True)
class Channel:
    """What is known of a channel beside its place in a vocabulary; ``""`` and ``()`` where nothing is.

    Parameters
    ----------
    name
        Who it is in every recording of its species: a neuron, a parcel (``Homo sapiens:V1``), or an electrode of the
        10-05 system on any head (``10-05:C3``).
    region
        Where it lies, in words, with its species.
    modality
        How it was recorded: ``calcium``, ``spikes``, ``eeg``, ``fmri`` …
    position
        ``(x, y, z)`` in metres, in the space of its recording.
    counts
        Whether its values are counts of events.
    """

    name: str = ""
    region: str = ""
    modality: str = ""
    position: tuple[float, ...] = ()
    counts: bool = False

    def to_json(self) -> list[Any]:
        """Return the fields as JSON values."""
        return [self.name, self.region, self.modality, list(self.position), self.counts]

    @classmethod
    def from_json(cls, fields: Any) -> Channel:
        """Return what `to_json` described.

        Raises
        ------
        NeurodataError
            If a field is missing or of the wrong type, or a position is not three finite numbers.
        """
        if isinstance(fields, (list, tuple)) and len(fields) == 5:
            name, region, modality, position, counts = fields
            texts = all(isinstance(text, str) for text in (name, region, modality))
            if texts and isinstance(counts, bool) and _is_place(position):
                return cls(name, region, modality, tuple(map(float, position)), counts)
        raise NeurodataError(
            f"a channel is written as [name, region, modality, [x, y, z] or [], counts], got {str(fields)[:80]}"
        )


def _is_place(value: Any) -> bool:
    """Whether a JSON value is a place, or nowhere: three finite numbers, or none."""
    return isinstance(value, (list, tuple)) and len(value) in (0, 3) and all(_is_number(v) for v in value)


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; JSON writes whole numbers that no float can hold."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


@dataclass(frozen=True)
class DataSpec:
    """Shape and meaning of a batch.

    Parameters
    ----------
    signal
        Name of the input signal.
    rate_hz
        Samples per second of a window.
    window_samples
        Samples in a window.
    vocabulary
        Names a channel can have; channel id ``i + 1`` is ``vocabulary[i]``, id 0 a channel of unknown identity.
    groups
        Per name of the vocabulary the group of homologues it belongs to (``AVA`` for ``AVAL`` and ``AVAR``); models may
        share weights within a group. Empty: every name is its own group.
    target
        Name of the decoded intervals or signal, ``""`` where there is none.
    target_kind
        ``class`` (one code per sample), ``continuous`` (one vector per sample) or ``none``.
    classes
        Names of the classes by code, or of the channels of a continuous target.
    identity
        What makes two channels the same one: their ``label`` (a neuron's or an electrode's name), their ``channel_id``
        (a cell that one lab tracked over sessions), or their ``order`` (where there is one channel, say). Every channel
        of every recording stands for itself by ``recording_channel``, of every subject by ``subject_channel``; what
        they have in common is then told by ``channels``.
    views
        Filters and the like that the input signal passes before it is resampled, in this order.
    channels
        Per name of the vocabulary what else is known of the channel; empty: nothing.
    parts
        Of a mixture: the specs of its sources, without their vocabularies; empty otherwise.
    """

    signal: str
    rate_hz: float
    window_samples: int
    vocabulary: tuple[str, ...]
    groups: tuple[str, ...] = ()
    target: str = ""
    target_kind: str = NO_TARGET
    classes: tuple[str, ...] = ()
    identity: str = BY_LABEL
    views: tuple[View, ...] = ()
    channels: tuple[Channel, ...] = ()
    parts: tuple[DataSpec, ...] = ()

    def __post_init__(self) -> None:
        check_positive("rate_hz", self.rate_hz)
        check_positive("window_samples", self.window_samples)
        check_option("target kind", self.target_kind, (CLASS, CONTINUOUS, NO_TARGET))
        check_option("identity of channels", self.identity, IDENTITIES)
        if len(set(self.vocabulary)) < len(self.vocabulary):
            twice = sorted(name for name, count in Counter(self.vocabulary).items() if count > 1)
            raise NeurodataError(f"a vocabulary holds each name once; twice: {', '.join(twice[:5])}")
        if self.groups and len(self.groups) != len(self.vocabulary):
            raise NeurodataError(f"{len(self.groups)} groups for a vocabulary of {len(self.vocabulary)} names")
        if self.channels and len(self.channels) != len(self.vocabulary):
            raise NeurodataError(f"{len(self.channels)} channels for a vocabulary of {len(self.vocabulary)} names")

    @property
    def n_channel_ids(self) -> int:
        """Number of channel ids, the unknown one included."""
        return len(self.vocabulary) + 1

    @property
    def group_ids(self) -> tuple[int, ...]:
        """Group of each channel id, counted from 1 in order of first appearance; 0 is the unknown channel's."""
        groups = self.groups or self.vocabulary
        number = {group: i + 1 for i, group in enumerate(dict.fromkeys(groups))}
        return (0, *(number[group] for group in groups))

    @property
    def n_outputs(self) -> int:
        """Number of classes or of continuous outputs."""
        return len(self.classes)

    @property
    def window_seconds(self) -> float:
        """Length of a window in seconds."""
        return self.window_samples / self.rate_hz

    def scaled(self) -> DataSpec:
        """Return the spec of scaled values, which are no counts any more."""
        return dataclasses.replace(
            self, channels=tuple(dataclasses.replace(c, counts=False) if c.counts else c for c in self.channels)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
        lists: dict[str, tuple[Any, ...]] = {"views": self.views, "channels": self.channels, "parts": self.parts}
        return plain | {key: [entry.to_json() for entry in entries] for key, entries in lists.items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> DataSpec:
        """Return the spec `to_json` described.

        Raises
        ------
        NeurodataError
            If a field is missing, unknown or of the wrong type.
        """
        types = {"signal": str, "rate_hz": (int, float), "window_samples": int, "vocabulary": list, "groups": list, "target": str, "target_kind": str, "classes": list, "identity": str, "views": list, "channels": list, "parts": list}  # fmt: skip
        nested = {"views", "channels", "parts"}
        if not isinstance(fields, Mapping):
            raise NeurodataError(f"a DataSpec is written as an object of fields, got {type(fields).__name__}")
        # The first checkpoints knew labels only, and neither views nor mixtures nor what else is known of a channel.
        fields = {"identity": BY_LABEL, **{name: [] for name in nested}, **fields}
        wrong = sorted(map(str, set(types) ^ set(fields))) + [
            key for key in (set(types) & set(fields)) - nested if not _is_a(fields[key], types[key])
        ]
        if wrong:
            raise NeurodataError(
                f"a DataSpec has the fields {', '.join(types)}; missing, unknown or wrong: {', '.join(wrong)}"
            )
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        for name in ("channels", "parts"):
            if not isinstance(fields[name], list):
                raise NeurodataError(f"the {name} of a DataSpec are a list, got {type(fields[name]).__name__}")
        if any(isinstance(part, Mapping) and part.get("parts") for part in fields["parts"]):
            raise NeurodataError("the parts of a mixture's DataSpec are plain specs and have no parts themselves")
        values["channels"] = tuple(Channel.from_json(channel) for channel in fields["channels"])
        values["parts"] = tuple(cls.from_json(part) for part in fields["parts"])
        return cls(**values | {"views": make_views(fields["views"])})


def _is_a(value: Any, wanted: Any) -> bool:
    """Whether a JSON value is what a field wants; true and false are no numbers, a list holds text only."""
    if isinstance(value, list):
        return wanted is list and all(isinstance(entry, str) for entry in value)
    if isinstance(value, int) and not _is_number(value):
        return False
    return isinstance(value, wanted) and not isinstance(value, bool)
