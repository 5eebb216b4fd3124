"""Signals as time series of NWB: voltages with electrodes, cells with their plane, behaviour, stimuli, others."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.recording.time_index import clock_of

from ._nwb_stream import stream
from ._nwb_tables import write_columns

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9}
"""Volts per unit: an ElectricalSeries is always in volts."""

_CHANNELS = "channels"
_DERIVED = (names.SAMPLING_RATE, names.START_SECONDS, names.ROLE, names.TIME_UNIT)


class SignalWriter:
    """Adds signals to a `pynwb.NWBFile`; electrodes, planes and modules are made where the first signal needs them.

    Parameters
    ----------
    nwb
        The file to add to.
    modality, device
        As in the recording's metadata.
    """

    def __init__(self, nwb: Any, modality: str, device: str | None) -> None:
        self.nwb, self.modality = nwb, modality
        self._device_words = device or "not stated"
        self._electrodes: dict[str, int] = {}
        self._segmentations: dict[tuple[str, ...], Any] = {}
        self._group: Any = None
        self._plane: Any = None

    def add(self, name: str, signal: xr.DataArray) -> tuple[str, dict[str, Any]]:
        """Add one signal; returns its path in the file and what the sidecar keeps of it."""
        series = importlib.import_module("pynwb")
        fields, clock = _fields(name, signal)
        kind = self._kind(signal)
        if kind == "electrical":
            path = self._add_electrical(name, signal, fields)
        elif kind == "cells":
            path = self._add_cells(name, signal, fields)
        else:
            made = series.TimeSeries(unit=str(signal.attrs[names.UNITS_ATTRIBUTE]), **fields, **_scale(signal, 1.0))
            path = self._place(kind, name, made)
        return path, self._said(name, signal, clock)

    def _kind(self, signal: xr.DataArray) -> str:
        role, units = signal.attrs[names.ROLE], signal.attrs[names.UNITS_ATTRIBUTE]
        if role != "neural":
            return str(role)
        if self.modality == "calcium" or units == "dF/F":
            return "cells"
        return "electrical" if units in VOLTS and self.modality not in ("fmri", "meg", "behavior") else "other"

    def _place(self, kind: str, name: str, made: Any) -> str:
        if kind == "stimulus":
            self.nwb.add_stimulus(made)
            return f"/stimulus/presentation/{name}"
        if kind == "behavior":
            self._container("behavior", "BehavioralTimeSeries", "pynwb.behavior").add_timeseries(made)
            return f"/processing/behavior/BehavioralTimeSeries/{name}"
        self.nwb.add_acquisition(made)
        return f"/acquisition/{name}"

    def _module(self, name: str, words: str) -> Any:
        if name not in self.nwb.processing:
            self.nwb.create_processing_module(name=name, description=words)
        return self.nwb.processing[name]

    def _container(self, module: str, kind: str, package: str) -> Any:
        found = self._module(module, f"{module} of the recording")
        if kind not in found.data_interfaces:
            found.add(getattr(importlib.import_module(package), kind)(name=kind))
        return found[kind]

    def _device(self) -> Any:
        if "device" not in self.nwb.devices:
            self.nwb.create_device(name="device", description=self._device_words)
        return self.nwb.devices["device"]

    def _add_electrical(self, name: str, signal: xr.DataArray, fields: dict[str, Any]) -> str:
        ecephys = importlib.import_module("pynwb.ecephys")
        rows = self._electrode_rows(signal)
        region = self.nwb.create_electrode_table_region(region=rows, description=f"electrodes of {name}")
        volts = VOLTS[signal.attrs[names.UNITS_ATTRIBUTE]]
        made = ecephys.ElectricalSeries(electrodes=region, **fields, **_scale(signal, volts, per_channel=True))
        self.nwb.add_acquisition(made)
        return f"/acquisition/{name}"

    def _electrode_rows(self, signal: xr.DataArray) -> list[int]:
        if self._group is None:
            self._group = self.nwb.create_electrode_group(
                name="electrodes", description="all electrodes", location="see each electrode", device=self._device()
            )
            self.nwb.add_electrode_column(name="channel_id", description="name of the channel")
            self.nwb.add_electrode_column(name=names.LABEL, description="who the channel is; empty where unknown")
        ids = signal.coords[names.CHANNEL_ID].values.tolist()
        texts = {key: _text_column(signal, key) for key in (names.LABEL, "region")}
        places = {axis: _number_column(signal, axis) for axis in "xyz"}
        for i, channel_id in enumerate(ids):
            if channel_id not in self._electrodes:
                self._electrodes[channel_id] = len(self._electrodes)
                self.nwb.add_electrode(
                    location=texts["region"][i] or "unknown",
                    group=self._group,
                    channel_id=channel_id,
                    label=texts[names.LABEL][i],
                    **{axis: float(values[i]) for axis, values in places.items()},
                )
        return [self._electrodes[channel_id] for channel_id in ids]

    def _add_cells(self, name: str, signal: xr.DataArray, fields: dict[str, Any]) -> str:
        ophys = importlib.import_module("pynwb.ophys")
        units = str(signal.attrs[names.UNITS_ATTRIBUTE])
        cells = self._segmentation(signal)
        region = cells.create_roi_table_region(description=f"cells of {name}", region=list(range(signal.shape[1])))
        made = ophys.RoiResponseSeries(rois=region, unit=units, **fields, **_scale(signal, 1.0))
        kind = "DfOverF" if units == "dF/F" else "Fluorescence"
        self._container("ophys", kind, "pynwb.ophys").add_roi_response_series(made)
        return f"/processing/ophys/{kind}/{name}"

    def _segmentation(self, signal: xr.DataArray) -> Any:
        """The cells of a signal; signals of the same cells share them."""
        key = tuple(signal.coords[names.CHANNEL_ID].values.tolist())
        if key not in self._segmentations:
            ophys, common = importlib.import_module("pynwb.ophys"), importlib.import_module("hdmf.common")
            # pynwb asks for masks; none are known, so every cell's list of pixels is empty.
            pixels = np.zeros(0, [("x", "u4"), ("y", "u4"), ("weight", "f4")])
            mask = common.VectorData(name="pixel_mask", description="not known: no pixel of any cell", data=pixels)
            ends = common.VectorIndex(name="pixel_mask_index", data=np.zeros(len(key), np.uint64), target=mask)
            columns, _ = write_columns(_identity(signal), "DynamicTable")
            number = len(self._segmentations)
            made = ophys.PlaneSegmentation(
                name=f"PlaneSegmentation{number or ''}",
                description="cells whose traces were recorded",
                imaging_plane=self._imaging_plane(),
                columns=[*columns, mask, ends],
                id=list(range(len(key))),
            )
            self._container("ophys", "ImageSegmentation", "pynwb.ophys").add_plane_segmentation(made)
            self._segmentations[key] = made
        return self._segmentations[key]

    def _imaging_plane(self) -> Any:
        if self._plane is None:
            ophys = importlib.import_module("pynwb.ophys")
            channel = ophys.OpticalChannel(name="channel", description="not stated", emission_lambda=float("nan"))
            self._plane = self.nwb.create_imaging_plane(
                name="ImagingPlane",
                optical_channel=channel,
                description="plane or volume that was imaged",
                device=self._device(),
                excitation_lambda=float("nan"),
                indicator="unknown",
                location="unknown",
            )
        return self._plane

    def _said(self, name: str, signal: xr.DataArray, clock: dict[str, Any]) -> dict[str, Any]:
        """Write the channel columns as a table of their own, and return the sidecar's words on the signal."""
        common = importlib.import_module("hdmf.common")
        coordinates = {str(key): values for key, values in signal.coords.items() if key != names.TIME}
        columns, said = write_columns({key: values.values for key, values in coordinates.items()}, "DynamicTable")
        module = self._module(_CHANNELS, "one table per signal: what is known about each of its channels")
        module.add(
            common.DynamicTable(
                name=name, description=f"channels of {name}", columns=columns, id=list(range(signal.shape[1]))
            )
        )
        attributes = {key: value for key, value in signal.attrs.items() if key not in _DERIVED}
        by_column = {key: dict(values.attrs) for key, values in coordinates.items() if values.attrs}
        return {
            "name": name,
            "role": signal.attrs[names.ROLE],
            "shape": list(signal.shape),
            "dtype": signal.dtype.newbyteorder("=").str,
            "channels": f"/processing/{_CHANNELS}/{name}",
            "columns": said,
            "clock": clock,
            "attributes": attributes,
            "column_attributes": by_column,
        }


