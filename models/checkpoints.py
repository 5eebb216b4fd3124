"""Shared checkpoints: weights in safetensors, all else in JSON and a card; nothing that could run code."""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from neurodata.catalogue import CATALOGUES, read_entry
from neurodata.errors import CheckpointError, NeurodataError
from neurodata.windows.spec import DataSpec

from .array_task import ArrayNetwork, ArrayTask
from .network import Network
from .task import Task

_MOST_MISSING = 100
"""A model this many times the size of what a file holds is not built, even where missing weights are allowed."""

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
CHECKPOINT_FORMAT = 1


class _Fitted(Protocol):
    """A fitted estimator: it holds its task, and may tell of its fit by ``describe_fit() -> dict`` (JSON values)."""

    task_: ArrayTask


def save_pretrained(task: Task | ArrayTask | _Fitted, folder: str | Path, manifest: Mapping[str, Any]) -> None:
    """Write a model as ``model.safetensors``, ``config.json`` and a card, ``README.md``.

    Parameters
    ----------
    task
        The trained task with its network, or a fitted estimator.
    folder
        Made where it is missing.
    manifest
        What it was trained on and how it scored: ``trained_on`` (recording ids with content digests), ``split_sha256``,
        ``seed``, ``steps``, ``metrics``, ``baselines``, ``licence`` … (JSON values); goes into config and card.

    Raises
    ------
    CheckpointError
        If the manifest is not JSON (NaN is not); nothing is written then.
    """
    describe_fit = getattr(task, "describe_fit", dict)
    task = task if isinstance(task, (Task, ArrayTask)) else task.task_
    folder, network = Path(folder), task.network
    config = {
        "neurodata_checkpoint": CHECKPOINT_FORMAT,
        "task": {"name": _entry_name("tasks", task), "hyperparameters": _plain(dict(task.hparams))},
        "network": {"name": _entry_name("networks", network), "hyperparameters": network.hyperparameters},
        "spec": network.spec.to_json() if isinstance(network, Network) else None,
        "manifest": dict(manifest),
        "fit": describe_fit(),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in task.state_dict().items()}
    try:
        text = json.dumps(config, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint's manifest or hyperparameters are not JSON: {error}") from error
    card = make_card(config, sum(w.numel() for w in weights.values()))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / CONFIG).write_text(text, encoding="utf-8")  # last: without it a folder is no checkpoint


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


def make_card(config: Mapping[str, Any], n_parameters: int) -> str:
    """Return a model card in Markdown, made from a checkpoint's configuration."""
    manifest = dict(config["manifest"])
    trained = manifest.pop("trained_on", {})
    names = ", ".join(sorted(trained)) or "nothing"
    lines = [
        "---",
        f"license: {json.dumps(manifest.get('licence', 'unknown'))}",
        "library_name: neurodata",
        "---",
        f"# {config['network']['name']}, task {config['task']['name']}",
        "",
        f"{n_parameters:,} parameters. {_input_text(config)}",
        "",
        f"Trained on: {names}. A score on any of these recordings, or on another recording of the same animals, says "
        "nothing about new animals.",
        "",
        "| fact | value |",
        "|---|---|",
    ]
    lines += [f"| {key} | `{json.dumps(value, ensure_ascii=False)}` |" for key, value in manifest.items()]
    lines += ["", "Content digests of the recordings:", ""]
    lines += [f"- `{recording}`: `{digest}`" for recording, digest in sorted(dict(trained).items())]
    return "\n".join(lines) + "\n"


def _input_text(config: Mapping[str, Any]) -> str:
    spec = config["spec"]
    if spec is None:
        sizes = ", ".join(f"{key} = {value}" for key, value in config["network"]["hyperparameters"].items())
        return f"Input: arrays. Built with {sizes}."
    return (
        f"Input: signal `{spec['signal']}` at {spec['rate_hz']:g} Hz, windows of "
        f"{spec['window_samples'] / spec['rate_hz']:g} s. Target: `{spec['target'] or 'none'}`."
    )


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
    folder = _find(name_or_path, revision, cache_dir, local_files_only)
    config = read_config(folder)
    stored = _stored_shapes(folder / WEIGHTS)
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
    folder = _find(name_or_path, None, None, False)
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


