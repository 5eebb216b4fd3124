"""What a NIfTI or ANALYZE header says, checked against the size of its file before anything is allocated."""

from __future__ import annotations

import contextlib
import gzip
import math
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import import_extra
from neurodata.errors import NeurodataError, RawFileError

_GZIP = b"\x1f\x8b"
_MOST_EXPANSION = 1032
"""Most bytes that deflate gives per compressed byte."""
_LENGTHS = {348: 1, 540: 2}
"""Length of the header → version of the format."""
_CIFTI = range(3000, 3100)
_STATISTICS = range(2, 25)
_NOT_OVER_TIME = {1001: "estimates", 1002: "labels", 1003: "names of regions", 1004: "matrices", 1005: "matrices",
                  1006: "displacements", 1007: "vectors", 1008: "points", 1009: "triangles", 1010: "quaternions",
                  2003: "RGB vectors", 2004: "RGBA vectors", 2005: "shapes"}  # fmt: skip
_SUFFIXES = {
    "dwi": "diffusion volumes", "asl": "perfusion volumes", "m0scan": "perfusion calibration", "epi": "a field map",
    "fieldmap": "a field map", "phasediff": "a field map", "phase1": "a field map", "phase2": "a field map",
    "magnitude": "a field map", "magnitude1": "a field map", "magnitude2": "a field map", "xfm": "a transformation",
    "probseg": "probabilities of regions", "dseg": "labels", "mask": "a mask", "T1w": "anatomy", "T2w": "anatomy",
    "MEGRE": "anatomy", "MESE": "anatomy", "MP2RAGE": "anatomy", "UNIT1": "anatomy", "maps": "maps of regions",
}  # fmt: skip
"""Last part of a BIDS name → what such a file holds that is no recording."""
_SPATIAL = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Code of the unit of length (NIfTI-1 standard, xyzt_units & 7) → millimetres."""
_TEMPORAL = {8: 1.0, 16: 1e-3, 24: 1e-6}
"""Code of the unit of time (xyzt_units & 56) → seconds."""
_SPACES = {1: "scanner", 2: "aligned", 3: "Talairach", 4: "MNI152", 5: "template"}
"""Code of the coordinate system (nifti1.h, NIFTI_XFORM_*) → its name."""


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """A checked header.

    Parameters
    ----------
    path, data_path
        File with the header and file with the voxels: the same one unless it is a pair.
    shape
        Voxels along i, j, k and, where there are several, volumes.
    dtype, offset
        Type of the stored values with its byte order, and where they begin.
    slope, intercept
        ``value = stored * slope + intercept``; 1 and 0 where the header does not scale.
    affine
        From voxel indices to mm, shape ``(4, 4)``; None where the header gives no coordinates.
    space
        Name of the coordinate system by the header's code; empty where there is none.
    step, step_unit
        Distance between volumes as the header has it and its unit in seconds (None where the unit is not stated).
    slice_axis, slice_times
        Axis along which slices were taken and the seconds after the volume's start, shape ``(slice,)``; None where
        the header says nothing.
    more
        Further facts (JSON values).
    """

    path: Path
    data_path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float = 1.0
    intercept: float = 0.0
    affine: NDArray[np.float64] | None = None
    space: str = ""
    step: float = 0.0
    step_unit: float | None = None
    slice_axis: int | None = None
    slice_times: tuple[float, ...] | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Voxels along i, j and k."""
        i, j, k = (*self.shape, 1, 1)[:3]
        return i, j, k

    @property
    def n_voxels(self) -> int:
        """Voxels of one volume."""
        return math.prod(self.grid)

    @property
    def n_volumes(self) -> int:
        """Number of volumes."""
        return math.prod(self.shape[3:])

    @property
    def compressed(self) -> bool:
        """Whether the voxels are behind gzip."""
        return is_gzip(self.data_path)


@dataclass(frozen=True)
class Peek:
    """The few fields that tell what a file is."""

    version: int
    dims: tuple[int, ...]
    intent: int
    pair: bool
    analyze: bool


