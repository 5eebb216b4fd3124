"""Visual selective attention, one person (EEGLAB's tutorial recording)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._mne_eeglab import find_files, read_struct
from ..formats.mne_raw import MneRaw

_FILES = ("eeglab_data.set", "eeglab_data.fdt")
_LOCATIONS = "eeglab_chan32.locs"
_N_CHANNELS = 32
_EYES = ("EOG1", "EOG2")


class DelormeAttention2004(Loader):
    """EEG of visual selective attention: targets at an attended place and the button presses that answer them.

    One person watched five squares in a row above the point of fixation. In each block one square was marked; whenever
    a filled square appeared there (``square``; column ``position``: 1 or 2, both in the left visual field) the right
    thumb pressed a button (``rt``). 32 channels at 128 Hz, 30504 samples (238.3 s), 80 targets and 74 presses.

    Signals: ``eeg`` (30 scalp electrodes) and ``eog`` (``EOG1``, ``EOG2``, which the file types like the others), in
    volts; the file holds microvolts as float32. Reference ``common``. ``events/annotations`` has the labels ``square``
    and ``rt``, the column ``position`` (NaN for presses) and EEGLAB's ``urevent``; times are of a fraction of a sample,
    as in the file. Positions of electrodes are those inside the ``.set`` (a unit sphere, scaled to 0.1 m as MNE does);
    ``eeglab_chan32.locs`` says the same in polar form.

    What is odd: the recording is continuous in name only. It was made by putting three-second pieces around the targets
    one after the other, and the file marks no boundaries, so filters ring at seams that nobody can see. What can be
    decoded is where the target was and whether an event is a target or a press.

    Licence: BSD-2-Clause (repository of EEGLAB; the sample data carry no separate statement).

    Parameters
    ----------
    raw
        The folder that holds ``eeglab_data.set`` and ``eeglab_data.fdt``.

    References
    ----------
    Delorme A, Makeig S 2004, J Neurosci Methods 134:9-21, doi:10.1016/j.jneumeth.2003.10.009. Task: Makeig S et al.
    1999, J Neurosci 19:2665-2680. Files: github.com/sccn/eeglab, ``sample_data``.
    """

    version = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="eeg/eeglab-sample",
        species="Homo sapiens",
        modality="eeg",
        signal="eeg",
        recordings={
            "attention": RecordingFacts(
                subject="subject1", duration_seconds=238.3125, n_channels=30, n_named=30, n_samples=30504, rate_hz=128.0
            )
        },
        targets=("events/annotations",),
    )

    def __init__(self, raw: str | Path) -> None:
        super().__init__(raw)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording of a folder with the pair of files, if its events are targets and presses."""
        if not all((path / name).is_file() for name in _FILES):
            return []
        with (path / _FILES[0]).open("rb") as stream:
            head = stream.read(4096)
        if not find_files(path / _FILES[0], head):
            return []
        eeg = read_struct(path / _FILES[0])
        events = eeg.get("event")
        if not isinstance(events, dict) or eeg["nbchan"] != _N_CHANNELS:
            return []
        kinds = {str(kind) for kind in np.atleast_1d(np.asarray(events.get("type", []), dtype=object))}
        if kinds != {"square", "rt"} or "position" not in events:
            return []
        return [Claim(path, tuple(cls(path).source_files("")), "attention")]

    def sessions(self) -> list[str]:
        """Return the one recording's id."""
        missing = [name for name in _FILES if not (self.raw / name).is_file()]
        if missing:
            raise RawFileError(
                f"{self.raw}: expected {' and '.join(_FILES)} in this folder, {missing[0]} is not there; "
                "give the folder that holds both"
            )
        return [f"{self.name}/attention"]

    def source_files(self, session: str) -> list[Path]:
        """Return header, samples and, where it is there, the file of positions."""
        files = [self.raw / name for name in _FILES]
        return [*files, self.raw / _LOCATIONS] if (self.raw / _LOCATIONS).is_file() else files

    def load(self, session: str) -> Recording:
        """Return the recording.

        Raises
        ------
        RawFileError
            If a file is damaged, or does not hold 30 electrodes and two EOG channels.
        """
        self.check_session(session)
        path = self.raw / _FILES[0]
        reader = MneRaw(path, dataset=self.name, name="attention", subject="subject1", species="Homo sapiens")
        recording = reader.load(session)
        found = {name: signal.sizes["channel"] for name, signal in recording.signals_stored.items()}
        if found != {"eeg": _N_CHANNELS - len(_EYES), "eog": len(_EYES)}:
            told = ", ".join(f"{number} {name}" for name, number in found.items())
            raise RawFileError(
                f"{path}: expected 30 channels of EEG and 2 of EOG, got {told}; is it another recording?"
            )
        metadata = {
            **recording.metadata,
            "task": "visual selective attention: a button press for each target at the attended place",
            "device": "scalp electrodes, common reference",
            "licence": "BSD-2-Clause (repository of EEGLAB)",
            "citation": "Delorme A, Makeig S 2004, J Neurosci Methods 134:9-21, doi:10.1016/j.jneumeth.2003.10.009",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
        }
        return recording.replace(metadata=metadata)
