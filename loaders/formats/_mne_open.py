"""Opens files through MNE-Python, samples left where they are, its warnings turned into facts."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import import_extra
from neurodata.errors import NeurodataError, RawFileError

from . import _mne_fif
from ._mne_brainvision import NO_SETTINGS, read_brainvision
from ._mne_eeglab import open_eeglab
from ._mne_signatures import persyst_data
from ._mne_source import Integers, Marks, Read, Source

GAP = "BAD_ACQ_SKIP"
"""MNE's annotation of a stretch in which nothing was recorded; it fills such stretches with zeros."""

_KEPT_QUIET = (
    "does not conform to MNE naming conventions",
    "naming conventions",
    "data discontinuities",
    "not found; using",
    "Could not parse meas date",
    "Channels contain different",
    "No coordinate information found",
    "Online software filter",
    "Not setting position",
    "maxshield",
    "No info on DataPoints found",
    "Internal Active Shielding",
    NO_SETTINGS,
)
"""Warnings that change no value and no time; they go into the metadata only."""


_ARITHMETIC = ("invalid value encountered", "divide by zero", "overflow encountered", "Mean of empty slice")
"""Warnings of numpy inside a reader: they say nothing that a user could act on."""


def open_source(kind: str, path: Path, cnt_format: str = "auto") -> tuple[Source, list[str]]:
    """Return what is in a file, and MNE's warnings about it.

    Parameters
    ----------
    kind
        Name of the format, as `_mne_signatures.recognise` returns it.
    path
        The file or folder.
    cnt_format
        ``int16`` or ``int32``: how a Neuroscan CNT file stores its samples, where its header does not tell (``auto``).

    Raises
    ------
    RawFileError
        If it cannot be read; says why.
    """
    notes: list[str] = []
    with reading(path, notes):
        if kind == "eeglab":
            source = open_eeglab(path)
        elif kind == "fif" and _mne_fif.holds_epochs(path):
            source = _open_epochs(path)
        else:
            source = _open_raw(kind, path, {"data_format": cnt_format} if kind == "cnt" else {})
        _check_last(path, source)
    for note in notes:
        if not any(known in note for known in _KEPT_QUIET):
            warnings.warn(f"{path.name}: {note}", UserWarning, stacklevel=2)
    return source, notes


@contextmanager
def reading(path: Path, notes: list[str]) -> Iterator[None]:
    """Collect warnings, and turn whatever a reader trips over into an error that names the file."""
    # MNE also prints its warnings, which belong to stderr, once, in our words.
    printers = [(handler, handler.level) for handler in logging.getLogger("mne").handlers]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for handler, _ in printers:
            handler.setLevel(logging.ERROR)
        try:
            yield
        except NeurodataError:
            raise
        except ImportError as error:
            raise NeurodataError(f"{path}: reading it needs a package that is not installed ({error})") from error
        except Exception as error:
            told = " ".join(str(error).split())[:500] or type(error).__name__
            if "pip install" in told or "is required" in told:
                raise NeurodataError(f"{path}: {told}") from error
            raise RawFileError(f"{path}: MNE cannot read it ({told}); the file is damaged or incomplete") from error
        finally:
            for handler, level in printers:
                handler.setLevel(level)
    texts = [" ".join(str(w.message).split()) for w in caught if issubclass(w.category, (RuntimeWarning, UserWarning))]
    texts = [text for text in texts if not text.startswith(_ARITHMETIC)]
    notes += [text[:1000] for text in dict.fromkeys(texts)]


def _reader(name: str, **more: Any) -> Callable[..., Any]:
    def read(path: Path, **options: Any) -> Any:
        mne = import_extra("mne", "eeg")
        return getattr(mne.io, f"read_raw_{name}")(path, preload=False, verbose="warning", **more, **options)

    return read


