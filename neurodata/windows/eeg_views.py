"""Re-referenced views of EEG, sEEG and ECoG: the stored values stay as they were recorded."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.checks import check_option, suggest
from neurodata.errors import NeurodataError
from neurodata.recording.timed import text_array
from neurodata.windows.filters import band_pass, cut, notch, with_history
from neurodata.windows.splits import Stretch

__all__ = ["bad_channels", "band_pass", "notch", "re_reference"]

AVERAGE, BIPOLAR, LAPLACIAN = "average", "bipolar", "laplacian"
_CONTACT = re.compile(r"(.*?\D)0*(\d+)")
"""A contact's shaft and number: ``A'12`` is contact 12 of shaft ``A'``."""
_POSITION = ("x", "y", "z")
_NO_SHAFT = ("eeg", "meg", "mag", "grad")
"""Types whose numbered labels (``F3``, ``MEG0111``) are places, not contacts of a shaft."""


def bad_channels(signal: xr.DataArray) -> NDArray[np.bool_]:
    """Return which channels are marked bad, shape ``(channel,)``.

    A channel is bad where the column ``bad`` is true, ``good`` is false, or ``status`` is ``bad`` (BIDS).
    """
    bad = np.zeros(signal.sizes[names.CHANNEL], np.bool_)
    if "bad" in signal.coords:
        bad |= np.asarray(signal.coords["bad"].values).astype(np.bool_)
    if "good" in signal.coords:
        bad |= ~np.asarray(signal.coords["good"].values).astype(np.bool_)
    if "status" in signal.coords:
        bad |= np.char.lower(text_array(signal.coords["status"].values).astype(np.str_)) == "bad"
    return bad


def re_reference(
    signal: xr.DataArray,
    to: str | Sequence[str],
    *,
    kind: str | None = None,
    exclude_bad: bool = True,
    neighbours: int = 4,
    stretch: Stretch | tuple[float, float] | None = None,
) -> xr.DataArray:
    """Return a signal against another reference, sample by sample (so nothing looks ahead).

    Parameters
    ----------
    signal
        ``(time, channel)``; integers are taken in physical units.
    to
        ``"average"``: less the mean of all channels. A list of labels (or channel ids): less the mean of these, which
        stay in the result. ``"bipolar"``: differences of adjacent contacts of a shaft, by label (``A1-A2``; ``A1-A3``
        is never made). ``"laplacian"``: less the mean of the nearest contacts by position (Hjorth 1975).
    kind
        Channel type to take (column ``type``); the result holds these channels only. None where the signal has but
        one type.
    exclude_bad
        Whether channels marked bad (see `bad_channels`) stay out of every reference; with ``bipolar`` they make no
        pair, otherwise they are referenced like the rest.
    neighbours
        Contacts of a ``laplacian``: 4 on a grid or the scalp, 2 along a shaft.
    stretch
        ``[start, stop)`` in seconds to look at; None for all.

    Returns
    -------
    view
        As the signal. Where a reference channel misses a sample the mean is of the others; a difference of which one
        side is missing is missing. Bipolar channels are called ``A1-A2``, lie half-way, and keep the columns both
        contacts share.

    Raises
    ------
    NeurodataError
        If there are several types and ``kind`` says none, a label is unknown, ambiguous or bad, or there is nothing to
        refer to (no shaft, no position, no good channel).

    References
    ----------
    Hjorth 1975, Electroencephalogr Clin Neurophysiol 39:526-530: the mean of the nearest electrodes as reference.
    """
    chosen = cut(_of_kind(signal, kind), stretch)
    usable = ~bad_channels(chosen) if exclude_bad else np.ones(chosen.sizes[names.CHANNEL], np.bool_)
    if not usable.any():
        raise NeurodataError(f"every channel of {signal.name!r} is marked bad; pass exclude_bad=False to use them")
    if isinstance(to, str):
        check_option("reference", to, (AVERAGE, BIPOLAR, LAPLACIAN))
    if to == BIPOLAR:
        view = _bipolar(chosen, usable)
    else:
        members = _reference_channels(chosen, to, usable, neighbours)
        samples = np.asarray(chosen.values)
        view = chosen.copy(data=(samples - _mean_of(samples, members)).astype(samples.dtype))
    name = to if isinstance(to, str) else ", ".join(to)
    said = f"{to!r}" if isinstance(to, str) else f"[{name}]"
    if to == LAPLACIAN:
        said += f", neighbours={neighbours}"
    view = with_history(view, chosen, f"re_reference({said}, exclude_bad={exclude_bad})")
    view.attrs["reference"] = name
    return view


