"""EDF, EDF+ and BDF files of any lab: integers, rates and gaps as they are in the file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from neurodata import names
from neurodata.checks import check_positive
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal, make_validity

from ..base import Claim
from ..format_loader import FormatLoader
from ._edf_annotations import Annotations, read_annotations
from ._edf_channels import NEURAL, Named, group_channels, name_channels, unique_ids
from ._edf_header import EdfHeader, is_edf, read_header
from ._edf_metadata import device_of, start_of, subject_of
from ._edf_records import lazy_channels
from ._edf_tables import annotation_tables, trigger_events
from ._edf_timing import find_segments


class Edf(FormatLoader):
    """European Data Format: EDF, EDF+ (continuous and with gaps), BDF and BDF+.

    - ``signals/eeg`` (or ``seeg``, ``ecog`` …) and one signal per other type, sampling rate and unit: ``ecg``, ``emg``,
      ``eog``, ``resp``, ``spo2``, ``pulse``, ``trigger``, ``misc`` …; a second one of a type has its rate or unit
      behind its name (``eeg_256hz``, ``misc_mV``). Samples are the file's integers (int16, of BDF int32), read record
      by record where they are asked for; ``scale_factor`` and ``add_offset`` are the header's calibration.
      Columns: ``channel_id`` and ``label_raw`` are the label in the file (a second one of the same name gets ``_2``),
      ``label`` is it without prefix, reference and padding, of scalp electrodes the canonical name (``EEG T3-Ref`` is
      T7; ``label_confidence`` 1), ``type``, ``file_channel`` (position in the file, from 0); where the header has them
      ``reference``, ``transducer``, ``filter``; ``units_raw`` where the header spells the unit otherwise.
    - ``events/annotations``: annotations without duration (or of duration 0); ``intervals/annotations``: those with
      one. ``label`` is the text without blanks around it, ``text`` is it exactly.
    - ``intervals/validity`` where records do not follow each other (EDF+D): samples lie back to back, gaps are gaps.
    - ``events/triggers`` of a ``Status`` channel: every change of its lower 16 bits.

    Time 0 is the start of the first record, and ``session_start`` is that moment (fractions of a second included).
    Channels are typed by label, contacts of depth electrodes by how they are numbered; ``modality`` overrules that. A
    channel without calibration keeps its integers, in ``a.u.``; what is odd about a file is warned of and listed in
    ``metadata["extra"]["remarks"]``. A record that begins later than the one before it ended begins after a gap, also
    where the header says "continuous".

    Not read: patient names, birth dates and free text of the header (of EDF+ sex, equipment and a patient code with a
    digit in it are kept); the start of a file whose date was clipped (01.01.85) or taken out. Annotations of one file are not merged with another's (hypnograms).

    Parameters
    ----------
    raw
        A file, or a folder that is searched for them.
    modality
        What the brain's channels are, where labels mislead (contacts called like scalp electrodes); by label if None.
    rate_hz
        Sampling rate where the file gives none (records of duration 0).

    References
    ----------
    Kemp B et al. 1992, doi:10.1016/0013-4694(92)90009-7; Kemp B & Olivan J 2003, doi:10.1016/S1388-2457(03)00123-8.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(
        self,
        raw: str | Path,
        *,
        modality: Literal["eeg", "seeg", "ecog", "lfp"] | None = None,
        rate_hz: float | None = None,
        **common: str | None,
    ) -> None:
        super().__init__(raw, modality=modality, rate_hz=rate_hz, **common)
        if rate_hz is not None:
            check_positive("option 'rate_hz'", rate_hz)
        self.modality, self.rate_hz = modality, rate_hz

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording of a file that begins as EDF or BDF does and whose header can be read."""
        if not is_edf(path):
            return []
        read_header(path)
        return [Claim(path, (path,))]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return the recording of one file.

        Raises
        ------
        RawFileError
            If the header is damaged, no record is complete, or there are neither samples nor annotations.
        """
        path = claim.path
        header = read_header(path)
        annotations = read_annotations(path, header)
        starts, firsts, remarks = find_segments(header, annotations.onsets)
        origin = next((onset for onset in annotations.onsets[:1] if onset is not None), None)
        events, intervals = annotation_tables(path, annotations.entries, origin or Decimal(0))
        signals = self._signals(path, header, annotations, (starts, firsts))
        events |= trigger_events(path, header, signals)
        intervals |= make_validity(signals)
        if not (signals or events or intervals):
            raise RawFileError(f"{path}: holds neither samples nor annotations")
        everything = (*header.remarks, *annotations.remarks, *remarks)
        for remark in everything:
            warnings.warn(f"{path.name}: {remark}", stacklevel=2)
        return Recording(self._metadata(session, header, signals, origin, everything), signals, events, intervals)

    def _signals(
        self, path: Path, header: EdfHeader, annotations: Annotations, segments: tuple[list[float], list[int]]
    ) -> dict[str, xr.DataArray]:
        ids = unique_ids(header.channels)
        groups = group_channels(name_channels(header, self.modality), header)
        made = {}
        for name, group in groups.items():
            samples = group[0].channel.samples
            starts, firsts = segments
            clock: dict[str, Any] = {"rate_hz": header.rate_hz(group[0].channel) or self.rate_hz}
            if clock["rate_hz"] and len(starts) > 1:
                clock["segments"] = (starts, [first * samples for first in firsts])
            if not header.record_seconds and samples == 1 and self.rate_hz is None:
                clock = _times_of_records(annotations.onsets)
            # What all channels share is an attribute, what differs between them a column.
            calibration = _calibration(group)
            shared: dict[str, Any] = {key: values[0] for key, values in calibration.items() if len(set(values)) == 1}
            own = {key: values for key, values in calibration.items() if key not in shared}
            made[name] = make_signal(
                lazy_channels(path, header, [entry.channel for entry in group]),
                channel_id=[ids[entry.channel.number] for entry in group],
                units=group[0].units,
                role=_role(group[0].kind),
                columns=_columns(group) | own,
                **shared,
                **clock,
            )
        return made

    def _metadata(
        self,
        session: str,
        header: EdfHeader,
        signals: dict[str, xr.DataArray],
        origin: Decimal | None,
        remarks: Sequence[str],
    ) -> dict[str, Any]:
        start, time_of_day = start_of(header, origin)
        extra: dict[str, Any] = {"format": header.kind, "record_seconds": float(header.record_seconds)}
        if time_of_day:
            extra["time_of_day"] = time_of_day
        if remarks:
            extra["remarks"] = list(remarks)
        neural = [name for name, signal in signals.items() if signal.attrs[names.ROLE] == "neural"]
        found = str(signals[neural[0]]["type"].values[0]) if neural else "other"
        return self.describe(
            session,
            modality=self.modality or found,
            subject=subject_of(header),
            session_start=start,
            device=device_of(header),
            extra=extra,
        )


