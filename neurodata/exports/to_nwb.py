"""A recording as a file of Neurodata Without Borders (NWB), which other programs read and ours reads back whole."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neurodata import names
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate

from ._nwb_graphs import add_graphs
from ._nwb_signals import SignalWriter
from ._nwb_tables import make_events_table, make_intervals_table, make_units_table

SIDECAR = "neurodata_recording"
"""Scratch data with what the standard has no field for, as JSON; the reader of the format knows it by this name."""
_NO_AGE = "P0D/"
"""An age of 0 days or more: the standard's way to write a range without upper end, here that nothing is known."""
_OWN_PLACE = ("trials", "epochs", "invalid_times")


def to_nwb(recording: Recording, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a recording as an NWB file; a file of that name appears when it is complete.

    Cells become RoiResponseSeries (``processing/ophys``), voltages ElectricalSeries with electrodes, behaviour
    ``processing/behavior``, stimuli ``stimulus/presentation``, other signals TimeSeries; spikes the table of units;
    events EventsTables and intervals TimeIntervals with all columns; graphs two plain tables each. Integers stay integers, with their conversion.
    Large signals pass through little memory.

    What the standard cannot say (roles, gaps, an unknown rate, attributes, licence, loader …) stands as JSON in
    ``scratch/neurodata_recording``, and channel columns in ``processing/channels``: with them our own reader gives the
    same recording again. Gaps are explicit timestamps for everybody else. A recording without a date gets that of 1970,
    a subject without an age that of ``P0D/`` (0 days or more), for readers ask for both.

    Parameters
    ----------
    recording
        What to write; checked against the schema first.
    path
        The file, ``.nwb``.
    overwrite
        Replace a file of that name.

    Returns
    -------
    path
        The file.

    Raises
    ------
    SchemaError
        If the recording breaks the schema.
    NeurodataError
        If there is such a file already, its folder is missing, or it cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise NeurodataError(f"{path}: there is such a file already; write another one, or add --overwrite")
    if not path.parent.is_dir():
        raise NeurodataError(f"{path}: there is no folder {str(path.parent)!r}; make it first")
    if path.is_dir():
        raise NeurodataError(f"{path}: is a folder; give the name of a file")
    validate(recording)
    nwb = _make_file(recording)
    try:
        _write_whole(nwb, path)
    except OSError as error:
        raise NeurodataError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _write_whole(nwb: Any, path: Path) -> None:
    """Write beside the file, then put it in its place in one step."""
    pynwb = importlib.import_module("pynwb")
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.partial-", suffix=".nwb", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        with pynwb.NWBHDF5IO(str(partial), "w") as io:
            io.write(nwb)
        _name_empty_columns(partial, nwb)
        partial.chmod(0o666 & ~_umask())
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _name_empty_columns(path: Path, nwb: Any) -> None:
    """Write the column names of tables without rows, which hdmf leaves out, so that readers find the columns."""
    h5py, table = importlib.import_module("h5py"), importlib.import_module("hdmf.common").DynamicTable
    with h5py.File(path, "r+") as file:
        objects = {node.attrs.get("object_id"): node for node in _groups(file)}
        for made in nwb.objects.values():
            if isinstance(made, table) and len(made.id) == 0 and made.colnames and made.object_id in objects:
                objects[made.object_id].attrs["colnames"] = list(made.colnames)


def _groups(file: Any) -> list[Any]:
    found: list[Any] = []
    file.visititems(lambda _, node: found.append(node) if "object_id" in node.attrs else None)
    return found


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _make_file(recording: Recording) -> Any:
    pynwb, metadata = importlib.import_module("pynwb"), dict(recording.metadata)
    said: dict[str, Any] = {"version": 1, "metadata": _kept(metadata)}
    spikes = _find_spikes(recording)
    units, intervals = None, {}
    if recording.units is not None:
        units, said["units"] = make_units_table(recording.units, spikes)
    said["intervals"] = {}
    for name, interval_table in recording.intervals.items():
        intervals[name], said["intervals"][f"/intervals/{name}"] = make_intervals_table(name, interval_table)
    own = {name: intervals.pop(name) for name in _OWN_PLACE if name in intervals}
    nwb = pynwb.NWBFile(**_facts(metadata), units=units, intervals=list(intervals.values()) or None, **own)
    writer = SignalWriter(nwb, metadata["modality"], metadata.get("device"))
    said["signals"] = dict(writer.add(name, signal) for name, signal in recording.signals_stored.items())
    said["events"] = {}
    for name, event_table in recording.events.items():
        if spikes is None or name != spikes[0]:
            made, said["events"][f"/events/{name}"] = make_events_table(name, event_table)
            nwb.add_events_table(made)
    said["graphs"] = add_graphs(nwb, recording.graphs)
    nwb.add_scratch(
        json.dumps(said, ensure_ascii=False, allow_nan=False),
        name=SIDECAR,
        description="what the standard has no field for, as JSON, so that neurodata reads the same recording back",
    )
    return nwb


def _find_spikes(recording: Recording) -> tuple[str, Any] | None:
    """The table of events that becomes the units' spike times: ``spikes``, else the first with units."""
    if recording.units is None:
        return None
    with_units = [name for name, table in recording.events.items() if names.UNIT in table.variables]
    name = "spikes" if "spikes" in with_units else next(iter(with_units), None)
    return None if name is None else (name, recording.events[name])


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata that reading the file gives back; what the recording was made from goes into ``extra``."""
    made = {key: metadata[key] for key in ("recording_id", "source_files", "loader") if metadata.get(key)}
    kept = {key: value for key, value in metadata.items() if key not in ("dataset", *made)}
    return {**kept, "extra": {**metadata.get("extra", {}), "exported_from": made}}


def _facts(metadata: dict[str, Any]) -> dict[str, Any]:
    """The fields of an NWBFile."""
    description = metadata.get("description") or f"{metadata['modality']} recording {metadata['recording_id']}"
    extra = metadata.get("extra", {})
    facts: dict[str, Any] = {
        "session_description": description,
        "identifier": metadata["recording_id"],
        "session_start_time": _start(metadata.get("session_start")),
        "session_id": metadata.get("session"),
        "experiment_description": metadata.get("task"),
        "subject": _subject(metadata["subject"]),
    }
    if metadata.get("citation", "unknown") != "unknown":
        facts["related_publications"] = [metadata["citation"]]
    if metadata.get("licence", "unknown") != "unknown":
        facts["notes"] = f"licence: {metadata['licence']}"
    for key in ("lab", "institution"):
        if isinstance(extra.get(key), str) and extra[key]:
            facts[key] = extra[key]
    if isinstance(extra.get("keywords"), list) and extra["keywords"]:
        facts["keywords"] = [str(word) for word in extra["keywords"]]
    return {key: value for key, value in facts.items() if value is not None}


def _start(stated: str | None) -> datetime:
    moment = datetime.fromisoformat(stated) if stated else datetime(1970, 1, 1, tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _subject(subject: dict[str, Any]) -> Any:
    species = subject["species"]
    described = [text for text in (subject.get("description"), subject.get("stage")) if text]
    fields = {
        "subject_id": str(subject["id"]).replace("/", "_"),
        "species": None if species == "unknown" else species,
        "sex": subject.get("sex", "U"),
        "age": subject.get("age") or _NO_AGE,
        "strain": subject.get("strain"),
        "description": "; ".join(described) or None,
    }
    stated = {key: value for key, value in fields.items() if value is not None}
    return importlib.import_module("pynwb.file").Subject(**stated)
