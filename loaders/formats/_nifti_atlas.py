"""Which voxels become which channels: all, those in a mask, means of labelled regions, or maps of regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from neurodata import names
from neurodata.errors import RawFileError

from ._fmri_lut import Regions, read_lut
from ._nifti_header import NiftiHeader, open_header
from ._nifti_volumes import Volumes, physical_values, read_volume

MapsMethod = Literal["weighted_mean", "regression"]
MOST_VOXELS = 2_000_000
"""Voxels that are channels of their own, at most: their ids and coordinates have to fit into memory."""
_MOST_WEIGHTS = 40_000_000


@dataclass(frozen=True, eq=False)
class Channels:
    """What the channels are and how they are made of stored volumes.

    Parameters
    ----------
    ids, columns
        ``channel_id`` and further columns, each ``(channel,)``.
    dtype
        Of the values that ``apply`` returns.
    apply
        Stored volumes ``(volume, voxel)`` → values ``(volume, channel)``.
    physical
        Whether ``apply`` returns physical values already.
    attributes
        What is worth saying about the signal.
    """

    ids: NDArray[Any]
    columns: dict[str, Any]
    dtype: np.dtype[Any]
    apply: Callable[[NDArray[Any]], NDArray[Any]]
    physical: bool
    attributes: dict[str, Any] = field(default_factory=dict)


def check_grid(header: NiftiHeader, other: NiftiHeader, what: str) -> None:
    """Raise unless two images lie on the same grid: nothing is resampled silently.

    Raises
    ------
    RawFileError
        Gives both shapes, or both affines.
    """
    advice = f"resample the {what} onto the grid of the BOLD file (for example with nilearn.image.resample_to_img)"
    if other.grid != header.grid:
        raise RawFileError(
            f"{other.path}: the {what} has {other.grid} voxels, {header.path.name} {header.grid}; {advice}"
        )
    if header.affine is None or other.affine is None:
        return
    reach = np.array([[*header.grid, 1.0], [0, 0, 0, 1.0]]).T
    apart = np.abs(header.affine @ reach - other.affine @ reach).max()
    voxel = np.linalg.norm(header.affine[:3, :3], axis=0).min()
    if apart > 0.1 * voxel:
        raise RawFileError(
            f"{other.path}: the {what} lies up to {apart:.3g} mm away from {header.path.name} (affines "
            f"{other.affine[:3].tolist()} and {header.affine[:3].tolist()}); {advice}"
        )


def voxel_indices(header: NiftiHeader, chosen: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return i, j, k of voxels counted with i fastest, shape ``(voxel, 3)``."""
    return np.stack(np.unravel_index(chosen, header.grid, order="F"), 1).astype(np.int32)