def _role(kind: str) -> str:
    return "neural" if kind in NEURAL else ("stimulus" if kind == "stim" else "behavior")


def _columns(group: Sequence[Named]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        names.LABEL: [entry.label for entry in group],
        names.LABEL_RAW: [entry.channel.label for entry in group],
        names.LABEL_CONFIDENCE: np.array([entry.confidence for entry in group]),
        "type": [entry.kind for entry in group],
        "file_channel": np.array([entry.channel.number for entry in group], np.int32),
    }
    if any(entry.channel.units != entry.units for entry in group):
        columns["units_raw"] = [entry.channel.units for entry in group]
    said = {
        "reference": [entry.reference for entry in group],
        "transducer": [entry.channel.transducer for entry in group],
        "filter": [entry.channel.filter for entry in group],
    }
    return columns | {name: texts for name, texts in said.items() if any(texts)}


def _calibration(group: Sequence[Named]) -> dict[str, list[float]]:
    return {
        names.SCALE_FACTOR: [1.0 if entry.channel.scale is None else entry.channel.scale for entry in group],
        names.ADD_OFFSET: [0.0 if entry.channel.offset is None else entry.channel.offset for entry in group],
    }


def _times_of_records(onsets: Sequence[Decimal | None]) -> dict[str, Any]:
    """Irregular times of records without duration that hold one sample each; nothing where they do not all say when."""
    known = [float(onset) for onset in onsets if onset is not None]
    times = np.array(known) - known[0] if known else np.zeros(0)
    return {"time": times} if len(known) == len(onsets) and (np.diff(times) > 0).all() else {}
