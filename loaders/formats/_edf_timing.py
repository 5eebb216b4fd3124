"""When the records of an EDF file were taken: one stretch, or several with gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from ._edf_header import EdfHeader


def find_segments(
    header: EdfHeader, onsets: Sequence[Decimal | None]
) -> tuple[list[float], list[int], tuple[str, ...]]:
    """Return where a file's gapless stretches begin.

    A record that begins later than the one before it ended begins a new stretch. Differences below half a sample of
    the fastest channel, or below the last digit that the onsets are written with, are none.

    Parameters
    ----------
    header
        The file's header.
    onsets
        Start of each record as the file gives it, seconds; None where it does not.

    Returns
    -------
    starts
        Seconds from the first record's start, shape ``(segment,)``.
    firsts
        First record of each stretch, shape ``(segment,)``.
    remarks
        Where the file contradicts itself.
    """
    length = header.record_seconds
    if not length:
        return [0.0], [0], ()
    known = [None if onset is None else Fraction(onset) for onset in onsets]
    origin = known[0] if known and known[0] is not None else Fraction(0)
    tolerance = _tolerance(header, onsets)
    starts, firsts, early = [Fraction(0)], [0], 0
    for record, onset in enumerate(known):
        if onset is None:
            continue
        late = onset - origin - starts[-1] - (record - firsts[-1]) * length
        if late > tolerance:
            starts.append(onset - origin)
            firsts.append(record)
        early += late < -tolerance
    return [float(start) for start in starts], firsts, tuple(_remarks(header, onsets, len(starts), early))


def _tolerance(header: EdfHeader, onsets: Sequence[Decimal | None]) -> Fraction:
    fastest = max((channel.samples for channel in header.channels if not channel.is_annotations), default=1)
    half_sample = header.record_seconds / max(1, fastest) / 2
    decimals = max((-int(onset.as_tuple().exponent) for onset in onsets if onset is not None), default=0)
    digit = Fraction(1, 10**decimals)
    rounded = header.record_seconds % digit != 0
    return max(half_sample, digit) if rounded else half_sample


def _remarks(header: EdfHeader, onsets: Sequence[Decimal | None], n_segments: int, early: int) -> list[str]:
    remarks = []
    missing = sum(onset is None for onset in onsets)
    if header.is_plus and missing:
        remarks.append(
            f"{missing} of {len(onsets)} records do not say when they began; they follow the ones before them"
        )
    if early:
        remarks.append(f"{early} records begin before the one before them ends; they were put right behind it")
    if header.kind.endswith("C") and n_segments > 1:
        remarks.append(
            f"the header says continuous, but there are {n_segments - 1} gaps between records; they were kept"
        )
    return remarks
