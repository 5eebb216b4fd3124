"""Everything about a run's settings that can be known before it begins, with the key that is to be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from neurodata import names
from neurodata.batches.datamodule import TRAINING
from neurodata.catalogue import list_entries, read_entry
from neurodata.checks import check_option
from neurodata.errors import NeurodataError
from neurodata.windows.select import make_windows, whole_samples
from neurodata.windows.spec import DataSpec
from neurodata.windows.splits import check_leakage
from neurodata.windows.views import make_views

from .build import make_network, make_task
from .fold import Fold
from .network import Network
from .processes import check_devices
from .recipe import Recipe, Stage

SAID_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "pretrain": {},
    "decode": {
        "lags_seconds": "recipe.lags_seconds",
        "class_counts": "the training part",
        "output_mean": "the training part",
        "output_std": "the training part",
    },
    "forecast": {"horizons_seconds": "recipe.horizons_seconds"},
}
"""Options of tasks that a run sets itself, by stage, and what says them."""


@contextmanager
def about(key: str) -> Iterator[None]:
    """Begin the message of an error with the key it is about."""
    try:
        yield
    except NeurodataError as error:
        error.args = (f"{key}: {error}",)
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # torch's own objections
        raise NeurodataError(f"{key}: {error}") from error


def check_run(fold: Fold) -> None:
    """Raise where a fold cannot be trained as its recipe says; makes no folder.

    No recording is read but where views are asked for: then the first is decoded, which training needs anyway.

    Raises
    ------
    NeurodataError
        Begins with the key of the settings file that is to be changed, such as ``recipe.network_options``.
    """
    recipe = fold.recipe
    _check_windows(fold)
    with about("recipe.devices"):
        check_devices(recipe.devices, "auto")
    with about("recipe.precision"):
        if recipe.precision == "16-mixed" and not torch.cuda.is_available():
            raise NeurodataError("16-mixed needs a GPU; take bf16-mixed")
    with about("recipe.views"):
        make_views(recipe.views)
    with about("recipe.inputs"):
        data = fold.datamodule(fold.final, recipe.forecast, scaling=TRAINING, target="")
    if recipe.views:
        with about("recipe.views"):
            data.prepared(data.split.recordings(names.TRAIN)[0])
    if recipe.forecast.steps:
        _check_forecast(recipe, data.spec)
    if recipe.target:
        with about("recipe.target"):
            spec = fold.datamodule(fold.final, recipe.decode, scaling=recipe.scaling, target=recipe.target).spec
        _check_decoding(recipe, spec)


def _check_windows(fold: Fold) -> None:
    recipe = fold.recipe
    if not (recipe.target and recipe.decode.steps) and not recipe.forecast.steps:
        raise NeurodataError(
            "recipe: nothing would be scored, as forecast.steps is 0 and "
            + ("decode.steps is 0" if recipe.target else "there is no target to decode")
        )
    with about("split"):
        for split in (fold.selecting, fold.final):
            check_leakage(split, recipe.window_seconds)
    with about("recipe.window_seconds"):
        whole_samples(recipe.window_seconds, recipe.rate_hz)
        for part in (names.TRAIN, names.TEST):
            make_windows(fold.final.parts[part], recipe.rate_hz, recipe.window_seconds)


def _check_forecast(recipe: Recipe, spec: DataSpec) -> None:
    network = _network(recipe, spec)
    horizons = {"horizons_seconds": recipe.horizons_seconds}
    with about("recipe.horizons_seconds"):
        make_task("forecast", network, horizons)
    _check_stage("forecast", recipe.forecast, network, horizons)


def _check_decoding(recipe: Recipe, spec: DataSpec) -> None:
    network = _network(recipe, spec)
    if recipe.pretrain.steps:
        _check_stage("pretrain", recipe.pretrain, network, {})
    _check_stage("decode", recipe.decode, network, {})


def _network(recipe: Recipe, spec: DataSpec) -> Network:
    with about("recipe.network"):
        check_option("network", recipe.network, list_entries("networks"))
        if not issubclass(read_entry("networks", recipe.network), Network):
            raise NeurodataError(f"{recipe.network!r} is fitted to whole arrays, by its estimator, and not to windows")
    with about("recipe.network_options"), torch.random.fork_rng(devices=[]):
        network: Network = make_network(recipe.network, spec, recipe.network_options)
    return network


def _check_stage(name: str, stage: Stage, network: Network, more: Mapping[str, Any]) -> None:
    key = f"recipe.{name}.options"
    elsewhere = {**SAID_ELSEWHERE[name], "learning_rate": f"recipe.{name}.learning_rate"}
    for option in sorted(stage.options.keys() & elsewhere.keys()):
        raise NeurodataError(f"{key}.{option}: this is what {elsewhere[option]} says; leave the option out")
    with about(key), torch.random.fork_rng(devices=[]):
        make_task(name, network, {**stage.options, **more, "learning_rate": stage.learning_rate})
