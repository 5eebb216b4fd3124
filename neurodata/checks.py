"""The usual checks, in one voice."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurodata.errors import NeurodataError

_SAFE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=-]{0,127}")


def suggest(name: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest option, or nothing where none is close."""
    close = difflib.get_close_matches(str(name), list(options), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_option(what: str, value: str, options: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``options``; the message lists them and the closest one."""
    options = list(options)
    if value not in options:
        raise NeurodataError(
            f"no {what} {value!r}{suggest(value, options) or '.'} Known: {', '.join(options) or 'none'}"
        )


def check_positive(what: str, value: Any) -> None:
    """Raise unless ``value`` is a finite number above zero."""
    try:
        positive = bool(0 < value < float("inf"))
    except (TypeError, ValueError):  # text, None, an array
        positive = False
    if not positive:
        raise NeurodataError(f"{what} must be a positive number, got {value!r}")


def check_between(what: str, value: Any, low: float, high: float = float("inf")) -> None:
    """Raise unless ``value`` is a finite number from ``low`` to ``high``, both included."""
    try:
        inside = bool(low <= value <= high) and value < float("inf")
    except (TypeError, ValueError):  # text, None, an array
        inside = False
    if not inside:
        wanted = f"between {low:g} and {high:g}" if high < float("inf") else f"{low:g} or more"
        raise NeurodataError(f"{what} must be {wanted}, got {value!r}")


def check_exists(what: str, path: Path) -> None:
    """Raise unless ``path`` exists."""
    if not path.exists():
        raise NeurodataError(
            f"{what} {str(path)!r} does not exist; check the spelling, paths are relative to {Path.cwd().name!r}"
        )


def import_extra(module: str, extra: str) -> Any:
    """Return a module of an optional dependency.

    Raises
    ------
    NeurodataError
        If it is not installed; gives the install command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NeurodataError(
            f"this needs {module.partition('.')[0]!r}, which is not installed ({error}); "
            f'install it with: pip install "neurodata[{extra}]"'
        ) from error


def is_safe_part(name: str) -> bool:
    """Tell whether ``name`` may be one folder or array name: letters, digits and ``_ . + = -``, no leading dot."""
    return _SAFE_PART.fullmatch(name) is not None and name != "zarr.json"


def recording_id_problem(recording_id: object) -> str | None:
    """Say what is wrong with a recording id, or return None where it is ``dataset/recording`` in safe characters."""
    if not isinstance(recording_id, str):
        return f"expected text 'dataset/recording', got {type(recording_id).__name__}"
    parts = recording_id.split("/")
    if len(parts) != 2 or not all(is_safe_part(part) for part in parts):
        return (
            f"expected 'dataset/recording', two names of letters, digits and _ . + = - that do not begin with a dot, "
            f"got {recording_id!r}"
        )
    return None


def check_recording_id(recording_id: object) -> None:
    """Raise unless ``recording_id`` is ``dataset/recording``; such an id can never leave the store's folder."""
    problem = recording_id_problem(recording_id)
    if problem:
        raise NeurodataError(f"bad recording id: {problem}")
