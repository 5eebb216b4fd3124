"""What a dynamic connectome is fitted to: animals as arrays of the same named neurons at one rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names as words
from neurodata.checks import check_positive, suggest
from neurodata.errors import NeurodataError

Traces = NDArray[np.floating] | Sequence[NDArray[np.floating]] | xr.Dataset
"""Animals: one array (animal, time, neuron), several (time, neuron), or the dataset of ``nd.homogenise``."""


@dataclass(frozen=True, eq=False)
class Animals:
    """Traces ``(time, neuron)`` of each animal, their rate, and the neurons' names."""

    traces: list[NDArray[np.float64]]
    rate_hz: float
    names: list[str]


def read_animals(traces: Traces, rate_hz: float | None, names: Sequence[str] | None) -> Animals:
    """Return animals in one form.

    Raises
    ------
    NeurodataError
        If the rate is missing, contradicts the dataset, or names are too few, doubled or empty.
    """
    if isinstance(traces, xr.Dataset):
        traces, rate_hz, names = _read_dataset(traces, rate_hz, names)
    if rate_hz is None:
        raise NeurodataError("rate_hz is missing: smoothing is in seconds; pass the frames per second of the traces")
    check_positive("rate_hz", rate_hz)
    arrays = [np.asarray(animal, np.float64) for animal in traces]
    if not arrays or any(animal.ndim != 2 for animal in arrays):
        shapes = [animal.shape for animal in arrays]
        raise NeurodataError(
            f"expected traces of shape (animal, time, neuron), or one (time, neuron) per animal, got {shapes[:5]}; "
            "of one animal pass traces[None]"
        )
    n_neurons = arrays[0].shape[1]
    known = [str(i) for i in range(n_neurons)] if names is None else [str(name) for name in names]
    if len(known) != n_neurons:
        raise NeurodataError(f"{len(known)} names for {n_neurons} neurons; expected one each")
    odd = sorted({name for name in known if known.count(name) > 1 or not name})
    if odd:
        raise NeurodataError(
            f"each neuron needs a name of its own, got {', '.join(map(repr, odd[:10]))} more than once"
        )
    return Animals(arrays, float(rate_hz), known)


def _read_dataset(
    worms: xr.Dataset, rate_hz: float | None, names: Sequence[str] | None
) -> tuple[NDArray[np.float64], float, list[str]]:
    dimensions = (words.RECORDING, words.TIME, words.CHANNEL)
    if "activity" not in worms or set(worms["activity"].dims) != set(dimensions) or "rate_hz" not in worms.attrs:
        raise NeurodataError(
            f"expected the dataset of nd.homogenise: 'activity' {dimensions} and the attribute 'rate_hz'; got variables "
            f"{list(worms.data_vars)} and attributes {list(worms.attrs)}"
        )
    own = float(worms.attrs["rate_hz"])
    if names is not None or (rate_hz is not None and rate_hz != own):
        raise NeurodataError(f"the dataset has its own names and rate ({own:g} Hz); leave out names= and rate_hz=")
    activity = worms["activity"].transpose(*dimensions)
    return np.asarray(activity.values), own, [str(name) for name in worms[words.CHANNEL].values]


def match_neurons(animals: Animals, names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return the traces with the neurons of a fitted model in its order, NaN where the animals lack one.

    Raises
    ------
    NeurodataError
        If the animals have neurons that the model does not know; lists them and the closest names.
    """
    known = list(names)
    unknown = [name for name in animals.names if name not in set(known)]
    if unknown:
        listed = ", ".join(f"{name!r}{suggest(name, known).removesuffix('?')}" for name in unknown[:10])
        raise NeurodataError(
            f"the motifs are of {len(known)} neurons, these are not among them: {listed}; leave them out of the traces"
        )
    places = [known.index(name) for name in animals.names]
    matched = []
    for traces in animals.traces:
        full = np.full((len(traces), len(known)), np.nan)
        full[:, places] = traces
        matched.append(full)
    return matched
