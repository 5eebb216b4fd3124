"""Region by time tables of fMRI: AFNI .1D, .csv, .tsv, .npy and .mat, with the names of the regions."""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim
from ..discover import Found, find_recordings
from ..format_loader import FormatLoader
from ..options import OptionError
from ._fmri_matlab import list_matlab
from ._fmri_parcels import (
    SUFFIXES,
    Matrix,
    Orientation,
    check_names,
    choose_time_axis,
    find_names,
    read_matrix,
    read_names,
)
from ._fmri_sidecar import Spacing, choose_spacing, find_sidecars, parse_name, read_sidecars

_FMRI = re.compile(
    r"(?i)(^|[^a-z])(bold|fmri|rs-?fmri|roi_?signals|aal\d?|schaefer\d*|gordon\d*|glasser\d*|desikan|dk\d+|"
    r"cc[24]00|power264|dosenbach\d*|harvard-?oxford|parcel\w*)([^a-z]|$)|rsfmri|roisignals"
)
"""Words in a name by which a table is of fMRI."""
_NOT_REGIONS = re.compile(
    r"(?i)motion|motpar|dfile|enorm|outcount|censor|stim|ideal|confound|events|connectivity|(^|_)fc(_|$)|corr|regressors"
)
_CHECKED_BYTES = 256 << 20
_FEWEST = 10


class Parcellated(FormatLoader):
    """Functional MRI that is averaged over regions already: a table of regions by time.

    Text (``.1D`` of AFNI with ``#`` comments, ``.csv``, ``.tsv``, ``.txt``), ``.npy``, and ``.mat`` (up to v7 and v7.3).

    - ``signals/bold``: values as in the file, a row per volume whichever way round the file has them. Time is the axis
      that names of regions do not count; without names the longer one (attribute ``orientation_source``), or what the
      option says. Names come from the header (also one behind ``#``, as in ABIDE's tables), from rows of text, from a
      list in the ``.mat`` file, or from a file of labels beside it or given; without any, channels are ``region001`` ….
    - The rate is that of option, JSON sidecar (``RepetitionTime``, ``SamplingFrequency``), AFNI's ``RowTR`` or a column
      of times; where none says it is unknown and time counts frames.

    Columns that count volumes or name files (``3dROIstats``) are left out and listed in ``dropped_columns``. ``auto``
    takes only what is plainly of this kind: ``.1D`` tables, BIDS derivatives with an atlas
    (``…_atlas-Gordon_timeseries.tsv``), and tables whose name speaks of fMRI or of an atlas; asked for by its name
    this loader reads any table of numbers. Arrays with three axes, connectivity matrices and motion estimates are not
    read.

    Parameters
    ----------
    raw
        A file, or a folder that is searched.
    tr, rate_hz
        Seconds between volumes, or volumes per second, where the files do not say or say it wrongly.
    labels
        File with the names of the regions: one per line, or a lookup table.
    orientation
        ``time_first`` (a row per volume), ``time_last`` (a column per volume) or ``auto``.
    variable
        Which array of a ``.mat`` file.
    """

    version: ClassVar[int] = 1
    # Above general tables and containers (1): what is claimed here is plainly of fMRI, and they would read it too.
    specificity: ClassVar[int] = 2

    def __init__(
        self,
        raw: str | Path,
        *,
        tr: float | None = None,
        rate_hz: float | None = None,
        labels: str | None = None,
        orientation: Literal["auto", "time_first", "time_last"] = "auto",
        variable: str | None = None,
        **common: str | None,
    ) -> None:
        own = {"labels": labels, "orientation": orientation, "variable": variable}
        super().__init__(raw, tr=tr, rate_hz=rate_hz, **own, **common)
        choose_spacing(tr, rate_hz, {}, None)
        self.tr, self.rate_hz, self.variable = tr, rate_hz, variable
        self.labels = Path(labels) if labels else None
        self.orientation: Orientation = orientation
        if self.labels is not None and not self.labels.is_file():
            raise OptionError(f"option 'labels' is a file, there is none at {labels!r}; check the spelling")

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording that a table of regions is, where name and content leave no doubt."""
        if not _may_be_table(path) or not _says_fmri(path):
            return []
        try:
            matrix = read_matrix(path)
        except RawFileError:
            return []
        rows, columns = matrix.values.shape
        if min(rows, columns) < 2 or max(rows, columns) < _FEWEST or (rows == columns and not matrix.names):
            return []
        if any(re.fullmatch(r"(?i)onset|duration|trans_x|rot_x|framewise_displacement", name) for name in matrix.names):
            return []
        return [_claim_of(path, matrix)]

    @cached_property
    def found(self) -> dict[str, Found]:
        """Recording id → where it lies; any table of numbers where nothing is plainly of fMRI."""
        try:
            return super().found
        except OptionError:
            raise
        except RawFileError:
            entries, skipped = find_recordings(self.raw, [_AnyTable])
            if not entries:
                why = "; ".join(f"{entry.path.name}: {entry.reason}" for entry in skipped[:3])
                raise RawFileError(
                    f"{self.raw}: expected 'parcellated' data, found none here ({why or 'it is empty'}); expected "
                    "tables of regions by time as .1D, .csv, .tsv, .npy or .mat"
                ) from None
            if self.recording_name is not None:
                if len(entries) > 1:
                    raise OptionError(f"option 'name' names one recording, {self.raw} holds {len(entries)}") from None
                return {f"{self.dataset}/{self.recording_name}": entries[0]}
            return {f"{self.dataset}/{entry.name}": entry for entry in entries}

    def source_files(self, session: str) -> list[Path]:
        """Return the table, its sidecar and the names of its regions."""
        return list(dict.fromkeys([*super().source_files(session), *([self.labels] if self.labels else [])]))

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one table as a recording."""
        path = claim.path
        matrix = read_matrix(path, self.variable)
        beside = self.labels or (None if matrix.names else find_names(path, matrix.values.shape))
        listed = read_names(beside) if beside else matrix.names
        time_axis, why = choose_time_axis(path, matrix, len(listed), self.orientation)
        if beside is None and listed and len(listed) != matrix.values.shape[1 - time_axis]:
            listed = ()  # the option says that what looked like names of regions counts volumes
        matrix = check_names(beside or path, matrix, listed, time_axis)
        sidecar = read_sidecars(find_sidecars(path))
        clock, source = self._clock(path, matrix, sidecar)
        values = matrix.values if time_axis == 0 else matrix.values.T
        ids, columns = _channels(matrix, values.shape[1], (beside or path).name)
        stated = parse_name(path).entities
        attributes: dict[str, Any] = {"orientation_source": why, "sampling_rate_source": source}
        attributes |= {"atlas": stated.get("atlas") or stated.get("seg")} if {"atlas", "seg"} & set(stated) else {}
        attributes |= {"variable": matrix.variable} if matrix.variable else {}
        attributes |= {"dropped_columns": list(matrix.dropped)} if matrix.dropped else {}
        bold = make_signal(_lazy(values), channel_id=ids, units="BOLD a.u.", columns=columns, **attributes, **clock)
        metadata = self.describe(
            session,
            modality="fmri",
            subject={"id": stated["sub"]} if "sub" in stated else None,
            task=str(sidecar.get("TaskName") or stated.get("task") or "") or None,
            extra={"sidecar": sidecar} if sidecar else None,
        )
        return Recording(metadata | ({"session": f"ses-{stated['ses']}"} if "ses" in stated else {}), {"bold": bold})

    def _clock(self, path: Path, matrix: Matrix, sidecar: dict[str, Any]) -> tuple[dict[str, Any], str]:
        stated = Spacing(matrix.tr, "RowTR of the file") if matrix.tr else None
        start = 0.0
        if matrix.times is not None and self.tr is None and self.rate_hz is None:
            steps = np.diff(matrix.times)
            if not np.allclose(steps, steps.mean(), rtol=1e-3, atol=0):
                return {"time": matrix.times}, "column of times"
            stated, start = Spacing(float(f"{steps.mean():.9g}"), "column of times"), float(matrix.times[0])
        spacing = choose_spacing(self.tr, self.rate_hz, sidecar, stated)
        if spacing.problem:
            warnings.warn(f"{path}: {spacing.problem}", stacklevel=3)
        return {"rate_hz": spacing.rate_hz} | ({"start_seconds": start} if spacing.seconds else {}), spacing.source


