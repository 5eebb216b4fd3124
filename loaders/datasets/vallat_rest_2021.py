"""Resting EEG with eyes open, two derivations (notebook data of YASA)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats.mne_raw import MneRaw

_FILE = "data_resting_EO_200Hz_raw.fif"
_DERIVATIONS = (b"F4-A1", b"CZ-A2")


class VallatRest2021(Loader):
    """Six minutes of rest with eyes open, two EEG derivations of one person, from the notebooks of YASA.

    ``data_resting_EO_200Hz_raw.fif`` holds the derivations ``F4-A1`` and ``CZ-A2`` (each scalp electrode against the
    ear lobe of the other side) at 200 Hz, 72000 samples, volts. There are no events and no behaviour, so nothing can be
    decoded; the file serves spectra and forecasts. Band-pass and reference are those of the file; nothing is filtered.

    What is odd: both derivations are typed as EEG, but neither is an electrode, so neither has a position (``Cz-A2`` is
    not at Cz). The file begins 10 s after its measurement date; time 0 is the first sample, ``session_start`` its
    moment. Age, sex and country of the person are not stated. The recording is shipped with YASA for its spectral
    notebooks and belongs to no published study of its own; it is cited by YASA's paper.

    Licence: BSD-3-Clause (repository of YASA).

    Parameters
    ----------
    raw
        The folder that holds the file.

    References
    ----------
    Vallat R, Walker MP 2021, eLife 10:e70092, doi:10.7554/eLife.70092. Files: github.com/raphaelvallat/yasa at commit
    8da14cc4beb7bc5864e69132c66b6c1f2855ba53, ``notebooks/data_resting_EO_200Hz_raw.fif``.
    """

    version = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="eeg/yasa-rest-fif",
        species="Homo sapiens",
        modality="eeg",
        signal="eeg",
        recordings={
            "rest": RecordingFacts(
                subject="subject1", duration_seconds=360.0, n_channels=2, n_named=2, n_samples=72000, rate_hz=200.0
            )
        },
    )

    def __init__(self, raw: str | Path) -> None:
        super().__init__(raw)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording of a folder that holds the file with its two derivations."""
        file = path / _FILE
        if not file.is_file():
            return []
        with file.open("rb") as stream:
            head = stream.read(65_536)
        return [Claim(path, (file,), "rest")] if all(name in head for name in _DERIVATIONS) else []

    def sessions(self) -> list[str]:
        """Return the one recording's id."""
        if not (self.raw / _FILE).is_file():
            raise RawFileError(
                f"{self.raw}: expected {_FILE} in this folder, it is not there; give the folder that holds it"
            )
        return [f"{self.name}/rest"]

    def source_files(self, session: str) -> list[Path]:
        """Return the FIF file."""
        return [self.raw / _FILE]

    def load(self, session: str) -> Recording:
        """Return the recording.

        Raises
        ------
        RawFileError
            If the file is damaged or holds other channels.
        """
        self.check_session(session)
        path = self.raw / _FILE
        reader = MneRaw(path, dataset=self.name, name="rest", subject="subject1", species="Homo sapiens")
        recording = reader.load(session)
        labels = [str(label) for label in recording.signals["eeg"].coords["label_raw"].values]
        if labels != [name.decode() for name in _DERIVATIONS]:
            raise RawFileError(f"{path}: expected the derivations F4-A1 and CZ-A2, got {', '.join(labels)}")
        metadata = {
            **recording.metadata,
            "task": "rest, eyes open",
            "device": "scalp electrodes against the ear lobe of the other side",
            "licence": "BSD-3-Clause (repository of YASA)",
            "citation": "Vallat R, Walker MP 2021, eLife 10:e70092, doi:10.7554/eLife.70092",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
        }
        return recording.replace(metadata=metadata)
