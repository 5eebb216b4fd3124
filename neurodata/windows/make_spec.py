"""The `DataSpec` of a set of recordings: its vocabulary, its target and the classes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.identity import celegans
from neurodata.recording.recording import Recording
from neurodata.windows.channels import WORM, describe_channels, homologue_groups, worm_pairs
from neurodata.windows.prepare import check_outputs, classes_of, identities, outputs_of
from neurodata.windows.select import whole_samples
from neurodata.windows.spec import BY_LABEL, BY_RECORDING, BY_SUBJECT, CLASS, CONTINUOUS, NO_TARGET, Channel, DataSpec
from neurodata.windows.views import View


@dataclass(frozen=True)
class SpecFacts:
    """What one recording has to say about a `DataSpec`; JSON values, so that it can be kept.

    Parameters
    ----------
    recording_id
        Which recording.
    labels
        What its channels are known by, without the unknown ones, sorted.
    is_worm
        Whether it is of *C. elegans*.
    kind
        Of the target.
    classes
        Name of each code of a class target, or of each channel of a continuous one, as (code, name).
    channels
        What else is known of each label's channel.
    """

    recording_id: str
    labels: tuple[str, ...]
    is_worm: bool
    kind: str
    classes: tuple[tuple[int, str], ...]
    channels: tuple[Channel, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"channels": [channel.to_json() for channel in self.channels]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SpecFacts:
        """Return what `to_json` described."""
        classes = tuple((int(code), str(name)) for code, name in fields["classes"])
        channels = tuple(Channel.from_json(channel) for channel in fields["channels"])
        return cls(
            fields["recording_id"], tuple(fields["labels"]), fields["is_worm"], fields["kind"], classes, channels
        )


def spec_facts(recording: Recording, inputs: str, target: str, identity: str, views: Sequence[View] = ()) -> SpecFacts:
    """Return what a recording has to say about a `DataSpec`; raises as `make_spec` does."""
    if views and inputs in recording.events:
        raise NeurodataError(
            f"{recording.recording_id}: {inputs!r} are events, which {', '.join(view.name for view in views)} cannot be "
            "applied to; views are of signals"
        )
    known = identities(recording, inputs, identity, views).tolist()
    described = dict(zip(known, describe_channels(recording, inputs, views)))
    labels = sorted(set(known) - {""})
    kind, classes = _target_of(recording, target, identity)
    is_worm = recording.metadata["subject"]["species"] == WORM
    channels = tuple(described[label] for label in labels)
    return SpecFacts(recording.recording_id, tuple(labels), is_worm, kind, tuple(classes.items()), channels)


def make_spec(
    recordings: Iterable[Recording],
    *,
    inputs: str,
    rate_hz: float,
    window_seconds: float,
    target: str = "",
    identity: str = BY_LABEL,
    views: Sequence[View] = (),
) -> DataSpec:
    """Return the `DataSpec` of a set of recordings.

    The vocabulary is the table of all 302 neurons where every recording is of *C. elegans* and channels are known by
    their labels, so that models of different worms share it; else the labels, ids or positions that occur, sorted.

    Parameters
    ----------
    recordings
        Recordings a model will be trained on.
    inputs
        Name of the input signal, or of events whose units are counted in the clock's bins.
    rate_hz
        Rate of the windows' clock.
    window_seconds
        Length of a window; must be a whole number of samples.
    target
        Name of an interval table (a class per sample), or of a signal or events of units (continuous), ``""`` for none.
    identity
        What makes two channels the same one; see `DataSpec`.
    views
        Filters and the like that the input signal passes.

    Raises
    ------
    NeurodataError
        If a signal or target is missing somewhere, recordings disagree about the target's kind, classes or channels,
        or the window is not a whole number of samples.
    """
    facts = (spec_facts(recording, inputs, target, identity, views) for recording in recordings)
    return join_facts(
        facts, inputs=inputs, rate_hz=rate_hz, window_seconds=window_seconds, target=target, identity=identity, views=views
    )  # fmt: skip


def join_facts(
    facts: Iterable[SpecFacts],
    *,
    inputs: str,
    rate_hz: float,
    window_seconds: float,
    target: str = "",
    identity: str = BY_LABEL,
    views: Sequence[View] = (),
) -> DataSpec:
    """Return the `DataSpec` of recordings of which only the facts are known; see `make_spec`."""
    check_positive("rate_hz", rate_hz)
    samples = whole_samples(window_seconds, rate_hz)
    described: dict[str, Channel] = {}
    classes: dict[int, str] = {}
    kinds: set[str] = set()
    outputs: tuple[str, ...] | None = None
    worms = identity == BY_LABEL
    for one in facts:
        for label, channel in zip(one.labels, one.channels):
            described.setdefault(label, channel)
        worms &= one.is_worm
        kinds.add(one.kind)
        if one.kind == CLASS:
            _merge_classes(classes, dict(one.classes), one.recording_id)
        elif one.kind == CONTINUOUS:
            found = tuple(name for _, name in one.classes)
            outputs = found if outputs is None else outputs
            check_outputs(outputs, found, one.recording_id)
    if len(kinds) != 1:
        raise NeurodataError(
            f"recordings disagree about the target {target!r}: {', '.join(sorted(kinds)) or 'there are none'}"
        )
    vocabulary = celegans.NAMES if worms else tuple(sorted(described))
    unknown = Channel()
    channels = tuple(described.get(label, unknown) for label in vocabulary)
    alone = identity in (BY_RECORDING, BY_SUBJECT)
    groups = worm_pairs() if worms else homologue_groups(vocabulary, channels) if alone else ()
    # Two codes may mean the same; the class is its name.
    named = tuple(dict.fromkeys(classes[code] for code in sorted(classes))) or outputs or ()
    return DataSpec(
        inputs,
        float(rate_hz),
        samples,
        vocabulary,
        groups,
        target,
        kinds.pop(),
        named,
        identity,
        tuple(views),
        channels,
    )


def _target_of(recording: Recording, target: str, identity: str) -> tuple[str, dict[int, str]]:
    """Kind of the target, and its classes by code or its channels by position."""
    if not target:
        return NO_TARGET, {}
    if target in recording.intervals:
        return CLASS, classes_of(recording, target)
    if target in recording.signals or target in recording.events:
        return CONTINUOUS, dict(enumerate(outputs_of(recording, target, identity).tolist()))
    raise NeurodataError(
        f"{recording.recording_id} has no target {target!r}; it has intervals {', '.join(recording.intervals) or 'none'}, "
        f"signals {', '.join(recording.signals) or 'none'} and events {', '.join(recording.events) or 'none'}"
    )


def _merge_classes(classes: dict[int, str], found: dict[int, str], recording_id: str) -> None:
    for code, name in found.items():
        if classes.setdefault(code, name) != name:
            raise NeurodataError(
                f"{recording_id}: code {code} means {name!r}, but {classes[code]!r} in other recordings"
            )
