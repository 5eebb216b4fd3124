"""Spikes and clusters of ALF, one or several probes, as events and units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.timed import make_units

from ._spikes_alf_columns import read_attribute, read_columns
from ._spikes_alf_files import AlfObject
from ._spikes_events import make_spikes, one_per_spike, whole_numbers
from ._spikes_tables import safe_columns

Objects = dict[tuple[str, str], AlfObject]
_SORTERS = ("iblsorter", "pykilosort", "ks2_matlab")
"""IBL's sorters, the newest first: where a probe was sorted several times, this is the order of preference."""


@dataclass(eq=False)
class Sorted:
    """Spikes and units of all probes.

    Parameters
    ----------
    spikes, units
        As a Recording has them.
    skipped
        Names of files of the objects read that are no columns.
    passed
        Collections of further sortings of the same probes, not read.
    """

    spikes: xr.Dataset
    units: xr.Dataset
    skipped: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)


def find_sortings(objects: Objects, sorter: str | None) -> tuple[dict[str, str], list[str]]:
    """Return probe → collection of the sorting that is read, and the collections that are not.

    Raises
    ------
    RawFileError
        If a probe was not sorted by the ``sorter`` asked for; lists what there is.
    """
    probes: dict[str, list[str]] = {}
    for (collection, name), owner in objects.items():
        if name == "spikes" and {"times", "clusters"} <= set(owner.attributes):
            probes.setdefault(collection.partition("/")[0], []).append(collection)
    chosen, passed = {}, []
    for probe, collections in probes.items():
        named = {collection.partition("/")[2]: collection for collection in collections}
        wanted = sorter if sorter is not None else next((name for name in _SORTERS if name in named), min(named))
        if wanted not in named:
            folder = objects[collections[0], "spikes"].paths[0].parent
            raise RawFileError(
                f"{folder}: {probe!r} was not sorted by {wanted!r}; there is {', '.join(map(repr, sorted(named)))}"
            )
        chosen[probe] = named[wanted]
        passed += [collection for collection in collections if collection != named[wanted]]
    return chosen, passed


def read_sortings(objects: Objects, sorter: str | None) -> Sorted | None:
    """Return spikes and units of all probes, None where there are none."""
    chosen, passed = find_sortings(objects, sorter)
    if not chosen:
        return None
    several = len(chosen) > 1
    tables, times, rows, columns, skipped = [], [], [], [], []
    n_units = 0
    for probe, collection in chosen.items():
        spikes = objects[collection, "spikes"]
        time = _times(spikes)
        of = whole_numbers(*_one_per_spike(spikes, "clusters", len(time)), what="rows of clusters")
        table, left = _clusters(objects, collection, of, spikes)
        ids = table["cluster_id"]
        table["unit_id"] = np.array([f"{probe}_{i}" if several else str(i) for i in ids.tolist()], np.str_)
        table["probe"] = np.array([probe] * len(ids), np.str_)
        tables.append(table)
        times.append(time)
        rows.append((of + np.int32(n_units)).astype(np.int32, copy=False))
        columns.append(_spike_columns(spikes, len(time)))
        skipped += left
        n_units += len(ids)
    shared = [name for name in columns[0] if all(name in other for other in columns)]
    joined = {name: _join([entry[name] for entry in columns]) for name in shared}
    made = make_spikes(_join(times), _join(rows), safe_columns(joined, {"unit", "event", "label"}))
    units = _stack(tables)
    ids_column = units.pop("unit_id")
    return Sorted(made, make_units(ids_column, **safe_columns(units, {"unit_id", "unit"})), skipped, passed)


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _times(spikes: AlfObject) -> NDArray[np.float64]:
    path = spikes.attributes["times"][0].path
    time = next(iter(read_attribute(spikes.attributes["times"]).values()))
    if time.ndim != 1 or time.dtype.kind not in "fiu" or not np.isfinite(time).all():
        raise RawFileError(f"{path}: expected one finite time per spike, got {time.dtype} of shape {time.shape}")
    return np.array(time, np.float64)


def _one_per_spike(spikes: AlfObject, attribute: str, n_spikes: int) -> tuple[Any, NDArray[Any]]:
    files = spikes.attributes[attribute]
    values = next(iter(read_attribute(files).values()))
    return files[0].path, one_per_spike(files[0].path, values, n_spikes, spikes.attributes["times"][0].path)


def _spike_columns(spikes: AlfObject, n_spikes: int) -> dict[str, NDArray[Any]]:
    columns = {}
    for attribute, files in spikes.attributes.items():
        if attribute not in ("times", "clusters") and files[0].extension == "npy":
            _, values = _one_per_spike(spikes, attribute, n_spikes)
            if values.dtype.kind in "biuf":
                columns[attribute] = np.array(values)
    return columns


def _near(objects: Objects, collection: str, name: str) -> AlfObject | None:
    """An object in a collection or the ones it lies in: channels of a probe may lie above those of its sorter."""
    while True:
        if (collection, name) in objects:
            return objects[collection, name]
        if not collection:
            return None
        collection = collection.rpartition("/")[0]