class _AnyTable(Parcellated):
    """Claims every table of numbers, for who asks for this loader by its name."""

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        if not _may_be_table(path):
            return []
        if path.suffix.lower() == ".mat" and sum(len(shape) == 2 for shape in list_matlab(path).values()) > 1:
            return [Claim(path, (path, *find_sidecars(path)))]  # which array it is may be an option's to say
        matrix = read_matrix(path)
        if max(matrix.values.shape) < _FEWEST:
            raise RawFileError(f"{path}: {matrix.values.shape} numbers; expected a table of regions by time")
        return [_claim_of(path, matrix)]


def _may_be_table(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES and 0 < path.stat().st_size <= _CHECKED_BYTES


def _says_fmri(path: Path) -> bool:
    """Whether a name is that of a table of regions; content is looked at after it."""
    stem = path.name.rpartition(".")[0]
    entities = parse_name(path).entities
    if _NOT_REGIONS.search(stem):
        return False
    if path.suffix.lower() == ".1d":
        return True
    return bool({"atlas", "seg"} & set(entities)) or (
        bool(_FMRI.search(stem.removesuffix("_labels"))) and not stem.endswith("labels")
    )


def _claim_of(path: Path, matrix: Matrix) -> Claim:
    beside = None if matrix.names else find_names(path, matrix.values.shape)
    return Claim(path, (path, *find_sidecars(path), *([beside] if beside else [])))


def _channels(matrix: Matrix, n_regions: int, source: str) -> tuple[list[str], dict[str, Any]]:
    found = [name.strip().strip('"').removeprefix("#") for name in matrix.names]
    if not found:
        return [f"region{number:03d}" for number in range(1, n_regions + 1)], {}
    unique = all(found) and len(set(found)) == len(found)
    columns = {names.LABEL: found, "region": found, names.LABEL_SOURCE: [source if name else "" for name in found]}
    return (found if unique else [f"region{number:03d}" for number in range(1, n_regions + 1)]), columns


def _lazy(values: NDArray[Any]) -> Any:
    """The values in the machine's byte order; a memory map is read where it is asked for."""
    native = values.dtype.newbyteorder("=")
    if not isinstance(values, np.memmap):
        return np.ascontiguousarray(values, native)
    n_volumes, n_regions = values.shape
    return lazy_rows((n_volumes, n_regions), native, lambda first, after: np.array(values[first:after], native))
