"""New recordings seen as a trained model saw its own: the same rate, windows and filters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from neurodata.batches.datamodule import OWN, UNSCALED, RecordingDataModule
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.store.store import Store
from neurodata.windows.prepare import ALL
from neurodata.windows.spec import BY_RECORDING, DataSpec
from neurodata.windows.splits import Split, SplitRule

from .layers.patches import family_of


def open_like(spec: DataSpec, store: Store, split: SplitRule | Split, *, target: str = "", inputs: str = "", cache: str | Path | None = None) -> RecordingDataModule:  # fmt: skip
    """Return windows of new recordings, with the clock and the filters of a model's own of the same kind.

    Counts stay counts where the model learned from counts; everything else is scaled by each recording's own mean and
    spread. Every channel stands for itself.

    Parameters
    ----------
    spec
        The model's.
    store, split
        The recordings, and which of them are for training.
    target
        What is decoded; ``""``: nothing.
    inputs
        Signal or events; ``""``: the only neural ones there are.
    cache
        Where decoded recordings are kept; the user's cache where None.

    Raises
    ------
    NeurodataError
        If there are no recordings, or it is not clear what their input is.
    """
    if not len(store):
        raise NeurodataError(f"store {str(store.path)!r} holds no recordings to adapt to or to embed")
    first = store[store.recording_ids[0]]
    own = _like(spec, str(first.metadata["modality"]))
    inputs = inputs or find_inputs(first, own.signal)
    counts = inputs in first.events or any(c.counts for c in spec.channels if c.modality == first.metadata["modality"])
    longest = min(store[recording_id].duration_seconds for recording_id in store.recording_ids)
    return RecordingDataModule(
        store, inputs=inputs, target=target, split=split, rate_hz=own.rate_hz,
        window_seconds=_fitting(own, longest), scaling=UNSCALED if counts else OWN, channels=ALL,
        identity=BY_RECORDING, views=() if inputs in first.events else own.views, cache=cache,
    )  # fmt: skip


def _like(spec: DataSpec, modality: str) -> DataSpec:
    """The part of a model's spec whose recordings are most like those of a modality."""
    modalities = {channel.modality for channel in spec.channels}
    families = {family_of(known) for known in modalities}
    if family_of(modality) not in families:
        warnings.warn(
            f"the model was trained on {', '.join(sorted(modalities)) or 'recordings of no stated modality'}, these are "
            f"{modality}: it has to learn their kind of patch anew",
            stacklevel=3,
        )
    for part in spec.parts:
        if modality in part.signal or _signals_of(modality) & {part.signal}:
            return part
    return spec.parts[0] if spec.parts else spec


def _signals_of(modality: str) -> set[str]:
    """What the input of a modality is usually called."""
    return {
        "calcium": {"calcium", "fluorescence", "dff"},
        "spikes": {"spikes", "spike_counts"},
        "fmri": {"bold"},
    }.get(modality, {modality})


def find_inputs(recording: Recording, usual: str = "") -> str:
    """Return the name of a recording's input: the usual one, its only neural signal, or its spikes.

    Raises
    ------
    NeurodataError
        If there are several, or none; lists what there is.
    """
    if usual and (usual in recording.signals or usual in recording.events):
        return usual
    neural = [name for name, signal in recording.signals.items() if signal.attrs.get("role") == "neural"]
    spikes = [name for name, table in recording.events.items() if "unit" in table and recording.units is not None]
    found = neural or spikes
    if len(found) != 1:
        raise NeurodataError(
            f"{recording.recording_id}: say inputs=…, what the model is to look at; it has neural signals "
            f"{', '.join(neural) or 'none'} and events of units {', '.join(spikes) or 'none'}"
        )
    return found[0]


def _fitting(spec: DataSpec, shortest_seconds: float) -> float:
    """The model's window, or as many whole samples as the shortest recording has."""
    samples = min(spec.window_samples, int(shortest_seconds * spec.rate_hz))
    if samples < 1:
        raise NeurodataError(
            f"the shortest recording lasts {shortest_seconds:g} s: less than one sample at {spec.rate_hz:g} Hz"
        )
    return samples / spec.rate_hz


__all__: Sequence[str] = ("find_inputs", "open_like")
