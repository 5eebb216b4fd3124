"""What a model must know about the data it is built for: a small value passed forward."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.views import View, make_views

CLASS, CONTINUOUS, NO_TARGET = "class", "continuous", "none"
BY_LABEL, BY_ID, BY_ORDER = IDENTITIES = ("label", "channel_id", "order")
"""What makes two channels of different recordings the same one."""


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
        (a cell that one lab tracked over sessions), or their ``order`` (where there is one channel, say).
    views
        Filters and the like that the input signal passes before it is resampled, in this order.
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

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
        return plain | {"views": [view.to_json() for view in self.views]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> DataSpec:
        """Return the spec `to_json` described.

        Raises
        ------
        NeurodataError
            If a field is missing, unknown or of the wrong type.
        """
        types = {"signal": str, "rate_hz": (int, float), "window_samples": int, "vocabulary": list, "groups": list, "target": str, "target_kind": str, "classes": list, "identity": str, "views": list}  # fmt: skip
        if not isinstance(fields, Mapping):
            raise NeurodataError(f"a DataSpec is written as an object of fields, got {type(fields).__name__}")
        fields = {"identity": BY_LABEL, "views": [], **fields}  # the first checkpoints knew labels only, and no views
        wrong = sorted(map(str, set(types) ^ set(fields))) + [
            key for key in (set(types) & set(fields)) - {"views"} if not _is_a(fields[key], types[key])
        ]
        if wrong:
            raise NeurodataError(
                f"a DataSpec has the fields {', '.join(types)}; missing, unknown or wrong: {', '.join(wrong)}"
            )
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        return cls(**values | {"views": make_views(fields["views"])})


def _is_a(value: Any, wanted: Any) -> bool:
    """Whether a JSON value is what a field wants; true and false are no numbers, a list holds text only."""
    if isinstance(value, list):
        return wanted is list and all(isinstance(entry, str) for entry in value)
    return isinstance(value, wanted) and not isinstance(value, bool)