def _clusters(
    objects: Objects, collection: str, of: NDArray[Any], spikes: AlfObject
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Columns of all clusters of one probe; row ``i`` is what ``spikes.clusters`` calls ``i``."""
    owner = _near(objects, collection, "clusters")
    columns: dict[str, NDArray[Any]] = {}
    skipped: list[str] = []
    keyed: list[dict[str, NDArray[Any]]] = []
    if owner is not None:
        by_id = {name for name, files in owner.attributes.items() if "cluster_id" in (table := _table(files)) and table}
        columns, skipped = read_columns(owner, without=frozenset(by_id))
        keyed = [_table(owner.attributes[name]) for name in sorted(by_id)]
    n_rows = len(next(iter(columns.values()))) if columns else int(of.max(initial=-1)) + 1
    if len(of) and not 0 <= of.min() <= of.max() < n_rows:
        path = spikes.attributes["clusters"][0].path
        other = owner.paths[0].name if owner else "clusters"
        raise RawFileError(
            f"{path}: clusters run from {of.min()} to {of.max()}, but {other} and its like have {n_rows} rows, counted "
            "from 0; they are of two different sortings"
        )
    for table in keyed:
        columns |= _by_id(table, n_rows, set(columns))
    columns |= _channel_columns(objects, collection, columns, n_rows)
    columns["cluster_id"] = np.arange(n_rows)
    return columns, skipped


def _table(files: list[Any]) -> dict[str, NDArray[Any]]:
    return read_attribute(files) if files[0].extension != "npy" else {}


def _by_id(table: dict[str, NDArray[Any]], n_rows: int, taken: set[str]) -> dict[str, NDArray[Any]]:
    """Columns of a table with one row for some of the clusters; missing for the others."""
    ids = np.asarray(table["cluster_id"], np.float64)
    known = np.isfinite(ids) & (ids >= 0) & (ids < n_rows)
    rows = ids[known].astype(np.int64)
    complete = len(np.unique(rows)) == n_rows
    columns = {}
    for name, values in table.items():
        if name == "cluster_id" or name in taken:
            continue
        if values.dtype.kind == "U":
            filled: NDArray[Any] = np.full(n_rows, "", values.dtype)
        else:
            filled = np.zeros(n_rows, values.dtype) if complete else np.full(n_rows, np.nan)
        filled[rows] = values[known]
        columns[name] = filled
    return columns


def _channel_columns(
    objects: Objects, collection: str, clusters: dict[str, NDArray[Any]], n_rows: int
) -> dict[str, NDArray[Any]]:
    """What is known of each cluster's peak channel: position on the probe and in the brain, region."""
    owner = _near(objects, collection, "channels")
    # IBL's clusters.channels counts from 0; clusters.peakChannel of Steinmetz et al. 2019 comes from MATLAB.
    name, base = ("channels", 0) if "channels" in clusters else ("peakChannel", 1)
    if owner is None or name not in clusters or clusters[name].dtype.kind not in "iuf":
        return {}
    known, _ = read_columns(owner)
    n_channels = len(next(iter(known.values()))) if known else 0
    peak = np.nan_to_num(clusters[name].astype(np.float64), nan=-1).astype(np.int64) - base
    inside = (peak >= 0) & (peak < n_channels)
    if not inside.any():
        return {}
    columns = {}
    for key, values in known.items():
        picked = values[np.where(inside, peak, 0)]
        if values.dtype.kind == "U":
            picked = np.where(inside, picked, "")
        elif not inside.all():
            picked = np.where(inside, picked.astype(np.float64), np.nan)
        columns[_CHANNEL_NAMES.get(key, f"channel_{key}")] = picked
    return {key: values for key, values in columns.items() if key not in clusters}


_CHANNEL_NAMES = {
    "mlapdv_0": "x", "mlapdv_1": "y", "mlapdv_2": "z",
    "localCoordinates_0": "probe_x", "localCoordinates_1": "probe_y",
    "sitePositions_0": "probe_x", "sitePositions_1": "probe_y",
    "brainLocationIds_ccf_2017": "region_id", "brainLocationAcronyms_ccf_2017": "region",
    "acronym": "region", "allen_ontology": "region",
}  # fmt: skip


def _stack(tables: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Rows of all probes under each other; what a probe does not have is missing."""
    stacked: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(name for table in tables for name in table):
        parts = [table.get(name) for table in tables]
        text = any(part is not None and part.dtype.kind == "U" for part in parts)
        filled = []
        for part, table in zip(parts, tables):
            n_rows = len(table["cluster_id"])
            if part is None:
                filled.append(np.full(n_rows, "", np.str_) if text else np.full(n_rows, np.nan))
            else:
                filled.append(part.astype(np.str_) if text else part)
        stacked[name] = _join(filled)
    return stacked
