"""Theis et al. 2016: calcium and true spikes of the same neurons, as shipped with Cascade (data set 15)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_signal, make_units

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._matlab_v5 import list_v5, read_v5
from ..formats._variables_clock import fit_clock
from ..formats._variables_tree import Cells, Tree, find_array, find_variable

_FILE = re.compile(r"CAttached_Theis16_set3_GCaMP6s_V1_cell_([1-9]\d{0,3})_mini\.mat")
_TICKS_PER_SECOND = 10_000
"""``events_AP`` counts ten-thousandths of a second (README of Cascade's ground truth)."""
_PUBLISHED = (
    # cell, frames, spikes, frames per second, end of the last frame in seconds
    (1, 31436, 666, 59.06180544984861, 532.2729259723397),
    (2, 36000, 1240, 59.105, 609.1024448016244),
    (3, 14411, 571, 59.058, 244.03129127298587),
    (4, 11820, 628, 59.058, 200.1591655660537),
    (7, 36000, 2265, 59.058, 609.587185478682),
    (8, 36000, 1257, 59.105, 609.1024448016244),
    (9, 36000, 1793, 59.105, 609.1024448016244),
    (10, 36000, 2687, 59.058, 609.587185478682),
    (11, 36000, 1535, 59.105, 609.1024448016244),
)


class TheisSpikefinder2016(Loader):
    """Two-photon calcium imaging of single neurons together with their spikes, recorded cell-attached.

    Nine excitatory neurons of mouse primary visual cortex (V1) in vivo, GCaMP6s, about 59 frames per second, 3 to 10
    minutes each (set 3 of the paper, data set 15 of Cascade's ground truth).

    - ``signals/fluorescence``: ΔF/F as in the file, one channel, on the clock of the file's frame times.
    - ``events/spikes``: action potentials in seconds, one unit, which is the very neuron that is imaged (the channel
      and the unit have the same id). The target that a decoder of calcium should recover.

    Odd: ``events_AP`` counts ten-thousandths of a second and is padded with NaN; the padding is dropped. Frame times
    are regular to 1e-13 s and become a clock (rate and start). A file may hold several recordings of one neuron:
    each is a recording of its own, ``cell1``, ``cell1_part2`` … . Which neurons come from the same mouse is not
    said, so each neuron is a subject; do not take a split by subject for one by animal.

    Licence of the files: GPL-3.0 (repository Cascade).

    Parameters
    ----------
    raw
        Folder with ``CAttached_Theis16_set3_GCaMP6s_V1_cell_{1..}_mini.mat``, or one of these files.

    References
    ----------
    Theis L et al. 2016, Neuron 90:471-482, doi:10.1016/j.neuron.2016.04.014.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="calcium/cascade-ds15-mouse-v1",
        species="Mus musculus",
        modality="calcium",
        signal="fluorescence",
        targets=("events/spikes",),
        recordings={
            f"cell{cell}": RecordingFacts(
                subject=f"cell{cell}",
                n_channels=1,
                n_samples=frames,
                rate_hz=rate_hz,
                duration_seconds=stop,
                n_units=1,
                n_spikes=spikes,
            )
            for cell, frames, spikes, rate_hz, stop in _PUBLISHED
        },
    )

    def __init__(self, raw: str | Path) -> None:
        super().__init__(raw)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recordings of a folder that holds files of the published names (or of one such file)."""
        if path.is_file():
            known = _FILE.fullmatch(path.name) is not None and set(list_v5(path)) == {"CAttached"}
        else:
            known = any(_FILE.fullmatch(entry.name) for entry in path.iterdir())
        if not known:
            return []
        loader = cls(path)
        return [
            Claim(path, tuple(loader.source_files(session)), session.partition("/")[2]) for session in loader.sessions()
        ]

    def _files(self) -> dict[int, Path]:
        entries = [self.raw] if self.raw.is_file() else sorted(self.raw.iterdir())
        found = {int(match[1]): path for path in entries if (match := _FILE.fullmatch(path.name))}
        if not found:
            raise RawFileError(
                f"{self.raw}: expected CAttached_Theis16_set3_GCaMP6s_V1_cell_1_mini.mat …, found none of them"
            )
        return dict(sorted(found.items()))

    def sessions(self) -> list[str]:
        """Return one id per recording of each neuron, in the order of their numbers."""
        sessions = []
        for number, path in self._files().items():
            shape = list_v5(path).get("CAttached")
            if shape is None or len(shape) != 2 or 1 not in shape or 0 in shape:
                raise RawFileError(
                    f"{path}: expected a cell array 'CAttached' with one entry per recording, got {shape}"
                )
            sessions += [f"{self.name}/{_name(number, part)}" for part in range(max(shape))]
        return sessions

    def source_files(self, session: str) -> list[Path]:
        """Return the neuron's file."""
        return [self._files()[_number(session)[0]]]

    def load(self, session: str) -> Recording:
        """Return one recording of one neuron.

        Raises
        ------
        RawFileError
            If the file is damaged, a field is missing, or fluorescence and frame times differ in length.
        """
        self.check_session(session)
        number, part = _number(session)
        tree = read_v5(self.source_files(session)[0])
        everything = find_variable(tree, "CAttached")
        if not isinstance(everything, Cells) or part >= len(everything.items):
            raise RawFileError(
                f"{tree.path}: expected a cell array 'CAttached' with entry {part}; fetch the file again"
            )
        where = f"CAttached[{part}]"
        neuron = f"cell{number}"
        fluorescence = _read_fluorescence(tree, where, neuron)
        spikes = find_array(tree, f"{where}.events_AP").vector()
        spikes = np.sort(spikes[~np.isnan(spikes)], kind="stable") / _TICKS_PER_SECOND
        if not np.isfinite(spikes).all():
            raise RawFileError(f"{tree.path}: a spike time is infinite; fetch the file again")
        return Recording(
            self._metadata(session, neuron),
            {"fluorescence": fluorescence},
            events={"spikes": make_events(spikes, unit=np.zeros(len(spikes), np.int32))},
            units=make_units([neuron], kind=["cell-attached, the imaged neuron"]),
        )

    def _metadata(self, session: str, neuron: str) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "recording_id": session,
            "subject": {
                "id": neuron,
                "species": "Mus musculus",
                "description": "a mouse; which neurons share one is not said",
            },
            "modality": "calcium",
            "device": "two-photon imaging of GCaMP6s with cell-attached recording, primary visual cortex (V1), in vivo",
            "task": "ground truth for spike inference",
            "licence": "GPL-3.0 (repository Cascade)",
            "citation": "Theis L et al. 2016, Neuron 90:471-482, doi:10.1016/j.neuron.2016.04.014; as shipped with Rupprecht P "
            "et al. 2021, Nature Neuroscience 24:1324-1337, doi:10.1038/s41593-021-00895-5",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
        }


def _name(number: int, part: int) -> str:
    return f"cell{number}" + (f"_part{part + 1}" if part else "")


def _number(session: str) -> tuple[int, int]:
    cell, _, part = session.rpartition("/cell")[2].partition("_part")
    return int(cell), int(part) - 1 if part else 0


def _read_fluorescence(tree: Tree, where: str, neuron: str) -> xr.DataArray:
    values = find_array(tree, f"{where}.fluo_mean").vector()
    times = find_array(tree, f"{where}.fluo_time").vector()
    if len(values) != len(times) or len(times) < 2:
        raise RawFileError(f"{tree.path}: {len(values)} values of fluorescence for {len(times)} frame times")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise RawFileError(f"{tree.path}: expected frame times that increase; fetch the file again")
    return make_signal(
        values[:, None],
        channel_id=[neuron],
        units="dF/F",
        sampling_rate_source="fluo_time of the file",
        **fit_clock(times),
    )
