"""What a training step costs as channels and seconds double."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from neurodata.batches.batch import Batch
from neurodata.models.build import make_network, make_task
from neurodata.windows.spec import BY_RECORDING, Channel, DataSpec

CHANNELS, SECONDS = (50, 100, 200, 400, 800), (10, 20, 40, 80, 160)
RATE_HZ, N_WINDOWS, N_TIMES = 3.0, 2, 5


def score_cost() -> pd.DataFrame:
    """Return wall time (median), peak memory and floating-point operations of one training step of ``nano`` on calcium."""
    sizes = [("channels", n, n, SECONDS[0]) for n in CHANNELS] + [("seconds", n, CHANNELS[0], n) for n in SECONDS]
    rows = []
    for what, size, n_channels, seconds in sizes:
        rows.append({"what": what, "size": size, **measure_step(n_channels, seconds)})
    return pd.DataFrame(rows)


def measure_step(n_channels: int, seconds: int, size: str = "nano") -> dict[str, float]:
    """Return what one training step takes of two windows of so many channels and seconds."""
    torch.manual_seed(0)
    step = _Step(n_channels, seconds, size)
    step()
    with FlopCounterMode(display=False) as flops:
        step()
    times = []
    for _ in range(N_TIMES):
        begin, began = time.perf_counter(), time.thread_time()
        step()
        times.append((time.perf_counter() - begin, time.thread_time() - began))
    wall, cpu = np.median(times, 0)
    return {"seconds": float(wall), "cpu_seconds": float(cpu), "megabytes": _peak(step) / 1e6, "gigaflops": flops.get_total_flops() / 1e9}  # fmt: skip


class _Step:
    """One step of masked prediction on made-up values; cost does not depend on what they are."""

    def __init__(self, n_channels: int, seconds: int, size: str) -> None:
        channels = tuple(Channel(modality="calcium") for _ in range(n_channels))
        length = round(seconds * RATE_HZ)
        vocabulary = tuple(map(str, range(n_channels)))
        spec = DataSpec("calcium", RATE_HZ, length, vocabulary, identity=BY_RECORDING, channels=channels)
        self.task: Any = make_task("pretrain", make_network("perceiver", spec, {"size": size}), {"patch_seconds": 0.0})
        self.task.train()
        self.optimiser = torch.optim.AdamW(self.task.parameters())
        shape = (N_WINDOWS, length, n_channels)
        ids = torch.arange(1, n_channels + 1).expand(N_WINDOWS, -1)
        self.batch = Batch(
            torch.randn(shape), torch.ones(shape, dtype=torch.bool), ids, torch.ones_like(ids, dtype=torch.bool),
            torch.arange(length) / RATE_HZ, torch.zeros(N_WINDOWS, 0, dtype=torch.long), torch.zeros(N_WINDOWS, dtype=torch.long),
            torch.arange(N_WINDOWS),
        )  # fmt: skip

    def __call__(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        self.task.loss(self.batch).backward()
        self.optimiser.step()


def _peak(step: _Step) -> float:
    """Most bytes of tensors that a step holds at once beyond weights, by every allocation and release in it."""
    step.optimiser.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    results: Any = profiled.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return float(np.cumsum([event.nbytes() for event in events]).max())


def doublings(table: pd.DataFrame) -> pd.DataFrame:
    """Return how much more each doubling takes of time, memory and operations."""
    rows = []
    for _, own in table.groupby("what", sort=False):
        values = own.to_dict("records")
        for before, after in pairwise(values):
            ratios = {key: after[key] / before[key] for key in ("seconds", "cpu_seconds", "megabytes", "gigaflops")}
            rows.append({"what": after["what"], "from": before["size"], "to": after["size"], **ratios})
    return pd.DataFrame(rows)
