"""ALF, the file names of the Open Neurophysiology Environment (ONE): sessions of the IBL and others."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, ClassVar

import xarray as xr

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording

from ..base import Claim
from ..format_loader import FormatLoader
from ._spikes_alf_files import AlfObject, group_objects, is_continuous, is_session, list_files
from ._spikes_alf_signals import read_signals
from ._spikes_alf_tables import has_intervals, read_events, read_intervals
from ._spikes_alf_units import Objects, find_sortings, read_sortings

_OF_SPIKES = frozenset({"spikes", "clusters", "channels", "templates", "probes", "drift"})
_OF_CELLS = "mpciROIs"
_SESSION = re.compile(
    r"(?:(?P<lab>[\w.-]+)/Subjects/)?(?P<subject>[\w.-]+)/(?P<date>\d{4}-\d\d-\d\d)/(?P<number>\d{1,3})(?:/alf)?$"
)
_FOLDER = re.compile(r"(?P<subject>[A-Za-z][\w-]*?)_(?P<date>\d{4}-\d\d-\d\d)(?:_(?P<number>\d{1,3}))?$")


class Alf(FormatLoader):
    """Session folder with ALF names, ``[_namespace_]object.attribute[_timescale][.extra].npy`` (tsv, csv, pqt).

    Read are the files in the session's folder, in ``alf`` and below (probes, sorters, fields of view, tasks); of
    revisions (``#2024-05-06#``) the newest; uuids in names are passed over; other extra parts are put together.

    - ``events/spikes`` and ``units``: ``spikes.*`` of every probe; a unit is a row of ``clusters.*`` with all its
      columns, those of ``clusters.metrics`` by their ``cluster_id``, the ``probe`` it is on, and what ``channels.*``
      say of its peak channel: ``probe_x``, ``probe_y`` (local coordinates, micrometres), ``x``, ``y``, ``z`` (mlapdv,
      micrometres from bregma), ``region_id`` (Allen CCF 2017), ``region`` where a file has acronyms, others as
      ``channel_NAME``. With several probes the unit ids are ``PROBE_CLUSTER``. A probe with several sortings is read
      from the newest sorter (iblsorter, pykilosort, ks2_matlab).
    - Objects with ``timestamps``, and cameras and imaging, whose ``times`` are those of frames: one signal per
      attribute, ``OBJECT_ATTRIBUTE`` (``wheel_position``, ``leftCamera_dlc``). Two columns of timestamps are sample
      number and time, linear between (two rows: a regular signal). ``mpci.ROI*`` are neural signals, with the columns
      of ``mpciROIs``.
    - Objects with ``intervals`` (or a table with them): ``intervals/trials``, ``intervals/wheelMoves`` …, all
      attributes as columns. IBL's passive periods and stimuli with their ``label``.
    - Other objects with ``times``: events (``events/licks``), attributes as columns.

    Objects below a collection that is no probe have its name before theirs where two collections have the same object.
    Subject and date come from ``SUBJECT/DATE/NUMBER`` or ``SUBJECT_DATE``. Samples or intervals without a time are left
    out with a warning. Times on other clocks (``times_bpod``) are columns only.

    Not read, and listed in ``metadata["extra"]["not_read"]``: arrays of three dimensions (waveforms), JSON, videos, raw
    data (``raw_*``), objects without times.

    Parameters
    ----------
    raw
        A session, its ``alf`` folder, or a folder of sessions.
    sorter
        Which of several sortings of a probe: the folder's name, empty for the one beside the others.
    skip
        Objects to leave out, separated by commas (``leftCamera,passiveStims``).
    continuous
        Further objects whose ``times`` are those of samples and not of events, separated by commas.

    References
    ----------
    ONE documentation, "Alyx Filenames" (int-brain-lab.github.io/ONE/alf_intro.html); IBL et al. 2025, Nature 645:177.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 5

    def __init__(
        self,
        raw: str | Path,
        *,
        sorter: str | None = None,
        skip: str = "",
        continuous: str = "",
        **common: str | None,
    ) -> None:
        super().__init__(raw, sorter=sorter, skip=skip, continuous=continuous, **common)
        self.sorter = sorter
        self.skip = frozenset(name.strip() for name in skip.split(",") if name.strip())
        self.continuous = frozenset(name.strip() for name in continuous.split(",") if name.strip())

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording of a session's folder."""
        if not path.is_dir():
            return []
        objects, _ = group_objects(list_files(path))
        if not is_session(objects):
            return []
        return [Claim(path, tuple(file for owner in objects.values() for file in owner.paths))]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one session.

        Raises
        ------
        RawFileError
            If files of an object differ in their number of rows, or one is damaged; names them.
        """
        objects, passed = group_objects(list_files(claim.path))
        objects = {key: owner for key, owner in objects.items() if key[1] not in self.skip}
        read = _Session([path.name for path in passed])
        chosen, _ = find_sortings(objects, self.sorter)
        found = read_sortings(objects, self.sorter)
        if found is not None:
            read.events["spikes"] = found.spikes
            read.not_read += [*found.skipped, *(f"{collection}/spikes" for collection in found.passed)]
        of_probes = {part for collection in chosen.values() for part in _above(collection)}
        others = {
            key: owner
            for key, owner in objects.items()
            if key[1] not in _OF_SPIKES and not (key[0] in of_probes and key[1].startswith("_phy"))
        }
        for key, owner in others.items():
            self._read_object(owner, _named(key, others), objects, read)
        for remark in read.remarks:
            warnings.warn(f"{claim.path.name}: {remark}", stacklevel=2)
        if not (read.signals or read.events or read.intervals):
            raise RawFileError(f"{claim.path}: expected spikes, trials, events or signals, found no object with times")
        units = found.units if found is not None else None
        return Recording(self._metadata(session, claim.path, read), read.signals, read.events, read.intervals, units)

    def _read_object(self, owner: AlfObject, name: str, objects: Objects, read: _Session) -> None:
        sampled = "timestamps" in owner.attributes or (
            "times" in owner.attributes and (is_continuous(owner.name) or owner.name in self.continuous)
        )
        if sampled and len(owner.attributes) > 1:
            signals, remarks = read_signals(owner, name, objects.get((owner.collection, _OF_CELLS)))
            read.signals |= signals
            read.remarks += remarks
        elif "times" in owner.attributes:
            read.events[name], skipped, remarks = read_events(owner)
            read.not_read += skipped
            read.remarks += remarks
        elif has_intervals(owner):
            table, skipped, remarks = read_intervals(owner)
            if table is not None:
                read.intervals[name] = table
            read.not_read += skipped if table is not None else [path.name for path in owner.paths]
            read.remarks += remarks
        elif owner.name != _OF_CELLS:
            read.not_read += [path.name for path in owner.paths]

    def _metadata(self, session: str, folder: Path, read: _Session) -> dict[str, Any]:
        place = folder.resolve().as_posix()
        match = _SESSION.search(place) or _FOLDER.search(place.rpartition("/")[2])
        stated = {key: value for key, value in (match.groupdict() if match else {}).items() if value}
        extra: dict[str, Any] = {"lab": stated["lab"]} if "lab" in stated else {}
        extra |= {"not_read": sorted(set(read.not_read))[:500]} if read.not_read else {}
        extra |= {"remarks": read.remarks[:100]} if read.remarks else {}
        neural = any(signal.attrs["role"] == "neural" for signal in read.signals.values())
        return self.describe(
            session,
            modality="spikes" if "spikes" in read.events else "calcium" if neural else "behavior",
            subject={"id": stated.get("subject")},
            session="/".join(stated[key] for key in ("date", "number") if key in stated) or None,
            session_start=stated.get("date"),
            extra=extra,
        )


class _Session:
    """What has been read of a session so far."""

    def __init__(self, not_read: list[str]) -> None:
        self.signals: dict[str, xr.DataArray] = {}
        self.events: dict[str, xr.Dataset] = {}
        self.intervals: dict[str, xr.Dataset] = {}
        self.not_read = not_read
        self.remarks: list[str] = []


def _above(collection: str) -> list[str]:
    """A collection and those it lies in, without the session's own."""
    parts = collection.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1) if parts[0]]


def _named(key: tuple[str, str], objects: Objects) -> str:
    """An object's name, with its collection before it where another collection has the same object."""
    collection, name = key
    if not collection or sum(other == name for _, other in objects) == 1:
        return name
    return f"{collection.replace('/', '_')}_{name}"
