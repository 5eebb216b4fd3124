"""A trained encoder on a new animal, a new set of channels or a new task, in one call."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from neurodata import names
from neurodata.batches.collate import collate
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.loader import WindowLoader
from neurodata.batches.sampling import DrawnWindows
from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.store.store import Store, open_store
from neurodata.store.write import write_recording
from neurodata.windows.select import Windows, make_windows
from neurodata.windows.spec import CLASS, NO_TARGET, DataSpec
from neurodata.windows.splits import Stretch, split_by

from .build import make_task
from .carry_over import carry_over
from .layers.lora import add_low_rank, merge_low_rank
from .linear_start import LinearReadout, fit_readout
from .networks.perceiver import Perceiver
from .open_like import open_like
from .task import Task
from .train import WINDOWS_PER_SAMPLE, decode, fit

IDENTITY, HEAD, LORA, FULL, PROGRESSIVE, RESET = STRATEGIES = (
    "identity",
    "head",
    "lora",
    "full",
    "progressive",
    "reset",
)

LORA_RANK, LORA_ALPHA = 8, 16.0
"""Hu et al. 2022, section 7.2: a rank of 8 is as good as larger ones; the product counts twice."""

AVERAGED = 10
"""The weights kept are a moving average over about a tenth of the steps, over 50 steps at most."""

_READOUT = ("behaviour", "moments", "tell", "told")
"""Parts of the encoder that tell a behaviour; masked prediction leaves them as they began."""

_ENCODER = ("blocks", "read", "pool", "mix", "gain")
"""Parts that get low-rank changes."""


def adapt(
    model: Task | Perceiver,
    data: RecordingDataModule | Store | str | Path | Recording | Sequence[Recording],
    *,
    strategy: str = LORA,
    target: str = "",
    inputs: str = "",
    minutes: float | None = None,
    steps: int = 200,
    learning_rate: float = 2e-3,
    batch_size: int = 16,
    seed: int = 0,
    windows: Windows | None = None,
    linear_start: bool | LinearReadout = True,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Return a task trained on new recordings, from a pretrained encoder; the model itself is left as it is.

    A vector of its own is made for every new channel; it begins as what is known of channels of the same name, place or
    kind (`neurodata.models.carry_over.start_vectors`). With a target the result is a `Decode` task, without one a
    `Pretrain` task that has got to know the new channels.

    Parameters
    ----------
    model
        A pretrained task, from `nd.from_pretrained`, or its encoder. A freshly made `Perceiver` with ``full``: from scratch.
    data
        Windows whose training part is trained on, or recordings, all of which are.
    strategy
        What is trained, in each case with the new channels' own vectors and, where it is new, the readout of the target:
        ``identity`` nothing else; ``head`` the readout; ``lora`` low-rank changes of the encoder; ``full`` everything;
        ``progressive`` the readout for a third of the steps, then everything; ``reset`` as ``head``, with own vectors
        that begin at zero instead of what is known (reset-tuning).
    target
        What is decoded, where ``data`` are recordings; ``""``: nothing, the encoder itself is adapted.
    inputs
        Name of the input signal or events, where ``data`` are recordings; ``""``: their only neural ones.
    minutes
        How much of each recording's training part is used, from its beginning; None: all.
    steps, learning_rate, batch_size, seed
        Of the training.
    windows
        Windows to draw from instead of all of the training part, for example those around trials.
    linear_start
        Whether the linear readout of lagged activity (the option ``lagged_readout``) begins as ridge or logistic regression
        and stays so, and the encoder learns what it misses; or such a readout, fitted before. See
        `neurodata.models.linear_start`.
    options
        Of the task.

    Raises
    ------
    NeurodataError
        If there is no such strategy, the model has no encoder that can be adapted, or the data are too short.

    References
    ----------
    Azabou et al. 2023 (POYO), section 2.3 (new units first); Wang et al. 2024 (MindBridge), section 3.4 (reset-tuning).
    """
    check_option("strategy", strategy, STRATEGIES)
    encoder = encoder_of(model)
    with _windows_of(encoder, data, target, inputs) as opened:
        opened.setup()
        stretches = _shortened(opened, minutes)
        loader = _loader(opened, stretches, windows, steps, batch_size, seed)
        torch.manual_seed(seed)  # of whatever the network has to begin anew
        network = carry_over(encoder, opened.spec)
        if strategy == RESET:
            nn.init.zeros_(network.identity.own.weight)
        task = _make_task(model, network, opened, stretches, learning_rate, dict(options or {}))
        if strategy == IDENTITY and not _knows_target(model, opened.spec):
            strategy = HEAD  # a new readout says nothing until it has learned
        if linear_start and getattr(task, "lagged", None) is not None:
            given = linear_start if isinstance(linear_start, LinearReadout) else None
            (given or fit_readout(task, loader.dataset, seed=seed)).apply(task)
        others = network.identity.own.weight[1 + len(opened.spec.vocabulary) :]
        before = others.detach().clone()
        _train(task, loader, strategy, steps, seed)
        with torch.no_grad():
            others.copy_(before)  # of channels that the data lack; the weight decay has pulled at them
    return task.eval()


