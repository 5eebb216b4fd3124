"""Training on several devices: one spawned process on each, which hands its weights and losses back."""

from __future__ import annotations

import copy
import json
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load_file, save_file
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn
from torch.utils.data import DataLoader

from neurodata.errors import NeurodataError

if TYPE_CHECKING:
    from .task import Task
    from .train import Course

_WEIGHTS, _CURVE, _MESSAGE = "weights.safetensors", "curve.json", "message.txt"


def check_devices(devices: int, accelerator: str) -> None:
    """Raise unless there are as many devices as were asked for."""
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise NeurodataError(f"devices is a number of processes, 1 or more, got {devices!r}")
    there = torch.cuda.device_count()
    if devices > max(1, there) and (accelerator in ("gpu", "cuda") or (accelerator == "auto" and there)):
        raise NeurodataError(
            f"{devices} devices were asked for, this machine has {there} GPUs; take fewer, or accelerator='cpu'"
        )


def in_process() -> bool:
    """Whether this is one of the processes that train together, started here or by ``torchrun``."""
    return "LOCAL_RANK" in os.environ


def distributed_strategy() -> DDPStrategy:
    """Return how processes train together: each loss may leave some parameters out, whichever network it is."""
    return DDPStrategy(find_unused_parameters=True)


def train_in_processes(
    task: Task, training: DataLoader[Any], validation: DataLoader[Any] | None, course: Course
) -> list[dict[str, Any]]:
    """Train on several devices; the weights come back into the task, the rows of the curve are returned.

    Raises
    ------
    NeurodataError
        What the first process that failed had to say, or how one ended.
    """
    with TemporaryDirectory() as shared:
        place = (Path(shared), _free_port(), course.devices)
        try:
            spawn(_work, (place, task, training, validation, course), course.devices)  # type: ignore[no-untyped-call]
        except ProcessRaisedException as error:
            told = Path(shared, f"{error.error_index}-{_MESSAGE}")
            if told.exists():
                raise NeurodataError(told.read_text(encoding="utf-8")) from None
            raise
        except ProcessExitedException as error:
            raise NeurodataError(f"one of the {course.devices} processes that train {_end(error)}") from error
        weights = load_file(Path(shared, _WEIGHTS))
        task.to(next(value.dtype for value in weights.values() if value.is_floating_point()))  # 64-true changes it
        task.load_state_dict(weights)
        rows: list[dict[str, Any]] = json.loads(Path(shared, _CURVE).read_text(encoding="utf-8"))
    return rows


def _end(error: ProcessExitedException) -> str:
    if error.exit_code < 0:
        killed = f"was killed (signal {-error.exit_code}), as a system does that has no memory left"
        return f"{killed}; take fewer devices or smaller batches"
    return (
        f"ended with exit code {error.exit_code} before it began; what it said stands above. A script that trains on "
        'several devices must do so under if __name__ == "__main__":'
    )


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _work(
    rank: int,
    place: tuple[Path, int, int],
    task: Task,
    training: DataLoader[Any],
    validation: DataLoader[Any] | None,
    course: Course,
) -> None:
    """Be one of the processes."""
    from .train import train_here

    shared, port, devices = place
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    os.environ |= {"WORLD_SIZE": str(devices), "RANK": str(rank)}
    torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    task = copy.deepcopy(task)  # what was sent lies in memory that all processes share, and would train together
    try:
        rows = train_here(task, training, validation, course)
    except NeurodataError as error:
        (shared / f"{rank}-{_MESSAGE}").write_text(str(error), encoding="utf-8")
        raise
    if rank == 0:
        save_file({name: value.cpu().contiguous() for name, value in task.state_dict().items()}, shared / _WEIGHTS)
        (shared / _CURVE).write_text(json.dumps(rows), encoding="utf-8")