def _find(name_or_path: str | Path, revision: str | None, cache_dir: str | Path | None, local_only: bool) -> Path:
    path, shipped = Path(name_or_path), Path(__file__).parent / "pretrained" / str(name_or_path)
    for folder in (path, shipped):
        if os.path.isfile(folder / CONFIG):  # unlike Path.is_file, False for a name no file can have
            return folder
    name = str(name_or_path)
    if os.path.exists(path) or name.count("/") != 1 or name.startswith((".", "/")):
        raise CheckpointError(
            f"no checkpoint at {name!r}: expected a folder with {WEIGHTS} and {CONFIG}, a name of "
            "'neurodata list pretrained', or 'owner/name' on the hub"
        )
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_only,
            allow_patterns=[WEIGHTS, CONFIG, CARD],
        )
    except Exception as error:  # the hub's client raises many kinds; each means that we have no checkpoint
        raise CheckpointError(f"{name!r} could not be fetched from the hub: {error}") from error
    return Path(found)


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


def make_network(name: str, spec: DataSpec | None, hyperparameters: Mapping[str, Any]) -> Any:
    """Return a network of the catalogue: a `Network`, or without a spec an `ArrayNetwork`.

    Raises
    ------
    NeurodataError
        If there is no such network, it has no such hyperparameter, or a value is of the wrong type.
    """
    entry = _checked_entry("networks", name, hyperparameters)
    if issubclass(entry, ArrayNetwork) != (spec is None):
        wanted = "is built from sizes alone, without" if spec is not None else "needs"
        raise NeurodataError(f"network {name!r} {wanted} a data spec")
    return entry(**hyperparameters) if spec is None else entry(spec, **hyperparameters)


def make_task(name: str, network: Network | ArrayNetwork, hyperparameters: Mapping[str, Any]) -> Any:
    """Return a task of the catalogue around a network; raises as `make_network` does, and if the two do not fit."""
    entry = _checked_entry("tasks", name, hyperparameters)
    if issubclass(entry, ArrayTask) != isinstance(network, ArrayNetwork):
        raise NeurodataError(f"task {name!r} cannot train a {type(network).__name__}")
    return entry(network, **hyperparameters)


def _checked_entry(kind: str, name: str, hyperparameters: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or not isinstance(hyperparameters, Mapping):
        raise NeurodataError(f"a {kind.removesuffix('s')} is a name and named hyperparameters, got {name!r}")
    entry = read_entry(kind, name)
    known = {p.name: p.default for p in inspect.signature(entry).parameters.values() if p.kind is p.KEYWORD_ONLY}
    unknown = sorted(set(map(str, hyperparameters)) - set(known))
    if unknown:
        raise NeurodataError(
            f"{kind.removesuffix('s')} {name!r} has no {', '.join(unknown)}; it has {', '.join(known)}"
        )
    wrong = [key for key, value in hyperparameters.items() if not _is_like(value, known[key])]
    if wrong:
        told = "; ".join(f"{key}={hyperparameters[key]!r} (default {known[key]!r})" for key in wrong)
        raise NeurodataError(f"{kind.removesuffix('s')} {name!r}: wrong type of {told}")
    return entry


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value has the type of a default; any number is like a float, any list of numbers like a list or None."""
    if isinstance(default, (bool, str)):
        return type(value) is type(default)
    if isinstance(default, (int, float)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number and (isinstance(default, float) or isinstance(value, int))
    if value is None or not isinstance(value, (list, tuple)):
        return value is None and default is None
    return all(_is_like(entry, 0.0) for entry in value)


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error


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
