"""What loaders of general containers share: options, claims, several recordings in a file, maps."""

from __future__ import annotations

import functools
import warnings
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from neurodata.checks import check_exists, check_option, check_positive
from neurodata.errors import NeurodataError, RawFileError
from neurodata.recording.metadata import Metadata
from neurodata.recording.recording import Recording

from ..base import Claim
from ..discover import Found, Skipped, find_recordings, safe_name
from ..format_loader import FormatLoader
from ..options import OptionError
from ._variables_auto import Parts, read_unmapped
from ._variables_map import VariableMap, read_map
from ._variables_mapped import list_elements, read_mapped
from ._variables_split import split_recordings
from ._variables_tree import Tree

MODALITIES = get_args(Metadata.model_fields["modality"].annotation)
_MOST_LOOKED_THROUGH = 512 << 20
"""Files up to this many bytes are read whole when they are claimed, to see whether a recording is in them."""
_MOST_KEPT = 64 << 20


class VariablesLoader(FormatLoader):
    """Reads files of named variables, with a map that says which is what or by their names and shapes.

    Parameters
    ----------
    raw
        A file, or a folder that is searched.
    map
        A YAML file that says which variable is what (docs/variable-maps.md).
    rate_hz
        Sampling rate of signals for which the file has no times.
    orientation
        Which dimension of a matrix comes first, where the file does not show it.
    modality
        The recording's modality, where names do not tell.
    common
        Options of every format.
    """

    specificity = 1

    def __init__(
        self,
        raw: str | Path,
        *,
        map: str | None = None,
        rate_hz: float | None = None,
        orientation: Literal["auto", "channel_first", "time_first"] = "auto",
        modality: str | None = None,
        **common: str | None,
    ) -> None:
        super().__init__(raw, map=map, rate_hz=rate_hz, orientation=orientation, modality=modality, **common)
        if rate_hz is not None:
            check_positive("option 'rate_hz'", rate_hz)
        if modality is not None:
            check_option("modality", modality, MODALITIES)
        if map is not None and rate_hz is not None:
            raise OptionError(
                "with a map, the rate stands in the map (rate_hz of a signal); leave out option 'rate_hz'"
            )
        self.rate_hz, self.orientation, self.modality = rate_hz, orientation, modality
        self.map_path = None if map is None else Path(map)
        if self.map_path is not None:
            check_exists("option 'map'", self.map_path)

    @classmethod
    @abstractmethod
    def is_mine(cls, path: Path) -> bool:
        """Tell whether a file is of this format, by what is in it; raise RawFileError where it is but is damaged."""

    @classmethod
    @abstractmethod
    def open_tree(cls, path: Path, *, objects: bool = False) -> Tree:
        """Look through a file; ``objects`` admits arrays of Python objects, through the restricted reader only."""

    @classmethod
    def is_lazy(cls, path: Path) -> bool:
        """Tell whether a file's values stay in it until they are asked for, so that looking through it is cheap."""
        return False

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recordings of a file in which signals, spikes or events are recognised.

        Raises
        ------
        RawFileError
            If it is of this format, but damaged, or nothing in it is recognised.
        """
        if not path.is_file() or not cls.is_mine(path):
            return []
        if path.stat().st_size > _MOST_LOOKED_THROUGH and not cls.is_lazy(path):
            return [Claim(path, (path,))]
        parts = split_recordings(_open(cls, path))
        claims, problems = [], []
        for part, tree in parts:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what was assumed is said when the recording is read
                    read_unmapped(tree)
                claims.append(Claim(path, (path,), part))
            except RawFileError as error:
                problems.append(error)
        if not claims:
            raise problems[0]
        return claims

    @cached_property
    def map(self) -> VariableMap | None:
        """The map, None where there is none."""
        return None if self.map_path is None else read_map(self.map_path)

    def search(self) -> tuple[list[Found], list[Skipped]]:
        """Return the recordings below the raw path; with a map every file of this format is one, or holds some."""
        if self.map is None:
            return super().search()
        found, skipped = find_recordings(self.raw, [_lenient(type(self))])
        return [part for entry in found for part in self._expand(entry, self.map)], skipped

    def _expand(self, entry: Found, stated: VariableMap) -> list[Found]:
        """One recording per element that the map's ``recordings`` names."""
        path = entry.claim.path
        if stated.recordings is None:
            return [entry]
        parts = [name for name, _ in list_elements(self.open_tree(path, objects=True), stated)]
        return [Found(entry.loader, Claim(path, (path,), part), f"{entry.name}-{safe_name(part)}") for part in parts]

    def source_files(self, session: str) -> list[Path]:
        """Return the file, and the map where there is one."""
        return [*super().source_files(session), *([self.map_path] if self.map_path is not None else [])]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one recording, its signals left in the file where the format can.

        Raises
        ------
        RawFileError
            If the file is damaged, the map names what is not there, or nothing is recognised.
        """
        try:
            parts = self._read_parts(claim)
        except RawFileError as error:
            raise error if str(claim.path) in str(error) else RawFileError(f"{claim.path}: {error}") from error
        except NeurodataError as error:
            raise RawFileError(f"{claim.path}: {error}") from error
        metadata = self.describe(
            session,
            modality=self.modality or parts.modality,
            subject=parts.subject,
            extra=parts.extra or None,
            **parts.metadata,
        )
        return Recording(metadata, parts.signals, parts.events, parts.intervals, parts.units)

    def _read_parts(self, claim: Claim) -> Parts:
        if self.map is not None:
            tree = self.open_tree(claim.path, objects=True)
            elements = dict(list_elements(tree, self.map))
            return read_mapped(tree, self.map, elements[claim.part])
        parts = dict(split_recordings(_open(type(self), claim.path)))
        if claim.part not in parts:
            raise RawFileError(
                f"{claim.path}: it holds {len(parts)} recordings; say in a map (recordings: each: NAME) which array they are in"
            )
        return read_unmapped(parts[claim.part], rate_hz=self.rate_hz, orientation=self.orientation)


def _lenient(loader: type[VariablesLoader]) -> type[VariablesLoader]:
    """The same loader, which claims every file of its format: with a map nothing has to be recognised."""

    def claim(cls: type[VariablesLoader], path: Path) -> list[Claim]:
        return [Claim(path, (path,))] if path.is_file() and cls.is_mine(path) else []

    members = {"claim": classmethod(claim), "__module__": loader.__module__}
    made: type[VariablesLoader] = type(loader.__name__, (loader,), members)
    return made


def _open(loader: type[VariablesLoader], path: Path) -> Tree:
    status = path.stat()
    if status.st_size > _MOST_KEPT and not loader.is_lazy(path):
        return loader.open_tree(path)
    return _kept(loader, path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _kept(loader: type[VariablesLoader], path: Path, n_bytes: int, modified: int) -> Tree:
    """A file is claimed and read right after each other: it is looked through once."""
    return loader.open_tree(path)
