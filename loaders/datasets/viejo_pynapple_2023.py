"""Viejo et al. 2023: the suite2p folder of a two-photon recording in pynapple's test data."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._calcium_rate import check_rate_option
from ..formats.suite2p import Suite2p
from ..npy_files import open_npy

_RECORDING = "2022_08_08"
_SHAPE = (219, 2000)
_PLANE = Path("suite2p", "plane0")


class ViejoPynapple2023(Loader):
    """One plane of a two-photon recording as suite2p left it: 219 regions, 2000 frames, nothing said of the animal.

    The test data of pynapple (session 2022_08_08): raw fluorescence, neuropil and deconvolved activity of the same
    regions, 219 in all, with suite2p's verdict which of them are cells and its statistics; see the loader
    ``suite2p``, which reads the files.

    Odd: ``ops.npy`` is not there, so the frame rate is unknown and time counts frames; ``rate_hz`` states it. Species,
    region, indicator and behaviour are not stated in the repository. Some regions have a fluorescence of zero
    throughout.

    Licence of the files: MIT (the repository's).

    Parameters
    ----------
    raw
        Folder with ``suite2p/plane0/F.npy`` and what belongs to it.
    rate_hz
        Frames per second.

    References
    ----------
    Viejo G et al. 2023, eLife 12:RP85786, doi:10.7554/eLife.85786.
    Pachitariu M et al. 2017, bioRxiv 061507.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="calcium/suite2p-pynapple",
        species="unknown",
        modality="calcium",
        signal="fluorescence",
        recordings={
            _RECORDING: RecordingFacts(
                subject="unknown", duration_seconds=0.0, n_channels=_SHAPE[0], n_samples=_SHAPE[1]
            )
        },
    )

    def __init__(self, raw: str | Path, *, rate_hz: float | None = None) -> None:
        super().__init__(raw, rate_hz=rate_hz)
        check_rate_option(rate_hz)
        self.rate_hz = rate_hz

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording of a folder whose only plane has 219 regions, 2000 frames and no settings."""
        plane = path / _PLANE
        if not (plane / "F.npy").is_file() or (plane / "ops.npy").exists() or len(list(plane.parent.iterdir())) != 1:
            return []
        try:
            if open_npy(plane / "F.npy").shape != _SHAPE:
                return []
        except RawFileError:
            return []
        return [Claim(path, tuple(claim.files), _RECORDING) for claim in Suite2p.claim(plane)]

    def sessions(self) -> list[str]:
        """Return the one recording."""
        if not self.claim(self.raw):
            raise RawFileError(
                f"{self.raw}: expected {_PLANE.as_posix()}/F.npy of {_SHAPE[0]} regions and {_SHAPE[1]} frames without "
                "ops.npy; read other suite2p folders with the loader 'suite2p'"
            )
        return [f"{self.name}/{_RECORDING}"]

    def source_files(self, session: str) -> list[Path]:
        """Return all files of the plane."""
        return [file for claim in self.claim(self.raw) for file in claim.files]

    def load(self, session: str) -> Recording:
        """Return the recording.

        Raises
        ------
        RawFileError
            If a file is damaged or of other regions than the others.
        """
        self.check_session(session)
        plane = Suite2p(self.raw / _PLANE, dataset=self.name, name=_RECORDING, rate_hz=self.rate_hz)
        recording = plane.load(session)
        metadata = {
            **recording.metadata,
            "subject": {"id": "unknown", "species": "unknown"},
            "session": _RECORDING,
            "device": "two-photon microscope (suite2p)",
            "licence": "MIT (repository pynapple)",
            "citation": "Viejo G et al. 2023, eLife 12:RP85786, doi:10.7554/eLife.85786",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
        }
        return recording.replace(metadata=metadata)
