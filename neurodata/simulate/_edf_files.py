"""Simulated potentials as EDF+ files: continuous ones through edfio, ones with gaps record by record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import import_extra
from neurodata.errors import NeurodataError

UNIT_PER_BIT = 0.1
"""Microvolts per step of the simulated amplifier: ±3276.8 µV fit into 16 bits."""
_DIGITAL, _PHYSICAL = (-32768, 32767), (-3276.8, 3276.7)


@dataclass(frozen=True, eq=False)
class PotentialFile:
    """What goes into a file.

    Parameters
    ----------
    samples
        Microvolts, shape ``(time, channel)``, a whole number of seconds.
    labels
        One per channel, as the file shall have them.
    rate_hz
        Samples per second, a whole number.
    code
        The subject's code.
    annotations
        Onset in seconds, duration in seconds (None where it has none) and text of each.
    record_starts
        When each record of one second began, for a file with gaps; None for a continuous one.
    """

    samples: NDArray[np.float64]
    labels: Sequence[str]
    rate_hz: int
    code: str
    annotations: Sequence[tuple[float, float | None, str]]
    record_starts: Sequence[float] | None = None


def quantise(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return the integers that the amplifier makes of microvolts, clipped where they do not fit."""
    return np.clip(np.round(samples / UNIT_PER_BIT), *_DIGITAL).astype(np.int16)


def prepare_folder(folder: str | Path) -> Path:
    """Return an empty folder, made where it is missing.

    Raises
    ------
    NeurodataError
        If there is a file, or a folder that holds something: old recordings would be mixed with these.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NeurodataError(f"{folder}: expected a folder to write to, this is a file")
    if folder.is_dir() and any(folder.iterdir()):
        raise NeurodataError(f"{folder}: holds files already; choose an empty folder or delete them first")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_potentials(path: Path, content: PotentialFile) -> None:
    """Write an EDF+ file: continuous (EDF+C), or with gaps (EDF+D) where ``record_starts`` are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content.record_starts is not None:
        _write_gaps(path, content, content.record_starts)
        return
    edfio = import_extra("edfio", "eeg")
    integers = quantise(content.samples)
    signals = [
        edfio.EdfSignal.from_digital(
            np.ascontiguousarray(integers[:, i]), content.rate_hz, label=label, physical_dimension="uV",
            physical_range=_PHYSICAL, digital_range=_DIGITAL, transducer_type="simulated",
        )
        for i, label in enumerate(content.labels)
    ]  # fmt: skip
    notes = [edfio.EdfAnnotation(onset, duration, text) for onset, duration, text in content.annotations]
    edf = edfio.Edf(
        signals,
        patient=edfio.Patient(code=content.code),
        recording=edfio.Recording(equipment_code="neurodata_simulate"),
        data_record_duration=1,
        annotations=notes,
    )
    edf.write(path)


def _write_gaps(path: Path, content: PotentialFile, starts: Sequence[float]) -> None:
    """Write EDF+D, which edfio does not: one record per second, each with its own start (EDF+ 2003, section 2.2)."""
    texts = _records_of_text(content, starts)
    width = -(-max(map(len, texts)) // 2)
    n_records, n_channels = len(starts), len(content.labels)
    data = quantise(content.samples).reshape(n_records, content.rate_hz, n_channels).transpose(0, 2, 1).astype("<i2")
    first = [("0", 8), (f"{content.code} X X X", 80), ("Startdate X X X neurodata_simulate", 80), ("01.01.85", 8),
             ("00.00.00", 8), (str(256 * (n_channels + 2)), 8), ("EDF+D", 44), (str(n_records), 8), ("1", 8),
             (str(n_channels + 1), 4)]  # fmt: skip
    low, high = (str(value) for value in _PHYSICAL)
    bottom, top = (str(value) for value in _DIGITAL)
    rows = [
        (label, "simulated", "uV", low, high, bottom, top, "", str(content.rate_hz), "") for label in content.labels
    ]
    rows.append(("EDF Annotations", "", "", "-1", "1", bottom, top, "", str(width), ""))
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    columns = [(row[i], wide) for i, wide in enumerate(widths) for row in rows]
    with path.open("wb") as stream:
        stream.write(b"".join(text.encode("ascii").ljust(wide) for text, wide in [*first, *columns]))
        for record, text in zip(data, texts):
            stream.write(record.tobytes() + text.ljust(2 * width, b"\0"))


def _records_of_text(content: PotentialFile, starts: Sequence[float]) -> list[bytes]:
    """Annotations of each record: when it began, and what begins in it."""
    texts = [f"+{start:.15g}\x14\x14\0".encode() for start in starts]
    for onset, duration, text in content.annotations:
        record = max(0, int(np.searchsorted(np.asarray(starts), onset, side="right")) - 1)
        length = "" if duration is None else f"\x15{duration:.15g}"
        texts[record] += f"+{onset:.15g}{length}\x14{text}\x14\0".encode()
    return texts
