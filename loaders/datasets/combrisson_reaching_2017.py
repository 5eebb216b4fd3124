"""Combrisson et al. 2017: one contact in human premotor cortex during delayed reaching, as shipped with tensorpac."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal, make_validity

from ..base import Claim, Facts, RecordingFacts, describe_sources
from ..one_file import OneFileLoader
from ..restricted import read_array

_FILE = "seeg_data_pac.npz"
_VARIABLES = {"data", "sf", "times"}
_PHASES = (("baseline", -np.inf, 0.0), ("planning", 0.0, 1.5), ("execution", 1.5, 3.0))
"""Seconds from the trial's zero (README of the files; Combrisson et al. 2017)."""
TRIAL_SECONDS = 5.0
"""Where trials are placed on the session's clock: trial ``k`` begins at ``k`` times this."""


class CombrissonReaching2017(OneFileLoader):
    """Stereo-EEG of one bipolar contact in human premotor cortex during a delayed centre-out reaching task.

    One epilepsy patient with depth electrodes, 160 trials of 3.9 s at 1024 Hz, one contact.

    - ``signals/seeg``: the integers of the file (amplifier units; the scale to volts is not given), one channel, the
      trials as pieces with gaps between them.
    - ``intervals/trials``: one per trial, with ``trial`` (counted from 0) and ``zero_seconds``, the session's time of
      the trial's time zero.
    - ``intervals/phase``: ``baseline`` (before zero), ``planning`` (0 to 1.5 s) and ``execution`` (from 1.5 s on), with
      ``code`` 0, 1, 2 and ``trial``. Decoding target. Cut the split by trial: phases of one trial are neighbours.

    Odd: when the trials took place is not in the file. Their order and spacing here are made: trial ``k`` begins at
    ``k`` times 5 s, so slow drifts across trials mean nothing. Directions of the movements are not included.

    Licence of the file: BSD-3-Clause (repository tensorpac).

    Parameters
    ----------
    raw
        ``seeg_data_pac.npz`` or the folder that holds it.

    References
    ----------
    Combrisson E et al. 2017, NeuroImage 147:473-487, doi:10.1016/j.neuroimage.2016.11.042.
    """

    file: ClassVar[str] = _FILE
    part: ClassVar[str] = "patient1"
    content: ClassVar[str] = f"the arrays {', '.join(sorted(_VARIABLES))}"
    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="ieeg/combrisson2017-seeg",
        species="Homo sapiens",
        modality="seeg",
        signal="seeg",
        targets=("intervals/phase",),
        recordings={
            "patient1": RecordingFacts(
                subject="patient1",
                n_channels=1,
                n_samples=160 * 4001,
                rate_hz=1024.0,
                duration_seconds=159 * TRIAL_SECONDS + 4001 / 1024,
            )
        },
        interval_labels={"phase": frozenset(label for label, _, _ in _PHASES)},
    )

    def __init__(self, raw: str | Path) -> None:
        super().__init__(raw)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording where the file has its published name and exactly its three arrays."""
        if not path.is_file() or path.name != _FILE or not zipfile.is_zipfile(path):
            return []
        try:
            with zipfile.ZipFile(path) as archive:
                known = {name.removesuffix(".npy") for name in archive.namelist()}
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise RawFileError(f"{path}: the .npz archive is truncated or damaged ({error}); fetch it again") from error
        return [Claim(path, (path,), "patient1")] if known == _VARIABLES else []

    def load(self, session: str) -> Recording:
        """Return the recording.

        Raises
        ------
        RawFileError
            If the file is damaged, or its arrays do not fit each other.
        """
        self.check_session(session)
        values, rate_hz, first = _read(self.path)
        n_trials, n_samples = values.shape
        starts = TRIAL_SECONDS * np.arange(n_trials)
        seeg = make_signal(
            values.reshape(-1, 1),
            channel_id=["premotor_bipolar"],
            units="a.u.",
            rate_hz=rate_hz,
            segments=(starts.tolist(), (n_samples * np.arange(n_trials)).tolist()),
            columns={"region": ["premotor cortex"], "type": ["SEEG, bipolar"]},
            source_units="integers of the amplifier; the scale to volts is not given",
            trial_times="made: trial k begins at k x 5 s, the file does not say when trials took place",
        )
        stops = starts + n_samples / rate_hz
        zeros = starts - first
        trials = make_intervals(starts, stops, trial=np.arange(n_trials), zero_seconds=zeros)
        intervals = {"trials": trials, "phase": _make_phases(starts, stops, zeros), **make_validity({"seeg": seeg})}
        return Recording(self._metadata(session), {"seeg": seeg}, intervals=intervals)

    def _metadata(self, session: str) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "recording_id": session,
            "subject": {"id": "patient1", "species": "Homo sapiens"},
            "modality": "seeg",
            "device": "depth electrodes (stereo-EEG), one bipolar contact in premotor cortex",
            "task": "delayed centre-out reaching",
            "licence": "BSD-3-Clause (repository tensorpac)",
            "citation": "Combrisson E et al. 2017, NeuroImage 147:473-487, doi:10.1016/j.neuroimage.2016.11.042; as shipped "
            "with Combrisson E et al. 2020, PLoS Comput Biol 16:e1008302",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
            "extra": {"trial_times": "made: trial k begins at k x 5 s; the file does not say when trials took place"},
        }


def _read(path: Path) -> tuple[NDArray[Any], float, float]:
    """Samples ``(trial, time)``, rate in Hz and time of a trial's first sample."""
    values, rate, times = (read_array(path, key) for key in ("data", "sf", "times"))
    if values.ndim != 2 or values.dtype.kind != "i" or times.shape != values.shape[1:] or 0 in values.shape:
        raise RawFileError(
            f"{path}: expected integers (trial, time) with one time per sample, got {values.dtype} {values.shape} and "
            f"{times.shape} times; is it another file?"
        )
    rate_hz = float(rate.ravel()[0]) if rate.size == 1 and rate.dtype.kind in "iuf" else 0.0
    if not 0 < rate_hz < np.inf or times.dtype.kind != "f" or values.shape[1] > TRIAL_SECONDS * rate_hz:
        raise RawFileError(f"{path}: expected a rate at which a trial takes less than {TRIAL_SECONDS} s, got {rate}")
    if not (np.abs(times - (times[0] + np.arange(len(times)) / rate_hz)) < 1e-6).all():
        raise RawFileError(f"{path}: the times are not {rate_hz} Hz apart, as 'sf' says; is it another file?")
    return values, rate_hz, float(times[0])


def _make_phases(starts: NDArray[Any], stops: NDArray[Any], zeros: NDArray[Any]) -> xr.Dataset:
    begins = np.stack([np.maximum(starts, zeros + begin) for _, begin, _ in _PHASES], axis=1)
    ends = np.stack([np.minimum(stops, zeros + end) for _, _, end in _PHASES], axis=1)
    trial = np.repeat(np.arange(len(starts))[:, None], len(_PHASES), axis=1)
    code = np.repeat(np.arange(len(_PHASES))[None], len(starts), axis=0)
    kept = begins < ends
    labels = np.array([label for label, _, _ in _PHASES])
    return make_intervals(begins[kept], ends[kept], label=labels[code[kept]], code=code[kept], trial=trial[kept])
