"""Signed wiring of the 302 neurons: a connectome file's, or random with the same statistics."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.identity.celegans import NAMES

# Cook et al. 2019, adult hermaphrodite, chemical (chemical_Cook2019.csv): 3709 connections among 302 neurons.
_LOG_OUT_DEGREE = (2.28, 0.78)
_LOG_IN_DEGREE_SD = 0.74
_LOG_WEIGHT = (1.13, 1.03)
"""Mean and standard deviation of logarithms: partners of a neuron, and EM sections of a connection."""

_INHIBITORY_SHARE = 0.2
"""Excitatory to inhibitory connections are about 4 to 1 (Fenyves et al. 2020, PLoS Comput Biol 16:e1007974)."""
_GABA = re.compile(r"DD\d+|VD\d+|RME[DVLR]|AVL|DVB|RIS")
"""The 26 GABAergic neurons (McIntire et al. 1993, Nature 364:337)."""

_NUMBERED = re.compile(r"(AS|DA|DB|DD|VA|VB|VC|VD)0*(\d+)")


def padded(name: str) -> str:
    """Return a neuron's name as the Kato recordings and the connectome files write it: ``VB2`` → ``VB02``."""
    match = _NUMBERED.fullmatch(name)
    return f"{match[1]}{int(match[2]):02d}" if match else name


def list_neurons() -> NDArray[np.str_]:
    """Return the 302 zero-padded names in the order of Cook et al. 2019, shape ``(neuron,)``."""
    return np.array([padded(name) for name in NAMES])


def read_connectome(path: str | Path) -> NDArray[np.float64]:
    """Read a table of connections between the 302 neurons.

    Parameters
    ----------
    path
        CSV: rows are presynaptic, columns postsynaptic, the first row and column hold names. An empty cell means that
        a neuron is not part of the reconstruction.

    Returns
    -------
    counts
        Synapses (or sections), shape ``(pre, post)`` in the order of `list_neurons`; 0 where a neuron is missing.

    Raises
    ------
    RawFileError
        If the file is missing, is not such a table, or holds other neurons (of males, for example).
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
        table = np.array([[float(cell) if cell.strip() else 0.0 for cell in row[1:]] for row in rows])
    except (OSError, ValueError) as error:
        raise RawFileError(f"{path}: expected a CSV table of connections, rows pre, columns post ({error})") from error
    pre, post = [padded(row[0].strip()) for row in rows], [padded(name.strip()) for name in header[1:]]
    neurons = list_neurons().tolist()
    if sorted(pre) != sorted(neurons) or sorted(post) != sorted(neurons):
        strange = sorted(set(pre + post) ^ set(neurons))[:5]
        raise RawFileError(
            f"{path}: expected the 302 hermaphrodite neurons as rows and columns, got {len(pre)} × {len(post)} "
            f"(missing or unknown: {', '.join(strange) or 'none, but some come twice'})"
        )
    counts = np.nan_to_num(table, nan=0.0)
    if not np.isfinite(table[~np.isnan(table)]).all() or (counts < 0).any():
        raise RawFileError(f"{path}: expected counts of synapses, found a negative or infinite one")
    return np.asarray(counts[np.ix_([pre.index(name) for name in neurons], [post.index(name) for name in neurons])])


def random_connectome(n_neurons: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return random connections with the degrees and weights of Cook et al. 2019, shape ``(pre, post)``."""
    counts = np.zeros((n_neurons, n_neurons))
    popularity = np.exp(_LOG_IN_DEGREE_SD * rng.standard_normal(n_neurons))
    degrees = np.exp(rng.normal(*_LOG_OUT_DEGREE, n_neurons)).round().clip(1, n_neurons // 3).astype(int)
    for pre, degree in enumerate(degrees):
        chance = popularity.copy()
        chance[pre] = 0.0
        post = rng.choice(n_neurons, size=degree, replace=False, p=chance / chance.sum())
        counts[pre, post] = np.exp(rng.normal(*_LOG_WEIGHT, degree)).round().clip(1)
    return counts


def make_weights(
    counts: NDArray[np.float64], neurons: NDArray[np.str_], rng: np.random.Generator, *, strength: float = 0.5
) -> NDArray[np.float64]:
    """Turn counts of synapses into signed, stable weights.

    Each neuron's connections have one sign: the GABAergic ones inhibit, and others at random until one in five does.
    A count enters as ``log(1 + count)``, so that no single large connection rules. The weights are scaled until the
    spectral radius of their absolute values is ``strength``: below 1, rectified-linear dynamics are a contraction
    and come to rest from anywhere.

    Returns
    -------
    weights
        Shape ``(pre, post)``.
    """
    inhibits = np.array([_GABA.fullmatch(str(name)) is not None for name in neurons])
    missing = round(_INHIBITORY_SHARE * len(neurons)) - int(inhibits.sum())
    inhibits[rng.choice(np.flatnonzero(~inhibits), size=max(0, missing), replace=False)] = True
    weights = np.log1p(counts) * np.where(inhibits, -1.0, 1.0)[:, None]
    radius = float(np.abs(np.linalg.eigvals(np.abs(weights))).max())
    return np.asarray(weights * (strength / radius)) if radius > 0 else weights