def _read_persyst(path: Path) -> Any:
    """MNE reads no name in capitals (``.LAY``), and trips over patients without a birth date, sex or hand; whom that happens to is read without them."""
    if path.suffix == ".lay":
        try:
            return _reader("persyst")(path)
        except (TypeError, KeyError, ValueError, AttributeError):
            pass
    header = path.read_bytes().decode("latin-1")
    kept = "".join(re.findall(r"^(?:TestDate|TestTime|ID)=.*\n?", header, re.MULTILINE | re.IGNORECASE))
    patient = f"[Patient]\nBirthDate=01/01/70\nSex=\nHand=\n{kept}"
    others = re.sub(r"^\[Patient\][^\[]*", "", header, flags=re.MULTILINE | re.IGNORECASE)
    folder = tempfile.TemporaryDirectory(prefix="neurodata-")
    copy = Path(folder.name) / "header.lay"
    copy.write_text(f"{others.rstrip()}\n{patient}", encoding="latin-1")
    data = persyst_data(path, header)
    stated = re.search(r"^File\s*=(.*)$", header, re.MULTILINE | re.IGNORECASE)
    name = re.split(r"[\\/]", stated[1].strip())[-1] if stated else data.name
    (Path(folder.name) / (name if name.strip(". ") else data.name)).symlink_to(data.resolve())
    raw = _reader("persyst")(copy)
    raw.info["subject_info"].pop("birthday", None)
    weakref.finalize(raw, folder.cleanup)  # the samples are read through the copy's folder
    return raw


READERS: dict[str, Callable[..., Any]] = {
    "fif": _reader("fif", allow_maxshield="yes"),
    "brainvision": read_brainvision,
    "persyst": _read_persyst,
    **{name: _reader(name) for name in ("gdf", "cnt", "kit", "ctf", "nihon", "egi")},
}
"""Format → function that returns an ``mne.io.BaseRaw`` whose samples are still in the file. EEGLAB has its own reader."""

_INTEGERS = ("brainvision", "fif", "ctf", "cnt")
"""Formats whose integers come back when MNE is told that every channel's scale is 1."""


def _open_raw(kind: str, path: Path, options: dict[str, Any]) -> Source:
    raw = READERS[kind](path, **options)
    if np.issubdtype(raw._dtype if hasattr(raw, "_dtype") else float, np.complexfloating):
        raise RawFileError(f"{path}: complex samples; a recording is real")
    gaps = _gaps(raw)
    extra = {"compensation_grade": raw.compensation_grade} if raw.compensation_grade else {}
    return Source(
        raw.info,
        raw.n_times,
        _read_through(raw, path),
        first_seconds=float(raw.first_time),
        marks=_marks(raw),
        gaps=gaps,
        integers=None if gaps or kind not in _INTEGERS else _integers(raw, path),
        units=dict(getattr(raw, "_orig_units", None) or {}),
        extra=extra,
    )


def _read_through(raw: Any, path: Path) -> Read:
    def read(picks: NDArray[np.int64], first: int, after: int) -> NDArray[np.float64]:
        notes: list[str] = []
        with reading(path, notes):
            values = raw.get_data(picks, first, after, verbose="error")
        return np.asarray(values.T, np.float64)

    return read


def _marks(raw: Any) -> Marks:
    """Annotations relative to the first sample; MNE counts them from the (earlier) start of the measurement."""
    found = raw.annotations
    onset = np.asarray(found.onset, np.float64) - float(raw.first_time)
    duration = np.nan_to_num(np.asarray(found.duration, np.float64))
    kept = _once(onset, duration, list(found.description), 1 / float(raw.info["sfreq"]))
    columns: dict[str, list[Any]] = {}
    channels = [", ".join(map(str, found.ch_names[i])) if found.ch_names is not None else "" for i in kept]
    if any(channels):
        columns["channels"] = list(channels)
    given = getattr(found, "extras", None)
    extras = [dict(given[i] or {}) for i in kept] if given is not None else []
    for key in dict.fromkeys(key for entry in extras for key in entry):
        columns[str(key)] = [entry.get(key) for entry in extras]
    return Marks(onset[kept], duration[kept], [str(found.description[i]) for i in kept], columns)


def _once(onset: NDArray[np.float64], duration: NDArray[np.float64], label: list[str], step: float) -> list[int]:
    """Positions of the annotations, gaps once: MNE lists one that is both annotated and skipped in the file twice."""
    kept: list[int] = []
    gaps: list[tuple[float, float]] = []
    for i, text in enumerate(label):
        if text == GAP:
            if any(abs(start - onset[i]) < step and abs(length - duration[i]) < step for start, length in gaps):
                continue
            gaps.append((float(onset[i]), float(duration[i])))
        kept.append(i)
    return kept


def _gaps(raw: Any) -> list[tuple[int, int]]:
    rate, marks = float(raw.info["sfreq"]), _marks(raw)
    found = []
    for onset, duration, label in zip(marks.onset, marks.duration, marks.label):
        if label == GAP:
            first, after = round(onset * rate), round((onset + duration) * rate)
            found.append((max(0, first), min(after, raw.n_times)))
    return found


