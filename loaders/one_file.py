"""A data set that is one recording in one file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from neurodata.errors import RawFileError

from .base import Loader


class OneFileLoader(Loader):
    """Reads the one file of a data set; ``raw`` is it or its folder. A subclass says which it is and how it is read."""

    file: ClassVar[str]
    """Its published name."""
    part: ClassVar[str]
    """The recording's name."""
    content: ClassVar[str]
    """What must be in it, for the message where something else is given."""

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.raw / self.file if self.raw.is_dir() else self.raw

    def sessions(self) -> list[str]:
        """Return the one recording.

        Raises
        ------
        RawFileError
            If the file is not there, or is another one.
        """
        if not self.claim(self.path):
            raise RawFileError(f"{self.raw}: expected {self.file} with {self.content}; give the file or its folder")
        return [f"{self.name}/{self.part}"]

    def source_files(self, session: str) -> list[Path]:
        """Return the file."""
        return [self.path]
