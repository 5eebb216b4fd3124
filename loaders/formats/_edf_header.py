"""The header of EDF, EDF+, BDF and BDF+ files, every size in it checked against the file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from neurodata.errors import RawFileError

_FIXED = (("version", 8), ("patient", 80), ("recording", 80), ("date", 8), ("time", 8), ("bytes", 8),
          ("reserved", 44), ("records", 8), ("seconds", 8), ("channels", 4))  # fmt: skip
"""Fields of the first 256 bytes (Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7)."""
_PER_CHANNEL = (("label", 16), ("transducer", 80), ("units", 8), ("physical_min", 8), ("physical_max", 8),
                ("digital_min", 8), ("digital_max", 8), ("filter", 80), ("samples", 8), ("reserved", 32))  # fmt: skip
BLOCK = 256
"""Bytes of the fixed part, and of each channel's part."""

_SHORTEST = 1e-6
"""Least duration of a record in seconds that is believed."""
_BDF = b"\xffBIOSEMI"
_DATE = re.compile(rb"\d\d[./: -]\d\d[./: -]\d\d")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class EdfChannel:
    """One signal of the file as its header describes it.

    Parameters
    ----------
    number
        Position in the file, from 0.
    label, transducer, units, filter
        Text as in the file, without the blanks around it.
    scale, offset
        Physical value = integer × ``scale`` + ``offset``; None where the header gives no calibration.
    samples
        Samples per record.
    first
        Position of its first sample within a record, in samples of all channels.
    is_annotations
        Whether it holds text (``EDF Annotations``).
    """

    number: int
    label: str
    transducer: str
    units: str
    filter: str
    scale: float | None
    offset: float | None
    samples: int
    first: int
    is_annotations: bool


@dataclass(frozen=True)
class EdfHeader:
    """What the header says, and what the file's size makes of it.

    Parameters
    ----------
    kind
        ``EDF``, ``EDF+C``, ``EDF+D``, ``BDF``, ``BDF+C`` or ``BDF+D``.
    patient, recording, date, time
        Text as in the file.
    first_byte
        Where the records begin.
    n_records
        Complete records that the file holds.
    record_seconds
        Duration of a record; 0 where it has none (annotations only).
    channels
        All signals in file order.
    remarks
        What is wrong with the file and what was made of it.
    """

    kind: str
    patient: str
    recording: str
    date: str
    time: str
    first_byte: int
    n_records: int
    record_seconds: Fraction
    channels: tuple[EdfChannel, ...]
    remarks: tuple[str, ...]

    @property
    def sample_bytes(self) -> int:
        """Bytes per sample: 2, in BDF 3."""
        return 3 if self.kind.startswith("BDF") else 2

    @property
    def record_samples(self) -> int:
        """Samples of all channels in a record."""
        return sum(channel.samples for channel in self.channels)

    @property
    def is_plus(self) -> bool:
        """Whether the file says that it is EDF+ or BDF+."""
        return "+" in self.kind

    def rate_hz(self, channel: EdfChannel) -> float | None:
        """Return a channel's sampling rate, None where records have no duration."""
        return float(channel.samples / self.record_seconds) if self.record_seconds else None


