"""Guo et al. 2017: thalamic and cortical units of mice that lick left or right after a delay (NWB)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import xarray as xr

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals

from ..base import Claim, Facts, Loader, RecordingFacts
from ..discover import safe_name
from ..formats.nwb import Nwb
from ..hdf5 import is_hdf5, open_hdf5

LABELS = ("lick_left", "lick_right", "non-performing")
"""Kind of trial of each ``code`` 0 … 2."""

_DOI = "nature22324"
_COLUMNS = ("type", "response", "stim_present", "photo_stim_period", "photo_stim_power", "pole_out_time", "cue_start_time")  # fmt: skip
_PHOTO_COLUMNS = ("id", "photo_stim_type", "photo_stim_period", "photo_stim_power", "photo_loc_galvo_x",
                  "photo_loc_galvo_y", "photo_loc_galvo_z")  # fmt: skip


class GuoThalamus2017(Loader):
    """Single units of head-fixed mice in a tactile delayed-response task, with light on cortex in some trials.

    The file that ships with hdmf-zarr is one session of one Ai32 x PV-Cre male, 5232 s: four sorted units of a
    32-channel silicon probe in left thalamus, 412 trials. A pole moves in for 1.3 s or more (sample), out, and after a
    delay of at least 1.3 s an auditory cue (0.1 s) tells the mouse to lick. Other sessions of DANDI:000009 have the
    same layout and are read as well.

    - ``events/spikes`` and ``units``: spike times in seconds; cell type, position (``unit_x``, ``unit_y``, ``unit_z``
      in mm), mean waveform and its standard deviation as JSON text, region and group of the electrode.
    - ``intervals/trials``: all columns of the file, and ``label`` with ``code``: the side that the pole asks for
      (``lick_left``, ``lick_right``), ``non-performing`` where the mouse did not take part. Which side it licked
      follows from ``response`` (correct, incorrect, early lick).
    - ``intervals/photostimulation``: from pole out to cue of every trial with light in its delay, with power in mW and
      place on the skull in mm. The file states the period, not the times: these are derived, and a lick during the
      delay makes it longer than the light's.

    Odd: times of pole and cue are NaN in non-performing trials (four of them are said to have light, of 0 mW: no
    stretch is made for those); the first two trials last five and twenty minutes; ``photo_stim_type`` says
    ``stimulation`` in all trials. Time is the file's own, from the start of the session.

    Licence of the file: BSD-3-Clause-LBNL (repository hdmf-zarr); the original is DANDI:000009.

    Parameters
    ----------
    raw
        A file, or a folder that holds some.

    References
    ----------
    Guo ZV et al. 2017, Nature 545:181-186, doi:10.1038/nature22324.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="spiking/guo2017-thalamus-alm-nwb",
        species="Mus musculus",
        modality="spikes",
        signal=None,
        recordings={
            "anm00239123_2017-06-27_09-35-49": RecordingFacts(
                subject="anm00239123", duration_seconds=5232.4, n_units=4, n_spikes=34057
            )
        },
        targets=("intervals/trials", "intervals/photostimulation"),
        interval_labels={"trials": frozenset(LABELS)},
    )

    def __init__(self, raw: str | Path) -> None:
        super().__init__(raw)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the session of a file that cites the paper and has its trial columns."""
        if path.is_dir() or not is_hdf5(path):
            return []
        try:
            with open_hdf5(path) as file:
                name = _session_name(file)
        except (RawFileError, OSError, KeyError, ValueError, RuntimeError):
            return []  # the format's own loader says what is wrong with it
        return [Claim(path, (path,), name)] if name else []

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Session id → file."""
        paths = sorted(self.raw.rglob("*.nwb")) if self.raw.is_dir() else [self.raw]
        found = {f"{self.name}/{claim.part}": path for path in paths for claim in self.claim(path)}
        if not found:
            raise RawFileError(
                f"{self.raw}: expected NWB files that cite doi:10.1038/{_DOI} and have trials with the columns "
                f"{', '.join(_COLUMNS)}, found none; give the file or its folder"
            )
        return found

    def sessions(self) -> list[str]:
        """Return one id per file, named by its identifier."""
        return list(self._files)

    def source_files(self, session: str) -> list[Path]:
        """Return the one file of a session."""
        return [self._files[session]]

    def load(self, session: str) -> Recording:
        """Return one session.

        Raises
        ------
        RawFileError
            If the file is damaged, or a trial is of no known kind.
        """
        self.check_session(session)
        path = self._files[session]
        recording = Nwb(path, dataset=self.name, name=session.partition("/")[2]).load(session)
        trials = _label(path, recording.intervals["trials"])
        intervals = {**recording.intervals, "trials": trials, "photostimulation": _photostimulation(trials)}
        metadata = dict(recording.metadata) | {
            "loader": self.used,
            "device": "32-channel silicon probe; 473 nm laser with scanning mirrors",
            "task": "tactile delayed response: lick left or right by the place of a pole; light on ALM in the delay",
            "licence": "BSD-3-Clause-LBNL (file shipped with hdmf-zarr; original: DANDI:000009)",
            "citation": "Guo ZV, Inagaki HK, Daie K, Druckmann S, Gerfen CR, Svoboda K 2017, Nature 545:181-186, "
            "doi:10.1038/nature22324",
        }
        return recording.replace(metadata=metadata, intervals=intervals)


def _session_name(file: h5py.File) -> str:
    """The identifier of a session of this data set; empty for any other file."""
    cited = file.get("general/related_publications")
    trials, identifier = file.get("intervals/trials"), file.get("identifier")
    if not isinstance(cited, h5py.Dataset) or cited.size is None or not 0 < cited.size < 100:
        return ""
    if _DOI.encode() not in b" ".join(np.ravel(cited[()]).tolist()):
        return ""
    if not isinstance(trials, h5py.Group) or not isinstance(identifier, h5py.Dataset) or identifier.shape != ():
        return ""
    return safe_name(identifier.asstr()[()]) if all(column in trials for column in _COLUMNS) else ""


def _label(path: Path, trials: xr.Dataset) -> xr.Dataset:
    """The trials with the side asked for as ``label`` and ``code``."""
    label = np.char.replace(trials["type"].values, " ", "_")
    unknown = sorted(set(label.tolist()) - set(LABELS))
    if unknown:
        raise RawFileError(
            f"{path}: expected trials of type 'lick left', 'lick right' or 'non-performing', got {unknown[0]!r}"
        )
    code = np.array([LABELS.index(entry) for entry in label.tolist()], np.int8)
    return trials.assign({names.LABEL: (names.INTERVAL, label), names.CODE: (names.INTERVAL, code)})


def _photostimulation(trials: xr.Dataset) -> xr.Dataset:
    """The delays with light, from pole out to cue."""
    start, stop = trials["pole_out_time"].values, trials["cue_start_time"].values
    lit = (trials["stim_present"].values == 1) & (trials["photo_stim_period"].values == "delay")
    rows = np.flatnonzero(lit & (trials["photo_stim_power"].values > 0) & np.isfinite(start) & np.isfinite(stop))
    columns: dict[str, Any] = {name: trials[name].values[rows] for name in _PHOTO_COLUMNS if name in trials}
    said = {"derived": "from pole out to cue; the file states the period, not the times of the light"}
    return make_intervals(start[rows], stop[rows], attributes=said, trial=rows, **columns)
