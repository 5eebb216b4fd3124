"""Made-up worms in the two layouts of WormWideWeb, and plain JSON of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

N_NEURONS, N_TIME = 6, 90


def make_worm(seed: int = 0) -> dict[str, Any]:
    """A worm as WormWideWeb gave it out first: one object, neurons in rows, numbers of neurons from 1."""
    rng = np.random.default_rng(seed)
    original = 1 + rng.random((N_NEURONS, N_TIME))
    zscored = (original - original.mean(1, keepdims=True)) / original.std(1, keepdims=True)
    times = np.cumsum(rng.uniform(0.55, 0.65, N_TIME))
    velocity: list[float | None] = rng.normal(0, 1, N_TIME).tolist()
    velocity[3] = None
    return {
        "uid": "2022-08-02-01",
        "dataset_type": ["baseline", "neuropal"],
        "max_t": N_TIME,
        "num_neurons": N_NEURONS,
        "avg_timestep": 0.01,
        "timestamp_confocal": times.tolist(),
        "trace_array": zscored.tolist(),
        "trace_original": original.tolist(),
        "velocity": velocity,
        "head_curvature": rng.normal(0, 1, N_TIME).tolist(),
        "pumping": rng.random(N_TIME).tolist(),
        "reversal_events": [[10, 15], [40, 52]],
        "labeled": {
            "1": {
                "label": "AVAL",
                "confidence": 5.0,
                "neuron_class": "AVA",
                "LR": "L",
                "DV": "undefined",
                "comments": "",
            },
            "3": {
                "label": "RIMR",
                "confidence": 4.0,
                "neuron_class": "RIM",
                "LR": "R",
                "DV": "undefined",
                "comments": "?",
            },
            "6": {"label": "ASEL?", "confidence": 2.0, "neuron_class": "ASE", "LR": "L", "DV": "undefined"},
        },
        "ranges": [[1, N_TIME // 2], [N_TIME // 2 + 1, N_TIME]],
        "rel_enc_str_v": [[0.1] * N_NEURONS] * 2,
        "tau_vals": [1.0] * N_NEURONS,
        "neuron_categorization": {"v": {"fwd": [1, 2]}},
    }


def make_new_worm(seed: int = 1) -> dict[str, Any]:
    """A worm as WormWideWeb gives it out now: objects for timing, behaviour, traces and labels."""
    worm = make_worm(seed)
    return {
        "timing": {
            "mean_timestep": 0.6,
            "max_t": N_TIME,
            "timestamp_confocal": worm["timestamp_confocal"],
            "event": {"heat": [45]},
        },
        "behavior": {
            "velocity": worm["velocity"],
            "head_angle": worm["head_curvature"],
            "angular_velocity": worm["pumping"],
            "pumping": None,
            "reversal_events": [[2, 7], [30, 33], [80, N_TIME]],
        },
        "gcamp": {"trace_array": worm["trace_array"], "trace_array_original": worm["trace_original"]},
        "metadata": {
            "uid": "2023-01-05-02",
            "paper_id": "somebody2024",
            "dataset_type": ["heat"],
            "n_neuron": N_NEURONS,
        },
        "label": {
            "2": {
                "label": "AWCL",
                "neuron_class": "AWC",
                "LR": "L",
                "DV": "",
                "region": "head",
                "roi_id": [12],
                "confidence": 3.5,
            }
        },
        "encoding": {"forwardness": [[0.0] * N_NEURONS]},
    }


def write_raw(folder: Path) -> set[str]:
    """Write worms and plain traces, and return their names."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    traces = rng.normal(0, 1, (4, 50))
    times = (np.arange(50) / 4).tolist()
    files = {
        "worm_old": make_worm(),
        "worm_new": make_new_worm(),
        "plain": {"traces": traces.tolist(), "time": times, "labels": ["AVAL", "RIML", "ASEL", "x"], "state": ["fwd"] * 20 + ["rev"] * 30},
        "records": [{"name": f"cell {i}", "trace": row} for i, row in enumerate(traces.tolist())],
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "settings.json").write_text(json.dumps({"name": "a lab", "time": "noon", "values": [1, 2, 3] * 20}))
    return set(files)
