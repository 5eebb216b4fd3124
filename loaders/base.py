"""What every loader is: sessions, one Recording each, and facts that a test can check."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from neurodata.checks import check_exists, check_option
from neurodata.errors import NeurodataError, UsageError
from neurodata.recording.recording import Recording


class OptionError(UsageError):
    """A loader was given an option that it does not have, or a value of another type."""


@dataclass(frozen=True)
class RecordingFacts:
    """What is known about one published recording.

    Parameters
    ----------
    subject
        The subject's id.
    n_channels, n_named
        Channels of the main signal, and how many of them carry a label.
    n_samples, rate_hz, duration_seconds
        Samples of the main signal, their rate in Hz (None where it is unknown) and the length of the recording.
    """

    subject: str
    n_channels: int
    n_named: int
    n_samples: int
    rate_hz: float | None
    duration_seconds: float


@dataclass(frozen=True)
class Facts:
    """What a test can check against the published files (or against made-up ones with known answers).

    Parameters
    ----------
    data_folder
        Where the published files lie below the folder of test data.
    species
        Latin binomial.
    signal
        The main signal, which the facts of each recording are about.
    recordings
        Recording (without the dataset's name) → its facts.
    interval_labels
        Interval table → every label that occurs in it.
    """

    data_folder: str
    species: str
    signal: str
    recordings: Mapping[str, RecordingFacts]
    interval_labels: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Loader(ABC):
    """Reads one data set's (or one format's) raw files as Recordings; never writes.

    A subclass lives in a file of the data set's name. Its constructor takes the raw folder and, by name, each option
    with a type and a default: that signature is what ``--set key=value`` is checked against. It passes the options
    on to this constructor, which keeps them for the recordings' metadata.

    Parameters
    ----------
    raw
        The file or folder with the raw data.
    options
        Every option with its value.

    Raises
    ------
    NeurodataError
        If ``raw`` does not exist.
    """

    version: ClassVar[int]
    """Raised with every change that makes other Recordings of the same raw files."""
    facts: ClassVar[Facts]

    def __init__(self, raw: str | Path, **options: str | int | float | bool | None) -> None:
        self.raw = Path(raw)
        self.options = options
        check_exists("raw data", self.raw)

    @property
    def name(self) -> str:
        """The loader's and data set's name: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def used(self) -> dict[str, Any]:
        """Name, version and options, as a recording's metadata keeps them."""
        return {"name": self.name, "version": self.version, "options": dict(self.options)}

    @abstractmethod
    def sessions(self) -> list[str]:
        """Return the ids of all recordings, ``dataset/recording``; raise where there is none."""

    @abstractmethod
    def source_files(self, session: str) -> list[Path]:
        """Return the raw files that a session is read from; they need not exist."""

    @abstractmethod
    def load(self, session: str) -> Recording:
        """Return one session as a Recording, raw values unchanged."""

    def check_session(self, session: str) -> None:
        """Raise unless ``session`` is one of `sessions`."""
        check_option("session", session, self.sessions())


def describe_sources(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return name, size in bytes and sha256 of raw files, as a recording's metadata keeps them.

    Raises
    ------
    NeurodataError
        If a file is missing or cannot be read.
    """
    described = []
    for path in paths:
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise NeurodataError(f"{path}: a raw file is missing or cannot be read ({error.strerror})") from error
        described.append({"name": path.name, "n_bytes": path.stat().st_size, "sha256": digest})
    return described


def list_options(loader_class: type[Loader]) -> dict[str, inspect.Parameter]:
    """Return a loader's options by name, their annotations as types."""
    signature = inspect.signature(loader_class.__init__)
    hints = typing.get_type_hints(loader_class.__init__)
    return {
        name: parameter.replace(annotation=hints.get(name, str))
        for name, parameter in signature.parameters.items()
        if name not in ("self", "raw") and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def parse_options(loader_class: type[Loader], settings: Sequence[str]) -> dict[str, Any]:
    """Return a loader's options from ``key=value`` settings, each with the type that its signature states.

    Raises
    ------
    OptionError
        If a setting has no ``=``, a key is unknown (lists all options and names the closest) or comes twice, or a
        value is not of the option's type.
    """
    known = list_options(loader_class)
    shown = ", ".join(f"{name}={parameter.default}" for name, parameter in known.items()) or "none"
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals:
            raise OptionError(f"option {setting!r} is not key=value. Options and their defaults: {shown}")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise OptionError(
                f"{loader_class.__name__} has no option {key!r}{hint} Options and their defaults: {shown}"
            )
        if key in options:
            raise OptionError(f"option {key!r} is given twice; give it once")
        options[key] = _parse_value(key, value.strip(), known[key].annotation)
    return options


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
