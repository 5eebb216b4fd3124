"""Folders of phy and Kilosort: sorted spikes, clusters and their quality."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.checks import check_positive
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_units

from ..base import Claim
from ..format_loader import FormatLoader
from ..npy_files import open_npy
from ._spikes_events import make_spikes, one_per_spike, rows_of, whole_numbers
from ._spikes_params import file_names, read_params
from ._spikes_tables import flat_columns, read_header, read_table, safe_columns
from ._spikes_templates import find_peaks

_TIMES, _CLUSTERS, _TEMPLATES = "spike_times.npy", "spike_clusters.npy", "spike_templates.npy"
_CHANNELS = ("channel_map.npy", "channel_positions.npy", "channel_shanks.npy", "channel_probe.npy")
_SHAPES = ("templates.npy", "template_ind.npy", "whitening_mat_inv.npy", "whitening_mat.npy")
_NOT_EXTRA = {_TIMES, _CLUSTERS, _TEMPLATES}


class Phy(FormatLoader):
    """Folder of Kilosort (1–4), SpykingCircus, SpikeInterface or another sorter in phy's layout.

    - ``events/spikes``: ``time`` is ``spike_times.npy`` over the sampling rate; columns ``amplitude``
      (``amplitudes.npy``, in the sorter's own scale), ``template`` where clusters were curated, and every other
      ``spike_NAME.npy`` with one or a few values per spike.
    - ``units``: one per cluster that has spikes, noise included; ``unit_id`` and ``cluster_id`` are the file's.
      Every column of ``cluster_*.tsv`` and ``.csv`` (``group``, ``KSLabel``, ``ContamPct``, ``fr`` …) under its name;
      a column of its own file is preferred to that of ``cluster_info.tsv``, which phy writes for people. ``quality`` is
      the curated ``group`` and, where a cluster has none, ``KSLabel``. From the templates of a cluster's spikes:
      ``peak_channel`` (position in ``channel_map.npy``), ``file_channel`` (that channel's number in the raw file),
      ``x`` and ``y`` (as in ``channel_positions.npy``, micrometres by convention), ``shank``, ``template_amplitude``
      and ``waveform_mean`` (JSON text; the mean template on the peak channel, unwhitened, in the sorter's own scale).

    The sampling rate is ``sample_rate`` of ``params.py``, which is read as text and never run; ``--set rate_hz=``
    states it where there is none and overrules it. Time 0 is the first sample of the raw file. A cluster listed in a
    table without a spike is left out. Merged clusters have the mean of their templates by number of spikes.

    Not read: the raw recording (the name in ``dat_path`` is kept in the metadata, its folder is not followed), features,
    similarity of templates, ``ops.npy`` and ``rez.mat``.

    Parameters
    ----------
    raw
        A folder with ``spike_times.npy`` and ``spike_clusters.npy`` (or ``spike_templates.npy``), or one above.
    rate_hz
        Sampling rate of the raw recording in hertz.
    waveforms
        Whether templates are read at all.

    References
    ----------
    phy, "Preparing a Template GUI dataset" (github.com/cortex-lab/phy, docs/dataset.md).
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 5

    def __init__(
        self, raw: str | Path, *, rate_hz: float | None = None, waveforms: bool = True, **common: str | None
    ) -> None:
        super().__init__(raw, rate_hz=rate_hz, waveforms=waveforms, **common)
        if rate_hz is not None:
            check_positive("option 'rate_hz'", rate_hz)
        self.rate_hz, self.waveforms = rate_hz, waveforms

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording of a folder with spike times and clusters."""
        if not (path / _TIMES).is_file() or not any((path / name).is_file() for name in (_CLUSTERS, _TEMPLATES)):
            return []
        open_npy(path / _TIMES)
        return [Claim(path, tuple(_files(path)))]

    def read(self, session: str, claim: Claim) -> Recording:
        """Return the sorted spikes of one folder.

        Raises
        ------
        RawFileError
            If the sampling rate is unknown, files disagree in length, or one is damaged.
        """
        folder = claim.path
        params = read_params(folder / "params.py") if (folder / "params.py").is_file() else {}
        rate_hz = self.rate_hz or _rate_of(folder, params)
        samples = _flat(folder / _TIMES)
        if samples.dtype.kind == "f":
            samples = whole_numbers(folder / _TIMES, samples, "samples")
        elif samples.dtype.kind not in "iu":
            raise RawFileError(f"{folder / _TIMES}: expected samples as whole numbers, got {samples.dtype}")
        clusters_path = folder / (_CLUSTERS if (folder / _CLUSTERS).is_file() else _TEMPLATES)
        clusters = _per_spike(clusters_path, len(samples), "clusters")
        ids, rows = rows_of(clusters)
        columns = self._spike_columns(folder, len(samples), curated=clusters_path.name == _CLUSTERS)
        units, extra = self._units(folder, ids, rows, columns.get("template", clusters))
        spikes = make_spikes(
            np.divide(samples, rate_hz, dtype=np.float64), rows, columns, {"sampling_rate_hz": float(rate_hz)}
        )
        extra |= _described(params)
        metadata = self.describe(session, modality="spikes", extra=extra)
        return Recording(metadata, events={"spikes": spikes}, units=units)

    def _spike_columns(self, folder: Path, n_spikes: int, *, curated: bool) -> dict[str, NDArray[Any]]:
        times = folder / _TIMES
        columns: dict[str, NDArray[Any]] = {}
        if (folder / "amplitudes.npy").is_file():
            path = folder / "amplitudes.npy"
            columns["amplitude"] = np.array(one_per_spike(path, open_npy(path), n_spikes, times))
        if curated and (folder / _TEMPLATES).is_file():
            columns["template"] = _per_spike(folder / _TEMPLATES, n_spikes, "templates")
        more: dict[str, NDArray[Any]] = {}
        for path in _extra(folder):
            values = open_npy(path)
            if len(values.shape) and len(values) == n_spikes and values.dtype.kind in "biuf":
                more |= flat_columns(path.stem.removeprefix("spike_"), np.asarray(values), most=4)
        return columns | safe_columns(more, {*columns, "unit", "event", "label"})

    def _units(
        self, folder: Path, ids: NDArray[np.int64], rows: NDArray[np.int32], templates_of: NDArray[Any]
    ) -> tuple[xr.Dataset, dict[str, Any]]:
        tables, without = _cluster_tables(folder, ids)
        extra: dict[str, Any] = {"clusters_without_spikes": without} if without else {}
        own: dict[str, NDArray[Any]] = {"cluster_id": ids, "quality": _quality(tables, len(ids))}
        if self.waveforms and (folder / "templates.npy").is_file():
            peaks = find_peaks(folder, rows, templates_of, len(ids))
            own |= {
                "peak_channel": peaks.channel,
                "template_amplitude": peaks.amplitude,
                "waveform_mean": peaks.waveform,
                **_places(folder, peaks.channel),
            }
            extra["waveforms"] = "mean templates, " + ("unwhitened" if peaks.unwhitened else "as in templates.npy")
        tables = safe_columns(tables, {*own, "unit_id", "unit"})
        return make_units([str(number) for number in ids.tolist()], **own, **tables), extra


def _files(folder: Path) -> list[Path]:
    """Every file that is read, if it is there."""
    named = ["params.py", _TIMES, _CLUSTERS, _TEMPLATES, "amplitudes.npy", *_CHANNELS, *_SHAPES]
    found = [folder / name for name in named if (folder / name).is_file()]
    return [*found, *_extra(folder), *_table_files(folder)]


def _extra(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("spike_*.npy") if path.name not in _NOT_EXTRA and path.is_file())


def _table_files(folder: Path) -> list[Path]:
    """Tables of clusters, phy's summary first, so that others overrule it."""
    found = []
    for path in sorted([*folder.glob("*.tsv"), *folder.glob("*.csv")]):
        if path.is_file() and _id_column(path):
            found.append(path)
    return sorted(found, key=lambda path: (path.stem != "cluster_info", path.name))


def _id_column(path: Path) -> str:
    header = [name.strip() for name in read_header(path)]
    known = ("cluster_id", "id") if path.stem == "cluster_info" else ("cluster_id",)
    return next((name for name in known if name in header), "")


def _rate_of(folder: Path, params: dict[str, Any]) -> float:
    rate = params.get("sample_rate")
    if isinstance(rate, (int, float)) and not isinstance(rate, bool) and math.isfinite(rate) and rate > 0:
        return float(rate)
    if not params:
        raise RawFileError(f"{folder}: spike times count samples and there is no params.py; give --set rate_hz=RATE")
    raise RawFileError(
        f"{folder / 'params.py'}: expected 'sample_rate = 30000.0' or such, got {str(rate)[:60]!a}; give --set rate_hz=RATE"
    )


def _flat(path: Path) -> NDArray[Any]:
    values = open_npy(path)
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    if values.ndim != 1:
        raise RawFileError(f"{path}: expected one value per spike, got shape {values.shape}")
    return values


def _per_spike(path: Path, n_spikes: int, what: str) -> NDArray[Any]:
    return whole_numbers(path, one_per_spike(path, open_npy(path), n_spikes, path.with_name(_TIMES)), what)


def _cluster_tables(folder: Path, ids: NDArray[np.int64]) -> tuple[dict[str, NDArray[Any]], int]:
    """Columns of all tables for the clusters with spikes, and how many clusters are listed without one."""
    columns: dict[str, NDArray[Any]] = {}
    listed: set[int] = set()
    for path in _table_files(folder):
        table = {name.strip(): values for name, values in read_table(path).items()}
        key = table.pop(_id_column(path), np.zeros(0))
        if not len(key):
            continue
        clusters = whole_numbers(path, key, "cluster ids")
        listed.update(clusters.tolist())
        place = {number: row for row, number in enumerate(clusters.tolist())}
        rows = np.array([place.get(number, -1) for number in ids.tolist()], np.int64)
        columns |= {name: _picked(values, rows) for name, values in table.items()}
    return columns, len(listed - set(ids.tolist()))


def _picked(values: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Values at rows, missing where a row is -1."""
    if (rows >= 0).all():
        return values[rows]
    if values.dtype.kind == "U":
        return np.where(rows >= 0, values[rows], "")
    return np.where(rows >= 0, values[rows].astype(np.float64), np.nan)


def _quality(tables: dict[str, NDArray[Any]], n_units: int) -> NDArray[np.str_]:
    """Curated group of each cluster, the sorter's own label where it has none."""
    quality = np.full(n_units, "", np.str_)
    for name in ("quality", "group", "KSLabel", "kslabel"):
        values = tables.get(name)
        if values is not None and values.dtype.kind == "U":
            unknown = (quality == "") | (quality == "unsorted")
            quality = np.where(unknown & (values != ""), values, quality)
    return quality


def _places(folder: Path, peak: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Number, position and shank of each cluster's peak channel."""
    columns: dict[str, NDArray[Any]] = {}
    for name, keys in zip(_CHANNELS, (("file_channel",), ("x", "y", "z"), ("shank",), ("probe",))):
        path = folder / name
        if not path.is_file():
            continue
        values = np.asarray(open_npy(path))
        if name != "channel_positions.npy":
            values = values.reshape(-1, 1)
        if values.ndim != 2 or values.dtype.kind not in "iuf" or len(values) <= peak.max(initial=-1):
            raise RawFileError(
                f"{path}: expected one row per channel of templates.npy, got shape {values.shape} for channel "
                f"{peak.max(initial=-1)}, counted from 0"
            )
        for column, key in enumerate(keys[: values.shape[1]]):
            picked = values[np.maximum(peak, 0), column] if len(values) else np.zeros(len(peak))
            whole = picked.dtype.kind in "iu" and (peak >= 0).all()
            columns[key] = picked.astype(np.int64) if whole else np.where(peak >= 0, picked.astype(np.float64), np.nan)
    return columns


def _described(params: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {}
    names = file_names(params.get("dat_path"))
    if names:
        described["raw_recording"] = names
    for key in ("n_channels_dat", "dtype", "offset", "hp_filtered"):
        value = params.get(key)
        if isinstance(value, (bool, str)) or (isinstance(value, int) and abs(value) < 2**53):
            described[key] = value[:200] if isinstance(value, str) else value
    return described
