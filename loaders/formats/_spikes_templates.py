"""Templates of a Kilosort or phy folder: where a cluster is largest, and its mean waveform there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ..npy_files import open_npy

_BLOCK = 1 << 20
"""Spikes counted at a time."""


@dataclass(frozen=True, eq=False)
class Peaks:
    """Where clusters are largest.

    Parameters
    ----------
    channel
        Row of the channel in ``channel_map.npy``, -1 where a cluster has no template, shape ``(cluster,)``.
    amplitude
        From trough to peak of the mean waveform there, NaN without template, shape ``(cluster,)``.
    waveform
        The mean waveform there as JSON text, empty without template, shape ``(cluster,)``.
    unwhitened
        Whether templates were multiplied with the inverse of the whitening matrix.
    """

    channel: NDArray[np.int64]
    amplitude: NDArray[np.float64]
    waveform: NDArray[np.str_]
    unwhitened: bool


def find_peaks(folder: Path, rows: NDArray[np.int32], templates_of: NDArray[Any], n_clusters: int) -> Peaks:
    """Return the peak channel and mean waveform of each cluster.

    A cluster's waveform is the mean of the templates of its spikes, as phy shows it: templates times the inverse
    whitening matrix (phylib ``TemplateModel``: ``_unwhiten``, ``get_cluster_mean_waveforms``). The peak channel is the
    one with the largest range.

    Parameters
    ----------
    folder
        With ``templates.npy`` of shape ``(template, sample, channel)``; where ``template_ind.npy`` is beside it, the
        channels of each template are those rows, -1 for none. Kilosort's ``templates_ind.npy`` says nothing.
    rows, templates_of
        Cluster (from 0) and template of each spike, each of shape ``(spike,)``.
    n_clusters
        How many clusters.

    Raises
    ------
    RawFileError
        If shapes do not fit, or a spike has a template that is not there.
    """
    path = folder / "templates.npy"
    templates = open_npy(path)
    if templates.ndim != 3 or templates.dtype.kind != "f":
        raise RawFileError(f"{path}: expected floats of shape (template, sample, channel), got {_shown(templates)}")
    if len(templates_of) and not 0 <= templates_of.min() <= templates_of.max() < len(templates):
        raise RawFileError(
            f"{folder / 'spike_templates.npy'}: templates run from {templates_of.min()} to {templates_of.max()}, but "
            f"templates.npy has {len(templates)}, counted from 0"
        )
    sparse = _sparse_channels(folder, templates)
    inverse = None if sparse is not None else _inverse_whitening(folder, templates.shape[2])
    channel = np.full(n_clusters, -1, np.int64)
    amplitude, waveforms = np.full(n_clusters, np.nan), [""] * n_clusters
    for row, (numbers, counts) in _templates_per_cluster(rows, templates_of, len(templates)).items():
        mean, channels = _mean_template(templates, sparse, numbers, counts)
        if inverse is not None:
            mean = mean @ inverse
        if not mean.size or not np.isfinite(mean).all():
            continue
        ranges = np.ptp(mean, axis=0)
        peak = int(np.argmax(ranges))
        channel[row], amplitude[row] = channels[peak], ranges[peak]
        waveforms[row] = json.dumps([float(f"{value:.6g}") for value in mean[:, peak].tolist()])
    return Peaks(channel, amplitude, np.array(waveforms, np.str_), inverse is not None)


def _shown(values: NDArray[Any]) -> str:
    return f"{values.dtype} of shape {values.shape}"


def _sparse_channels(folder: Path, templates: NDArray[Any]) -> NDArray[np.int64] | None:
    path = folder / "template_ind.npy"
    if not path.is_file():
        return None
    channels = open_npy(path)
    if channels.shape != (templates.shape[0], templates.shape[2]) or channels.dtype.kind not in "iuf":
        raise RawFileError(
            f"{path}: expected the channels of each template, shape {(templates.shape[0], templates.shape[2])} as in "
            f"templates.npy, got {_shown(channels)}"
        )
    return np.nan_to_num(np.asarray(channels, np.float64), nan=-1).astype(np.int64)


def _inverse_whitening(folder: Path, n_channels: int) -> NDArray[np.float64] | None:
    for name, inverted in (("whitening_mat_inv.npy", True), ("whitening_mat.npy", False)):
        path = folder / name
        if path.is_file():
            matrix = open_npy(path)
            if matrix.shape != (n_channels, n_channels) or matrix.dtype.kind not in "fiu":
                raise RawFileError(
                    f"{path}: expected shape {(n_channels, n_channels)}, one row per channel of templates.npy, "
                    f"got {_shown(matrix)}"
                )
            values = np.asarray(matrix, np.float64)
            try:
                return values if inverted else np.asarray(np.linalg.inv(values), np.float64)
            except np.linalg.LinAlgError:
                return None
    return None


def _templates_per_cluster(
    rows: NDArray[np.int32], templates_of: NDArray[Any], n_templates: int
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Templates of each cluster's spikes, and how many of its spikes each has."""
    counted: dict[int, dict[int, int]] = {}
    for first in range(0, len(rows), _BLOCK):
        block = slice(first, first + _BLOCK)
        pairs, counts = np.unique(rows[block].astype(np.int64) * n_templates + templates_of[block], return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist()):
            of_row = counted.setdefault(pair // n_templates, {})
            of_row[pair % n_templates] = of_row.get(pair % n_templates, 0) + count
    return {
        row: (np.array(sorted(of_row), np.int64), np.array([of_row[number] for number in sorted(of_row)], np.float64))
        for row, of_row in counted.items()
    }


def _mean_template(
    templates: NDArray[Any], sparse: NDArray[np.int64] | None, numbers: NDArray[np.int64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of templates by the number of spikes, shape ``(sample, channel)``, and the channels it is on."""
    weights = counts / counts.sum()
    if sparse is None:
        mean = sum(weight * np.asarray(templates[number], np.float64) for weight, number in zip(weights, numbers))
        return np.asarray(mean), np.arange(templates.shape[2])
    used = np.unique(sparse[numbers])
    used = used[used >= 0]
    mean = np.zeros((templates.shape[1], len(used)))
    for weight, number in zip(weights, numbers):
        own = sparse[number] >= 0
        mean[:, np.searchsorted(used, sparse[number][own])] += (
            weight * np.asarray(templates[number], np.float64)[:, own]
        )
    return mean, used
