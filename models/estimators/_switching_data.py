"""Counts as users have them, checked, as sequences padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodata.errors import NeurodataError

from ..layers.sequences import Sequences

_Arrays = list[NDArray[np.float64]]


def read_sequences(counts: Any, covariates: Any, mask: Any, *, emission: str, history_bins: int) -> Sequences:
    """Return checked sequences.

    Parameters
    ----------
    counts
        Shape ``(sequence, time, unit)``, or a list of ``(time, unit)``.
    covariates
        None, or of as many bins, ``(sequence, time, covariate)`` or a list.
    mask
        None, or True where a value is known: as ``counts``, or without the last dimension for whole bins.
    emission
        What the values are: ``gaussian`` takes any number, ``bernoulli`` 0 and 1, the others whole counts.
    history_bins
        How far back the model looks; every sequence must be longer.

    Raises
    ------
    NeurodataError
        If shapes do not fit one another or values cannot be meant; says which sequence.
    """
    values = _arrays("counts", counts, "unit")
    n_units = values[0].shape[1]
    if n_units < 2:
        told = "one unit" if n_units else "no units"
        raise NeurodataError(
            f"counts hold {told}; couplings are between units, expected (sequence, time, unit) with two or more"
        )
    lengths = [len(one) for one in values]
    _check_lengths(lengths, history_bins)
    known = _known(mask, values)
    for number, (one, seen) in enumerate(zip(values, known)):
        _check_values(number, one, seen, emission, masked=mask is not None)
    extra = [np.zeros((length, 0)) for length in lengths] if covariates is None else _covariates(covariates, lengths)
    values = [np.where(seen, one, 0.0) for one, seen in zip(values, known)]
    return Sequences(_pad(values), _pad(known).bool(), _pad(extra), torch.tensor(lengths))


def _arrays(what: str, given: Any, last: str) -> _Arrays:
    """The sequences one by one; they agree in their last dimension."""
    wanted = f"expected {what} (sequence, time, {last}) or a list of (time, {last})"
    if not isinstance(given, (list, tuple)):
        _refuse_misread(what, given)
        whole = np.asarray(given)
        if whole.ndim == 2:
            raise NeurodataError(f"{wanted}, got shape {whole.shape}; one sequence alone is {what}[None]")
        if whole.ndim != 3 and not (whole.ndim == 1 and whole.dtype == object):  # ragged sequences come as objects
            raise NeurodataError(f"{wanted}, got {type(given).__name__} of shape {whole.shape}")
        given = list(whole)
    if not len(given):
        raise NeurodataError(f"{wanted}, got no sequences")
    arrays = [_numbers(what, wanted, number, one) for number, one in enumerate(given)]
    for number, one in enumerate(arrays):
        if one.shape[1] != arrays[0].shape[1]:
            raise NeurodataError(
                f"{wanted}: sequence {number} has shape {one.shape}, sequence 0 has shape {arrays[0].shape}"
            )
    return arrays


def _numbers(what: str, wanted: str, number: int, given: Any) -> NDArray[np.float64]:
    """One sequence, which must hold numbers already: text and complex numbers would be converted silently."""
    _refuse_misread(what, given)
    try:
        found = np.asarray(given)
        if found.dtype.kind not in "biufO":
            raise NeurodataError(f"{wanted} of numbers, sequence {number} holds {found.dtype}")
        found = found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise NeurodataError(f"{wanted} of numbers, sequence {number}: {error}") from error
    if found.ndim != 2:
        raise NeurodataError(f"{wanted}, sequence {number} has shape {found.shape}")
    return found


def _refuse_misread(what: str, given: Any) -> None:
    """Raise where NumPy would drop a mask, or names of dimensions tell of another order."""
    dims = getattr(given, "dims", ())
    if "time" in dims and dims[-2:-1] != ("time",):
        raise NeurodataError(f"{what} have the dimensions {dims}; transpose them so that time is the last but one")
    if isinstance(given, np.ma.MaskedArray):
        raise NeurodataError(
            f"{what} are a masked array, whose mask would be lost; pass {what}.data and mask=~{what}.mask"
        )


def _check_lengths(lengths: Sequence[int], history_bins: int) -> None:
    empty = [number for number, length in enumerate(lengths) if not length]
    if empty:
        raise NeurodataError(f"sequences without bins: {some(empty)}; leave empty trials out")
    short = [number for number, length in enumerate(lengths) if length <= history_bins]
    if short:
        raise NeurodataError(
            f"sequences no longer than the history of {history_bins} bins: {some(short)} "
            f"({lengths[short[0]]} bins); leave them out or lower history_bins"
        )


def some(numbers: Sequence[int]) -> str:
    """Return the first numbers as text."""
    return ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")


def _known(mask: Any, values: _Arrays) -> list[NDArray[np.bool_]]:
    if mask is None:
        return [np.ones(one.shape, bool) for one in values]
    if np.ndim(mask if not isinstance(mask, (list, tuple)) else [()]) < 2:
        raise NeurodataError(f"expected a mask as counts, or (sequence, time), got {mask!r}")
    given = [np.asarray(one) for one in mask]
    if len(given) != len(values):
        raise NeurodataError(f"got a mask of {len(given)} sequences for counts of {len(values)}")
    known = []
    for number, (one, seen) in enumerate(zip(values, given)):
        seen = seen[:, None] if seen.ndim == 1 else seen
        if seen.dtype != np.bool_ or seen.shape not in (one.shape, (len(one), 1)):
            raise NeurodataError(
                f"mask of sequence {number}: expected True and False of shape ({len(one)},) or {one.shape}, "
                f"got {seen.dtype} of shape {given[number].shape}"
            )
        known.append(np.broadcast_to(seen, one.shape))
    if not any(one.any() for one in known):
        raise NeurodataError("the mask leaves no value known")
    return known


def _check_values(
    number: int, values: NDArray[np.float64], known: NDArray[np.bool_], emission: str, *, masked: bool
) -> None:
    bad, told = known & ~np.isfinite(values), "hold NaN or infinity"
    if bad.any():
        way = ", where the mask says they are known" if masked else "; pass mask=, True where values are known"
        raise NeurodataError(f"counts of sequence {number} {told} {_place(bad)}{way}")
    if emission == "gaussian":
        return
    bad, told = known & (values < 0), "are negative"
    if not bad.any():
        bad, told = known & (values != np.floor(np.where(known, values, 0))), "are not whole numbers"
    if bad.any():
        raise NeurodataError(
            f"counts of sequence {number} {told} {_place(bad)}; emission {emission!r} takes counts, "
            "emission='gaussian' takes any values"
        )
    bad = known & (values > 1)
    if emission == "bernoulli" and bad.any():
        raise NeurodataError(
            f"counts of sequence {number} are above 1 {_place(bad)}; emission 'bernoulli' takes 0 and 1: "
            "use shorter bins, or emission='poisson'"
        )


def _place(bad: NDArray[np.bool_]) -> str:
    time, unit = np.argwhere(bad)[0]
    return f"in {int(bad.sum())} places (first: bin {time}, unit {unit})"


def _covariates(given: Any, lengths: Sequence[int]) -> _Arrays:
    extra = _arrays("covariates", given, "covariate")
    found = [len(one) for one in extra]
    if found != list(lengths):
        where = next((n for n, (a, b) in enumerate(zip(found, lengths)) if a != b), None)
        told = (
            f"{len(found)} sequences for {len(lengths)} of counts"
            if where is None
            else f"{found[where]} bins in sequence {where}, whose counts have {lengths[where]}"
        )
        raise NeurodataError(f"covariates do not fit the counts: {told}")
    bad = [number for number, one in enumerate(extra) if not np.isfinite(one).all()]
    if bad:
        raise NeurodataError(f"covariates hold NaN or infinity in sequences {some(bad)}; fill or leave them out")
    return extra


def _pad(arrays: Sequence[NDArray[Any]]) -> torch.Tensor:
    longest = max(len(one) for one in arrays)
    padded = np.zeros((len(arrays), longest, arrays[0].shape[1]), np.float32)
    for number, one in enumerate(arrays):
        padded[number, : len(one)] = one
    return torch.from_numpy(padded)


def names_of(counts: Any) -> list[str] | None:
    """Return the units' names where counts are xarray tables whose last dimension has text labels, else None."""
    tables = counts if isinstance(counts, (list, tuple)) else [counts]
    found = [_labels(one, one.dims[-1]) if len(getattr(one, "dims", ())) else None for one in tables]
    for number, names in enumerate(found):
        if names != found[0]:
            raise NeurodataError(
                f"sequence {number} names its units {_shown(names)}, sequence 0 {_shown(found[0])}; give all of them the "
                "same units in one order"
            )
    return found[0]


