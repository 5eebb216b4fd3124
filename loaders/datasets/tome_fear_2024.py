"""Tome et al. 2024: calcium of the same cells of two mice over eight sessions of contextual fear conditioning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._calcium_rate import check_rate_option
from ..formats._tables_text import Table, find_layout

SESSIONS = {
    "hc0": "home cage",
    "cfc": "contextual fear conditioning",
    "hc1": "home cage",
    "neutral1": "neutral context",
    "training1": "training context (recall)",
    "hc2": "home cage",
    "neutral2": "neutral context",
    "training2": "training context (recall, 24 h later)",
}
"""Session → context, in the order of the experiment."""

_FILE = re.compile(rf"mouse([1-9]\d{{0,3}})_({'|'.join(SESSIONS)})\.csv")


class TomeFear2024(Loader):
    """One-photon calcium of cells that were followed over eight sessions of contextual fear conditioning, two mice.

    Mice 3 and 4 of four; 43 and 62 cells. Sessions in the order of the experiment: ``hc0`` home cage, ``cfc``
    conditioning, ``hc1`` home cage, ``neutral1`` neutral context, ``training1`` the context of the training (recall),
    ``hc2`` home cage, ``neutral2``, ``training2`` (24 h later); about 3100 frames each, one recording each.

    - ``signals/calcium``: the numbers exactly as in the file (float64, arbitrary units). Column *i* of every session of
      a mouse is the same cell, so it has the same ``channel_id`` in all of them (``mouse3_cell000``).
    - The context is the only label: ``session`` and ``task`` in the metadata.

    Odd: the frame rate is not stated in the repository, so time counts frames. ``rate_hz`` states it, and then
    ``intervals/context`` spans the recording with the context as its label. The scale differs between the mice (maxima
    about 1100-1600 and 2800-3700), and mouse 4 has negative values.

    Licence of the files: GPL-3.0 (the repository's).

    Parameters
    ----------
    raw
        Folder with ``mouse3_hc0.csv`` …
    rate_hz
        Frames per second.

    References
    ----------
    Tome DF et al. 2024, Nature Neuroscience 27:561-572, doi:10.1038/s41593-023-01551-w.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="calcium/tome2024-fear-sessions",
        species="Mus musculus",
        modality="calcium",
        signal="calcium",
        recordings={
            f"mouse{mouse}_{session}": RecordingFacts(
                subject=f"mouse{mouse}", duration_seconds=0.0, n_channels=cells, n_samples=samples
            )
            for mouse, cells, counts in (
                (3, 43, (3066, 3076, 3100, 3211, 3092, 3059, 3069, 3074)),
                (4, 62, (3087, 3113, 3101, 3153, 3088, 3064, 3087, 3090)),
            )
            for session, samples in zip(SESSIONS, counts)
        },
    )

    def __init__(self, raw: str | Path, *, rate_hz: float | None = None) -> None:
        super().__init__(raw, rate_hz=rate_hz)
        check_rate_option(rate_hz)
        self.rate_hz = rate_hz

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the sessions of a folder that has all eight of a mouse."""
        if not path.is_dir():
            return []
        found = _find(path)
        mice = {mouse for mouse, _ in found}
        if not any(all((mouse, session) in found for session in SESSIONS) for mouse in mice):
            return []
        return [Claim(path, (file,), f"mouse{mouse}_{session}") for (mouse, session), file in found.items()]

    def sessions(self) -> list[str]:
        """Return one id per file, by mouse and in the order of the experiment."""
        found = _find(self.raw) if self.raw.is_dir() else {}
        if not found:
            raise RawFileError(
                f"{self.raw}: expected a folder with mouse3_hc0.csv, mouse3_cfc.csv …, found none of them; give the "
                "folder that holds them"
            )
        return [f"{self.name}/mouse{mouse}_{session}" for mouse, session in found]

    def source_files(self, session: str) -> list[Path]:
        """Return the session's table."""
        return [self.raw / f"{session.partition('/')[2]}.csv"]

    def load(self, session: str) -> Recording:
        """Return one session of one mouse.

        Raises
        ------
        RawFileError
            If the file is no table of numbers without a header, or a row has fewer cells than the others.
        """
        self.check_session(session)
        (path,) = self.source_files(session)
        mouse, _, name = session.partition("/")[2].partition("_")
        layout = find_layout(path)
        if layout is None or layout.headers or layout.row_names:
            raise RawFileError(
                f"{path}: expected rows of comma-separated numbers without a header; is it another file?"
            )
        table = Table(path, layout)
        said = "unknown" if self.rate_hz is None else "option rate_hz"
        calcium = make_signal(
            lazy_rows((table.n_rows, layout.n_columns), np.float64, table.rows),
            channel_id=[f"{mouse}_cell{column:03d}" for column in range(layout.n_columns)],
            units="a.u.",
            rate_hz=self.rate_hz,
            sampling_rate_source=said,
        )
        intervals = {}
        if self.rate_hz is not None:
            intervals = {"context": make_intervals([0.0], [table.n_rows / self.rate_hz], label=[SESSIONS[name]])}
        metadata = {
            "dataset": self.name,
            "recording_id": session,
            "subject": {"id": mouse, "species": "Mus musculus"},
            "modality": "calcium",
            "session": name,
            "device": "one-photon miniature microscope",
            "task": f"contextual fear conditioning: {SESSIONS[name]}",
            "licence": "GPL-3.0 (repository dynamic-engrams)",
            "citation": "Tome DF et al. 2024, Nature Neuroscience 27:561-572, doi:10.1038/s41593-023-01551-w",
            "source_files": describe_sources([path]),
            "loader": self.used,
            "extra": {"session_number": list(SESSIONS).index(name), "context": SESSIONS[name]},
        }
        return Recording(metadata, {"calcium": calcium}, intervals=intervals)


def _find(folder: Path) -> dict[tuple[int, str], Path]:
    """Mouse and session → file, in the order of the experiment."""
    found = {
        (int(match[1]), match[2]): path
        for path in folder.iterdir()
        if (match := _FILE.fullmatch(path.name)) and path.is_file()
    }
    order = list(SESSIONS)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], order.index(item[0][1]))))
