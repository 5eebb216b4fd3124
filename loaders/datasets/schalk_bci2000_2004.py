"""Schalk et al. 2004: scalp EEG of executed and imagined fist and foot movements (PhysioNet eegmmidb 1.0.0)."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._edf_header import is_edf, read_header
from ..formats.edf import Edf

LABELS = ("rest", "left_fist", "right_fist", "both_fists", "both_feet")
"""Label of each code 0 … 4 in ``intervals/task``, the same in all runs."""

_FILE = re.compile(r"S(\d{3})R(\d\d)\.edf")
_RATE_HZ = 160.0
_ROWS = """Fc5. Fc3. Fc1. Fcz. Fc2. Fc4. Fc6. C5.. C3.. C1.. Cz.. C2.. C4.. C6.. Cp5. Cp3. Cp1. Cpz. Cp2. Cp4. Cp6.
Fp1. Fpz. Fp2. Af7. Af3. Afz. Af4. Af8. F7.. F5.. F3.. F1.. Fz.. F2.. F4.. F6.. F8.. Ft7. Ft8. T7.. T8.. T9.. T10.
Tp7. Tp8. P7.. P5.. P3.. P1.. Pz.. P2.. P4.. P6.. P8.. Po7. Po3. Poz. Po4. Po8. O1.. Oz.. O2.. Iz.."""
_CHANNELS = frozenset(label.strip(".") for label in _ROWS.split())
"""Labels of every run's 64 channels, without the dots they are padded with."""


@dataclass(frozen=True)
class Run:
    """What a run asked for: a sentence, whether it was only imagined, and what T1 and T2 stand for."""

    task: str
    imagined: bool = False
    t1: str = ""
    t2: str = ""


_FISTS = Run("open and close the left or the right fist", False, "left_fist", "right_fist")
_THINK_FISTS = Run("imagine opening and closing the left or the right fist", True, "left_fist", "right_fist")
_LIMBS = Run("open and close both fists or both feet", False, "both_fists", "both_feet")
_THINK_LIMBS = Run("imagine opening and closing both fists or both feet", True, "both_fists", "both_feet")
RUNS = {
    1: Run("baseline, eyes open"),
    2: Run("baseline, eyes closed"),
    **{first + 4 * block: run for block in range(3)
       for first, run in ((3, _FISTS), (4, _THINK_FISTS), (5, _LIMBS), (6, _THINK_LIMBS))},
}  # fmt: skip
"""The fourteen runs of every subject (description of eegmmidb 1.0.0, doi:10.13026/C28G6P)."""


