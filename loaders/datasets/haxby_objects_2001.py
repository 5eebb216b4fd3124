"""Haxby et al. 2001: BOLD of one subject who saw eight categories of objects, in two reduced versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._fmri_tables import Regressors, read_table, read_text, to_numbers
from ..formats._nifti_atlas import check_grid
from ..formats._nifti_header import open_header
from ..formats._nifti_volumes import read_volume
from ..formats.nifti import Nifti, make_regressors

CATEGORIES = ("house", "scrambledpix", "cat", "shoe", "bottle", "scissors", "chair", "face")
"""Condition 1 … 8 of ``condition_key.txt``; the place in this list is the interval's ``code``."""

_MASKS = ("brain", "gray", "white", "vt", "hoc")
_MOTION = ("rot_x", "rot_y", "rot_z", "trans_x", "trans_y", "trans_z")
_KEY = Path("models/model001/condition_key.txt")
_VARIANTS = {"1slice": 800, "25mm": 600}
_MOST_TEXT = 1 << 20


class HaxbyObjects2001(Loader):
    """Functional MRI of subject 1 of Haxby et al. 2001, twelve runs, reduced by the authors of PyMVPA.

    A 3 T scanner, 121 volumes per run at TR 2.5 s. In each run eight blocks of 22.5 to 24 s, one per category of objects, set
    apart by rest.

    - ``signals/bold``: int16 as stored, every voxel a channel named ``i_j_k`` with its place in mm (space of the
      scanner). Variant ``1slice``: one axial half-slice at full resolution (3.1 × 3.75 × 3.75 mm), 40 × 20 × 1 voxels,
      a third of which are 0 throughout (outside the head). Variant ``25mm``: the whole brain in 6 × 10 × 10 voxels of
      25 mm, with the authors' masks as columns: ``brain``, ``gray``, ``white``, ``vt`` (ventral temporal: one voxel of
      this grid) and ``hoc``, the number of the Harvard-Oxford cortical region (0: none; no names are shipped).
    - ``intervals/stimulus``: ``label`` is the category, ``code`` its place in the condition key (from 0), the same in
      all runs. The blocks of ``bold_events.tsv``, checked against the FSL onset files.
    - ``signals/motion``: estimates of FSL's MCFLIRT, rotations in radian, translations in mm.

    Odd: not BIDS but the older OpenfMRI layout; the units of ``bold_moest.txt`` are not stated in the files, its
    columns are those of MCFLIRT's ``.par``. The anatomical images of the 25-mm grid are not read.

    Licence: CC BY-SA 3.0.

    Parameters
    ----------
    raw
        Folder with ``sub001``, ``models`` and ``scan_key.txt``.
    variant
        Which reduced version is read.

    References
    ----------
    Haxby JV et al. 2001, Science 293:2425-2430, doi:10.1126/science.1063736.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="fmri/haxby2001-pymvpa",
        species="Homo sapiens",
        modality="fmri",
        signal="bold",
        targets=("intervals/stimulus",),
        recordings={
            f"run{number:03d}": RecordingFacts(
                subject="sub001", duration_seconds=302.5, n_channels=800, n_samples=121, rate_hz=0.4
            )
            for number in range(1, 13)
        },
        interval_labels={"stimulus": frozenset(CATEGORIES)},
    )

    def __init__(self, raw: str | Path, *, variant: Literal["1slice", "25mm"] = "1slice") -> None:
        super().__init__(raw, variant=variant)
        if variant not in _VARIANTS:
            raise RawFileError(f"{raw}: option 'variant' is one of {', '.join(_VARIANTS)}, got {variant!r}")
        self.variant = variant

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the runs of a folder in this layout with these categories."""
        if not (path / _KEY).is_file() or not (path / "scan_key.txt").is_file() or not _runs(path):
            return []
        if not all(category in read_text(path / _KEY, _MOST_TEXT) for category in CATEGORIES):
            return []
        loader = cls(path)
        return [
            Claim(path, tuple(loader.source_files(session)), session.partition("/")[2]) for session in loader.sessions()
        ]

    def sessions(self) -> list[str]:
        """Return one id per run that has a BOLD file of either variant."""
        runs = _runs(self.raw)
        if not runs:
            raise RawFileError(
                f"{self.raw}: expected sub001/BOLD/task001_run001/bold_1slice.nii.gz …, found none; give the folder "
                "that holds sub001"
            )
        return [f"{self.name}/{run}" for run in runs]

    def source_files(self, session: str) -> list[Path]:
        """Return volumes, events, motion, keys, onsets and, for the 25-mm variant, masks."""
        run = session.partition("/")[2]
        folder = self.raw / "sub001" / "BOLD" / f"task001_{run}"
        onsets = self.raw / "sub001" / "model" / "model001" / "onsets" / f"task001_{run}"
        masks = [self.raw / "sub001/masks/25mm" / f"{name}.nii.gz" for name in _MASKS]
        return [
            folder / f"bold_{self.variant}.nii.gz",
            folder / "bold_events.tsv",
            folder / "bold_moest.txt",
            self.raw / "scan_key.txt",
            self.raw / _KEY,
            *(onsets / f"cond{number:03d}.txt" for number in range(1, len(CATEGORIES) + 1)),
            *(masks if self.variant == "25mm" else []),
        ]

    def load(self, session: str) -> Recording:
        """Return one run.

        Raises
        ------
        RawFileError
            If a file is missing or damaged, the condition key lists other categories, or the two lists of onsets differ.
        """
        self.check_session(session)
        bold_path, events_path, motion_path, scan_path, key_path, *others = self.source_files(session)
        n_conditions = len(CATEGORIES)
        sources = describe_sources(self.source_files(session))
        _check_key(key_path)
        tr = _read_tr(scan_path)
        volumes = Nifti(bold_path, dataset=self.name, tr=tr)
        bold = volumes.load(volumes.sessions()[0]).signals_stored["bold"]
        bold = bold.assign_attrs(sampling_rate_source=f"{scan_path.name} (TR {tr:g} s)")
        for path in others[n_conditions:]:
            bold = bold.assign_coords({path.name.split(".")[0]: ("channel", _mask(bold_path, path))})
        stimulus = _read_blocks(events_path, others[:n_conditions])
        motion = _read_motion(motion_path, bold.sizes[names.TIME], tr)
        metadata = self._metadata(session) | {"source_files": sources}
        return Recording(metadata, {"bold": bold, "motion": motion}, intervals={"stimulus": stimulus})

    def _metadata(self, session: str) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "recording_id": session,
            "subject": {"id": "sub001", "species": "Homo sapiens"},
            "modality": "fmri",
            "device": "3 T GE scanner",
            "task": "object viewing",
            "licence": "CC BY-SA 3.0",
            "citation": "Haxby JV et al. 2001, Science 293:2425-2430, doi:10.1126/science.1063736; reduced by Hanke M et "
            "al. 2009, Neuroinformatics 7:37-53",
            "loader": self.used,
        }


