"""Random field windows per second from braindecode, in an environment of its own (torchaudio would break this one).

Its windowed dataset over MNE raws, once with the raws in RAM as float64 (what its examples do) and once read lazily from
FIF files, beside numpy copying the same windows from RAM. The environment, and the data that windows.py makes::

    python -m venv bd && bd/bin/pip install numpy scipy pandas h5py mne mne-bids scikit-learn skorch einops joblib \
        matplotlib pooch torch==2.13.0 wfdb docstring_inheritance pydantic torchinfo rich
    bd/bin/pip install --no-deps braindecode
    python scripts/benchmarks/windows.py --only field --folder made
    bd/bin/python scripts/benchmarks/braindecode_windows.py --folder made [--json] [--write-docs]

Its networks import torchaudio and linear_attention_transformer, which the windows do not use: where they are missing an
empty stand-in takes their place.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch
from measuring import describe_machine, list_versions, median_ratio, time_interleaved, timed
from numpy.typing import NDArray
from performance_page import save_result, write_page
from torch.utils.data import default_collate

LENGTH, RATE_HZ, BATCH = 512, 256.0, 32
IN_RAM, LAZY, LIMIT = "braindecode, raws in RAM (float64)", "braindecode, FIF files", "numpy from RAM"
UNUSED = ("torchaudio", "torchaudio.functional", "torchaudio.transforms", "linear_attention_transformer")


class StandIn(types.ModuleType):
    """A module whose every name is `torch.nn.Module`: enough to be imported and inherited from."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return torch.nn.Module


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="what windows.py --folder was given")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--write-docs", action="store_true", help="refresh docs/performance.md")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    for name in [name for name in UNUSED if importlib.util.find_spec(name.split(".")[0]) is None]:
        sys.modules[name] = StandIn(name)
        sys.modules[name].__spec__ = importlib.util.spec_from_loader(name, None)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    warnings.simplefilter("ignore")
    mne.set_log_level("error")
    result = measure(options.folder / "field" / "plain", options.repeats)
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))
    if options.write_docs:
        save_result("braindecode", result)
        write_page()


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """Return windows per second of each way, and their share of the limit."""
    paths = sorted(folder.glob("*.npy"))
    recordings = [np.load(path) for path in paths]
    with tempfile.TemporaryDirectory(prefix="benchmark_braindecode_") as temporary:
        info = mne.create_info(recordings[0].shape[1], RATE_HZ, "eeg")
        raws = [mne.io.RawArray(values.T.astype(np.float64), info) for values in recordings]
        names = [Path(temporary) / f"{path.stem}_raw.fif" for path in paths]
        for raw, name in zip(raws, names):
            raw.save(name, fmt="single")
        lazy = [mne.io.read_raw_fif(name, preload=False) for name in names]
        ways = {IN_RAM: reader(raws), LAZY: reader(lazy), LIMIT: copier(recordings)}
        n_windows = sum(len(values) // LENGTH for values in recordings)
        wanted = ways[LIMIT](list(range(BATCH)))
        for name, get in ways.items():
            assert np.array_equal(np.asarray(get(list(range(BATCH)))), np.asarray(wanted)), name
        rounds = [np.random.default_rng(seed).integers(0, n_windows, (16, BATCH)).tolist() for seed in range(repeats)]
        timers = {name: timer(get, rounds) for name, get in ways.items()}
        rates = time_interleaved(timers, repeats)
    return {
        "windows_per_second": {name: round(float(np.median(found)), 1) for name, found in rates.items()},
        "of_ram_copy": {name: round(median_ratio(rates[name], rates[LIMIT]), 4) for name in (IN_RAM, LAZY)},
        "machine": describe_machine(),
        "versions": list_versions(("braindecode", "mne", "numpy", "torch")),
    }


def reader(raws: list[Any]) -> Callable[[list[int]], Any]:
    """Its dataset of windows without overlap, and torch's collate; values ``(batch, channel, time)``."""
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import create_fixed_length_windows

    windows = create_fixed_length_windows(
        BaseConcatDataset([RawDataset(raw, {"subject": str(number)}) for number, raw in enumerate(raws)]),
        window_size_samples=LENGTH,
        window_stride_samples=LENGTH,
        drop_last_window=True,
    )
    return lambda indices: default_collate([windows[index][0] for index in indices])


def copier(recordings: list[NDArray[np.float32]]) -> Callable[[list[int]], Any]:
    """The limit: numpy copies the same windows, (time, channel), into an array that is there already."""
    out = np.empty((BATCH, LENGTH, recordings[0].shape[1]), np.float32)
    places = [(values, first) for values in recordings for first in range(0, len(values) - LENGTH + 1, LENGTH)]

    def get(indices: list[int]) -> Any:
        for row, index in enumerate(indices):
            values, first = places[index]
            out[row] = values[first : first + LENGTH]
        return out.transpose(0, 2, 1)

    return get


def timer(get: Callable[[list[int]], Any], rounds: list[list[list[int]]]) -> Callable[[int], float]:
    """Return what gives windows per second of a round."""

    def measure_round(repeat: int) -> float:
        batches = rounds[repeat]
        return len(batches) * BATCH / timed(lambda: [get(indices) for indices in batches][:0])

    return measure_round


if __name__ == "__main__":
    main()
