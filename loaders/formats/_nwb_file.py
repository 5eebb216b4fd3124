"""NWB files as plain HDF5: typed objects found by their ``neurodata_type``, whatever version or extension wrote them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

DATA_GROUPS = ("acquisition", "processing", "stimulus/presentation", "analysis", "events", "intervals", "units")
"""Where an NWB file keeps what was recorded; ``stimulus/templates`` are on no clock and ``scratch`` is not for sharing."""

_PARENT = {
    "TimeSeries": "", "DynamicTable": "", "ElectricalSeries": "TimeSeries", "SpikeEventSeries": "ElectricalSeries",
    "AnnotationSeries": "TimeSeries", "AbstractFeatureSeries": "TimeSeries", "IntervalSeries": "TimeSeries",
    "DecompositionSeries": "TimeSeries", "SpatialSeries": "TimeSeries", "RoiResponseSeries": "TimeSeries",
    "OptogeneticSeries": "TimeSeries", "IndexSeries": "TimeSeries", "ImageSeries": "TimeSeries",
    "ImageMaskSeries": "ImageSeries", "OpticalSeries": "ImageSeries", "OnePhotonSeries": "ImageSeries",
    "TwoPhotonSeries": "ImageSeries", "PatchClampSeries": "TimeSeries", "CurrentClampSeries": "PatchClampSeries",
    "CurrentClampStimulusSeries": "PatchClampSeries", "IZeroClampSeries": "CurrentClampSeries",
    "VoltageClampSeries": "PatchClampSeries", "VoltageClampStimulusSeries": "PatchClampSeries",
    "TimeIntervals": "DynamicTable", "Units": "DynamicTable", "EventsTable": "DynamicTable",
    "PlaneSegmentation": "DynamicTable", "AlignedDynamicTable": "DynamicTable", "ElectrodesTable": "DynamicTable",
    "MeaningsTable": "DynamicTable", "FrequencyBandsTable": "DynamicTable", "SweepTable": "DynamicTable",
    "IntracellularRecordingsTable": "AlignedDynamicTable", "ExperimentalConditionsTable": "DynamicTable",
    "IntracellularElectrodesTable": "DynamicTable", "IntracellularResponsesTable": "DynamicTable",
    "IntracellularStimuliTable": "DynamicTable", "RepetitionsTable": "DynamicTable",
    "SequentialRecordingsTable": "DynamicTable", "SimultaneousRecordingsTable": "DynamicTable",
    "BehavioralEpochs": "", "BehavioralEvents": "", "BehavioralTimeSeries": "", "CompassDirection": "", "DfOverF": "",
    "EyeTracking": "", "FilteredEphys": "", "Fluorescence": "", "ImageSegmentation": "", "LFP": "", "Position": "",
    "MotionCorrection": "", "CorrectedImageStack": "", "ProcessingModule": "", "PupilTracking": "", "EventWaveform": "",
    "EventDetection": "", "Clustering": "", "ClusterWaveforms": "", "FeatureExtraction": "", "Images": "",
    "SimpleMultiContainer": "", "ImagingRetinotopy": "", "Image": "", "GrayscaleImage": "", "RGBImage": "",
    "RGBAImage": "", "ExternalImage": "", "ImageReferences": "", "ScratchData": "", "NWBData": "", "Data": "",
    "NWBContainer": "", "NWBDataInterface": "", "Container": "", "LabMetaData": "", "CSRMatrix": "", "VectorData": "",
    # ndx-events: https://github.com/rly/ndx-events, versions 0.2 and 0.4
    "Events": "", "LabeledEvents": "Events", "TTLs": "LabeledEvents", "AnnotatedEventsTable": "DynamicTable",
    "TtlsTable": "EventsTable", "EventTypesTable": "DynamicTable",
}  # fmt: skip
"""Type → the type it extends, of the core schema 2.0 … 2.11 (nwb-schema, hdmf-common-schema)."""

_MOST_SPECIFICATION = 16 << 20
_FREE_BYTES, _MOST_EXPANSION = 1 << 30, 2000
"""Datasets up to a gibibyte may be as empty as they like; deflate packs a larger one a thousandfold at most."""
_MOST_TYPES = 20_000
_MOST_DEPTH = 24


class OddNwbError(Exception):
    """One object is not what the standard says; the rest of the file can be read."""


@dataclass
class Notes:
    """What a person must know about a file: what was not read, what was mended, and unknown extensions."""

    not_read: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One typed object of a file: its path, its type and the types that this one extends, closest first."""

    path: str
    node: Any
    kind: str
    lineage: tuple[str, ...]

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    def is_a(self, *kinds: str) -> bool:
        """Tell whether the object is of one of these types or of one that extends them."""
        return any(kind in self.lineage for kind in kinds)


