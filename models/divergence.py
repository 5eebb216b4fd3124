"""A training that diverges stops with one message: when, on which recordings, and what to go on from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import Tensor

from neurodata.batches.batch import Batch
from neurodata.errors import NeurodataError

if TYPE_CHECKING:
    import lightning

_NAMED = 8
"""Recordings that a message names at most."""


def check_step(task: lightning.LightningModule, batch: Batch | tuple[Batch, ...], loss: Tensor) -> None:
    """Raise where a step's loss or gradient is not finite.

    Parameters
    ----------
    task
        Its parameters hold the gradients, averaged over processes.
    batch, loss
        What this process has just seen and what came out.

    Raises
    ------
    NeurodataError
        Names the step, the recordings of the batch, and the state to go on from.
    """
    gradients = [parameter.grad for parameter in task.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if bool(torch.isfinite(norm + loss)):
        return
    if not bool(torch.isfinite(norm)):
        if bool(torch.isfinite(loss)) and _scale_will_fall(task):
            return
        what = f"loss became {loss.item()}" if not bool(torch.isfinite(loss)) else f"gradient became {norm.item()}"
        raise _diverged(task, what, _of_all_processes(_recordings(task, batch)))
    raise _diverged(task, f"loss became {loss.item()}", _recordings(task, batch))


def check_weights(task: lightning.LightningModule, batch: Batch | tuple[Batch, ...]) -> None:
    """Raise where weights are not finite; as `check_step` does, after a step."""
    bad = [name for name, weight in task.named_parameters() if not bool(torch.isfinite(weight).all())]
    if bad:
        recordings = _of_all_processes(_recordings(task, batch))
        raise _diverged(task, f"weights of {bad[0]} stopped being finite", recordings)


def _scale_will_fall(task: lightning.LightningModule) -> bool:
    """Whether half precision's loss scaling skips this step and tries a smaller scale, as it now and then must."""
    scaler = getattr(task.trainer.precision_plugin, "scaler", None)
    return scaler is not None and scaler.get_scale() > 1


def _diverged(task: lightning.LightningModule, what: str, recordings: list[str]) -> NeurodataError:
    shown = ", ".join(recordings[:_NAMED]) + (f" and {len(recordings) - _NAMED} more" if recordings[_NAMED:] else "")
    return NeurodataError(
        f"training diverged: the {what} at step {task.trainer.global_step}; lower learning_rate and "
        f"{_way_on(task.trainer)}, or look at the values: the batch held windows of {shown or 'recordings without a name'}"
    )


def _way_on(trainer: lightning.Trainer) -> str:
    for callback in trainer.checkpoint_callbacks:
        path = getattr(callback, "last_model_path", "") or getattr(callback, "best_model_path", "")
        if path:
            step = getattr(callback, "last_step", None)
            where = f"step {step}; " if step is not None else ""
            return f"resume from the last good state, {str(path)!r} ({where}--resume does)"
    return "begin anew: no state has been kept yet"


def _of_all_processes(names: list[str]) -> list[str]:
    """The names that any process has; only where all processes have come here."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return names
    found: list[list[str]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(found, names)
    return sorted({name for part in found for name in part})


def _recordings(task: lightning.LightningModule, batch: Batch | tuple[Batch, ...]) -> list[str]:
    """The ids of the recordings that a batch has windows of, as the loader's dataset calls them."""
    batches = [batch] if isinstance(batch, Batch) else list(batch)
    known = _recording_ids(task.trainer.train_dataloader, len(batches))
    found: set[str] = set()
    for one, ids in zip(batches, known):
        numbers = sorted(set(one.recording.tolist()))
        found |= {ids[number] if number < len(ids) else f"recording {number}" for number in numbers}
    return sorted(found)


def _recording_ids(loader: Any, n_sources: int) -> list[list[str]]:
    """Recording ids of each source of a loader; empty lists where it does not say."""
    loaders = list(loader) if isinstance(loader, (list, tuple)) else getattr(loader, "loaders", None) or [loader]
    found = [list(getattr(getattr(one, "dataset", None), "recording_ids", ())) for one in _values(loaders)]
    return found if len(found) == n_sources else [[] for _ in range(n_sources)]


def _values(loaders: Any) -> Iterable[Any]:
    return loaders.values() if isinstance(loaders, dict) else loaders