def _of_kind(signal: xr.DataArray, kind: str | None) -> xr.DataArray:
    if "type" not in signal.coords:
        if kind is not None:
            raise NeurodataError(f"signal {signal.name!r} has no column 'type', so {kind!r} cannot be chosen")
        return signal
    types = np.asarray(signal.coords["type"].values).astype(np.str_)
    present = sorted(set(types.tolist()))
    if kind is None:
        if len(present) > 1:
            raise NeurodataError(
                f"signal {signal.name!r} has channels of type {', '.join(present)}, which share no reference; say which "
                f"with kind={present[0]!r}"
            )
        return signal
    check_option("channel type", kind, present)
    return signal.isel({names.CHANNEL: np.flatnonzero(types == kind)})


def _labels(signal: xr.DataArray) -> list[str]:
    column = names.LABEL if names.LABEL in signal.coords else names.CHANNEL_ID
    labels = np.asarray(signal.coords[column].values).astype(np.str_).tolist()
    ids = np.asarray(signal.coords[names.CHANNEL_ID].values).astype(np.str_).tolist()
    return [label or channel_id for label, channel_id in zip(labels, ids)]


def _reference_channels(
    signal: xr.DataArray, to: str | Sequence[str], usable: NDArray[np.bool_], neighbours: int
) -> NDArray[np.int64]:
    """Channels whose mean is the reference, shape ``(channel, member)``; one row where all channels share it."""
    if to == LAPLACIAN:
        return _nearest(signal, usable, neighbours)
    if to == AVERAGE:
        return np.flatnonzero(usable)[None]
    places = [_place_of(signal, wanted) for wanted in to]
    for wanted, place in zip(to, places):
        if not usable[place]:
            raise NeurodataError(f"reference channel {wanted!r} is marked bad; pass exclude_bad=False to use it")
    if not places:
        raise NeurodataError("an empty list of reference channels; use 'average' for the mean of all")
    return np.unique(places)[None]


def _place_of(signal: xr.DataArray, wanted: str) -> int:
    labels = _labels(signal)
    ids = np.asarray(signal.coords[names.CHANNEL_ID].values).astype(np.str_).tolist()
    found = [i for i, label in enumerate(labels) if label == wanted] or [
        i for i, key in enumerate(ids) if key == wanted
    ]
    if not found:
        near = suggest(wanted, labels) or f"; it has {', '.join(labels[:8])}"
        raise NeurodataError(f"signal {signal.name!r} has no channel {wanted!r}{near}")
    if len(found) > 1:
        raise NeurodataError(
            f"{len(found)} channels of {signal.name!r} are labelled {wanted!r}; name one by its channel_id: "
            + ", ".join(ids[i] for i in found)
        )
    return found[0]