def _identity(signal: xr.DataArray) -> dict[str, NDArray[Any]]:
    """The columns by which others know a cell: names and place."""
    kept = (names.CHANNEL_ID, names.LABEL, "region", "x", "y", "z")
    return {key: signal.coords[key].values for key in kept if key in signal.coords}


def _text_column(signal: xr.DataArray, name: str) -> list[str]:
    if name not in signal.coords:
        return [""] * signal.shape[1]
    return [str(value) for value in signal.coords[name].values.tolist()]


def _number_column(signal: xr.DataArray, name: str) -> NDArray[np.float64]:
    known = name in signal.coords and signal.coords[name].dtype.kind in "iuf"
    return np.asarray(signal.coords[name].values, np.float64) if known else np.full(signal.shape[1], np.nan)


def _scale(signal: xr.DataArray, factor: float, *, per_channel: bool = False) -> dict[str, Any]:
    """How stored values become physical: ``data * conversion + offset`` in units of ``1 / factor`` of the signal's."""
    scale, offset = (
        np.asarray(signal.coords[name].values if name in signal.coords else signal.attrs.get(name, default), np.float64)
        for name, default in ((names.SCALE_FACTOR, 1.0), (names.ADD_OFFSET, 0.0))
    )
    fields: dict[str, Any] = {"conversion": factor}
    if np.ptp(scale) == 0:
        fields["conversion"] = float(scale.ravel()[0]) * factor
    elif per_channel:
        fields["channel_conversion"] = scale
    else:
        fields["comments"] = f"each channel has its own scale_factor and add_offset: table in processing/{_CHANNELS}"
    if np.ptp(offset) == 0:
        fields["offset"] = float(offset.ravel()[0]) * factor
    else:
        fields["comments"] = f"each channel has its own add_offset: table in processing/{_CHANNELS}"
    return fields