def is_gzip(path: Path) -> bool:
    """Tell whether a file begins as gzip does."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def read_start(path: Path, n_bytes: int) -> bytes:
    """Return the first bytes of a file, of what is inside where it is gzip; fewer where it is shorter or damaged."""
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP:
            stream.seek(0)
            return stream.read(n_bytes)
        stream.seek(0)
        with contextlib.suppress(OSError, EOFError, zlib.error), gzip.GzipFile(fileobj=stream) as unzipped:
            return unzipped.read(n_bytes)
    return b""


def peek(path: Path) -> Peek | None:
    """Return what a file is by its first 540 bytes; None where it is neither NIfTI nor the header of ANALYZE."""
    start = read_start(path, 540)
    if len(start) < 348:
        return None
    for order in "<>":
        version = _LENGTHS.get(struct.unpack(order + "i", start[:4])[0])
        if version == 1:
            dims, magic = struct.unpack(order + "8h", start[40:56]), start[344:348]
            (intent,) = struct.unpack(order + "h", start[68:70])
        elif version == 2 and len(start) == 540:
            dims, magic = struct.unpack(order + "8q", start[16:80]), start[4:8]
            (intent,) = struct.unpack(order + "i", start[504:508])
        else:
            continue
        known = magic[:2] in (b"n+", b"ni") and magic[2:4] in (b"1\0", b"2\0")
        analyze = version == 1 and not known and path.name.removesuffix(".gz").lower().endswith(".hdr")
        if known or (analyze and 3 <= dims[0] <= 7 and all(size > 0 for size in dims[1 : dims[0] + 1])):
            return Peek(
                version, dims[1 : max(0, min(7, dims[0])) + 1], 0 if analyze else intent, magic[:2] != b"n+", analyze
            )
    return None


def partner(path: Path) -> Path | None:
    """Return the other file of a pair ``.hdr``/``.img`` (compressed or not); None where there is none."""
    zipped = ".gz" if path.name.lower().endswith(".gz") else ""
    stem, dot, ending = path.name[: len(path.name) - len(zipped)].rpartition(".")
    other = {"hdr": "img", "img": "hdr", "HDR": "IMG", "IMG": "HDR"}.get(ending)
    names = [f"{stem}{dot}{other}{end}" for end in dict.fromkeys((zipped, "", ".gz"))] if other else []
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def no_recording(path: Path, found: Peek) -> str:
    """Say why a NIfTI file is no recording over time; empty where it is one."""
    dims = found.dims
    n_volumes = dims[3] if len(dims) > 3 else 1
    if found.intent in _CIFTI:
        return "a CIFTI file"
    if n_volumes < 2:
        return "one volume (an anatomy, mask or label image), not a recording over time"
    if any(size > 1 for size in dims[4:]):
        return f"{len(dims)} dimensions {dims}; a recording has four, the last one time"
    if found.intent in _STATISTICS or found.intent in _NOT_OVER_TIME:
        what = _NOT_OVER_TIME.get(found.intent, "statistics")
        return f"its volumes are {what} (intent code {found.intent}), not moments"
    suffix = path.name.removesuffix(".gz").rpartition(".")[0].rpartition("_")[2]
    if suffix in _SUFFIXES:
        return f"by its name (…_{suffix}) it holds {_SUFFIXES[suffix]}, not a recording over time; rename it if it does"
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    if path.with_name(f"{stem}.bval").is_file():
        return "there is a .bval beside it: diffusion volumes, not a recording over time"
    return ""


def open_header(path: Path) -> NiftiHeader:
    """Return the checked header of a NIfTI-1, NIfTI-2 or ANALYZE file; of a pair either file may be given.

    Raises
    ------
    RawFileError
        If it is none, a field makes no sense, or the file is shorter than its header says.
    """
    if path.name.removesuffix(".gz").lower().endswith(".img"):
        other = partner(path)
        if other is None:
            raise RawFileError(f"{path}: expected the header of the pair beside it (.hdr), there is none")
        path = other
    found = peek(path)
    if found is None:
        raise RawFileError(f"{path}: expected a NIfTI file (.nii, .nii.gz, .hdr with .img), this is none")
    data_path = path
    if found.pair:
        other = partner(path)
        if other is None:
            raise RawFileError(f"{path}: the voxels should lie in an .img file beside it, there is none; fetch it too")
        data_path = other
    try:
        header = _parse(path, data_path, found)
    except NeurodataError:
        raise
    except Exception as error:  # whatever nibabel meets in a damaged header
        raise RawFileError(f"{path}: the header cannot be read ({error}); fetch the file again") from error
    _check_size(header)
    return header


def _parse(path: Path, data_path: Path, found: Peek) -> NiftiHeader:
    nibabel = import_extra("nibabel", "fmri")
    start = read_start(path, 540 if found.version == 2 else 348)
    module = nibabel.nifti1 if found.version == 1 else nibabel.nifti2
    kind = getattr(module, f"Nifti{found.version}{'Pair' if found.pair else ''}Header")
    kind = nibabel.Spm99AnalyzeImage.header_class if found.analyze else kind
    raw = kind(start, check=False)
    shape = tuple(int(size) for size in raw.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    dtype = np.dtype(raw.get_data_dtype())
    if not shape or min(shape) < 1 or len(shape) > 4:
        raise RawFileError(f"{path}: expected three dimensions and time, the header says {shape}")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise RawFileError(f"{path}: voxels of type {dtype}; integers and floats up to 64 bits are read")
    if found.analyze:
        factor = float(raw["scl_slope"]) if np.isfinite(raw["scl_slope"]) else 0.0
        slope, intercept, offset = factor or 1.0, 0.0, max(0, int(raw["vox_offset"]))
        return NiftiHeader(path, data_path, shape, dtype, offset, slope, intercept, step=float(raw["pixdim"][4]),
                           more={"format": "ANALYZE 7.5: coordinates and the unit of time are not stated"})  # fmt: skip
    slope, intercept = _scaling(path, raw)
    affine, space = _coordinates(path, raw)
    units = int(raw["xyzt_units"])
    return NiftiHeader(
        path, data_path, shape, dtype, int(raw.get_data_offset()), slope, intercept, affine, space,
        step=float(raw["pixdim"][4]), step_unit=_TEMPORAL.get(units & 56), **_slices(raw, _TEMPORAL.get(units & 56)),
        more=_more(raw, found),
    )  # fmt: skip


def _scaling(path: Path, raw: Any) -> tuple[float, float]:
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # NIfTI-1 standard: not scaled
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise RawFileError(f"{path}: scl_slope is {slope} but scl_inter {intercept}; the values cannot be scaled")
    return slope, intercept


def _coordinates(path: Path, raw: Any) -> tuple[NDArray[np.float64] | None, str]:
    """Affine in mm and name of its space: the sform's, else the qform's; neither is invented where both are off."""
    code = int(raw["sform_code"]) or int(raw["qform_code"])
    if code <= 0:
        return None, ""
    affine = np.array(raw.get_best_affine(), np.float64)
    if not np.isfinite(affine).all():
        raise RawFileError(f"{path}: the affine from voxels to mm holds {affine[~np.isfinite(affine)][0]}")
    affine[:3] *= _SPATIAL.get(int(raw["xyzt_units"]) & 7, 1.0)
    return affine, _SPACES.get(code, f"code {code}")


def _slices(raw: Any, unit: float | None) -> dict[str, Any]:
    """Slice timing by the header's own code; nothing where it states none."""
    axis = raw.get_dim_info()[2]
    if not int(raw["slice_code"]) or axis is None or not float(raw["slice_duration"]) > 0 or unit is None:
        return {}
    with contextlib.suppress(Exception):  # codes and ends that contradict each other say nothing
        times = raw.get_slice_times()
        return {"slice_axis": int(axis), "slice_times": tuple(math.nan if t is None else t * unit for t in times)}
    return {}


def _more(raw: Any, found: Peek) -> dict[str, Any]:
    more: dict[str, Any] = {"format": f"NIfTI-{found.version}" + (" pair" if found.pair else "")}
    if math.isfinite(float(raw["toffset"])) and float(raw["toffset"]):
        more["toffset"] = float(raw["toffset"])
    description = bytes(raw["descrip"]).split(b"\0")[0].decode("ascii", "replace").strip()
    return more | ({"descrip": description} if description and description.isprintable() else {})


def _check_size(header: NiftiHeader) -> None:
    needed = header.n_voxels * header.n_volumes * header.dtype.itemsize
    size = header.data_path.stat().st_size
    if header.compressed:
        if needed > size * _MOST_EXPANSION:
            raise RawFileError(
                f"{header.data_path}: the header promises {needed} bytes, {size} compressed bytes cannot hold them"
            )
    elif header.offset + needed > size:
        raise RawFileError(
            f"{header.data_path}: the file ends early: shape {header.shape} of {header.dtype} needs "
            f"{header.offset + needed} bytes, there are {size}; fetch it again"
        )