def _mean_of(samples: NDArray[Any], members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over the reference channels recorded at a sample: shape ``(time, 1)`` or ``(time, channel)``.

    Added up channel by channel: a matrix product rounds differently with the number of rows, and a sample's view would
    depend on later ones in the last bit.
    """
    total = np.zeros((len(samples), len(members)))
    number = np.zeros(total.shape, np.int64)
    for channels in members.T:
        finite = np.isfinite(samples[:, channels])
        total += np.where(finite, samples[:, channels], 0.0)
        number += finite
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _nearest(signal: xr.DataArray, usable: NDArray[np.bool_], neighbours: int) -> NDArray[np.int64]:
    absent = [axis for axis in _POSITION if axis not in signal.coords]
    if absent:
        raise NeurodataError(f"a laplacian needs positions, and {signal.name!r} has no column {', '.join(absent)}")
    places = np.column_stack([np.asarray(signal.coords[axis].values, np.float64) for axis in _POSITION])
    unknown = ~np.isfinite(places).all(axis=1)
    if unknown.any():
        labels = _labels(signal)
        raise NeurodataError(
            f"{unknown.sum()} channels of {signal.name!r} have no position: "
            f"{', '.join(labels[i] for i in np.flatnonzero(unknown)[:8])}; leave them out with .isel(channel=…)"
        )
    if neighbours < 1 or usable.sum() <= neighbours:
        raise NeurodataError(
            f"a laplacian takes {neighbours} neighbours, from 1 to one less than the {usable.sum()} good channels"
        )
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    distance[:, ~usable] = np.inf
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, axis=1, kind="stable")[:, :neighbours]


def _bipolar(signal: xr.DataArray, usable: NDArray[np.bool_]) -> xr.DataArray:
    types = set(np.char.lower(signal.coords["type"].values).tolist()) if "type" in signal.coords else set()
    if types & set(_NO_SHAFT):
        raise NeurodataError(
            f"signal {signal.name!r} is of type {', '.join(sorted(types))}, whose numbers are places on the head and no "
            "contacts of a shaft; 'bipolar' is for sEEG and ECoG"
        )
    first, second = _adjacent(_labels(signal), usable, str(signal.name))
    one, other = signal.isel({names.CHANNEL: first}), signal.isel({names.CHANNEL: second})
    columns = {str(key): values.values for key, values in one.coords.items() if values.dims == (names.CHANNEL,)}
    merged = {key: _merged(key, values, other.coords[key].values) for key, values in columns.items()}
    difference = one.copy(data=one.values - other.values).drop_vars(list(columns))
    return difference.assign_coords(
        {key: (names.CHANNEL, column) for key, column in merged.items() if column is not None}
    )


def _adjacent(labels: list[str], usable: NDArray[np.bool_], name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of contacts ``n`` and ``n + 1`` of each shaft, in the order of the channels."""
    place: dict[tuple[str, int], int] = {}
    for i, label in enumerate(labels):
        contact = _CONTACT.fullmatch(label.strip())
        if contact is None:
            continue
        key = (contact[1].strip(), int(contact[2]))
        if key in place:
            raise NeurodataError(f"contact {label!r} of {name!r} comes twice, so its neighbour is not certain")
        place[key] = i
    pairs = [
        (i, place[shaft, number + 1])
        for (shaft, number), i in place.items()
        if (shaft, number + 1) in place and usable[i] and usable[place[shaft, number + 1]]
    ]
    if not pairs:
        raise NeurodataError(
            f"no two adjacent contacts in {name!r}: expected labels like A1, A2, B'1, B'2; got {', '.join(labels[:8])}"
        )
    paired = {i for pair in pairs for i in pair}
    lonely = [labels[i] for i in range(len(labels)) if i not in paired and usable[i]]
    if lonely:
        warnings.warn(
            f"{len(lonely)} good channels of {name!r} have no neighbour on a shaft and are left out: "
            f"{', '.join(lonely[:8])}",
            stacklevel=4,
        )
    first, second = np.array(pairs, np.int64).T
    return first, second


def _merged(key: str, one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any] | None:
    """A column of the pairs: names joined, positions half-way, what both share kept, anything else left out."""
    if key in (names.CHANNEL_ID, names.LABEL, names.LABEL_RAW):
        return text_array([f"{a}-{b}" for a, b in zip(one.tolist(), other.tolist())])
    if key in _POSITION:
        return (np.asarray(one, np.float64) + np.asarray(other, np.float64)) / 2
    if one.dtype.kind == "U":
        return text_array([a if a == b else f"{a}-{b}" for a, b in zip(one.tolist(), other.tolist())])
    return one if np.array_equal(one, other) else None