def _labels(table: Any, dimension: str) -> list[str] | None:
    labels = np.asarray(table[dimension].values) if dimension in table.coords else np.zeros(0)
    return [str(label) for label in labels] if labels.dtype.kind in "UOT" else None


def _shown(names: Sequence[str] | None) -> str:
    return "by numbers" if names is None else ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def read_connectome(given: Any, n_units: int, names: Sequence[str] | None = None) -> torch.Tensor:
    """Return a graph of shape ``(target, source)``, 0 where there is no connection, NaN where it is not known.

    Parameters
    ----------
    given
        A table with the dimensions ``pre`` and ``post``, as ``Connectome.matrix`` returns it, or an array
        ``(target, source)``.
    n_units
        How many units the counts have. They are in the same order, unless both have names.
    names
        The units' names, see `names_of`; a table with names is put into their order.

    Raises
    ------
    NeurodataError
        If it is missing, of another size, lacks a name, or holds no connection or what is no number.
    """
    if given is None:
        raise NeurodataError("prior='connectome' needs a graph: pass connectome=, an array (target, source)")
    if {"pre", "post"} == set(getattr(given, "dims", ())):
        given = _by_name(given.transpose("post", "pre"), names)
    try:
        graph = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise NeurodataError(f"expected a connectome of numbers (target, source): {error}") from error
    if graph.shape != (n_units, n_units):
        raise NeurodataError(
            f"expected a connectome of shape ({n_units}, {n_units}), one row and column per unit of the counts, "
            f"got {graph.shape}"
        )
    if np.isinf(graph).any():
        raise NeurodataError("the connectome holds infinity; expected numbers, NaN where a connection is not known")
    if not np.nan_to_num(graph).any():
        raise NeurodataError("the connectome holds no connection; use prior='gaussian' without one")
    return torch.from_numpy(graph.astype(np.float32))


def _by_name(table: Any, names: Sequence[str] | None) -> Any:
    """The table with both dimensions in the order of the names, or of its targets' where there are none."""
    post, pre = _labels(table, "post"), _labels(table, "pre")
    if post is None or pre is None:
        return table
    wanted = post if names is None else list(names)
    unknown = [name for name in wanted if pre.count(name) != 1 or post.count(name) != 1]
    if unknown:
        raise NeurodataError(
            f"the connectome must hold each neuron once among pre and among post; it does not for {_shown(unknown)}; "
            f"it holds {_shown(post)}"
        )
    return table.isel(post=[post.index(name) for name in wanted], pre=[pre.index(name) for name in wanted])