def text(value: Any) -> str:
    """Return text of a file, whatever HDF5 type it has; bytes that are no UTF-8 are replaced."""
    if isinstance(value, np.ndarray):
        return text(value.ravel()[0]) if value.size == 1 else ", ".join(text(entry) for entry in value.ravel())
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or isinstance(value, h5py.Empty):
        return ""
    return str(value).encode("utf-8", "replace").decode().strip("\x00")


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """Return an attribute, ``default`` where it is missing or empty."""
    value = node.attrs.get(name, default)
    return default if isinstance(value, h5py.Empty) else value


def member(group: Any, name: str) -> Any:
    """Return a member of a group, None where it is missing or a link to nothing."""
    try:
        return group.get(name)
    except (KeyError, ValueError):
        return None


def scalar(group: Any, name: str) -> Any:
    """Return a scalar dataset (or one with a single value), None where it is missing."""
    node = member(group, name)
    if not isinstance(node, h5py.Dataset) or node.shape is None or math.prod(node.shape) != 1:
        return None
    value = node[()]
    return value.ravel()[0] if isinstance(value, np.ndarray) else value


def number(value: Any) -> float:
    """Return a number of a file, NaN where it is none."""
    value = np.asarray(math.nan if value is None else value)
    return float(value.ravel()[0]) if value.size == 1 and value.dtype.kind in "biuf" else math.nan


def check_stored(data: h5py.Dataset) -> None:
    """Raise OddNwbError if a dataset promises far more values than bytes are stored for."""
    promised, stored = math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()
    if promised > max(_FREE_BYTES, _MOST_EXPANSION * stored):
        raise OddNwbError(f"its shape {data.shape} promises {promised} bytes, {stored} are stored")


def follow(file: h5py.File, reference: Any) -> Any:
    """Return what an object reference points at, None where that is nothing."""
    try:
        return file[reference] if isinstance(reference, h5py.Reference) and reference else None
    except (ValueError, KeyError):
        return None


def read_types(file: h5py.File) -> dict[str, str]:
    """Return type → extended type: the standard's, and those of extensions whose specifications lie in the file."""
    found: dict[str, str] = {}
    specifications = member(file, "specifications")
    for namespace in specifications.values() if isinstance(specifications, h5py.Group) else ():
        versions = namespace.values() if isinstance(namespace, h5py.Group) else ()
        for version in versions:
            for node in version.values() if isinstance(version, h5py.Group) else ():
                _read_specification(node, found)
    return found | _PARENT


def _read_specification(node: Any, found: dict[str, str]) -> None:
    if not isinstance(node, h5py.Dataset) or node.shape != () or node.dtype.kind not in "OS":
        return
    value = text(node[()])
    if len(value) > _MOST_SPECIFICATION:
        return
    try:
        _collect_types(json.loads(value), found, 0)
    except (ValueError, RecursionError):
        return


def _collect_types(entry: Any, found: dict[str, str], depth: int) -> None:
    if depth > _MOST_DEPTH or len(found) > _MOST_TYPES:
        return
    if isinstance(entry, dict):
        defined = entry.get("neurodata_type_def") or entry.get("data_type_def")
        if isinstance(defined, str):
            extends = entry.get("neurodata_type_inc") or entry.get("data_type_inc")
            found[defined] = extends if isinstance(extends, str) else ""
    for child in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        if isinstance(child, (dict, list)):
            _collect_types(child, found, depth + 1)


def lineage_of(kind: str, types: dict[str, str]) -> tuple[str, ...]:
    """Return a type and those that it extends, closest first; unknown types give themselves alone."""
    line: list[str] = []
    while kind and kind not in line:
        line.append(kind)
        kind = types.get(kind, "")
    return tuple(line)


