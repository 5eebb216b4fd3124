"""Samples of EDF and BDF files: only the records that are asked for, straight from the mapped file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray.core import indexing

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows

from ._edf_header import EdfChannel, EdfHeader


def _map(path: Path, header: EdfHeader) -> NDArray[Any]:
    """The file's records: ``(record, sample)`` int16, of BDF ``(record, byte)``."""
    wide = header.sample_bytes == 3
    shape = (header.n_records, header.record_samples * (3 if wide else 1))
    expected = header.first_byte + header.n_records * header.record_samples * header.sample_bytes
    try:
        if path.stat().st_size < expected:  # a mapped file that shrinks would end the process
            raise RawFileError(f"{path}: the file is shorter than when it was opened; was it replaced meanwhile?")
        return np.memmap(path, "u1" if wide else "<i2", mode="r", offset=header.first_byte, shape=shape)
    except (OSError, ValueError) as error:
        raise RawFileError(f"{path}: its records cannot be read ({error})") from error


def read_bytes(path: Path, header: EdfHeader, channel: EdfChannel, first: int, after: int) -> NDArray[np.uint8]:
    """Return the bytes of one channel in records ``[first, after)``, shape ``(record, byte)``."""
    factor = 3 if header.sample_bytes == 3 else 1
    start, stop = channel.first * factor, (channel.first + channel.samples) * factor
    return np.ascontiguousarray(_map(path, header)[first:after, start:stop]).view(np.uint8)


def lazy_channels(path: Path, header: EdfHeader, channels: Sequence[EdfChannel]) -> indexing.LazilyIndexedArray:
    """Return the integers of channels of one sampling rate as a lazy ``(time, channel)`` array.

    EDF gives int16, BDF int32. Reading rows maps the file and decodes the records that hold them, no others.
    """
    samples = channels[0].samples
    dtype = np.dtype(np.int32 if header.sample_bytes == 3 else np.int16)
    runs = list(_runs(channels))

    def read(first: int, after: int) -> NDArray[Any]:
        records = _map(path, header)
        rows = np.empty((after - first, len(channels)), dtype)
        for start, stop, left, right, at in _pieces(first, after, samples):
            size = (stop - start) * (right - left)
            place = rows[at : at + size].reshape(stop - start, right - left, len(channels))
            for column, run in runs:
                block = _decode(records[start:stop], run, samples, left, right)
                place[:, :, column : column + len(run)] = block.transpose(0, 2, 1)
        return rows

    return lazy_rows((header.n_records * samples, len(channels)), dtype, read)


def _runs(channels: Sequence[EdfChannel]) -> Iterator[tuple[int, Sequence[EdfChannel]]]:
    """Stretches of channels that lie side by side in a record, each with the column of its first."""
    begin = 0
    for i in range(1, len(channels) + 1):
        if i == len(channels) or channels[i].first != channels[i - 1].first + channels[i - 1].samples:
            yield begin, channels[begin:i]
            begin = i


def _pieces(first: int, after: int, samples: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Rows as parts of records: first and last record, samples within each, position of the first row.

    Records at the ends are cut before they are decoded, for some files hold everything in one record.
    """
    row = first
    while row < after:
        record, left = divmod(row, samples)
        if left == 0 and after - row >= samples:
            stop, right = after // samples, samples
        else:
            stop, right = record + 1, min(samples, left + after - row)
        yield record, stop, left, right, row - first
        row += (stop - record) * (right - left)


def _decode(records: NDArray[Any], run: Sequence[EdfChannel], samples: int, left: int, right: int) -> NDArray[Any]:
    """Integers of neighbouring channels, shape ``(record, channel, sample)``."""
    start, stop = run[0].first, run[0].first + len(run) * samples
    if records.dtype != np.uint8:
        return records[:, start:stop].reshape(len(records), len(run), samples)[:, :, left:right]
    triples = records[:, 3 * start : 3 * stop].reshape(len(records), len(run), samples, 3)[:, :, left:right]
    # Three bytes in the upper part of four: shifting them down extends the sign.
    padded = np.zeros((*triples.shape[:3], 4), np.uint8)
    padded[..., 1:] = triples
    return np.asarray(padded.view("<i4")[..., 0] >> 8)