def is_edf(path: Path) -> bool:
    """Tell whether a file begins as EDF or BDF does."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(BLOCK)
    if start.startswith(_BDF):
        return True
    if len(start) < BLOCK or start[:8].strip(b" \0") != b"0":
        return False
    # A "0" is no signature: the date's form, or sizes that fit each other, must speak for it too.
    dated = _DATE.fullmatch(start[168:176]) is not None
    size, count = (_digits(start[a:b]) for a, b in ((184, 192), (252, 256)))
    return start[192:196] == b"EDF+" or dated or (count is not None and size == BLOCK * (count + 1))


def _digits(field: bytes) -> int | None:
    text = field.strip(b" \0")
    return int(text) if text.isdigit() else None


def read_header(path: Path) -> EdfHeader:
    """Read and check a file's header.

    Raises
    ------
    RawFileError
        If the file is shorter than its header, a count is no number, or not one record is complete.
    """
    n_bytes = path.stat().st_size
    with path.open("rb") as stream:
        fixed = _cut(stream.read(BLOCK), _FIXED, path)
        count = _count(fixed["channels"], "number of signals", path)
        if count < 1:
            raise RawFileError(f"{path}: expected at least one signal, the header says {count}")
        rest = stream.read(BLOCK * count) if BLOCK * (count + 1) <= n_bytes else b""
    if len(rest) < BLOCK * count:
        raise RawFileError(
            f"{path}: expected a header of {BLOCK * (count + 1)} bytes for {count} signals, the file has {n_bytes} "
            "bytes; fetch it again"
        )
    kind = _kind(fixed)
    channels, remarks = _channels(_columns(rest, count), kind, path)
    seconds = _seconds(fixed["seconds"], path)
    first_byte = _first_byte(fixed["bytes"], count, remarks)
    record_bytes = sum(channel.samples for channel in channels) * (3 if kind.startswith("BDF") else 2)
    stated = _count(fixed["records"], "number of records", path)
    n_records = _records(stated, n_bytes - first_byte, record_bytes, path, remarks)
    return EdfHeader(
        kind=kind,
        patient=fixed["patient"],
        recording=fixed["recording"],
        date=fixed["date"],
        time=fixed["time"],
        first_byte=first_byte,
        n_records=n_records,
        record_seconds=seconds,
        channels=channels,
        remarks=tuple(remarks),
    )


def _cut(block: bytes, fields: Sequence[tuple[str, int]], path: Path) -> dict[str, str]:
    if len(block) < BLOCK:
        raise RawFileError(f"{path}: expected a header of at least {BLOCK} bytes, the file has {len(block)}")
    cut, at = {}, 0
    for name, width in fields:
        cut[name] = _text(block[at : at + width])
        at += width
    return cut


def _columns(block: bytes, count: int) -> list[dict[str, str]]:
    """The per-channel fields: all labels, then all transducers, and so on."""
    rows: list[dict[str, str]] = [{} for _ in range(count)]
    at = 0
    for name, width in _PER_CHANNEL:
        for row in rows:
            row[name] = _text(block[at : at + width])
            at += width
    return rows


def _text(field: bytes) -> str:
    """Text of a field; ASCII by the standard, UTF-8 or Latin-1 in practice (``µV``)."""
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _kind(fixed: dict[str, str]) -> str:
    family = "BDF" if "BIOSEMI" in fixed["version"] else "EDF"
    mark = fixed["reserved"][:5].upper()
    return family + mark[3:5] if mark in ("EDF+C", "EDF+D", "BDF+C", "BDF+D") else family


def _number(text: str) -> float | None:
    text = text.replace(",", ".").strip()
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def _count(text: str, what: str, path: Path) -> int:
    value = _number(text)
    if value is None or value != int(value):
        raise RawFileError(f"{path}: expected the {what} in the header, got {text!r}; the file is damaged")
    return int(value)


def _seconds(text: str, path: Path) -> Fraction:
    value = _number(text)
    if value is None or value < 0 or 0 < value < _SHORTEST:
        raise RawFileError(f"{path}: expected the duration of a record in seconds, got {text!r}; the file is damaged")
    return Fraction(Decimal(text.replace(",", "."))) if value else Fraction(0)


def _first_byte(text: str, count: int, remarks: list[str]) -> int:
    """Where the records begin: the header's length follows from the number of signals, whatever it says of itself."""
    expected = BLOCK * (count + 1)
    if _number(text) != expected:
        remarks.append(f"the header says that it is {text!r} bytes long; {count} signals make it {expected}")
    return expected


def _records(stated: int, n_bytes: int, record_bytes: int, path: Path, remarks: list[str]) -> int:
    """Complete records in the file; what the header says is right only where the recording ended properly."""
    if record_bytes == 0:
        raise RawFileError(f"{path}: none of its signals has a sample; the header is damaged or the file is empty")
    held, left = divmod(n_bytes, record_bytes)
    if held == 0:
        raise RawFileError(
            f"{path}: not one record of {record_bytes} bytes is complete, {n_bytes} bytes follow the header; the file "
            "is cut off, fetch it again"
        )
    if stated >= 0 and stated != held:
        remarks.append(f"the header speaks of {stated} records, the file holds {held}; all {held} were read")
    if left:
        remarks.append(f"the last record is cut off; its {left} bytes of {record_bytes} were left out")
    return held


def _channels(rows: list[dict[str, str]], kind: str, path: Path) -> tuple[tuple[EdfChannel, ...], list[str]]:
    channels, bare, empty, first = [], [], [], 0
    for number, row in enumerate(rows):
        samples = _count(row["samples"], f"samples per record of signal {row['label']!r}", path)
        if samples < 0:
            raise RawFileError(f"{path}: signal {row['label']!r} has {samples} samples per record; the file is damaged")
        text = row["label"].lower() in ("edf annotations", "bdf annotations")
        scale, offset = _calibration(row)
        bare += [row["label"]] if scale is None and not text else []
        empty += [row["label"]] if not samples else []
        channels.append(
            EdfChannel(number, row["label"], row["transducer"], row["units"], row["filter"], scale, offset, samples,
                       first, text)
        )  # fmt: skip
        first += samples
    remarks = []
    if bare:
        remarks.append(
            f"no calibration (equal or missing minimum and maximum) of {_listed(bare)}; integers as they are, in a.u."
        )
    if empty:
        remarks.append(f"no samples of {_listed(empty)}; left out")
    return tuple(channels), remarks


def _listed(labels: list[str]) -> str:
    return ", ".join(map(repr, labels[:10])) + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")


def _calibration(row: dict[str, str]) -> tuple[float | None, float | None]:
    """Scale and offset from the two ranges; a physical minimum above the maximum turns the polarity round."""
    low, high, bottom, top = (
        _number(row[name]) for name in ("physical_min", "physical_max", "digital_min", "digital_max")
    )
    if low is None or high is None or bottom is None or top is None or top == bottom:
        return None, None
    scale = (high - low) / (top - bottom)
    offset = low - scale * bottom
    return (scale, offset) if scale and math.isfinite(scale) and math.isfinite(offset) else (None, None)
