"""Neurodata Without Borders (NWB 2) files: units, voltages, cells, behaviour, events and trials of any lab."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import xarray as xr

from neurodata import names
from neurodata.errors import NeurodataError, RawFileError
from neurodata.recording.recording import Recording

from ..base import Claim
from ..discover import safe_name
from ..format_loader import FormatLoader
from ..hdf5 import is_hdf5, open_hdf5
from ._nwb_channels import MASKS, Channels
from ._nwb_events import (
    event_column,
    is_event_series,
    read_event_series,
    read_event_table,
    read_event_times,
    read_image_times,
    read_interval_series,
    read_intervals,
)
from ._nwb_file import Item, Notes, OddNwbError, member, plain, read_types, text, walk
from ._nwb_metadata import guess_modality, modality_words, read_facts
from ._nwb_restore import Found, read_sidecar, restore_facts, restore_graphs, restore_members
from ._nwb_series import Source, read_series
from ._nwb_table import Table, open_table
from ._nwb_units import read_units

_MOST_TABLE = 50_000
"""Most values of a table of another kind that are kept in the metadata."""
_RESERVED = {"time", "channel", "segment", "segment_start", "segment_first", "second_first_event"}


class Nwb(FormatLoader):
    """NWB 2.0 and later in HDF5, found by ``neurodata_type`` alone, so that no version and no extension is needed.

    - ``signals``: every TimeSeries with numbers, under its own name (with that of its container in front where two
      have the same). ElectricalSeries (channels are electrodes, with all columns of their table), RoiResponseSeries
      (channels are cells; the same cell has the same ``channel_id`` in each; ``x``, ``y`` from centroids or masks),
      patch clamp, SpatialSeries, BehavioralTimeSeries, OptogeneticSeries … Integers stay integers: ``conversion``,
      ``channel_conversion`` and ``offset`` become ``scale_factor`` and ``add_offset``. Explicit timestamps stay
      explicit. More than two dimensions are flattened, columns say which channel is which.
    - ``units`` and ``events/spikes``: the table of units with all columns (nested ones, such as mean waveforms, as
      JSON text), region and position of the first electrode; ``intervals/obs_intervals``.
    - ``events``: AnnotationSeries, BehavioralEvents, IndexSeries (with image names), text series, event tables of
      NWB 2.11 and of ndx-events; times of shown image series.
    - ``intervals``: trials, epochs, invalid_times and every other TimeIntervals table with all columns; ragged and
      reference columns as JSON text or names; IntervalSeries.

    Odd: a row without a finite start or stop keeps the edge that it has as both, with the file's values in columns
    ``start_time`` and ``stop_time``. Timestamps that go back are sorted, equal ones moved on by one ulp, samples
    without one left out; each is said in a warning and in ``metadata["extra"]["mended"]``. Names and birth dates of
    people are dropped. An object of an extension is read as the known type that it extends, where the file carries the
    specification; other extensions are skipped with one warning that names them.

    Not read: images, volumes and movies, masks (centroids are), single spikes' waveforms, stimulus templates, scratch; they are
    listed in ``metadata["extra"]["not_read"]``. NWB 1 and NWB in Zarr are refused.

    Parameters
    ----------
    raw
        A file, or a folder that is searched for them.
    modality
        What the recording is, where the file does not let it be seen (an ECoG without the word).
    common
        See `FormatLoader`.

    References
    ----------
    NWB format specification 2.0 … 2.11, https://nwb-schema.readthedocs.io.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(
        self,
        raw: str | Path,
        *,
        modality: Literal["calcium", "spikes", "eeg", "seeg", "ecog", "meg", "fmri", "lfp", "behavior", "other"]
        | None = None,
        **common: str | None,
    ) -> None:
        super().__init__(raw, modality=modality, **common)
        self.modality = modality

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the one recording of an NWB file.

        Raises
        ------
        RawFileError
            If it is NWB that cannot be read: damaged, of version 1, or in Zarr.
        """
        if path.is_dir():
            _refuse_zarr(path)
            return []
        if not is_hdf5(path):
            return []
        try:
            with open_hdf5(path) as file:
                kind, version = text(file.attrs.get("neurodata_type", "")), text(file.attrs.get("nwb_version", ""))
                old = member(file, "nwb_version")
                old = text(old[()]) if isinstance(old, h5py.Dataset) and old.shape == () else version
        except RawFileError:
            if _speaks_of_nwb(path):
                raise
            return []
        except Exception as error:
            raise RawFileError(f"{path}: the HDF5 file is damaged ({error}); fetch it again") from error
        if kind == "NWBFile":
            return [Claim(path, (path,))]
        if old.upper().startswith(("NWB-", "1.")):
            raise RawFileError(
                f"{path}: expected NWB 2, this is version 1 ({old}); convert it with the lab's own tools, for its layout "
                "has little in common with today's"
            )
        return []

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one file.

        Raises
        ------
        RawFileError
            If the file is damaged, or holds nothing that can be read.
        """
        try:
            with open_hdf5(claim.path) as file:
                return self._read(session, file, claim.path)
        except NeurodataError:
            raise
        except Exception as error:
            raise RawFileError(
                f"{claim.path}: expected an NWB file that can be read ({type(error).__name__}: {error}); is it damaged?"
            ) from error

    def _read(self, session: str, file: h5py.File, path: Path) -> Recording:
        said = read_sidecar(file)
        reader = _Reader(file, path)
        reader.graphs, tables_of_graphs = restore_graphs(file, said, reader.notes)
        for item in reader.items:
            if item.path not in tables_of_graphs:
                reader.read(item)
        facts = read_facts(file)
        facts["extra"] |= reader.extra()
        words = modality_words(file, reader.signals)
        facts["modality"] = self.modality or guess_modality(
            reader.signals, spikes=reader.units is not None, with_electrodes=reader.with_electrodes, words=words
        )
        if said:
            restore_members(file, path, said, reader)
            facts = restore_facts(said, facts)
        facts["modality"] = self.modality or facts["modality"]
        if not (reader.signals or reader.events or reader.intervals or reader.graphs):
            listed = "; ".join(reader.notes.not_read + list(reader.notes.unknown)) or "it is empty"
            raise RawFileError(f"{path}: expected signals, units, events or intervals, found none ({listed})")
        _warn(path, reader.notes)
        stated = facts.pop("session", None)  # the lab's own name for it; ``describe`` takes ours under that word
        metadata = self.describe(session, **facts) | ({"session": stated} if stated else {})
        return Recording(metadata, reader.signals, reader.events, reader.intervals, reader.units, graphs=reader.graphs)


