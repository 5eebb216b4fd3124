"""CIFTI-2: BOLD series of grayordinates (dtseries) or parcels (ptseries)."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import import_extra
from neurodata.errors import NeurodataError, RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim
from ..format_loader import FormatLoader
from ._fmri_sidecar import Spacing, choose_spacing, find_sidecars, parse_name, read_sidecars, spacing_of_header
from ._fmri_tables import read_confounds, read_events
from ._nifti_companions import find_companions
from ._nifti_header import peek, read_start
from .nifti import make_regressors

_SERIES = {3002: "dense series", 3004: "parcellated series"}
_OTHERS = {3000: "an unknown kind of matrix", 3001: "a dense connectome", 3003: "a parcellated connectome",
           3006: "scalar maps", 3007: "label maps", 3008: "parcellated scalars", 3009: "a parcel by vertex connectome",
           3010: "a vertex by parcel connectome", 3011: "a series of connectomes", 3012: "scalars of connectomes"}  # fmt: skip
_MOST_HEADER = 256 << 20


class Cifti(FormatLoader):
    """Functional MRI in CIFTI-2 files, as HCP pipelines, fMRIPrep and XCP-D write them (``.dtseries.nii``, ``.ptseries.nii``).

    - ``signals/bold``: one row per volume, values as stored (mostly float32), read from the file where they are asked
      for. Channels of a dense series are grayordinates: ``structure`` (``CORTEX_LEFT`` …), ``vertex`` on the surface
      (−1 for a voxel), voxel indices i, j, k (−1 for a vertex) and, of voxels, x, y, z in mm (NaN for a vertex, which
      lies where a surface file puts it). Channels of a parcellated series are parcels: ``label`` and ``region`` are
      their names, with the number of vertices and voxels.
    - ``signals/confounds`` and ``intervals/trials`` from tables of the same BIDS run, as ``nifti`` finds them.

    The distance between volumes is that of the series axis (start, step, exponent; seconds), unless option or JSON
    sidecar say otherwise; a step that cannot be (720 s) is read in milliseconds, with a warning. Axes in Hz, metres or
    radian are no time: the rate is unknown then. Scalars, labels and connectomes are no recordings; compressed CIFTI
    files are not read (unzip them), nor CIFTI-1.

    Parameters
    ----------
    raw
        A file, or a folder that is searched.
    tr, rate_hz
        Seconds between volumes, or volumes per second, where the file does not say or says it wrongly.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(
        self, raw: str | Path, *, tr: float | None = None, rate_hz: float | None = None, **common: str | None
    ) -> None:
        super().__init__(raw, tr=tr, rate_hz=rate_hz, **common)
        choose_spacing(tr, rate_hz, {}, None)
        self.tr, self.rate_hz = tr, rate_hz

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording that a series is; raises for CIFTI files that hold none, saying what they hold."""
        if not path.is_file():
            return []
        found = peek(path)
        if found is None or found.pair or not 3000 <= found.intent < 3100:
            return []
        if found.intent not in _SERIES:
            what = _OTHERS.get(found.intent, "no series")
            raise RawFileError(f"{path}: CIFTI with {what} (intent code {found.intent}), not a recording over time")
        if path.name.lower().endswith(".gz"):
            raise RawFileError(f"{path}: a compressed CIFTI file, which cannot be read in parts; unzip it")
        beside = find_companions(path)
        tables = [table for table in (beside.events, beside.confounds) if table is not None]
        return [Claim(path, (path, *find_sidecars(path), *tables))]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one run; values stay in their file until they are asked for."""
        path = claim.path
        image = _open(path)
        series, grid = image.header.get_axis(0), image.header.get_axis(1)
        sidecar = read_sidecars(find_sidecars(path))
        spacing = choose_spacing(self.tr, self.rate_hz, sidecar, _spacing_of(series))
        clock: dict[str, Any] = {"rate_hz": None}
        if spacing.seconds is not None:
            start = (
                float(series.start) if getattr(series, "unit", "") == "SECOND" and np.isfinite(series.start) else 0.0
            )
            clock = {"rate_hz": spacing.rate_hz, "start_seconds": start}
        notes = [spacing.problem] if spacing.problem else []
        signals = {"bold": _make_bold(path, image, grid, spacing, clock)}
        beside = find_companions(path)
        if beside.confounds is not None:
            table = read_confounds(beside.confounds)
            if len(table.values) == image.shape[0]:
                signals["confounds"] = make_regressors(table, clock)
            else:
                notes.append(
                    f"{table.source} has {len(table.values)} rows for {image.shape[0]} volumes; it is left out"
                )
        for note in notes:
            warnings.warn(f"{path}: {note}", stacklevel=2)
        entities = parse_name(path).entities
        metadata = self.describe(
            session,
            modality="fmri",
            subject={"id": entities["sub"]} if "sub" in entities else None,
            task=str(sidecar.get("TaskName") or entities.get("task") or "") or None,
            extra={key: value for key, value in (("sidecar", sidecar), ("notes", notes)) if value} or None,
        )
        metadata |= {"session": f"ses-{entities['ses']}"} if "ses" in entities else {}
        intervals = {"trials": read_events(beside.events)} if beside.events else {}
        return Recording(metadata, signals, intervals=intervals)


