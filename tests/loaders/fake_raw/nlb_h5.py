"""Made-up files as nlb_tools' make_tensors writes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

N_TRAIN, N_EVAL, N_BINS, N_HELDIN, N_HELDOUT, N_FORWARD = 5, 3, 14, 6, 2, 4


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Every array of a small data set."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for split, n_trials in (("train", N_TRAIN), ("eval", N_EVAL)):
        for ending, bins in (("", N_BINS), ("_forward", N_FORWARD)):
            made[f"{split}_spikes_heldin{ending}"] = rng.poisson(0.5, (n_trials, bins, N_HELDIN))
            made[f"{split}_spikes_heldout{ending}"] = rng.poisson(0.5, (n_trials, bins, N_HELDOUT))
        made[f"{split}_behavior"] = rng.normal(size=(n_trials, N_BINS, 2))
        made[f"{split}_decode_mask"] = rng.random((n_trials, 2)) < 0.5
    return made


def write(path: Path, groups: dict[str, dict[str, np.ndarray]]) -> None:
    """Write arrays into groups, '' for the file itself, floats as float32 as nlb_tools does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for group, members in groups.items():
            node = file.require_group(group) if group else file
            for key, values in members.items():
                node.create_dataset(key, data=values.astype(np.float32) if values.dtype.kind == "f" else values)


def pick(made: dict[str, np.ndarray], *keys: str) -> dict[str, np.ndarray]:
    return {key: made[key] for key in keys}


def write_raw(folder: Path) -> set[str]:
    made = arrays()
    train = pick(made, "train_spikes_heldin", "train_spikes_heldout", "train_behavior")
    write(folder / "train_input.h5", {"": train})
    target = {key: made[key] for key in made if key.endswith(("_behavior", "_decode_mask")) or key.startswith("eval_")}
    target.pop("eval_spikes_heldin")
    target["eval_spikes_heldout"] = np.where(np.arange(N_BINS)[:, None] < 10, target["eval_spikes_heldout"], np.nan)
    target["psth"] = np.random.default_rng(1).random((N_EVAL, N_BINS, N_HELDIN + N_HELDOUT))
    scalars = {"train_behavior": np.arange(10.0).reshape(5, 2), "eval_behavior": np.arange(6.0).reshape(3, 2)}
    rsg = {**scalars, "eval_spikes_heldout": made["eval_spikes_heldout"].astype(float)}
    write(folder / "target.h5", {"mc_maze": target, "dmfc_rsg_20": rsg})
    return {"train_input", "target-mc_maze", "target-dmfc_rsg_20"}