def learning_curve(
    model: Task | Perceiver, data: RecordingDataModule, minutes: Sequence[float], *, part: str = names.VALIDATION, **how: Any
) -> pd.DataFrame:  # fmt: skip
    """Return what is predicted of a part of the split after adapting to more and more minutes.

    Parameters
    ----------
    model, data, how
        As for `adapt`.
    minutes
        How much of each recording's training part is used, one after the other.
    part
        What is predicted; look at ``test`` once, when all is chosen.

    Returns
    -------
    predictions
        One row per sample and output: ``minutes``, ``recording``, ``time`` (seconds), ``output``, ``truth``, ``prediction`` (of
        classes their probability, and whether it was that class). Score it beside a baseline of the same minutes.
    """
    if data.spec.target_kind == NO_TARGET or not len(minutes):
        raise NeurodataError("a learning curve needs minutes=[…], and data that were opened with a target to predict")
    tables = []
    for amount in minutes:
        task = adapt(model, data, minutes=amount, **how)
        found = decode(task, data.covering_dataloader(part, data.window_seconds / WINDOWS_PER_SAMPLE))
        for one in found:
            truth = one.truth if one.truth.ndim == 2 else np.eye(data.spec.n_outputs)[one.truth.clip(min=0)]
            known = np.isfinite(truth).all(1) if one.truth.ndim == 2 else one.truth >= 0
            for number, output in enumerate(data.spec.classes):
                columns = {
                    "time": one.samples / data.rate_hz,
                    "truth": truth[:, number],
                    "prediction": one.values[:, number],
                }
                tables.append(
                    pd.DataFrame(columns)[known].assign(minutes=amount, recording=one.recording_id, output=output)
                )
    return pd.concat(tables, ignore_index=True)[["minutes", "recording", "time", "output", "truth", "prediction"]]


def encoder_of(model: Any) -> Perceiver:
    """Return the encoder of a task, or the encoder itself; raise where it is none that can be adapted."""
    network = model if isinstance(model, Perceiver) else getattr(model, "network", None)
    if not isinstance(network, Perceiver):
        raise NeurodataError(
            f"only a 'perceiver' encoder can be adapted to other channels, got {type(network or model).__name__}; "
            "train other networks anew, or start from one of 'neurodata list pretrained'"
        )
    return network


@contextmanager
def _windows_of(encoder: Perceiver, data: Any, target: str, inputs: str) -> Iterator[RecordingDataModule]:
    """The data's windows; recordings in memory are written to a store that lasts as long as the training."""
    if isinstance(data, RecordingDataModule):
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="neurodata-adapt-") as folder:
        if isinstance(data, (Recording, list, tuple)):
            found = [data] if isinstance(data, Recording) else list(data)
            _check_recordings(found)
            for recording in found:
                write_recording(recording, Path(folder) / "store")
            data = Path(folder) / "store"
        if not isinstance(data, (Store, str, Path)):
            _check_recordings([data])
        store = data if isinstance(data, Store) else open_store(data)
        yield open_like(encoder.spec, store, split_by("recording"), target=target, inputs=inputs, cache=Path(folder) / "cache")  # fmt: skip


def _check_recordings(found: Sequence[Any]) -> None:
    other = [type(one).__name__ for one in found if not isinstance(one, Recording)]
    if other or not found:
        raise NeurodataError(
            "data are a RecordingDataModule, a store or its folder, or one or more recordings; got "
            + (", ".join(other) or "no recording")
        )


def _shortened(data: RecordingDataModule, minutes: float | None) -> list[Stretch]:
    """The training stretches, of each recording the first so many minutes."""
    stretches = sorted(data.split.parts[names.TRAIN])
    if minutes is None:
        return stretches
    check_positive("minutes", minutes)
    left: dict[str, float] = {}
    kept = []
    for stretch in stretches:
        seconds = left.get(stretch.recording_id, 60.0 * minutes)
        taken = min(seconds, stretch.stop - stretch.start)
        if taken > 0:
            kept.append(Stretch(stretch.recording_id, stretch.start, stretch.start + taken))
        left[stretch.recording_id] = seconds - taken
    return kept


