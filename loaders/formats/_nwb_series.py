"""Time series of NWB as signals: samples stay in the file, integers stay integers, units are stated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurodata import names
from neurodata.recording.timed import make_signal

from ._nwb_channels import ChannelColumns, Channels, plain_channels, unique_ids
from ._nwb_file import Item, Notes, OddNwbError, attribute, check_stored, describe_group, member, number, text
from ._nwb_rows import SeriesRows, Times, lazy_series, read_times
from ._nwb_table import open_table, safe_columns

UNITS = {
    "volts": "V", "volt": "V", "millivolts": "mV", "microvolts": "uV", "amperes": "A", "meters": "m", "metres": "m",
    "meter": "m", "meters/second": "m/s", "centimeters": "cm", "radians": "rad", "degrees": "deg", "seconds": "s",
    "watts": "W", "percent": "%", "df/f": "dF/F", "dff": "dF/F", "delta f/f": "dF/F", "siemens": "S", "ohms": "Ohm",
    "": "a.u.", "n.a.": "a.u.", "n/a": "a.u.", "na": "a.u.", "none": "a.u.", "unknown": "a.u.", "a.u.": "a.u.",
    "au": "a.u.", "not available": "a.u.", "unspecified": "a.u.", "arbitrary units": "a.u.", "lumens": "lm",
}  # fmt: skip
"""What NWB writers call units → as the schema writes them; others are kept as they are."""

_MOST_CHANNELS = 100_000
"""Channels of the widest series; a high-density array has some 5000, a grid of voxels millions."""
_NEURAL = ("ElectricalSeries", "RoiResponseSeries", "PatchClampSeries", "DecompositionSeries")
_STIMULI = ("OptogeneticSeries", "CurrentClampStimulusSeries", "VoltageClampStimulusSeries")
_OWN = ("data", "timestamps", "starting_time", "sync", "electrodes", "rois", "control_description", "bands",
        "source_channels", "channel_conversion", "comments", "description", "electrode")  # fmt: skip
_CHANNEL_TAKEN = {names.TIME, names.CHANNEL, "segment_start", "segment_first", "second_first_event", names.CHANNEL_ID,
                  names.SCALE_FACTOR, names.ADD_OFFSET}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """The open file that series are read from."""

    path: Path
    channels: Channels
    notes: Notes


def role_of(item: Item) -> str:
    """Return whether a series was recorded from neurons, done by the animal or done to it, by its type and place."""
    if "/stimulus/" in item.path or item.is_a(*_STIMULI):
        return "stimulus"
    if item.is_a(*_NEURAL) or item.path.startswith(("/processing/ophys", "/processing/ecephys", "/processing/icephys")):
        return "neural"
    return "behavior"


def read_series(item: Item, source: Source) -> dict[str, xr.DataArray]:
    """Return the signals of a series by suffix of their name: the samples under ``""``, others kept per sample too.

    Raises
    ------
    OddNwbError
        If the series has no samples that can be kept; says why.
    """
    data = _data_of(item)
    columns, transposed = _channels_of(item, data, source)
    shape = data.shape[::-1] if transposed else data.shape
    times = read_times(item.node, shape[0])
    source.notes.mended += [f"{item.path}: {text}" for text in times.mended]
    main = _make(item, data, times, columns, source, transposed=transposed)
    more = {
        f"-{name}": _extra(item, name, node, times, source)
        for name, node in item.node.items()
        if name not in _OWN and _is_samples(node, shape[0]) and node.shape != data.shape[1:]
    }
    return {"": main, **more}


def _data_of(item: Item) -> h5py.Dataset:
    data = member(item.node, "data")
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        raise OddNwbError("it has no data")
    if data.ndim == 0:
        raise OddNwbError("its data is a single value")
    if data.dtype.kind not in "biuf":
        raise OddNwbError(f"its data is of type {data.dtype}")
    if data.ndim > 3 or math.prod(data.shape[1:]) > _MOST_CHANNELS:
        raise OddNwbError(f"its data has the shape {data.shape}: images and volumes are no traces")
    check_stored(data)
    if 0 in data.shape[1:]:
        raise OddNwbError(f"its data has the shape {data.shape}, no channel")
    return data


def _is_samples(node: Any, n_rows: int) -> bool:
    return (
        isinstance(node, h5py.Dataset)
        and node.ndim in (1, 2)
        and node.shape[0] == n_rows > 1
        and node.dtype.kind in "biuf"
        and 0 not in node.shape
    )


def _channels_of(item: Item, data: h5py.Dataset, source: Source) -> tuple[ChannelColumns, bool]:
    """Ids and columns of the channels, and whether the file holds ``(channel, time)``."""
    region, read = None, source.channels.electrodes
    if item.is_a("RoiResponseSeries"):
        region, read = source.channels.region_of(item, "rois"), source.channels.cells
    elif "electrodes" in item.node:
        region = source.channels.region_of(item, "electrodes")
    elif "source_channels" in item.node:
        region = source.channels.region_of(item, "source_channels")
    stamps = member(item.node, "timestamps")
    transposed = False
    if data.ndim == 2 and data.shape[0] != data.shape[1]:
        n_channels = len(region[0]) if region else None
        n_times = len(stamps) if isinstance(stamps, h5py.Dataset) and stamps.ndim == 1 else None
        by_time = n_times is not None and n_times == data.shape[1] != data.shape[0]
        by_channel = n_channels is not None and n_channels == data.shape[0] != data.shape[1]
        transposed = by_time if n_times in data.shape else by_channel
    if transposed:
        source.notes.mended.append(f"{item.path}: its data {data.shape} is (channel, time), read the other way round")
    trailing = data.shape[:1] if transposed else data.shape[1:]
    columns = plain_channels(item, trailing)
    n_channels = math.prod(trailing)
    if region is not None:
        own = read(*region)
        if len(region[0]) == n_channels:
            columns = own
        elif trailing and len(region[0]) == trailing[0] and len(trailing) > 1:
            columns |= {k: np.repeat(v, n_channels // trailing[0]) for k, v in own.items() if k != names.CHANNEL_ID}
        else:
            source.notes.mended.append(f"{item.path}: {len(region[0])} channels are named, the data has {n_channels}")
    columns |= _bands(item, trailing, source)
    return columns | _per_channel(item, n_channels, data.shape, columns), transposed


def _per_channel(item: Item, n_channels: int, shape: tuple[int, ...], known: ChannelColumns) -> ChannelColumns:
    """Small datasets with one value per channel, such as the features of an AbstractFeatureSeries."""
    found = {}
    for name, node in item.node.items():
        one_each = isinstance(node, h5py.Dataset) and node.shape == (n_channels,) and n_channels > 1
        if one_each and name not in _OWN and shape[0] != n_channels:
            values = node[()]
            found[name] = np.array([text(v) for v in values], np.str_) if values.dtype.kind in "OS" else values
    found = safe_columns(found, {*_CHANNEL_TAKEN, *known})
    if "features" in found and names.LABEL not in known:
        found[names.LABEL] = found["features"]
    return {name: values for name, values in found.items() if values.dtype.kind in "biufU"}


def _bands(item: Item, trailing: tuple[int, ...], source: Source) -> ChannelColumns:
    """The frequency band of each channel of a DecompositionSeries."""
    bands = member(item.node, "bands")
    if not isinstance(bands, h5py.Group) or not trailing:
        return {}
    table = open_table(bands, source.notes)
    if table.n_rows != trailing[-1]:
        return {}
    return {
        f"band_{name.removeprefix('band_')}": np.tile(values, math.prod(trailing[:-1]))
        for name, values in safe_columns(table.read_all(), _CHANNEL_TAKEN).items()
    }


def _make(
    item: Item, data: h5py.Dataset, times: Times, columns: ChannelColumns, source: Source, *, transposed: bool
) -> xr.DataArray:
    columns = dict(columns)
    ids = columns.pop(names.CHANNEL_ID)
    attributes, scale, offset = _conversion(item, data, len(ids), source)
    rows = SeriesRows(source.path, text(data.name), times.order, transposed)
    if data.dtype.kind in "iub":
        same = np.ptp(scale) == 0
        if same and (scale[0] != 1 or offset != 0):
            attributes |= {names.SCALE_FACTOR: float(scale[0]), names.ADD_OFFSET: offset}
        elif not same:
            columns |= {names.SCALE_FACTOR: scale, names.ADD_OFFSET: np.full(len(ids), offset)}
    elif (scale != 1).any() or offset != 0:
        rows.scale, rows.offset = scale, offset
    return make_signal(
        lazy_series(data, times.n_times, rows),
        channel_id=ids,
        role=role_of(item),
        columns=columns,
        **times.clock,
        **attributes,
    )


def _conversion(item: Item, data: h5py.Dataset, n_channels: int, source: Source) -> tuple[dict[str, Any], Any, float]:
    """Attributes with the unit, scale per channel and offset."""
    factor, offset = (number(attribute(data, name, absent)) for name, absent in (("conversion", 1.0), ("offset", 0.0)))
    given = member(item.node, "channel_conversion")
    scale = np.full(n_channels, factor)
    if isinstance(given, h5py.Dataset) and given.shape == (n_channels,) and given.dtype.kind in "iuf":
        scale = scale * np.asarray(given[()], np.float64)
    stated = text(attribute(data, "unit", ""))
    unit = UNITS.get(stated.strip().lower(), stated.strip())
    if not (np.isfinite(scale).all() and (scale != 0).all() and math.isfinite(offset)):
        source.notes.mended.append(f"{item.path}: conversion {factor} and offset {offset} give no values, left out")
        scale, offset, unit = np.ones(n_channels), 0.0, "a.u."
    if " since " in unit:  # other readers would make dates of it
        unit = unit.replace(" since ", "_since_")
    attributes: dict[str, Any] = {names.UNITS_ATTRIBUTE: unit or "a.u."}
    if stated and stated != unit:
        attributes["source_units"] = stated
    return attributes | _said(item), scale, offset


def _said(item: Item) -> dict[str, Any]:
    """What the file says about a series: its description, type, place and small facts (gain, filtering, site …)."""
    facts = describe_group(item.node, without=_OWN, most=1, depth=0)
    words = text(attribute(item.node, "description", ""))
    facts |= {name: said for name, said in _linked(item).items() if said}
    said = {"description": words} if words.lower() not in ("", "no description") else {}
    comments = text(attribute(item.node, "comments", ""))
    if comments.lower() not in ("", "no comments"):
        said["comments"] = comments
    return said | {"nwb": {"neurodata_type": item.kind, "path": item.path, **facts}}


def _linked(item: Item) -> dict[str, Any]:
    """The site of an optogenetic series, the electrode of a patch clamp series."""
    found = {}
    for name in ("site", "electrode"):
        node = member(item.node, name)
        if isinstance(node, h5py.Group):
            link = item.node.get(name, getlink=True)
            place = link.path if isinstance(link, h5py.SoftLink) else node.name
            found[name] = {"name": text(place).rpartition("/")[2], **describe_group(node, depth=0)}
    return found


def _extra(item: Item, name: str, node: h5py.Dataset, times: Times, source: Source) -> xr.DataArray:
    """A further value per sample that the series keeps: ``control``, the confidence of a pose …"""
    n_columns = node.shape[1] if node.ndim == 2 else 1
    ids = [f"{item.name}_{name}"] if n_columns == 1 else [f"{item.name}_{name}_{i}" for i in range(n_columns)]
    rows = SeriesRows(source.path, text(node.name), times.order)
    stated = text(attribute(node, "unit", ""))
    described = member(item.node, f"{name}_description")
    attributes: dict[str, Any] = {"nwb": {"path": f"{item.path}/{name}"}}
    if isinstance(described, h5py.Dataset) and described.ndim == 1:
        attributes["values"] = [text(entry) for entry in described[()]]
    unit = UNITS.get(stated.lower(), stated) or "a.u."
    return make_signal(
        lazy_series(node, times.n_times, rows),
        channel_id=unique_ids(ids),
        units=unit,
        role=role_of(item),
        **times.clock,
        **attributes,
    )