def _fields(name: str, signal: xr.DataArray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Name, data and times for pynwb, and the sidecar's words on the times."""

    def read(selection: tuple[slice, ...]) -> NDArray[Any]:
        return np.asarray(signal.variable[selection].values)

    data = stream((int(signal.shape[0]), int(signal.shape[1])), signal.dtype.newbyteorder("="), read)
    words = str(signal.attrs.get("description") or f"signal {name}")
    fields: dict[str, Any] = {"name": name, "data": data, "description": words}
    clock = clock_of(signal)
    if clock is None:
        return fields | {"timestamps": np.asarray(signal[names.TIME].values)}, {"timestamps": True}
    if clock.unit == names.FRAMES:
        told = {"description": f"{words} (the sampling rate is unknown: times count samples)"}
        return fields | told | {"rate": 1.0, "starting_time": 0.0}, {}
    starts, firsts = clock.segments()
    rate = clock.sampling_rate_hz
    if len(starts) == 1:
        start = float(starts[0])
        return fields | {"rate": rate, "starting_time": start}, {"rate_hz": rate, "start_seconds": start}
    times = stream((clock.size,), np.float64, lambda selection: clock.times(np.arange(clock.size)[selection[0]]))
    return fields | {"timestamps": times}, {"rate_hz": rate, "segments": [starts.tolist(), firsts.tolist()]}
