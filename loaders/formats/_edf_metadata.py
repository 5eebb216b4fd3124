"""What an EDF header says of subject, start and device, without names, birth dates and people's codes."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

from ._edf_header import EdfHeader

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DATE = re.compile(r"(\d{1,2})-([A-Z]{3})-(\d{4})", re.IGNORECASE)
_ANY_DATE = re.compile(r"\d{1,2}[-./][A-Za-z0-9]{2,3}[-./]\d{2,4}|(19|20)\d{6}|\d{4}(19|20)\d\d")
ANONYMOUS = datetime.date(1985, 1, 1)
"""Start date of files whose date was taken out (EDF+ 2003, section 2.1.3.3: the clipping date)."""


def subject_of(header: EdfHeader) -> dict[str, Any]:
    """Return code and sex of an EDF+ header's patient field; nothing of a plain EDF, whose field may hold a name.

    A code without a digit, or one that is a date, may be a name or a birth date and is left out too.
    """
    fields = header.patient.split() if header.is_plus else []
    subject: dict[str, Any] = {}
    if fields and any(c.isdigit() for c in fields[0]) and not _ANY_DATE.fullmatch(fields[0]):
        subject["id"] = fields[0]
    if len(fields) > 1 and fields[1].upper() in ("F", "M"):
        subject["sex"] = fields[1].upper()
    return subject


def device_of(header: EdfHeader) -> str | None:
    """Return the equipment of an EDF+ header's recording field (``Startdate date code technician equipment``)."""
    fields = header.recording.split()
    if not header.is_plus or len(fields) < 5 or fields[0].lower() != "startdate" or fields[4] == "X":
        return None
    return fields[4].replace("_", " ")


def start_of(header: EdfHeader, first_onset: Decimal | None) -> tuple[str | None, str | None]:
    """Return when the first record began, and the time of day where the date is unknown, both ISO 8601.

    Parameters
    ----------
    header
        The file's header; the four-digit year of EDF+ goes before the two digits (1985 … 2084) of EDF.
    first_onset
        Seconds from the header's start to the first record's, None where the file does not say.
    """
    time = _time(header.time)
    date = _date(header)
    if date is None or time is None:
        return None if date is None else date.isoformat(), None if time is None or not any(time) else _clock(*time)
    try:
        start = datetime.datetime(date.year, date.month, date.day, *time)
        start += datetime.timedelta(microseconds=int((first_onset or Decimal(0)) * 1_000_000))
    except OverflowError:
        return date.isoformat(), None
    return start.isoformat(), None


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}:{second:02}"


def _time(text: str) -> tuple[int, int, int] | None:
    match = re.fullmatch(r"(\d\d)\D(\d\d)\D(\d\d)", text)
    if match is None:
        return None
    hour, minute, second = (int(part) for part in match.groups())
    return (hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


def _date(header: EdfHeader) -> datetime.date | None:
    fields = header.recording.split()
    if header.is_plus and len(fields) > 1 and fields[0].lower() == "startdate":
        if fields[1].upper() == "X":
            return None
        match = _DATE.fullmatch(fields[1])
        if match and match[2].upper() in _MONTHS:
            return _valid(int(match[3]), _MONTHS.index(match[2].upper()) + 1, int(match[1]))
    short = re.fullmatch(r"(\d\d)\D(\d\d)\D(\d\d)", header.date)
    if short is None:
        return None
    day, month, year = (int(part) for part in short.groups())
    date = _valid(year + (1900 if year >= 85 else 2000), month, day)
    return None if date == ANONYMOUS else date


def _valid(year: int, month: int, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None