def _integers(raw: Any, path: Path) -> Integers | None:
    """Integers of the file: what MNE reads with every scale set to 1.

    The scales are private to MNE, so the first and last samples are read both ways; unless the integers times the
    scales give exactly the physical values, the file is read as physical values.
    """
    kinds: dict[str, np.dtype[Any]] = {"short": np.dtype(np.int16), "int": np.dtype(np.int32)}
    dtype = kinds.get(str(raw.orig_format))
    scale = getattr(raw, "_cals", None)
    if dtype is None or scale is None or not np.isfinite(scale).all() or not np.all(scale):
        return None
    steps = raw.copy()
    steps._cals = np.ones_like(scale)
    read, read_steps = _read_through(raw, path), _read_through(steps, path)
    everything = np.arange(len(raw.ch_names))
    for first in (0, max(0, raw.n_times - 500)):
        after = min(first + 500, raw.n_times)
        values, whole = read(everything, first, after), read_steps(everything, first, after)
        if not (_are_whole(whole, dtype) and np.allclose(whole * scale, values, rtol=1e-12, atol=0)):
            return None

    def checked(picks: NDArray[np.int64], first: int, after: int) -> NDArray[np.float64]:
        whole = read_steps(picks, first, after)
        if not _are_whole(whole, dtype):
            raise RawFileError(f"{path}: samples {first} to {after} are no {dtype} although the others are")
        return whole

    return Integers(dtype, np.asarray(scale, np.float64), checked)


def _are_whole(values: NDArray[np.float64], dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    inside = bool(((values >= limits.min) & (values <= limits.max)).all())
    return inside and bool((values == np.rint(values)).all())


def _open_epochs(path: Path) -> Source:
    """Epochs of a FIF file at the times they were cut from, or one after the other where they overlap."""
    mne = import_extra("mne", "eeg")
    epochs = mne.read_epochs(path, proj=False, preload=False, verbose="warning")
    n_epochs, n_points, rate = len(epochs), len(epochs.times), float(epochs.info["sfreq"])
    if n_epochs == 0:
        raise RawFileError(f"{path}: a FIF file of epochs that holds none")
    samples = np.asarray(epochs.events[:, 0], np.int64)
    apart = bool((np.diff(samples) >= n_points).all())
    firsts = samples - samples[0] if apart else np.arange(n_epochs) * n_points
    start = firsts / rate
    name_of = {code: name for name, code in epochs.event_id.items()}
    codes = [int(code) for code in epochs.events[:, 2]]
    trials: dict[str, Any] = {
        "start": start,
        "stop": start + n_points / rate,
        "label": [str(name_of.get(code, code)) for code in codes],
        "code": np.array(codes, np.int64),
        "zero": start - float(epochs.tmin),
        "original_sample": samples,
    }
    if epochs.metadata is not None:
        trials |= {str(name): column.to_list() for name, column in epochs.metadata.items() if str(name) not in trials}

    def read(picks: NDArray[np.int64], first: int, after: int) -> NDArray[np.float64]:
        begin, end = first // n_points, -(-after // n_points)
        with reading(path, []):
            values = epochs[begin:end].get_data(picks=picks, copy=True, verbose="error")
        laid = values.transpose(0, 2, 1).reshape(-1, len(picks))
        return np.asarray(laid[first - begin * n_points : after - begin * n_points], np.float64)

    note = "at the times they were cut from" if apart else "one after the other, for they overlap in time"
    segments = (start.tolist(), (np.arange(n_epochs) * n_points).tolist()) if apart and n_epochs > 1 else None
    return Source(
        epochs.info, n_epochs * n_points, read, segments=segments, trials=trials, extra={"epochs": f"laid {note}"}
    )


def _check_last(path: Path, source: Source) -> None:
    """A header may state more samples than there are; the last one shows it before anything is written."""
    if source.n_times < 1 or not len(source.info["ch_names"]):
        raise RawFileError(f"{path}: it holds no samples; the recording is empty or cut off")
    if path.suffix != ".gz":
        everything = np.arange(len(source.info["ch_names"]))
        last = source.read(everything, source.n_times - 1, source.n_times)
        if last.shape != (1, len(everything)):
            raise RawFileError(f"{path}: {source.n_times} samples are stated, the last of them is not there")