class SchalkBci20002004(Loader):
    """EEG Motor Movement/Imagery Database: 64-channel scalp EEG of executed and imagined movements.

    109 healthy volunteers, 14 runs each, recorded with BCI2000 at 160 Hz: two baselines of a minute and twelve runs of
    two minutes in which a target asks for a fist, both fists or both feet, really (runs 3, 5, 7 …) or in imagination
    (4, 6, 8 …). A session of the subject is a run: ``S001R03`` is run 3 of subject S001.

    - ``signals/eeg``: integers as in the file (microvolts), channels with their 10-10 names (``Fc5.`` is FC5).
    - ``intervals/task``: ``label`` is ``rest``, ``left_fist``, ``right_fist``, ``both_fists`` or ``both_feet`` and
      ``code`` its number, the same in all runs; ``annotation`` is the file's T0, T1 or T2, whose meaning differs from
      run to run; ``imagined`` (false for rest); ``run``.

    Odd: channel names are padded with dots; subjects and runs are told by the files' names alone, the headers are
    anonymous. The ``.edf.event`` files repeat the annotations and are not read. Subject S088 is sampled at 128 Hz
    (moabb issue 538); a run at another rate than 160 Hz is warned of and keeps its own.

    Licence: ODC-By 1.0.

    Parameters
    ----------
    raw
        Folder of one subject, of all (``S001/S001R01.edf`` …), or one file.

    References
    ----------
    Schalk G et al. 2004, IEEE Trans Biomed Eng 51:1034-1043, doi:10.1109/TBME.2004.827072.
    Goldberger AL et al. 2000, Circulation 101:e215-e220, doi:10.1161/01.CIR.101.23.e215.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="eeg/eegmmidb-s001",
        species="Homo sapiens",
        modality="eeg",
        signal="eeg",
        targets=("intervals/task",),
        recordings={
            f"S001R{run:02}": RecordingFacts(
                subject="S001", n_channels=64, n_named=64, n_samples=20000, rate_hz=_RATE_HZ, duration_seconds=125.0
            )
            for run in (3, 4, 6, 7, 8, 10, 11, 12, 14)
        },
        interval_labels={"task": frozenset(LABELS)},
    )

    def __init__(self, raw: str | Path) -> None:
        super().__init__(raw)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the runs of a folder whose EDF files are all called and built like the published ones."""
        if not path.is_dir():
            return []
        files = sorted(file for file in path.iterdir() if file.suffix == ".edf")
        if not files or not all(_FILE.fullmatch(file.name) for file in files) or not _is_published(files[0]):
            return []
        return [Claim(path, (file,), file.stem) for file in files]

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Run (``S001R03``) → its file, in the order of the names."""
        if self.raw.is_file():
            paths = [self.raw]
        else:
            paths = [*self.raw.glob("S*R*.edf"), *self.raw.glob("S[0-9][0-9][0-9]/S*R*.edf")]
        found: dict[str, Path] = {}
        for path in sorted((path for path in paths if _FILE.fullmatch(path.name)), key=lambda path: path.name):
            if path.stem in found:
                raise RawFileError(f"{path}: {path.stem} is at {found[path.stem]} too; keep one of the two")
            found[path.stem] = path
        if not found:
            raise RawFileError(
                f"{self.raw}: expected S001R01.edf … or folders S001 … that hold them, found none; give the folder of "
                "eegmmidb, or that of a subject"
            )
        return found

    def sessions(self) -> list[str]:
        """Return one id per run, sorted by subject and run."""
        return [f"{self.name}/{run}" for run in self._files]

    def source_files(self, session: str) -> list[Path]:
        """Return the run's EDF file."""
        return [self._files[session.partition("/")[2]]]

    def load(self, session: str) -> Recording:
        """Return one run.

        Raises
        ------
        RawFileError
            If the file is damaged, has other channels than the published ones, or annotations other than T0, T1, T2.
        """
        self.check_session(session)
        (path,) = self.source_files(session)
        if not is_edf(path) or not _is_published(path):
            raise RawFileError(f"{path}: expected the 64 channels of eegmmidb (Fc5. … Iz..); it is another file")
        subject, number = path.stem[:4], int(path.stem[5:])
        if number not in RUNS:
            raise RawFileError(f"{path}: expected a run from 1 to {max(RUNS)}, got {number}")
        reader = Edf(path, dataset=self.name, name=path.stem)
        recording = reader.load(session)
        task = _make_task(path, number, recording)
        eeg = recording.signals_stored["eeg"]
        eeg = eeg.assign_coords({names.CHANNEL_ID: (names.CHANNEL, eeg[names.LABEL].values)})
        intervals = {name: recording.intervals[name] for name in recording.intervals if name != "annotations"}
        return recording.replace(
            metadata=self._metadata(session, subject, number, recording),
            signals={"eeg": eeg},
            intervals=intervals | {"task": task},
        )

    def _metadata(self, session: str, subject: str, number: int, recording: Recording) -> dict[str, Any]:
        run = RUNS[number]
        read = dict(recording.metadata)
        extra = {**read.get("extra", {}), "run": number, "imagined": run.imagined}
        rate = recording.signals_stored["eeg"].attrs.get(names.SAMPLING_RATE)
        if rate != _RATE_HZ:
            remark = f"sampled at {rate:g} Hz, the other subjects at {_RATE_HZ:g} Hz"
            warnings.warn(f"{session.partition('/')[2]}: {remark}", stacklevel=3)
            extra["remarks"] = [*extra.get("remarks", []), remark]
        return {
            **read,
            "subject": {"id": subject, "species": "Homo sapiens"},
            "session": f"R{number:02}",
            "modality": "eeg",
            "device": "BCI2000, 64 scalp electrodes (10-10 system)",
            "task": run.task,
            "licence": "ODC-By 1.0",
            "citation": "Schalk G et al. 2004, IEEE Trans Biomed Eng 51:1034-1043, doi:10.1109/TBME.2004.827072; "
            "Goldberger AL et al. 2000, Circulation 101:e215-e220, doi:10.1161/01.CIR.101.23.e215",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
            "extra": extra,
        }


def _is_published(path: Path) -> bool:
    """Whether a file has the 64 channels of the data set, and text."""
    if not is_edf(path):
        return False
    channels = [channel for channel in read_header(path).channels if not channel.is_annotations]
    return len(channels) == len(_CHANNELS) and {channel.label.rstrip(".") for channel in channels} == _CHANNELS


def _make_task(path: Path, number: int, recording: Recording) -> xr.Dataset:
    """What was asked for and when, the meaning of T1 and T2 taken from the run's number."""
    run = RUNS[number]
    meaning = {"T0": "rest"} | ({"T1": run.t1, "T2": run.t2} if run.t1 else {})
    if "annotations" not in recording.intervals:
        raise RawFileError(
            f"{path}: expected annotations T0 … T2 with a duration, there are none; fetch the file again"
        )
    table = recording.intervals["annotations"]
    annotation = table[names.LABEL].values.tolist()
    strange = sorted(set(annotation) - set(meaning))
    if strange:
        raise RawFileError(
            f"{path}: expected the annotations {', '.join(meaning)} in run {number}, got {strange[0]!r}; is the run's "
            "number in the file's name right?"
        )
    label = [meaning[text] for text in annotation]
    return make_intervals(
        table[names.START].values,
        table[names.STOP].values,
        label=label,
        code=np.array([LABELS.index(text) for text in label], np.int64),
        imagined=np.array([run.imagined and text != "rest" for text in label], np.bool_),
        annotation=annotation,
        duration=table["duration"].values,
        run=np.full(len(label), number, np.int32),
    )
