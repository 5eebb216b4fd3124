"""How long training waits for data: share of a step's time, for a small transformer on field windows (64 × 512).

A token is a patch of 16 samples of all channels; the step hides half the tokens, rebuilds them, and updates the weights
with AdamW. ``small`` has 4 layers of 256 (4 million weights). The smaller the model, the harder the test: ``tiny``, 2
layers of 128, is there to show where waiting begins. Where there is a GPU, ``small`` is measured there with batches of 256.

    python scripts/benchmarks/training.py [--json] [--write-docs] [--folder FOLDER] [--steps 60]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from contenders import make_data_module
from made_data import Work, list_work, make_data
from measuring import describe_machine, list_versions
from performance_page import save_result, write_page
from rich.console import Console
from torch import Tensor, nn

PATCH, WARM_UP = 16, 5
TINY, SMALL = (128, 2), (256, 4)
"""Width and layers."""


class Rebuilder(nn.Module):
    """A transformer encoder over patches in time that rebuilds what was hidden from it.

    Parameters
    ----------
    n_samples, n_channels
        Size of a window.
    width, n_layers
        Size of the encoder.
    """

    def __init__(self, n_samples: int, n_channels: int, width: int, n_layers: int) -> None:
        super().__init__()
        self.enter = nn.Linear(PATCH * n_channels, width)
        self.position = nn.Parameter(0.02 * torch.randn(n_samples // PATCH, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.back = nn.Linear(width, PATCH * n_channels)

    def forward(self, values: Tensor) -> Tensor:
        """Return the error of rebuilding hidden patches of ``(batch, time, channel)``."""
        patches = values.reshape(len(values), -1, PATCH * values.shape[2])
        hidden = torch.rand(patches.shape[:2], device=values.device) < 0.5
        tokens = self.enter(patches.masked_fill(hidden[..., None], 0.0)) + self.position
        rebuilt = self.back(self.encoder(tokens))
        return ((rebuilt - patches) ** 2).mean(-1)[hidden].mean()


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--write-docs", action="store_true", help="refresh docs/performance.md")
    parser.add_argument("--folder", type=Path, help="where the made-up data are kept; else a temporary folder")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    if options.folder is not None:
        result = measure_all(options.folder, options.steps)
    else:
        with tempfile.TemporaryDirectory(prefix="benchmark_training_") as folder:
            result = measure_all(Path(folder), options.steps)
    if options.json:
        print(json.dumps(result))
    else:
        Console().print(result)
    if options.write_docs:
        save_result("training", result)
        write_page()


def measure_all(folder: Path, n_steps: int) -> dict[str, Any]:
    """Return the measurements on the CPU, and on a GPU where there is one."""
    work = list_work(quick=False)[0]
    home = make_data(work, folder)
    os.environ["NEURODATA_CACHE"] = str(home / "cache")
    result: dict[str, Any] = {"machine": describe_machine(), "versions": list_versions()}
    result["cpu"] = measure(work, home, torch.device("cpu"), 32, n_steps, SMALL)
    result["cpu_tiny"] = measure(work, home, torch.device("cpu"), 32, n_steps, TINY)
    if torch.cuda.is_available():
        result["gpu"] = measure(work, home, torch.device("cuda"), 256, n_steps, SMALL)
        result["gpu"]["device"] = torch.cuda.get_device_name()
    return result


def measure(
    work: Work, home: Path, device: torch.device, batch_size: int, n_steps: int, size: tuple[int, int]
) -> dict[str, Any]:
    """Train for some steps and return how long they waited for data, moving it to the device included."""
    torch.manual_seed(0)
    module = make_data_module(
        work, home, scaling="training", batch_size=batch_size, batches_per_epoch=n_steps + WARM_UP
    )
    loader = module.train_dataloader()
    for _ in loader:  # one epoch untimed: it may still decode
        pass
    model = Rebuilder(work.window_samples, work.n_channels, *size).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    waits, steps, batches = [], [], iter(loader)
    for _ in range(n_steps + WARM_UP):
        begin = time.perf_counter()
        values = next(batches).values.to(device)
        _finish(device)
        waited = time.perf_counter()
        optimizer.zero_grad()
        loss = model(values)
        loss.backward()
        optimizer.step()
        _finish(device)
        waits.append(waited - begin)
        steps.append(time.perf_counter() - begin)
    waits, steps = waits[WARM_UP:], steps[WARM_UP:]
    return {
        "data_wait_share": round(sum(waits) / sum(steps), 5),
        "median_wait_ms": round(1e3 * statistics.median(waits), 3),
        "median_step_ms": round(1e3 * statistics.median(steps), 3),
        "batch_size": batch_size,
        "steps": n_steps,
        "weights": sum(parameter.numel() for parameter in model.parameters()),
    }


def _finish(device: torch.device) -> None:
    """Wait until the device has done what it was given: a time taken before that means nothing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
