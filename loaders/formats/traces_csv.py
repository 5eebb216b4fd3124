"""Tables of numbers as text: a column per cell and a row per sample, or the other way round."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import is_safe_part
from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal, make_validity

from ..base import Claim
from ..format_loader import FormatLoader
from ..options import OptionError
from ._calcium_names import name_channels
from ._calcium_rate import check_rate_option, regular_or_not
from ._tables_columns import is_square, is_traces
from ._tables_text import Table, find_layout
from ._tables_traces import Traces, read_traces

_SUFFIXES = {".csv", ".tsv", ".txt", ".dat"}
_MOST_CHECKED = 8 << 20


class TracesCsv(FormatLoader):
    """Tables of traces as text (``.csv``, ``.tsv``, ``.txt``), a row per sample and a column per cell.

    What separates cells (comma, tab, semicolon, blanks), decimal commas, and up to three lines of headers are found
    out; numbers are parsed to the nearest float64 and nothing is rounded. Empty cells, ``NaN`` and the like are
    missing.

    - ``signals/calcium`` (option ``signal``; units ``a.u.``, option ``units``): every column but time and frame
      numbers. Headers are the channels' ids where they are unique, and the column ``label_raw``; where they name
      neurons of *C. elegans* the channels get canonical labels.
    - Time: a column called time, timestamp, seconds … (in seconds, or as the header says: ``Time (ms)``), or a first
      column without a name that increases regularly. Times on a regular grid become a rate; others stay as they are.
      A column of frame numbers is not a signal. Without times the rate is unknown and time counts frames;
      ``rate_hz`` states it, and frames that are missing from the count become gaps.
    - A row per cell and sample (``unit_id``, ``frame`` or ``time``, value, as Minian's) is turned into a column per
      cell; of several values the first is taken.
    - Inscopix' second header (``accepted``, ``rejected``, ``undecided``) becomes the channel column ``status``.

    Only tables that are plainly traces are recognised: ten rows or more of numbers that are not all whole (unless
    headers or times say what they are). Not recognised: lists of events, participants or places, connectivity (as many
    rows as columns), poses, codes, and tables with text between the numbers. A table of a few rows of hundreds of
    numbers is taken for a row per cell, with a warning.

    Parameters
    ----------
    raw
        A table, or a folder that is searched for them.
    rate_hz
        Sampling rate; overrules a column of times.
    signal, units
        Name of the signal, and the physical unit of its numbers.
    time_column
        Header, or number counted from 0, of the column of times; ``none`` where there is none.
    time_unit
        Unit of the times.
    orientation
        Whether a row is a sample (``time_rows``) or a cell (``cell_rows``).
    common
        As every format: ``dataset``, ``name``, ``subject``, ``species``.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 1

    def __init__(
        self,
        raw: str | Path,
        *,
        rate_hz: float | None = None,
        signal: str = "calcium",
        units: str = "a.u.",
        time_column: str = "auto",
        time_unit: Literal["auto", "s", "ms", "us", "min"] = "auto",
        orientation: Literal["auto", "time_rows", "cell_rows"] = "auto",
        **common: str | None,
    ) -> None:
        super().__init__(
            raw,
            rate_hz=rate_hz,
            signal=signal,
            units=units,
            time_column=time_column,
            time_unit=time_unit,
            orientation=orientation,
            **common,
        )
        check_rate_option(rate_hz)
        if not is_safe_part(signal) or signal in ("time", "channel", "segment"):
            raise OptionError(f"option 'signal' is a name of letters, digits and _ . + = -, got {signal!r}")
        self.rate_hz, self.signal, self.units = rate_hz, signal, units
        self.time_column, self.time_unit, self.orientation = time_column, time_unit, orientation

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the table that a file is, where it is plainly one of traces."""
        if path.suffix.lower() not in _SUFFIXES or not path.is_file() or _is_companion(path):
            return []
        layout = find_layout(path)
        if layout is None or not is_traces(layout):
            return []
        if path.stat().st_size <= _MOST_CHECKED and is_square(Table(path, layout)):
            return []
        return [Claim(path, (path,))]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one table.

        Raises
        ------
        RawFileError
            If a row has more or fewer cells than the others, a cell is no number, or times do not increase.
        """
        layout = find_layout(claim.path)
        if layout is None:
            raise RawFileError(f"{claim.path}: expected a table of numbers; did the file change?")
        traces = read_traces(
            Table(claim.path, layout),
            time_column=self.time_column,
            time_unit=self.time_unit,
            orientation=self.orientation,
        )
        named = name_channels(traces.names or [""] * traces.shape[1], claim.path.name, species=self.species)
        clock, said, problems = self._clock(claim.path, traces)
        signal = make_signal(
            lazy_rows(traces.shape, np.float64, traces.read),
            channel_id=named.channel_id,
            units=self.units,
            columns={**named.columns, **_printable(traces.more)},
            sampling_rate_source=said,
            **clock,
        )
        extra = {"label_problems": list(named.problems)} if named.problems else {}
        extra |= {"time_problems": problems} if problems else {}
        subject = {"species": named.species} if named.species else {}
        metadata = self.describe(session, modality="calcium", subject=subject, extra=extra or None)
        signals = {self.signal: signal}
        return Recording(metadata, signals, intervals=make_validity(signals))

    def _clock(self, path: Path, traces: Traces) -> tuple[dict[str, Any], str, list[str]]:
        """What `make_signal` takes for time, where it is from, and what is wrong with it."""
        if self.rate_hz is not None:
            said = "option rate_hz" + (f" ({traces.source} is overruled)" if traces.time is not None else "")
            start = float(traces.time[0]) if traces.time is not None and len(traces.time) else 0.0
            gaps = _gaps(traces.frame)
            if gaps is not None and traces.frame is not None:
                starts = (traces.frame[gaps] - traces.frame[0]) / self.rate_hz
                return {"rate_hz": self.rate_hz, "segments": (starts.tolist(), gaps.tolist())}, said, []
            return {"rate_hz": self.rate_hz, "start_seconds": start}, said, []
        if traces.time is not None:
            return regular_or_not(traces.time), traces.source, []
        if _gaps(traces.frame) is not None:
            problem = "the frame numbers leave some out; state the rate (--set rate_hz=RATE) to keep the gaps"
            warnings.warn(f"{path}: {problem}", stacklevel=2)
            return {}, "unknown", [problem]
        return {}, "unknown", []


def _gaps(frame: NDArray[np.float64] | None) -> NDArray[np.int64] | None:
    """First sample of each piece, where the frames are counted and some are missing."""
    if frame is None or len(frame) < 2 or not np.isfinite(frame).all():
        return None
    steps = np.diff(frame)
    if (steps == 1).all() or (steps < 1).any() or (steps != np.round(steps)).any():
        return None
    return np.concatenate([[0], np.flatnonzero(steps > 1) + 1])


def _printable(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        name: ["".join(letter if letter.isprintable() else "?" for letter in text)[:200] for text in values]
        for name, values in columns.items()
    }


_COMPANION = re.compile(
    r"sub-.*|task-.*|participants|.*(motion|moest|mcf|confounds?|regressors?|montage|bvecs?|bvals?)|rp_.*"
)


def _is_companion(path: Path) -> bool:
    """Whether a table belongs to other recordings: BIDS companions, head motion, nuisance regressors, montages."""
    return _COMPANION.fullmatch(path.stem.lower()) is not None
