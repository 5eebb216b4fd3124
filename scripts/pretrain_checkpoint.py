"""Make a pretrained checkpoint from its recipe: python scripts/pretrain_checkpoint.py NAME DATA OUTPUT [--fold K].

NAME is a file of scripts/pretraining; DATA the folder of the published recordings. With ``--fold K`` everything that the
rows of docs/results/foundation.md hold out in their folds of that number is left out, so that the checkpoint may be scored
on them; without it the checkpoint is trained on all recordings and no score may use it.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from foundation.rows import held_out
from pretraining.recipes import CheckpointRecipe, add_recordings, describe_training, open_mixture, read_recipe

import neurodata as nd
from neurodata.batches.mixture import Mixture
from neurodata.models.build import make_network, make_task
from neurodata.models.train import fit

EPOCH_STEPS = 20
"""Steps after each of which an interrupted training can be resumed."""

LICENCE = "BSD-3-Clause"


def read_arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a recipe of scripts/pretraining")
    parser.add_argument("data", type=Path, help="folder of the raw recordings")
    parser.add_argument("output", type=Path, help="the checkpoint's folder")
    parser.add_argument("--fold", type=int, help="leave out what the folds of this number hold out")
    parser.add_argument("--store", type=Path, help="where recordings are converted to; default: OUTPUT-store")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of torch")
    parser.add_argument("--precision", default="32-true", help="of the training: bf16-mixed on a GPU")
    parser.add_argument("--compile", action="store_true", help="compile the loss")
    return parser.parse_args()


def main() -> None:
    """Train, and write the checkpoint with its manifest and golden batch."""
    asked = read_arguments()
    torch.set_num_threads(asked.threads)
    recipe = read_recipe(asked.name)
    store = add_recordings(recipe, asked.data, asked.store or asked.output.with_name(f"{asked.output.name}-store"))
    left_out = [] if asked.fold is None else held_out(asked.fold, store)
    mixture = open_mixture(recipe, store, left_out)
    for source in mixture.sources.values():
        source.batches_per_epoch = EPOCH_STEPS
    mixture.setup()
    torch.manual_seed(recipe.seed)
    task = make_task("pretrain", make_network("perceiver", mixture.spec, recipe.network), {**recipe.task, "learning_rate": recipe.learning_rate})  # fmt: skip
    begin = time.time()
    fitted = fit(
        task, mixture.train_dataloader(), steps=recipe.steps, seed=recipe.seed, precision=asked.precision,
        compile_network=asked.compile, folder=asked.output.with_name(f"{asked.output.name}-resume"),
    )  # fmt: skip
    seconds = time.time() - begin
    curve = fitted.curve[fitted.curve["split"] == "train"]["value"]
    manifest = make_manifest(recipe, mixture, store, seconds, asked) | {"loss": [round(float(v), 4) for v in (curve.iloc[0], curve.iloc[-1])]}  # fmt: skip
    nd.save_pretrained(task, asked.output, manifest, dtype="float16", golden=golden_batch(mixture))
    fitted.curve.to_csv(asked.output.with_name(f"{asked.output.name}-curve.csv"), index=False)
    print(f"{asked.output}: {recipe.steps} steps in {seconds:.0f} s, loss {curve.iloc[0]:.3f} → {curve.iloc[-1]:.3f}")


def make_manifest(
    recipe: CheckpointRecipe, mixture: Mixture, store: nd.Store, seconds: float, asked: Any
) -> dict[str, Any]:
    """Return what a checkpoint says of how it was made."""
    windows = sum(source.windows for source in recipe.sources.values())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {asked.threads} threads"
    command = f"python scripts/pretrain_checkpoint.py {asked.name} DATA OUTPUT"
    return describe_training(mixture, store) | {
        "title": recipe.title,
        "trained_on_all": asked.fold is None,
        "fold": asked.fold,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "windows_per_step": windows,
        "windows_per_second": round(windows * recipe.steps / max(seconds, 1e-9), 1),
        "seconds": round(seconds, 1),
        "hardware": f"{platform.machine()}, {device}",
        "precision": asked.precision,
        "licence": LICENCE,
        "command": command if asked.fold is None else f"{command} --fold {asked.fold}",
        "recipe": yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False),
    }


def golden_batch(mixture: Mixture) -> Any:
    """Return the first two windows of each source, a few channels each: small, and of every modality."""
    [batches] = [batch for _, batch in zip(range(1), mixture.train_dataloader())]
    return tuple(
        one._replace(
            values=one.values[:1, :, :12].clone(), recorded=one.recorded[:1, :, :12].clone(),
            channel_ids=one.channel_ids[:1, :12].clone(), present=one.present[:1, :12].clone(), target=one.target[:1].clone(),
            recording=one.recording[:1].clone(), first=one.first[:1].clone(),
        )
        for one in batches
    )  # fmt: skip


if __name__ == "__main__":
    main()