class _Reader(Found):
    """Reads the items of one file, each into the member that it makes."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        super().__init__()
        self.file, self.notes = file, Notes()
        self.items = list(walk(file, read_types(file), self.notes))
        n_planes = sum(item.is_a("PlaneSegmentation") for item in self.items)
        self.source = Source(path, Channels(file, self.notes, n_planes), self.notes)
        tables = [item for item in self.items if item.is_a("DynamicTable")]
        series = [item for item in self.items if not item.is_a("DynamicTable")]
        self.names = _unique_names(series) | _unique_names(tables)
        self.with_electrodes = False
        self.cells: list[Item] = []
        self.tables: dict[str, Any] = {}
        self.dropped: dict[str, Any] = {}
        for name in ("stimulus/templates", "scratch"):
            node = member(file, name)
            if isinstance(node, h5py.Group) and set(node) - {"neurodata_recording"}:
                inside = ", ".join(sorted(set(node) - {"neurodata_recording"}))
                self.notes.not_read.append(f"/{name}: {inside}, on no clock of the session")

    def read(self, item: Item) -> None:
        """Read one item; what is odd about it is noted and leaves the rest as it is."""
        self.places[item.path] = self.names[item.path]
        try:
            if item.is_a("DynamicTable"):
                self._read_table(item)
            elif item.is_a("TimeSeries"):
                self._read_series(item)
            elif item.is_a("Events"):
                self._add_events(item, read_event_series(item, self.notes))
            else:
                self._add_events(item, read_event_times(item, self.notes))
        except OddNwbError as error:
            self.notes.not_read.append(f"{item.path} ({item.kind}): {error}")
            warnings.warn(f"{self.source.path.name}: {item.path} ({item.kind}) is not read: {error}", stacklevel=2)

    def _read_series(self, item: Item) -> None:
        if is_event_series(item):
            self._add_events(item, read_event_series(item, self.notes))
        elif item.is_a("IntervalSeries"):
            self._add_intervals(item, read_interval_series(item, self.notes))
        elif item.is_a("ImageSeries"):
            self.notes.not_read.append(f"{item.path} ({item.kind}): images are no traces; extract cells' traces first")
            times = read_image_times(item, self.notes) if item.path.startswith("/stimulus/") else None
            if times is not None:
                self._add_events(item, times)
        else:
            made = read_series(item, self.source)
            for suffix, signal in made.items():
                self._add_signal(item, suffix, signal)

    def _read_table(self, item: Item) -> None:
        if item.is_a("PlaneSegmentation"):
            self.cells.append(item)  # their rows are the channels of series, which may come later
            return
        if item.is_a("Units") and self.units is None:
            self._read_units(item)
            return
        table = open_table(item.node, self.notes)
        moments = event_column(table)
        if item.is_a("TimeIntervals") or "start_time" in table.columns:
            self._add_intervals(item, read_intervals(item, table, self.notes, self.dropped))
        elif moments is not None:
            self._add_events(item, read_event_table(item, table, moments, self.notes))
        else:
            self._keep_table(item.path, table)

    def _read_units(self, item: Item) -> None:
        found = read_units(item, self.source.channels, self.notes)
        self.units = found.units
        self.with_electrodes = "electrodes" in found.units
        if found.spikes is not None:
            self.events[_free("spikes", self.events)] = found.spikes
        if found.observed is not None:
            self.intervals[_free("obs_intervals", {*self.intervals, *self.names.values()})] = found.observed

    def _add_events(self, item: Item, table: xr.Dataset) -> None:
        name = self.names[item.path]
        name = _free(f"{name}_events" if name == "spikes" else name, self.events)
        self.events[name], self.places[item.path] = table, name

    def _add_intervals(self, item: Item, table: xr.Dataset) -> None:
        name = _free(self.names[item.path], self.intervals)
        self.intervals[name], self.places[item.path] = table, name

    def _add_signal(self, item: Item, suffix: str, signal: xr.DataArray) -> None:
        name = _free(f"{self.names[item.path]}{suffix}", self.signals)
        if name in (names.CHANNEL_ID, names.SCALE_FACTOR, names.ADD_OFFSET):  # columns that mean something
            name = _free(f"{name}_signal", self.signals)
        clash = {column: f"{column}_column" for column in signal.coords if column == name}
        self.signals[name] = signal.rename(clash) if clash else signal
        if not suffix:
            self.places[item.path] = name

    def _keep_table(self, path: str, table: Table, without: Collection[str] = ()) -> None:
        """A table that is neither events nor intervals, as JSON of the metadata where it is small."""
        if table.n_rows * max(1, len(table.columns)) > _MOST_TABLE:
            self.notes.not_read.append(f"{path}: a table of {table.n_rows} rows without times")
            return
        values = {name: plain(column) for name, column in table.read_all(without).items()}
        self.tables[path] = {"id": plain(table.ids()), **values}

    def extra(self) -> dict[str, Any]:
        """What of the file has no place in the schema, and what was not read or mended."""
        electrodes = self.source.channels.electrode_table()
        unused = [electrodes] if isinstance(electrodes, h5py.Group) else []
        unused += [item.node for item in self.cells]
        for node in unused:
            if text(node.name) not in self.source.channels.used:
                self._keep_table(text(node.name), open_table(node, self.notes), without=MASKS)
        unknown = [f"{kind}: {', '.join(paths)}" for kind, paths in self.notes.unknown.items()]
        found = {
            "tables": self.tables,
            "rows_without_time": self.dropped,
            "not_read": self.notes.not_read,
            "mended": self.notes.mended,
            "unknown_extensions": unknown,
        }
        return {name: json.loads(json.dumps(value)) for name, value in found.items() if value}


def _unique_names(items: Collection[Item]) -> dict[str, str]:
    """Path → the shortest end of it that no other item has, in safe characters."""
    parts = {item.path: [safe_name(part) for part in item.path.strip("/").split("/")] for item in items}
    given_names = {path: found[-1] for path, found in parts.items()}
    for depth in range(2, max(map(len, parts.values()), default=0) + 1):
        counts = Counter(name.lower() for name in given_names.values())
        for path, name in given_names.items():
            if counts[name.lower()] > 1 or name in _RESERVED:
                given_names[path] = safe_name("-".join(parts[path][-depth:]))
    given: set[str] = set()
    for path, name in given_names.items():
        given_names[path] = _free(name, given)
        given.add(given_names[path])
    return given_names


def _free(name: str, taken: Collection[str]) -> str:
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def _refuse_zarr(folder: Path) -> None:
    for name in (".zattrs", "zarr.json"):
        described = folder / name
        if described.is_file() and described.stat().st_size <= 16 << 20:
            words = described.read_bytes()
            if re.search(rb'"neurodata_type"\s*:\s*"NWBFile"', words):
                raise RawFileError(
                    f"{folder}: NWB in Zarr is not read; export it to HDF5 with hdmf-zarr's NWBZarrIO and pynwb's "
                    "NWBHDF5IO.export, then convert that file"
                )


def _speaks_of_nwb(path: Path) -> bool:
    """Tell whether a damaged HDF5 file was an NWB file, by its suffix or by the words at its beginning."""
    with path.open("rb") as stream:
        return path.suffix.lower() == ".nwb" or b"nwb_version" in stream.read(1 << 20)


def _warn(path: Path, notes: Notes) -> None:
    if notes.unknown:
        listed = "; ".join(f"{kind} at {', '.join(paths[:3])}" for kind, paths in notes.unknown.items())
        warnings.warn(f"{path.name}: objects of unknown extensions are not read: {listed}", stacklevel=3)
    if notes.mended:
        shown = "; ".join(notes.mended[:5]) + (f"; and {len(notes.mended) - 5} more" if len(notes.mended) > 5 else "")
        warnings.warn(f"{path.name}: {shown}", stacklevel=3)
