"""BIDS data sets: EEG, iEEG, MEG and fMRI with what their tables and sidecars say, one recording per run."""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording

from ..base import Claim
from ..format_loader import FormatLoader
from ._bids_channels import Places, label_signal, read_channels, read_places
from ._bids_files import (
    description,
    electrodes_of,
    inherited,
    is_bids,
    list_recordings,
    list_unread,
    root_of,
    run_name,
    stem,
)
from ._bids_tables import labels_of, read_label_codes, row_of, subject_of
from ._fmri_sidecar import find_sidecars, parse_name, read_sidecars
from ._fmri_tables import read_events, read_table, with_onsets
from .edf import Edf
from .mne_raw import MneRaw
from .nifti import Nifti
from .nwb import Nwb

_BY_ENDING: dict[str, type[FormatLoader]] = {
    ".edf": Edf, ".bdf": Edf, ".nii": Nifti, ".nii.gz": Nifti, ".nwb": Nwb
}  # fmt: skip
_MODALITY = {"eeg": "eeg", "meg": "meg", "bold": "fmri"}


class Bids(FormatLoader):
    """A data set in the Brain Imaging Data Structure: every EEG, iEEG, MEG and BOLD run becomes one recording.

    The data file is read by its own loader (`edf`, `mne_raw`, `nwb`, `nifti`); what BIDS says of it comes on top:

    - ``participants.tsv``: age, sex, species (human where none is named); all further columns in
      ``metadata["extra"]["participant"]``. ``scans.tsv``: start of the session, unless the date was shifted (before 1925).
    - ``channels.tsv``: one signal per channel type (``eeg``, ``eog``, ``ecg``, ``seeg``, ``ecog``, ``misc`` …), every
      column kept, ``bad`` from ``status``. ``type`` is the stated one in MNE's words (``mag``, ``stim``), ``type_stated``
      the table's. Units stay those of the file; the table's are in ``units_stated``.
    - ``electrodes.tsv`` and ``coordsystem.json``: ``x``, ``y``, ``z`` in metres, attribute ``space``, and every other
      column. Names may differ from the file's in case, blanks, dots and a leading ``EEG``.
    - ``events.tsv``: ``intervals/trials`` with every column; ``label`` is ``trial_type`` (else ``value``), ``code``
      counts the labels of all runs of the task in alphabetical order, so that it means the same everywhere.
    - JSON sidecars, by the inheritance principle: task, device, power line frequency, reference; all of it in
      ``metadata["extra"]["sidecar"]``.

    Recordings are named as their files (``sub-01_task-rest_run-1_eeg``, parts of one without ``split``) and the data set by its folder. Not read:
    anatomical images, physiology files (``_physio``, ``_stim``), behaviour only, source data; derivatives are data sets
    of their own and are read where their own folder is given.

    Parameters
    ----------
    raw
        The folder with ``dataset_description.json``, a subject, session or file in it, or a folder that holds several.
    only
        Read runs of one kind only: ``eeg``, ``ieeg``, ``meg`` or ``bold``.

    References
    ----------
    Gorgolewski KJ et al. 2016, doi:10.1038/sdata.2016.44; BIDS specification 1.10.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 5

    def __init__(
        self, raw: str | Path, *, only: Literal["eeg", "ieeg", "meg", "bold"] | None = None, **common: str | None
    ) -> None:
        super().__init__(raw, only=only, **common)
        self.only = only

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return one claim per run of a BIDS data set, or of the subject, session or file of one.

        Raises
        ------
        RawFileError
            If the folder is a data set in which no run can be read.
        """
        root = root_of(path)
        if root is None:
            return []
        place = path.absolute()
        found = [data for data in list_recordings(root) if root == path or place in (data, *data.parents)]
        if not found and root != path:
            return []
        if not found:
            raise RawFileError(
                f"{path}: a BIDS data set without EEG, iEEG, MEG or BOLD runs; what is in it is not read"
            )
        unread = list_unread(path) if root == path else []
        if unread:
            named = ", ".join(entry.name for entry in unread[:3])
            warnings.warn(f"{path.name}: {len(unread)} runs are of formats that are not read ({named})", stacklevel=2)
        if path in found or place in found:  # its name is that of the run already
            return [Claim(path, _files_of(root, path))]
        return [Claim(path, _files_of(root, data), run_name(data)) for data in found]

    def sessions(self) -> list[str]:
        """Return one id per run, sorted by subject and name."""
        found = [
            session
            for session in super().sessions()
            if self.only in (None, parse_name(_data_of(self.found[session].claim)).suffix)
        ]
        if not found:
            raise RawFileError(f"{self.raw}: there is no {self.only!r} run in this BIDS data set")
        return found

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one run.

        Raises
        ------
        RawFileError
            If its data file or one of its tables cannot be read.
        """
        data = _data_of(claim)
        recording = self._read_data(data)
        sidecar = read_sidecars(find_sidecars(data, parse_name(data).suffix))
        places = read_places(*electrodes_of(data), parse_name(data).suffix == "eeg")
        signals = self._signals(data, recording, sidecar, places)
        intervals = dict(recording.intervals) | self._trials(data)
        metadata = self._metadata(session, data, signals, sidecar, dict(recording.metadata))
        if places.remark:
            warnings.warn(f"{data.name}: {places.remark}", stacklevel=2)
            metadata["extra"] = metadata.get("extra", {}) | {"electrodes": places.remark}
        return Recording(metadata, signals, recording.events, intervals, recording.units)

    def _read_data(self, data: Path) -> Recording:
        if data.is_symlink() and not data.exists():
            raise RawFileError(
                f"{data}: a link whose content is not here, as git-annex and DataLad leave it; fetch it with "
                f"'datalad get {data.name}'"
            )
        loader_class = _loader_of(data)
        options: dict[str, Any] = {}
        if parse_name(data).suffix == "ieeg":  # a contact called T3 is no scalp electrode
            options = {MneRaw: {"eeg_is": "seeg"}, Edf: {"modality": "seeg"}}.get(loader_class, {})
        elif loader_class is MneRaw:
            options = {"eeg_is": "eeg"}
        loader = loader_class(data, dataset=self.dataset, name=stem(data), **options)
        return loader.load(loader.sessions()[0])

    def _signals(
        self, data: Path, recording: Recording, sidecar: dict[str, Any], places: Places
    ) -> dict[str, xr.DataArray]:
        stored = dict(recording.signals_stored)
        if parse_name(data).suffix == "bold":
            return stored
        channels = read_channels(inherited(data, "channels", ".tsv"))
        signals: dict[str, xr.DataArray] = {}
        for name, signal in stored.items():
            for kind, part in label_signal(signal, channels, places).items():
                unique = kind if kind not in signals else f"{kind}_{name}"
                more = {"line_frequency_hz": sidecar.get("PowerLineFrequency")}
                more |= {"reference": sidecar.get("EEGReference") or sidecar.get("iEEGReference")}
                stated = {
                    key: value for key, value in more.items() if isinstance(value, (int, float, str)) and value != "n/a"
                }
                signals[unique] = part.rename(unique).assign_attrs(stated)
        return signals

    @cached_property
    def _codes(self) -> dict[tuple[Path, str], dict[str, int]]:
        """Codes of the labels, per data set and task."""
        tables: dict[tuple[Path, str], list[Path]] = {}
        # All runs of the data set, also where one subject is read: a code means the same in either case.
        for root in {_root_of(_data_of(found.claim)) for found in self.found.values()}:
            for data in list_recordings(root):
                events = inherited(data, "events", ".tsv")
                if events is not None:
                    tables.setdefault(_task_of(data), []).append(events)
        return {task: read_label_codes(list(dict.fromkeys(paths))) for task, paths in tables.items()}

    def _trials(self, data: Path) -> dict[str, xr.Dataset]:
        events = inherited(data, "events", ".tsv")
        if events is None:
            return {}
        trials = read_events(events)
        labels = labels_of(with_onsets(read_table(events)))
        if any(labels):
            codes = self._codes[_task_of(data)]
            code = [codes.get(label, -1) for label in labels]
            trials = trials.assign(
                {
                    names.LABEL: (names.INTERVAL, np.asarray(labels, np.str_)),
                    names.CODE: (names.INTERVAL, np.asarray(code, np.int64)),
                }
            ).assign_attrs(code_source="alphabetical order of the labels of all runs of the task")
        return {"trials": trials}

    def _metadata(
        self,
        session: str,
        data: Path,
        signals: dict[str, xr.DataArray],
        sidecar: dict[str, Any],
        inner: dict[str, Any],
    ) -> dict[str, Any]:
        root, entities = _root_of(data), parse_name(data).entities
        about = description(root)
        subject = entities["sub"]
        participant = row_of(root / "participants.tsv", "participant_id", f"sub-{subject}", subject)
        personal = {
            key: value for key, value in inner["subject"].items() if key in ("sex", "age") and value not in ("U", None)
        }
        stated = {key: value for key, value in subject_of(participant, subject).items() if value}
        device = " ".join(str(sidecar[key]) for key in ("Manufacturer", "ManufacturersModelName") if sidecar.get(key))
        own = {key: value for key, value in (inner.get("extra") or {}).items() if key != "sidecar"}
        events = inherited(data, "events", ".tsv")
        about_events = read_sidecars(find_sidecars(events, "events")) if events else {}
        more = {"sidecar": sidecar, "events_sidecar": about_events, "participant": participant, "file": own}
        suffix = parse_name(data).suffix
        return self.describe(
            session,
            modality=_MODALITY.get(suffix) or ("ecog" if "ecog" in signals else "seeg"),
            subject=personal | stated,
            session=f"ses-{entities['ses']}" if "ses" in entities else None,
            session_start=_start_of(data) or inner.get("session_start"),
            task=str(sidecar.get("TaskName") or entities.get("task") or "") or None,
            device=device or inner.get("device"),
            description=str(about.get("Name") or "") or None,
            licence=str(about.get("License") or "") or None,
            citation=_citation_of(about),
            extra={key: value for key, value in more.items() if value},
        )


def _loader_of(data: Path) -> type[FormatLoader]:
    return _BY_ENDING.get("." + data.name.partition(".")[2].lower(), MneRaw)


def _files_of(root: Path, data: Path) -> tuple[Path, ...]:
    """The data file first, then all that is read with it: what its own loader claims, and the tables."""
    try:
        own = [file for claim in _loader_of(data).claim(data)[:1] for file in claim.files]
    except (RawFileError, OSError):  # told of when it is loaded
        own = []
    if not own:
        own = [data] if not data.is_dir() else sorted(path for path in data.rglob("*") if path.is_file())
    events = inherited(data, "events", ".tsv")
    tables = [events, inherited(data, "channels", ".tsv"), inherited(data, "scans", ".tsv"), *electrodes_of(data)]
    tables += [root / "participants.tsv", root / "dataset_description.json"]
    tables += find_sidecars(events, "events") if events else []
    beside = [*find_sidecars(data, parse_name(data).suffix), *tables]
    first = own[0] if data.is_dir() else data
    return tuple(dict.fromkeys((first, *own, *(path for path in beside if path is not None and path.is_file()))))


def _data_of(claim: Claim) -> Path:
    """The run's file, or its folder where it is one (CTF's ``.ds``)."""
    return next((folder for folder in claim.files[0].parents if folder.suffix == ".ds"), claim.files[0])


def _root_of(data: Path) -> Path:
    inside = data.absolute()
    return next((folder for folder in inside.parents if is_bids(folder)), inside.parent)


def _task_of(data: Path) -> tuple[Path, str]:
    return _root_of(data), parse_name(data).entities.get("task", "")


def _start_of(data: Path) -> str | None:
    """When the run began, by ``scans.tsv``; dates before 1925 were shifted on purpose."""
    scans = inherited(data, "scans", ".tsv")
    if scans is None:
        return None
    acquired = row_of(scans, "filename", data.absolute().relative_to(scans.parent).as_posix()).get("acq_time", "")
    whole = re.fullmatch(r"(\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?", acquired)
    return acquired if whole and int(whole[1]) >= 1925 else None


def _citation_of(about: dict[str, Any]) -> str | None:
    authors = about.get("Authors")
    listed = ", ".join(map(str, authors)) if isinstance(authors, list) else ""
    parts = [
        listed,
        str(about.get("Name") or ""),
        str(about.get("DatasetDOI") or ""),
        str(about.get("HowToAcknowledge") or ""),
    ]
    return ". ".join(part for part in parts if part) or None
