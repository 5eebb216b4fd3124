"""The examples of docs/tensors.md run on a small recording of trials, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_units

PAGE = Path(__file__).resolve().parents[1] / "docs/tensors.md"
SMALLER = {"rank=6": "rank=2", "ranks=range(1, 9)": "ranks=range(1, 3)"}
"""Fewer components of fewer units, so that the page runs within seconds."""


def make_recording():
    """Ten units, twelve trials; half of the units fire after the start of every other trial."""
    random = np.random.default_rng(0)
    starts = 2.0 + 5.0 * np.arange(12)
    own = [random.uniform(0, 65, 300) for _ in range(10)]
    driven = [np.concatenate([s + random.uniform(0.1, 1.0, 20) for s in starts[unit % 2 :: 2]]) for unit in range(10)]
    times = np.concatenate([*own, *driven])
    units = np.concatenate([np.full(len(t), i % 10) for i, t in enumerate([*own, *driven])])
    order = np.argsort(times)
    spikes = make_events(times[order], unit=units[order])
    trials = make_intervals(starts, starts + 3, label=["a", "b"] * 6)
    session = make_intervals([0.0], [66.0])
    about = {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s"}}
    return Recording(about, {}, {"spikes": spikes}, {"trials": trials, "session": session}, make_units(range(10)))


def test_the_examples_run_from_top_to_bottom():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    text = "\n".join([blocks[0].split("\n")[0], *blocks[1:3], *blocks[3:]])
    for given, smaller in SMALLER.items():
        assert given in text
        text = text.replace(given, smaller)
    rows, times, animals = (np.random.default_rng(seed).random((size, 2)) for seed, size in enumerate((200, 30, 5)))
    known = {
        "rec": make_recording(),
        "new_trials": np.ones((10, 150, 3)),
        "n_pairs": 200, "n_frames": 30, "n_animals": 5, "shape": (200, 30, 5),
        "make_block": lambda first, stop: np.einsum("ir,jr,kr->ijk", rows[first:stop], times, animals),
        "new_blocks": lambda: [(0, np.einsum("ir,jr->ij", rows, times)[:, :, None])],
    }  # fmt: skip
    exec(compile(text, PAGE.name, "exec"), known)
    assert known["tensor"].shape == (10, 150, 12)
    label = np.asarray(known["aligned"]["label"]) == "a"
    trials = known["trials"]
    assert (
        max(trials[label, r].min() - trials[~label, r].max() for r in range(2)) > 0
    )  # a component is one kind of trial
    assert known["choice"].rank in (1, 2)
    assert known["model"].error_ < 1e-2
