"""Who the channels of an NWB series are: electrodes, cells, bands, or just columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurodata import names

from ._calcium_names import WORM, name_channels
from ._nwb_file import Item, Notes, attribute, follow, member, scalar, text
from ._nwb_table import Table, open_table, safe_columns

_TAKEN = {names.TIME, names.CHANNEL, "segment_start", "segment_first", "second_first_event", names.CHANNEL_ID,
          names.SCALE_FACTOR, names.ADD_OFFSET}  # fmt: skip
MASKS = ("pixel_mask", "voxel_mask", "image_mask")
_CENTROIDS = ("centroid", "centroids", "roi_centroid", "roi_centroids", "ROI_centroid", "ROI_centroids", "ROICentroids")
_NAMES = ("channel_name", "electrode_name", "contact_name", "name", "label")
_MOST_MASK = 4 << 30

ChannelColumns = dict[str, NDArray[Any]]


_CELL_NAMES = ("ID_labels", "labels", "label", "neuron_name", "neuron_names", "cell_name", "cell_names")


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers that were written as text (``"NaN"`` too), others as they are."""
    if values.dtype.kind != "U":
        return values
    try:
        return np.array([float(value) if value.strip() else math.nan for value in values])
    except ValueError:
        return values


def unique_ids(ids: Sequence[Any], prefix: str = "") -> list[str]:
    """Return ids as unique non-empty text."""
    found: list[str] = []
    given: set[str] = set()
    for number, value in enumerate(ids):
        base = f"{prefix}{text(value) or number}"
        unique, again = base, 1
        while unique in given:
            again += 1
            unique = f"{base}_{again}"
        given.add(unique)
        found.append(unique)
    return found


