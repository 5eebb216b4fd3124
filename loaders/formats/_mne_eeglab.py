"""EEGLAB ``.set`` files: a MATLAB struct ``EEG`` (v5 or v7.3), samples inside it or in an ``.fdt`` beside it.

MNE-Python can read the continuous ones, but drops the columns of events and loads samples inside a ``.set`` twice.
So the struct is read with pymatreader here; channels become an ``mne.Info`` by MNE's own rules (x = -Y, y = X).
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import import_extra
from neurodata.errors import RawFileError
from neurodata.identity.channel_types import channel_type

from ..hdf5 import is_hdf5, open_hdf5
from ._matlab_sizes import check_sizes
from ._mne_beside import find_beside
from ._mne_source import Marks, Read, Source

MOST_INSIDE = 512 << 20
"""Largest ``.set`` with samples inside, in bytes once unpacked: it can only be read whole."""
_SMALL = 16 << 20
"""A ``.set`` up to this size is looked into when files are searched; a larger one holds its samples."""
_FIELDS = ("srate", "nbchan", "chanlocs")
VOLTS = 1e-6
"""EEGLAB keeps microvolts and no unit."""


def find_files(path: Path, head: bytes) -> tuple[Path, ...]:
    """Return the files of an EEGLAB recording, none for any other file.

    Raises
    ------
    RawFileError
        If the samples are in a file that is not beside the ``.set``.
    """
    if not head.startswith(b"MATLAB "):
        return ()
    if is_hdf5(path):
        if path.suffix.lower() not in (".set", ".mat") or not _is_eeglab_v73(path):
            return ()
    elif not _is_eeglab_v5(path):
        return ()
    beside = find_beside(path, [path.with_suffix(".fdt").name])
    if beside is not None:
        return path, beside
    if path.stat().st_size > _SMALL:
        return (path,)
    samples = samples_file(path, read_struct(path))
    return (path, samples) if samples else (path,)


def _is_eeglab_v5(path: Path) -> bool:
    """Names of variables, or of the fields of the first struct, stand in its first kilobytes."""
    found, order = b"", _byte_order(path)
    with path.open("rb") as stream:
        stream.seek(128)
        for _ in range(64):
            tag = stream.read(8)
            if len(tag) < 8:
                break
            kind, size = struct.unpack(f"{order}2I", tag)
            content = stream.read(min(size, 65_536))
            if kind == 15:
                try:
                    content = zlib.decompressobj().decompress(content, 16_384)
                except zlib.error:
                    break
            found += content[:16_384]
            stream.seek(size - min(size, 65_536), 1)
    return all(name.encode() in found for name in _FIELDS)


def _byte_order(path: Path) -> str:
    """Byte order of a MATLAB v5 file: its header ends with the letters MI as this machine, or a reversed one, writes them."""
    with path.open("rb") as stream:
        return ">" if stream.read(128)[126:] == b"MI" else "<"


def _is_eeglab_v73(path: Path) -> bool:
    with open_hdf5(path) as file:
        group = file.get("EEG", file)
        return all(name in group for name in _FIELDS)


def read_struct(path: Path) -> dict[str, Any]:
    """Return the fields of ``EEG`` as arrays, text, dictionaries and lists.

    Raises
    ------
    RawFileError
        If it is larger than what may be read whole, damaged, or lacks what every recording has.
    """
    size = _unpacked_size(path)
    if size > MOST_INSIDE:
        raise RawFileError(
            f"{path}: {size >> 20} MiB inside one .set, which can only be read whole, and at most "
            f"{MOST_INSIDE >> 20} MiB are; in EEGLAB save it with the samples in a file of their own (.set and .fdt)"
        )
    pymatreader = import_extra("pymatreader", "eeg")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MATLAB classes that no field of ours is made of
            found = pymatreader.read_mat(str(path))
    except Exception as error:
        raise RawFileError(f"{path}: the MATLAB file is damaged ({error}); copy it again") from error
    eeg = found.get("EEG", found)
    missing = [name for name in _FIELDS if not isinstance(eeg, Mapping) or name not in eeg]
    if missing:
        raise RawFileError(f"{path}: expected an EEGLAB recording, field {missing[0]!r} is missing")
    return dict(eeg)


def _unpacked_size(path: Path) -> int:
    if is_hdf5(path):
        with open_hdf5(path) as file:
            sizes: list[int] = []
            file.visititems(lambda _, item: sizes.append(int(getattr(item, "nbytes", 0))))
        return sum(sizes)
    # Walks through every element: scipy can crash the process on a damaged one.
    return check_sizes(path)


def samples_file(path: Path, eeg: Mapping[str, Any]) -> Path | None:
    """Return the file of samples beside a ``.set``, None where they are inside.

    Raises
    ------
    RawFileError
        If it is not there. A folder in the name that the file gives is never followed.
    """
    data = eeg.get("data")
    if not isinstance(data, str) or data in ("in set file", "EEG"):
        return None
    names = [
        str(name) for name in (data, eeg.get("datfile", ""), path.with_suffix(".fdt").name) if isinstance(name, str)
    ]
    if names[0].lower().endswith(".dat"):
        raise RawFileError(
            f"{path}: samples in {names[0]!r}, EEGLAB's old layout; save it again with EEGLAB 5 or later"
        )
    found = find_beside(path, names)
    if found is None:
        name = re.split(r"[\\/]", names[0])[-1]
        raise RawFileError(f"{path}: the samples are expected in {name!r} beside it, which is not there; copy both")
    return found


def open_eeglab(path: Path) -> Source:
    """Return an EEGLAB recording, continuous or of epochs (laid one after the other), samples read where asked for."""
    eeg = read_struct(path)
    try:
        n_channels, n_epochs = int(eeg["nbchan"]), max(1, int(_number(eeg.get("trials"), 1)))
        n_points, rate = int(_number(eeg.get("pnts"), 0)), float(eeg["srate"])
        info = _make_info(eeg, n_channels, rate)
        # Codes of a trigger channel are no microvolts.
        scale = np.where([kind == "stim" for kind in info.get_channel_types()], 1.0, VOLTS)
        read, n_times = _samples(path, eeg, scale)
        marks = _event_marks(eeg, rate)
        if n_epochs > 1 and n_epochs * n_points != n_times:
            raise RawFileError(f"{path}: {n_epochs} epochs of {n_points} samples are stated, the file has {n_times}")
        trials = _trials(eeg, marks, n_epochs, n_points, rate) if n_epochs > 1 else None
    except RawFileError:
        raise
    except Exception as error:
        raise RawFileError(f"{path}: the EEGLAB header cannot be understood ({error!r})") from error
    extra = {
        key: _short_text(eeg.get(key))
        for key in ("setname", "comments", "ref", "condition", "group", "session", "run")
        if _short_text(eeg.get(key))
    }
    if np.size(eeg.get("icaweights", [])):
        extra["ica"] = f"a decomposition of {np.shape(np.atleast_2d(eeg['icaweights']))[0]} components is not read"
    subject = {"id": _short_text(eeg.get("subject"))}
    return Source(
        info, n_times, read, marks=marks, trials=trials, source_units="uV", subject=subject, extra={"eeglab": extra}
    )


def _samples(path: Path, eeg: Mapping[str, Any], scale: NDArray[np.float64]) -> tuple[Read, int]:
    n_channels = len(scale)
    beside = samples_file(path, eeg)
    if beside is None:
        inside = np.asarray(eeg["data"])
        if inside.dtype.kind not in "iuf" or inside.size == 0 or inside.size % n_channels:
            raise RawFileError(f"{path}: expected samples of {n_channels} channels in 'data', got {inside.shape}")
        if inside.ndim > 1 and inside.shape[0] != n_channels:
            raise RawFileError(f"{path}: 'data' has {inside.shape[0]} rows for {n_channels} channels")
        values: NDArray[Any] = inside.reshape(n_channels, -1, order="F").T
    else:
        size = beside.stat().st_size
        if size == 0 or size % (4 * n_channels):
            raise RawFileError(
                f"{beside}: {size} bytes are no whole number of float32 samples of {n_channels} channels"
            )
        stated = int(_number(eeg.get("pnts"), 0)) * max(1, int(_number(eeg.get("trials"), 1)))
        if stated and stated * 4 * n_channels != size:
            raise RawFileError(
                f"{beside}: {size} bytes, expected {stated * 4 * n_channels} ({stated} samples of {n_channels} "
                "channels, float32); the copy is incomplete or belongs to another .set"
            )
        values = np.memmap(beside, "<f4", "r", shape=(size // (4 * n_channels), n_channels))

    def read(picks: NDArray[np.int64], first: int, after: int) -> NDArray[np.float64]:
        return np.asarray(values[first:after][:, picks], np.float64) * scale[picks]

    return read, values.shape[0]


def _make_info(eeg: Mapping[str, Any], n_channels: int, rate: float) -> Any:
    mne = import_extra("mne", "eeg")
    rows = _rows(eeg["chanlocs"])[:n_channels]
    names = [_short_text(row.get("labels")) or f"EEG {i:03d}" for i, row in enumerate(rows)]
    names += [f"EEG {i:03d}" for i in range(len(names), n_channels)]
    rows += [{}] * (n_channels - len(rows))
    known = set(mne.io.get_channel_type_constants(include_defaults=True))
    stated = [_short_text(row.get("type")).lower() for row in rows]
    types = [channel_type(name, kind if kind in known else "") for name, kind in zip(names, stated)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two channels of one name get a number each, which the ids show
        info = mne.create_info(names, rate, types, verbose="error")
    places = np.array([[_number(row.get(axis), np.nan) for axis in "XYZ"] for row in rows]).reshape(-1, 3)
    places = places[:, [1, 0, 2]] * [-1, 1, 1]  # EEGLAB's x points to the nose, its y to the left ear
    has_place = np.isfinite(places).all(axis=1) & (places != 0).any(axis=1)
    if has_place.any():
        places *= _metres(float(np.linalg.norm(places[has_place], axis=1).mean()))
        for channel, place, is_there in zip(info["chs"], places, has_place):
            channel["loc"][:3] = place if is_there else np.nan
    return info


def _metres(radius: float) -> float:
    """Factor to metres, from the mean distance of electrodes: EEGLAB knows unit spheres, mm, cm and m (as MNE does)."""
    return next((factor for most, factor in ((0.25, 1.0), (2.5, 0.1), (25.0, 0.01)) if radius < most), 0.001)


def _event_marks(eeg: Mapping[str, Any], rate: float) -> Marks:
    rows = [row for row in _rows(eeg.get("event", [])) if np.isfinite(_number(row.get("latency"), np.nan))]
    onset = np.array([(_number(row["latency"], np.nan) - 1) / rate for row in rows])  # MATLAB counts from 1
    duration = np.array([_number(row.get("duration"), 0.0) for row in rows]) / rate
    columns = {
        str(key): [row.get(key) for row in rows]
        for key in dict.fromkeys(key for row in rows for key in row)
        if key not in ("type", "latency", "duration")
    }
    labels = [_label(row.get("type")) for row in rows]
    duration = np.nan_to_num(duration)
    # The duration of a boundary is what was cut out there, no stretch of what is left.
    is_cut = np.array([label == "boundary" for label in labels], bool)
    if duration[is_cut].any():
        columns["removed_seconds"] = np.where(is_cut, duration, np.nan).tolist()
    return Marks(onset, np.where(is_cut, 0.0, duration), labels, columns)


def _trials(
    eeg: Mapping[str, Any], marks: Marks, n_epochs: int, n_points: int, rate: float
) -> dict[str, NDArray[Any] | list[str]]:
    """Start, stop and label of each epoch; the label is the type of the event that it is locked to (at its time 0)."""
    start = np.arange(n_epochs) * n_points / rate
    zero = start - _number(eeg.get("xmin"), 0.0)
    label = [""] * n_epochs
    for epoch in range(n_epochs):
        near = np.flatnonzero(np.abs(marks.onset - zero[epoch]) < 1.5 / rate)
        if near.size:
            label[epoch] = marks.label[near[np.argmin(np.abs(marks.onset[near] - zero[epoch]))]]
    return {"start": start, "stop": start + n_points / rate, "label": label, "zero": zero}


def _rows(table: Any) -> list[dict[str, Any]]:
    """A struct array as one dictionary per element, however the reader gave it."""
    if isinstance(table, Mapping):
        columns = [value for value in table.values() if isinstance(value, (list, np.ndarray))]
        lengths = {len(value) if isinstance(value, list) or value.ndim else 0 for value in columns}
        if len(columns) < len(table) or len(lengths) != 1 or 0 in lengths:
            return [dict(table)] if table else []
        return [{key: value[i] for key, value in table.items()} for i in range(lengths.pop())]
    return (
        [dict(entry) for entry in table if isinstance(entry, Mapping)] if isinstance(table, (list, np.ndarray)) else []
    )


def _number(value: Any, missing: float) -> float:
    """A field as a number; empty fields are empty arrays."""
    try:
        array = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        return missing
    return float(array[0]) if array.size and value is not None else missing


def _short_text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (list, np.ndarray)) and len(value) and all(isinstance(line, str) for line in value):
        return "\n".join(line.rstrip() for line in value).strip()
    return str(value) if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else ""


def _label(value: Any) -> str:
    text = _short_text(value)
    return text[:-2] if re.fullmatch(r"-?\d+\.0", text) else text
