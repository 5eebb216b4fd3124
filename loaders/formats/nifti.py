"""4-D NIfTI: BOLD volumes as voxels, or as regions of an atlas."""

from __future__ import annotations

import dataclasses
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim
from ..discover import Found
from ..format_loader import FormatLoader
from ..options import OptionError
from ._fmri_lut import find_lut, read_lut
from ._fmri_sidecar import Spacing, choose_spacing, parse_name, read_sidecars, spacing_of_header
from ._fmri_tables import Regressors, read_confounds, read_events, read_motion
from ._nifti_atlas import Channels, check_grid, choose_voxels, label_regions, map_regions, read_labels
from ._nifti_companions import Companions, find_companions
from ._nifti_header import NiftiHeader, no_recording, open_header, partner, peek
from ._nifti_volumes import Volumes, read_volume

_CONVENTION = "time of a sample is when the acquisition of its volume began; events count from the first volume"
_CORRECTED = "slices were shifted to one common moment of each volume (SliceTimingCorrected); events count as before"


class Nifti(FormatLoader):
    """Functional MRI in 4-D NIfTI files (NIfTI-1, NIfTI-2, compressed or not, pairs ``.hdr``/``.img``, ANALYZE 7.5).

    - ``signals/bold``: one row per volume. Without an option every voxel is a channel, named ``i_j_k``, with its
      indices (i fastest), its place x, y, z in mm where the header has coordinates, and ``slice_time``, the seconds
      after the volume's start, where header or sidecar states it. Stored integers are kept; ``scl_slope`` and
      ``scl_inter`` become scale factor and offset. With ``mask`` only voxels inside it; with ``labels`` the mean over
      each label's voxels (computed in float64, label 0 left out); with ``maps`` one channel per map. Regions have
      ``atlas_index``, the number of voxels, a name where a lookup table has one, and the place that the table gives
      or else the label's centroid (``position_source`` says which).
    - A mask or label image that lies beside the file under its name becomes the columns ``mask``, ``atlas_index`` and
      ``region`` of the voxels; nothing is averaged unasked.
    - ``signals/confounds`` and ``signals/motion`` (role behavior; each column has its unit): fMRIPrep's table, or the
      estimates of FSL, SPM or AFNI beside the file. ``intervals/trials``: the table of events, all columns.

    Time between volumes: option ``tr``, else the JSON sidecar (with BIDS inheritance), else the header, where a step
    of 1 without a unit means unknown. Volumes are read forward once, a few at a time. Label images, masks and maps on
    another grid are refused, never resampled. One volume is no recording; diffusion, perfusion, field maps and
    statistics (by intent code, name or ``.bval``) are left alone; CIFTI has a loader of its own.

    Parameters
    ----------
    raw
        A file, or a folder that is searched.
    tr, rate_hz
        Seconds between volumes, or volumes per second, where the files do not say or say it wrongly.
    labels, maps, mask
        Label image, 4-D maps or mask on the grid of the BOLD file; one of them at most.
    lut
        Names of the regions (``.tsv``, ``.csv``, ``.txt``, ``.json``, FSL's or AAL's ``.xml``); what lies beside the
        label image under its name where left out.
    maps_method
        ``weighted_mean`` of the voxels by the map, or ``regression`` of the volume on all maps.
    events, confounds, motion
        Tables with other names or in other places.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(
        self,
        raw: str | Path,
        *,
        tr: float | None = None,
        rate_hz: float | None = None,
        labels: str | None = None,
        maps: str | None = None,
        mask: str | None = None,
        lut: str | None = None,
        maps_method: Literal["weighted_mean", "regression"] = "weighted_mean",
        events: str | None = None,
        confounds: str | None = None,
        motion: str | None = None,
        **common: str | None,
    ) -> None:
        paths = {"labels": labels, "maps": maps, "mask": mask, "lut": lut}
        tables = {"events": events, "confounds": confounds, "motion": motion}
        super().__init__(raw, tr=tr, rate_hz=rate_hz, maps_method=maps_method, **paths, **tables, **common)
        choose_spacing(tr, rate_hz, {}, None)
        self.tr, self.rate_hz, self.maps_method = tr, rate_hz, maps_method
        given = [key for key in ("labels", "maps", "mask") if paths[key]]
        if len(given) > 1:
            raise OptionError(f"options {' and '.join(map(repr, given))} both say what the channels are; give one")
        if lut and not (labels or maps):
            raise OptionError("option 'lut' names the regions of option 'labels' or 'maps'; give one of them too")
        self.given = {key: Path(path) for key, path in (paths | tables).items() if path}
        for key, path in self.given.items():
            if not path.is_file():
                raise OptionError(f"option {key!r} is a file, there is none at {str(path)!r}; check the spelling")

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording that a 4-D file is; raises for NIfTI files that hold none, saying what they hold."""
        if not path.is_file():
            return []
        head, lower = path, path.name.removesuffix(".gz").lower()
        if lower.endswith(".img"):
            head = partner(path) or path
        elif lower.endswith(".hdr") and partner(path) is None and peek(path) is None:
            return []
        found = peek(head)
        if found is None or (found.analyze and partner(head) is None):
            return []
        problem = no_recording(head, found)
        if problem == "a CIFTI file":
            return []
        if problem:
            raise RawFileError(f"{path}: {problem}")
        other = partner(path) if found.pair else None
        if found.pair and other is None:
            raise RawFileError(f"{path}: the voxels should lie in an .img file beside it, there is none; fetch it too")
        files = (path, *((other,) if other else ()), *find_companions(head).files)
        return [Claim(path, tuple(dict.fromkeys(files)))]

    @cached_property
    def found(self) -> dict[str, Found]:
        """Recording id → where it lies; what an option names (4-D maps, for one) is no recording."""
        given = {path.resolve() for path in self.given.values()}
        found = super().found
        if self.raw.is_file():
            return found
        found = {key: entry for key, entry in found.items() if entry.claim.path.resolve() not in given}
        if not found:
            raise RawFileError(f"{self.raw}: expected a BOLD file beside those of the options, found none")
        return found

    def source_files(self, session: str) -> list[Path]:
        """Return all files a recording is read from, those of the options included."""
        given = list(self.given.values())
        lut = self._lut
        return list(dict.fromkeys([*super().source_files(session), *given, *([lut] if lut else [])]))

    @cached_property
    def _lut(self) -> Path | None:
        image = self.given.get("labels") or self.given.get("maps")
        return self.given.get("lut") or (find_lut(image) if image else None)

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one run; voxels stay in their file until they are asked for."""
        header = open_header(claim.path)
        tables: dict[str, Any] = {
            key: self.given[key] for key in ("events", "confounds", "motion") if key in self.given
        }
        beside = dataclasses.replace(
            find_companions(header.path),
            **tables,
        )
        sidecar = read_sidecars(list(beside.sidecars))
        header = _with_slices(header, sidecar)
        notes: list[str] = []
        spacing = choose_spacing(
            self.tr, self.rate_hz, sidecar, spacing_of_header(header.step, header.step_unit, "pixdim[4] of the header")
        )
        if spacing.problem:
            notes.append(spacing.problem)
        clock = _clock(header, spacing, sidecar, notes)
        channels = self._channels(header, beside, notes)
        signals = {"bold": _make_bold(header, channels, clock, spacing, sidecar)}
        signals |= self._regressors(beside, header, clock, notes)
        intervals = {"trials": read_events(beside.events)} if beside.events else {}
        extra = {
            key: value for key, value in (("header", header.more), ("sidecar", sidecar), ("notes", notes)) if value
        }
        for note in notes:
            warnings.warn(f"{header.path}: {note}", stacklevel=2)
        return Recording(self._metadata(session, header.path, sidecar, extra), signals, intervals=intervals)

    def _channels(self, header: NiftiHeader, beside: Companions, notes: list[str]) -> Channels:
        if "labels" in self.given:
            return label_regions(header, self.given["labels"], self._lut)
        if "maps" in self.given:
            return map_regions(header, self.given["maps"], self._lut, self.maps_method)
        channels = choose_voxels(header, self.given.get("mask"))
        chosen = np.ravel_multi_index([channels.columns[axis] for axis in "ijk"], header.grid, order="F")
        for what, image in (("mask", beside.mask), ("labels", beside.labels)):
            try:
                if image is not None:
                    channels.columns.update(_facts_of_voxels(header, what, image, beside, chosen))
            except RawFileError as error:
                notes.append(f"{image.name if image else what} beside it is left out: {error}")
        return channels

    def _regressors(
        self, beside: Companions, header: NiftiHeader, clock: dict[str, Any], notes: list[str]
    ) -> dict[str, xr.DataArray]:
        signals = {}
        for name, path, read in (
            ("confounds", beside.confounds, read_confounds),
            ("motion", beside.motion, read_motion),
        ):
            if path is None:
                continue
            table = read(path)
            if len(table.values) != header.n_volumes:
                problem = f"{path.name} has {len(table.values)} rows for {header.n_volumes} volumes"
                if name in self.given:
                    raise RawFileError(f"{path}: {problem}; expected one row per volume of {header.path}")
                notes.append(f"{problem}; it is left out")
                continue
            signals[name] = make_regressors(table, clock)
        return signals

    def _metadata(self, session: str, path: Path, sidecar: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        entities = parse_name(path).entities
        maker = [sidecar.get(key) for key in ("Manufacturer", "ManufacturersModelName")]
        field = sidecar.get("MagneticFieldStrength")
        device = " ".join([*(str(part) for part in maker if part), *([f"{field} T"] if field else [])])
        task = sidecar.get("TaskName") or entities.get("task")
        described = self.describe(
            session,
            modality="fmri",
            subject={"id": entities["sub"]} if "sub" in entities else None,
            task=str(task) if task else None,
            device=device or None,
            extra=extra or None,
        )
        return described | ({"session": f"ses-{entities['ses']}"} if "ses" in entities else {})


def make_regressors(table: Regressors, clock: dict[str, Any]) -> xr.DataArray:
    """Return confounds or motion estimates as a signal with the clock of the volumes."""
    units = set(table.units)
    return make_signal(
        table.values,
        channel_id=table.columns,
        units=(units.pop() or "a.u.") if len(units) == 1 else "mixed",
        role="behavior",
        columns={"units": [unit or "a.u." for unit in table.units]},
        source=table.source,
        **clock,
    )


def _make_bold(
    header: NiftiHeader, channels: Channels, clock: dict[str, Any], spacing: Spacing, sidecar: dict[str, Any]
) -> xr.DataArray:
    volumes = Volumes(header)

    def read(first: int, after: int) -> NDArray[Any]:
        rows = np.empty((after - first, len(channels.ids)), channels.dtype)
        for number, stored in volumes.blocks(first, after):
            rows[number - first : number - first + len(stored)] = channels.apply(stored)
        return rows

    attributes: dict[str, Any] = {"time_convention": _CORRECTED if sidecar.get("SliceTimingCorrected") else _CONVENTION}
    attributes |= {"sampling_rate_source": spacing.source, "grid": list(header.grid)}
    if "x" in channels.columns:
        stated = parse_name(header.path).entities.get("space")
        attributes |= {"space": stated or header.space or "unknown", "position_units": "mm"}
    if header.affine is not None:
        attributes["affine"] = header.affine.tolist()
    if (
        header.slice_times is not None
        and "slice_time" not in channels.columns
        and np.isfinite(header.slice_times).all()
    ):
        attributes["slice_times"] = list(header.slice_times)
    return make_signal(
        lazy_rows((header.n_volumes, len(channels.ids)), channels.dtype, read),
        channel_id=channels.ids,
        units="BOLD a.u.",
        columns=channels.columns,
        **attributes,
        **channels.attributes,
        **clock,
    )


def _facts_of_voxels(
    header: NiftiHeader, what: str, image: Path, beside: Companions, chosen: NDArray[np.int64]
) -> dict[str, Any]:
    """Columns that a mask or label image beside the file gives its voxels."""
    if what == "mask":
        other = open_header(image)
        check_grid(header, other, "mask")
        return {"mask": (np.nan_to_num(read_volume(other)) != 0)[chosen]}
    labels = read_labels(header, image)[chosen]
    columns: dict[str, Any] = {"atlas_index": labels}
    if beside.lut is not None:
        known = read_lut(beside.lut).names
        columns["region"] = [known.get(int(label), "") for label in labels]
    return columns


def _clock(header: NiftiHeader, spacing: Spacing, sidecar: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Rate and start, or the times of volumes that are not evenly spaced."""
    times = sidecar.get("VolumeTiming")
    if isinstance(times, list) and len(times) == header.n_volumes and "option" not in spacing.source:
        moments = np.array([float(time) if isinstance(time, (int, float)) else np.nan for time in times])
        if np.isfinite(moments).all() and (np.diff(moments) > 0).all():
            return {"time": moments}
        notes.append("VolumeTiming of the sidecar does not increase; it is not used")
    start = sidecar.get("StartTime")
    start_seconds = float(start) if isinstance(start, (int, float)) and np.isfinite(start) else 0.0
    if spacing.seconds is None:
        return {"rate_hz": None}
    return {"rate_hz": spacing.rate_hz, "start_seconds": start_seconds}


def _with_slices(header: NiftiHeader, sidecar: dict[str, Any]) -> NiftiHeader:
    """The header with the sidecar's slice timing, which overrules its own; none after slice-timing correction."""
    if sidecar.get("SliceTimingCorrected") is True:
        return dataclasses.replace(header, slice_axis=None, slice_times=None)
    times = sidecar.get("SliceTiming")
    direction = str(sidecar.get("SliceEncodingDirection", "k"))
    axis = {"i": 0, "j": 1, "k": 2}.get(direction[:1], 2)
    if not isinstance(times, list) or len(times) != header.grid[axis]:
        return header
    if not all(isinstance(time, (int, float)) and 0 <= time < 1e4 for time in times):
        return header
    ordered = times[::-1] if direction.endswith("-") else times
    return dataclasses.replace(header, slice_axis=axis, slice_times=tuple(float(time) for time in ordered))