def _open(path: Path) -> Any:
    """The image with checked axes: a series along the first, grayordinates or parcels along the second."""
    nibabel = import_extra("nibabel", "fmri")
    offset = int.from_bytes(read_start(path, 176)[168:176], "little", signed=True)
    offset = offset if 0 < offset < 1 << 40 else int.from_bytes(read_start(path, 176)[168:176], "big", signed=True)
    if not 0 < offset <= min(path.stat().st_size, _MOST_HEADER):
        raise RawFileError(f"{path}: the values should begin at byte {offset} of {path.stat().st_size}; fetch it again")
    if re.search(rb"<!(DOCTYPE|ENTITY)", read_start(path, offset), re.IGNORECASE):
        raise RawFileError(f"{path}: the XML defines entities, which no CIFTI file needs; it is not read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nibabel.Cifti2Image.from_filename(str(path), mmap=False)
            axes = [image.header.get_axis(place) for place in range(image.ndim)]
    except NeurodataError:
        raise
    except Exception as error:  # whatever nibabel's XML parser meets in a damaged file
        raise RawFileError(
            f"{path}: expected a CIFTI-2 file ({type(error).__name__}: {error}); fetch it again"
        ) from error
    kinds = [type(axis).__name__ for axis in axes]
    if len(axes) != 2 or kinds[0] != "SeriesAxis" or kinds[1] not in ("BrainModelAxis", "ParcelsAxis"):
        raise RawFileError(f"{path}: expected a series of grayordinates or parcels, its axes are {', '.join(kinds)}")
    shape, dtype = tuple(image.shape), np.dtype(image.get_data_dtype())
    if shape != (len(axes[0]), len(axes[1])):
        raise RawFileError(f"{path}: values of shape {shape} for {len(axes[0])} volumes of {len(axes[1])} channels")
    proxy = image.dataobj
    needed = int(proxy.offset) + int(np.prod([*map(int, shape)])) * dtype.itemsize
    if dtype.kind not in "iuf" or needed > path.stat().st_size:
        raise RawFileError(
            f"{path}: the file ends early: shape {shape} of {dtype} needs {needed} bytes, there are {path.stat().st_size}"
        )
    return image


def _spacing_of(series: Any) -> Spacing:
    if getattr(series, "unit", "") != "SECOND":
        return Spacing(None, "unknown")
    return spacing_of_header(float(series.step), 1.0, "the series axis")


def _make_bold(path: Path, image: Any, grid: Any, spacing: Spacing, clock: dict[str, Any]) -> xr.DataArray:
    dense = type(grid).__name__ == "BrainModelAxis"
    try:
        ids, columns = _grayordinates(grid) if dense else _parcels(grid)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise RawFileError(f"{path}: the axis of channels makes no sense ({error}); fetch the file again") from error
    proxy = image.dataobj
    stored = np.dtype(image.get_data_dtype())
    slope, intercept = float(proxy.slope), float(proxy.inter)
    scaled = (slope, intercept) != (1.0, 0.0)
    native = stored.newbyteorder("=")
    shape, offset = (int(image.shape[0]), int(image.shape[1])), int(proxy.offset)

    def read(first: int, after: int) -> NDArray[Any]:
        # Each channel's series lies in one piece, so a block of volumes is a stripe through the whole file.
        values = np.memmap(path, stored, "r", offset, shape, order="F")
        rows = np.array(values[first:after])
        if scaled and native.kind == "f":
            rows = rows.astype(np.float64) * slope + intercept
        return rows.astype(native)

    attributes: dict[str, Any] = {"sampling_rate_source": spacing.source}
    attributes["time_convention"] = "time of a sample is when the acquisition of its volume began"
    attributes |= {names.SCALE_FACTOR: slope, names.ADD_OFFSET: intercept} if scaled and native.kind in "iu" else {}
    attributes |= {"position_units": "mm", "space": "as in the file's volume"} if "x" in columns else {}
    return make_signal(
        lazy_rows(shape, native, read),
        channel_id=ids,
        units="BOLD a.u.",
        columns=columns,
        **attributes,
        **clock,
    )


def _short(structure: str) -> str:
    return structure.removeprefix("CIFTI_STRUCTURE_")


def _grayordinates(axis: Any) -> tuple[NDArray[Any], dict[str, Any]]:
    structure = np.array([_short(str(name)) for name in np.asarray(axis.name)])
    vertex = np.asarray(axis.vertex, np.int64)
    surface = np.asarray(axis.surface_mask, bool)
    voxel = np.where(surface[:, None], -1, np.asarray(axis.voxel, np.int64).reshape(len(structure), 3))
    place = vertex.astype(np.str_)
    text = [voxel[:, column].astype(np.str_) for column in range(3)]
    for column, joined in enumerate(text):
        text[column] = np.strings.add("_" if column else "", joined)
    place = np.where(surface, place, np.strings.add(np.strings.add(text[0], text[1]), text[2]))
    ids = np.strings.add(np.strings.add(structure, "_"), place)
    columns: dict[str, Any] = {"structure": structure, "vertex": np.where(surface, vertex, -1)}
    columns |= {letter: voxel[:, column] for column, letter in enumerate("ijk")}
    if axis.affine is not None and not surface.all():
        affine = np.asarray(axis.affine, np.float64)
        mm = np.where(surface[:, None], np.nan, voxel @ affine[:3, :3].T + affine[:3, 3])
        columns |= {letter: mm[:, column] for column, letter in enumerate("xyz")}
    return ids, columns


def _parcels(axis: Any) -> tuple[NDArray[Any], dict[str, Any]]:
    found = [str(name) for name in np.asarray(axis.name)]
    unique = len(set(found)) == len(found) and all(found)
    n_vertices = [sum(len(part) for part in (entry or {}).values()) for entry in axis.vertices]
    n_voxels = [len(entry) for entry in axis.voxels]
    columns: dict[str, Any] = {
        names.LABEL: found,
        "region": found,
        names.LABEL_SOURCE: ["CIFTI parcels axis"] * len(found),
    }
    columns |= {"n_vertices": n_vertices, "n_voxels": n_voxels}
    return np.array(found if unique else [f"parcel{number}" for number in range(1, len(found) + 1)]), columns
