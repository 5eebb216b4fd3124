"""Kato et al. 2015: whole-brain calcium of five worms, as shipped with nc-mcm and NC-MCM-Visualizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import RawFileError
from neurodata.identity.celegans import clean_label, clean_labels
from neurodata.recording.recording import Recording
from neurodata.recording.timed import clock_of, make_intervals, make_signal, run_lengths

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..restricted import read_array

STATES = ("dt", "fwd", "nostate", "rev1", "rev2", "revsus", "slow", "vt")
"""State of each code 0 … 7 in ``worm_*_y.csv``."""

_KNOWN = "known_neurons.npz"
_TRACES = re.compile(r"raw_full_data_worm_([1-9]\d{0,5})\.npz")
_MOST_TEXT = 64 << 20


class KatoBrain2015(Loader):
    """Whole-brain calcium imaging of five immobilised worms with their fictive motor states.

    Five adult hermaphrodites with pan-neuronal nuclear GCaMP in a microfluidic chip, no stimulus, 18 minutes each at
    about 2.9 volumes per second: 109–135 neurons of the head ganglia, 31–47 of them with an identity.

    - ``signals/calcium``: bleach-corrected ΔF/F exactly as in the file (float64), columns in file order.
    - ``intervals/state``: eight motor states that the authors derived from command neurons (``dt``/``vt`` dorsal and
      ventral turn, ``fwd``, ``slow``, ``rev1``, ``rev2``, ``revsus``, ``nostate``), one interval per run of equal
      codes, with the file's ``code``. The states come from the same neurons that are recorded: decoding them shows
      how well activity is read, not that it predicts movement.

    Odd: no time vector is shipped, so the rate is the number of samples over the 1080 s that the paper states (which
    agrees with the ``fps`` of a second repository for worms 1 and 5); state files count worms from 0; neuron names
    are zero-padded (``VB02``). An optional file ``time_worm_{1..}.csv`` (one line of seconds, comma-separated), which
    the published files lack and the simulator writes, makes the signal irregular with those times.

    Licence of the files: GPL-3.0 (traces, names), MIT (states).

    Parameters
    ----------
    raw
        Folder with ``raw_full_data_worm_{1..}.npz``, ``known_neurons.npz`` and ``worm_{0..}_y.csv``.
    duration_seconds
        Length of each recording, which gives the sampling rate.
    duplicates
        What to do where one name is given to two neurons of a worm: ``refuse``, or ``unlabel`` both.

    References
    ----------
    Kato S et al. 2015, Cell 163:656-669, doi:10.1016/j.cell.2015.09.034.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="celegans/kato2015-zimmer",
        species="Caenorhabditis elegans",
        modality="calcium",
        signal="calcium",
        targets=("intervals/state",),
        recordings={
            f"worm{number}": RecordingFacts(
                subject=f"worm{number}",
                n_channels=channels,
                n_named=named,
                n_samples=samples,
                rate_hz=samples / 1080.0,
                duration_seconds=1080.0,
            )
            for number, channels, named, samples in (
                (1, 109, 38, 3137),
                (2, 135, 44, 3134),
                (3, 131, 32, 3059),
                (4, 125, 47, 3311),
                (5, 129, 31, 3021),
            )
        },
        interval_labels={"state": frozenset(STATES)},
    )

    def __init__(
        self,
        raw: str | Path,
        *,
        duration_seconds: float = 1080.0,
        duplicates: Literal["refuse", "unlabel"] = "refuse",
    ) -> None:
        super().__init__(raw, duration_seconds=duration_seconds, duplicates=duplicates)
        check_positive("option 'duration_seconds'", duration_seconds)
        self.duration_seconds, self.duplicates = float(duration_seconds), duplicates

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the worms of a folder that holds traces, names and states."""
        if not (path / _KNOWN).is_file() or not any(_TRACES.fullmatch(entry.name) for entry in path.iterdir()):
            return []
        loader = cls(path)
        return [
            Claim(path, tuple(loader.source_files(session)), session.partition("/")[2]) for session in loader.sessions()
        ]

    def sessions(self) -> list[str]:
        """Return one id per worm that has traces or neuron names, in the order of their numbers.

        A worm whose names are listed but whose traces are missing is a session too, so that loading it says so.
        """
        if not self.raw.is_dir():
            raise RawFileError(f"{self.raw}: expected a folder with raw_full_data_worm_1.npz …, this is a file")
        found = {int(match[1]) for path in self.raw.iterdir() if (match := _TRACES.fullmatch(path.name))}
        if not found:
            raise RawFileError(
                f"{self.raw}: expected raw_full_data_worm_1.npz …, {_KNOWN} and worm_0_y.csv …, found none of the "
                "traces; give the folder that holds them"
            )
        listed = range(1, len(_read_known(self.raw / _KNOWN)[0]) + 1)
        return [f"{self.name}/worm{number}" for number in sorted(found.union(listed))]

    def source_files(self, session: str) -> list[Path]:
        """Return traces, names, states and, where there is one, the file of times."""
        number = _number(session)
        time = self.raw / f"time_worm_{number}.csv"
        files = [
            self.raw / f"raw_full_data_worm_{number}.npz",
            self.raw / _KNOWN,
            self.raw / f"worm_{number - 1}_y.csv",
        ]
        return [*files, time] if time.exists() else files

    def load(self, session: str) -> Recording:
        """Return one worm.

        Raises
        ------
        RawFileError
            If a file is missing or damaged, shapes or codes do not fit, a neuron has no value at all, a value is
            infinite, or a name comes twice.
        """
        self.check_session(session)
        number = _number(session)
        traces_path, known_path, codes_path, *time_path = self.source_files(session)
        values = _read_traces(traces_path)
        codes = _read_codes(codes_path)
        if len(codes) != len(values):
            raise RawFileError(
                f"{codes_path}: {len(codes)} states for {len(values)} samples of {traces_path.name}; expected one per "
                "sample. State files count worms from 0, traces from 1"
            )
        raw = _read_labels(known_path, number, values.shape[1])
        if self.duplicates == "refuse":
            _refuse_duplicates(known_path, number, raw)
        cleaned = clean_labels(raw)
        clock: dict[str, Any] = {"rate_hz": len(values) / self.duration_seconds}
        source = (
            f"number of samples / {self.duration_seconds:g} s (Kato et al. 2015: 18 min); no time vector is shipped"
        )
        if time_path:
            clock, source = {"time": _read_times(time_path[0], len(values))}, time_path[0].name
        calcium = make_signal(
            values,
            channel_id=[f"worm{number}_n{column:03d}" for column in range(values.shape[1])],
            units="dF/F",
            columns={
                names.LABEL: cleaned.label,
                names.LABEL_RAW: cleaned.label_raw,
                names.LABEL_CONFIDENCE: cleaned.label_confidence,
                names.LABEL_SOURCE: [known_path.name if label else "" for label in raw],
            },
            sampling_rate_source=source,
            **clock,
        )
        metadata = self._metadata(session, number)
        if cleaned.problems:
            metadata["extra"] = {"label_problems": list(cleaned.problems)}
        return Recording(metadata, {"calcium": calcium}, intervals={"state": _make_states(calcium, codes)})

    def _metadata(self, session: str, number: int) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "recording_id": session,
            "subject": {
                "id": f"worm{number}",
                "species": "Caenorhabditis elegans",
                "sex": "XX",
                "stage": "adult",
            },
            "modality": "calcium",
            "device": "volumetric spinning-disk microscope, nuclear GCaMP",
            "task": "no stimulus, immobilised, fictive behaviour",
            "licence": "GPL-3.0 (traces and names, repository nc-mcm); MIT (states, NC-MCM-Visualizer)",
            "citation": "Kato S et al. 2015, Cell 163(3):656-669, doi:10.1016/j.cell.2015.09.034; as shipped with "
            "Grosse-Wentrup M et al. 2023, bioRxiv 2023.10.27.564404",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
        }


def _number(session: str) -> int:
    return int(session.rpartition("/worm")[2])


def _refuse_duplicates(path: Path, number: int, raw: Sequence[str]) -> None:
    labels = [clean_label(label).label for label in raw]
    for label in dict.fromkeys(labels):
        twice = [column for column, other in enumerate(labels) if label and other == label]
        if len(twice) > 1:
            given = " and ".join(f"{column} ({raw[column]!r})" for column in twice)
            raise RawFileError(
                f"{path}: in worm {number} columns {given} are both called {label}; one neuron cannot be two. "
                "Correct the file, or convert with --set duplicates=unlabel to keep both without a label"
            )


def _read_traces(path: Path) -> NDArray[Any]:
    values = read_array(path, "arr_0")
    if values.ndim != 2 or 0 in values.shape:
        raise RawFileError(f"{path}: expected traces of shape (time, neuron), got {values.shape}; is it another file?")
    if values.dtype not in (np.float32, np.float64):
        raise RawFileError(f"{path}: expected float64 traces (or float32), got {values.dtype}; ΔF/F is no whole number")
    if np.isinf(values).any():
        sample, column = np.argwhere(np.isinf(values))[0]
        raise RawFileError(
            f"{path}: the value of column {column} at sample {sample} is infinite; missing values are NaN"
        )
    silent = np.flatnonzero(np.isnan(values).all(axis=0))
    if len(silent):
        shown = ", ".join(map(str, silent[:10]))
        raise RawFileError(
            f"{path}: the neuron in column {shown} has no value at all (NaN only); take it out of the file"
        )
    return values


def _read_line(path: Path, what: str) -> list[str]:
    if not path.is_file():
        raise RawFileError(f"{path}: there is no such file; expected one line of comma-separated {what}")
    if path.stat().st_size > _MOST_TEXT:
        raise RawFileError(f"{path}: {path.stat().st_size} bytes, at most {_MOST_TEXT} are read as {what}")
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RawFileError(
            f"{path}: expected one line of comma-separated {what}, it is no such text ({error})"
        ) from error
    if len(lines) != 1 or not lines[0].strip():
        raise RawFileError(f"{path}: expected one line of comma-separated {what}, got {len(lines)} lines")
    return [entry.strip() for entry in lines[0].split(",")]


def _read_codes(path: Path) -> NDArray[np.int8]:
    entries = _read_line(path, "state codes")
    known = {str(code): code for code in range(len(STATES))}
    for position, entry in enumerate(entries):
        if entry not in known:
            raise RawFileError(
                f"{path}: expected state codes 0 … {len(STATES) - 1}, got {entry!r} at position {position} (counted from 0)"
            )
    return np.array([known[entry] for entry in entries], np.int8)


def _read_times(path: Path, n_samples: int) -> NDArray[np.float64]:
    entries = _read_line(path, "seconds")
    try:
        times = np.array([float(entry) for entry in entries])
    except ValueError as error:
        raise RawFileError(f"{path}: expected seconds ({error})") from error
    if len(times) != n_samples:
        raise RawFileError(f"{path}: {len(times)} times for {n_samples} samples; expected one per sample")
    wrong = np.flatnonzero(~np.isfinite(times) | (np.diff(times, prepend=-np.inf) <= 0))
    if len(wrong):
        raise RawFileError(f"{path}: expected times that increase, got {entries[wrong[0]]!r} at position {wrong[0]}")
    return times


def _read_known(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    columns, labels = (read_array(path, key, objects=True) for key in ("arr_0", "arr_1"))
    for key, array in (("arr_0", columns), ("arr_1", labels)):
        if array.ndim == 0:
            raise RawFileError(f"{path}: expected one entry per worm in {key!r}, got a single value")
    if len(columns) != len(labels):
        raise RawFileError(
            f"{path}: columns of {len(columns)} worms but names of {len(labels)}; expected one entry per worm in both"
        )
    return columns, labels


def _as_list(entry: Any) -> list[Any]:
    return list(entry) if isinstance(entry, list) or (isinstance(entry, np.ndarray) and entry.ndim) else [entry]


def _read_labels(path: Path, number: int, n_channels: int) -> list[str]:
    """Name of each column of a worm's traces as the file has it, empty where it has none."""
    all_columns, all_labels = _read_known(path)
    if number > len(all_columns):
        raise RawFileError(f"{path}: no entry for worm {number}, it lists {len(all_columns)} worms")
    entries, labels = _as_list(all_columns[number - 1]), _as_list(all_labels[number - 1])
    odd = [label for label in labels if not isinstance(label, str) or not label.isascii() or len(label) > 32]
    if odd:
        raise RawFileError(f"{path}: worm {number} has the name {str(odd[0])[:40]!a}; expected text such as 'AVAL'")
    columns = [int(entry) for entry in entries if isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)]
    if len(columns) != len(entries) or len(columns) != len(labels):
        raise RawFileError(
            f"{path}: worm {number} has {len(columns)} columns (of {len(entries)} entries) and {len(labels)} names; "
            "expected one whole number per name"
        )
    outside = [column for column in columns if not 0 <= column < n_channels]
    if outside:
        raise RawFileError(
            f"{path}: worm {number} names column {outside[0]}, its traces have columns 0 … {n_channels - 1}"
        )
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        given = ", ".join(label for column, label in zip(columns, labels) if column == twice[0])
        raise RawFileError(
            f"{path}: worm {number} lists column {twice[0]} more than once, as {given}; expected one name"
        )
    name_of = dict(zip(columns, labels))
    return [str(name_of.get(column, "")) for column in range(n_channels)]


def _make_states(signal: xr.DataArray, codes: NDArray[np.int8]) -> xr.Dataset:
    """Runs of equal codes; edges are sample times, so that reading them back at the samples gives the codes."""
    first, after, code = run_lengths(codes)
    clock = clock_of(signal)
    if clock is not None:
        edges = clock.times(np.arange(len(codes) + 1))
    else:
        times = np.asarray(signal[names.TIME].values)
        edges = np.append(times, times[-1] + (float(np.median(np.diff(times))) if len(times) > 1 else 1.0))
    return make_intervals(edges[first], edges[after], label=[STATES[value] for value in code], code=code)
