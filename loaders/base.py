"""What every loader is: sessions, one Recording each, and facts that a test can check."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from neurodata.checks import check_exists, check_option
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording


@dataclass(frozen=True)
class Claim:
    """One recording that a loader recognised.

    Parameters
    ----------
    path
        The file or folder that was recognised.
    files
        Every file it is read from.
    part
        Which recording it is, where the path holds several; empty where it holds one.
    """

    path: Path
    files: tuple[Path, ...]
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class RecordingFacts:
    """What is known about one published recording.

    Parameters
    ----------
    subject
        The subject's id.
    duration_seconds
        Length of the recording; 0 where the rate is unknown.
    n_channels, n_named, n_samples, rate_hz
        Channels of the main signal, how many of them carry a label, its samples and their rate in Hz (None where it is
        unknown or the samples are irregular). All zero or None where there is no signal.
    n_units, n_spikes
        Sorted units, and spikes of all of them.
    """

    subject: str
    duration_seconds: float
    n_channels: int = 0
    n_named: int = 0
    n_samples: int = 0
    rate_hz: float | None = None
    n_units: int = 0
    n_spikes: int = 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a test can check against the published files (or against made-up ones with known answers).

    Parameters
    ----------
    data_folder
        Where the published files lie below the folder of test data.
    species
        Latin binomial.
    modality
        As in the metadata.
    signal
        The main signal, which the facts of each recording are about; None where there are spikes only.
    recordings
        Recording (without the dataset's name) → its facts.
    targets
        Intervals, signals and events that can be decoded.
    interval_labels
        Interval table → every label that occurs in it.
    """

    data_folder: str
    species: str
    modality: str
    signal: str | None
    recordings: Mapping[str, RecordingFacts]
    targets: tuple[str, ...] = ()
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
    """Of a published data set; a format has none."""
    specificity: ClassVar[int] = 10
    """Who has a file that several loaders know: data sets 10, folder layouts 5, formats with a signature of their own 3,
    general containers (tables, ``.mat``, ``.npz``) 1."""

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

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Look inside a file or folder and return the recordings that it is; none where it is not of this loader.

        What is here decides, not what it is called. Whoever claims a folder claims all that is in it.

        Raises
        ------
        RawFileError
            If it is of this loader, but cannot be read; says why.
        """
        return []

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
            status = path.stat()
            digest = _digest(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError as error:
            raise NeurodataError(f"{path}: a raw file is missing or cannot be read ({error.strerror})") from error
        described.append({"name": path.name, "n_bytes": status.st_size, "sha256": digest})
    return described


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, *state: int) -> str:
    """The sha256 of a file; it is asked for when a recording is looked up and again when its metadata are made."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