def _loader(data: RecordingDataModule, stretches: Sequence[Stretch], windows: Windows | None, steps: int, batch_size: int, seed: int) -> WindowLoader:  # fmt: skip
    check_positive("steps", steps)
    check_positive("batch_size", batch_size)
    found = windows if windows is not None else make_windows(stretches, data.rate_hz, data.window_seconds)
    order = DrawnWindows(found, batch_size * steps, seed)
    return WindowLoader(data.windows_dataset(found), batch_size, sampler=order, collate_fn=collate)


def _make_task(model: Any, network: Perceiver, data: RecordingDataModule, stretches: Sequence[Stretch], learning_rate: float, options: dict[str, Any]) -> Any:  # fmt: skip
    options = {"learning_rate": learning_rate, **options}
    spec = data.spec
    if spec.target_kind == NO_TARGET:
        return make_task("pretrain", network, {"patch_seconds": 0.0, **options})
    if spec.target_kind == CLASS:
        options.setdefault("class_counts", data.target_counts(stretches).tolist())
    else:
        mean, std = data.target_statistics(stretches)
        options.setdefault("output_mean", mean.tolist())
        options.setdefault("output_std", std.tolist())
    task = make_task("decode", network, options)
    if _knows_target(model, spec):
        task.head.load_state_dict(model.head.state_dict())
    return task


def _knows_target(model: Any, spec: DataSpec) -> bool:
    """Whether a model has a readout of the same target already, or there is nothing to read."""
    if spec.target_kind == NO_TARGET:
        return True
    known = getattr(getattr(model, "network", None), "spec", None)
    same = known is not None and (known.target, known.classes) == (spec.target, spec.classes)
    return same and isinstance(getattr(model, "head", None), nn.Linear)


def _train(task: Any, loader: WindowLoader, strategy: str, steps: int, seed: int) -> None:
    if strategy == PROGRESSIVE:
        first = max(1, steps // 3)
        _choose(task, HEAD)
        _fit(task, loader, first, seed)
        _choose(task, FULL)
        _fit(task, loader, max(1, steps - first), seed + 1)
        return
    if strategy == LORA:
        add_low_rank(task.network, _ENCODER, LORA_RANK, LORA_ALPHA)
        if hasattr(task, "following"):
            task.following = copy.deepcopy(task.network)  # it follows layer by layer, so it has the same ones
    _choose(task, strategy)
    _fit(task, loader, steps, seed)
    for name, parameter in task.named_parameters():
        parameter.requires_grad_(not name.startswith("following."))
    merge_low_rank(task)
    if hasattr(task, "following"):
        task.following.requires_grad_(False)


def _fit(task: Any, loader: WindowLoader, steps: int, seed: int) -> None:
    """Train what learns; what does not is afterwards the same to the last bit."""
    fixed = {name: p.detach().clone() for name, p in task.named_parameters() if not (p.requires_grad or name.startswith("following."))}  # fmt: skip
    # As long a memory as the training is: over 20 steps an average of the last 50 would be where it began.
    decay = min(0.98, 1 - AVERAGED / steps) if steps > AVERAGED else None
    fit(task, loader, steps=steps, seed=seed, average_decay=decay)
    with torch.no_grad():
        for name, parameter in task.named_parameters():
            if name in fixed:
                parameter.copy_(fixed[name])  # a moving average of equal weights differs in its last bits


def _choose(task: Any, strategy: str) -> None:
    """Let only those parameters learn that a strategy trains."""
    fixed = getattr(task, "lagged", None) is not None and not task.lagged.bias.requires_grad
    for name, parameter in task.named_parameters():
        learns = strategy == FULL or _learns(name, strategy)
        parameter.requires_grad_(
            learns and not (fixed and name.startswith("lagged.")) and not name.startswith("following.")
        )


def _learns(name: str, strategy: str) -> bool:
    part = name.removeprefix("network.")
    own = part.startswith("identity.own.")
    outside = not name.startswith(("network.", "following."))
    readout = outside or part.startswith(_READOUT)
    low_rank = part.endswith((".down", ".up"))
    return own or (readout and strategy != IDENTITY) or (low_rank and strategy == LORA)
