"""Folders that suite2p writes: one plane of a two-photon recording each."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal, run_lengths

from ..base import Claim
from ..format_loader import FormatLoader
from ..npy_files import open_npy
from ._calcium_rate import check_rate_option, choose_rate
from ._calcium_stat import read_cells, read_objects, stat_columns

TRACES = {
    "F.npy": "fluorescence",
    "Fneu.npy": "neuropil",
    "spks.npy": "deconvolved",
    "F_chan2.npy": "fluorescence_chan2",
    "Fneu_chan2.npy": "neuropil_chan2",
}
"""File → signal."""
_BESIDE = ("iscell.npy", "stat.npy", "ops.npy", "settings.npy", "redcell.npy")
_DEFAULT_FS = 10.0
"""suite2p's own default of ``fs`` (suite2p.default_ops)."""
_SETTINGS = (
    "suite2p_version", "fs", "tau", "nplanes", "nchannels", "nframes", "neucoeff", "baseline", "win_baseline",
    "sig_baseline", "Ly", "Lx", "diameter", "date_proc",
)  # fmt: skip


class Suite2p(FormatLoader):
    """suite2p's results: a folder ``plane0`` (``plane1`` …) with ``F.npy`` and what belongs to it, one recording each.

    - ``signals/fluorescence`` (``F.npy``), ``signals/neuropil`` (``Fneu.npy``) and ``signals/deconvolved``
      (``spks.npy``), and ``…_chan2`` of a second functional channel: the numbers as they are, in arbitrary units, of
      the same regions (same ``channel_id``). The files are (ROI, frame) and are read transposed, block by block.
      Neuropil is not subtracted.
    - Channel columns: ``is_cell`` and ``cell_probability`` (``iscell.npy``), ``is_red``, ``red_probability``
      (``redcell.npy``), ``x`` and ``y`` in pixels (``med`` in ``stat.npy``), ``plane`` and every other statistic that
      is one number per region (``npix``, ``radius``, ``skew`` …). All regions are kept, cells and others.
    - The frame rate is ``fs`` in ``ops.npy`` (per plane). Without ``ops.npy`` it is unknown and time counts frames;
      ``rate_hz`` states it and overrules the file, which often holds suite2p's default of 10 Hz.
    - ``intervals/bad``: frames that ``ops.npy`` marks as bad, where the rate is known.

    A folder is known by its files, whatever it is called. ``combined`` repeats the planes and is passed over where
    they lie beside it. Not read: masks (``ypix``, ``lam`` …), images in ``ops.npy``, ``data.bin``. ``stat.npy`` and
    ``ops.npy`` are pickles: they are read by a reader that calls nothing, and what it refuses is left out with a
    warning, as are ``iscell.npy`` and ``redcell.npy`` with other rows than ``F.npy``.

    Parameters
    ----------
    raw
        A plane's folder, or one that is searched for them.
    rate_hz
        Frames per second and plane.
    common
        As every format: ``dataset``, ``name``, ``subject``, ``species``.

    References
    ----------
    Pachitariu M et al. 2017, bioRxiv 061507; https://suite2p.readthedocs.io/en/latest/outputs.html
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 5

    def __init__(self, raw: str | Path, *, rate_hz: float | None = None, **common: str | None) -> None:
        super().__init__(raw, rate_hz=rate_hz, **common)
        check_rate_option(rate_hz)
        self.rate_hz = rate_hz

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the plane that a folder holds.

        Raises
        ------
        RawFileError
            If ``F.npy`` is damaged or empty, or the folder is the union of the planes beside it.
        """
        if not (path / "F.npy").is_file():
            return []
        beside = [path / name for name in (*TRACES, *_BESIDE) if (path / name).is_file()]
        if not any(file.name in ("iscell.npy", "stat.npy", "Fneu.npy", "spks.npy") for file in beside):
            return []
        planes = sorted(folder.parent.name for folder in path.parent.glob("plane*/F.npy"))
        if path.name == "combined" and planes:
            raise RawFileError(f"{path}: these are the regions of {', '.join(planes)} once more; the planes are read")
        shape = _open_traces(path / "F.npy").shape
        if 0 in shape:
            raise RawFileError(f"{path}: F.npy has {shape[0]} regions and {shape[1]} frames; there is nothing to read")
        return [Claim(path, tuple(beside))]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one plane.

        Raises
        ------
        RawFileError
            If a file is damaged or of other regions or frames than ``F.npy``.
        """
        folder, files = claim.path, [file.name for file in claim.files]
        shape = _open_traces(folder / "F.npy").shape
        settings, unread = _read_settings(folder, files)
        rate_hz, said = choose_rate(
            self.rate_hz, settings.get("fs"), "fs in ops.npy", path=folder / "ops.npy", default=_DEFAULT_FS
        )
        columns, others = read_cells(folder, shape[0])
        unread |= others
        if "stat.npy" in files:
            stat, why = read_objects(folder / "stat.npy")
            columns |= {} if why else stat_columns(stat, folder / "stat.npy", shape[0])
            unread |= {"stat.npy": why} if why else {}
        space: dict[str, Any] = {"space": "pixels"} if "x" in columns else {}
        signals = {
            signal: make_signal(
                _lazy(folder / name, shape),
                channel_id=[f"roi{number:04d}" for number in range(shape[0])],
                units="a.u.",
                rate_hz=rate_hz,
                columns=columns,
                sampling_rate_source=said,
                **space,
            )
            for name, signal in TRACES.items()
            if name in files
        }
        extra: dict[str, Any] = {"suite2p": kept} if (kept := _kept(settings)) else {}
        extra |= {"unread": unread} if unread else {}
        metadata = self.describe(session, modality="calcium", extra=extra or None)
        return Recording(metadata, signals, intervals=_bad_frames(settings, shape[1], rate_hz))


def _open_traces(path: Path) -> NDArray[Any]:
    values = open_npy(path)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise RawFileError(f"{path}: expected traces of shape (ROI, frame), got {values.dtype} of shape {values.shape}")
    return values


def _lazy(path: Path, shape: tuple[int, ...]) -> Any:
    """The transpose of a file of traces, read where it is asked for."""
    values = _open_traces(path)
    if values.shape != shape:
        raise RawFileError(
            f"{path}: shape (ROI, frame) is {values.shape}, that of F.npy {shape}; are the files of one run?"
        )
    dtype = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype.newbyteorder("=")
    return lazy_rows((shape[1], shape[0]), dtype, lambda first, after: np.ascontiguousarray(values[:, first:after].T))


def _read_settings(folder: Path, files: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """``ops.npy`` and, of newer versions, ``settings.npy``; and which of them is not read, and why."""
    settings: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for name in ("settings.npy", "ops.npy"):
        if name in files:
            found, why = read_objects(folder / name)
            if not why and not isinstance(found, dict):
                why = f"expected a dictionary, got {type(found).__name__}"
                warnings.warn(f"{folder / name}: {why}; it is not read", stacklevel=2)
            settings |= {} if why else found
            unread |= {name: why} if why else {}
    return settings, unread


def _kept(settings: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of the settings, as JSON values: no paths, for they name people."""
    kept: dict[str, Any] = {}
    for key in _SETTINGS:
        value = settings.get(key)
        value = value.item() if isinstance(value, np.generic) else value
        value = value.tolist() if isinstance(value, np.ndarray) and value.size <= 4 else value
        if isinstance(value, (str, bool, int)) or (isinstance(value, float) and np.isfinite(value)):
            if not isinstance(value, str) or value.isprintable():
                kept[key] = value[:100] if isinstance(value, str) else value
        elif isinstance(value, list) and 0 < len(value) <= 4 and all(type(item) is int for item in value):
            kept[key] = value
    return kept


def _bad_frames(settings: dict[str, Any], n_frames: int, rate_hz: float | None) -> dict[str, xr.Dataset]:
    bad = settings.get("badframes")
    if (
        rate_hz is None
        or not isinstance(bad, np.ndarray)
        or bad.shape != (n_frames,)
        or bad.dtype != bool
        or not bad.any()
    ):
        return {}
    first, after, value = run_lengths(bad)
    start, stop = first[value] / rate_hz, after[value] / rate_hz
    return {"bad": make_intervals(start, stop, label=["bad frames"] * len(start))}
