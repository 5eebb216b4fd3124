"""Networks and tasks built from a name and JSON values, as a settings file or a checkpoint gives them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from neurodata.catalogue import read_entry
from neurodata.errors import NeurodataError
from neurodata.windows.spec import DataSpec

from .array_task import ArrayNetwork, ArrayTask
from .network import Network


def make_network(name: str, spec: DataSpec | None, hyperparameters: Mapping[str, Any]) -> Any:
    """Return a network of the catalogue: a `Network`, or without a spec an `ArrayNetwork`.

    Raises
    ------
    NeurodataError
        If there is no such network, it has no such hyperparameter, or a value is of the wrong type.
    """
    entry = _checked_entry("networks", name, hyperparameters)
    if issubclass(entry, ArrayNetwork) != (spec is None):
        wanted = "is built from sizes alone, without" if spec is not None else "needs"
        raise NeurodataError(f"network {name!r} {wanted} a data spec")
    return entry(**hyperparameters) if spec is None else entry(spec, **hyperparameters)


def make_task(name: str, network: Network | ArrayNetwork, hyperparameters: Mapping[str, Any]) -> Any:
    """Return a task of the catalogue around a network; raises as `make_network` does, and if the two do not fit."""
    entry = _checked_entry("tasks", name, hyperparameters)
    if issubclass(entry, ArrayTask) != isinstance(network, ArrayNetwork):
        raise NeurodataError(f"task {name!r} cannot train a {type(network).__name__}")
    return entry(network, **hyperparameters)


def _checked_entry(kind: str, name: str, hyperparameters: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or not isinstance(hyperparameters, Mapping):
        raise NeurodataError(f"a {kind.removesuffix('s')} is a name and named hyperparameters, got {name!r}")
    entry = read_entry(kind, name)
    known = {p.name: p.default for p in inspect.signature(entry).parameters.values() if p.kind is p.KEYWORD_ONLY}
    unknown = sorted(set(map(str, hyperparameters)) - set(known))
    if unknown:
        raise NeurodataError(
            f"{kind.removesuffix('s')} {name!r} has no {', '.join(unknown)}; it has {', '.join(known)}"
        )
    wrong = [key for key, value in hyperparameters.items() if not _is_like(value, known[key])]
    if wrong:
        told = "; ".join(f"{key}={hyperparameters[key]!r} (default {known[key]!r})" for key in wrong)
        raise NeurodataError(f"{kind.removesuffix('s')} {name!r}: wrong type of {told}")
    return entry


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value has the type of a default; any number is like a float, any list of numbers like a list or None."""
    if isinstance(default, (bool, str)):
        return type(value) is type(default)
    if isinstance(default, (int, float)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number and (isinstance(default, float) or isinstance(value, int))
    if value is None or not isinstance(value, (list, tuple)):
        return value is None and default is None
    return all(_is_like(entry, 0.0) for entry in value)