def _runs(raw: Path) -> list[str]:
    folders = (raw / "sub001" / "BOLD").glob("task001_run*")
    found = [
        folder.name.partition("_")[2]
        for folder in folders
        if any((folder / f"bold_{variant}.nii.gz").is_file() for variant in _VARIANTS)
    ]
    return sorted(run for run in found if re.fullmatch(r"run\d{3}", run))


def _check_key(path: Path) -> None:
    found = tuple(line.split()[-1] for line in read_text(path, _MOST_TEXT).splitlines() if line.strip())
    if found != CATEGORIES:
        raise RawFileError(f"{path}: expected the conditions {', '.join(CATEGORIES)}, got {', '.join(found)[:200]}")


def _read_tr(path: Path) -> float:
    match = re.search(r"^TR\s+(\d+(\.\d+)?)\s*$", read_text(path, _MOST_TEXT), re.MULTILINE)
    if match is None or not float(match[1]) > 0:
        raise RawFileError(f"{path}: expected a line such as 'TR 2.5', got {read_text(path, _MOST_TEXT)[:60]!r}")
    return float(match[1])


def _mask(bold_path: Path, path: Path) -> NDArray[Any]:
    """A mask's value for each voxel: true or false, or the number of a region."""
    header = open_header(path)
    check_grid(open_header(bold_path), header, "mask")
    values = read_volume(header)
    return values.astype(np.int64) if path.name.startswith("hoc") else values > 0


def _read_blocks(path: Path, onset_paths: list[Path]) -> xr.Dataset:
    """Blocks in the order of the table, each found in the FSL file of its condition."""
    table = read_table(path)
    if table.header != ("onset", "duration", "trial_type"):
        raise RawFileError(
            f"{path}: expected the columns onset, duration and trial_type, got {', '.join(table.header)}"
        )
    labels = table.column("trial_type")
    times = to_numbers(path, [row[:2] for row in table.rows]).astype(np.float64)
    if not np.isfinite(times).all() or (times[:, 1] < 0).any():
        raise RawFileError(f"{path}: expected onsets and durations in seconds, got {times[~np.isfinite(times)][:1]}")
    listed = set()
    for category, onset_path in zip(CATEGORIES, onset_paths):
        rows = to_numbers(onset_path, read_table(onset_path).rows)
        if rows.shape[1:] != (3,):
            raise RawFileError(
                f"{onset_path}: expected onset, duration and weight in each line, got {rows.shape[1:]} cells"
            )
        listed |= {(category, float(row[0]), float(row[1])) for row in rows}
    given = {(label, float(onset), float(duration)) for label, (onset, duration) in zip(labels, times)}
    if given != listed:
        odd = sorted(given ^ listed)[0]
        where = path.name if odd in given else "the FSL onset files"
        raise RawFileError(f"{path}: block {odd} is in {where} only; events and FSL onsets should list the same blocks")
    return make_intervals(
        times[:, 0],
        times[:, 0] + times[:, 1],
        attributes={"source": path.name, "code_source": "place in condition_key.txt, from 0"},
        label=labels,
        code=np.array([CATEGORIES.index(label) for label in labels], np.int64),
    )


def _read_motion(path: Path, n_volumes: int, tr: float) -> xr.DataArray:
    values = to_numbers(path, read_table(path).rows).astype(np.float64)
    if values.shape != (n_volumes, len(_MOTION)):
        raise RawFileError(f"{path}: expected {n_volumes} rows of 6 motion estimates, got {values.shape}")
    source = f"{path.name} (layout of FSL MCFLIRT; units not stated in the file)"
    table = Regressors(values, list(_MOTION), ["rad"] * 3 + ["mm"] * 3, source)
    return make_regressors(table, {"rate_hz": 1.0 / tr})
