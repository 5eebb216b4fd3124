"""Shared checkpoints: weights in safetensors, all else in JSON and a card; nothing that could run code."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from neurodata.batches.batch import Batch
from neurodata.catalogue import CATALOGUES, list_entries
from neurodata.checks import suggest
from neurodata.errors import CheckpointError, NeurodataError
from neurodata.windows.spec import DataSpec

from .array_task import ArrayTask
from .build import make_network, make_task
from .card import make_card
from .network import Network
from .task import Task
from .weights import StoredAs, store_as, stored_shapes

_MOST_MISSING = 100
"""A model this many times the size of what a file holds is not built, even where missing weights are allowed."""

WEIGHTS, CONFIG, CARD, GOLDEN = "model.safetensors", "config.json", "README.md", "golden.safetensors"
CHECKPOINT_FORMAT = 1


class Fitted(Protocol):
    """A fitted estimator: it holds its task, and may tell of its fit by ``describe_fit() -> dict`` (JSON values)."""

    task_: ArrayTask


def save_pretrained(
    task: Task | ArrayTask | Fitted,
    folder: str | Path,
    manifest: Mapping[str, Any],
    *,
    dtype: StoredAs = "float32",
    golden: Batch | tuple[Batch, ...] | None = None,
) -> None:
    """Write a model as ``model.safetensors``, ``config.json`` and a card, ``README.md``.

    Parameters
    ----------
    task
        The trained task with its network, or a fitted estimator.
    folder
        Made where it is missing.
    manifest
        What it was trained on and how it scored: ``trained_on`` (recording ids with content digests), ``split_sha256``,
        ``seed``, ``steps``, ``metrics``, ``baselines``, ``licence``, ``title`` … (JSON values); goes into config and card.
    dtype
        How learned weights are stored: ``float16`` and ``bfloat16`` halve the file and round them; ``float32`` keeps
        what there is. Statistics (buffers), integers and bools are never rounded. Opened, a model is float32 again.
    golden
        A small batch whose predictions are kept beside the model, in ``golden.safetensors``, for `check_golden`.

    Raises
    ------
    CheckpointError
        If the manifest is not JSON (NaN is not), a weight is too large for ``float16``, or the task predicts nothing
        for ``golden``; nothing is written then.
    """
    describe_fit = getattr(task, "describe_fit", dict)
    task = task if isinstance(task, (Task, ArrayTask)) else task.task_
    folder, network = Path(folder), task.network
    weights = store_as(task, dtype)
    config = {
        "neurodata_checkpoint": CHECKPOINT_FORMAT,
        "task": {"name": _entry_name("tasks", task), "hyperparameters": _plain(dict(task.hparams))},
        "network": {"name": _entry_name("networks", network), "hyperparameters": network.hyperparameters},
        "spec": network.spec.to_json() if isinstance(network, Network) else None,
        "manifest": dict(manifest),
        "fit": describe_fit(),
        "dtype": "float64" if any(w.dtype == torch.float64 for w in weights.values()) else dtype,
    }
    try:
        text = json.dumps(config, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint's manifest or hyperparameters are not JSON: {error}") from error
    card = make_card(config, sum(w.numel() for w in weights.values()))
    answers = None if golden is None else _golden_of(task, weights, golden)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GOLDEN).unlink(missing_ok=True)  # what an earlier model answered
    if answers is not None:
        save_file(answers, folder / GOLDEN)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / CONFIG).write_text(text, encoding="utf-8")  # last: without it a folder is no checkpoint


def _golden_of(
    task: Task | ArrayTask, stored: Mapping[str, Tensor], golden: Batch | tuple[Batch, ...]
) -> dict[str, Tensor]:
    """What the model will answer once it is opened: with the weights as they are stored, which may have been rounded."""
    from .golden import make_golden  # it opens checkpoints, so it imports this module

    kept = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    task.load_state_dict(stored)
    try:
        return make_golden(task, golden)
    finally:
        task.load_state_dict(kept)


def _entry_name(kind: str, entry: object) -> str:
    return type(entry).__module__.removeprefix(CATALOGUES[kind] + ".")


def _plain(value: Any) -> Any:
    """The value with tuples and tensors as lists, so that it is JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value


