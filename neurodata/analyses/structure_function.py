"""How far the wiring of named neurons tells which of them go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import t as student_t

from neurodata import names as words
from neurodata.analyses._nulls import shuffle_edges as shuffle_edges
from neurodata.analyses._structure_measures import make_functional as make_functional
from neurodata.analyses._structure_measures import state_regressors as state_regressors
from neurodata.analyses._structure_scores import NULLS, STATISTICS, PairScorer, against, null_scores
from neurodata.errors import NeurodataError
from neurodata.recording.connectome import Connectome, symmetric

FEWEST_NEURONS = 10
"""Fewer shared neurons have fewer than 45 pairs, of which a handful are connected: nothing to tell from."""


@dataclass(frozen=True, eq=False)
class StructureFunction:
    """What `structure_function` found.

    Parameters
    ----------
    table
        One row per kind of connection and statistic (``auc``, ``spearman``, ``pearson``): ``value``; ``low`` and ``high``
        of its 95 % interval over animals (NaN for one animal; wide for few); of the nulls ``labels`` and ``degree`` the mean
        (``labels_mean``), standard deviation, ``labels_z`` and two-sided ``labels_p``; ``n_neurons``, ``n_pairs``,
        ``n_connected``, ``n_animals``.
    animals
        The same statistics of each animal by itself: ``kind``, ``animal`` (its place), ``statistic``, ``value``.
    pairs
        Every pair that was compared: ``kind``, ``pre``, ``post``, ``functional`` (mean over animals), ``weight``.
    nulls
        ``(kind, null, statistic)`` → values of all shuffled graphs, shape ``(null,)``.
    rule
        How pairs were compared, in words.
    left_out
        Named neurons of the animals that the connectome does not have.
    """

    table: pd.DataFrame
    animals: pd.DataFrame
    pairs: pd.DataFrame
    nulls: Mapping[tuple[str, str, str], NDArray[np.float64]]
    rule: str
    left_out: tuple[str, ...]


def structure_function(
    functional: xr.DataArray | Sequence[xr.DataArray],
    connectome: Connectome | xr.DataArray,
    *,
    kind: str | Sequence[str] | None = None,
    source: str | None = None,
    absolute: bool = True,
    symmetrise: str = "max",
    n_nulls: int = 1000,
    seed: int = 0,
) -> StructureFunction:
    """Compare functional matrices of named neurons with a connectome, on shared neurons only, beside two nulls.

    Matrices of several animals are averaged pair by pair over the animals that have both neurons. The interval leaves out
    one animal at a time (jackknife, Student's t); drawing animals with replacement would average fewer of them, and the
    interval of simulated worms then lay below their score (AUC 0.91 with 0.82 … 0.89). A pair whose functional value or
    wiring is unknown is left out, as is a neuron with itself. If all functional matrices are symmetric (covariances),
    each unordered pair counts once and is compared with the connectome made symmetric; else each direction counts.

    Two nulls: neurons of the connectome change names (``labels``), which keeps its graph; and partners are rewired at
    kept degrees (``degree``, see `neurodata.analyses._nulls.degree_matched`), which keeps hubs where they are. A score
    above the first but not the second comes from how many partners neurons have, not from who they are.

    Parameters
    ----------
    functional
        Dimensions ``("pre", "post")`` with names as coordinates, NaN where unknown: one matrix, or one per animal on a
        common scale (correlations rather than covariances). ``SwitchingGLM.weights_`` is ``(target, source)``: transpose.
    connectome
        A connectome, or one matrix with the same dimensions.
    kind, source
        Kinds of connection to compare, each by itself; all of the connectome where None. Where a kind has several
        sources, name one or make a consensus first. A matrix is of one kind already.
    absolute
        Compare absolute values: an inhibitory connection makes a negative covariance.
    symmetrise
        Rule by which two directions become one for symmetric functional matrices: ``"max"``, ``"mean"`` or ``"sum"``.
    n_nulls
        Shuffled graphs of each null.
    seed
        Source of chance.

    Returns
    -------
    found
        A `StructureFunction`: scores of each kind of connection beside both nulls, of each animal, and all pairs.

    Raises
    ------
    NeurodataError
        If matrices have other dimensions or repeated names, fewer than 10 neurons are shared, no pair (or every pair)
        of them is connected, a number is not a whole one, or a kind is asked for of one matrix.

    References
    ----------
    Hanley & McNeil 1982, Radiology 143:29-36: the area under the ROC curve is the chance that a connected pair has the
    larger value (as the rank sum test of Mann & Whitney). Efron 1982, The Jackknife, the Bootstrap and Other Resampling
    Plans, chapter 3: the error from leaving out one animal at a time. North et al. 2002, Am J Hum Genet 71:439-441:
    p is ``(1 + b) / (1 + n)`` where ``b`` of ``n`` nulls are as far from the middle.

    Examples
    --------
    Twenty neurons of which some tell others what to do, seen in 500 moments:

    >>> import numpy as np
    >>> import xarray as xr
    >>> rng = np.random.default_rng(0)
    >>> wiring = (rng.random((20, 20)) < 0.1) & ~np.eye(20, dtype=bool)
    >>> own = rng.normal(size=(500, 20))
    >>> names = [f"N{i}" for i in range(20)]
    >>> functional = make_functional(own + 0.5 * own @ wiring, names)
    >>> found = structure_function(functional, xr.DataArray(wiring * 1.0, functional.coords), n_nulls=99)
    >>> found.table.set_index("statistic").loc["auc", ["n_pairs", "n_connected"]].tolist()
    [190, 38]
    >>> auc = found.table.set_index("statistic").loc["auc"]
    >>> bool(auc["value"] > 0.9 and auc["labels_p"] == auc["degree_p"] == 0.01)
    True
    """
    for what, number, least in (("n_nulls", n_nulls, 1), ("seed", seed, 0)):
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < least:
            raise NeurodataError(f"{what} must be a whole number of {least} or more, got {number!r}")
    animals = [functional] if isinstance(functional, xr.DataArray) else list(functional)
    matrices = [_named(matrix, f"functional matrix {i}") for i, matrix in enumerate(animals)]
    if not matrices:
        raise NeurodataError("there are no functional matrices; give one per animal")
    unordered = all(np.allclose(m, m.T, rtol=1e-6, atol=1e-12, equal_nan=True) for m in matrices)
    structures = _structures(connectome, kind, source)
    rule = "each unordered pair once, " if unordered else "each direction of a pair by itself, "
    rule += f"the connectome made symmetric by the {symmetrise} of its two directions, " if unordered else ""
    rule += "absolute functional values" if absolute else "signed functional values"
    rows: list[dict[str, Any]] = []
    single: list[dict[str, Any]] = []
    pairs: list[pd.DataFrame] = []
    nulls: dict[tuple[str, str, str], NDArray[np.float64]] = {}
    left_out: dict[str, None] = {}
    for number, (name, said, structure) in enumerate(structures):
        compared = _Compared.of(matrices, structure, unordered, absolute, symmetrise, name)
        left_out |= dict.fromkeys(compared.left_out)
        rng = np.random.default_rng([seed, number])
        values, low, high = compared.scores()
        shuffles = {
            null: null_scores(compared.structure, compared.pairs_of, compared.scorer, n_nulls, rng, null)
            for null in NULLS
        }
        for at, statistic in enumerate(STATISTICS):
            row = {
                "kind": name,
                "source": said,
                "statistic": statistic,
                "value": values[at],
                "low": low[at],
                "high": high[at],
            }
            for null, scores in shuffles.items():
                row |= against(values[at], scores[:, at], null)
                nulls[name, null, statistic] = scores[:, at]
            rows.append(row | compared.counts())
        single += [{"kind": name, **one} for one in compared.each_animal()]
        pairs.append(compared.frame(name))
    return StructureFunction(
        pd.DataFrame(rows), pd.DataFrame(single), pd.concat(pairs, ignore_index=True), nulls, rule, tuple(left_out)
    )


@dataclass(frozen=True, eq=False)
class _Compared:
    """One kind of connection on the shared neurons, and the functional values of its pairs."""

    neurons: tuple[str, ...]
    structure: NDArray[np.float64]
    """Shape ``(pre, post)``."""
    stack: NDArray[np.float64]
    """Functional values, shape ``(animal, pair)``."""
    places: tuple[NDArray[np.intp], NDArray[np.intp]]
    absolute: bool
    scorer: PairScorer
    left_out: tuple[str, ...]

    @classmethod
    def of(
        cls,
        matrices: list[pd.DataFrame],
        structure: pd.DataFrame,
        unordered: bool,
        absolute: bool,
        symmetrise: str,
        kind: str,
    ) -> _Compared:
        named = list(dict.fromkeys(name for matrix in matrices for name in matrix.index))
        known = structure.notna().any(axis=0) | structure.notna().any(axis=1)
        there = set(structure.index[known])
        shared = [name for name in named if name in there]
        left_out = tuple(name for name in named if name not in there)
        if len(shared) < FEWEST_NEURONS:
            raise NeurodataError(
                f"{len(shared)} of {len(named)} named neurons are among the {len(there)} of the {kind} connectome, expected "
                f"{FEWEST_NEURONS} or more; not found: {', '.join(left_out[:10]) or 'none'} (names are canonical, 'VB2')"
            )
        wiring = structure.reindex(index=shared, columns=shared).to_numpy(np.float64).copy()
        np.fill_diagonal(wiring, 0.0)
        if unordered:
            wiring = symmetric(wiring, symmetrise)
        n = len(shared)
        chosen = np.triu(np.ones((n, n), dtype=bool), 1) if unordered else ~np.eye(n, dtype=bool)
        pre, post = np.nonzero(chosen)
        places = (pre, post)
        stack = np.stack([m.reindex(index=shared, columns=shared).to_numpy(np.float64)[places] for m in matrices])
        compared = cls(tuple(shared), wiring, stack, places, absolute, PairScorer(_mean(stack, absolute)), left_out)
        counts = compared.counts()
        if not 0 < counts["n_connected"] < counts["n_pairs"]:
            raise NeurodataError(
                f"{counts['n_connected']} of {counts['n_pairs']} pairs of the {n} shared neurons have a {kind} connection; "
                "there is nothing to tell apart"
            )
        return compared

    def pairs_of(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(matrix[self.places])

    def counts(self) -> dict[str, int]:
        weights = self.pairs_of(self.structure)
        compared = self.scorer.there & np.isfinite(weights)
        return {
            "n_neurons": len(self.neurons),
            "n_pairs": int(compared.sum()),
            "n_connected": int((weights[compared] != 0).sum()),
            "n_animals": len(self.stack),
        }

    def scores(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Statistics of the animals' mean, and the ends of their 95 % intervals."""
        weights, n = self.pairs_of(self.structure), len(self.stack)
        values = self.scorer.scores(weights)
        if n == 1:
            return values, np.full(3, np.nan), np.full(3, np.nan)
        without = [PairScorer(_mean(np.delete(self.stack, i, axis=0), self.absolute)).scores(weights) for i in range(n)]
        error = np.sqrt((n - 1) / n * ((without - np.mean(without, axis=0)) ** 2).sum(axis=0))
        half = student_t.ppf(0.975, n - 1) * error
        floors = np.array([0.0, -1.0, -1.0])
        return values, np.maximum(values - half, floors), np.minimum(values + half, 1.0)

    def each_animal(self) -> list[dict[str, Any]]:
        weights, rows = self.pairs_of(self.structure), []
        for animal, values in enumerate(self.stack):
            scores = PairScorer(_mean(values[None], self.absolute)).scores(weights)
            rows += [{"animal": animal, "statistic": s, "value": float(v)} for s, v in zip(STATISTICS, scores)]
        return rows

    def frame(self, kind: str) -> pd.DataFrame:
        weights, names = self.pairs_of(self.structure), np.array(self.neurons)
        kept = self.scorer.there & np.isfinite(weights)
        return pd.DataFrame(
            {
                "kind": kind,
                words.PRE: names[self.places[0][kept]],
                words.POST: names[self.places[1][kept]],
                "functional": self.scorer.functional[kept],
                words.WEIGHT: weights[kept],
            }
        )


def _mean(stack: NDArray[np.float64], absolute: bool) -> NDArray[np.float64]:
    """Mean over the animals that have a pair, NaN where none has."""
    there = np.isfinite(stack)
    n_there = there.sum(axis=0)
    mean = np.where(there, stack, 0.0).sum(axis=0) / np.maximum(n_there, 1)
    return np.where(n_there > 0, np.abs(mean) if absolute else mean, np.nan)


def _structures(
    connectome: Connectome | xr.DataArray, kind: str | Sequence[str] | None, source: str | None
) -> list[tuple[str, str, pd.DataFrame]]:
    """Kind, source and matrix of everything to compare with."""
    if isinstance(connectome, xr.DataArray):
        if kind is not None or source is not None:
            raise NeurodataError(
                "kind and source choose tables of a Connectome, got them with one matrix; leave them out, or give the Connectome"
            )
        name = str(connectome.attrs.get("kind") or "structural")
        return [(name, str(connectome.attrs.get("source") or ""), _named(connectome, "connectome"))]
    if not isinstance(connectome, Connectome):
        raise NeurodataError(
            f"a connectome is a Connectome or a matrix (xr.DataArray), got {type(connectome).__name__}"
        )
    part = connectome.select(kind, source)
    found = []
    for one in part.kinds:
        matrix = part.matrix(one)
        found.append((one, str(matrix.attrs["source"]), _named(matrix, f"{one} connectome")))
    return found


def _named(matrix: xr.DataArray, what: str) -> pd.DataFrame:
    """A matrix as a table of named rows and columns in the same order; unnamed neurons are left out."""
    if not isinstance(matrix, xr.DataArray) or matrix.dims != (words.PRE, words.POST):
        held = matrix.dims if isinstance(matrix, xr.DataArray) else type(matrix).__name__
        raise NeurodataError(f"{what}: expected an xr.DataArray with dimensions ('pre', 'post'), got {held}")
    names = [matrix[end].values.astype(str) for end in (words.PRE, words.POST)]
    for end, own in zip((words.PRE, words.POST), names):
        given = own[own != ""]
        twice = sorted({str(name) for name in given if (given == name).sum() > 1})
        if twice:
            raise NeurodataError(f"{what}: neurons come more than once in {end!r}: {', '.join(twice[:10])}")
    if set(names[0]) != set(names[1]):
        strange = sorted(set(names[0]) ^ set(names[1]))
        raise NeurodataError(f"{what}: rows and columns name different neurons: {', '.join(strange[:10])}")
    kept = [name for name in names[0] if name]
    return pd.DataFrame(matrix.values, names[0], names[1]).loc[kept, kept]
