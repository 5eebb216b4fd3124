"""Recipes of pretrained checkpoints: what a YAML file says, checked, and the windows it describes."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

import neurodata as nd
from neurodata import names
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture
from neurodata.catalogue import read_entry
from neurodata.windows.splits import Split, Stretch, split_by

SIMULATED_RECORDINGS, SIMULATED_SECONDS, SIMULATED_SEED = 6, 240.0, 7000
"""Simulated animals of a source; the seed is one that no test and no result uses."""


class SourceRecipe(BaseModel):
    """One source of a mixture: a data set, or what is simulated, and how it is seen; see `RecordingDataModule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dataset: str = ""
    simulate: Literal["", "worms", "spikes", "eeg"] = ""
    inputs: str
    rate_hz: Annotated[float, Field(gt=0)]
    window_seconds: Annotated[float, Field(gt=0)]
    scaling: Literal["training", "recording", "none", "robust"]
    identity: Literal["recording_channel", "subject_channel", "order"] = "recording_channel"
    views: list[Any] = Field(default_factory=list)
    windows: Annotated[int, Field(gt=0)]


class CheckpointRecipe(BaseModel):
    """What a pretrained checkpoint is made from; ``windows`` of each source go into every step."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    network: dict[str, Any]
    task: dict[str, Any]
    steps: Annotated[int, Field(gt=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    seed: int
    sources: Annotated[dict[str, SourceRecipe], Field(min_length=1)]


def read_recipe(name: str) -> CheckpointRecipe:
    """Return the recipe ``scripts/pretraining/<name>.yaml``."""
    path = Path(__file__).parent / f"{name}.yaml"
    return CheckpointRecipe(**yaml.safe_load(path.read_text(encoding="utf-8")))


def add_recordings(recipe: CheckpointRecipe, data: Path, store: Path) -> nd.Store:
    """Return a store that holds every recording of a recipe; what is there already is left alone."""
    for name, source in recipe.sources.items():
        if source.dataset:
            nd.convert(source.dataset, data / read_entry("loaders", source.dataset).facts.data_folder, store)
        elif not (store / name).exists():
            _simulate(name, source.simulate, store)
    return nd.open_store(store)


def _simulate(name: str, what: str, store: Path) -> None:
    """Simulate raw files, convert them, and write their recordings under the source's own name."""
    with tempfile.TemporaryDirectory() as folder:
        raw, converted = Path(folder) / "raw", Path(folder) / "store"
        if what == "worms":
            worms = nd.simulate_worms(SIMULATED_RECORDINGS, SIMULATED_SECONDS, SIMULATED_SEED)
            nd.write_kato_layout(worms, raw)
            nd.convert("kato_brain_2015", raw, converted)
        else:
            module = importlib.import_module(f"neurodata.simulate.{what}")
            module.write_raw(raw, recordings=SIMULATED_RECORDINGS, seconds=SIMULATED_SECONDS, seed=SIMULATED_SEED)
            nd.convert("auto", raw, converted)
        for recording in nd.open_store(converted):
            last = recording.recording_id.rpartition("/")[2]
            told = {
                "dataset": name,
                "recording_id": f"{name}/{last}",
                "subject": {**recording.metadata["subject"], "id": last},
            }
            nd.write_recording(recording.replace(metadata={**recording.metadata, **told}), store)


def open_mixture(
    recipe: CheckpointRecipe, store: nd.Store, left_out: Sequence[tuple[str, float, float]] = ()
) -> Mixture:
    """Return the windows of a recipe's sources, without what is left out: ``(recording_id, start, stop)`` in seconds."""
    sources = {
        name: _open_source(name, source, recipe.seed, store, left_out) for name, source in recipe.sources.items()
    }
    return Mixture(sources)


def _open_source(name: str, source: SourceRecipe, seed: int, store: nd.Store, left_out: Sequence[tuple[str, float, float]]) -> RecordingDataModule:  # fmt: skip
    chosen = store.select(dataset=source.dataset or name)
    return RecordingDataModule(
        chosen, inputs=source.inputs, split=_without(split_by("recording").apply(chosen), left_out, source.window_seconds),
        rate_hz=source.rate_hz, window_seconds=source.window_seconds, scaling=source.scaling, channels="all",
        identity=source.identity, views=source.views, batch_size=source.windows, seed=seed,
    )  # fmt: skip


def _without(split: Split, left_out: Sequence[tuple[str, float, float]], shortest: float) -> Split:
    """The training stretches without some others; what is left of a stretch must hold a window."""
    kept = list(split.parts[names.TRAIN])
    for recording_id, start, stop in left_out:
        kept = [piece for one in kept for piece in _minus(one, recording_id, start, stop)]
    kept = [one for one in kept if one.stop - one.start >= shortest]
    return Split({names.TRAIN: tuple(kept)}, split.by, split.subjects, split.contents)


def _minus(one: Stretch, recording_id: str, start: float, stop: float) -> list[Stretch]:
    if one.recording_id != recording_id or stop <= one.start or start >= one.stop:
        return [one]
    before, after = (one.start, min(start, one.stop)), (max(stop, one.start), one.stop)
    return [Stretch(recording_id, low, high) for low, high in (before, after) if high > low]


def describe_training(mixture: Mixture, store: nd.Store) -> dict[str, Any]:
    """Return what a mixture trains on: content digests, stretches, licences, and the digest of it all."""
    from neurodata.store.manifest import json_digest

    table = store.table.set_index("recording_id")
    stretches = sorted(
        [one.recording_id, one.start, one.stop] for source in mixture.sources.values() for one in source.split.parts[names.TRAIN]
    )  # fmt: skip
    recordings = sorted({recording_id for recording_id, _, _ in stretches})
    licences: Mapping[str, str] = table.loc[recordings, "licence"].fillna("unknown").to_dict()
    return {
        "trained_on": {recording_id: str(table.loc[recording_id, "content_sha256"]) for recording_id in recordings},
        "stretches": stretches,
        "split_sha256": json_digest(stretches),
        "licence_of_data": {
            name: "simulated" if name.startswith("simulated") else licences[name] for name in recordings
        },
    }