def from_pretrained(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    strict: bool = True,
) -> Any:
    """Return a saved model: a task with its network, in evaluation mode.

    Parameters
    ----------
    name_or_path
        A folder, the name of a checkpoint that ships with neurodata, or ``owner/name`` on the hub.
    revision, cache_dir, local_files_only
        As for ``huggingface_hub.snapshot_download``; only used for names on the hub.
    strict
        Refuse a file that does not hold every weight of the model and nothing else.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, it is damaged, or its weights do not match; gives the share that did.
    """
    folder = find_checkpoint(name_or_path, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
    config = read_config(folder)
    stored = stored_shapes(folder / WEIGHTS)
    with torch.device("meta"), _at_most(len(stored)):  # shapes first: nothing is allocated for what the file lacks
        shapes = {name: tuple(tensor.shape) for name, tensor in _build(config, folder).state_dict().items()}
    matched = [name for name, shape in shapes.items() if stored.get(name) == shape]
    total = _count(shapes.values())
    share = _count(shapes[name] for name in matched) / max(1, total)
    if total > _MOST_MISSING * max(1, _count(stored.values())):
        raise CheckpointError(f"{str(folder)!r} describes a model of {total:,} weights, of which it holds {share:.1%}")
    if strict and (len(matched) < len(shapes) or set(stored) - set(shapes)):
        odd = sorted((set(shapes) - set(matched)) | (set(stored) - set(shapes)))
        raise CheckpointError(
            f"{share:.1%} of the weights of {str(folder)!r} match its model; not matched: {', '.join(odd[:5])}"
            f"{' …' if len(odd) > 5 else ''}. Pass strict=False to load the rest anyway"
        )
    with torch.random.fork_rng(devices=[]):  # opening a checkpoint draws nothing from the caller's random numbers
        task = _build(config, folder)
    weights = load_file(folder / WEIGHTS)
    task.load_state_dict({name: weights[name] for name in matched}, strict=False)
    return task.eval()


def read_fit(name_or_path: str | Path) -> dict[str, Any]:
    """Return what an estimator told of its fit when it was saved (see `save_pretrained`); nothing where it did not.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or it is damaged.
    """
    folder = find_checkpoint(name_or_path)
    fit = read_config(folder).get("fit", {})
    if not isinstance(fit, dict):
        raise CheckpointError(f"{str(folder)!r}: expected named facts about the fit, got {fit!r}")
    return fit


def _count(shapes: Iterable[tuple[int, ...]]) -> int:
    """Number of weights in arrays of these shapes."""
    return sum(math.prod(shape) for shape in shapes)


@contextmanager
def _at_most(n_stored: int) -> Iterator[None]:
    """Refuse to build a model of many more parameters than a file holds (a million layers, say)."""
    made = 0

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
        nonlocal made
        made += 1
        if made > 10 * n_stored + 100:
            raise CheckpointError(f"the configuration describes far more layers than the {n_stored} arrays stored")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def find_checkpoint(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the folder of a checkpoint; arguments and errors as for `from_pretrained`."""
    path, shipped = Path(name_or_path), Path(__file__).parent / "pretrained" / str(name_or_path)
    for folder in (path, shipped):
        if os.path.isfile(folder / CONFIG):  # unlike Path.is_file, False for a name no file can have
            return folder
    name = str(name_or_path)
    if os.path.exists(path) or name.count("/") != 1 or name.startswith((".", "/")):
        raise CheckpointError(
            f"no checkpoint at {name!r}: expected a folder with {WEIGHTS} and {CONFIG}, a name of "
            f"'neurodata list pretrained', or 'owner/name' on the hub{suggest(name, list_entries('pretrained'))}"
        )
    from .hub import fetch  # it pushes what this module saves, so it imports it; and few need the hub

    return fetch(name, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return a checkpoint's ``config.json``, checked.

    Raises
    ------
    CheckpointError
        If it cannot be read or lacks a part.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error
    parts = ("task", "network", "spec", "manifest")
    if not isinstance(config, dict) or not all(
        isinstance(config.get(part), dict) or (part == "spec" and config.get(part, 0) is None) for part in parts
    ):
        raise CheckpointError(f"{str(path)!r} is not a neurodata checkpoint: expected the parts {', '.join(parts)}")
    if config.get("neurodata_checkpoint") != CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{str(path)!r} is of checkpoint format {config.get('neurodata_checkpoint')!r}, this version reads {CHECKPOINT_FORMAT}"
        )
    return config


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _build(config: Mapping[str, Any], folder: Path) -> Task | ArrayTask:
    try:
        spec = None if config["spec"] is None else DataSpec.from_json(config["spec"])
        network = make_network(config["network"]["name"], spec, config["network"]["hyperparameters"])
        task: Task | ArrayTask = make_task(config["task"]["name"], network, config["task"]["hyperparameters"])
        return task
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError, NeurodataError) as error:
        raise CheckpointError(f"{str(folder)!r} does not describe a model: {error}") from error


def transfer(source: Network, target: Network) -> float:
    """Copy a trained network's weights into one of the same shape for another task; returns the share copied.

    Raises
    ------
    CheckpointError
        If not every weight of ``target`` has its like in ``source``, or the vocabularies differ.
    """
    if source.spec.vocabulary != target.spec.vocabulary or source.spec.group_ids != target.spec.group_ids:
        raise CheckpointError(
            "the two networks know channels by different vocabularies; their identity vectors would be mixed up"
        )
    ours, theirs = target.state_dict(), source.state_dict()
    matched = {name: theirs[name] for name in ours if name in theirs and theirs[name].shape == ours[name].shape}
    share = _count(tuple(w.shape) for w in matched.values()) / max(1, _count(tuple(w.shape) for w in ours.values()))
    if share < 1:
        missing = sorted(set(ours) - set(matched))
        raise CheckpointError(f"{share:.1%} of the weights match; not matched: {', '.join(missing[:5])}")
    target.load_state_dict(matched)
    return share
