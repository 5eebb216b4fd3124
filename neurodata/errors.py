"""Errors that say what was expected, what came, where, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class NeurodataError(Exception):
    """Data or a run is wrong; the command line prints the message and exits with 1."""


class UsageError(NeurodataError):
    """What was typed cannot be meant; the command line exits with 2."""


class SchemaError(NeurodataError):
    """A recording breaks the schema; lists every breach at once.

    Parameters
    ----------
    subject
        What was checked, for example ``"recording 'kato_brain_2015/worm1'"``.
    problems
        One line per breach, each beginning with its path.
    """

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        places = f"{len(self.problems)} place" + ("s" if len(self.problems) != 1 else "")
        super().__init__(f"{subject} breaks the schema in {places}:\n" + "\n".join(f"  - {p}" for p in self.problems))


class RawFileError(NeurodataError):
    """A raw file is missing, damaged, or not what its loader reads."""


class StoreError(NeurodataError):
    """A store cannot be opened, written or found."""


class IntegrityError(StoreError):
    """What is stored is not what was written: a chunk is missing or damaged, or an attribute was changed."""


class UnknownRateError(NeurodataError):
    """Seconds were asked of a signal whose sampling rate nobody has stated."""


class LeakageError(NeurodataError):
    """Two parts of a split share time or a subject, so a score on one would be flattered by the other."""


class CheckpointError(NeurodataError):
    """A checkpoint does not fit the model or is damaged."""


class CacheError(NeurodataError):
    """The decoded cache cannot hold or give what a run needs."""


class CacheWarning(UserWarning):
    """The decoded cache holds more than its limit, because all of it is in use."""