def walk(file: h5py.File, types: dict[str, str], notes: Notes) -> Iterator[Item]:
    """Return every time series, table and other typed object in reading order, each once however often it is linked.

    Objects of extensions that extend a known type count as that; others are noted as unknown.
    """
    seen: set[Any] = set()
    for name in DATA_GROUPS:
        node = member(file, name)
        if node is not None:
            yield from _walk(node, f"/{name}", types, notes, seen, 0)


def _walk(node: Any, path: str, types: dict[str, str], notes: Notes, seen: set[Any], depth: int) -> Iterator[Item]:
    identity = h5py.h5o.get_info(node.id)
    if (identity.fileno, identity.addr) in seen or depth > _MOST_DEPTH:
        return
    seen.add((identity.fileno, identity.addr))
    kind = text(attribute(node, "neurodata_type", ""))
    item = Item(path, node, kind, lineage_of(kind, types))
    if item.is_a("TimeSeries", "DynamicTable", "Events", "Clustering", "EventDetection", "FeatureExtraction"):
        yield item
        return
    if isinstance(node, h5py.Dataset):
        _note_dataset(item, types, notes)
        return
    found = False
    for name in node:
        child = member(node, name)
        if child is not None and not _is_described_elsewhere(node, name):
            for inner in _walk(child, f"{path}/{name}", types, notes, seen, depth + 1):
                found = True
                yield inner
    own = [name for name in node if isinstance(member(node, name), h5py.Dataset)]
    if kind and kind not in _PARENT and (own or not found):
        _note_unknown(item, notes)
    elif kind in ("Images", "ImagingRetinotopy", "ClusterWaveforms"):
        notes.not_read.append(f"{path} ({kind}): not a recording in time")


def _is_described_elsewhere(group: Any, name: str) -> bool:
    """Whether a member is a link to a device, a plane or the like, which are facts about the recording."""
    link = group.get(name, getlink=True)
    return isinstance(link, h5py.SoftLink) and text(link.path).startswith("/general")


def _note_dataset(item: Item, types: dict[str, str], notes: Notes) -> None:
    if item.kind and item.lineage[-1] not in _PARENT:
        _note_unknown(item, notes)
    elif not item.is_a("Image", "GrayscaleImage", "RGBImage", "RGBAImage", "ImageReferences"):
        notes.not_read.append(f"{item.path}: a dataset of no time series or table")


def _note_unknown(item: Item, notes: Notes) -> None:
    namespace = text(attribute(item.node, "namespace", "unknown namespace"))
    notes.unknown.setdefault(f"{item.kind} of {namespace}", []).append(item.path)


def plain(value: Any) -> Any:
    """Return a value of a file as JSON: NaN becomes None, infinity text."""
    if isinstance(value, np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, np.void) and value.dtype.names:
        return {name: plain(value[name]) for name in value.dtype.names}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value) if -(1 << 63) <= int(value) < 1 << 63 else str(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else None if math.isnan(number) else str(number)
    return text(value)


_STANDARD = ("namespace", "neurodata_type", "object_id", ".specloc")


def describe_group(group: Any, *, without: tuple[str, ...] = (), most: int = 64, depth: int = 3) -> dict[str, Any]:
    """Return the small facts of a group as JSON: attributes and datasets of up to ``most`` values; links as names."""
    facts: dict[str, Any] = {}
    for name in group.attrs:
        value = attribute(group, name)
        simple = value is not None and not isinstance(value, h5py.Reference) and np.size(value) <= most
        if name not in (*_STANDARD, *without) and simple:
            facts[name] = plain(value)
    for name in group:
        node = member(group, name)
        if node is None or name in without:
            continue
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            facts[name] = text(link.path).rpartition("/")[2]
        elif isinstance(node, h5py.Dataset):
            if node.shape is not None and math.prod(node.shape) <= most and not h5py.check_ref_dtype(node.dtype):
                facts[name] = plain(node[()])
        elif depth:
            facts[name] = describe_group(node, without=without, most=most, depth=depth - 1)
    return facts
