"""Golden input and output: a small batch kept beside a checkpoint with what the model said to it when it was saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.errors import CheckpointError, NeurodataError

from .array_task import ArrayTask
from .checkpoints import GOLDEN, find_checkpoint, from_pretrained
from .task import Task

MOST_BYTES = 16 * 2**20
"""Of a golden file; a larger one is neither written nor read: a golden batch is a few windows."""

_SHAPES = {
    "values": "btc", "recorded": "btc", "channel_ids": "bc", "present": "bc", "seconds": "t", "recording": "b", "first": "b"
}  # fmt: skip
"""Sizes that the fields of a batch share: of batch, time and channel."""


def make_golden(task: Task | ArrayTask, batch: Batch | tuple[Batch, ...]) -> dict[str, Tensor]:
    """Return a batch and what a task predicts for it, as tensors with names.

    Parameters
    ----------
    task
        Put in evaluation mode meanwhile; what it draws is drawn from seed 0.
    batch
        A batch, or batches of several signals. They should be small: they are stored as they are.

    Returns
    -------
    golden
        ``batch.values`` and so on (of several batches ``batch.0.values`` …), and ``output``, or ``output.0`` … where
        ``task.predict_step`` gives several tensors; on the CPU.

    Raises
    ------
    CheckpointError
        If the task predicts nothing, or anything but tensors, or batch and answer are large.
    """
    named = {"batch": batch} if isinstance(batch, Batch) else {f"batch.{i}": one for i, one in enumerate(batch)}
    fields = {
        f"{prefix}.{key}": v for prefix, one in named.items() for key, v in one._asdict().items() if v is not None
    }
    tensors = {**fields, **_predict(task, batch)}
    odd = sorted(key for key, value in tensors.items() if not isinstance(value, Tensor))
    if odd:
        raise CheckpointError(f"a golden file holds tensors; {', '.join(odd[:5])} of {_name(task)} are none")
    n_bytes = sum(value.nbytes for value in tensors.values())
    if n_bytes > MOST_BYTES:
        raise CheckpointError(f"a golden batch of {n_bytes:,} bytes, more than {MOST_BYTES:,}; a few windows do")
    # Copies: windows may share their memory, which a file cannot.
    return {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}


def _predict(task: Task | ArrayTask, batch: Any) -> dict[str, Any]:
    """What a task predicts, by name; its mode and the caller's random numbers are left as they were."""
    training = task.training
    given = [batch] if isinstance(batch, Batch) else batch
    batches = [Batch._make(None if v is None else v.to(task.device) for v in one) for one in given]
    task.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            answer = task.predict_step(batches[0] if isinstance(batch, Batch) else tuple(batches), 0)
    except NotImplementedError as error:
        raise CheckpointError(
            f"{_name(task)} predicts nothing, so it has no golden output; leave golden out"
        ) from error
    finally:
        task.train(training)
    if isinstance(answer, Sequence):
        return {f"output.{i}": value for i, value in enumerate(answer)}
    return {"output": answer}


def _name(task: Task | ArrayTask) -> str:
    return f"task {type(task).__name__!r}"


def check_golden(folder: str | Path) -> float:
    """Open a checkpoint and let it answer its golden batch again.

    Parameters
    ----------
    folder
        The checkpoint's folder, or the name of one that ships with neurodata.

    Returns
    -------
    difference
        Largest absolute difference to the answer that was stored: 0 on the machine that made it, about 1e-6 of the
        answer's size on another, infinite where only one of two values is a number.

    Raises
    ------
    CheckpointError
        If there is no golden file, it is damaged or too large, or the model answers with other tensors or shapes.
    """
    folder = find_checkpoint(folder)
    tensors = _read_golden(folder / GOLDEN)
    batch = _make_batch(tensors, f"{str(folder / GOLDEN)!r}")
    try:
        found = _predict(from_pretrained(folder), batch)
    except CheckpointError:
        raise
    except (NeurodataError, ValueError, TypeError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"{str(folder)!r}: the model cannot take its golden batch: {error}") from error
    wanted = {key: value for key, value in tensors.items() if key.partition(".")[0] == "output"}
    told = [{key: tuple(value.shape) for key, value in one.items()} for one in (wanted, found)]
    if told[0] != told[1]:
        raise CheckpointError(f"{str(folder)!r}: the golden file expects {told[0]}, the model gives {told[1]}")
    return max((_difference(wanted[key], found[key]) for key in wanted), default=0.0)


def _read_golden(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"there is no {str(path)!r}; save_pretrained(…, golden=batch) writes one")
    if os.path.getsize(path) > MOST_BYTES:
        raise CheckpointError(
            f"{str(path)!r} holds {os.path.getsize(path):,} bytes, more than {MOST_BYTES:,}; a few windows do"
        )
    try:
        tensors: dict[str, Tensor] = load_file(path)  # no tensor can be larger than the file
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error
    strange = sorted(key for key in tensors if key.partition(".")[0] not in ("batch", "output"))
    if strange:
        raise CheckpointError(f"{str(path)!r}: expected batch.… and output.…, found {', '.join(strange[:5])}")
    return tensors


def _make_batch(tensors: Mapping[str, Tensor], where: str) -> Batch | tuple[Batch, ...]:
    """The batch, or the batches, that a golden file holds."""
    n_batches = 0
    while f"batch.{n_batches}.values" in tensors:
        n_batches += 1
    prefixes = [f"batch.{i}." for i in range(n_batches)] or ["batch."]
    batches = tuple(_one_batch(tensors, prefix, where) for prefix in prefixes)
    n_fields = sum(v is not None for one in batches for v in one)
    if n_fields < sum(key.startswith("batch.") for key in tensors):
        raise CheckpointError(
            f"{where}: expected the fields {', '.join(Batch._fields)} of {len(batches)} batches, found more"
        )
    return batches if n_batches else batches[0]


def _one_batch(tensors: Mapping[str, Tensor], prefix: str, where: str) -> Batch:
    fields = {name: tensors.get(prefix + name) for name in Batch._fields}
    missing = [prefix + name for name, value in fields.items() if value is None and name not in Batch._field_defaults]
    if missing:
        raise CheckpointError(f"{where} lacks {', '.join(missing)}")
    _check_sizes({name: value for name, value in fields.items() if value is not None}, f"{where}, {prefix.rstrip('.')}")
    return Batch._make(fields.values())


def _check_sizes(fields: Mapping[str, Tensor], where: str) -> None:
    """Fields of one batch agree in their sizes and none is empty: an empty array may claim any length for nothing."""
    sizes: dict[str, int] = {}
    for name, letters in _SHAPES.items():
        shape = tuple(fields[name].shape)
        right = len(shape) == len(letters) and all(sizes.setdefault(k, n) == n > 0 for k, n in zip(letters, shape))
        if not right:
            told = ", ".join(f"{key} {tuple(value.shape)}" for key, value in fields.items())
            raise CheckpointError(f"{where}: {name} does not fit the rest, or is empty: {told}")


def _difference(wanted: Tensor, found: Tensor) -> float:
    if wanted.numel() == 0:
        return 0.0
    found = found.detach().cpu()
    same = (wanted == found) | (wanted.isnan() & found.isnan())
    apart = (wanted.double() - found.double()).abs().masked_fill(same, 0.0)
    return float(apart.nan_to_num(nan=float("inf"), posinf=float("inf")).max())
