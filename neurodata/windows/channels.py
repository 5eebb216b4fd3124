"""What is known of each channel beside its values: who it is, where it lies, how it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata import names
from neurodata.identity import celegans, eeg_montage
from neurodata.recording.recording import Recording
from neurodata.windows.spec import Channel
from neurodata.windows.views import View, channels_after

WORM = "Caenorhabditis elegans"

MONTAGE = "10-05"
"""What stands before the name of an electrode of the 10-05 system instead of a species."""

METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6}
"""Metres in a unit of position; positions in another unit (voxels, pixels) are of no known size and left out."""

_ELECTRICAL = ("eeg", "meg", "ieeg", "seeg")


def describe_channels(recording: Recording, inputs: str, views: Sequence[View] = ()) -> tuple[Channel, ...]:
    """Return what is known of each channel of a viewed signal, or of each unit that events point into.

    An EEG electrode with a name of the 10-05 system and no position of its own has the template's.

    Parameters
    ----------
    recording
        Where the channels are from.
    inputs
        Name of a signal, or of events.
    views
        Filters and the like that the signal passes; some change its channels.
    """
    if inputs in recording.events:
        columns: xr.DataArray | xr.Dataset = recording.units if recording.units is not None else xr.Dataset()
        size, counts = columns.sizes.get(names.UNIT, 0), True
    else:
        columns = channels_after(recording.signals[inputs], views)
        size, counts = columns.sizes[names.CHANNEL], _is_count(recording.signals[inputs])
    species, modality = str(recording.metadata["subject"]["species"]), str(recording.metadata["modality"])
    labels, regions = (_texts(columns, column, size) for column in (names.LABEL, "region"))
    places = _positions(columns, size)
    called = [_of(species, label) for label in labels.tolist()]
    if modality in _ELECTRICAL:
        template = eeg_montage.positions(labels.tolist())
        places = np.where(np.isfinite(places), places, template)
        # An electrode of the system is the same on every head, also where nobody said whose.
        known = np.isfinite(template[:, 0]).tolist()
        called = [_of(MONTAGE, label) if on else name for label, on, name in zip(labels.tolist(), known, called)]
    return tuple(
        Channel(name, _of(species, region), modality, _place(place), counts)
        for name, region, place in zip(called, regions.tolist(), places)
    )


def homologue_groups(vocabulary: Sequence[str], channels: Sequence[Channel]) -> tuple[str, ...]:
    """Return what each name of a vocabulary shares weights with: channels of the same name, for worms of either side.

    A channel without a name is a group of its own.
    """
    return tuple(_pair(channel.name) if channel.name else key for key, channel in zip(vocabulary, channels))


def worm_pairs() -> tuple[str, ...]:
    """Return the name of the left-right pair of each worm neuron, in the order of their table; an unpaired one's own."""
    neurons = celegans.table()
    return tuple(
        min(name, partner) if partner else name for name, partner in zip(neurons["name"], neurons["left_right"])
    )


@cache
def _pairs() -> dict[str, str]:
    return {_of(WORM, name): _of(WORM, pair) for name, pair in zip(celegans.NAMES, worm_pairs())}


def _pair(name: str) -> str:
    return _pairs().get(name, name)


def _of(species: str, text: str) -> str:
    """A name means the same within a species only: monkeys have an area M1, and so do people."""
    return f"{species}:{text}" if text else ""


def _is_count(signal: xr.DataArray) -> bool:
    """Whether a signal holds counts of events, by its unit: ``spikes/bin``, ``count``, ``counts``."""
    units = str(signal.attrs.get(names.UNITS_ATTRIBUTE, "")).lower()
    return units.split("/")[0].strip() in ("spikes", "spike", "count", "counts", "events")


def _texts(columns: xr.DataArray | xr.Dataset, name: str, size: int) -> NDArray[np.str_]:
    found = _column(columns, name)
    return np.full(size, "", np.str_) if found is None else np.asarray(found.values, np.str_)


def _positions(columns: xr.DataArray | xr.Dataset, size: int) -> NDArray[np.float64]:
    """Metres, NaN where unknown, ``(channel, 3)``."""
    scale = METRES.get(str(columns.attrs.get("position_units", "m")))
    found = [_column(columns, axis) for axis in ("x", "y", "z")]
    if scale is None or size == 0 or any(axis is None for axis in found):
        return np.full((size, 3), np.nan)
    return np.stack([np.asarray(axis, np.float64) for axis in found], 1) * scale


def _column(columns: xr.DataArray | xr.Dataset, name: str) -> xr.DataArray | None:
    if isinstance(columns, xr.Dataset):
        return columns.get(name)
    return columns.coords.get(name)


def _place(place: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(map(float, place)) if np.isfinite(place).all() else ()
