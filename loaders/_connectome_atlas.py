"""The signal propagation atlas as the package wormneuroatlas ships it (``funatlas.h5``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata import names as words
from neurodata.errors import RawFileError
from neurodata.recording.connectome import Connectome, Table

from ._connectome_names import clean_names, in_order, shorten
from .hdf5 import open_hdf5, read_part

_STRAINS = ("wt", "unc31")
"""Groups of the file: wild type, and animals without dense-core vesicle release."""
_MOST_NEURONS = 2000


def read_atlas(path: Path, *, source: str | None, sex: str | None, other_cells: str) -> Connectome:
    """Return responses to optogenetic stimulation of single neurons as functional connections.

    Layout of the file: ``neuron_ids`` (300 names of five bytes), and in the groups ``wt`` and ``unc31`` the matrices
    ``dFF`` (mean response, ΔF/F), ``occ1`` (how often the pair was seen) and ``q`` (false discovery rate, Randi et al.
    2023, Nature 623:406-414), all of shape ``(responding, stimulated)``: turned round here, so that the stimulated neuron
    is presynaptic as in every other table. Pairs that were never seen are unknown, not 0.

    Parameters
    ----------
    path
        The HDF5 file.
    source
        Name in place of ``Randi2023``; the strain follows it.
    sex, other_cells
        See `open_connectome`.

    Raises
    ------
    RawFileError
        If the file is damaged or is not such an atlas; a file of matrices without names (``aconnectome_default.h5``) is
        refused, for nothing in it says which neuron is which.
    """
    with open_hdf5(path) as file:
        if not isinstance(file.get("neuron_ids"), h5py.Dataset):
            raise RawFileError(
                f"{path}: expected the names of the neurons in 'neuron_ids' as in funatlas.h5, found {shorten(sorted(file))}; "
                "matrices without names cannot be read"
            )
        raw = _read_names(file["neuron_ids"], path)
        strains = [strain for strain in _STRAINS if isinstance(file.get(f"{strain}/dFF"), h5py.Dataset)]
        if not strains:
            raise RawFileError(f"{path}: expected responses in 'wt/dFF' or 'unc31/dFF', found {shorten(sorted(file))}")
        found = {strain: _read_strain(file[strain], len(raw), path) for strain in strains}
    cells = clean_names(raw, path.name, sex=sex, source=source or "", other_cells=other_cells)
    neurons = in_order(cells.of.values(), cells.sex)
    parts, tables, problems = [], [], list(cells.problems)
    for strain, values in found.items():
        name = f"{source or 'Randi2023'}_{strain}"
        part, missing = _make_edges(values, raw, cells.of, neurons)
        part[words.KIND], part[words.SOURCE] = "functional", name
        parts.append(part)
        tables.append(Table("functional", name, "dF/F", missing, measured="listed"))
        own = int((part[words.PRE] == part[words.POST]).sum())
        problems.append(
            f"{name}: {len(part)} pairs were measured; {own} of them are a neuron's response to itself, kept"
        )
    if cells.others and other_cells != "keep":
        problems.append(
            f"left out, for they are no neurons (AWCON is the left one or the right): {shorten(cells.others)}"
        )
    edges = pd.concat(parts, ignore_index=True)
    edges = edges[[words.PRE, words.POST, words.KIND, words.WEIGHT, words.SOURCE, "q", "n_seen"]]
    return Connectome(neurons, edges, tuple(tables), tuple(problems), cells.sex)


def _read_names(data: h5py.Dataset, path: Path) -> list[str]:
    if data.ndim != 1 or not 0 < data.shape[0] <= _MOST_NEURONS:
        raise RawFileError(f"{path}: 'neuron_ids' has shape {data.shape}, expected up to {_MOST_NEURONS} names")
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in data[()].tolist()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RawFileError(f"{path}: 'neuron_ids' repeats {shorten(twice)}")
    return names


def _read_strain(group: Any, n: int, path: Path) -> dict[str, NDArray[np.float64]]:
    """Responses, how often they were seen, and their false discovery rates, each turned to ``(stimulated, responding)``."""
    values: dict[str, NDArray[np.float64]] = {}
    for name in ("dFF", "occ1", "q"):
        data = group.get(name)
        if data is None and name == "q":
            values[name] = np.full((n, n), np.nan)
            continue
        if not isinstance(data, h5py.Dataset) or data.shape != (n, n) or data.dtype.kind not in "iuf":
            held = f"{data.dtype} of shape {data.shape}" if isinstance(data, h5py.Dataset) else "nothing"
            raise RawFileError(f"{path}: {group.name}/{name}: expected numbers of shape ({n}, {n}), found {held}")
        values[name] = read_part(data).astype(np.float64).T
    return values


def _make_edges(
    values: dict[str, NDArray[np.float64]], raw: list[str], of: Any, neurons: tuple[str, ...]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    kept = np.array([name in of for name in raw])
    seen = np.isfinite(values["dFF"]) & (values["occ1"] > 0) & kept[:, None] & kept
    pre, post = np.nonzero(seen)
    names = np.array([of.get(name, "") for name in raw], dtype=object)
    edges = pd.DataFrame({words.PRE: names[pre], words.POST: names[post], words.WEIGHT: values["dFF"][seen]})
    edges["q"], edges["n_seen"] = values["q"][seen], values["occ1"][seen].astype(np.int64)
    there = set(edges[words.PRE]) | set(edges[words.POST])
    return edges, tuple(name for name in neurons if name not in there)
