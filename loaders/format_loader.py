"""A loader of a format: any lab's files, found by what is inside them."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

from neurodata.checks import is_safe_part
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording

from .base import Claim, Loader, describe_sources
from .discover import Found, Skipped, find_recordings, safe_name
from .options import OptionError

Option = str | int | float | bool | None


class FormatLoader(Loader):
    """Reads the files of one format, whoever made them.

    A subclass says which files are its own (`claim`) and reads one recording (`read`). Its constructor takes the raw
    path and, by name, its own options; it passes the rest on: ``def __init__(self, raw, *, rate_hz: float | None =
    None, **common: str | None)``.

    Parameters
    ----------
    raw
        A file of the format, or a folder that is searched for them.
    dataset
        Name of the data set the recordings go into; that of the folder where left out.
    name
        Name of the recording, or what the names of all recordings of one file begin with; otherwise they are named by
        their path below ``raw``.
    subject, species
        Whom the recordings are of, where the files do not say or say it wrongly; species is the Latin binomial.
    options
        The subclass's own options with their values.
    """

    def __init__(
        self,
        raw: str | Path,
        *,
        dataset: str | None = None,
        name: str | None = None,
        subject: str | None = None,
        species: str | None = None,
        **options: Option,
    ) -> None:
        super().__init__(raw, dataset=dataset, name=name, subject=subject, species=species, **options)
        for key, value in (("dataset", dataset), ("name", name)):
            if value is not None and not is_safe_part(value):
                raise OptionError(f"option {key!r} is a name of letters, digits and _ . + = -, got {value!r}")
        self.dataset = dataset or default_dataset(self.raw)
        self.recording_name, self.subject, self.species = name, subject, species

    @abstractmethod
    def read(self, session: str, claim: Claim) -> Recording:
        """Return one claimed recording under the id ``session``, raw values unchanged and large arrays lazy."""

    def search(self) -> tuple[list[Found], list[Skipped]]:
        """Return the recordings below the raw path, and what was passed over with the reason."""
        return find_recordings(self.raw, [type(self)])

    @cached_property
    def found(self) -> dict[str, Found]:
        """Recording id → where it lies.

        Raises
        ------
        RawFileError
            If nothing here is of this format; says why.
        """
        found, skipped = self.search()
        if not found:
            known = [entry for entry in skipped if entry.reason != "no loader recognises it"]
            why = "; ".join(f"{entry.path.name}: {entry.reason}" for entry in known[:3]) or "none of the files are"
            raise RawFileError(f"{self.raw}: expected {self.name!r} data, found none here ({why})")
        if self.recording_name is not None:
            if len({entry.claim.path for entry in found}) > 1:
                raise OptionError(f"option 'name' names one recording, {self.raw} holds {len(found)}")
            own = {"-".join([self.recording_name, *filter(None, [entry.claim.part])]): entry for entry in found}
            return {f"{self.dataset}/{safe_name(name)}": entry for name, entry in own.items()}
        return {f"{self.dataset}/{entry.name}": entry for entry in found}

    def sessions(self) -> list[str]:
        """Return one id per recording that is found, sorted by path."""
        return list(self.found)

    def source_files(self, session: str) -> list[Path]:
        """Return all files a recording is read from."""
        return list(self.found[session].claim.files)

    def load(self, session: str) -> Recording:
        """Return one recording."""
        self.check_session(session)
        return self.read(session, self.found[session].claim)

    def describe(
        self, session: str, /, *, modality: str, subject: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Return a recording's metadata: what the file says, overruled by the options ``subject`` and ``species``.

        Parameters
        ----------
        session
            The recording's id.
        modality
            One of the schema's modalities.
        subject
            What the file says of the subject; the id is the recording's name where it says nothing.
        more
            Further fields of `neurodata.recording.metadata.Metadata`; those that are None are left out.
        """
        stated = {key: value for key, value in (subject or {}).items() if value not in (None, "")}
        whom = {"id": session.partition("/")[2], "species": "unknown", **stated}
        whom |= {"id": self.subject} if self.subject else {}
        whom |= {"species": self.species} if self.species else {}
        return {
            "dataset": self.dataset,
            "recording_id": session,
            "subject": whom,
            "modality": modality,
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
            **{key: value for key, value in more.items() if value is not None},
        }


def default_dataset(raw: Path) -> str:
    """Return the name of the folder that is, or holds, the raw files."""
    place = raw.resolve()
    return safe_name((place if place.is_dir() else place.parent).name)
