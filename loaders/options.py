"""What can be set with ``--set key=value``: a loader's signature, and nothing else."""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

from neurodata.errors import UsageError

from .base import Loader


class OptionError(UsageError):
    """A loader was given an option that it does not have, or a value of another type."""


def list_options(loader_class: type[Loader]) -> dict[str, inspect.Parameter]:
    """Return a loader's options by name, their annotations as types; those it passes on (``**common``) included."""
    options: dict[str, inspect.Parameter] = {}
    for owner in loader_class.__mro__:
        if owner is Loader:
            break
        if "__init__" not in vars(owner):
            continue
        constructor = vars(owner)["__init__"]
        hints = typing.get_type_hints(constructor)
        parameters = inspect.signature(constructor).parameters
        for name, parameter in parameters.items():
            if name not in ("self", "raw") and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                options.setdefault(name, parameter.replace(annotation=hints.get(name, str)))
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return options


def parse_options(loader_class: type[Loader], settings: Sequence[str]) -> dict[str, Any]:
    """Return a loader's options from ``key=value`` settings, each with the type that its signature states.

    Raises
    ------
    OptionError
        If a setting has no ``=``, a key is unknown (lists all options and names the closest) or comes twice, or a
        value is not of the option's type.
    """
    known = list_options(loader_class)
    options: dict[str, Any] = {}
    for key, value in split_settings(settings, known).items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise OptionError(
                f"{loader_class.__name__} has no option {key!r}{hint} Options and their defaults: {_shown(known)}"
            )
        options[key] = _parse_value(key, value, known[key].annotation)
    return options


def split_settings(settings: Sequence[str], known: dict[str, inspect.Parameter]) -> dict[str, str]:
    """Return ``key=value`` settings as a dictionary, each key once."""
    values: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals:
            raise OptionError(f"option {setting!r} is not key=value. Options and their defaults: {_shown(known)}")
        if key in values:
            raise OptionError(f"option {key!r} is given twice; give it once")
        values[key] = value.strip()
    return values


def _shown(known: dict[str, inspect.Parameter]) -> str:
    return ", ".join(f"{name}={parameter.default}" for name, parameter in known.items()) or "none"


def _parse_value(key: str, value: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if value not in choices:
            raise OptionError(f"option {key!r} is one of {', '.join(choices)}, got {value!r}")
        return choices[value]
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [part for part in get_args(kind) if part is not type(None)]
        if value.lower() == "none" and len(kinds) < len(get_args(kind)):
            return None
        return _parse_value(key, value, kinds[0])
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise OptionError(f"option {key!r} is true or false, got {value!r}")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError as error:
        words = {int: "a whole number", float: "a number"}
        raise OptionError(f"option {key!r} is {words.get(kind, kind)}, got {value!r}") from error
