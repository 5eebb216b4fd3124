"""Small EDF and BDF files, written field by field so that a test can also write what no library would."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)


@dataclass
class Channel:
    """One signal: header fields as text, integers of shape ``(record, sample)`` or texts (bytes) per record."""

    label: str
    values: np.ndarray | list[bytes]
    units: str = "uV"
    physical: tuple[str, str] = ("-3276.8", "3276.7")
    digital: tuple[str, str] = ("-32768", "32767")
    transducer: str = "AgAgCl"
    filter: str = "HP:0.1Hz LP:75Hz"
    width: int = 0
    """Samples per record of an annotation signal; as long as its longest text where 0."""


@dataclass
class File:
    """Fixed header fields; None is computed."""

    reserved: str = "EDF+C"
    patient: str = "MCH-0234567 F 02-MAY-1951 Haagse_Harry"
    recording: str = "Startdate 02-MAR-2002 EMG561 BK/JOP Sony_MNC_R"
    date: str = "02.03.02"
    time: str = "11.25.00"
    seconds: str = "1"
    n_records: str | None = None
    n_bytes: str | None = None
    version: bytes = b"0       "
    tail: bytes = b""
    cut: int = 0
    channels: list[Channel] = field(default_factory=list)


def _pad(text: str, width: int) -> bytes:
    content = text.encode("latin-1")
    assert len(content) <= width, text
    return content.ljust(width)


def tal(onset: str, *texts: str, duration: str | None = None, encoding: str = "utf-8") -> bytes:
    """One time-stamped annotation list."""
    length = "" if duration is None else f"\x15{duration}"
    return ("\x14".join((onset + length, *texts)) + "\x14\x00").encode(encoding)


def record_times(onsets: Sequence[str]) -> list[bytes]:
    """Annotation signal that only says when each record began."""
    return [tal(onset, "") for onset in onsets]


def write_file(path: Path, file: File) -> Path:
    """Write a file as it is described, right or wrong."""
    wide = 3 if file.version.startswith(b"\xff") else 2
    blocks, samples = [], []
    for channel in file.channels:
        if isinstance(channel.values, list):
            width = channel.width or -(-max(map(len, channel.values)) // wide)
            blocks.append([content.ljust(width * wide, b"\0") for content in channel.values])
        else:
            width = channel.values.shape[1]
            rows = np.ascontiguousarray(channel.values, "<i4").view(np.uint8).reshape(*channel.values.shape, 4)
            blocks.append([row[:, :wide].tobytes() for row in rows])
        samples.append(width)
    n_records = len(blocks[0])
    fixed = [file.patient, file.recording, file.date, file.time]
    header = file.version + b"".join(_pad(t, w) for t, w in zip(fixed, (80, 80, 8, 8)))
    header += _pad(file.n_bytes or str(256 * (len(file.channels) + 1)), 8) + _pad(file.reserved, 44)
    header += _pad(file.n_records or str(n_records), 8) + _pad(file.seconds, 8) + _pad(str(len(file.channels)), 4)
    columns = [
        (c.label, c.transducer, c.units, *c.physical, *c.digital, c.filter, str(n), "")
        for c, n in zip(file.channels, samples)
    ]
    for i, width in enumerate(WIDTHS):
        header += b"".join(_pad(column[i], width) for column in columns)
    records = b"".join(b"".join(block[r] for block in blocks) for r in range(n_records))
    content = header + records + file.tail
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[: len(content) - file.cut])
    return path


def integers(seed: int, n_records: int, samples: int, most: int = 32767) -> np.ndarray:
    """Random integers over the whole range, shape ``(record, sample)``."""
    return np.random.default_rng(seed).integers(-most - 1, most + 1, (n_records, samples))


def polysomnography() -> File:
    """EDF+C with several rates and units, annotations in two signals, and a start that is no whole second."""
    notes = [
        tal("+0.25", "") + tal("+0.25", "Lights off", "Recording starts"),
        tal("+1.25", "") + tal("+1.5", "Sleep stage 1", duration="30") + tal("+1.75", ""),
        tal("+2.25", "") + tal("+2.5", "Ärger, µV"),
        tal("+3.25", "") + tal("+99.5", "after the end", duration="0") + tal("-1", "before the start"),
    ]
    more = [tal("+0.5", "apnea", duration="10.5"), b"", b"", tal("+3.75", " padded ")]
    return File(
        channels=[
            Channel("EEG Fpz-Cz", integers(0, 4, 100)),
            Channel("EEG C3-Ref", integers(1, 4, 100), physical=("500", "-500")),
            Channel("EEG C3-Ref", integers(2, 4, 100)),
            Channel("EDF Annotations", notes, "", ("-1", "1"), transducer="", filter="", width=60),
            Channel("EOG horizontal", integers(3, 4, 100)),
            Channel("Resp oro-nasal", integers(4, 4, 10), "", ("-2048", "2047"), ("-2048", "2047")),
            Channel("SaO2", integers(5, 4, 1), "%", ("0", "100"), ("0", "1000")),
            Channel("PR", integers(6, 4, 1), "BPM", ("0", "300"), ("0", "300")),
            Channel("DC1", integers(7, 4, 100), "mV"),
            Channel("EEG slow", integers(8, 4, 50), "uV"),
            Channel("EDF Annotations", more, "", ("-1", "1"), transducer="", filter=""),
        ]
    )


def gaps() -> File:
    """EDF+D of half-second records with two gaps, one of them shorter than a record."""
    onsets = ["+0", "+0.5", "+1", "+7.125", "+7.625", "+8.25"]
    return File(
        reserved="EDF+D",
        seconds="0.5",
        channels=[
            Channel("POL A1", integers(10, 6, 64)),
            Channel("POL A2", integers(11, 6, 64)),
            Channel("EDF Annotations", record_times(onsets), "", ("-1", "1")),
            Channel("ECG", integers(12, 6, 16), "mV"),
        ],
    )


def cap() -> File:
    """BDF (24 bits) of a scalp cap with a trigger channel; the upper bits of its words say other things."""
    status = np.full((3, 64), 1 << 16)
    status[0, 10:20] |= 5
    status[1, 0:64] |= 255
    status[2, 30:] = -(1 << 23) | 7
    return File(
        version=b"\xffBIOSEMI",
        reserved="24BIT",
        patient="Jane Doe",
        recording="somewhere",
        channels=[
            *[
                Channel(label, integers(20 + i, 3, 64, (1 << 23) - 1), "uV", ("-262144", "262143"),
                        ("-8388608", "8388607"))
                for i, label in enumerate(("Fp1", "CZ", "T8"))
            ],
            Channel("Status", status, "Boolean", ("-8388608", "8388607"), ("-8388608", "8388607")),
        ],
    )  # fmt: skip


def plain() -> File:
    """Plain EDF: no annotations, a record that is no whole number of seconds, a clipped date."""
    return File(
        reserved="",
        patient="Jane Doe born 1951",
        recording="Dr. Who",
        date="01.01.85",
        time="23.59.30",
        seconds="0.7",
        channels=[Channel("FP1-F7", integers(30, 5, 33))],
    )


def write_raw(folder: Path) -> set[str]:
    """Write one file of each kind and return the names of the recordings."""
    for name, file in (
        ("psg.edf", polysomnography()),
        ("gaps.edf", gaps()),
        ("cap.bdf", cap()),
        ("plain.rec", plain()),
    ):
        write_file(folder / name, file)
    return {"psg", "gaps", "cap", "plain"}