def voxel_columns(header: NiftiHeader, chosen: NDArray[np.int64]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return ids ``i_j_k`` and the columns i, j, k and, where the header gives coordinates, x, y, z in mm."""
    indices = voxel_indices(header, chosen)
    # As wide as the numbers need: numpy makes 21 characters of every integer, a gigabyte for a million voxels.
    text = [np.arange(size).astype(f"U{len(str(size))}") for size in header.grid]
    ids = text[0][indices[:, 0]]
    for axis in (1, 2):
        ids = np.strings.add(np.strings.add(ids, "_"), text[axis][indices[:, axis]])
    columns: dict[str, Any] = {axis: indices[:, place].copy() for place, axis in enumerate("ijk")}
    if header.affine is not None:
        places = indices @ header.affine[:3, :3].T + header.affine[:3, 3]
        columns |= {axis: places[:, place].copy() for place, axis in enumerate("xyz")}
    if header.slice_times is not None and header.slice_axis is not None:
        columns["slice_time"] = np.asarray(header.slice_times, np.float64)[indices[:, header.slice_axis]]
    return ids, columns


def choose_voxels(header: NiftiHeader, mask: Path | None) -> Channels:
    """Return all voxels, or those where a mask is not 0, as channels of their own.

    Raises
    ------
    RawFileError
        If the mask is on another grid or empty, or there are more voxels than fit.
    """
    attributes = {}
    chosen = np.arange(header.n_voxels if mask is not None or header.n_voxels <= MOST_VOXELS else 0)
    if mask is not None:
        image = open_header(mask)
        check_grid(header, image, "mask")
        values = read_volume(image)
        chosen = np.flatnonzero(np.nan_to_num(values) != 0)
        attributes = {"voxels": f"those where {mask.name} is not 0"}
        if not len(chosen):
            raise RawFileError(f"{mask}: the mask is 0 everywhere; expected at least one voxel in it")
    if not 0 < len(chosen) <= MOST_VOXELS:
        raise RawFileError(
            f"{header.path}: {len(chosen) or header.n_voxels} voxels; up to {MOST_VOXELS} are kept one by one. Choose "
            "some with --set mask=FILE, or average regions with --set labels=FILE"
        )
    ids, columns = voxel_columns(header, chosen)
    native = header.dtype.newbyteorder("=")
    if native.kind == "f":

        def apply(stored: NDArray[Any]) -> NDArray[Any]:
            return physical_values(header, stored[:, chosen]).astype(native)

        return Channels(ids, columns, native, apply, True, attributes)
    whole = len(chosen) == header.n_voxels
    scaled = {} if (header.slope, header.intercept) == (1.0, 0.0) else {
        names.SCALE_FACTOR: header.slope, names.ADD_OFFSET: header.intercept}  # fmt: skip
    return Channels(
        ids, columns, native, (lambda s: s) if whole else (lambda s: s[:, chosen]), False, attributes | scaled
    )


def read_labels(header: NiftiHeader, path: Path) -> NDArray[np.int64]:
    """Return a label image on the grid of a BOLD file, shape ``(voxel,)``, i fastest.

    Raises
    ------
    RawFileError
        If it has several volumes, lies on another grid, or holds values that are no whole numbers.
    """
    image = open_header(path)
    if image.n_volumes > 1:
        raise RawFileError(f"{path}: expected one volume of labels, got {image.n_volumes}; maps go to --set maps=")
    check_grid(header, image, "label image")
    values = np.nan_to_num(read_volume(image))
    if (values != np.round(values)).any() or np.abs(values).max(initial=0) > 2**53:
        raise RawFileError(
            f"{path}: expected labels, whole numbers, got values such as {values[values != np.round(values)][:1]}"
        )
    return values.astype(np.int64)


def label_regions(header: NiftiHeader, path: Path, lut: Path | None) -> Channels:
    """Return the mean over the voxels of each label as a channel; label 0 is no region.

    Raises
    ------
    RawFileError
        If the label image or the lookup table does not fit.
    """
    labels = read_labels(header, path)
    numbers, region = np.unique(labels, return_inverse=True)
    kept = np.flatnonzero(numbers != 0)
    if not len(kept):
        raise RawFileError(f"{path}: every voxel has label 0; expected at least one region")
    inside = np.flatnonzero(labels != 0)
    row = np.searchsorted(kept, region[inside])
    count = np.bincount(row, minlength=len(kept))
    weights = sparse.csr_array((np.ones(len(inside)), (row, inside)), shape=(len(kept), header.n_voxels))
    columns = {"atlas_index": numbers[kept], "n_voxels": count}
    ids, more, attributes = _named(numbers[kept], read_lut(lut) if lut else None, path)
    columns |= more | _centroids(header, inside, row, count, more, attributes)
    attributes["regions"] = f"mean over the voxels of each label of {path.name}; missing voxels (NaN) are left out"
    return Channels(ids, columns, np.dtype(np.float64), _averaging(header, weights), True, attributes)


def map_regions(header: NiftiHeader, path: Path, lut: Path | None, method: MapsMethod) -> Channels:
    """Return one channel per map: the mean weighted by the map, or the amplitudes that fit the volume best.

    ``regression`` solves ``min ‖volume − amplitudes @ maps‖²`` over the voxels where any map is not 0 (dual
    regression's first step; nilearn's ``NiftiMapsMasker`` does the same).

    Raises
    ------
    RawFileError
        If the maps lie on another grid, are empty, or are too many to be held.
    """
    image = open_header(path)
    check_grid(header, image, "maps")
    rows = []
    for _, stored in Volumes(image).blocks(0, image.n_volumes):
        values = np.nan_to_num(physical_values(image, stored))
        rows.append(sparse.csr_array(values))
        if sum(part.nnz for part in rows) > _MOST_WEIGHTS:
            raise RawFileError(f"{path}: more than {_MOST_WEIGHTS} weights other than 0; use maps with fewer voxels")
    weights = sparse.csr_array(sparse.vstack(rows))
    total = np.asarray(weights.sum(1)).reshape(-1)
    empty = np.flatnonzero(np.diff(weights.indptr) == 0)
    if len(empty) or (method == "weighted_mean" and (total <= 0).any()):
        number = empty[0] if len(empty) else np.flatnonzero(total <= 0)[0]
        raise RawFileError(f"{path}: map {number + 1} has no positive sum; expected weights of voxels in every map")
    numbers = np.arange(1, image.n_volumes + 1)
    ids, columns, attributes = _named(numbers, read_lut(lut) if lut else None, path)
    columns |= {"atlas_index": numbers, "n_voxels": np.diff(weights.indptr)}
    attributes["regions"] = f"{method.replace('_', ' ')} with the maps of {path.name}"
    apply = _averaging(header, weights) if method == "weighted_mean" else _regression(header, weights)
    return Channels(ids, columns, np.dtype(np.float64), apply, True, attributes)


def _averaging(header: NiftiHeader, weights: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Weighted mean over the voxels that have a value; NaN where none has."""
    support = np.unique(weights.indices)
    weights = weights[:, support]

    def apply(stored: NDArray[Any]) -> NDArray[Any]:
        values = physical_values(header, stored[:, support])
        there = np.isfinite(values)
        total = (weights @ there.T.astype(np.float64)).T
        summed = (weights @ np.where(there, values, 0.0).T).T
        mean = np.divide(summed, total, out=np.full(summed.shape, np.nan), where=total > 0)
        return np.asarray(mean)

    return apply


def _regression(header: NiftiHeader, weights: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    support = np.unique(weights.indices)
    weights = weights[:, support]
    inverse = np.linalg.pinv((weights @ weights.T).toarray(), hermitian=True)

    def apply(stored: NDArray[Any]) -> NDArray[Any]:
        values = np.nan_to_num(physical_values(header, stored[:, support]))
        return np.asarray((inverse @ (weights @ values.T)).T)

    return apply


def _named(
    numbers: NDArray[np.int64], regions: Regions | None, path: Path
) -> tuple[NDArray[Any], dict[str, Any], dict[str, Any]]:
    """Ids, name columns and attributes of regions; without a lookup table nothing is called anything."""
    attributes: dict[str, Any] = {"atlas": atlas_name(path), "atlas_file": path.name}
    plain = numbers.astype(np.str_)
    if regions is None:
        return plain, {}, attributes
    if regions.ordered:
        found = _in_order(numbers, regions, path)
    else:
        found = [regions.names.get(int(number), "") for number in numbers]
    ids = np.array(found) if all(found) and len(set(found)) == len(found) else plain
    sources = [regions.source if name else "" for name in found]
    columns: dict[str, Any] = {names.LABEL: found, "region": found, names.LABEL_SOURCE: sources}
    if any(int(number) in regions.positions for number in numbers):
        unknown = (np.nan,) * 3
        places = np.array([regions.positions.get(int(number), unknown) for number in numbers], np.float64)
        columns |= {axis: places[:, place].copy() for place, axis in enumerate("xyz")}
        attributes["position_source"] = regions.source
    return ids, columns, attributes


def _in_order(numbers: NDArray[np.int64], regions: Regions, path: Path) -> list[str]:
    """Names from a list without numbers: one per region, one per number from 1, or the background's before them."""
    listed, last = regions.ordered, int(numbers.max())
    if int(numbers.min()) >= 0 and len(listed) in (last, last + 1):
        return [listed[int(number) - (len(listed) == last)] for number in numbers]
    if len(listed) == len(numbers):
        return list(listed)
    raise RawFileError(
        f"{regions.source}: {len(listed)} names for {len(numbers)} regions of {path.name}; expected one each"
    )


def _centroids(
    header: NiftiHeader, inside: NDArray[np.int64], row: NDArray[np.int64], count: NDArray[np.int64],
    columns: dict[str, Any], attributes: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Mean position of each label's voxels in mm, unless the lookup table gave positions."""
    if header.affine is None or "x" in columns:
        return {}
    attributes["position_source"] = "centroid of the label image"
    places = voxel_indices(header, inside) @ header.affine[:3, :3].T + header.affine[:3, 3]
    return {axis: np.bincount(row, places[:, place]) / count for place, axis in enumerate("xyz")}


def atlas_name(path: Path) -> str:
    """Return what an atlas is called by its file: the entity ``atlas-`` or ``seg-``, else the whole name."""
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    parts = dict(part.partition("-")[::2] for part in stem.split("_"))
    return parts.get("atlas") or parts.get("seg") or stem
