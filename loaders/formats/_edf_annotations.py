"""Annotations and record times of EDF+ and BDF+ files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from neurodata.errors import RawFileError

from ._edf_header import EdfChannel, EdfHeader
from ._edf_records import read_bytes

_BLOCK_BYTES = 16 << 20
_MOST_RECORD_BYTES = 64 << 20
"""Largest annotation channel of one record; the standard allows 61440 bytes for a whole record."""
_MOST_RECORDS = 10_000_000
"""Most records with annotations: eleven days of records of 0.1 s."""
_LIST = re.compile(rb"([+-]?\d{1,15}(?:[.,]\d{0,15})?)(?:\x15(\d{0,15}(?:[.,]\d{0,15})?))?\x14(.*)", re.DOTALL)
"""Onset, duration and texts of one time-stamped annotation list (EDF+ 2003, section 2.2.2)."""


@dataclass(frozen=True)
class Annotation:
    """One annotation: onset in seconds from the header's start time, duration (None where not given), text."""

    onset: Decimal
    duration: Decimal | None
    text: str


@dataclass(frozen=True)
class Annotations:
    """All annotations of a file and, per record, when it began (None where the file does not say)."""

    entries: tuple[Annotation, ...]
    onsets: tuple[Decimal | None, ...]
    remarks: tuple[str, ...]


def read_annotations(path: Path, header: EdfHeader) -> Annotations:
    """Read all annotation channels of a file.

    The first annotation of each record in the first such channel has no text and says when the record began.
    """
    if header.n_records > _MOST_RECORDS and any(channel.is_annotations for channel in header.channels):
        raise RawFileError(f"{path}: {header.n_records} records with annotations, at most {_MOST_RECORDS} are read")
    entries: list[Annotation] = []
    onsets: list[Decimal | None] = [None] * header.n_records
    unread = 0
    for place, channel in enumerate(c for c in header.channels if c.is_annotations and c.samples):
        for record, content in enumerate(_contents(path, header, channel)):
            found, damaged = _parse(content)
            unread += damaged
            if place == 0 and found and found[0].text == "" and found[0].duration is None:
                onsets[record] = found.pop(0).onset
            entries += found
    remarks = (f"{unread} annotations are damaged and were left out",) if unread else ()
    return Annotations(tuple(entries), tuple(onsets), remarks)


def _contents(path: Path, header: EdfHeader, channel: EdfChannel) -> list[bytes]:
    """Bytes of an annotation channel, record by record, without the zeros that fill them up."""
    width = channel.samples * header.sample_bytes
    if width > _MOST_RECORD_BYTES:
        raise RawFileError(
            f"{path}: {width} bytes of annotations per record, at most {_MOST_RECORD_BYTES} are read; is it damaged?"
        )
    contents: list[bytes] = []
    step = max(1, _BLOCK_BYTES // width)
    for first in range(0, header.n_records, step):
        block = read_bytes(path, header, channel, first, min(header.n_records, first + step))
        contents += [row.tobytes().rstrip(b"\0") for row in block]
    return contents


def _parse(content: bytes) -> tuple[list[Annotation], int]:
    """The annotations of one record in order, and how many pieces could not be read."""
    found: list[Annotation] = []
    damaged = 0
    for piece in content.split(b"\0"):
        if not piece:
            continue
        match = _LIST.fullmatch(piece)
        if match is None:
            damaged += 1
            continue
        onset = Decimal(match[1].decode().replace(",", "."))
        length = (match[2] or b"").decode().replace(",", ".").strip(".")
        duration = Decimal(length) if length else None
        found += [Annotation(onset, duration, _text(text)) for text in match[3].removesuffix(b"\x14").split(b"\x14")]
    return found, damaged


def _text(content: bytes) -> str:
    """Text of an annotation: UTF-8 by the standard, Latin-1 where it is not."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
