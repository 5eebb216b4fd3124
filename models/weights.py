"""Weights as a file holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neurodata.checks import check_option
from neurodata.errors import CheckpointError

StoredAs = Literal["float32", "float16", "bfloat16"]


def store_as(task: torch.nn.Module, dtype: StoredAs) -> dict[str, Tensor]:
    """Return all state of a task as it is stored: learned weights in half precision where asked, the rest as it is.

    Statistics (buffers) are not rounded: a spread of 1e-7 V is nothing in ``float16``, and there are few of them.

    Raises
    ------
    CheckpointError
        If a weight is finite and would no longer be; names it, and the way out.
    """
    check_option("dtype of stored weights", dtype, get_args(StoredAs))
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in task.state_dict().items()}
    if dtype == "float32":
        return state
    learned = {name for name, p in task.named_parameters(remove_duplicate=False) if p.is_floating_point()}
    stored = {name: w.to(getattr(torch, dtype)) if name in learned else w for name, w in state.items()}
    lost = sorted(name for name in learned if not torch.equal(stored[name].isfinite(), state[name].isfinite()))
    if lost:
        raise CheckpointError(
            f"{', '.join(lost[:5])}: weights beyond {torch.finfo(getattr(torch, dtype)).max:g}, the largest number that "
            f"{dtype} holds; store the model as float32{' or bfloat16' if dtype == 'float16' else ''}"
        )
    return stored


def stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of a file, from its header alone.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or its size is not what the header says.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error