class Channels:
    """The tables that channels point into, each read once.

    Parameters
    ----------
    file
        The open file.
    notes
        Receives what cannot be kept.
    n_planes
        Segmentations in the file: where there are several, a cell's name begins with its own one's.
    """

    def __init__(self, file: h5py.File, notes: Notes, n_planes: int) -> None:
        self.file, self.notes, self.n_planes = file, notes, n_planes
        self._read: dict[str, ChannelColumns] = {}
        self.used: set[str] = set()

    def electrodes(self, rows: NDArray[Any], table: Table) -> ChannelColumns:
        """Return ids and columns of electrodes, by row of their table."""
        return self._rows_of(rows, table, self._electrodes)

    def cells(self, rows: NDArray[Any], table: Table) -> ChannelColumns:
        """Return ids and columns of cells, by row of their segmentation."""
        return self._rows_of(rows, table, self._cells)

    def _rows_of(self, rows: NDArray[Any], table: Table, read: Any) -> ChannelColumns:
        self.used.add(table.path)
        if table.path not in self._read:
            self._read[table.path] = read(table)
        columns = {name: values[rows] for name, values in self._read[table.path].items()}
        columns[names.CHANNEL_ID] = np.array(unique_ids(columns[names.CHANNEL_ID]), np.str_)
        return columns

    def region_of(self, item: Item, name: str) -> tuple[NDArray[Any], Table] | None:
        """Return the rows and the table that a series' region points at, None where it does not or cannot."""
        region = member(item.node, name)
        if not isinstance(region, h5py.Dataset) or region.ndim != 1 or region.dtype.kind not in "iu":
            return None
        target = follow(self.file, attribute(region, "table"))
        if target is None and name == "electrodes":
            target = self.electrode_table()
        if not isinstance(target, h5py.Group):
            return None
        table, rows = open_table(target, self.notes), np.asarray(region[()], np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= table.n_rows):
            self.notes.mended.append(f"{item.path}/{name} points beyond its table of {table.n_rows} rows: not followed")
            return None
        return rows, table

    def electrode_table(self) -> Any:
        """The file's table of electrodes, None where there is none."""
        return member(self.file, "general/extracellular_ephys/electrodes")

    def _electrodes(self, table: Table) -> ChannelColumns:
        columns = safe_columns(table.read_all(without=("channel_id",)), _TAKEN)
        if "group" in columns and "group_name" in columns and np.array_equal(columns["group"], columns["group_name"]):
            del columns["group"]
        if "location" in columns and "region" not in columns:
            columns["region"] = columns["location"]
        named = next((name for name in _NAMES if name in columns and columns[name].dtype.kind == "U"), None)
        if named is not None and names.LABEL not in columns:
            columns[names.LABEL] = columns[named]
        places = {axis: _numbers(columns[axis]) for axis in "xyz" if axis in columns}
        return {names.CHANNEL_ID: self._ids(table, ""), **columns, **places}

    def _cells(self, table: Table) -> ChannelColumns:
        prefix = f"{table.path.rpartition('/')[2]}-" if self.n_planes > 1 else ""
        columns = safe_columns(table.read_all(without=(*MASKS, *_CENTROIDS, "channel_id")), _TAKEN)
        for axis, values in zip("xyz", self._centroids(table)):
            if axis not in columns and np.isfinite(values).any():
                columns[axis] = values
        plane = member(table.group, "imaging_plane")
        location = text(member(plane, "location")[()]) if plane is not None and "location" in plane else ""
        if location and "region" not in columns:
            columns["region"] = np.full(table.n_rows, location)
        return {names.CHANNEL_ID: self._ids(table, prefix), **columns, **self._labels(columns, table.path)}

    def _labels(self, columns: ChannelColumns, path: str) -> ChannelColumns:
        """The cells' names, where a column has them: those of *C. elegans* as its canonical ones."""
        named = next((key for key in _CELL_NAMES if key in columns and columns[key].dtype.kind == "U"), None)
        if named is None or not np.char.strip(columns[named]).any():
            return {}
        if names.LABEL in columns and named != names.LABEL:
            return {}
        species = scalar(self.file, "general/subject/species")
        stated = WORM if "elegans" in text(species) else None
        found = name_channels(columns[named].tolist(), f"{path}/{named}", species=stated)
        return {key: np.asarray(values) for key, values in found.columns.items() if key not in columns or key == named}

    def _ids(self, table: Table, prefix: str) -> NDArray[Any]:
        if "channel_id" in table.columns:
            given = table.read("channel_id")
            if given.dtype.kind in "iuU" and len(np.unique(given)) == len(given):
                return np.array(unique_ids(list(given)), np.str_)
        return np.array(unique_ids(list(table.ids()), prefix), np.str_)

    def _centroids(self, table: Table) -> list[NDArray[np.float64]]:
        """x, y (and z) of each cell: as given, else the weighted mean of its mask."""
        for name in _CENTROIDS:
            data = table.columns[name].data if name in table.columns else None
            if data is not None and data.ndim == 2 and data.shape[1] in (2, 3) and data.dtype.kind in "iuf":
                return list(np.asarray(data[()], np.float64).T)
        for name in ("voxel_mask", "pixel_mask"):
            if name in table.columns and table.columns[name].indexes and table.columns[name].data.dtype.names:
                return _mean_of_points(table, name)
        if "image_mask" in table.columns and not table.columns["image_mask"].indexes:
            return self._mean_of_images(table)
        return []

    def _mean_of_images(self, table: Table) -> list[NDArray[np.float64]]:
        data = table.columns["image_mask"].data
        if data.ndim not in (3, 4) or data.dtype.kind not in "biuf" or data.dtype.itemsize * data.size > _MOST_MASK:
            self.notes.not_read.append(f"{table.path}/image_mask: of shape {data.shape}, no centroids made")
            return []
        centroids = np.full((data.ndim - 1, len(data)), np.nan)
        for row in range(len(data)):
            weights = np.asarray(data[row], np.float64)
            total = np.nansum(weights)
            for axis in range(weights.ndim) if total > 0 else ():
                along = np.nansum(weights, axis=tuple(other for other in range(weights.ndim) if other != axis))
                centroids[axis, row] = (along * np.arange(len(along))).sum() / total
        return list(centroids)


def _mean_of_points(table: Table, name: str) -> list[NDArray[np.float64]]:
    column = table.columns[name]
    points, ends = column.data[()], column.ends()
    axes = [axis for axis in "xyz" if axis in points.dtype.names]
    weights = np.asarray(points["weight"] if "weight" in points.dtype.names else np.ones(len(points)), np.float64)
    row_of = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    total = np.bincount(row_of, weights[: len(row_of)], len(ends))
    means = []
    for axis in axes:
        summed = np.bincount(row_of, (weights * points[axis])[: len(row_of)], len(ends))
        means.append(np.divide(summed, total, out=np.full(len(ends), np.nan), where=total > 0))
    return means


def plain_channels(item: Item, shape: tuple[int, ...]) -> ChannelColumns:
    """Return ids of channels that no table describes, and per trailing dimension the column that says which one.

    Parameters
    ----------
    item
        The series.
    shape
        Trailing dimensions of its data.
    """
    if math.prod(shape) == 1 and len(shape) <= 1:
        return {names.CHANNEL_ID: np.array([item.name], np.str_)}
    if len(shape) == 1:
        axes = "xyz" if item.is_a("SpatialSeries") and shape[0] <= 3 else None
        ids = [f"{item.name}_{axes[i] if axes else i}" for i in range(shape[0])]
        return {names.CHANNEL_ID: np.array(ids, np.str_)}
    places = np.indices(shape).reshape(len(shape), -1)
    ids = ["_".join([item.name, *map(str, place)]) for place in places.T]
    return {names.CHANNEL_ID: np.array(ids, np.str_), **{f"axis{i + 1}": place for i, place in enumerate(places)}}
